"""The digital tail in one pass over memory: scale, bias, second addend, limits, next inputs.

A block of sums small enough for the first cache goes through all of it before the next is touched.
What is computed is what `cimarch.functional.run.tail` defines, to the last bit. An array that is
not wanted has no elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part

Array = NDArray[Any]

BLOCK = 1024
"""Elements of a block: in float32 an eighth of a first cache of 32 KiB."""

_ROUND = np.float32(3 << 22)
"""A float32 of this size has no fraction: adding it makes numbers up to 2^22 whole, ties to even
(Warren, "Hacker's Delight", 2nd edition, section 17-2), and its lowest byte is 0: that of the sum
is the number's."""
_BYTE = np.uint32(255)

_ARGUMENTS = "float64[::1], float32[::1], float32[::1], float32[::1], float32[::1], uint8[::1], "
_SIGNATURES = [
    f"void({sums}[::1], {_ARGUMENTS}float32[::1], int64)" for sums in ("float32", "int32")
]

# A block is cut off every array before its elements are counted from 0: with a sum of two numbers
# as index, numba looks whether it is negative, and the loop is not vectorised (20 times slower).


@compiled_part
def _finished(y: Array, other: Array, kept: Array, codes: Array, ends: Array) -> None:
    """What follows scale and bias, for a block.

    `ends`: below and above what the result is held; the factor to the next inputs; the least and
    the largest of these, counted from their zero point; the zero point.
    """
    for i in range(len(other)):
        y[i] += other[i]
    low, high = ends[0], ends[1]
    if low > -np.inf or high < np.inf:
        for i in range(len(y)):
            held = y[i] if y[i] > low else low
            y[i] = held if held < high else high
    for i in range(len(kept)):
        kept[i] = y[i]
    if len(codes):
        factor, least, most, zero = ends[2], ends[3], ends[4], np.uint32(np.int32(ends[5]))
        for i in range(len(y)):
            place = y[i] * factor
            place = place if place > least else least
            y[i] = (place if place < most else most) + _ROUND
        bits = y.view(np.uint32)
        for i in range(len(codes)):
            codes[i] = (bits[i] + zero) & _BYTE


@compiled(_SIGNATURES)
def finish_channels_last(
    sums: Array, offset: Array, factor: Array, bias: Array,
    other: Array, kept: Array, codes: Array, ends: Array, size: int,
) -> None:  # fmt: skip
    """Finish sums with the channels fastest.

    `offset` (empty: zeros), `factor` and `bias` are those of a block of `size` elements: the
    channels' over and over.
    """
    buffer = np.empty(size, np.float32)
    for start in range(0, len(sums), size):
        end = min(start + size, len(sums))
        y, held = buffer[: end - start], sums[start:end]
        if len(offset):
            for i in range(len(held)):
                y[i] = np.float32(np.float64(held[i]) - offset[i]) * factor[i] + bias[i]
        else:
            for i in range(len(held)):
                y[i] = np.float32(held[i]) * factor[i] + bias[i]
        _finished(y, other[start:end], kept[start:end], codes[start:end], ends)


@compiled(_SIGNATURES)
def finish_planes(
    sums: Array, offset: Array, factor: Array, bias: Array,
    other: Array, kept: Array, codes: Array, ends: Array, size: int,
) -> None:  # fmt: skip
    """Finish sums plane by plane, one channel after the other; a plane has `size` elements."""
    buffer = np.empty(BLOCK, np.float32)
    for plane in range(len(sums) // size):
        channel = plane % len(factor)
        scale, shift = factor[channel], bias[channel]
        for start in range(plane * size, (plane + 1) * size, BLOCK):
            end = min(start + BLOCK, (plane + 1) * size)
            y, held = buffer[: end - start], sums[start:end]
            if len(offset):
                taken = offset[channel]
                for i in range(len(held)):
                    y[i] = np.float32(np.float64(held[i]) - taken) * scale + shift
            else:
                for i in range(len(held)):
                    y[i] = np.float32(held[i]) * scale + shift
            _finished(y, other[start:end], kept[start:end], codes[start:end], ends)
