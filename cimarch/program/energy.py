"""Where the energy of a run goes: per operation, part and action, in numbers that add up.

Prices are exact fractions, reports hold floats, and floats do not add up: the sum of rounded
numbers depends on their order and differs from the rounded sum. So all rows of a run are rounded
together, to whole multiples of one step, a power of two:

    step  = the smallest power of two with  total <= 2^53 step
    row   = floor(exact row / step) steps, and one more for those with the largest rests, as many
            as bring the sum to the total rounded to steps

Any sum of rows is then a whole number of steps of at most 53 bits, which a float holds exactly:
sums over rows, parts, operations or actions come out the same in any order, and that of all rows is
the float nearest to the exact total.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import floor, ldexp

import attrs

from cimarch.hardware.system import Part, System
from cimarch.units import Quantity

MANTISSA = 53
"""Bits of a float's whole numbers."""

STATIC = ("leakage", "idle", "gated")
"""What is paid for time, not for what is done."""


@attrs.frozen
class Spent:
    """The energy of one action of one part for one operation: the finest row that there is."""

    operation: str
    """Empty: of none, as what is paid for time."""
    part: str
    action: str
    count: int
    joules: float | None
    """None where nobody says."""
    origin: str


@attrs.frozen
class Exact:
    """The same before it is rounded."""

    operation: str
    part: str
    action: str
    count: int
    joules: Fraction | None
    origin: str


def rounded(rows: Sequence[Exact]) -> list[Spent]:
    """The rows with joules that add up exactly; see the top of this file."""
    floats = iter(add_up([row.joules for row in rows if row.joules is not None]))
    return [
        Spent(
            row.operation, row.part, row.action, row.count,
            None if row.joules is None else next(floats), row.origin,
        )
        for row in rows
    ]  # fmt: skip


def add_up(numbers: Sequence[Fraction]) -> list[float]:
    """Floats for exact numbers of one sign, any sum of which is exact."""
    total = sum(numbers, Fraction(0))
    if not total:
        return [0.0] * len(numbers)
    exponent = _exponent(abs(total)) - MANTISSA
    step = Fraction(2) ** exponent
    steps = [floor(number / step) for number in numbers]
    rests = [number / step - whole for number, whole in zip(numbers, steps, strict=True)]
    missing = round(total / step) - sum(steps)
    for place in sorted(range(len(rests)), key=lambda i: -rests[i])[:missing]:
        steps[place] += 1
    return [ldexp(whole, exponent) for whole in steps]


def _exponent(number: Fraction) -> int:
    """The smallest e with number <= 2^e."""
    e = number.numerator.bit_length() - number.denominator.bit_length() - 1
    while Fraction(2) ** e < number:
        e += 1
    return e


def weighted(numbers: Iterable[tuple[Fraction, int]]) -> Fraction:
    """The sum of numbers, each so many times; those of one denominator add up as whole ones."""
    found: dict[int, int] = {}
    for number, times in numbers:
        parts = number.denominator
        found[parts] = found.get(parts, 0) + number.numerator * times
    return sum((Fraction(whole, parts) for parts, whole in found.items()), Fraction(0))


def summed(rows: Iterable[Spent]) -> float | None:
    """The joules of some rows; None where a part of them is unknown."""
    joules = [row.joules for row in rows]
    if any(each is None for each in joules):
        return None
    return sum(each for each in joules if each is not None)


def static(system: System, busy: Mapping[str, Fraction], seconds: Fraction) -> Iterator[Exact]:
    """What all parts are charged for the time of a run; `busy` are instance-seconds by path.

    An instance leaks all the time, and draws its `idle_power` beside that while it is not busy. One
    with a `gated_leakage` is switched off while it is not busy, and draws that instead of both.
    """
    for part in system.walk():
        gated = part.params.get("gated_leakage")
        off = gated if isinstance(gated, Quantity) else None
        idle = idle_power(part)
        if off is None and not idle and not part.leakage:
            continue
        working = min(busy.get(part.path, Fraction(0)), part.count * seconds)
        resting = part.count * seconds - working
        leaking = working if off is not None else working + resting
        rows = [
            ("leakage", part.leakage * leaking, bool(part.leakage), leakage_origin(part)),
            ("idle", idle * resting, off is None and bool(idle), idle_origin(part)),
            ("gated", off.value * resting if off else Fraction(0), off is not None, "stated"),
        ]
        for action, joules, is_charged, origin in rows:
            if is_charged:
                yield Exact("", part.path, action, part.count, joules, origin)


def idle_power(part: Part) -> Fraction:
    """W of one instance beside its leakage, while it is not busy."""
    given = part.params.get("idle_power")
    return given.value if isinstance(given, Quantity) else Fraction(0)


def rests(part: Part) -> bool:
    """Whether it matters when a part is not busy."""
    return bool(idle_power(part)) or isinstance(part.params.get("gated_leakage"), Quantity)


def leakage_origin(part: Part) -> str:
    """Where a part's leakage comes from: `stated`, a cost model, or nowhere."""
    return _origin(part, "leakage", part.leakage)


def idle_origin(part: Part) -> str:
    """Where a part's idle power comes from: `stated`, a cost model, or nowhere."""
    return _origin(part, "idle_power", idle_power(part))


def area_origin(part: Part) -> str:
    """Where a part's area comes from: `stated`, a cost model, or nowhere."""
    return _origin(part, "area", part.area)


def _origin(part: Part, name: str, value: Fraction) -> str:
    found = part.estimates.get(name)
    if found is not None:
        return f"model {found.model}"
    return "stated" if value else ""


def is_off_chip(part: Part) -> bool:
    """Whether a part's energy is spent beside the chip: its memory, its host, a link to them."""
    return part.kind in ("dram", "host") or part.params.get("off_chip") is True
