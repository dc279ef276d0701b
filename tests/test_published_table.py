"""The bundled one-crossbar chip gives the figures that arXiv 2601.21737 reports."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import chips
import cimarch
from cimarch import Network
from published import MAPPINGS, POLICY, VGG16, Hardware, Row, chip, cycles, mapping

MILLISECOND = 10_000
"""Cycles of the bundled chip's clock of 10 MHz."""


def test_vgg16_under_the_published_policy_is_2_48_times_as_fast_as_at_8_bits() -> None:
    system, network = cimarch.load("single_crossbar"), Network.from_table(VGG16)
    eight = cimarch.simulate(system, network, weight_bits=8, input_bits=8)
    mixed = cimarch.simulate(system, network, precision=POLICY)
    assert (eight.cycles, eight.load_cycles) == (123_946_368, 4_735_360)
    assert (mixed.cycles, mixed.load_cycles) == (49_935_648, 4_196_640)
    assert Fraction(eight.cycles, MILLISECOND) == Fraction("12394.6368")
    assert Fraction(eight.load_cycles, MILLISECOND) == Fraction("473.536")
    assert Fraction(mixed.cycles, MILLISECOND) == Fraction("4993.5648")
    assert round(eight.cycles / mixed.cycles, 3) == 2.482
    assert eight.seconds == 12.3946368


def test_the_schedule_of_the_table_is_legal_and_writes_each_tile_once() -> None:
    system, network = cimarch.load("single_crossbar"), Network.from_table(VGG16)
    run = chips.run(system, network, precision=POLICY)
    tiles = sum(Hardware().tiles(row["outputs"], row["inputs"], w)
                for row, (w, _) in zip(VGG16, POLICY, strict=True))  # fmt: skip
    assert len(run.placement.tiles) == tiles == 7494  # 7494 x 56 us = 419.664 ms
    assert run.writes() == {0: tiles}


def test_the_network_itself_has_the_shapes_and_the_time_of_the_table() -> None:
    pytest.importorskip("torch")
    network = cimarch.read_network(None, model="vgg16")
    products = [op for op in network.operations if op.macs]
    assert [(op.columns, op.rows, op.windows) for op in products] == [
        (row["outputs"], row["inputs"], row["invocations"]) for row in VGG16
    ]
    assert cimarch.simulate(cimarch.load("single_crossbar"), network).cycles == 123_946_368


def test_the_numbers_of_the_bundled_chip_are_those_of_the_model() -> None:
    ours, same = cimarch.load("single_crossbar"), chip(Hardware())
    assert ours.clock == same.clock == 10_000_000
    for path in ("crossbar", "dac"):
        assert ours.part(path).params == same.part(path).params
        assert ours.part(path).count == same.part(path).count


def test_a_repeated_layer_is_written_and_run_as_often() -> None:
    # 100 outputs of 2 x 2 columns on 256: 2 blocks; 300 inputs on 256 rows: 2 blocks; 4 tiles.
    # 3 x 4 x (560 + 7 x 8 x 14) = 16,128 cycles.
    row = {"kind": "matmul", "outputs": 100, "inputs": 300, "invocations": 7, "repeat": 3}
    report = cimarch.simulate(cimarch.load("single_crossbar"), Network.from_table([row]))
    assert (report.cycles, report.load_cycles) == (16_128, 6_720)


def test_two_bit_cells_take_twice_the_columns() -> None:
    # 64 outputs of 2 x 4 columns on 256: 2 tiles; 2 x (560 + 5 x 8 x 14) = 2,240 cycles.
    row = {"kind": "linear", "outputs": 64, "inputs": 256, "invocations": 5, "repeat": 1}
    report = cimarch.simulate(chip(Hardware(cell_bits=2)), Network.from_table([row]))
    assert (report.cycles, report.load_cycles) == (2_240, 1_120)


def test_a_pair_in_neighbouring_rows_takes_twice_the_rows() -> None:
    # 100 outputs of 2 columns: 1 block; 2 x 300 rows on 256: 3 blocks; 3 x (560 + 7 x 8 x 14).
    row = {"kind": "linear", "outputs": 100, "inputs": 300, "invocations": 7, "repeat": 1}
    hardware = Hardware(encoding="differential rows")
    assert cimarch.simulate(chip(hardware), Network.from_table([row])).cycles == 4_032


@pytest.mark.parametrize(
    ("wording", "short"),
    [
        ("differential (two columns per slice)", "dc"),
        ("differential rows", "dr"),
        ("differential (two rows per slice)", "dr"),
        ("offset (one extra column)", "of"),
        ("dr", "dr"),
    ],
)
def test_a_configuration_names_its_mapping_in_words(wording: str, short: str) -> None:
    assert mapping(wording) == short


times = st.integers(1, 2000).map(lambda n: Fraction(n, 100))
hardware = st.builds(
    Hardware,
    rows=st.sampled_from([4, 16, 64]),
    columns=st.sampled_from([5, 16, 64]),
    cell_bits=st.integers(1, 8),
    input_slice_bits=st.integers(1, 4),
    write_us_per_crossbar=times,
    execute_us_per_input_step=times,
    encoding=st.sampled_from(sorted(MAPPINGS)),
)
layer = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["conv2d", "linear", "matmul"]),
        "outputs": st.integers(1, 40),
        "inputs": st.integers(1, 150),
        "invocations": st.integers(1, 20),
        "repeat": st.integers(1, 3),
    }
)
bits = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(deadline=None, max_examples=60)
@given(hardware, st.lists(st.tuples(layer, bits), min_size=1, max_size=4))
def test_any_table_takes_what_the_published_formula_says(
    hardware: Hardware, table: list[tuple[Row, tuple[int, int]]]
) -> None:
    layers, policy = [row for row, _ in table], [pair for _, pair in table]
    run = chips.run(chip(hardware), Network.from_table(layers), weights="cold", precision=policy)
    writes = sum(run.writes().values())
    assert (run.cycles, writes * hardware.write) == cycles(hardware, layers, policy)
    assert writes == len(run.placement.tiles)
