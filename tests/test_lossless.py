"""Where nothing can be lost, one product of whole numbers is what the chip computes."""

from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimarch.functional.converter import Ranges, convert, scale, unit_ranges
from cimarch.functional.lines import lines_of, sections_of
from cimarch.functional.reference import Reference, product
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

pytest.importorskip("torch")

from cimarch.functional.paths.exact import Product
from cimarch.functional.paths.lossless import (
    Lossless,
    exact_span,
    proof,
    tally,
    weights_of,
)
from cimarch.functional.paths.product_units import UNITS
from cimarch.functional.paths.split import Split, parts_of

OFFSET = Scheme(weight_bits=2, input_bits=2, cell_bits=2, converter=Converter(3))


def lines(weights, scheme=OFFSET, array_rows=128, word_lines=128):
    weights = np.array(weights)
    return lines_of(weights, scheme, sections_of(weights.shape[1], array_rows, word_lines))


def test_a_column_whose_cells_sum_to_the_last_code_loses_nothing():
    """Weights -2, 1, 1, -1 are cells 0, 3, 3, 1: at most 7, the last of 8 codes; one more is 8."""
    ranges = Ranges.of(0, 1)
    assert proof(lines([[-2, 1, 1, -1]]), ranges).holds
    assert not proof(lines([[-1, 1, 1, -1]]), ranges).holds


def test_each_output_and_section_has_its_own_proof():
    """Read two rows at once, the sections of the first output hold up to 3 + 3 and 3 + 3, those of
    the second 3 + 1 and 3 + 3; from -2 on, the last of 8 codes is 5."""
    made = lines([[1, 1, 1, 1], [1, -1, 1, 1]], word_lines=2)
    found = proof(made, Ranges.of(0, 1))
    assert found.conversions.shape == (1, 2, 2, 2)
    assert found.holds
    found = proof(made, attrs.evolve(Ranges.of(0, 1), low=np.array([[0.0, -2.0]])))
    assert found.conversions[0, :, :, 0].tolist() == [[True, True], [True, False]]
    assert found.outputs.tolist() == [True, False]


def test_a_step_of_two_units_rounds_and_one_of_half_a_unit_does_not():
    made = lines([[1, -2]])
    assert not proof(made, Ranges.of(0, 2)).holds
    assert proof(made, Ranges.of(0, 0.5)).holds
    assert not proof(made, Ranges.of(0, 0.25)).holds  # the last of 8 codes stands for 1.75


def test_a_range_that_begins_between_two_sums_rounds():
    made = lines([[1, -2]])
    assert not proof(made, Ranges.of(-0.5, 1)).holds
    mid_rise = attrs.evolve(OFFSET, converter=Converter(3, "mid_rise"))
    assert proof(lines([[1, -2]], mid_rise), Ranges.of(-0.5, 1)).holds
    assert not proof(lines([[1, -2]], mid_rise), Ranges.of(0, 1)).holds


def test_a_narrow_adder_may_overflow():
    """One tile: cells 3 and 3, inputs to 3: at most 18, which takes 6 bits with the sign."""
    for bits, holds in ((5, False), (6, True)):
        scheme = attrs.evolve(OFFSET, tile_bits=bits)
        assert proof(lines([[1, 1]], scheme), Ranges.of(0, 1)).holds is holds


def test_the_adder_of_all_tiles_holds_more_than_that_of_one():
    scheme = attrs.evolve(OFFSET, tile_bits=6, sum_bits=6)
    found = proof(lines([[1, 1, 1, 1]], scheme, array_rows=2), Ranges.of(0, 1))
    assert found.adders.tolist() == [[True, False]]
    wide = attrs.evolve(scheme, sum_bits=7)
    assert proof(lines([[1, 1, 1, 1]], wide, array_rows=2), Ranges.of(0, 1)).holds


def test_a_reference_column_must_be_exact_as_well():
    """Eight rows of ones reach 8, one above the last code."""
    scheme = attrs.evolve(OFFSET, encoding="offset_column")
    assert proof(lines([[-2] * 7], scheme), Ranges.of(0, 1)).holds
    assert not proof(lines([[-2] * 8], scheme), Ranges.of(0, 1)).holds


def test_sense_amplifiers_are_exact_where_their_levels_are():
    amplifier = Converter(
        2, "thresholds", thresholds=(Fraction(-1, 2), Fraction(1, 2)),
        levels=(Fraction(-1), Fraction(0), Fraction(1)),
    )  # fmt: skip
    assert exact_span(amplifier, 0, 1) == (-1, 1)
    assert exact_span(amplifier, 0, 2) == (0, 0)
    assert exact_span(attrs.evolve(amplifier, levels=(-1, Fraction(1, 4), 1)), 0, 1) == (1, 0)


@given(
    st.sampled_from(["mid_tread", "mid_rise", "sign_magnitude"]),
    st.integers(1, 5),
    st.integers(-20, 20),
    st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0, 3.0, 0.1]),
)
def test_within_the_span_every_sum_is_exact(transfer, bits, eighths, step):
    converter, low = Converter(bits, transfer), eighths / 8
    least, most = exact_span(converter, low, step)
    sums = np.arange(least, most + 1, dtype=np.float64)
    codes = convert(converter, sums, np.array(low), np.array(step))
    base, quantum = scale(converter, np.array(low), np.array(step))
    assert not codes.clipped.any()
    assert not codes.rounded.any()
    assert (base + quantum * codes.values == sums).all()
    beyond = np.array([least - 1.0, most + 1.0])
    if least < most:
        outside = convert(converter, beyond, np.array(low), np.array(step))
        assert (outside.clipped | outside.rounded).all()


@st.composite
def schemes(draw):
    encoding = draw(st.sampled_from(
        ["offset", "offset_column", "flipped", "differential", "twos_complement", "signed_cell",
         "binary"]
    ))  # fmt: skip
    return Scheme(
        encoding=encoding,
        weight_bits=1 if encoding == "binary" else draw(st.integers(2, 5)),
        input_bits=draw(st.integers(2, 4)),
        cell_bits=1 if encoding == "binary" else draw(st.integers(1, 3)),
        dac_bits=draw(st.integers(1, 3)),
        inputs=draw(st.sampled_from(["unsigned", "sign_magnitude", "twos_complement"])),
        subtract=draw(st.sampled_from(["digital", "analog"])),
        input_accumulation=draw(st.sampled_from(["digital", "analog"])),
        slice_merge=draw(st.sampled_from(["digital", "analog"])),
        converter=Converter(
            draw(st.integers(3, 12)),
            draw(st.sampled_from(["mid_tread", "mid_rise", "sign_magnitude"])),
        ),
        tile_bits=draw(st.sampled_from([None, 8, 14])),
        sum_bits=draw(st.sampled_from([None, 9, 16])),
        overflow=draw(st.sampled_from(["saturate", "wrap"])),
    )


@settings(max_examples=100, deadline=None)
@given(schemes(), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0]))
def test_what_is_proven_equals_the_plain_reference(scheme, seed, step):
    random = np.random.default_rng(seed)
    low, high = scheme.weight_range
    weights = random.integers(low, high + 1, (3, random.integers(1, 9)))
    if scheme.encoding == "binary":
        weights = random.choice([-1, 1], weights.shape)
    made = lines(weights, scheme, array_rows=4, word_lines=random.integers(2, 5))
    ranges = unit_ranges(scheme.converter, made.signed)
    shift = step / 2 if scheme.converter.transfer == "mid_rise" else 0
    ranges = attrs.evolve(ranges, low=ranges.low * step - shift, step=ranges.step * step)
    assert (weights_of(made) == weights).all()
    assume(Lossless.takes([made], ranges))
    least, most = scheme.input_range
    inputs = random.choice([least, most, random.integers(least, most + 1)], (5, weights.shape[1]))
    expected = product(inputs, made, ranges)
    path = Lossless([made], Windows(weights.shape[1]))
    found, counts = path.counted(inputs)
    assert (found == expected.values).all()
    assert (path(inputs) == expected.values).all()
    assert counts == expected.counts == tally(made, 5)


@settings(max_examples=100, deadline=None)
@given(schemes(), st.integers(0, 2**32 - 1), st.booleans())
def test_outputs_that_lose_nothing_and_the_others_make_one_result(scheme, seed, by_column):
    random = np.random.default_rng(seed)
    low, high = scheme.weight_range
    weights = random.integers(low, high + 1, (4, random.integers(2, 9)))
    if scheme.encoding == "binary":
        weights = random.choice([-1, 1], weights.shape)
    weights[:2] = np.where(random.random(weights[:2].shape) < 0.8, weights[2, 0], weights[:2])
    steps = random.choice([1.0, 2.0, 0.5, 0.75], (1, 4), p=[0.6, 0.1, 0.2, 0.1])
    for bits in range(2, 12):
        converter = attrs.evolve(scheme.converter, bits=bits)
        one = attrs.evolve(scheme, converter=converter)
        made = lines(weights, one, array_rows=4, word_lines=random.integers(2, 5))
        ranges = unit_ranges(converter, made.signed)
        ranges = attrs.evolve(ranges, low=ranges.low - (converter.transfer == "mid_rise") / 2)
        if by_column:
            ranges = attrs.evolve(ranges, low=ranges.low * steps, step=steps)
        if parts := parts_of([made], ranges):
            break
    assume(parts is not None)
    windows = Windows(weights.shape[1])
    path = Split(made, parts, Reference([parts.lines], parts.ranges, windows), windows)
    least, most = scheme.input_range
    inputs = random.choice([least, most, random.integers(least, most + 1)], (5, weights.shape[1]))
    expected = product(inputs, made, ranges)
    found, counts = path.counted(inputs)
    assert (found == expected.values).all()
    assert (path(inputs) == expected.values).all()
    assert counts == expected.counts
    assert sorted([*parts.proven, *parts.others]) == [0, 1, 2, 3]


def test_a_layer_with_one_full_column_is_lossless_but_for_that():
    parts = parts_of([lines([[-2, 1, 1, -1], [1, 1, 1, 1], [0, 0, 0, -1]])], Ranges.of(0, 1))
    assert (parts.proven.tolist(), parts.others.tolist()) == ([0, 2], [1])
    assert parts_of([lines([[-2, 1, 1, -1]])], Ranges.of(0, 1)) is None  # nothing is lost
    assert parts_of([lines([[1, 1, 1, 1]])], Ranges.of(0, 1)) is None  # all may be


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("channels", "geometry", "span", "fill"),
    [
        (6, Geometry((3, 3), (1, 1), (1, 1, 1, 1)), (0, 255), 0),
        (6, Geometry((3, 3), (2, 2), (1, 1, 1, 1), groups=6), (0, 255), 0),
        (6, Geometry((1, 3), (1, 2), (0, 0, 1, 2), (1, 2), 2), (0, 255), 7),
        (5, Geometry((2, 2), padding=(0, 1, 0, 1)), (-128, 127), 0),
        (5, Geometry((1, 1)), (0, 15), 3),
        (6, None, (0, 255), 0),
    ],
)
def test_every_unit_gives_the_same_sums(unit, channels, geometry, span, fill):
    random = np.random.default_rng(0)
    groups = geometry.groups if geometry else 2
    rows = channels // groups * (int(np.prod(geometry.kernel)) if geometry else 1)
    windows = Windows(rows, groups, geometry, fill)
    weights = random.integers(-127, 128, (groups, 3, rows))
    size = (4, channels, 7, 9) if geometry else (4, channels)
    inputs = random.integers(span[0], span[1] + 1, size)
    inputs[0] = span[1]
    sums = np.einsum("gwr,gor->gwo", windows.unfold(inputs), weights)
    made = Product(weights, windows, span, unit=unit)
    assert made.unit == unit
    assert (made(inputs) == windows.fold(sums, inputs.shape)).all()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, -128]))
def test_any_window_of_any_map_is_exact(seed, low):
    """Kernels, strides, paddings and dilations that leave a window in padding, or one column."""
    random = np.random.default_rng(seed)
    kernel, stride, dilation = (tuple(random.integers(1, n, 2).tolist()) for n in (6, 4, 4))
    padding = tuple(random.integers(0, 4, 4).tolist())
    groups, channels, outputs = (int(random.choice(n)) for n in ([1, 1, 3], [1, 3, 16], [1, 5, 16]))
    high, wide = (
        max(1, d * (k - 1) + 1 - p + int(random.integers(0, 8)))
        for d, k, p in zip(dilation, kernel, padding[::2], strict=True)
    )
    rows = channels * kernel[0] * kernel[1]
    windows = Windows(rows, groups, Geometry(kernel, stride, padding, dilation, groups), 0)
    weights = random.integers(-127, 128, (groups, outputs, rows))
    x = random.integers(low, low + 256, (2, groups * channels, high, wide))
    sums = np.einsum("gwr,gor->gwo", windows.unfold(x), weights)
    found = Product(weights, windows, (low, low + 255))(x)
    assert (found == windows.fold(sums, x.shape)).all()


def test_sums_beyond_a_floats_whole_numbers_are_cut_by_channels():
    """1024 channels of 3 x 3 weights 127 and inputs 255 sum to 298 million, above 2^24."""
    weights, windows = np.full((1, 2, 9216), 127), Windows(9216, 1, Geometry((3, 3)))
    weights[:, 1] *= -1
    inputs = np.full((1, 1024, 3, 3), 255, np.uint8)
    for unit in UNITS:
        sums = Product(weights, windows, (0, 255), unit=unit)(inputs).ravel()
        assert sums.tolist() == [9216 * 127 * 255, -9216 * 127 * 255]


def test_a_unit_that_fails_on_a_size_of_map_is_given_up_for_the_next():
    weights, windows = np.ones((1, 2, 9), np.int64), Windows(9, 1, Geometry((3, 3)))
    made, x = Product(weights, windows, (0, 255)), np.full((2, 1, 4, 5), 7, np.uint8)
    first, works = made.unit, made._multiply
    assert (made(x) == 63).all()
    made._multiply = lambda x: works(x) + (x.shape[3] == 6)
    assert (made(np.full((2, 1, 4, 6), 7, np.uint8)) == 63).all()
    names = list(UNITS)
    assert made.unit == names[names.index(first) + 1]


def test_one_channel_beyond_2_to_the_24_takes_float64():
    weights, windows = np.full((1, 1, 9), 2**20), Windows(9, 1, Geometry((3, 3)))
    with pytest.raises(ValueError, match="float32"):
        Product(weights, windows, (0, 255), unit="float32")
    assert Product(weights, windows, (0, 255)).unit == "float64"


def test_sixteen_bit_inputs_take_a_wider_unit():
    weights, windows = np.full((1, 1, 1000), 30000), Windows(1000)
    made = Product(weights, windows, (-32768, 32767))
    assert made.unit == "float64"
    assert made(np.full((1, 1000), -32768)).tolist() == [[-32768 * 30000 * 1000]]
