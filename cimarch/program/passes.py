"""A site's work in one resident group, as a strip of tasks.

Per window: each slice of the input goes from its home to the buffers that feed its arrays, the
arrays' products run, and the partial sums meet at their adder. Per row of results: they pass the
units of the tail and are stored in the homes of their readers. Where a pooling joins rows, what
follows it is done once per strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, log2

import attrs

from cimarch.hardware.routes import Instances
from cimarch.mapping.flows import Flow
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import is_global, map_rows
from cimarch.program.context import Context
from cimarch.program.inputs import Fetch, Inputs
from cimarch.program.products import Product, Products, Vector
from cimarch.program.sketch import Strip
from cimarch.program.tail import Tail
from cimarch.program.units import add_slot
from cimarch.workload.network import Operation


@attrs.define
class _Array:
    """One tile's tasks within a window."""

    tile: int
    array: int
    product: Product
    end: int = -1
    """Slot of the product's last task."""
    ends: tuple[int, ...] = ()
    """Slots whose finish means that its results are there."""


class SitePass:
    """Builds the strip of one site in one resident group."""

    def __init__(self, context: Context, products: Products, plan: Plan, resident: int) -> None:
        self.context = context
        self.placement: Placement = context.placement
        self.wiring = plan.wiring
        self.products = products
        self.plan = plan
        self.resident = resident
        self.op = plan.site.anchor
        network = self.placement.network
        pool = self._pooling(plan.site.tail)
        rows = self.op.window_rows if plan.site.is_matrix else 1
        self.pool_rows = 1 if pool is None else rows if is_global(network, pool) else _stride(pool)
        if plan.site.is_matrix:
            self.strip = Strip(self.op.windows // rows, self.pool_rows)
            self.strips = rows // self.pool_rows
        else:
            self.strip = Strip(0, 1)
            self.strips = map_rows(network.tensors[self.op.outputs[0]])
        self.present = plan.present.get(resident, {})
        self.arrays: dict[int, _Array] = {}
        self.fetched: dict[int, list[Fetch]] = {}

    def build(self) -> Strip:
        """The strip; `strips` says how often it is repeated."""
        gathered: list[tuple[Flow, tuple[int, ...]]] = []
        if self.plan.site.is_matrix:
            self._windows()
        for flow in self.plan.flows:
            blocks = [b for b in flow.blocks if b in self.present]
            if blocks or not self.plan.site.is_matrix:
                gathered.append((flow, self._sums(flow, blocks)))
        for flow, slots in gathered:
            self._rows(flow, slots)
        return self.strip

    def _pooling(self, tail: Sequence[Operation]) -> Operation | None:
        return next((op for op in tail if op.kind == "pool"), None)

    # Tiles of this pass

    def _cut_before(self, block: int) -> bool:
        return self.plan.blocks[block].groups[0] < self.resident

    def _cut_after(self, block: int) -> bool:
        return self.plan.blocks[block].groups[1] > self.resident

    # Windows: fetch, product

    def _windows(self) -> None:
        chosen = [t for tiles in self.present.values() for t in tiles]
        tiles = self.placement.tiles
        bits = self.placement.bits[self.op.name]
        for tile in chosen:
            vector = Vector(
                int(tiles.rows[tile]),
                int(tiles.columns[tile]),
                int(tiles.lines[tile]),
                bits,
                int(tiles.at_column[tile]),
            )
            array = int(tiles.array[tile])
            self.arrays[tile] = _Array(tile, array, self.products.product(vector, array))
        inputs = Inputs(
            self.context, self.strip, self.plan, {t: e.array for t, e in self.arrays.items()}
        )
        starts = {tile: self._product(each, inputs) for tile, each in self.arrays.items()}
        inputs.settle({tile: each.end for tile, each in self.arrays.items()}, starts)
        self.fetched = inputs.fetched

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
        sketch = self.strip.window
        fetched = [fetch.end for fetch in inputs.fetched[each.tile]]
        slots: list[int] = []
        for stage in each.product.stages:
            slot = self.context.slot(
                stage.at, stage.busy, stage.latency, stage.kind, each.tile, stage.charges,
                stage=not slots,
            )  # fmt: skip
            number = sketch.add(slot)
            for before in slots[-1:] or fetched:
                sketch.wait(number, before, after_start=stage.after_start)
            slots.append(number)
        frees = each.product.frees
        sketch.wait(slots[0], slots[frees.stage], lag=1, after_start=frees.at_start)
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
        bits = self.placement.bits[self.op.name]
        wide = bits.input + bits.weight + max(0, ceil(log2(rows)))
        merger = self.wiring.merger
        return min(wide, merger.integer("bits")) if merger is not None else wide

    def _sums(self, flow: Flow, blocks: list[int]) -> tuple[int, ...]:
        """Bring a window's partial sums together; the slots that mean they are."""
        found: list[int] = []
        for block in blocks:
            tiles = self.present[block]
            outputs = self.plan.blocks[block].outputs
            target = flow.adder or flow.origin
            arrived: list[int] = []
            for tile in tiles:
                arrived += self._gather(self.arrays[tile], target, outputs)
            if flow.adder is not None and len(tiles) > 1:
                count = outputs * (len(tiles) - 1)
                slot = add_slot(self.context, flow.adder, count, len(tiles), tiles[0])
                arrived = [self.strip.window.add(slot, *arrived)]
            found += arrived
        return tuple(dict.fromkeys(found))

    def _gather(self, each: _Array, target: Instances, outputs: int) -> tuple[int, ...]:
        way = None
        if target.path != self.plan.pool.path:
            way = self.wiring.routes.find(self.wiring.array(each.array), target)
        if way is None:
            return each.ends
        bits = outputs * self.sum_bits(int(self.placement.tiles.inputs[each.tile]))
        slots = self.context.transfer(self.strip.window, way, bits, "gather", each.tile, *each.ends)
        return slots[-1:] or each.ends

    # Rows: units, stores

    def _rows(self, flow: Flow, gathered: tuple[int, ...]) -> None:
        """What is done with a row of results."""
        blocks = [b for b in flow.blocks if b in self.present]
        done = [b for b in blocks if not self._cut_after(b)]
        cut = [b for b in blocks if self._cut_after(b)]
        share = self._share(done) if self.plan.site.is_matrix else Fraction(1)
        tail = Tail(self.context, self, flow, gathered)
        carried = [b for b in blocks if self._cut_before(b)]
        if carried:
            tail.carry(self._outputs(carried) * self.strip.windows)
        if cut:
            tail.spill(self._outputs(cut) * self.strip.windows)
        if done or not self.plan.site.is_matrix:
            tail.run(share)

    def _outputs(self, blocks: list[int]) -> int:
        return sum(self.plan.blocks[b].outputs for b in blocks)

    def _share(self, blocks: list[int]) -> Fraction:
        """The share of the operation's outputs that some of its column blocks make."""
        total = self._outputs(list(range(len(self.plan.blocks))))
        return Fraction(self._outputs(blocks), total)


def _stride(pool: Operation) -> int:
    assert pool.geometry is not None
    return pool.geometry.stride[0]
