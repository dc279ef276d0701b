"""Conversions: what a run of a chip counts is what its arithmetic makes.

windows x groups of word lines x (steps, or one where they add in analog) x sense lines, whatever
the encoding: the run counts them in tasks of its engine, the plain reference one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from chips import Draft, Run, chip, placed, resnet20, run, table
from cimarch import load, map_network, simulate
from cimarch.diagnostics import DescriptionError
from cimarch.functional.converter import unit_ranges
from cimarch.functional.lines import lines_of
from cimarch.functional.reference import product
from cimarch.functional.scheme import scheme_of
from cimarch.functional.tiles import sections_of_placement
from cimarch.hardware.system import System
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement

ENCODINGS = (
    "offset", "offset_column", "flipped", "twos_complement", "signed_cell", "binary",
    "differential, pair = column", "differential, pair = row", "differential, pair = array",
)  # fmt: skip


def machine(array: str, *, arrays: int = 64, side: int = 16, dac_bits: int = 1) -> System:
    """Arrays that share an adder, each with converters of its own."""
    return chip(f"""
    part maps: buffer {{ size = 64 KiB }}
    part dac[{arrays}, {side}]: dac {{ bits = {dac_bits} }}
    part array[{arrays}]: crossbar {{ rows = {side}, columns = {side}, {array} }}
    part hold[{arrays}, {side}]: sample_hold
    part adc[{arrays}]: adc {{ bits = 5 }}
    part sum: adder_tree
    connect maps -> dac[*, *] -> array[*] -> hold[*, *] -> adc[*] -> sum -> maps
    """)


def computed(placement: Placement, name: str = "l1", windows: int = 1) -> int:
    """Conversions that the plain reference makes of an operation."""
    (plan,) = [p for p in placement.plans if p.site.anchor.name == name]
    scheme = scheme_of(plan.wiring, placement.bits[name])
    op = plan.site.anchor
    total = 0
    for layout in sections_of_placement(placement, name):
        weights = np.ones((op.columns, op.rows), np.int64)
        lines = lines_of(weights, scheme, layout.sections, layout.blocks)
        assert scheme.converter is not None
        ranges = unit_ranges(scheme.converter, lines.signed)
        sums = product(np.zeros((1, op.rows), np.int64), lines, ranges)
        assert sums.counts is not None
        total += sums.counts.conversions
    return total * windows


def fitting(attempt: Callable[[], Run]) -> Run:
    """A run, of weights that are no wider than an array."""
    try:
        return attempt()
    except DescriptionError as error:
        assume(any(d.code != "E211" for d in error.diagnostics))
        raise


def counted(done: Run) -> int:
    return done.count("adc", "convert")


# 12 inputs, 3 outputs; 4-bit weights in 2-bit cells, 3-bit inputs; groups of 5 word lines.
STORIES = {
    # 12 rows in groups of 5, 5 and 2; 3 steps; 3 outputs of 2 slices
    "offset": 3 * 3 * 6,
    "flipped": 3 * 3 * 6,
    # and the column that measures the offset
    "offset_column": 3 * 3 * 7,
    # ceil(3 / 2) slices and the sign
    "twos_complement": 3 * 3 * 9,
    "signed_cell": 3 * 3 * 6,
    "binary": 3 * 3 * 3,
    "offset, inputs = sign_magnitude": 3 * 2 * 6,
    "offset, input_accumulation = analog": 3 * 1 * 6,
    "offset, slice_merge = analog": 3 * 3 * 3,
    "offset_column, slice_merge = analog": 3 * 3 * 4,
    "differential": 3 * 3 * 12,
    "differential, subtract = analog": 3 * 3 * 6,
    "differential, slice_merge = analog": 3 * 3 * 6,
    "differential, subtract = analog, slice_merge = analog": 3 * 3 * 3,
    # two rows an input: tiles of 8 and 4 inputs, of which two are read at once: 4 + 2 groups
    "differential, pair = row": 6 * 3 * 6,
    # positive and negative rows apart, five at once: 2 + 1 groups of 8 and 4 inputs, twice
    "differential, pair = row, subtract = digital": 6 * 3 * 6,
    "differential, pair = array": 3 * 3 * 12,
    # the bit lines of two arrays meet: one conversion for both
    "differential, pair = array, subtract = analog": 3 * 3 * 6,
}  # fmt: skip


@pytest.mark.parametrize("encoding", STORIES)
def test_the_conversions_of_an_encoding(encoding: str) -> None:
    system = machine(f"cell_bits = 2, word_lines = 5, encoding = {encoding}")
    done = run(system, table((12, 3)), weight_bits=4, input_bits=3)
    assert counted(done) == computed(done.placement) == STORIES[encoding]


def test_the_arrays_of_a_joined_pair_convert_half_of_the_lines_each() -> None:
    joined = "cell_bits = 2, encoding = differential, pair = array, subtract = analog"
    tiles = placed(machine(joined), table((12, 3)), 2).tiles
    assert tiles.lines.tolist() == [2, 1]  # 3 weights of one slice
    # the same number is converted and added as by one array with both halves
    beside = run(machine(joined.replace("array", "column")), table((40, 3)), 2)
    apart = run(machine(joined), table((40, 3)), 2)
    for part, action in (("adc", "convert"), ("sum", "add")):
        assert apart.count(part, action) == beside.count(part, action)


def test_columns_that_are_summed_in_analog_lie_on_one_array_where_weights_straddle() -> None:
    # 3 weights of 2 slices are 6 pairs, 12 columns; of 7 an array uses 6: a pair is never cut
    array = "cell_bits = 2, encoding = differential, subtract = analog, packing = straddle"
    done = run(machine(array, side=7), table((4, 3)), weight_bits=4, input_bits=3)
    tiles = done.placement.tiles
    assert (tiles.columns.tolist(), tiles.lines.tolist()) == ([6, 6], [3, 3])
    assert counted(done) == computed(done.placement) == 3 * 6


def test_halves_that_are_never_there_together_are_refused() -> None:
    joined = "cell_bits = 2, encoding = differential, pair = array, subtract = analog"
    with pytest.raises(DescriptionError, match="are never there together"):
        placed(machine(joined, arrays=3), table((30, 3)), 2)


def test_each_channel_group_has_an_offset_column_of_its_own() -> None:
    draft = Draft(4, 3, 3)
    draft.conv("l1", "x", 4, 2, groups=4)
    done = run(machine("cell_bits = 2, encoding = offset_column"), draft.network(), 4)
    # 4 groups x 4 windows x 4 steps x (2 slices + the offset)
    assert counted(done) == computed(done.placement, windows=4) == 4 * 4 * 4 * 3
    refused = machine("cell_bits = 2, encoding = offset_column, grouped = diagonal")
    with pytest.raises(DescriptionError, match="cannot measure the offset of each channel group"):
        placed(refused, draft.network(), 4)


def test_groups_of_word_lines_are_cut_over_a_whole_diagonal() -> None:
    draft = Draft(3, 3, 3)
    draft.conv("l1", "x", 3, 2, groups=3)
    done = run(machine("cell_bits = 4, word_lines = 5"), draft.network(), 4)
    # 3 channel groups of 4 rows on one array, read as 0..5, 5..10 and 10..12
    found = [[(s.first, s.end) for s in each.sections]
             for each in sections_of_placement(done.placement, "l1")]  # fmt: skip
    assert found == [[(0, 4), (4, 4), (4, 4)], [(0, 1), (1, 4), (4, 4)], [(0, 0), (0, 2), (2, 4)]]
    # all 3 lines are converted with each group: 4 windows x 4 steps
    assert counted(done) == computed(done.placement, windows=4) == 4 * 4 * 3 * 3


SETTINGS = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(ENCODINGS),
        "cell_bits": st.integers(1, 5),
        "word_lines": st.integers(2, 16),
        "inputs": st.sampled_from(("unsigned", "sign_magnitude", "twos_complement")),
        "input_accumulation": st.sampled_from(("analog", "digital")),
        "slice_merge": st.sampled_from(("analog", "digital")),
        "subtract": st.sampled_from(("analog", "digital")),
        "packing": st.sampled_from(("whole", "straddle")),
        "grouped": st.sampled_from(("automatic", "array")),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    SETTINGS, st.integers(1, 40), st.integers(1, 7), st.integers(2, 8), st.integers(2, 8),
    st.integers(1, 3), st.integers(1, 3),
)  # fmt: skip
def test_a_run_counts_the_conversions_of_the_plain_reference(
    array: dict[str, object], inputs: int, outputs: int, weight_bits: int, input_bits: int,
    dac_bits: int, groups: int,
) -> None:  # fmt: skip
    system = machine(", ".join(f"{k} = {v}" for k, v in array.items()), dac_bits=dac_bits)
    network = table((inputs, outputs, 2, groups))
    done = fitting(lambda: run(system, network, weight_bits=weight_bits, input_bits=input_bits))
    assert counted(done) == computed(done.placement, windows=2)


@settings(max_examples=30, deadline=None)
@given(SETTINGS, st.integers(1, 6), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_a_run_counts_the_conversions_of_a_grouped_convolution(
    array: dict[str, object], groups: int, kernel: int, each: int, spread: bool
) -> None:
    draft = Draft(groups, 4, 4)
    draft.conv("l1", "x", groups * each, kernel, groups=groups)
    system = machine(", ".join(f"{k} = {v}" for k, v in array.items()))
    done = fitting(lambda: run(system, draft.network(), 4, asked=Asked(spread_rows=spread)))
    assert counted(done) == computed(done.placement, windows=(5 - kernel) ** 2)


def test_each_layer_of_a_network_is_converted_as_the_rule_says() -> None:
    # windows x groups x steps x sense lines: the first layer has 27 rows, 64 windows, 8 steps and
    # 16 x 4 lines; 576 rows take 5 arrays of 128.
    report = simulate(load("bit_serial"), resnet20(8))
    found = dict(zip(report.layers["name"], report.layers["conversions"], strict=True))
    assert found["conv1"] == 64 * 1 * 8 * 64
    assert found["layer3.2.conv2"] == 4 * 5 * 8 * 64 * 4
    placement = map_network(load("bit_serial"), resnet20(8))
    for plan in placement.plans:
        if plan.site.is_matrix:
            op = plan.site.anchor
            assert found[op.name] == computed(placement, op.name, op.windows)
