"""The general path equals the plain reference, whatever the scheme, converter and place."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimarch.functional import reference
from cimarch.functional.converter import Ranges, unit_ranges
from cimarch.functional.lines import Lines, Section, lines_of, sections_of
from cimarch.functional.paths.products import Products
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import TRANSFERS, Converter, Scheme
from cimarch.functional.windows import Windows
from cimarch.hardware.encoding import ENCODINGS
from cimarch.workload.network import Geometry

SETTINGS = settings(max_examples=60, deadline=None)


@st.composite
def converters(draw: st.DrawFn) -> Converter | None:
    transfer = draw(st.sampled_from([*TRANSFERS, None]))
    if transfer is None:
        return None
    if transfer != "thresholds":
        return Converter(draw(st.integers(2, 6)), transfer)
    halves = sorted(draw(st.sets(st.integers(-9, 20), min_size=1, max_size=6)))
    levels = draw(
        st.lists(st.fractions(-9, 9, max_denominator=3),
                 min_size=len(halves) + 1, max_size=len(halves) + 1)
    )  # fmt: skip
    return Converter(3, transfer, thresholds=tuple(Fraction(h, 2) for h in halves),
                     levels=tuple(levels))  # fmt: skip


@st.composite
def schemes(draw: st.DrawFn) -> Scheme:
    widths = st.sampled_from([None, 6, 9, 14])
    return Scheme(
        encoding=draw(st.sampled_from(sorted(ENCODINGS))),
        weight_bits=draw(st.integers(2, 6)),
        input_bits=draw(st.integers(2, 6)),
        cell_bits=draw(st.integers(1, 3)),
        dac_bits=draw(st.integers(1, 3)),
        inputs=draw(st.sampled_from(["unsigned", "sign_magnitude", "twos_complement"])),
        subtract=draw(st.sampled_from(["analog", "digital"])),
        input_accumulation=draw(st.sampled_from(["analog", "digital", "digital"])),
        slice_merge=draw(st.sampled_from(["analog", "digital", "digital"])),
        converter=draw(converters()),
        tile_bits=draw(widths),
        sum_bits=draw(widths),
        overflow=draw(st.sampled_from(["saturate", "wrap"])),
    )


def random_lines(scheme: Scheme, rng: np.random.Generator, rows: int, outputs: int) -> Lines:
    low, high = scheme.weight_range
    weights = rng.integers(low, high + 1, (outputs, rows))
    if scheme.kind.one_bit:
        weights = np.where(weights < 0, -1, 1)
    word_lines = int(rng.integers(1, 9))
    sections = sections_of(rows, int(rng.integers(word_lines, 13)), word_lines)
    return lines_of(weights, scheme, sections, int(rng.integers(1, 3)))


def random_ranges(lines: Lines, rng: np.random.Generator) -> Ranges | None:
    if lines.scheme.converter is None:
        return None
    kind = int(rng.integers(4))
    if kind == 0:
        return unit_ranges(lines.scheme.converter, lines.signed)
    shape = (len(lines.digits) if kind > 1 else 1, lines.outputs if kind > 2 else 1)
    if rng.integers(2):
        return Ranges(rng.integers(-4, 3, shape) * 1.0, rng.choice([0.5, 1.0, 2.0, 3.0], shape))
    return Ranges(rng.normal(0, 3, shape), rng.uniform(0.3, 3, shape))


@SETTINGS
@given(schemes(), st.integers(0, 2**32), st.sampled_from(["cpu", "torch"]))
def test_products_equal_the_reference_to_the_last_bit(scheme: Scheme, seed: int, on: str) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 24))
    lines = random_lines(scheme, rng, rows, 3)
    ranges = random_ranges(lines, rng)
    low, high = scheme.input_range
    inputs = rng.integers(low, high + 1, (4, rows))
    wanted = reference.product(inputs, lines, ranges)
    path = Products([lines], ranges, Windows(rows), on=on)
    values, counts = path.counted(inputs)
    assert (values == wanted.values).all()
    assert counts == wanted.counts
    assert (path(inputs) == wanted.values).all()


@SETTINGS
@given(st.integers(0, 2**32), st.integers(1, 2), st.sampled_from(["unsigned", "sign_magnitude"]))
def test_maps_are_unfolded_in_bands_as_a_whole(seed: int, groups: int, inputs: str) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride = tuple(rng.integers(1, 4, 2)), tuple(rng.integers(1, 3, 2))
    padding, dilation = tuple(rng.integers(0, 3, 4)), tuple(rng.integers(1, 3, 2))
    shape = tuple(int(k * d) + int(rng.integers(4)) for k, d in zip(kernel, dilation, strict=True))
    geometry = Geometry(
        *(tuple(map(int, each)) for each in (kernel, stride, padding, dilation)), groups
    )
    scheme = Scheme(weight_bits=3, input_bits=4, inputs=inputs, converter=Converter(3))
    rows = 2 * int(np.prod(kernel))
    windows = Windows(rows, groups, geometry, fill=1)
    lines = [random_lines(scheme, rng, rows, 2) for _ in range(groups)]
    ranges = Ranges.of(0, 2)
    low, high = scheme.input_range
    maps = rng.integers(low, high + 1, (3, 2 * groups, *shape)).astype(np.int16)
    wanted, counts = Reference(lines, ranges, windows).counted(maps)
    made = Products(lines, ranges, windows)
    assert (made(maps) == wanted).all()
    assert made.counted(maps)[1] == counts


def test_large_maps_are_worked_through_piece_by_piece() -> None:
    rng = np.random.default_rng(0)
    geometry = Geometry((3, 3), padding=(1, 1, 1, 1))
    scheme = Scheme(
        encoding="signed_cell", weight_bits=4, cell_bits=4, input_bits=4, dac_bits=4,
        converter=Converter(5),
    )  # fmt: skip
    weights = rng.integers(-8, 8, (2, 9))
    lines = lines_of(weights, scheme, sections_of(9, 256, 256))
    maps = rng.integers(0, 16, (2, 1, 130, 47)).astype(np.uint8)
    windows, ranges = Windows(9, 1, geometry), Ranges.of(-128, 8)
    made = Products([lines], ranges, windows)(maps)
    sums = windows.unfold(maps)[0] @ weights.T
    codes = np.clip(np.rint((sums + 128) / 8), 0, 31) * 8 - 128
    assert made.dtype == np.int64
    assert (made == windows.fold(codes[None], maps.shape)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_sums_too_wide_for_single_precision_stay_exact(bits: int) -> None:
    scheme = Scheme(encoding="binary", weight_bits=1, input_bits=bits, dac_bits=bits)
    rows = 2**10
    lines = lines_of(np.ones((1, rows), np.int64), scheme, sections_of(rows, rows, rows))
    inputs = np.full((1, rows), 2**bits - 1)
    inputs[0, 0] -= 1
    assert Products([lines], None, Windows(rows))(inputs)[0, 0] == rows * (2**bits - 1) - 1


def test_a_channel_group_may_have_sections_without_rows() -> None:
    # on a diagonal: word-line groups of 4 over two groups of 3 rows; the first has none of the last
    cut = [(Section(0, 3, 0), Section(3, 3, 0)), (Section(0, 1, 0), Section(1, 3, 0))]
    scheme = Scheme(input_accumulation="analog", converter=Converter(6))
    weights = np.array([[[5, -7, 100]], [[-128, 1, 2]]])
    lines = [lines_of(w, scheme, sections) for w, sections in zip(weights, cut, strict=True)]
    ranges = unit_ranges(Converter(6), lines[0].signed)
    inputs = np.array([[1, 200, 3, 255, 0, 9]])
    windows = Windows(3, groups=2)
    expected, counts = Reference(lines, ranges, windows).counted(inputs)
    made, counted = Products(lines, ranges, windows).counted(inputs)
    assert made.tolist() == expected.tolist()
    assert counted == counts
