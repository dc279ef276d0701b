"""The silicon chips: what their papers print follows from few numbers, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import cimarch
from cimarch.explore.products import BackToBack, full_products, operations_per_joule
from cimarch.hardware.rollup import peak, total
from cimarch.hardware.system import System
from cimarch.workload.network import Network

ROOT = Path(__file__).resolve().parent.parent
CHIPS = ("neurram", "jia_2020", "colonnade", "tsmc_22nm")


def only(
    system: System, weight_bits: int | None = None, input_bits: int | None = None
) -> BackToBack:
    """Full products of a system with one kind of array."""
    (found,) = full_products(system, weight_bits, input_bits)
    return found


def tera(rate: Fraction | None) -> float:
    assert rate is not None
    return float(rate) / 1e12


def spent(found: BackToBack) -> dict[str, Fraction]:
    """Joules of one product by part."""
    return {c.part.rpartition(".")[2]: c.joules or Fraction(0) for c in found.charges[0]}


# NeuRRAM --------------------------------------------------------------------------------------

PHASES = {
    # (output bits, input bits, phases): microseconds of a product, at 0.3 us each
    (3, 1, 1): 1 + 3 + 1,
    (6, 4, 1): 7 + 6 + 1,
    (8, 6, 1): 31 + 8 + 1,
    (7, 5, 2): (3 + 3) + (7 + 5) + 2,
    (8, 6, 2): (7 + 3) + (8 + 5) + 2,
    (10, 8, 2): (15 + 7) + (10 + 6) + 2,
}
"""Integrations, decisions of the converter, and phases."""


def neurram(output_bits: int, input_bits: int, phases: int | None = None) -> System:
    settings = {"output_bits": output_bits, "input_bits": input_bits}
    if phases is not None:
        settings["phases"] = phases
    return cimarch.load("neurram", set=settings)


@pytest.mark.parametrize(("setting", "steps"), PHASES.items(), ids=str)
def test_a_neuron_integrates_and_decides_in_steps(
    setting: tuple[int, int, int], steps: int
) -> None:
    assert only(neurram(*setting)).alone == steps * 30  # cycles of 10 ns


def test_two_phases_are_taken_above_three_magnitude_bits() -> None:
    assert neurram(6, 4).root.integer("phases") == 1
    assert neurram(7, 5).root.integer("phases") == 2


def test_a_core_of_neurram_does_65536_operations_a_product() -> None:
    found = only(neurram(10, 8))
    assert found.operations == 2 * 128 * 256  # a weight takes two rows
    assert tera(found.rate) == pytest.approx(48 * 65_536 / 12e-6 / 1e12)


def test_the_energy_of_a_product_has_the_three_parts_of_the_figure() -> None:
    # 8 bits in: 7 beside the sign, in phases of 4 and 3: 15 + 7 integrations, 10 + 6 decisions
    joules = spent(only(neurram(10, 8)))
    assert joules["drive"] == 256 * 7 * Fraction("2.05e-12")
    assert joules["cells"] == 256 * 256 * 7 * Fraction("3.683e-15")
    neuron = 7 * Fraction("1.043") + 22 * Fraction("0.180") + 16 * Fraction("0.489")
    assert joules["neuron"] == 256 * neuron / 10**12
    assert joules["merge"] == 0


FIGURE_12B = {
    # (output bits, input bits): fJ an operation of word lines, neurons, input pulses, as digitised
    (3, 1): (8.99015248, 10.6186848, 3.446220545),
    (4, 2): (8.270951256, 12.38674172, 3.955661604),
    (5, 3): (15.46307324, 20.11826462, 7.73153662),
    (6, 4): (21.75617998, 29.1084171, 11.50740478),
    (7, 5): (30.92613276, 44.21188287, 14.0246365),
    (8, 6): (37.2192395, 52.48282041, 19.23892768),
    (9, 7): (43.69214654, 61.83258722, 22.83498524),
    (10, 8): (50.52466791, 75.85721686, 27.50986693),
}
"""W. Wan et al., Nature 608 (2022), Fig. 12 (b), digitised by CiMLoop's authors."""
SPREAD = {"drive": 0.11, "neuron": 0.02, "cells": 0.07}


@pytest.mark.parametrize(("bits", "published"), FIGURE_12B.items(), ids=str)
def test_five_energies_say_what_every_part_spends_at_every_precision(
    bits: tuple[int, int], published: tuple[float, float, float]
) -> None:
    joules = spent(only(neurram(*bits)))
    for (part, spread), femto in zip(SPREAD.items(), published, strict=True):
        found = float(joules[part] * 10**15) / 65_536
        assert found == pytest.approx(femto, rel=spread)


def test_a_core_has_the_area_of_its_parts() -> None:
    system = cimarch.load("neurram")
    core = system.part("core")
    assert float(total(core, "area") / core.count) * 1e12 == pytest.approx(256 * 1270 / 0.28)
    neurons = system.part("core.neuron")
    assert neurons.area * 256 / (total(core, "area") / core.count) == Fraction(28, 100)


# Jia 2020 -------------------------------------------------------------------------------------


def test_54_cycles_of_25_ns_make_0_874_tops() -> None:
    found = only(cimarch.load("jia_2020"))
    assert (found.alone, found.interval, found.clock) == (54, 54, 40 * 10**6)
    assert found.rate == Fraction(2 * 2304 * 256, 54) * 40 * 10**6


def test_the_clock_follows_the_voltage() -> None:
    high = cimarch.load("jia_2020:Jia120")
    assert float(high.clock) == pytest.approx(40e6 * (1.2 / 0.85) ** 2.66)
    assert tera(only(high).rate) == pytest.approx(2.185, rel=1e-3)
    assert cimarch.load("jia_2020:Jia085").clock == cimarch.load("jia_2020").clock


def test_a_bit_of_the_input_takes_54_cycles_and_a_bit_of_the_weight_a_column() -> None:
    system = cimarch.load("jia_2020")
    for bits in (1, 2, 4, 8):
        assert only(system, 1, bits).alone == 54 * bits
        assert only(system, bits, 1).operations == 2 * 2304 * (256 // bits)


@pytest.mark.parametrize(
    ("name", "adc", "cim", "nmc", "published"),
    [("jia_2020", "1.79", "9.7", "8.3", 400), ("jia_2020:Jia120", "3.56", "20.4", "14.7", 192)],
)
def test_the_published_efficiency_is_that_of_array_and_converters(
    name: str, adc: str, cim: str, nmc: str, published: float
) -> None:
    whole = operations_per_joule(full_products(cimarch.load(name)))
    column = Fraction(adc) + Fraction(cim) + Fraction(nmc)
    assert whole == 2 * 2304 * 10**12 / column
    alone = cimarch.load(name, set={"cimu.nmc.add.energy": "0 pJ"})
    found = operations_per_joule(full_products(alone))
    assert found == 2 * 2304 * 10**12 / (column - Fraction(nmc))
    assert tera(found) == pytest.approx(published, rel=0.005)


def test_between_the_measured_voltages_energies_lie_on_a_line() -> None:
    joules = spent(only(cimarch.load("jia_2020", set={"voltage": "1.025 V"})))
    assert joules["adc"] == 256 * (Fraction("1.79e-12") + Fraction("3.56e-12")) / 2


# Colonnade ------------------------------------------------------------------------------------

REGISTERS = (1, 2, 4, 8, 16)
FIGURE_15A = {
    1: (75.07, 138.51, 243.93, 391.42, 563.50), 2: (32.50, 60.42, 104.77, 168.13, 238.32),
    3: (18.31, 34.04, 59.03, 92.55, 127.18), 4: (12.52, 23.10, 39.45, 60.42, 83.03),
    5: (9.11, 16.43, 28.05, 42.96, 58.12), 6: (6.73, 12.33, 20.41, 31.26, 41.65),
    7: (5.81, 10.24, 17.21, 25.75, 34.84), 8: (4.43, 7.92, 13.32, 19.48, 25.75),
    9: (3.91, 6.95, 11.41, 16.81, 22.23), 10: (3.08, 5.38, 8.77, 12.72, 16.68),
    11: (2.76, 4.79, 7.99, 11.50, 14.51), 12: (2.14, 3.74, 6.09, 8.56, 11.06),
    13: (1.99, 3.48, 5.46, 7.62, 9.77), 14: (1.82, 3.13, 4.94, 6.95, 8.90),
    15: (1.43, 2.42, 3.79, 5.25, 6.63), 16: (1.34, 2.26, 3.51, 4.79, 5.99),
}  # fmt: skip
"""GOPS by bits of weights and inputs, a column for each number of registers: H. Kim et al., JSSC 56
(2021), Fig. 15 (a), digitised by CiMLoop's authors."""


def colonnade() -> Iterator[tuple[int, System]]:
    for registers in REGISTERS:
        yield registers, cimarch.load("colonnade", set={"macro.registers": registers})


def test_a_critical_path_is_counted_in_adders() -> None:
    # 8 bits and 7 for the sum, 8 rows between registers, 2 for a register: 25 x 0.4 ns, 8 steps
    assert only(cimarch.load("colonnade")).alone == 8 * 25
    assert only(cimarch.load("colonnade", set={"macro.registers": 1})).alone == 8 * (15 + 128 + 2)


def test_a_weight_takes_seven_columns_more_than_its_bits() -> None:
    system = cimarch.load("colonnade")
    for bits, weights in ((1, 16), (2, 14), (8, 8), (14, 6), (15, 5), (16, 5)):
        assert only(system, bits, 1).operations == 2 * 128 * weights == 256 * (128 // (bits + 7))


def test_the_critical_path_gives_every_published_throughput() -> None:
    for place, (_, system) in enumerate(colonnade()):
        for bits, published in FIGURE_15A.items():
            found = peak(system, bits, bits).operations
            assert found is not None
            assert float(found) / 1e9 == pytest.approx(published[place], rel=0.025)
    first, *_, last = (system for _, system in colonnade())
    for system, published in ((first, 75.07), (last, 563.5)):
        assert tera(only(system, 1, 1).rate) == pytest.approx(published / 1000, rel=0.012)


def test_without_pipelining_a_bit_waits_for_all_registers() -> None:
    for registers, system in colonnade():
        slow = cimarch.load(
            "colonnade", set={"macro.registers": registers, "macro.pipelined": False}
        )
        assert only(slow).alone == (registers + 1) * only(system).alone


def test_the_cells_of_the_whole_array_switch_for_a_bit_of_its_inputs() -> None:
    # 128 x 128 cells of 9.18 fJ, 28.8 % of it in the drivers, for 16 or for 5 weights a row
    system = cimarch.load("colonnade")
    for bits in (1, 16):
        joules = spent(only(system, bits, 1))
        assert joules["array"] + joules["drive"] == 128 * 128 * Fraction("9.18e-15")
        assert joules["drive"] == 128 * 128 * Fraction("9.18e-15") * Fraction(288, 1000)


def test_voltages_are_systems_of_their_own() -> None:
    cells = {
        name: sum(spent(only(cimarch.load(f"colonnade:{name}"), 1, 1)).values()) / 128**2
        for name in ("Colonnade06", "Colonnade07", "Colonnade")
    }
    assert [str(c) for c in cells.values()] == [
        str(Fraction(femto) / 10**15) for femto in ("2.303", "5.811", "9.18")
    ]


# TSMC, 22 nm ----------------------------------------------------------------------------------


def test_256_inputs_and_64_outputs_take_four_cycles() -> None:
    found = only(cimarch.load("tsmc_22nm"))
    assert (found.alone, found.operations) == (4, 2 * 256 * 64)
    assert operations_per_joule((found,)) == 89 * 10**12
    assert tera(found.rate) == pytest.approx(3.3, rel=1e-3)


def test_twice_the_bits_are_half_the_weights_in_twice_the_cycles() -> None:
    found = only(cimarch.load("tsmc_22nm"), 8, 8)
    assert (found.alone, found.operations) == (8, 2 * 256 * 32)
    assert operations_per_joule((found,)) == Fraction(89 * 10**12, 4)


# All of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHIPS)
def test_networks_run_with_every_joule_known(name: str) -> None:
    rows = [{"kind": "linear", "outputs": 40, "inputs": 300, "invocations": 3}]
    report = cimarch.simulate(cimarch.load(name), Network.from_table(rows))
    assert (report.joules or 0) > 0
    assert not any("no way out" in line for line in report.assumed)


@pytest.mark.parametrize("name", CHIPS)
def test_what_stands_around_a_macro_is_no_part_of_what_is_published(name: str) -> None:
    system = cimarch.load(name)
    around = [system.part(path) for path in ("maps", "vector", "sum")]
    assert all("area" in part.estimates for part in around)
    macro = next(p for p in system.root.walk() if p.path in ("core", "cimu", "macro"))
    assert not any("area" in part.estimates for part in macro.walk())


def test_digital_arrays_need_no_converter() -> None:
    rows = [{"kind": "linear", "outputs": 8, "inputs": 8}]
    report = cimarch.simulate(cimarch.load("tsmc_22nm"), Network.from_table(rows))
    assert not any("no adc" in line for line in report.assumed)
