"""Stories of the corners: what a simulator gets wrong when it only knows the common case."""

from __future__ import annotations

import pytest

from chips import Draft, bare, chip, load, mlp, round_trip, run, table
from cimarch import DescriptionError, simulate
from cimarch.language import loads
from cimarch.program.inputs import Inputs
from test_stories_energy import TEN, priced
from test_stories_mapping import pool, shapes
from test_stories_timing import small_map, staged


def test_the_last_depthwise_group_alone_takes_only_its_own_rows() -> None:
    # 10 channels of 9 x 1, 3 on the diagonal of an array: 3 + 3 + 3 + 1.
    draft = Draft(10, 4, 4)
    draft.conv("conv", "x", 10, 3, padding=1, groups=10)
    done = run(pool("encoding = offset", size=32, cell_bits=4), draft.network())
    assert shapes(done.placement) == ([27, 27, 27, 9], [3, 3, 3, 1], [3, 3, 3, 1])
    assert done.placement.tiles.cells.tolist() == [27, 27, 27, 9]
    assert done.count("adc", "convert") == 16 * 4 * 10


def test_without_a_hold_an_array_waits_for_a_shared_converter() -> None:
    # Two arrays, one converter, no hold, one read a product: an array keeps its sums until they are
    # converted, so its next read starts when its burst ends. Array 0 reads at 0, is converted in
    # 1..5, reads again at 5; array 1 is converted in 5..9 and reads again at 9.
    system = chip("""
    part dac[2, 8]: dac { bits = 4 }
    part array[2]: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read { latency = 1 ns }
    }
    part adc: adc { rate = 1 GHz }
    connect dac[*, *] -> array[*] -> adc
    """)
    done = run(system, table((8, 4, 3, 2)))
    assert done.spans("array")[:4] == [(0, 1), (0, 1), (5, 6), (9, 10)]


def test_a_multicast_bus_without_staging_behind_it_moves_a_slice_once_too() -> None:
    # 16 outputs, two arrays, the same 32 bits of inputs: one word over the bus.
    system = chip("""
    part maps: buffer { size = 1 KiB, width = 32 bit }
    part bus: bus { width = 32 bit }
    part dac[2, 8]: dac { bits = 4 }
    part array[2]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    connect maps -> bus -> dac[*, *] -> array[*]
    """)
    assert run(system, table((8, 16))).count("bus", "transfer") == 1


def test_busy_counts_every_conversion_where_reads_hide_them() -> None:
    # 10 windows x 4 steps x 4 turns: the converters work 160 cycles, the array 10 x 4 x 6.
    system = bare(dac_bits=1, read="6 ns")
    found = simulate(system, table((256, 256, 10)), weight_bits=4, input_bits=4)
    busy = dict(zip(found.parts["path"], found.parts["busy_cycles"].tolist(), strict=True))
    assert (busy["array"], busy["adc"]) == (240, 160)


def test_busy_counts_every_read_where_conversions_hide_them() -> None:
    # 10 windows x 4 steps of 1 cycle, each followed by 4 turns.
    found = simulate(bare(dac_bits=1), table((256, 256, 10)), weight_bits=4, input_bits=4)
    busy = dict(zip(found.parts["path"], found.parts["busy_cycles"].tolist(), strict=True))
    assert (busy["array"], busy["adc"]) == (40, 160)


def test_a_rounding_of_a_product_above_one_percent_is_told() -> None:
    # A read of 1.1 ns takes 2 cycles: 10 products take 20, not 11.
    system = chip("""
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read { latency = 1.1 ns }
    }
    """)
    found = simulate(system, table((8, 8, 10)), weight_bits=4, input_bits=4)
    assert found.cycles == 20
    assert len(found.rounded) == 1


def test_a_read_that_takes_no_time_is_a_diagnostic() -> None:
    with pytest.raises(DescriptionError, match="latency"):
        run(chip("""
        part array: crossbar { rows = 8, columns = 8, cell_bits = 4, action read { latency = 0 s } }
        """), table((8, 8)))  # fmt: skip


def test_a_residual_is_held_until_it_is_added() -> None:
    # Maps of 64 bits. While `three` runs, maps holds `two` (read), `one` (the residual) and `add`
    # (written): 192 bits. 128 are not enough.
    draft = Draft(8, 1, 2)
    one = draft.conv("one", "x", 8, 1)
    two = draft.conv("two", one, 8, 1)
    draft.conv("four", draft.add("add", draft.conv("three", two, 8, 1), one), 8, 1)
    run(round_trip(arrays=4, size="192 bit"), draft.network())
    # With less, some of them wait outside, and the report says so.
    found = simulate(
        round_trip(arrays=4, size="128 bit"), draft.network(), weight_bits=4, input_bits=4
    )
    assert any("waits outside the description" in line for line in found.assumed)


def test_a_second_reader_of_more_rows_needs_more_room() -> None:
    # x is 8 channels of 6 x 2: 64 bits a row. A 1 x 1 convolution needs one row at once, the 3 x 3
    # one that reads the same x three rows, 24 bytes; a buffer of one row is too small for it.
    draft = Draft(8, 6, 2)
    draft.add("add", draft.conv("one", "x", 8, 1), draft.conv("two", "x", 8, 3, padding=1))
    with pytest.raises(DescriptionError, match="`two` needs 3 rows of its input at once, 24 bytes"):
        run(round_trip(arrays=10, size="64 bit"), draft.network())


def test_a_residual_that_waits_outside_is_fetched_from_there() -> None:
    # Maps of 10 rows of 32 bits; the buffer holds two rows. x, one, two and the residual one are
    # each fetched once: 40 words.
    system = chip("""
    part dram: dram { width = 32 bit, rate = 1 GHz }
    part maps: buffer { size = 64 bit, width = 32 bit }
    part array[4]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part sum: accumulator
    connect dram <-> maps -> array[*] -> sum -> maps
    connect maps -> sum
    """)
    draft = Draft(8, 10, 1)
    one = draft.conv("one", "x", 8, 1)
    draft.add("add", draft.conv("three", draft.conv("two", one, 8, 1), 8, 1), one)
    assert run(system, draft.network()).count("dram", "read") == 40


def test_every_input_of_a_network_comes_in_whole() -> None:
    # x is 4 rows of 8 elements, y one: 4 + 1 words of 32 bits through the gate.
    system = chip("""
    part gate: link { width = 32 bit, rate = 1 GHz }
    part maps: buffer { size = 1 KiB, width = 32 bit }
    part array: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part vector: unit
    connect gate -> maps -> array -> vector
    connect maps -> vector
    """)
    draft = Draft(8, 4, 1)
    draft.input("y", 8)
    draft.relu("relu", "x")
    draft.linear("linear", "y", 8)
    done = run(system, draft.network("relu", "linear", inputs=("x", "y")))
    assert done.count("gate", "transfer") == 5


def test_a_batch_of_two_that_cannot_wait_goes_one_after_the_other() -> None:
    # Between the groups one inference's y (32 bits) waits while the other needs its x and y: 96.
    assert run(round_trip(size="64 bit"), mlp(8, 8, 8), batch=2).writes() == {0: 4}


def test_results_that_stay_in_a_buffer_need_room_in_it() -> None:
    # 400 results of 4 bits in a buffer of 32 bits.
    draft = Draft(8, 1, 1)
    draft.linear("linear", "x", 400)
    with pytest.raises(DescriptionError):
        run(round_trip(size="32 bit", arrays=50), draft.network())


def test_sums_cut_by_a_group_boundary_are_read_back_or_refused() -> None:
    # 24 inputs are 3 row tiles on 2 arrays: the sums of the first two wait in `out`, from where no
    # link leads back to the adder.
    system = chip("""
    part array[2]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part sum: accumulator
    part out: buffer { size = 1 KiB, width = 64 bit }
    connect array[*] -> sum -> out
    """)
    told = "no part that does `add` is reached from `sum` and from a buffer"
    with pytest.raises(DescriptionError, match=told):
        run(system, table((24, 8, 4)))


def test_a_tree_of_wires_takes_its_hops() -> None:
    # One root, 4 leaves: 2 levels of 50 cycles each, as against 2 of one.
    def cycles(hop: int) -> int:
        return run(loads(f"""
        from std import crossbar, buffer, htree
        system Chip {{
            clock = 1 GHz
            part maps: buffer {{ size = 1 KiB, width = 32 bit }}
            part wires: htree {{ width = 32 bit, hop = {hop} cycle }}
            part input[4]: buffer {{ size = 64 bit, width = 32 bit }}
            part array[4]: crossbar {{ rows = 8, columns = 8, cell_bits = 4, encoding = offset }}
            connect maps -> wires -> input[*] -> array[*]
        }}
        """), table((8, 32))).cycles  # fmt: skip

    assert cycles(50) == cycles(1) + 2 * 49


def test_the_rows_that_are_told_are_those_of_the_dilated_kernel() -> None:
    # Three rows two apart reach over five: 5 rows x 6 columns x 8 channels x 4 bits are 120 bytes.
    draft = Draft(8, 6, 6)
    draft.conv("conv", "x", 8, 3, padding=2, dilation=2)
    with pytest.raises(
        DescriptionError, match="`conv` needs 5 rows of its input at once, 120 byte"
    ):
        run(round_trip(arrays=9, size="64 B"), draft.network())


def test_one_row_is_told_as_one_row() -> None:
    draft = Draft(8, 2, 6)
    draft.conv("conv", "x", 8, 1)
    with pytest.raises(DescriptionError, match="`conv` needs 1 row of its input at once, 24 bytes"):
        run(round_trip(arrays=9, size="16 B"), draft.network())


def test_a_write_priced_by_the_bits_of_a_weight_is_paid_by_them() -> None:
    # 8 rows, each 1 pJ x 4 weight bits.
    system = chip("""
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action write { latency = 1 ns, energy = 1 pJ * weight_bits }
    }
    """)
    assert load(system, table((8, 6))).joules("array", "write") == pytest.approx(32e-12)


@pytest.mark.parametrize(
    ("formula", "picojoules"),
    [("active_rows", 8), ("active_columns", 6), ("steps", 4), ("input_bits", 4)],
)
def test_a_conversion_may_be_priced_by_a_formula(formula: str, picojoules: int) -> None:
    # 240 conversions; 8 x 6 weights, 4-bit inputs in 4 steps.
    system = priced(adc=f"action convert {{ energy = 1 pJ * {formula} }}")
    assert run(system, TEN).joules("adc", "convert") == pytest.approx(240e-12 * picojoules)


def test_a_read_may_take_a_time_that_depends_on_its_rows() -> None:
    # 10 reads of 8 rows, a nanosecond each.
    system = chip("""
    part array: crossbar {
        rows = 16
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read { latency = 1 ns * active_rows }
    }
    """)
    assert run(system, table((8, 8, 10))).cycles == 80


def test_the_check_sees_more_windows_staged_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A staging buffer of one window that three windows are fetched into.
    monkeypatch.setattr(Inputs, "_depth", lambda self, place, bits: 3)
    with pytest.raises(AssertionError):
        run(staged("32 bit"), small_map())


def test_every_part_of_a_concatenated_input_is_fetched() -> None:
    # Maps of 10 rows of 32 bits, none of which fits; x is read by `a` and by `b`, and the two
    # halves of `c`'s input are a and b: 40 words from outside.
    system = chip("""
    part dram: dram { width = 32 bit, rate = 1 GHz }
    part maps: buffer { size = 128 bit, width = 32 bit }
    part array[8]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part sum: accumulator
    connect dram <-> maps -> array[*] -> sum -> maps
    """)
    draft = Draft(8, 10, 1)
    draft.conv("a", "x", 8, 1)
    draft.conv("b", "x", 8, 1)
    draft.concat("both", "a", "b")
    draft.conv("c", "both", 8, 1)
    assert run(system, draft.network()).count("dram", "read") == 40


def test_a_tensor_has_one_home_at_the_most_bits_that_a_reader_asks_for() -> None:
    # `a` (8 channels of 2 x 2) is read at 4 bits by `b` and at 8 by `c`: stored once, 256 bits are
    # 8 words of 32; b and the sum are 4 words each, and c passes to the sum.
    draft = Draft(8, 2, 2)
    a = draft.conv("a", "x", 8, 1)
    draft.add("sum", draft.conv("b", a, 8, 1), draft.conv("c", a, 8, 1))
    for policy in ({"c": [4, 8]}, {"b": [4, 8]}):
        done = run(round_trip(arrays=8), draft.network(), precision=policy)
        assert done.count("maps", "write") == 8 + 4 + 4


def test_a_staging_buffer_smaller_than_a_window_is_told() -> None:
    # A window is 8 inputs of 4 bits; the buffer in front of the word lines holds 8 bits.
    found = simulate(staged("8 bit"), small_map(), weight_bits=4, input_bits=4)
    assert any("smaller than a window" in line for line in found.assumed)


def test_the_interval_of_a_batch_counts_every_group() -> None:
    # Two groups, four inferences: 2 loads of 8 cycles and 4 x 12 of work, 64 in all: one every 16.
    found = simulate(
        round_trip(), mlp(8, 8, 8), weight_bits=4, input_bits=4, batch=4, schedule="layers"
    )
    assert found.cycles == 64
    assert found.interval == 16
