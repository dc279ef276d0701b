"""Analog to digital converters by the regression over published ones.

It draws the line below which 20 % of published energies, and 10 % of areas, lie: an optimistic
design on purpose. Source: T. Andrulis et al., "Modeling Analog-Digital-Converter Energy and Area
for Compute-In-Memory Accelerator Design", 2024 (arXiv 2404.06553); coefficients as in `model.py`
and `adc_data/model.yaml` of the public packages accelergy-adc-plug-in and hwcomponents-adc.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, exp, log

from cimarch.hardware.costs.inputs import (
    Inputs,
    Range,
    counted,
    joules,
    rated,
    square_metres,
    whole,
)
from cimarch.hardware.costs.model import CostError, Estimate, Facts
from cimarch.hardware.costs.technology import technology
from cimarch.units import LENGTH, POWER, Quantity, show

REGRESSION = "ADC regression"
SOURCE = (
    "Andrulis et al., arXiv 2404.06553: regression over published converters "
    "(coefficients: hwcomponents-adc)"
)
LEAKAGE_SHARE = Fraction(1, 5)
"""Leakage / (energy x rate): the assumption of hwcomponents-adc."""
FEWEST_BITS = 4
"""Below it an answer would rise again: 3 bits dearer than 4."""
RATE = Range("rate", 0, 100, "what published converters span")
BITS = Range("bits", 4, 12, "what the converters of compute-in-memory span")


def regression_energy(bits: int, rate: float, nanometres: float) -> float:
    """Picojoules of one conversion: `bits` of 4 or more, `rate` in samples a second.

    With f the rate and N the bits (logarithms natural): the figure of merit (dB) is the smaller of
    213.7807 - 2.87190 ln f and 128.3068 + 3.22051 ceil(N); the signal to noise and distortion ratio
    6.0206 N + 1.7609; e0 = 1 / (2 x 10^((figure - ratio) / 10)); the energy
    e0 x exp(26.04962 + 1.880037 ln T - 2.829126 ln N - 1.470202).
    """
    merit = min(213.7807 - 2.87190 * log(rate), 128.3068 + 3.22051 * ceil(bits))
    ratio = 6.0206 * bits + 1.7609
    e0 = 1 / (2 * 10 ** ((merit - ratio) / 10))
    return e0 * exp(26.04962 + 1.880037 * log(nanometres) - 2.829126 * log(bits) - 1.470202)


def regression_area(picojoules: float, rate: float, nanometres: float) -> float:
    """Square micrometres of a converter of that energy, rate and node."""
    return exp(
        1.346192 + 0.993279 * log(nanometres) + 0.180715 * log(rate) + 0.299124 * log(picojoules)
    )


def _inputs(facts: Facts) -> tuple[int, float, float]:
    """Bits, samples a second and nanometres; raises CostError where the formula means nothing."""
    bits = whole(facts, "bits")
    if bits < FEWEST_BITS:
        raise CostError(
            f"`bits` is {bits}, and the {REGRESSION} begins at {FEWEST_BITS}",
            "bits",
            "`circuit = sense_amplifier` prices converters of few bits",
        )
    return bits, float(facts.number("rate")), technology(facts).nanometres


def _told(facts: Facts, picojoules: float | None = None) -> Inputs:
    node = (("node", show(Quantity(facts.number("node"), LENGTH))),)
    given = (*counted(facts, "bits"), *rated(facts), *node)
    return given if picojoules is None else (*given, ("energy", f"{picojoules:.4g} pJ"))


def _doubts(facts: Facts) -> tuple[str, ...]:
    return (
        *technology(facts).warnings,
        *BITS.doubts(whole(facts, "bits")),
        *RATE.doubts(float(facts.number("rate")) / 10**9, " GHz"),
    )


def energy(facts: Facts) -> Estimate:
    """Of a conversion; raises CostError below 4 bits."""
    picojoules = regression_energy(*_inputs(facts))
    return Estimate(
        joules(picojoules / 10**12),
        REGRESSION,
        "energy = e0 * exp(26.04962 + 1.880037 ln node - 2.829126 ln bits - 1.470202),"
        " e0 = 1 / (2 * 10^((min(213.7807 - 2.8719 ln rate, 128.3068 + 3.22051 bits)"
        " - 6.0206 bits - 1.7609) / 10)); pJ, nm",
        _told(facts),
        SOURCE,
        _doubts(facts),
    )


def area(facts: Facts) -> Estimate:
    """Of a converter; raises CostError below 4 bits."""
    bits, rate, nanometres = _inputs(facts)
    picojoules = regression_energy(bits, rate, nanometres)
    return Estimate(
        square_metres(regression_area(picojoules, rate, nanometres) / 10**12),
        REGRESSION,
        "area = exp(1.346192 + 0.993279 ln node + 0.180715 ln rate + 0.299124 ln energy);"
        " um^2, nm, pJ",
        _told(facts, picojoules),
        SOURCE,
        _doubts(facts),
    )


def leakage(facts: Facts) -> Estimate:
    """Of a converter: the share of what it takes while it never rests, by its own energy or power
    where it states one. Raises CostError below 4 bits where it states neither."""
    energy, power = facts.stated("convert"), facts.number("power")
    if energy is None and power:
        return _leaking("power", power, (("power", show(Quantity(power, POWER))),))
    doubts = () if energy is not None else _doubts(facts)
    if energy is None:
        energy = Fraction(regression_energy(*_inputs(facts))) / 10**12
    told = _told(facts, float(energy) * 10**12)
    return _leaking("energy * rate", energy * facts.number("rate"), told, doubts)


def _leaking(formula: str, watts: Fraction, told: Inputs, doubts: tuple[str, ...] = ()) -> Estimate:
    quantity = Quantity(LEAKAGE_SHARE * watts, POWER)
    return Estimate(quantity, REGRESSION, f"leakage = 0.2 * {formula}", told, SOURCE, doubts)
