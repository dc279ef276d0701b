"""The elaborated hardware: totals, peak throughput, encodings, the graph."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from cimarch.diagnostics import DescriptionError
from cimarch.hardware import encoding, graph, rollup
from cimarch.hardware.kinds import KINDS
from cimarch.hardware.system import System
from cimarch.language import build, elaborate, load, loads


@pytest.fixture(scope="module")
def isaac() -> System:
    return load("isaac")


def test_isaac_adds_up_to_the_totals_of_its_paper(isaac: System) -> None:
    # 168 x (40.85 + 12 x 24.08) mW + 42 x 42 mW - 168 x 10.5 mW + 10.4 W
    assert isaac.total("power") == Fraction("65.80808")
    assert isaac.total("area") * 10**6 == Fraction("85.42472")
    assert rollup.total(isaac.part("tile.ima"), "power") / 2016 == Fraction("0.02408")


def test_isaac_has_16128_crossbars(isaac: System) -> None:
    assert isaac.part("tile.ima.xbar").count == 14 * 12 * 12 * 8 == 16_128
    assert isaac.part("tile.ima.xbar").shape == (8,)


def test_a_read_of_isaac_takes_120_cycles_of_its_clock(isaac: System) -> None:
    read = isaac.part("tile.ima.xbar").actions["read"].latency
    assert read is not None
    assert read.at() * isaac.clock == 120


def test_the_beat_of_isaacs_tile_is_100_nanoseconds(isaac: System) -> None:
    assert isaac.part("tile.ima.adc").beat == Fraction(1, 10**7)
    assert isaac.part("noc").beat is None


def test_isaac_reaches_41_29_tera_operations_at_16_bits(isaac: System) -> None:
    # 16,128 arrays x 128 rows x 16 weights x 2 operations in 16 steps of 100 ns
    peak = rollup.peak(isaac)
    assert peak.operations == Fraction(16_128 * 128 * 16 * 2, 16) * 10**7
    assert f"{float(peak.operations) / 1e12:.2f}" == "41.29"
    assert (peak.weight_bits, peak.input_bits) == (16, 16)


def test_at_half_the_bits_the_peak_is_four_times_as_high(isaac: System) -> None:
    full, half = rollup.peak(isaac).operations, rollup.peak(isaac, 8, 8).operations
    assert full is not None
    assert half == 4 * full


def macro(array: str, converter: str, hold: str = "") -> System:
    return loads(f"""
from std import crossbar, dac, sample_hold, adc, buffer
component Array is crossbar {{
    rows = 64
    columns = 32
    action read {{ latency = 4 ns }}
    {array}
}}
system Chip {{
    clock = 250 MHz
    part input: buffer {{ size = 1 KiB }}
    part dac[64]: dac {{ bits = 4 }}
    part array: Array
    part hold[32]: sample_hold
    part adc{converter}
    part result: buffer {{ size = 1 KiB }}
    connect input -> dac[*] -> array
    {"connect array -> hold[*] -> adc[*] -> result" if hold else ""}
    {"" if hold else "connect array -> adc[*] -> result" + chr(10) + " connect hold[*] -> result"}
}}""")


ADC = "[8]: adc { bits = 5, rate = 250 MHz }"


def test_with_a_hold_a_step_takes_the_longer_of_read_and_conversion() -> None:
    # 32 columns on 8 converters: 4 turns of 4 ns; 2 steps of 4 bits; 8 columns a weight
    peak = rollup.peak(macro("cell_bits = 1", ADC, "with")).operations
    assert peak == Fraction(64 * 4 * 2, 2 * 16) * 10**9


def test_without_a_hold_it_takes_their_sum() -> None:
    peak = rollup.peak(macro("cell_bits = 1", ADC)).operations
    assert peak == Fraction(64 * 4 * 2, 2 * 20) * 10**9


def test_steps_accumulated_in_analog_are_converted_once() -> None:
    part = "cell_bits = 1, input_accumulation = analog"
    assert rollup.peak(macro(part, ADC, "with")).operations == Fraction(64 * 4 * 2, 16) * 10**9


def test_groups_of_word_lines_follow_each_other() -> None:
    system = macro("cell_bits = 1, word_lines = 16", ADC, "with")
    assert rollup.peak(system).operations == Fraction(64 * 4 * 2, 4 * 2 * 16) * 10**9


def test_a_peak_without_the_time_of_a_read_is_not_known() -> None:
    system = loads("from std import crossbar\nsystem A {\n clock = 1 GHz\n part x: crossbar\n}")
    peak = rollup.peak(system)
    assert peak.operations is None
    assert peak.unknown == ("x",)


# ------------------------------------------------------------------------ encodings


@pytest.mark.parametrize(
    ("members", "bits", "columns", "sensed"),
    [
        ("encoding = offset, cell_bits = 2", 8, 4, 4),
        ("encoding = offset, cell_bits = 3", 8, 3, 3),
        ("encoding = offset, cell_bits = 8", 4, 1, 1),
        ("encoding = offset, cell_bits = 2, slice_merge = analog", 8, 4, 1),
        ("encoding = offset_column, cell_bits = 4", 8, 2, 2),
        ("encoding = flipped, cell_bits = 2", 16, 8, 8),
        ("encoding = differential, cell_bits = 4", 8, 4, 4),
        ("encoding = differential, cell_bits = 4, subtract = analog", 8, 4, 2),
        ("encoding = differential, cell_bits = 4, slice_merge = analog", 8, 4, 2),
        (
            "encoding = differential, cell_bits = 4, subtract = analog, slice_merge = analog",
            *(8, 4, 1),
        ),
        ("encoding = differential, pair = row, cell_bits = 4", 8, 2, 2),
        ("encoding = twos_complement, cell_bits = 2", 8, 5, 5),
        ("encoding = twos_complement, cell_bits = 1", 8, 8, 8),
        ("encoding = signed_cell, cell_bits = 4", 4, 1, 1),
        ("encoding = binary, cell_bits = 1", 1, 1, 1),
    ],
)
def test_a_weight_takes_columns_by_its_encoding(
    members: str, bits: int, columns: int, sensed: int
) -> None:
    part = macro(members, ADC).part("array")
    assert encoding.columns_per_weight(part, bits) == columns
    assert encoding.sense_lines_per_weight(part, bits) == sensed


def test_an_offset_column_takes_one_column_of_the_array() -> None:
    with_column = macro("encoding = offset_column, cell_bits = 8", ADC).part("array")
    assert encoding.extra_columns(with_column) == 1
    assert rollup.logical_columns(with_column, 8) == 31


def test_straddling_weights_use_every_column() -> None:
    part = macro("cell_bits = 3, packing = straddle", ADC).part("array")
    assert rollup.logical_columns(part, 8) == Fraction(32, 3)


def test_a_pair_in_rows_drives_two_rows() -> None:
    part = macro("encoding = differential, pair = row", ADC).part("array")
    assert encoding.rows_per_input(part) == 2


def test_a_sign_magnitude_input_needs_one_bit_less() -> None:
    plain = macro("inputs = unsigned", ADC).part("array")
    signed = macro("inputs = sign_magnitude", ADC).part("array")
    assert (encoding.steps(plain, 1, 8), encoding.steps(signed, 1, 8)) == (8, 7)
    assert (encoding.steps(plain, 4, 9), encoding.steps(signed, 4, 9)) == (3, 2)
    assert encoding.steps(signed, 4, 1) == 1


# ---------------------------------------------------------------------- graph, kinds


def test_the_graph_has_a_node_per_part_with_its_multiplicity(isaac: System) -> None:
    found = isaac.graph()
    assert len(found) == 18
    assert found.nodes["tile.ima.adc"]["count"] == 16_128
    assert found.nodes["tile.ima.adc"]["inside"] == "tile.ima"
    assert found.number_of_edges("tile.edram", "noc") == 1
    assert found.number_of_edges("noc", "tile.edram") == 1
    assert not found.has_edge("tile.ima.dac", "tile.ima.input")


def test_the_graph_can_be_read_back(isaac: System) -> None:
    import networkx

    data = json.loads(graph.as_json(isaac))
    assert networkx.node_link_graph(data, edges="edges").number_of_nodes() == 18
    assert '"tile.ima.adc" -> "tile.ima.add"' in graph.as_dot(isaac)


def test_every_kind_of_the_library_is_known_with_its_actions() -> None:
    system = loads(
        "from std import crossbar\nsystem A {\n clock = 1 GHz\n"
        + "\n".join(
            f" part p_{name}: std.{name}" + (" { size = 1 KiB }" if name == "buffer" else "")
            for name in KINDS
        )
        + "\n}"
    )
    for name, kind in KINDS.items():
        assert set(system.part(f"p_{name}").actions) == set(kind.actions)
        assert system.part(f"p_{name}").kind == name


def test_a_kind_without_a_behaviour_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: kind for name, kind in KINDS.items() if name != "htree"}
    for module in (elaborate, build):
        monkeypatch.setattr(module, "KINDS", known)
    with pytest.raises(DescriptionError) as caught:
        loads(
            "from std import crossbar, htree\n"
            "system A {\n clock = 1 GHz\n part x: crossbar\n part h: htree\n}"
        )
    assert [p.code for p in caught.value.diagnostics] == ["E091"]


def test_the_words_of_does_hold_every_function_that_a_network_can_name() -> None:
    from cimarch.hardware.kinds import OPERATION_WORDS
    from cimarch.workload.network import MATRIX_KINDS, VIEW_KINDS

    assert "relu" in OPERATION_WORDS
    assert not VIEW_KINDS & set(OPERATION_WORDS)
    assert MATRIX_KINDS & set(OPERATION_WORDS) == {"matmul"}


def test_columns_that_carry_sums_leave_room_for_fewer_weights() -> None:
    """32 columns hold four weights of 5 bits whose sums take 3 columns each: 4 x 16 rows x 2."""
    system = loads(
        """
        from std import digital_array, buffer
        system Bitwise {
            clock = 1 GHz
            weight_bits = 5
            part maps: buffer { size = 1 KiB }
            part cells: digital_array {
                rows = 16, columns = 32, encoding = twos_complement, sum_columns = 3
                action read { latency = 10 ns }
            }
            connect maps -> cells -> maps
        }
        """
    )
    assert rollup.peak(system).operations == 128 / Fraction(10, 10**9)


def test_a_modelled_number_counts_and_a_stated_one_wins() -> None:
    text = """
        from std import crossbar, adc
        system Modelled {
            clock = 1 GHz
            node = 32 nm
            part cells: crossbar { area = 1 mm^2, leakage = 0 W }
            part adc[2]: adc { bits = 8, rate = 1.28 GHz, leakage = 3 mW }
            connect cells -> adc[*]
            assert adc.area > 0.006 mm^2 or adc.power > 0 W
            assert total(adc.leakage) == 6 mW
        }
        """
    system = loads(text)
    adc = system.part("adc")
    assert set(adc.estimates) == {"area", "convert.energy"}
    assert adc.actions["convert"].origin == "model ADC regression"
    assert adc.estimates["area"].quantity.value == adc.area
    energy = adc.actions["convert"].energy
    assert energy is not None
    assert float(energy.at()) == pytest.approx(1.929e-12, rel=1e-3)
    stated = loads(text, set={"adc.area": "1 um^2", "adc.power": "2 mW"})
    assert stated.part("adc").area == Fraction(1, 10**12)
    assert stated.part("adc").actions["convert"].energy is None  # charged from its power


def test_nothing_is_modelled_without_a_node() -> None:
    assert not any(part.estimates for part in load("edge_macro").walk())
