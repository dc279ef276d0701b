"""Blocks of digital logic that were published, and what parts made of them cost in a technology.

Energy, area and leakage of a block grow with its bits, a multiplier's with their square.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from cimarch.hardware.costs.inputs import (
    Inputs,
    Range,
    joules,
    square_metres,
    watts,
)
from cimarch.hardware.costs.model import Estimate, Facts
from cimarch.hardware.costs.technology import (
    SCALING,
    Technology,
    scale_area,
    scale_energy,
    scale_leakage,
    technology,
)
from cimarch.units import Quantity, show

ALADDIN = (
    'Y. S. Shao et al., "Aladdin", ISCA 2014: blocks of 40 nm at 1 ns'
    " (read in hwcomponents-library, aladdin.py, and pm-tech-lib)"
)
SIGMOID = "A. Shafiee et al. (ISAAC), ISCA 2016, Table I: sigmoid, 0.26 mW at 1.2 GHz for 16 bits"


@attrs.frozen
class Block:
    """A published piece of logic."""

    name: str
    node: float
    """nm; no source prints a supply: each is taken to be at its node's own."""
    energy: float
    """fJ of one use."""
    area: float
    """um^2."""
    leakage: float
    """nW."""
    bits: int
    source: str = ALADDIN
    power: int = 1
    """Of the bits, that energy, area and leakage grow with."""

    def share(self, bits: float) -> float:
        """How many of the published block a block of some bits is."""
        return float(bits / self.bits) ** self.power


ADDER = Block("adder", 40, 210, 278, 2250, 32)
REGISTER = Block("register", 40, 9, 5.98, 74, 1)
COMPARATOR = Block("comparator", 40, 29.47, 71, 25.1, 32)
MULTIPLIER = Block("multiplier", 40, 12_680, 6350, 77_900, 32, power=2)
TABLE = Block("table", 32, 216.7, 300, 0, 16, SIGMOID)
"""Of function values; ISAAC gives no leakage apart."""


@attrs.frozen
class Use:
    """Blocks of one kind in a part."""

    block: Block
    bits: float
    times: float = 1


@attrs.frozen
class Makeup:
    """What a part is made of."""

    uses: tuple[Use, ...]
    formula: str
    """Of energy, area and leakage alike, in the names of the blocks: `full_adders * adder`."""
    inputs: Inputs = ()


@attrs.frozen
class Measure:
    """What of a block is added up."""

    name: str
    of: Callable[[Block, float, Technology], float]
    """In SI units: of a block of some bits in a technology."""
    quantity: Callable[[float], Quantity]


ENERGY = Measure(
    "energy",
    lambda b, bits, to: scale_energy(b.share(bits) * b.energy, b.node, to) / 10**15,
    joules,
)
AREA = Measure(
    "area",
    lambda b, bits, to: scale_area(b.share(bits) * b.area, b.node, to) / 10**12,
    square_metres,
)
LEAKAGE = Measure(
    "leakage",
    lambda b, bits, to: scale_leakage(b.share(bits) * b.leakage, b.node, to) / 10**9,
    watts,
)

BITS = Range("bits", 2, 64, "where blocks of 32 bits are taken to grow with their bits")
CLOCK = Range("clock", 0, 2, "as the blocks were synthesised for 1 GHz")


def measured(makeup: Makeup, measure: Measure, to: Technology) -> float:
    """The sum over the blocks, in SI units."""
    return sum(use.times * measure.of(use.block, use.bits, to) for use in makeup.uses)


def told(makeup: Makeup, measure: Measure, to: Technology) -> Inputs:
    """What one block of each kind adds."""
    return tuple(
        (use.block.name, show(measure.quantity(measure.of(use.block, use.bits, to))))
        for use in makeup.uses
    )


def sources(makeup: Makeup) -> str:
    """Where the blocks were published, and what scales them."""
    named = dict.fromkeys(use.block.source for use in makeup.uses)
    return "; ".join([*named, SCALING])


def estimate(facts: Facts, name: str, makeup: Makeup, measure: Measure) -> Estimate:
    """What a part of these blocks costs in its own technology."""
    to = technology(facts)
    warmth = to.warmth() if measure is LEAKAGE else ()
    doubts = (
        *to.warnings,
        *BITS.doubts(float(facts.number("bits"))),
        *CLOCK.doubts(float(facts.clock) / 10**9, " GHz"),
    )
    return Estimate(
        measure.quantity(measured(makeup, measure, to)),
        name,
        f"{measure.name} = {makeup.formula}",
        (*makeup.inputs, *told(makeup, measure, to), *to.told(), *warmth),
        sources(makeup),
        doubts,
    )
