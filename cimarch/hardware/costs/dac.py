"""Digital to analog converters: drivers of word lines.

Energy = c bits V^2, c = 50 fF at 28 nm, scaled with the capacitance of a gate: the class AimcArray
of ZigZag-IMC's public code, which takes it for two bits and more and neglects a driver of one; here
one bit costs the same. What the line itself charges belongs to the crossbar.
Area: of a driver of one bit that of ISAAC's Table I, 0.00017 mm^2 / 1024 at 32 nm; of more bits,
2^bits unit capacitors as in the DAC of 8 bits of T. Song et al., "BRAHMS", DAC 2021, 438 um^2 at
40 nm. Leakage: of a register a bit.
"""

from __future__ import annotations

from cimarch.hardware.costs.inputs import (
    Inputs,
    Range,
    analog,
    counted,
    farads,
    joules,
    square_metres,
    watts,
    whole,
)
from cimarch.hardware.costs.logic import LEAKAGE, REGISTER, Makeup, Use, measured, sources, told
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    SCALING,
    Technology,
    gate_capacitance,
    reference,
    scale_area,
)
from cimarch.units import Quantity, show

DRIVER, DAC = "word-line driver", "capacitive DAC"
ZIGZAG = "ZigZag-IMC, AimcArray: 50 fF a bit at 28 nm"
ISAAC = "A. Shafiee et al. (ISAAC), ISCA 2016, Table I: DAC of 1 bit, 0.00017 mm^2 / 1024, 32 nm"
BRAHMS = (
    'T. Song et al., "BRAHMS", DAC 2021: DAC of 8 bits, 438 um^2, 40 nm'
    " (read in hwcomponents-library, brahms.py)"
)
BITS = Range("bits", 1, 8, "the bits of the published converters")
_FEMTOFARADS, _NODE = 50.0, 28


def capacitance(to: Technology) -> float:
    """Farads that a bit charges."""
    known = reference(_NODE, to.transistors)
    return _FEMTOFARADS / 10**15 * gate_capacitance(to) / gate_capacitance(known)


def _estimate(
    facts: Facts, quantity: Quantity, formula: str, inputs: Inputs, source: str
) -> Estimate:
    to, bits = analog(facts), whole(facts, "bits")
    return Estimate(
        quantity,
        DRIVER if bits == 1 else DAC,
        formula,
        (*counted(facts, "bits"), *inputs, *to.told()),
        f"{source}; {SCALING}",
        (*to.warnings, *BITS.doubts(bits)),
    )


def energy(facts: Facts) -> Estimate:
    """Of a conversion."""
    to = analog(facts)
    found = capacitance(to) * whole(facts, "bits") * to.voltage**2
    inputs = (("c", show(farads(capacitance(to)))),)
    return _estimate(facts, joules(found), "energy = c * bits * voltage^2", inputs, ZIGZAG)


def area(facts: Facts) -> Estimate:
    """Of a driver, or of the capacitors of a DAC."""
    to, bits = analog(facts), whole(facts, "bits")
    if bits == 1:
        driver = scale_area(0.00017 / 1024 / 10**6, 32, to)
        told_as = (("driver", show(square_metres(driver))),)
        return _estimate(facts, square_metres(driver), "area = driver", told_as, ISAAC)
    unit = scale_area(438 / 2**8 / 10**12, 40, to)
    inputs = (("unit", show(square_metres(unit))),)
    return _estimate(facts, square_metres(2**bits * unit), "area = 2^bits * unit", inputs, BRAHMS)


def leakage(facts: Facts) -> Estimate:
    """Of the register that holds the bits."""
    to = analog(facts)
    register = Makeup((Use(REGISTER, 1, whole(facts, "bits")),), "")
    inputs = (*told(register, LEAKAGE, to), *to.warmth())
    found = watts(measured(register, LEAKAGE, to))
    source = sources(register).removesuffix(f"; {SCALING}")
    return _estimate(facts, found, "leakage = bits * register", inputs, source)


MODELS = (
    Model("dac", "convert.energy", energy),
    Model("dac", "area", area),
    Model("dac", "leakage", leakage),
)
