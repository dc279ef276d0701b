"""Where tensors live: the buffers that readers find them in, and the room they take there."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import ARRAYS, Instances
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Operation


@attrs.frozen
class Home:
    """Where a reader finds a tensor: members of a buffer, each with a copy."""

    tensor: str
    path: str
    lo: int
    hi: int
    bits: int
    """Of one element."""
    whole: bool
    """Whether the whole tensor is there; else its rows stream through from outside."""
    ahead: int = 0
    """Rows of results whose inputs may stream in before they are worked on."""
    rows: int = 0
    """Rows that it holds at once, each until all its readers have freed it; 0: there is no limit,
    or all is there before it is read."""

    @property
    def members(self) -> tuple[Instances, ...]:
        return tuple(Instances(self.path, i, i + 1) for i in range(self.lo, self.hi))


@attrs.frozen
class Need:
    """A tensor that a reader wants near: how much of it, and from when to when."""

    tensor: str
    at: Instances
    """The reader: arrays, or a unit."""
    bits: int
    """Of an element."""
    whole: int
    """Bits of the tensor."""
    rows: int
    """Rows that one row of results needs; 0 where it needs all that there are."""
    row_bits: int
    made: int
    """When it is made: the site, or in a pipeline the resident group; -1 for an input."""
    read: int
    """When it is read."""
    operation: str
    """The name of the operation that reads it."""
    step: int = 0
    """Bits that each further row of results needs; 0 where the tensor does not stream by rows."""
    allot: int = 0
    """In a pipeline of rows, the least that must be held at once; 0 where all of it must be."""
    height: int = 1
    """Rows of the tensor."""
    port: str = "in"
    """By which it enters arrays: `in`, or what leads to the cells, where it is written there."""
    entire: bool = False
    """Whether it must not stream through from outside."""

    until: int = -1
    """When it is needed no more, where that is later: what the next inference finds there."""

    @property
    def last(self) -> int:
        """When it may leave."""
        return max(self.read, self.until)

    @property
    def least(self) -> int:
        """Bits that must be there at once."""
        if self.allot:
            return self.allot * self.row_bits
        return min(self.whole, self.rows * self.row_bits) if self.rows else self.whole


class NoRoom(DescriptionError):
    """No buffer has room for what a reader needs at once."""

    def __init__(self, need: Need, path: str, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.need = need
        self.path = path
        """The largest of the buffers that it could be in."""


class Rooms:
    """What every buffer holds when: sizes are limits, kept over the order of the sites."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self.held: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        """Member -> (first site, last site, bits)."""

    def size(self, path: str) -> int | None:
        """Bits of one member of a buffer; None where it is not limited."""
        part = self._wiring.system.part(path)
        return int(part.number("size")) if "size" in part.params else None

    def take(self, at: Instances, first: int, last: int, bits: int) -> bool:
        """Hold room in some members from one site to another; False where there is not enough."""
        size = self.size(at.path)
        members = range(at.lo, at.hi)
        if size is not None and any(
            self.most(at.path, i, first, last) + bits > size for i in members
        ):
            return False
        for i in members:
            self.held.setdefault((at.path, i), []).append((first, last, bits))
        return True

    def most(self, path: str, index: int, first: int, last: int) -> int:
        """The most bits that a member holds at any time of a span."""
        held = self.held.get((path, index), ())
        times = {first} | {begin for begin, _, _ in held if first <= begin <= last}
        return max(sum(bits for begin, end, bits in held if begin <= t <= end) for t in times)

    def check(self) -> None:
        """Assert that no member ever holds more than its size."""
        for (path, index), held in self.held.items():
            size = self.size(path)
            last = max(end for _, end, _ in held)
            most = self.most(path, index, min(begin for begin, _, _ in held), last)
            assert size is None or most <= size, f"`{path}[{index}]` holds {most} bits"

    def all_fit(self, batch: int, boundaries: Sequence[tuple[int, int]]) -> bool:
        """Whether `batch` inferences can wait for each other at the boundaries of groups.

        Each boundary is the sites before and after it. One inference runs while the others wait:
        with what is held over a boundary.
        """
        for (path, index), held in self.held.items():
            size = self.size(path)
            waiting = max(
                (
                    sum(bits for begin, end, bits in held if begin <= a and end >= b)
                    for a, b in boundaries
                ),
                default=0,
            )
            last = max(end for _, end, _ in held)
            most = self.most(path, index, -1, last)
            if size is not None and most + (batch - 1) * waiting > size:
                return False
        return True


class Homes:
    """Finds homes, remembering what is where."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.rooms = Rooms(wiring)
        self._known: dict[str, list[Home]] = {}
        self._until: dict[Home, int] = {}
        self._streamed: list[tuple[Home, Need]] = []
        self._allotted: dict[Home, tuple[Need, int]] = {}
        """Homes of rows in a pipeline: one of the needs, and the least rows of all readers."""

    def of(self, tensor: str) -> list[Home]:
        """The homes of a tensor, in the order in which they were found."""
        return self._known.get(tensor, [])

    def find(self, need: Need) -> Home | None:
        """The home of a tensor for a reader; None where no buffer leads to it.

        The nearest buffer that the whole reader reaches as one member and that has room for the
        whole tensor; else one member each of the nearest level, with a copy in each; else the same
        with room for the rows that one row of results needs, which then stream through. A home
        that another reader has already is shared. Raises DescriptionError where not even the rows
        have room.
        """
        levels = self._levels(need.at, need.port)
        if not levels:
            return None
        if need.allot:
            return self._allot(need, levels)
        shared = self._shared(need, levels)
        if shared is not None:
            return shared
        for whole in (True,) if need.entire else (True, False):
            bits = need.whole if whole else need.least
            first, last = (need.made, need.last) if whole else (need.read, need.read)
            for single in (True, False):
                for level in levels:
                    if (len(level) == 1) == single and self.rooms.take(level, first, last, bits):
                        return self._settle(need, level, whole=whole)
        raise self._no_room(need, levels)

    def _allot(self, need: Need, levels: Sequence[Instances]) -> Home:
        """A home for the least rows: one that another reader has, made larger, or a new one."""
        for home in self.of(need.tensor):
            _, rows = self._allotted.get(home, (need, 0))
            if not rows or home.bits < need.bits or not _reaches(levels, home):
                continue
            more = max(0, need.allot - rows) * need.row_bits
            place = Instances(home.path, home.lo, home.hi)
            if not more or self.rooms.take(place, need.made, need.last, more):
                self._allotted[home] = (need, max(need.allot, rows))
                return home
        for single in (True, False):
            for level in levels:
                if (len(level) == 1) == single and self.rooms.take(
                    level, need.made, need.last, need.allot * need.row_bits
                ):
                    home = self._settle(need, level, whole=True)
                    self._allotted[home] = (need, need.allot)
                    return home
        raise self._no_room(need, levels)

    def share_out(self) -> dict[Home, Home]:
        """Homes of rows with what they hold at last: room that is left is shared in proportion.

        To be asked once, when all homes are found.
        """
        return {home: self._grown(home, need, rows) for home, (need, rows) in self._shares()}

    def _shares(self) -> list[tuple[Home, tuple[Need, int]]]:
        """Each home of rows, with as many as its share of the room allows."""
        taken: dict[tuple[str, int, int], int] = {}
        for home, (need, rows) in self._allotted.items():
            for member in range(home.lo, home.hi):
                key = (home.path, member, need.read)
                taken[key] = taken.get(key, 0) + rows * need.row_bits
        found = []
        for home, (need, rows) in self._allotted.items():
            size = self.rooms.size(home.path)
            wanted = need.height if size is None else rows
            for member in range(home.lo, home.hi):
                if size is None:
                    break
                free = size - self.rooms.most(home.path, member, need.made, need.read)
                share = rows * need.row_bits * free // taken[home.path, member, need.read]
                grown = rows + max(0, share) // need.row_bits
                wanted = grown if member == home.lo else min(wanted, grown)
            found.append((home, (need, min(wanted, need.height))))
        return found

    def _grown(self, home: Home, need: Need, rows: int) -> Home:
        if self.rooms.size(home.path) is None:
            return home
        more = (rows - self._allotted[home][1]) * need.row_bits
        place = Instances(home.path, home.lo, home.hi)
        taken = self.rooms.take(place, need.made, need.read, more)
        assert taken, f"`{home.path}` has room for {rows} rows of `{home.tensor}`"
        return attrs.evolve(home, rows=rows)

    def _shared(self, need: Need, levels: Sequence[Instances]) -> Home | None:
        """A home that holds the whole tensor already, and can until this reader is done."""
        for home in self.of(need.tensor):
            if not (home.whole and _reaches(levels, home) and home.bits >= need.bits):
                continue
            until = self._until[home]
            place = Instances(home.path, home.lo, home.hi)
            if need.read <= until or self.rooms.take(place, until + 1, need.read, need.whole):
                self._until[home] = max(until, need.read)
                return home
        return None

    def widened(self) -> dict[Home, Home]:
        """Homes that rows stream through, with a row of results ahead where room is left.

        To be asked once, when all homes are found.
        """
        return {
            home: attrs.evolve(home, ahead=1)
            for home, need in self._streamed
            if need.step
            and self.rooms.take(
                Instances(home.path, home.lo, home.hi), need.read, need.read, need.step
            )
        }

    def _settle(self, need: Need, level: Instances, *, whole: bool) -> Home:
        home = Home(need.tensor, level.path, level.lo, level.hi, need.bits, whole)
        if not whole:
            self._streamed.append((home, need))
        self._known.setdefault(need.tensor, []).append(home)
        self._until[home] = need.last if whole else need.read
        return home

    def _levels(self, at: Instances, port: str) -> list[Instances]:
        """Buffers on the way to a reader, nearest first; only the one that the pool names."""
        levels = list(self.wiring.feeders(at, port))
        pool = self.wiring.system.part(at.path)
        named = pool.word("home") if pool.kind in ARRAYS and port == "in" else ""
        if not named:
            return levels
        chosen = [level for level in levels if level.path == named]
        if not chosen:
            raise DescriptionError(
                Diagnostic(
                    "E225",
                    f"the home `{named}` of `{pool.path}` is no buffer on its inputs' way",
                    span=pool.span,
                    notes=tuple(f"`{level.path}` is one" for level in levels[:4]),
                )
            )
        return chosen

    def _no_room(self, need: Need, levels: Sequence[Instances]) -> NoRoom:
        largest = max(levels, key=lambda level: self.rooms.size(level.path) or 0)
        size = self.rooms.size(largest.path) or 0
        bytes_needed = -(-need.least // 8)
        count = need.allot or need.rows
        rows = "1 row of " if count == 1 else f"{count} rows of " if count else ""
        return NoRoom(
            need,
            largest.path,
            Diagnostic(
                "E231",
                f"`{need.operation}` needs {rows}its input at once, {bytes_needed} bytes: more "
                f"than `{largest.path}` has free",
                span=self.wiring.system.part(largest.path).span,
                notes=(
                    f"`{largest.path}` holds {size / 8:g} bytes in all",
                    f"the input is `{need.tensor}`, {need.bits} bits an element",
                ),
                helps=(f"make its `size` at least {bytes_needed} bytes",),
            ),
        )


def _reaches(levels: Sequence[Instances], home: Home) -> bool:
    """Whether all of some level lies in a home."""
    return any(
        level.path == home.path and home.lo <= level.lo and level.hi <= home.hi for level in levels
    )


def receptive_rows(op: Operation, rows: int) -> int:
    """Rows of a map (or tokens) of `rows` that one row of results needs; 0 where it needs all."""
    if op.geometry is not None:
        reach = (op.geometry.kernel[0] - 1) * op.geometry.dilation[0] + 1
        return min(reach, rows)
    if op.written:
        return rows // op.window_rows if rows > 1 and rows % op.window_rows == 0 else 0
    if op.is_matrix:
        return 1 if op.windows == rows > 1 else 0
    return 1 if op.kind in ("add", "mul", "activation", "norm", "softmax") else 0
