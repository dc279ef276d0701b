"""Back-to-back full-size products by the event engine, and the closed form that they confirm."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings

import cimarch
from chips import bare, chip
from cimarch.explore.products import (
    BackToBack,
    full_products,
    operations_per_joule,
    operations_per_second,
)
from cimarch.explore.validating.throughput import bundled_chips, throughputs
from cimarch.hardware.rollup import peak
from cimarch.hardware.system import System


def only(system: System, weight_bits: int = 4, input_bits: int = 4) -> BackToBack:
    """The products of a system with one kind of cluster."""
    (found,) = full_products(system, weight_bits, input_bits)
    return found


# One array -----------------------------------------------------------------------------------


def test_a_held_array_is_read_while_it_is_converted() -> None:
    # 256 lines on 64 converters: 4 turns of 1 ns behind a read of 1 ns. One step.
    found = only(bare())
    assert (found.interval, found.alone) == (4, 5)
    assert found.operations == 2 * 256 * 256
    assert found.rate == 2 * 256 * 256 * Fraction(10**9, 4)


def test_without_a_hold_a_read_waits_for_the_conversions() -> None:
    found = only(bare(hold=False))
    assert (found.interval, found.alone, found.fill) == (5, 5, 0)


def test_four_input_steps_take_four_reads() -> None:
    # One-bit dacs and a read of 10 ns, longer than its 4 turns; the last burst is the fill.
    found = only(bare(dac_bits=1, read="10 ns"))
    assert (found.interval, found.alone, found.fill) == (40, 44, 4)


def test_half_the_word_lines_take_twice_the_reads() -> None:
    found = only(bare("word_lines = 128", read="10 ns"))
    assert found.interval == 20


def test_steps_that_add_in_analog_are_converted_once() -> None:
    # 4 reads of 1 ns beside 4 turns of 1 ns: a product every 4 ns, not every 16.
    found = only(bare("input_accumulation = analog", dac_bits=1))
    assert found.interval == 4


def test_slices_that_merge_in_analog_are_one_line() -> None:
    # 8-bit weights in two cells of 4 bits: 128 weights, 128 lines, 2 turns.
    found = only(bare("slice_merge = analog"), weight_bits=8)
    assert found.operations == 2 * 256 * 128
    assert found.interval == 2 * 1


def test_a_weight_that_does_not_fit_is_told() -> None:
    with pytest.raises(cimarch.DescriptionError, match="takes 16 columns"):
        only(bare(columns=8), weight_bits=64)


# Arrays that share converters -------------------------------------------------------------------


def sharing(arrays: int, *, hold: bool = True, read: str = "10 ns", array: str = "") -> System:
    """Arrays of 8 x 8 signed 4-bit cells on one converter of a conversion a nanosecond."""
    holds = f"part hold[{arrays}, 8]: sample_hold" if hold else ""
    way = "array[*] -> hold[*, *] -> adc" if hold else "array[*] -> adc"
    return chip(f"""
    part array[{arrays}]: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = {read} }}
        {array}
    }}
    {holds}
    part adc: adc {{ rate = 1 GHz }}
    connect {way}
    """)


@pytest.mark.parametrize(
    ("arrays", "hold", "interval"),
    [
        (1, True, 10),  # the read
        (2, True, 16),  # two bursts of 8
        (2, False, 18),  # a read and a burst; the other array's burst fits beside the read
        (3, False, 24),  # three bursts
    ],
)
def test_arrays_take_turns_on_a_converter(arrays: int, hold: bool, interval: int) -> None:
    system = sharing(arrays, hold=hold)
    found = only(system)
    assert len(found.cluster.arrays) == arrays
    assert found.interval == interval
    assert peak(system, 4, 4).operations == found.rate == arrays * 128 * 10**9 / Fraction(interval)


def test_two_halves_of_a_line_are_converted_by_both_arrays() -> None:
    # Differential pairs on two arrays, 8 lines that meet: 4 turns on each array's converter.
    system = chip("""
    part array[2]: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = differential
        pair = array
        subtract = analog
        action read { latency = 1 ns }
    }
    part adc[2]: adc { rate = 1 GHz }
    connect array[*] -> adc[*]
    """)
    found = only(system)
    assert found.operations == 128 / Fraction(2)
    assert found.interval == 1 + 4
    assert peak(system, 4, 4).operations == found.rate == Fraction(128 * 10**9, 5)


def test_arrays_on_a_switched_pool_of_converters_take_turns_on_all_of_it() -> None:
    # 4 arrays on any of 2 converters: a burst takes both for 4 turns; 4 bursts are 16 ns.
    system = chip("""
    part array[4]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                              action read { latency = 2 ns } }
    part adc[2]: adc { rate = 1 GHz }
    connect array[*] -> adc[*] { share = any }
    """)
    found = only(system)
    assert (len(found.cluster.arrays), found.cluster.times, found.interval) == (4, 1, 16)
    assert peak(system, 4, 4).operations == found.rate


def test_each_kind_of_cluster_is_run_where_links_pick_members() -> None:
    # Two arrays share a converter (16 ns a product), two have one each (2 + 8 ns).
    system = chip("""
    part array[4]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                              action read { latency = 2 ns } }
    part adc[3]: adc { rate = 1 GHz }
    connect array[0..1] -> adc[0]
    connect array[2..3] -> adc[1..2]
    """)
    shared, apart = full_products(system, 4, 4)
    assert (shared.cluster.arrays, shared.cluster.times, shared.interval) == ((0, 1), 1, 16)
    assert (apart.cluster.arrays, apart.cluster.times, apart.interval) == ((2,), 2, 10)
    rate = 2 * 128 * (Fraction(1, 16) + Fraction(1, 10)) * 10**9
    assert operations_per_second((shared, apart)) == rate


def test_a_product_begins_on_the_beat() -> None:
    # 2 ns of reading and 8 of converting, in beats of 4 ns: 12.
    system = chip("""
    beat = 4 ns
    part array: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                           action read { latency = 2 ns } }
    part adc: adc { rate = 1 GHz }
    connect array -> adc
    """)
    assert only(system).interval == 12


def test_a_converter_begins_on_its_own_clock() -> None:
    # A burst of 8 begins every 3 ns only: behind the read at 2 it begins at 3, and ends at 11.
    system = chip("""
    part array: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                           action read { latency = 2 ns } }
    part adc: adc { rate = 1 GHz, clock = 1 GHz / 3 }
    connect array -> adc
    """)
    found = only(system)
    # Then the next read ends at 13, its burst begins at 15: every 12.
    assert (found.alone, found.interval) == (11, 12)


def test_products_of_every_pool_add_up() -> None:
    system = chip("""
    part dense[4]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                              action read { latency = 2 ns } }
    part fast: digital_array { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                               action read { latency = 1 ns } }
    """)
    assert operations_per_second(full_products(system, 4, 4)) == 128 * 10**9 * (4 // 2 + 1)
    assert peak(system, 4, 4).operations == 128 * 10**9 * 3


# Energy -----------------------------------------------------------------------------------------


def test_a_product_is_charged_what_a_run_would_pay() -> None:
    # 2 steps of 2 bits: 2 reads of 10 pJ, 2 x 8 inputs of 1 pJ, 2 x 8 conversions of 2 pJ: 68 pJ.
    system = chip("""
    part dac[8]: dac { bits = 2, action convert { energy = 1 pJ } }
    part array: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
                           action read { latency = 1 ns, energy = 10 pJ } }
    part adc[8]: adc { rate = 1 GHz, action convert { energy = 2 pJ } }
    connect dac[*] -> array -> adc[*]
    """)
    found = only(system)
    assert found.joules == Fraction(68, 10**12)
    assert operations_per_joule((found,)) == Fraction(128 * 10**12, 68)


def test_costs_read_the_densities_of_the_chip() -> None:
    # A read of 8 ns x 0.25 and of 64 pJ x 0.25 x 0.5; nothing is converted.
    system = chip("""
    input_density = 0.25
    part array: digital_array { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
        action read { latency = 8 ns * input_density
                      energy = 64 pJ * input_density * weight_density } }
    """)
    found = only(system)
    assert (found.interval, found.joules) == (2, Fraction(8, 10**12))
    assert peak(system, 4, 4).operations == found.rate


def test_an_action_without_a_price_leaves_the_efficiency_open() -> None:
    found = only(bare())
    assert found.joules is None
    assert operations_per_joule((found,)) is None
    assert "array.read" in found.unpriced


# The closed form --------------------------------------------------------------------------------


def test_every_pool_of_a_chip_is_shown_by_both_ways() -> None:
    four, eight = throughputs("two_pools")
    assert (four.pool, eight.pool) == ("tile.four.array", "tile.eight.array")
    assert four.closed == four.events
    assert four.difference == 0


@pytest.mark.parametrize("name", bundled_chips())
def test_the_closed_form_of_a_bundled_chip_is_what_its_products_take(name: str) -> None:
    system = cimarch.load(name)
    exact, run = peak(system).operations, operations_per_second(full_products(system))
    assert exact is not None
    assert run == pytest.approx(exact, rel=0.01)


WHOLE = st.sampled_from(["1 ns", "2 ns", "7 ns", "31 ns"])
BROKEN = st.sampled_from(["0.3 ns", "1 ns", "2.5 ns", "7.1 ns", "31 ns"])


@st.composite
def systems(draw: st.DrawFn, times: st.SearchStrategy[str]) -> System:
    """A pool of arrays behind dacs, on converters of their own or shared ones."""
    arrays = draw(st.sampled_from([1, 2, 4, 6]))
    converters = draw(
        st.sampled_from([n for n in (1, 2, 4, 6, 12) if n % arrays * (arrays % n) == 0])
    )
    rows = draw(st.integers(2, 20))
    encoding = draw(
        st.sampled_from(["offset", "offset_column", "flipped", "differential", "twos_complement",
                         "signed_cell"])
    )  # fmt: skip
    hold = draw(st.booleans())
    digital = draw(st.booleans()) and not hold
    pair = draw(st.sampled_from(["column", "row", "array"])) if encoding == "differential" else None
    assume(pair != "array" or arrays % 2 == 0)
    lines = [
        f"rows = {rows}",
        f"columns = {draw(st.integers(12, 40))}",
        f"word_lines = {draw(st.integers(2, rows))}",
        f"cell_bits = {draw(st.integers(1, 4))}",
        f"encoding = {encoding}",
        f"inputs = {draw(st.sampled_from(['unsigned', 'sign_magnitude']))}",
        f"packing = {draw(st.sampled_from(['whole', 'straddle']))}",
        f"action read {{ latency = {draw(times)} }}",
    ]
    if pair is not None:
        lines += [f"pair = {pair}", f"subtract = {draw(st.sampled_from(['analog', 'digital']))}"]
    if not digital:
        lines += [
            f"input_accumulation = {draw(st.sampled_from(['analog', 'digital']))}",
            f"slice_merge = {draw(st.sampled_from(['analog', 'digital', 'digital']))}",
        ]
    kind = "digital_array" if digital else "crossbar"
    parts = [
        f"part dac[{arrays}, {rows}]: dac {{ bits = {draw(st.integers(1, 3))} }}",
        f"part array[{arrays}]: {kind} {{\n" + "\n".join(lines) + "\n}",
    ]
    way = ["dac[*, *]", "array[*]"]
    if hold:
        parts.append(f"part hold[{arrays}]: sample_hold")
        way.append("hold[*]")
    if not digital:
        mux = draw(st.sampled_from(["adjacent", "interleaved"]))
        parts.append(f"part adc[{converters}]: adc {{ rate = 1 / {draw(times)}, mux = {mux} }}")
        way.append("adc[*]")
    return chip("\n".join([*parts, "connect " + " -> ".join(way)]))


def expected(system: System, found: BackToBack, weight_bits: int, input_bits: int) -> Fraction:
    """Cycles from product to product by the closed form."""
    exact = peak(system, weight_bits, input_bits).operations
    assert exact
    arrays = len(found.cluster.arrays) * found.cluster.times
    return arrays * found.operations * found.clock / exact


@settings(max_examples=80, deadline=None)
@given(systems(WHOLE), st.integers(1, 6), st.integers(1, 6))
def test_in_whole_cycles_products_take_what_the_closed_form_says(
    system: System, weight_bits: int, input_bits: int
) -> None:
    found = only(system, weight_bits, input_bits)
    assert found.interval == expected(system, found, weight_bits, input_bits)
    assert 0 <= found.fill <= 2 * found.interval


@settings(max_examples=60, deadline=None)
@given(systems(BROKEN), st.integers(1, 6), st.integers(1, 6))
def test_else_each_read_and_each_burst_is_rounded_to_a_cycle(
    system: System, weight_bits: int, input_bits: int
) -> None:
    found = only(system, weight_bits, input_bits)
    wanted = expected(system, found, weight_bits, input_bits)
    tasks = 2 * 12 * 20 * len(found.cluster.arrays)  # steps of at most 6 bits, groups of 20 rows
    assert wanted - 1 <= found.interval <= wanted + tasks
