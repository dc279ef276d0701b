"""One site's work in one group of weights: products window by window, and where their sums meet.

The work goes on through all inferences of a batch that run as one stream: its rows and windows are
counted over them. Where a site's weights are there d times, copy c takes windows c, c + d, ...
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import simpy

from cimarch.hardware.routes import Instances
from cimarch.mapping.flows import Flow
from cimarch.mapping.placement import Copy, Plan
from oracle.arrays import Arrays, Lane, Products
from oracle.hardware import Job, Order, Steps
from oracle.inputs import PRODUCTS, SUMS, Inputs, Leads
from oracle.movement import stated
from oracle.rows import joined_rows, readings
from oracle.stock import Stock
from oracle.tail import Tail

if TYPE_CHECKING:
    from oracle.chip import Chip

LEAD, WINDOW, ROW, STRIP = range(4)
"""The phases of a strip of rows, in the order of the program."""


class Pass:
    """One site's work in one resident group."""

    def __init__(self, chip: Chip, plan: Plan, group: int, number: int, stock: Stock) -> None:
        self.chip = chip
        self.bench = chip.bench
        self.env = chip.bench.env
        self.movement = chip.movement
        self.placement = chip.placement
        self.routes = chip.placement.wiring.routes
        self.network = chip.placement.network
        self.plan = plan
        self.op = plan.site.anchor
        self.group = group
        self.number = number
        self.stock = stock
        self.matrix = plan.site.is_matrix
        self.arrays: Arrays = chip.arrays[plan.pool.path]
        """Those of the first pool."""
        self.height, self.joined = joined_rows(self.network, plan.site)
        """Rows of the anchor's results in one inference, and those that make one stored row."""
        self.rows = self.height * stock.inferences
        self.strips = self.rows // self.joined
        self.per_row = self.op.windows // self.height if self.matrix else 0
        self.readings = list(readings(self.network, plan.site))
        self.parts: list[list[simpy.Event]] = [[] for _ in range(self.strips)]
        """Per strip, all that is done for it."""
        self.taken: dict[tuple[int, int], list[simpy.Event]] = {}
        """(operation, row of its work) -> what is over when it has read its inputs."""
        copies = [copy for copy in plan.copies if self._present(copy)] or [plan.copies[0]]
        self.works = [Work(self, copy, c, len(copies)) for c, copy in enumerate(copies)]

    def _present(self, copy: Copy) -> bool:
        resident = self.placement.tiles.resident
        return any(int(resident[t]) == self.group for block in copy.blocks for t in block.tiles)

    def begin(self) -> simpy.Event:
        """Start everything; the event that all of it is done."""
        self.leads = Leads(self)
        place = 0
        for work in self.works:
            for flow, sums in zip(work.flows, work.begin(), strict=True):
                if not self.matrix or any(work.here[b] for b in flow.blocks):
                    Tail(work, flow, place, sums).begin()
                place += 1
        self.env.process(self.stock.making([self.plan.site.result], self.parts))
        for reading in self.readings:
            times = len(reading.needs) * self.stock.inferences
            done = [self._over(reading.position, row, times) for row in range(times)]
            self.env.process(self.stock.freeing(reading, done))
        return self.bench.all(event for events in self.parts for event in events)

    def _over(self, position: int, row: int, times: int) -> list[simpy.Event]:
        """What is over when an operation has read; where it fetches nothing, all of the row."""
        return self.taken.get((position, row), self.parts[row * self.strips // times])

    def own(self, row: int, *events: simpy.Event) -> None:
        """Say what belongs to a row of the anchor's results."""
        self.parts[row // self.joined] += events

    def take(self, position: int, row: int, *events: simpy.Event) -> None:
        """Say what ends the reading of a row of an operation's work."""
        self.taken.setdefault((position, row), []).extend(events)

    def needs(self, position: int, row: int) -> list[simpy.Event]:
        """The rows that a row of an operation's work needs of what it reads."""
        return [
            event
            for reading in self.readings
            if reading.position == position
            for event in self.stock.there(reading, row)
        ]

    def order(self, row: int, phase: int, window: int = 0) -> Order:
        """The place of a piece of work of a row."""
        strip, inside = divmod(row, self.joined)
        return (self.number, strip, inside if phase != STRIP else self.joined, phase, window)

    def arrays_of(self, tile: int) -> Arrays:
        """The arrays of the pool that a tile lies on."""
        pool = self.placement.pools[int(self.placement.tiles.pool[tile])]
        return self.chip.arrays[pool.path]

    def sum_bits(self, rows: int, tile: int | None = None) -> int:
        """Bits of a partial sum of some rows, at most those of what merges slices and steps."""
        if not self.matrix:
            return self.plan.bits
        bits = self.placement.bits[self.op.name]
        weight, merger = bits.weight, self.arrays.merger
        if tile is not None and bits.strips is not None:
            weight = bits.strips.bits[int(self.placement.tiles.level[tile])]
            merger = self.arrays_of(tile).merger
        wide = bits.input + weight + ceil(log2(rows))
        return min(wide, merger.integer("bits")) if merger is not None else wide

    def add(self, at: Instances, count: int, terms: int, order: Order) -> Job:
        """Additions at an adder: each member one a cycle; a tree all terms of a sum in one."""
        part = self.placement.system.part(at.path)
        self.bench.count(at.path, "add", count)
        each = stated(part, "add", 1 / part.clock)
        turns, levels = ceil(count / len(at)), 1
        if part.kind == "adder_tree":
            turns = ceil(count / (max(1, terms - 1) * len(at)))
            levels = ceil(log2(max(2, terms)))
        return self.bench.work(
            at, self.bench.cycles(turns * each), order, stage=True,
            latency=self.bench.cycles((turns + levels - 1) * each),
        )  # fmt: skip


class Work:
    """What one copy of a site's weights does."""

    def __init__(self, site: Pass, copy: Copy, number: int, copies: int) -> None:
        self.site = site
        self.bench = site.bench
        self.env = site.env
        self.blocks = copy.blocks
        self.flows = copy.flows
        self.number = number
        self.copies = copies
        resident = site.placement.tiles.resident
        self.here = {
            b: [int(t) for t in block.tiles if resident[t] == site.group]
            for b, block in enumerate(copy.blocks)
        }
        self.chosen = [t for present in self.here.values() for t in present]
        self.places = {tile: place for place, tile in enumerate(self.chosen)}
        """Of the tiles in order: those of one block of columns side by side."""
        self.windows = range(number, site.rows * site.per_row, copies)
        """Those that it takes."""
        self.lanes = {
            tile: Lane({w: self.env.event() for w in self.windows},
                       {w: self.env.event() for w in self.windows})
            for tile in self.chosen
        }  # fmt: skip

    def windows_of(self, rows: range) -> list[int]:
        """The windows of some rows that this copy takes."""
        per_row = self.site.per_row
        return [w for w in range(rows.start * per_row, rows.stop * per_row) if w in self.windows]

    def share_of(self, rows: range) -> int:
        """Of how many windows of some rows the results are here; 1 of 1 where there are none."""
        return len(self.windows_of(rows)) if self.site.matrix else 1

    def begin(self) -> list[dict[int, simpy.Event]]:
        """Start all windows; per flow and window the event that its sums have met."""
        if not self.site.matrix:
            return [{} for _ in self.flows]
        self.inputs = Inputs(self)
        self.inputs.begin()
        for tiles in self._turns():
            site = self.site
            products = [self._products(tile) for tile in tiles]
            self.env.process(site.arrays_of(tiles[0]).run(products, self.windows))
        return [
            {window: self.bench.all(self._sums(flow, window)) for window in self.windows}
            for flow in self.flows
        ]

    def _turns(self) -> list[list[int]]:
        """Tiles that are read in turn: strips on one array; others each by itself."""
        placement = self.site.placement
        if placement.bits[self.site.op.name].strips is None:
            return [[tile] for tile in self.chosen]
        found: dict[int, list[int]] = {}
        for tile in self.chosen:
            found.setdefault(int(placement.arrays[tile]), []).append(tile)
        return list(found.values())

    def _products(self, tile: int) -> Products:
        site = self.site

        def order(window: int) -> Order:
            row, place = divmod(window, site.per_row)
            return (*site.order(row, WINDOW, place), PRODUCTS, self.places[tile])

        def feed(window: int, order: Order) -> Job:
            return self.inputs.feed(tile, order)

        def ready(window: int) -> list[simpy.Event]:
            return self.inputs.ready(tile, window)

        driven = self.inputs.drivers[tile] is not None
        for window in self.windows:
            site.own(window // site.per_row, *self.results(tile, window))
        return Products(tile, ready, order, feed if driven else None, self.lanes[tile])

    def results(self, tile: int, window: int) -> list[simpy.Event]:
        """The events that together mean that a product's results are there."""
        lane = self.lanes[tile]
        driven = self.inputs.drivers[tile] is not None
        return [lane.done[window], lane.fed[window]] if driven else [lane.done[window]]

    # Sums

    def _sums(self, flow: Flow, window: int) -> list[simpy.Event]:
        """Events for when a window's sums have met."""
        row, inside = divmod(window, self.site.per_row)
        base = (*self.site.order(row, WINDOW, inside), SUMS)
        events = []
        for b in flow.blocks:
            came = []
            for tile in self.here[b]:
                event = self.env.event()
                order = (*base, self.places[tile], 3)
                self.env.process(self._gather(flow, b, tile, window, order, event))
                came.append(event)
            if flow.adder is not None and self._additions(b)[0] > 0:
                event = self.env.event()
                order = (*base, self.places[self.here[b][0]], 4)
                self.env.process(self._add(flow.adder, b, came, order, event))
                came = [event]
            events += came
        self.site.own(row, *events)
        return events

    def _gather(
        self, flow: Flow, b: int, tile: int, window: int, order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(self.results(tile, window))
        site = self.site
        target = flow.adder or flow.origin
        tiles = site.placement.tiles
        array = site.arrays_of(tile).array(int(tiles.array[tile]))
        route = None if target.path in site.chip.arrays else site.routes.find(array, target)
        if route is not None:
            mixed = site.placement.bits[site.op.name].strips is not None
            made = int(tiles.outputs[tile]) if mixed else self.blocks[b].outputs
            bits = made * site.sum_bits(int(tiles.inputs[tile]), tile)
            yield site.movement.move(site.movement.crossings(route, bits), order)
        event.succeed()

    def _add(
        self, at: Instances, b: int, came: list[simpy.Event], order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(came)
        count, terms = self._additions(b)
        yield self.site.add(at, count, terms, (*order, 0)).done
        event.succeed()

    def _additions(self, b: int) -> tuple[int, int]:
        """Additions of a block's sums for a window, and the most terms of a result."""
        site, outputs = self.site, self.blocks[b].outputs
        if site.placement.bits[site.op.name].strips is None:
            return outputs * (len(self.here[b]) - 1), len(self.here[b])
        terms = [0] * outputs
        for tile in self.here[b]:
            for output in site.placement.strips_of(tile)[1].tolist():
                terms[output] += 1
        return sum(max(0, each - 1) for each in terms), max(terms)
