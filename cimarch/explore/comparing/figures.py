"""What chips are compared by: one table of figures, printed, exported and drawn."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from cimarch.report.definitions import FIGURES as OF_A_RUN
from cimarch.report.format import area as in_area
from cimarch.report.format import count, digits, number, percent, plural, quantity
from cimarch.report.report import Report

DEFINITIONS = {figure.key: figure.definition for figure in OF_A_RUN}
MOST_NAMED = 3
"""Actions without a price that a note names; of more, only their number is told."""


@attrs.frozen
class Compared:
    """One figure by which chips are compared: what it is, and how it is written."""

    key: str
    """Its name in JSON, CSV and DataFrames, with its unit."""
    label: str
    unit: str
    """Of the value; empty where it is a plain number."""
    definition: str
    value: Callable[[Report], float | None]
    """In `unit`; None where it is not known."""
    why: Callable[[Report], str]
    """Why it is not known, as a sentence that says so."""
    show: Callable[[float], str]
    """A value as a person reads it."""
    is_drawn: bool = False
    """Whether a picture of the comparison shows it."""


def _latency(report: Report) -> float:
    return float(report.latency / report.clock)


def _interval(report: Report) -> float | None:
    return None if report.interval is None else report.interval / float(report.clock)


def _each(report: Report, joules: float | None) -> float | None:
    """Of one inference."""
    return None if joules is None else joules / report.batch


def _energy_delay(report: Report) -> float | None:
    energy = report.joules_per_inference
    return None if energy is None else energy * _latency(report)


def _area(report: Report) -> float | None:
    return report.area * 1e6 or None


def _power(report: Report) -> float | None:
    return report.power or None


def _mean_power(report: Report) -> float | None:
    return None if report.joules is None or not report.cycles else report.joules / report.seconds


def _load(report: Report) -> float | None:
    return report.load_seconds or None


def _always(report: Report) -> str:
    return "the run takes no time"


def _one_inference(report: Report) -> str:
    return "a batch of 1 has no distance between results"


def _unpriced(report: Report) -> str:
    missing = report.unpriced
    if not missing:
        return "no energy is stated"
    named = ", ".join(missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
    return f"no price for {plural(len(missing), 'action')}: {named}"


def _no_area(report: Report) -> str:
    return "no part states an area"


def _no_power(report: Report) -> str:
    return "no part states a power"


def _not_drawn(report: Report) -> str:
    return "power over time was not asked for"


def _nothing_loaded(report: Report) -> str:
    return "no time to write weights is stated"


def _load_unpriced(report: Report) -> str:
    return "it is part of the run" if report.groups > 1 else "writing the weights has no price"


def _lasts(report: Report) -> str:
    if not int(report.layers["writes"].sum()):
        return "the run writes no cells"
    return "the cells that are written state no endurance"


def _as(unit: str) -> Callable[[float], str]:
    return lambda value: quantity(value, unit)


def _joule_seconds(value: float) -> str:
    return f"{number(value)} J s"


def _in_mm2(value: float) -> str:
    return in_area(value / 1e6)


FIGURES = (
    Compared(
        "cycles", "cycles", "", DEFINITIONS["cycles"] + "; of each chip's own clock",
        lambda report: report.cycles, _always, count,
    ),
    Compared(
        "seconds", "time", "s", DEFINITIONS["seconds"],
        lambda report: report.seconds, _always, _as("s"), is_drawn=True,
    ),
    Compared(
        "latency_seconds", "latency", "s",
        "time from the first input in to the first result out, of the first inference",
        _latency, _always, _as("s"),
    ),
    Compared(
        "interval_seconds", "interval", "s",
        "steady distance in time between results of a batch; null for a batch of 1",
        _interval, _one_inference, _as("s"),
    ),
    Compared(
        "inferences_per_second", "inferences/s", "1/s", DEFINITIONS["inferences_per_second"],
        lambda report: report.throughput, _always, number,
    ),
    Compared(
        "joules_per_inference", "energy", "J", DEFINITIONS["joules_per_inference"],
        lambda report: report.joules_per_inference, _unpriced, _as("J"), is_drawn=True,
    ),
    Compared(
        "static_joules_per_inference", "static energy", "J",
        "what of joules_per_inference is paid for time: leakage, idle and gated parts",
        lambda report: _each(report, report.static_joules), _unpriced, _as("J"),
    ),
    Compared(
        "off_chip_joules_per_inference", "off-chip energy", "J",
        "what of joules_per_inference is spent beside the chip: memory, host, links to them",
        lambda report: _each(report, report.off_chip_joules), _unpriced, _as("J"),
    ),
    Compared(
        "energy_delay_Js", "energy x delay", "J s", "joules_per_inference x latency_seconds",
        _energy_delay, _unpriced, _joule_seconds, is_drawn=True,
    ),
    Compared(
        "tops_per_watt", "TOPS/W", "TOPS/W", DEFINITIONS["tops_per_watt"],
        lambda report: report.tops_per_watt, _unpriced, number, is_drawn=True,
    ),
    Compared(
        "area_mm2", "area", "mm^2", DEFINITIONS["area_mm2"], _area, _no_area, _in_mm2,
        is_drawn=True,
    ),
    Compared(
        "gops_per_mm2", "GOPS/mm^2", "GOPS/mm^2", DEFINITIONS["gops_per_mm2"],
        lambda report: report.gops_per_mm2, _no_area, number, is_drawn=True,
    ),
    Compared(
        "peak_power_W", "peak power", "W", DEFINITIONS["peak_power_W"], _power, _no_power, _as("W"),
    ),
    Compared(
        "mean_power_W", "mean power", "W", "joules / seconds", _mean_power, _unpriced, _as("W"),
    ),
    Compared(
        "drawn_peak_W", "drawn at most", "W", DEFINITIONS["drawn_peak_W"],
        lambda report: report.drawn_peak, _not_drawn, _as("W"),
    ),
    Compared(
        "crossbars", "crossbars", "", DEFINITIONS["crossbars"],
        lambda report: report.crossbars, _always, count,
    ),
    Compared(
        "crossbars_available", "available", "", DEFINITIONS["crossbars_available"],
        lambda report: report.crossbars_available, _always, count,
    ),
    Compared(
        "peak_arrays", "peak arrays", "", DEFINITIONS["peak_arrays"],
        lambda report: report.peak_arrays, _always, count,
    ),
    Compared(
        "utilisation", "utilisation", "", DEFINITIONS["utilisation"],
        lambda report: report.utilisation, _always, percent,
    ),
    Compared(
        "groups", "resident groups", "", DEFINITIONS["groups"],
        lambda report: report.groups, _always, count,
    ),
    Compared(
        "load_seconds", "weight load", "s", DEFINITIONS["load_seconds"],
        _load, _nothing_loaded, _as("s"),
    ),
    Compared(
        "load_joules", "load energy", "J", DEFINITIONS["load_joules"],
        lambda report: report.load_joules, _load_unpriced, _as("J"),
    ),
    Compared(
        "lifetime_inferences", "lifetime", "inferences", DEFINITIONS["lifetime_inferences"],
        lambda report: report.lifetime, _lasts, number,
    ),
)  # fmt: skip
"""In the order that the questions come."""

BY_KEY = {figure.key: figure for figure in FIGURES}


def values(report: Report) -> dict[str, float | None]:
    """Every figure of a run by its key."""
    found = {figure.key: figure.value(report) for figure in FIGURES}
    return {key: None if v is None or math.isnan(v) else v for key, v in found.items()}


def unknown(report: Report) -> dict[str, str]:
    """Why each figure that is not known is not, by its key."""
    return {key: BY_KEY[key].why(report) for key, value in values(report).items() if value is None}


def ratio(value: float | None, first: float | None) -> float | None:
    """What a value is of the first chip's; None where either is not known, or that is nothing."""
    return value / first if value is not None and first else None


def times(ratio: float) -> str:
    """A ratio as a person reads it: `x0.5`, `x6.2e-05`."""
    return f"x{digits(ratio)}" if ratio == 0 or abs(ratio) >= 1e-3 else f"x{ratio:.2e}"
