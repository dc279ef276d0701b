"""Vector instructions for sums of bit planes: 64 windows in the lanes of a register.

What a few rows of a sense line add to a sum, for each pattern of their input bits, is a table that
fits a register; a lookup then adds these rows for 64 windows with one bit each. Six rows take 64
bytes (`vpermb` of AVX-512 VBMI), four rows 16 (`pshufb`, `tbl`, or byte by byte elsewhere). Sums
are bytes: exact modulo 256, or saturating at 255.

Everything here is called from compiled kernels only. `planes` is a tuple as long as there are
planes, of which only the type counts; an offset counts elements of the array before it,
whatever its shape. Vectors are
LLVM's, so that they are 512 bits wide whatever the compiler prefers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES = 64
"""Windows in a vector."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_BYTES = ir.VectorType(_I8, LANES)
_WORDS = ir.VectorType(_I16, LANES // 2)
_NUMBERS = ir.VectorType(_I32, LANES // 4)
_FLAGS = ir.Constant(_I64, 512)
_PLACE = tuple((lane % 4) * 16 + lane // 4 for lane in range(LANES))
"""The window of each lane: every fourth byte belongs to 16 windows in a row."""

Builder = Any
Values = list[Any]

# Ways to make codes of the sums of a line.
LIMIT = 0
"""Sums are modulo 256 and begin at `start`; a code is the lower of the sum and `high`."""
CLIP = 1
"""The same, and not below `low`."""
LOOK_UP = 2
"""The same sums; codes are looked up, those of the last plane in a table of its own."""
SATURATE_LIMIT = 3
"""Sums saturate at 255; a code is the lower of the sum and `high`."""
SATURATE_LOOK_UP = 4
"""Sums saturate at 255; codes are looked up."""


def processor() -> str:
    """What numba compiles for: the processor and what it is able to do."""
    return " ".join(str(part) for part in cpu_target.target_context.codegen().magic_tuple())


def rows_of_a_lookup() -> int:
    """Rows that one lookup adds on this processor."""
    return 6 if "+avx512vbmi," in processor() else 4


def _instruction(function: Callable[..., Any]) -> Any:
    """Let kernels call what a function generates."""
    return intrinsic(prefer_literal=True)(function)


def _constant(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _call(builder: Builder, name: str, result: Any, *values: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    function: Any = cgutils.get_or_insert_function
    return builder.call(function(builder.module, kind, name), values)


def _pointer(context: Any, builder: Builder, kind: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [offset])


def _load(builder: Builder, vector: Any, pointer: Any, offset: Any = None) -> Any:
    place = pointer if offset is None else builder.gep(pointer, [offset])
    return builder.load(builder.bitcast(place, vector.as_pointer()), align=1)


def _store(builder: Builder, value: Any, pointer: Any, offset: Any = None) -> None:
    place = pointer if offset is None else builder.gep(pointer, [offset])
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=1)


def _splat(builder: Builder, vector: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, one, _constant(ir.VectorType(_I32, vector.count), 0))


def _lanes(builder: Builder, value: Any, lanes: Iterable[int]) -> Any:
    lanes = list(lanes)
    mask = ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
    return builder.shuffle_vector(value, value, mask)


def _join(builder: Builder, parts: Values) -> Any:
    while len(parts) > 1:
        count = 2 * parts[0].type.count
        mask = ir.Constant(ir.VectorType(_I32, count), list(range(count)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(a, b, mask) for a, b in pairs]
    return parts[0]


# What looks up 16 bytes at a time or more: feature, lanes, instruction.
_SHUFFLES = (
    ("+avx512bw,", 64, "llvm.x86.avx512.pshuf.b.512"),
    ("+avx2,", 32, "llvm.x86.avx2.pshuf.b"),
    ("+ssse3,", 16, "llvm.x86.ssse3.pshuf.b.128"),
    ("aarch64", 16, "llvm.aarch64.neon.tbl1.v16i8"),
)


def _lookup(builder: Builder, table: Any, index: Any, rows: int) -> Any:
    """table[index], lane by lane; a table of four rows stands there four times."""
    if rows == 6:
        return _call(builder, "llvm.x86.avx512.permvar.qi.512", _BYTES, table, index)
    for feature, wide, name in _SHUFFLES:
        if feature in processor():
            parts = []
            for first in range(0, LANES, wide):
                mine = range(first, first + wide)
                pair = (_lanes(builder, value, mine) for value in (table, index))
                parts.append(_call(builder, name, ir.VectorType(_I8, wide), *pair))
            return _join(builder, parts)
    return _lookup_by_bytes(builder, table, index)


def _lookup_by_bytes(builder: Builder, table: Any, index: Any) -> Any:
    """The same on any processor: a function of its own, which loops over the bytes."""
    kind = ir.FunctionType(_BYTES, [_BYTES, _BYTES])
    tools: Any = cgutils
    function = tools.get_or_insert_function(builder.module, kind, "cimarch_lookup")
    if not function.blocks:
        function.linkage = "internal"
        function.attributes.add("noinline")
        inner = ir.IRBuilder(function.append_basic_block("entry"))
        places = [tools.alloca_once(inner, _BYTES) for _ in range(3)]
        for place, value in zip(places, function.args, strict=False):
            inner.store(value, place)
        table_at, index_at, result = (inner.bitcast(place, _I8.as_pointer()) for place in places)
        with tools.for_range(inner, ir.Constant(_I64, LANES)) as loop:
            entry = inner.zext(inner.load(inner.gep(index_at, [loop.index])), _I64)
            value = inner.load(inner.gep(table_at, [entry]))
            inner.store(value, inner.gep(result, [loop.index]))
        inner.ret(inner.load(places[2]))
    return builder.call(function, [table, index])


def _code_of(builder: Builder, sums: Any, codes: Values, rows: int) -> Any:
    """codes[sums] of tables with 256 entries."""
    if rows == 6:
        low, high = (
            _call(builder, "llvm.x86.avx512.vpermi2var.qi.512", _BYTES, a, sums, b)
            for a, b in (codes[:2], codes[2:])
        )
        upper = builder.icmp_signed("<", sums, _constant(_BYTES, 0))
        return builder.select(upper, high, low)
    inner = builder.and_(sums, _constant(_BYTES, 15))
    outer = builder.lshr(sums, _constant(_BYTES, 4))
    result = _constant(_BYTES, 0)
    for part in range(16):
        here = builder.icmp_unsigned("==", outer, _constant(_BYTES, part))
        table = _lanes(builder, codes[part // 4], [part % 4 * 16 + n % 16 for n in range(LANES)])
        result = builder.select(here, _lookup(builder, table, inner, 4), result)
    return result


def _sums(
    builder: Builder, planes: int, rows: int, tables: Any, index: Any, lookups: Any, start: Any,
    add: Callable[[Any, Any], Any], order: Any = None,
) -> Values:  # fmt: skip
    """Sums of one line for each plane: a loop over lookups, the sums in registers.

    `order` points to the lookup that each table belongs to; without it they stand in order.
    """
    before = builder.block
    loop, after = (builder.append_basic_block(name) for name in ("lookups", "summed"))
    builder.branch(loop)
    builder.position_at_end(loop)
    turn = builder.phi(_I64)
    held = [builder.phi(_BYTES) for _ in range(planes)]
    table = _load(builder, _BYTES, tables, builder.mul(turn, ir.Constant(_I64, LANES)))
    which = turn if order is None else builder.zext(builder.load(builder.gep(order, [turn])), _I64)
    base = builder.mul(which, ir.Constant(_I64, LANES * planes))
    sums = []
    for plane, value in enumerate(held):
        place = builder.add(base, ir.Constant(_I64, LANES * plane))
        sums.append(add(value, _lookup(builder, table, _load(builder, _BYTES, index, place), rows)))
    following = builder.add(turn, ir.Constant(_I64, 1))
    builder.cbranch(builder.icmp_signed("<", following, lookups), loop, after)
    turn.add_incoming(ir.Constant(_I64, 0), before)
    turn.add_incoming(following, loop)
    for value, total in zip(held, sums, strict=True):
        value.add_incoming(start, before)
        value.add_incoming(total, loop)
    builder.position_at_end(after)
    return sums


@_instruction
def store_sums(
    _: Any, planes: Any, rows: Any, tables: Any, t: Any, index: Any, i: Any, lookups: Any,
    into: Any, o: Any,
) -> Any:  # fmt: skip
    """Write the sums, modulo 256, of a line with `lookups` tables: (planes, 64) bytes."""
    count, each = planes.count, rows.literal_value

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, _, *given = values
        kinds = signature.args[2:]
        sources = [_pointer(context, builder, kinds[n], given[n], given[n + 1]) for n in (0, 2, 5)]
        zero = _constant(_BYTES, 0)
        sums = _sums(builder, count, each, sources[0], sources[1], given[4], zero, builder.add)
        for plane, value in enumerate(sums):
            _store(builder, value, sources[2], ir.Constant(_I64, LANES * plane))
        return context.get_dummy_value()

    return types.void(planes, rows, tables, t, index, i, lookups, into, o), generate


@_instruction
def add_codes(
    _: Any, planes: Any, rows: Any, how: Any, tables: Any, t: Any, order: Any, p: Any,
    lookups: Any, index: Any, i: Any, start: Any, low: Any, high: Any, codes: Any, c: Any,
    into: Any, a: Any, factor: Any, counting: Any, bits: Any, valid: Any,
) -> Any:  # fmt: skip
    """Add factor x sum over planes k of 2^k code(sum of k) to 64 numbers; codes are bytes.

    `order` names the lookup of each of the line's tables; `codes` hold two tables of 256: of all
    planes but the last, and of the last. Where `counting` is a tuple of one entry, two such tables
    of flags follow, and what comes back is how many sums of the first `bits` planes, of the lanes
    that `valid` has bits for, have flag 1, + 2^32 x how many have flag 2; else 0.
    """
    count, each, kind = planes.count, rows.literal_value, how.literal_value

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, _, _, tables, t, order, p, lookups, index, i, start, low, high, *rest = values
        codes, c, into, a, factor, _, bits, valid = rest
        kinds = signature.args
        saturating = kind in (SATURATE_LIMIT, SATURATE_LOOK_UP)

        def add(x: Any, y: Any) -> Any:
            if saturating:
                return _call(builder, f"llvm.uadd.sat.v{LANES}i8", _BYTES, x, y)
            return builder.add(x, y)

        first = _constant(_BYTES, 0) if saturating else _splat(builder, _BYTES, start)
        sums = _sums(
            builder, count, each,
            _pointer(context, builder, kinds[3], tables, t),
            _pointer(context, builder, kinds[8], index, i), lookups, first, add,
            _pointer(context, builder, kinds[5], order, p),
        )  # fmt: skip
        if kind in (LIMIT, CLIP, SATURATE_LIMIT):
            made = _clipped(builder, sums, kind, low, high)
        else:
            place = _pointer(context, builder, kinds[13], codes, c)
            made = _looked_up(builder, sums, place, each)
        _add_up(builder, made, _pointer(context, builder, kinds[15], into, a), factor)
        if counting.count == 0:
            return ir.Constant(_I64, 0)
        place = builder.gep(_pointer(context, builder, kinds[13], codes, c), [_FLAGS])
        return _counted(builder, _looked_up(builder, sums, place, each), bits, valid)

    return types.int64(
        planes, rows, how, tables, t, order, p, lookups, index, i, start, low, high, codes, c,
        into, a, factor, counting, bits, valid,
    ), generate  # fmt: skip


def _counted(builder: Builder, flags: Values, bits: Any, valid: Any) -> Any:
    """How many lanes of the first planes have flag 1, and 2^32 x how many have flag 2."""
    total = none = ir.Constant(_I64, 0)
    for plane, value in enumerate(flags):
        within = builder.icmp_signed("<", ir.Constant(_I64, plane), bits)
        lanes = builder.select(within, valid, none)
        for flag, shift in ((1, 0), (2, 32)):
            raised = builder.and_(value, _constant(_BYTES, flag))
            mask = builder.icmp_unsigned("!=", raised, _constant(_BYTES, 0))
            mask = builder.and_(builder.bitcast(mask, _I64), lanes)
            found = builder.ctpop(mask)
            total = builder.add(total, builder.shl(found, ir.Constant(_I64, shift)))
    return total


def _clipped(builder: Builder, sums: Values, kind: int, low: Any, high: Any) -> Values:
    top, bottom = _splat(builder, _BYTES, high), _splat(builder, _BYTES, low)
    if kind == CLIP:
        sums = [_call(builder, f"llvm.umax.v{LANES}i8", _BYTES, x, bottom) for x in sums]
    return [_call(builder, f"llvm.umin.v{LANES}i8", _BYTES, x, top) for x in sums]


def _looked_up(builder: Builder, sums: Values, codes: Any, rows: int) -> Values:
    common, last = (
        [_load(builder, _BYTES, codes, ir.Constant(_I64, first + n)) for n in range(0, 256, LANES)]
        for first in (0, 256)
    )
    tables = [common] * (len(sums) - 1) + [last]
    return [_code_of(builder, x, table, rows) for x, table in zip(sums, tables, strict=True)]


def _add_up(builder: Builder, codes: Values, into: Any, factor: Any) -> None:
    """Join the planes by Horner's rule in 16 bits (255 x 255 fits), then add in 32 bits."""
    even = odd = None
    for code in reversed(codes):
        pair = builder.bitcast(code, _WORDS)
        lower = builder.and_(pair, _constant(_WORDS, 255))
        upper = builder.lshr(pair, _constant(_WORDS, 8))
        even = lower if even is None else builder.add(builder.add(even, even), lower)
        odd = upper if odd is None else builder.add(builder.add(odd, odd), upper)
    half, times = _constant(_NUMBERS, 16), _splat(builder, _NUMBERS, factor)
    lower, upper = builder.bitcast(even, _NUMBERS), builder.bitcast(odd, _NUMBERS)
    mask = _constant(_NUMBERS, 0xFFFF)
    four = [builder.and_(lower, mask), builder.and_(upper, mask)]
    four += [builder.lshr(lower, half), builder.lshr(upper, half)]
    for quarter, value in enumerate(four):
        place = ir.Constant(_I64, 16 * quarter)
        sums = builder.add(_load(builder, _NUMBERS, into, place), builder.mul(value, times))
        _store(builder, sums, into, place)


@_instruction
def pack_rows(
    _: Any, planes: Any, rows: Any, source: Any, s: Any, stride: Any, into: Any, i: Any
) -> Any:
    """Make lookups' indices of 64 windows of a few rows: (planes, 64) bytes, bit r from row r.

    Row r lies `stride` bytes behind row r - 1. An 8 x 8 transpose of bits in three rounds of swaps.
    """
    count, each = planes.count, rows.literal_value

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, _, source, s, stride, into, i = values
        kinds = signature.args
        first = _pointer(context, builder, kinds[2], source, s)
        bits = [_constant(_BYTES, 0)] * 8
        for row in range(each):
            offset = builder.mul(stride, ir.Constant(_I64, row))
            bits[row] = _lanes(builder, _load(builder, _BYTES, first, offset), _PLACE)
        for shift, mask in ((4, 0x0F), (2, 0x33), (1, 0x55)):
            _swap(builder, bits, shift, mask)
        place = _pointer(context, builder, kinds[5], into, i)
        for plane in range(count):
            _store(builder, bits[plane], place, ir.Constant(_I64, LANES * plane))
        return context.get_dummy_value()

    return types.void(planes, rows, source, s, stride, into, i), generate


def _swap(builder: Builder, bits: Values, shift: int, mask: int) -> None:
    """Swap the upper bits of each row with the lower ones of the row `shift` further."""
    places = _constant(_BYTES, shift)
    for row in range(8):
        if row & shift:
            continue
        other = row + shift
        moved = builder.xor(builder.lshr(bits[row], places), bits[other])
        moved = builder.and_(moved, _constant(_BYTES, mask))
        bits[other] = builder.xor(bits[other], moved)
        bits[row] = builder.xor(bits[row], builder.shl(moved, places))


@_instruction
def add_inputs(
    _: Any, signed: Any, source: Any, s: Any, stride: Any, rows: Any, into: Any, a: Any,
    factor: Any,
) -> Any:  # fmt: skip
    """Add factor x sum of a column of bytes to 64 numbers; at most 256 rows, `stride` bytes apart.

    `signed` is a tuple of one entry where bytes are two's complement, of none where they are not.
    """
    is_signed = signed.count == 1

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, source, s, stride, rows, into, a, factor = values
        kinds = signature.args
        pairs = _pair_sums(
            builder, _pointer(context, builder, kinds[1], source, s), stride, rows, is_signed
        )
        place = _pointer(context, builder, kinds[5], into, a)
        times = _splat(builder, _NUMBERS, factor)
        widen = builder.sext if is_signed else builder.zext
        for quarter in range(4):
            first = 8 * quarter
            order = [half * 32 + first + n for n in range(8) for half in (0, 1)]
            mask = ir.Constant(ir.VectorType(_I32, 16), order)
            value = widen(builder.shuffle_vector(*pairs, mask), _NUMBERS)
            offset = ir.Constant(_I64, 16 * quarter)
            sums = builder.add(_load(builder, _NUMBERS, place, offset), builder.mul(value, times))
            _store(builder, sums, place, offset)
        return context.get_dummy_value()

    return types.void(signed, source, s, stride, rows, into, a, factor), generate


def _pair_sums(builder: Builder, source: Any, stride: Any, rows: Any, is_signed: bool) -> Values:
    """Sums in 16 bits of the even and of the odd bytes of rows."""
    before = builder.block
    loop, after = (builder.append_basic_block(name) for name in ("rows", "added"))
    builder.branch(loop)
    builder.position_at_end(loop)
    turn = builder.phi(_I64)
    held = [builder.phi(_WORDS) for _ in range(2)]
    word = builder.bitcast(_load(builder, _BYTES, source, builder.mul(turn, stride)), _WORDS)
    shift, eight = (builder.ashr if is_signed else builder.lshr), _constant(_WORDS, 8)
    parts = [shift(builder.shl(word, eight), eight), shift(word, eight)]
    sums = [builder.add(total, part) for total, part in zip(held, parts, strict=True)]
    following = builder.add(turn, ir.Constant(_I64, 1))
    builder.cbranch(builder.icmp_signed("<", following, rows), loop, after)
    turn.add_incoming(ir.Constant(_I64, 0), before)
    turn.add_incoming(following, loop)
    for value, total in zip(held, sums, strict=True):
        value.add_incoming(_constant(_WORDS, 0), before)
        value.add_incoming(total, loop)
    builder.position_at_end(after)
    return sums


@_instruction
def make_table(_: Any, rows: Any, digits: Any, d: Any, into: Any, t: Any) -> Any:
    """Write the table of a few digits: entry p is the sum, modulo 256, of those at p's bits."""
    each = rows.literal_value

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, digits, d, into, t = values
        first = _pointer(context, builder, signature.args[1], digits, d)
        table = _constant(_BYTES, 0)
        for row in range(each):
            digit = builder.load(builder.gep(first, [ir.Constant(_I64, row)]))
            mask = ir.Constant(_BYTES, [255 * (lane >> row & 1) for lane in range(LANES)])
            part = _splat(builder, _BYTES, builder.trunc(digit, _I8))
            table = builder.add(table, builder.and_(part, mask))
        _store(builder, table, _pointer(context, builder, signature.args[3], into, t))
        return context.get_dummy_value()

    return types.void(rows, digits, d, into, t), generate


@_instruction
def copy_bytes(_: Any, count: Any, into: Any, i: Any, source: Any, s: Any) -> Any:
    """Copy as many bytes as the tuple `count` is long."""
    wide = count.count

    def generate(context: Any, builder: Builder, signature: Any, values: Any) -> Any:
        _, into, i, source, s = values
        kinds = signature.args
        vector = ir.VectorType(_I8, wide)
        value = _load(builder, vector, _pointer(context, builder, kinds[3], source, s))
        _store(builder, value, _pointer(context, builder, kinds[1], into, i))
        return context.get_dummy_value()

    return types.void(count, into, i, source, s), generate
