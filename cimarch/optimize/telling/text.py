"""Records as text: a model before and after, how training went, and what the method says itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.optimize.frame.record import FIGURES, Epoch, Figure, Record, Stand
from cimarch.optimize.telling.details import columns, figures, tables
from cimarch.report.format import count, number, plural, quantity
from cimarch.report.summary import Line
from cimarch.report.tables import (
    Row,
    View,
    narrowed,
    rendered,
    table,
    wrapped,
)
from cimarch.report.tables import figures as in_lines
from cimarch.report.tables import listed as in_list

UNKNOWN = "-"
MOST_ROWS = 40
"""Rows of a table that are shown; what is left out is told."""
LONGEST = 40
"""Signs of a word that a cell shows."""


def render(records: Sequence[Record], *, width: int | None = None, colour: bool = False) -> str:
    """The last of the records of a model, and a row for each of those before it.

    `width` is that of a terminal: columns that do not fit are left out, and a line says so.
    """
    blocks = _blocks(list(records), narrowed(width))
    return rendered(blocks, width=width, colour=colour)


def listed(
    found: Sequence[tuple[str, Sequence[Record]]],
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """The last record of each of several files, a row each."""
    rows = [{"file": file, **_short(done[-1])} for file, done in found if done]
    views = [View("file", lambda row: row["file"], right=False), *_SHORT]
    return rendered(table(views, rows, narrowed(width)), width=width, colour=colour)


def title(record: Record) -> str:
    """What was done to what, for which chip."""
    return f"{record.method}: {record.network} for {record.system}, by {record.data}"


def _blocks(records: Sequence[Record], width: int | None) -> Iterable[RenderableType]:
    if not records:
        yield Text("no method has been at this model")
        return
    record = records[-1]
    yield Text(printable(title(record)), style="bold")
    yield Text()
    yield from table(_CHANGES, changes(record.before, record.after), width)
    yield from _before(records[:-1], width)
    yield from _details(record.details, width)
    yield from _training(record.epochs, width)
    yield Text()
    yield Text("How", style="bold")
    yield from wrapped(", ".join(_told(record.options)), width)
    yield from wrapped(_examples(record), width)
    yield from in_list("Notes", record.notes, width)


# before and after


def changes(before: Stand, after: Stand) -> list[Row]:
    """A row for each figure that is known, as text."""
    rows = []
    for figure in FIGURES:
        first, last = getattr(before, figure.name), getattr(after, figure.name)
        if first is not None or last is not None:
            rows.append(
                {
                    "figure": figure.title,
                    "before": shown(figure, first),
                    "after": shown(figure, last),
                    "change": changed(figure, first, last),
                }
            )
    return rows


def shown(figure: Figure, value: float | None) -> str:
    """A figure as a person reads it."""
    if value is None:
        return UNKNOWN
    if figure.unit == "%":
        return f"{value:.{figure.digits}f} %"
    return quantity(value, figure.unit) if figure.unit else count(value)


def changed(figure: Figure, before: float | None, after: float | None) -> str:
    """By how much a figure has changed: points of a percentage, else a percentage of it."""
    if before is None or after is None:
        return UNKNOWN
    if before == after:
        return "same"
    if figure.unit == "%":
        return f"{after - before:+.{figure.digits}f} points"
    return f"{100 * (after / before - 1):+.1f} %" if before else UNKNOWN


_CHANGES = (
    View("", lambda row: row["figure"], right=False),
    View("before", lambda row: row["before"]),
    View("after", lambda row: row["after"]),
    View("change", lambda row: row["change"]),
)


# several records


def _before(records: Sequence[Record], width: int | None) -> Iterable[RenderableType]:
    if not records:
        return
    yield Text()
    yield Text(f"Done before ({len(records)})", style="bold")
    yield from table(_SHORT, [_short(record) for record in records], width)


def _short(record: Record) -> Row:
    """A record in one row."""
    after = record.after
    return {
        "method": record.method,
        "network": record.network,
        "system": record.system,
        "seed": record.options.get("seed", UNKNOWN),
        **{figure.name: shown(figure, getattr(after, figure.name)) for figure in FIGURES},
    }


def _view(name: str, heading: str, rank: int) -> View:
    return View(heading, lambda row: row[name], rank=rank)


_SHORT = (
    View("method", lambda row: row["method"], right=False),
    View("network", lambda row: row["network"], right=False, rank=4),
    View("system", lambda row: row["system"], right=False, rank=5),
    View("seed", lambda row: str(row["seed"])),
    _view("accuracy_float", "float", 2),
    _view("accuracy_quantised", "quantised", 3),
    _view("accuracy_chip", "on chip", 0),
    _view("crossbars", "crossbars", 0),
    _view("cycles", "cycles", 1),
    _view("joules", "energy", 1),
    _view("weight_bits", "bits", 2),
)


# what the method says itself


def _details(details: Mapping[str, Any], width: int | None) -> Iterable[RenderableType]:
    single = figures(details)
    if single:
        yield Text()
        yield Text("The method", style="bold")
        yield in_lines([Line(_words(name), value(each)) for name, each in single.items()])
    for name, rows in tables(details).items():
        yield Text()
        yield Text(printable(_words(name).capitalize()), style="bold")
        views = [_cell(column, rows) for column in columns(rows)]
        yield from table(views, rows[:MOST_ROWS], width)
        if len(rows) > MOST_ROWS:
            told = f"  ({plural(len(rows) - MOST_ROWS, 'more row')}: --json and --csv have them)"
            yield Text(told, style="dim")


def _cell(name: str, rows: Sequence[Row]) -> View:
    is_text = any(isinstance(row.get(name), str) for row in rows)
    show: Callable[[Row], str] = lambda row: value(row.get(name))  # noqa: E731
    return View(_words(name), show, right=not is_text)


def value(given: Any) -> str:
    """A plain value as a cell shows it."""
    if isinstance(given, (list, tuple)):
        return ", ".join(value(each) for each in given) or UNKNOWN
    if given is None:
        return UNKNOWN
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, int):
        return count(given)
    if isinstance(given, float):
        return number(given)
    return given if len(given) <= LONGEST else f"{given[: LONGEST - 3]}..."


def _words(name: str) -> str:
    return name.replace("_", " ")


# training


def _training(epochs: Sequence[Epoch], width: int | None) -> Iterable[RenderableType]:
    if not epochs:
        return
    yield Text()
    seconds = sum(epoch.seconds for epoch in epochs)
    head = f"Training ({plural(len(epochs), 'epoch')}, {quantity(seconds, 's')})"
    yield Text(head, style="bold")
    rows = [
        {
            "stage": epoch.stage,
            "epoch": epoch.epoch,
            "loss": epoch.loss,
            "held back": epoch.held_back,
            "seconds": epoch.seconds,
        }
        for epoch in _some(epochs)
    ]
    yield from table(_EPOCHS, rows, width)
    if len(rows) < len(epochs):
        yield Text(f"  ({len(rows)} of {len(epochs)}: --json and --csv have all)", style="dim")


def _some(epochs: Sequence[Epoch]) -> list[Epoch]:
    """All epochs, or of very many each so-manieth, and the last of each stage."""
    step = -(-len(epochs) // MOST_ROWS)
    last = {epoch.stage: place for place, epoch in enumerate(epochs)}
    return [e for place, e in enumerate(epochs) if place % step == 0 or place in last.values()]


_EPOCHS = (
    View("stage", lambda row: row["stage"], right=False),
    View("epoch", lambda row: count(row["epoch"])),
    View("loss", lambda row: f"{row['loss']:.4f}"),
    View("held back", lambda row: f"{row['held back']:.2f} %"),
    View("time", lambda row: quantity(row["seconds"], "s")),
)


# how


def _told(options: Mapping[str, Any]) -> list[str]:
    """Options as a person types them, those that are given."""
    given = {name: each for name, each in options.items() if each not in (None, "", [])}
    return [
        f"{_words(n)} {e:g}" if type(e) is float else f"{_words(n)} {value(e)}"
        for n, e in given.items()
    ]


def _examples(record: Record) -> str:
    """Which examples did what."""
    parts = [
        f"{count(record.split[name])} {what}"
        for name, what in (("train", "examples train"), ("held_back", "are held back"))
        if isinstance(record.split.get(name), int)
    ]
    if record.after.examples:
        parts.append(f"{count(record.after.examples)} test examples judge")
    return ", ".join(parts) or "no example was looked at"
