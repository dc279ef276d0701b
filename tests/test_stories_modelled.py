"""Chips that state a node and no cost: every joule of a run comes from a cost model."""

from __future__ import annotations

import pytest

import cimarch
from chips import chip, table
from cimarch.hardware.system import System
from cimarch.report.columns import to_rows

PJ = 10**12


def modelled(device: str, *, settings: str = "node = 28 nm", pulses: int = 1) -> System:
    """Maps -> two arrays with converters -> an adder -> a unit -> maps, and memory off the chip."""
    return chip(f"""
    {settings}
    part memory: dram {{ standard = LPDDR4, width = 64 bit }}
    part maps: buffer {{ size = 8 KiB, width = 128 bit }}
    part wires: bus {{ width = 128 bit, length = 1 mm }}
    part dac[2, 64]: dac
    part array[2]: crossbar {{
        rows = 64
        columns = 64
        device = {device}
        pulses = {pulses}
        action read {{ latency = 10 ns }}
        action write {{ latency = 10 ns }}
    }}
    part hold[2, 64]: sample_hold
    part adc[2]: adc {{ bits = 6 }}
    part sum: shift_add
    part vector: unit {{ does = [any] }}
    connect memory <-> maps -> wires -> dac[*, *] -> array[*] -> hold[*, *] -> adc[*] -> sum
    connect sum -> wires -> vector -> maps
    """)


@pytest.mark.parametrize("device", ["ReRAM", "PCM", "SRAM", "FeFET"])
def test_a_chip_that_states_its_node_knows_every_joule(device: str) -> None:
    report = cimarch.simulate(modelled(device), table((64, 8, 4)), weights="cold")
    assert report.unpriced == ()
    assert report.joules is not None
    assert report.joules > 0
    stated = {row["part"] for row in to_rows(report.ledger) if row["origin"] == "stated"}
    assert stated == set()


def test_without_a_node_only_the_memory_off_the_chip_is_priced() -> None:
    report = cimarch.simulate(modelled("ReRAM", settings=""), table((64, 8, 4)))
    assert report.joules is None
    assert not any(name.startswith("memory") for name in report.unpriced)


def test_each_pulse_of_a_write_is_paid() -> None:
    network = table((64, 8))
    once, thrice = (
        joules(
            cimarch.simulate(modelled("ReRAM", pulses=p), network, weights="cold"),
            "array",
            "write",
        )
        for p in (1, 3)
    )
    # 64 rows of 8 weights of 8 cells, 0.6 pJ each
    assert once * PJ == pytest.approx(64 * 64 * 0.6)
    assert thrice == pytest.approx(3 * once)


def joules(report: cimarch.Report, part: str, action: str) -> float:
    """What the run spent on an action of a part."""
    rows = to_rows(report.ledger)
    found = [r["joules"] for r in rows if (r["part"], r["action"]) == (part, action)]
    return sum(j for j in found if isinstance(j, float))


def test_twice_the_voltage_takes_four_times_the_energy_of_wires() -> None:
    low, high = (
        joules(cimarch.simulate(modelled("SRAM", settings=s), table((64, 8))), "wires", "transfer")
        for s in ("node = 28 nm, voltage = 0.5 V", "node = 28 nm, voltage = 1 V")
    )
    assert high == pytest.approx(4 * low)


def test_a_clock_that_is_not_gated_costs_its_edges_while_registers_rest() -> None:
    """A unit of 16 bits, a lane and a stage at 40 nm: 16 edges of 7.94 fJ a cycle that it rests."""
    gated = modelled("ReRAM", settings="node = 40 nm")
    running = modelled("ReRAM", settings="node = 40 nm, clock_gating = false")
    assert not any("idle_power" in part.estimates for part in gated.walk())
    drawn = float(running.part("vector").estimates["idle_power"].quantity.value)
    assert drawn == pytest.approx(16 * 7.936518e-15 * float(running.clock), rel=1e-9)
    network = table((64, 64))
    for system in (gated, running):
        report = cimarch.simulate(system, network)
        idle = [row for row in to_rows(report.ledger) if row["action"] == "idle"]
        assert bool(idle) == (system is running)
        for row in idle:
            assert row["origin"] == "model clocked registers"
            assert cimarch.explain(report, f"ledger[{row['part']}.idle].joules").numbers
