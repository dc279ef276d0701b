"""Lines whose sums fit bytes: tables of their digits, sums by lookups, codes, all in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from cimarch.engine.compiled import compiled_part
from cimarch.functional.paths.lookups import (
    CLIP,
    LANES,
    LIMIT,
    LOOK_UP,
    SATURATE_LIMIT,
    SATURATE_LOOK_UP,
    add_codes,
    make_table,
)
from cimarch.functional.paths.plane_data import CONSTANT, ROWS, Bytes, Longs, Plan, Room


@compiled_part
def make_tables(plan: Plan, g: int, s: int, first: int, end: int, into: Bytes) -> None:
    """Tables (output, line, lookup, 64) of the digits of some outputs, where they are not all 0."""
    size = plan.digits.shape[4]
    outputs, lines = plan.digits.shape[2], plan.digits.shape[3]
    t = 0
    for o in range(first, end):
        for line in range(lines):
            d = (((g * plan.digits.shape[1] + s) * outputs + o) * lines + line) * size
            for n in range(plan.used[g, s, o, line]):
                lookup = plan.order[g, s, o, line, n]
                make_table(ROWS, plan.digits, d + lookup * ROWS, into, t)
                t += LANES


@compiled_part
def multiply(
    planes: Any, counting: Any, plan: Plan, g: int, s: int, first: int, end: int, windows: int,
    room: Room, counts: Longs,
) -> None:  # fmt: skip
    """Outputs `first` to `end` of a section, block by block: those lines that fit bytes."""
    outputs, lines, held = plan.digits.shape[2], plan.digits.shape[3], room.sums.shape[0]
    sums, tables, indices, bits = room.sums, room.tables, room.indices, plan.bits[0]
    for block in range(-(-windows // LANES)):
        i = block * plan.lookups[s] * len(planes) * LANES
        valid = _valid(windows - block * LANES)
        t = 0
        for o in range(first, end):
            for line in range(lines):
                how, used = plan.how[g, s, o, line], plan.used[g, s, o, line]
                p = ((g * len(plan.first) + s) * outputs + o) * lines + line
                p *= plan.order.shape[4]
                start, low = plan.start[g, s, o, line], plan.low[g, s, o, line]
                high, c = plan.high[g, s, o, line], plan.codes[g, s, o, line]
                factor = plan.factor[g, s, o, line]
                at = line if held > 1 else 0
                a = (at * sums.shape[1] + o) * sums.shape[2] + block * LANES
                found = 0
                if how == LIMIT:
                    found = add_codes(
                        planes, ROWS, LIMIT, tables, t, plan.order, p, used, indices, i,
                        start, low, high, plan.tables, c, sums, a, factor, counting, bits, valid,
                    )  # fmt: skip
                elif how == CLIP:
                    found = add_codes(
                        planes, ROWS, CLIP, tables, t, plan.order, p, used, indices, i,
                        start, low, high, plan.tables, c, sums, a, factor, counting, bits, valid,
                    )  # fmt: skip
                elif how == LOOK_UP:
                    found = add_codes(
                        planes, ROWS, LOOK_UP, tables, t, plan.order, p, used, indices, i,
                        start, low, high, plan.tables, c, sums, a, factor, counting, bits, valid,
                    )  # fmt: skip
                elif how == SATURATE_LIMIT:
                    found = add_codes(
                        planes, ROWS, SATURATE_LIMIT, tables, t, plan.order, p, used, indices, i,
                        start, low, high, plan.tables, c, sums, a, factor, counting, bits, valid,
                    )  # fmt: skip
                elif how == SATURATE_LOOK_UP:
                    found = add_codes(
                        planes, ROWS, SATURATE_LOOK_UP, tables, t, plan.order, p, used, indices, i,
                        start, low, high, plan.tables, c, sums, a, factor, counting, bits, valid,
                    )  # fmt: skip
                if len(counting) > 0:
                    counts[0] += plan.times[g, o] * (found & 0xFFFFFFFF)
                    counts[1] += plan.times[g, o] * (found >> 32)
                t += used * LANES


@compiled_part
def _valid(windows: int) -> int:
    """A bit for each lane that holds one of so many windows."""
    if windows >= LANES:
        return -1
    mask = 0
    for w in range(windows):
        mask |= 1 << (w // 16 + w % 16 * 4)
    return mask


@compiled_part
def count_constants(plan: Plan, g: int, s: int, windows: int, counts: Longs) -> None:
    """Conversions of lines whose digits are all 0 clip or round too."""
    for o in range(plan.digits.shape[2]):
        for line in range(plan.digits.shape[3]):
            if plan.how[g, s, o, line] == CONSTANT and plan.wide_factor[g, s, o, line] != 0:
                flags = np.int64(plan.flags[plan.values_at[g, o, line]])
                times = plan.times[g, o] * windows * len(plan.places)
                counts[0] += times * (flags & 1)
                counts[1] += times * (flags >> 1)
