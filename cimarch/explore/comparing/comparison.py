"""What a comparison holds: chips, how all of them run, and what came of each network on each."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from cimarch import __version__
from cimarch.diagnostics import Diagnostic
from cimarch.explore.comparing.assumptions import Differences, differences
from cimarch.explore.comparing.figures import FIGURES, ratio, unknown, values
from cimarch.explore.comparing.scale import Scaled
from cimarch.hardware.system import System
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.pools import Wanted, pairs
from cimarch.report.columns import to_rows
from cimarch.report.report import Report
from cimarch.simulate import Progress, simulate
from cimarch.workload.network import Network

if TYPE_CHECKING:
    import pandas

SCHEMA = "cimarch.compare/1"
"""Name and version of the JSON layout; the number grows when a name or meaning changes."""

TABLES = ("figures", "ratios", "layers")
"""What `to_pandas` gives."""

_OF_A_LAYER = ("cycles", "share", "joules", "bound_by", "waited_at", "waited_cycles")
"""Columns of a report's layers that chips are compared by."""


@attrs.frozen
class Policy:
    """How every network runs on every chip: the options of `cimarch.simulate` that all share."""

    weight_bits: int = 8
    input_bits: int = 8
    precision: object = None
    batch: int = 1
    weights: str = "preloaded"
    schedule: str | None = None
    duplicate: Duplicate = "none"
    spread_rows: bool = False
    attention: str | None = None
    granularity: str = "product"
    overlap: bool = False
    allow_unmapped: bool = False
    power: bool = False

    def run(self, chip: Chip, network: Network, progress: Progress | None) -> Report:
        """Run a network on a chip."""
        return simulate(
            chip.system, network, place=chip.place, densities=chip.densities,
            weight_bits=self.weight_bits, input_bits=self.input_bits,
            precision=self.precision, batch=self.batch, weights=self.weights,
            schedule=self.schedule, duplicate=self.duplicate, spread_rows=self.spread_rows,
            attention=self.attention, granularity=self.granularity, overlap=self.overlap,
            allow_unmapped=self.allow_unmapped, power=self.power, progress=progress,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        found = attrs.asdict(self, recurse=False)
        return {name: _plain(value) for name, value in found.items()}


def _any(rows: list[dict[str, int | float | str | None]]) -> list[dict[str, Any]]:
    return list(rows)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return os.fspath(value) if isinstance(value, Path) else value


@attrs.frozen(eq=False)
class Chip:
    """One chip of a comparison, a column of its tables, and what is of it alone."""

    name: str
    """Of the system; with a number behind it where two have the same."""
    system: System = attrs.field(repr=False)
    """As it ran: scaled, where that was asked for."""
    scaled: Scaled | None = None
    place: Wanted = None
    """Which of its pools hold what, where that is asked for."""
    densities: object = None
    """How full inputs and weights are there, where that is known."""

    @property
    def file(self) -> str:
        """Where its description is."""
        return self.system.root.span.file if self.system.root.span else ""

    def to_dict(self) -> dict[str, Any]:
        """What it is, as plain JSON values."""
        return {
            "name": self.name,
            "system": self.system.name,
            "file": self.file,
            "set": {each.path: each.text for each in self.system.overrides},
            "scaled": self.scaled.to_dict() if self.scaled else None,
            "place": dict(pairs(self.place)),
            "densities": _plain(self.densities),
        }


@attrs.frozen(eq=False, slots=False)
class Result:
    """What came of one network on one chip: a report, or why there is none."""

    chip: str
    network: str
    report: Report | None = attrs.field(default=None, repr=False)
    problems: tuple[Diagnostic, ...] = ()

    @cached_property
    def figures(self) -> Mapping[str, float | None]:
        """Every figure by its key (`cimarch.explore.comparing.figures`); None where not known."""
        if self.report is None:
            return {figure.key: None for figure in FIGURES}
        return values(self.report)

    @cached_property
    def unknown(self) -> Mapping[str, str]:
        """Why each figure that is not known is not, by its key."""
        return unknown(self.report) if self.report else {}

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Each operation's time, energy, and the part that bounds it."""
        if self.report is None:
            return []
        clock = float(self.report.clock)
        return [
            {
                "operation": row["name"],
                "kind": row["kind"],
                "seconds": row["cycles"] / clock,
                **{name: row[name] for name in _OF_A_LAYER},
            }
            for row in _any(to_rows(self.report.layers))
        ]


@attrs.frozen(eq=False, kw_only=True, slots=False)
class Comparison:
    """Networks on chips, side by side; ratios are to the first chip that runs a network."""

    chips: tuple[Chip, ...]
    networks: tuple[str, ...]
    results: tuple[Result, ...]
    """All chips with the first network, then all with the next."""
    options: Mapping[str, object] = attrs.field(factory=dict)
    """Of all runs, as plain JSON values."""
    digests: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """SHA-256 of every file read, by its name."""
    version: str = __version__
    """Of cimarch."""

    schema = SCHEMA

    def of(self, network: str | None = None) -> list[Result]:
        """What came of a network (the first where none is named), chip by chip.

        Raises KeyError where there is no such network.
        """
        wanted = self.networks[0] if network is None else network
        if wanted not in self.networks:
            raise KeyError(wanted)
        return [result for result in self.results if result.network == wanted]

    def first(self, network: str | None = None) -> Result | None:
        """What ratios are to: the first chip that runs a network; None where none does."""
        return next((result for result in self.of(network) if result.report), None)

    @property
    def reports(self) -> dict[tuple[str, str], Report]:
        """The report of each (chip, network) that ran."""
        return {(r.chip, r.network): r.report for r in self.results if r.report is not None}

    def ratios(self, result: Result) -> dict[str, float | None]:
        """Each figure of a result as a multiple of the first chip's; None where not known."""
        first = self.first(result.network)
        base = first.figures if first else {}
        return {key: ratio(value, base.get(key)) for key, value in result.figures.items()}

    @cached_property
    def differences(self) -> Differences:
        """What the chips do not have in common, besides their figures."""
        return differences(
            {chip.name: chip.system for chip in self.chips},
            {
                chip.name: [r.report for r in self.results if r.chip == chip.name and r.report]
                for chip in self.chips
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """The whole comparison as plain JSON values, the same for the same input."""
        return {
            "schema": self.schema,
            "chips": [chip.to_dict() for chip in self.chips],
            "networks": list(self.networks),
            "results": [self._result(result) for result in self.results],
            "differences": self.differences.to_dict(),
            "definitions": {figure.key: figure.definition for figure in FIGURES},
            "manifest": {
                "cimarch": self.version,
                "options": dict(self.options),
                "digests": dict(self.digests),
            },
        }

    def _result(self, result: Result) -> dict[str, Any]:
        report = result.report
        first = self.first(result.network)
        return {
            "chip": result.chip,
            "network": result.network,
            "figures": dict(result.figures),
            "ratios": self.ratios(result),
            "ratios_to": first.chip if first else None,
            "unknown": dict(result.unknown),
            "bound": report.bound.to_dict() if report and report.bound else None,
            "layers": result.layers,
            "options": dict(report.options) if report else None,
            "unmapped": list(report.unmapped) if report else [],
            "errors": [problem.to_dict() for problem in result.problems],
        }

    def to_pandas(self, table: str = "figures") -> pandas.DataFrame:
        """A table as a DataFrame: `figures` or `ratios`, a row for each network and chip, or
        `layers`, a row for each operation of these.

        Raises ImportError where pandas is not installed, ValueError on another table's name.
        """
        if table not in TABLES:
            raise ValueError(f"no table `{table}`: choose one of {', '.join(TABLES)}")
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        index = ["network", "chip", *(["operation"] if table == "layers" else [])]
        return pandas.DataFrame(self.rows(table)).set_index(index)

    def rows(self, table: str = "figures") -> list[dict[str, Any]]:
        """The rows of a table, as plain Python values."""
        return [row for result in self.results for row in self._rows(table, result)]

    def _rows(self, table: str, result: Result) -> list[dict[str, Any]]:
        key = {"network": result.network, "chip": result.chip}
        if table == "layers":
            return [{**key, **row} for row in result.layers]
        if table == "ratios":
            return [{**key, **self.ratios(result)}]
        bound = result.report.bound if result.report else None
        code = result.problems[0].code if result.problems else ""
        return [
            {
                **key, **result.figures,
                "bound_by": bound.name if bound else "",
                "bound_share": bound.share if bound else None,
                "delays": bound.delays if bound else "",
                "error": code,
            }
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from cimarch.explore.comparing.html import fragment

        return fragment(self)

    def to_csv(self) -> str:
        """The figures as CSV: a row for each network and chip, ratios behind the figures."""
        file = io.StringIO()
        rows = [
            {**figures, **{f"ratio_{key}": value for key, value in self.ratios(result).items()}}
            for result, figures in zip(self.results, self.rows(), strict=True)
        ]
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()

    def to_latex(self) -> str:
        """A table for a paper, with `booktabs`: figures by chip, units in their heads."""
        from cimarch.explore.comparing.latex import table

        return table(self)

    def to_text(
        self, *, width: int | None = None, colour: bool = False, layers: bool = False
    ) -> str:
        """What `cimarch compare` prints; nothing is parted where no width is given."""
        from cimarch.explore.comparing.text import render

        return render(self, width=width, colour=colour, layers=layers)
