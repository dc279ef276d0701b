"""A whole run on a tiny chip: groups of weights, inferences, and the sites of a network in turn.

Each window of a site is work of its own: its slices are fetched, its arrays read them, its sums
meet. Each row of results then passes the units of the tail and is stored where it is read. A site
begins when all of the one before is done.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import attrs
import simpy

from cimarch.hardware.routes import Instances
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import map_rows
from oracle.arrays import Arrays
from oracle.hardware import Bench, Steps, settle
from oracle.loads import Loads
from oracle.movement import Movement
from oracle.site import Pass


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
        self.arrays = Arrays(bench, placement)
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
        order = [(g, i) for g in range(groups) for i in range(batch)]
        if groups > 1 and not self._waits_fit(batch):
            order.sort(key=lambda turn: turn[1])
        loaded = 0 if groups == 1 and weights == "preloaded" else -1
        for group, _ in order:
            if group != loaded:
                self.passes += 1
                yield self.loads.load(self._tiles(group), self.passes)
                loaded = group
            if group == 0:
                self.passes += 1
                yield self.bench.all(self._inputs())
            for plan in self._plans(group):
                self.passes += 1
                since = int(self.bench.env.now)
                yield Pass(self, plan, group, self.passes).begin()
                ends[plan.site.index] = (since, int(self.bench.env.now))

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

    def _inputs(self) -> list[simpy.Event]:
        """Bring what the network is given from the edge to its homes, row by row."""
        arrivals = []
        tensors = self.placement.network.tensors
        heights = list(dict.fromkeys(map_rows(tensors[s.tensor]) for s, _ in self.placement.inputs))
        for place, (source, store) in enumerate(self.placement.inputs):
            rows = map_rows(tensors[source.tensor])
            way = self.movement.crossings(
                store.way, ceil(tensors[source.tensor].elements / rows) * store.bits
            )
            for row in range(rows):
                order = (self.passes, heights.index(rows), row, 0, 0, place)
                arrivals.append(self.movement.move(way, order))
        return arrivals
