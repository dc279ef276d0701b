"""Technology nodes: how energy, area and leakage go from the node of a published figure to another.

The rule. Energy goes as the capacitance of a gate times the voltage squared; area as the area of a
logic gate; leakage as the current of a gate that is off times the voltage. The three come from a
table by node, interpolated between its nodes with both axes logarithmic. Squares of the feature
size overstate the gain below 20 nm, where nodes are names and no lengths: the table does not
follow them.

Sources. 180, 90, 65, 45, 32 and 22 nm: `tech_params/*.dat` of CACTI 7, columns `hp` and `lop`:
`Vdd`, `C_g_ideal` + `C_fringe` of a micrometre of gate, and `I_off_n` at 300 K and 360 K; 180 nm
has one kind of transistor there. The file of 90 nm gives 102 nA at 360 K for `lop`, ten times what
its neighbours at 340 K and 380 K lead to: 10.2 nA is taken. 16, 14, 10 and 7 nm: capacitance
relative to 22 nm as A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of
CMOS device performance from 180 nm to 7 nm", Integration 58 (2017), give it for high performance
transistors at 0.85, 0.8, 0.75 and 0.7 V (coefficients: the public script nodeScale); currents as at
22 nm times 0.79, what fins gain by B. Parvais et al., VLSI-TSA 2009 (hwcomponents-cacti). The
voltages below 22 nm are recalled: unverified. Areas: Stillmaker and Baas, table of areas, row of
32 nm.
"""

from __future__ import annotations

from fractions import Fraction
from math import exp, log

import attrs

from cimarch.hardware.costs.model import CostError, Facts
from cimarch.units import LENGTH, TEMPERATURE, VOLTAGE, Quantity, show

__all__ = [
    "ENERGY_RULE",
    "LEAKAGE_RULE",
    "SCALING",
    "Technology",
    "energy_inputs",
    "gate_area",
    "gate_capacitance",
    "gate_leakage",
    "interpolate",
    "leakage_inputs",
    "reference",
    "scale_area",
    "scale_energy",
    "scale_leakage",
    "technology",
]

SCALING = "scaled between nodes: CACTI 7 `tech_params`; Stillmaker and Baas, Integration 58 (2017)"
"""The source of the scaling, for the source line of an estimate that uses it."""


@attrs.frozen
class Transistors:
    """What a node's transistors of one kind are like."""

    voltage: float
    """V, of the supply."""
    capacitance: float
    """fF of a micrometre of gate."""
    cold: float
    """nA of a micrometre that is off, at 300 K and the node's own voltage."""
    warm: float
    """The same at 360 K."""


def _fins(voltage: float, capacitance: float, planar: Transistors) -> Transistors:
    return Transistors(voltage, capacitance, 0.79 * planar.cold, 0.79 * planar.warm)


_HP22 = Transistors(0.8, 0.387, 121.6, 425.6)
_LOP22 = Transistors(0.6, 0.396, 13.1, 791)

# Gates below 22 nm: capacitance of a gate as wide as the node is named, relative to 22 nm: 0.654,
# 0.513, 0.426 and 0.333 at 16, 14, 10 and 7 nm; so of a micrometre, times 22 / node.
_HP: dict[float, Transistors] = {
    180: Transistors(1.5, 1.488, 0.7, 1.88),
    90: Transistors(1.2, 0.744, 32.4, 98.2),
    65: Transistors(1.1, 0.546, 196, 445),
    45: Transistors(1.0, 0.728, 280, 642),
    32: Transistors(0.9, 0.574, 152, 532),
    22: _HP22,
    16: _fins(0.8, 0.387 * 0.654 * 22 / 16, _HP22),
    14: _fins(0.8, 0.387 * 0.513 * 22 / 14, _HP22),
    10: _fins(0.75, 0.387 * 0.426 * 22 / 10, _HP22),
    7: _fins(0.7, 0.387 * 0.333 * 22 / 7, _HP22),
}
_LOP: dict[float, Transistors] = {
    180: _HP[180],
    90: Transistors(0.9, 0.925, 2.14, 10.2),
    65: Transistors(0.8, 0.68, 4.9, 20.9),
    45: Transistors(0.7, 0.693, 4.03, 12.7),
    32: Transistors(0.6, 0.511, 59.4, 165),
    22: _LOP22,
    16: _fins(0.6, 0.396 * 0.654 * 22 / 16, _LOP22),
    14: _fins(0.6, 0.396 * 0.513 * 22 / 14, _LOP22),
    10: _fins(0.6, 0.396 * 0.426 * 22 / 10, _LOP22),
    7: _fins(0.6, 0.396 * 0.333 * 22 / 7, _LOP22),
}
NODES = {"HP": _HP, "LOP": _LOP}
"""By kind of transistor and nanometres."""

AREAS: dict[float, float] = {
    180: 40,
    130: 14,
    90: 6.1,
    65: 3.3,
    45: 2.2,
    32: 1,
    20: 0.46,
    16: 0.41,
    14: 0.38,
    10: 0.22,
    7: 0.13,
}
"""Area of the same logic relative to 32 nm, by nanometres."""

_GATE = (28, 0.7, 0.614)
"""nm, fF and um^2 of a gate such as a NAND of two inputs: ZigZag-IMC's constants of 28 nm."""
_GATE_WIDTH = 2.5
"""Feature sizes of gate that are off in it: the mean of an inverter's n (1.5) and p (2.3 times as
wide) in CACTI 7, of which one is off at a time. [derived]"""

_COLD, _WARM = 300, 360


def interpolate(x: float, points: dict[float, float]) -> float:
    """The value at `x` of a table of positive numbers, both axes logarithmic.

    Beyond the ends the line through the last two points goes on; a point of the table is met.
    """
    if x in points:
        return points[x]
    xs = sorted(points)
    above = next((i for i, known in enumerate(xs) if known > x), len(xs) - 1)
    low, high = xs[max(above, 1) - 1], xs[max(above, 1)]
    share = log(x / low) / log(high / low)
    return points[low] * exp(share * log(points[high] / points[low]))


@attrs.frozen
class Technology:
    """A process at a supply voltage and a temperature."""

    nanometres: float
    transistors: str
    """`HP` or `LOP`."""
    voltage: float
    """V."""
    temperature: float = 300
    """K."""
    warnings: tuple[str, ...] = ()
    """Where it lies outside the table or its rules."""

    @property
    def capacitance(self) -> float:
        """fF of a gate that is one feature size wide."""
        return _of(self.nanometres, self.transistors, "capacitance") * self.nanometres / 1000

    @property
    def area(self) -> float:
        """Of the same logic, relative to 32 nm."""
        return interpolate(self.nanometres, AREAS)

    @property
    def leakage(self) -> float:
        """nW of a gate that is off and one feature size wide.

        Temperature: exponential, through the table's currents at 300 K and 360 K. Voltage: the
        current of the node's own voltage is kept, so that power goes with the voltage; lowering of
        the barrier by the drain, which makes low voltages leak less still, is not modelled.
        """
        cold = _of(self.nanometres, self.transistors, "cold")
        warm = _of(self.nanometres, self.transistors, "warm")
        share = (self.temperature - _COLD) / (_WARM - _COLD)
        current = cold * exp(share * log(warm / cold))
        return current * self.voltage * self.nanometres / 1000

    def told(self) -> tuple[tuple[str, str], ...]:
        """What was put in for `node` and `voltage`, for the inputs of an estimate."""
        metres = Fraction(self.nanometres).limit_denominator(1000) / 10**9
        volts = Fraction(self.voltage).limit_denominator(10_000)
        return (
            ("node", f"{show(Quantity(metres, LENGTH))} {self.transistors}"),
            ("voltage", show(Quantity(volts, VOLTAGE))),
        )

    def warmth(self) -> tuple[tuple[str, str], ...]:
        """What was put in for `temperature`: leakage depends on it."""
        kelvin = Fraction(self.temperature).limit_denominator(1000)
        return (("temperature", show(Quantity(kelvin, TEMPERATURE))),)


def _of(nanometres: float, transistors: str, field: str) -> float:
    table = NODES[transistors]
    points: dict[float, float] = {node: getattr(row, field) for node, row in table.items()}
    return interpolate(nanometres, points)


def nominal(nanometres: float, transistors: str) -> float:
    """V: the supply of a node's transistors."""
    return _of(nanometres, transistors, "voltage")


def reference(
    nanometres: float,
    transistors: str = "LOP",
    voltage: float | None = None,
    temperature: float = 300,
) -> Technology:
    """Where a published figure was taken; without a voltage, at the node's own."""
    volts = nominal(nanometres, transistors) if voltage is None else voltage
    return Technology(nanometres, transistors, volts, temperature)


def technology(facts: Facts) -> Technology:
    """The process of a part; raises CostError where its numbers mean nothing.

    `transistors` are LOP where nobody says, `voltage` the node's own, `temperature` 300 K.
    """
    nanometres = _sensible(facts, "node", 10**9, (2, 1000), "nm")
    transistors = facts.word("transistors") if facts.has("transistors") else "LOP"
    voltage, temperature = nominal(nanometres, transistors), float(_COLD)
    if facts.has("voltage"):
        voltage = _sensible(facts, "voltage", 1, (0.1, 10), "V")
    if facts.has("temperature"):
        temperature = _sensible(facts, "temperature", 1, (1, 600), "K")
    least, most = 0.6 * nominal(nanometres, "LOP"), 1.6 * nominal(nanometres, "HP")
    warnings = [
        f"{label} {value:.4g} {unit} is outside {low:.4g}..{high:.4g} {unit}, {what}"
        for label, value, (low, high), unit, what in (
            ("node", nanometres, (7, 180), "nm", "the nodes of the scaling table"),
            ("voltage", voltage, (least, most), "V", f"the supplies of {nanometres:.4g} nm"),
            ("temperature", temperature, (273, 400), "K", "where the rule for leakage holds"),
        )
        if not low <= value <= high
    ]
    return Technology(nanometres, transistors, voltage, temperature, tuple(warnings))


def _sensible(
    facts: Facts, name: str, unit: int, limits: tuple[float, float], symbol: str
) -> float:
    """The number in its unit; CostError outside limits beyond which no process is."""
    value = float(facts.number(name) * unit)
    low, high = limits
    if not low <= value <= high:
        raise CostError(
            f"`{name}` is {value:.4g} {symbol}, outside {low:g}..{high:g} {symbol},"
            " where cost models mean something",
            name,
        )
    return value


def _same(known: Technology | float, to: Technology) -> Technology:
    """A node alone stands for the same transistors at the node's own voltage and 300 K."""
    return known if isinstance(known, Technology) else reference(known, to.transistors)


ENERGY_RULE = "known * c / c_known * (voltage / v_known)^2"
"""How an estimate writes the scaling of an energy; `energy_inputs` are its values."""
LEAKAGE_RULE = "known * p / p_known"
"""How an estimate writes the scaling of a leakage; `leakage_inputs` are its values."""


def energy_inputs(known: Technology, to: Technology) -> tuple[tuple[str, str], ...]:
    """Of the rule for energy: capacitances of a gate, and where the published figure was taken."""
    volts = Fraction(known.voltage).limit_denominator(10_000)
    return (
        *to.told(),
        ("c", f"{to.capacitance:.6g} fF"),
        ("c_known", f"{known.capacitance:.6g} fF"),
        ("v_known", show(Quantity(volts, VOLTAGE))),
    )


def leakage_inputs(known: Technology, to: Technology) -> tuple[tuple[str, str], ...]:
    """Of the rule for leakage: what a gate of either technology leaks."""
    return (
        *to.told(),
        *to.warmth(),
        ("p", f"{to.leakage:.6g} nW"),
        ("p_known", f"{known.leakage:.6g} nW"),
    )


def scale_energy(energy: float, known: Technology | float, to: Technology) -> float:
    """An energy published for a technology, or for a node (nm), in another: C x V^2."""
    known = _same(known, to)
    ratio = to.capacitance / known.capacitance
    return energy * ratio * (to.voltage / known.voltage) ** 2


def scale_area(area: float, known: Technology | float, to: Technology) -> float:
    """An area of logic published for a technology, or for a node (nm), in another."""
    return area * to.area / _same(known, to).area


def scale_leakage(leakage: float, known: Technology | float, to: Technology) -> float:
    """A leakage published for a technology, or for a node (nm), in another."""
    return leakage * to.leakage / _same(known, to).leakage


def gate_capacitance(to: Technology) -> float:
    """fF that switching a gate (as of a NAND of two inputs) charges: 0.7 fF at 28 nm."""
    node, femtofarads, _ = _GATE
    return femtofarads * to.capacitance / reference(node, to.transistors).capacitance


def gate_area(to: Technology) -> float:
    """um^2 of a gate (as of a NAND of two inputs): 0.614 um^2 at 28 nm."""
    node, _, area = _GATE
    return scale_area(area, node, to)


def gate_leakage(to: Technology) -> float:
    """nW of a gate (as of a NAND of two inputs)."""
    return _GATE_WIDTH * to.leakage
