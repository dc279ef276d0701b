"""What was done to a model, as pictures: training, widths, strips and where they lie, trade-offs.

Each panel is drawn from plain values; a picture has the panels for which there are some. matplotlib
is imported when a picture is drawn; the same values give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from cimarch.mapping.precision import precision as bits_of
from cimarch.optimize.frame.record import Record
from cimarch.optimize.telling.details import Row, tables
from cimarch.optimize.telling.panels import accuracies, bars, remaining, tradeoff, training, widths
from cimarch.optimize.telling.points import Point
from cimarch.optimize.telling.strip_panels import (
    WIDE,
    crossbars,
    high,
    most_mixed,
    rectangles,
    shares,
    strip_map,
)
from cimarch.report.pictures import DATES
from cimarch.simulate import map_network
from cimarch.workload.network import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from cimarch.hardware.system import System
    from cimarch.optimize.frame.model import Model


@attrs.frozen
class Panel:
    """A part of a picture: how high it is, in inches, and what draws it."""

    high: float
    draw: Callable[[SubFigure], None]


def drawn(model: Model, form: str, *, system: System | None = None) -> bytes:
    """The last record of a model as a picture in `svg`, `pdf` or `png`.

    With the system, strips are shown on its arrays as well.
    """
    records = model.records
    record = records[-1]
    panels = [*_of_record(record), *_of_strips(model.network(), system)]
    return _picture(panels, f"{record.method}: {record.network} for {record.system}", form)


def of_record(record: Record, form: str) -> bytes:
    """A record as a picture, with what itself says."""
    title = f"{record.method}: {record.network} for {record.system}"
    return _picture(list(_of_record(record)), title, form)


def of_points(points: Sequence[Point], form: str) -> bytes:
    """Accuracy against what is left of a model: bits, crossbars, parameters (of those known)."""
    panels = [Panel(4.0, lambda figure: tradeoff(figure, points))]
    return _picture(panels, "accuracy against what is left of the model", form)


def _of_record(record: Record) -> Iterable[Panel]:
    right = accuracies(record.before, record.after)
    if right:
        yield Panel(2.2, lambda figure: widths(figure, "accuracy in percent", right))
    left = remaining(record.before, record.after)
    if any(share != 1 for share in left.values()):
        yield Panel(0.7 + 0.3 * len(left), lambda figure: bars(figure, left))
    if record.epochs:
        yield Panel(2.8, lambda figure: training(figure, record.epochs))
    for name, rows in tables(record.details).items():
        if _are_widths(rows):
            yield _widths(name, rows)


def _are_widths(rows: Sequence[Row]) -> bool:
    """Whether a table says of each of some layers what it had and what it has."""
    names = [next(iter(row.values())) for row in rows]
    are_both = all(isinstance(row.get(n), (int, float)) for row in rows for n in _BOTH)
    return are_both and len(set(names)) == len(names) <= MOST_LAYERS


_BOTH = ("before", "after")
MOST_LAYERS = 60
"""Layers whose names can be read below each other's bars."""


def _widths(name: str, rows: Sequence[Row]) -> Panel:
    return Panel(3.0, lambda figure: widths(figure, name.replace("_", " "), rows))


def _of_strips(network: Network, system: System | None) -> Iterable[Panel]:
    bits = bits_of(network, 8, 8)
    held = {name: each.strips for name, each in bits.items() if each.strips is not None}
    if not held:
        return
    yield Panel(0.9 + 0.2 * len(held), lambda figure: shares(figure, held))
    name = most_mixed(held)
    strips = held[name]
    tall = 1.0 + 0.22 * strips.positions
    yield Panel(tall, lambda figure: strip_map(figure, name, strips))
    if system is not None:
        found = rectangles(map_network(system, network), name)
        yield Panel(high(found), lambda figure: crossbars(figure, name, found, strips.bits))


def _picture(panels: Sequence[Panel], title: str, form: str) -> bytes:
    from matplotlib.figure import Figure

    heights = [panel.high for panel in panels]
    figure = Figure(figsize=(WIDE, sum(heights) + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=9)
    parts = figure.subfigures(max(1, len(panels)), 1, height_ratios=heights or [1], squeeze=False)
    for panel, part in zip(panels, parts.flat, strict=False):
        panel.draw(part)
    return _bytes(figure, form)


def _bytes(figure: Figure, form: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cimarch", "svg.fonttype": "none"}):
        figure.savefig(file, format=form, dpi=150, metadata=dict(DATES[form]))
    return file.getvalue()
