"""What is done with rows of results: units, operands, stores; and sums that a boundary cuts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import attrs
import simpy

from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part
from cimarch.mapping.flows import CARRY, Flow, Waypoint
from cimarch.mapping.homes import Home
from oracle.hardware import Job, Order, Steps, pass_on
from oracle.movement import Crossing

if TYPE_CHECKING:
    from oracle.site import Work

ROW, STRIP = 2, 3
"""Phases of a strip (`oracle.site`)."""
ADDERS = ("shift_add", "accumulator", "adder_tree")


@attrs.frozen
class Moved:
    """Values of a row that are fetched from a home."""

    home: Home
    values: Fraction
    way: Route


class Tail:
    """What is done with rows of results: units, operands, stores."""

    def __init__(self, work: Work, flow: Flow, place: int, sums: Mapping[int, simpy.Event]) -> None:
        site = work.site
        self.work = work
        self.site = site
        self.flow = flow
        self.place = place
        self.sums = sums
        self.bench = site.bench
        self.env = site.env
        self.movement = site.movement
        self.network = site.network
        blocks = work.blocks
        tiles = site.placement.tiles
        self.now = [b for b in flow.blocks if work.here.get(b)]
        whole = [(b, [int(tiles.resident[t]) for t in blocks[b].tiles]) for b in self.now]
        self.spilled = [self.env.event() for _ in range(site.rows)] if flow.spill else []
        self.fetched: dict[tuple[int, int, int], simpy.Event] = {}
        """(waypoint, row, which) -> what the waypoint's work reads besides has come."""
        self.begun = [b for b, groups in whole if min(groups) < site.group]
        self.cut = [b for b, groups in whole if max(groups) > site.group]
        self.done = [b for b in self.now if b not in self.cut]
        total = sum(block.outputs for block in blocks)
        outputs = sum(blocks[b].outputs for b in self.done)
        self.share = Fraction(outputs, total) if site.matrix else Fraction(1)
        cut = flow.waypoints[:1] != () and flow.waypoints[0].operation is CARRY
        self.meeting = flow.waypoints[0] if cut else None
        self.ways = list(flow.waypoints[1:] if cut else flow.waypoints)
        behind = range(0 if site.matrix else 1, len(self.ways))
        joins = [i for i in behind if self.ways[i].operation.kind == "pool"]
        self.joint = joins[0] if joins else None

    def begin(self) -> None:
        """Start the work of all rows, and of all strips."""
        joined = self.site.joined
        for strip in range(self.site.strips):
            rows = range(strip * joined, (strip + 1) * joined)
            ends = [self._begin_row(row) for row in rows if self._share(range(row, row + 1))]
            if self.joint is not None and ends and (self.done or not self.site.matrix):
                self._fetches(range(self.joint + 1, len(self.ways)), strip, rows[-1])
                end = self.env.event()
                self.site.own(rows[-1], end)
                self.env.process(self._strip(rows, ends, end))

    def _begin_row(self, row: int) -> simpy.Event:
        end = self.env.event()
        self.site.own(row, end, *(self.spilled[row : row + 1] if self.cut else ()))
        last = len(self.ways) if self.joint is None else self.joint + 1
        if self.done or not self.site.matrix:
            self._fetches(range(last), row, row)
        self.env.process(self._row(row, end))
        return end

    def _fetches(self, ways: range, number: int, row: int) -> None:
        """Say what will be fetched for a row (or strip) of some waypoints' work."""
        for i in ways:
            for k, _ in self._read_besides(i):
                self.fetched[i, number, k] = self.env.event()
                self.site.own(row, self.fetched[i, number, k])
                self.site.take(self._position(i), number, self.fetched[i, number, k])

    def _position(self, i: int) -> int:
        """The place in the site of a waypoint's operation."""
        return i + 1 if self.site.matrix else i

    def _share(self, rows: range) -> Fraction:
        """The share of the windows of some rows that are done here."""
        every = len(rows) * self.site.per_row if self.site.matrix else 1
        return Fraction(self.work.share_of(rows), every)

    def _order(self, row: int, phase: int, step: int) -> Order:
        return (*self.site.order(row, phase), self.place, step)

    def _row(self, row: int, end: simpy.Event) -> Steps:
        site = self.site
        yield self.bench.all(
            self.sums[window] for window in self.work.windows_of(range(row, row + 1))
        )
        if self.begun:
            yield from self._carry(row)
        if self.cut:
            self._spill(row)
        if self.done or not site.matrix:
            end_of_row = len(self.ways) if self.joint is None else self.joint + 1
            yield from self._along(
                row, ROW, 0, end_of_row, self._values(row), stores=self.joint is None
            )
        end.succeed()

    def _strip(self, rows: range, ends: list[simpy.Event], end: simpy.Event) -> Steps:
        yield self.bench.all(ends)
        assert self.joint is not None
        pooled = self.network.tensors[self.ways[self.joint].operation.outputs[0]]
        strips = self.site.height // self.site.joined
        made = Fraction(pooled.elements, strips) * self.share * self._share(rows)
        yield from self._along(rows[-1], STRIP, self.joint + 1, len(self.ways), made, stores=True)
        end.succeed()

    def _values(self, row: int) -> Fraction:
        """Values of the flow in a row of the anchor's results."""
        site = self.site
        if site.matrix:
            values = site.op.columns * site.op.groups * site.per_row
            return values * self.share * self._share(range(row, row + 1))
        return Fraction(self.network.tensors[site.op.outputs[0]].elements, site.height)

    def _along(
        self, row: int, phase: int, lo: int, hi: int, count: Fraction, *, stores: bool
    ) -> Steps:
        """Pass the waypoints lo..hi, then store."""
        site = self.site
        for i in range(lo, hi):
            waypoint = self.ways[i]
            if waypoint.way is not None:
                bits = ceil(count) * self._bits(i)
                way = self.movement.crossings(waypoint.way, bits)
                yield self.movement.move(way, self._order(row, phase, 10 * i))
            taken = count
            if i == 0 and not site.matrix:
                taken = yield from self._anchor(row, waypoint, count)
            yield self.bench.all(self._operands(row, phase, i))
            if waypoint.at is not None:
                yield self._compute(waypoint, ceil(taken), self._order(row, phase, 10 * i + 6)).done
            if waypoint.operation.kind == "pool" and i == 0 and not site.matrix:
                pooled = self.network.tensors[waypoint.operation.outputs[0]]
                count = Fraction(pooled.elements, site.height) * self.share
        if stores:
            yield self.bench.all(site.stock.room(site.plan.site.result, row // site.joined))
            yield self.bench.all(self._store(row, phase, count))

    def _bits(self, i: int) -> int:
        """Of a value before waypoint i: a sum's until the last unit is behind."""
        wide = self.site.sum_bits(self.site.op.rows) if self.site.matrix else self.site.plan.bits
        units = [k for k, w in enumerate(self.ways) if w.at is not None]
        behind = i > units[-1] if units else i > 0
        return min(wide, self.site.plan.bits) if behind else wide

    def _read_besides(self, i: int) -> list[tuple[int, Moved]]:
        """What is fetched for a waypoint's work: home, values of a row, way."""
        site, waypoint = self.site, self.ways[i]
        found: list[tuple[int, Moved]] = []
        if i == 0 and not site.matrix:
            for k, (source, home) in enumerate(
                zip(site.plan.site.reads[0], site.plan.homes, strict=True)
            ):
                way = self._from(home, waypoint.at) if home and waypoint.at else None
                if home is not None and way is not None:
                    found.append((k, Moved(home, Fraction(source.elements, site.height), way)))
            return found
        joint = len(self.ways) if self.joint is None else self.joint
        for k, operand in enumerate(waypoint.operands):
            if operand.home is not None and operand.way is not None:
                times = site.height if i <= joint else site.height // site.joined
                values = Fraction(operand.source.elements, times) * self.share
                found.append((100 + k, Moved(operand.home, values, operand.way)))
        return found

    def _anchor(self, row: int, waypoint: Waypoint, count: Fraction) -> Steps:
        """Fetch what a digital anchor reads; the values that its unit works through."""
        site = self.site
        yield self.bench.all(site.needs(0, row))
        most = max(Fraction(s.elements, site.height) for s in site.plan.site.reads[0])
        yield self.bench.all(self._fetch(row, ROW, 0, row, Fraction(1)))
        return most if site.op.kind == "pool" else count

    def _fetch(
        self, row: int, phase: int, i: int, number: int, part: Fraction
    ) -> list[simpy.Event]:
        came = []
        for k, moved in self._read_besides(i):
            bits = ceil(moved.values * part * moved.home.bits)
            way = self.movement.crossings(moved.way, bits)
            event = self.fetched[i, number, k]
            arrived = self.movement.move(way, (*self._order(row, phase, 10 * i), k))
            self.env.process(pass_on(arrived, event))
            came.append(event)
        return came

    def _from(self, home: Home, at: Instances) -> Route | None:
        """The shortest way from a copy; from the edge where no copy is whole."""
        if not home.whole:
            edge = self.site.placement.wiring.edge_into(at)
            return edge[1] if edge is not None else None
        found = [self.site.routes.find(member, at) for member in home.members]
        return min((way for way in found if way is not None), key=len)

    def _operands(self, row: int, phase: int, i: int) -> list[simpy.Event]:
        """Fetch what an operation reads besides the results that pass it, once it is made."""
        site, joined = self.site, self.site.joined
        number, rows = row, range(row, row + 1)
        if phase == STRIP:
            number, rows = row // joined, range(row + 1 - joined, row + 1)
        if not any(operand.home is not None for operand in self.ways[i].operands):
            return []
        arrived = self.env.event()
        needs = site.needs(self._position(i), number)
        self.env.process(self._bring(row, phase, i, number, self._share(rows), needs, arrived))
        return [arrived]

    def _bring(
        self, row: int, phase: int, i: int, number: int, part: Fraction,
        needs: list[simpy.Event], arrived: simpy.Event,
    ) -> Steps:  # fmt: skip
        yield self.bench.all(needs)
        yield self.bench.all(self._fetch(row, phase, i, number, part))
        arrived.succeed()

    def _compute(self, waypoint: Waypoint, count: int, order: Order) -> Job:
        """Elements on a unit: `lanes` every `ii`, each `stages` cycles inside; or on an adder."""
        at = waypoint.at
        assert at is not None
        part: Part = self.site.placement.system.part(at.path)
        if part.kind in ADDERS:
            return self.site.add(at, count, 2, order)
        self.bench.count(at.path, "compute", count)
        busy = ceil(Fraction(count, part.integer("lanes") * len(at))) * part.number("ii")
        late = busy + (part.integer("stages") - 1) / part.clock
        cycles = self.bench.cycles
        return self.bench.work(at, cycles(busy), order, latency=cycles(late), stage=True)

    def _store(self, row: int, phase: int, count: Fraction) -> list[simpy.Event]:
        """Bring the results to all their homes; what is as wide crosses a bus once."""
        widths: dict[int, list[tuple[int, list[Crossing]]]] = {}
        for k, store in enumerate(self.flow.stores):
            bits = ceil(count) * store.bits
            widths.setdefault(bits, []).append((k, self.movement.crossings(store.way, bits)))
        arrived = []
        for ways in widths.values():
            orders = [(*self._order(row, phase, 1000), k) for k, _ in ways]
            arrived += self.movement.spread([way for _, way in ways], orders)
        return arrived

    # Sums that a group boundary cuts

    def _spill(self, row: int) -> None:
        """Bring sums at their full width to where they wait for the next group."""
        if self.flow.spill is not None:
            bits = self._sums(self.cut) * self.work.share_of(range(row, row + 1)) * self._bits(0)
            way = self.movement.crossings(self.flow.spill, bits)
            arrived = self.movement.move(way, self._order(row, ROW, -1))
            self.env.process(pass_on(arrived, self.spilled[row]))

    def _carry(self, row: int) -> Steps:
        """Bring this group's sums and those of the one before together and add them."""
        assert self.meeting is not None
        count = self._sums(self.begun) * self.work.share_of(range(row, row + 1))
        for route, step in ((self.meeting.way, -4), (self.flow.carried, -3)):
            if route is not None:
                way = self.movement.crossings(route, count * self._bits(0))
                yield self.movement.move(way, self._order(row, ROW, step))
        if self.meeting.at is not None:
            yield self._compute(self.meeting, count, self._order(row, ROW, -2)).done

    def _sums(self, blocks: Iterable[int]) -> int:
        return sum(self.work.blocks[b].outputs for b in blocks)
