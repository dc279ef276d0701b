"""Reads and bursts, merged (`mvm`) or each a task (`wordline`): where they fall, worked by hand.

A product is n = word-line groups x input steps reads; behind converters each is followed by a
burst, all turns of the converters for that read. What is merged is private to one array, so both
details have the same cycles, busy parts, counts and joules.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chips import Draft, Run, bare, chip, round_trip, run, table
from cimarch import simulate
from cimarch.hardware.system import System
from cimarch.program.context import Options
from cimarch.workload.network import Network
from test_every_chip import assert_same_figures

Spans = list[tuple[int, int]]


def both(system: System, network: Network, bits: int = 4, **options: Any) -> tuple[Run, Run]:
    """A run in either detail."""
    coarse, fine = (
        run(system, network, bits, how=Options(detail), **options) for detail in ("mvm", "wordline")
    )
    assert coarse.cycles == fine.cycles
    return coarse, fine


def small(**more: Any) -> System:
    """An array of 8 x 8 with converters; dacs of 2 bits, so that 4 input bits are 2 steps."""
    return bare(rows=8, columns=8, **{"dac_bits": 2, **more})


def times(done: Run) -> tuple[Spans, Spans]:
    """(start, finish) of what is done on the array, and on its converters."""
    return done.spans("array"), done.spans("adc")


# Without converters -----------------------------------------------------------------------------


def grouped(read: str, lines: int = 4) -> System:
    return chip(f"""
    part dac[16]: dac {{ bits = 4 }}
    part array: crossbar {{
        rows = 16, columns = 8, word_lines = {lines}, cell_bits = 4, encoding = signed_cell
        action read {{ latency = {read} }}
    }}
    connect dac[*] -> array
    """)


def test_without_converters_a_product_is_one_task_or_one_a_group_of_word_lines() -> None:
    # 16 rows, 4 at once: 4 reads of 10.
    coarse, fine = both(grouped("10 ns"), table((16, 8, 2)))
    assert coarse.spans("array") == [(0, 40), (40, 80)]
    assert fine.spans("array") == [(t, t + 10) for t in range(0, 80, 10)]


def test_read_k_ends_at_k_times_a_read_rounded_up() -> None:
    # 1.5, 3, 4.5 and 6 cycles: 6 in all, not 4 x 2.
    coarse, fine = both(grouped("1.5 ns"), table((16, 8)))
    assert coarse.spans("array") == [(0, 6)]
    assert fine.spans("array") == [(0, 2), (2, 3), (3, 5), (5, 6)]


def test_reads_of_less_than_a_cycle_stay_one_task() -> None:
    # 4 reads of a quarter of a cycle are one cycle; a task takes at least one.
    coarse, fine = both(grouped("0.25 ns"), table((16, 8)))
    assert coarse.spans("array") == fine.spans("array") == [(0, 1)]


# Converters of its own ---------------------------------------------------------------------------


def test_without_a_hold_the_next_read_follows_the_burst() -> None:
    # 8 columns on 4 converters: bursts of 2. 2 steps of 3 + 2 are 10.
    coarse, fine = both(small(read="3 ns", converters=4, hold=False), table((8, 8, 2)))
    assert times(coarse) == ([(0, 10), (10, 20)], [])
    reads, bursts = times(fine)
    assert reads == [(0, 3), (5, 8), (10, 13), (15, 18)]
    assert bursts == [(3, 5), (8, 10), (13, 15), (18, 20)]


def test_with_a_hold_and_long_reads_these_follow_one_another() -> None:
    # Reads of 3, bursts of 2: product 2 begins after 2 x 3; only the last burst is left over.
    coarse, fine = both(small(read="3 ns", converters=4), table((8, 8, 2)))
    assert times(coarse) == ([(0, 6), (6, 12)], [(6, 8), (12, 14)])
    reads, bursts = times(fine)
    assert reads == [(0, 3), (3, 6), (6, 9), (9, 12)]
    assert bursts == [(3, 5), (6, 8), (9, 11), (12, 14)]


def test_with_a_hold_and_long_bursts_these_follow_one_another() -> None:
    # Reads of 2, bursts of 4 (8 columns on 2 converters), 3 steps: bursts at 2, 6 and 10, each read
    # at the start of the burst before its own. Product 2 begins with the last burst, at 10.
    system = bare(rows=8, columns=8, dac_bits=1, read="2 ns", converters=2)
    coarse, fine = both(system, table((8, 8, 2)), input_bits=3)
    assert times(coarse) == ([(0, 2), (10, 12)], [(2, 10), (10, 14), (14, 22), (22, 26)])
    reads, bursts = times(fine)
    assert reads == [(0, 2), (2, 4), (6, 8), (10, 12), (14, 16), (18, 20)]
    assert bursts == [(t, t + 4) for t in range(2, 26, 4)]


@pytest.mark.parametrize(("hold", "cycles"), [(True, 8 * 3 + 2), (False, 8 * (3 + 2))])
def test_each_group_of_word_lines_takes_each_step(hold: bool, cycles: int) -> None:
    # 8 rows, 2 at once: 4 groups x 2 steps = 8 reads of 3 and 8 bursts of 2.
    system = small(read="3 ns", converters=4, hold=hold, array="word_lines = 2")
    coarse, fine = both(system, table((8, 8)))
    assert coarse.cycles == cycles
    assert len(fine.spans("array")) == len(fine.spans("adc")) == 8
    assert coarse.count("adc", "convert") == fine.count("adc", "convert") == 8 * 8


def test_bits_that_add_in_analog_are_one_read_before_one_burst() -> None:
    # 2 groups of 2 steps: reads of 2 x 3 in one go, a burst of 2 behind each.
    system = small(
        read="3 ns", converters=4, array="word_lines = 4\n        input_accumulation = analog"
    )
    coarse, fine = both(system, table((8, 8, 2)))
    assert times(coarse) == ([(0, 12), (12, 24)], [(12, 14), (24, 26)])
    reads, bursts = times(fine)
    assert reads == [(0, 6), (6, 12), (12, 18), (18, 24)]
    assert bursts == [(6, 8), (12, 14), (18, 20), (24, 26)]
    assert coarse.count("array", "read") == fine.count("array", "read") == 2 * 2 * 2
    assert coarse.count("adc", "convert") == fine.count("adc", "convert") == 2 * 2 * 8


# Fractions of cycles -----------------------------------------------------------------------------


def test_fractions_without_a_hold_are_rounded_up_at_each_step() -> None:
    # 1.5 and 1.25 cycles: a step of 2.75. Ends 2.75 and 5.5, reads' ends 1.5 and 4.25.
    system = small(read="1.5 ns", converters=8, rate="0.8 GHz", hold=False)
    coarse, fine = both(system, table((8, 8)))
    assert times(coarse) == ([(0, 6)], [])
    assert times(fine) == ([(0, 2), (3, 5)], [(2, 3), (5, 6)])


def three_steps(read: str, rate: str) -> System:
    return bare(rows=8, columns=8, dac_bits=1, read=read, converters=8, rate=rate)


def test_fractions_behind_reads() -> None:
    # Reads end at 2.5, 5 and 7.5; bursts of 1.25 take 2, as the last one does after them.
    coarse, fine = both(three_steps("2.5 ns", "0.8 GHz"), table((8, 8)), input_bits=3)
    assert times(coarse) == ([(0, 8)], [(8, 10)])
    assert times(fine) == ([(0, 3), (3, 5), (5, 8)], [(3, 5), (5, 7), (8, 10)])


def test_fractions_behind_bursts() -> None:
    # 1.5 + 3 x 2.5 = 9: the first read 2, the last burst 3, and 4 for the two before it.
    coarse, fine = both(three_steps("1.5 ns", "0.4 GHz"), table((8, 8)), input_bits=3)
    assert times(coarse) == ([(0, 2)], [(2, 6), (6, 9)])
    assert times(fine) == ([(0, 2), (2, 4), (4, 6)], [(2, 4), (4, 6), (6, 9)])


# What does not merge ----------------------------------------------------------------------------


def desk(*, arrays: int, converters: int, hold: bool, clock: str = "") -> System:
    """Arrays of 4 x 4 with as many converters in all; a read of 4 ns."""
    return chip(f"""
    part dac[{arrays}, 4]: dac {{ bits = 2 }}
    part array[{arrays}]: crossbar {{
        rows = 4, columns = 4, cell_bits = 4, encoding = signed_cell
        {clock}
        action read {{ latency = 4 ns }}
    }}
    {f"part hold[{arrays}]: sample_hold" if hold else ""}
    part adc[{converters}]: adc {{ rate = 1 GHz }}
    connect dac[*, *] -> array[*] -> {"hold[*] ->" if hold else ""} adc[*]
    """)


@pytest.mark.parametrize("shared", [
    {"arrays": 2, "converters": 1},
    {"arrays": 1, "converters": 1, "clock": "clock = 500 MHz"},
])  # fmt: skip
@pytest.mark.parametrize("hold", [True, False])
def test_what_others_may_come_between_is_never_merged(hold: bool, shared: dict[str, Any]) -> None:
    # A converter of two arrays, or an array that starts on the edges of a clock of its own.
    coarse, fine = both(desk(hold=hold, **shared), table((4, 4 * shared["arrays"], 3)))
    assert len(coarse.program.tasks.resource) == len(fine.program.tasks.resource)
    assert times(coarse) == times(fine)
    assert len(coarse.spans("array")) == shared["arrays"] * 3 * 2


# Any array --------------------------------------------------------------------------------------


NANOSECONDS = st.sampled_from(["0.3", "0.5", "1", "1.1", "1.5", "2", "2.75", "4", "7"])
RATES = st.sampled_from(["0.3", "0.4", "0.8", "1", "1.28", "2.5"])


@st.composite
def read_outs(draw: st.DrawFn) -> str:
    """Arrays of any groups, with or without holds, converters that are theirs or shared."""
    arrays = draw(st.integers(1, 3))
    columns = draw(st.sampled_from([4, 8]))
    hold = draw(st.booleans())
    each = draw(st.sampled_from([1, 2, 4]))
    converters, ends = draw(st.sampled_from([(f"{arrays}, {each}", "[*, *]"), ("1", "[*]")]))
    merged = draw(st.sampled_from(["digital", "analog"]))
    way = f"hold[*, *] -> adc{ends}" if hold else f"adc{ends}"
    return f"""
    part maps: buffer {{ size = 1 KiB, width = {draw(st.sampled_from([8, 32]))} bit }}
    part dac[{arrays}, 8]: dac {{ bits = {draw(st.integers(1, 4))} }}
    part array[{arrays}]: crossbar {{
        rows = 8, columns = {columns}, cell_bits = 4, encoding = signed_cell
        word_lines = {draw(st.sampled_from([1, 2, 3, 8]))}
        input_accumulation = {merged}
        action read {{ latency = {draw(NANOSECONDS)} ns, energy = 3 pJ }}
        action write {{ latency = 1 ns }}
    }}
    {f"part hold[{arrays}, {columns}]: sample_hold {{ power = 1 uW }}" if hold else ""}
    part adc[{converters}]: adc {{ rate = {draw(RATES)} GHz, power = 2 mW }}
    part sum: accumulator {{ power = 1 mW }}
    connect maps -> dac[*, *] -> array[*] -> {way} -> sum -> maps
    connect maps -> sum
    """


CONV = Draft(4, 3, 3)
CONV.conv("second", CONV.conv("first", "x", 6, 2), 5, 1)
NETWORKS = [table((8, 8, 3)), table((13, 9, 2), (9, 4, 3)), CONV.network()]


@settings(max_examples=40)
@given(read_outs(), st.sampled_from(NETWORKS), st.integers(1, 4), st.integers(1, 3))
@example(
    "part array: crossbar { rows = 8, columns = 8, word_lines = 3, cell_bits = 4,"
    " encoding = signed_cell }",
    NETWORKS[0], 4, 2,
)  # fmt: skip
def test_the_detail_changes_nothing_that_is_counted(
    text: str, network: Network, bits: int, batch: int
) -> None:
    system = chip(text)
    for schedule in ("layers", "pipeline") if network.has_geometry else ("layers",):
        coarse, fine = (
            simulate(
                system, network, weight_bits=bits, input_bits=bits, batch=batch,
                schedule=schedule, detail=detail,
            )
            for detail in ("mvm", "wordline")
        )  # fmt: skip
        assert_same_figures(coarse, fine)


def test_the_detail_changes_nothing_among_buffers_sums_and_units() -> None:
    draft = Draft(4, 4, 4)
    draft.relu("relu", draft.conv("conv", "x", 8, 3, padding=1))
    for schedule in ("layers", "pipeline"):
        coarse, fine = (
            simulate(
                round_trip(arrays=5), draft.network(), weight_bits=4, input_bits=4,
                schedule=schedule, detail=detail, batch=2,
            )
            for detail in ("mvm", "wordline")
        )  # fmt: skip
        assert_same_figures(coarse, fine)


def test_a_burst_takes_what_its_turns_take() -> None:
    # 7 columns on 2 converters: 4 turns at 0.8 GHz are 5 cycles of 1 GHz, whichever the detail.
    system = bare(rows=8, columns=8, read="1 ns", converters=2, rate="0.8 GHz", hold=False)
    coarse, fine = both(system, table((8, 7)))
    assert coarse.cycles == 1 + Fraction(4, 1) / Fraction(4, 5) == 6
    assert times(fine) == ([(0, 1)], [(1, 6)])
