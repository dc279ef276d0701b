"""Analog to digital converters: the regression over published converters.

It draws the line below which 20 % of published energies, and 10 % of areas, lie: an optimistic
design on purpose. Source: T. Andrulis et al., "Modeling Analog-Digital-Converter Energy and Area
for Compute-In-Memory Accelerator Design", 2024 (arXiv 2404.06553); coefficients as in `model.py`
and `adc_data/model.yaml` of the public packages accelergy-adc-plug-in and hwcomponents-adc.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, exp, log

from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model
from cimarch.units import AREA, ENERGY, FREQUENCY, LENGTH, POWER, Quantity, show

REGRESSION = "ADC regression"
SOURCE = (
    "Andrulis et al., arXiv 2404.06553: regression over published converters "
    "(coefficients: hwcomponents-adc)"
)
LEAKAGE_SHARE = Fraction(1, 5)
"""Leakage / (energy x rate): the assumption of hwcomponents-adc."""
_FEWEST_BITS = 4


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
    bits = int(facts.number("bits"))
    if bits < _FEWEST_BITS:
        raise CostError(
            f"`bits` is {bits}, and the {REGRESSION} begins at {_FEWEST_BITS}",
            "bits",
            "`circuit = sense_amplifier` prices converters of few bits",
        )
    return bits, float(facts.number("rate")), float(facts.number("node") * 10**9)


def _told(facts: Facts, picojoules: float | None = None) -> tuple[tuple[str, str], ...]:
    given = (
        ("bits", str(int(facts.number("bits")))),
        ("rate", show(Quantity(facts.number("rate"), FREQUENCY))),
        ("node", show(Quantity(facts.number("node"), LENGTH))),
    )
    return given if picojoules is None else (*given, ("energy", f"{picojoules:.4g} pJ"))


def _energy(facts: Facts) -> Estimate:
    picojoules = regression_energy(*_inputs(facts))
    return Estimate(
        Quantity(Fraction(picojoules) / 10**12, ENERGY),
        REGRESSION,
        "energy = e0 * exp(26.04962 + 1.880037 ln node - 2.829126 ln bits - 1.470202),"
        " e0 = 1 / (2 * 10^((min(213.7807 - 2.8719 ln rate, 128.3068 + 3.22051 bits)"
        " - 6.0206 bits - 1.7609) / 10)); pJ, nm",
        _told(facts),
        SOURCE,
    )


def _area(facts: Facts) -> Estimate:
    bits, rate, nanometres = _inputs(facts)
    picojoules = regression_energy(bits, rate, nanometres)
    return Estimate(
        Quantity(Fraction(regression_area(picojoules, rate, nanometres)) / 10**12, AREA),
        REGRESSION,
        "area = exp(1.346192 + 0.993279 ln node + 0.180715 ln rate + 0.299124 ln energy);"
        " um^2, nm, pJ",
        _told(facts, picojoules),
        SOURCE,
    )


def _leakage(facts: Facts) -> Estimate:
    bits, rate, nanometres = _inputs(facts)
    picojoules = regression_energy(bits, rate, nanometres)
    watts = LEAKAGE_SHARE * Fraction(picojoules) / 10**12 * facts.number("rate")
    return Estimate(
        Quantity(watts, POWER),
        REGRESSION,
        "leakage = 0.2 * energy * rate",
        _told(facts, picojoules),
        SOURCE,
    )


MODELS = (
    Model("adc", "convert.energy", _energy),
    Model("adc", "area", _area),
    Model("adc", "leakage", _leakage),
)
