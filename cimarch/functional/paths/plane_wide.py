"""Lines whose sums or codes do not fit bytes: exact sums in 32 bits, codes from tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from cimarch.engine.compiled import compiled_part
from cimarch.functional.paths.lookups import LANES, make_table, store_sums
from cimarch.functional.paths.plane_data import PART_BITS, ROWS, WIDE, Longs, Plan, Room


@compiled_part
def _wide_tables(
    plan: Plan, g: int, s: int, o: int, line: int, part: int, parts: int, room: Room
) -> None:
    """Tables of one part of the digits of a line: the last part carries the sign."""
    digits = room.part
    for lookup in range(plan.lookups[s]):
        for r in range(ROWS):
            digit = plan.digits[g, s, o, line, lookup * ROWS + r] >> (PART_BITS * part)
            digits[r] = digit if part == parts - 1 else digit & (2**PART_BITS - 1)
        make_table(ROWS, digits, 0, room.tables, (part * plan.lookups[s] + lookup) * LANES)


@compiled_part
def _largest(plan: Plan, g: int, s: int, o: int, line: int) -> int:
    """The largest magnitude of a line's digits."""
    found = 0
    for r in range(plan.lookups[s] * ROWS):
        found = max(found, abs(int(plan.digits[g, s, o, line, r])))
    return found


@compiled_part
def _wide_sums(
    planes: Any, plan: Plan, s: int, block: int, blocks: int, parts: int, run: int, room: Room
) -> None:
    """Exact sums of each plane in `room.wide`; `run` lookups together fit a signed byte."""
    lookups = plan.lookups[s]
    room.wide[:] = 0
    for m in range(len(plan.maps)):
        i = (m * blocks + block) * lookups * len(planes) * LANES
        for part in range(parts):
            t = part * lookups * LANES
            for lookup in range(0, lookups, run):
                store_sums(
                    planes, ROWS, room.tables, t + lookup * LANES, room.indices,
                    i + lookup * len(planes) * LANES, min(run, lookups - lookup), room.raw, 0,
                )  # fmt: skip
                for plane in range(len(planes)):
                    into = room.wide[m * len(planes) + plane]
                    for w in range(LANES):
                        byte = np.int8(room.raw[plane * LANES + w])
                        into[w] += np.int32(byte) << (PART_BITS * part)


@compiled_part
def _wide_levels(plan: Plan, k: int, room: Room) -> None:
    """The sums of a step, of those of its planes."""
    levels = room.levels
    levels[:] = 0
    for n in range(plan.step_begins[k], plan.step_begins[k + 1]):
        weight, sums = plan.step_weights[n], room.wide[plan.step_planes[n]]
        for w in range(LANES):
            levels[w] += weight * sums[w]


@compiled_part
def _wide_codes(
    counting: Any, plan: Plan, g: int, s: int, o: int, line: int, block: int, valid: int,
    room: Room, counts: Longs,
) -> None:  # fmt: skip
    """Convert the sums of a block, step by step, and count what clips and rounds."""
    factor, base = plan.wide_factor[g, s, o, line], plan.values_at[g, o, line]
    into = room.sums[line if room.sums.shape[0] > 1 else 0, o, block * LANES :]
    slope, levels, codes = plan.slopes[o, line], room.levels, room.converted
    for k in range(len(plan.places)):
        _wide_levels(plan, k, room)
        if slope[3] != 0:
            for w in range(LANES):
                above = min(max(levels[w], slope[0]), slope[1]) - slope[0]
                codes[w] = slope[2] + slope[3] * above
        else:
            for w in range(LANES):
                codes[w] = plan.values[base + levels[w]]
        scale = factor * plan.places[k]
        for quarter in range(4):
            for w in range(LANES // 4):
                into[quarter * 16 + w] += scale * codes[w * 4 + quarter]
        if len(counting) > 0 and factor != 0:
            for w in range(valid):
                flags = plan.flags[base + levels[w // 16 + w % 16 * 4]]
                counts[0] += plan.times[g, o] * (flags & 1)
                counts[1] += plan.times[g, o] * (flags >> 1)


@compiled_part
def multiply_wide(
    planes: Any, counting: Any, plan: Plan, g: int, s: int, windows: int, width: int, room: Room,
    counts: Longs,
) -> None:  # fmt: skip
    """The lines of a section whose sums do not fit bytes."""
    blocks = width // LANES
    for o in range(plan.digits.shape[2]):
        for line in range(plan.digits.shape[3]):
            if plan.how[g, s, o, line] != WIDE:
                continue
            largest, parts = _largest(plan, g, s, o, line), 1
            if largest * ROWS > 127:
                while largest >= 1 << (PART_BITS * parts - 1):
                    parts += 1
                largest = 2**PART_BITS - 1
            run = max(1, 127 // max(1, largest * ROWS))
            for part in range(parts):
                _wide_tables(plan, g, s, o, line, part, parts, room)
            for block in range(blocks):
                _wide_sums(planes, plan, s, block, blocks, parts, run, room)
                valid = min(LANES, windows - block * LANES)
                _wide_codes(counting, plan, g, s, o, line, block, valid, room, counts)


@compiled_part
def any_wide(plan: Plan, g: int, s: int) -> bool:
    for o in range(plan.digits.shape[2]):
        for line in range(plan.digits.shape[3]):
            if plan.how[g, s, o, line] == WIDE:
                return True
    return False
