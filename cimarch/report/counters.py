"""What adds up over a run: arrays that are held, power, and bytes in buffers, as steps in time."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike

from cimarch.engine.tasks import Ints
from cimarch.program.program import Program
from cimarch.report.slices import Slices

PICO = 10**12


@attrs.frozen(eq=False)
class Counter:
    """A whole number that changes at some cycles; 0 before the first."""

    name: str
    unit: str
    times: Ints
    """Ascending, each once."""
    values: Ints
    """From that cycle on."""
    per_unit: int = 1
    """How many of a value make one unit."""

    def __len__(self) -> int:
        return len(self.times)

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
    per_unit: int = 1,
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


def power(program: Program, found: Slices, makespan: int) -> Counter:
    """Joules of tasks spread evenly over the cycles that they hold their part, and leakage.

    In whole picowatts. Actions of unknown cost count as nothing. The integral over the run is the
    energy of the report.
    """
    clock = program.placement.system.clock
    kinds, which = np.unique(np.stack((found.charge, found.busy)), axis=1, return_inverse=True)
    watts = [
        round(
            sum((c.joules or 0 for c in program.charges[charge]), 0 * clock) * clock * PICO / busy
        )
        for charge, busy in kinds.T.tolist()
    ]
    each = np.array([*watts, 0], np.int64)[which.reshape(-1)]
    parts = program.placement.system.walk()
    leakage = round(sum((part.leakage * part.count for part in parts), 0 * clock) * PICO)
    return counter(
        "power", "W",
        (found.start + found.busy, found.start, [0, makespan]), (-each, each, [leakage, -leakage]),
        PICO,
    )  # fmt: skip
