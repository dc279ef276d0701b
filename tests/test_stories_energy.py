"""What things cost: counted actions times stated prices, and null where nobody states one."""

from __future__ import annotations

import math

import pytest

from chips import chip, round_trip, run, table
from cimarch import simulate
from cimarch.hardware.system import System
from cimarch.report.report import Report
from cimarch.workload.network import Network

PRICED = """
    part dac[8]: dac {{ bits = 1, action convert {{ energy = {dac} }} }}
    part array: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 1 ns, energy = {read} }}
        action write {{ latency = 1 ns, energy = 5 pJ }}
    }}
    part adc: adc {{ rate = 1 GHz, {adc} }}
    {more}
    connect dac[*] -> array -> adc
"""
TEN = table((8, 6, 10))
"""8 x 6 weights, 10 products; at 4-bit inputs 4 steps: 40 reads, 320 dac steps, 240 conversions."""


def priced(
    *, dac: str = "0.1 pJ", read: str = "2 pJ", adc: str = "action convert { energy = 3 pJ }",
    more: str = "",
) -> System:  # fmt: skip
    return chip(PRICED.format(dac=dac, read=read, adc=adc, more=more))


def report(system: System, network: Network = TEN, **options: object) -> Report:
    return simulate(system, network, weight_bits=4, input_bits=4, **options)  # type: ignore[arg-type]


def test_each_action_is_counted_and_priced() -> None:
    done = run(priced(), TEN)
    assert done.count("array", "read") == 40
    assert done.count("dac", "convert") == 320
    assert done.count("adc", "convert") == 240
    assert done.joules("array", "read") == pytest.approx(80e-12)
    assert done.joules("dac", "convert") == pytest.approx(32e-12)
    assert done.joules("adc", "convert") == pytest.approx(720e-12)


def test_the_joules_of_a_run_are_the_sum_of_its_ledger_and_of_its_parts() -> None:
    found = report(priced(), table((8, 6, 10), (6, 3, 2)))
    assert found.joules == pytest.approx(math.fsum(found.ledger["joules"].tolist()))
    assert found.joules == pytest.approx(math.fsum(found.parts["joules"].tolist()))
    assert found.joules == pytest.approx(math.fsum(found.layers["joules"].tolist()))


def test_one_layer_costs_80_and_32_and_720_picojoules() -> None:
    assert report(priced()).joules == pytest.approx(832e-12)


def test_energy_is_additive_over_a_batch() -> None:
    once, twice = report(priced()).joules, report(priced(), batch=2).joules
    assert once is not None
    assert twice == pytest.approx(2 * once)


def test_writing_is_paid_where_the_run_writes() -> None:
    # 8 rows of 5 pJ, once in a cold run; apart in a preloaded one.
    warm, cold = report(priced()), report(priced(), weights="cold")
    assert warm.load_joules == pytest.approx(40e-12)
    assert warm.joules is not None
    assert cold.joules == pytest.approx(warm.joules + 40e-12)


def test_a_formula_over_active_rows_and_columns_is_evaluated_per_read() -> None:
    # 8 active rows x 6 active columns x 1 pJ, 40 reads: 1,920 pJ.
    done = run(priced(read="1 pJ * active_rows * active_columns"), TEN)
    assert done.joules("array", "read") == pytest.approx(1920e-12)


def test_leakage_is_paid_for_every_instance_and_the_whole_time() -> None:
    # 3 idle blocks of 2 mW. Each of 40 reads is followed by 6 conversions: 280 cycles of 1 ns.
    # 3 x 2 mW x 280 ns = 1.68 nJ.
    done = run(priced(more="part idle[3]: block { leakage = 2 mW }"), TEN)
    assert done.cycles == 280
    assert done.joules("idle", "leakage") == pytest.approx(1.68e-9)


def test_a_part_with_only_a_power_pays_it_while_busy() -> None:
    # 240 conversions at 1 GHz keep the converter busy for 240 ns: 4 mW x 240 ns = 960 pJ.
    done = run(priced(adc="power = 4 mW"), TEN)
    (entry,) = [e for e in done.entries if e.part == "adc"]
    assert (entry.count, entry.origin) == (240, "from power")
    assert entry.joules == pytest.approx(960e-12)


def test_a_part_with_an_energy_never_pays_its_power_too() -> None:
    done = run(priced(adc="power = 4 mW, action convert { energy = 3 pJ }"), TEN)
    (entry,) = [e for e in done.entries if e.part == "adc"]
    assert entry.origin == "stated"
    assert entry.joules == pytest.approx(720e-12)


def test_without_a_price_joules_and_what_follows_from_them_are_unknown() -> None:
    found = report(priced(adc=""))
    assert found.joules is None
    assert found.tops_per_watt is None
    assert found.unpriced == ("adc.convert",)
    # what is known stays known
    assert found.known_joules == pytest.approx(112e-12)


def test_an_action_that_never_happens_needs_no_price() -> None:
    # maps, the adder and the unit state no energy; only what the run did is missing
    found = report(round_trip(), table((8, 8, 3)))
    assert found.joules is None
    assert found.unpriced == ("maps.read", "maps.write", "array.read")


def test_tops_per_watt_counts_two_operations_a_multiply_accumulate() -> None:
    # 8 x 6 x 10 = 480 MACs for 832 pJ: 960 / 832 operations a picojoule.
    assert report(priced()).tops_per_watt == pytest.approx(960 / 832)


def test_buffer_words_are_rounded_up_per_transfer() -> None:
    # A vector of 8 x 4 bits is one 32-bit word from maps; its 8 results of 4 bits one word back.
    done = run(round_trip(), table((8, 8, 3)))
    assert done.count("maps", "read") == 3
    assert done.count("maps", "write") == 3
