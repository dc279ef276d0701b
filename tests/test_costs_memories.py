"""What memories, arrays, wires and routers cost that state no cost: published points and rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimarch
from cimarch.hardware.costs.buffers import price
from cimarch.hardware.costs.memory_table import KB, TABLE
from cimarch.hardware.costs.technology import reference
from cimarch.hardware.system import Part, System
from worked import worked

PJ, MW, MM2 = 10**12, 10**3, 10**6


def chip(parts: str, settings: str = "node = 32 nm") -> System:
    """A system that states its node, with some parts."""
    names = "buffer, bus, crossbar, digital_array, dram, htree, link, mesh"
    inside = f"clock = 1 GHz\n{settings}\n{parts}\npart spare: crossbar"
    return cimarch.loads(
        f"from std import {names}\nsystem Chip {{\n{inside}\n}}", file="chip.cimarch"
    )


def part(parts: str, settings: str = "node = 32 nm") -> Part:
    """The part named `it`."""
    return chip(parts, settings).part("it")


def energy(it: Part, action: str, **running: Fraction) -> float:
    """Joules of one action."""
    found = it.actions[action].energy
    assert found is not None
    return float(found.at(running or None))


@pytest.mark.parametrize(("node", "transistors"), list(TABLE))
def test_every_point_of_the_table_is_met(node: int, transistors: str) -> None:
    to = reference(node, transistors, temperature=360)
    for p in TABLE[node, transistors]:
        assert price("read", p.size, p.width, to) * PJ == pytest.approx(p.read)
        assert price("write", p.size, p.width, to) * PJ == pytest.approx(p.write)
        assert price("leakage", p.size, p.width, to) * MW == pytest.approx(p.leakage)
        if p.area is not None:
            assert price("area", p.size, p.width, to) * MM2 == pytest.approx(p.area)


def test_a_buffer_of_64_kib_at_32_nanometres_costs_what_cacti_says() -> None:
    it = part(
        "part it: buffer { size = 64 KiB, width = 256 bit }",
        "node = 32 nm, temperature = 360 K",
    )
    assert energy(it, "read") * PJ == pytest.approx(14.3)
    assert energy(it, "write") * PJ == pytest.approx(13.9)
    assert float(it.leakage) * MW == pytest.approx(8.28)
    assert float(it.area) * MM2 == pytest.approx(0.159)


def test_at_300_kelvin_a_buffer_leaks_as_its_transistors_do() -> None:
    # 32 nm LOP: 59.4 nA at 300 K, 165 nA at 360 K
    it = part("part it: buffer { size = 64 KiB, width = 256 bit }")
    assert float(it.leakage) * MW == pytest.approx(8.28 * 59.4 / 165)


@settings(max_examples=60)
@given(
    st.floats(KB / 4, 4096 * KB),
    st.floats(KB / 4, 4096 * KB),
    st.floats(16, 512),
    st.floats(16, 512),
    st.floats(7, 180),
    st.sampled_from(["HP", "LOP"]),
)
def test_a_larger_or_wider_memory_takes_no_less(
    a: float, b: float, c: float, d: float, node: float, transistors: str
) -> None:
    to = reference(node, transistors)
    (small, large), (narrow, wide) = sorted((a, b)), sorted((c, d))
    for field in ("read", "write"):
        least = price(field, small, narrow, to)
        assert least <= price(field, large, narrow, to) * (1 + 1e-9)
        assert least <= price(field, small, wide, to) * (1 + 1e-9)
    assert price("leakage", small, narrow, to) <= price("leakage", large, narrow, to)
    assert price("area", small, narrow, to) <= price("area", large, wide, to)


def test_between_32_and_22_nanometres_the_node_is_interpolated() -> None:
    # 28 nm: ln(28 / 22) / ln(32 / 22) = 0.6436 of the way from 9.84 pJ to 14.3 pJ
    it = part("part it: buffer { size = 64 KiB, width = 256 bit }", "node = 28 nm")
    assert energy(it, "read") * PJ == pytest.approx(9.84 * (14.3 / 9.84) ** 0.64363, rel=1e-4)


def test_beyond_the_table_the_nearest_node_is_scaled() -> None:
    # 65 x 0.68 fF x (0.8 V)^2 over 32 x 0.511 fF x (0.6 V)^2
    it = part("part it: buffer { size = 64 KiB, width = 256 bit }", "node = 65 nm")
    ratio = 65 * 0.68 * 0.64 / (32 * 0.511 * 0.36)
    assert energy(it, "read") * PJ == pytest.approx(14.3 * ratio)
    assert float(it.area) * MM2 == pytest.approx(0.159 * (65 / 32) ** 2)


def test_a_higher_voltage_takes_its_square() -> None:
    it = part("part it: buffer { size = 64 KiB, width = 256 bit }", "node = 32 nm, voltage = 0.9 V")
    assert energy(it, "read") * PJ == pytest.approx(14.3 * 2.25)


def test_edram_is_the_one_point_of_cacti_and_writes_as_it_reads() -> None:
    it = part(
        "part it: buffer { size = 64 KiB, width = 256 bit, memory = eDRAM }",
        "node = 32 nm, temperature = 360 K",
    )
    assert energy(it, "read") * PJ == pytest.approx(23.6)
    assert energy(it, "write") * PJ == pytest.approx(23.6)
    assert float(it.leakage) * MW == pytest.approx(5.9)
    assert float(it.area) * MM2 == pytest.approx(0.095)


def test_registers_take_nine_femtojoules_a_bit_at_40_nanometres() -> None:
    it = part("part it: buffer { size = 32 B, width = 16 bit, memory = registers }", "node = 40 nm")
    assert energy(it, "read") * PJ == pytest.approx(16 * 0.009)
    assert float(it.area) * 10**12 == pytest.approx(256 * 5.98)


def test_a_number_that_is_stated_wins() -> None:
    it = part("part it: buffer { size = 64 KiB, width = 256 bit, action read { energy = 1 pJ } }")
    assert energy(it, "read") * PJ == pytest.approx(1)
    assert it.actions["read"].origin == "stated"
    assert it.actions["write"].origin == "model SRAM of CACTI"


def test_without_a_node_nothing_is_modelled() -> None:
    it = part("part it: buffer { size = 64 KiB, width = 256 bit }", "")
    assert it.actions["read"].energy is None
    assert it.area == it.leakage == 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("size = 128 B, width = 16 bit", "`size` 1024 bit is outside 256 B..4 MiB"),
        ("size = 64 KiB, width = 1024 bit", "`width` 1024 bit is outside 16 bit..512 bit"),
        ("size = 8 KiB, width = 8 bit, memory = registers", "above 4 KiB"),
    ],
)
def test_a_memory_outside_the_table_is_warned_about(settings: str, told: str) -> None:
    warnings = chip(f"part it: buffer {{ {settings} }}").warnings
    assert any(told in warning.headline for warning in warnings)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("size = 2 GiB", "no memory on a chip has 1 GiB"),
        ("size = 32 bit, width = 64 bit", "less than one word"),
        ("size = 1 KiB, node = 1 nm", "`node` is 1 nm, outside 2..1000 nm"),
        ("size = 1 KiB, voltage = 20 V", "`voltage` is 20 V, outside 0.1..10 V"),
        ("size = 1 KiB, temperature = 900 K", "`temperature` is 900 K, outside 1..600 K"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(settings: str, told: str) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        chip(f"part it: buffer {{ {settings} }}")
    assert caught.value.diagnostics[0].code == "E062"
    assert told in caught.value.diagnostics[0].headline


ONES = {"input_density": Fraction(1), "weight_density": Fraction(1)}


def read(it: Part, rows: int, columns: int, **densities: Fraction) -> float:
    running = {"active_rows": Fraction(rows), "active_columns": Fraction(columns)}
    return energy(it, "read", **{**running, **ONES, **densities})


RERAM = "rows = 128, columns = 128, device = ReRAM, action read { latency = 10 ns }"


def test_a_resistive_cell_takes_the_current_that_flows_while_it_is_read() -> None:
    # 0.4 V^2 / 1 Mohm x 10 ns = 1.6 fJ a cell, and the lines beside it
    it = part(f"part it: crossbar {{ {RERAM} }}")
    cells = 128 * 128 * 1.6e-15
    side = 53**0.5 * 0.032  # um
    words = 128 * 128 * (0.2 * side + 2 * 0.032 * 0.511) * 1e-15 * 0.36
    bits = 128 * 128 * 0.2 * side * 1e-15 * 0.16
    assert read(it, 128, 128) == pytest.approx(cells + words + bits)


def test_half_the_weights_conduct_half_above_what_level_0_conducts() -> None:
    it = part(f"part it: crossbar {{ {RERAM} }}")
    one = read(it, 128, 128) - read(it, 128, 128, weight_density=Fraction(0))
    half = read(it, 128, 128, weight_density=Fraction(1, 2))
    # between level 0, a tenth, and level 1: 0.9 x 1.6 fJ
    assert one == pytest.approx(128 * 128 * 0.9 * 1.6e-15)
    assert read(it, 128, 128) - half == pytest.approx(one / 2)


def test_inputs_that_are_off_take_nothing_but_the_bit_lines() -> None:
    it = part(f"part it: crossbar {{ {RERAM} }}")
    off = read(it, 128, 128, input_density=Fraction(0))
    assert off == pytest.approx(128 * 128 * 0.2 * 53**0.5 * 0.032 * 1e-15 * 0.16)


def test_the_array_s_own_numbers_win_over_the_device_s() -> None:
    # 0.2 V^2 / 250 kohm x 100 ns = 16 fJ a cell where 20 times 1 / 1.6
    own = f"{RERAM}, on_resistance = 250 kohm, read_voltage = 0.2 V, read_pulse = 100 ns"
    it = part(f"part it: crossbar {{ {own} }}")
    cells = read(it, 128, 128) - read(it, 128, 128, weight_density=Fraction(0))
    assert cells == pytest.approx(128 * 128 * 0.9 * 16e-15)


def test_a_cell_is_described_without_a_device() -> None:
    own = "on_resistance = 10 kohm, read_voltage = 0.1 V, read_pulse = 1 ns"
    it = part(f"part it: crossbar {{ rows = 4, columns = 4, {own} }}")
    assert read(it, 1, 1) == pytest.approx(1e-15)
    assert it.actions["write"].energy is None


def test_an_array_of_no_device_is_priced_by_nobody() -> None:
    it = part("part it: crossbar { }")
    assert it.actions["read"].energy is it.actions["write"].energy is None
    assert it.area == 0


def test_a_row_of_reram_takes_its_pulse_in_every_cell() -> None:
    it = part(f"part it: crossbar {{ {RERAM} }}")
    row = {"active_rows": Fraction(1), "active_columns": Fraction(128)}
    assert energy(it, "write", **row) == pytest.approx(128 * 0.6e-12)


def test_256_by_256_cells_of_reram_are_written_for_39_nanojoules() -> None:
    it = part("part it: crossbar { rows = 256, columns = 256, device = ReRAM, write_per = array }")
    whole = {"active_rows": Fraction(256), "active_columns": Fraction(256)}
    assert energy(it, "write", **whole) == pytest.approx(39.3e-9, rel=1e-2)


def test_a_row_of_sram_is_written_as_a_buffer_s_word() -> None:
    # 64 rows of 256 bits are CACTI's 2 KB with words of 256 bits: 2.94 pJ
    it = part("part it: crossbar { rows = 64, columns = 256, device = SRAM }")
    row = {"active_rows": Fraction(1), "active_columns": Fraction(256)}
    assert energy(it, "write", **row) * PJ == pytest.approx(2.94)


def test_a_stated_write_energy_is_of_a_cell_and_a_pulse() -> None:
    it = part("part it: crossbar { device = SRAM, write_energy = 5 fJ }")
    row = {"active_rows": Fraction(1), "active_columns": Fraction(10)}
    assert energy(it, "write", **row) == pytest.approx(50e-15)


def test_half_the_write_voltage_takes_a_quarter() -> None:
    it = part("part it: crossbar { device = ReRAM, write_voltage = 1 V }")
    cell = {"active_rows": Fraction(1), "active_columns": Fraction(1)}
    assert energy(it, "write", **cell) == pytest.approx(0.15e-12)


@pytest.mark.parametrize(
    ("device", "squares"), [("ReRAM", 53), ("PCM", 9), ("SRAM", 146), ("FeFET", 10)]
)
def test_cells_are_squares_of_the_feature_size(device: str, squares: int) -> None:
    it = part(f"part it: crossbar {{ rows = 100, columns = 10, device = {device} }}")
    assert float(it.area) == pytest.approx(1000 * squares * (32e-9) ** 2)


def test_the_area_of_a_cell_may_be_stated_in_squares() -> None:
    own = "device = ReRAM, cell_area = 125.7 * node^2"
    it = part(f"part it: crossbar {{ rows = 256, columns = 256, {own} }}", "node = 130 nm")
    assert float(it.area) * MM2 == pytest.approx(65536 * 125.7 * 0.00013**2)


def test_below_22_nanometres_cells_shrink_with_the_name_of_the_node() -> None:
    big, small = (
        part("part it: crossbar { device = SRAM }", f"node = {node} nm").area for node in (22, 11)
    )
    assert float(small / big) == pytest.approx(0.5)


def test_cells_of_sram_leak_what_cacti_s_largest_memory_leaks_a_bit() -> None:
    # 4 MB at 360 K and 32 nm LOP: 501 mW / 2^25 = 14.93 nW, the periphery with it
    it = part(
        "part it: crossbar { rows = 1024, columns = 1024, device = SRAM }",
        "node = 32 nm, temperature = 360 K",
    )
    assert float(it.leakage) / 2**20 * 10**9 == pytest.approx(14.93, rel=0.03)
    assert part("part it: crossbar { device = ReRAM }").leakage == 0


def test_sram_without_converters_switches_a_gate_where_input_and_weight_are_one() -> None:
    it = part("part it: digital_array { rows = 64, columns = 64, device = SRAM }", "node = 28 nm")
    none = read(it, 64, 64, weight_density=Fraction(0))
    # 0.7 fF x (0.6 V)^2 a cell
    assert read(it, 64, 64) - none == pytest.approx(4096 * 0.7e-15 * 0.36)


def test_bit_lines_of_sram_swing_with_the_sum() -> None:
    it = part("part it: crossbar { rows = 64, columns = 64, device = SRAM }")
    none = read(it, 64, 64, weight_density=Fraction(0))
    line = 64 * 0.2e-15 * 146**0.5 * 0.032
    assert read(it, 64, 64) - none == pytest.approx(64 * line * 0.36)


def test_cells_above_the_logic_are_stated_to_take_no_area() -> None:
    assert part("part it: crossbar { device = ReRAM, cell_area = 0 um^2 }").area == 0


@pytest.mark.parametrize(
    ("it", "told"),
    [
        ("bus { length = -1 mm }", "`length` is -1 mm, below zero"),
        ("mesh { nodes = 4, length = -1 mm }", "`length` is -1 mm, below zero"),
        ("crossbar { device = ReRAM, read_voltage = -1 V }", "`read_voltage` is below zero"),
        ("crossbar { device = ReRAM, on_resistance = -1 ohm }", "`on_resistance` is below zero"),
    ],
)
def test_what_is_below_zero_is_refused(it: str, told: str) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        part(f"part it: {it}")
    assert told in caught.value.diagnostics[0].headline


def test_a_read_voltage_that_writes_is_warned_about() -> None:
    system = chip("part it: crossbar { device = ReRAM, read_voltage = 2.5 V }")
    assert any("not below the 2 V that write a cell" in w.headline for w in system.warnings)


def test_256_wires_of_a_centimetre_take_310_picojoules_at_0_9_volts() -> None:
    it = part("part it: bus { width = 256 bit, length = 10 mm }", "node = 40 nm, voltage = 0.9 V")
    assert energy(it, "transfer") * PJ == pytest.approx(310, rel=0.01)


@pytest.mark.parametrize("kind", ["bus", "link", "htree"])
def test_wires_of_no_length_are_priced_by_nobody(kind: str) -> None:
    assert part(f"part it: {kind} {{ }}").actions["transfer"].energy is None


def test_a_link_between_chips_takes_26_picojoules_for_128_bits_at_65_nanometres() -> None:
    it = part("part it: link { width = 128 bit, off_chip = true }", "node = 65 nm")
    assert energy(it, "transfer") * PJ == pytest.approx(26)


def test_a_link_off_the_chip_is_as_large_as_its_pads_at_any_node() -> None:
    it = part("part it: link { width = 16 bit, off_chip = true }", "node = 7 nm")
    assert float(it.area) * MM2 == pytest.approx(5.72)


def test_a_router_takes_81_femtojoules_a_bit_at_32_nanometres() -> None:
    it = part("part it: mesh { nodes = 4, width = 256 bit }")
    assert energy(it, "hop") * PJ == pytest.approx(20.74)


def test_a_hop_pays_the_router_and_the_wires() -> None:
    it = part("part it: mesh { nodes = 4, width = 256 bit, length = 1 mm }")
    # 0.5 x 256 x 0.3 pF x (0.6 V)^2
    assert energy(it, "hop") * PJ == pytest.approx(20.74 + 13.824)


def test_each_router_has_the_area_of_isaac_s() -> None:
    it = part("part it: mesh { nodes = 4, width = 32 bit }")
    assert float(it.area) * MM2 == pytest.approx(4 * 0.151)


@pytest.mark.parametrize(
    ("standard", "picojoules"),
    [("LPDDR", 40), ("LPDDR4", 8), ("HBM2", 6.25), ("HBM3", 4.05), ("HBM4", 3.2)],
)
def test_dram_costs_by_the_bit_and_without_a_node(standard: str, picojoules: float) -> None:
    it = part(f"part it: dram {{ width = 64 bit, standard = {standard} }}", "")
    assert energy(it, "read") * PJ == pytest.approx(64 * picojoules)
    assert energy(it, "write") * PJ == pytest.approx(64 * picojoules)


OF_EACH_KIND = [
    "buffer { size = 40 KiB, width = 96 bit }",
    "buffer { size = 40 KiB, width = 96 bit, memory = eDRAM }",
    "buffer { size = 1 KiB, width = 96 bit, memory = registers }",
    "crossbar { device = ReRAM }",
    "crossbar { device = PCM }",
    "crossbar { device = FeFET, cell_area = 0.1 um^2 }",
    "crossbar { device = SRAM }",
    "crossbar { on_resistance = 10 kohm, read_voltage = 0.1 V, write_energy = 1 pJ }",
    "digital_array { device = SRAM }",
    "bus { length = 3 mm }",
    "htree { length = 3 mm }",
    "link { length = 3 mm }",
    "link { off_chip = true }",
    "mesh { nodes = 4 }",
    "mesh { nodes = 4, length = 1 mm }",
    "dram { standard = HBM3 }",
]


@pytest.mark.parametrize("it", OF_EACH_KIND)
@pytest.mark.parametrize("node", ["node = 65 nm, voltage = 1 V", "node = 28 nm", "node = 7 nm"])
def test_a_formula_with_its_values_gives_the_number(it: str, node: str) -> None:
    estimates = part(f"part it: {it}", f"{node}, temperature = 350 K").estimates
    assert estimates
    for target, estimate in estimates.items():
        found = worked(estimate)
        assert found.dimension == estimate.quantity.dimension, target
        assert float(found.value) == pytest.approx(float(estimate.quantity.value), rel=2e-3), target


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("node = 5 nm", "node 5 nm is outside 7..180 nm, the nodes of the scaling table"),
        ("node = 250 nm", "node 250 nm is outside 7..180 nm"),
        ("node = 65 nm, voltage = 2 V", "voltage 2 V is outside 0.48..1.76 V"),
        ("node = 65 nm, voltage = 0.4 V", "voltage 0.4 V is outside 0.48..1.76 V"),
        ("node = 65 nm, temperature = 420 K", "temperature 420 K is outside 273..400 K"),
    ],
)
def test_a_technology_outside_the_table_is_warned_about(settings: str, told: str) -> None:
    system = chip("part it: buffer { size = 8 KiB }", settings)
    assert [w for w in system.warnings if told in w.headline and "`it`" in w.headline]


@pytest.mark.parametrize(
    "settings", ["node = 28 nm, voltage = 1 V", "node = 130 nm, voltage = 1.8 V"]
)
def test_supplies_of_either_kind_of_transistors_are_ordinary(settings: str) -> None:
    assert chip("part it: buffer { size = 8 KiB }", settings).warnings == ()
