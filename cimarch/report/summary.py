"""The lines of a report's summary: label, value, remark; the same in terminal and notebook."""

from __future__ import annotations

import attrs

from cimarch.report.format import area, count, number, percent, plural, quantity
from cimarch.report.report import Bound, Report


@attrs.frozen
class Line:
    """One figure as a person reads it."""

    label: str
    value: str
    remark: str = ""


def title(report: Report) -> str:
    """What ran on what, at which precision."""
    options = report.options
    bits = [
        f"{options[key]}-bit {noun}"
        for key, noun in (("weight_bits", "weights"), ("input_bits", "inputs"))
        if key in options
    ]
    if _brings_bits(report):
        bits = ["bits of its own"]
    return ", ".join([f"{report.network} on {report.system}", *bits, f"batch {report.batch}"])


def _brings_bits(report: Report) -> bool:
    """Whether the network's file says the bits of its operations (`cimarch.workload.adapted`)."""
    return str(report.options.get("precision")).endswith(": precision.json")


def lines(report: Report) -> list[Line]:
    """The summary, in the order that the questions come."""
    return [
        *_time(report), *_energy(report), *_space(report), *_bound(report), *_tasks(report),
    ]  # fmt: skip


def _time(report: Report) -> list[Line]:
    clock = quantity(float(report.clock), "Hz")
    cycles = f"{plural(report.cycles, 'cycle')} at {clock}"
    found = [Line("time", quantity(report.seconds, "s"), cycles)]
    if report.latency != report.cycles:
        latency = float(report.latency / report.clock)
        found.append(Line("latency", quantity(latency, "s"), plural(report.latency, "cycle")))
    if report.interval is not None:
        interval = report.interval / float(report.clock)
        found.append(Line("interval", quantity(interval, "s"), f"{count(report.interval)} cycles"))
    found.append(Line("throughput", _per(report.throughput, "inferences/s")))
    if report.load_cycles:
        load = f"{plural(report.load_cycles, 'cycle')}, {_when_loaded(report)}"
        found.append(Line("weight load", quantity(report.load_seconds, "s"), load))
    return found


def _when_loaded(report: Report) -> str:
    if report.groups == 1 and report.options.get("weights", "preloaded") == "preloaded":
        return "once, beside the time above"
    share = report.load_cycles / report.cycles
    return f"{100 * share:.1f} % of the time above"


def _energy(report: Report) -> list[Line]:
    energy = quantity(report.joules_per_inference, "J")
    found = [Line("energy", f"{energy}/inference" if report.joules is not None else energy)]
    if report.joules is None:
        found[0] = attrs.evolve(found[0], remark=_what_is_unpriced(report))
    found += [*_made_of(report), *_efficiency(report)]
    if report.load_joules is not None and report.load_cycles:
        found.append(Line("load energy", quantity(report.load_joules, "J"), "once"))
    return found


def _made_of(report: Report) -> list[Line]:
    """What the energy is made of: prices stated or modelled, time, what is off the chip."""
    if not report.joules:
        return []
    return [
        Line(f"  {label}", percent(joules / report.joules), remark)
        for label, joules, remark in (
            ("stated", _stated(report), "prices and powers of the description"),
            ("modelled", report.modelled_joules, "prices of cost models"),
            ("static", report.static_joules, "leakage, idle and gated, paid for time"),
            ("off chip", report.off_chip_joules, "memory, host, and links beside the chip"),
        )
        if joules and (label != "stated" or report.modelled_joules)
    ]


def _stated(report: Report) -> float:
    """Joules whose price the description states."""
    return (report.joules or 0.0) - (report.modelled_joules or 0.0)


def _efficiency(report: Report) -> list[Line]:
    """Operations per joule, at the precision and the activity of the run."""
    if report.tops_per_watt is None:
        return [Line("efficiency", _per(None, "TOPS/W"))]
    told = [*_precision(report), *_activity(report)]
    return [Line("efficiency", _per(report.tops_per_watt, "TOPS/W"), ", ".join(told))]


def _precision(report: Report) -> list[str]:
    """The bits of weights and inputs, those of every operation that has weights."""
    columns = (report.layers[name].tolist() for name in ("weight_bits", "input_bits"))
    told = {f"{w}-bit weights, {i}-bit inputs" for w, i in zip(*columns, strict=True) if w}
    return ["mixed bits"] if len(told) > 1 else list(told)


def _activity(report: Report) -> list[str]:
    """How full inputs and weights are, where a cost reads it."""
    densities = {"inputs": report.input_density, "weights": report.weight_density}
    return [f"{what} {percent(d)} full" for what, d in densities.items() if d is not None]


def _per(value: float | None, unit: str) -> str:
    """A figure with its unit, which one that is not known does not have."""
    return number(value) if value is None else f"{number(value)} {unit}"


def _what_is_unpriced(report: Report) -> str:
    missing = report.unpriced
    if not missing:
        return "the description states no energy"
    named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    told = f"no cost for {plural(len(missing), 'action')}: {named}"
    if not report.known_joules:
        return told
    return f"{told}; the others take {quantity(report.known_joules, 'J')}"


def _space(report: Report) -> list[Line]:
    used = f"of {count(report.crossbars_available)}, {plural(report.groups, 'resident group')}"
    density = report.gops_per_mm2
    found = [
        Line("crossbars", count(report.crossbars), used),
        *_peak_arrays(report),
        Line("utilisation", percent(report.utilisation), "of the cells of these crossbars"),
        Line("area", area(report.area), _modelled_area(report)),
        Line("peak power", quantity(report.power, "W") if report.power else "not known"),
    ]
    if density is not None:
        found.append(Line("density", f"{number(density)} GOPS/mm^2"))
    return found


def _modelled_area(report: Report) -> str:
    """The share of the area that cost models gave."""
    if not report.area or not report.modelled_area:
        return ""
    return f"{percent(report.modelled_area / report.area)} of it by cost models"


def _peak_arrays(report: Report) -> list[Line]:
    if not report.peak_arrays:
        return []
    return [Line("peak arrays", count(report.peak_arrays), "of these are held at one time")]


def _bound(report: Report) -> list[Line]:
    bound = report.bound
    if bound is None:
        return []
    remark = f"busy {plural(bound.busy, 'cycle')}, {percent(bound.share)} of the time"
    return [Line("bound by", bound.name, remark), *_delayed(bound)]


def _tasks(report: Report) -> list[Line]:
    """How much was simulated, and what of it needed no run of its own."""
    if not report.tasks:
        return []
    saved = [
        f"{count(number)} {how}"
        for number, how in (
            (report.alike_tasks, "of them like others"),
            (report.skipped_tasks, "of them added up as repeated"),
        )
        if number
    ]
    return [Line("tasks", count(report.tasks), ", ".join(saved))]


def _delayed(bound: Bound) -> list[Line]:
    """The operation that waits longest for the resource that bounds the time."""
    if not bound.waited:
        return []
    remark = f"waits there for {plural(bound.waited, 'cycle')}, all its tasks together"
    return [Line("delays most", bound.delays, remark)]
