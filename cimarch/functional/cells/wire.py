"""Wires that resist: what an array of cells conducts once its currents have to cross its lines.

A word line is driven at its first column; a bit line ends, in a virtual ground, behind its last
row; one segment of resistance r lies before each cell of a word line and behind each cell of a bit
line. Lines whose input is 0 are held at 0 V. The mesh is linear, so an array is a matrix again:
what one volt on a word line adds to the current of a bit line, all other word lines at 0 V. It
holds for any inputs, bit by bit or whole.

Conductances are in units of 1 / r here, so that a segment of wire conducts 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.cells.device import Device
from cimarch.functional.lines import Lines

Floats = NDArray[np.float64]


def effective(cells: Floats) -> Floats:
    """What an array of cells (rows, columns) conducts from each word line to each bit line.

    Nodal analysis, solved directly. With w and b the voltages along a word line and of the bit
    lines at its row, Kirchhoff's current law at row i reads

        T w = g b + e V,    (k + g) b - g w - b_above - b_below = 0

    with T tridiagonal; w goes out, and what is left is block tridiagonal in the bit lines, one
    block a row: (k + g - g T^-1 g) b - b_above - b_below = g T^-1 e V. Its elimination from the
    first row to the last, for one volt on each word line in turn, ends in the currents.
    """
    columns = cells.shape[1]
    carried: Floats = np.zeros((columns, 0))  # one column of right-hand sides per row so far
    passed = np.zeros((columns, columns))
    for i, g in enumerate(cells):
        along = np.linalg.inv(_word_line(g))
        block = -g[:, None] * along * g
        block[np.diag_indices(columns)] += g + (1 if i == 0 else 2)
        carried = np.concatenate([passed @ carried, (g * along[:, 0])[:, None]], axis=1)
        passed = np.linalg.inv(block - passed)
    made: Floats = (passed @ carried).T
    return made


def _word_line(g: Floats) -> Floats:
    """The tridiagonal matrix of one word line."""
    columns = len(g)
    line = np.diag(2 + g)
    line[-1, -1] -= 1
    before = np.arange(columns - 1)
    line[before, before + 1] = line[before + 1, before] = -1
    return line


def effective_fast(cells: Floats) -> Floats:
    """The same about: each cell behind the wires that it shares with its row and its column.

    To first order in the wires a cell g of row k and column j loses, of each volt,
    sum over m of min(j, m) g[k, m] along its word line and sum over i of min(to end of k, of i)
    g[i, j] along its bit line (segments that both paths share, times what flows in them). A cell
    with both losses in series conducts g / (1 + losses).
    """
    rows = _shared(cells)
    columns = _shared(cells[::-1].T).T[::-1]
    made: Floats = cells / (1 + rows + columns)
    return made


def _shared(cells: Floats) -> Floats:
    """sum over m of min(j, m) g[:, m], counted from 1, for all j of a row."""
    places = np.arange(1, cells.shape[1] + 1)
    below = np.cumsum(cells * places, axis=1)
    beyond = cells.sum(axis=1, keepdims=True) - np.cumsum(cells, axis=1)
    made: Floats = below + places * beyond
    return made


def wired(device: Device, lines: Lines, cells: Floats, top: float) -> Floats:
    """What cells (planes, outputs, rows) conduct behind their wires; `top` conducts fully.

    As many weights lie side by side on an array as its columns hold, beginning where word lines are
    driven; the rows of a tile end where bit lines do. What no weight takes is left out.
    """
    cell = device.cell
    scale = cell.wire_resistance / cell.on_resistance / top
    solve = effective_fast if cell.wire_model == "fast" else effective
    made = np.empty_like(cells)
    for place in _arrays(device, lines):
        solved = solve(_laid(cells[place], lines) * scale) / scale
        made[place] = _unfolded(solved, lines, cells[place].shape)
    return made


def _arrays(device: Device, lines: Lines) -> Iterator[tuple[slice, slice, slice]]:
    """Planes, outputs and rows that lie on one array."""
    scheme, planes = lines.scheme, len(lines.cells.levels)
    apart = scheme.kind.doubled and scheme.pair == "array"
    beside = planes // 2 if scheme.kind.doubled and scheme.pair != "column" else planes
    weights = max(1, device.columns // beside)
    for tile in range(lines.factors.shape[2]):
        mine = [section for section in lines.sections if section.tile == tile]
        rows = slice(mine[0].first, mine[-1].end)
        for first in range(0, lines.outputs, weights):
            for half in (slice(0, None, 2), slice(1, None, 2)) if apart else (slice(None),):
                yield half, slice(first, first + weights), rows


def _by_rows(lines: Lines) -> int:
    """Rows that one input drives: both halves of a weight lie in neighbouring ones, or one."""
    return 2 if lines.scheme.kind.doubled and lines.scheme.pair == "row" else 1


def _laid(cells: Floats, lines: Lines) -> Floats:
    """Cells (planes, outputs, rows) as they lie, (rows, columns): planes side by side."""
    # (planes, halves, outputs, rows)
    split = cells.reshape(-1, _by_rows(lines), *cells.shape[1:])
    return split.transpose(3, 1, 2, 0).reshape(split.shape[3] * split.shape[1], -1)


def _unfolded(laid: Floats, lines: Lines, shape: tuple[int, ...]) -> Floats:
    """The way back."""
    halves = _by_rows(lines)
    planes, outputs, rows = shape
    split = laid.reshape(rows, halves, outputs, planes // halves)
    return split.transpose(3, 1, 2, 0).reshape(shape)
