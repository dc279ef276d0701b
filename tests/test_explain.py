"""Where numbers come from: of a description's parts, of a system's totals."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimarch
from cimarch.cli import main
from cimarch.hardware.origin import HOW, Origin
from cimarch.hardware.system import System
from cimarch.report.explaining.text import render
from cimarch.units import Quantity

CHIP = """\
# A chip to be explained, 2026: its numbers are made up.
from std import crossbar, adc, buffer

# Reads once in 10 ns.
component Array is crossbar {
    rows = 64, columns = 8
    action read { latency = 10 ns, energy = 2 fJ * active_rows }
}

system Chip {
    clock = 1 GHz
    param bits: count in 1..12 = 6
    part input: buffer { size = 1 KiB, power = 3 mW }
    part array[2]: Array
    part adc[2]: adc {
        bits = bits
        rate = 0.5 GHz          # Table 3
        area = 800 um^2 /       # of a pair
            2
        action convert { latency = 1 / adc.rate, energy = 2^bits * 10 fJ }
    }
    connect input -> array[*] -> adc[*]
}
"""


CHIPS = (
    *("isaac", "edge_macro", "single_crossbar", "language_chip", "bit_serial", "puma", "raella"),
    *("neurram", "prime", "colonnade", "tsmc_22nm", "jia_2020", "jia_2020:Jia120", "hybrid"),
    *("two_pools", "small", "language_chip:LanguageMesh"),
)


def chip(**given: object) -> System:
    return cimarch.loads(
        CHIP, file="chip.cimarch", set={k.replace("__", "."): v for k, v in given.items()}
    )


CHIP_AS_IT_IS = cimarch.loads(CHIP, file="chip.cimarch")


def origin(address: str, **given: object) -> Origin:
    system = chip(**given)
    return system.origin(*system.explainer.locate(address))


# ------------------------------------------------------------------- one number


def test_a_stated_number_names_its_line_and_the_comment_behind_it() -> None:
    rate = origin("adc.rate")
    assert (rate.how, rate.told) == ("stated", "500 MHz")
    assert rate.line is not None
    assert (rate.line.place, rate.line.text) == ("chip.cimarch:17", "rate = 0.5 GHz")
    assert rate.line.comment == "Table 3"


def test_an_expression_is_told_with_its_values_put_in() -> None:
    energy = origin("adc.convert.energy")
    assert energy.value == Quantity(Fraction(64 * 10, 10**15), energy.value.dimension)  # type: ignore[attr-defined]
    assert energy.expression == "2^bits * 10 fJ"
    assert energy.worked == "2^6 * 10 fJ"
    assert [(r.name, r.value, r.address) for r in energy.reads] == [("bits", "6", "bits")]


def test_an_expression_over_two_lines_is_told_in_one_without_its_comments() -> None:
    area = origin("adc.area")
    assert area.expression == "800 um^2 / 2"
    assert area.worked == ""
    assert area.told == "400 um^2"


def test_a_part_that_is_given_a_value_says_whose() -> None:
    bits = origin("adc.bits")
    assert (bits.expression, bits.worked) == ("bits", "6")
    assert bits.reads[0].address == "bits"


def test_what_comes_from_outside_names_its_flag_and_not_a_line() -> None:
    bits = origin("adc.bits", bits=9)
    assert bits.told == "9"
    outer = origin("bits", bits=9)
    assert (outer.how, outer.setting, outer.line) == ("set", "--set bits=9", None)


def test_a_cost_that_is_set_is_worked_out_in_its_part() -> None:
    energy = origin("adc.convert.energy", adc__convert__energy="bits * 1 pJ")
    assert (energy.how, energy.told) == ("set", "6 pJ")
    assert energy.worked == "6 * 1 pJ"


def test_a_clock_is_of_the_part_that_states_it() -> None:
    clock = origin("array.clock")
    assert (clock.how, clock.giver, clock.told) == ("inherited", "", "1 GHz")
    assert clock.line is not None
    assert clock.line.number == 11


def test_the_library_is_named_with_its_line() -> None:
    cells = origin("array.cell_bits")
    assert cells.how == "default"
    assert cells.line is not None
    assert cells.line.file == "architectures/std.cimarch"
    assert cells.line.text.startswith("param cell_bits")


def test_what_only_a_run_knows_stays_a_name() -> None:
    energy = origin("array.read.energy")
    assert energy.needs == ("active_rows",)
    assert energy.worked == ""
    assert energy.expression == "2 fJ * active_rows"
    assert [(r.name, r.value) for r in energy.reads] == [("active_rows", "64")]
    assert energy.told == "128 fJ"


def test_an_action_without_an_energy_is_charged_from_power() -> None:
    energy = origin("input.read.energy")
    assert (energy.how, energy.worked) == ("from power", "3 mW * busy time")
    assert energy.reads[0].address == "input.power"


def test_what_nobody_says_comes_with_what_to_type() -> None:
    energy = origin("array.write.energy")
    assert energy.how == "nobody"
    assert "`action write { energy = ... }` in `Array` states it" in energy.helps
    assert '`--set array.write.energy="1 pJ"` tries a value' in energy.helps


def test_a_node_lets_a_model_say_it_with_formula_values_and_source() -> None:
    system = cimarch.loads(
        "from std import crossbar, adc\n"
        "system S { clock = 1 GHz, node = 32 nm, part a: crossbar\n"
        "    part adc: adc { bits = 8, rate = 1 GHz }, connect a -> adc }"
    )
    energy = system.origin("adc", "convert.energy")
    assert energy.how == "modelled"
    assert energy.estimate is not None
    assert energy.estimate.model == "ADC regression"
    assert dict(energy.estimate.inputs)["bits"] == "8"
    assert "2404.06553" in energy.estimate.source
    assert {r.name: r.address for r in energy.reads}["rate"] == "adc.rate"
    assert system.origin("adc", "area").how == "modelled"
    assert energy.value == system.part("adc").actions["convert"].energy.constant  # type: ignore[union-attr]


def test_a_count_is_the_product_of_the_sizes_on_the_way() -> None:
    count = cimarch.load("isaac").origin("tile.ima.adc", "count")
    assert (count.told, count.worked) == ("16,128", "14 * 12 * 12 * 8")


def test_of_every_part_of_every_chip_every_number_has_an_origin() -> None:
    for system in map(cimarch.load, CHIPS):
        for part in system.walk():
            for number in system.explainer.numbers(part.path, every=True):
                found = system.origin(part.path, number)
                assert found.how in HOW, (part.path, number)
                assert found.how == "nobody" or found.told
                if found.how in ("stated", "default"):
                    assert found.line is not None
                if number in part.params:
                    value = part.params[number]
                    assert found.value == value, (part.path, number)


# ---------------------------------------------------------------- addresses


ALIKE = "leave the `[...]` out: all members of an array are alike"


@pytest.mark.parametrize(
    ("address", "headline", "help_"),
    [
        ("adx", "there is no `adx` in `Chip`", "did you mean `adc`?"),
        ("adc.rat", "there is no `rat` in `adc`", "did you mean `rate`?"),
        ("adc.convert.enrgy", "`convert` of `adc` has no cost `enrgy`", "did you mean `energy`?"),
        ("adc.bits.x", "`bits` of `adc` is a number, with nothing in it", None),
        ("adc[0].bits", "`adc[0].bits` is no path of a part", ALIKE),
        ("adc.", "`adc.` is no path of a part", None),
    ],
)  # fmt: skip
def test_an_address_that_leads_nowhere_is_told_with_a_suggestion(
    address: str, headline: str, help_: str | None
) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.explain(chip(), address)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.headline) == ("E400", headline)
    assert problem.helps == ((help_,) if help_ else ())


def test_a_part_further_in_is_suggested_by_its_path() -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.explain(cimarch.load("isaac"), "adc.bits")
    assert caught.value.diagnostics[0].helps == ("did you mean `tile.ima.adc.bits`?",)


def test_an_action_by_itself_means_both_of_its_costs() -> None:
    found = cimarch.explain(chip(), "adc.convert")
    assert [n.name for n in found.numbers] == ["convert.latency", "convert.energy"]


def test_a_single_number_comes_with_what_it_reads() -> None:
    found = cimarch.explain(chip(), "adc.convert.energy")
    assert [n.address for n in found.reads] == ["bits"]


def test_a_part_is_told_without_what_nobody_said_unless_all_is_asked_for() -> None:
    few = cimarch.explain(chip(), "adc")
    every = cimarch.explain(chip(), "adc", every=True)
    assert "gain_error" not in {n.name for n in few.numbers}
    assert "gain_error" in {n.name for n in every.numbers}
    assert {"count", "area", "power", "leakage", "rate"} <= {n.name for n in few.numbers}


# ------------------------------------------------------------------- totals


def test_a_total_is_the_sum_of_its_terms_part_by_part() -> None:
    (area,) = cimarch.explain(chip(), "area").made
    assert [(t.name, t.count, t.each, t.told) for t in area.terms] == [
        ("adc", 2, "400 um^2", "800 um^2")
    ]
    assert area.value == area.recomputed == 8e-10
    assert area.terms[0].share == 1.0


def test_isaacs_published_area_and_power_are_told_part_by_part() -> None:
    isaac = cimarch.load("isaac")
    for name in ("area", "power"):
        (total,) = cimarch.explain(isaac, name).made
        assert total.value == total.recomputed == float(isaac.total(name))
        shares = [term.share for term in total.terms if term.share is not None]
        assert sum(shares) == pytest.approx(1)
        assert all(term.origin is not None for term in total.terms)


def test_the_peak_is_the_sum_over_the_pools() -> None:
    (peak,) = cimarch.explain(cimarch.load("isaac"), "peak").made
    assert peak.value == peak.recomputed
    assert [term.name for term in peak.terms] == ["tile.ima.xbar"]


def test_a_part_with_parts_inside_has_a_total_of_its_own() -> None:
    (area,) = cimarch.explain(cimarch.load("isaac"), "tile.ima.area").made
    assert [term.name for term in area.terms][:2] == ["tile.ima.input", "tile.ima.dac"]


# --------------------------------------------------------------------- text


def test_the_text_of_a_part_names_file_line_and_source() -> None:
    text = str(cimarch.explain(chip(), "adc"))
    assert "adc: adc, 2 in Chip" in text
    assert "# A chip to be explained, 2026: its numbers are made up." in text
    assert "stated, chip.cimarch:17\n      rate = 0.5 GHz  # Table 3" in text
    assert "energy = 2^bits * 10 fJ }\n      = 2^6 * 10 fJ" in text
    assert "area = 800 um^2 /  # of a pair\n      = 800 um^2 / 2\n" in text
    assert "\x1b" not in text
    assert "\x1b" in render(cimarch.explain(chip(), "adc"), colour=True)


def test_what_stands_above_a_component_is_told_once() -> None:
    text = str(cimarch.explain(chip(), "array"))
    assert text.count("# Reads once in 10 ns.") == 1
    assert text.count("its numbers are made up") == 1


def test_the_command_prints_text_or_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chip.cimarch"
    file.write_text(CHIP)
    assert main(["explain", str(file), "adc.rate", "--set", "adc.rate=2 GHz"]) == 0
    assert "--set adc.rate=2 GHz" in capsys.readouterr().out
    assert main(["explain", str(file), "adc.convert.energy", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "cimarch.explain/1"
    assert answer["numbers"][0]["value"] == 6.4e-13
    assert answer["reads"][0]["address"] == "bits"
    assert main(["explain", str(file), "adc.volts"]) == 2
    assert "error[E400]: there is no `volts` in `adc`" in capsys.readouterr().err


def test_a_system_that_no_description_made_cannot_be_asked() -> None:
    import attrs

    with pytest.raises(ValueError, match="was not read from a description"):
        attrs.evolve(chip(), explaining=None).origin("adc", "bits")


def test_a_number_of_a_report_needs_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    for address in ("joules", "layers[conv1].cycles", "layers.conv1.cycles"):
        assert main(["explain", "isaac", address]) == 2
        told = capsys.readouterr().err
        assert f"error[E402]: `{address}` is a number of a report" in told
        assert "help: `--model resnet20` runs one" in told


def test_a_modelled_energy_that_depends_on_the_run_is_that_of_an_ordinary_one() -> None:
    small = cimarch.load("small")
    energy = small.origin("macro.array", "read.energy")
    assert energy.how == "modelled"
    given = {read.name: read.value for read in energy.reads}
    assert energy.needs
    assert set(energy.needs) <= set(given)


def test_a_system_that_extends_another_names_the_lines_of_both() -> None:
    jia = cimarch.load("jia_2020:Jia120")
    voltage, clock = jia.origin("", "voltage"), jia.origin("", "clock")
    assert voltage.line is not None
    assert voltage.line.text == "system Jia120 is Jia { voltage = 1.2 V }"
    assert "(1.2 V / 0.85 V) ^ 2.66" in clock.worked


def test_a_system_can_be_sent_to_another_process_and_still_be_asked() -> None:
    import pickle

    sent = pickle.loads(pickle.dumps(cimarch.load("isaac")))
    assert sent.origin("tile.ima.adc", "convert.energy").told == "1.5625 pJ"


def test_a_number_that_is_not_to_be_relied_on_says_why() -> None:
    system = cimarch.loads(
        "from std import crossbar, adc\n"
        "system S { clock = 1 GHz, node = 32 nm, part a: crossbar, connect a -> adc\n"
        "    part adc: adc { bits = 14, rate = 1 GHz, leakage = 1 uW, area = 1 mm^2\n"
        "        action convert { energy = 1 fJ } } }"
    )
    (warning,) = system.origin("adc", "convert.energy").warnings
    assert warning.startswith("`convert.energy` of `adc` is 1 fJ, less than")
    assert "warning: `convert.energy` of `adc` is 1 fJ" in str(cimarch.explain(system, "adc"))


def test_explaining_a_part_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from cimarch.cli import main; main(['explain', 'isaac', 'tile.ima.adc'])\n"
        "print(*(set(sys.modules) & {'torch', 'numpy', 'networkx', 'numba', 'rich', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_count_reads_the_parameters_in_the_sizes() -> None:
    count = cimarch.load("isaac").origin("tile.ima.adc", "count")
    assert [read.address for read in count.reads] == ["tile_rows"]


def test_what_stands_directly_above_a_number_is_told_with_it() -> None:
    text = CHIP.replace("        rate = 0.5 GHz", "        # Of Figure 7.\n        rate = 0.5 GHz")
    rate = cimarch.loads(text, file="chip.cimarch").origin("adc", "rate")
    assert rate.line is not None
    assert rate.line.above == ("Of Figure 7.",)


@given(st.text(max_size=30) | st.sampled_from(["adc", "convert", "bits", ".", "area"]).map(str))
@settings(max_examples=100, deadline=None)
def test_any_address_is_explained_or_refused(address: str) -> None:
    refused: tuple[cimarch.Diagnostic, ...] = ()
    try:
        assert str(cimarch.explain(CHIP_AS_IT_IS, address))
    except cimarch.DescriptionError as error:
        refused = error.diagnostics
    assert {problem.code for problem in refused} <= {"E400"}


def test_a_notebook_shows_the_text() -> None:
    found = cimarch.explain(chip(), "adc")
    assert repr(found) == "<Explanation of `adc` of Chip>"
    assert "<pre>adc: adc, 2 in Chip" in found._repr_html_()
