"""Which files the power over time and the bounds of a run go to."""

from __future__ import annotations

from pathlib import Path

import attrs

from cimarch.engine.outcome import Outcome
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program
from cimarch.report import pictures
from cimarch.report.columns import Columns
from cimarch.report.csv import table_text
from cimarch.report.files import check_writable, whole
from cimarch.report.power import Drawn, check_drawable, drawn
from cimarch.report.report import Report
from cimarch.report.summary import title


@attrs.frozen
class Curves:
    """What is asked for."""

    power: bool
    """Whether power over time is worked out, which takes a recorded run."""
    power_file: Path | None
    bounds_file: Path | None

    @classmethod
    def of(cls, power: str | Path | bool, bounds: str | Path | None) -> Curves:
        """The files that are given, checked to be possible; DescriptionError where one is not."""
        file = None if isinstance(power, bool) else Path(power)
        other = None if bounds is None else Path(bounds)
        for path, flag in ((file, "--power"), (other, "--bounds")):
            if path is not None:
                pictures.check_form(path, flag)
                check_writable(path)
        return cls(bool(power), file, other)

    def check(self, program: Program) -> None:
        """Find before the run that its power could not be told; raise DescriptionError."""
        if self.power:
            check_drawable(program)

    def write(self, report: Report, program: Program, outcome: Outcome) -> Report:
        """Write the files, each whole or not at all; the report with what was worked out."""
        if self.power:
            found = drawn(program, outcome, Ledger(program, outcome))
            report = attrs.evolve(report, drawn=found)
        if self.power_file is not None and report.drawn is not None:
            _write(self.power_file, _power(report.drawn, title(report), self.power_file))
        if self.bounds_file is not None:
            _write(self.bounds_file, _bounds(report.bounds, title(report), self.bounds_file))
        return report


def _power(found: Drawn, head: str, path: Path) -> bytes:
    form = pictures.form_of(path)
    return found.to_csv().encode() if form == "csv" else pictures.power(found, head, form)


def _bounds(table: Columns, head: str, path: Path) -> bytes:
    form = pictures.form_of(path)
    return table_text(table).encode() if form == "csv" else pictures.bounds(table, head, form)


def _write(path: Path, content: bytes) -> None:
    with whole(path) as file:
        file.write(content)
