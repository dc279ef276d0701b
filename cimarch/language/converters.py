"""Whether what a description says of a converter's codes can be: its range, thresholds, levels."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from math import gcd, lcm

from cimarch.diagnostics import Diagnostic
from cimarch.hardware.system import Value
from cimarch.language.instances import Instance
from cimarch.units import NUMBER, Quantity, decimal

_MOST_QUANTA = 2**30
"""Levels are added as whole multiples of their largest common measure, and sums stay exact."""


def converter_problems(adc: Instance) -> Iterator[Diagnostic]:
    """What is wrong with the codes of a converter whose values all stand; the first of each kind.

    A range goes with uniform steps, thresholds and levels with `transfer = thresholds`.
    """
    by_thresholds = adc.values["transfer"] == "thresholds"
    named = _stated(adc, "thresholds", "levels") if not by_thresholds else _stated(adc, *_ENDS)
    for name in named:
        headline = f"{_of(adc, name)} says nothing, as `transfer` is `{adc.values['transfer']}`"
        helps = ("`transfer = thresholds`",) if not by_thresholds else ()
        helps = (*helps, f"leave `{name}` out") if not by_thresholds else (_IN_STEPS,)
        yield _told("E341", adc, name, headline, helps=helps)
    too_large = list(_size_problems(adc))
    yield from too_large
    if not named and not too_large:
        yield from _threshold_problems(adc) if by_thresholds else _range_problems(adc)


def _size_problems(adc: Instance) -> Iterator[Diagnostic]:
    """A number of units or steps that no sum of a column comes near."""
    for name in ("step", *_ENDS, "thresholds", "levels"):
        value = adc.values[name]
        numbers = value if isinstance(value, tuple) else (value,)
        found = [n for each in numbers if (n := _number(each)) is not None and abs(n) > _LARGEST]
        if found:
            verb = "holds" if isinstance(value, tuple) else "is"
            headline = f"{_of(adc, name)} {verb} {_n(found[0])}, beyond any sum of a column"
            notes = (f"the largest that is taken is 2^48, {_LARGEST}",)
            yield _told("E340", adc, name, headline, notes)


_ENDS = ("range_low", "range_high")
_IN_STEPS = "`thresholds` and `levels` are in steps; `step` says how many units one is"


_LARGEST = 2**48
"""In units: 65536 rows of 16-bit weights and 16-bit inputs sum up to less."""


def _stated(adc: Instance, *names: str) -> list[str]:
    """Those of some parameters that the description gives a value."""
    return [n for n in names if not adc.bindings[n].is_standard and adc.values[n] is not None]


def _of(adc: Instance, name: str) -> str:
    return f"`{name}` of {adc.told()}"


def _told(
    code: str, adc: Instance, name: str, headline: str,
    notes: tuple[str, ...] = (), helps: tuple[str, ...] = (),
) -> Diagnostic:  # fmt: skip
    """A diagnostic at what gives a parameter its value."""
    return Diagnostic(code, headline, adc.bindings[name].value.span, notes=notes, helps=helps)


# A uniform converter


def _range_problems(adc: Instance) -> Iterator[Diagnostic]:
    step, low, high = (_number(adc.values[name]) for name in ("step", *_ENDS))
    symmetric = adc.values["transfer"] == "sign_magnitude"
    intervals = _intervals(adc)
    if not intervals:
        headline = f"the sign-magnitude converter {adc.told()} of 1 bit has no code but 0"
        yield _told("E340", adc, "bits", headline, helps=("`bits` of 2 or more",))
    elif step is not None and step == 0:
        yield _told("E340", adc, "step", f"{_of(adc, 'step')} is 0, not above zero")
    elif low is not None and high is not None and low >= high:
        headline = f"{_of(adc, 'range_low')} is {_n(low)}, not below `range_high`, {_n(high)}"
        yield _told("E340", adc, "range_low", headline)
    elif high is not None and low is None and step is None and high <= 0:
        headline = f"{_of(adc, 'range_high')} is {_n(high)}, and the range has no lower end below"
        helps = ("`range_low = ...` says where it begins",)
        yield _told("E340", adc, "range_high", headline, helps=helps)
    elif (
        low is not None and high is not None and step is not None and low + intervals * step != high
    ):
        yield _inconsistent(adc, low, high, step, intervals)
    elif symmetric:
        yield from _asymmetry(adc, low, high, step, intervals)


def _intervals(adc: Instance) -> int:
    """Steps between the ends of its range."""
    bits = _number(adc.values["bits"])
    assert bits is not None
    less = {"mid_rise": 0, "mid_tread": 1, "sign_magnitude": 2}
    codes: int = 2 ** int(bits)
    return codes - less[str(adc.values["transfer"])]


def _inconsistent(
    adc: Instance, low: Fraction, high: Fraction, step: Fraction, intervals: int
) -> Diagnostic:
    headline = (
        f"{intervals} steps of {_n(step)} from {_n(low)} end at {_n(low + intervals * step)}, "
        f"not at `range_high` of {adc.told()}, {_n(high)}"
    )
    notes = (f"a `{adc.values['transfer']}` converter of {_bits(adc)} has {intervals} steps",)
    helps = ("leave out one of `range_low`, `range_high` and `step`: two give the third",)
    return _told("E340", adc, "range_high", headline, notes, helps)


def _asymmetry(
    adc: Instance,
    low: Fraction | None,
    high: Fraction | None,
    step: Fraction | None,
    intervals: int,
) -> Iterator[Diagnostic]:
    """A sign-magnitude range that two of three make and that does not lie about zero."""
    if low is None and (high is None or step is None):
        return
    if low is None:
        assert high is not None
        assert step is not None
        low = high - step * intervals
    elif high is None:
        high = low + intervals * (step or 1)
    if low != -high:
        headline = (
            f"the range of the sign-magnitude converter {adc.told()} is {_n(low)}..{_n(high)}, "
            "not about zero"
        )
        name = _stated(adc, *_ENDS)[0]
        helps = (f"`range_high = {_n(max(-low, high))}` alone, or `step` alone",)
        yield _told("E340", adc, name, headline, helps=helps)


# One by thresholds


def _threshold_problems(adc: Instance) -> Iterator[Diagnostic]:
    for name in ("thresholds", "levels"):
        if not _stated(adc, name) or not adc.values[name]:
            headline = f"the converter {adc.told()} has `transfer = thresholds` and no `{name}`"
            helps = ("`thresholds = [0.5, 1.5], levels = [0, 1, 2]`, in steps",)
            yield _told("E341", adc, "transfer", headline, helps=helps)
            return
        if any(not _is_number(value) for value in _list(adc, name)):
            headline = f"{_of(adc, name)} holds what is not a plain number"
            yield _told("E341", adc, name, headline)
            return
    yield from _count_problems(adc, _numbers(adc, "thresholds"), _numbers(adc, "levels"))


def _count_problems(
    adc: Instance, thresholds: list[Fraction], levels: list[Fraction]
) -> Iterator[Diagnostic]:
    step, bits = _number(adc.values["step"]), _number(adc.values["bits"])
    assert bits is not None
    for a, b in pairwise(thresholds):
        if a >= b:
            headline = f"{_of(adc, 'thresholds')} do not ascend: {_n(a)} is before {_n(b)}"
            yield _told("E341", adc, "thresholds", headline)
            return
    if len(levels) != len(thresholds) + 1:
        headline = (
            f"the converter {adc.told()} has {_many(len(levels), 'level')} for "
            f"{_many(len(thresholds), 'threshold')}"
        )
        notes = ("below the first threshold and from each on is one level",)
        yield _told("E341", adc, "levels", headline, notes)
    elif len(levels) > 2 ** int(bits):
        headline = (
            f"the {len(levels)} levels of {adc.told()} are more than the {2 ** int(bits)} codes "
            f"of {_bits(adc)}"
        )
        yield _told("E341", adc, "levels", headline)
    elif _quanta(levels) > _MOST_QUANTA:
        headline = (
            f"the levels of {adc.told()} have no common measure above 1/{_MOST_QUANTA} of the "
            "largest"
        )
        yield _told("E341", adc, "levels", headline, helps=("write them with fewer decimals",))
    elif step is not None and step == 0:
        yield _told("E340", adc, "step", f"{_of(adc, 'step')} is 0, not above zero")


def _quanta(levels: list[Fraction]) -> int:
    """The largest level in multiples of the largest number that measures all."""
    below = reduce(lcm, (level.denominator for level in levels), 1)
    whole = [abs(int(level * below)) for level in levels]
    return max(whole) // (reduce(gcd, whole, 0) or 1)


def _list(adc: Instance, name: str) -> tuple[Value, ...]:
    value = adc.values[name]
    assert isinstance(value, tuple)
    return value


def _is_number(value: Value) -> bool:
    return isinstance(value, Quantity) and value.dimension == NUMBER


def _numbers(adc: Instance, name: str) -> list[Fraction]:
    return [value.value for value in _list(adc, name) if isinstance(value, Quantity)]


def _number(value: Value | None) -> Fraction | None:
    return value.value if isinstance(value, Quantity) else None


def _bits(adc: Instance) -> str:
    bits = _number(adc.values["bits"])
    assert bits is not None
    return _many(int(bits), "bit")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


_n = decimal
