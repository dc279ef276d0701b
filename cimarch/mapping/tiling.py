"""Cut weight matrices into tiles that fit an array, and give each tile its array.

A weight matrix of `rows` inputs and `columns` outputs becomes, after slicing and encoding, a matrix
of cells; it is cut in column blocks (outer) and row blocks (inner). Arrays are taken in order of
(operation, channel group, column block, row block); the row blocks of one column block sit on
consecutive arrays that share an adder wherever the chip has one that wide. What does not fit makes
the next resident group; where there are several pools, they go from group to group together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.encoding import (
    arrays_per_sum,
    arrays_per_weight,
    columns_per_weight,
    extra_columns,
    inputs_per_group,
    is_read_apart,
    merged_columns,
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
    """The array that holds it, numbered within its pool over the whole system."""
    at_column: Ints
    """Its first column there; 0 but where arrays are shared."""
    resident: Ints
    """The resident group in which it is loaded."""
    pool: Ints
    """The pool that the array is of, by its place in the placement's pools."""
    copy: Ints
    """Which copy of its site's weights it belongs to, from 0."""
    reads: Ints
    """Word-line groups that its rows were limited to when they were cut; 0: not limited."""
    at_row: Ints
    """Its first row there; 0 but where strips lie above each other."""
    every: Ints
    """Steps from one of its inputs to the next, of the operation's rows; 1 but where it holds one
    kernel position's strips."""
    level: Ints
    """Which of its operation's precisions its weights have; 0 where there is only one."""

    def __len__(self) -> int:
        return len(self.site)

    def take(self, chosen: Ints | NDArray[np.bool_] | slice) -> Tiles:
        """The tiles at these places."""
        return Tiles(**{f.name: getattr(self, f.name)[chosen] for f in attrs.fields(Tiles)})

    def each(self, chosen: Sequence[int]) -> list[Tile]:
        """The tiles at these places, one by one."""
        places = np.asarray(chosen, np.int64)
        columns = (getattr(self, name)[places].tolist() for name in Tile._fields[1:])
        return list(map(Tile._make, zip(chosen, *columns, strict=True)))

    @classmethod
    def joined(cls, tables: Sequence[Tiles]) -> Tiles:
        """Several tables below each other."""
        empty = np.zeros(0, np.int64)
        return cls(
            **{
                f.name: np.concatenate([empty, *(getattr(table, f.name) for table in tables)])
                for f in attrs.fields(cls)
            }
        )


class Tile(NamedTuple):
    """What a program asks of one tile: columns of `Tiles` as plain numbers."""

    number: int
    """Its row there."""
    channel_group: int
    row0: int
    every: int
    inputs: int
    rows: int
    column0: int
    outputs: int
    columns: int
    lines: int
    array: int
    at_column: int
    pool: int
    level: int


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
    widths: tuple[int, ...] = ()
    """Columns of each tile, in order, where tiles may share an array; what is written at run time
    has its arrays for itself."""

    @property
    def blocks(self) -> int:
        """Column blocks, over all channel groups."""
        return len(self.diagonals) * len(self.column_blocks)


def cut(op: Operation, pool: Part, bits: Bits, reads: int = 0) -> Cut:
    """Cut an operation's matrices for the arrays of a pool.

    `reads`: where it is not 0, a row block has at most the rows of so many word-line groups.
    """
    array_rows = pool.integer("rows") // rows_per_input(pool)
    across = columns_per_weight(pool, bits.weight)
    lines = sense_lines_per_weight(pool, bits.weight)
    array_columns = pool.integer("columns") - extra_columns(pool)
    straddles = pool.word("packing") == "straddle"
    together = merged_columns(pool, bits.weight) if straddles else across
    if array_rows < 1 or together > array_columns:
        raise too_small(op, pool, bits, together)
    if reads:
        each = max(1, reads // 2 if is_read_apart(pool) else reads)
        array_rows = min(array_rows, each * inputs_per_group(pool))
    side = _on_diagonal(op, pool, array_rows, array_columns, across)
    rows, columns = op.rows * side, op.columns * side
    column_blocks = (
        _straddled(columns, across, lines, array_columns - array_columns % together)
        if straddles
        else _whole(columns, across, lines, array_columns)
    )
    diagonals = tuple((g, min(side, op.groups - g)) for g in range(0, op.groups, side))
    widths = tuple(
        (size * op.columns * across if side > 1 else wide) + extra_columns(pool)
        for _, size in diagonals
        for _, _, wide, _ in column_blocks
    )
    row_blocks = tuple(_row_blocks(rows, array_rows, pool))
    is_shared = pool.word("array_use") == "shared" and not op.written
    return Cut(row_blocks, tuple(column_blocks), diagonals, widths if is_shared else ())


def _on_diagonal(
    op: Operation, pool: Part, array_rows: int, array_columns: int, across: int
) -> int:
    """How many channel groups lie on one array: depthwise ones share it, unless the pool says.

    One column that measures the offset would measure the inputs of all: they cannot share it.
    """
    wanted = pool.word("grouped")
    if wanted == "automatic":
        is_depthwise = op.kind == "conv2d" and op.columns == 1
        wanted = "diagonal" if is_depthwise and not extra_columns(pool) else "array"
    if op.groups == 1 or wanted == "array":
        return 1
    side = max(1, min(array_rows // op.rows, array_columns // (op.columns * across), op.groups))
    if side > 1 and extra_columns(pool):
        raise _no_offset_of_each(op, pool)
    return side


def _row_blocks(rows: int, array_rows: int, pool: Part) -> list[tuple[int, int, int]]:
    wide = rows_per_input(pool)
    blocks = [
        (first, min(array_rows, rows - first), wide * min(array_rows, rows - first))
        for first in range(0, rows, array_rows)
    ]
    if arrays_per_weight(pool) == 2:
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
        (first // across, -(-(first + n) // across) - first // across, n, n * lines // across)
        for first in range(0, total, array_columns)
        for n in (min(array_columns, total - first),)
    ]


def too_small(op: Operation, pool: Part, bits: Bits, across: int) -> DescriptionError:
    """The diagnostic for a weight that is wider than an array.

    `across` are the columns that must lie on one array."""
    whole = pool.word("packing") == "whole"
    other = "`packing = straddle`" if whole else "`slice_merge = digital`"
    merged = () if whole else ("columns that are summed in analog lie on one array",)
    return DescriptionError(
        Diagnostic(
            "E211",
            f"a weight of `{op.name}` takes {across} columns, more than an array of "
            f"`{pool.path}` has",
            notes=(
                f"`{pool.path}` has {pool.integer('columns')} columns, "
                f"{pool.integer('cell_bits')} bits a cell, encoding `{pool.word('encoding')}`",
                f"the weight has {bits.weight} bits",
                *merged,
            ),
            helps=(f"give it {other}, more `columns`, or fewer `--weight-bits`",),
        )
    )


def _no_offset_of_each(op: Operation, pool: Part) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E342",
            f"one `offset_column` of `{pool.path}` cannot measure the offset of each channel group "
            f"of `{op.name}`",
            span=pool.span,
            notes=(f"`grouped = diagonal` puts several of its {op.groups} groups on one array",),
            helps=("`grouped = array`, or `encoding = offset`",),
        )
    )


def _halves_apart(op: Operation, pool: Part) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E342",
            f"two halves of the weights of `{op.name}` on `{pool.path}` are never there together, "
            "and cannot be subtracted in analog",
            span=pool.span,
            notes=("they lie on two arrays, in two resident groups",),
            helps=("an even number of arrays, or `subtract = digital`",),
        )
    )


@attrs.frozen
class Domain:
    """An adder of the system and how many consecutive arrays one of its instances serves."""

    path: str
    arrays: int


@attrs.frozen
class Arrays:
    """A pool as tiling sees it."""

    part: Part
    domains: tuple[Domain, ...] = ()
    reads: int = 0
    """Word-line groups that a row block has at most; 0: as many as an array has."""
    shapes: dict[tuple[int, int, int], Any] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )
    """What of strips fits an array, by the bits, the length and the reads of strips."""

    def cut(self, op: Operation, bits: Bits) -> Cut:
        """How an operation's matrices fall into tiles here."""
        return cut(op, self.part, bits, self.reads)


@attrs.frozen
class Wish:
    """A site whose weights want arrays."""

    site: Site
    bits: Bits
    pools: tuple[int, ...]
    """The pools that may take them, the most wanted first."""
    copies: int = 1
    spaced: int = 0
    """Where set, its first array is the first of so many."""
    levels: Mapping[int, tuple[int, ...]] = attrs.field(factory=dict)
    """Where its strips have several precisions, the pools that may take each level's."""


def tiles_of(
    wish: Wish, parts: Cut, arrays: Arrays, taken: Taken, index: int, number: int
) -> Tiles:
    """The tiles of one copy of one site, on the arrays that were taken for them.

    `index` is the place of the pool, `number` which copy it is.
    """
    pool = arrays.part
    op = wish.site.anchor
    across = columns_per_weight(pool, wish.bits.weight)
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
    array, resident, places = taken
    if arrays_per_sum(pool) == 2:
        if (resident[::2] != resident[1::2]).any():
            raise _halves_apart(op, pool)
        lines = (lines + 1 - r % 2) // 2
    zeros = np.zeros(len(d), np.int64)
    return Tiles(
        zeros + wish.site.index, diagonals[d, 0], size, r, c, sums[r, 0], inputs, rows,
        blocks[c, 0], outputs, columns, lines, cells, array, places, resident,
        zeros + index, zeros + number, zeros + arrays.reads, zeros, zeros + 1, zeros,
    )  # fmt: skip


Taken = tuple[Ints, Ints, Ints]
"""Of each tile of a matrix its array, its resident group and its first column."""


class Taker:
    """Hands out a pool's arrays in order, the sums of a column block within one adder's reach."""

    def __init__(self, pool: Arrays) -> None:
        self.arrays = pool.part.count
        self.columns = pool.part.integer("columns")
        self.shelf = (0, 0, self.columns)
        """The array last shared, its resident group, and how many of its columns are taken."""
        self.domains = sorted(pool.domains, key=lambda d: d.arrays)
        self.free = 0
        self.resident = 0
        self.latest = 0
        """The resident group of the tile placed last."""

    def advance(self, group: int) -> None:
        """Go on to a resident group, where the pool is not there yet."""
        if self.resident < group:
            self.resident, self.free = group, 0
        self.latest = max(self.latest, group)

    def space(self, arrays: int) -> None:
        """Leave what is left of so many arrays, if the resident group has more."""
        if arrays and self.free % arrays:
            start = -(-self.free // arrays) * arrays
            self.free = start if start < self.arrays else self.free

    def has_room(self, parts: Cut, group: int, copies: int = 1) -> bool:
        """Whether so many copies of a matrix fit in what a resident group has left."""
        trial = copy(self)
        trial.advance(group)
        trial.skip(parts, copies)
        return (trial.resident, trial.free) <= (group + 1, 0)

    def has_arrays(self, count: int, group: int) -> bool:
        """Whether so many arrays are free in what a resident group has left."""
        trial = copy(self)
        trial.advance(group)
        return trial.resident == group and trial.free + count <= trial.arrays

    @property
    def is_within_first(self) -> bool:
        """Whether all that was taken lies in the first resident group."""
        return (self.resident, self.free) <= (1, 0)

    def skip(self, parts: Cut, copies: int = 1) -> None:
        """Take the arrays of some copies of a matrix without saying which."""
        sums = len(parts.row_blocks)
        reach = self._reach(sums)
        if (parts.widths and sums == 1) or (reach > 1 and self.arrays % reach):
            for _ in range(copies):
                self.take(parts, np.array(parts.widths, np.int64))
            return
        blocks = parts.blocks * copies
        end = self.free + blocks * sums if reach <= 1 else _end(self.free, blocks, sums, reach)
        self.resident += end // self.arrays
        self.free = end % self.arrays

    def take(self, parts: Cut, columns: Ints) -> Taken:
        """Arrays, resident groups and first columns of the tiles of a matrix, `columns` wide."""
        blocks, sums = parts.blocks, len(parts.row_blocks)
        if parts.widths and sums == 1:
            return self.shelves(columns)
        arrays, resident = self.blocks(blocks, sums)
        return arrays, resident, np.zeros_like(arrays)

    def _reach(self, sums: int) -> int:
        """Arrays below the nearest adder that serves `sums` of them; 0 or 1 where none matters."""
        return next((d.arrays for d in self.domains if d.arrays >= sums), 0) if sums > 1 else 1

    def blocks(self, count: int, sums: int) -> tuple[Ints, Ints]:
        """Arrays and resident groups of `count` column blocks of `sums` tiles each."""
        reach = self._reach(sums)
        if reach <= 1:
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


def _end(free: int, blocks: int, sums: int, reach: int) -> int:
    """Where blocks of `sums` arrays end that begin at `free` and never cross a reach's border."""
    here = min(blocks, (reach - free % reach) // sums)
    if here == blocks:
        return free + blocks * sums
    whole, rest = divmod(blocks - here - 1, reach // sums)
    return (free // reach + 1 + whole) * reach + (rest + 1) * sums
