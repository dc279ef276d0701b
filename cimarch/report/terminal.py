"""A report as text: aligned, with units, coloured only where asked, as wide as there is room."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.report.columns import to_rows
from cimarch.report.definitions import FIGURES
from cimarch.report.format import count, number, quantity
from cimarch.report.report import Report
from cimarch.report.summary import lines, title
from cimarch.report.tables import (
    Row,
    View,
    figures,
    listed,
    narrowed,
    rendered,
    share,
    table,
    wrapped,
)

FIGURES_OF_THE_FOOT = (
    "load_cycles",
    "latency_cycles",
    "interval_cycles",
    "joules",
    "utilisation",
    "tops_per_watt",
    "gops_per_mm2",
)
"""The figures whose definition a reader needs, printed under a report that has them."""


def _joules(row: Row) -> str:
    return "-" if row["joules"] is None else quantity(row["joules"], "J")


def _or_dash(text: str, present: object) -> str:
    return text if present else "-"


def _groups(row: Row) -> str:
    first, last = row["first_group"], row["last_group"]
    return str(first) if first == last else f"{first}..{last}"


_LAYERS = (
    View("operation", lambda row: row["name"], right=False),
    View("kind", lambda row: row["kind"], right=False, rank=2),
    View("group", _groups, rank=5),
    View("windows", lambda row: count(row["windows"]), rank=1),
    View("matrix", lambda row: _or_dash(f"{row['rows']} x {row['columns']}", row["rows"]), rank=1),
    View("bits", lambda row: _or_dash(f"{row['weight_bits']}/{row['input_bits']}", row["rows"])),
    View("copies", lambda row: _or_dash(count(row["copies"]), row["rows"]), rank=5),
    View("arrays", lambda row: _or_dash(count(row["crossbars"]), row["crossbars"])),
    View("used", lambda row: share(row["utilisation"]), rank=1),
    View("writes", lambda row: count(row["writes"]), rank=6),
    View("conversions", lambda row: count(row["conversions"]), rank=4),
    View("start", lambda row: count(row["start_cycle"]), rank=3),
    View("cycles", lambda row: count(row["cycles"])),
    View("of all", lambda row: share(row["share"])),
    View("energy", _joules),
    View("bound by", lambda row: row["bound_by"] or "-", right=False, rank=3),
    View("waits", lambda row: _or_dash(count(row["waited_cycles"]), row["waited_cycles"]), rank=7),
    View("at", lambda row: row["waited_at"] or "-", right=False, rank=7),
)

_PARTS = (
    View("part", lambda row: row["path"] or "(system)", right=False),
    View("kind", lambda row: row["kind"], right=False, rank=2),
    View("count", lambda row: count(row["count"])),
    View("used", lambda row: count(row["used"])),
    View("area mm^2", lambda row: _priced(row, "area_mm2", "area_origin"), rank=3),
    View("power mW", lambda row: _stated(row["power_mW"]), rank=3),
    View("leakage mW", lambda row: _priced(row, "leakage_mW", "leakage_origin"), rank=4),
    View("busy", lambda row: share(row["busy_share"])),
    View("energy", _joules),
    View("of all", lambda row: share(row["energy_share"])),
    View("off chip", lambda row: "yes" if row["off_chip"] else "-", right=False, rank=5),
    View("origin", lambda row: row["origin"] or "-", right=False, rank=4),
    View("actions", lambda row: row["actions"] or "-", right=False, rank=5),
)


def render(report: Report, *, width: int | None = None, colour: bool = False) -> str:
    """The whole report as text.

    `width` is that of a terminal: columns that do not fit are left out, and a line says so.
    Without it nothing is left out or cut.
    """
    return rendered(_blocks(report, narrowed(width)), width=width, colour=colour)


def _blocks(report: Report, width: int | None) -> Iterable[RenderableType]:
    yield Text(printable(title(report)), style="bold")
    yield Text()
    yield figures(lines(report))
    for heading, views, rows in (
        ("Per operation", _LAYERS, to_rows(report.layers)),
        ("Per part", _PARTS, _part_rows(report)),
    ):
        yield Text()
        yield Text(heading, style="bold")
        yield from table(views, rows, width)
    for heading, sentences in (
        ("Warnings", report.warnings),
        ("Assumed", report.assumed),
        ("Not mapped", report.unmapped),
        ("Rounded by more than 1 %", report.rounded),
    ):
        yield from listed(heading, sentences, width)
    yield from _foot(report, width)


def _part_rows(report: Report) -> list[Row]:
    actions: dict[str, list[str]] = {}
    for row in to_rows(report.ledger):
        if row["count"]:
            actions.setdefault(str(row["part"]), []).append(f"{row['action']} {row['count']:,}")
    total = report.joules
    return [
        {
            **row,
            "actions": ", ".join(actions.get(str(row["path"]), ())),
            "energy_share": None if not total or row["joules"] is None else row["joules"] / total,
        }
        for row in _as_any(to_rows(report.parts))
    ]


def _as_any(rows: list[dict[str, int | float | str | None]]) -> list[Row]:
    return list(rows)


def _foot(report: Report, width: int | None) -> Iterable[RenderableType]:
    yield Text()
    yield Text("What the figures mean", style="bold")
    if _any_modelled(report):
        yield from wrapped("*: a cost model gave it, not the description", width)
    for figure in FIGURES:
        if figure.key in FIGURES_OF_THE_FOOT and getattr(report, figure.attribute) is not None:
            yield from wrapped(f"{figure.key}: {figure.definition}", width)


def _any_modelled(report: Report) -> bool:
    origins = (*report.parts["area_origin"].tolist(), *report.parts["leakage_origin"].tolist())
    return any(origin.startswith("model ") for origin in origins)


def _priced(row: Row, name: str, origin: str) -> str:
    """A number, marked where a cost model gave it."""
    return _stated(row[name]) + ("*" if str(row[origin]).startswith("model ") else "")


def _stated(value: float | None) -> str:
    return "-" if not value else number(value)
