"""How long things take: each story ends in cycles that can be counted by hand.

Unless a story says otherwise the clock is 1 GHz, so that a cycle is a nanosecond.
"""

from __future__ import annotations

import pytest

from chips import Draft, Run, bare, chip, load, mlp, round_trip, run, table
from cimarch import share, simulate
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.language import loads
from cimarch.workload.network import Network


def text_of(name: str) -> str:
    return (share.folder("architectures") / f"{name}.cimarch").read_text()


# Reads and conversions --------------------------------------------------------------------------


def test_a_hold_overlaps_a_read_with_the_conversions_before_it() -> None:
    # 256 columns on 64 converters: 4 turns a read. The first read takes 1 cycle, every further one
    # runs while the one before is converted: 1 + 16 x 4 = 65.
    assert run(bare(hold=True), table((256, 256, 16))).cycles == 65


def test_without_a_hold_read_and_conversions_follow_one_another() -> None:
    # 16 x (1 + 4) = 80.
    assert run(bare(hold=False), table((256, 256, 16))).cycles == 80


def test_the_edge_macro_takes_65_cycles_from_first_read_to_last_conversion() -> None:
    done = run(bundled("edge_macro"), table((256, 256, 16)))
    assert done.span("read", "convert") == 65


def test_the_edge_macro_without_its_hold_takes_80() -> None:
    text = text_of("edge_macro").replace("-> hold[*] ->", "->")
    text = text.replace("part hold[columns]: sample_hold", "")
    done = run(loads(text), table((256, 256, 16)))
    assert done.span("product") == 80


def test_a_converter_bound_layer_takes_windows_x_steps_x_turns() -> None:
    # 4-bit inputs through 1-bit dacs: 4 steps; 4 turns each; 10 windows; the first read is alone:
    # 1 + 10 x 4 x 4 = 161.
    assert run(bare(dac_bits=1), table((256, 256, 10))).cycles == 161


def test_a_read_bound_layer_takes_windows_x_steps_x_read() -> None:
    # A read of 6 ns hides the 4 turns of the read before: 10 x 4 x 6, and the last burst: 244.
    assert run(bare(dac_bits=1, read="6 ns"), table((256, 256, 10))).cycles == 244


def test_half_the_rate_takes_twice_the_conversion_time() -> None:
    # 4 turns at 500 MHz are 8 cycles: 1 + 5 x 8 = 41.
    assert run(bare(rate="500 MHz"), table((256, 256, 5))).cycles == 41


def test_times_are_rounded_once_a_product_and_not_once_a_step() -> None:
    # 4 turns at 1.2 GHz are 3 1/3 cycles; 3 steps of them after a read of 1: ceil(1 + 10) = 11,
    # where rounding each step up would make 1 + 3 x 4 = 13.
    system = bare(dac_bits=1, rate="1.2 GHz")
    assert run(system, table((256, 256)), input_bits=3).cycles == 11


@pytest.mark.parametrize(("mux", "turns"), [("adjacent", 4), ("interleaved", 2)])
def test_100_used_columns_on_64_converters(mux: str, turns: int) -> None:
    # 256 columns, 4 to a converter. Adjacent: columns 0..99 are on converters 0..24, 4 on each.
    # Interleaved: column c is on converter c mod 64, so none has more than 2. 5 windows.
    done = run(bare(adc=f"mux = {mux}"), table((256, 100, 5)))
    assert done.cycles == 1 + 5 * turns


def test_three_used_columns_never_take_more_than_three_turns() -> None:
    # Fewer used columns than a converter has: 3 turns, not 4.
    assert run(bare(), table((256, 3, 5))).cycles == 1 + 5 * 3


def test_word_lines_fewer_than_rows_make_groups() -> None:
    # 200 used rows, 64 at a time: 64 + 64 + 64 + 8, 4 groups, each a read and a burst of 4 turns.
    # 1 + 5 windows x 4 groups x 4 turns = 81.
    done = run(bare("word_lines = 64"), table((200, 256, 5)))
    assert done.cycles == 81
    assert done.count("array", "read") == 5 * 4
    assert done.count("adc", "convert") == 5 * 4 * 256


def test_sign_magnitude_inputs_take_one_step_less() -> None:
    # 4 bits are a sign and 3 bits of magnitude: 3 steps of 1-bit dacs. 1 + 10 x 3 x 4 = 121.
    assert run(bare("inputs = sign_magnitude", dac_bits=1), table((256, 256, 10))).cycles == 121


def test_steps_that_accumulate_in_analog_are_converted_once() -> None:
    # 4 reads of 1 cycle, then one burst of 4; with the hold the next product reads during it.
    # 4 + 10 x 4 = 44, and a conversion a column and window.
    done = run(bare("input_accumulation = analog", dac_bits=1), table((256, 256, 10)))
    assert done.cycles == 44
    assert done.count("adc", "convert") == 10 * 256
    assert done.count("array", "read") == 10 * 4


SHARED = """
    part dac[2, 8]: dac {{ bits = 4 }}
    part array[2]: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 1 ns }}
    }}
    part hold[2, 8]: sample_hold
    part adc: adc {{ rate = 1 GHz }}
    connect dac[*, *] -> array[*] -> hold[*, *] -> adc
"""


def test_two_crossbars_share_one_converter_first_come_first_served() -> None:
    # Two matrices of 4 columns, one on each array: 4 turns a read on the one converter. Both read
    # in cycle 0; array 0 is converted in 1..5, array 1 in 5..9. An array reads again when its own
    # conversion starts, so array 0 asks at 2 and array 1 at 6: they take turns. 1 + 6 x 4 = 25.
    done = run(chip(SHARED.format()), table((8, 4, 3, 2)))
    assert done.spans("adc") == [(1 + 4 * i, 5 + 4 * i) for i in range(6)]
    assert [done.program.columns["tile"][t] for t in done.at("adc")] == [0, 1, 0, 1, 0, 1]
    assert done.spans("array") == [(0, 1), (0, 1), (1, 2), (5, 6), (9, 10), (13, 14)]
    assert done.cycles == 25


def test_a_part_with_its_own_clock_starts_on_its_edges() -> None:
    # A 250 MHz buffer beside a 1 GHz system: an edge every 4 cycles, a word each. The fetch of one
    # word takes 0..4 and the read 4..5; the second window's fetch starts at 4, on an edge.
    system = chip("""
    part maps: buffer { size = 1 KiB, width = 32 bit, clock = 250 MHz }
    part dac[8]: dac { bits = 4 }
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read { latency = 1 ns }
    }
    connect maps -> dac[*] -> array
    """)
    done = run(system, table((8, 8, 3)))
    assert done.spans("array") == [(0, 1), (4, 5), (8, 9)]
    assert done.spans("maps") == [(0, 4), (4, 8), (8, 12)]


# Transfers --------------------------------------------------------------------------------------

MESH = """
    part gate: link {{ width = 160 bit, rate = 1 GHz }}
    part node[4]: buffer {{ size = 1 KiB, width = 160 bit }}
    part noc: mesh {{ nodes = 4, columns = {columns}, concentration = {share}, width = 32 bit }}
    part array: crossbar {{ rows = 64, columns = 8, cell_bits = 4, encoding = signed_cell }}
    connect gate -> node[0]
    connect node[*] <-> noc
    connect node[{target}] -> array
"""


def mesh_trip(columns: int, share: int, target: int, flits: int) -> tuple[Run, int]:
    """Inputs of so many flits go from node 0 over the mesh to another node; and their cycles.

    From the first flit on the first link until the last is in the target, less the cycle that the
    target takes to write it.
    """
    system = chip(MESH.format(columns=columns, share=share, target=target))
    done = run(system, table((flits * 8, 8)))
    (start, _), *_ = done.spans("noc", "input")
    _, finish = done.spans("node", "input")[-1]
    return done, finish - 1 - start


def test_two_flits_over_three_links_take_four_cycles() -> None:
    # Cut-through: 3 hops for the first flit, one cycle more for the second.
    done, cycles = mesh_trip(4, 1, 3, 2)
    assert len(done.at("noc", "input")) == 3
    assert cycles == 4


def test_on_the_same_router_a_flit_takes_one_flit_time() -> None:
    assert mesh_trip(4, 2, 1, 1)[1] == 1


def test_each_mesh_link_is_held_for_every_flit() -> None:
    done, _ = mesh_trip(4, 1, 3, 5)
    assert [done.program.tasks.busy[t] for t in done.at("noc", "input")] == [5, 5, 5]
    assert done.count("noc", "hop") == 3 * 5


def test_a_mesh_route_goes_along_the_row_then_along_the_column() -> None:
    # 2 x 2 routers of 5 links each: from (0, 0) east, then from router 1 south to (1, 1).
    done, _ = mesh_trip(2, 1, 3, 1)
    east, south = 0, 2
    links = [done.program.resources[done.program.tasks.resource[t]].lo for t in done.at("noc")]
    assert links == [0 * 5 + east, 1 * 5 + south]


def small_map() -> Network:
    """A 1 x 1 convolution of 8 channels on a 1 x 3 map: 3 windows of 8 inputs, 96 bits in all."""
    draft = Draft(8, 1, 3)
    draft.conv("conv", "x", 8, 1)
    return draft.network()


def staged(size: str, *, bus: str = "multicast = true", arrays: int = 1) -> System:
    """maps -> bus -> one staging buffer an array; a window of 8 4-bit inputs is one 32-bit word."""
    return chip(f"""
    part maps: buffer {{ size = 1 KiB, width = 32 bit }}
    part bus: bus {{ width = 8 bit, {bus} }}
    part input[{arrays}]: buffer {{ size = {size}, width = 32 bit }}
    part dac[{arrays}, 8]: dac {{ bits = 1 }}
    part array[{arrays}]: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 2 ns }}
    }}
    connect maps -> bus -> input[*] -> dac[*, *] -> array[*]
    """)


def test_a_staging_buffer_for_one_window_is_filled_after_the_product() -> None:
    # Fetch of a window: 1 word from maps, 4 words of 8 bits over the bus, 1 into the buffer:
    # 1 + 1 + 1 + 3 (the bus's other words) = 6. Product: 4 steps of 2 ns = 8. The next fetch waits
    # for it: 6 + 8 a window, 3 windows: 42. The map is larger than the buffer, so it lives in maps.
    done = run(staged("32 bit"), small_map())
    assert done.cycles == 3 * (6 + 8)


def test_a_staging_buffer_for_two_windows_fetches_one_ahead() -> None:
    # The fetch of window 1 runs during the product of window 0: 6 + 3 x 8 = 30.
    done = run(staged("64 bit"), small_map())
    assert done.cycles == 6 + 3 * 8


@pytest.mark.parametrize(("multicast", "words"), [("true", 4), ("false", 8)])
def test_a_multicast_bus_moves_a_slice_once_for_two_column_tiles(
    multicast: str, words: int
) -> None:
    # 16 outputs are two column tiles on two arrays with the same 8 inputs: 32 bits, 4 bus words.
    system = staged("32 bit", bus=f"multicast = {multicast}", arrays=2)
    done = run(system, table((8, 16)))
    assert done.count("bus", "transfer") == words
    assert done.count("input", "write") == 2


@pytest.mark.parametrize("width", [1, 2, 4, 8, 16, 32, 64])
def test_a_wider_bus_is_never_charged_more_transfers(width: int) -> None:
    def words(bits: int) -> int:
        system = chip(f"""
        part maps: buffer {{ size = 1 KiB, width = 32 bit }}
        part bus: bus {{ width = {bits} bit }}
        part input: buffer {{ size = 64 bit, width = 32 bit }}
        part array: crossbar {{ rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }}
        connect maps -> bus -> input -> array
        """)
        return run(system, small_map()).count("bus", "transfer")

    assert words(width) == 3 * -(-32 // width)
    assert words(width + 1) <= words(width)


# Loads ------------------------------------------------------------------------------------------


def test_loading_a_256_x_256_array_of_4_bit_cells_over_64_bits_takes_4097_cycles() -> None:
    # A row is 256 x 4 = 1,024 bits: 16 words. All 256 rows are 4,096 words, and the last row is
    # written in the cycle after its last word.
    assert load(bundled("edge_macro"), table((256, 256))).cycles == 4097


def test_a_slow_cell_hides_the_link() -> None:
    # A row of 8 cells of 4 bits is one word; writing it takes 10. The first row comes in cycle 0,
    # then 8 rows of 10 cycles: 81.
    system = chip("""
    part store: dram { width = 32 bit, rate = 1 GHz }
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action write { latency = 10 ns }
    }
    connect store -> array.write
    """)
    done = load(system, table((8, 8)))
    assert done.cycles == 1 + 8 * 10
    assert done.count("array", "write") == 8


def test_write_verify_pulses_multiply_the_writing() -> None:
    # 3 pulses of 1 ns a row: 256 rows take 768.
    done = load(bare("pulses = 3"), table((256, 256)))
    assert done.cycles == 3 * 256
    assert done.count("array", "write") == 3 * 256


def test_writing_cell_by_cell_takes_every_cell() -> None:
    # 10 rows of 7 columns, a nanosecond a cell.
    done = load(bare("write_per = cell"), table((10, 7)))
    assert done.cycles == 70
    assert done.count("array", "write") == 70


def test_an_array_written_at_once_waits_for_all_its_rows() -> None:
    # 8 rows of 32 bits over a 1-bit link are 256 cycles; then the whole array is written in 10.
    system = chip("""
    part gate: link { width = 1 bit, rate = 1 GHz }
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        write_per = array
        action write { latency = 10 ns }
    }
    connect gate -> array.write
    """)
    assert load(system, table((8, 8))).cycles == 256 + 10


def test_a_cold_run_adds_the_load() -> None:
    network = table((256, 256, 16))
    written = load(bare(), network).cycles
    assert written == 256
    assert run(bare(), network, weights="cold").cycles == 256 + 65


# ISAAC ------------------------------------------------------------------------------------------


def test_an_array_read_of_isaac_takes_120_cycles() -> None:
    # 100 ns at 1.2 GHz, 16 one-bit steps of it, all before the last conversion.
    done = run(bundled("isaac"), mlp(128, 16, 16), 16)
    assert all(finish - start == 16 * 120 for start, finish in done.spans("tile.ima.xbar"))


def isaac_trip(text: str) -> tuple[int, int]:
    """When the first row of results begins (its first fetch) and ends (its store), in cycles.

    Both maps are 128 channels of 16 x 1: 4 KiB, more than an IMA's input register holds, so they
    live in the eDRAM. 128 outputs are 8 arrays of one IMA.
    """
    draft = Draft(128, 16, 1)
    draft.relu("relu", draft.conv("conv", "x", 128, 1))
    draft.conv("reader", "relu", 16, 1)
    done = run(loads(text), draft.network(), 16)
    fetch = done.at("tile.edram", "fetch", site=0)[0]
    store = done.at("tile.edram", "store", site=0)[0]
    return int(done.timeline.start[fetch]), int(done.timeline.finish[store])


def test_isaac_takes_22_beats_from_edram_to_edram() -> None:
    # Beats of 120 cycles: 0 fetch, 1..16 reads, 17 the last conversion, 18 the sums to the output
    # register, 19 bus, 20 sigmoid, 21 back into the eDRAM.
    start, finish = isaac_trip(text_of("isaac"))
    assert start % 120 == 0
    assert finish // 120 - start // 120 + 1 == 22


def test_isaac_without_its_beat_takes_about_17_reads() -> None:
    # 16 reads and the last conversion are 17 x 120; what the beat hides is one more in all.
    start, finish = isaac_trip(text_of("isaac").replace("beat = 100 ns", ""))
    assert 17 * 120 <= finish - start < 18.5 * 120


# Laws -------------------------------------------------------------------------------------------

TIMED = """
    part maps: buffer {{ size = 1 KiB, width = 32 bit, action read {{ latency = {k} ns }}
                         action write {{ latency = {k} ns }} }}
    part bus: bus {{ width = 8 bit, action transfer {{ latency = {k} ns }} }}
    part input: buffer {{ size = 64 bit, width = 32 bit, action read {{ latency = {k} ns }}
                          action write {{ latency = {k} ns }} }}
    part dac[8]: dac {{ bits = 1 }}
    part array: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 2 ns * {k} }}
    }}
    part hold[8]: sample_hold
    part adc[2]: adc {{ rate = 1 GHz / {k} }}
    part vector: unit {{ does = [relu], ii = {k} ns }}
    connect maps -> bus -> input -> dac[*] -> array -> hold[*] -> adc[*] -> vector -> maps
"""


@pytest.mark.parametrize("k", [2, 3, 7])
def test_k_times_the_durations_take_k_times_the_cycles(k: int) -> None:
    draft = Draft(8, 4, 4)
    draft.relu("relu", draft.conv("conv", "x", 8, 1))
    network = draft.network()
    once = run(chip(TIMED.format(k=1)), network).cycles
    assert run(chip(TIMED.format(k=k)), network).cycles == k * once


def test_a_batch_of_two_takes_twice_as_long_layer_by_layer() -> None:
    # Every layer of an inference waits for all of the layer before it, the first for the last of
    # the inference before.
    system, network = round_trip(arrays=2), mlp(8, 8, 8)
    once, twice = run(system, network), run(system, network, batch=2)
    assert twice.cycles == 2 * once.cycles
    report = simulate(system, network, weight_bits=4, input_bits=4, batch=2, schedule="layers")
    assert (report.cycles, report.latency, report.interval) == (
        twice.cycles, once.cycles, once.cycles,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "cycles"), [(32, 75), (64, 55)])
def test_rows_stream_in_one_ahead_where_there_is_room(size: int, cycles: int) -> None:
    # 5 vectors of 32 bits that do not fit all at once: each comes in 4 words of 8 bits, 1 + 1 + 3
    # cycles to the buffer, and takes a product of 10. With room for one they take turns, 5 x 15;
    # with room for two the next comes while the product runs, 5 + 5 x 10.
    system = chip(f"""
    part dram: dram {{ width = 8 bit, rate = 1 GHz }}
    part maps: buffer {{ size = {size} bit, width = 32 bit }}
    part array: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 10 ns }}
    }}
    connect dram -> maps -> array
    """)
    assert run(system, table((8, 4, 5))).cycles == cycles
