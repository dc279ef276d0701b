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

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil, log2

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


Hop = tuple[Instances, Toll]
"""One part's share of a transfer."""


@attrs.frozen(eq=False)
class Transfer:
    """Bits on their way over a route, hop by hop."""

    ats: tuple[Instances, ...] = ()
    """Where each hop is."""
    tolls: tuple[Toll, ...] = ()
    """What each hop takes."""
    shared: tuple[int, ...] = ()
    """The hops that serve all listeners behind them at once."""

    @classmethod
    def of(cls, hops: Sequence[Hop]) -> Transfer:
        """A transfer of hops in order."""
        ats, tolls = zip(*hops, strict=True) if hops else ((), ())
        shared = tuple(place for place, toll in enumerate(tolls) if toll.multicast)
        return cls(ats, tolls, shared)


class Transfers:
    """Transfers over the routes of one system; parts crossed alike are worked out once."""

    def __init__(
        self, system: System, routes: Routes, running: Mapping[str, Fraction] | None = None
    ) -> None:
        self.system = system
        self.running = running or {}
        self.routes = routes
        self._crossed: dict[tuple[str, int, bool, bool, int], Toll] = {}
        self._hopped: dict[tuple[str, int], Toll] = {}
        self._wired: dict[tuple[str, int], Toll] = {}
        self._meshes: dict[str, Mesh] = {}
        self._found: dict[tuple[int, int], tuple[Transfer, Route]] = {}
        """By the identity of a route, which is a long tuple to hash, and the bits."""

    def __len__(self) -> int:
        """How many transfers are known."""
        return len(self._found)

    def over(self, route: Route, bits: int) -> Transfer:
        """The transfer of `bits` over a route, its first and last part included."""
        known = self._found.get((id(route), bits))
        if known is None:
            made = Transfer.of(list(self._crossings(route, bits)))
            known = self._found[id(route), bits] = (made, route)
        return known[0]

    def _crossings(self, route: Route, bits: int) -> Iterator[Hop]:
        for i, step in enumerate(route):
            if step.wire is not None and step.wire.link.width is not None:
                yield self._wire(step, route[i - 1], bits)
            part = self.system.part(step.at.path)
            if part.kind == "mesh":
                yield from self._mesh(part, route, i, bits)
            elif part.kind in _CROSSINGS:
                ends = (i == 0, i == len(route) - 1)
                leaves = self._leaves(part) if part.kind == "htree" else 1
                yield self._cross(part, Crossing(step.at, *ends, bits, leaves, self.running))

    def _cross(self, part: Part, at: Crossing) -> Hop:
        key = (part.path, len(at.at), at.first, at.last, at.bits)
        if key not in self._crossed:
            self._crossed[key] = _CROSSINGS[part.kind](part, at)
        return at.at, self._crossed[key]

    def _leaves(self, part: Part) -> int:
        """Members of the widest part that one of an htree's members connects."""
        wires = self.routes.entering.get(part.path, []) + self.routes.leaving.get(part.path, [])
        ends = {w.source.path for w in wires} | {w.target.path for w in wires}
        counts = [self.system.part(path).count for path in ends if path != part.path]
        return max(counts, default=1) // part.count or 1

    def _mesh(self, part: Part, route: Route, i: int, bits: int) -> Iterator[Hop]:
        """XY over directed router links, a flit a cycle on each; one hop on the same router."""
        mesh = self._meshes.setdefault(part.path, Mesh(self.system, self.routes, part))
        key = (part.path, bits)
        if key not in self._hopped:
            flits = words(bits, part.number("width"))
            busy = flits / part.clock
            priced = charge(part, "hop", flits, busy=busy / mesh.routers, running=self.running)
            hop = part.number("hop")
            shared = part.flag("multicast")
            self._hopped[key] = Toll(busy, hop, busy - 1 / part.clock, (priced,), shared)
        for link in passage(mesh, route[i - 1].at, route[i + 1].at):
            yield Instances(part.path, link, link + 1), self._hopped[key]

    def _wire(self, step: Step, before: Step, bits: int) -> Hop:
        """A connect line with a width is a bundle of wires that moves one word a system cycle."""
        assert step.wire is not None
        assert step.wire.link.width is not None
        link = step.wire.link
        name = f"{link.source.path} -> {link.target.path}"
        if (name, bits) not in self._wired:
            cycle = 1 / self.system.clock
            busy = words(bits, step.wire.link.width) * cycle
            self._wired[name, bits] = Toll(busy, cycle, busy - cycle)
        narrow = min(before.at, step.at, key=len)
        return attrs.evolve(narrow, path=name), self._wired[name, bits]


@attrs.frozen
class Crossing:
    """A part on the way of a transfer."""

    at: Instances
    first: bool
    """The data come from here."""
    last: bool
    """The data stay here."""
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
    at, bits = crossing.at, crossing.bits
    count = words(bits, part.number("width"), len(at))
    cycle = 1 / part.clock
    used = (("write", not crossing.first), ("read", not crossing.last))
    actions = [action for action, is_used in used if is_used]
    running = crossing.running
    times = [latency_of(part, action, cycle, running) for action in actions]
    total = words(bits, part.number("width"))
    priced = tuple(
        charge(part, action, total, busy=count * time, members=len(at), running=running)
        for action, time in zip(actions, times, strict=True)
    )
    head = sum(times, Fraction(0))
    return Toll(count * head, head, (count - 1) * head, priced)


def _outside(part: Part, crossing: Crossing) -> Toll:
    """dram and host: one word per 1 / rate."""
    at, bits = crossing.at, crossing.bits
    count = words(bits, part.number("width"), len(at))
    action = "read" if crossing.first else "write"
    time = latency_of(part, action, 1 / part.number("rate"), crossing.running)
    total = words(bits, part.number("width"))
    priced = charge(
        part, action, total, busy=count * time, members=len(at), running=crossing.running
    )
    word = 1 / part.number("rate")
    return Toll(count * word, max(word, time), (count - 1) * word, (priced,))


def _bus(part: Part, crossing: Crossing) -> Toll:
    at, bits = crossing.at, crossing.bits
    count = words(bits, part.number("width"), len(at))
    time = latency_of(part, "transfer", 1 / part.clock, crossing.running)
    total = words(bits, part.number("width"))
    priced = charge(
        part, "transfer", total, busy=count * time, members=len(at), running=crossing.running
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
    at, bits = crossing.at, crossing.bits
    count = words(bits, part.number("width"), len(at))
    word = 1 / part.number("rate")
    head = max(word, latency_of(part, "transfer", word, crossing.running))
    total = words(bits, part.number("width"))
    priced = charge(
        part, "transfer", total, busy=count * word, members=len(at), running=crossing.running
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
