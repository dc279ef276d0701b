"""A record as CSV texts, one a table; an unknown number is an empty field."""

from __future__ import annotations

import re

from cimarch.optimize.frame.record import FIGURES, Record
from cimarch.optimize.telling.details import columns, figures, tables
from cimarch.report.csv import text


def texts(record: Record) -> dict[str, str]:
    """File name to content: `figures.csv`, `epochs.csv`, `method.csv`, and a table of the method
    each."""
    stands = (record.before, record.after)
    found = {
        "figures.csv": text(
            ("figure", "unit", "before", "after"),
            ((f.name, f.unit, *(getattr(stand, f.name) for stand in stands)) for f in FIGURES),
        ),
        "epochs.csv": text(
            ("stage", "epoch", "loss", "held_back", "seconds"),
            ((e.stage, e.epoch, e.loss, e.held_back, e.seconds) for e in record.epochs),
        ),
        "method.csv": text(("name", "value"), figures(record.details).items()),
    }
    for name, rows in tables(record.details).items():
        names = columns(rows)
        file = re.sub(r"\W+", "_", name).lower() or "table"
        if f"{file}.csv" in found:
            file = f"method_{file}"
        found[f"{file}.csv"] = text(names, ([row.get(n) for n in names] for row in rows))
    return found
