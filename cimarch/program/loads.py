"""Writing weights: from where they are kept, over their route, into the cells.

A load of one array is a transfer whose words are rows: the first row is written when it has come,
the last when it has come and been written, so link and cell writing overlap row by row. Its time is
h_1 + ... + h_k + w + (rows - 1) max(h_1, ..., h_k, w), with h_i the time of one row on part i and w
the writing of one row.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import attrs

from cimarch.engine.build import TableBuilder
from cimarch.hardware.system import RUNNING_NAMES
from cimarch.mapping.placement import Placement
from cimarch.program.charges import Charge, charge, latency_of
from cimarch.program.context import KIND, Context
from cimarch.program.transfers import Hop


@attrs.frozen
class _Task:
    resource: int
    busy: int
    latency: int
    kind: str
    charge: int


class Loads:
    """Tasks that write the tiles of a placement."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.placement: Placement = context.placement
        self.pool = self.placement.pool
        self._crossed: dict[
            tuple[str, Fraction, tuple[Charge, ...], int], tuple[int, int, int]
        ] = {}
        self._templates: dict[tuple[int, int, int], list[_Task]] = {}

    def add(self, builder: TableBuilder, tiles: list[int], barrier: list[int], group: int,
            inference: int) -> list[int]:  # fmt: skip
        """Append the loads of some tiles after a barrier; the numbers of their write tasks."""
        site = self.placement.tiles.site
        writes = []
        for tile in tiles:
            before = barrier
            number = -1
            for task in self._tasks(tile):
                number = builder.task(
                    resource=task.resource, busy=task.busy, latency=task.latency,
                    predecessors=before,
                    columns={"kind": KIND[task.kind], "tile": tile, "charge": task.charge,
                             "operation": int(site[tile]), "group": group,
                             "inference": inference},
                )  # fmt: skip
                before = [number]
            writes.append(number)
        return writes

    def _tasks(self, tile: int) -> list[_Task]:
        tiles = self.placement.tiles
        key = (int(tiles.array[tile]), int(tiles.rows[tile]), int(tiles.columns[tile]))
        if key not in self._templates:
            self._templates[key] = self._load(*key)
        return self._templates[key]

    def _load(self, array: int, rows: int, columns: int) -> list[_Task]:
        wiring = self.placement.wiring
        at = wiring.array(array)
        source = wiring.weight_source(at)
        row_bits = columns * self.pool.integer("cell_bits")
        way = wiring.routes.find(source, at, wiring.weight_port) if source else None
        crossed = self.context.hops(way, row_bits) if way else ()
        slowest, final, priced = self._write(rows, columns)
        tasks = []
        for hop in crossed:
            slowest = max(slowest, hop.toll.total)
            busy, late, priced_hop = self._crossing(hop, rows)
            tasks.append(_Task(self.context.resource(hop.at), busy, late, "load", priced_hop))
        last = self.context.cycles(final + (rows - 1) * slowest, f"writing `{self.pool.path}`")
        tasks.append(
            _Task(self.context.resource(at), last, last, "write", self.context.charge((priced,)))
        )
        return tasks

    def _crossing(self, hop: Hop, rows: int) -> tuple[int, int, int]:
        """Busy cycles of a part that all rows cross, cycles until the first is over, the charge."""
        key = (hop.at.path, hop.toll.total, hop.toll.charges, rows)
        if key not in self._crossed:
            busy = self.context.cycles(hop.toll.total * rows, f"a load over `{hop.at.path}`")
            charges = tuple(
                attrs.evolve(
                    c, count=c.count * rows, joules=None if c.joules is None else c.joules * rows
                )
                for c in hop.toll.charges
            )
            self._crossed[key] = (busy, self._cycles(hop.toll.total), self.context.charge(charges))
        return self._crossed[key]

    def _cycles(self, seconds: Fraction) -> int:
        return max(1, ceil(seconds * self.context.clock))

    def _write(self, rows: int, columns: int) -> tuple[int, Fraction, Charge]:
        """Seconds that the cells take between rows and after the last row, and the charge.

        What is one write is the pool's `write_per`: a row of cells, a cell, or the whole array
        (which waits for its last row).
        """
        per = self.pool.word("write_per")
        pulses = self.pool.integer("pulses")
        time = latency_of(self.pool, "write", 1 / self.pool.clock) * pulses
        count, each, final = {
            "array": (1, Fraction(0), time),
            "cell": (rows * columns, time * columns, time * columns),
            "row": (rows, time, time),
        }[per]
        running = dict.fromkeys(RUNNING_NAMES, Fraction(1))
        running |= {"active_columns": Fraction(columns if per != "cell" else 1)}
        running |= {"active_rows": Fraction(rows if per == "array" else 1)}
        busy = final + (rows - 1) * each
        priced = charge(self.pool, "write", count * pulses, busy=busy, running=running)
        return each, final, priced
