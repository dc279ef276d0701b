"""What compared chips do not have in common besides their figures: facts and assumptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum
from typing import Any

import attrs

from cimarch.diagnostics import listing
from cimarch.hardware.system import System
from cimarch.report.columns import to_rows
from cimarch.report.format import UNKNOWN, digits, percent, quantity
from cimarch.report.report import Report
from cimarch.units import DIMENSIONS, Quantity

CONTAINERS = ("block", "chip")
"""Kinds that need no area of their own."""

Value = float | int | str | list[float] | None


@attrs.frozen
class Fact:
    """Something that is true of each chip."""

    key: str
    """Its name in JSON, with its unit."""
    label: str
    values: Mapping[str, Value]
    """By chip; None where it is not known."""
    show: Callable[[Any], str]
    unknown: str = "not stated"

    @property
    def differs(self) -> bool:
        """Whether it is not the same of all."""
        return len({str(value) for value in self.values.values()}) > 1

    def told(self, chip: str) -> str:
        """Its value of a chip as a person reads it."""
        value = self.values[chip]
        return self.unknown if value is None or value == [] else self.show(value)


@attrs.frozen
class Differences:
    """What a reader must know before ratios mean anything."""

    facts: tuple[Fact, ...]
    assumed: Mapping[str, tuple[str, ...]]
    """By chip, what its runs assume and not all others do, a sentence each."""
    shared: tuple[str, ...]
    """What the runs of all chips assume."""
    unmapped: Mapping[str, tuple[str, ...]]
    """By chip, the operations that were left out, a sentence each."""
    warnings: Mapping[str, tuple[str, ...]]
    """By chip, what of its numbers is not to be relied on, a sentence each."""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "facts": {fact.key: dict(fact.values) for fact in self.facts},
            "assumed": {chip: list(lines) for chip, lines in self.assumed.items()},
            "shared": list(self.shared),
            "unmapped": {chip: list(lines) for chip, lines in self.unmapped.items()},
            "warnings": {chip: list(lines) for chip, lines in self.warnings.items()},
        }


def differences(
    systems: Mapping[str, System], reports: Mapping[str, Sequence[Report]]
) -> Differences:
    """What differs between chips (by name), whose runs gave these reports."""
    assumed = {
        name: _union([system.assumed, *(r.assumed for r in reports[name]), _no_area(reports[name])])
        for name, system in systems.items()
    }
    ran = [lines for name, lines in assumed.items() if reports[name]]
    shared = (
        tuple(line for line in ran[0] if all(line in lines for lines in ran))
        if len(ran) > 1
        else ()
    )
    return Differences(
        facts=_facts(systems, reports),
        assumed={
            name: tuple(line for line in lines if line not in shared)
            for name, lines in assumed.items()
        },
        shared=shared,
        unmapped={name: _union(r.unmapped for r in reports[name]) for name in systems},
        warnings={name: _union(r.warnings for r in reports[name]) for name in systems},
    )


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for lines in groups for line in lines))


def _no_area(reports: Sequence[Report]) -> tuple[str, ...]:
    """A sentence on parts of the chip that work and state no area, where others do."""
    if not any(report.area for report in reports):
        return ()
    paths = dict.fromkeys(
        str(row["path"])
        for report in reports
        for row in to_rows(report.parts)
        if row["used"] and not row["area_mm2"] and not row["off_chip"]
        if row["kind"] not in CONTAINERS
    )
    return (f"parts that state no area take none: {listing(paths)}",) if paths else ()


# facts


def _facts(
    systems: Mapping[str, System], reports: Mapping[str, Sequence[Report]]
) -> tuple[Fact, ...]:
    def of_systems(value: Callable[[System], Value]) -> dict[str, Value]:
        return {name: value(system) for name, system in systems.items()}

    def of_reports(value: Callable[[Sequence[Report]], Value]) -> dict[str, Value]:
        return {name: value(reports[name]) for name in systems}

    return (
        Fact("clock_Hz", "clock", of_systems(lambda s: float(s.clock)), _hertz),
        Fact("node_nm", "node", of_systems(lambda s: _stated(s, "node", 10**9)), _several("nm")),
        Fact("voltage_V", "voltage", of_systems(lambda s: _stated(s, "voltage", 1)), _several("V")),
        Fact("temperature_K", "temperature", of_systems(_temperature), _several("K")),
        Fact("leakage_W", "leakage", of_reports(_leakage), _watts),
        Fact("made_for", "made for", of_systems(_precision), lambda bits: f"{bits} bits"),
        Fact("schedule", "schedule", of_reports(lambda r: _option(r, "schedule")), str, "-"),
        Fact("attention", "attention", of_reports(lambda r: _option(r, "attention")), str, "-"),
        Fact("input_density", "inputs full", of_reports(_inputs_full), _shares, "not read"),
        Fact("weight_density", "weights full", of_reports(_weights_full), _shares, "not read"),
        Fact("modelled_energy", "energy modelled", of_reports(_modelled_energy), percent, UNKNOWN),
        Fact("modelled_area", "area modelled", of_reports(_modelled_area), percent, UNKNOWN),
    )


def _hertz(value: float) -> str:
    return quantity(value, "Hz")


def _watts(value: float) -> str:
    return quantity(value, "W")


def _shares(values: list[float]) -> str:
    return ", ".join(percent(value) for value in values)


def _several(unit: str) -> Callable[[list[float]], str]:
    return lambda values: ", ".join(f"{digits(v).rstrip('0').rstrip('.')} {unit}" for v in values)


def _stated(system: System, name: str, scale: int) -> list[float]:
    """The different values of a parameter that parts state."""
    given = (part.params.get(name) for part in system.walk())
    dimension = DIMENSIONS["length" if name == "node" else name]
    found = {
        value.value * scale
        for value in given
        if isinstance(value, Quantity) and value.dimension == dimension
    }
    return [float(value) for value in sorted(found)]


def _temperature(system: System) -> list[float]:
    return _stated(system, "temperature", 1)


def _leakage(reports: Sequence[Report]) -> float | None:
    """W of all instances; None where no part states or is modelled to leak."""
    return next((float(report.leakage) for report in reports if report.leakage), None)


def _inputs_full(reports: Sequence[Report]) -> list[float]:
    """The input densities that costs of the runs read."""
    return _different(report.input_density for report in reports)


def _weights_full(reports: Sequence[Report]) -> list[float]:
    """The weight densities that costs of the runs read."""
    return _different(report.weight_density for report in reports)


def _different(values: Iterable[float | None]) -> list[float]:
    return sorted({value for value in values if value is not None})


def _precision(system: System) -> str:
    weights, inputs = (system.root.integer(f"{each}_bits") for each in ("weight", "input"))
    return f"{weights}/{inputs}"


def _option(reports: Sequence[Report], name: str) -> str | None:
    found = dict.fromkeys(str(r.options[name]) for r in reports if r.options.get(name))
    return ", ".join(found) or None


def _modelled_energy(reports: Sequence[Report]) -> float | None:
    """The share of the joules that cost models gave."""
    every = fsum(report.joules or 0.0 for report in reports)
    return fsum(report.modelled_joules or 0.0 for report in reports) / every if every else None


def _modelled_area(reports: Sequence[Report]) -> float | None:
    """The share of the area that cost models gave."""
    found = next((report for report in reports if report.area), None)
    return found.modelled_area / found.area if found else None
