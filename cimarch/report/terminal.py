"""A report as text: aligned, with units, coloured only where asked, as wide as there is room."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.report.columns import to_rows
from cimarch.report.definitions import FIGURES
from cimarch.report.format import count, number, percent, quantity
from cimarch.report.report import Report
from cimarch.report.summary import lines, title

Row = dict[str, Any]

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

PROSE_WIDTH = 100

NARROWEST = 64
"""What the columns that always stay need; a terminal narrower than this wraps by itself."""


@attrs.frozen
class _View:
    """One column of a printed table: its heading, its text, and how soon it makes room."""

    heading: str
    show: Callable[[Row], str]
    right: bool = True
    rank: int = 0
    """Columns of the highest rank go first where the terminal is narrow; 0 stays."""


def _joules(row: Row) -> str:
    return "-" if row["joules"] is None else quantity(row["joules"], "J")


def _or_dash(text: str, present: object) -> str:
    return text if present else "-"


def _groups(row: Row) -> str:
    first, last = row["first_group"], row["last_group"]
    return str(first) if first == last else f"{first}..{last}"


_LAYERS = (
    _View("operation", lambda row: row["name"], right=False),
    _View("kind", lambda row: row["kind"], right=False, rank=2),
    _View("group", _groups, rank=5),
    _View("windows", lambda row: count(row["windows"]), rank=1),
    _View("matrix", lambda row: _or_dash(f"{row['rows']} x {row['columns']}", row["rows"]), rank=1),
    _View("bits", lambda row: _or_dash(f"{row['weight_bits']}/{row['input_bits']}", row["rows"])),
    _View("copies", lambda row: _or_dash(count(row["copies"]), row["rows"]), rank=5),
    _View("arrays", lambda row: _or_dash(count(row["crossbars"]), row["crossbars"])),
    _View("used", lambda row: _share(row["utilisation"]), rank=1),
    _View("writes", lambda row: count(row["writes"]), rank=6),
    _View("conversions", lambda row: count(row["conversions"]), rank=4),
    _View("start", lambda row: count(row["start_cycle"]), rank=3),
    _View("cycles", lambda row: count(row["cycles"])),
    _View("of all", lambda row: _share(row["share"])),
    _View("energy", _joules),
    _View("bound by", lambda row: row["bound_by"] or "-", right=False, rank=3),
    _View("waits", lambda row: _or_dash(count(row["waited_cycles"]), row["waited_cycles"]), rank=7),
    _View("at", lambda row: row["waited_at"] or "-", right=False, rank=7),
)

_PARTS = (
    _View("part", lambda row: row["path"] or "(system)", right=False),
    _View("kind", lambda row: row["kind"], right=False, rank=2),
    _View("count", lambda row: count(row["count"])),
    _View("used", lambda row: count(row["used"])),
    _View("area mm^2", lambda row: _stated(row["area_mm2"]), rank=3),
    _View("power mW", lambda row: _stated(row["power_mW"]), rank=3),
    _View("busy", lambda row: _share(row["busy_share"])),
    _View("energy", _joules),
    _View("of all", lambda row: _share(row["energy_share"])),
    _View("origin", lambda row: row["origin"] or "-", right=False, rank=4),
    _View("actions", lambda row: row["actions"] or "-", right=False, rank=5),
)


def render(report: Report, *, width: int | None = None, colour: bool = False) -> str:
    """The whole report as text.

    `width` is that of a terminal: columns that do not fit are left out, and a line says so.
    Without it nothing is left out or cut.
    """
    width = None if width is None else max(width, NARROWEST)
    file = io.StringIO()
    console = Console(
        file=file,
        width=width or 10_000,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for block in _blocks(report, width):
        console.print(block)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _blocks(report: Report, width: int | None) -> Iterable[RenderableType]:
    yield Text(printable(title(report)), style="bold")
    yield Text()
    yield _summary(report)
    for heading, views, rows in (
        ("Per operation", _LAYERS, to_rows(report.layers)),
        ("Per part", _PARTS, _part_rows(report)),
    ):
        yield Text()
        yield Text(heading, style="bold")
        yield from _table(views, rows, width)
    for heading, sentences in (
        ("Assumed", report.assumed),
        ("Not mapped", report.unmapped),
        ("Rounded by more than 1 %", report.rounded),
    ):
        yield from _list(heading, sentences, width)
    yield from _foot(report, width)


def _summary(report: Report) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for line in lines(report):
        value = Text(printable(line.value), style="bold")
        table.add_row(Text(f"  {line.label}"), value, Text(printable(line.remark)))
    return table


def _table(
    views: Sequence[_View], rows: Sequence[Row], width: int | None
) -> Iterable[RenderableType]:
    cells = [[printable(view.show(row)) for row in rows] for view in views]
    widths = [max(map(len, [view.heading, *cell])) for view, cell in zip(views, cells, strict=True)]
    shown = _that_fit(views, widths, width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index in shown:
        view = views[index]
        table.add_column(
            view.heading,
            justify="right" if view.right else "left",
            no_wrap=index > 0,
            overflow="fold",
        )
    for number_of_row in range(len(rows)):
        table.add_row(*(Text(cells[index][number_of_row]) for index in shown))
    yield Padding(table, (0, 0, 0, 2))
    hidden = [view.heading for index, view in enumerate(views) if index not in shown]
    if hidden:
        room = f"  (no room for {', '.join(hidden)}: --json and --csv have them)"
        yield Text(room, style="dim")


def _that_fit(views: Sequence[_View], widths: Sequence[int], width: int | None) -> list[int]:
    shown = list(range(len(views)))
    while width is not None and sum(widths[i] + 2 for i in shown) > width:
        droppable = [i for i in shown if views[i].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda i: views[i].rank))
    return shown


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


def _list(heading: str, sentences: Sequence[str], width: int | None) -> Iterable[RenderableType]:
    if not sentences:
        return
    yield Text()
    yield Text(f"{heading} ({len(sentences)})", style="bold")
    for sentence in sentences:
        yield from _wrapped(sentence, width, bullet="- ")


def _foot(report: Report, width: int | None) -> Iterable[RenderableType]:
    yield Text()
    yield Text("What the figures mean", style="bold")
    for figure in FIGURES:
        if figure.key in FIGURES_OF_THE_FOOT and getattr(report, figure.attribute) is not None:
            yield from _wrapped(f"{figure.key}: {figure.definition}", width)


def _wrapped(text: str, width: int | None, bullet: str = "") -> Iterable[Text]:
    room = min(width or PROSE_WIDTH, PROSE_WIDTH)
    indent = "  " + " " * max(len(bullet), 2)
    for line in textwrap.wrap(
        printable(text),
        max(room, 20),
        initial_indent=f"  {bullet}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield Text(line)


def _share(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else percent(share)


def _stated(value: float | None) -> str:
    return "-" if not value else number(value)
