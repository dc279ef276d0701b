"""Published figures beside cimarch's: reading them, comparing, the verdicts, the page."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest

import cimarch
from cimarch.cli import main
from cimarch.explore.validating.page import _MEANS, _QUANTITIES, _SOURCES, page
from cimarch.explore.validating.pipeline import isaac_pipeline
from cimarch.explore.validating.published import KINDS, UNITS, bundled, read, references
from cimarch.explore.validating.quantities import EXPLAINED, QUANTITIES
from cimarch.explore.validating.text import text
from cimarch.explore.validating.validate import Validation, validate

ROOT = Path(__file__).resolve().parent.parent

CHIP = """
from std import crossbar, adc, dac
system Tiny {
    clock = 1 GHz
    weight_bits = 4
    input_bits = 4
    param reads: time = 10 ns
    part dac[8]: dac { bits = 1, area = 1 um^2, power = 1 uW, action convert { energy = 1 pJ } }
    part array: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        area = 92 um^2
        power = 32 uW
        action read { latency = reads, energy = 10 pJ }
    }
    part adc: adc { rate = 1 GHz, action convert { energy = 2 pJ } }
    connect dac[*] -> array -> adc
}
system Slow is Tiny { reads = 32 ns }
"""
# A product: 4 steps of a read of 10 ns and 8 conversions of 1 ns, one after the other: 72 ns.
# 4 x 10 pJ + 4 x 8 x 1 pJ + 4 x 8 x 2 pJ = 136 pJ for 128 operations.

HEAD = 'chip = "tiny.cimarch:Tiny"\ntitle = "Tiny"\nsource = "worked by hand"\n'


def figure(quantity: str, value: object, unit: str, **more: object) -> str:
    given = {"name": quantity, "quantity": quantity, "value": value, "unit": unit, "kind": "exact",
             "checked": "read", "source": "here"} | more  # fmt: skip
    lines = [
        f"{key} = {json.dumps(each) if isinstance(each, str) else each}"
        for key, each in given.items()
    ]
    return "[[figure]]\n" + "\n".join(lines) + "\n"


def written(folder: Path, *figures: str, head: str = HEAD) -> str:
    (folder / "tiny.cimarch").write_text(CHIP)
    file = folder / "tiny.toml"
    file.write_text(head + "".join(figures))
    return str(file)


# Quantities -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "value", "unit", "more"),
    [
        ("area", 100, "um^2", {}),
        ("power", 40, "uW", {}),
        ("power", 1, "uW", {"path": "dac"}),
        ("storage_density", 312.5, "KiB/mm^2", {}),
        ("peak", 128 / 72, "GOPS", {}),
        ("peak", 128 / 72, "GOPS", {"path": "array"}),
        ("density", 128 / 72 / 100 * 1000, "TOPS/mm^2", {}),
        ("peak_per_power", 128 / 72 / 40 * 1000, "TOPS/W", {}),
        ("efficiency", 128 / 136, "TOPS/W", {}),
        ("product_time", 72, "ns", {}),
        ("product_energy", 136, "pJ", {}),
        ("action_energy", 2000, "fJ", {"path": "adc", "action": "convert"}),
        ("cycle", 10, "ns", {}),
        ("array_cycle", 18, "ns", {}),
        ("input_steps", 4, "steps", {}),
        ("product_time", 36, "ns", {"input_bits": 2}),
        ("product_time", 160, "ns", {"system": "SLOW"}),
        ("product_time", 32, "ns", {"set": '{ "dac.bits" = 4, "reads" = "24 ns" }'}),
    ],
)
def test_a_quantity_worked_by_hand_is_met(
    tmp_path: Path, quantity: str, value: object, unit: str, more: dict[str, str]
) -> None:
    settings = more.pop("set", None)
    if more.get("system"):
        more["system"] = "tiny.cimarch:Slow"
    file = written(
        tmp_path,
        figure(quantity, value, unit, **more) + (f"set = {settings}\n" if settings else ""),
    )
    checks = validate(file).checks
    assert {check.verdict for check in checks} == {"met"}
    assert all(abs(check.difference or 0) < 1e-9 for check in checks)


def test_throughput_comes_by_closed_form_and_by_events(tmp_path: Path) -> None:
    file = written(tmp_path, figure("peak", 1.7778, "GOPS"))
    assert [check.method for check in validate(file).checks] == ["closed form", "events"]


def test_a_ratio_is_of_the_same_quantity_of_another_system(tmp_path: Path) -> None:
    # 4 x (32 + 8) ns against 4 x (10 + 8) ns.
    file = written(
        tmp_path,
        figure("product_time", 160 / 72, "", kind="ratio", against="tiny.cimarch:Tiny",
               system="tiny.cimarch:Slow"),
    )  # fmt: skip
    (check,) = validate(file).checks
    assert (check.verdict, check.unit) == ("met", "x")


# Verdicts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "more", "verdict", "code"),
    [
        (100.09, {}, "met", 0),
        (100.2, {}, "not met", 1),
        (100.2, {"tolerance": 0.01}, "met", 0),
        (109, {"kind": "calibrated"}, "met", 0),
        (200, {"kind": "contradicted"}, "contradicted", 0),
        (100, {"path": "adc"}, "not known", 1),  # it states no area
    ],
)
def test_a_difference_is_judged_by_its_kind(
    tmp_path: Path, value: float, more: dict[str, object], verdict: str, code: int
) -> None:
    file = written(tmp_path, figure("area", value, "um^2", **more))
    (check,) = validate(file).checks
    assert check.verdict == verdict
    assert main(["validate", file]) == code


def test_what_a_description_leaves_open_is_not_known(tmp_path: Path) -> None:
    file = written(tmp_path, figure("efficiency", 1, "TOPS/W"))
    chip = tmp_path / "tiny.cimarch"
    chip.write_text(chip.read_text().replace("energy = 2 pJ", "latency = 1 ns"))
    (check,) = validate(file).checks
    assert (check.found, check.verdict) == (None, "not known")


# The command ------------------------------------------------------------------------------------


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, figure("area", 99, "um^2", checked="recalled", note="a note"))
    assert main(["validate", file]) == 1
    assert capsys.readouterr().out == (
        "Tiny: worked by hand\n\n"
        "figure  published  by parts  by events  difference  kind   source    verdict\n"
        "area      99 um^2  100 um^2                +1.01 %  exact  recalled  not met\n"
        "  area: a note\n\n"
        "1 check of 1 chip: 1 not met\n"
    )


def test_a_tolerance_of_its_own_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, figure("area", 99, "um^2", tolerance=0.02))
    assert main(["validate", file]) == 0
    assert "exact, 2 %" in capsys.readouterr().out


def test_json_has_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, figure("area", 100, "um^2"))
    assert main(["validate", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "cimarch.validate/1"
    (chip,) = told["chips"]
    assert chip["figures"][0]["found"] == 100.0
    assert told == validate(file).to_dict()


def test_the_checks_are_a_data_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    file = written(tmp_path, figure("area", 100, "um^2"), figure("peak", 1.7778, "GOPS"))
    table = cimarch.validate(file).to_pandas()
    assert list(table["verdict"]) == ["met"] * 3
    assert list(table["method"]) == ["sum of parts", "closed form", "events"]


def test_a_page_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    assert main(["validate", "--write", str(tmp_path / "none" / "page.md")]) == 2
    assert main(["validate", "--write", ""]) == 2


# Mistakes ---------------------------------------------------------------------------------------

GOOD = figure("area", 100, "um^2")


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        (figure("arena", 1, "um^2"), "is `arena`, which is not known"),
        (figure("area", 1, "W"), "`unit` of figure 1 (`area`) is `W`, which is not known"),
        (figure("area", 1, "um^2", kind="exactly"), "is `exactly`, which is not known"),
        (figure("area", 1, "um^2", checked="seen"), "is `seen`, which is not known"),
        (figure("area", 0, "um^2"), "is 0, not above 0"),
        (figure("area", "1", "um^2"), "is `1`, not a number"),
        (figure("area", "true", "um^2").replace('"true"', "true"), "is `True`, not a number"),
        (figure("area", "x", "um^2").replace('"x"', "nan"), "is `NaN`, not a number"),
        (figure("area", "x", "um^2").replace('"x"', "1e999999"), "beyond 60 powers of ten"),
        (figure("area", "x", "um^2").replace('"x"', "-1e-999999"), "beyond 60 powers of ten"),
        (figure("area", 1, "um^2") * 2, "two figures are called `area`"),
        (figure("area", 1, "um^2", tolerance=2), "is 2, not in 0..1"),
        (figure("area", 1, "um^2", weight_bits=0), "is `0`, not a whole number in 1..64"),
        (figure("area", 1, "um^2", note=3), "is `3`, not a text"),
        (figure("area", 1, "um^2", set=3), "is not values by path"),
        (figure("area", 1, "um^2", comment="x"), "`comment` of figure 1 (`area`) means nothing"),
        (figure("area", 1, "um^2", against="isaac"), "`against` and the kind `ratio` go together"),
        (figure("area", 1, "", kind="ratio"), "`against` and the kind `ratio` go together"),
        (figure("action_energy", 1, "pJ"), "`action` and the quantity `action_energy` go together"),
        (
            figure("run_efficiency", 1, "TOPS/W"),
            "`network` and the quantity `run_efficiency` go together",
        ),
        ("[[figure]]\nname = 'x'\n", "there is no `quantity` of figure 1 (`x`)"),
        ("figure = 3\n", "`figure` is not a list"),
        ("figure = [3]\n", "figure 1 is not a table"),
        ("notes = 3\n", "`notes` is not a list of texts"),
        ("= \n", "cannot be read: Invalid statement"),
    ],
)
def test_a_mistake_in_a_file_is_a_diagnostic(tmp_path: Path, given: str, headline: str) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        read(Path(written(tmp_path, given)))
    assert any(headline in d.headline for d in caught.value.diagnostics), caught.value
    assert {d.code for d in caught.value.diagnostics} <= {"E420", "E421"}


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        (figure("area", 1, "um^2", path="adk"), "`Tiny` has no part `adk`"),
        (figure("peak", 1, "GOPS", path="adc"), "`adc` has no arrays inside"),
        (
            figure("action_energy", 1, "pJ", path="adc", action="write"),
            "`adc` has no action `write`",
        ),
        (figure("peak", 1, "GOPS", weight_bits=64), "takes 16 columns"),
    ],
)
def test_a_figure_of_what_is_not_there_says_which_figure(
    tmp_path: Path, given: str, headline: str
) -> None:
    with pytest.raises(cimarch.DescriptionError, match=headline) as caught:
        validate(written(tmp_path, given))
    assert "of `tiny` was asked for" in caught.value.diagnostics[0].notes[-1]


def test_the_efficiency_of_a_run_is_that_of_its_report(tmp_path: Path) -> None:
    head = HEAD.replace("tiny.cimarch:Tiny", "isaac")
    asked = figure("run_efficiency", 1, "TOPS/W", network="mlp", weight_bits=8, input_bits=8)
    (check,) = validate(written(tmp_path, asked, head=head)).checks
    network = cimarch.read_network(model="mlp")
    report = cimarch.simulate(cimarch.load("isaac"), network)
    assert check.found == pytest.approx(report.tops_per_watt, rel=1e-12)
    assert check.method == "events"
    assert "tile.ima.adc.convert.energy" in check.explained


def test_an_unknown_chip_is_told_with_a_guess(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "isac"]) == 2
    told = capsys.readouterr().err
    assert "error[E420]: nothing published is kept of `isac`" in told
    assert "did you mean `isaac`?" in told


def test_several_files_tell_all_their_mistakes(tmp_path: Path) -> None:
    wrong = written(tmp_path, figure("area", 0, "um^2"))
    with pytest.raises(cimarch.DescriptionError) as caught:
        references([wrong, str(tmp_path / "missing.toml")])
    assert [d.code for d in caught.value.diagnostics] == ["E421", "E420"]


# What comes with cimarch ------------------------------------------------------------------------


@cache
def everything() -> Validation:
    """All that comes with cimarch, once."""
    return validate()


def test_every_quantity_and_kind_is_explained_and_found() -> None:
    assert set(QUANTITIES) == set(EXPLAINED) == set(UNITS) == set(_QUANTITIES)
    assert set(KINDS) == set(_MEANS)
    assert len(_SOURCES) == 4


@pytest.mark.parametrize("name", [path.stem for path in bundled()])
def test_every_published_figure_that_nothing_contradicts_is_met(name: str) -> None:
    failed = [check for check in everything().failed if check.chip == name]
    assert [f"{c.figure}: {c.difference}" for c in failed] == []


def test_the_two_ways_to_throughput_agree_on_every_reference_chip() -> None:
    checks = [c for c in everything().checks if c.quantity == "peak"]
    closed = {(c.chip, c.figure): c.found for c in checks if c.method == "closed form"}
    events = {(c.chip, c.figure): c.found for c in checks if c.method == "events"}
    for name, value in closed.items():
        assert events[name] == pytest.approx(value, rel=0.01), name


def test_every_number_can_be_explained() -> None:
    found = everything()
    asked = set()
    for reference in found.references:
        for figure, checks in groupby(found.of(reference), key=lambda check: check.figure):
            published = next(f for f in reference.figures if f.name == figure)
            system = published.system or reference.chip
            addresses = {address for check in checks for address in check.explained}
            assert addresses, figure
            asked |= {(system, address) for address in addresses}
    systems = {name: cimarch.load(name) for name, _ in asked}
    for name, address in sorted(asked):
        told = cimarch.explain(systems[name], address)
        assert told.numbers or told.made, f"{name} {address}"


def test_the_page_is_what_the_command_writes() -> None:
    """`cimarch validate --write docs/validation.md` writes it anew."""
    assert (ROOT / "docs" / "validation.md").read_text() == page(everything())


def test_isaac_contradicts_itself_and_the_page_says_so() -> None:
    found = validate("isaac")
    named = {c.figure for c in found.checks if c.verdict == "contradicted"}
    assert named == {"computational efficiency (CE)", "power efficiency (PE)"}
    assert "627 GOPS/W, not 363.7" in text(found)


def test_isaacs_stages_take_22_beats() -> None:
    # Beats of 120 cycles: 0 from the eDRAM over the bus, 1..16 the reads, each converted in the
    # next beat, 18 the sums into the output register, 19 the bus, 20 the sigmoid, 21 the eDRAM.
    beating, free = isaac_pipeline()
    told = [(s.part.removeprefix("tile."), s.action, s.first_beat, s.last_beat) for s in beating]
    assert told == [
        ("edram", "read", 0, 0),
        ("bus", "transfer", 0, 0),
        ("ima.input", "write", 0, 0),
        ("ima.input", "read", 1, 1),
        ("ima.xbar", "read", 1, 16),
        ("ima.adc", "convert", 2, 17),
        ("ima.output", "write", 18, 18),
        ("ima.output", "read", 19, 19),
        ("bus", "transfer", 19, 19),
        ("sigmoid", "compute", 20, 20),
        ("output", "write", 21, 21),
        ("edram", "write", 21, 21),
    ]
    reads = next(s for s in beating if s.part == "tile.ima.xbar")
    assert (reads.members, reads.each, reads.busy) == (8, 16, 120)
    assert 17 * 120 <= max(s.finish for s in free) < 18.5 * 120


def test_values_are_exact_decimals() -> None:
    found = references(["isaac"])[0].figures[0]
    assert found.value == Fraction("65.8")
