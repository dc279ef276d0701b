"""Stated costs that cannot be are warned of at their line; what chips really cost is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import cimarch
from cimarch.diagnostics import Diagnostic, render
from cimarch.hardware.kinds import KINDS
from cimarch.hardware.plausible import BOUNDS, best_conversion

ROOT = Path(__file__).resolve().parent.parent
CHIPS = sorted(
    path.stem for path in (ROOT / "architectures").glob("*.cimarch") if path.stem != "std"
)


def text(part: str, *, more: str = "") -> str:
    kinds = ", ".join(name for name in KINDS if name not in ("block", "chip"))
    return (
        f"from std import {kinds}\nsystem S {{\n    clock = 1 GHz\n    {more}\n"
        f"    part x: crossbar\n    part p: {part}\n}}\n"
    )


def warnings(part: str, **more: str) -> list[Diagnostic]:
    return list(cimarch.loads(text(part, **more), file="chip.cimarch").warnings)


def warned(part: str, **more: str) -> list[tuple[str, str]]:
    """The code of each warning, and what it points at."""
    lines = text(part, **more).split("\n")
    found = []
    for warning in warnings(part, **more):
        assert warning.span is not None
        line = lines[warning.span.line - 1]
        found.append((warning.code, line[warning.span.column - 1 : warning.span.end_column - 1]))
    return found


def refused(part: str) -> Diagnostic:
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.loads(text(part), file="chip.cimarch")
    (problem,) = caught.value.diagnostics
    return problem


def energy(kind: str, action: str, value: str, body: str = "") -> str:
    return f"{kind} {{ {body}\n action {action} {{ energy = {value} }} }}"


# What must be caught


def test_a_flash_converter_of_14_bits_at_10_gigahertz_is_refused_where_it_is_to_be_priced() -> None:
    source = text("adc { bits = 14, rate = 10 GHz, circuit = flash }", more="node = 32 nm")
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.loads(source)
    assert [d.code for d in caught.value.diagnostics] == ["E062"]


def test_it_is_warned_of_where_its_costs_are_stated() -> None:
    stated = "bits = 14, rate = 10 GHz, circuit = flash, area = 1 mm^2"
    part = energy("adc", "convert", "100 pJ", stated)
    assert warned(part) == [("W010", "14"), ("W010", "10 GHz"), ("W010", "100 pJ")]


def test_a_warning_shows_its_line_and_what_is_known() -> None:
    (warning,) = warnings("adc { bits = 14, rate = 1 GHz, circuit = flash }")
    assert render(warning) == (
        "warning[W010]: `bits` of `p` is 14, more than 8, where flash converters end: it takes"
        " 16,383 comparators\n"
        " --> chip.cimarch:6:26\n"
        "  |\n"
        "6 |     part p: adc { bits = 14, rate = 1 GHz, circuit = flash }\n"
        "  |                          ^^\n"
        "  |\n"
        "  = note: known: 2^bits - 1 comparators, all at once"
    )


def test_a_leakage_below_zero_is_refused() -> None:
    problem = refused("adc { leakage = -1 mW }")
    assert problem.code == "E052"
    assert problem.headline == "`leakage` of `p` is -1 mW, below zero"


def test_an_energy_in_picojoules_a_bit_is_refused() -> None:
    problem = refused(energy("adc", "convert", "5 pJ/bit"))
    assert problem.code == "E030"
    assert problem.headline == "`energy` of `convert` is an energy, not a quantity in J/bit"


@pytest.mark.parametrize("value", ["1.5625 fJ", "1.5625 uJ", "1.5625 mJ", "1.5625 J"])
def test_isaacs_conversion_is_doubted_in_every_other_unit(value: str) -> None:
    body = "bits = 8, rate = 1.28 GHz"
    assert warned(energy("adc", "convert", value, body)) == [("W010", value)]
    assert warned(energy("adc", "convert", "1.5625 pJ", body)) == []


SLIPS = (
    ("W011", "buffer", "read", "20.45 nJ", "size = 64 KiB, width = 256 bit"),
    ("W011", "buffer", "write", "20.45 aJ", "size = 64 KiB, width = 256 bit"),
    ("W011", "dram", "read", "4 pJ", "width = 64 bit"),
    ("W011", "dram", "write", "4 mJ", "width = 64 bit"),
    ("W012", "link", "transfer", "26 uJ", "width = 128 bit"),
    ("W012", "bus", "transfer", "54 nJ", "width = 1 bit"),
    ("W012", "mesh", "hop", "20.7 uJ", "width = 256 bit"),
    ("W013", "crossbar", "read", "30 uJ", "rows = 128, columns = 128"),
    ("W013", "crossbar", "write", "76.8 mJ", "rows = 128, columns = 128"),
    ("W014", "shift_add", "add", "39 nJ", "bits = 16"),
    ("W014", "adder_tree", "add", "0.21 uJ", "bits = 32"),
    ("W014", "unit", "compute", "0.2 J", "bits = 8"),
    ("W010", "dac", "convert", "0.4 uJ", "bits = 1"),
    ("W010", "sample_hold", "hold", "1.2 uJ", ""),
    ("W016", "host", "read", "1 J", ""),
)


@pytest.mark.parametrize(("code", "kind", "action", "value", "body"), SLIPS)
def test_an_energy_in_the_wrong_unit_is_warned_of(
    code: str, kind: str, action: str, value: str, body: str
) -> None:
    assert warned(energy(kind, action, value, body)) == [(code, value)]


FLAWS = (
    ("W010", "adc { bits = 8, rate = 1.28 THz }", "1.28 THz"),
    ("W010", "adc { bits = 8, rate = 1.28 GHz, power = 2 uW }", "2 uW"),
    ("W010", "adc { bits = 8, rate = 1.28 GHz, power = 2 kW }", "2 kW"),
    ("W010", "adc { bits = 8, leakage = 5 kW }", "5 kW"),
    ("W011", "buffer { size = 64 KiB, area = 0.083 um^2 }", "0.083 um^2"),
    ("W011", "buffer { size = 64 KiB, leakage = 8 W }", "8 W"),
    ("W013", "crossbar { cell_area = 0.004 um^2 }", "0.004 um^2"),
    ("W013", "crossbar { write_energy = 0.6 mJ }", "0.6 mJ"),
    ("W013", "crossbar { on_resistance = 1 ohm }", "1 ohm"),
    ("W015", "adc { power = 2 mW, leakage = 5 mW }", "5 mW"),
    ("W015", "adc { power = 0.5 W, area = 1200 um^2 }", "0.5 W"),
    ("W015", "unit { area = 1000 um^2, leakage = 1 W }", "1 W"),
    ("W015", "adc { power = 2 mW, idle_power = 3 mW }", "3 mW"),
    ("W015", "buffer { size = 1 KiB, leakage = 2 mW, gated_leakage = 3 mW }", "3 mW"),
    ("W016", "adc { area = 0.1 m^2 }", "0.1 m^2"),
    ("W016", "dram { power = 1 MW }", "1 MW"),
    ("W016", "adc { clock = 1 THz }", "1 THz"),
    ("W016", "crossbar { action read { latency = 1000 s } }", "1000 s"),
    ("W016", "crossbar { action read { latency = 1 fs } }", "1 fs"),
)


@pytest.mark.parametrize(("code", "part", "value"), FLAWS)
def test_a_number_that_cannot_be_is_warned_of(code: str, part: str, value: str) -> None:
    given = [found for found in warned(part, more="node = 32 nm") if found[0] != "W001"]
    assert given == [(code, value)]


@pytest.mark.parametrize("process", ["node = 22 um", "node = 22 pm", "voltage = 900 V"])
def test_a_process_that_cannot_be_is_warned_of(process: str) -> None:
    """Where a model is to price something by it, it is refused."""
    chip = "from std import crossbar\nsystem S {{ clock = 1 GHz\n {}\n part x: crossbar {{ {} }} }}"
    stated = "area = 0 um^2, leakage = 0 W, power = 1 uW"
    (warning,) = cimarch.loads(chip.format(process, stated)).warnings
    assert warning.code == "W016"


def test_every_family_of_bounds_has_a_slip_that_it_catches() -> None:
    caught = {code for code, *_ in SLIPS} | {code for code, *_ in FLAWS}
    assert caught == {bound.code for bound in BOUNDS}


# What must not be


@pytest.mark.parametrize("chip", CHIPS)
def test_no_bundled_chip_is_doubted(chip: str) -> None:
    found = [w for w in cimarch.load(chip).warnings if w.code != "W001"]
    assert [w.headline for w in found] == []


PUBLISHED = (
    energy("adc", "convert", "0.226 pJ", "bits = 4, rate = 2.1 GHz"),  # FORMS
    energy("adc", "convert", "2.58 pJ", "bits = 9, rate = 1.2 GHz"),  # Newton
    energy("adc", "convert", "145 fJ", "bits = 8, rate = 6.7 MHz"),  # TIMELY
    energy("adc", "convert", "76.5 pJ", "bits = 8, rate = 13 kHz"),  # NeuRRAM, 255 steps
    energy("adc", "convert", "10 fJ", "bits = 1, rate = 1 GHz"),
    energy("dac", "convert", "37.5 fJ", "bits = 8"),  # TIMELY
    energy("dac", "convert", "0.417 pJ", "bits = 1"),  # ISAAC, CiMLoop
    energy("sample_hold", "hold", "1.2 pJ"),  # NeuRRAM
    energy("shift_add", "add", "2.25 pJ", "bits = 8"),  # Jia
    energy("unit", "compute", "12 pJ", "bits = 8"),  # Jia
    energy("buffer", "read", "2642 pJ", "size = 1 Mibit, width = 1024 bit"),  # gain cells
    energy("buffer", "write", "496.6 pJ", "size = 2 KiB, width = 128 bit"),  # TIMELY
    energy("buffer", "read", "9 fJ", "size = 16 bit, width = 1 bit"),  # Aladdin's register
    energy("dram", "read", "205 pJ", "width = 64 bit"),  # HBM4
    energy("dram", "read", "2560 pJ", "width = 64 bit"),  # LPDDR
    energy("bus", "transfer", "0.054 pJ", "width = 1 bit"),  # ISAAC
    energy("link", "transfer", "813 pJ", "width = 16 bit"),  # ISAAC's HyperTransport
    energy("crossbar", "write", "153.6 pJ", "columns = 256"),  # NVSim's ReRAM
    energy("crossbar", "read", "30 pJ", "rows = 128, columns = 128"),  # ISAAC
    energy("crossbar", "read", "0 J"),
    "dac { power = 4 mW / 1024, area = 0.00017 mm^2 / 1024 }",  # ISAAC: 23.5 W/mm^2
    "buffer { size = 4 MiB, power = 0.2 W, leakage = 2.4 W, area = 9 mm^2 }",  # CACTI, 32 nm
)


@pytest.mark.parametrize("part", PUBLISHED)
def test_what_was_published_is_not_doubted(part: str) -> None:
    assert warned(part) == []


def test_what_a_model_gives_is_not_doubted() -> None:
    part = "adc { bits = 16, rate = 100 GHz, circuit = automatic, clock = 1 GHz }"
    given = [code for code, _ in warned(part, more="node = 7 nm")]
    assert "W010" in given  # of the rate, which is stated
    assert all(
        "energy" not in w.headline for w in warnings(part, more="node = 7 nm") if w.code == "W010"
    )


def test_parts_of_one_component_are_warned_of_once() -> None:
    source = """
    from std import crossbar, adc
    component Slow is adc { bits = 8, rate = 1 GHz, action convert { energy = 1 J } }
    system S { clock = 1 GHz, part x: crossbar, part a: Slow, part b[4]: Slow }
    """
    (warning,) = cimarch.loads(source).warnings
    assert warning.headline.startswith("`convert.energy` of `a` is 1 J, more than ")


# The bounds themselves


def test_the_best_converter_of_the_survey_doubles_in_energy_at_its_corner() -> None:
    slow, corner = best_conversion(8, 1e-3), best_conversion(8, 46_734_517)
    assert corner == pytest.approx(2 * slow)
    # 49.926 dB below 186.7233 dB: a half of 10^-13.67973 J
    assert slow == pytest.approx(10**-13.67976 / 2, rel=1e-3)


def test_a_bit_more_takes_four_times_the_energy() -> None:
    assert best_conversion(9, 1e6) == pytest.approx(4 * best_conversion(8, 1e6), rel=1e-3)


def test_every_bound_says_what_it_holds_for_and_where_it_comes_from() -> None:
    for bound in BOUNDS:
        assert bound.source
        assert bound.low is not None or bound.high is not None
        assert set(bound.kinds) <= set(KINDS)
