"""Quantising a float model: scales by hand, what all encodings hold, and models in files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chips import Draft, mlp
from cimarch import DescriptionError, save_quantised
from cimarch.functional.fit.quantise import (
    Quantising,
    input_scale,
    quantise,
    quantised_weights,
)
from cimarch.functional.fit.saved_quantised import read_quantised, to_bytes
from cimarch.functional.fit.spread import Spread, Spreads
from cimarch.functional.scheme import Scheme
from random_schemes import schemes
from weighted import biased, refused, weighted

FLAT = np.zeros(1, np.int64)


def spread(low: float, high: float) -> Spread:
    return Spread(low, high, FLAT, images=1)


def matrix(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array([rows], np.float64)


# Weights


def test_the_largest_weight_takes_the_largest_number() -> None:
    """3 bits: -3 .. 3, and 6 is the largest magnitude: one step is 2."""
    weights, scale = quantised_weights(matrix((-6, 4, 1.9), (2, 0, -2)), Scheme(weight_bits=3))
    assert weights.tolist() == [[[-3, 2, 1], [1, 0, -1]]]
    assert scale.tolist() == [2, 2]


def test_each_output_has_a_scale_of_its_own_per_channel() -> None:
    weights, scale = quantised_weights(
        matrix((-6, 4, 1.9), (0.3, 0, -0.1)), Scheme(weight_bits=3), per="channel"
    )
    assert weights.tolist() == [[[-3, 2, 1], [3, 0, -1]]]
    assert scale == pytest.approx([2, 0.1])


def test_a_weight_between_two_numbers_goes_to_the_even_one() -> None:
    weights, _ = quantised_weights(matrix((3, 2.5, 1.5, 0.5, -0.5)), Scheme(weight_bits=3))
    assert weights.tolist() == [[[3, 2, 2, 0, 0]]]


def test_a_weight_of_one_bit_is_the_sign_times_the_mean_magnitude() -> None:
    scheme = Scheme(encoding="differential", weight_bits=1)
    weights, scale = quantised_weights(matrix((-6, 4, 2), (0, 0, 0)), scheme)
    assert weights.tolist() == [[[-1, 1, 1], [1, 1, 1]]]
    assert scale.tolist() == [2, 2]
    _, scale = quantised_weights(matrix((-6, 4, 2), (0, 0, 0)), scheme, per="channel")
    assert scale.tolist() == [4, 1]


def test_weights_that_are_all_zero_have_a_scale() -> None:
    weights, scale = quantised_weights(matrix((0, 0)), Scheme())
    assert weights.tolist() == [[[0, 0]]]
    assert scale.tolist() == [1]


def test_with_mse_a_weight_far_out_is_held_at_the_end() -> None:
    """2 bits: -1 .. 1. Of 100 weights of 1 and one of 2: a scale of 1 errs by 1 in all."""
    values = matrix((*[1.0] * 100, 2.0))
    weights, scale = quantised_weights(values, Scheme(weight_bits=2), method="mse")
    assert scale[0] == pytest.approx(1.0, abs=0.02)
    assert weights.ravel().tolist() == [1] * 101


@given(schemes(), st.sampled_from(("tensor", "channel")), st.sampled_from(("minmax", "mse")),
       st.integers(0, 99))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_every_encoding_holds_what_weights_become(
    scheme: Scheme, per: str, method: str, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(0, 1, (2, 3, 5))
    weights, scale = quantised_weights(values, scheme, per=per, method=method)
    low, high = scheme.weight_range
    if scheme.weight_bits > 1 or scheme.kind.one_bit:
        assert low <= weights.min()
        assert weights.max() <= high
    assert (np.abs(weights) <= max(1, 2 ** (scheme.weight_bits - 1) - 1)).all()
    assert scale.shape == (6,)
    assert (scale > 0).all()


# Inputs


def test_inputs_that_are_never_negative_take_all_codes_from_0() -> None:
    assert input_scale(Scheme(input_bits=4), spread(0, 30), Quantising()) == (2, 0)


def test_negative_inputs_of_an_unsigned_pool_are_moved_up_by_a_zero_point() -> None:
    """-10 .. 20 over 0 .. 15: a step of 2, and 0 is the number 5."""
    assert input_scale(Scheme(input_bits=4), spread(-10, 20), Quantising()) == (2, 5)


@pytest.mark.parametrize("inputs", ["sign_magnitude", "twos_complement"])
def test_inputs_with_a_sign_are_scaled_about_zero(inputs: str) -> None:
    scheme = Scheme(input_bits=4, inputs=inputs)
    assert input_scale(scheme, spread(-14, 7), Quantising()) == (2, 0)
    assert input_scale(scheme, spread(0, 7), Quantising()) == (1, 0)


def test_zero_stands_for_itself_where_all_inputs_are_above_it() -> None:
    assert input_scale(Scheme(input_bits=4), spread(15, 30), Quantising()) == (2, 0)


def test_inputs_that_are_all_zero_have_a_scale() -> None:
    assert input_scale(Scheme(), spread(0, 0), Quantising()) == (1, 0)


def seen(values: np.ndarray) -> Spread:
    spreads = Spreads()
    spreads.see("l1", values)
    spreads.count("l1", values)
    return spreads.result(1)["l1"]


def test_a_percentile_leaves_out_what_lies_beyond() -> None:
    """Of 1,000 inputs 0, 1, ... 999, the last 10 lie above the 99th percentile."""
    found = seen(np.arange(1000.0))
    scale, zero = input_scale(
        Scheme(input_bits=8), found, Quantising(method="percentile", percentile=99)
    )
    assert scale * 255 == pytest.approx(990, abs=1)
    assert zero == 0


def test_with_mse_an_input_far_out_is_held_at_the_end() -> None:
    """2 bits: 0 .. 3. Of 1,000 inputs up to 3 and one of 6, the range ends near 3."""
    values = np.append(np.repeat([0.0, 1.0, 2.0, 3.0], 250), 6.0)
    scale, _ = input_scale(Scheme(input_bits=2), seen(values), Quantising(method="mse"))
    assert scale == pytest.approx(1.0, abs=0.05)


# A network


def test_a_layer_becomes_whole_numbers_and_the_scales_that_bring_it_back() -> None:
    network = biased(weighted(mlp(3, 2), l1=[[-127, 63.6, 0], [1, 2, 3]]), "l1", [0.5, -1])
    made = quantise(network, {"l1": Scheme()}, {"l1": spread(0, 255)})
    (layer,) = made.operations.values()
    assert layer.weights.tolist() == [[[-127, 64, 0], [1, 2, 3]]]
    assert layer.weight_scale.tolist() == [1, 1]
    assert (layer.input_scale, layer.input_zero, layer.input_range) == (1, 0, (0, 255))
    assert layer.bias is not None
    assert layer.bias.tolist() == [0.5, -1]
    assert made.source == "weights per tensor, inputs by minmax over 1 calibration images"


def test_channel_groups_keep_matrices_of_their_own() -> None:
    draft = Draft(4, 2, 2)
    draft.conv("conv", "x", 4, 1, groups=2)
    network = weighted(draft.network(), conv=[1, 2, 3, 4, 5, 6, 7, 8])
    made = quantise(network, {"conv": Scheme(weight_bits=5)}, {"conv": spread(0, 1)})
    layer = made.operations["conv"]
    assert layer.weights.shape == (2, 2, 2)
    assert layer.weight_scale.shape == (4,)
    assert layer.weights[1].tolist() == [[9, 11], [13, 15]]  # 5 x 15 / 8 = 9.375, ...


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_refused_with_its_layer(value: float) -> None:
    network = weighted(mlp(2, 2), l1=[[1, value], [0, value]])
    with refused("E303", "`l1` of `l1` holds 2 of 4 numbers that are not finite"):
        quantise(network, {"l1": Scheme()}, {"l1": spread(0, 1)})


def test_a_network_of_shapes_alone_is_refused() -> None:
    with refused("E302", "has no weights for `l1`"):
        quantise(mlp(2, 2), {"l1": Scheme()}, {"l1": spread(0, 1)})


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (
            Scheme(weight_bits=1),
            "weights of `l1` have 1 bit, -1 or +1, which the encoding `offset`",
        ),
        (Scheme(weight_bits=17), "`l1` has weights of 17 bits, above the 16"),
        (Scheme(input_bits=17), "`l1` has inputs of 17 bits, above the 16"),
        (Scheme(input_bits=1, inputs="sign_magnitude"), "which leaves no number above 0"),
        (Scheme(input_bits=1, inputs="twos_complement"), "which leaves no number above 0"),
    ],
)
def test_bits_that_hold_nothing_are_refused(scheme: Scheme, said: str) -> None:
    with refused("E301", said):
        quantise(weighted(mlp(2, 2)), {"l1": scheme}, {"l1": spread(0, 1)})


@pytest.mark.parametrize(
    "choices",
    [
        Quantising(per="row"),
        Quantising(method="best"),
        Quantising(weights="percentile"),
        Quantising(percentile=101),
        Quantising(percentile=20),
    ],
)
def test_a_choice_that_is_none_is_refused(choices: Quantising) -> None:
    with refused("E301"):
        choices.check()


def test_inputs_that_are_not_finite_are_refused() -> None:
    with refused("E303", "inputs of `l2` are not finite"):
        Spreads().see("l2", np.array([1.0, np.nan]))


# Files


def model() -> object:
    network = biased(weighted(mlp(3, 4, 2)), "l1", [1, 2, 3, 4])
    found = {"l1": Scheme(weight_bits=10), "l2": Scheme(input_bits=5, inputs="sign_magnitude")}
    return quantise(network, found, {"l1": spread(-1, 2), "l2": spread(0, 3)})


def test_a_quantised_model_comes_back_from_its_file(tmp_path: Path) -> None:
    made = model()
    save_quantised(made, tmp_path / "model.safetensors")
    back = read_quantised(tmp_path / "model.safetensors", made.network)
    assert back.source == made.source
    for name, each in made.operations.items():
        for field in ("bits", "input_scale", "input_zero", "input_range"):
            assert getattr(back.operations[name], field) == getattr(each, field)
        for field in ("weights", "weight_scale", "bias"):
            np.testing.assert_array_equal(
                getattr(back.operations[name], field), getattr(each, field)
            )
    assert to_bytes(back) == to_bytes(made)


def test_a_model_of_another_network_is_refused(tmp_path: Path) -> None:
    save_quantised(model(), tmp_path / "model.safetensors")
    with refused("E307", "is of another network than this"):
        read_quantised(tmp_path / "model.safetensors", weighted(mlp(3, 5, 2)))


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_model_is_a_diagnostic_or_a_model(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    made = model()
    content = bytearray(to_bytes(made))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from((len(content), len(content) // 2, 9)))
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    path.write_bytes(bytes(content[:end]))
    with suppress(DescriptionError):
        read_quantised(path, made.network)


@pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(DescriptionError):
        read_quantised(tmp_path / "model", weighted(mlp(3, 4, 2)))
    with pytest.raises(DescriptionError):
        read_quantised(tmp_path / "none", weighted(mlp(3, 4, 2)))
    with pytest.raises(DescriptionError):
        read_quantised(tmp_path, weighted(mlp(3, 4, 2)))


def test_scales_may_be_changed_by_hand() -> None:
    """Values are frozen records: a trained scale is put in by `attrs.evolve`."""
    layer = model().operations["l1"]
    assert attrs.evolve(layer, input_scale=2.0).input_scale == 2
