"""One site's work in one group of weights: products window by window, and where their sums meet."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import simpy

from cimarch.hardware.routes import Instances
from cimarch.mapping.flows import Flow
from cimarch.mapping.placement import Plan
from cimarch.mapping.sites import is_global, map_rows
from oracle.arrays import Lane
from oracle.hardware import Job, Order, Steps
from oracle.inputs import Inputs
from oracle.movement import stated
from oracle.tail import Tail

if TYPE_CHECKING:
    from oracle.chip import Chip

LEAD, WINDOW, ROW, STRIP = range(4)
"""The phases of a strip of rows, in the order of the program."""


class Pass:
    """One site's work in one resident group."""

    def __init__(self, chip: Chip, plan: Plan, group: int, number: int) -> None:
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
        self.matrix = plan.site.is_matrix
        tiles = self.placement.tiles
        self.here = {
            b: [int(t) for t in block.tiles if tiles.resident[t] == group]
            for b, block in enumerate(plan.blocks)
        }
        self.chosen = [t for present in self.here.values() for t in present]
        pool = next((op for op in plan.site.tail if op.kind == "pool"), None)
        self.rows = (
            self.op.window_rows if self.matrix else map_rows(self.network.tensors[self._made])
        )
        self.per_row = self.op.windows // self.rows if self.matrix else 0
        self.joined = 1
        if pool is not None and self.matrix:
            assert pool.geometry is not None or is_global(self.network, pool)
            whole = is_global(self.network, pool)
            self.joined = self.rows if whole else pool.geometry.stride[0]  # type: ignore[union-attr]
        self.windows = self.rows * self.per_row
        self.all: list[simpy.Event] = []

    @property
    def _made(self) -> str:
        return self.op.outputs[0]

    def begin(self) -> simpy.Event:
        """Start everything; the event that all of it is done."""
        sums: dict[int, list[simpy.Event]] = {}
        if self.matrix:
            self._windows()
            for f, flow in enumerate(self.plan.flows):
                sums[f] = [
                    self.bench.all(self._sums(flow, window)) for window in range(self.windows)
                ]
        for f, flow in enumerate(self.plan.flows):
            if not self.matrix or any(self.here[b] for b in flow.blocks):
                Tail(self, flow, f, sums.get(f, [])).begin()
        return self.bench.all(self.all)

    def order(self, row: int, phase: int, window: int = 0) -> Order:
        """The place of a piece of work of a row."""
        strip, inside = divmod(row, self.joined)
        return (self.number, strip, inside if phase != STRIP else self.joined, phase, window)

    # Windows

    def _windows(self) -> None:
        self.lanes = {
            tile: Lane({w: self.env.event() for w in range(self.windows)},
                       {w: self.env.event() for w in range(self.windows)})
            for tile in self.chosen
        }  # fmt: skip
        self.inputs = Inputs(self)
        self.inputs.begin()
        for tile in self.chosen:
            self._products(tile)

    def _products(self, tile: int) -> None:
        def ready(window: int) -> list[simpy.Event]:
            return self.inputs.ready(tile, window)

        def order(window: int) -> Order:
            row, place = divmod(window, self.per_row)
            return (*self.order(row, WINDOW, place), tile)

        def feed(window: int, order: Order) -> Job:
            return self.inputs.feed(tile, order)

        driven = self.inputs.drivers[tile] is not None
        run = self.chip.arrays.run
        self.env.process(
            run(tile, self.windows, ready, order, feed if driven else None, self.lanes[tile])
        )
        for window in range(self.windows):
            self.all += self.results(tile, window)

    def results(self, tile: int, window: int) -> list[simpy.Event]:
        """The events that together mean that a product's results are there."""
        lane = self.lanes[tile]
        driven = self.inputs.drivers[tile] is not None
        return [lane.done[window], lane.fed[window]] if driven else [lane.done[window]]

    # Sums

    def sum_bits(self, rows: int) -> int:
        """Bits of a partial sum of some rows, at most those of what merges slices and steps."""
        if not self.matrix:
            return self.plan.bits
        bits = self.placement.bits[self.op.name]
        wide = bits.input + bits.weight + ceil(log2(rows))
        merger = self.chip.arrays.merger
        return min(wide, merger.integer("bits")) if merger is not None else wide

    def _sums(self, flow: Flow, window: int) -> list[simpy.Event]:
        """Events for when a window's sums have met."""
        row, inside = divmod(window, self.per_row)
        events = []
        for b in flow.blocks:
            came = []
            for tile in self.here[b]:
                event = self.env.event()
                order = (*self.order(row, WINDOW, inside), tile, 3)
                self.env.process(self._gather(flow, b, tile, window, order, event))
                came.append(event)
            if flow.adder is not None and len(came) > 1:
                event = self.env.event()
                order = (*self.order(row, WINDOW, inside), self.here[b][0], 4)
                self.env.process(self._add(flow.adder, b, came, order, event))
                came = [event]
            events += came
        self.all += events
        return events

    def _gather(
        self, flow: Flow, b: int, tile: int, window: int, order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(self.results(tile, window))
        target = flow.adder or flow.origin
        array = self.chip.arrays.array(int(self.placement.tiles.array[tile]))
        route = None if target.path == array.path else self.routes.find(array, target)
        if route is not None:
            wide = self.sum_bits(int(self.placement.tiles.inputs[tile]))
            bits = self.plan.blocks[b].outputs * wide
            yield self.movement.move(self.movement.crossings(route, bits), order)
        event.succeed()

    def _add(
        self, at: Instances, b: int, came: list[simpy.Event], order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(came)
        count = self.plan.blocks[b].outputs * (len(came) - 1)
        yield self.add(at, count, len(came), (*order, 0)).done
        event.succeed()

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
