"""Strips of several precisions in whole numbers: scales by tensor, output and strip, and shifts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from cimarch.functional.fit.quantise import quantised_weights
from cimarch.functional.fit.strips import fake_quantised, quantised_strips
from cimarch.functional.scheme import Scheme
from cimarch.mapping.strips import Strips


def strips(bits, level):
    return Strips(bits, np.array(level, np.uint8))


def one_row(*weights):
    """A matrix of one output and one channel: a weight for each position."""
    return np.array(weights, np.float64).reshape(1, 1, -1)


def test_each_level_has_the_scale_of_its_own_largest_weight():
    made = quantised_strips(one_row(127.0, 14.0, -1.0), strips((8, 4), [[0], [1], [1]]))
    assert made.scale.tolist() == [1.0]
    assert made.ratios.tolist() == [[1.0], [2.0], [2.0]]  # 14 / 7
    assert made.weights.tolist() == [[[127, 7, 0]]]  # -1 / 2 is a tie, and 0 is even
    assert made.values.tolist() == [[[127.0, 14.0, 0.0]]]


def test_rows_are_channel_by_channel_and_in_each_the_positions():
    matrix = np.array([[[127.0, 7.0, 10.0, 1.0]]])  # two channels of two positions
    made = quantised_strips(matrix, strips((8, 4), [[0], [1]]))
    assert made.ratios.tolist() == [[1.0], [1.0]]
    assert made.weights.tolist() == [[[127, 7, 10, 1]]]


def test_a_strip_of_its_own_scale_keeps_small_weights():
    matrix = one_row(127.0, 7.0, 14.0)
    levels = strips((8, 4), [[0], [1], [1]])
    by_strip = quantised_strips(matrix, levels, per="strip")
    assert by_strip.ratios.ravel().tolist() == [1.0, 1.0, 2.0]
    assert by_strip.weights.tolist() == [[[127, 7, 7]]]
    by_channel = quantised_strips(matrix, levels, per="channel")
    assert by_channel.weights.tolist() == [[[127, 4, 7]]]  # 3.5 is a tie


def test_a_free_ratio_is_a_multiple_of_two_to_the_minus_sixteen_rounded_up():
    made = quantised_strips(one_row(127.0, 10.0), strips((8, 4), [[0], [1]]))
    assert made.ratios[1, 0] == np.ceil(10 / 7 * 2**16) / 2**16
    assert made.weights.tolist() == [[[127, 7]]]


def test_a_shift_is_the_one_with_the_least_squared_error():
    levels = strips((8, 4), [[0], [1], [1], [1]])
    matrix = one_row(127.0, 20.0, 1.0, 1.0)
    made = quantised_strips(matrix, levels, ratio="power_of_two")
    # 2^0: 20 clips to 7, 169; 2^1: 20 clips to 14, 36 + 1 + 1; 2^2: 20 is 5 x 4, 0 + 1 + 1
    assert made.ratios.ravel().tolist() == [1.0, 4.0, 4.0, 4.0]
    assert made.weights.tolist() == [[[127, 5, 0, 0]]]


def test_of_equal_shifts_the_least_is_taken():
    matrix = one_row(127.0, 4.0)
    made = quantised_strips(matrix, strips((8, 4), [[0], [1]]), ratio="power_of_two")
    assert made.ratios.ravel().tolist() == [1.0, 1.0]


def test_an_output_without_high_strips_counts_in_its_low_ones():
    matrix = np.array([[[127.0], [7.0]]])
    made = quantised_strips(matrix, strips((8, 4), [[0, 1]]), per="channel")
    assert made.scale.tolist() == [1.0, 1.0]
    assert made.weights.ravel().tolist() == [127, 7]


def test_three_levels():
    made = quantised_strips(one_row(127.0, 62.0, 28.0), strips((8, 6, 4), [[0], [1], [2]]))
    assert made.ratios.ravel().tolist() == [1.0, 2.0, 4.0]  # 62 / 31, 28 / 7
    assert made.weights.tolist() == [[[127, 31, 7]]]


def test_one_bit_is_the_sign_times_the_mean_magnitude():
    matrix = np.array([[[127.0, 3.0, 127.0, -1.0]]])
    made = quantised_strips(matrix, strips((8, 1), [[0], [1]]))
    assert made.weights.tolist() == [[[127, 1, 127, -1]]]
    assert made.ratios.ravel().tolist() == [1.0, 2.0]


def test_nothing_but_zeros_is_nothing_but_zeros():
    made = quantised_strips(np.zeros((1, 2, 3)), strips((8, 4), [[0, 1]] * 3), per="strip")
    assert not made.weights.any()
    assert made.scale.tolist() == [1.0, 1.0]
    assert (made.ratios == 1).all()


@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_one_level_alone_is_what_uniform_quantisation_gives(per, method):
    matrix = np.random.default_rng(0).normal(size=(2, 5, 18))
    for bits in (8, 4, 2):
        for ratio in ("free", "power_of_two"):
            made = quantised_strips(
                matrix, strips((bits,), np.zeros((9, 10))), per=per, method=method, ratio=ratio
            )
            plain, scale = quantised_weights(
                matrix, Scheme(weight_bits=bits), per=per, method=method
            )
            assert_array_equal(made.weights, plain)
            assert_array_equal(made.scale, scale)
            assert (made.ratios == 1).all()


def tensors(seed, shape=(6, 4, 3, 3), levels=2):
    random = np.random.default_rng(seed)
    weight = random.normal(size=shape) * np.exp(random.normal(size=(shape[0], 1, 1, 1)))
    return weight, random.integers(0, levels, (shape[2] * shape[3], shape[0])).astype(np.uint8)


@given(seed=st.integers(0, 10_000), per=st.sampled_from(["tensor", "channel", "strip"]),
       method=st.sampled_from(["minmax", "mse"]),
       ratio=st.sampled_from(["free", "power_of_two"]))  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_every_weight_is_the_nearest_that_its_strip_has(seed, per, method, ratio):
    weight, level = tensors(seed)
    mixed = strips((8, 3), level)
    matrix = weight.reshape(1, 6, -1)
    made = quantised_strips(matrix, mixed, per=per, method=method, ratio=ratio)
    assert_array_equal(
        fake_quantised(weight, mixed, per, method, ratio).ravel(),
        made.values.astype(np.float32).ravel(),
    )
    for position in range(9):
        for output in range(6):
            top = 127 if level[position, output] == 0 else 3
            scale = made.ratios[position, output] * made.scale[output]
            mine = made.weights[0, output, position::9]
            expected = np.clip(np.rint(matrix[0, output, position::9] / scale), -top, top)
            assert_array_equal(mine, expected)
            times = made.ratios[position, output]
            assert (np.log2(times) if ratio == "power_of_two" else times * 2**16) % 1 == 0


@given(seed=st.integers(0, 10_000), per=st.sampled_from(["tensor", "channel", "strip"]))
@settings(deadline=None, max_examples=20)
def test_no_power_of_two_errs_less_than_the_one_that_is_chosen(seed, per):
    weight, level = tensors(seed)
    mixed = strips((8, 3), level)
    made = quantised_strips(weight.reshape(1, 6, -1), mixed, per=per, ratio="power_of_two")

    def error(ratios, mask):
        found = 0.0
        for position, output in np.argwhere(mask):
            top = 127 if level[position, output] == 0 else 3
            scale = ratios[position, output] * made.scale[output]
            mine = weight[output, :, position // 3, position % 3]
            found += ((np.clip(np.rint(mine / scale), -top, top) * scale - mine) ** 2).sum()
        return found

    low = level == 1
    groups = {
        "tensor": [low],
        "channel": [low & (np.arange(6) == o) for o in range(6)],
        "strip": [np.arange(54).reshape(9, 6) == i for i in range(0, 54, 7)],
    }[per]
    for mask in groups:
        chosen = error(made.ratios, mask)
        for k in range(8):
            assert chosen <= error(np.where(mask, 2.0**k, made.ratios), mask) * (1 + 1e-12) + 1e-15


def test_scales_far_apart_stay_in_what_a_requantiser_holds():
    matrix = np.array([[[1e-9, 1.0], [1.0, 1e-9]]])
    made = quantised_strips(matrix, strips((8, 4), [[0, 0], [1, 1]]), per="channel")
    assert made.ratios.min() >= 2.0**-16
    assert made.ratios.max() <= 2.0**16
    assert_array_equal(made.values.round(6), [[[0.0, 1.0], [1.0, 0.0]]])


def test_strips_of_another_matrix_are_refused():
    with pytest.raises(ValueError, match="2 x 3 strips do not make a matrix"):
        quantised_strips(np.zeros((1, 2, 4)), strips((8, 4), [[0, 1, 0]] * 2))
