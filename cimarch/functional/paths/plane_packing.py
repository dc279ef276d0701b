"""Inputs on their way to lookups: padded, filled row by row, packed bit by bit."""

from __future__ import annotations

from typing import Any

from cimarch.engine.compiled import compiled_part
from cimarch.functional.paths.lookups import LANES, add_inputs, copy_bytes, pack_rows
from cimarch.functional.paths.plane_data import ROWS, Bytes, Plan, Room, Source

_MOST_ROWS = 256
_SIGNED = _ONE = (0,)
_EIGHT, _SIXTEEN, _THIRTY_TWO, _SIXTY_FOUR = ((0,) * count for count in (8, 16, 32, 64))


def lay_out_maps(
    maps: Bytes, fill: Bytes, padding: tuple[int, int, int, int], strides: int, into: Bytes
) -> None:
    """Pad maps (maps, images x channels, height, width), and part their columns by their remainder
    by the stride: (maps, images x channels, rows, strides, columns), one after the other."""
    above, below, left, right = padding
    high, wide = maps.shape[2], maps.shape[3]
    phase = -(-(wide + left + right) // strides)
    at, line = above * strides * phase, strides * phase
    each = maps.shape[1] * (high + above + below) * line
    for m in range(maps.shape[0]):
        into[m * each : (m + 1) * each] = fill[m]
        for n in range(maps.shape[1]):
            for y in range(high):
                if strides > 1:
                    _part(maps[m, n, y], left, strides, phase, into, at)
                else:
                    _copy(maps, ((m * maps.shape[1] + n) * high + y) * wide, wide, into, at + left)
                at += line
            at += (above + below) * line


@compiled_part
def _copy(source: Bytes, s: int, count: int, into: Bytes, i: int) -> None:
    """Copy bytes by pieces of one size, the last of which may overlap the one before."""
    if count < 8:
        for n in range(count):
            copy_bytes(_ONE, into, i + n, source, s + n)
    elif count < 16:
        _copy_by(_EIGHT, source, s, count, into, i)
    elif count < 32:
        _copy_by(_SIXTEEN, source, s, count, into, i)
    elif count < 64:
        _copy_by(_THIRTY_TWO, source, s, count, into, i)
    else:
        _copy_by(_SIXTY_FOUR, source, s, count, into, i)


@compiled_part
def _copy_by(wide: Any, source: Bytes, s: int, count: int, into: Bytes, i: int) -> None:
    for n in range(0, count - len(wide), len(wide)):
        copy_bytes(wide, into, i + n, source, s + n)
    copy_bytes(wide, into, i + count - len(wide), source, s + count - len(wide))


@compiled_part
def _part(row: Bytes, left: int, strides: int, phase: int, into: Bytes, at: int) -> None:
    """Part the columns of one row."""
    for remainder in range(strides):
        first = (remainder - left) % strides
        place = at + remainder * phase + (first + left) // strides
        for x in range((len(row) - first + strides - 1) // strides):
            into[place + x] = row[first + x * strides]


@compiled_part
def _copy_rows(
    wide: Any, source: Source, begin: int, into: Bytes, i: int, q: int, end: int
) -> None:
    """One row of the matrix for output rows q to end, `len(wide)` bytes at a time."""
    high, across = source.shape[1], source.shape[2]
    image, y = q // high, q % high
    for _ in range(q, end):
        place = begin + image * source.shape[3] + y * source.shape[4]
        for x in range(0, across, len(wide)):
            copy_bytes(wide, into, i + x, source.bytes, place + x)
        i += across
        y += 1
        if y == high:
            y, image = 0, image + 1


@compiled_part
def fill(
    plan: Plan, source: Source, g: int, s: int, q: int, end: int, width: int, into: Bytes
) -> None:
    """All rows of a section, one stretch of `width` bytes each; a copy may reach into the next."""
    across = source.shape[2]
    padded = plan.lookups[s] * ROWS
    for m in range(len(plan.maps)):
        for row in range(plan.rows[s]):
            begin = source.at[plan.group[g], plan.first[s] + row] + m * source.shape[5]
            i = (m * padded + row) * width
            if across <= 8:
                _copy_rows(_EIGHT, source, begin, into, i, q, end)
            elif across <= 16:
                _copy_rows(_SIXTEEN, source, begin, into, i, q, end)
            elif across <= 32:
                _copy_rows(_THIRTY_TWO, source, begin, into, i, q, end)
            else:
                _copy_rows(_SIXTY_FOUR, source, begin, into, i, q, end)


@compiled_part
def pack(planes: Any, plan: Plan, s: int, width: int, room: Room) -> None:
    """Indices (byte map, block, lookup, plane, 64)."""
    i = 0
    for m in range(len(plan.maps)):
        for block in range(0, width, LANES):
            for lookup in range(plan.lookups[s]):
                row = (m * plan.lookups[s] + lookup) * ROWS
                pack_rows(planes, ROWS, room.filled, row * width + block, width, room.indices, i)
                i += len(planes) * LANES


@compiled_part
def sum_inputs(plan: Plan, s: int, width: int, room: Room) -> None:
    """Add a section's inputs to the sums that corrections take."""
    at = plan.tile[s] * room.inputs.shape[1]
    for m in range(len(plan.maps)):
        scale, signed = plan.maps[m, 0], plan.maps[m, 1]
        for row in range(0, plan.rows[s], _MOST_ROWS):
            rows = min(_MOST_ROWS, plan.rows[s] - row)
            i = (m * plan.lookups[s] * ROWS + row) * width
            for block in range(0, width, LANES):
                if signed:
                    add_inputs(
                        _SIGNED, room.filled, i + block, width, rows, room.inputs, at + block, scale
                    )
                else:
                    add_inputs(
                        (), room.filled, i + block, width, rows, room.inputs, at + block, scale
                    )
