"""Writing weights: every row of every array by itself, over its way and into the cells."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import simpy

from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Placement
from oracle.hardware import Bench, Order, Steps
from oracle.movement import Crossing, Movement, stated


class Loads:
    """The writers of a placement's arrays."""

    def __init__(self, bench: Bench, movement: Movement, placement: Placement) -> None:
        self.bench = bench
        self.movement = movement
        self.placement = placement

    def load(self, tiles: Sequence[int], number: int) -> simpy.Event:
        """Write some tiles' weights; the event that all are written."""
        writes = [self._tile(tile, (number, 0, 0, 0, 0, tile)) for tile in tiles]
        return self.bench.all(writes)

    def _tile(self, tile: int, order: Order) -> simpy.Event:
        """Send a tile's rows one after the other; its array is held from the first write on."""
        env, placement = self.bench.env, self.placement
        rows, columns = int(placement.tiles.rows[tile]), int(placement.tiles.columns[tile])
        wiring = placement.wirings[int(placement.tiles.pool[tile])]
        at = wiring.array(int(placement.tiles.array[tile]))
        source = wiring.weight_source(at)
        route = wiring.routes.find(source, at, wiring.weight_port) if source is not None else None
        bits = columns * wiring.pool.integer("cell_bits")
        way = self.movement.crossings(route, bits) if route is not None else []
        here = [env.event() for _ in range(rows)]
        done = env.event()
        ends = [Fraction(0)] * len(way)
        for row in range(rows):
            env.process(self._row(way, row, ends, order, here[row]))
        env.process(self._write(wiring.pool, at, here, columns, order, done))
        return done

    def _row(
        self, way: Sequence[Crossing], row: int, ends: list[Fraction], order: Order,
        here: simpy.Event,
    ) -> Steps:  # fmt: skip
        """One row on its way: it is on the next part when all its words have left the last.

        `ends` says of every part when the row before has left it, which may be within a cycle.
        """
        for i, crossing in enumerate(way):
            for action, count in crossing.did:
                self.bench.count(crossing.at.path, action, count)
            cycles = crossing.whole * self.bench.system.clock
            busy = max(1, ceil((row + 1) * cycles) - ceil(row * cycles))
            job = self.bench.work(crossing.at, busy, (*order, row, i))
            yield job.started
            now = int(self.bench.env.now)
            ends[i] = max(ends[i], Fraction(now)) + cycles
            late = ceil((crossing.first - crossing.word) * self.bench.system.clock)
            yield self.bench.env.timeout(max(1, ceil(ends[i]) - now) + late)
        here.succeed()

    def _write(
        self, pool: Part, at: Instances, here: Sequence[simpy.Event], columns: int, order: Order,
        done: simpy.Event,
    ) -> Steps:  # fmt: skip
        """Write rows as they come; the whole array at once when all have come.

        A row begins when it has come and the one before is written, which may be within a cycle;
        the last ends with the cycle in which it does.
        """
        env = self.bench.env
        pulses = pool.integer("pulses")
        once = stated(pool, "write", 1 / pool.clock) * pulses
        per = pool.word("write_per")
        each = once * columns if per == "cell" else once
        groups = [list(here)] if per == "array" else [[row] for row in here]
        written = env.event()
        yield self.bench.all(groups[0])
        held = self.bench.work(at, 1, (*order, len(here), 99), released=written)
        yield held.started
        cycles, end = each * self.bench.system.clock, Fraction(0)
        for rows in groups:
            yield self.bench.all(rows)
            self.bench.count(pool.path, "write", pulses * (columns if per == "cell" else 1))
            end = max(end, Fraction(int(env.now))) + cycles
        yield env.timeout(ceil(end) - int(env.now))
        written.succeed()
        done.succeed()
