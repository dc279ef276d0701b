"""The reference engine: SimPy processes live through the task table.

Every task is a process that waits, is served, and finishes; every resource is a process that serves
one task at a time. What makes the run well defined is the round: all that happens at one time
happens first, and only then do the free resources choose, all from the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush

import numpy as np
import simpy
from simpy.events import NORMAL, Event, EventPriority

from cimarch.engine.deadlock import Deadlock, find_cycle
from cimarch.engine.tasks import JOIN, Tasks, Timeline, align, timeline

Observer = Callable[[int, str, int], None]
"""Is told (time, `ready` | `start` | `finish`, task), in the order in which they happen."""

Life = Generator[Event, object, None]


def run(tasks: Tasks, observe: Observer | None = None) -> Timeline:
    """Run the table with SimPy, telling `observe` all that happens.

    Raises Deadlock where tasks wait in a circle, ValueError for a bad table.
    """
    tasks.check()
    if cycle := find_cycle(tasks):
        raise Deadlock(cycle)
    run = _Run(tasks, observe or (lambda time, event, task: None))
    run.env.run()
    return timeline(tasks, run.ready, run.start)


class _Run:
    """One run: the environment, the resources, the events of every task, and what came out."""

    def __init__(self, tasks: Tasks, observe: Observer) -> None:
        self.tasks = tasks
        self.observe = observe
        self.env = simpy.Environment()
        self.rounds = _Rounds(self.env)
        self.started = [self.env.event() for _ in range(len(tasks))]
        self.finished = [self.env.event() for _ in range(len(tasks))]
        self.ready = np.zeros(len(tasks), np.int64)
        self.start = np.zeros(len(tasks), np.int64)
        self.resources = [_Resource(self, number) for number in range(tasks.resources)]
        for task in range(len(tasks)):
            self.env.process(self.live(task))

    def live(self, task: int) -> Life:
        """The life of a task: wait for the others and the period, be served, finish."""
        yield self.env.all_of(self.predecessors(task))
        if wait := self.until_period(task):
            yield self.env.timeout(wait)
        self.ready[task] = self.happens("ready", task)
        if self.tasks.resource[task] != JOIN:
            yield self.resources[self.tasks.resource[task]].serve(task)
        self.start[task] = self.happens("start", task)
        self.started[task].succeed()
        if self.tasks.resource[task] != JOIN:
            yield self.env.timeout(int(self.tasks.latency[task]))
        self.happens("finish", task)
        self.finished[task].succeed()

    def predecessors(self, task: int) -> list[Event]:
        """What the task waits for."""
        edges = range(self.tasks.offsets[task], self.tasks.offsets[task + 1])
        return [
            (self.started if self.tasks.after_start[edge] else self.finished)[
                self.tasks.predecessors[edge]
            ]
            for edge in edges
        ]

    def until_period(self, task: int) -> int:
        """Cycles from now to the next multiple of the task's period."""
        now = int(self.env.now)
        numerator, denominator = self.tasks.periods[self.tasks.period[task]]
        return int(align(now, numerator, denominator)) - now

    def happens(self, event: str, task: int) -> int:
        """Tell the observer; the time."""
        now = int(self.env.now)
        self.observe(now, event, task)
        return now


class _Resource:
    """Holds one task at a time; of those that wait, the least by (ready time, number) is next."""

    def __init__(self, run: _Run, number: int) -> None:
        self.run = run
        self.number = number
        self.waiting: list[tuple[int, int, Event]] = []
        self.turn = run.env.event()
        """Triggered by the round that gives this resource its next task."""
        run.env.process(self.hold())

    def serve(self, task: int) -> Event:
        """Let a task wait here; the event of its grant."""
        grant = self.run.env.event()
        heappush(self.waiting, (int(self.run.env.now), task, grant))
        self.run.rounds.call(self)
        return grant

    def hold(self) -> Life:
        """Hold a task for its busy cycles, then ask for the next one."""
        while True:
            task = yield self.turn
            assert isinstance(task, int)
            yield self.run.env.timeout(int(self.run.tasks.busy[task]))
            self.turn = self.run.env.event()
            self.run.rounds.call(self)

    def choose(self) -> None:
        """Grant the next task, if the resource is free and one waits."""
        if self.waiting and not self.turn.triggered:
            _, task, grant = heappop(self.waiting)
            self.turn.succeed(task)
            grant.succeed()


class _Afterwards(Event):
    """Happens at the present time, after all other events of it."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, EventPriority(NORMAL + 1))


class _Rounds:
    """Lets the resources that called choose, all at once, when the time has nothing else left."""

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self.calling: dict[int, _Resource] = {}

    def call(self, resource: _Resource) -> None:
        """Ask for a turn in the next round of this time."""
        if not self.calling:
            _Afterwards(self.env).callbacks.append(self.hold)
        self.calling[resource.number] = resource

    def hold(self, _: Event) -> None:
        """One round, in order of resource number."""
        calling, self.calling = self.calling, {}
        for number in sorted(calling):
            calling[number].choose()
