"""Parts as processes: each serves the work that queues at it, the first that was ready first.

All parts decide on a clock edge, when everything else that happens in that cycle has happened. Of
work that is ready in the same cycle, the one that comes first in the order of the program is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from fractions import Fraction
from heapq import heappop, heappush
from math import ceil
from typing import Any

import attrs
import simpy

from cimarch.hardware.routes import Instances
from cimarch.hardware.system import System

Order = tuple[int, ...]
"""Place in the order of the program: pass, strip, row, phase, window, phase, tile, stage, step."""
Steps = Generator[simpy.Event, Any, Any]
"""What a process yields."""

EDGE = 2
"""Priority of a clock edge in its cycle: after SimPy's urgent (0) and normal (1) events."""


@attrs.define(eq=False)
class Job:
    """Work at a part: `busy` cycles of it, with results after `latency`."""

    started: simpy.Event
    done: simpy.Event
    busy: int
    latency: int
    released: simpy.Event | None = None
    """Given where the part is held until this happens, not for a known time."""


class Station:
    """One part, or members of an array of parts that work together."""

    def __init__(self, bench: Bench, at: Instances) -> None:
        self.bench = bench
        self.at = at
        self.queue: list[tuple[int, Order, int, Job]] = []
        self.idle = True
        self.taken = bench.env.event()
        self.busy = 0
        bench.env.process(self.serve())

    def serve(self) -> Steps:
        """Take one job after the other."""
        env = self.bench.env
        while True:
            job: Job = yield self.taken
            self.taken = env.event()
            since = int(env.now)
            job.started.succeed()
            yield job.released or env.timeout(job.busy)
            self.busy += int(env.now) - since
            self.idle = True
            self.bench.ring()

    def decide(self) -> Job | None:
        """On a clock edge: the job that is taken, if one waits and the part is free."""
        if not self.idle or not self.queue:
            return None
        self.idle = False
        *_, job = heappop(self.queue)
        self.taken.succeed(job)
        return job


class Bench:
    """The parts of a chip, each made when it is first wanted, and what they did."""

    def __init__(self, system: System, united: Iterable[Instances] = ()) -> None:
        self.env = simpy.Environment()
        self.system = system
        self.united = list(united)
        self.asked: set[Instances] = set()
        self.stations: dict[Instances, Station] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self._edge: simpy.Event | None = None
        self._arrivals = 0

    def station(self, at: Instances) -> Station:
        """The process of some members of a part; members that were wanted together stay so."""
        self.asked.add(at)
        at = next((u for u in self.united if u.meet(at)), at)
        if at not in self.stations:
            self.stations[at] = Station(self, at)
        return self.stations[at]

    def ring(self) -> None:
        """Have all parts decide when all else of this cycle has happened."""
        if self._edge is None:
            self._edge = self.env.event()
            self._edge.callbacks.append(self._decide)
            self._edge._ok, self._edge._value = True, None
            self.env.schedule(self._edge, priority=EDGE)  # type: ignore[arg-type]

    def _decide(self, _: simpy.Event) -> None:
        self._edge = None
        for at in sorted(self.stations):
            self.stations[at].decide()

    def count(self, path: str, action: str, times: int) -> None:
        """Note that a part did something some times."""
        self.counts[path, action] = self.counts.get((path, action), 0) + times

    def cycles(self, seconds: Fraction) -> int:
        """Whole cycles of an exact time, at least one."""
        return max(1, ceil(seconds * self.system.clock))

    def period(self, at: Instances, *, stage: bool) -> Fraction:
        """Cycles on whose multiples a part begins: its own clock's, or a stage the beat's."""
        if " -> " in at.path:
            return Fraction(1)
        part = self.system.part(at.path)
        if stage and part.beat is not None:
            return part.beat * self.system.clock
        return self.system.clock / part.clock

    def work(
        self, at: Instances, busy: int, order: Order, *, latency: int | None = None,
        stage: bool = False, released: simpy.Event | None = None,
    ) -> Job:  # fmt: skip
        """Hand work to a part."""
        env = self.env
        job = Job(env.event(), env.event(), busy, busy if latency is None else latency, released)
        env.process(self._work(at, job, order, self.period(at, stage=stage)))
        return job

    def _work(self, at: Instances, job: Job, order: Order, period: Fraction) -> Steps:
        now = int(self.env.now)
        late = next_multiple(now, period) - now
        if late:
            yield self.env.timeout(late)
        station = self.station(at)
        self._arrivals += 1
        heappush(station.queue, (int(self.env.now), order, self._arrivals, job))
        self.ring()
        yield job.started
        yield self.env.timeout(job.latency)
        job.done.succeed()

    def all(self, events: Iterable[simpy.Event]) -> simpy.Event:
        """An event for when all of these have happened."""
        return simpy.AllOf(self.env, list(events))

    def run(self, main: Steps) -> int:
        """Run a process to its end; the cycle of that."""
        process = self.env.process(main)
        self.env.run(process)
        return int(self.env.now)


def next_multiple(now: int, period: Fraction) -> int:
    """The first cycle at or after `now` on which a multiple of the period falls."""
    k = now // period
    while ceil(k * period) < now:
        k += 1
    return ceil(k * period)


def unite(asked: Iterable[Instances]) -> list[Instances]:
    """Ranges of members such that what overlaps is one."""
    found: list[Instances] = []
    for at in sorted(asked):
        if found and found[-1].path == at.path and at.lo < found[-1].hi:
            found[-1] = Instances(at.path, found[-1].lo, max(found[-1].hi, at.hi))
        else:
            found.append(at)
    return found


def settle(make: Callable[[list[Instances]], Bench]) -> Bench:
    """Run with ever wider ranges of members until none that are wanted overlap."""
    united: list[Instances] = []
    while True:
        bench = make(united)
        wider = unite([*bench.asked, *united])
        if wider == unite(united) or all(at in wider for at in bench.asked):
            return bench
        united = wider


def pass_on(event: simpy.Event, to: simpy.Event) -> Steps:
    """Let one event happen with another."""
    yield event
    to.succeed()
