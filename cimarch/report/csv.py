"""Reports and evaluations as CSV texts, one a table; an unknown number is an empty field."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cimarch.report.accuracy import LAYERS, Evaluation
from cimarch.report.columns import Columns, to_rows
from cimarch.report.definitions import FIGURES, TABLES
from cimarch.report.report import Report


def texts(report: Report) -> dict[str, str]:
    """File name to content: `summary.csv`, `layers.csv`, `parts.csv` and `ledger.csv`."""
    figures = report.to_dict()
    found = {
        "summary.csv": text(
            ("figure", "value", "definition"),
            ((figure.key, figures[figure.key], figure.definition) for figure in FIGURES),
        )
    }
    for table, columns in TABLES.items():
        rows = to_rows(getattr(report, table))
        names = [column.name for column in columns]
        found[f"{table}.csv"] = text(names, (row.values() for row in rows))
    return found


def evaluation_texts(found: Evaluation) -> dict[str, str]:
    """File name to content: `models.csv`, a row for each model and trial, and `layers.csv`."""
    plain = {"float": found.float_model, "quantised": found.quantised}
    scores = [(name, "", score, "") for name, score in plain.items()]
    trials = zip(found.chip, found.agreement, strict=True)
    chip = [("chip", trial, score, agreed) for trial, (score, agreed) in enumerate(trials, 1)]
    rows = [
        {"model": name, "trial": trial, **score.to_dict(), "agreement": agreement}
        for name, trial, score, agreement in [*scores, *chip]
    ]
    layers = to_rows(found.layers)
    return {
        "models.csv": text(list(rows[0]), (row.values() for row in rows)),
        "layers.csv": text([c.name for c in LAYERS], (row.values() for row in layers)),
    }


def table_text(table: Columns) -> str:
    """One table."""
    return text(list(table), (row.values() for row in to_rows(table)))


def text(names: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """One table, from its head and its rows."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return file.getvalue()
