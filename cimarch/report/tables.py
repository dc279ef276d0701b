"""Tables and lists as text: aligned, coloured only where asked, as wide as there is room."""

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
from cimarch.report.format import percent
from cimarch.report.summary import Line

Row = dict[str, Any]

PROSE_WIDTH = 100

NARROWEST = 64
"""What the columns that always stay need; a terminal narrower than this wraps by itself."""


@attrs.frozen
class View:
    """One column of a printed table: its heading, its text, and how soon it makes room."""

    heading: str
    show: Callable[[Row], str]
    right: bool = True
    rank: int = 0
    """Columns of the highest rank go first where the terminal is narrow; 0 stays."""


def narrowed(width: int | None) -> int | None:
    """The width that text is laid out for: that of the terminal, or what columns need at least."""
    return None if width is None else max(width, NARROWEST)


def rendered(blocks: Iterable[RenderableType], *, width: int | None, colour: bool) -> str:
    """Blocks below each other as text, no line with blanks at its end."""
    file = io.StringIO()
    console = Console(
        file=file,
        width=narrowed(width) or 10_000,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for block in blocks:
        console.print(block)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def figures(lines: Sequence[Line]) -> Table:
    """Single figures: label, value and remark."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for line in lines:
        value = Text(printable(line.value), style="bold")
        table.add_row(Text(f"  {line.label}"), value, Text(printable(line.remark)))
    return table


def table(
    views: Sequence[View], rows: Sequence[Row], width: int | None
) -> Iterable[RenderableType]:
    """The rows as a table; columns that have no room are left out, and a line says so."""
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


def _that_fit(views: Sequence[View], widths: Sequence[int], width: int | None) -> list[int]:
    shown = list(range(len(views)))
    while width is not None and sum(widths[i] + 2 for i in shown) > width:
        droppable = [i for i in shown if views[i].rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda i: views[i].rank))
    return shown


def listed(heading: str, sentences: Sequence[str], width: int | None) -> Iterable[RenderableType]:
    """Sentences below a heading that counts them; nothing where there are none."""
    if not sentences:
        return
    yield Text()
    yield Text(f"{heading} ({len(sentences)})", style="bold")
    for sentence in sentences:
        yield from wrapped(sentence, width, bullet="- ")


def wrapped(text: str, width: int | None, bullet: str = "") -> Iterable[Text]:
    """A sentence in lines of readable length."""
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


def share(part: float | None) -> str:
    """A share in per cent, a dash where it is not known."""
    return "-" if part is None or math.isnan(part) else percent(part)
