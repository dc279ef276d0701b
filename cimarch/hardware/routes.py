"""Ways through a system: which members of which parts lie between one place and another.

A route is a path in the graph of the `connect` lines. Members of arrays are numbered row-major with
their ancestors, and a link joins the members of its two ends by their counts inside one instance of
the component that holds it: equal counts pair one to one, n * k to n lets k consecutive members
share one, n to n * k gives each member k consecutive ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from itertools import product
from math import prod

import attrs

from cimarch.hardware.system import Link, Port, System

ARRAYS = frozenset({"crossbar", "digital_array"})
"""Kinds that hold weights: a route may end at one, never cross it."""
OUTSIDE = frozenset({"dram", "host"})
"""Kinds beyond the chip: a route may end at one, never cross it."""
MOST_KEPT = 1 << 14
"""Ways within a block that are remembered at once."""
MOST_ASKED = 1 << 11
"""Answers between any two places that are remembered at once; a search asks for them again."""


@attrs.frozen(order=True, cache_hash=True)
class Instances:
    """Consecutive members `lo <= i < hi` of a part, numbered over the whole system."""

    path: str
    lo: int
    hi: int

    def __len__(self) -> int:
        return self.hi - self.lo

    def __str__(self) -> str:
        members = str(self.lo) if len(self) == 1 else f"{self.lo}..{self.hi - 1}"
        return f"{self.path}[{members}]"

    def meet(self, other: Instances) -> Instances | None:
        """The members that both hold, or None."""
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        return Instances(self.path, lo, hi) if self.path == other.path and lo < hi else None


@attrs.frozen(eq=False)
class Wire:
    """A link seen in one direction."""

    link: Link
    source: Port
    target: Port


@attrs.frozen(cache_hash=True)
class Step:
    """One part on a route, and the wire that led to it (None for the first)."""

    at: Instances
    wire: Wire | None


Route = tuple[Step, ...]


@attrs.frozen
class _End:
    """The members that one end of a link selects, by position, in every instance of its scope."""

    path: str
    total: int
    """Members inside one instance of the scope."""
    chosen: tuple[int, ...] | None
    """Their numbers inside it, ascending; None for all of them."""

    @property
    def count(self) -> int:
        return self.total if self.chosen is None else len(self.chosen)

    def positions(self, lo: int, hi: int) -> list[tuple[int, int]]:
        """Ranges of positions (over all scopes) that members lo..hi take."""
        if self.chosen is None:
            return [(lo, hi)]
        ranges = []
        for scope in range(lo // self.total, (hi - 1) // self.total + 1):
            first = bisect_left(self.chosen, lo - scope * self.total)
            last = bisect_left(self.chosen, hi - scope * self.total)
            if first < last:
                ranges.append((scope * self.count + first, scope * self.count + last))
        return ranges

    def members(self, lo: int, hi: int) -> list[tuple[int, int]]:
        """Ranges of members that positions lo..hi take, merged where they touch."""
        if self.chosen is None:
            return [(lo, hi)]
        ranges: list[tuple[int, int]] = []
        for position in range(lo, hi):
            scope, place = divmod(position, self.count)
            member = scope * self.total + self.chosen[place]
            if ranges and ranges[-1][1] == member:
                ranges[-1] = (ranges[-1][0], member + 1)
            else:
                ranges.append((member, member + 1))
        return ranges


def _end(system: System, link: Link, port: Port) -> _End:
    depth = len(link.scope.split(".")) if link.scope else 0
    names = port.path.split(".")
    shape = tuple(
        extent
        for i in range(depth, len(names))
        for extent in system.part(".".join(names[: i + 1])).shape
    )
    whole = all(
        (lo, hi) == (0, extent) for (lo, hi), extent in zip(port.selection, shape, strict=True)
    )
    if whole:
        return _End(port.path, prod(shape), None)
    strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
    picks = product(*(range(lo, hi) for lo, hi in port.selection))
    chosen = (sum(i * s for i, s in zip(pick, strides, strict=True)) for pick in picks)
    return _End(port.path, prod(shape), tuple(sorted(chosen)))


class Routes:
    """The ways of one system."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._found: dict[tuple[Instances, Instances, str | None], Route | None] = {}
        self._ways: dict[tuple[Instances, Instances, str | None], Route | None] = {}
        self._spreads: dict[tuple[Instances, str | None, bool], _Again] = {}
        self._sizes: dict[tuple[str, str], int] = {}

    @cached_property
    def _wires(self) -> list[Wire]:
        wires = []
        for link in self._system.links:
            wires.append(Wire(link, link.source, link.target))
            if link.both:
                turned = Wire(link, _turned(link.target, "out"), _turned(link.source, "in"))
                wires.append(turned)
        return wires

    @cached_property
    def _ends(self) -> dict[int, tuple[_End, _End]]:
        return {
            id(w): (_end(self._system, w.link, w.source), _end(self._system, w.link, w.target))
            for w in self._wires
        }

    @cached_property
    def leaving(self) -> dict[str, list[Wire]]:
        """Part path -> the wires that lead away from it, in order of declaration."""
        return self._by("source")

    @cached_property
    def entering(self) -> dict[str, list[Wire]]:
        """Part path -> the wires that lead to it, in order of declaration."""
        return self._by("target")

    def _by(self, end: str) -> dict[str, list[Wire]]:
        table: dict[str, list[Wire]] = {}
        for wire in self._wires:
            table.setdefault(getattr(wire, end).path, []).append(wire)
        return table

    def ahead(self, wire: Wire, at: Instances) -> list[Instances]:
        """What the members `at` of the wire's source lead to."""
        source, target = self._ends[id(wire)]
        return _image(at, source, target, wire.link.share)

    def behind(self, wire: Wire, at: Instances) -> list[Instances]:
        """What leads to the members `at` of the wire's target."""
        source, target = self._ends[id(wire)]
        return _image(at, target, source, wire.link.share)

    def _crossable(self, path: str) -> bool:
        return self._system.part(path).kind not in ARRAYS | OUTSIDE

    def find(self, source: Instances, target: Instances, port: str | None = None) -> Route | None:
        """The route of fewest parts from a source to a target, ties by order of declaration.

        `port` names the port by which the target must be entered. What each part contributes are
        the members that the source leads to and that lead to the target. None where no way leads.
        """
        key = (source, target, port)
        try:
            return self._ways[key]
        except KeyError:
            if len(self._ways) >= MOST_ASKED:
                self._ways.clear()
            found = self._ways[key] = self._find(source, target, port)
            return found

    def _find(self, source: Instances, target: Instances, port: str | None) -> Route | None:
        block = self._common(source, target)
        if block is None:
            return self._cached(source, target, port)
        ancestor, index = block
        there = self._shifted(target, ancestor, -index)
        way = self._cached(self._shifted(source, ancestor, -index), there, port)
        if way is None:
            return None
        return tuple(Step(self._shifted(step.at, ancestor, index), step.wire) for step in way)

    def _cached(self, source: Instances, target: Instances, port: str | None) -> Route | None:
        key = (source, target, port)
        if key not in self._found:
            if len(self._found) >= MOST_KEPT:
                self._found.clear()
            self._found[key] = self._search(source, target, port)
        return self._found[key]

    @cached_property
    def is_uniform(self) -> bool:
        """Whether every link names all members, so that all members of an array are wired alike."""
        return all(e.chosen is None for ends in self._ends.values() for e in ends)

    def _common(self, source: Instances, target: Instances) -> tuple[str, int] | None:
        """The innermost part that holds both ends in one member, not the first; and which member.

        Members wired alike have routes alike: what holds in the first holds in the others.
        """
        if not self.is_uniform:
            return None
        names = []
        for a, b in zip(source.path.split("."), target.path.split("."), strict=False):
            if a != b:
                break
            names.append(a)
        if not names:
            return self._outermost(source, target)
        for depth in range(len(names), 0, -1):
            ancestor = ".".join(names[:depth])
            if ancestor in (source.path, target.path):
                continue
            members = {self._member(at, ancestor) for at in (source, target)}
            if len(members) == 1 and (index := members.pop()) is not None:
                return (ancestor, index) if index else None
        return None

    def _outermost(self, source: Instances, target: Instances) -> tuple[str, int] | None:
        """The outermost part that holds one end in a member, not the first, where the other end is
        all of a part of the system itself, and so the same for every member."""
        for end, other in ((source, target), (target, source)):
            ancestor, _, inside = end.path.partition(".")
            whole = "." not in other.path and len(other) == self._system.part(other.path).count
            if inside and whole and (index := self._member(end, ancestor)):
                return ancestor, index
        return None

    def _member(self, at: Instances, ancestor: str) -> int | None:
        """Which member of an ancestor all of `at` is in; None where it is in several."""
        size = self._size(at.path, ancestor)
        index = at.lo // size
        return index if (at.hi - 1) // size == index else None

    def _size(self, path: str, ancestor: str) -> int:
        """Members of a part inside one member of its ancestor."""
        key = (path, ancestor)
        if key not in self._sizes:
            count = self._system.part(path).count
            self._sizes[key] = count // self._system.part(ancestor).count
        return self._sizes[key]

    def _shifted(self, at: Instances, ancestor: str, by: int) -> Instances:
        """The same place inside another member of an ancestor; places outside it stay."""
        if not at.path.startswith(ancestor + "."):
            return at
        move = by * self._size(at.path, ancestor)
        return Instances(at.path, at.lo + move, at.hi + move)

    def _search(self, source: Instances, target: Instances, port: str | None) -> Route | None:
        came: dict[Instances, tuple[Instances, Wire] | None] = {source: None}
        queue = deque([source])
        while queue:
            at = queue.popleft()
            for wire in self.leaving.get(at.path, ()):
                for reached in self.ahead(wire, at):
                    met = reached.meet(target)
                    if met and (port is None or wire.target.name == port):
                        return self._narrowed(came, at, wire, met)
                    if reached not in came and self._crossable(reached.path):
                        came[reached] = (at, wire)
                        queue.append(reached)
        return None

    def _narrowed(
        self,
        came: dict[Instances, tuple[Instances, Wire] | None],
        at: Instances,
        wire: Wire,
        met: Instances,
    ) -> Route:
        """Walk back from the target, keeping only the members that lead to it."""
        steps = [Step(met, wire)]
        while True:
            kept = next(m for b in self.behind(wire, met) if (m := b.meet(at)))
            earlier = came[at]
            if earlier is None:
                steps.append(Step(kept, None))
                return tuple(reversed(steps))
            steps.append(Step(kept, earlier[1]))
            met, (at, wire) = kept, earlier

    def upstream(self, target: Instances, port: str | None = None) -> Iterator[Instances]:
        """What leads to the target (entered by `port`), nearest first; arrays are not crossed."""
        return self._again(target, port, back=True)

    def downstream(self, source: Instances) -> Iterator[Instances]:
        """What the source leads to, nearest first; arrays are not crossed."""
        return self._again(source, None, back=False)

    def _again(self, start: Instances, port: str | None, *, back: bool) -> Iterator[Instances]:
        """What `_spread` says, looked for once, and only as far as it is asked for."""
        key = (start, port, back)
        if key not in self._spreads:
            if len(self._spreads) >= MOST_ASKED:
                self._spreads.clear()
            self._spreads[key] = _Again(self._spread(start, port, back=back))
        return iter(self._spreads[key])

    def _spread(self, start: Instances, port: str | None, *, back: bool) -> Iterator[Instances]:
        seen = {start}
        queue = deque([start])
        wires = self.entering if back else self.leaving
        while queue:
            at = queue.popleft()
            for wire in wires.get(at.path, ()):
                if at == start and port is not None and wire.target.name != port:
                    continue
                for reached in self.behind(wire, at) if back else self.ahead(wire, at):
                    if reached in seen or self._system.part(reached.path).kind in ARRAYS:
                        continue
                    seen.add(reached)
                    yield reached
                    if self._crossable(reached.path):
                        queue.append(reached)


class _Again:
    """Places that are found one after the other, and can be gone through again."""

    def __init__(self, rest: Iterator[Instances]) -> None:
        self._known: list[Instances] = []
        self._rest = rest

    def __iter__(self) -> Iterator[Instances]:
        number = 0
        while True:
            if number == len(self._known):
                found = next(self._rest, None)
                if found is None:
                    return
                self._known.append(found)
            yield self._known[number]
            number += 1


def _turned(port: Port, name: str) -> Port:
    return port if port.name == "any" else attrs.evolve(port, name=name)


def _image(at: Instances, source: _End, target: _End, share: bool) -> list[Instances]:
    a, b = source.count, target.count
    found = []
    for lo, hi in source.positions(at.lo, at.hi):
        if share:
            lo, hi = lo // a * b, ((hi - 1) // a + 1) * b
        elif a >= b:
            k = a // b
            lo, hi = lo // k, -(-hi // k)
        else:
            lo, hi = lo * (b // a), hi * (b // a)
        found += [Instances(target.path, i, j) for i, j in target.members(lo, hi)]
    return found
