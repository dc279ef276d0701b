"""How data cross the parts of a route: cut-through, each part held for all words.

A transfer of `bits` crosses the parts of its route like a pipeline. Part i moves n_i words of its
own width, one every w_i seconds, and hands the first one on after h_i. The last word is through
after

    h_1 + ... + h_k + max_i (n_i - 1) w_i

seconds where nothing else is in the way (for f flits over h mesh links: h hop + f - 1 cycles). Each
part is held for its own n_i w_i. Parts that are not asked for anything (a unit or an adder that is
only passed, the converters) take neither time nor energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import ceil, log2
from typing import NamedTuple

import attrs

from cimarch.hardware.mesh import Mesh, passage
from cimarch.hardware.routes import Instances, Route, Routes, Step
from cimarch.hardware.system import Part, System
from cimarch.program.charges import Charge, charge, latency_of


@attrs.frozen(eq=False)
class Toll:
    """What crossing a part takes; parts crossed alike share one."""

    busy: Fraction
    """Seconds that the part is held."""
    head: Fraction
    """Seconds until its first word is through."""
    tail: Fraction
    """Seconds from there until its last word is through."""
    charges: tuple[Charge, ...] = ()
    multicast: bool = False
    """Whether one crossing serves all listeners behind it."""


@attrs.frozen(eq=False)
class Transfer:
    """Bits on their way over a route, hop by hop."""

    ats: tuple[Instances, ...] = ()
    """Where each hop is; one object for all transfers over a route."""
    tolls: tuple[Toll, ...] = ()
    """What each hop takes; one object for transfers of as many bits over routes that are alike."""
    shared: tuple[int, ...] = ()
    """The hops that serve all listeners behind them at once."""


class Passed(NamedTuple):
    """What of a hop its toll hangs on, beside the bits."""

    path: str
    """Of the part; of a connect line with a width its two ends."""
    members: int
    first: bool = False
    """The data come from here."""
    last: bool = False
    """The data stay here."""


class Transfers:
    """Transfers over the routes of one system; parts crossed alike are worked out once."""

    def __init__(
        self, system: System, routes: Routes, running: Mapping[str, Fraction] | None = None
    ) -> None:
        self.system = system
        self.running = running or {}
        self.routes = routes
        self._found: dict[tuple[int, int], Transfer] = {}
        """By the identity of a route, which is a long tuple to hash, and the bits."""
        self._ways: dict[int, tuple[tuple[Instances, ...], tuple[Passed, ...], Route]] = {}
        self._tolls: dict[tuple[tuple[Passed, ...], int], tuple[Toll, ...]] = {}
        self._taken: dict[tuple[Passed, int], Toll] = {}
        self._widths: dict[str, Fraction] = {}
        """Of the connect lines that have one, by their two ends."""
        self._meshes: dict[str, Mesh] = {}

    def __len__(self) -> int:
        """How many transfers are known."""
        return len(self._found)

    def over(self, route: Route, bits: int) -> Transfer:
        """The transfer of `bits` over a route, its first and last part included."""
        known = self._found.get((id(route), bits))
        if known is None:
            known = self._found[id(route), bits] = self._over(route, bits)
        return known

    def _over(self, route: Route, bits: int) -> Transfer:
        if id(route) not in self._ways:
            hops = list(self._hops(route))
            ats = tuple(at for at, _ in hops)
            self._ways[id(route)] = ats, tuple(passed for _, passed in hops), route
        ats, way, _ = self._ways[id(route)]
        if (way, bits) not in self._tolls:
            self._tolls[way, bits] = tuple(self._toll(passed, bits) for passed in way)
        tolls = self._tolls[way, bits]
        return Transfer(ats, tolls, tuple(i for i, toll in enumerate(tolls) if toll.multicast))

    def _hops(self, route: Route) -> Iterator[tuple[Instances, Passed]]:
        """The parts of a route, and lines with a width, that take time."""
        for i, step in enumerate(route):
            if step.wire is not None and step.wire.link.width is not None:
                yield self._wire(step, route[i - 1])
            part = self.system.part(step.at.path)
            if part.kind == "mesh":
                yield from self._mesh(part, route[i - 1].at, route[i + 1].at)
            elif part.kind in _CROSSINGS:
                yield step.at, Passed(part.path, len(step.at), i == 0, i == len(route) - 1)

    def _mesh(
        self, part: Part, source: Instances, target: Instances
    ) -> Iterator[tuple[Instances, Passed]]:
        """XY over directed router links; one hop on the same router."""
        mesh = self._meshes.setdefault(part.path, Mesh(self.system, self.routes, part))
        for link in passage(mesh, source, target):
            yield Instances(part.path, link, link + 1), Passed(part.path, 1)

    def _wire(self, step: Step, before: Step) -> tuple[Instances, Passed]:
        assert step.wire is not None
        assert step.wire.link.width is not None
        link = step.wire.link
        name = f"{link.source.path} -> {link.target.path}"
        self._widths[name] = step.wire.link.width
        narrow = min(before.at, step.at, key=len)
        return attrs.evolve(narrow, path=name), Passed(name, len(narrow))

    def _toll(self, passed: Passed, bits: int) -> Toll:
        if (passed, bits) not in self._taken:
            self._taken[passed, bits] = self._crossed(passed, bits)
        return self._taken[passed, bits]

    def _crossed(self, passed: Passed, bits: int) -> Toll:
        if passed.path in self._widths:
            return self._line(self._widths[passed.path], bits)
        part = self.system.part(passed.path)
        if part.kind == "mesh":
            return self._hop(part, bits)
        leaves = self._leaves(part) if part.kind == "htree" else 1
        return _CROSSINGS[part.kind](part, Crossing(passed, bits, leaves, self.running))

    def _line(self, width: Fraction, bits: int) -> Toll:
        """A connect line with a width is a bundle of wires that moves one word a system cycle."""
        cycle = 1 / self.system.clock
        busy = words(bits, width) * cycle
        return Toll(busy, cycle, busy - cycle)

    def _hop(self, part: Part, bits: int) -> Toll:
        """A link of a mesh moves a flit a cycle."""
        flits = words(bits, part.number("width"))
        busy = flits / part.clock
        each = busy / self._meshes[part.path].routers
        priced = charge(part, "hop", flits, busy=each, running=self.running)
        shared = part.flag("multicast")
        return Toll(busy, part.number("hop"), busy - 1 / part.clock, (priced,), shared)

    def _leaves(self, part: Part) -> int:
        """Members of the widest part that one of an htree's members connects."""
        wires = self.routes.entering.get(part.path, []) + self.routes.leaving.get(part.path, [])
        ends = {w.source.path for w in wires} | {w.target.path for w in wires}
        counts = [self.system.part(path).count for path in ends if path != part.path]
        return max(counts, default=1) // part.count or 1


@attrs.frozen
class Crossing:
    """A part on the way of a transfer."""

    passed: Passed
    bits: int
    leaves: int = 1
    """Of an htree."""
    running: Mapping[str, Fraction] = attrs.field(factory=dict, eq=False)
    """The names that costs may read."""


def words(bits: int, width: Fraction, lanes: int = 1) -> int:
    """Words of `width` bits that each of `lanes` members moves."""
    return ceil(Fraction(ceil(bits / width), lanes))


def _buffer(part: Part, crossing: Crossing) -> Toll:
    """One word a cycle of its clock, read, written, or (passed on the way) both."""
    members, bits = crossing.passed.members, crossing.bits
    count = words(bits, part.number("width"), members)
    cycle = 1 / part.clock
    used = (("write", not crossing.passed.first), ("read", not crossing.passed.last))
    actions = [action for action, is_used in used if is_used]
    running = crossing.running
    times = [latency_of(part, action, cycle, running) for action in actions]
    total = words(bits, part.number("width"))
    priced = tuple(
        charge(part, action, total, busy=count * time, members=members, running=running)
        for action, time in zip(actions, times, strict=True)
    )
    head = sum(times, Fraction(0))
    return Toll(count * head, head, (count - 1) * head, priced)


def _outside(part: Part, crossing: Crossing) -> Toll:
    """dram and host: one word per 1 / rate."""
    members, bits = crossing.passed.members, crossing.bits
    count = words(bits, part.number("width"), members)
    action = "read" if crossing.passed.first else "write"
    time = latency_of(part, action, 1 / part.number("rate"), crossing.running)
    total = words(bits, part.number("width"))
    priced = charge(
        part, action, total, busy=count * time, members=members, running=crossing.running
    )
    word = 1 / part.number("rate")
    return Toll(count * word, max(word, time), (count - 1) * word, (priced,))


def _bus(part: Part, crossing: Crossing) -> Toll:
    members, bits = crossing.passed.members, crossing.bits
    count = words(bits, part.number("width"), members)
    time = latency_of(part, "transfer", 1 / part.clock, crossing.running)
    total = words(bits, part.number("width"))
    priced = charge(
        part, "transfer", total, busy=count * time, members=members, running=crossing.running
    )
    shared = part.params.get("multicast") is True
    return Toll(count * time, time, (count - 1) * time, (priced,), shared)


def _htree(part: Part, crossing: Crossing) -> Toll:
    """A bus whose first word passes ceil(log2 leaves) levels, a hop each."""
    toll = _bus(part, crossing)
    levels = max(1, ceil(log2(crossing.leaves)))
    return attrs.evolve(toll, head=levels * part.number("hop"))


def _link(part: Part, crossing: Crossing) -> Toll:
    """`width` bits per 1 / rate on each member; a stated latency delays the first word."""
    members, bits = crossing.passed.members, crossing.bits
    count = words(bits, part.number("width"), members)
    word = 1 / part.number("rate")
    head = max(word, latency_of(part, "transfer", word, crossing.running))
    total = words(bits, part.number("width"))
    priced = charge(
        part, "transfer", total, busy=count * word, members=members, running=crossing.running
    )
    return Toll(count * word, head, (count - 1) * word, (priced,))


_CROSSINGS: dict[str, Callable[[Part, Crossing], Toll]] = {
    "buffer": _buffer,
    "dram": _outside,
    "host": _outside,
    "bus": _bus,
    "htree": _htree,
    "link": _link,
}
"""Kinds that take time when data cross them, beside meshes; all others are passed free."""
