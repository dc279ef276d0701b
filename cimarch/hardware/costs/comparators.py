"""Flash converters and sense amplifiers: comparators, at once or one after the other.

Comparator: 41.7 fJ and 40 um^2 at 65 nm, that of W. Li et al., "TIMELY", ISCA 2020, Table II. Its
supply is not printed and is taken to be the node's own. It leaks like a register.

A flash converter compares with all 2^bits - 1 references at once and counts the comparators that
answer yes: 2^bits - 1 - bits full adders count them. Every bit halves the step and doubles the
comparators, so that published ones end at 8 bits: beyond, the formula means nothing.

A sense amplifier decides bit after bit, 1 to 3 of them, against references that are switched, and
keeps each in a register.
"""

from __future__ import annotations

from collections.abc import Callable

from cimarch.hardware.costs.inputs import Range, analog, counted, rated, whole
from cimarch.hardware.costs.logic import (
    ADDER,
    AREA,
    ENERGY,
    LEAKAGE,
    REGISTER,
    Block,
    Makeup,
    Measure,
    Use,
    measured,
    sources,
    told,
)
from cimarch.hardware.costs.model import CostError, Estimate, Facts, Pricing
from cimarch.hardware.costs.technology import Technology

TIMELY = (
    'W. Li et al., "TIMELY", ISCA 2020, Table II: comparator, 65 nm'
    " (read in hwcomponents-library, timely.py)"
)
COMPARATOR = Block("comparator", 65, 41.7, 40, REGISTER.leakage, 1, TIMELY)

FLASH, SENSE = "flash converter", "sense amplifier"
MOST_FLASH, MOST_SENSE = 8, 3
FLASH_BITS = Range("bits", 1, 6, "where offsets of comparators this small stay below a step")
RATE = Range("rate", 0, 10, "where a comparator of this size decides in time")


def _flash(facts: Facts) -> Makeup:
    """What works at once."""
    bits = whole(facts, "bits")
    count = 2**bits - 1
    adders = (Use(ADDER, 1, count - bits),) if count > bits else ()
    formula = "(2^bits - 1) * comparator" + " + (2^bits - 1 - bits) * adder" * bool(adders)
    return Makeup((Use(COMPARATOR, 1, count), *adders), formula, counted(facts, "bits"))


def _decisions(facts: Facts) -> Makeup:
    """What a conversion of a sense amplifier uses."""
    bits = whole(facts, "bits")
    uses = (Use(COMPARATOR, 1, bits), Use(REGISTER, 1, bits))
    return Makeup(uses, "bits * (comparator + register)", counted(facts, "bits"))


def _one(facts: Facts) -> Makeup:
    """What a sense amplifier holds."""
    bits = whole(facts, "bits")
    uses = (Use(COMPARATOR, 1), Use(REGISTER, 1, bits))
    return Makeup(uses, "comparator + bits * register", counted(facts, "bits"))


def _check(facts: Facts, name: str) -> None:
    """Raise CostError for a converter of more bits than such ones have."""
    bits = whole(facts, "bits")
    if name == FLASH and bits > MOST_FLASH:
        raise CostError(
            f"`bits` of a flash converter is {bits}, which takes {2**bits - 1:,} comparators,"
            f" and published ones end at {MOST_FLASH}",
            "bits",
            "`circuit = sar` prices converters of many bits",
            f"`bits = {MOST_FLASH}`, or fewer",
        )
    if name == SENSE and bits > MOST_SENSE:
        raise CostError(
            f"`bits` of a sense amplifier is {bits}, more than the {MOST_SENSE} that it decides",
            "bits",
            "`circuit = sar` prices converters of more bits",
        )


def _doubts(facts: Facts, name: str, to: Technology) -> tuple[str, ...]:
    few = FLASH_BITS.doubts(whole(facts, "bits")) if name == FLASH else ()
    return (*to.warnings, *few, *RATE.doubts(float(facts.number("rate")) / 10**9, " GHz"))


def _priced(name: str, made: Callable[[Facts], Makeup], measure: Measure) -> Pricing:
    """What leaks can be counted whatever the bits; energy and area of too many are refused."""

    def price(facts: Facts) -> Estimate:
        if measure is not LEAKAGE:
            _check(facts, name)
        to, makeup = analog(facts), made(facts)
        warmth = to.warmth() if measure is LEAKAGE else ()
        return Estimate(
            measure.quantity(measured(makeup, measure, to)),
            name,
            f"{measure.name} = {makeup.formula}",
            (*makeup.inputs, *told(makeup, measure, to), *rated(facts), *to.told(), *warmth),
            sources(makeup),
            _doubts(facts, name, to),
        )

    return price


flash: dict[str, Pricing] = {
    "energy": _priced(FLASH, _flash, ENERGY),
    "area": _priced(FLASH, _flash, AREA),
    "leakage": _priced(FLASH, _flash, LEAKAGE),
}
"""By what is priced."""
sense: dict[str, Pricing] = {
    "energy": _priced(SENSE, _decisions, ENERGY),
    "area": _priced(SENSE, _one, AREA),
    "leakage": _priced(SENSE, _one, LEAKAGE),
}
"""By what is priced."""
