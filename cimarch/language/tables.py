"""`table "file.csv"`: numbers that are too many to write in a description."""

from __future__ import annotations

import csv
from pathlib import Path

from cimarch import units
from cimarch.diagnostics import Diagnostic
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.references import Failed

_LONGEST_TABLE = 1_000_000


def read_table(at: ast.Table) -> tuple[Value, ...]:
    """The numbers of a CSV file beside the description: a list, or a list of rows; raises Failed.

    A cell is a number, with a unit behind a space where it has one.
    """
    path = Path(at.span.file).parent / at.file
    try:
        if path.stat().st_size > _LONGEST_TABLE:
            raise Failed(Diagnostic("E059", f"`{at.file}` is larger than 1 MB", at.span))
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        headline = f"`{at.file}` cannot be read: {reason.lower()}"
        raise Failed(Diagnostic("E059", headline, at.span)) from None
    rows = [_table_row(row, n, at) for n, row in enumerate(csv.reader(text.split("\n")), 1) if row]
    if not rows:
        raise Failed(Diagnostic("E059", f"`{at.file}` holds no numbers", at.span))
    return tuple(row[0] for row in rows) if all(len(r) == 1 for r in rows) else tuple(rows)


def _table_row(row: list[str], line: int, at: ast.Table) -> tuple[Value, ...]:
    found: list[Value] = []
    for cell in row:
        number, _, unit = cell.strip().partition(" ")
        try:
            found.append(units.read_quantity(number, unit.strip()))
        except (ValueError, OverflowError):
            headline = f"line {line} of `{at.file}` has `{cell[:40]}`, which is no number"
            raise Failed(Diagnostic("E059", headline, at.span)) from None
    return tuple(found)
