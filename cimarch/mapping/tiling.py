"""Cut weight matrices into tiles that fit an array, and give each tile its array.

A weight matrix of `rows` inputs and `columns` outputs becomes, after slicing and encoding, a matrix
of cells; it is cut in column blocks (outer) and row blocks (inner). Arrays are taken in order of
(operation, channel group, column block, row block); the row blocks of one column block sit on
consecutive arrays that share an adder wherever the chip has one that wide. What does not fit makes
the next resident group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.encoding import (
    columns_per_weight,
    extra_columns,
    rows_per_input,
    sense_lines_per_weight,
)
from cimarch.hardware.system import Part
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site
from cimarch.workload.network import Operation

Ints = NDArray[np.int64]


@attrs.frozen(eq=False)
class Tiles:
    """Columns of numpy, one row per tile, in order of placement."""

    site: Ints
    """Index of the site whose weights it holds."""
    channel_group: Ints
    """First channel group (or repeat) of the tile."""
    channel_groups: Ints
    """How many of them lie on its diagonal (1: a dense tile)."""
    row_block: Ints
    """Which of the sums of its column block it makes."""
    column_block: Ints
    row0: Ints
    """First input, of the operation's rows."""
    inputs: Ints
    """Inputs that enter it."""
    rows: Ints
    """Word lines used."""
    column0: Ints
    """First output of its channel group."""
    outputs: Ints
    columns: Ints
    """Columns used."""
    lines: Ints
    """Sense lines that are converted."""
    cells: Ints
    """Cells that hold weights."""
    array: Ints
    """The array that holds it, numbered over the whole system."""
    at_column: Ints
    """Its first column there; 0 but where arrays are shared."""
    resident: Ints
    """The resident group in which it is loaded."""

    def __len__(self) -> int:
        return len(self.site)

    def take(self, chosen: Ints | NDArray[np.bool_] | slice) -> Tiles:
        """The tiles at these places."""
        return Tiles(**{f.name: getattr(self, f.name)[chosen] for f in attrs.fields(Tiles)})


_Columns = tuple[int, int, int, int]


@attrs.frozen
class Cut:
    """How the matrices of one operation fall into tiles; each list has one entry per block."""

    row_blocks: tuple[tuple[int, int, int], ...]
    """(first input, inputs, word lines) of each sum of a column block."""
    column_blocks: tuple[tuple[int, int, int, int], ...]
    """(first output, outputs, columns, sense lines)."""
    diagonals: tuple[tuple[int, int], ...]
    """(first channel group, channel groups) of each tile along the groups."""


def cut(op: Operation, pool: Part, bits: Bits) -> Cut:
    """Cut an operation's matrices for the arrays of a pool."""
    array_rows = pool.integer("rows") // rows_per_input(pool)
    across = columns_per_weight(pool, bits.weight)
    lines = sense_lines_per_weight(pool, bits.weight)
    array_columns = pool.integer("columns") - extra_columns(pool)
    if array_rows < 1 or (across > array_columns and pool.word("packing") == "whole"):
        raise _too_small(op, pool, bits, across)
    side = _on_diagonal(op, pool, array_rows, array_columns, across)
    rows, columns = op.rows * side, op.columns * side
    column_blocks = (
        _straddled(columns, across, lines, array_columns)
        if pool.word("packing") == "straddle"
        else _whole(columns, across, lines, array_columns)
    )
    return Cut(
        tuple(_row_blocks(rows, array_rows, pool)),
        tuple(column_blocks),
        tuple((g, min(side, op.groups - g)) for g in range(0, op.groups, side)),
    )


def _on_diagonal(
    op: Operation, pool: Part, array_rows: int, array_columns: int, across: int
) -> int:
    """How many channel groups lie on one array: depthwise ones share it, unless the pool says."""
    wanted = pool.word("grouped")
    if wanted == "automatic":
        wanted = "diagonal" if op.kind == "conv2d" and op.columns == 1 else "array"
    if op.groups == 1 or wanted == "array":
        return 1
    return max(1, min(array_rows // op.rows, array_columns // (op.columns * across), op.groups))


def _row_blocks(rows: int, array_rows: int, pool: Part) -> list[tuple[int, int, int]]:
    wide = rows_per_input(pool)
    blocks = [
        (first, min(array_rows, rows - first), wide * min(array_rows, rows - first))
        for first in range(0, rows, array_rows)
    ]
    if pool.word("encoding") == "differential" and pool.word("pair") == "array":
        return [block for block in blocks for _ in ("positive", "negative")]
    return blocks


def _whole(columns: int, across: int, lines: int, array_columns: int) -> list[_Columns]:
    fitting = array_columns // across
    return [
        (first, n, n * across, n * lines)
        for first in range(0, columns, fitting)
        for n in (min(fitting, columns - first),)
    ]


def _straddled(columns: int, across: int, lines: int, array_columns: int) -> list[_Columns]:
    total = columns * across
    return [
        (first // across, -(-(first + n) // across) - first // across, n, -(-n * lines // across))
        for first in range(0, total, array_columns)
        for n in (min(array_columns, total - first),)
    ]


def _too_small(op: Operation, pool: Part, bits: Bits, across: int) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E211",
            f"a weight of `{op.name}` takes {across} columns, more than an array of "
            f"`{pool.path}` has",
            notes=(
                f"`{pool.path}` has {pool.integer('columns')} columns, "
                f"{pool.integer('cell_bits')} bits a cell, encoding `{pool.word('encoding')}`",
                f"the weight has {bits.weight} bits",
            ),
            helps=("give it `packing = straddle`, more `columns`, or fewer `--weight-bits`",),
        )
    )


@attrs.frozen
class Domain:
    """An adder of the system and how many consecutive arrays one of its instances serves."""

    path: str
    arrays: int


def tile(
    sites: Sequence[Site],
    pool: Part,
    bits: Mapping[str, Bits],
    domains: Sequence[Domain],
) -> Tiles:
    """Cut and place every matrix site's weights on a pool of arrays."""
    takes = _Taker(pool.count, pool.integer("columns"), domains)
    tables = [
        _of_site(site, cut(site.anchor, pool, bits[site.anchor.name]), bits, pool, takes)
        for site in sites
        if site.is_matrix
    ]
    if not tables:
        empty = np.zeros((0, len(attrs.fields(Tiles))), np.int64)
        return Tiles(*empty.T)
    return Tiles(*np.concatenate(tables).T)


def _of_site(site: Site, parts: Cut, bits: Mapping[str, Bits], pool: Part, takes: _Taker) -> Ints:
    """The tile rows of one site: (tiles, fields of Tiles)."""
    op = site.anchor
    across = columns_per_weight(pool, bits[op.name].weight)
    sums, blocks, diagonals = (
        np.array(part, np.int64)
        for part in (parts.row_blocks, parts.column_blocks, parts.diagonals)
    )
    shape = (len(diagonals), len(blocks), len(sums))
    d, c, r = (index.ravel() for index in np.indices(shape))
    size = diagonals[d, 1]
    dense = np.full(len(d), parts.diagonals[0][1] == 1)
    inputs = np.where(dense, sums[r, 1], size * op.rows)
    rows = np.where(dense, sums[r, 2], size * op.rows * rows_per_input(pool))
    outputs = np.where(dense, blocks[c, 1], size * op.columns)
    columns = np.where(dense, blocks[c, 2], size * op.columns * across)
    lines = np.where(dense, blocks[c, 3], outputs * blocks[c, 3] // np.maximum(blocks[c, 1], 1))
    cells = np.where(dense, rows * columns, rows * columns // size)
    columns = columns + extra_columns(pool)
    lines = lines + extra_columns(pool)
    if pool.word("array_use") == "shared" and len(sums) == 1:
        arrays, resident, places = takes.shelves(columns)
    else:
        arrays, resident = takes.blocks(len(diagonals) * len(blocks), len(sums))
        places = np.zeros_like(arrays)
    zeros = np.zeros(len(d), np.int64)
    return np.stack(
        [zeros + site.index, diagonals[d, 0], size, r, c, sums[r, 0], inputs, rows, blocks[c, 0],
         outputs, columns, lines, cells, arrays, places, resident], axis=1,
    )  # fmt: skip


class _Taker:
    """Hands out arrays in order, keeping the sums of a column block within one adder's reach."""

    def __init__(self, arrays: int, columns: int, domains: Sequence[Domain]) -> None:
        self.arrays = arrays
        self.columns = columns
        self.shelf = (0, 0, columns)
        """The array last shared, its resident group, and how many of its columns are taken."""
        self.domains = sorted(domains, key=lambda d: d.arrays)
        self.free = 0
        self.resident = 0
        self.latest = 0
        """The resident group of the tile placed last."""

    def blocks(self, count: int, sums: int) -> tuple[Ints, Ints]:
        """Arrays and resident groups of `count` column blocks of `sums` tiles each."""
        reach = next((d.arrays for d in self.domains if d.arrays >= sums), 0)
        if reach <= 1 or sums == 1:
            places = self.resident * self.arrays + self.free + np.arange(count * sums)
            self.resident, self.free = divmod(int(places[-1]) + 1, self.arrays)
            self.latest = int(places[-1]) // self.arrays
            return places % self.arrays, places // self.arrays
        arrays = np.empty((count, sums), np.int64)
        resident = np.empty((count, sums), np.int64)
        for i in range(count):
            self._align(sums, reach)
            places = self.free + np.arange(sums)
            arrays[i], resident[i] = places % self.arrays, self.resident + places // self.arrays
            self.resident, self.free = (
                self.resident + (self.free + sums) // self.arrays,
                (self.free + sums) % self.arrays,
            )
        self.latest = int(resident[-1, -1])
        return arrays.ravel(), resident.ravel()

    def shelves(self, widths: Ints) -> tuple[Ints, Ints, Ints]:
        """Arrays, resident groups and first columns of tiles that may lie beside each other."""
        found = np.empty((len(widths), 3), np.int64)
        for i, width in enumerate(widths.tolist()):
            array, resident, taken = self.shelf
            if taken + width > self.columns or resident != self.latest:
                (array,), (resident,) = self.blocks(1, 1)
                taken = 0
            found[i] = array, resident, taken
            self.shelf = (int(array), int(resident), taken + width)
        return found[:, 0], found[:, 1], found[:, 2]

    def _align(self, sums: int, reach: int) -> None:
        if self.free // reach == (self.free + sums - 1) // reach:
            return
        start = -(-self.free // reach) * reach
        if start + sums <= self.arrays:
            self.free = start
        elif sums <= self.arrays and self.free + sums > self.arrays:
            self.resident, self.free = self.resident + 1, 0
