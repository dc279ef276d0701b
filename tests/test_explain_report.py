"""Every number of every report table has a definition, terms, and a source for what was priced."""

from __future__ import annotations

import json
import math

import attrs
import pytest

import cimarch
from cimarch.hardware.origin import HOW
from cimarch.report.definitions import TABLES
from cimarch.report.explaining.cells import NAMES
from cimarch.report.explaining.cookbook import RECIPES
from cimarch.report.explaining.of_report import addresses
from cimarch.report.explaining.provenance import MADE, Provenance
from cimarch.report.report import Report
from cimarch.workload.shapes import shapes_only
from reports import small

ARITHMETIC = ("sum", "formula")


def run(chip: str, network: str = "resnet20", **options: object) -> Report:
    return cimarch.simulate(cimarch.load(chip), shapes_only(network), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def isaac() -> Report:
    return run("isaac", batch=2)


def test_every_figure_and_every_column_has_a_recipe() -> None:
    assert set(RECIPES) == {"", "bounds", *TABLES}
    for table, names in NAMES.items():
        assert set(RECIPES[table]) >= set(names), table
    for recipes in RECIPES.values():
        for name, recipe in recipes.items():
            assert recipe.made in MADE, name
            assert recipe.formula or recipe.made in ARITHMETIC, name


RUNS = {
    "isaac": lambda: run("isaac", batch=2),
    "one crossbar, in groups": lambda: run("single_crossbar", "mlp"),
    "an edge macro without prices": lambda: run("edge_macro", "mlp", weights="cold"),
    "a language chip": lambda: run("language_chip", "mlp", schedule="layers"),
    "bit serial": lambda: run("bit_serial", "mlp", batch=3),
    "modelled, weights reloaded": lambda: run("small", "mlp"),
    "two pools": lambda: run("two_pools", "mlp", batch=2),
    "pools of two kinds": lambda: run("hybrid", "mlp"),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_number_of_every_table_is_explained(name: str) -> None:
    report = RUNS[name]()
    for address in addresses(report):
        explanation = report.explain(address)
        (number,) = explanation.made
        assert json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
        assert number.definition
        assert number.address.split(" #")[0] == address.split(" #")[0]
        check(report, number)


def check(report: Report, number: Provenance) -> None:
    if number.made in ARITHMETIC and number.value is not None:
        assert number.recomputed is not None, number
        step = 2.0**-52 * report.known_joules if "joules" in number.address else 0.0
        assert number.recomputed == pytest.approx(number.value, rel=1e-12, abs=step), number
    for term in number.terms:
        if term.origin is not None:
            assert term.origin.how in HOW
        if number.address.startswith(("ledger[", "energy[")) and term.origin is not None:
            assert (term.origin.how == "nobody") == (term.value is None), number


@pytest.mark.parametrize("chip", ["isaac", "bit_serial", "language_chip"])
def test_every_priced_action_has_the_origin_of_its_energy(chip: str) -> None:
    report = run(chip, "mlp")
    hows = {"stated": ("stated", "default", "inherited", "set"), "from power": ("from power",)}
    names = ("operation", "part", "action", "origin")
    for row in zip(*(report.energy[name].tolist() for name in names), strict=True):
        operation, part, action, origin = row
        head = f"{operation}, " if operation else ""
        (number,) = report.explain(f"energy[{head}{part}.{action}].joules").made
        found = {term.origin.how for term in number.terms if term.origin is not None}
        assert len(found) == 1, row
        expected = ("modelled",) if origin.startswith("model ") else hows.get(origin, ("nobody",))
        assert found.pop() in expected, row


def test_an_energy_is_its_count_times_the_energy_of_one(isaac: Report) -> None:
    explained = isaac.explain("ledger[tile.ima.adc.convert].joules")
    (number,) = explained.made
    assert number.terms[0].address == "energy[conv1, tile.ima.adc.convert].joules"
    (own,) = isaac.explain("energy[conv1, tile.ima.adc.convert].joules").made
    (term,) = own.terms
    assert term.each == "1.5625 pJ"
    assert term.count == int(isaac.layers["conversions"][0])
    assert own.value == pytest.approx(term.count * 1.5625e-12)
    (origin,) = explained.numbers
    assert origin.worked == "2 mW / 1.28 GHz"


RESTING = """\
from std import crossbar, adc, buffer

system Resting {
    clock = 1 GHz
    part input: buffer { size = 64 KiB, leakage = 1 mW, idle_power = 2 mW, power = 1 mW }
    part array[8]: crossbar {
        rows = 128, columns = 128, leakage = 3 uW, gated_leakage = 1 uW
        action read { latency = 10 ns, energy = 1 fJ * active_rows }
        action write { latency = 10 ns, energy = 1 fJ }
    }
    part adc[8]: adc { bits = 8, rate = 1 GHz
        action convert { energy = 1 pJ } }
    connect input -> array[*] -> adc[*] -> input
}
"""


def test_what_is_paid_for_time_is_a_power_and_the_time_it_is_paid_for() -> None:
    report = cimarch.simulate(cimarch.loads(RESTING), shapes_only("mlp"))
    for address in addresses(report):
        (number,) = report.explain(address).made
        check(report, number)
    (idle,) = report.explain("energy[input.idle].joules").made
    assert idle.terms[0].each.startswith("2 mW for ")
    assert idle.terms[0].origin is not None
    assert idle.terms[0].origin.name == "idle_power"
    (gated,) = report.explain("energy[array.gated].joules").made
    assert gated.terms[0].each.startswith("1 uW for ")
    reads = report.explain("energy[layers.0, array.read].joules").made[0].terms
    assert [term.each for term in reads] == ["128 fJ", "16 fJ"]  # 784 rows: 6 x 128 + 16


def test_a_layers_joules_are_its_rows_and_its_cycles_its_ends(isaac: Report) -> None:
    (joules,) = isaac.explain("layers[conv1].joules").made
    assert all(term.address.startswith("energy[conv1, ") for term in joules.terms)
    assert math.fsum(term.value for term in joules.terms) == joules.value  # type: ignore[misc]
    (cycles,) = isaac.explain("layers[conv1].cycles").made
    assert [term.name for term in cycles.terms] == ["finish_cycle", "start_cycle"]
    first, last = cycles.notes
    assert first == "its first task: read on tile.ima.xbar[0]"
    assert last.startswith("its last task: store on tile.")


def test_a_figure_is_told_with_its_formula_and_values(isaac: Report) -> None:
    text = str(isaac.explain("joules_per_inference"))
    assert "= joules / batch" in text
    (number,) = isaac.explain("tops_per_watt").made
    assert [term.name for term in number.terms] == ["macs", "batch", "joules"]
    assert number.recomputed == number.value


def test_a_report_knows_the_numbers_of_its_system_too(isaac: Report) -> None:
    (origin,) = isaac.explain("tile.ima.adc.convert.energy").numbers
    assert origin.told == "1.5625 pJ"


def test_dots_do_where_brackets_would_be_quoted(isaac: Report) -> None:
    for dotted, address in {
        "layers.conv1.cycles": "layers[conv1].cycles",
        "ledger.tile.ima.adc.convert.joules": "ledger[tile.ima.adc.convert].joules",
    }.items():
        assert isaac.explain(dotted).made == isaac.explain(address).made


def test_all_figures_are_told_without_an_address(isaac: Report) -> None:
    assert [n.address for n in isaac.explain().made] == list(NAMES[""])


@pytest.mark.parametrize(
    ("address", "headline", "help_"),
    [
        ("joule", "`joule` is no number of this report", "did you mean `joules`?"),
        ("layer[conv1].cycles", "a report has no table `layer`", "did you mean `layers`?"),
        ("layers[conv2].cycles", "`layers` has no row `conv2`", "did you mean `conv1`?"),
        ("layers[conv1].cycle", "`layers` has no column `cycle`", "did you mean `cycles`?"),
    ],
)
def test_an_address_that_is_none_is_told_with_a_suggestion(
    isaac: Report, address: str, headline: str, help_: str
) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        isaac.explain(address)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.headline, problem.helps) == ("E401", headline, (help_,))


def test_a_report_that_no_run_made_still_has_its_arithmetic() -> None:
    report = small()
    (number,) = report.explain("seconds").made
    assert number.recomputed == number.value == 1e-6
    with pytest.raises(cimarch.DescriptionError):
        report.explain("tile.ima.adc")


def test_what_a_report_rests_on_is_not_written(isaac: Report) -> None:
    bare = attrs.evolve(isaac, basis=None)
    assert json.dumps(bare.to_dict()) == json.dumps(isaac.to_dict())
    assert "basis" not in isaac.to_dict()
