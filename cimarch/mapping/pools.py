"""Which pool an operation's weights go to: what a user says, what a pool serves, the order.

A pool is a crossbar or digital array of the description with all its members. An operation goes to
the pool that `--place pattern=pool` names (the last that matches), else to the first declared one
that serves it and has room for it; `serves` of a pool is a condition over the operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.system import Part, System
from cimarch.mapping.precision import Bits
from cimarch.units import Quantity
from cimarch.workload.network import Operation

Wanted = Mapping[str, str] | Iterable[str] | None
"""Pools by pattern of operation names: `{"layer*": "sram"}`, or `["layer*=sram"]`; the last that
matches wins."""


def pools_of(system: System) -> tuple[Part, ...]:
    """The pools of a system, in order of declaration."""
    return tuple(system.of_kind(*CROSSBARS))


def choices(
    operations: Iterable[Operation],
    pools: tuple[Part, ...],
    bits: Mapping[str, Bits],
    wanted: Wanted = None,
) -> dict[str, tuple[int, ...]]:
    """The pools that may hold each operation, by name; several where any that has room will do.

    Operations whose strips have several precisions are left to `levels`. Raises DescriptionError
    for a pattern that matches no operation, a pool that is none, and an operation that no pool
    serves.
    """
    listed = list(operations)
    named = _named([op.name for op in listed], pools, wanted)
    found: dict[str, tuple[int, ...]] = {}
    wrong = []
    for op in listed:
        if bits[op.name].strips is not None:
            continue
        able = [i for i, pool in enumerate(pools) if not op.written or pool.flag("operands")]
        if op.name in named:
            found[op.name] = (named[op.name],)
            if named[op.name] not in able:
                wrong.append(_holds_no_operands(op, pools[named[op.name]]))
            continue
        fit = [i for i in able if serves(pools[i], op, bits[op.name])]
        if not fit:
            wrong.append(_served_by_none(op, pools, bits[op.name]))
        found[op.name] = tuple(fit)
    if wrong:
        raise DescriptionError(*wrong)
    return found


def levels(
    operations: Iterable[Operation],
    pools: tuple[Part, ...],
    bits: Mapping[str, Bits],
    wanted: Wanted = None,
) -> dict[str, dict[int, tuple[int, ...]]]:
    """Of each operation with strips, by name: the pools that may hold each level that is used.

    A pool that a user names holds all levels. Raises DescriptionError where no pool serves one.
    """
    listed = list(operations)
    named = _named([op.name for op in listed], pools, wanted)
    found: dict[str, dict[int, tuple[int, ...]]] = {}
    known: dict[tuple[object, ...], tuple[int, ...]] = {}
    wrong = []
    for op in listed:
        strips = bits[op.name].strips
        for level in strips.used if strips is not None else ():
            mine = bits[op.name].of_level(level)
            alike = (op.kind, op.rows, op.columns, mine)
            if alike not in known:
                known[alike] = tuple(i for i, pool in enumerate(pools) if serves(pool, op, mine))
            chosen = (named[op.name],) if op.name in named else known[alike]
            if not chosen:
                wrong.append(
                    _served_by_none(op, pools, mine, f"the strips of {mine.weight} bits of ")
                )
            found.setdefault(op.name, {})[level] = chosen
    if wrong:
        raise DescriptionError(*wrong)
    return found


def serves(pool: Part, op: Operation, bits: Bits) -> bool:
    """Whether a pool's `serves` is true of an operation; true where it says nothing."""
    if pool.serves is None:
        return True
    return pool.serves(
        {
            "weight_bits": Quantity(Fraction(bits.weight)),
            "input_bits": Quantity(Fraction(bits.input)),
            "rows": Quantity(Fraction(op.rows)),
            "columns": Quantity(Fraction(op.columns)),
            "kind": op.kind,
        }
    )


def pairs(wanted: Wanted) -> list[tuple[str, str]]:
    """Patterns with their pools, in order; DescriptionError for what is none."""
    if wanted is None:
        return []
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, Mapping):
        given = [(str(pattern).strip(), str(pool).strip()) for pattern, pool in wanted.items()]
    elif isinstance(wanted, Iterable):
        given = [_pair(text) for text in wanted]
    else:
        raise DescriptionError(
            Diagnostic(
                "E202",
                f"`place` is {wanted!r}, neither pools by pattern nor a list of `pattern=pool`",
                helps=('`place={"layer1.*": "tile.array"}`',),
            )
        )
    return given


def _pair(text: object) -> tuple[str, str]:
    pattern, equals, pool = (piece.strip() for piece in str(text).rpartition("="))
    if not (pattern and equals and pool):
        raise DescriptionError(
            Diagnostic(
                "E202",
                f"--place {text}: not of the form `pattern=pool`",
                helps=('write for instance `--place "layer1.*=tile.array"`',),
            )
        )
    return pattern, pool


def _named(names: list[str], pools: tuple[Part, ...], wanted: Wanted) -> dict[str, int]:
    """The pool that a user chose for each operation that a pattern matches."""
    paths = [pool.path for pool in pools]
    found: dict[str, int] = {}
    wrong = []
    for pattern, path in pairs(wanted):
        hits = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if path not in paths:
            wrong.append(_no_pool(pattern, path, paths))
        elif not hits:
            wrong.append(_no_operation(pattern, path, names))
        else:
            found |= dict.fromkeys(hits, paths.index(path))
    if wrong:
        raise DescriptionError(*wrong)
    return found


def _no_pool(pattern: str, path: str, paths: list[str]) -> Diagnostic:
    return Diagnostic(
        "E202",
        f"--place {pattern}={path}: `{path}` is no crossbar or digital array of the system",
        notes=(f"they are {listing(paths)}",),
        helps=suggestion(path, paths),
    )


def _no_operation(pattern: str, path: str, names: list[str]) -> Diagnostic:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return Diagnostic(
        "E202",
        f"--place {pattern}={path}: `{pattern}` matches no matrix operation of the network",
        notes=(f"they are {listing(names[:6])}{more}",),
        helps=suggestion(pattern, names),
    )


def _holds_no_operands(op: Operation, pool: Part) -> Diagnostic:
    return Diagnostic(
        "E202",
        f"`{op.name}` has an operand that is known only at run time, which `{pool.path}` may not "
        "hold",
        span=pool.span,
        helps=("let it: `operands = true`", "place it in a pool that may"),
    )


def _served_by_none(
    op: Operation, pools: tuple[Part, ...], bits: Bits, what: str = ""
) -> Diagnostic:
    return Diagnostic(
        "E203",
        f"no pool serves {what}`{op.name}`",
        span=pools[0].span,
        notes=(
            f"it is a `{op.kind}` of {op.rows} x {op.columns} weights of {bits.weight} bits, with "
            f"inputs of {bits.input} bits",
            f"{listing(pool.path for pool in pools)} each state in `serves` what they take",
        ),
        helps=(f'`--place "{op.name}={pools[0].path}"` places it all the same',),
    )
