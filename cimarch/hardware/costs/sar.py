"""Successive approximation converters: a capacitive DAC, one comparator, and a decision a bit.

Energy = (c_bit bits + c_noise 4^bits) V^2. The first term is what each decision switches, in
comparator and logic: 100 fF at 28 nm, scaled with the capacitance of a gate. The second is the
capacitor array, as large as thermal noise asks for: 0.001 fF, the same at every node. Area =
10^(1.206 - 0.0369 bits) 2^bits um^2 at 28 nm. Source: the class AimcArray of ZigZag-IMC's public
code, which fits the area to three published macros of 28 nm; the form of the energy is that of B.
Murmann, "Mixed-Signal Computing for Deep Neural Network Inference", IEEE TVLSI 29 (2021) [recalled,
unverified]. Leakage: of a register for the order of the decisions and one for the code, a bit each.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from cimarch.hardware.costs.inputs import (
    Inputs,
    Range,
    analog,
    counted,
    farads,
    joules,
    rated,
    square_metres,
    watts,
    whole,
)
from cimarch.hardware.costs.logic import LEAKAGE, REGISTER, Makeup, Use, measured, sources, told
from cimarch.hardware.costs.model import CostError, Estimate, Facts
from cimarch.hardware.costs.technology import (
    SCALING,
    Technology,
    gate_capacitance,
    reference,
    scale_area,
)
from cimarch.units import FREQUENCY, Quantity, show

SAR = "SAR converter"
SOURCE = "ZigZag-IMC, AimcArray: constants of 28 nm, area fitted to three published macros"
_NODE = 28
_DECISION, _NOISE = 100.0, 0.001
"""fF."""
_FASTEST = 20 * 10**9
"""Decisions a second: twice what the converter of 8 bits at 1.2 GS/s does that ISAAC builds on (L.
Kull et al., JSSC 48 (2013), 32 nm) [recalled, unverified]."""
_EASY = 1 / 0.64
"""Decisions a nanosecond at 28 nm, after the same source's delay of 0.64 ns a bit."""
BITS = Range("bits", 2, 12, "where decisions and thermal noise alone decide")


def sar_energy(bits: int, to: Technology) -> float:
    """Joules of one conversion."""
    femtofarads: float = decision(to) * bits + _NOISE * 4**bits
    return femtofarads * to.voltage**2 / 10**15


def decision(to: Technology) -> float:
    """fF that a decision switches."""
    known = reference(_NODE, to.transistors)
    return _DECISION * gate_capacitance(to) / gate_capacitance(known)


def sar_area(bits: int, to: Technology) -> float:
    """Square metres of one converter."""
    published: float = 10 ** (1.206 - 0.0369 * bits) * 2**bits
    return scale_area(published, _NODE, to) / 10**12


def _checked(facts: Facts) -> int:
    """Its bits; raises CostError where no such converter can be."""
    bits, rate = whole(facts, "bits"), facts.number("rate")
    if bits < BITS.low:
        raise CostError(
            "`bits` is 1, and one decision approximates nothing",
            "bits",
            "`circuit = sense_amplifier` prices it",
        )
    if bits * rate > _FASTEST:
        raise CostError(
            f"`rate` of a SAR converter of {bits} bits is {show(Quantity(rate, FREQUENCY))}, "
            f"{float(bits * rate) / 10**9:.4g} decisions a nanosecond, more than 20",
            "rate",
            "more converters share the work: each then has a lower `rate`",
        )
    return bits


def _doubts(facts: Facts, to: Technology) -> Iterator[str]:
    yield from to.warnings
    yield from BITS.doubts(whole(facts, "bits"))
    decisions = float(facts.number("rate") * whole(facts, "bits")) / 10**9
    easy = _EASY * _NODE / to.nanometres
    if decisions > easy:
        yield (
            f"{decisions:.3g} decisions a nanosecond are more than the {easy:.3g}"
            f" at {to.nanometres:g} nm that the formula was made for"
        )


def _estimate(facts: Facts, formula: str, quantity: Quantity, inputs: Inputs) -> Estimate:
    to = analog(facts)
    given = (*counted(facts, "bits"), *inputs, *to.told())
    return Estimate(quantity, SAR, formula, given, f"{SOURCE}; {SCALING}", (*_doubts(facts, to),))


def energy(facts: Facts) -> Estimate:
    """Of a conversion; raises CostError for one bit, or a rate beyond any."""
    bits, to = _checked(facts), analog(facts)
    inputs = (
        ("c_bit", show(farads(decision(to) / 10**15))),
        ("c_noise", show(farads(_NOISE / 10**15))),
        *rated(facts),
    )
    formula = "energy = (c_bit * bits + c_noise * 4^bits) * voltage^2"
    return _estimate(facts, formula, joules(sar_energy(bits, to)), inputs)


def area(facts: Facts) -> Estimate:
    """Of a converter; raises CostError for one bit, or a rate beyond any."""
    bits, to = _checked(facts), analog(facts)
    formula = "area = 10^(1.206 - 0.0369 * bits) * 2^bits * scale, um^2"
    inputs = (("scale", f"{scale_area(1, _NODE, to):.4g}"),)
    return _estimate(facts, formula, square_metres(sar_area(bits, to)), inputs)


def leakage(facts: Facts) -> Estimate:
    """Of a converter's registers."""
    bits, to = whole(facts, "bits"), analog(facts)
    registers = Makeup((Use(REGISTER, 1, 2 * bits),), "")
    inputs = (*told(registers, LEAKAGE, to), *to.warmth())
    found = _estimate(
        facts, "leakage = 2 * bits * register", watts(measured(registers, LEAKAGE, to)), inputs
    )
    return evolve(found, source=sources(registers))
