"""Costs that depend on data: what densities they read, and how these are measured."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import cimarch
from chips import chip, mlp, table
from cimarch import simulate
from cimarch.data.dataset import DataSet, Examples
from cimarch.data.normalisation import Normalise
from cimarch.diagnostics import DescriptionError
from cimarch.functional.densities import InputLevels, cell_levels
from cimarch.functional.lines import Section, lines_of
from cimarch.functional.scheme import Scheme
from cimarch.functional.steps import step_digits
from cimarch.functional.windows import Windows
from cimarch.hardware.system import System
from cimarch.mapping.densities import Density, densities, to_text
from cimarch.report.report import Report
from cimarch.workload.network import Geometry, Network
from weighted import weighted

TWO = table((4, 4, 5), (4, 4, 3))
"""`l1` of 5 products, `l2` of 3."""


def reading(
    energy: str = "1 pJ * input_density", latency: str = "10 ns", chip_wide: str = ""
) -> System:
    return chip(f"""
        {chip_wide}
        part array[2]: crossbar {{
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read {{ latency = {latency}, energy = {energy} }}
        }}
    """)


def run(system: System, network: Network = TWO, **options: object) -> Report:
    return simulate(system, network, schedule="layers", **options)  # type: ignore[arg-type]


def by_layer(found: Report) -> list[float]:
    joules: list[float] = found.layers["joules"].tolist()
    return joules


def assumed(found: Report) -> list[str]:
    return [line for line in found.assumed if "density" in line]


# What costs read --------------------------------------------------------------------------------


def test_without_any_a_density_is_one_half_and_the_report_says_so() -> None:
    found = run(reading())
    assert by_layer(found) == pytest.approx([5 * 0.5e-12, 3 * 0.5e-12])
    assert assumed(found) == ["`input_density` is 0.5, where the costs of `array.read` read it"]


def test_the_chip_states_its_own() -> None:
    found = run(reading(chip_wide="input_density = 0.25"))
    assert by_layer(found) == pytest.approx([5 * 0.25e-12, 3 * 0.25e-12])
    assert not assumed(found)


def test_what_no_cost_reads_is_not_assumed() -> None:
    assert not assumed(run(reading("1 pJ")))


def test_each_operation_has_its_own() -> None:
    given = {"l1": {"input_density": 0.1, "weight_density": 0.3}, "l2": [0.2, 1]}
    found = run(reading("1 pJ * input_density * weight_density"), densities=given)
    assert by_layer(found) == pytest.approx([5 * 0.03e-12, 3 * 0.2e-12])
    assert not assumed(found)
    assert found.options["densities"] == {
        "l1": {"input_density": 0.1, "weight_density": 0.3},
        "l2": {"input_density": 0.2, "weight_density": 1.0},
    }


def test_an_operation_that_is_not_named_has_the_chip_s() -> None:
    found = run(reading(), densities={"l1": {"input_density": 0}})
    assert by_layer(found) == pytest.approx([0, 3 * 0.5e-12])
    (line,) = assumed(found)
    assert line == (
        "`input_density` is 0.5 for 1 of 2 operations, where the costs of `array.read` read it"
    )


def test_a_pattern_names_several() -> None:
    found = run(reading(), densities={"l*": [0.2, 0.2]})
    assert by_layer(found) == pytest.approx([5 * 0.2e-12, 3 * 0.2e-12])


def test_a_time_that_reads_a_density_is_the_operation_s() -> None:
    # 20 ns x density: 5 reads of 4 cycles, 3 reads of 10
    found = run(
        reading("1 pJ", "20 ns * input_density"), densities={"l1": [0.2, 0], "l2": [0.5, 0]}
    )
    assert found.layers["cycles"].tolist() == [5 * 4, 3 * 10]


def test_copies_are_given_by_the_times_that_densities_make() -> None:
    # l2 is now the slower one, and gets the third array
    system = chip("""
        part array[3]: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 100 ns * input_density }
        }
    """)
    network = table((4, 4, 4), (4, 4, 4))
    for slow, copies in ((0, [2, 1]), (1, [1, 2])):
        given = {name: [0.9 if i == slow else 0.1, 0.5] for i, name in enumerate(("l1", "l2"))}
        found = run(system, network, densities=given, duplicate="balance")
        assert found.layers["copies"].tolist() == copies


def test_what_is_written_reads_the_weights_of_its_operation() -> None:
    system = chip("""
        part array[2]: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 1 ns, energy = 0 J }
            action write { latency = 1 ns, energy = 10 pJ * weight_density }
        }
    """)
    found = run(system, densities={"l1": [0, 0.2], "l2": [0, 0.7]}, weights="cold")
    assert by_layer(found) == pytest.approx([4 * 2e-12, 4 * 7e-12])  # 4 rows each


def test_parts_beside_the_products_read_the_chip_s() -> None:
    # 5 + 3 vectors of 4 bytes, a word of 32 bits each: 8 reads of 2 pJ x 0.25
    system = chip("""
        input_density = 0.25
        part maps: buffer {
            size = 1 KiB, width = 32 bit
            action read { energy = 2 pJ * input_density * active_rows }
            action write { energy = 0 J }
        }
        part array[2]: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 1 ns, energy = 0 J }
        }
        connect maps -> array[*] -> maps
    """)
    found = run(system, densities={"l1": [0.9, 0.9], "l2": [0.9, 0.9]})
    assert found.joules == pytest.approx(8 * 0.5e-12)


# Files ------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    measured = {
        "l1": Density(Fraction(1, 8), Fraction(3, 8)),
        "l2": Density(Fraction(1), Fraction(0)),
    }
    file = tmp_path / "densities.json"
    file.write_text(to_text("net", measured))
    assert densities(reading(), ["l1", "l2"], file).given == measured
    found = run(reading(), densities=file)
    assert by_layer(found) == pytest.approx([5 * 0.125e-12, 3e-12])
    assert found.options["densities"] == str(file)


MISTAKES = {
    "the densities: `l3` is no matrix operation of the network": {"l3": [0, 0]},
    "the densities, `l1`: input_density is 1.5, outside 0..1": {"l1": [1.5, 0]},
    "the densities, `l1`: weight_density is True, not a number": {"l1": [1, True]},
    "the densities, `l1`: weight_density is nan, outside 0..1": {"l1": [1, float("nan")]},
    "the densities, `l1` is no pair of densities": {"l1": "full"},
    "the densities, `l1` has an unknown field `inputs`": {"l1": {"inputs": 1}},
    "the densities: no object of densities by operation": [0.5, 0.5],
}


@pytest.mark.parametrize("headline", MISTAKES)
def test_what_is_wrong_is_told(headline: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        run(reading(), densities=MISTAKES[headline])
    assert [(d.code, d.headline) for d in caught.value.diagnostics] == [("E430", headline)]


@pytest.mark.parametrize(
    "text", ["", "{", '{"l1": [0, 0], "l1": [1, 1]}', json.dumps({"l1": [2, 0]})]
)
def test_a_file_that_does_not_fit_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "densities.json"
    file.write_text(text)
    with pytest.raises(DescriptionError) as caught:
        run(reading(), densities=str(file))
    (found,) = caught.value.diagnostics
    assert found.code == "E430"
    with pytest.raises(DescriptionError):
        run(reading(), densities=tmp_path / "none.json")


# Measured ---------------------------------------------------------------------------------------


def entering(vectors: list[list[int]], **scheme: object) -> Fraction:
    rows = np.array(vectors)
    found = InputLevels(Scheme(input_bits=4, **scheme), Windows(rows.shape[1]))  # type: ignore[arg-type]
    found.add(rows)
    return found.levels.density


def test_bits_that_enter_are_counted_over_all_rows_and_steps() -> None:
    # 3 = 0011, 0, 1 = 0001, 10 = 1010: 5 ones in 4 inputs x 4 steps
    assert entering([[3, 0], [1, 10]]) == Fraction(5, 16)


def test_levels_of_two_bits_are_counted_over_three() -> None:
    # 3 = 0 3, 0 = 0 0, 1 = 0 1, 10 = 2 2: levels of 8 in all, in 4 inputs x 2 steps of 3 at most
    assert entering([[3, 0], [1, 10]], dac_bits=2) == Fraction(8, 8 * 3)


def test_an_input_that_enters_whole_is_one_level() -> None:
    assert entering([[3, 0], [1, 10]], dac_bits=4) == Fraction(14, 4 * 15)


def test_signs_do_not_count() -> None:
    # magnitudes of 3 bits: 3 = 011, 0, 1 = 001, 5 = 101
    signed = entering([[3, 0], [-1, -5]], inputs="sign_magnitude")
    assert signed == Fraction(5, 12)


def test_padding_enters_too_and_overlapping_windows_enter_again() -> None:
    geometry = Geometry((3, 2), (2, 1), (1, 0, 1, 1), (1, 2), 2)
    windows = Windows(3 * 6, 2, geometry, fill=5)
    inputs = np.random.default_rng(0).integers(0, 16, (3, 6, 7, 5))
    scheme = Scheme(input_bits=4)
    found = InputLevels(scheme, windows)
    found.add(inputs[:2])
    found.add(inputs[2:])
    taken = step_digits(windows.unfold(inputs).astype(np.int64), scheme)
    assert (found.levels.total, found.levels.count) == (int(taken.sum()), taken.size)


def held(weights: list[list[int]], **scheme: object) -> Fraction:
    chosen = Scheme(weight_bits=4, **scheme)  # type: ignore[arg-type]
    whole = np.array(weights)
    return cell_levels([lines_of(whole, chosen, [Section(0, whole.shape[1], 0)])]).density


def test_cells_are_counted_as_the_encoding_fills_them() -> None:
    # 7 and -8 are 15 and 0 with the offset of 8: cells of 3 and 3, and of 0 and 0
    assert held([[7, -8]]) == Fraction(1, 2)
    # as two halves, 7 = 1 3 | 0 0 and -5 = 0 0 | 1 1: 6 of 8 cells x 3
    assert held([[7, -5]], encoding="differential") == Fraction(6, 24)
    # a negative number is 16 more, its sign a column: -1 = 1 | 3 1, 2 = 0 | 2 0, of cells to 3
    assert held([[-1, 2]], encoding="twos_complement") == Fraction(3 + 1 + 1 + 2, 6 * 3)


def test_a_tiny_network_is_as_full_as_can_be_counted() -> None:
    # one layer of 4 inputs and 2 outputs: weights of 1 and -1, whole as such in 2 bits; two
    # vectors, of four ones and of one, in 1 bit: 5 of 8 bits are set. As two halves of 1-bit
    # cells of 2 slices, a weight of 1 or -1 fills one of 4 cells
    pytest.importorskip("torch")
    network = weighted(mlp(4, 2), l1=[[1, 1, 1, 1], [-1, -1, -1, -1]])
    inputs = np.array([[1, 1, 1, 1], [1, 0, 0, 0]], np.float32)
    examples = Examples(inputs, np.zeros(2, np.int64), Normalise())
    judged = DataSet("given", examples, ("a", "b"), lambda: examples)
    system = chip("""
        part dac[4]: dac { bits = 1 }
        part array: crossbar {
            rows = 4, columns = 8, cell_bits = 1, encoding = differential
            action read { latency = 1 ns }
        }
        part adc: adc { bits = 6, rate = 1 GHz }
        part sum: shift_add
        connect dac[*] -> array -> adc -> sum
    """)
    found = cimarch.evaluate(system, network, judged, weight_bits=2, input_bits=1)
    assert found.densities == {"l1": {"input_density": 5 / 8, "weight_density": 1 / 4}}
    assert found.layers["input_density"].tolist() == [5 / 8]


def test_what_an_evaluation_measures_a_run_reads(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    network = cimarch.read_network("digits")
    system = cimarch.load("isaac", set={"tile.ima.xbar.read.energy": "1 pJ * input_density"})
    found = cimarch.evaluate(system, network, "digits", images=50, statistics=20)
    assert set(found.densities) == {op.name for op in network.operations if op.is_matrix}
    file = tmp_path / "densities.json"
    cimarch.save_densities(found, file)
    report = simulate(system, network, densities=file)
    assert not assumed(report)
    reads = report.to_pandas("energy")
    reads = reads[(reads["part"] == "tile.ima.xbar") & (reads["action"] == "read")]
    for row in reads.itertuples():
        density = found.densities[row.operation]["input_density"]
        assert 0 < density < 1
        assert row.joules == pytest.approx(row.count * density * 1e-12)
    halves = found.layers["weight_density"]
    assert (np.abs(halves - 0.5) < 0.1).all()  # offset by half: cells lie about the middle
