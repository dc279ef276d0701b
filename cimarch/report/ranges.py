"""Converter ranges that were chosen on data, as text: a row for each operation."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.functional.fit.saved_ranges import Calibration
from cimarch.report.format import count
from cimarch.report.tables import Row, View, narrowed, rendered, table, wrapped


def render(found: Calibration, *, width: int | None = None, colour: bool = False) -> str:
    """The ranges as text; `width` is that of a terminal."""
    return rendered(_blocks(found, narrowed(width)), width=width, colour=colour)


def _blocks(found: Calibration, width: int | None) -> Iterable[RenderableType]:
    head = (
        f"{found.network} on {found.system}: {found.policy} per {found.per}, "
        f"{count(found.images)} images of {found.data}"
    )
    yield Text(printable(head), style="bold")
    yield Text()
    yield from table(_VIEWS, [_row(found, name) for name in found.ranges], width)
    yield Text()
    yield from wrapped(
        "Sums and ranges are in units, one cell level times one input level: the lowest low end and"
        " the largest step of an operation's ranges, and the shares of its conversions, on the"
        " images that calibrate.",
        width,
    )


def _row(found: Calibration, name: str) -> Row:
    ranges = found.ranges[name]
    about = {"least": None, "largest": None, "clipped": None, "rounded": None}
    return {
        **about,
        **found.seen.get(name, {}),
        "name": name,
        "bits": getattr(found.schemes[name].converter, "bits", None),
        "low": float(ranges.low.min()),
        "step": float(ranges.step.max()),
        "source": ranges.source,
    }


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.3f} %"


_VIEWS = (
    View("operation", lambda row: row["name"], right=False),
    View("bits", lambda row: _plain(row["bits"])),
    View("sums from", lambda row: _plain(row["least"])),
    View("to", lambda row: _plain(row["largest"])),
    View("range from", lambda row: _plain(row["low"])),
    View("step", lambda row: _plain(row["step"])),
    View("clipped", lambda row: _share(row["clipped"])),
    View("rounded", lambda row: _share(row["rounded"])),
    View("source", lambda row: row["source"], right=False, rank=1),
)
