"""Panels that show strips: their shares, the map of a layer, and where they sit on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.hardware.encoding import columns_per_weight
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Placement
from cimarch.mapping.strips import Strips
from cimarch.mapping.tiling import Tiles
from cimarch.optimize.telling.panels import finish
from cimarch.workload.network import Operation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

WIDE = 8.0
"""Inches of a picture."""
MOST_ARRAYS = 12
"""Crossbars of one layer that are drawn; what is left out is told."""
MOST_OUTPUTS = 128
"""Outputs whose strips can be told apart."""
EMPTY = "#f2f2f2"


def most_mixed(held: Mapping[str, Strips]) -> str:
    """The operation with most strips of another precision than its commonest, among those whose
    outputs a picture has room for."""
    fitting = {name: each for name, each in held.items() if each.outputs <= MOST_OUTPUTS} or held
    return max(fitting, key=lambda name: held[name].level.size - max(held[name].counts))


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
        level,
        cmap=colours,
        vmin=-0.5,
        vmax=len(bits) - 0.5,
        edgecolors="white",
        linewidth=0.3 if strips.outputs <= MOST_OUTPUTS else 0,
    )
    axes.invert_yaxis()
    axes.set_yticks(np.arange(len(level)) + 0.5, [str(n) for n in range(len(level))], fontsize=6)
    axes.set_xlabel("output channel", fontsize=8)
    axes.set_ylabel("kernel position", fontsize=8)
    finish(axes, "")
    _legend(axes, list(bits))
    axes.set_title(f"strips of {name}", fontsize=8, loc="left")


@attrs.frozen(eq=False)
class Rectangle:
    """Cells of an array that are for weights of one precision."""

    row: int
    column: int
    rows: int
    columns: int
    level: int
    held: NDArray[np.bool_]
    """(rows, columns): the cells that hold weights."""


@attrs.frozen(eq=False)
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
    strips = placed.bits[name].strips
    assert strips is not None
    found: dict[tuple[int, int, int], list[Rectangle]] = {}
    for n in range(len(tiles)):
        rows, columns = int(tiles.rows[n]), int(tiles.columns[n])
        place = (int(tiles.resident[n]), int(tiles.pool[n]), int(tiles.array[n]))
        found.setdefault(place, []).append(
            Rectangle(
                int(tiles.at_row[n]), int(tiles.at_column[n]), rows, columns, int(tiles.level[n]),
                _cells(plan.site.anchor, strips, tiles, n, placed.pools[place[1]]),
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


def _cells(op: Operation, strips: Strips, tiles: Tiles, tile: int, pool: Part) -> NDArray[np.bool_]:
    """(rows, columns) of a tile: all of them, but where the matrix lies there with gaps."""
    rows, columns = int(tiles.rows[tile]), int(tiles.columns[tile])
    if strips.layout == "packed":
        return np.ones((rows, columns), np.bool_)
    inputs, level = int(tiles.inputs[tile]), int(tiles.level[tile])
    across = columns_per_weight(pool, strips.bits[level])
    first = int(tiles.channel_group[tile]) * op.columns + int(tiles.column0[tile])
    positions = (int(tiles.row0[tile]) + np.arange(inputs)) % strips.positions
    held = strips.holding(level)[positions, first : first + columns // across]
    return held.repeat(rows // inputs, 0).repeat(across, 1)


def crossbars(figure: SubFigure, name: str, found: Sequence[Crossbar], bits: Sequence[int]) -> None:
    """Where an operation's strips sit: each array as a square, what is empty in grey."""
    from matplotlib.colors import ListedColormap
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
            right, low = each.column + each.columns, each.row + each.rows
            axes.imshow(
                each.held, ListedColormap([EMPTY, colour]), vmin=0, vmax=1, interpolation="nearest",
                extent=(each.column, right, low, each.row), zorder=2,
            )  # fmt: skip
            axes.add_patch(
                Box(
                    (each.column, each.row), each.columns, each.rows, facecolor="none",
                    edgecolor="white", linewidth=0.6, zorder=3,
                )
            )  # fmt: skip
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
