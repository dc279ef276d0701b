"""Panels of pictures of an optimisation, drawn from plain values: what is left, training, widths,
trade-offs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cimarch.optimize.frame.record import FIGURES, Epoch, Stand
from cimarch.optimize.telling.details import Row
from cimarch.optimize.telling.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

GREY = "#999999"
FEW = 6
"""Names that stand beside each other without being turned."""


# before and after


def remaining(before: Stand, after: Stand) -> dict[str, float]:
    """What is left of each figure that is no percentage, as a share of what there was."""
    found = {}
    for figure in FIGURES:
        first, last = getattr(before, figure.name), getattr(after, figure.name)
        if figure.unit != "%" and first and last is not None:
            found[figure.title] = last / first
    return found


def accuracies(before: Stand, after: Stand) -> list[Row]:
    """A row for each accuracy that is known both times, in percent."""
    known = [(f, getattr(before, f.name), getattr(after, f.name)) for f in FIGURES]
    return [
        {"which": figure.title.removeprefix("accuracy "), "before": first, "after": last}
        for figure, first, last in known
        if figure.name.startswith("accuracy") and first is not None and last is not None
    ]


def bars(figure: SubFigure, left: Mapping[str, float]) -> None:
    """Shares as bars beside each other, with a line where nothing has changed."""
    axes = figure.subplots()
    places = range(len(left))
    values = [100 * share for share in left.values()]
    made = axes.barh(places, values, 0.7, color="C0")
    axes.axvline(100, color="black", linewidth=0.8)
    axes.bar_label(
        made, [f"{value:.1f} %" for value in values], fontsize=7, padding=3,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip
    axes.set_yticks(places, list(left), fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, max(100.0, *values) * 1.15)
    finish(axes, "after, in percent of before")


# training


def training(figure: SubFigure, epochs: Sequence[Epoch]) -> None:
    """Loss and accuracy on examples held back, epoch after epoch; a line between stages."""
    from matplotlib.ticker import MaxNLocator

    lower = figure.subplots()
    upper = lower.twinx()
    places = np.arange(1, len(epochs) + 1)
    lower.plot(places, [e.loss for e in epochs], ".-", color=GREY, linewidth=1, markersize=4)
    upper.plot(places, [e.held_back for e in epochs], ".-", color="C0", linewidth=1, markersize=4)
    lower.set_ylabel("loss", fontsize=8, color=GREY)
    upper.set_ylabel("right of those held back, %", fontsize=8, color="C0")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("epoch", fontsize=8)
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    upper.set_ylim(*_around([epoch.held_back for epoch in epochs]))
    for number, (stage, first) in enumerate(_stages(epochs).items()):
        if number:
            lower.axvline(first + 0.5, color="black", linewidth=0.5, linestyle=":")
        lower.annotate(
            stage, (first + 1, 1), xycoords=("data", "axes fraction"), fontsize=6, rotation=20,
            va="bottom", annotation_clip=False,
        )  # fmt: skip
    upper.tick_params(labelsize=7)
    upper.spines["top"].set_visible(False)
    finish(lower, "")


def _around(shares: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis of percentages, which has nothing below 0 or above 100."""
    room = max(1.0, 0.08 * (max(shares) - min(shares)))
    return max(0.0, min(shares) - room), min(100.0, max(shares) + room)


def _stages(epochs: Sequence[Epoch]) -> dict[str, int]:
    """Where each stage begins."""
    found: dict[str, int] = {}
    for place, epoch in enumerate(epochs):
        found.setdefault(epoch.stage, place)
    return found


# widths


def widths(figure: SubFigure, title: str, rows: Sequence[Row]) -> None:
    """Two bars a layer: what it had, and what it has."""
    axes = figure.subplots()
    names = [str(next(iter(row.values()))) for row in rows]
    places = np.arange(len(rows))
    axes.bar(places - 0.2, [row["before"] for row in rows], 0.4, label="before", color=GREY)
    axes.bar(places + 0.2, [row["after"] for row in rows], 0.4, label="after", color="C0")
    if len(names) <= FEW:
        axes.set_xticks(places, names)
    else:
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    finish(axes, "")
    axes.set_title(f"{title}, before and after", fontsize=8, loc="left")


# trade-offs


def tradeoff(figure: SubFigure, points: Sequence[Point]) -> None:
    """Accuracy against each thing that is left: a point a group of runs, with its deviation."""
    kinds = _that_change(points)
    before = {point.before for point in points}
    grid = figure.subplots(1, len(kinds), squeeze=False, sharey=True)
    series = list(dict.fromkeys(point.series for point in points))
    for axes, kind in zip(grid.flat, kinds, strict=True):
        for number, name in enumerate(series):
            mine = sorted(
                (p for p in points if p.series == name and kind in p.left),
                key=lambda p: p.left[kind].mean,
            )
            axes.errorbar(
                [p.left[kind].mean for p in mine],
                [p.accuracy.mean for p in mine],
                [p.accuracy.deviation for p in mine],
                [p.left[kind].deviation for p in mine],
                fmt="o-", color=f"C{number}", label=name, markersize=4, linewidth=1, capsize=2,
            )  # fmt: skip
        if len(before) == 1 and None not in before:
            axes.axhline(points[0].before, color=GREY, linewidth=0.8, linestyle="--")
            axes.annotate(
                "before", (0.01, points[0].before), xycoords=("axes fraction", "data"), fontsize=6,
                va="bottom", color=GREY,
            )  # fmt: skip
        axes.set_xlabel(f"{kind}, % of before", fontsize=8)
        finish(axes, "")
    grid[0, 0].set_ylabel(points[0].judged, fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=7,
        frameon=False,
    )  # fmt: skip


def _that_change(points: Sequence[Point]) -> list[str]:
    """What is left of models, but for what is left of all alike."""
    kinds = list(dict.fromkeys(kind for point in points for kind in point.left))
    alike = {k for k in kinds if len({p.left[k].mean for p in points if k in p.left}) == 1}
    return [kind for kind in kinds if kind not in alike] or kinds


def finish(axes: Axes, title: str) -> None:
    """Small figures, no frame above and beside, and a title."""
    axes.tick_params(axis="both", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=8, loc="left")
