"""What a report holds, number by number: names, addresses, values, and how people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cimarch.report.columns import to_rows
from cimarch.report.definitions import BOUNDS, FIGURES, TABLES, Column
from cimarch.report.explaining.provenance import Number
from cimarch.report.format import area, count, number, percent, quantity
from cimarch.report.report import Report

Row = Mapping[str, Any]

_TELLERS: Mapping[str, Callable[[Any], str]] = {
    "J": lambda value: quantity(value, "J"),
    "s": lambda value: quantity(value, "s"),
    "Hz": lambda value: quantity(value, "Hz"),
    "W": lambda value: quantity(value, "W"),
    "mW": lambda value: quantity(None if value is None else value / 1000, "W"),
    "mm2": lambda value: "not known" if value is None else area(value / 1e6) if value else "0 mm^2",
    "share": percent,
    "cycles": lambda value: "not known" if value is None else f"{number(value)} cycles"
    if isinstance(value, float) else f"{value:,} cycles",
    "": lambda value: "not known" if value is None else value if isinstance(value, str)
    else count(value) if isinstance(value, int) else number(value),
}  # fmt: skip


def told(value: Number | str | None, unit: str) -> str:
    """A value as people write it."""
    return _TELLERS[unit](value)


# ------------------------------------------------------------------------- figures


def figure(report: Report, key: str) -> Number | str | None:
    """A figure by its name in JSON, in the unit that it has there."""
    if key in HEAD:
        return HEAD[key][1](report)
    (found,) = (each for each in FIGURES if each.key == key)
    value: Number | None = getattr(report, found.attribute)
    return value if value is None or found.scale == 1 else value * found.scale


def _bound(name: str) -> Callable[[Report], Number | str | None]:
    return lambda report: None if report.bound is None else getattr(report.bound, name)


HEAD: Mapping[str, tuple[str, Callable[[Report], Number | str | None]]] = {
    "clock_Hz": (
        "frequency of the system clock, that cycles are counted in", lambda r: float(r.clock)
    ),
    "batch": ("inferences of the run", lambda r: r.batch),
    "bound.path": ("part whose instance is busy for the longest: it bounds the time",
                   _bound("path")),
    "bound.busy": ("cycles that this instance is held", _bound("busy")),
    "bound.share": ("bound.busy / cycles of the run", _bound("share")),
    "bound.delays": ("operation whose tasks wait longest in its queue", _bound("delays")),
    "bound.waited": ("cycles that they wait there, added up", _bound("waited")),
}  # fmt: skip
"""What stands beside the figures at the head of a report: what it means, and its value."""

# -------------------------------------------------------------------------- tables

EXPLAINED: Mapping[str, tuple[Column, ...]] = {**TABLES, "bounds": BOUNDS}
"""The tables whose cells are explained: those of the JSON, and those written where asked for."""

DERIVED: Mapping[str, Mapping[str, str]] = {
    "parts": {"energy_share": "joules / joules of the run: `of all` in the printed table"},
}
"""Columns that are printed and not written: what they mean, by table."""


@lru_cache(maxsize=8)
def table_of(report: Report, name: str) -> tuple[Row, ...]:
    """The rows of a table, kept for the next number that is made of them."""
    return tuple(to_rows(getattr(report, name)))


@lru_cache(maxsize=4)
def of_parts(report: Report, column: str) -> Mapping[str, Any]:
    """A column of the parts by their paths."""
    return {str(row["path"]): row[column] for row in table_of(report, "parts")}


def dotted(part: str, action: str) -> str:
    """An action of a part, as the ledger names it."""
    return f"{part}.{action}" if part else action


_KEYS: Mapping[str, Callable[[Row], str]] = {
    "layers": lambda row: str(row["name"]),
    "parts": lambda row: str(row["path"]),
    "ledger": lambda row: dotted(row["part"], row["action"]),
    "energy": lambda row: f"{row['operation']}, {dotted(row['part'], row['action'])}"
    if row["operation"] else dotted(row["part"], row["action"]),
    "bounds": lambda row: f"{row['operation']}, {row['part']}",
}  # fmt: skip
"""What stands in the brackets of an address."""


def key_of(table: str, row: Row) -> str:
    """What stands in the brackets of the address of a row."""
    return _KEYS[table](row)


def address_of(table: str, row: Row, name: str) -> str:
    """The address of a cell."""
    return f"{table}[{key_of(table, row)}].{name}"


NAMES: Mapping[str, tuple[str, ...]] = {
    "": (*(each.key for each in FIGURES), *HEAD),
    **{
        table: (*(column.name for column in columns), *DERIVED.get(table, ()))
        for table, columns in EXPLAINED.items()
    },
}
"""Every name that must have a recipe, by table; the empty one holds the figures."""
