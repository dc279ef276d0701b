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
_MOST_NUMBERS = 200_000


class Tables:
    """The tables of one description, each read once."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[Value, ...]] = {}
        self._numbers = 0

    def read(self, at: ast.Table) -> tuple[Value, ...]:
        """The numbers of a CSV file beside the description: a list, or a list of rows.

        A cell is a number, with a unit behind a space where it has one. Raises Failed.
        """
        key = str(Path(at.span.file).parent / at.file)
        if key not in self._read:
            self._read[key] = self._rows(at)
        return self._read[key]

    def _rows(self, at: ast.Table) -> tuple[Value, ...]:
        lines = _lines(at)
        self._numbers += sum(len(row) for _, row in lines)
        if self._numbers > _MOST_NUMBERS:
            headline = f"with `{at.file}` the tables hold more than {_MOST_NUMBERS:,} numbers"
            raise Failed(Diagnostic("E059", headline, at.span))
        rows = [_table_row(row, line, at) for line, row in lines if row]
        if not rows:
            raise Failed(Diagnostic("E059", f"`{at.file}` holds no numbers", at.span))
        return tuple(row[0] for row in rows) if all(len(r) == 1 for r in rows) else tuple(rows)


def _lines(at: ast.Table) -> list[tuple[int, list[str]]]:
    """The cells of a CSV file, by number of line; raises Failed."""
    text = _text(at)
    try:
        return list(enumerate(csv.reader(text.split("\n")), 1))
    except csv.Error as error:
        raise Failed(Diagnostic("E059", f"`{at.file}` is no CSV: {error}", at.span)) from None


def _text(at: ast.Table) -> str:
    """The text of the file that a table names; raises Failed."""
    path = Path(at.span.file).parent / at.file
    try:
        if path.exists() and not path.is_file():
            raise Failed(Diagnostic("E059", f"`{at.file}` is not a regular file", at.span))
        if path.stat().st_size > _LONGEST_TABLE:
            raise Failed(Diagnostic("E059", f"`{at.file}` is larger than 1 MB", at.span))
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        headline = f"`{at.file}` cannot be read: {reason.lower()}"
        raise Failed(Diagnostic("E059", headline, at.span)) from None


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
