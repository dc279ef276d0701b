"""Sums of strips of several precisions: pieces, their converters, and where they meet."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chips import Draft, chip, placed, table
from cimarch import DescriptionError
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.histograms import Histograms
from cimarch.functional.fit.saved_quantised import from_bytes, model_digest, to_bytes
from cimarch.functional.fit.strips import fake_quantised, quantised_strips
from cimarch.functional.lines import lines_of, sections_of
from cimarch.functional.matrix import matrix_of
from cimarch.functional.paths.mixed import InUnits
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.reference import product
from cimarch.functional.run.tail import Scales
from cimarch.functional.scheme import scheme_of
from cimarch.functional.shares import shares_of
from cimarch.functional.tiles import sections_of_placement
from cimarch.functional.windows import Windows
from cimarch.hardware.encoding import inputs_per_group
from cimarch.hardware.system import System
from cimarch.mapping.packing import outputs_of
from cimarch.mapping.placement import Placement
from cimarch.mapping.strips import LAYOUTS, Strips
from cimarch.workload.network import Network, Operation

ARRAY = "rows = 16, columns = 24, cell_bits = 2, encoding = offset"


def pools(high: str = ARRAY, low: str = ARRAY, adc: str = "", *, bits: int = 32) -> System:
    """Two pools, of weights above 4 bits and of others, that read one buffer and share an adder."""
    converters = "-> adc_{0}[*] -> merge_{0}[*]" if adc else "-> merge_{0}[*]"
    parts = "".join(
        f"""
    part dac_{name}[64, 16]: dac {{ bits = 1 }}
    part {name}[64]: crossbar {{
        {own}
        serves = weight_bits {serves}
        action read {{ latency = 1 ns }}
        action write {{ latency = 1 ns }}
    }}
    {f"part adc_{name}[64]: adc {{ {adc} }}" if adc else ""}
    part merge_{name}[64]: shift_add
    connect maps -> dac_{name}[*, *] -> {name}[*] {converters.format(name)} -> sum
    """
        for name, serves, own in (("eight", "> 4", high), ("four", "<= 4", low))
    )
    return chip(f"""
    part maps: buffer {{ size = 64 KiB, width = 32 bit }}
    {parts}
    part sum: adder_tree {{ bits = {bits} }}
    connect sum -> maps
    """)


def conv(
    channels: int = 2, outputs: int = 3, kernel: int = 2, *, groups: int = 1, stride: int = 1,
    padding: int = 0, dilation: int = 1, side: int = 4,
) -> Network:  # fmt: skip
    """One convolution `conv`."""
    draft = Draft(channels, side, side)
    draft.conv(
        "conv", "x", outputs, kernel, stride=stride, padding=padding, groups=groups,
        dilation=dilation,
    )  # fmt: skip
    return draft.network()


def op_of(network: Network) -> Operation:
    return network.operations[0]


def mix(
    network: Network, level: Any, bits: tuple[int, ...] = (8, 4), layout: str = "packed"
) -> dict:
    """A precision policy for the first operation."""
    strips = Strips(bits, np.array(level, np.uint8), layout)
    return {op_of(network).name: {"strips": strips.to_dict()}}


def on(system: System, network: Network, policy: dict[str, Any], input_bits: int = 4) -> Placement:
    return placed(system, network, input_bits=input_bits, weight_bits=8, precision=policy)


def whole(placement: Placement, weights: np.ndarray, **choices: Any) -> Quantised:
    """The first operation in whole numbers; inputs as their pool takes them."""
    op = op_of(placement.network)
    bits = placement.bits[op.name]
    assert bits.strips is not None
    matrix = weights.reshape(op.groups, op.columns, op.rows)
    made = quantised_strips(matrix, bits.strips, **choices)
    scheme = scheme_of(placement.plans[0].wiring, bits.of_level(bits.strips.used[0]))
    return Quantised(bits, made.weights, made.scale, 0.5, 0, scheme.input_range, ratios=made.ratios)


def drawn(seed: int, op: Operation, quantised: Quantised, images: int = 2) -> np.ndarray:
    """Random inputs in whole numbers, maps of 4 x 4 or vectors."""
    low, high = quantised.input_range
    random = np.random.default_rng(seed)
    if op.geometry is None:
        return random.integers(low, high + 1, (images, op.groups * op.rows))
    area = op.geometry.kernel[0] * op.geometry.kernel[1]
    return random.integers(low, high + 1, (images, op.groups * op.rows // area, 4, 4))


# Without converters: whole numbers ----------------------------------------------------------------


def test_sums_of_low_strips_are_shifted_to_those_of_high_ones() -> None:
    network = table((3, 2))
    placement = on(pools(), network, mix(network, [[0, 1]]))
    quantised = Quantised(
        placement.bits["l1"], np.array([[[100, -5, 3], [7, -2, 1]]], np.int32), np.ones(2), 1.0, 0,
        (0, 15), ratios=np.array([[1.0, 8.0]]),
    )  # fmt: skip
    made = matrix_of(placement, "l1", quantised)
    inputs = np.array([[1, 2, 3], [15, 0, 4]])
    # 100 - 10 + 9 = 99; (7 - 4 + 3) << 3 = 48; 1500 + 12 = 1512; (105 + 4) << 3 = 872
    assert made.path(inputs).tolist() == [[99, 48], [1512, 872]]
    assert InUnits(quantised, made.windows)(inputs).tolist() == [[99, 48], [1512, 872]]
    assert quantised.totals.tolist() == [98, 48]


def test_two_positions_of_one_output_meet_in_one_sum() -> None:
    network = conv(1, 1, 2)
    placement = on(pools(), network, mix(network, [[0], [1], [1], [0]]))
    quantised = Quantised(
        placement.bits["conv"], np.array([[[100, 7, -1, 3]]], np.int32), np.ones(1), 1.0, 0,
        (0, 15), ratios=np.array([[1.0], [4.0], [4.0], [1.0]]),
    )  # fmt: skip
    made = matrix_of(placement, "conv", quantised)
    x = np.arange(16).reshape(1, 1, 4, 4)
    found = made.path(x)
    # of the first window 0 1 4 5: 100 x 0 + ((7 x 1 - 1 x 4) << 2) + 3 x 5
    assert found[0, 0, 0, 0] == ((7 - 4) << 2) + 15
    assert [piece.position for share in made.shares for piece in share.pieces] == [0, 3, 1, 2]


@given(seed=st.integers(0, 10_000), layout=st.sampled_from(["packed", "holes"]),
       per=st.sampled_from(["tensor", "channel", "strip"]),
       ratio=st.sampled_from(["free", "power_of_two"]))  # fmt: skip
@settings(deadline=None, max_examples=10)
def test_without_converters_a_mix_is_the_whole_number_sum_to_the_bit(seed, layout, per, ratio):
    random = np.random.default_rng(seed)
    network = conv(2, 3, 2, padding=1, stride=int(random.integers(1, 3)))
    op = op_of(network)
    per = "channel" if per == "strip" and layout == "holes" else per
    level = random.integers(0, 3, (4, 3))
    placement = on(pools(), network, mix(network, level, (8, 6, 3), layout))
    quantised = whole(placement, random.normal(size=(1, 3, 8)), per=per, ratio=ratio)
    made = matrix_of(placement, "conv", quantised)
    x = drawn(seed, op, quantised)
    found = np.asarray(made.path(x), np.float64)
    assert np.array_equal(found, np.asarray(InUnits(quantised, made.windows)(x), np.float64))
    windows = made.windows.unfold(x)[0]  # (windows, rows)
    assert quantised.ratios is not None
    flat = found.transpose(0, 2, 3, 1).reshape(len(windows), 3)
    for row, values in zip(windows[::7], flat[::7], strict=True):
        for output in range(3):
            total = Fraction(0)
            for which in range(3):  # S8 acc8 + S6 acc6 + S3 acc3, position by position
                for position in np.flatnonzero(level[:, output] == which).tolist():
                    acc = sum(
                        int(w) * int(a)
                        for w, a in zip(
                            quantised.weights[0, output, position::4], row[position::4], strict=True
                        )
                    )
                    times = quantised.ratios[position, output]
                    if ratio == "power_of_two":
                        total += acc << int(np.log2(times))
                    else:
                        total += acc * Fraction(times)
            assert Fraction(values[output]) == total


@pytest.mark.parametrize("layout", ["packed", "holes"])
@pytest.mark.parametrize("ratio", ["free", "power_of_two"])
def test_a_mix_is_the_convolution_of_its_weights_in_float_to_one_step(layout, ratio):
    random = np.random.default_rng(3)
    network = conv(3, 4, 3, padding=1)
    level = random.integers(0, 2, (9, 4))
    placement = on(pools(), network, mix(network, level, layout=layout))
    weight = random.normal(size=(4, 3, 3, 3))
    quantised = whole(placement, weight, per="channel", ratio=ratio)
    x = drawn(1, op_of(network), quantised)
    made = matrix_of(placement, "conv", quantised)
    strips = placement.bits["conv"].strips
    assert strips is not None
    fake = fake_quantised(weight, strips, "channel", "minmax", ratio).astype(np.float64)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(0.5 * x), torch.from_numpy(fake), padding=1
    ).numpy()
    sums = torch.from_numpy(np.asarray(made.path(x), np.float64))
    found = Scales.of(quantised).result(sums).numpy()
    step = 0.5 * quantised.weight_scale.reshape(-1, 1, 1)
    assert (np.abs(found - expected) <= 0.01 * step).all()  # float32 rounds, and nothing else


def test_sums_of_scales_of_their_own_that_do_not_fit_are_refused() -> None:
    network = conv(1, 1, 2)
    placement = on(pools(), network, mix(network, [[0], [0], [0], [1]], (16, 4)), 16)
    quantised = Quantised(
        placement.bits["conv"], np.full((1, 1, 4), 7, np.int32), np.ones(1), 1.0, 0, (0, 2**16 - 1),
        ratios=np.array([[2.0**16 - 2.0**-16], [2.0**16], [1.0], [1.0]]),
    )  # fmt: skip
    windows = Windows.of(op_of(network))
    assert InUnits(quantised, windows)(np.ones((1, 1, 2, 2), np.int64)) == 7 * (2**17 + 2 - 2**-16)
    wide = attrs.evolve(quantised, weights=np.array([[[2**15 - 1] * 3 + [7]]], np.int32))
    with pytest.raises(DescriptionError) as error:
        InUnits(wide, windows)
    # 2^15 x (2^16 + 2^16 + 1) x 2^16 x 2^16, and a sign
    assert told(error) == ("E467", "sums of strips take 65 bits, above the 63 that are added")


def test_what_stands_for_zero_is_taken_off_as_often_as_strips_count() -> None:
    network = table((2, 1))
    placement = on(pools(), network, mix(network, [[1]]))
    quantised = Quantised(
        placement.bits["l1"], np.array([[[7, -3]]], np.int32), np.ones(1), 1.0, 5, (0, 15),
        ratios=np.array([[2.0]]),
    )  # fmt: skip
    made = matrix_of(placement, "l1", quantised)
    sums = torch.from_numpy(np.asarray(made.path(np.array([[6, 5]])), np.float64))
    # 2 x (7 x 6 - 3 x 5) less 5 x 2 x (7 - 3): 2 x 7 x (6 - 5)
    assert Scales.of(quantised).result(sums).tolist() == [[14.0]]


# With converters: piece by piece, in plain loops --------------------------------------------------


def by_hand(
    placement: Placement, quantised: Quantised, ranges: dict[str, Ranges], x: np.ndarray
) -> np.ndarray:
    """Results (windows, outputs), tile by tile as the arrays hold them, by the plain reference."""
    op, tiles = op_of(placement.network), placement.tiles
    strips, ratios = placement.bits[op.name].strips, quantised.ratios
    assert strips is not None
    assert ratios is not None
    windows = windows_of(op, x, quantised.input_zero)
    made = np.zeros((windows.shape[1], op.groups * op.columns))
    for tile in range(len(tiles)):
        level, group = int(tiles.level[tile]), int(tiles.channel_group[tile])
        wiring = placement.wirings[int(tiles.pool[tile])]
        scheme = scheme_of(wiring, placement.bits[op.name].of_level(level))
        rows = int(tiles.row0[tile]) + int(tiles.every[tile]) * np.arange(int(tiles.inputs[tile]))
        sections = sections_of(len(rows), len(rows), inputs_per_group(wiring.pool))
        for output in outputs_of(op, strips, tiles, tile, wiring.pool).tolist():
            place = group * op.columns + output
            mine = strips.level[rows % strips.positions, place] == level
            weights = np.where(mine, quantised.weights[group, output, rows], 0)
            lines = lines_of(weights[None], scheme, sections)
            given = ranges.get(f"{op.name}@{strips.bits[level]}")
            if given is not None and given.low.shape[1] > 1:
                given = Ranges(given.low[:, [output]], given.step[:, [output]])
            found = product(windows[group][:, rows], lines, given)
            (times,) = set(ratios[rows[mine] % strips.positions, place].tolist())
            made[:, place] += times * found.values[:, 0]
    return made


def windows_of(op: Operation, x: np.ndarray, fill: int) -> np.ndarray:
    """(groups, windows, rows), in loops."""
    if op.geometry is None:
        return x.reshape(len(x), op.groups, op.rows).swapaxes(0, 1)
    g, found = op.geometry, []
    high, wide = Windows.of(op).size(*x.shape[2:])
    for image in x:
        for row in range(high):
            for column in range(wide):
                taken = []
                for channel in range(len(image)):
                    for i in range(g.kernel[0]):
                        for j in range(g.kernel[1]):
                            r = row * g.stride[0] + i * g.dilation[0] - g.padding[0]
                            c = column * g.stride[1] + j * g.dilation[1] - g.padding[2]
                            inside = 0 <= r < image.shape[1] and 0 <= c < image.shape[2]
                            taken.append(image[channel, r, c] if inside else fill)
                found.append(taken)
    return np.array(found).reshape(len(found), op.groups, op.rows).swapaxes(0, 1)


def flat(values: np.ndarray) -> np.ndarray:
    """(windows, outputs)."""
    values = np.asarray(values, np.float64)
    return values if values.ndim == 2 else values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1])


ENCODINGS = ("offset", "flipped", "differential", "twos_complement", "signed_cell")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Placement, Quantised, dict[str, Ranges], np.ndarray]:
    """A mix on two pools of any encodings, sizes and converters."""
    seed = draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    inputs = draw(st.sampled_from(("unsigned", "twos_complement")))
    rows = draw(st.sampled_from((4, 16)))
    own = [
        f"""rows = {rows}, columns = 40, inputs = {inputs}
        encoding = {draw(st.sampled_from(ENCODINGS))}
        cell_bits = {draw(st.integers(1, 4))}
        word_lines = {draw(st.sampled_from((2, 4)))}"""
        for _ in range(2)
    ]
    system = pools(*own, f"bits = {draw(st.integers(2, 6))}")
    groups = draw(st.sampled_from((1, 2)))
    network = draw(
        st.sampled_from([
            conv(2, 4, 2, groups=groups, stride=2), conv(6, 2, 2, groups=groups, dilation=2),
            conv(2, 2, 2, groups=groups, stride=2, padding=1), table((21, 5)),
        ])
    )  # fmt: skip
    op = op_of(network)
    positions = 4 if op.geometry else 1
    layout = draw(st.sampled_from(tuple(LAYOUTS)))
    level = random.integers(0, 2, (positions, op.groups * op.columns))
    placement = on(system, network, mix(network, level, draw(st.sampled_from(((8, 4), (6, 2)))),
                                        layout), 3)  # fmt: skip
    per = draw(st.sampled_from(("tensor", "channel", "tensor" if layout == "holes" else "strip")))
    quantised = whole(
        placement, random.normal(size=(op.groups, op.columns, op.rows)), per=per,
        ratio=draw(st.sampled_from(("free", "power_of_two"))),
    )  # fmt: skip
    if inputs == "unsigned":
        quantised = attrs.evolve(quantised, input_zero=draw(st.integers(0, 7)))
    ranges = {}
    for share in shares_of(placement, op.name, quantised):
        count = len(share.lines[0].digits)
        shape = draw(st.sampled_from(((1, 1), (count, 1), (count, op.columns))))
        low = -random.integers(0, 9, shape).astype(np.float64)
        ranges[share.name] = Ranges(low, random.choice([1.0, 2.0, 1.5], shape))
    return placement, quantised, ranges, drawn(seed, op, quantised, images=1)


@given(cases())
@settings(deadline=None, max_examples=15)
def test_each_part_converts_as_its_pool_says(
    case: tuple[Placement, Quantised, dict[str, Ranges], np.ndarray],
) -> None:
    placement, quantised, ranges, x = case
    name = op_of(placement.network).name
    expected = by_hand(placement, quantised, ranges, x)
    for path in (None, "bit planes", "products"):
        try:
            made = matrix_of(placement, name, quantised, ranges, path=path)
        except ValueError:
            continue  # more bits than bit planes take
        assert np.array_equal(flat(made.path(x)), expected), path
        values, counts = made.path.counted(x)
        assert np.array_equal(flat(values), expected), path
        assert counts.conversions == len(expected) * made.conversions


def test_pieces_that_lose_nothing_are_one_product_and_are_counted_all_the_same() -> None:
    network = conv(2, 4, 2)
    level = np.random.default_rng(0).integers(0, 2, (4, 4))
    system = pools(adc="bits = 3")  # two rows of 2-bit cells sum up to 6
    placement = on(system, network, mix(network, level))
    quantised = whole(placement, np.random.default_rng(1).normal(size=(1, 4, 8)), per="channel")
    made = matrix_of(placement, "conv", quantised)
    assert made.path.name == "lossless"
    x = drawn(0, op_of(network), quantised)
    assert np.array_equal(flat(made.path(x)), by_hand(placement, quantised, {}, x))
    counts = made.path.counted(x)[1]
    # 8 strips of 4 slices and 8 of 2, 4 steps of an input, 9 windows, 2 images
    high = int((level == 0).sum())
    assert counts.conversions == (high * 4 + (16 - high) * 2) * 4 * 9 * 2
    assert (counts.clipped, counts.rounded) == (0, 0)


def test_real_cells_of_strips_can_be_drawn_again_and_batches_change_nothing() -> None:
    network = conv(2, 3, 2)
    level = np.random.default_rng(0).integers(0, 2, (4, 3))
    real = f"{ARRAY}, program_noise = 0.05, read_noise = 0.02, on_off_ratio = 50"
    placement = on(pools(real, real, "bits = 4"), network, mix(network, level))
    quantised = whole(placement, np.random.default_rng(1).normal(size=(1, 3, 8)), per="strip")
    x = drawn(0, op_of(network), quantised, images=3)

    def answers(*batches: slice, **how: int) -> np.ndarray:
        path = matrix_of(placement, "conv", quantised, **how).path  # type: ignore[arg-type]
        return np.concatenate([flat(path(x[batch])) for batch in batches])

    one = answers(slice(0, 3), seed=7)
    assert np.array_equal(one, answers(slice(0, 1), slice(1, 3), seed=7))
    assert not np.array_equal(one, answers(slice(0, 3), seed=8))
    assert not np.array_equal(one, answers(slice(0, 3), seed=7, trial=1))


def test_pieces_of_equal_weights_are_drawn_apart() -> None:
    network = conv(1, 1, 2)
    real = f"{ARRAY}, program_noise = 0.05"
    placement = on(pools(real, real, "bits = 8, step = 1/64"), network, mix(network, [[1]] * 4))
    quantised = Quantised(
        placement.bits["conv"], np.full((1, 1, 4), 5, np.int32), np.ones(1), 1.0, 0, (0, 15),
        ratios=np.ones((4, 1)),
    )  # fmt: skip
    made = matrix_of(placement, "conv", quantised)
    each = np.zeros((4, 1, 4, 4), np.int64)
    each[range(4), 0, [0, 0, 1, 1], [0, 1, 0, 1]] = 1  # one position of the first window at a time
    found = np.asarray(made.path(each))[:, 0, 0, 0]
    assert len(set(found.tolist())) == 4


# Ranges, files, and what does not go together -----------------------------------------------------


@pytest.mark.parametrize("per", ["layer", "slice", "column"])
@pytest.mark.parametrize("layout", ["packed", "holes"])
def test_sums_are_seen_as_they_are_converted(per: str, layout: str) -> None:
    network = conv(2, 3, 2)
    level = [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
    placement = on(pools(adc="bits = 3"), network, mix(network, level, layout=layout))
    quantised = whole(placement, np.random.default_rng(1).normal(size=(1, 3, 8)), per="tensor")
    made = matrix_of(placement, "conv", quantised)
    x = drawn(0, op_of(network), quantised)
    windows = made.windows.unfold(x)
    for share in made.shares:
        sums = Histograms(share.lines, per, [p.outputs for p in share.pieces], 3)
        sums.add(share.inputs(windows))
        assert sums.counts.sum() == windows.shape[1] * share.conversions
        assert sums.sums_of_a_window == share.conversions


def test_what_is_saved_is_read_again() -> None:
    network = conv(2, 3, 2)
    level = np.random.default_rng(0).integers(0, 2, (4, 3))
    placement = on(pools(), network, mix(network, level))
    quantised = whole(placement, np.random.default_rng(1).normal(size=(1, 3, 8)), per="strip")
    model = QuantisedNetwork(network, {"conv": quantised}, "by hand")
    read = from_bytes(to_bytes(model), network, "model").operations["conv"]
    assert np.array_equal(read.weights, quantised.weights)
    assert np.array_equal(read.ratios, quantised.ratios)
    assert read.bits.to_entry() == quantised.bits.to_entry()
    assert read.totals.tolist() == quantised.totals.tolist()
    other = attrs.evolve(quantised, ratios=2 * quantised.ratios)
    assert model_digest(model) != model_digest(attrs.evolve(model, operations={"conv": other}))


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("ratios", lambda q: attrs.evolve(q, ratios=q.ratios + 2.0**-17)),
        ("ratios", lambda q: attrs.evolve(q, ratios=q.ratios * 0)),
        ("weights", lambda q: attrs.evolve(q, weights=q.weights + 8)),
    ],
)
def test_a_damaged_file_of_strips_is_refused(what: str, change: Any) -> None:
    network = conv(2, 3, 2)
    placement = on(pools(), network, mix(network, np.ones((4, 3))))
    quantised = whole(placement, np.random.default_rng(1).normal(size=(1, 3, 8)))
    model = QuantisedNetwork(network, {"conv": change(quantised)}, "by hand")
    with pytest.raises(DescriptionError, match=f"`{what}` of `conv` in .* is out of range"):
        from_bytes(to_bytes(model), network, "model")


def told(error: pytest.ExceptionInfo[DescriptionError]) -> tuple[str, str]:
    (diagnostic,) = error.value.diagnostics
    return diagnostic.code, diagnostic.headline


def test_strips_that_are_read_together_have_one_scale_an_output() -> None:
    network = conv(1, 1, 2)
    placement = on(pools(), network, mix(network, [[1]] * 4, layout="holes"))
    quantised = whole(placement, np.array([1.0, 2.0, 3.0, 4.0]), per="strip")
    with pytest.raises(DescriptionError) as error:
        matrix_of(placement, "conv", quantised)
    assert told(error) == (
        "E465",
        "strips of `conv` have scales of their own, and their sums meet before these count",
    )


def test_pools_of_strips_take_the_same_inputs() -> None:
    from cimarch.functional.shares import check_inputs

    network = conv(1, 2, 2)
    system = pools(high=f"{ARRAY}, inputs = twos_complement")
    placement = on(system, network, mix(network, [[0, 1]] * 4))
    with pytest.raises(DescriptionError) as error:
        check_inputs(placement, "conv")
    assert told(error) == (
        "E466", "the pools that hold strips of `conv` take different inputs",
    )  # fmt: skip


def test_the_adder_in_which_strips_meet_has_room_for_their_sums() -> None:
    network = conv(1, 1, 2)
    # each position: 2 slices of 2 bits, at most 3 x (1 + 4) = 15 a step, 15 x 15 = 225 in 4 steps,
    # all four positions 900: 11 bits with the sign
    narrow, wide = (pools(adc="bits = 2", bits=bits) for bits in (10, 11))
    policy = mix(network, [[1]] * 4)
    weights = np.full((1, 1, 4), 7.0)
    with pytest.raises(DescriptionError) as error:
        matrix_of(on(narrow, network, policy), "conv", whole(on(narrow, network, policy), weights))
    assert told(error) == (
        "E467",
        "sums of the strips of `conv` take 11 bits, and the adder in which they meet has 10",
    )
    assert matrix_of(on(wide, network, policy), "conv", whole(on(wide, network, policy), weights))


def test_a_layer_that_is_trained_has_one_precision() -> None:
    network = conv(1, 1, 2)
    placement = on(pools(), network, mix(network, [[1]] * 4))
    with pytest.raises(DescriptionError, match="a layer on arrays has one precision"):
        sections_of_placement(placement, "conv")


def test_row_tiles_of_strips_have_no_ranges_of_their_own() -> None:
    network = conv(1, 1, 2)
    placement = on(pools(adc="bits = 2"), network, mix(network, [[1]] * 4))
    ones = np.ones((1, 1, 1))
    with pytest.raises(DescriptionError) as error:
        matrix_of(
            placement, "conv", whole(placement, np.ones((1, 1, 4))),
            {"conv@4": Ranges(0 * ones, ones)},
        )  # fmt: skip
    assert told(error)[0] == "E469"
