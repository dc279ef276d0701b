"""How fast an array's results are read out: reads, bursts of conversions, and their overlap.

A product is n = word-line groups x input steps reads, each followed by a burst: all turns of the
converters for that read. With a sample-and-hold between array and converters a read may start when
the conversion of the read before it starts; without, a read and its burst follow one another. Both
the program, which makes tasks of it, and the placement, which weighs copies by it, ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import attrs

from cimarch.hardware.actions import latency_of
from cimarch.hardware.encoding import (
    conversions_per_line,
    groups,
    steps,
)
from cimarch.mapping.densities import HALVES, Density
from cimarch.mapping.precision import Bits
from cimarch.mapping.wiring import Convert, Wiring


class Vector(NamedTuple):
    """What one product is: the used part of an array, the precision, and how full both are."""

    rows: int
    columns: int
    lines: int
    """Sense lines converted."""
    bits: Bits
    at_column: int = 0
    """First column used."""
    density: Density = HALVES


@attrs.frozen
class Shot:
    """The reads of one product; where groups take different times, all take the longest."""

    groups: tuple[int, ...]
    """Rows active in each word-line group."""
    each: int
    """Input steps of a group."""
    conversions: int
    """Conversions of one sense line in a group."""
    time: Fraction
    """Seconds of one read."""
    running: Mapping[str, Fraction]
    """The names that costs may read."""

    @property
    def reads(self) -> int:
        """Reads of the product."""
        return self.each * len(self.groups)

    @property
    def bursts(self) -> int:
        """Bursts of conversions of the product."""
        return len(self.groups) * self.conversions


def shot(wiring: Wiring, vector: Vector) -> Shot:
    """The reads of a product on an array of a pool."""
    pool, (dac, _) = wiring.pool, wiring.driver
    read = groups(pool, vector.rows)
    dac_bits = dac.integer("bits") if dac else vector.bits.input
    each = steps(pool, dac_bits, vector.bits.input)
    running = {
        "active_rows": Fraction(read[0]),
        "active_columns": Fraction(vector.columns),
        "input_bits": Fraction(vector.bits.input),
        "weight_bits": Fraction(vector.bits.weight),
        "steps": Fraction(each),
        **vector.density.running,
    }
    times = [
        latency_of(pool, "read", 1 / pool.clock, running | {"active_rows": Fraction(rows)})
        for rows in set(read)
    ]
    conversions = conversions_per_line(pool, dac_bits, vector.bits.input)
    return Shot(read, each, conversions, max(times), running)


def turns(wiring: Wiring, vector: Vector, convert: Convert) -> int:
    """Conversions that the busiest of an array's converters makes in one read."""
    weight = vector.bits.weight
    first = wiring.line_of(vector.at_column, weight)
    return wiring.turns(vector.lines, len(convert.at), weight, first)


@attrs.frozen
class Pace:
    """n reads and their bursts, in exact times."""

    reads: int
    bursts: int
    read: Fraction
    """Seconds of one read."""
    burst: Fraction
    """Seconds of one burst."""

    @property
    def before_burst(self) -> Fraction:
        """Seconds of the reads before a burst: several where input bits add in analog."""
        return self.read * (self.reads // self.bursts)

    @property
    def total(self) -> Fraction:
        """Seconds of all reads and bursts, one after the other."""
        return self.reads * self.read + self.bursts * self.burst

    @property
    def is_bound_by_bursts(self) -> bool:
        """Whether a burst takes longer than the reads before it."""
        return self.burst > self.before_burst

    @property
    def steady(self) -> Fraction:
        """Seconds from product to product where a read overlaps the burst before it."""
        return self.bursts * max(self.before_burst, self.burst)

    @property
    def overlapped(self) -> Fraction:
        """Seconds of one product alone where a read overlaps the burst before it."""
        return min(self.before_burst, self.burst) + self.steady


def seconds_per_product(wiring: Wiring, vector: Vector, array: int) -> Fraction:
    """Seconds from product to product on one array that shares its converters with no other."""
    reading, convert = shot(wiring, vector), wiring.convert(array)
    if convert is None or wiring.converter is None:
        return reading.reads * reading.time
    burst = turns(wiring, vector, convert) / wiring.converter.number("rate")
    pace = Pace(reading.reads, reading.bursts, reading.time, burst)
    return pace.steady if wiring.has_hold else pace.total
