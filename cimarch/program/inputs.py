"""How the inputs of a window reach the arrays: streamed, fetched, staged, and read step by step.

The buffer next to the dacs of an array is its driver: it is read while the product runs. What lives
elsewhere is fetched to it, a slice (the inputs of one row block) once for all arrays that share the
driver, and no earlier than the driver has room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.tasks import Ints
from cimarch.hardware.encoding import inputs_per_group
from cimarch.hardware.routes import ARRAYS, Instances, Route
from cimarch.mapping.homes import Home
from cimarch.mapping.placement import Plan
from cimarch.mapping.tiling import Tile
from cimarch.program.context import Context, Tree
from cimarch.program.sketch import READS, Slot, Strip
from cimarch.program.transfers import Transfer
from cimarch.program.units import feed_slot


@attrs.frozen
class Source:
    """A tensor that products read, its home, and which of the matrix's rows it makes up."""

    tiles: tuple[Tile, ...]
    """Of the pools that find it there."""
    home: Home
    first: int
    last: int


class Fetch(NamedTuple):
    """A slice on its way to where a tile's inputs are staged."""

    root: int
    """Slot of the first hop."""
    end: int
    """Slot of the last."""
    place: Instances
    bits: int
    group: int = 0
    """The word-line group of the product that waits for it; 0 where it waits for all at once."""


@attrs.frozen
class Stream:
    """Rows of a tensor that come in from outside: slots of the lead, and how far ahead."""

    slots: tuple[int, ...]
    ahead: int
    """Rows of results that it may be ahead."""


def streams(context: Context, strip: Strip, plan: Plan) -> tuple[Stream, ...]:
    """Bring in from outside, row by row, what is too large for its home."""
    return tuple(
        Stream(slots, home.ahead)
        for home in plan.all_homes
        if plan.site.is_matrix and not home.whole
        for slots in _streamed(context, strip, plan, home)
    )


def _streamed(context: Context, strip: Strip, plan: Plan, home: Home) -> Iterator[tuple[int, ...]]:
    op = plan.site.anchor
    elements = context.placement.network.tensors[home.tensor].elements
    row = ceil(Fraction(elements, op.window_rows) * home.bits)
    for member in home.members:
        edge = plan.wiring.edge_into(member)
        if edge is not None:
            slots = context.transfer(strip.lead, edge[1], row, "input", -1)
            strip.lead.open(slots[0], READS)
            yield slots


class _Slice(NamedTuple):
    """Rows of the matrix, of all groups' rows, that reach an array together."""

    group: int
    rows: range


class Inputs:
    """The input side of the windows of one copy, by the numbers of its tiles."""

    def __init__(
        self, context: Context, strip: Strip, plan: Plan, copy: int, tiles: Sequence[Tile],
        leads: Sequence[Stream],
    ) -> None:  # fmt: skip
        self.context = context
        self.wiring = plan.wiring
        self.strip = strip
        self.copy = copy
        self.sketch = strip.window[copy]
        self.plan = plan
        self.op = plan.site.anchor
        self.tiles = tiles
        self.leads = leads
        self.wirings = context.placement.wirings
        self.drivers = {t.number: self.wirings[t.pool].driver_of(t.array) for t in tiles}
        self.fetched: dict[int, list[Fetch]] = {tile.number: [] for tile in tiles}
        self._fed: dict[tuple[Instances, int], Slot] = {}
        for source in self._sources():
            self._fetch(source)

    def _sources(self) -> Iterator[Source]:
        """The tensors side by side that are the input, each with its share of the rows."""
        reads = self.plan.site.reads[0]
        total = sum(source.elements for source in reads)
        rows = self.op.rows * self.op.groups
        before = 0
        for place, source in enumerate(reads):
            first, before = before, before + source.elements
            for home, tiles in self._readers(place).items():
                yield Source(tiles, home, rows * first // total, rows * before // total)

    def _readers(self, place: int) -> dict[Home, tuple[Tile, ...]]:
        """The homes of a tensor that the products read, each with the tiles that do."""
        found: dict[Home, list[Tile]] = {}
        for tile in self.tiles:
            home = self._homes[tile.pool][place]
            if home is not None:
                found.setdefault(home, []).append(tile)
        return {home: tuple(tiles) for home, tiles in found.items()}

    @cached_property
    def _homes(self) -> dict[int, tuple[Home | None, ...]]:
        """The homes of what the anchor reads, for the arrays of each pool that has tiles."""
        used = {tile.pool for tile in self.tiles}
        return {pool: self.plan.homes_of(self.wirings[pool].pool) for pool in used}

    def _fetch(self, source: Source) -> None:
        """Fetch each slice once per place that stages it."""
        slices: dict[tuple[Instances, int, _Slice], list[Tile]] = {}
        home = source.home
        only = Instances(home.path, home.lo, home.hi) if home.hi - home.lo == 1 else None
        for tile in source.tiles:
            member = only or self._member(home, tile)
            for rows in self._slices(tile, source):
                slices.setdefault((member, tile.channel_group, rows), []).append(tile)
        for (member, _, rows), sharing in slices.items():
            tree = Tree(self.context, self.sketch, "fetch", sharing[0].number, ())
            staged: dict[Instances, Fetch] = {}
            for tile in sharing:
                place = self.drivers[tile.number] or self._array(tile)
                if place == member:
                    continue
                fetch = staged.get(place)
                if fetch is None:
                    fetch = staged[place] = self._transfer(tree, member, place, rows)
                self.fetched[tile.number].append(fetch)

    def _array(self, tile: Tile) -> Instances:
        return self.wirings[tile.pool].array(tile.array)

    def _transfer(self, tree: Tree, member: Instances, place: Instances, rows: _Slice) -> Fetch:
        port = "in" if self.context.system.part(place.path).kind in ARRAYS else None
        way = self.wiring.routes.find(member, place, port)
        assert way is not None
        bits = len(rows.rows) * self.plan.bits
        slots = tree.add(self.context.over(way, bits), self._fresh(way, rows.rows))
        return Fetch(slots[0], slots[-1], place, bits, rows.group)

    def _slices(self, tile: Tile, source: Source) -> Iterator[_Slice]:
        """The rows of a tile that a source makes up, in as many slices as begin by themselves."""
        mine = self._rows(tile)
        each = len(mine)
        if self.context.options.granularity == "wordline":
            each = inputs_per_group(self.wirings[tile.pool].pool)
        for group, place in enumerate(range(0, len(mine), each)):
            rows = _within(mine[place : place + each], source.first, source.last)
            if rows:
                yield _Slice(group, rows)

    def _rows(self, tile: Tile) -> range:
        """The rows of a tile, of all groups' rows."""
        begin = tile.channel_group * self.op.rows + tile.row0
        return range(begin, begin + tile.inputs * tile.every, tile.every)

    def _member(self, home: Home, tile: Tile) -> Instances:
        """The member of a home of several that a tile's array reads."""
        for place in self.wiring.routes.upstream(self._array(tile), "in"):
            if place.path == home.path:
                return Instances(home.path, place.lo, place.lo + 1)
        raise AssertionError(f"`{self._array(tile)}` does not read `{home.path}`")

    def _fresh(self, way: Route, chosen: range) -> list[Transfer]:
        """A slice's transfer where its staging keeps what the windows before it brought.

        `reuse = columns` keeps the window before: only the columns that the stride brings in are
        new; `reuse = rows` keeps the rows above as well. What differs: later windows of the first
        row, the first window of later rows, and the others.
        """
        part = self.context.system.part(way[-1].at.path)
        reuse = part.params.get("reuse", "none")
        if reuse == "none" or self.op.geometry is None or self.op.geometry.dilation != (1, 1):
            return []
        if self.strip.copies > 1:  # the window before this one went to another copy
            return []
        (height, width), (down, across) = self.op.geometry.kernel, self.op.geometry.stride
        rows = np.arange(chosen.start, chosen.stop, chosen.step)
        # An element was there before only if this place staged the one that it takes over from.
        place = way[-1].at
        column_new = (rows % width >= width - across) | ~self._staged(place, rows + across)
        row_new = rows // width % height >= height - down
        row_new |= ~self._staged(place, rows + down * width)
        every = np.ones_like(row_new)
        if reuse == "columns":
            kept = (column_new, every, column_new)
        else:
            kept = (column_new, row_new, column_new & row_new)
        return [self.context.over(way, max(1, int(new.sum())) * self.plan.bits) for new in kept]

    def _staged(self, place: Instances, rows: Ints) -> NDArray[np.bool_]:
        """Which rows of the matrix a buffer stages for some array."""
        found = np.zeros(len(rows), np.bool_)
        for tile in self.tiles:
            if self.drivers[tile.number] == place:
                mine = self._rows(tile)
                inside = (mine.start <= rows) & (rows < mine.stop)
                found |= inside & ((rows - mine.start) % mine.step == 0)
        return found

    def feed(self, tile: Tile) -> int | None:
        """Add the driver's reads of one product; None where no buffer drives the array."""
        at = self.drivers[tile.number]
        if at is None or not any(self._homes[tile.pool]):
            return None
        bits = tile.inputs * self.plan.bits
        slot = self._fed.get((at, bits))
        if slot is None:
            slot = self._fed[at, bits] = feed_slot(self.context, at, bits)
        return self.sketch.add(slot.of(slot.kind, tile.number))

    def settle(self, ends: Mapping[int, int], starts: Mapping[int, int]) -> None:
        """Order the fetches: of window w after the product of window w - depth of its staging.

        `ends` and `starts` are the slots of each tile's last and first task of its product.
        """
        depths = self.depths
        waits = sorted(
            {
                (fetch.root, ends[tile], depths[fetch.place])
                for tile, fetches in self.fetched.items()
                for fetch in fetches
            }
        )
        for root, end, depth in waits:
            self.sketch.wait(root, end, lag=depth)
        entries = {root for root, _, _ in waits}
        entries |= {starts[tile] for tile, found in self.fetched.items() if not found}
        for entry in sorted(entries):
            self.sketch.open(entry, READS)
            for lead in self.leads:
                self.strip.window_after_lead.append((self.copy, entry, lead.slots[-1]))
        for lead in self.leads:
            self.strip.lead_after_window += [
                (lead.slots[0], self.copy, end, 1 + lead.ahead)
                for end in sorted(set(ends.values()))
            ]

    def readers(self, ends: Mapping[int, tuple[int, ...]]) -> list[int]:
        """Slots whose finish means that a window's inputs are read: the fetches, or where nothing
        is fetched the products themselves, whose last slots are `ends`."""
        found: dict[int, None] = {}
        for tile, fetches in self.fetched.items():
            found |= dict.fromkeys(fetch.end for fetch in fetches)
            if not fetches:
                found |= dict.fromkeys(ends[tile])
        return list(found)

    @property
    def depths(self) -> dict[Instances, int]:
        """Windows that each staging place holds: 1, or 2 where its buffer has the room."""
        needed: dict[Instances, int] = {}
        for fetch in {f for fetches in self.fetched.values() for f in fetches}:
            needed[fetch.place] = needed.get(fetch.place, 0) + fetch.bits
        return {place: self._depth(place, bits) for place, bits in needed.items()}

    def _depth(self, place: Instances, bits: int) -> int:
        part = self.context.system.part(place.path)
        if part.kind != "buffer" or "size" not in part.params:
            return 1
        size = part.number("size")
        room = size.numerator * len(place) // (size.denominator * bits)
        if room < 1:
            self.context.assume(
                f"`{part.path}` is smaller than a window of `{self.op.name}`: it is filled while "
                "it is read"
            )
        return min(2, max(1, room))


def _within(rows: range, first: int, last: int) -> range:
    """Those of some rows that are at least `first` and below `last`."""
    low = max(0, -(-(first - rows.start) // rows.step))
    return rows[low : max(low, -(-(last - rows.start) // rows.step))]
