"""A whole run on a tiny chip: groups of weights, inferences, and the sites of a network in turn.

Each window of a site is work of its own: its slices are fetched, its arrays read them, its sums
meet. Each row of results then passes the units of the tail and is stored where it is read. Layer by
layer, a site begins when all of the one before is done; in a pipeline all of a group begin at once,
and rows wait for each other.
"""

from __future__ import annotations

from itertools import pairwise

import attrs
import simpy

from cimarch.hardware.routes import Instances
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import map_rows
from oracle.arrays import Arrays
from oracle.hardware import Bench, Order, Steps, settle
from oracle.loads import Loads
from oracle.movement import Crossing, Movement
from oracle.site import Pass
from oracle.stock import Stock


@attrs.frozen
class Outcome:
    """What the oracle found."""

    cycles: int
    layers: dict[int, tuple[int, int]]
    """Per site: the cycles in which its work in the last pass began and ended."""
    busy: dict[Instances, int]
    counts: dict[tuple[str, str], int]


def run(placement: Placement, *, batch: int = 1, weights: str = "preloaded") -> Outcome:
    """Run a placement."""
    ends: dict[int, tuple[int, int]] = {}

    def once(united: list[Instances]) -> Bench:
        ends.clear()
        bench = Bench(placement.system, united)
        chip = Chip(bench, placement)
        bench.run(chip.run(batch, weights, ends))
        return bench

    return _outcome(settle(once), ends)


def load(placement: Placement) -> Outcome:
    """Write the weights of the first group and do nothing else."""

    def once(united: list[Instances]) -> Bench:
        bench = Bench(placement.system, united)
        bench.run(Chip(bench, placement).load_only())
        return bench

    return _outcome(settle(once), {})


def _outcome(bench: Bench, ends: dict[int, tuple[int, int]]) -> Outcome:
    now = int(bench.env.now)
    bench.env.run()  # what is done may still hold its part for a while
    busy = {at: station.busy for at, station in bench.stations.items()}
    return Outcome(now, dict(ends), busy, dict(bench.counts))


class Chip:
    """The work of a placement, on one bench."""

    def __init__(self, bench: Bench, placement: Placement) -> None:
        self.bench = bench
        self.placement = placement
        self.movement = Movement(bench, placement.wiring.routes)
        self.arrays = {pool.path: Arrays(bench, placement, pool) for pool in placement.pools}
        self.loads = Loads(bench, self.movement, placement)
        self.passes = 0

    def load_only(self) -> Steps:
        """The first group's weights."""
        yield self.loads.load(self._tiles(0), 0)

    def _tiles(self, group: int) -> list[int]:
        resident = self.placement.tiles.resident.tolist()
        return [tile for tile, loaded in enumerate(resident) if loaded == group]

    def run(self, batch: int, weights: str, ends: dict[int, tuple[int, int]]) -> Steps:
        """All inferences through all groups."""
        groups = max(1, self.placement.groups)
        order = [(g, batch) for g in range(groups)]
        if groups > 1 and not self._waits_fit(batch):
            order = [(g, 1) for _ in range(batch) for g in range(groups)]
        loaded = 0 if groups == 1 and weights == "preloaded" else -1
        work = self._layers if self.placement.schedule == "layers" else self._pipeline
        for group, inferences in order:
            if group != loaded:
                self.passes += 1
                yield self.loads.load(self._tiles(group), self.passes)
                loaded = group
            yield from work(group, inferences, ends)

    def _layers(self, group: int, inferences: int, ends: dict[int, tuple[int, int]]) -> Steps:
        """One inference after the other, one site after the other."""
        for _ in range(inferences):
            stock = Stock(self.bench, 1)
            if group == 0:
                self.passes += 1
                yield self._inputs(stock, self.passes)
            for plan in self._plans(group):
                self.passes += 1
                since = int(self.bench.env.now)
                yield Pass(self, plan, group, self.passes, stock).begin()
                ends[plan.site.index] = (since, int(self.bench.env.now))

    def _pipeline(self, group: int, inferences: int, ends: dict[int, tuple[int, int]]) -> Steps:
        """All inferences as one stream of rows, all sites side by side."""
        stock, tensors = Stock(self.bench, inferences), self.placement.network.tensors
        first = self.passes + 1
        passes = [
            Pass(self, plan, group, first + i, stock)
            for i, plan in enumerate(self._plans(group), 1)
        ]
        self.passes = first + len(passes)
        given = [s.tensor for s, _ in self.placement.inputs] if group == 0 else []
        for tensor in dict.fromkeys([*given, *(each.plan.site.result for each in passes)]):
            stock.make(tensor, map_rows(tensors[tensor]))
        for each in passes:
            homes = list(each.plan.read_homes())
            for reading in each.readings:
                stock.read(reading, [home for at, home in homes if at == reading.position])
        came = self._inputs(stock, first) if group == 0 else self.bench.all([])
        over = [self.bench.env.process(self._site(each, ends)) for each in passes]
        yield self.bench.all([came, *over])

    def _site(self, work: Pass, ends: dict[int, tuple[int, int]]) -> Steps:
        since = int(self.bench.env.now)
        yield work.begin()
        ends[work.plan.site.index] = (since, int(self.bench.env.now))

    def _waits_fit(self, batch: int) -> bool:
        """Whether all inferences can wait at the boundaries of groups."""
        groups = [self._plans(group) for group in range(self.placement.groups)]
        boundaries = [(a[-1].site.index, b[0].site.index) for a, b in pairwise(groups)]
        return batch == 1 or self.placement.rooms.all_fit(batch, boundaries)

    def _plans(self, group: int) -> list[Plan]:
        """The sites with work in a group; a digital one comes with the last matrix before it."""
        found, last = [], 0
        for plan in self.placement.plans:
            resident = {int(self.placement.tiles.resident[t]) for b in plan.blocks for t in b.tiles}
            last = max(resident, default=last)
            if group in (resident or {last}):
                found.append(plan)
        return found

    def _inputs(self, stock: Stock, number: int) -> simpy.Event:
        """Bring what the network is given from the edge to its homes, row by row."""
        tensors = self.placement.network.tensors
        heights = list(dict.fromkeys(map_rows(tensors[s.tensor]) for s, _ in self.placement.inputs))
        arrivals: dict[int, list[list[simpy.Event]]] = {
            rows: [[] for _ in range(rows * stock.inferences)] for rows in heights
        }
        for place, (source, store) in enumerate(self.placement.inputs):
            rows = map_rows(tensors[source.tensor])
            way = self.movement.crossings(
                store.way, -(-tensors[source.tensor].elements // rows) * store.bits
            )
            for row, arrived in enumerate(arrivals[rows]):
                order = (number, heights.index(rows), row, 0, 0, place)
                arrived.append(self.bench.env.event())
                room = stock.room(source.tensor, row)
                self.bench.env.process(self._input(way, order, room, arrived[-1]))
        for rows, arrived in arrivals.items():
            mine = [
                s.tensor for s, _ in self.placement.inputs if map_rows(tensors[s.tensor]) == rows
            ]
            self.bench.env.process(stock.making(dict.fromkeys(mine), arrived))
        return self.bench.all(e for rows in arrivals.values() for events in rows for e in events)

    def _input(
        self, way: list[Crossing], order: Order, room: list[simpy.Event], arrived: simpy.Event
    ) -> Steps:
        """A row comes when its home has room."""
        yield self.bench.all(room)
        yield self.movement.move(way, order)
        arrived.succeed()
