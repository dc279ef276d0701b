"""What writing cells takes: the time of a block of them on one array, and its charge.

What is one write is the pool's `write_per`: a row of cells, a cell, or the whole array (which waits
for its last row).
"""

from __future__ import annotations

from fractions import Fraction

import attrs

from cimarch.hardware.system import RUNNING_NAMES, Part
from cimarch.program.charges import Charge, charge, latency_of
from cimarch.program.products import Vector


@attrs.frozen
class Writes:
    """The writing of rows of cells."""

    each: Fraction
    """Seconds between two rows."""
    final: Fraction
    """Seconds after the last row has come."""
    rows: int
    priced: Charge

    @property
    def seconds(self) -> Fraction:
        """Of all rows, where they are there when it begins."""
        return self.final + (self.rows - 1) * self.each


def writing(pool: Part, vector: Vector) -> Writes:
    """The writing of `vector.rows` rows of `vector.columns` cells on one array."""
    rows, columns = vector.rows, vector.columns
    per = pool.word("write_per")
    pulses = pool.integer("pulses")
    running = dict.fromkeys(RUNNING_NAMES, Fraction(1))
    running |= {"active_columns": Fraction(columns if per != "cell" else 1)}
    running |= {"active_rows": Fraction(rows if per == "array" else 1)}
    running |= {"weight_bits": Fraction(vector.bits.weight)}
    running |= {"input_bits": Fraction(vector.bits.input)}
    running |= vector.density.running
    cycle = 1 / pool.clock
    time = latency_of(pool, "write", cycle, running) * pulses
    count, each, final = {
        "array": (1, Fraction(0), time),
        "cell": (rows * columns, time * columns, time * columns),
        "row": (rows, time, time),
    }[per]
    busy = final + (rows - 1) * each
    return Writes(
        each, final, rows, charge(pool, "write", count * pulses, busy=busy, running=running)
    )
