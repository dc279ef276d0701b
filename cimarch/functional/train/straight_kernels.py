"""The compiled loops around a product that trains: one pass over memory each.

Importing this imports numba. Each does what torch would do in several passes, with the same
rounding: single precision, ties to even. A loop that adds up in any order writes nothing: which of
its versions runs, and so the last bit of the sum, would depend on where the arrays lie in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@compiled(
    [
        f"boolean(float32[::1], float32, float32, float32, float32, {whole}[::1])"
        for whole in ("uint8", "int8", "int16", "int32")
    ]
)
def quantise(
    inputs: Floats, share: float, zero: float, low: float, high: float, whole: NDArray[np.integer]
) -> bool:
    """Fill `whole` with clamp(round(inputs x share) + zero); whether an input is not a number."""
    strange = 0
    for i in range(len(inputs)):
        place = np.rint(inputs[i] * share) + zero
        strange |= place != place
        whole[i] = np.int32(min(max(place, low), high))
    return strange != 0


@compiled(
    "float64(float32[::1], float32[::1], float32, float32, float32, float32[::1])", reorders=True
)
def gate(
    gradient: Floats, inputs: Floats, share: float, low: float, high: float, passed: Floats
) -> float:
    """Fill `passed` with the gradient where low <= inputs x share <= high, and 0 elsewhere.

    Returns the sum of what passes times its input.
    """
    total = 0.0
    block = 4096
    for start in range(0, len(inputs), block):
        part: float = np.float32(0)  # type: ignore[assignment]  # added up in single precision
        for i in range(start, min(start + block, len(inputs))):
            place = inputs[i] * share
            passed[i] = gradient[i] if low <= place and place <= high else np.float32(0)
        for i in range(start, min(start + block, len(inputs))):  # apart: see the top of this file
            part += passed[i] * inputs[i]
        total += part
    return total


@compiled(
    [
        f"void({number}[:, :, ::1], float64, float64[::1], float64[::1], float32[::1],"
        "float32[::1], float32[:, :, ::1])"
        for number in ("int32", "int64", "float32", "float64")
    ]
)
def rescale(
    sums: NDArray[np.generic],
    quantum: float,
    base: Doubles,
    offset: Doubles,
    scale: Floats,
    bias: Floats,
    outputs: Floats,
) -> None:
    """Fill `outputs` (images, outputs, positions) with results.

    f32(quantum x sums + base - offset) x scale + bias, one rounding after each.
    """
    for n in range(sums.shape[0]):
        for o in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                whole = np.float32(quantum * sums[n, o, i] + base[o] - offset[o])
                outputs[n, o, i] = whole * scale[o] + bias[o]


@compiled("void(float32[:, :, ::1], float32[:, :, ::1], float64[::1], float64[::1])", reorders=True)
def moments(gradient: Floats, outputs: Floats, sums: Doubles, weighted: Doubles) -> None:
    """Add to `sums` each output's gradient, and to `weighted` its gradient times its output."""
    for n in range(gradient.shape[0]):
        for o in range(gradient.shape[1]):
            one = np.float32(0)
            two = np.float32(0)
            for i in range(gradient.shape[2]):
                one += gradient[n, o, i]
                two += gradient[n, o, i] * outputs[n, o, i]
            sums[o] += one
            weighted[o] += two


_BELOW, _ABOVE = np.float32(-2), np.float32(2)
"""Marks of a sum that lay outside the range; those of all others are -1/2 .. 1/2."""


@compiled(
    "int64(float32[:, :, ::1], float64[::1], float64[::1], float64[::1], float64, boolean,"
    "float32[::1], int64, float32[:, :, ::1])"
)
def convert(
    sums: Floats,
    shift: Doubles,
    low: Doubles,
    step: Doubles,
    last: float,
    rises: bool,
    factor: Floats,
    first: int,
    codes: Floats,
) -> int:
    """Add factor x code of sums + shift to `codes`, whose output `first` is the sums' first.

    Mid-tread, or mid-rise (`rises`); codes are whole numbers, as those of
    `cimarch.functional.converter.convert`. A sum becomes its mark for `unconvert`: by how many
    steps its code is more, or on which side it clipped. Returns how many conversions clipped.
    """
    top = last + 1 if rises else last
    clipped = 0
    for n in range(sums.shape[0]):
        for o in range(sums.shape[1]):
            taken, into, by = sums[n, o], codes[n, first + o], factor[o]
            below, units = low[o] - shift[o], step[o]
            start = np.rint(low[o] / (units / 2 if rises else units))
            for i in range(len(taken)):
                place = (np.float64(taken[i]) - below) / units
                held = min(max(place, 0.0), last)
                whole = np.floor(held) if rises else np.rint(held)
                stands = whole + 0.5 if rises else whole
                code = (2 * stands if rises else whole) + start
                inside = (place >= 0) & (place <= top)
                beside = _BELOW if place < 0 else _ABOVE
                taken[i] = np.float32(stands - place) if inside else beside
                into[i] += by * np.float32(code)
                clipped += not inside
    return clipped


@compiled(
    "void(float32[:, :, ::1], float32[:, :, ::1], float64[::1], float64[::1], float64, boolean,"
    "int64, float32[:, :, ::1], float64[::1])",
    reorders=True,
)
def unconvert(
    gradient: Floats,
    marks: Floats,
    low: Doubles,
    step: Doubles,
    last: float,
    rises: bool,
    first: int,
    passed: Floats,
    slopes: Doubles,
) -> None:
    """Fill `passed` with the gradient where a conversion did not clip, and 0 elsewhere.

    Adds to `slopes` of each output its gradient times what its step's share in a code is: code -
    sum / step inside the range, and the code outside, codes being counted from 0 units.
    """
    for n in range(marks.shape[0]):
        for o in range(marks.shape[1]):
            taken, given, into = marks[n, o], gradient[n, first + o], passed[n, o]
            least = np.float32(low[o] / step[o] + (0.5 if rises else 0.0))
            most = np.float32(least + last)
            total: float = np.float32(0)  # type: ignore[assignment]  # in single precision
            for i in range(len(taken)):
                mark = taken[i]
                beside = least if mark < 0 else most
                inside = (mark > -1) & (mark < 1)
                into[i] = given[i] if inside else np.float32(0)
            for i in range(len(taken)):
                mark = taken[i]
                beside = least if mark < 0 else most
                inside = (mark > -1) & (mark < 1)
                total += given[i] * (mark if inside else beside)
            slopes[first + o] += total
