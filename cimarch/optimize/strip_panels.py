"""Panels that show strips: their shares, the map of a layer, and where they sit on arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cimarch.mapping.placement import Placement
from cimarch.mapping.strips import Strips
from cimarch.optimize.panels import finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

WIDE = 8.0
"""Inches of a picture."""
MOST_ARRAYS = 12
"""Crossbars of one layer that are drawn; what is left out is told."""
EMPTY = "#f2f2f2"


def most_mixed(held: Mapping[str, Strips]) -> str:
    """The operation whose strips are divided most evenly; of several such the largest."""

    def mixed(name: str) -> tuple[float, int]:
        strips = held[name]
        shares = np.array(strips.counts) / strips.level.size
        spread = -sum(share * math.log(share) for share in shares if share)
        return round(spread, 2), int(strips.level.size)

    return max(held, key=mixed)


def shares(figure: SubFigure, held: Mapping[str, Strips]) -> None:
    """A bar an operation: the shares of its strips that have each precision."""
    axes = figure.subplots()
    levels = sorted({bits for strips in held.values() for bits in strips.bits}, reverse=True)
    for place, strips in enumerate(held.values()):
        left = 0.0
        for bits, count in zip(strips.bits, strips.counts, strict=True):
            share = 100 * count / strips.level.size
            colour = _colour(levels.index(bits), len(levels))
            axes.barh(place, share, 0.8, left, color=colour)
            left += share
    axes.set_yticks(range(len(held)), list(held), fontsize=6)
    axes.set_ylim(len(held) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("strips, %", fontsize=8)
    finish(axes, "")
    _legend(axes, levels)


def strip_map(figure: SubFigure, name: str, strips: Strips) -> None:
    """A cell a strip, in the colour of its precision: kernel positions down, outputs across."""
    from matplotlib.colors import ListedColormap

    axes = figure.subplots()
    level, bits = strips.level, strips.bits
    colours = ListedColormap([_colour(number, len(bits)) for number in range(len(bits))])
    axes.pcolormesh(
        level, cmap=colours, vmin=-0.5, vmax=len(bits) - 0.5, edgecolors="white", linewidth=0.3
    )
    axes.invert_yaxis()
    axes.set_yticks(np.arange(len(level)) + 0.5, [str(n) for n in range(len(level))], fontsize=6)
    axes.set_xlabel("output channel", fontsize=8)
    axes.set_ylabel("kernel position", fontsize=8)
    finish(axes, "")
    _legend(axes, list(bits))
    axes.set_title(f"strips of {name}", fontsize=8, loc="left")


@attrs.frozen
class Rectangle:
    """Cells of an array that hold weights of one precision."""

    row: int
    column: int
    rows: int
    columns: int
    level: int
    full: float
    """Share of its cells that hold weights."""


@attrs.frozen
class Crossbar:
    """An array, and what of an operation lies on it."""

    name: str
    rows: int
    columns: int
    held: tuple[Rectangle, ...]


def rectangles(placed: Placement, name: str) -> list[Crossbar]:
    """The arrays that hold an operation, in order, with what lies where."""
    plan = next(plan for plan in placed.plans if plan.site.anchor.name == name)
    tiles = placed.tiles.take(placed.tiles.site == plan.site.index)
    found: dict[tuple[int, int, int], list[Rectangle]] = {}
    for n in range(len(tiles)):
        rows, columns = int(tiles.rows[n]), int(tiles.columns[n])
        place = (int(tiles.resident[n]), int(tiles.pool[n]), int(tiles.array[n]))
        found.setdefault(place, []).append(
            Rectangle(
                int(tiles.at_row[n]), int(tiles.at_column[n]), rows, columns, int(tiles.level[n]),
                float(tiles.cells[n]) / max(1, rows * columns),
            )
        )  # fmt: skip
    return [
        Crossbar(
            f"{placed.pools[pool].path}[{array}]",
            placed.pools[pool].integer("rows"),
            placed.pools[pool].integer("columns"),
            tuple(held),
        )
        for (_, pool, array), held in sorted(found.items())
    ]


def crossbars(figure: SubFigure, name: str, found: Sequence[Crossbar], bits: Sequence[int]) -> None:
    """Where an operation's strips sit: each array as a square, what is empty in grey.

    A rectangle that only some strips fill, where the matrix lies with gaps, is as pale as it is
    empty, and says how full it is.
    """
    from matplotlib.patches import Patch
    from matplotlib.patches import Rectangle as Box

    shown = found[:MOST_ARRAYS]
    across, down = _grid(len(shown))
    grid = figure.subplots(down, across, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(shown):
            axes.set_visible(False)
            continue
        array = shown[number]
        axes.add_patch(Box((0, 0), array.columns, array.rows, facecolor=EMPTY, edgecolor="black"))
        for each in array.held:
            colour = _colour(each.level, len(bits))
            axes.add_patch(
                Box(
                    (each.column, each.row), each.columns, each.rows, facecolor=colour,
                    alpha=0.25 + 0.75 * each.full, edgecolor="white", linewidth=0.6,
                )
            )  # fmt: skip
            if each.full < 0.995:
                middle = (each.column + each.columns / 2, each.row + each.rows / 2)
                axes.annotate(
                    f"{100 * each.full:.0f} %", middle, ha="center", va="center", fontsize=5
                )
        axes.set_xlim(0, array.columns)
        axes.set_ylim(array.rows, 0)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(array.name, fontsize=6)
    more = f" (the first {len(shown)} of {len(found)} arrays)" if len(found) > len(shown) else ""
    figure.suptitle(f"where the strips of {name} sit{more}", fontsize=8)
    patches = [Patch(color=_colour(n, len(bits)), label=f"{b} bits") for n, b in enumerate(bits)]
    figure.legend(
        handles=[*patches, Patch(color=EMPTY, label="empty")], loc="outside lower center",
        ncols=len(bits) + 1, fontsize=7, frameon=False,
    )  # fmt: skip


def _grid(count: int) -> tuple[int, int]:
    across = min(6, max(1, count))
    return across, -(-count // across)


def high(found: Sequence[Crossbar]) -> float:
    """Inches that the arrays take."""
    across, down = _grid(len(found[:MOST_ARRAYS]))
    tallest = max(array.rows / array.columns for array in found)
    return 0.8 + down * (0.3 + min(2.4, WIDE / max(3, across) * min(1.5, tallest)))


def _colour(number: int, many: int) -> Any:
    """The highest precision darkest."""
    from matplotlib import colormaps

    return colormaps["viridis"](0.15 + 0.75 * number / max(1, many - 1))


def _legend(axes: Axes, levels: Sequence[int]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=_colour(n, len(levels)), label=f"{bits} bits") for n, bits in enumerate(levels)
    ]
    axes.legend(
        handles=patches, fontsize=7, frameon=False, ncols=len(levels), loc="lower right",
        bbox_to_anchor=(1, 1), borderaxespad=0.2,
    )  # fmt: skip
