"""Compare chips: the same networks on each, the same definitions, and what differs between them."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from cimarch import __version__
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.explore.assumptions import Differences, differences
from cimarch.explore.figures import FIGURES, ratio, unknown, values
from cimarch.explore.scale import Scaled, no_area, scaled
from cimarch.hardware.system import System
from cimarch.language import load
from cimarch.mapping.duplicate import Duplicate
from cimarch.report.columns import to_rows
from cimarch.report.report import Report
from cimarch.simulate import Progress, simulate
from cimarch.workload.network import Network
from cimarch.workload.read import read_network

if TYPE_CHECKING:
    import pandas

SCHEMA = "cimarch.compare/1"
"""Name and version of the JSON layout; the number grows when a name or meaning changes."""

TABLES = ("figures", "ratios", "layers")
"""What `to_pandas` gives."""

_OF_A_LAYER = ("cycles", "share", "joules", "bound_by", "waited_at", "waited_cycles")
"""Columns of a report's layers that chips are compared by."""

Given = System | str | os.PathLike[str]
"""A chip: elaborated, or what `cimarch.load` takes."""


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

    def run(self, system: System, network: Network, progress: Progress | None) -> Report:
        """Run a network on a system."""
        return simulate(
            system, network, weight_bits=self.weight_bits, input_bits=self.input_bits,
            precision=self.precision, batch=self.batch, weights=self.weights,
            schedule=self.schedule, duplicate=self.duplicate, spread_rows=self.spread_rows,
            attention=self.attention, granularity=self.granularity, overlap=self.overlap,
            allow_unmapped=self.allow_unmapped, progress=progress,
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
    """One chip of a comparison: a column of its tables."""

    name: str
    """Of the system; with a number behind it where two have the same."""
    system: System = attrs.field(repr=False)
    """As it ran: scaled, where that was asked for."""
    scaled: Scaled | None = None

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
        """Every figure by its key (`cimarch.explore.figures`); None where it is not known."""
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
        from cimarch.explore.latex import table

        return table(self)

    def to_text(
        self, *, width: int | None = None, colour: bool = False, layers: bool = False
    ) -> str:
        """What `cimarch compare` prints; nothing is parted where no width is given."""
        from cimarch.explore.comparison_text import render

        return render(self, width=width, colour=colour, layers=layers)


def compare(
    systems: Sequence[Given] | Mapping[str, Given],
    *,
    models: Sequence[Network | str | os.PathLike[str]],
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    batch: int = 1,
    weights: str = "preloaded",
    schedule: str | None = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    attention: str | None = None,
    granularity: str = "product",
    overlap: bool = False,
    allow_unmapped: bool = False,
    iso_area: bool = False,
    scale: Mapping[str, str] | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Run the same networks on several chips, and put what comes out side by side.

    `systems` are Systems, or what `cimarch.load` takes; a mapping gives them names. `models` are
    Networks, or what `cimarch.read_network` takes. With `iso_area` every other chip gets as many
    arrays as have room in the area of the first (`cimarch.explore.scale`); `scale` names the
    parameter, by the chip's name, where there are several. With more than one of `jobs`, so many
    runs go on at a time, each in a process of its own (a script then keeps its own work under
    `if __name__ == "__main__"`); nothing else changes. The other options are those of
    `cimarch.simulate`, and the same for all. A chip that cannot run a network is a Result with its
    problems. Raises DescriptionError where a description or a network cannot be read, where a chip
    cannot be scaled, or where no chip runs any of the networks.
    """
    policy = Policy(
        weight_bits=weight_bits, input_bits=input_bits, precision=precision, batch=batch,
        weights=weights, schedule=schedule, duplicate=duplicate, spread_rows=spread_rows,
        attention=attention, granularity=granularity, overlap=overlap,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    chips = _chips(systems)
    networks = _networks(models, allow_unmapped)
    if iso_area:
        chips = _of_one_area(chips, scale or {})
    runs = [(chip, name, network) for name, network in networks.items() for chip in chips]
    results = (
        _in_turn(runs, policy, progress) if jobs == 1 else _at_once(runs, policy, jobs, progress)
    )
    if not any(result.report for result in results):
        raise DescriptionError(*dict.fromkeys(p for r in results for p in r.problems))
    return Comparison(
        chips=tuple(chips), networks=tuple(networks), results=tuple(results),
        options={**policy.to_dict(), "iso_area": iso_area}, digests=_digests(chips, networks),
    )  # fmt: skip


def _result(
    chip: Chip, name: str, network: Network, policy: Policy, progress: Progress | None = None
) -> Result:
    def tell(stage: str, share: float) -> None:
        if progress is not None:
            progress(f"{name} on {chip.name}: {stage}", share)

    try:
        return Result(chip.name, name, policy.run(chip.system, network, tell))
    except DescriptionError as error:
        return Result(chip.name, name, problems=error.diagnostics)


_Run = tuple[Chip, str, Network]
"""A chip, and the name of a network and the network."""


def _in_turn(runs: Sequence[_Run], policy: Policy, progress: Progress | None) -> list[Result]:
    return [_result(chip, name, network, policy, progress) for chip, name, network in runs]


def _at_once(
    runs: Sequence[_Run], policy: Policy, jobs: int, progress: Progress | None
) -> list[Result]:
    """The same results, from several processes."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    # Not forked: the threads of numba and OpenMP would be missing there.
    with ProcessPoolExecutor(min(jobs, len(runs)), get_context("spawn")) as pool:
        waiting = [pool.submit(_result, *run, policy) for run in runs]
        for done, finished in enumerate(as_completed(waiting), start=1):
            if progress is not None:
                result = finished.result()
                progress(f"{result.network} on {result.chip}", done / len(runs))
        return [each.result() for each in waiting]


def _chips(systems: Sequence[Given] | Mapping[str, Given]) -> list[Chip]:
    if isinstance(systems, (str, System)):
        raise TypeError("give the chips as a list, or as a mapping of names to chips")
    given = systems.values() if isinstance(systems, Mapping) else systems
    loaded = [each if isinstance(each, System) else load(each) for each in given]
    if not loaded:
        raise DescriptionError(_nothing("chip"))
    names = list(systems) if isinstance(systems, Mapping) else [each.name for each in loaded]
    return [Chip(name, system) for name, system in zip(apart(names), loaded, strict=True)]


def _networks(
    models: Sequence[Network | str | os.PathLike[str]], allow_unmapped: bool
) -> dict[str, Network]:
    if isinstance(models, (str, Network)):
        raise TypeError("give the models as a list")
    read = [
        each if isinstance(each, Network) else read_network(each, allow_unmapped=allow_unmapped)
        for each in models
    ]
    if not read:
        raise DescriptionError(_nothing("model"))
    return dict(zip(apart([network.name for network in read]), read, strict=True))


def _nothing(noun: str) -> Diagnostic:
    return Diagnostic("E440", f"there is no {noun} to compare with", helps=(f"name a {noun}",))


def apart(names: Sequence[str]) -> list[str]:
    """Names of which each is another: `Chip`, `Chip (2)`."""
    times: Counter[str] = Counter()
    apart: list[str] = []
    for name in names:
        times[name] += 1
        apart.append(name if times[name] == 1 else f"{name} ({times[name]})")
    return apart


def _of_one_area(chips: Sequence[Chip], scale: Mapping[str, str]) -> list[Chip]:
    first = chips[0]
    area = first.system.total("area")
    if not area:
        raise DescriptionError(no_area(first.name))
    made = [first]
    problems: list[Diagnostic] = []
    for chip in chips[1:]:
        try:
            system, how = scaled(chip.system, area, first.name, by=scale.get(chip.name))
            made.append(attrs.evolve(chip, system=system, scaled=how))
        except DescriptionError as error:
            problems += error.diagnostics
    if problems:
        raise DescriptionError(*problems)
    return made


def _digests(chips: Sequence[Chip], networks: Mapping[str, Network]) -> dict[str, str]:
    found = {file: digest for chip in chips for file, digest in chip.system.sources}
    return found | {n.source or name: n.digest for name, n in networks.items()}
