"""Sample-and-hold circuits: a capacitor that is charged once.

Energy = C V^2. Where `capacitance` is not stated, C is as large as thermal noise asks for: k T / C
is then the noise of quantising V into 2^8 steps, V^2 / (12 4^8), so that C = 12 k T 4^8 / V^2
[derived]. Area: the capacitor's, 2 fF/um^2, what metal fingers give [recalled, unverified]. It does
not leak.
"""

from __future__ import annotations

from cimarch.hardware.costs.inputs import Inputs, analog, farads, joules, square_metres
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.hardware.costs.technology import Technology
from cimarch.units import Quantity, show

HOLD = "sample and hold"
THERMAL = "capacitance: thermal noise as large as that of quantising to 8 bits"
STATED = "energy of charging a capacitor"
DENSITY = "2 fF/um^2 of metal capacitors (recalled, unverified)"
BOLTZMANN = 1.380649e-23
"""J/K: exact by the definition of the kelvin."""
_BITS = 8
_DENSITY = 2e-15 * 1e12
"""F/m^2."""


def thermal_capacitance(bits: int, to: Technology) -> float:
    """Farads whose noise is that of quantising the supply to some bits."""
    return float(12 * BOLTZMANN * to.temperature * 4**bits / to.voltage**2)


def _capacitance(facts: Facts) -> tuple[float, str]:
    """Farads, and where they come from."""
    if facts.has("capacitance"):
        return float(facts.number("capacitance")), STATED
    return thermal_capacitance(_BITS, analog(facts)), THERMAL


def _estimate(facts: Facts, quantity: Quantity, formula: str, source: str) -> Estimate:
    to = analog(facts)
    held, _ = _capacitance(facts)
    inputs: Inputs = (("capacitance", show(farads(held))), *to.told(), *to.warmth())
    return Estimate(quantity, HOLD, formula, inputs, source, to.warnings)


def energy(facts: Facts) -> Estimate:
    """Of holding a column."""
    held, source = _capacitance(facts)
    found = joules(held * analog(facts).voltage ** 2)
    return _estimate(facts, found, "energy = capacitance * voltage^2", source)


def area(facts: Facts) -> Estimate:
    """Of the capacitor."""
    held, source = _capacitance(facts)
    found = square_metres(held / _DENSITY)
    formula = "area = capacitance / (2 fF/um^2)"
    return _estimate(facts, found, formula, f"{source}; {DENSITY}")


MODELS = (Model("sample_hold", "hold.energy", energy), Model("sample_hold", "area", area))
