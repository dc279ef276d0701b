"""Sense lines: what the cells of an encoding hold, and that they are the weights again."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimarch.functional.lines import Lines, Section, lines_of, sections_of
from cimarch.functional.scheme import Scheme
from random_schemes import schemes, sections, weights

WEIGHTS = np.array([[5, -3], [-8, 7]])
"""Two outputs of two rows."""
ONE_TILE = sections_of(2, 2, 2)


def four_bits(encoding: str, **settings: str) -> Lines:
    """The weights in four bits, on cells of two."""
    scheme = Scheme(encoding, weight_bits=4, cell_bits=2, **settings)
    return lines_of(WEIGHTS, scheme, ONE_TILE)


# (lines, outputs, rows), what a unit of each line counts, what a unit of input is put right by
EXAMPLES = {
    # + 8: 13 = 3 1, 5 = 1 1; 0 = 0 0, 15 = 3 3 (high and low slice)
    "offset": ([[[1, 1], [0, 3]], [[3, 1], [0, 3]]], [1, 4], -8),
    "offset, slice_merge": ([[[13, 5], [0, 15]]], [1], -8),
    # 5 = 1 1 and 7 = 1 3 in the positive half, 3 = 0 3 and 8 = 2 0 in the negative
    "differential": (
        [[[1, 0], [0, 3]], [[0, 3], [0, 0]], [[1, 0], [0, 1]], [[0, 0], [2, 0]]], [1, -1, 4, -4], 0,
    ),
    "differential, subtract": ([[[1, -3], [0, 3]], [[1, 0], [-2, 1]]], [1, 4], 0),
    "differential, slice_merge": ([[[5, 0], [0, 7]], [[0, 3], [8, 0]]], [1, -1], 0),
    "differential, subtract, slice_merge": ([[[5, -3], [-8, 7]]], [1], 0),
    # the low three bits 101, 101, 000, 111 in slices of two; the sign counts -8
    "twos_complement": ([[[1, 1], [0, 3]], [[1, 1], [0, 1]], [[0, 1], [1, 0]]], [1, 4, -8], 0),
    "twos_complement, slice_merge": ([[[5, -3], [-8, 7]]], [1], 0),
    # 01 01, 11 01, 10 00, 01 11: the high cell is signed
    "signed_cell": ([[[1, 1], [0, 3]], [[1, -1], [-2, 1]]], [1, 4], 0),
}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_lines_of_four_weights(example: str) -> None:
    encoding, *analog = example.split(", ")
    lines = four_bits(encoding, **dict.fromkeys(analog, "analog"))
    digits, factors, correction = EXAMPLES[example]
    assert lines.digits.tolist() == digits
    assert lines.factors[:, 0, 0].tolist() == factors
    assert (lines.factors == lines.factors[:, :1]).all()
    assert lines.correction.tolist() == [[correction], [correction]]
    assert lines.reference == 0


def test_an_offset_column_counts_the_offset_and_nothing_is_put_right_besides() -> None:
    plain, column = four_bits("offset"), four_bits("offset_column")
    assert np.array_equal(plain.digits, column.digits)
    assert (column.reference, column.correction.tolist()) == (-8, [[0], [0]])


def test_a_binary_weight_is_its_cell() -> None:
    lines = lines_of(np.array([[1, -1]]), Scheme("binary", weight_bits=1), ONE_TILE)
    assert lines.digits.tolist() == [[[1, -1]]]
    with pytest.raises(ValueError, match="a binary weight is 0"):
        lines_of(np.array([[1, 0]]), Scheme("binary", weight_bits=1), ONE_TILE)


def test_a_line_is_flipped_where_that_lowers_its_largest_sum() -> None:
    # Of offset's lines only 3 + 1 is more than half of 3 + 3: stored as 0 + 2, and counts
    # 3 x (x0 + x1) - its sum. 0 + 3 would come to the same: it stays.
    lines = four_bits("flipped")
    assert lines.digits.tolist() == [[[1, 1], [0, 3]], [[0, 2], [0, 3]]]
    assert lines.factors[:, :, 0].tolist() == [[1, 1], [-4, 4]]
    assert lines.correction.tolist() == [[-8 + 4 * 3], [-8]]
    assert lines.cells.levels.tolist() == lines.digits.tolist()


def test_a_line_is_flipped_tile_by_tile_by_its_fullest_group() -> None:
    # Of the offset's 2-bit cells 3 3 | 0 0 on two tiles the first is inverted; read in two groups
    # of one tile both ways hold at most 3 + 3 in one: nothing changes.
    row = np.array([[1, 1, -2, -2]])
    scheme = Scheme("flipped", weight_bits=2, cell_bits=2)
    apart = lines_of(row, scheme, sections_of(4, 2, 2))
    assert apart.digits.tolist() == [[[0, 0, 0, 0]]]
    assert apart.factors.tolist() == [[[-1, 1]]]
    assert apart.correction.tolist() == [[-2 + 3, -2]]
    groups = lines_of(row, scheme, sections_of(4, 4, 2))
    assert groups.digits.tolist() == [[[3, 3, 0, 0]]]


def test_what_an_encoding_cannot_hold_is_refused() -> None:
    for encoding, weight in (("offset", 8), ("twos_complement", -9), ("differential", 16)):
        with pytest.raises(ValueError, match="outside"):
            lines_of(np.array([[weight]]), Scheme(encoding, weight_bits=4), sections_of(1, 1, 1))


def test_tiles_and_groups_of_word_lines_cut_the_rows_in_order() -> None:
    assert sections_of(10, 4, 3) == (
        Section(0, 3, 0), Section(3, 4, 0), Section(4, 7, 1), Section(7, 8, 1), Section(8, 10, 2),
    )  # fmt: skip


def again(lines: Lines) -> np.ndarray:
    """The weights that lines hold: what each row adds to each output, whatever else it is read
    with."""
    found = np.zeros(lines.digits.shape[1:], np.int64)
    for section in lines.sections:
        rows = slice(section.first, section.end)
        factors = lines.factors[:, :, section.tile, None]
        found[:, rows] = (factors * lines.digits[:, :, rows]).sum(axis=0)
        found[:, rows] += lines.correction[:, section.tile, None] + lines.reference
    return found


@st.composite
def drawn_lines(draw: st.DrawFn) -> tuple[np.ndarray, Lines]:
    scheme, rows = draw(schemes()), draw(st.integers(1, 12))
    held = draw(weights(scheme, draw(st.integers(1, 4)), rows))
    return held, lines_of(held, scheme, draw(sections(rows)))


@settings(max_examples=300)
@given(drawn_lines())
def test_lines_are_the_weights_again(drawn: tuple[np.ndarray, Lines]) -> None:
    held, lines = drawn
    assert np.array_equal(again(lines), held)


@settings(max_examples=300)
@given(drawn_lines())
def test_cells_hold_what_they_can_and_lines_are_sums_of_cells(
    drawn: tuple[np.ndarray, Lines],
) -> None:
    _, lines = drawn
    cells = lines.cells
    assert cells.lowest <= cells.levels.min(initial=0)
    assert cells.levels.max(initial=0) <= cells.highest
    assert np.array_equal(np.einsum("lp,por->lor", cells.into, cells.levels), lines.digits)
    for line in np.flatnonzero(~lines.signed):
        assert lines.digits[line].min(initial=0) >= 0


def fullest(lines: Lines, tile: int) -> np.ndarray:
    """The largest sum of digits of each line and output on a tile, over its groups."""
    rows = [slice(s.first, s.end) for s in lines.sections if s.tile == tile]
    found: np.ndarray = np.max([lines.digits[:, :, r].sum(axis=2) for r in rows], axis=0)
    return found


@settings(max_examples=200)
@given(st.data())
def test_a_flip_never_raises_the_largest_sum_of_a_line(data: st.DataObject) -> None:
    offset = data.draw(schemes().filter(lambda each: each.encoding == "offset"))
    held = data.draw(weights(offset, 2, 6))
    cut = data.draw(sections(6))
    plain = lines_of(held, offset, cut)
    flipped = lines_of(held, attrs.evolve(offset, encoding="flipped"), cut)
    for tile in range(plain.factors.shape[2]):
        before, after = fullest(plain, tile), fullest(flipped, tile)
        assert (after <= before).all()
        inverted = flipped.factors[:, :, tile] < 0
        assert ((after < before) == inverted).all()
