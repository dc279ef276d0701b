"""Numbers with a dimension, as a description writes them: `2 mW / 1.28 GHz` is 1.5625 pJ."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import isqrt

import attrs

Dimension = tuple[int, ...]
"""Exponents of (second, joule, metre, volt, kelvin, bit, cycle)."""

NUMBER: Dimension = (0, 0, 0, 0, 0, 0, 0)
TIME: Dimension = (1, 0, 0, 0, 0, 0, 0)
FREQUENCY: Dimension = (-1, 0, 0, 0, 0, 0, 0)
ENERGY: Dimension = (0, 1, 0, 0, 0, 0, 0)
POWER: Dimension = (-1, 1, 0, 0, 0, 0, 0)
LENGTH: Dimension = (0, 0, 1, 0, 0, 0, 0)
AREA: Dimension = (0, 0, 2, 0, 0, 0, 0)
VOLTAGE: Dimension = (0, 0, 0, 1, 0, 0, 0)
CURRENT: Dimension = (-1, 1, 0, -1, 0, 0, 0)  # a watt is a volt times an ampere
CAPACITANCE: Dimension = (0, 1, 0, -2, 0, 0, 0)
CONDUCTANCE: Dimension = (-1, 1, 0, -2, 0, 0, 0)
RESISTANCE: Dimension = (1, -1, 0, 2, 0, 0, 0)
TEMPERATURE: Dimension = (0, 0, 0, 0, 1, 0, 0)
DATA: Dimension = (0, 0, 0, 0, 0, 1, 0)
CYCLES: Dimension = (0, 0, 0, 0, 0, 0, 1)

DIMENSIONS: dict[str, Dimension] = {
    "number": NUMBER,
    "time": TIME,
    "frequency": FREQUENCY,
    "energy": ENERGY,
    "power": POWER,
    "length": LENGTH,
    "area": AREA,
    "voltage": VOLTAGE,
    "current": CURRENT,
    "capacitance": CAPACITANCE,
    "conductance": CONDUCTANCE,
    "resistance": RESISTANCE,
    "temperature": TEMPERATURE,
    "data": DATA,
}
"""The dimensions that have a name of their own; `param size: data` uses these words."""

_PREFIXES = {
    "a": Fraction(1, 10**18),
    "f": Fraction(1, 10**15),
    "p": Fraction(1, 10**12),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "µ": Fraction(1, 10**6),
    "μ": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
}

_PREFIXED = {
    "s": TIME,
    "J": ENERGY,
    "W": POWER,
    "m": LENGTH,
    "Hz": FREQUENCY,
    "V": VOLTAGE,
    "A": CURRENT,
    "F": CAPACITANCE,
    "S": CONDUCTANCE,
    "ohm": RESISTANCE,
    "K": TEMPERATURE,
}
_COUNTED = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

_LARGEST_EXPONENT = 12
_LARGEST_BITS = 16_384
"""Numerators and denominators beyond this are refused: no description needs 5,000 digits."""

CELSIUS_ZERO = Fraction(27315, 100)


class UnitError(ValueError):
    """An operation on quantities that has no meaning, or a unit that does not exist."""


@attrs.frozen
class Quantity:
    """An exact value in SI base units, with the exponents of its dimension."""

    value: Fraction
    dimension: Dimension = NUMBER

    def __add__(self, other: Quantity) -> Quantity:
        self._require_same(other, "add")
        return _limited(self.value + other.value, self.dimension)

    def __sub__(self, other: Quantity) -> Quantity:
        self._require_same(other, "subtract")
        return _limited(self.value - other.value, self.dimension)

    def __neg__(self) -> Quantity:
        return Quantity(-self.value, self.dimension)

    def __mul__(self, other: Quantity) -> Quantity:
        dimension = tuple(a + b for a, b in zip(self.dimension, other.dimension, strict=True))
        return _limited(self.value * other.value, dimension)

    def __truediv__(self, other: Quantity) -> Quantity:
        if other.value == 0:
            raise UnitError("division by zero")
        dimension = tuple(a - b for a, b in zip(self.dimension, other.dimension, strict=True))
        return _limited(self.value / other.value, dimension)

    def __pow__(self, other: Quantity) -> Quantity:
        """Raise to a plain number; a fraction as exponent only of a positive plain number."""
        if other.dimension != NUMBER:
            raise UnitError(f"an exponent is a plain number, not {describe(other.dimension)}")
        if other.value.denominator == 1:
            return _whole_power(self, int(other.value))
        if self.dimension != NUMBER:
            raise UnitError(f"{describe(self.dimension)} cannot have the exponent {other.value}")
        if self.value <= 0:
            raise UnitError(f"a number that is not positive cannot have the exponent {other.value}")
        return Quantity(_inexact(lambda: float(self.value) ** float(other.value)))

    def _require_same(self, other: Quantity, verb: str) -> None:
        if self.dimension != other.dimension:
            raise UnitError(
                f"cannot {verb} {describe(self.dimension)} and {describe(other.dimension)}"
            )

    def __str__(self) -> str:
        return show(self)


def _limited(value: Fraction, dimension: Dimension) -> Quantity:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _LARGEST_BITS:
        raise UnitError("a number of more than 4,900 digits")
    if any(abs(exponent) > _LARGEST_EXPONENT for exponent in dimension):
        raise UnitError(f"a unit raised to more than {_LARGEST_EXPONENT}")
    return Quantity(value, dimension)


def _whole_power(base: Quantity, exponent: int) -> Quantity:
    if base.value == 0 and exponent < 0:
        raise UnitError("division by zero")
    if base.dimension != NUMBER and abs(exponent) > _LARGEST_EXPONENT:
        raise UnitError(f"a unit raised to more than {_LARGEST_EXPONENT}")
    bits = max(base.value.numerator.bit_length(), base.value.denominator.bit_length())
    power = Fraction(1)
    if abs(base.value) in (0, 1):
        power *= base.value ** (abs(exponent) if abs(exponent) < 3 else 2 + exponent % 2)
    elif bits * abs(exponent) > 2 * _LARGEST_BITS:
        raise UnitError("a number of more than 4,900 digits")
    else:
        power *= base.value**exponent
    return _limited(power, tuple(e * exponent for e in base.dimension))


def _inexact(compute: Callable[[], float]) -> Fraction:
    """A value that no fraction has: the nearest double, the same on every machine."""
    try:
        return Fraction(compute())
    except (OverflowError, ValueError):
        raise UnitError("a number beyond the range of a double") from None


def square_root(value: Quantity) -> Quantity:
    """The square root: exact where it is a fraction, else the nearest double."""
    if value.value < 0:
        raise UnitError(f"the square root of {show(value)}, which is negative")
    if any(exponent % 2 for exponent in value.dimension):
        raise UnitError(f"{describe(value.dimension)} has no square root")
    top, bottom = isqrt(value.value.numerator), isqrt(value.value.denominator)
    root = Fraction(top, bottom)
    if root * root != value.value:
        root = _inexact(lambda: math.sqrt(value.value))
    return Quantity(root, tuple(exponent // 2 for exponent in value.dimension))


def logarithm(value: Quantity) -> Quantity:
    """The logarithm to base 2 of a plain number: exact for powers of 2, else the nearest double."""
    if value.dimension != NUMBER:
        raise UnitError(f"the logarithm of {describe(value.dimension)}")
    if value.value <= 0:
        raise UnitError(f"the logarithm of {show(value)}, which is not positive")
    top, bottom = value.value.numerator, value.value.denominator
    if top & (top - 1) == 0 and bottom & (bottom - 1) == 0:
        return Quantity(Fraction(top.bit_length() - bottom.bit_length()))
    return Quantity(_inexact(lambda: math.log2(top) - math.log2(bottom)))


def natural_logarithm(value: Quantity) -> Quantity:
    """The natural logarithm of a plain number: the nearest double."""
    if value.dimension != NUMBER:
        raise UnitError(f"the logarithm of {describe(value.dimension)}")
    if value.value <= 0:
        raise UnitError(f"the logarithm of {show(value)}, which is not positive")
    top, bottom = value.value.numerator, value.value.denominator
    return Quantity(_inexact(lambda: math.log(top) - math.log(bottom)))


def exponential(value: Quantity) -> Quantity:
    """e raised to a plain number: the nearest double."""
    if value.dimension != NUMBER:
        raise UnitError(f"an exponent is a plain number, not {describe(value.dimension)}")
    return Quantity(_inexact(lambda: math.exp(value.value)))


def between(x: Quantity, xs: list[Quantity], ys: list[Quantity]) -> Quantity:
    """The value at `x` on the straight lines through the points (xs ascending, x within them)."""
    after = next(i for i in range(len(xs)) if x.value <= xs[i].value)
    if xs[after].value == x.value:
        return ys[after]
    (low, high), (start, end) = xs[after - 1 : after + 1], ys[after - 1 : after + 1]
    share = (x.value - low.value) / (high.value - low.value)
    return _limited(start.value + share * (end.value - start.value), start.dimension)


def in_seconds(value: Quantity, clock: Fraction) -> Quantity:
    """The same quantity with every `cycle` in it replaced by a period of the clock (Hz)."""
    cycles = value.dimension[6]
    if cycles == 0:
        return value
    seconds, *others = value.dimension
    dimension = (seconds + cycles, *others[:5], 0)
    return _limited(value.value / clock**cycles, dimension)


# --------------------------------------------------------------------- reading


@cache
def units() -> dict[str, Quantity]:
    """Every unit by its spelling."""
    table = {"%": Quantity(Fraction(1, 100)), "op": _one(NUMBER), "Sa": _one(NUMBER)}
    for name, dimension in _PREFIXED.items():
        table[name] = _one(dimension)
        for prefix, factor in _PREFIXES.items():
            table[prefix + name] = Quantity(factor, dimension)
    for prefix, count in {"": 1, **_COUNTED, "K": 10**3}.items():
        table[prefix + "B"] = Quantity(Fraction(8 * count), DATA)
    for prefix, count in {"": 1, **_COUNTED}.items():
        for name, dimension in (("op", NUMBER), ("Sa", NUMBER), ("bit", DATA), ("bits", DATA)):
            table[prefix + name] = Quantity(Fraction(count), dimension)
    for prefix, count in _BINARY.items():
        table[prefix + "B"] = Quantity(Fraction(8 * count), DATA)
        table[prefix + "bit"] = table[prefix + "bits"] = Quantity(Fraction(count), DATA)
    table["cycle"] = table["cycles"] = _one(CYCLES)
    table["degC"] = _one(TEMPERATURE)
    return table


def _one(dimension: Dimension) -> Quantity:
    return Quantity(Fraction(1), dimension)


def is_unit(name: str) -> bool:
    """Whether a name is the spelling of a unit, so that no parameter may have it.

    The plurals are left free: `bits` is what converters call their resolution.
    """
    return name in units() and name not in ("bits", "cycles")


_LONGEST_NUMBER = 400


def read_number(text: str) -> Fraction:
    """The exact value of a decimal literal; UnitError where it is absurdly long."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > _LONGEST_NUMBER or len(exponent) > 5 or abs(int(exponent or 0)) > 400:
        raise UnitError(f"a number of more than {_LONGEST_NUMBER} digits")
    return Fraction(text)


def read_unit(text: str) -> Quantity:
    """The value of a unit such as `pJ/bit` or `um^2`; UnitError names the part that is none."""
    result, divide = _one(NUMBER), False
    for piece in re.split(r"([*/])", text):
        if piece in "*/":
            divide = piece == "/"
            continue
        name, _, exponent = piece.partition("^")
        if name not in units():
            raise UnitError(f"there is no unit `{name}`")
        if name == "degC" and text != "degC":
            raise UnitError("`degC` is a point on a scale and stands alone; a difference is in `K`")
        if len(exponent) > 3 or abs(int(exponent or 1)) > _LARGEST_EXPONENT:
            raise UnitError(f"a unit raised to more than {_LARGEST_EXPONENT}")
        factor = _whole_power(units()[name], int(exponent or 1))
        result = result / factor if divide else result * factor
    return result


def read_quantity(number: str, unit: str) -> Quantity:
    """The value of a number and its unit (which may be empty); `85 degC` is 358.15 K."""
    value = read_number(number)
    if unit == "degC":
        return Quantity(value + CELSIUS_ZERO, TEMPERATURE)
    return Quantity(value) * read_unit(unit) if unit else Quantity(value)


# --------------------------------------------------------------------- telling


def describe(dimension: Dimension) -> str:
    """A dimension in words, with its article: `a time`, `a plain number`, `J/bit`."""
    if dimension == NUMBER:
        return "a plain number"
    if dimension == DATA:
        return "an amount of data"
    if dimension == CYCLES:
        return "a number of cycles"
    for name, known in DIMENSIONS.items():
        if known == dimension:
            return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return f"a quantity in {spell(dimension)}"


def spell(dimension: Dimension) -> str:
    """A dimension as a unit in base units: `J/m^2`."""
    names = ("s", "J", "m", "V", "K", "bit", "cycle")
    above = [_raised(n, e) for n, e in zip(names, dimension, strict=True) if e > 0]
    below = [_raised(n, -e) for n, e in zip(names, dimension, strict=True) if e < 0]
    return "/".join(["*".join(above) or "1", *below])


def _raised(name: str, exponent: int) -> str:
    return name if exponent == 1 else f"{name}^{exponent}"


_STEPS = (
    (Fraction(10**12), "T"),
    (Fraction(10**9), "G"),
    (Fraction(10**6), "M"),
    (Fraction(10**3), "k"),
    (Fraction(1), ""),
    (Fraction(1, 10**3), "m"),
    (Fraction(1, 10**6), "u"),
    (Fraction(1, 10**9), "n"),
    (Fraction(1, 10**12), "p"),
    (Fraction(1, 10**15), "f"),
    (Fraction(1, 10**18), "a"),
)
_SYMBOLS = {
    TIME: "s",
    ENERGY: "J",
    POWER: "W",
    FREQUENCY: "Hz",
    VOLTAGE: "V",
    CURRENT: "A",
    CAPACITANCE: "F",
    CONDUCTANCE: "S",
    RESISTANCE: "ohm",
    LENGTH: "m",
}


def show(quantity: Quantity) -> str:
    """A quantity as people write it: `1.28 GHz`, `22.88 mm^2`, `64 KiB`, `0.2 pJ/bit`."""
    value, dimension = quantity.value, quantity.dimension
    if dimension == NUMBER:
        return decimal(value)
    if dimension == DATA:
        return _show_data(value)
    if dimension == AREA:
        return _show_area(value)
    if dimension in _SYMBOLS:
        return _show_prefixed(value, _SYMBOLS[dimension])
    if dimension == CYCLES:
        return f"{decimal(value)} cycle{'' if value == 1 else 's'}"
    return f"{decimal(value)} {spell(dimension)}"


def decimal(value: Fraction) -> str:
    """A number in at most six significant digits (whole numbers in full, up to 15 digits)."""
    if value.denominator == 1 and abs(value.numerator) < 10**15:
        return str(value.numerator)
    try:
        if shown := float(value):
            return f"{shown:.6g}"
    except OverflowError:
        pass
    digits = math.log10(abs(value.numerator)) - math.log10(value.denominator)
    exponent = math.floor(digits + 1e-9)
    return f"{'-' if value < 0 else ''}{10 ** (digits - exponent):.6g}e{exponent:+d}"


def _show_prefixed(value: Fraction, symbol: str) -> str:
    for factor, prefix in _STEPS:
        if abs(value) >= factor:
            return f"{decimal(value / factor)} {prefix}{symbol}"
    return f"{decimal(value)} {symbol}"


def _show_area(value: Fraction) -> str:
    if abs(value) >= Fraction(1, 10**8):
        return f"{decimal(value * 10**6)} mm^2"
    return f"{decimal(value * 10**12)} um^2"


def _show_data(value: Fraction) -> str:
    for factor, unit in ((2**33, "GiB"), (2**23, "MiB"), (2**13, "KiB")):
        if abs(value) >= factor and (value / factor * 8).denominator == 1:
            return f"{decimal(value / factor)} {unit}"
    if abs(value) >= 2048 and (value / 8).denominator == 1:
        return f"{decimal(value / 8)} B"
    return f"{decimal(value)} bit"
