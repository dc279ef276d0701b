"""The plain reference: every rule of a conversion and of the sums behind it, by hand."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimarch.functional.converter import Ranges, convert, scale, stated_ranges, unit_ranges
from cimarch.functional.lines import Lines, lines_of, sections_of
from cimarch.functional.reference import product
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.steps import step_digits, step_factors, step_range
from cimarch.functional.sums import Counts
from random_schemes import Drawn, products, schemes, windows

# Conversions ------------------------------------------------------------------------------------


def made(converter: Converter, sums: list[int], low: float = 0.0, step: float = 1.0) -> list[float]:
    """What the codes of some sums stand for."""
    limits = np.array(low), np.array(step)
    base, quantum = scale(converter, *limits)
    codes = convert(converter, np.array(sums, float), *limits)
    found: list[float] = (base + quantum * codes.values).tolist()
    return found


def events(
    converter: Converter, sums: list[int], low: float = 0.0, step: float = 1.0
) -> tuple[list[int], list[int]]:
    """Which sums clip, and which are rounded."""
    codes = convert(converter, np.array(sums, float), np.array(low), np.array(step))
    each = zip(sums, codes.clipped, codes.rounded, strict=True)
    found = [(s, c, r) for s, c, r in each if c or r]
    return [s for s, c, _ in found if c], [s for s, _, r in found if r]


def test_a_tread_lies_at_a_code_and_ties_go_to_the_even_one() -> None:
    three, sums = Converter(3), [0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 99]
    # halves: 0.5 to 0, 1.5 to 2, 2.5 to 2, 3.5 to 4, 6.5 to 6; above 7 codes nothing
    assert made(three, sums, 0, 2) == [0, 0, 2, 4, 4, 4, 6, 8, 12, 14, 14, 14]
    assert events(three, sums, 0, 2) == ([15, 99], [1, 3, 5, 7, 13])


def test_a_range_may_begin_anywhere() -> None:
    assert made(Converter(2), [-9, -4, -1, 0, 3, 5, 6], -4, 3) == [-4, -4, -1, -1, 2, 5, 5]
    assert events(Converter(2), [-9, -4, -1, 0, 3, 5, 6], -4, 3) == ([-9, 6], [0, 3])


def test_a_riser_lies_at_a_code_and_it_stands_for_the_middle() -> None:
    two, sums = Converter(2, "mid_rise"), [-5, -4, -3, -2, -1, 0, 1, 3, 4, 5]
    assert made(two, sums, -4, 2) == [-3, -3, -3, -1, -1, 1, 1, 3, 3, 3]
    # the upper end is within the range
    assert events(two, sums, -4, 2) == ([-5, 5], [-4, -2, 0, 4])


def test_sign_and_magnitude_have_zero_and_one_code_less() -> None:
    three = Converter(3, "sign_magnitude")
    assert three.codes == 7
    assert made(three, [-9, -3, -1, 0, 2, 3, 4], -3) == [-3, -3, -1, 0, 2, 3, 3]
    assert unit_ranges(three, np.array([True, False])).low.tolist() == [[-3.0], [0.0]]


def test_a_sense_amplifier_of_one_bit_tells_two_levels() -> None:
    one = Converter(1, "thresholds", thresholds=(Fraction(3),), levels=(Fraction(0), Fraction(6)))
    # at its threshold a sum is above; levels 0 and 6 are 0 and 1 of the largest common measure
    assert made(one, [0, 2, 3, 6, 9]) == [0, 0, 6, 6, 6]
    assert events(one, [-1, 0, 2, 3, 6, 9]) == ([-1, 9], [2, 3])


def test_a_code_may_stand_for_any_number() -> None:
    steps = tuple(Fraction(n, 2) for n in (1, 4, 9))
    levels = tuple(Fraction(n, 4) for n in (-3, 6, 15, 40))
    converter = Converter(2, "thresholds", thresholds=steps, levels=levels)
    # thresholds 0.5, 2, 4.5 and levels -0.75, 1.5, 3.75, 10, each in steps of 2 units
    assert made(converter, [0, 1, 3, 4, 8, 9, 50], 0, 2) == [-1.5, 3, 3, 7.5, 7.5, 20, 20]


@pytest.mark.parametrize(
    ("stated", "low", "step"),
    [
        ({"low": 0, "high": 30}, 0, 2),
        ({"low": -15, "step": 2}, -15, 2),
        ({"high": 30, "step": 2}, 0, 2),
        ({"high": 30}, 0, 2),
        ({"step": 2}, 0, 2),
        ({"low": 5}, 5, 1),
    ],
)
def test_two_of_low_high_and_step_give_the_third(
    stated: dict[str, int], low: float, step: float
) -> None:
    four = Converter(4, **{name: Fraction(n) for name, n in stated.items()})
    found = stated_ranges(four, np.array([False]))
    assert found is not None
    assert (found.low.item(), found.step.item()) == (low, step)


def test_a_range_that_is_stated_by_its_upper_end_lies_about_zero_for_sums_with_a_sign() -> None:
    found = stated_ranges(Converter(4, high=Fraction(15)), np.array([True, False]))
    assert found is not None
    assert np.broadcast_to(found.low, (2, 1)).tolist() == [[-15], [0]]
    assert np.broadcast_to(found.step, (2, 1)).tolist() == [[2], [1]]


# Inputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "number", "levels", "factors"),
    [
        ("unsigned", 27, [3, 2, 1], [1, 4, 16]),
        ("sign_magnitude", -11, [-3, -2, 0], [1, 4, 16]),
        ("twos_complement", -11, [1, 1, -1], [1, 4, 16]),  # ..110101
    ],
)
def test_an_input_of_six_bits_takes_three_steps_of_two(
    inputs: str, number: int, levels: list[int], factors: list[int]
) -> None:
    scheme = Scheme(input_bits=6, dac_bits=2, inputs=inputs)
    assert step_digits(np.array([number]), scheme)[:, 0].tolist() == levels
    assert list(step_factors(scheme)) == factors


def test_the_last_step_has_the_levels_that_are_left_of_an_input() -> None:
    # 5 bits in steps of 2: the last has one bit; of -16..15 it is -1 or 0, of a magnitude none
    expected = {
        "unsigned": ((0, 3), (0, 3), (0, 1)),
        "sign_magnitude": ((-3, 3), (-3, 3)),
        "twos_complement": ((0, 3), (0, 3), (-1, 0)),
    }
    for inputs, levels in expected.items():
        assert step_range(Scheme(input_bits=5, dac_bits=2, inputs=inputs)) == levels
    assert step_range(Scheme(input_bits=4, dac_bits=2, inputs="sign_magnitude")) == (
        (-3, 3),
        (-1, 1),
    )


@settings(max_examples=200)
@given(st.data())
def test_steps_are_the_input_again(data: st.DataObject) -> None:
    scheme = data.draw(schemes())
    inputs = data.draw(windows(scheme, 2, 3))
    digits = step_digits(inputs, scheme)
    assert len(digits) == scheme.steps
    assert np.array_equal(np.tensordot(step_factors(scheme), digits, 1), inputs)
    for each, (low, high) in zip(digits, step_range(scheme), strict=True):
        assert low <= each.min()
        assert each.max() <= high


# Products ---------------------------------------------------------------------------------------

WEIGHTS = np.array([[5, -3, 2, 7], [-8, 7, 1, 0], [-1, 0, 4, -6]])
"""Three outputs of four rows, as on the page."""
INPUTS = np.array([[3, 1, 0, 2]])


def worked(encoding: str, bits: int | None, **settings: object) -> tuple[list[float], Counts]:
    """The worked example: 4-bit weights in 2-bit cells, 2-bit inputs in steps of a bit."""
    scheme = Scheme(
        encoding, weight_bits=4, input_bits=2, cell_bits=2,
        converter=None if bits is None else Converter(bits), **settings,
    )  # fmt: skip
    lines = lines_of(WEIGHTS, scheme, sections_of(4, 4, 4))
    ranges = None if bits is None else unit_ranges(Converter(bits), lines.signed)
    sums = product(INPUTS, lines, ranges)
    assert sums.counts is not None
    return sums.values[0].tolist(), sums.counts


def test_the_worked_example_of_the_page() -> None:
    exact = [26, -17, -15]
    assert worked("offset", None)[0] == (WEIGHTS @ INPUTS[0]).tolist() == exact
    assert worked("offset", 3) == (exact, Counts(conversions=12))
    assert worked("offset", 2) == ([-4, -17, -19], Counts(conversions=12, clipped=4))
    # high slice: 13 5 10 15 is 3 1 2 3, more than half of 12, so it is stored as 0 2 1 0
    assert worked("flipped", 2)[0][:2] == [27, -9]
    assert worked("differential", 2) == ([24, -17, -15], Counts(conversions=24, clipped=1))
    assert worked("differential", 2, subtract="analog")[0][0] == 12
    assert worked("differential", 4, subtract="analog") == (exact, Counts(conversions=12))


def test_steps_that_add_in_analog_are_one_conversion() -> None:
    # Output 0 alone: low cells 1 1 2 3 on 3 1 0 2 sum to 10, high cells 3 1 2 3 to 16
    values, counts = worked("offset", 4, input_accumulation="analog")
    assert counts == Counts(conversions=6, clipped=1)
    assert values == [10 + 4 * 15 - 8 * 6, -17, -15]


def test_slices_that_merge_in_analog_are_one_conversion() -> None:
    # Output 0: 13 + 5 = 18 in the first step, 13 + 15 = 28 in the second
    values, counts = worked("offset", 4, slice_merge="analog")
    assert counts == Counts(conversions=6, clipped=2)
    assert values == [15 + 2 * 15 - 8 * 6, -17, -15]


def test_an_offset_column_is_converted_too() -> None:
    # Steps drive two rows each: the column senses 2 and 2, and 2 + 2 x 2 = 6 counts 8 each
    values, counts = worked("offset_column", 3)
    assert (values, counts.conversions) == ([26, -17, -15], 12 + 2)
    # One bit: 0 or 1. The column gives 1 + 2 = 3, every other sum at most 1 + 4 + 2 + 8
    assert worked("offset_column", 1)[0] == [15 - 8 * 3, 13 - 8 * 3, 15 - 8 * 3]


def held(bits: int, overflow: str, **settings: object) -> tuple[list[float], Counts]:
    """4 rows of weight 7 and -8 on two tiles, inputs 3: 42 and -48 on each."""
    scheme = Scheme(
        "signed_cell", weight_bits=4, input_bits=2, cell_bits=4, dac_bits=2, overflow=overflow,
        **settings or {"tile_bits": bits, "sum_bits": bits},
    )  # fmt: skip
    lines = lines_of(np.array([[7] * 4, [-8] * 4]), scheme, sections_of(4, 2, 2))
    sums = product(np.full((1, 4), 3), lines)
    assert sums.counts is not None
    return sums.values[0].tolist(), sums.counts


def test_a_sum_too_wide_for_its_adder_saturates_or_wraps_and_is_counted() -> None:
    # 7 bits hold -64..63: both tiles fit, their sums 84 and -96 do not
    assert held(8, "saturate") == ([84, -96], Counts(conversions=4, sums=6))
    assert held(7, "saturate") == ([63, -64], Counts(4, sums=6, overflowed=2))
    assert held(7, "wrap") == ([84 - 128, -96 + 128], Counts(4, sums=6, overflowed=2))
    # 6 bits hold -32..31: every sum is held, tile by tile
    assert held(6, "saturate") == ([31, -32], Counts(4, sums=6, overflowed=6))
    # 42 - 64 = -22, twice -44, + 64 = 20; -48 + 64 = 16, 32, - 64 = -32
    assert held(6, "wrap") == ([20, -32], Counts(4, sums=6, overflowed=6))


def test_an_adder_without_a_width_holds_all_and_counts_nothing() -> None:
    assert held(0, "wrap", tile_bits=None, sum_bits=None) == ([84, -96], Counts(conversions=4))
    assert held(0, "wrap", tile_bits=7, sum_bits=None) == ([84, -96], Counts(4, sums=4))
    assert held(0, "wrap", tile_bits=None, sum_bits=9) == ([84, -96], Counts(4, sums=2))


# Any product ------------------------------------------------------------------------------------


def exact(drawn: Drawn) -> np.ndarray:
    return drawn.inputs @ drawn.weights.T


def without_loss(drawn: Drawn) -> Lines:
    """The lines of a product behind ideal converters and wide adders."""
    scheme = attrs.evolve(drawn.lines.scheme, converter=None, tile_bits=None, sum_bits=None)
    return attrs.evolve(drawn.lines, scheme=scheme)


@settings(max_examples=150, deadline=None)
@given(products())
def test_without_a_converter_a_product_is_that_of_the_weights(drawn: Drawn) -> None:
    sums = product(drawn.inputs, without_loss(drawn))
    assert np.array_equal(sums.values, exact(drawn))


def stands_for(converter: Converter, total: int, low: Fraction, step: Fraction) -> Fraction:
    """What the code of a sum stands for, as the page says it."""
    place = (total - low) / step
    if converter.transfer == "thresholds":
        return step * converter.levels[sum(t <= total / step for t in converter.thresholds)]
    if converter.transfer == "mid_rise":
        return low + step * (min(max(floor(place), 0), converter.codes - 1) + Fraction(1, 2))
    return low + step * min(max(round(place), 0), converter.codes - 1)


def converted(drawn: Drawn, total: int, line: int, output: int) -> Fraction:
    """What comes of a column sum; the column that measures the offset has the first range."""
    converter, ranges = drawn.lines.scheme.converter, drawn.ranges
    if ranges is None or converter is None:
        return Fraction(total)
    shape = drawn.lines.digits.shape[:2]
    low, step = (np.broadcast_to(each, shape)[line, output] for each in (ranges.low, ranges.step))
    exact_low, exact_step = Fraction(float(low)), Fraction(float(step))
    begin = 0 if converter.transfer == "thresholds" else exact_low
    place = (total - begin) / exact_step
    # in float64 a sum that is nearly at a border may fall on either side of it
    is_exact = Fraction(float((total - float(begin)) / step)) == place
    assume(is_exact or abs(2 * place - round(2 * place)) > 1e-9)
    return stands_for(converter, total, exact_low, exact_step)


def by_the_page(drawn: Drawn, x: np.ndarray, output: int) -> Fraction:
    """One number in exact fractions: the formula at the top of the page."""
    lines, scheme = drawn.lines, drawn.lines.scheme
    steps = [(1, x)]
    if scheme.input_accumulation == "digital":
        steps = list(zip(step_factors(scheme), step_digits(x, scheme), strict=True))
    total = Fraction(0)
    for section in lines.sections:
        rows = slice(section.first, section.end)
        total += int(lines.correction[output, section.tile]) * int(x[rows].sum())
        for place, level in steps:
            for line, digits in enumerate(lines.digits[:, output, rows]):
                factor = place * int(lines.factors[line, output, section.tile])
                total += factor * converted(drawn, int(digits @ level[rows]), line, output)
            if lines.reference:
                total += place * lines.reference * converted(drawn, int(level[rows].sum()), 0, 0)
    return total


@settings(max_examples=150, deadline=None)
@given(products())
def test_a_product_is_the_formula_of_the_page(drawn: Drawn) -> None:
    scheme = attrs.evolve(drawn.lines.scheme, tile_bits=None, sum_bits=None)
    wide = attrs.evolve(drawn, lines=attrs.evolve(drawn.lines, scheme=scheme))
    values = product(wide.inputs, wide.lines, wide.ranges).values
    for x, found in zip(wide.inputs, values, strict=True):
        expected = [float(by_the_page(wide, x, output)) for output in range(wide.lines.outputs)]
        assert found.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(products())
def test_counts_are_as_many_as_there_are_conversions(drawn: Drawn) -> None:
    lines, counts = drawn.lines, product(drawn.inputs, drawn.lines, drawn.ranges).counts
    assert counts is not None
    scheme = lines.scheme
    each = 1 if scheme.input_accumulation == "analog" else scheme.steps
    columns = len(lines.digits) * lines.outputs + (lines.blocks if lines.reference else 0)
    assert counts.conversions == len(drawn.inputs) * len(lines.sections) * each * columns
    assert counts.clipped + counts.rounded <= counts.conversions
    assert counts.overflowed <= counts.sums


def test_a_range_wide_enough_loses_nothing() -> None:
    # 12 bits about zero, a unit a step: more than any of these sums
    @settings(max_examples=100, deadline=None)
    @given(products(schemes().filter(lambda each: each.inputs == "unsigned")))
    def holds(drawn: Drawn) -> None:
        wide = attrs.evolve(without_loss(drawn).scheme, converter=Converter(16))
        lines = attrs.evolve(drawn.lines, scheme=wide)
        sums = product(drawn.inputs, lines, Ranges.of(-(2.0**15), 1.0))
        assert np.array_equal(sums.values, exact(drawn))
        assert sums.counts is not None
        assert (sums.counts.clipped, sums.counts.rounded) == (0, 0)

    holds()


def test_adders_behind_a_range_about_zero_add_numbers_of_both_signs() -> None:
    # 8 bits about 0: a sum of 0 is code 0 of -128 .. 127, however many sums are added
    scheme = Scheme(encoding="differential", subtract="analog", converter=Converter(8), tile_bits=4)
    lines = lines_of(np.array([[3, -2]]), scheme, sections_of(2, 2, 2))
    ranges = unit_ranges(Converter(8), lines.signed)
    idle = product(np.array([[0, 0]]), lines, ranges)
    assert idle.values.tolist() == [[0.0]]
    assert idle.counts is not None
    assert idle.counts.overflowed == 0
    assert product(np.array([[1, 4]]), lines, ranges).values.tolist() == [[-5.0]]  # 3 - 8 fits
    assert product(np.array([[0, 8]]), lines, ranges).values.tolist() == [[-8.0]]  # -16: held
