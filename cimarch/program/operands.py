"""Writing operands into arrays at run time: a column or a row of cells for every key.

A key goes from the home of its tensor to every array that holds a part of it, and is written there.
Keys that are written alike, on the same arrays, are a run of blocks, a block a key; joins in the
order of the keys tell when a key has left its home, and when it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import attrs
import numpy as np

from cimarch.engine.tasks import Ints
from cimarch.hardware.encoding import columns_per_weight, extra_columns, rows_per_input
from cimarch.hardware.routes import Instances, Route
from cimarch.mapping.homes import Home
from cimarch.mapping.operands import Writing
from cimarch.mapping.placement import Plan
from cimarch.program.context import Context, Tree
from cimarch.program.products import Vector
from cimarch.program.sketch import READS, ROOM, Laid, Sketch, Strip
from cimarch.program.writes import writing

BROUGHT, WRITTEN = ROOM + 1, ROOM + 2
"""What the gates of a key's joins wait for: it has left its home; it is in its arrays."""


@attrs.frozen
class Stroke:
    """The cells of one key on one array."""

    tile: int
    lines: int
    """Word lines."""
    cells: int
    """Cells of each."""
    part: tuple[int, int]
    """Which part of the key it is: what several arrays have in common comes once for all."""


@attrs.frozen(eq=False)
class Run:
    """Keys that are written alike, one after the other."""

    laid: Laid
    first: int
    """Place of the first among the keys that are written."""
    count: int
    tiles: tuple[int, ...]


class OperandPass:
    """What writes a site's operand, as far as its arrays are in one resident group."""

    def __init__(self, context: Context, plan: Plan, resident: int) -> None:
        assert plan.writing is not None
        self.context = context
        self.plan = plan
        self.writing: Writing = plan.writing
        self.op = plan.site.anchor
        self.bits = context.placement.bits[self.op.name]
        self.across = columns_per_weight(plan.pool, self.bits.weight)
        self.tiles = [
            tile
            for copy in plan.copies
            for tiles in copy.present.get(resident, {}).values()
            for tile in tiles
        ]
        self.runs = tuple(self._runs())
        self.laid = _joins(context)

    @property
    def rows(self) -> int:
        """Keys of an inference."""
        return len(self.writing.keys)

    def read_homes(self) -> dict[tuple[int, str], tuple[Home, ...]]:
        """(0, tensor) -> the home that its keys leave."""
        written = self.writing
        return {
            (0, reach.source.tensor): (home,)
            for reach, home in zip(written.reaches, written.homes, strict=True)
            if home is not None
        }

    def keys(self) -> dict[int, int]:
        """Per tile how many keys an inference writes there."""
        found = dict.fromkeys(self.tiles, 0)
        for run in self.runs:
            for tile in run.tiles:
                found[tile] += run.count
        return found

    def held(self, tile: int) -> Ints:
        """Per row of the site's work, how many of a tile's keys it needs."""
        found = np.zeros(self.rows + 1, np.int64)
        for run in self.runs:
            if tile in run.tiles:
                found[run.first + 1 : run.first + run.count + 1] = 1
        held: Ints = np.cumsum(found)[self.writing.needs]
        return held

    # Which keys are written alike

    def _runs(self) -> Iterator[Run]:
        keys = self.writing.keys
        cuts = {edge for tile in self.tiles for edge in self._edges(tile)}
        places = set(np.searchsorted(keys, sorted(cuts)).tolist()) | {0, len(keys)}
        shown = self.writing.shows
        places |= set((np.flatnonzero((shown[:, 1:] != shown[:, :-1]).any(axis=0)) + 1).tolist())
        edges = sorted(places)
        for first, end in pairwise(edges):
            strokes = list(self._strokes(int(keys[first])))
            mine = tuple(stroke.tile for stroke in strokes)
            if strokes:
                yield Run(self._laid(strokes, first), first, end - first, mine)

    def _edges(self, tile: int) -> tuple[int, ...]:
        """Keys at which a tile begins or ceases to hold whole keys, or any."""
        begin, end = self._span(tile)
        return begin // self.each, -(-begin // self.each), end // self.each, -(-end // self.each)

    @property
    def each(self) -> int:
        """Columns or rows of the tiles that a key takes, as `_span` counts them."""
        return self.across if self.op.written == "columns" else 1

    def _span(self, tile: int) -> tuple[int, int]:
        """The matrix's columns of cells, or its rows, that a tile holds: first and end."""
        tiles, pool = self.context.placement.tiles, self.plan.pool
        if int(tiles.channel_groups[tile]) > 1:
            return 0, self.each * (
                self.op.columns if self.op.written == "columns" else self.op.rows
            )
        if self.op.written == "rows":
            begin = int(tiles.row0[tile])
            return begin, begin + int(tiles.inputs[tile])
        wide = int(tiles.columns[tile]) - extra_columns(pool)
        begin = int(tiles.column0[tile]) * self.across
        if pool.word("packing") == "straddle":
            begin = int(tiles.column_block[tile]) * (pool.integer("columns") - extra_columns(pool))
        return begin, begin + wide

    def _strokes(self, key: int) -> Iterator[Stroke]:
        """What of a key is written where."""
        tiles, pool = self.context.placement.tiles, self.plan.pool
        for tile in self.tiles:
            begin, end = self._span(tile)
            held = min((key + 1) * self.each, end) - max(key * self.each, begin)
            if held < 1:
                continue
            heads = int(tiles.channel_groups[tile])
            group = int(tiles.channel_group[tile])
            if self.op.written == "columns":
                where = int(tiles.row0[tile]) * self.across + max(0, begin - key * self.each)
                yield Stroke(tile, int(tiles.rows[tile]), held, (group, where))
                continue
            wide = int(tiles.columns[tile]) - extra_columns(pool)
            cells = self.op.columns * self.across if heads > 1 else wide
            part = (group, int(tiles.column_block[tile]))
            yield Stroke(tile, heads * rows_per_input(pool), cells, part)

    # The tasks of a key

    def _laid(self, strokes: list[Stroke], first: int) -> Laid:
        strip = Strip(1)
        sketch = strip.window[0]
        brought: dict[int, list[int]] = {stroke.tile: [] for stroke in strokes}
        for place in np.flatnonzero(self.writing.shows[:, first]).tolist():
            self._bring(sketch, strokes, place, first, brought)
        for stroke in strokes:
            self._write(sketch, stroke, brought[stroke.tile])
        last = {slot for slots in brought.values() for slot in slots[1::2]}
        told = last or range(len(sketch))
        strip.freed_by_window += [(0, slot) for slot in sorted(told)]
        return strip.lay_out()

    def _bring(
        self,
        sketch: Sketch,
        strokes: list[Stroke],
        place: int,
        first: int,
        brought: dict[int, list[int]],
    ) -> None:
        """Bring what a key has of one tensor to its arrays; what they share, once."""
        home = self.writing.homes[place]
        if home is None:
            return
        trees: dict[tuple[int, int], Tree] = {}
        for stroke in strokes:
            way = self._way(home, stroke.tile)
            tree = trees.setdefault(
                stroke.part, Tree(self.context, sketch, "load", stroke.tile, ())
            )
            slots = tree.add(self.context.over(way, self._moved(stroke, place, first)))
            brought[stroke.tile] += slots[:1] + slots[-1:]
        for tree in trees.values():
            for root in tree.roots:
                sketch.open(root, READS)

    def _moved(self, stroke: Stroke, place: int, first: int) -> int:
        """Bits of a stroke that come from one of the tensors behind a key, in proportion."""
        weights = stroke.lines * stroke.cells * self.bits.weight
        whole = rows_per_input(self.plan.pool) * self.across
        sources = [reach.source.elements for reach in self.writing.reaches]
        total = sum(sources[i] for i in np.flatnonzero(self.writing.shows[:, first]).tolist())
        return max(1, ceil(weights * sources[place] / (whole * total)))

    def _way(self, home: Home, tile: int) -> Route:
        """From the nearest member of a home to the cells of a tile's array."""
        wiring = self.plan.wiring
        array = wiring.array(int(self.context.placement.tiles.array[tile]))
        found = [wiring.routes.find(each, array, wiring.weight_port) for each in home.members]
        return min((way for way in found if way is not None), key=len)

    def _write(self, sketch: Sketch, stroke: Stroke, brought: list[int]) -> None:
        """Write a key's cells on one array; the next key comes as soon as this one is taken."""
        pool = self.plan.pool
        density = self.context.placement.densities.of(self.op.name)
        found = writing(pool, Vector(stroke.lines, stroke.cells, 0, self.bits, density=density))
        cycles = self.context.cycles(found.seconds, f"writing `{pool.path}`")
        at: Instances = self.plan.wiring.array(int(self.context.placement.tiles.array[stroke.tile]))
        slot = self.context.slot(
            at, cycles, cycles, "write", stroke.tile, (found.priced,), stage=False
        )
        number = sketch.add(slot, *brought[1::2])
        sketch.open(number, ROOM)
        for root in dict.fromkeys(brought[::2]):
            sketch.wait(root, number, lag=1, after_start=True)
        if not brought:
            sketch.open(number, READS)


def _joins(context: Context) -> Laid:
    """A key's joins: it has left its home, it is written."""
    strip = Strip(0)
    brought, written = context.join(strip.row[0]), context.join(strip.row[0])
    strip.row[0].open(brought, BROUGHT)
    strip.row[0].open(written, WRITTEN)
    strip.freed_by_row[0].append(brought)
    return strip.lay_out()
