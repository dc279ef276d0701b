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
import numpy as np

from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part
from cimarch.mapping.flows import Flow, Home, Waypoint
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import is_global, map_rows
from cimarch.mapping.wiring import ADDERS
from cimarch.program.charges import charge, latency_of
from cimarch.program.context import Context, Tree
from cimarch.program.products import Product, Products, Vector
from cimarch.program.sketch import Slot, Strip
from cimarch.program.transfers import Hop
from cimarch.workload.network import Operation

PASSED = frozenset({"dac", "sample_hold", "adc", "unit", *ADDERS})
"""Kinds that take no time when data only cross them."""


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
        self.wiring = context.wiring
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
        self._finish()
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
                int(tiles.rows[tile]), int(tiles.columns[tile]), int(tiles.lines[tile]), bits
            )
            array = int(tiles.array[tile])
            self.arrays[tile] = _Array(tile, array, self.products.product(vector, array))
        home = self.plan.homes[0] if self.plan.homes else None
        leads = self._stream(home)
        feeds = self._feeds(home)
        fetched = self._fetches(home, feeds) if home is not None else {}
        for tile in chosen:
            self._product(self.arrays[tile], feeds.get(tile), fetched.get(tile, ()))
        self._lag_fetches(feeds, fetched, leads)

    def _stream(self, home: Home | None) -> list[tuple[int, ...]]:
        """Bring the rows of a tensor that is too large for its home in from outside, row by row."""
        if home is None or home.whole:
            return []
        network = self.placement.network
        row = ceil(Fraction(network.tensors[home.tensor].elements, self.op.window_rows) * home.bits)
        leads = []
        for member in home.members:
            edge = self.wiring.edge_into(member)
            if edge is not None:
                leads.append(self.context.transfer(self.strip.lead, edge[1], row, "input", -1))
        self.strip.first_leads = [slots[0] for slots in leads]
        return leads

    def _member(self, home: Home, array: int) -> Instances:
        if home.hi - home.lo == 1:
            return home.members[0]
        for place in self.wiring.routes.upstream(self.wiring.array(array), "in"):
            if place.path == home.path:
                return Instances(home.path, place.lo, place.lo + 1)
        raise AssertionError(f"array {array} does not read `{home.path}`")

    def _input_route(self, home: Home, array: int) -> Route:
        source = self._member(home, array)
        way = self.wiring.routes.find(source, self.wiring.array(array), "in")
        assert way is not None
        return way

    def _feeds(self, home: Home | None) -> dict[int, tuple[Instances, int]]:
        """Per tile the buffer that drives its word lines, and its place on the route."""
        found: dict[int, tuple[Instances, int]] = {}
        if home is None:
            return found
        system = self.context.system
        for tile, each in self.arrays.items():
            way = self._input_route(home, each.array)
            place = len(way) - 2
            while system.part(way[place].at.path).kind in PASSED:
                place -= 1
            if system.part(way[place].at.path).kind == "buffer":
                found[tile] = (way[place].at, place)
        return found

    def _bits_in(self, tile: int) -> int:
        return int(self.placement.tiles.inputs[tile]) * self.plan.bits

    def _fetches(
        self, home: Home, feeds: dict[int, tuple[Instances, int]]
    ) -> dict[int, tuple[int, ...]]:
        """Fetch each slice once per place that stages it; per tile the slots of its fetch."""
        tiles = self.placement.tiles
        fetched: dict[int, tuple[int, ...]] = {}
        slices: dict[tuple[Instances, int, int], list[int]] = {}
        for tile, each in self.arrays.items():
            key = (
                self._member(home, each.array),
                int(tiles.channel_group[tile]),
                int(tiles.row0[tile]),
            )
            slices.setdefault(key, []).append(tile)
        for members in slices.values():
            tree = Tree(self.context, self.strip.window, "fetch", members[0], ())
            staged: dict[Instances, tuple[int, ...]] = {}
            for tile in members:
                way = self._input_route(home, self.arrays[tile].array)
                if tile in feeds:
                    way = way[: feeds[tile][1] + 1]
                place = way[-1].at
                if len(way) > 1 and place not in staged:
                    staged[place] = tree.add(
                        self.context.hops(way, self._bits_in(tile)), self._fresh(way, tile)
                    )
                fetched[tile] = staged.get(place, ())
        return fetched

    def _fresh(self, way: Route, tile: int) -> list[tuple[Hop, ...]]:
        """A slice's transfer where its staging keeps what the windows before it brought.

        `reuse = columns` keeps the window before: only the columns that the stride brings in are
        new; `reuse = rows` keeps the rows above as well. What differs: later windows of the first
        row, the first window of later rows, and the others.
        """
        part = self.context.system.part(way[-1].at.path)
        reuse = part.params.get("reuse", "none")
        if reuse == "none" or self.op.geometry is None or self.op.geometry.dilation != (1, 1):
            return []
        (height, width), (down, across) = self.op.geometry.kernel, self.op.geometry.stride
        first = int(self.placement.tiles.row0[tile])
        rows = np.arange(first, first + int(self.placement.tiles.inputs[tile]))
        column_new = rows % width >= width - across
        row_new = rows // width % height >= height - down
        every = np.ones_like(row_new)
        if reuse == "columns":
            kept = (column_new, every, column_new)
        else:
            kept = (column_new, row_new, column_new & row_new)
        return [self.context.hops(way, max(1, int(new.sum())) * self.plan.bits) for new in kept]

    def _product(
        self, each: _Array, feed: tuple[Instances, int] | None, fetched: tuple[int, ...]
    ) -> None:
        """The product's tasks; the next window's read waits until the array is free.

        The driving buffer is read while the product runs: its results are there when both are
        done, and the next product waits for both.
        """
        sketch = self.strip.window
        slots: list[int] = []
        for stage in each.product.stages:
            slot = self.context.slot(
                stage.at, stage.busy, stage.latency, stage.kind, each.tile, stage.charges,
                stage=not slots,
            )  # fmt: skip
            number = sketch.add(slot)
            for before in slots[-1:] or fetched[-1:]:
                sketch.wait(number, before, after_start=stage.after_start)
            slots.append(number)
        frees = each.product.frees
        sketch.wait(slots[0], slots[frees.stage], lag=1, after_start=frees.at_start)
        each.end, each.ends = slots[-1], (slots[-1],)
        if feed is not None:
            fed = self._feed(each, feed[0])
            sketch.wait(fed, slots[0], after_start=True)
            sketch.wait(slots[0], fed, lag=1)
            each.ends = (slots[-1], fed)
        if not fetched:
            self.strip.first.append(slots[0])

    def _feed(self, each: _Array, at: Instances) -> int:
        """The driving buffer's reads of one product."""
        part = self.context.system.part(at.path)
        width = part.number("width") * len(at)
        count = ceil(self._bits_in(each.tile) / width)
        time = latency_of(part, "read", 1 / part.clock)
        priced = charge(part, "read", count * len(at), busy=count * time, members=len(at))
        cycles = self.context.cycles(count * time, f"a read of `{part.path}`")
        slot = self.context.slot(at, cycles, cycles, "feed", each.tile, (priced,), stage=False)
        return self.strip.window.add(slot)

    def _lag_fetches(
        self,
        feeds: dict[int, tuple[Instances, int]],
        fetched: dict[int, tuple[int, ...]],
        leads: list[tuple[int, ...]],
    ) -> None:
        """The fetch of window w waits for the product of window w - depth of its staging."""
        depths = self._depths(feeds, fetched)
        waits = set()
        for tile, slots in fetched.items():
            if slots:
                waits.add((slots[0], self.arrays[tile].end, depths[tile]))
        for slot, end, depth in sorted(waits):
            self.strip.window.wait(slot, end, lag=depth)
        roots = sorted({slots[0] for slots in fetched.values() if slots})
        deepest: dict[int, int] = {}
        for root, _, depth in waits:
            deepest[root] = max(depth, deepest.get(root, 0))
        self.strip.first_windows = [(root, deepest[root]) for root in roots]
        entries = roots or sorted(set(self.strip.first))
        self.strip.window_after_lead = [(root, lead[-1]) for root in entries for lead in leads]
        ends = sorted({each.end for each in self.arrays.values()})
        self.strip.lead_after_window = [(lead[0], end, 1) for lead in leads for end in ends]

    def _depths(
        self, feeds: dict[int, tuple[Instances, int]], fetched: dict[int, tuple[int, ...]]
    ) -> dict[int, int]:
        """Windows that the staging of each tile holds: 1, or 2 where its buffer has the room."""
        system = self.context.system
        needed: dict[Instances, int] = {}
        for tile, slots in {s[-1]: (t, s) for t, s in fetched.items() if s}.values():
            if tile in feeds and slots:
                needed[feeds[tile][0]] = needed.get(feeds[tile][0], 0) + self._bits_in(tile)
        depths = {}
        for tile in fetched:
            room = 1
            if tile in feeds and feeds[tile][0] in needed:
                at = feeds[tile][0]
                size = system.part(at.path).number("size") * len(at)
                room = int(size // needed[at])
            depths[tile] = min(2, max(1, room))
        return depths

    # Windows: partial sums

    def _sum_bits(self, rows: int) -> int:
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
                slot = self._adder_slot(flow.adder, count, len(tiles), tiles[0])
                arrived = [self.strip.window.add(slot, *arrived)]
            found += arrived
        return tuple(dict.fromkeys(found))

    def _gather(self, each: _Array, target: Instances, outputs: int) -> tuple[int, ...]:
        way = None
        if target.path != self.placement.pool.path:
            way = self.wiring.routes.find(self.wiring.array(each.array), target)
        if way is None:
            return each.ends
        bits = outputs * self._sum_bits(int(self.placement.tiles.inputs[each.tile]))
        slots = self.context.transfer(
            self.strip.window, way[1:], bits, "gather", each.tile, *each.ends
        )
        return slots[-1:] or each.ends

    def _adder_slot(self, at: Instances, count: int, sums: int, tile: int) -> Slot:
        part = self.context.system.part(at.path)
        busy, late = self._adder_time(part, at, count, sums)
        priced = charge(part, "add", count, busy=busy, members=len(at))
        what = f"adding at `{part.path}`"
        return self.context.slot(
            at, self.context.cycles(busy, what), self.context.cycles(late, what), "add", tile,
            (priced,), stage=True,
        )  # fmt: skip

    @staticmethod
    def _adder_time(part: Part, at: Instances, count: int, sums: int) -> tuple[Fraction, Fraction]:
        """An adder makes one sum per member and cycle; a tree all sums of an output in one.

        A tree's results are ceil(log2 sums) cycles late.
        """
        each = latency_of(part, "add", 1 / part.clock)
        if part.kind == "adder_tree":
            busy = ceil(Fraction(count, max(1, sums - 1) * len(at))) * each
            return busy, busy + (ceil(log2(max(2, sums))) - 1) * each
        busy = ceil(Fraction(count, len(at))) * each
        return busy, busy

    # Rows: units, stores

    def _rows(self, flow: Flow, gathered: tuple[int, ...]) -> None:
        """What is done with a row of results."""
        blocks = [b for b in flow.blocks if b in self.present]
        done = [b for b in blocks if not self._cut_after(b)]
        cut = [b for b in blocks if self._cut_after(b)]
        share = self._share(done) if self.plan.site.is_matrix else Fraction(1)
        tail = _Tail(self, flow, gathered)
        if self.plan.site.is_matrix:
            carried = [b for b in done if self._cut_before(b)] + [
                b for b in cut if self._cut_before(b)
            ]
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

    def _finish(self) -> None:
        """One slot at the end of the strip for everything that nothing else waits for."""
        strip = self.strip
        if strip.windows and not len(strip.row) and not len(strip.end):
            awaited = {w.source for w in strip.window.waits if w.lag == 0 and not w.after_start}
            ends = [s for s in range(len(strip.window)) if s not in awaited]
            self.final = [("window", s) for s in ends]
            return
        self.final = []
        in_rows = {w for _, w in strip.row_after_window} | {w for _, w in strip.end_after_window}
        awaited = {w.source for w in strip.window.waits if w.lag == 0 and not w.after_start}
        self.final += [
            ("window", s) for s in range(len(strip.window)) if s not in awaited and s not in in_rows
        ]
        rowed = {w.source for w in strip.row.waits} | {r for _, r in strip.end_after_row}
        self.final += [("row", s) for s in range(len(strip.row)) if s not in rowed]
        ended = {w.source for w in strip.end.waits}
        self.final += [("end", s) for s in range(len(strip.end)) if s not in ended]

    def ends(self) -> list[int]:
        """Places in the last strip of the tasks that end the pass."""
        strip = self.strip
        last = strip.windows * strip.rows - 1
        place = {
            "window": lambda s: strip.at_window(last, s),
            "row": lambda s: strip.at_row(strip.rows - 1, s),
            "end": strip.at_end,
        }
        return [place[where](slot) for where, slot in self.final]


def _stride(pool: Operation) -> int:
    assert pool.geometry is not None
    return pool.geometry.stride[0]


class _Tail:
    """The way of one flow's results, from where they gather to their homes."""

    def __init__(self, site: SitePass, flow: Flow, gathered: tuple[int, ...]) -> None:
        self.site = site
        self.flow = flow
        self.context = site.context
        self.strip = site.strip
        self.sketch = site.strip.row
        self.here: tuple[int, ...] = ()
        """Slots of the current sketch that the next task waits for."""
        self.pending = gathered
        """Slots of the window sketch that the first row task waits for."""
        self.bits = site._sum_bits(site.op.rows) if site.plan.site.is_matrix else site.plan.bits

    def _add(self, slots: tuple[int, ...], roots: Sequence[int] = ()) -> None:
        """Move on to a task just added, tying it to what came before where this is the first."""
        for root in roots or slots[:1]:
            self._tie(root)
        self.here = slots[-1:]
        self.pending = ()

    def _tie(self, slot: int) -> None:
        if self.sketch is self.strip.row:
            self.strip.row_after_window += [(slot, w) for w in self.pending]
            if not self.pending and not self.here and not self.strip.windows:
                self.strip.first_rows.append(slot)
        else:
            self.strip.end_after_window += [(slot, w) for w in self.pending]

    def _move(self, way: Route | None, bits: int, kind: str) -> None:
        if way is None:
            return
        slots = self.context.transfer(self.sketch, way, bits, kind, -1, *self.here)
        if slots:
            self._add(slots)

    def run(self, share: Fraction) -> None:
        """The units of the tail in order, then the stores."""
        network = self.site.placement.network
        per_row = self._per_row(share)
        for i, waypoint in enumerate(self.flow.waypoints):
            op = waypoint.operation
            self._move(waypoint.way, ceil(per_row) * self.bits, "gather")
            anchor = i == 0 and not self.site.plan.site.is_matrix
            done = per_row
            if anchor:
                done = self._anchor_reads(waypoint, share)
            self._operands(waypoint, share)
            if op.kind == "pool":
                made = Fraction(network.tensors[op.outputs[0]].elements, self.site.strips) * share
                if not anchor:
                    done = per_row
                self._unit(waypoint, done)
                if not anchor:
                    self._to_end()
                per_row = made
            else:
                self._unit(waypoint, done)
            if self._is_last(i):
                self.bits = min(self.bits, self.site.plan.bits)
        self._stores(per_row)

    def _is_last(self, i: int) -> bool:
        return all(w.at is None for w in self.flow.waypoints[i + 1 :])

    def _per_row(self, share: Fraction) -> Fraction:
        """Values of the flow that a row of the anchor's results has."""
        op = self.site.op
        if self.site.plan.site.is_matrix:
            return Fraction(op.columns * op.groups * self.strip.windows) * share
        elements = self.site.placement.network.tensors[op.outputs[0]].elements
        return Fraction(elements, self.site.strips)

    def _anchor_reads(self, waypoint: Waypoint, share: Fraction) -> Fraction:
        """Fetch what a digital anchor reads; the elements that its unit takes per row."""
        sources = self.site.plan.site.reads[0]
        arrived: list[int] = []
        most = Fraction(0)
        for source, home in zip(sources, self.site.plan.homes, strict=True):
            elements = Fraction(source.elements, self.site.strips)
            most = max(most, elements)
            if home is None or waypoint.at is None:
                continue
            ways = [self.context.routes.find(m, waypoint.at) for m in home.members]
            way = min((w for w in ways if w is not None), key=len)
            slots = self.context.transfer(self.sketch, way, ceil(elements * home.bits), "fetch", -1)
            if slots:
                self.strip.first_rows.append(slots[0])
                arrived.append(slots[-1])
        self.here = tuple(arrived)
        op = self.site.op
        return most if op.kind == "pool" else self._per_row(share)

    def _operands(self, waypoint: Waypoint, share: Fraction) -> None:
        """Fetch what an operation reads besides the results that pass it."""
        for operand in waypoint.operands:
            if operand.home is None or operand.way is None:
                continue
            elements = Fraction(operand.source.elements, self._repeats()) * share
            bits = ceil(elements * operand.home.bits)
            slots = self.context.transfer(self.sketch, operand.way, bits, "fetch", -1)
            if slots:
                self._tie(slots[0])
                if not self.pending and self.here:
                    for before in self.here:
                        self.sketch.wait(slots[0], before)
                self.here = (*self.here, slots[-1])

    def _repeats(self) -> int:
        """How often the current sketch is done in a pass."""
        if self.sketch is self.strip.row:
            return self.site.strips * self.strip.rows
        return self.site.strips

    def _unit(self, waypoint: Waypoint, elements: Fraction) -> None:
        if waypoint.at is None:
            return
        count = ceil(elements)
        part = self.context.system.part(waypoint.at.path)
        if part.kind in ADDERS:
            slot = self.site._adder_slot(waypoint.at, count, 2, -1)
        else:
            slot = self._unit_slot(part, waypoint.at, count)
        number = self.sketch.add(slot, *self.here)
        self._add((number,))

    def _unit_slot(self, part: Part, at: Instances, count: int) -> Slot:
        """`lanes` elements every `ii`; the last result is `stages` cycles behind its element."""
        each = ceil(Fraction(count, part.integer("lanes") * len(at)))
        busy = each * part.number("ii")
        late = busy + (part.integer("stages") - 1) / part.clock
        priced = charge(part, "compute", count, busy=busy, members=len(at))
        what = f"computing at `{part.path}`"
        return self.context.slot(
            at, self.context.cycles(busy, what), self.context.cycles(late, what), "unit", -1,
            (priced,), stage=True,
        )  # fmt: skip

    def _to_end(self) -> None:
        """What follows is done once per strip."""
        self.strip_from = self.here
        rows = self.here
        self.sketch = self.strip.end
        if rows or self.pending:
            join = self.context.join(self.strip.end)
            self.strip.end_after_row += [(join, row) for row in rows]
            self.strip.end_after_window += [(join, w) for w in self.pending]
            self.pending = ()
            self.here = (join,)

    def _stores(self, per_row: Fraction) -> None:
        trees: dict[int, Tree] = {}
        last: list[int] = []
        for store in self.flow.stores:
            bits = ceil(per_row) * store.bits
            tree = trees.get(bits)
            if tree is None:
                tree = trees[bits] = Tree(self.context, self.sketch, "store", -1, self.here)
            slots = tree.add(self.context.hops(store.way, bits))
            last += slots[-1:]
        for tree in trees.values():
            for root in tree.roots:
                self._tie(root)
        if last:
            self.here = tuple(dict.fromkeys(last))
            self.pending = ()

    # Sums that a group boundary cuts

    def spill(self, count: int) -> None:
        """Store partial sums for a later group: where the results will go, else nowhere."""
        if self.flow.stores:
            self._branch(self.flow.stores[0].way, count, "store")

    def _branch(self, way: Route, count: int, kind: str) -> None:
        slots = self.context.transfer(self.sketch, way, count * self.bits, kind, -1, *self.here)
        if slots:
            self._tie(slots[0])

    def carry(self, count: int) -> None:
        """Fetch the partial sums of an earlier group and add them."""
        if not self.flow.stores:
            return
        place = self.flow.stores[0].way[-1].at
        target = self.flow.adder or self.flow.origin
        way = self.context.routes.find(place, target)
        if way is not None:
            slots = self.context.transfer(self.sketch, way, count * self.bits, "fetch", -1)
            if slots:
                self._tie(slots[0])
                self.here = (*self.here, slots[-1])
        if self.flow.adder is not None:
            slot = self.site._adder_slot(self.flow.adder, count, 2, -1)
            number = self.sketch.add(slot, *self.here)
            self._add((number,))
