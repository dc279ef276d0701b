"""The way of a row of results: the units of the tail in order, then the stores.

Where a pooling joins rows, what follows it is done once per strip. Sums that a group boundary cuts
are stored at their full width, and fetched and added in the later group.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Protocol

from cimarch.hardware.routes import Instances, Route
from cimarch.mapping.flows import CARRY, Flow, Waypoint
from cimarch.mapping.homes import Home
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.wiring import Wiring
from cimarch.program.context import Context, Tree
from cimarch.program.sketch import Strip
from cimarch.program.units import work_slot
from cimarch.workload.network import Operation


class Pass(Protocol):
    """What a tail needs to know of the pass that it ends."""

    placement: Placement
    wiring: Wiring
    plan: Plan
    op: Operation
    strip: Strip
    strips: int

    def sum_bits(self, rows: int) -> int:
        """Bits of a partial sum over so many rows."""


class Tail:
    """The way of one flow's results, from where they gather to their homes."""

    def __init__(self, context: Context, site: Pass, flow: Flow, gathered: tuple[int, ...]) -> None:
        self.context = context
        self.site = site
        self.flow = flow
        self.strip = site.strip
        self.sketch = site.strip.row
        self.here: tuple[int, ...] = ()
        """Slots of the current sketch that the next task waits for."""
        self.pending = gathered
        """Slots of the window sketch that the first row task waits for."""
        self.bits = site.sum_bits(site.op.rows) if site.plan.site.is_matrix else site.plan.bits

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
            if op is CARRY:
                continue
            sketch, first = self.sketch, len(self.sketch)
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
                self._work(waypoint, done)
                if not anchor:
                    self._to_end()
                per_row = made
            else:
                self._work(waypoint, done)
            sketch.belong(first, self._step(i))
            if self._is_last(i):
                self.bits = min(self.bits, self.site.plan.bits)
        self._stores(per_row)

    def _step(self, i: int) -> int:
        """The place of a waypoint's operation in its site."""
        return i + self.site.plan.site.is_matrix - (self.flow.waypoints[0].operation is CARRY)

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
            way = self._way_from(home, waypoint.at)
            if way is None:
                continue
            slots = self.context.transfer(self.sketch, way, ceil(elements * home.bits), "fetch", -1)
            if slots:
                self.strip.first_rows.append(slots[0])
                arrived.append(slots[-1])
        self.here = tuple(arrived)
        op = self.site.op
        return most if op.kind == "pool" else self._per_row(share)

    def _way_from(self, home: Home, at: Instances) -> Route | None:
        """The way from a home; from outside where that does not hold the tensor whole."""
        if not home.whole:
            edge = self.site.wiring.edge_into(at)
            return edge[1] if edge else None
        ways = [self.context.routes.find(member, at) for member in home.members]
        return min((way for way in ways if way is not None), key=len)

    def _operands(self, waypoint: Waypoint, share: Fraction) -> None:
        """Fetch what an operation reads besides the results that pass it."""
        for operand in waypoint.operands:
            if operand.home is None or operand.way is None:
                continue
            elements = Fraction(operand.source.elements, self._repeats()) * share
            self._bring(operand.way, ceil(elements * operand.home.bits))

    def _bring(self, way: Route, bits: int) -> None:
        """Fetch something to where the results are, once they are there."""
        slots = self.context.transfer(self.sketch, way, bits, "fetch", -1)
        if not slots:
            return
        self._tie(slots[0])
        if not self.pending:
            for before in self.here:
                self.sketch.wait(slots[0], before)
        self.here = (*self.here, slots[-1])

    def _repeats(self) -> int:
        """How often the current sketch is done in a pass."""
        if self.sketch is self.strip.row:
            return self.site.strips * self.strip.rows
        return self.site.strips

    def _work(self, waypoint: Waypoint, elements: Fraction) -> None:
        if waypoint.at is not None:
            slot = work_slot(self.context, waypoint.at, ceil(elements))
            self._add((self.sketch.add(slot, *self.here),))

    def _to_end(self) -> None:
        """What follows is done once per strip."""
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
        """Store partial sums for a later group."""
        if self.flow.spill is None:
            return
        bits = count * self.bits
        slots = self.context.transfer(self.sketch, self.flow.spill, bits, "store", -1, *self.here)
        if slots:
            self._tie(slots[0])

    def carry(self, count: int) -> None:
        """Fetch the partial sums of an earlier group and add them."""
        waypoint = self.flow.waypoints[0]
        bits = count * self.bits
        self._move(waypoint.way, bits, "gather")
        if self.flow.carried is not None:
            self._bring(self.flow.carried, bits)
        self._work(waypoint, Fraction(count))
