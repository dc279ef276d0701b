"""Data on their way: every part of a route is held for its words and hands the first on at once.

Where nothing delays it, the last word of a transfer is there when the slowest part has moved all
its words and the others their first: the sum of all first words, and the rest of the slowest part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import ceil

import attrs
import simpy

from cimarch.hardware.mesh import Mesh
from cimarch.hardware.routes import Instances, Route, Routes
from cimarch.hardware.system import Part
from oracle.hardware import Bench, Order, Steps

EAST, WEST, SOUTH, NORTH, LOCAL = range(5)


@attrs.frozen
class Crossing:
    """One part that a transfer crosses."""

    at: Instances
    word: Fraction
    """Seconds of a word."""
    words: int
    """That each member moves, one after the other."""
    first: Fraction
    """Seconds until the first word is handed on."""
    did: tuple[tuple[str, int], ...] = ()
    """Actions and how often all members together do them."""
    multicast: bool = False

    @property
    def whole(self) -> Fraction:
        """Seconds that the part is held."""
        return self.words * self.word

    @property
    def rest(self) -> Fraction:
        """Seconds from its first word to its last."""
        return (self.words - 1) * self.word


_Copy = tuple[Sequence[Crossing], Order, simpy.Event]
"""One of the places that the same data go to: its way, its order, the event of its arrival."""


class Movement:
    """Transfers on one bench."""

    def __init__(self, bench: Bench, routes: Routes) -> None:
        self.bench = bench
        self.system = bench.system
        self.routes = routes

    # What a route crosses

    def crossings(self, route: Route, bits: int) -> list[Crossing]:
        """What takes time on a route, from where the data are to where they stay."""
        found: list[Crossing] = []
        for i, step in enumerate(route):
            wire = step.wire
            if wire is not None and wire.link.width is not None:
                ends = [step.at] if i == 0 else [route[i - 1].at, step.at]
                name = f"{wire.link.source.path} -> {wire.link.target.path}"
                narrow = attrs.evolve(min(ends, key=len), path=name)
                cycle = 1 / self.system.clock
                found.append(Crossing(narrow, cycle, ceil(bits / wire.link.width), cycle))
            part = self.system.part(step.at.path)
            if part.kind == "mesh":
                found += self._mesh(part, route[i - 1].at, route[i + 1].at, bits)
            else:
                comes, goes = i > 0, i < len(route) - 1
                found += self._part(part, step.at, bits, comes=comes, goes=goes)
        return found

    def _part(
        self, part: Part, at: Instances, bits: int, *, comes: bool, goes: bool
    ) -> list[Crossing]:
        kinds = {"buffer": "memory", "dram": "store", "host": "store", "bus": "wires",
                 "htree": "wires", "link": "link"}  # fmt: skip
        if part.kind not in kinds:
            return []
        total = ceil(bits / part.number("width"))
        words = -(-total // len(at))
        if kinds[part.kind] == "memory":
            actions = [a for a, done in (("write", comes), ("read", goes)) if done]
            word = sum((stated(part, a, 1 / part.clock) for a in actions), Fraction(0))
            return [Crossing(at, word, words, word, tuple((a, total) for a in actions))]
        if kinds[part.kind] == "store":
            action = "write" if comes else "read"
            word = 1 / part.number("rate")
            first = stated(part, action, word)
            return [Crossing(at, word, words, first, ((action, total),))]
        did = (("transfer", total),)
        if kinds[part.kind] == "wires":
            word = stated(part, "transfer", 1 / part.clock)
            first = word if part.kind == "bus" else self._levels(part) * part.number("hop")
            return [Crossing(at, word, words, first, did, part.flag("multicast"))]
        word = 1 / part.number("rate")
        first = max(word, stated(part, "transfer", word))
        return [Crossing(at, word, words, first, did)]

    def _levels(self, tree: Part) -> int:
        """Levels of a binary tree over the members of the widest part connected to it."""
        wires = [*self.routes.entering[tree.path], *self.routes.leaving[tree.path]]
        ends = {end for w in wires for end in (w.source.path, w.target.path)} - {tree.path}
        leaves = max(self.system.part(path).count for path in ends) // tree.count
        levels = 1
        while 2**levels < leaves:
            levels += 1
        return levels

    def _mesh(self, part: Part, came: Instances, goes: Instances, bits: int) -> list[Crossing]:
        """East or west along the row, then along the column; the local link to its own router."""
        mesh = Mesh(self.system, self.routes, part)
        here, there = mesh.router(came), mesh.router(goes)
        columns = part.integer("columns")
        links = []
        while here % columns != there % columns:
            east = here % columns < there % columns
            links.append(5 * here + (EAST if east else WEST))
            here += 1 if east else -1
        while here != there:
            south = here < there
            links.append(5 * here + (SOUTH if south else NORTH))
            here += columns if south else -columns
        links = links or [5 * here + LOCAL]
        flits = ceil(bits / part.number("width"))
        return [
            Crossing(Instances(part.path, link, link + 1), 1 / part.clock, flits,
                     part.number("hop"), (("hop", flits),))
            for link in links
        ]  # fmt: skip

    # Moving

    def move(self, way: Sequence[Crossing], order: Order) -> simpy.Event:
        """Send data over crossings; the event that all of them have arrived."""
        return self.spread([way], [order])[0]

    def spread(
        self, ways: Sequence[Sequence[Crossing]], orders: Sequence[Order]
    ) -> list[simpy.Event]:
        """Send the same data to several places, over what is multicast once; their arrivals."""
        arrivals = [self.bench.env.event() for _ in ways]
        self._fork(list(zip(ways, orders, arrivals, strict=True)), 0)
        return arrivals

    def _fork(self, copies: Sequence[_Copy], done: int) -> None:
        """Go on from where the first `done` parts are crossed, together up to the next bus."""
        groups: dict[tuple[Instances, ...], list[_Copy]] = {}
        for i, copy in enumerate(copies):
            end = next_bus(copy[0], done)
            alone = (Instances("alone", i, i + 1),)
            key = tuple(c.at for c in copy[0][done:end]) if end else alone
            groups.setdefault(key, []).append(copy)
        for members in groups.values():
            self.bench.env.process(self._together(members, done))

    def _together(self, copies: Sequence[_Copy], done: int) -> Steps:
        """Cross a bus once for all that it serves; at the end of the way, arrive."""
        way = max((copy[0] for copy in copies), key=len)
        end = next_bus(way, done) or len(way)
        yield from self._cross(way, range(done, end), copies[0][1])
        going = [copy for copy in copies if len(copy[0]) > end]
        for ending, _, arrival in copies:
            if len(ending) == end:
                self.bench.env.process(self._arrive(ending if going else (), arrival))
        self._fork(going, end)

    def _arrive(self, behind: Sequence[Crossing], arrival: simpy.Event) -> Steps:
        """The first word is there, and the last after what the slowest part still moves."""
        if behind:
            yield self.bench.env.timeout(self.bench.cycles(slowest(behind)))
        arrival.succeed()

    def _cross(self, way: Sequence[Crossing], places: range, order: Order) -> Steps:
        """Each part begins when the one before has handed its first word on."""
        for i in places:
            crossing = way[i]
            time = crossing.first + (slowest(way) if i + 1 == len(way) else 0)
            for action, count in crossing.did:
                self.bench.count(crossing.at.path, action, count)
            job = self.bench.work(
                crossing.at, self.bench.cycles(crossing.whole), (*order, i),
                latency=self.bench.cycles(time), stage=i == 0,
            )  # fmt: skip
            yield job.done


def next_bus(way: Sequence[Crossing], done: int) -> int | None:
    """How many parts are crossed when the next one that serves several is; None without one."""
    return next((k + 1 for k in range(done, len(way)) if way[k].multicast), None)


def slowest(way: Iterable[Crossing]) -> Fraction:
    """What the slowest part still moves when its first word is through."""
    return max((c.rest for c in way), default=Fraction(0))


def stated(part: Part, action: str, default: Fraction) -> Fraction:
    """Seconds of an action, where the description says."""
    found = part.actions.get(action)
    return default if found is None or found.latency is None else found.latency.at()
