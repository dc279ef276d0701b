"""What cost models read of a part, and how they tell what they put in."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import attrs

from cimarch.hardware.costs.model import Facts
from cimarch.hardware.costs.technology import Technology, reference, technology
from cimarch.units import AREA, CAPACITANCE, ENERGY, FREQUENCY, POWER, Quantity, show

Inputs = tuple[tuple[str, str], ...]
"""What was put in for each name of a formula, as people write it."""


def whole(facts: Facts, name: str) -> int:
    """A parameter that is a count."""
    return int(facts.number(name))


def counted(facts: Facts, *names: str) -> Inputs:
    """Parameters that are counts, as inputs."""
    return tuple((name, str(whole(facts, name))) for name in names)


def rated(facts: Facts) -> Inputs:
    """The rate, as an input."""
    return (("rate", show(Quantity(facts.number("rate"), FREQUENCY))),)


def joules(value: float) -> Quantity:
    """An energy in joules."""
    return Quantity(Fraction(value), ENERGY)


def square_metres(value: float) -> Quantity:
    """An area in square metres."""
    return Quantity(Fraction(value), AREA)


def watts(value: float) -> Quantity:
    """A power in watts."""
    return Quantity(Fraction(value), POWER)


def farads(value: float) -> Quantity:
    """A capacitance in farads."""
    return Quantity(Fraction(value), CAPACITANCE)


def analog(facts: Facts) -> Technology:
    """The process as analog circuits use it: high performance transistors unless stated.

    The supplies of low power logic leave converters no headroom.
    """
    found = technology(facts)
    if facts.has("transistors"):
        return found
    own = reference(found.nanometres, "HP")
    voltage = found.voltage if facts.has("voltage") else own.voltage
    return attrs.evolve(found, transistors="HP", voltage=voltage)


@attrs.frozen
class Range:
    """Where a formula was made to be used."""

    name: str
    low: float
    high: float
    why: str
    """What the ends are: `what the published converters span`."""

    def doubts(self, value: float, unit: str = "") -> Iterator[str]:
        """A sentence where a value lies outside."""
        if not self.low <= value <= self.high:
            ends = f"{self.low:.12g}..{self.high:.12g}{unit}"
            yield f"`{self.name}` {value:.12g}{unit} is outside {ends}, {self.why}"
