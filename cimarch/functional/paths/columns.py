"""The conversions of many column sums at once, added up where they belong; compiled.

Sums come as rows of windows, one row per sense line of an output, so that everything but the sum is
the same along a row. Codes are added as whole numbers in float64, which holds them exactly.
The formulas are those of `cimarch.functional.converter.convert`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled

Floats = NDArray[np.float64]

KINDS = {"mid_tread": 0, "sign_magnitude": 0, "mid_rise": 1, "thresholds": 2}
"""What the kernels call a transfer."""
EXACT = 3
"""No converter: a sum is its own code."""

_ROWS = "f8[::1], f8[::1], f8, f8[::1], f8[::1]"
_EITHER = ("f4[:, ::1]", "f8[:, ::1]")


@compiled([f"void(i8, {sums}, {_ROWS}, f8[::1], f8[:, ::1])" for sums in _EITHER])
def add(
    kind: int,
    sums: Floats,
    lows: Floats,
    steps: Floats,
    last: float,
    thresholds: Floats,
    values: Floats,
    factors: Floats,
    codes: Floats,
) -> None:
    """Add factors[r] x code of sums[r, w] to codes[r // group, w].

    `sums` are (rows, windows), float32 or float64; `codes` (rows / group, windows), `group` being
    the rows that follow each other for one output. `last` is the highest code; `values` is what the
    codes of transfer `thresholds` count.
    """
    rows, windows = sums.shape
    group = rows // codes.shape[0]
    for r in range(rows):
        low, step, factor = lows[r], steps[r], factors[r]
        taken, into = sums[r], codes[r // group]
        if kind == 0:
            first = np.rint(low / step)
            for w in range(windows):
                place = (np.float64(taken[w]) - low) / step
                into[w] += factor * (np.rint(min(max(place, 0.0), last)) + first)
        elif kind == 1:
            first = np.rint(low / (step / 2)) + 1
            for w in range(windows):
                place = (np.float64(taken[w]) - low) / step
                into[w] += factor * (2 * min(max(np.floor(place), 0.0), last) + first)
        elif kind == 2:
            for w in range(windows):
                place = np.float64(taken[w]) / step
                code = 0
                for t in range(len(thresholds)):
                    code += thresholds[t] <= place
                into[w] += factor * values[code]
        else:
            for w in range(windows):
                into[w] += factor * np.float64(taken[w])


@compiled([f"UniTuple(i8, 2)(i8, {sums}, {_ROWS})" for sums in _EITHER])
def count(
    kind: int,
    sums: Floats,
    lows: Floats,
    steps: Floats,
    last: float,
    thresholds: Floats,
    levels: Floats,
) -> tuple[int, int]:
    """How many conversions of these sums clip, and how many of the others round.

    `levels` are what the codes of transfer `thresholds` stand for, in steps.
    """
    clipped = rounded = 0
    rows, windows = sums.shape
    for r in range(rows):
        for w in range(windows):
            place = (np.float64(sums[r, w]) - lows[r]) / steps[r]
            least, most, nearest = 0.0, last, np.rint(place)
            if kind == 1:
                most, nearest = last + 1, min(np.floor(place), last) + 0.5
            elif kind == 2:
                code = 0
                for t in range(len(thresholds)):
                    code += thresholds[t] <= place
                least, most, nearest = levels.min(), levels.max(), levels[code]
            if place < least or place > most:
                clipped += 1
            elif nearest != place:
                rounded += 1
    return clipped, rounded


@compiled([f"void({sums}, f8[::1], f8[::1], f8, f8, f8[::1])" for sums in _EITHER])
def bend(
    sums: Floats, lows: Floats, steps: Floats, span: float, cubic: float, table: Floats
) -> None:
    """Add to sums (rows, windows) what a converter's curve deviates there, in place.

    A range is `span` steps long. The deviation, in steps, is `cubic` x (u - u^3) with u from -1 to
    1 along it, or, where `table` has entries, a line from each to the next.
    """
    last = len(table) - 1
    for r in range(sums.shape[0]):
        low, step = lows[r], steps[r]
        for w in range(sums.shape[1]):
            share = min(max((sums[r, w] - low) / step / span, 0.0), 1.0)
            if last > 0:
                before = min(int(share * last), last - 1)
                rest = share * last - before
                moved = table[before] + rest * (table[before + 1] - table[before])
            else:
                u = 2 * share - 1
                moved = cubic * (u - u * u * u)
            sums[r, w] += moved * step
