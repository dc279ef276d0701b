"""Ranges of converters from data: sums are counted exactly, and every policy is worked by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chips import mlp
from cimarch import DescriptionError
from cimarch.functional.fit.calibrate import POLICIES, Policy, Seen, calibrated
from cimarch.functional.fit.histograms import PER, Histogram, Histograms
from cimarch.functional.fit.observe import seen, some
from cimarch.functional.fit.saved_ranges import Calibration, read_ranges, with_placement
from cimarch.functional.lines import Section, lines_of
from cimarch.functional.reference import product
from cimarch.functional.scheme import Converter, Scheme
from cimarch.mapping.saved import network_digest
from random_schemes import Drawn, products
from weighted import refused

TWO_BITS = Converter(2)
SENSE = Converter(1, "thresholds", thresholds=(Fraction(1, 2),), levels=(Fraction(0), Fraction(1)))


def histogram(sums: dict[int, int], place: float = 1.0) -> Histogram:
    """One range's: how often each sum was seen; all count `place` in the result."""
    values = np.array(sorted(sums), np.float64)
    counts = np.array([[sums[int(v)] for v in values]], np.int64)
    return Histogram(values, counts, counts * place**2)


def chosen(
    policy: str, sums: dict[int, int], converter: Converter = TWO_BITS, *,
    signed: bool = False, percentile: float = 99.9,
) -> tuple[float, float]:  # fmt: skip
    """Low end and step by a policy."""
    held = Seen(
        converter, histogram(sums), np.array([signed]), Policy(policy, percentile=percentile)
    )
    lows, steps = POLICIES[policy](held)
    return float(lows[0]), float(steps[0])


# What is counted


@given(products(), st.sampled_from(PER))
@settings(deadline=None, max_examples=150)
def test_sums_are_counted_as_the_plain_loops_convert_them(drawn: Drawn, per: str) -> None:
    """As many conversions, as many that clip, and as many that round."""
    assume(drawn.ranges is not None)
    assert drawn.ranges is not None
    sums = Histograms([drawn.lines], per)
    sums.add(drawn.inputs[None])
    expected = product(drawn.inputs, drawn.lines, drawn.ranges).counts
    assert expected is not None
    assert sums.counts.sum() == expected.conversions
    if per == "column" and not drawn.lines.reference:
        share = seen(sums, drawn.ranges)
        assert round(share["clipped"] * expected.conversions) == expected.clipped
        assert round(share["rounded"] * expected.conversions) == expected.rounded


def two_lines() -> Histograms:
    """Weights 1 and 3 on cells of one bit: the low slices are 1 1, the high ones 0 1."""
    scheme = Scheme("differential", 3, 2, 1, 2, subtract="analog", converter=TWO_BITS)
    lines = lines_of(np.array([[1, 3]]), scheme, [Section(0, 2, 0)])
    sums = Histograms([lines], "slice")
    sums.add(np.array([[[1, 2], [3, 3]]]))
    return sums


def test_each_slice_has_its_own_histogram() -> None:
    """Inputs (1, 2) and (3, 3): the low slices sum to 3 and 6, the high ones to 2 and 3."""
    found = two_lines().result()
    assert found.values.tolist() == [0, 2, 3, 6]
    assert found.counts.tolist() == [[0, 0, 1, 1], [0, 1, 1, 0], [2, 0, 0, 0]]


def test_a_sum_weighs_as_the_square_of_what_it_counts() -> None:
    """One unit of the second slice counts 2 in the result, of the third 4."""
    assert two_lines().result().weights.tolist() == [[0, 0, 1, 1], [0, 4, 4, 0], [32, 0, 0, 0]]


def test_lines_with_a_sign_share_no_range_with_lines_without() -> None:
    """Of a signed cell over two slices only the highest may be negative."""
    scheme = Scheme("signed_cell", 4, 1, 2, 1, converter=TWO_BITS)
    lines = lines_of(np.array([[-8, 7]]), scheme, [Section(0, 2, 0)])
    assert Histograms([lines], "layer").keys.tolist() == [[0], [1]]


def test_sums_of_whole_inputs_share_bins_and_stay_within_them() -> None:
    """16-bit inputs in one analog step on 8-bit slices: sums beyond a million, 65,536 bins."""
    scheme = Scheme("offset", 8, 16, 8, 1, input_accumulation="analog", converter=TWO_BITS)
    lines = lines_of(np.full((1, 4), 127), scheme, [Section(0, 4, 0)])
    sums = Histograms([lines], "layer")
    sums.add(np.full((1, 1, 4), 65535))
    exact = 4 * 255 * 65535
    assert sums.counts.shape[1] <= 1 << 16
    (value,) = sums.result().values
    assert abs(value - exact) < 1 << sums.shift


def test_some_windows_are_spread_over_all() -> None:
    assert some(10, 1.0).tolist() == list(range(10))
    assert some(1000, 0.05).tolist() == sorted(set(some(1000, 0.05).tolist()))
    assert len(some(1000, 0.05)) == 50
    assert np.diff(some(1000, 0.05)).max() < 60


# Policies


def test_unit_takes_one_unit_a_step_from_0_or_about_0() -> None:
    assert chosen("unit", {90: 1}) == (0, 1)
    assert chosen("unit", {90: 1}, signed=True) == (-2, 1)
    assert chosen("unit", {90: 1}, Converter(3, "sign_magnitude"), signed=True) == (-3, 1)


def test_power_of_two_weighs_what_clips_against_what_rounds() -> None:
    """2 bits. Ten each of 0, 1, 2, 3, and one of 8: one unit a step errs by 5^2 = 25; two by 10 for
    the 1s, 10 for the 3s and 2^2: 24. With a 7 in its place one unit errs by 16 only."""
    tens = {0: 10, 1: 10, 2: 10, 3: 10}
    assert chosen("power_of_two", tens | {8: 1}) == (0, 2)
    assert chosen("power_of_two", tens | {7: 1}) == (0, 1)


def test_power_of_two_lies_about_zero_for_sums_with_a_sign() -> None:
    """3 bits from -4 x step: sums of 12 need a step of 4, -16 .. 12."""
    assert chosen("power_of_two", {-12: 5, 12: 5}, Converter(3), signed=True) == (-16, 4)


def test_min_max_holds_all_sums() -> None:
    assert chosen("min_max", {2: 3, 5: 1, 11: 2}) == (2, 3)


def test_no_step_is_finer_than_a_unit() -> None:
    for policy in POLICIES:
        assert chosen(policy, {1: 1, 2: 1})[1] == 1


def test_percentile_leaves_out_the_ends() -> None:
    """Of a thousand sums the least and the largest lie beyond the 99.5th percentile."""
    sums = {0: 1, 10: 499, 16: 499, 900: 1}
    assert chosen("percentile", sums, percentile=99.5) == (10, 2)
    assert chosen("percentile", {0: 1, 2: 998, 900: 1}, percentile=99.5) == (0, 1)
    assert chosen("percentile", sums, percentile=100) == (0, 300)


def test_a_range_that_holds_all_at_one_unit_a_step_stays() -> None:
    """Five bits: 0 .. 31 holds 9 to 20."""
    for policy in ("percentile", "min_max", "mse", "power_of_two"):
        assert chosen(policy, {9: 1, 15: 5, 20: 1}, Converter(5)) == (0, 1)


def test_mse_moves_the_low_end_to_where_sums_are() -> None:
    """Sums of 40 to 43 fit two bits at one unit a step, which `unit` clips altogether."""
    assert chosen("mse", {40: 9, 41: 1, 42: 1, 43: 9}) == (40, 1)


def test_mse_keeps_one_unit_a_step_from_0_where_that_is_as_good() -> None:
    assert chosen("mse", {0: 3, 1: 2, 3: 1}) == (0, 1)


def test_a_range_about_zero_is_even() -> None:
    """7 codes about 0 hold -9 .. 9 in steps of 3."""
    assert chosen("min_max", {-9: 1, 3: 1}, Converter(3, "sign_magnitude"), signed=True) == (-9, 3)


@pytest.mark.parametrize("policy", ["power_of_two", "min_max", "mse"])
def test_thresholds_are_scaled_to_the_sums(policy: str) -> None:
    """A sense amplifier that tells 0 from 1 step: sums are 0 and 4, so a step is 4 units."""
    assert chosen(policy, {0: 5, 4: 5}, SENSE) == (0, pytest.approx(4))


@given(
    st.dictionaries(st.integers(-40, 80), st.integers(1, 20), min_size=1),
    st.sampled_from((Converter(2), Converter(3, "mid_rise"), Converter(3, "sign_magnitude"))),
)
@settings(deadline=None, max_examples=60)
def test_no_policy_has_less_error_than_mse_among_those_that_clip_at_a_unit(
    sums: dict[int, int], converter: Converter
) -> None:
    from cimarch.functional.fit.calibrate import _errors_at

    signed = min(sums) < 0
    held = Seen(converter, histogram(sums), np.array([signed]), Policy("mse"))

    def error(policy: str) -> float:
        low, step = POLICIES[policy](held)
        return float(_errors_at(held, low, step)[0, 0])

    assert error("mse") <= error("unit")
    assert error("power_of_two") <= error("unit")


def test_a_sum_of_a_high_step_decides() -> None:
    """An error in the last of eight steps counts 2^14 times as much as one in the first."""
    scheme = Scheme("differential", 2, 8, 1, 1, converter=TWO_BITS)
    lines = lines_of(np.ones((1, 16), np.int64), scheme, [Section(0, 16, 0)])
    few, many = np.full((1, 50, 16), 1), np.full((1, 1, 16), 128)
    few[:, :, 3:] = 0  # 3 units in the first step
    sums = Histograms([lines], "layer")
    sums.add(few)
    assert calibrated(sums, Policy("power_of_two"), 1).step.item() == 1
    sums.add(many)  # 16 units in the last
    assert calibrated(sums, Policy("power_of_two"), 1).step.item() == 8


@given(products(), st.sampled_from(PER), st.sampled_from(tuple(POLICIES)))
@settings(deadline=None, max_examples=80)
def test_every_policy_gives_ranges_that_converters_take(
    drawn: Drawn, per: str, policy: str
) -> None:
    assume(drawn.ranges is not None)
    sums = Histograms([drawn.lines], per)
    sums.add(drawn.inputs[None])
    ranges = calibrated(sums, Policy(policy, per), 1)
    assert ranges.low.shape == ranges.step.shape
    assert ranges.low.shape[0] in (1, len(drawn.lines.digits))
    assert ranges.low.shape[1] in (1, drawn.lines.outputs)
    assert (ranges.step >= 1).all()
    assert product(drawn.inputs, drawn.lines, ranges).values.shape[0] == len(drawn.inputs)


@pytest.mark.parametrize(
    "policy", [Policy("best"), Policy("mse", "row"), Policy("percentile", percentile=0)]
)
def test_a_policy_that_is_none_is_refused(policy: Policy) -> None:
    with pytest.raises(DescriptionError):
        policy.check()


# Files


def calibration() -> Calibration:
    sums = two_lines()
    return Calibration(
        ranges={"l1": calibrated(sums, Policy("mse", "slice"), 7)},
        schemes={"l1": sums.scheme},
        network="drafted",
        network_digest=network_digest(mlp(2, 1)),
        system="Chip",
        policy="mse",
        per="slice",
        images=7,
        data="digits",
    )


def test_ranges_come_back_from_their_file(tmp_path: Path) -> None:
    made = calibration()
    (tmp_path / "ranges.json").write_text(made.to_text())
    back = read_ranges(tmp_path / "ranges.json")
    assert back.to_dict() == made.to_dict()
    assert back.ranges["l1"].source == "mse per slice, 7 images"
    back.check(mlp(2, 1), made.schemes)


def test_ranges_may_lie_in_the_file_of_a_placement() -> None:
    made = calibration()
    held = with_placement(made, {"schema": "cimarch.placement/1", "tiles": []})
    assert read_ranges(held).to_dict() == made.to_dict()


def test_ranges_are_for_one_network_and_one_arithmetic() -> None:
    made = calibration()
    with refused("E306", "another network than this"):
        made.check(mlp(3, 1), made.schemes)
    with refused("E306", "the ranges of `l1` are for weight_bits 3, and it has 4"):
        made.check(mlp(2, 1), {"l1": attrs.evolve(made.schemes["l1"], weight_bits=4)})
    with refused("E306", "converter_bits 2, and it has 5"):
        made.check(mlp(2, 1), {"l1": attrs.evolve(made.schemes["l1"], converter=Converter(5))})
    with refused("E306", "the ranges name `l1`"):
        made.check(mlp(2, 1), {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "cimarch.report/1"}, "has not the schema"),
        ({"operations": [{}]}, "`operations[0].name`"),
        ({"operations": 3}, "`operations`"),
        ({"policy": None}, "`policy`"),
    ],
)
def test_a_ranges_file_that_is_damaged_is_told(change: dict[str, object], said: str) -> None:
    with pytest.raises(DescriptionError, match=said.replace("[", r"\[").replace("]", r"\]")):
        read_ranges(calibration().to_dict() | change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"step": [[0.0], [1.0], [1.0]]}, "holds a step that is not above 0"),
        ({"step": [[1.0]]}, "has no step for each low end"),
        ({"low": [[1.0], [1.0, 2.0], [1.0]]}, "is no table of numbers"),
        ({"low": [["x"], [1.0], [1.0]]}, "is a text"),
        ({"low": [["NaN"], [1.0], [1.0]]}, "has no step for each low end"),
    ],
)
def test_a_range_that_is_none_is_told(change: dict[str, object], said: str) -> None:
    content = calibration().to_dict()
    content["operations"][0] |= change
    with pytest.raises(DescriptionError, match=said):
        read_ranges(content)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_any_text_as_ranges_is_a_diagnostic_or_ranges(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = bytearray(json.dumps(calibration().to_dict()).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("ranges") / "ranges.json"
    path.write_bytes(bytes(text[: data.draw(st.sampled_from((len(text), 20, 0)))]))
    try:
        read_ranges(path)
    except DescriptionError as error:
        told = error.diagnostics
        assert told
