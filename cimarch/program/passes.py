"""A site's work in one resident group, as a strip of tasks.

Per window: each slice of the input goes from its home to the buffers that feed its arrays, the
arrays' products run, and the partial sums meet at their adder. Per row of results: they pass the
units of the tail and are stored in the homes of their readers. Where a pooling joins rows, what
follows it is done once per strip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, log2

import attrs
import numpy as np

from cimarch.hardware.encoding import arrays_per_sum
from cimarch.hardware.routes import ARRAYS, Instances
from cimarch.mapping.flows import Flow
from cimarch.mapping.placement import Copy, Placement, Plan
from cimarch.mapping.precision import Bits
from cimarch.mapping.rows import extent
from cimarch.mapping.strips import Strips
from cimarch.mapping.tiling import Ints, Tile
from cimarch.mapping.wiring import Wiring
from cimarch.program.context import Context
from cimarch.program.inputs import Fetch, Inputs, Stream, streams
from cimarch.program.operands import OperandPass
from cimarch.program.products import Product, Products, Vector
from cimarch.program.sketch import Laid, Strip
from cimarch.program.tail import Tail
from cimarch.program.units import add_slot


@attrs.define
class _Array:
    """One tile's tasks within a window."""

    tile: Tile
    copy: int
    product: Product
    end: int = -1
    """Slot of the product's last task."""
    ends: tuple[int, ...] = ()
    """Slots whose finish means that its results are there."""


class SitePass:
    """Builds the strip of one site in one resident group."""

    def __init__(self, context: Context, plan: Plan, resident: int) -> None:
        self.context = context
        self.placement: Placement = context.placement
        self.wiring = plan.wiring
        self.plan = plan
        self.resident = resident
        self.op = plan.site.anchor
        self.size = extent(self.placement.network, plan.site)
        self.copies = [copy for copy in plan.copies if copy.present.get(resident)]
        """Those with tiles in this group; a digital site has one without."""
        if not plan.site.is_matrix:
            self.copies = [plan.copies[0]]
        windows = self.op.windows // self.size.rows if plan.site.is_matrix else 0
        most = self.size.strips * context.together
        self.strip = Strip(windows, self.size.joined, len(self.copies), most)
        self.arrays: dict[int, _Array] = {}
        self.fetched: dict[int, list[Fetch]] = {}
        self.density = self.placement.densities.of(self.op.name)
        self._levels: dict[int, Bits] = {}
        self._widths: dict[tuple[int, int, int], int] = {}
        self._ordered: dict[tuple[int, int], tuple[list[int], Ints]] = {}
        """Per level and channel group its strips' outputs, position by position, and where the
        strips of each position begin there."""
        self.operand = OperandPass(context, plan, resident) if plan.writing else None
        """What writes the operand that is in the arrays."""
        self.products_done: list[int] = []
        """Per row sketch, where an operand is written: the slot that ends the row's products."""
        self.laid = self._build()

    def _build(self) -> Laid:
        leads = streams(self.context, self.strip, self.plan)
        tails: list[tuple[int, Flow, Tail]] = []
        for number, copy in enumerate(self.copies):
            if self.plan.site.is_matrix:
                self._windows(number, copy, leads)
            for flow in copy.flows:
                blocks = [b for b in flow.blocks if b in self._present(copy)]
                if blocks or not self.plan.site.is_matrix:
                    gathered = self._sums(number, copy, flow, blocks)
                    tails.append((number, flow, Tail(self.context, self, flow, gathered, number)))
        for number, flow, tail in tails:
            self._rows(number, flow, tail)
        if self.operand is not None:
            self._tell_products()
        return self.strip.lay_out(self.size.strips)

    def _tell_products(self) -> None:
        """Say for every row when its products are over: then its arrays may be written."""
        for place, sketch in enumerate(self.strip.row):
            slot = self.context.join(sketch)
            after = self.strip.row_after_window[place]
            mine = self.strip.copies_of(place)
            ends = [(each.copy, end) for each in self.arrays.values() for end in each.ends]
            after += [(slot, copy, end) for copy, end in ends if copy in mine]
            self.products_done.append(slot)

    def _present(self, copy: Copy) -> Mapping[int, tuple[int, ...]]:
        return copy.present.get(self.resident, {})

    def _cut_before(self, copy: Copy, block: int) -> bool:
        return copy.blocks[block].groups[0] < self.resident

    def _cut_after(self, copy: Copy, block: int) -> bool:
        return copy.blocks[block].groups[1] > self.resident

    # Windows: fetch, product

    def _windows(self, number: int, copy: Copy, leads: Sequence[Stream]) -> None:
        tiles = self._tiles(copy)
        mine = {t.number: _Array(t, number, self._product_of(t)) for t in tiles}
        inputs = Inputs(self.context, self.strip, self.plan, number, tiles, leads)
        starts = {tile: self._product(each, inputs) for tile, each in mine.items()}
        for turn in self._turns(mine):
            self._in_turn(turn, starts)
        if self.context.options.granularity == "operation":
            self._together(number, mine, starts, inputs)
        inputs.settle({t: e.end for t, e in mine.items()}, starts)
        self.strip.freed_by_window += [
            (number, slot) for slot in inputs.readers({t: e.ends for t, e in mine.items()})
        ]
        self.arrays |= mine
        self.fetched |= inputs.fetched

    def _tiles(self, copy: Copy) -> list[Tile]:
        """The tiles of a copy that are loaded."""
        blocks = self._present(copy).values()
        return self.placement.tiles.each([tile for block in blocks for tile in block])

    def _product_of(self, tile: Tile) -> Product:
        """A tile's product on its array."""
        bits = self._bits(tile.level)
        vector = Vector(
            tile.rows, tile.columns, tile.lines, bits, tile.at_column, self.density,
        )  # fmt: skip
        return self._products(tile.pool).product(vector, tile.array)

    def _products(self, pool: int) -> Products:
        """The products on the arrays of a pool."""
        return self.context.products(self.placement.wirings[pool])

    def asides(self) -> Iterator[tuple[int, tuple[tuple[Instances, int], ...]]]:
        """Per tile what works in its products, which merged tasks do not show, and its cycles."""
        for number, each in self.arrays.items():
            tile = each.tile
            made = self._products(tile.pool)
            yield number, made.aside(each.product, tile.array, tile.rows, tile.lines)

    def _bits(self, level: int) -> Bits:
        """The precision of a level."""
        if level not in self._levels:
            self._levels[level] = self.placement.bits[self.op.name].of_level(level)
        return self._levels[level]

    def _together(
        self, copy: int, mine: Mapping[int, _Array], starts: Mapping[int, int], inputs: Inputs
    ) -> None:
        """Let all arrays begin a window at once, when the inputs of all are there."""
        sketch = self.strip.window[copy]
        arrived = {fetch.end for tile in mine for fetch in inputs.fetched[tile]}
        begin = self.context.join(sketch, *sorted(arrived))
        for tile, each in mine.items():
            frees = each.product.frees
            last = starts[tile] + frees.stage % len(each.product.stages)
            sketch.wait(begin, last, lag=1, after_start=frees.at_start)
            sketch.wait(starts[tile], begin)

    def _turns(self, mine: Mapping[int, _Array]) -> list[list[_Array]]:
        """Tiles whose products follow one another: of strips those that lie on one array, several
        positions; of others each by itself."""
        if self.placement.bits[self.op.name].strips is None:
            return [[each] for each in mine.values()]
        found: dict[tuple[int, int], list[_Array]] = {}
        for each in mine.values():
            found.setdefault((each.tile.pool, each.tile.array), []).append(each)
        return list(found.values())

    def _in_turn(self, turn: Sequence[_Array], starts: Mapping[int, int]) -> None:
        """Let the products on one array follow one another, and the next window's all of them."""
        for before, each in pairwise(turn):
            self._after(each, starts[each.tile.number], before, starts[before.tile.number])
        first, last = turn[0], turn[-1]
        begun = starts[last.tile.number]
        self._after(first, starts[first.tile.number], last, begun, lag=1)

    def _after(self, each: _Array, start: int, before: _Array, begun: int, lag: int = 0) -> None:
        """Let a product wait until another one, `lag` windows earlier, frees their array."""
        frees = before.product.frees
        source = begun + frees.stage % len(before.product.stages)
        sketch = self.strip.window[each.copy]
        sketch.wait(start, source, lag=lag, after_start=frees.at_start)

    def held_windows(self, place: Instances) -> int:
        """Windows that fit where some of this site's inputs are staged, at least one."""
        part = self.context.system.part(place.path)
        if part.kind != "buffer" or "size" not in part.params:
            return 1
        staged = {f for fetches in self.fetched.values() for f in fetches if f.place == place}
        bits = sum(fetch.bits for fetch in staged)
        return max(1, int(part.number("size") * len(place) // bits))

    def _product(self, each: _Array, inputs: Inputs) -> int:
        """Add the product's tasks; the slot of its first one.

        The driving buffer is read while the product runs: its results are there when both are
        done, and the next product waits for both.
        """
        sketch = self.strip.window[each.copy]
        array, converters = self.placement.wirings[each.tile.pool].held(each.tile.array)
        slots: list[int] = []
        for place, stage in enumerate(each.product.stages):
            at = converters if stage.kind == "convert" else array
            slot = self.context.slot(
                at, stage.busy, stage.latency, stage.kind, each.tile.number, stage.charges,
                stage=not slots,
            )  # fmt: skip
            number = sketch.add(slot)
            if slots:
                sketch.wait(number, slots[-1], after_start=stage.after_start)
            for fetch in inputs.fetched[each.tile.number]:
                if place == _stage_of(each.product, fetch):
                    sketch.wait(number, fetch.end)
            slots.append(number)
        each.end, each.ends = slots[-1], (slots[-1],)
        fed = inputs.feed(each.tile)
        if fed is not None:
            sketch.wait(fed, slots[0], after_start=True)
            sketch.wait(slots[0], fed, lag=1)
            each.ends = (slots[-1], fed)
        return slots[0]

    # Windows: partial sums

    def sum_bits(self, rows: int) -> int:
        """Bits of a partial sum: input + weight + ceil(log2 rows), at most the accumulator's."""
        if not self.plan.site.is_matrix:
            return self.plan.bits
        return _sum_bits(self.placement.bits[self.op.name], rows, self.wiring)

    def _sums(self, number: int, copy: Copy, flow: Flow, blocks: list[int]) -> tuple[int, ...]:
        """Bring a window's partial sums together; the slots that mean they are.

        Two arrays whose bit lines are joined make one sum, half of its outputs each.
        """
        found: list[int] = []
        sketch = self.strip.window[number]
        arrays = arrays_per_sum(self.plan.pool)
        place = flow.adder or flow.origin
        target = None if self.context.system.part(place.path).kind in ARRAYS else place
        for block in blocks:
            tiles = self._present(copy)[block]
            arrived: list[int] = []
            for tile in tiles:
                arrived += self._gather(self.arrays[tile], target, arrays)
            count, sums = self._additions(copy.blocks[block].outputs, tiles)
            if flow.adder is not None and count:
                slot = add_slot(self.context, flow.adder, count, sums, tiles[0])
                arrived = [sketch.add(slot, *arrived)]
            found += arrived
        return tuple(dict.fromkeys(found))

    def _additions(self, outputs: int, tiles: Sequence[int]) -> tuple[int, int]:
        """Additions of the sums of some tiles, and the sums of the output with the most of them."""
        strips = self.placement.bits[self.op.name].strips if self.plan.site.is_matrix else None
        if strips is None:
            sums = len(tiles) // arrays_per_sum(self.plan.pool)
            return outputs * (sums - 1), sums
        made = [self._made_by(self.arrays[tile].tile, strips) for tile in tiles]
        count = np.bincount(np.concatenate(made), minlength=outputs)
        return int(np.maximum(count - 1, 0).sum()), int(count.max())

    def _made_by(self, tile: Tile, strips: Strips) -> Ints:
        """The outputs, of its channel group, that a tile of strips makes sums of."""
        if strips.layout != "packed":
            return self.placement.strips_of(tile.number)[1]
        key = (tile.level, tile.channel_group)
        if key not in self._ordered:
            mine = strips.holding(tile.level).reshape(strips.positions, -1, self.op.columns)
            position, outputs = np.nonzero(mine[:, tile.channel_group])
            first = np.searchsorted(position, np.arange(strips.positions)).tolist()
            self._ordered[key] = first, outputs
        first, outputs = self._ordered[key]
        begin = first[tile.row0 % strips.positions] + tile.column0
        return outputs[begin : begin + tile.outputs]

    def _gather(self, each: _Array, target: Instances | None, arrays: int) -> tuple[int, ...]:
        """Bring the sums of a tile to where they meet; None: they are there."""
        tile = each.tile
        wiring = self.placement.wirings[tile.pool]
        array = wiring.array(tile.array)
        way = None if target is None else wiring.routes.find(array, target)
        if way is None:
            return each.ends
        kind = (tile.pool, tile.level, tile.inputs)
        if kind not in self._widths:
            self._widths[kind] = _sum_bits(self._bits(tile.level), tile.inputs, wiring)
        bits = -(-tile.outputs // arrays) * self._widths[kind]
        sketch = self.strip.window[each.copy]
        slots = self.context.transfer(sketch, way, bits, "gather", tile.number, *each.ends)
        return slots[-1:] or each.ends

    # Rows: units, stores

    def _rows(self, number: int, flow: Flow, tail: Tail) -> None:
        """What is done with the rows of results of one flow, and with their strips."""
        copy = self.copies[number]
        blocks = [b for b in flow.blocks if b in self._present(copy)]
        done = [b for b in blocks if not self._cut_after(copy, b)]
        share = self._share(copy, done) if self.plan.site.is_matrix else Fraction(1)
        before = self._made_before(copy, flow)
        carried = self._outputs(copy, [b for b in blocks if self._cut_before(copy, b)])
        cut = self._outputs(copy, [b for b in blocks if self._cut_after(copy, b)])
        for place in range(len(self.strip.row)):
            windows = self.strip.copies_of(place).get(number, 0) if self.strip.windows else 0
            if windows or not self.strip.windows:
                tail.row(
                    place,
                    windows,
                    share,
                    before=before,
                    carried=carried * windows,
                    cut=cut * windows,
                )
            if len(self.strip.end) > 1 and (place + 1) % self.size.joined == 0:
                self._end(number, place // self.size.joined, tail, share)
        if len(self.strip.end) == 1:
            self._end(number, 0, tail, share)

    def _end(self, number: int, strip: int, tail: Tail, share: Fraction) -> None:
        rows = range(strip * self.size.joined, (strip + 1) * self.size.joined)
        total = self.strip.windows * self.size.joined
        mine = sum(self.strip.copies_of(row).get(number, 0) for row in rows) if total else 0
        if share and (mine or not total):
            tail.end(strip, share * Fraction(mine, total) if total else share)

    def _outputs(self, copy: Copy, blocks: list[int]) -> int:
        return sum(copy.blocks[b].outputs for b in blocks)

    def _made_before(self, copy: Copy, flow: Flow) -> Fraction:
        """The share of the outputs that flows in front of one make."""
        if not self.op.written:  # no other asks
            return Fraction(0)
        place = copy.flows.index(flow)
        blocks = [b for other in copy.flows[:place] for b in other.blocks]
        here = [b for b in blocks if b in self._present(copy) and not self._cut_after(copy, b)]
        return self._share(copy, here)

    def _share(self, copy: Copy, blocks: list[int]) -> Fraction:
        """The share of the operation's outputs that some of its column blocks make."""
        total = self._outputs(copy, list(range(len(copy.blocks))))
        return Fraction(self._outputs(copy, blocks), total)


def _sum_bits(bits: Bits, rows: int, wiring: Wiring) -> int:
    """Bits of a partial sum of some rows of a pool's arrays."""
    wide = bits.input + bits.weight + max(0, ceil(log2(rows)))
    return min(wide, wiring.merger.integer("bits")) if wiring.merger is not None else wide


def _stage_of(product: Product, fetch: Fetch) -> int:
    """The task of a product that waits for a fetch: the first of its word-line group."""
    return product.groups[fetch.group] if fetch.group < len(product.groups) else 0
