"""When the arrays of an operation begin a window: all together, each, or by group of word lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chips import Draft, Run, chip, run, table
from cimarch import simulate
from cimarch.hardware.system import System
from cimarch.program.context import Options
from cimarch.report.report import Report
from cimarch.workload.network import Network


def behind_a_bus(
    arrays: int, *, rows: int = 8, width: int = 8, read: int = 6, lines: int = 0, room: int = 2,
    back: str = "",
) -> System:  # fmt: skip
    """maps -> bus -> a buffer beside each array, with room for some windows -> arrays -> an adder.

    A slice of 8 inputs has 32 bits: 1 cycle of `maps`, 4 of a bus of 8 bits, 1 of the buffer. The
    first of its words is there after 3, so all of it after 6; the slice behind it 4 later.
    """
    return chip(f"""
    part maps: buffer {{ size = 1 KiB, width = 256 bit }}
    part bus: bus {{ width = {width} bit }}
    part input[{arrays}]: buffer {{ size = {room * rows * 4} bit, width = 256 bit }}
    part dac[{arrays}, {rows}]: dac {{ bits = 4 }}
    part array[{arrays}]: crossbar {{
        rows = {rows}, columns = 8, word_lines = {lines or rows}, cell_bits = 4
        encoding = signed_cell, home = "maps"
        action read {{ latency = {read} ns }}
    }}
    part sum: accumulator
    connect maps -> bus -> input[*] -> dac[*, *] -> array[*] -> sum {back}
    """)


def started(system: System, network: Network, granularity: str, **options: Any) -> Run:
    return run(system, network, how=Options(granularity=granularity), **options)


def products(done: Run) -> list[tuple[int, int]]:
    return sorted(done.spans("array"))


def told(system: System, network: Network, granularity: str) -> Report:
    return simulate(system, network, weight_bits=4, input_bits=4, granularity=granularity)


# All together, or each ----------------------------------------------------------------------------


FOUR = table((32, 1))
"""One window of 4 slices, for 4 arrays; adding their sums takes 3."""


def test_arrays_begin_as_their_slices_come() -> None:
    # Slices at 6, 10, 14, 18; a product takes 6, so that two overlap.
    system = behind_a_bus(4)
    done = started(system, FOUR, "product")
    assert products(done) == [(6, 12), (10, 16), (14, 20), (18, 24)]
    assert done.cycles == 24 + 3
    assert told(system, FOUR, "product").peak_arrays == 2


def test_arrays_begin_together_with_the_last_slice() -> None:
    # As long, but four arrays are active at once.
    system = behind_a_bus(4)
    done = started(system, FOUR, "operation")
    assert products(done) == [(18, 24)] * 4
    assert done.cycles == 24 + 3
    assert told(system, FOUR, "operation").peak_arrays == 4


@pytest.mark.parametrize(
    ("read", "peak"), [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (12, 3), (13, 4)]
)
def test_the_peak_is_the_slices_that_come_during_a_product(read: int, peak: int) -> None:
    # A slice every 4: ceil(read / 4) arrays are active at once, at most all.
    assert told(behind_a_bus(4, read=read), FOUR, "product").peak_arrays == peak
    assert told(behind_a_bus(4, read=read), FOUR, "operation").peak_arrays == 4


def test_where_one_window_is_staged_beginning_together_costs_time() -> None:
    # Each array's next slice comes behind its product: the bus goes on at 17, 4 a slice, and the
    # last of 8 products ends at 6 + 7 x 4 + 6. Together: it stands still until 24, then 6 + 12 + 6.
    system, network = behind_a_bus(4, room=1), table((32, 1, 2))
    done = started(system, network, "product")
    assert products(done) == [(t, t + 6) for t in range(6, 38, 4)]
    assert done.cycles == 40 + 3
    done = started(system, network, "operation")
    assert products(done) == [(18, 24)] * 4 + [(42, 48)] * 4
    assert done.cycles == 48 + 3


def test_where_two_windows_are_staged_it_costs_none() -> None:
    # The bus brings the next window during the products: 16 a window, together or not.
    system, network = behind_a_bus(4, room=2), table((32, 1, 3))
    done = started(system, network, "operation")
    assert products(done) == [(t, t + 6) for t in (18, 34, 50) for _ in range(4)]
    assert done.cycles == started(system, network, "product").cycles == 56 + 3


def test_arrays_wait_for_the_slowest_of_the_window_before() -> None:
    # Nothing is fetched (no buffer at all), so only the arrays say when a window begins.
    system = chip("""
    part array[2]: crossbar {
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
        action read { latency = active_columns * 1 ns }
    }
    """)
    # 12 outputs: 8 columns take 8, 4 take 4.
    network = table((8, 12, 2))
    assert products(started(system, network, "product")) == [(0, 4), (0, 8), (4, 8), (8, 16)]
    assert products(started(system, network, "operation")) == [(0, 4), (0, 8), (8, 12), (8, 16)]


# By group of word lines ---------------------------------------------------------------------------


def test_the_first_group_begins_with_its_own_inputs() -> None:
    # 16 rows, 4 at once. All 64 bits are there after 3 + 7; those of a group, 16 bits, after
    # 3 + 1, then every 2: reads of 10 follow one another from 4 on.
    system = behind_a_bus(1, rows=16, read=10, lines=4)
    whole = started(system, table((16, 8)), "product")
    assert products(whole) == [(10, 50)]
    groups = started(system, table((16, 8)), "wordline")
    assert products(groups) == [(4, 14), (14, 24), (24, 34), (34, 44)]


def test_each_group_waits_for_its_own_inputs() -> None:
    # Over a bus of 1 bit a group's inputs take 16, a read 3: reads at 2 + 16 k. Two windows.
    system = behind_a_bus(1, rows=16, read=3, lines=4, width=1)
    groups = started(system, table((16, 8, 2)), "wordline")
    assert products(groups) == [(t, t + 3) for t in range(18, 146, 16)]
    whole = started(system, table((16, 8, 2)), "product")
    assert products(whole) == [(66, 78), (130, 142)]


def test_groups_begin_by_themselves_in_front_of_converters() -> None:
    # Reads of 6 behind inputs that take 16 a group over a bus of 1 bit; a burst of 4 behind each
    # read. Without a hold too, as the next inputs come later than the burst ends.
    for hold in ("part hold[8]: sample_hold", ""):
        system = chip(f"""
        part maps: buffer {{ size = 1 KiB, width = 256 bit }}
        part bus: bus {{ width = 1 bit }}
        part input: buffer {{ size = 128 bit, width = 256 bit }}
        part dac[16]: dac {{ bits = 4 }}
        part array: crossbar {{
            rows = 16, columns = 8, word_lines = 4, cell_bits = 4
            encoding = signed_cell, home = "maps"
            action read {{ latency = 6 ns }}
        }}
        {hold}
        part adc[2]: adc {{ rate = 1 GHz }}
        connect maps -> bus -> input -> dac[*] -> array -> {"hold[*] ->" if hold else ""} adc[*]
        """)
        done = started(system, table((16, 8)), "wordline")
        assert products(done) == [(t, t + 6) for t in (18, 34, 50, 66)]
        assert done.spans("adc") == [(t, t + 4) for t in (24, 40, 56, 72)]


def test_one_group_begins_as_its_array_does() -> None:
    system = behind_a_bus(4)
    groups, whole = (started(system, FOUR, name) for name in ("wordline", "product"))
    assert products(groups) == products(whole)


# What no granularity changes ----------------------------------------------------------------------


@settings(max_examples=25)
@given(
    arrays=st.integers(1, 4),
    width=st.sampled_from([2, 8, 64]),
    read=st.integers(1, 20),
    lines=st.sampled_from([2, 3, 8]),
    room=st.integers(1, 2),
    vectors=st.integers(1, 4),
)
def test_no_granularity_changes_what_is_done(
    arrays: int, width: int, read: int, lines: int, room: int, vectors: int
) -> None:
    # The sooner arrays may begin the sooner all is over; the peak is all where they begin together.
    system = behind_a_bus(arrays, width=width, read=read, lines=lines, room=room)
    network = table((8 * arrays, 1, vectors))
    together, each, groups = (
        told(system, network, name) for name in ("operation", "product", "wordline")
    )
    assert together.cycles >= each.cycles
    assert each.peak_arrays <= together.peak_arrays == arrays
    for other in (each, groups):
        assert other.layers["products"].tolist() == together.layers["products"].tolist()
        counts = dict(zip(other.ledger["part"], other.ledger["count"], strict=True))
        assert counts["array"] == vectors * arrays * -(-8 // lines)


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("granularity", ["operation", "product", "wordline"])
def test_every_granularity_is_legal_in_rows_and_copies(granularity: str, schedule: str) -> None:
    draft = Draft(4, 5, 3)
    draft.conv("second", draft.conv("first", "x", 8, 2), 4, 1)
    system = behind_a_bus(6, lines=3, back="-> maps")
    coarse, fine = (
        run(
            system, draft.network(), schedule=schedule, batch=2,
            how=Options(detail=detail, granularity=granularity),
        )
        for detail in ("mvm", "wordline")
    )  # fmt: skip
    assert coarse.cycles == fine.cycles
    assert coarse.entries == fine.entries
