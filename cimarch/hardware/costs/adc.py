"""Analog to digital converters: which model prices which circuit.

`automatic` is the regression over published converters, which begins at 4 bits, and a sense
amplifier below.
"""

from __future__ import annotations

from collections.abc import Mapping

from cimarch.hardware.costs import comparators, regression, sar
from cimarch.hardware.costs.inputs import whole
from cimarch.hardware.costs.model import Estimate, Facts, Model, Pricing

_REGRESSION: Mapping[str, Pricing] = {
    "energy": regression.energy,
    "area": regression.area,
    "leakage": regression.leakage,
}
_SAR: Mapping[str, Pricing] = {"energy": sar.energy, "area": sar.area, "leakage": sar.leakage}
CIRCUITS: Mapping[str, Mapping[str, Pricing]] = {
    "sar": _SAR,
    "flash": comparators.flash,
    "sense_amplifier": comparators.sense,
}
"""What prices a circuit that is stated."""


def circuit(facts: Facts) -> Mapping[str, Pricing]:
    """What prices a converter."""
    word = facts.word("circuit")
    if word != "automatic":
        return CIRCUITS[word]
    few = whole(facts, "bits") < regression.FEWEST_BITS
    return comparators.sense if few else _REGRESSION


def _priced(measure: str) -> Pricing:
    def price(facts: Facts) -> Estimate | None:
        return circuit(facts)[measure](facts)

    return price


MODELS = (
    Model("adc", "convert.energy", _priced("energy")),
    Model("adc", "area", _priced("area")),
    Model("adc", "leakage", _priced("leakage")),
)
