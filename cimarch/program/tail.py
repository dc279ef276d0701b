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
from cimarch.mapping.rows import Extent
from cimarch.program.context import Context, Tree
from cimarch.program.sketch import LATER_OPERANDS, OPERANDS, READS, ROOM, Sketch, Strip
from cimarch.program.units import work_slot
from cimarch.workload.network import Operation


class Pass(Protocol):
    """What a tail needs to know of the pass that it ends."""

    placement: Placement
    plan: Plan
    op: Operation
    strip: Strip
    size: Extent

    def sum_bits(self, rows: int) -> int:
        """Bits of a partial sum over so many rows."""


class Tail:
    """The way of one flow's results, from where they gather to their homes.

    `row` writes what is done for one row of the block, `end` what is done for a strip once its rows
    are written.
    """

    def __init__(
        self, context: Context, site: Pass, flow: Flow, gathered: tuple[int, ...], copy: int = 0
    ) -> None:
        self.context = context
        self.site = site
        self.flow = flow
        self.copy = copy
        self.gathered = gathered
        self.strip = site.strip
        self.number = 0
        """Of the row or end sketch that is written."""
        self.sketch = site.strip.row[0]
        self.here: tuple[int, ...] = ()
        """Slots of the current sketch that the next task waits for."""
        self.pending: tuple[int, ...] = ()
        """Slots of the window sketch that the first task waits for."""
        self.gates: set[int] = set()
        """Gates that the next task waits for."""
        self.rows: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
        """Rows of the strip that a pooling joins: (row, slots there, slots of its windows)."""
        self.bits = self._first_bits()

    def _first_bits(self) -> int:
        site = self.site
        return site.sum_bits(site.op.rows) if site.plan.site.is_matrix else site.plan.bits

    # Rows and strips

    def row(
        self, number: int, windows: int, share: Fraction, *, before: Fraction = Fraction(0),
        carried: int = 0, cut: int = 0,
    ) -> None:  # fmt: skip
        """What is done for a row of which the flow has made a share of so many windows.

        `before` is the share of the flows in front of it; `carried` sums of the row were begun in
        an earlier group, `cut` ones go on in a later one.
        """
        self._begin(self.strip.row[number], number, self.gathered)
        self.bits = self._first_bits()
        if carried:
            self._carry(carried)
        if cut:
            self._spill(cut)
        if not share:
            return
        count = self._of_row(windows, share, before)
        share *= Fraction(windows, self.strip.windows) if windows else 1
        for i, waypoint in enumerate(self.flow.waypoints):
            if waypoint.operation is CARRY:
                continue
            if self._joins(i):
                self._join(i, waypoint, count, share)
                return
            count = self._pass(i, waypoint, count, share)
        self._stores(count)

    def _join(self, i: int, waypoint: Waypoint, count: Fraction, share: Fraction) -> None:
        """A pooling takes the row; the rest of the way is that of the strip."""
        self._pass(i, waypoint, count, share)
        if self.here or self.pending:
            self.rows.append((self.number % self.site.size.joined, self.here, self.pending))

    def end(self, number: int, share: Fraction) -> None:
        """What is done for a strip of which the flow has made a share."""
        first = next((i for i in range(len(self.flow.waypoints)) if self._joins(i)), None)
        if first is None:
            return
        self._begin(self.strip.end[number], number, ())
        rows, self.rows = self.rows, []
        if rows:
            self._gather_rows(number, rows)
        count = self._made(first, share)
        for i, waypoint in enumerate(self.flow.waypoints[first + 1 :], first + 1):
            count = self._pass(i, waypoint, count, share)
        self._stores(count)

    def _begin(self, sketch: Sketch, number: int, pending: tuple[int, ...]) -> None:
        self.sketch, self.number = sketch, number
        self.here, self.pending, self.gates = (), pending, set()

    def _gather_rows(
        self, number: int, rows: list[tuple[int, tuple[int, ...], tuple[int, ...]]]
    ) -> None:
        if self.strip.copies == 1:
            rows = [(self.site.size.joined - 1, *rows[-1][1:])]
        join = self.context.join(self.sketch)
        for row, here, pending in rows:
            self.strip.end_after_row[number] += [(join, row, slot) for slot in here]
            if pending:
                after = self.strip.end_after_window[number]
                after += [(join, self.copy, w) for w in pending]
        self.here = (join,)

    def _joins(self, i: int) -> bool:
        """Whether a waypoint joins rows: a pooling that is not the anchor itself."""
        is_pool = self.flow.waypoints[i].operation.kind == "pool"
        return is_pool and (i > 0 or self.site.plan.site.is_matrix)

    def _of_row(self, windows: int, share: Fraction, before: Fraction) -> Fraction:
        """Values of the flow that a row of the anchor's results has."""
        op = self.site.op
        if op.written:  # keys that a token does not see have no score: so many in all flows
            elements = self.site.placement.network.tensors[op.outputs[0]].elements
            all_of = Fraction(elements * windows, self.site.size.rows * self.strip.windows)
            return Fraction(ceil(all_of * (before + share)) - ceil(all_of * before))
        if self.site.plan.site.is_matrix:
            return Fraction(op.columns * op.groups * windows) * share
        elements = self.site.placement.network.tensors[op.outputs[0]].elements
        return Fraction(elements, self.site.size.rows)

    def _made(self, i: int, share: Fraction) -> Fraction:
        """Values of the flow that a strip has behind the pooling of a waypoint."""
        made = self.flow.waypoints[i].operation.outputs[0]
        elements = self.site.placement.network.tensors[made].elements
        return Fraction(elements, self.site.size.strips) * share

    # Moving on

    def _tie(self, slot: int) -> None:
        """Let a task that begins something wait for what came before it."""
        for gate in sorted(self.gates):
            self.sketch.open(slot, gate)
        if self.sketch in self.strip.row:
            after = self.strip.row_after_window[self.number]
            after += [(slot, self.copy, w) for w in self.pending]
            if not self.pending and not self.here and not self.strip.windows:
                self.sketch.open(slot, READS)
        elif self.pending:
            ends = self.strip.end_after_window[self.number]
            ends += [(slot, self.copy, w) for w in self.pending]

    def _add(self, slots: tuple[int, ...], roots: Sequence[int] = ()) -> None:
        """Move on to a task just added, tying it to what came before where this is the first."""
        for root in roots or slots[:1]:
            self._tie(root)
        self.here = slots[-1:]
        self.pending = ()
        self.gates = set()

    def _move(self, way: Route | None, bits: int, kind: str) -> None:
        if way is None:
            return
        slots = self.context.transfer(self.sketch, way, bits, kind, -1, *self.here)
        if slots:
            self._add(slots)

    # The way

    def _pass(self, i: int, waypoint: Waypoint, count: Fraction, share: Fraction) -> Fraction:
        """Go to a waypoint with so many values and do its work; how many leave it."""
        op = waypoint.operation
        first = len(self.sketch)
        self._move(waypoint.way, ceil(count) * self.bits, "gather")
        done = count
        if i == 0 and not self.site.plan.site.is_matrix:
            done = self._anchor_reads(waypoint, count)
        self._operands(waypoint, share)
        if waypoint.at is not None:
            slot = work_slot(self.context, waypoint.at, ceil(self._work_of(op, done)))
            self._add((self.sketch.add(slot, *self.here),))
        self.sketch.belong(first, self._step(i))
        if self._is_last(i):
            self.bits = min(self.bits, self.site.plan.bits)
        if op.kind == "pool" and not self._joins(i):
            return self._made_by_anchor(op)
        return count

    def _work_of(self, op: Operation, count: Fraction) -> Fraction:
        """Elements of a unit's work: values, or a product's multiply-accumulates of a row."""
        return Fraction(op.macs, self.site.size.rows) if op.is_dynamic and not op.written else count

    def _made_by_anchor(self, pool: Operation) -> Fraction:
        elements = self.site.placement.network.tensors[pool.outputs[0]].elements
        return Fraction(elements, self.site.size.rows)

    def _step(self, i: int) -> int:
        """The place of a waypoint's operation in its site."""
        return i + self.site.plan.site.is_matrix - (self.flow.waypoints[0].operation is CARRY)

    def _is_last(self, i: int) -> bool:
        return all(w.at is None for w in self.flow.waypoints[i + 1 :])

    def _anchor_reads(self, waypoint: Waypoint, count: Fraction) -> Fraction:
        """Fetch what a digital anchor reads; the elements that its unit takes per row."""
        sources = self.site.plan.site.reads[0]
        arrived: list[int] = []
        most = Fraction(0)
        for source, home in zip(sources, self.site.plan.homes, strict=True):
            elements = Fraction(source.elements, self.site.size.rows)
            most = max(most, elements)
            if home is None or waypoint.at is None:
                continue
            way = self._way_from(home, waypoint.at)
            if way is None:
                continue
            slots = self.context.transfer(self.sketch, way, ceil(elements * home.bits), "fetch", -1)
            if slots:
                self.sketch.open(slots[0], READS)
                self.strip.freed_by_row[self.number].append(slots[-1])
                arrived.append(slots[-1])
        self.here = tuple(arrived)
        return most if self.site.op.kind == "pool" else count

    def _way_from(self, home: Home, at: Instances) -> Route | None:
        """The way from a home; from outside where that does not hold the tensor whole."""
        if not home.whole:
            edge = self.site.plan.wiring.edge_into(at)
            return edge[1] if edge else None
        ways = [self.context.routes.find(member, at) for member in home.members]
        return min((way for way in ways if way is not None), key=len)

    def _operands(self, waypoint: Waypoint, share: Fraction) -> None:
        """Fetch what an operation reads besides the results that pass it."""
        in_row = self.sketch in self.strip.row
        for operand in waypoint.operands:
            if operand.home is None:
                continue
            gate = OPERANDS if in_row else LATER_OPERANDS
            if operand.way is None:
                self.gates.add(gate)
                continue
            elements = Fraction(operand.source.elements, self._repeats()) * share
            slot = self._bring(operand.way, ceil(elements * operand.home.bits), gate)
            if slot is not None and in_row:
                self.strip.taken_by_row[self.number].append(slot)
            elif slot is not None:
                self.strip.passed_by_end[self.number].append(slot)

    def _bring(self, way: Route, bits: int, gate: int | None = None) -> int | None:
        """Fetch something to where the results are, once they are there; the last slot."""
        slots = self.context.transfer(self.sketch, way, bits, "fetch", -1)
        if not slots:
            self.gates |= set() if gate is None else {gate}
            return None
        self._tie(slots[0])
        if gate is not None:
            self.sketch.open(slots[0], gate)
        if not self.pending:
            for before in self.here:
                self.sketch.wait(slots[0], before)
        self.here = (*self.here, slots[-1])
        return slots[-1]

    def _repeats(self) -> int:
        """How often the current sketch is done in a pass."""
        return self.site.size.rows if self.sketch in self.strip.row else self.site.size.strips

    def _stores(self, count: Fraction) -> None:
        trees: dict[int, Tree] = {}
        last: list[int] = []
        self.gates.add(ROOM)
        for store in self.flow.stores:
            bits = ceil(count) * store.bits
            tree = trees.get(bits)
            if tree is None:
                tree = trees[bits] = Tree(self.context, self.sketch, "store", -1, self.here)
            slots = tree.add(self.context.over(store.way, bits))
            last += slots[-1:]
        for tree in trees.values():
            for root in tree.roots:
                self._tie(root)
        if last:
            self.here = tuple(dict.fromkeys(last))
            self.pending = ()

    # Sums that a group boundary cuts

    def _spill(self, count: int) -> None:
        """Store partial sums for a later group."""
        if self.flow.spill is None:
            return
        bits = count * self.bits
        slots = self.context.transfer(self.sketch, self.flow.spill, bits, "store", -1, *self.here)
        if slots:
            self._tie(slots[0])

    def _carry(self, count: int) -> None:
        """Fetch the partial sums of an earlier group and add them."""
        waypoint = self.flow.waypoints[0]
        bits = count * self.bits
        self._move(waypoint.way, bits, "gather")
        if self.flow.carried is not None:
            self._bring(self.flow.carried, bits)
        if waypoint.at is not None:
            slot = work_slot(self.context, waypoint.at, count)
            self._add((self.sketch.add(slot, *self.here),))
