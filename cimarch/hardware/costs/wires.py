"""Wires of buses, links and trees: energy by the bit and the length; links that leave the chip.

Energy = C x length x V^2 for every bit that changes, and half of them do. C = 0.3 pF/mm, of a wire
with its repeaters, hardly depends on the node: P. Kogge et al., "ExaScale Computing Study", DARPA
2008, p. 130 (300 fF/mm at 32 nm); it gives the 310 pJ that 256 bits take over 10 mm at 0.9 V in
S. Keckler et al., "GPUs and the Future of Parallel Computing", IEEE Micro 2011, Table 1 (both read
in public digests of them). Wires of low swing take a third: 40.4 fJ/bit/mm, 45 nm SOI, DATE 2013.

Off the chip: ISAAC's 26 pJ for 128 bits at 65 nm (hwcomponents-library, isaac.py), what a short
link between chips takes. ISAAC's own Table I prints 2.6 W for a HyperTransport link of 6.4 GB/s,
50.8 pJ a bit, 250 times as much: state the energy of links over a board.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from cimarch.hardware.costs.inputs import Inputs, joules, square_metres
from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    ENERGY_RULE,
    SCALING,
    energy_inputs,
    reference,
    scale_energy,
    technology,
)
from cimarch.units import DATA, LENGTH, Quantity, show

CAPACITANCE = 300.0
"""fF/mm, with repeaters."""
TOGGLING = 0.5
"""Share of the bits that differ from those before."""
LONGEST = 0.1
"""m: longer than any chip is wide."""

_SOURCE = "Kogge et al., DARPA ExaScale study 2008: 300 fF/mm; half of the bits change"
_OFF_CHIP = 26e-12 / 128
"""J a bit at 65 nm."""
_PADS = (22.88e-6 / 4, 16)
"""m^2 and bits of one of ISAAC's HyperTransport links, Table I."""


def wire_energy(bits: float, metres: float, voltage: float) -> float:
    """J of so many bits over a wire each."""
    return TOGGLING * bits * CAPACITANCE / 10**12 * metres * voltage**2


def length_of(facts: Facts) -> float:
    """m of the wires; raises CostError below zero."""
    metres = facts.number("length")
    if metres < 0:
        raise CostError(f"`length` is {show(Quantity(metres, LENGTH))}, below zero", "length")
    return float(metres)


def width_and_length(facts: Facts) -> Inputs:
    """Both as inputs."""
    return (
        ("width", show(Quantity(facts.number("width"), DATA))),
        ("length", show(Quantity(facts.number("length"), LENGTH))),
    )


def length_doubts(metres: float) -> Iterator[str]:
    """A sentence where wires are longer than chips are."""
    if metres > LONGEST:
        length = show(Quantity(Fraction(metres).limit_denominator(10**9), LENGTH))
        yield f"`length` {length} is above {LONGEST * 100:g} cm, the wires of a chip"


def transfer(facts: Facts) -> Estimate | None:
    """Of one word; None where the wires have no length."""
    if not facts.has("length"):
        return None
    to = technology(facts)
    bits, metres = float(facts.number("width")), length_of(facts)
    return Estimate(
        joules(wire_energy(bits, metres, to.voltage)),
        "wires",
        f"energy = {TOGGLING:g} * width / bit * length * {CAPACITANCE:g} fF/mm * voltage^2",
        (*width_and_length(facts), *to.told()),
        _SOURCE,
        (*to.warnings, *length_doubts(metres)),
    )


def link_transfer(facts: Facts) -> Estimate | None:
    """Of one word of a link, on the chip or off it."""
    if not facts.flag("off_chip"):
        return transfer(facts)
    to = technology(facts)
    bits = float(facts.number("width"))
    return Estimate(
        joules(scale_energy(bits * _OFF_CHIP, 65, to)),
        "link between chips",
        f"energy = {ENERGY_RULE}, known = width * 26 pJ / 128 bit",
        (
            ("width", show(Quantity(facts.number("width"), DATA))),
            ("known", show(joules(bits * _OFF_CHIP))),
            *energy_inputs(reference(65, to.transistors), to),
        ),
        f"ISAAC's chip link, 26 pJ per 128 bit at 65 nm (hwcomponents-library); {SCALING}",
        to.warnings,
    )


def link_area(facts: Facts) -> Estimate | None:
    """Of the drivers and pads of a link off the chip, at any node; wires take none of their own."""
    if not facts.flag("off_chip"):
        return None
    area, bits = _PADS
    return Estimate(
        square_metres(area * float(facts.number("width")) / bits),
        "link between chips",
        "area = width * 5.72 mm^2 / 16 bit",
        (("width", show(Quantity(facts.number("width"), DATA))),),
        "A. Shafiee et al. (ISAAC), ISCA 2016, Table I: HyperTransport, 22.88 mm^2 / 4 of 16 bit",
    )


MODELS = (
    Model("bus", "transfer.energy", transfer),
    Model("htree", "transfer.energy", transfer),
    Model("link", "transfer.energy", link_transfer),
    Model("link", "area", link_area),
)
