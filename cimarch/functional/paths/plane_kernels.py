"""The compiled loops of the bit-plane path: fill, pack, look up, convert, add up.

Windows are computed in chunks of whole output rows. For a chunk, each section of rows is *filled*
(one stretch of bytes per row: the inputs of all windows), *packed* to indices of lookups, and
multiplied: sums, codes and their digital sum are one pass without memory in between. Lines whose
sums do not fit bytes, and products that are counted, take the wide way: exact sums in 32 bits and
tables of codes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numba
import numpy as np

from cimarch.engine.compiled import compiled, compiled_part, type_of
from cimarch.functional.paths import lookups, plane_data, plane_packing, plane_products, plane_wide
from cimarch.functional.paths.lookups import LANES
from cimarch.functional.paths.plane_data import (
    DIMENSIONS,
    Adders,
    Floats,
    Longs,
    Numbers,
    Plan,
    Room,
    Source,
)
from cimarch.functional.paths.plane_packing import fill, lay_out_maps, pack, sum_inputs
from cimarch.functional.paths.plane_products import count_constants, make_tables, multiply
from cimarch.functional.paths.plane_wide import any_wide, multiply_wide


@compiled_part
def _section(
    planes: Any, counting: Any, plan: Plan, source: Source, g: int, s: int, q: int, end: int,
    room: Room, counts: Longs,
) -> None:  # fmt: skip
    """One section of a chunk: output rows q to end."""
    windows = (end - q) * source.shape[2]
    width = -(-windows // LANES) * LANES
    fill(plan, source, g, s, q, end, width, room.filled)
    pack(planes, plan, s, width, room)
    if plan.correction.shape[2] > 0:
        sum_inputs(plan, s, width, room)
    size = plan.digits.shape[3] * plan.lookups[s] * LANES
    some = max(1, len(room.tables) // size)
    for first in range(0, plan.digits.shape[2], some):
        last = min(first + some, plan.digits.shape[2])
        make_tables(plan, g, s, first, last, room.tables)
        multiply(planes, counting, plan, g, s, first, last, windows, room, counts)
    if len(counting) > 0:
        count_constants(plan, g, s, windows, counts)
    if any_wide(plan, g, s):
        multiply_wide(planes, counting, plan, g, s, windows, width, room, counts)


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
    out: Numbers,
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


@cache
def _stamp() -> int:
    """A number of the files that kernels are made of."""
    parts = (lookups, plane_data, plane_packing, plane_products, plane_wide)
    return crc32(b"".join(Path(str(part.__file__)).read_bytes() for part in parts))


def _named(function: Any) -> Any:
    """A kernel under a name of its own for each state of its parts: what is kept on disk goes by
    the name, and by the file of the kernel alone."""
    if "__" not in function.__qualname__:
        function.__qualname__ += f"__{_stamp():08x}"
    return function


@cache
def lay_out() -> Any:
    """The compiled `lay_out_maps`."""
    padding = _tuple(numba.int64, 4)
    given = (numba.uint8[:, :, :, ::1], numba.uint8[::1], padding, numba.int64, numba.uint8[::1])
    return compiled(numba.void(*given), allocates=False)(_named(lay_out_maps))


@cache
def kernel(planes: int, whole: bool, counting: bool) -> Any:
    """The compiled loop for as many planes of a byte map; see `run_whole` and `run_exact`."""
    plan, source, room, adders = (
        type_of(kind, DIMENSIONS) for kind in (Plan, Source, Room, Adders)
    )
    i, tuples = numba.int64, (_tuple(numba.uint8, planes), _tuple(numba.uint8, int(counting)))
    given = (*tuples, plan, source, i, i, i, room)
    counts = numba.int64[::1]
    if whole:
        signature = numba.void(*given, numba.int32[:, :, ::1], counts, numba.int32[:, :, ::1])
        return compiled(signature, allocates=False)(_named(run_whole))
    signature = numba.void(*given, adders, counts, numba.float64[:, :, ::1])
    return compiled(signature, allocates=False)(_named(run_exact))
