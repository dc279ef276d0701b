"""What adds up over a run: arrays that are held, power, and bytes in buffers, as steps in time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import attrs
import numpy as np
from numpy.typing import ArrayLike

from cimarch.engine.tasks import Ints
from cimarch.program.program import Program
from cimarch.report.slices import Slices

PICO = Fraction(10**12)
NOTHING = Fraction(0)


@attrs.frozen(eq=False)
class Counter:
    """A whole number that changes at some cycles; 0 before the first."""

    name: str
    unit: str
    times: Ints
    """Ascending, each once."""
    values: Ints
    """From that cycle on."""
    per_unit: Fraction = Fraction(1)
    """How many of a value make one unit."""

    def __len__(self) -> int:
        return len(self.times)

    def of(self, value: int) -> float:
        """A value in units."""
        return float(value / self.per_unit)

    def within(self, first: int, last: int) -> Counter:
        """The part of `first <= cycle < last`, beginning with the value at `first`."""
        begin = int(np.searchsorted(self.times, first, side="right"))
        end = int(np.searchsorted(self.times, last))
        times, values = self.times[begin:end], self.values[begin:end]
        if begin and first < last:
            times = np.concatenate(([first], times))
            values = np.concatenate((self.values[begin - 1 : begin], values))
        return attrs.evolve(self, times=times, values=values)


def counter(
    name: str,
    unit: str,
    times: Sequence[ArrayLike],
    changes: Sequence[ArrayLike],
    per_unit: Fraction = Fraction(1),
) -> Counter:
    """Add changes up; those of one cycle are one step, and one that changes nothing is none."""
    none = np.zeros(0, np.int64)
    when = np.concatenate((*(np.asarray(each, np.int64) for each in times), none))
    change = np.concatenate((*(np.asarray(each, np.int64) for each in changes), none))
    order = np.argsort(when, kind="stable")
    when, value = when[order], np.cumsum(change[order])
    last = np.flatnonzero(np.diff(when, append=-1) != 0)
    when, value = when[last], value[last]
    kept = np.diff(value, prepend=0) != 0
    return Counter(name, unit, when[kept], value[kept], per_unit)


def active_arrays(program: Program, found: Slices) -> Counter:
    """Arrays held by some tasks; over a whole run its maximum is the report's `peak_arrays`."""
    pools = {pool.path for pool in program.placement.pools}
    sizes = np.array([len(at) if at.path in pools else 0 for at in program.resources], np.int64)
    held = sizes[found.resource]
    return counter("active arrays", "held", (found.start + found.busy, found.start), (-held, held))


def power(program: Program, found: Slices, makespan: int, always: Fraction) -> Counter:
    """Joules of tasks spread evenly over the cycles that they hold their part, and what is paid for
    time: `always` watts, spread evenly over the run.

    In whole picowatts, or larger steps where these would not fit 64 bits. Actions of unknown cost
    count as nothing. The integral over the run is the energy of the report.
    """
    clock = program.placement.system.clock
    kinds, which = np.unique(np.stack((found.charge, found.busy)), axis=1, return_inverse=True)
    joules = [sum((c.joules or NOTHING for c in charges), NOTHING) for charges in program.charges]
    watts = [joules[charge] * clock / busy for charge, busy in kinds.T.tolist()]
    most = max(watts, default=NOTHING) * len(program.resources) + always
    steps = _steps(most)
    each = np.array([*(round(w * steps) for w in watts), 0], np.int64)[which.reshape(-1)]
    static = round(always * steps)
    return counter(
        "power", "W",
        (found.start + found.busy, found.start, [0, makespan]), (-each, each, [static, -static]),
        steps,
    )  # fmt: skip


def _steps(most: Fraction) -> Fraction:
    """Steps of one unit: 10^12, or as few as 64 bits have room for."""
    steps = PICO
    while most * steps >= 2**62:
        steps /= 10**3
    return steps
