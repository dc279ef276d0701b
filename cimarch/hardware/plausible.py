"""Stated costs that cannot be: each bound of a table is physical, or far beyond what is published.

A bound is wide on purpose. What lies outside is a slip of the pen, such as `mJ` for `pJ`, or a
design that nobody has built; it is warned of with its line, never refused. A zero is never doubted:
it says that the cost is counted elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import log10, pi, prod

import attrs

from cimarch.hardware.costs.model import Facts
from cimarch.hardware.costs.regression import FEWEST_BITS, regression_energy
from cimarch.units import FREQUENCY, Quantity, show

Limit = Callable[[Facts], tuple[float, str] | None]
"""A value in SI units and what it is (`what the best published converter takes`); None where the
description does not say enough for it."""
Share = Callable[[Facts], tuple[Quantity, str] | None]
"""What a number is divided by, and for each what: `(64, "bit")`; None where it cannot be."""


@attrs.frozen
class Bound:
    """Between what limits a stated number lies."""

    code: str
    kinds: tuple[str, ...]
    """Of parts; none: every kind."""
    name: str
    """A parameter, or the cost of an action: `convert.energy`; `*.energy` is that of any action."""
    low: Limit | None
    high: Limit | None
    source: str
    share: Share | None = None

    def covers(self, kind: str, name: str) -> bool:
        """Whether it says something of a number of a part of this kind."""
        same = name.endswith(self.name[1:]) if self.name.startswith("*") else name == self.name
        return same and (not self.kinds or kind in self.kinds)


@attrs.frozen
class Doubt:
    """A number outside its bound."""

    bound: Bound
    words: str
    """The number and its limit: `1.5 fJ, less than 74 fJ, what ... takes`."""


# Limits


def _fixed(value: float, what: str) -> Limit:
    return lambda facts: (value, what)


_SURVEY = "B. Murmann, ADC Performance Survey (foms_plot.json: 186.7 dB, falling from 46.7 MHz on)"
_BEST, _CORNER = 186.7233, 46_734_517
"""dB and Hz: the survey's line of the best converters, falling as 1 / (1 + rate / corner)."""
_LOST_BITS = 1
"""Effective bits that converters lack of their codes, at least, before one is doubted."""


def best_conversion(bits: float, rate: float) -> float:
    """Joules of a conversion by the best Schreier figure of merit that was published.

    Figure = ratio + 10 log10(rate / 2 / power), ratio = 6.0206 bits + 1.7609 dB.
    """
    figure = _BEST - 10 * log10(1 + rate / _CORNER)
    return float(10 ** ((6.0206 * bits + 1.7609 - figure) / 10) / 2)


def _converter(facts: Facts) -> tuple[int, float]:
    return int(facts.number("bits")), float(facts.number("rate"))


def _least_conversion(facts: Facts) -> tuple[float, str] | None:
    bits, rate = _converter(facts)
    if bits <= _LOST_BITS:
        return None
    told = show(Quantity(facts.number("rate"), FREQUENCY))
    what = (
        f"what the best published converter of {bits - _LOST_BITS} effective bits at {told} takes"
    )
    return best_conversion(bits - _LOST_BITS, rate), what


_REGRESSION = "Andrulis et al., arXiv 2404.06553: the line of the cheapest fifth"
_DEAREST = 1000
"""Times the regression."""


def _most_conversion(facts: Facts) -> tuple[float, str]:
    bits, rate = _converter(facts)
    node = float(facts.number("node") * 10**9) if facts.has("node") else 180
    joules = _DEAREST * regression_energy(max(bits, FEWEST_BITS), rate, node) / 10**12
    return joules, f"{_DEAREST} times what the regression over published converters gives"


_CLOCKS = "sampling clocks that are off by 20 fs or more (recalled, unverified)"
_JITTER = 20e-15
"""Seconds."""
_FASTEST = 100 * 10**9


def _most_conversions(facts: Facts) -> tuple[float, str]:
    """The ratio that jitter leaves is -20 log10(2 pi f jitter), with f half the rate."""
    bits, _ = _converter(facts)
    effective = max(bits - 2, 0)
    jitter = 10 ** (-(6.0206 * effective + 1.7609) / 20) / (pi * _JITTER)
    if jitter < _FASTEST:
        return jitter, f"where a jitter of 20 fs leaves {effective} effective bits"
    return _FASTEST, "the fastest that any array is read with"


def _most_bits(facts: Facts) -> tuple[float, str] | None:
    if facts.word("circuit") != "flash":
        return None
    comparators = 2 ** int(facts.number("bits")) - 1
    return 8, f"where flash converters end: it takes {comparators:,} comparators"


def _square(facts: Facts) -> Fraction | None:
    """m^2 of a feature size squared."""
    return facts.number("node") ** 2 if facts.has("node") else None


def _features(count: int, what: str) -> Limit:
    def limit(facts: Facts) -> tuple[float, str] | None:
        square = _square(facts)
        return None if square is None else (float(count * square), what)

    return limit


def _own_power(facts: Facts) -> tuple[float, str] | None:
    power = facts.number("power")
    return (float(power), "its power while busy") if power else None


def _on(facts: Facts) -> tuple[float, str] | None:
    leaks = facts.number("leakage") + facts.number("idle_power")
    return (float(leaks), "what it takes while it is on") if leaks else None


# Shares


def _by(*names: str, each: str = "bit") -> Share:
    """The product of some parameters."""

    def share(facts: Facts) -> tuple[Quantity, str]:
        return Quantity(Fraction(prod(facts.number(name) for name in names))), each

    return share


_WORD = _by("width")
_SUM = _by("bits")


def _tree(facts: Facts) -> tuple[Quantity, str]:
    return Quantity(facts.number("bits") * (facts.number("terms") - 1)), "bit and sum"


def _conversions(facts: Facts) -> tuple[Quantity, str]:
    return Quantity(facts.number("rate"), FREQUENCY), "conversion"


_CELLS = _by("rows", "columns", each="cell")
_READ = _by("word_lines", "columns", each="cell")
_WRITES = {
    "row": _by("columns", "pulses", each="cell and pulse"),
    "cell": _by("pulses", each="pulse"),
    "array": _by("rows", "columns", "pulses", each="cell and pulse"),
}


def _written(facts: Facts) -> tuple[Quantity, str] | None:
    return _WRITES[facts.word("write_per")](facts)


def _area(facts: Facts) -> tuple[Quantity, str] | None:
    area = facts.number("area") * 10**6
    return (Quantity(area), "mm^2") if area else None


# The table

# The table

_GATE = _fixed(1e-18, "a fiftieth of what the smallest logic gate switches")
_PULSE = _fixed(1e-17, "the charge of a single gate"), _fixed(1e-7, "10,000 PCM resets")
_MEMORY = "CACTI 7: 0.04 to 0.25 pJ a bit; registers of 40 nm: 9 fJ (Aladdin); LPDDR: 40 pJ"
_DRAM = "hwcomponents-cacti: 3.2 pJ a bit (HBM4) to 40 pJ (LPDDR)"
_WIRES = "40 fJ a bit and mm (low-swing link, DATE 2013) to 51 pJ a bit (ISAAC's HyperTransport)"
_CELL = "0.6 pJ a pulse (NVSim's ReRAM) to some 10 pJ (PCM reset)"
_LOGIC = "6.6 fJ a bit of an adder of 40 nm (Aladdin)"
_GEOMETRY = "lines and spaces of one feature size: a crossing takes 4 F^2"
_ARRAYS = ("crossbar", "digital_array")
_WORKERS = ("dac", "adc", "sample_hold", "shift_add", "accumulator", "adder_tree", "unit")
_PIN = _fixed(1e-9, "20 times what an off-chip link takes")

BOUNDS = (
    # converters
    *(
        Bound("W010", ("adc",), name, low, high, source, share)
        for name, share in (("convert.energy", None), ("power", _conversions))
        for low, high, source in (
            (_least_conversion, None, _SURVEY),
            (None, _most_conversion, _REGRESSION),
        )
    ),
    Bound("W010", ("adc",), "leakage", None, _most_conversion, _REGRESSION, _conversions),
    Bound("W010", ("adc",), "rate", None, _most_conversions, _CLOCKS),
    Bound("W010", ("adc",), "bits", None, _most_bits, "2^bits - 1 comparators, all at once"),
    Bound("W010", ("dac",), "convert.energy", _GATE, _PIN, _WIRES),
    Bound("W010", ("sample_hold",), "hold.energy", _GATE, _PIN, "1.2 pJ (NeuRRAM)"),
    # memories
    *(
        Bound("W011", kinds, name, low, high, source, _WORD)
        for kinds, low, high, source in (
            (("buffer",), _fixed(1e-16, "what one logic gate switches"),
             _fixed(5e-11, "what memory off the chip takes"), _MEMORY),
            (("dram",), _fixed(1e-13, "a thirtieth of what HBM4 takes"),
             _fixed(1e-9, "25 times what LPDDR takes"), _DRAM),
        )
        for name in ("read.energy", "write.energy")
    ),
    Bound("W011", ("buffer",), "area", _fixed(1e-15, "a twentieth of the smallest SRAM cell"),
          _fixed(1e-9, "that of 100 registers"), "registers of 40 nm: 6 um^2 (Aladdin)",
          _by("size")),
    Bound("W011", ("buffer",), "leakage", None, _fixed(1e-5, "that of 100 registers"),
          "72 nW a bit of CACTI 7's fastest 4 MB; registers of 40 nm: 74 nW (Aladdin)",
          _by("size")),
    # wires
    Bound("W012", ("bus", "link", "htree"), "transfer.energy", _GATE, _PIN, _WIRES, _WORD),
    Bound("W012", ("mesh",), "hop.energy", _GATE, _PIN, _WIRES, _WORD),
    # cells
    Bound("W013", _ARRAYS, "cell_area", _features(4, "4 F^2 of the node"), None, _GEOMETRY),
    Bound("W013", _ARRAYS, "area", _features(1, "F^2 of the node"), None, _GEOMETRY, _CELLS),
    Bound("W013", _ARRAYS, "write_energy", *_PULSE, _CELL),
    Bound("W013", _ARRAYS, "write.energy", *_PULSE, _CELL, _written),
    Bound("W013", _ARRAYS, "read.energy", _fixed(1e-21, "a quarter of k T"),
          _fixed(1e-10, "100 times what writing takes"), _CELL, _READ),
    Bound("W013", _ARRAYS, "on_resistance", _fixed(10, "that of a wire"),
          _fixed(1e13, "that of an insulator"), "1.3 kohm (ISAAC in CiMLoop) to 1 Mohm (NVSim)"),
    # digital logic
    Bound("W014", ("shift_add", "accumulator"), "add.energy", _GATE,
          _fixed(1e-11, "1,000 times what an adder takes"), _LOGIC, _SUM),
    Bound("W014", ("adder_tree",), "add.energy", _GATE,
          _fixed(1e-11, "1,000 times what an adder takes"), _LOGIC, _tree),
    Bound("W014", ("unit",), "compute.energy", _GATE,
          _fixed(1e-9, "100,000 times what an adder takes"), _LOGIC, _SUM),
    # power
    Bound("W015", _WORKERS, "leakage", None, _own_power, "what is idle does less than what works"),
    Bound("W015", (), "idle_power", None, _own_power, "what is idle does less than what works"),
    Bound("W015", (), "gated_leakage", None, _on, "switching off saves something"),
    Bound("W015", (), "leakage", None, _fixed(10, "ten times the power of a processor"),
          "CACTI 7: 0.27 W/mm^2 of 4 MB, fast transistors of 32 nm, 360 K", _area),
    Bound("W015", (), "power", None, _fixed(100, "a hundred times that of a processor"),
          "the densest part of ISAAC, its drivers: 23.5 W/mm^2", _area),
    # anything
    Bound("W016", (), "area", None, _fixed(pi * 0.15**2, "a wafer of 300 mm"), "geometry"),
    Bound("W016", (), "clock", None, _fixed(3e10, "beyond clocked logic"), "processors: 9 GHz"),
    Bound("W016", (), "power", None, _fixed(1e5, "four times a wafer of processors"),
          "23 kW of a wafer (recalled, unverified)"),
    Bound("W016", (), "node", _fixed(1e-9, "a few atoms"), _fixed(2e-5, "the first processors"),
          "10 um (1971) to 2 nm"),
    Bound("W016", (), "voltage", _fixed(0.05, "twice k T / q"), _fixed(50, "what gates withstand"),
          "0.3 V (subthreshold logic) to 5 V"),
    Bound("W016", (), "*.energy", None, _fixed(1e-3, "that of 10^9 additions"), _LOGIC),
    Bound("W016", (), "*.latency", _fixed(1e-13, "a tenth of a gate's delay"),
          _fixed(100, "a hundred times writing an array cell by cell"),
          "0.6 s to write and verify 256 x 256 cells one by one (NeuRRAM's pulses)"),
)  # fmt: skip
"""Every bound, the narrowest of a number first."""


# Doubting


def doubt(facts: Facts, name: str, value: Quantity) -> Doubt | None:
    """What is to be doubted first of a stated number of a part, if anything is.

    `name` is a parameter or the cost of an action (`convert.energy`); the value in SI units.
    """
    if value.value == 0:
        return None
    found = (_outside(bound, facts, value) for bound in _bounds(facts.kind, name))
    return next((each for each in found if each is not None), None)


@cache
def _bounds(kind: str, name: str) -> tuple[Bound, ...]:
    return tuple(bound for bound in BOUNDS if bound.covers(kind, name))


def _outside(bound: Bound, facts: Facts, value: Quantity) -> Doubt | None:
    shared = bound.share(facts) if bound.share is not None else (Quantity(Fraction(1)), "")
    if shared is None or shared[0].value <= 0:
        return None
    each = value / shared[0]
    low, high = (limit(facts) if limit is not None else None for limit in (bound.low, bound.high))
    if low is not None and each.value < low[0]:
        limit, word = low, "less"
    elif high is not None and each.value > high[0]:
        limit, word = high, "more"
    else:
        return None
    told = f", {show(each)} a {shared[1]}" if shared[1] else ""
    end = show(Quantity(Fraction(f"{limit[0]:.3g}"), each.dimension))
    return Doubt(bound, f"{show(value)}{told}, {word} than {end}, {limit[1]}")
