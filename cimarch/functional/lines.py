"""Sense lines: a weight matrix as what is summed in analog, converted, and added up digitally.

Whatever the encoding, a product is

    y[o] = sum over tiles t, sections s of t, steps k, lines l of
               factors[l, o, t] x step factor[k] x D(sum over rows r of s of digits[l, o, r] x_k[r])
         + sum over tiles t of correction[o, t] x (exact sum of the inputs of t)
         + the reference column's share (`offset_column`)

where x_k are the levels of step k and D is the converter. `digits` are what one unit of input adds
to a sense line: the level of a cell, the difference of two where a pair is subtracted in analog, or
a weighted sum of several where slices merge in analog.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.scheme import Scheme
from cimarch.functional.steps import step_range

Ints = NDArray[np.int64]


@attrs.frozen
class Section:
    """Rows (of one channel group's matrix) that are read at once: one word-line group of a tile."""

    first: int
    end: int
    tile: int
    """Which row tile they lie on."""


def sections_of(rows: int, array_rows: int, word_lines: int) -> tuple[Section, ...]:
    """The sections of a matrix that is cut in tiles of `array_rows`, read by `word_lines`."""
    return tuple(
        Section(first, min(first + word_lines, start + array_rows, rows), tile)
        for tile, start in enumerate(range(0, rows, array_rows))
        for first in range(start, min(start + array_rows, rows), word_lines)
    )


@attrs.frozen(eq=False)
class Cells:
    """What the cells of a weight matrix hold, and how they make sense lines."""

    levels: Ints
    """(planes, outputs, rows): one plane per physical column (or row, or array) of a weight."""
    into: Ints
    """(lines, planes): what one level of a plane adds to each line."""
    factors: Ints
    """(lines,): what one unit of a line counts in the weight."""
    offset: int
    """What lines x factors exceed the weight by."""
    lowest: int
    """Of a cell."""
    highest: int


@attrs.frozen(eq=False)
class Lines:
    """A weight matrix on its arrays; see the top of this file."""

    scheme: Scheme
    sections: tuple[Section, ...]
    cells: Cells
    """As they are stored: a flipped column holds inverted levels."""
    digits: Ints
    """(lines, outputs, rows)."""
    factors: Ints
    """(lines, outputs, tiles)."""
    correction: Ints
    """(outputs, tiles)."""
    reference: int = 0
    """What one unit of the reference column, a line of cells that all hold 1, counts; 0: none."""
    blocks: int = 1
    """Column blocks, each with a reference column on each of its tiles."""

    @property
    def rows(self) -> int:
        return int(self.digits.shape[2])

    @property
    def outputs(self) -> int:
        return int(self.digits.shape[1])

    @property
    def signed(self) -> NDArray[np.bool_]:
        """(lines,): whether the sums of a line may be negative, whatever the weights."""
        if any(low < 0 for low, _ in step_range(self.scheme)):
            return np.ones(len(self.digits), np.bool_)
        negative = self.cells.into < 0
        if self.scheme.kind.sign_in_cell:
            negative[:, -1] |= self.cells.into[:, -1] != 0
        found: NDArray[np.bool_] = np.any(negative, axis=1)
        return found


def lines_of(weights: Ints, scheme: Scheme, sections: Sequence[Section], blocks: int = 1) -> Lines:
    """The sense lines of integer weights (outputs, rows) on the arrays of a scheme.

    `sections` cover the rows in order, tile by tile; `blocks` are the column blocks. Raises
    ValueError where a weight is outside the encoding's range.
    """
    weights = np.asarray(weights, np.int64)
    low, high = scheme.weight_range
    if weights.size and not (low <= weights.min() and weights.max() <= high):
        raise ValueError(f"weights {weights.min()}..{weights.max()} outside {low}..{high}")
    if scheme.kind.one_bit and (weights == 0).any():
        raise ValueError("a binary weight is 0, neither -1 nor +1")
    cells = cells_of(weights, scheme)
    tiles = 1 + max((section.tile for section in sections), default=0)
    factors = np.broadcast_to(
        cells.factors[:, None, None], (len(cells.factors), weights.shape[0], tiles)
    )
    reference = -cells.offset if scheme.kind.correction == "column" else 0
    correction = np.full((weights.shape[0], tiles), 0 if reference else -cells.offset, np.int64)
    made = Lines(
        scheme, tuple(sections), cells, _sensed(cells),
        factors.copy(), correction, reference, blocks,
    )  # fmt: skip
    return _flipped(made) if scheme.encoding == "flipped" else made


def _sensed(cells: Cells) -> Ints:
    """The digits of lines, (lines, outputs, rows): the levels of cells where each plane is one."""
    if np.array_equal(cells.into, np.eye(*cells.into.shape)):
        return cells.levels
    digits: Ints = np.einsum("lp,por->lor", cells.into, cells.levels)
    return digits


def cells_of(weights: Ints, scheme: Scheme) -> Cells:
    """The cells of integer weights (outputs, rows), the lowest slice first; none is flipped."""
    slice_factors = 2 ** (scheme.cell_bits * np.arange(scheme.slices))
    if scheme.kind.one_bit:
        return Cells(weights[None], np.eye(1, dtype=np.int64), np.ones(1, np.int64), 0, -1, 1)
    if scheme.kind.doubled:
        return _doubled(weights, scheme, slice_factors)
    if scheme.kind.sign_column:
        return _with_sign_column(weights, scheme, slice_factors)
    if scheme.kind.sign_in_cell:
        return _signed(weights, scheme, slice_factors)
    offset = 2 ** (scheme.weight_bits - 1)
    return _merged(
        scheme, _cut(weights + offset, scheme), slice_factors, offset, (0, 2**scheme.cell_bits - 1)
    )


def _cut(magnitudes: Ints, scheme: Scheme) -> Ints:
    """Slices (slices, outputs, rows) of numbers that are not negative."""
    shifts = scheme.cell_bits * np.arange(scheme.slices)[:, None, None]
    cut: Ints = (magnitudes[None] >> shifts) & (2**scheme.cell_bits - 1)
    return cut


def _merged(
    scheme: Scheme, levels: Ints, factors: Ints, offset: int, span: tuple[int, int]
) -> Cells:
    """Planes that are a line each, or one line together where slices merge in analog."""
    into = np.eye(len(factors), dtype=np.int64)
    if scheme.slice_merge == "analog":
        into, factors = factors[None], np.ones(1, np.int64)
    return Cells(levels, into, factors, offset, *span)


def _doubled(weights: Ints, scheme: Scheme, factors: Ints) -> Cells:
    """A positive and a negative half: planes slice by slice, the positive before the negative."""
    halves = np.stack([_cut(np.maximum(weights, 0), scheme), _cut(np.maximum(-weights, 0), scheme)])
    levels = halves.swapaxes(0, 1).reshape(-1, *weights.shape)
    signs = np.tile(np.array([1, -1]), len(factors))
    each = np.repeat(factors, 2)
    analog_pairs, analog_slices = scheme.subtract == "analog", scheme.slice_merge == "analog"
    if analog_pairs and analog_slices:
        into, out = (signs * each)[None], np.ones(1, np.int64)
    elif analog_pairs:
        into, out = np.repeat(np.eye(len(factors), dtype=np.int64), 2, axis=1) * signs, factors
    elif analog_slices:
        into = np.stack([np.where(signs > 0, each, 0), np.where(signs < 0, each, 0)])
        out = np.array([1, -1])
    else:
        into, out = np.eye(len(each), dtype=np.int64), signs * each
    return Cells(levels, into, out, 0, 0, 2**scheme.cell_bits - 1)


def _with_sign_column(weights: Ints, scheme: Scheme, factors: Ints) -> Cells:
    """Two's complement: the bits below the sign in slices, the sign bit in a column of its own."""
    top = 2 ** (scheme.weight_bits - 1)
    low = _cut(weights & (top - 1), scheme)
    levels = np.concatenate([low, (weights[None] < 0).astype(np.int64)])
    return _merged(scheme, levels, np.append(factors, -top), 0, (0, 2**scheme.cell_bits - 1))


def _signed(weights: Ints, scheme: Scheme, factors: Ints) -> Cells:
    """Two's complement over all slices: the highest cell holds a signed number, the others not."""
    levels = _cut(weights & (2 ** (scheme.cell_bits * scheme.slices) - 1), scheme)
    levels[-1] = weights >> (scheme.cell_bits * (scheme.slices - 1))
    half = 2 ** (scheme.cell_bits - 1)
    span = (-half, half - 1 if scheme.slices == 1 else 2 * half - 1)
    return _merged(scheme, levels, factors, 0, span)


def _flipped(lines: Lines) -> Lines:
    """Lines of which each is stored inverted, tile by tile, where that lowers its largest sum.

    The largest sum of a line on a tile is that of its section with the largest sum of digits; an
    inverted line senses top x (sum of inputs) - S (Shafiee et al., ISCA 2016, section 5.2).
    """
    digits, factors = lines.digits.copy(), lines.factors.copy()
    correction, levels = lines.correction.copy(), lines.cells.levels.copy()
    top = lines.cells.into.sum(axis=1) * lines.cells.highest
    for tile in range(factors.shape[2]):
        mine = [s for s in lines.sections if s.tile == tile]
        sums = np.stack([digits[:, :, s.first : s.end].sum(axis=2) for s in mine])
        full = np.array([s.end - s.first for s in mine])[:, None, None] * top[None, :, None]
        flip = (full - sums).max(axis=0) < sums.max(axis=0)
        first, end = mine[0].first, mine[-1].end
        held, stored = digits[:, :, first:end], levels[:, :, first:end]
        digits[:, :, first:end] = np.where(flip[:, :, None], top[:, None, None] - held, held)
        flip_planes = (lines.cells.into.T @ flip.astype(np.int64) > 0)[:, :, None]
        levels[:, :, first:end] = np.where(flip_planes, lines.cells.highest - stored, stored)
        correction[:, tile] += (flip * (factors[:, :, tile] * top[:, None])).sum(axis=0)
        factors[:, :, tile] = np.where(flip, -factors[:, :, tile], factors[:, :, tile])
    return attrs.evolve(
        lines, digits=digits, factors=factors, correction=correction,
        cells=attrs.evolve(lines.cells, levels=levels),
    )  # fmt: skip
