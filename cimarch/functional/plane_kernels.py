"""The compiled loops of the bit-plane path: fill, pack, look up, convert, add up.

Windows are computed in chunks of whole output rows. For a chunk, each section of rows is *filled*
(one stretch of bytes per row: the inputs of all windows), *packed* to indices of lookups, and
multiplied: sums, codes and their digital sum are one pass without memory in between. Lines whose
sums do not fit bytes, and products that are counted, take the wide way: exact sums in 32 bits and
tables of codes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part, type_of
from cimarch.functional.lookups import (
    CLIP,
    LANES,
    LIMIT,
    LOOK_UP,
    SATURATE_LIMIT,
    SATURATE_LOOK_UP,
    add_codes,
    add_inputs,
    copy_bytes,
    make_table,
    pack_rows,
    rows_of_a_lookup,
    store_sums,
)

ROWS = rows_of_a_lookup()
"""Rows that one lookup adds."""
WIDE = 5
"""How a line is computed whose sums or codes do not fit bytes."""
CONSTANT = 6
"""How a line is computed whose digits are all 0: it is in `bias`."""
PART_BITS = 4
"""Bits of the parts that digits are cut in where a table of them does not fit bytes."""

_MOST_ROWS = 256
_SIGNED = _ONE = (0,)
_EIGHT, _SIXTEEN, _THIRTY_TWO, _SIXTY_FOUR = ((0,) * count for count in (8, 16, 32, 64))

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]


class Plan(NamedTuple):
    """How the sections of all channel groups become codes; the last output is the reference.

    Shapes begin with (groups, sections, outputs, lines) where nothing else is said.
    """

    digits: NDArray[np.int16]
    """(..., rows), padded with zeros."""
    order: NDArray[np.uint16]
    """(..., lookups): those whose digits are not all 0, before the others."""
    used: Longs
    """How many these are."""
    how: Bytes
    """A way of `lookups`, WIDE or CONSTANT."""
    start: Bytes
    low: Bytes
    high: Bytes
    codes: Longs
    """Where the line's two tables of 256 begin in `tables`."""
    factor: Numbers
    """What one of a byte's codes counts."""
    wide_factor: Numbers
    """What one of `values` counts."""
    tables: Bytes
    values_at: Longs
    """(groups, outputs, lines): where the value of sum 0 lies in `values`."""
    values: Numbers
    """The code of each sum."""
    flags: Bytes
    """1: the sum clips; 2: it rounds."""
    slopes: Numbers
    """(outputs, lines, 4): low, high, the code of low, and codes a sum: what lies between them is a
    slope, what lies outside is flat; no codes a sum: it is otherwise."""
    bias: Numbers
    """(groups, stages, held lines, outputs): what a stage's sums begin with."""
    first: Longs
    """(sections,): the first row."""
    lookups: Longs
    """(sections,): as many as their rows need."""
    rows: Longs
    """(sections,): how many rows they have."""
    tile: Longs
    """(sections,): which of the sums of inputs they count to."""
    begins: Longs
    """(stages + 1,): the first section of each stage."""
    correction: Numbers
    """(groups, outputs, tiles), what one unit of the sums of inputs counts."""
    step_begins: Longs
    """(steps + 1,): the first of the step's planes."""
    step_planes: Longs
    step_weights: Numbers
    """What one of a plane adds to the levels of its step."""
    places: Numbers
    """(steps,): what one unit of a step's codes counts."""
    bits: Longs
    """How many of a byte map's planes are steps, where lines fit bytes."""
    maps: Numbers
    """(maps, 2): what one of a byte map counts in an input, and whether its bytes are signed."""
    times: Longs
    """(groups, outputs): how often a conversion counts."""
    group: Longs
    """(groups,): which channel group of the operation it is."""


class Source(NamedTuple):
    """The bytes of a batch, and where windows find them."""

    bytes: Bytes
    """Maps with their padding, columns parted by their remainder by the stride."""
    at: Longs
    """(groups, rows): where the row's byte for window 0 lies."""
    shape: Longs
    """Images, height and width of the output; bytes of an image, of a step down, of a byte map."""


class Room(NamedTuple):
    """What a chunk is computed in."""

    filled: Bytes
    indices: Bytes
    tables: Bytes
    sums: Numbers
    """(held lines, outputs, windows)."""
    inputs: Numbers
    """(tiles, windows): sums of inputs."""
    raw: Bytes
    """(planes, 64)."""
    wide: Numbers
    """(planes, 64): sums of a block's planes."""
    levels: Numbers
    """(64,): sums of a step."""
    converted: Numbers
    """(64,): their codes."""
    part: NDArray[np.int16]
    """Parts of the digits of one lookup."""


_DIMENSIONS = {
    "digits": 5, "order": 5, "used": 4, "how": 4, "start": 4, "low": 4, "high": 4, "codes": 4,
    "factor": 4, "wide_factor": 4, "values_at": 3, "slopes": 3, "bias": 4, "correction": 3,
    "maps": 2, "at": 2, "sums": 3, "inputs": 2, "wide": 2, "times": 2, "ratios": 3,
    "constants": 3, "total": 2,
}  # fmt: skip


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
def _fill(
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
def _pack(planes: Any, plan: Plan, s: int, width: int, room: Room) -> None:
    """Indices (byte map, block, lookup, plane, 64)."""
    i = 0
    for m in range(len(plan.maps)):
        for block in range(0, width, LANES):
            for lookup in range(plan.lookups[s]):
                row = (m * plan.lookups[s] + lookup) * ROWS
                pack_rows(planes, ROWS, room.filled, row * width + block, width, room.indices, i)
                i += len(planes) * LANES


@compiled_part
def _sum_inputs(plan: Plan, s: int, width: int, room: Room) -> None:
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


@compiled_part
def _tables(plan: Plan, g: int, s: int, first: int, end: int, into: Bytes) -> None:
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
def _multiply(
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
def _count_constants(plan: Plan, g: int, s: int, windows: int, counts: Longs) -> None:
    """Conversions of lines whose digits are all 0 clip or round too."""
    for o in range(plan.digits.shape[2]):
        for line in range(plan.digits.shape[3]):
            if plan.how[g, s, o, line] == CONSTANT and plan.wide_factor[g, s, o, line] != 0:
                flags = np.int64(plan.flags[plan.values_at[g, o, line]])
                times = plan.times[g, o] * windows * len(plan.places)
                counts[0] += times * (flags & 1)
                counts[1] += times * (flags >> 1)


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
def _multiply_wide(
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
def _any_wide(plan: Plan, g: int, s: int) -> bool:
    for o in range(plan.digits.shape[2]):
        for line in range(plan.digits.shape[3]):
            if plan.how[g, s, o, line] == WIDE:
                return True
    return False


@compiled_part
def _section(
    planes: Any, counting: Any, plan: Plan, source: Source, g: int, s: int, q: int, end: int,
    room: Room, counts: Longs,
) -> None:  # fmt: skip
    """One section of a chunk: output rows q to end."""
    windows = (end - q) * source.shape[2]
    width = -(-windows // LANES) * LANES
    _fill(plan, source, g, s, q, end, width, room.filled)
    _pack(planes, plan, s, width, room)
    if plan.correction.shape[2] > 0:
        _sum_inputs(plan, s, width, room)
    size = plan.digits.shape[3] * plan.lookups[s] * LANES
    some = max(1, len(room.tables) // size)
    for first in range(0, plan.digits.shape[2], some):
        last = min(first + some, plan.digits.shape[2])
        _tables(plan, g, s, first, last, room.tables)
        _multiply(planes, counting, plan, g, s, first, last, windows, room, counts)
    if len(counting) > 0:
        _count_constants(plan, g, s, windows, counts)
    if _any_wide(plan, g, s):
        _multiply_wide(planes, counting, plan, g, s, windows, width, room, counts)


@compiled_part
def _begin(plan: Plan, g: int, stage: int, room: Room) -> None:
    """What a stage's sums begin with: what bytes leave out."""
    for line in range(room.sums.shape[0]):
        for o in range(room.sums.shape[1]):
            room.sums[line, o, :] = plan.bias[g, stage, line, o]


def run_whole(
    planes: Any, counting: Any, plan: Plan, source: Source, q: int, last: int, chunk: int,
    room: Room, constants: Numbers, counts: Longs, out: Numbers,
) -> None:  # fmt: skip
    """Output rows q to `last` where all is whole numbers and no adder can overflow.

    `planes` is as long as a byte map has planes; `counting` is empty where nothing is counted.
    """
    while q < last:
        end = min(q + chunk, last)
        windows = (end - q) * source.shape[2]
        for g in range(plan.digits.shape[0]):
            room.inputs[:] = 0
            _begin(plan, g, 0, room)
            for s in range(len(plan.first)):
                _section(planes, counting, plan, source, g, s, q, end, room, counts)
            _write_whole(plan, source, g, q, windows, constants, room, out)
        q = end


@compiled_part
def _write_whole(
    plan: Plan, source: Source, g: int, q: int, windows: int, constants: Numbers, room: Room,
    out: NDArray[np.int32],
) -> None:  # fmt: skip
    """quantum x codes + constants + corrections + reference x codes of the reference column.

    `constants` (groups, outputs, 4): quantum, constant, reference quantum, reference.
    """
    outputs = plan.correction.shape[1]
    size = source.shape[1] * source.shape[2]
    for o in range(outputs):
        sums, quantum = room.sums[0, o], constants[g, o, 0]
        if constants[g, o, 2] != 0:
            for w in range(windows):
                sums[w] = quantum * sums[w] + constants[g, o, 2] * room.sums[0, outputs, w]
            quantum = np.int32(1)
        for tile in range(1, plan.correction.shape[2]):
            for w in range(windows):
                sums[w] = quantum * sums[w] + plan.correction[g, o, tile] * room.inputs[tile, w]
            quantum = np.int32(1)
        constant = constants[g, o, 1] + constants[g, o, 3]
        correction, inputs = np.int32(0), room.inputs[0]
        if plan.correction.shape[2] > 0:
            correction = plan.correction[g, o, 0]
        at = q * source.shape[2]
        image, place, w = at // size, at % size, 0
        while w < windows:
            some = min(size - place, windows - w)
            row = out[image, plan.group[g] * outputs + o]
            for n in range(some):
                corrected = constant + correction * inputs[w + n]
                row[place + n] = quantum * sums[w + n] + corrected
            image, place, w = image + 1, 0, w + some


class Adders(NamedTuple):
    """Sums that are not whole, or adders that are too narrow: everything in float64."""

    ratios: Floats
    """(groups, lines, outputs): quanta that one code of a line counts."""
    constants: Floats
    """(groups, outputs, 2): what codes do not stand for; the same of the reference column."""
    numbers: Floats
    """The quantum; the reference column's factor and quantum; tile width and sum width, or 0; 1
    where sums wrap."""
    total: Floats
    """(outputs, windows): what the adder behind the tiles holds."""
    reference: Numbers
    """(windows,): codes of the reference column."""
    register: Floats
    """(windows,)."""


@compiled_part
def _held(value: float, bits: float, wraps: float, counts: Longs) -> float:
    """What an adder of a width keeps of a sum; see the plain reference."""
    if bits == 0:
        return value
    top: float = 2.0 ** (bits - 1)
    if -top <= value <= top - 1:
        return value
    counts[2] += 1
    if wraps != 0:
        return float((value + top) % (2 * top) - top)
    return float(max(-top, min(top - 1, value)))


@compiled_part
def _hold(
    plan: Plan, adders: Adders, g: int, stage: int, windows: int, room: Room, counts: Longs
) -> None:
    """A tile's sums leave its adder, and join those of the tiles before it."""
    tile_bits, sum_bits, wraps = adders.numbers[3], adders.numbers[4], adders.numbers[5]
    register = adders.register
    for o in range(plan.correction.shape[1]):
        register[:] = 0.0
        for line in range(room.sums.shape[0]):
            ratio, sums = adders.ratios[g, line, o], room.sums[line, o]
            for w in range(windows):
                register[w] += ratio * sums[w]
        if tile_bits != 0:
            for w in range(windows):
                register[w] = _held(register[w], tile_bits, wraps, counts)
        total = adders.total[o]
        if stage == 0:
            for w in range(windows):
                total[w] = register[w]
        else:
            for w in range(windows):
                total[w] += register[w]
        if stage > 0 and sum_bits != 0:
            for w in range(windows):
                total[w] = _held(total[w], sum_bits, wraps, counts)


@compiled_part
def _write_exact(
    plan: Plan, source: Source, adders: Adders, g: int, q: int, windows: int, room: Room,
    out: Floats,
) -> None:  # fmt: skip
    """The plain reference's last lines; corrections are whole numbers, exact in float64."""
    outputs = plan.correction.shape[1]
    size = source.shape[1] * source.shape[2]
    quantum, factor, measured = adders.numbers[0], adders.numbers[1], adders.numbers[2]
    corrected, reference = adders.register, adders.reference
    for o in range(outputs):
        constant, left_out, total = (
            adders.constants[g, o, 0],
            adders.constants[g, o, 1],
            adders.total[o],
        )
        corrected[:] = 0.0
        for tile in range(plan.correction.shape[2]):
            each, inputs = float(plan.correction[g, o, tile]), room.inputs[tile]
            for w in range(windows):
                corrected[w] += each * inputs[w]
        for w in range(windows):
            total[w] = quantum * total[w] + (constant + corrected[w])
        if factor != 0:
            for w in range(windows):
                total[w] += factor * (measured * reference[w] + left_out)
        at = q * source.shape[2]
        image, place, w = at // size, at % size, 0
        while w < windows:
            some = min(size - place, windows - w)
            row = out[image, plan.group[g] * outputs + o]
            for n in range(some):
                row[place + n] = total[w + n]
            image, place, w = image + 1, 0, w + some


def run_exact(
    planes: Any, counting: Any, plan: Plan, source: Source, q: int, last: int, chunk: int,
    room: Room, adders: Adders, counts: Longs, out: Floats,
) -> None:  # fmt: skip
    """Output rows q to `last`, tile by tile through the adders."""
    while q < last:
        end = min(q + chunk, last)
        windows = (end - q) * source.shape[2]
        for g in range(plan.digits.shape[0]):
            room.inputs[:] = 0
            adders.reference[:] = 0
            for stage in range(len(plan.begins) - 1):
                _begin(plan, g, stage, room)
                for s in range(plan.begins[stage], plan.begins[stage + 1]):
                    _section(planes, counting, plan, source, g, s, q, end, room, counts)
                _hold(plan, adders, g, stage, windows, room, counts)
                if room.sums.shape[1] > plan.correction.shape[1]:
                    for w in range(windows):
                        adders.reference[w] += room.sums[0, -1, w]
            _write_exact(plan, source, adders, g, q, windows, room, out)
        q = end


_tuple: Any = numba.types.UniTuple


def _lay_out(
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


@cache
def lay_out() -> Any:
    """The compiled `_lay_out`."""
    padding = _tuple(numba.int64, 4)
    given = (numba.uint8[:, :, :, ::1], numba.uint8[::1], padding, numba.int64, numba.uint8[::1])
    return compiled(numba.void(*given), allocates=False)(_lay_out)


@cache
def kernel(planes: int, whole: bool, counting: bool) -> Any:
    """The compiled loop for as many planes of a byte map; see `run_whole` and `run_exact`."""
    plan, source, room, adders = (
        type_of(kind, _DIMENSIONS) for kind in (Plan, Source, Room, Adders)
    )
    i, tuples = numba.int64, (_tuple(numba.uint8, planes), _tuple(numba.uint8, int(counting)))
    given = (*tuples, plan, source, i, i, i, room)
    counts = numba.int64[::1]
    if whole:
        signature = numba.void(*given, numba.int32[:, :, ::1], counts, numba.int32[:, :, ::1])
        return compiled(signature, allocates=False)(run_whole)
    signature = numba.void(*given, adders, counts, numba.float64[:, :, ::1])
    return compiled(signature, allocates=False)(run_exact)
