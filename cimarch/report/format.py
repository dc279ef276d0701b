"""How numbers are written for people: engineering prefixes, four digits, a unit always."""

from __future__ import annotations

import math

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}

UNKNOWN = "not known"


def quantity(value: float | None, unit: str) -> str:
    """`12.35 us` for 1.2345e-5 and `s`: four significant digits, prefixes f to T."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value == 0:
        return f"0 {unit}"
    exponent = 3 * math.floor(math.log10(abs(value)) / 3)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    text = digits(value / 10**exponent)
    if text.lstrip("-") == "1000" and exponent < max(_PREFIXES):
        exponent += 3
        text = digits(value / 10**exponent)
    return f"{text} {_PREFIXES[exponent]}{unit}"


def digits(value: float) -> str:
    """A number to four significant digits, never in scientific notation up to 10^15."""
    if value == 0:
        return "0"
    places = 3 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    if abs(rounded) >= 10 ** (4 - places):  # 9.9996 became 10.000: one digit less behind the point
        places -= 1
    return f"{rounded:.{max(places, 0)}f}" if abs(rounded) < 10_000 else f"{rounded:,.0f}"


def number(value: float | None) -> str:
    """A plain figure to four significant digits, `9.110e-10` where zeros would hide them."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return digits(value) if value == 0 or 1e-4 <= abs(value) < 1e15 else f"{value:.3e}"


def count(value: float | None) -> str:
    """`1,234`: a whole number with its thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """`12.3 %` for 0.123."""
    return UNKNOWN if share is None or math.isnan(share) else f"{100 * share:.1f} %"


def area(value: float) -> str:
    """Square metres as mm^2, or um^2 below a hundredth of a mm^2; nothing stated is not known."""
    if not value:
        return UNKNOWN
    if value < 1e-8:
        return f"{digits(value * 1e12)} um^2"
    return f"{digits(value * 1e6)} mm^2"


def plural(number: int, noun: str) -> str:
    """`1 group`, `3 groups`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
