"""One product on one array: its reads and conversions, their times and what they are charged.

A product is n = word-line groups x input steps reads, each followed by a burst: all turns of the
converters for that read. With a sample-and-hold between array and converters a read may start when
the conversion of the read before it starts; without, a read and its burst follow one another. Step
k of a product ends at ceil(k x step): times are rounded up once, not step by step.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import attrs

from cimarch.hardware.encoding import steps
from cimarch.hardware.routes import Instances
from cimarch.mapping.precision import Bits
from cimarch.mapping.wiring import Convert, Wiring
from cimarch.program.charges import Charge, charge, latency_of


@attrs.frozen
class Vector:
    """What one product is: the used part of an array and the precision."""

    rows: int
    columns: int
    lines: int
    """Sense lines converted."""
    bits: Bits


@attrs.frozen
class Stage:
    """One task of a product, in order; times in system cycles."""

    at: Instances
    busy: int
    latency: int
    kind: str
    """`read`, `convert`, or `product` where both are one task."""
    charges: tuple[Charge, ...] = ()
    after_start: bool = False
    """Waits for the start of the task before it in the product, not for its finish."""
    frees_array: bool = False
    """Where it starts, the next read of the array may start."""


@attrs.frozen
class Product:
    """The tasks of one product, each after the one before."""

    stages: tuple[Stage, ...]
    reads: int
    """Word-line groups x input steps."""
    conversions: int
    interval: Fraction
    """Seconds from one read to the next, steady."""


class Products:
    """Products on the arrays of one pool."""

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.pool = wiring.pool
        self.clock = wiring.system.clock
        self.dac, _ = wiring.driver
        self.read_time = latency_of(self.pool, "read", 1 / self.pool.clock)
        self._found: dict[tuple[Vector, int, int], Product] = {}

    def product(self, vector: Vector, array: int) -> Product:
        """The product of a vector on one array."""
        at, convert = self.wiring.array(array), self.wiring.convert(array)
        key = (vector, len(convert.at) if convert else 0, convert.arrays if convert else 0)
        if key not in self._found:
            self._found[key] = self._product(vector, at, convert)
        found = self._found[key]
        places = {self.pool.path: at}
        if convert is not None:
            places[convert.at.path] = convert.at
        stages = tuple(attrs.evolve(s, at=places[s.at.path]) for s in found.stages)
        return attrs.evolve(found, stages=stages)

    def _product(self, vector: Vector, at: Instances, convert: Convert | None) -> Product:
        groups = self._groups(vector.rows)
        dac_bits = self.dac.integer("bits") if self.dac else vector.bits.input
        n = len(groups) * steps(self.pool, dac_bits, vector.bits.input)
        read_charges = self._read_charges(vector, groups, n)
        if convert is None:
            busy = ceil(n * self.read_time * self.clock)
            stage = Stage(at, busy, busy, "product", read_charges)
            return Product((stage,), n, 0, self.read_time)
        turns = self.wiring.turns(vector.lines, len(convert.at), vector.bits.weight)
        assert self.wiring.converter is not None
        burst = turns / self.wiring.converter.number("rate")
        bursts = self._bursts(n, vector)
        convert_charges = self._convert_charges(vector, bursts, burst, convert)
        timing = _Timing(self.clock, n, bursts, self.read_time, burst, self._delay(burst, turns))
        if convert.arrays > 1:
            stages = timing.shared(at, convert.at, self.wiring.has_hold)
        elif self.wiring.has_hold:
            stages = timing.held(at, convert.at)
        else:
            stages = timing.alone(at)
        stages[0] = attrs.evolve(stages[0], charges=read_charges)
        stages[-1] = attrs.evolve(stages[-1], charges=stages[-1].charges + convert_charges)
        interval = max(self.read_time, burst) if self.wiring.has_hold else self.read_time + burst
        return Product(tuple(stages), n, bursts * vector.lines, interval)

    def _groups(self, rows: int) -> list[int]:
        """Rows active in each word-line group."""
        limit = self.pool.integer("word_lines")
        return [min(limit, rows - first) for first in range(0, rows, limit)]

    def _bursts(self, n: int, vector: Vector) -> int:
        """Conversions per line: one per read, or one per group where input bits add in analog."""
        if self.pool.word("input_accumulation") == "analog":
            return len(self._groups(vector.rows))
        return n

    def _delay(self, burst: Fraction, turns: int) -> Fraction:
        """Seconds from the start of a burst to its last result."""
        assert self.wiring.converter is not None
        rate = self.wiring.converter.number("rate")
        single = latency_of(self.wiring.converter, "convert", 1 / rate)
        merge = self.wiring.merger
        merging = latency_of(merge, "add", Fraction(0)) if merge else Fraction(0)
        return max(burst, burst - 1 / rate + single) + merging

    def _read_charges(self, vector: Vector, groups: list[int], n: int) -> tuple[Charge, ...]:
        each = n // len(groups)
        running = {
            "active_columns": Fraction(vector.columns),
            "input_bits": Fraction(vector.bits.input),
            "weight_bits": Fraction(vector.bits.weight),
            "input_density": Fraction(1),
            "weight_density": Fraction(1),
            "steps": Fraction(each),
        }
        charges = [
            charge(self.pool, "read", each * count, busy=self.read_time * each * count,
                   running={**running, "active_rows": Fraction(rows)})
            for rows, count in {r: groups.count(r) for r in groups}.items()
        ]  # fmt: skip
        if self.dac is not None:
            time = self.read_time * n
            charges.append(
                charge(self.dac, "convert", vector.rows * each, busy=time / len(groups),
                       members=vector.rows, running=running)
            )  # fmt: skip
        return tuple(charges)

    def _convert_charges(
        self, vector: Vector, bursts: int, burst: Fraction, convert: Convert
    ) -> tuple[Charge, ...]:
        count = bursts * vector.lines
        adc = self.wiring.converter
        assert adc is not None
        rate = adc.number("rate")
        charges = [charge(adc, "convert", count, busy=vector.lines / rate * bursts)]
        if self.wiring.hold is not None:
            time = self.read_time * bursts
            charges.append(charge(self.wiring.hold, "hold", count, busy=time, members=vector.lines))
        if self.wiring.merger is not None:
            charges.append(charge(self.wiring.merger, "add", count, busy=burst * bursts))
        return tuple(charges)


@attrs.frozen
class _Timing:
    """Tasks of n reads and their bursts, from exact times."""

    clock: Fraction
    reads: int
    bursts: int
    read: Fraction
    burst: Fraction
    delay: Fraction

    def _cycles(self, seconds: Fraction) -> int:
        return max(1, ceil(seconds * self.clock))

    def alone(self, at: Instances) -> list[Stage]:
        """No hold, private converters: one task holds the array through reads and bursts."""
        busy = self._cycles(self.reads * self.read + self.bursts * self.burst)
        late = self._cycles(self.reads * self.read + (self.bursts - 1) * self.burst + self.delay)
        return [Stage(at, busy, late, "product")]

    def held(self, at: Instances, converter: Instances) -> list[Stage]:
        """A hold, private converters: reads and bursts overlap, merged without loss.

        Where a read is the longer, all reads follow one another and only the last burst is left;
        else the first read is followed by all bursts, and the array is free for the next product
        when the last of them starts. Bits that add in analog are read in one go before a burst.
        """
        per = self.reads // self.bursts
        read, burst, n = self.read * per, self.burst, self.bursts
        last = self._cycles(burst)
        late = self._cycles(self.delay)
        if read >= burst:
            reads = self._cycles(n * read)
            return [
                Stage(at, reads, reads, "read"),
                Stage(converter, last, late, "convert"),
            ]
        first = self._cycles(read)
        before = ceil((read + n * burst) * self.clock) - first - last
        stages = [Stage(at, first, first, "read")]
        if before > 0:
            stages.append(Stage(converter, before, before, "convert"))
        stages.append(Stage(converter, last, late, "convert", frees_array=True))
        return stages

    def shared(self, at: Instances, converter: Instances, hold: bool) -> list[Stage]:
        """Converters that other arrays use too: every read and every burst is a task."""
        per = self.reads // self.bursts
        stages: list[Stage] = []
        for k in range(self.bursts):
            read = self._between(k, self.read * per)
            burst = self._between(k, self.burst)
            late = self._cycles(self.delay) if k == self.bursts - 1 else burst
            stages.append(Stage(at, read, read, "read", after_start=hold and k > 0))
            stages.append(Stage(converter, burst, late, "convert", frees_array=hold))
        return stages

    def _between(self, k: int, step: Fraction) -> int:
        """Cycles of step k, so that step k ends at ceil((k + 1) x step)."""
        return max(1, ceil((k + 1) * step * self.clock) - ceil(k * step * self.clock))
