"""How strips of mixed precision lie on arrays: packed beside and above each other, or with holes.

`packed`: the strips of one level, position by position and output by output, fill the arrays of
their pool. A strip of D weights takes D rows and the columns of one weight; strips lie side by side
until a band of D rows is full, bands above each other until an array is. Strips that are longer
than an array are cut, and their pieces fill arrays of their own. No more arrays are taken than the
strips fill; room that is left in the last one goes to positions that a band would cut. All strips
of one position in one band are a tile: they meet the same inputs, and are read together. Tiles of
other positions on the same array are read one after the other: column by column their weights
would be summed.

Where strips have a limit of reads, an array takes no more tiles than are read in so many reads of
it, and further ones lie on further arrays: use is given for time.

`holes`: every level has the whole matrix in the layout of one precision (rows channel by channel,
as a plain operation has them) and cells only where its strips are; an array without any is not
allocated, a column without any is not converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.encoding import (
    arrays_per_weight,
    columns_per_weight,
    extra_columns,
    inputs_per_group,
    is_read_apart,
    rows_per_input,
    sense_lines_per_weight,
)
from cimarch.hardware.system import Part
from cimarch.mapping.precision import Bits
from cimarch.mapping.strips import Strips, depth_of
from cimarch.mapping.tiling import Arrays, Ints, Taker, Tiles, Wish, too_small
from cimarch.workload.network import Operation


class Shape(NamedTuple):
    """What of an operation's strips fits an array of a pool."""

    beside: int
    """Strips side by side."""
    rows: int
    """Weights above each other, of one strip or of several."""
    length: int
    """Weights of one strip, or of the piece of it that lies on one array."""
    longest: int
    """The most weights of one strip on one array."""
    word_lines: int
    """Weights above each other that are read at once."""
    across: int
    """Columns of a weight."""
    deep: int
    """Rows of a weight."""
    lines: int
    """Sense lines of a weight."""
    most: int = 0
    """Reads of one array for one window, at most; 0: there is no limit."""

    @property
    def above(self) -> int:
        """Bands of strips above each other; 1 where a strip is as long as an array, or longer."""
        return self.rows // self.length

    @property
    def strips(self) -> int:
        """Strips on one array."""
        return self.beside * self.above

    @property
    def reads(self) -> int:
        """Reads of a tile: groups of word lines."""
        return -(-self.length // self.word_lines)

    def of_length(self, length: int) -> Shape:
        """The same for shorter pieces of strips."""
        return self._replace(length=length)


def shape_of(pool: Part, op: Operation, bits: Bits, reads: int = 0) -> Shape:
    """How many strips of an operation, of `bits.weight` bits, an array of a pool has room for.

    `reads`: where it is not 0, an array is read at most so often for one window, if only its
    strips are short enough. Raises DescriptionError where a weight is wider than an array, or where
    the pool's arrays take no strips: two arrays a weight, or a column that measures the offset of
    all rows together.
    """
    if arrays_per_weight(pool) > 1 or extra_columns(pool):
        raise _takes_none(pool, op)
    deep = rows_per_input(pool)
    rows = pool.integer("rows") // deep
    across = columns_per_weight(pool, bits.weight)
    if rows < 1 or across > pool.integer("columns"):
        raise too_small(op, pool, bits, across)
    each = _groups_within(pool, reads)
    longest = min(rows, each * inputs_per_group(pool)) if reads else rows
    length = min(longest, depth_of(op))
    beside = pool.integer("columns") // across
    lines = sense_lines_per_weight(pool, bits.weight)
    return Shape(
        beside, rows, length, longest, inputs_per_group(pool), across, deep, lines,
        each if reads else 0,
    )  # fmt: skip


def _shape(op: Operation, bits: Bits, level: int, arrays: Arrays) -> Shape:
    """The shape of one level's strips, found once for all operations with strips as long."""
    strips, pool = bits.strips, arrays.part
    assert strips is not None
    key = (strips.bits[level], depth_of(op), strips.reads)
    known: Shape | None = arrays.shapes.get(key)
    if known is None:
        known = shape_of(pool, op, bits.of_level(level), arrays.reads)
        if strips.reads:
            most = _groups_within(pool, strips.reads)
            known = known._replace(most=min(most, known.most or most))
        arrays.shapes[key] = known
    return known


def _groups_within(pool: Part, reads: int) -> int:
    """Groups of word lines that are read in so many reads; one at least."""
    return max(1, reads // 2 if is_read_apart(pool) else reads)


class _Piece(NamedTuple):
    """One tile, in the order of the columns of `Tiles` that differ between the tiles of a level."""

    channel_group: int
    row_block: int
    column_block: int
    row0: int
    inputs: int
    column0: int
    outputs: int
    wide: int
    """Weights side by side that its columns have room for."""
    weights: int
    array: int
    """Of those that its level takes, from 0."""
    band: int
    """Its first row, in inputs."""
    place: int
    """Its first column, in weights."""
    every: int


Layout = Callable[[Operation, Strips, int, Shape], Iterator[_Piece]]


def _packed(op: Operation, strips: Strips, level: int, shape: Shape) -> Iterator[_Piece]:
    """The strips of a level without gaps."""
    depth, mine = depth_of(op), strips.holding(level)
    counts = mine.reshape(strips.positions, op.groups, op.columns).sum(axis=2)
    first_array = 0
    firsts = range(0, depth, shape.longest)
    for block, first in enumerate(firsts):
        shelves = _Shelves(shape.of_length(min(shape.longest, depth - first)), counts)
        for group in range(op.groups):
            for position in range(strips.positions):
                row_block = position * len(firsts) + block
                row0 = first * strips.positions + position
                yield from shelves.pieces(group, position, row_block, row0, first_array)
        first_array += shelves.arrays


class _Shelves:
    """Bands of arrays that are filled with the strips of one position after the other.

    What arrays are needed is found as if nothing were left free. As long as that number is kept, a
    position whose strips would be cut by the end of a band begins the next one instead: a tile the
    fewer, and so a read.
    """

    def __init__(self, shape: Shape, counts: Ints) -> None:
        self.shape = shape
        self.counts = counts
        total = int(counts.sum())
        self.spare = -(-total // shape.strips) * shape.strips - total
        """Places that may be left free."""
        self.band = 0
        self.taken = 0
        """Strips of the band."""
        self.reads = 0
        """Reads of the array."""

    @property
    def arrays(self) -> int:
        """Arrays begun."""
        return -(-(self.band + (self.taken > 0)) // self.shape.above)

    def pieces(
        self, group: int, position: int, row_block: int, row0: int, first: int
    ) -> Iterator[_Piece]:
        """The tiles of one position's strips; `first` is the number of the first array."""
        done, number, count = 0, 0, int(self.counts[position, group])
        while done < count:
            self._begin(count - done)
            shape = self.shape
            outputs = min(count - done, shape.beside - self.taken)
            yield _Piece(
                group, row_block, number, row0, shape.length, done, outputs, outputs,
                shape.length * outputs, first + self.band // shape.above,
                self.band % shape.above * shape.length, self.taken, len(self.counts),
            )  # fmt: skip
            done, number = done + outputs, number + 1
            self.taken += outputs
            self.reads += shape.reads

    def _begin(self, wanted: int) -> None:
        """Go on to the next band, or the next array, where so many strips are better there."""
        shape = self.shape
        if shape.most and self.reads + shape.reads > shape.most and self.reads:
            self.band, self.taken = -(-(self.band + 1) // shape.above) * shape.above, 0
        room = shape.beside - self.taken
        is_cut = -(-wanted // shape.beside) < 1 + -(-(wanted - room) // shape.beside)
        if room and wanted > room and is_cut and room <= self.spare:
            self.spare -= room
            room = 0
        if not room:
            self.band, self.taken = self.band + 1, 0
        if not self.taken and self.band % shape.above == 0:
            self.reads = 0


def _holes(op: Operation, strips: Strips, level: int, shape: Shape) -> Iterator[_Piece]:
    """The whole matrix, of which only the strips of a level are there."""
    positions, array = strips.positions, 0
    mine = strips.holding(level).reshape(positions, op.groups, op.columns)
    for group in range(op.groups):
        for number, column0 in enumerate(range(0, op.columns, shape.beside)):
            held = mine[:, group, column0 : column0 + shape.beside]
            for block, row0 in enumerate(range(0, op.rows, shape.longest)):
                inputs = min(shape.longest, op.rows - row0)
                rows = _rows_of_positions(row0, inputs, positions)
                outputs = int(held[rows > 0].any(axis=0).sum())
                if outputs:
                    yield _Piece(
                        group, block, number, row0, inputs, column0, outputs, held.shape[1],
                        int(rows @ held.sum(axis=1)), array, 0, 0, 1,
                    )  # fmt: skip
                    array += 1


def _rows_of_positions(row0: int, rows: int, positions: int) -> Ints:
    """Of some rows of a matrix, how many are of each kernel position."""
    found: Ints = np.bincount(np.arange(row0, row0 + rows) % positions, minlength=positions)
    return found


_LAYOUTS: dict[str, Layout] = {"packed": _packed, "holes": _holes}


def place_strips(
    wish: Wish, pools: Sequence[Arrays], takers: Sequence[Taker], current: int
) -> list[Tiles]:
    """The tiles of an operation of mixed precision, level by level, each on arrays of its pool.

    A level goes to the first of its pools with room in the resident group `current`, else to the
    first of them at all, in as many groups as it takes.
    """
    strips = wish.bits.strips
    assert strips is not None
    tables = []
    for level in strips.used:
        index, shape, pieces = _chosen(wish, level, pools, takers, current)
        taker = takers[index]
        taker.advance(current)
        taker.space(wish.spaced)
        arrays, resident = taker.blocks(1 + max(piece.array for piece in pieces), 1)
        tables.append(_tiles(wish, level, pools[index], index, shape, pieces, arrays, resident))
    return tables


def _chosen(
    wish: Wish, level: int, pools: Sequence[Arrays], takers: Sequence[Taker], current: int
) -> tuple[int, Shape, list[_Piece]]:
    """The pool that takes the strips of a level, and how they lie there."""
    found: list[tuple[int, Shape, list[_Piece]]] = []
    wrong: DescriptionError | None = None
    for index in wish.levels[level]:
        try:
            shape = _shape(wish.site.anchor, wish.bits, level, pools[index])
            found.append((index, shape, _pieces(wish.site.anchor, wish.bits, level, shape)))
        except DescriptionError as error:
            wrong = wrong or error
    if not found:
        assert wrong is not None
        raise wrong
    for index, shape, pieces in found if len(found) > 1 else ():
        if takers[index].has_arrays(1 + max(piece.array for piece in pieces), current):
            return index, shape, pieces
    return found[0]


def _pieces(op: Operation, bits: Bits, level: int, shape: Shape) -> list[_Piece]:
    """How the strips of a level lie on arrays of a shape."""
    assert bits.strips is not None
    return list(_LAYOUTS[bits.strips.layout](op, bits.strips, level, shape))


@attrs.frozen
class Needed:
    """What the strips of one level take of a pool."""

    arrays: int
    reads: int
    """Of the array that is read most often for one window."""


def needed(op: Operation, bits: Bits, level: int, arrays: Arrays) -> Needed:
    """What the strips of a level would take of a pool.

    Raises DescriptionError as `shape_of` does.
    """
    shape = _shape(op, bits, level, arrays)
    reads: dict[int, int] = {}
    for piece in _pieces(op, bits, level, shape):
        reads[piece.array] = reads.get(piece.array, 0) + -(-piece.inputs // shape.word_lines)
    twice = 2 if is_read_apart(arrays.part) else 1
    return Needed(len(reads), twice * max(reads.values(), default=0))


def _tiles(
    wish: Wish, level: int, arrays: Arrays, index: int, shape: Shape,
    pieces: Sequence[_Piece], taken: Ints, resident: Ints,
) -> Tiles:  # fmt: skip
    """The tiles of one level, on the arrays that were taken for it."""
    across, deep, lines = shape.across, shape.deep, shape.lines
    table = np.array(pieces, np.int64).T
    (group, row_block, column_block, row0, inputs, column0, outputs, wide, weights, array, band,
     place, every) = table  # fmt: skip
    zeros = np.zeros(len(pieces), np.int64)
    return Tiles(
        zeros + wish.site.index, group, zeros + 1, row_block, column_block, row0, inputs,
        inputs * deep, column0, outputs, wide * across, outputs * lines,
        weights * across * deep, taken[array], place * across, resident[array], zeros + index,
        zeros, zeros + arrays.reads, band * deep, every, zeros + level,
    )  # fmt: skip


def outputs_of(op: Operation, strips: Strips, tiles: Tiles, tile: int, pool: Part) -> Ints:
    """The outputs, of its channel group, that a tile of strips makes sums of; in order."""
    group, level = int(tiles.channel_group[tile]), int(tiles.level[tile])
    row0, column0 = int(tiles.row0[tile]), int(tiles.column0[tile])
    mine = strips.holding(level)[:, group * op.columns : (group + 1) * op.columns]
    if strips.layout != "holes":
        found = np.flatnonzero(mine[row0 % strips.positions])
        return found[column0 : column0 + int(tiles.outputs[tile])]
    wide = int(tiles.columns[tile]) // columns_per_weight(pool, strips.bits[level])
    rows = _rows_of_positions(row0, int(tiles.inputs[tile]), strips.positions)
    return column0 + np.flatnonzero(mine[rows > 0, column0 : column0 + wide].any(axis=0))


def _takes_none(pool: Part, op: Operation) -> DescriptionError:
    apart = arrays_per_weight(pool) > 1
    return DescriptionError(
        Diagnostic(
            "E462",
            f"the arrays of `{pool.path}` take no strips of `{op.name}`",
            span=pool.span,
            notes=(
                "the halves of a weight lie on two of them"
                if apart
                else "one column of each measures the offset of all its rows together",
            ),
            helps=("`pair = column`",) if apart else ("`encoding = offset`",),
        )
    )
