"""Writing weights: from where they are kept, over their route, into the cells.

A load of one array is a transfer whose words are rows: the first row is written when it has come,
the last when it has come and been written, so link and cell writing overlap row by row. Its time is
h_1 + ... + h_k + w + (rows - 1) max(h_1, ..., h_k, w), with h_i the time of one row on part i and w
the writing of one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

import attrs
import numpy as np

from cimarch.engine.edges import Edge
from cimarch.engine.pieces import Template
from cimarch.engine.tasks import JOIN
from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Placement
from cimarch.mapping.wiring import Wiring
from cimarch.program.charges import Charge
from cimarch.program.context import KIND, Context
from cimarch.program.products import Vector
from cimarch.program.streams import Draft, End
from cimarch.program.transfers import Toll, Transfer
from cimarch.program.writes import Writes, writing


@attrs.frozen
class _Task:
    resource: int
    busy: int
    latency: int
    kind: str
    charge: int


@attrs.frozen
class Load:
    """A piece that writes weights; its last slot joins all writes."""

    draft: Draft
    done: Mapping[int, int]
    """Per site the slot that joins its writes."""


class Loads:
    """Tasks that write the tiles of a placement."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.placement: Placement = context.placement
        self._written: dict[tuple[str, Vector], Writes] = (
            {} if context.kept is None else context.kept.writings
        )
        self._crossed: dict[tuple[Toll, int], tuple[Fraction, Fraction, tuple[Charge, ...]]] = (
            {} if context.kept is None else context.kept.crossings
        )
        self._crossings: dict[tuple[Toll, int], tuple[int, int, int]] = {}
        self._known: dict[
            tuple[str, Vector, tuple[Toll, ...]], list[tuple[int, int, str, int]]
        ] = {}
        self._templates: dict[tuple[str, int, Vector], list[_Task]] = {}

    def load(
        self,
        tiles: list[int],
        group: int,
        barrier: tuple[End, ...],
        used: Mapping[tuple[str, int], tuple[End, ...]],
    ) -> Load:
        """Write some tiles after a barrier, each after the last product of its array in `used`."""
        rows: list[tuple[int, ...]] = []
        edges: list[Edge] = []
        opens: list[tuple[int, int]] = []
        writes: list[int] = []
        site = self.placement.tiles.site
        for tile in tiles:
            opens.append((len(rows), len(opens) if used else 0))
            for place, task in enumerate(self._tasks(tile)):
                if place:
                    edges.append(Edge(len(rows), len(rows) - 1))
                rows.append(
                    (task.resource, task.busy, task.latency, KIND[task.kind], tile, task.charge,
                     int(site[tile]))
                )  # fmt: skip
            writes.append(len(rows) - 1)
        done = {}
        mine: dict[int, list[int]] = {}
        for write, index in zip(writes, site[tiles].tolist(), strict=True):
            mine.setdefault(index, []).append(write)
        for index, each in mine.items():
            done[index] = len(rows)
            edges += [Edge(len(rows), write) for write in each]
            rows.append((JOIN, 0, 0, 0, -1, 0, -1))
        edges += [Edge(len(rows), join) for join in done.values()]
        rows.append((JOIN, 0, 0, 0, -1, 0, -1))
        held, busy, latency, kind, tile_of, charged, operation = np.array(rows, np.int64).T
        columns = {"kind": kind, "tile": tile_of, "charge": charged, "operation": operation}
        template = Template.of(
            resource=held, busy=busy, latency=latency, edges=edges,
            gates=1 + max(gate for _, gate in opens), opens=opens, columns=columns,
        )  # fmt: skip
        draft = Draft(template, 1, columns={"group": group})
        for gate in range(template.gates):
            for end in (*barrier, *(used.get(self._place(tiles[gate]), ()) if used else ())):
                draft.wait(gate, end)
        return Load(draft, done)

    def _place(self, tile: int) -> tuple[str, int]:
        """The pool and the array of a tile."""
        tiles = self.placement.tiles
        return self.placement.wiring_of(tile).pool.path, int(tiles.array[tile])

    def _tasks(self, tile: int) -> list[_Task]:
        tiles = self.placement.tiles
        plan = self.placement.plans[int(tiles.site[tile])]
        array = int(tiles.array[tile])
        vector = Vector(
            int(tiles.rows[tile]),
            int(tiles.columns[tile]),
            0,
            self.placement.bits_of(tile),
            density=self.placement.densities.of(plan.site.anchor.name),
        )
        wiring = self.placement.wiring_of(tile)
        key = (wiring.pool.path, array, vector)
        if key not in self._templates:
            self._templates[key] = self._load(wiring, array, vector)
        return self._templates[key]

    def _load(self, wiring: Wiring, array: int, vector: Vector) -> list[_Task]:
        at = wiring.array(array)
        source = wiring.weight_source(at)
        row_bits = vector.columns * wiring.pool.integer("cell_bits")
        way = wiring.routes.find(source, at, wiring.weight_port) if source else None
        transfer = self.context.over(way, row_bits) if way else Transfer()
        times = self._times(wiring.pool, vector, transfer)
        places = [*transfer.ats, at]
        numbers = self.context.resources
        return [_Task(numbers[place], *each) for place, each in zip(places, times, strict=True)]

    def _times(
        self, pool: Part, vector: Vector, transfer: Transfer
    ) -> list[tuple[int, int, str, int]]:
        """Busy cycles, latency, kind and charge of each crossing, then of the writing itself."""
        key = (pool.path, vector, transfer.tolls)
        if key not in self._known:
            write = self._writing(pool, vector)
            slowest = max([write.each, *(toll.busy for toll in transfer.tolls)])
            seconds = write.final + (vector.rows - 1) * slowest
            last = self.context.cycles(seconds, f"writing `{pool.path}`")
            hops = zip(transfer.ats, transfer.tolls, strict=True)
            tasks = [self._crossing(at, toll, vector.rows) for at, toll in hops]
            found = [(busy, late, "load", charges) for busy, late, charges in tasks]
            self._known[key] = [*found, (last, last, "write", self.context.charge((write.priced,)))]
        return self._known[key]

    def _writing(self, pool: Part, vector: Vector) -> Writes:
        key = (pool.path, vector)
        if key not in self._written:
            self._written[key] = writing(pool, vector)
        return self._written[key]

    def _crossing(self, at: Instances, toll: Toll, rows: int) -> tuple[int, int, int]:
        """Busy cycles of a part that all rows cross, cycles until the first is over, the charge."""
        key = (toll, rows)
        if key not in self._crossings:
            busy, late, priced = self._crossing_of(toll, rows)
            held = self.context.cycles(busy, f"a load over `{at.path}`")
            self._crossings[key] = held, self._cycles(late), self.context.charge(priced)
        return self._crossings[key]

    def _crossing_of(self, toll: Toll, rows: int) -> tuple[Fraction, Fraction, tuple[Charge, ...]]:
        """The same in exact seconds, and the charges."""
        key = (toll, rows)
        if key not in self._crossed:
            charges = tuple(
                attrs.evolve(
                    c, count=c.count * rows, joules=None if c.joules is None else c.joules * rows
                )
                for c in toll.charges
            )
            self._crossed[key] = (toll.busy * rows, toll.head + toll.tail, charges)
        return self._crossed[key]

    def _cycles(self, seconds: Fraction) -> int:
        return max(1, ceil(seconds * self.context.clock))
