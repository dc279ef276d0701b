"""Chips beside each other: ratios of what each does alone, equal areas, and what differs."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from fractions import Fraction
from pathlib import Path

import attrs
import click
import hypothesis.strategies as st
import pytest
from hypothesis import given

import cimarch
from cimarch import DescriptionError, Diagnostic, Network, System
from cimarch.cli import cli, main
from cimarch.explore.comparing.figures import FIGURES
from cimarch.explore.comparing.latex import escaped
from cimarch.explore.comparing.scale import _search

CHIP = """from std import crossbar, dac, adc, block

component Tile {{
    param converters: count = 8
    part dac[8]: dac {{ bits = 4, action convert {{ energy = 0 pJ }} }}
    part array: crossbar {{
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell, area = 2 um^2
        action read {{ latency = 1 ns, energy = 1 pJ }}
        action write {{ latency = 1 ns }}
    }}
    part adc[converters]: adc {{
        bits = 5, rate = 1 GHz, area = 1 um^2
        action convert {{ energy = {convert} }}
    }}
    connect dac[*] -> array -> adc[*]
}}

system {name} {{
    clock = 1 GHz
    {members}
}}
"""
LAYER = {"name": "layer", "kind": "linear", "inputs": 8, "outputs": 8, "invocations": 10}


def text(
    name: str, *, converters: int = 8, convert: str = "0.1 pJ", members: str | None = None
) -> str:
    """A chip of tiles: an array of 8 x 8 weights of 4 bits, and its converters."""
    whole = members or f"part tile: Tile {{ converters = {converters} }}"
    return CHIP.format(name=name, convert=convert, members=whole)


def chip(name: str, **changes: object) -> System:
    return cimarch.loads(text(name, **changes), file=f"{name}.cimarch")  # type: ignore[arg-type]


def layer(name: str = "net", **changes: object) -> Network:
    """Ten products of an 8 x 8 matrix."""
    return Network.from_table([{**LAYER, **changes}], name=name)


def wide() -> System:
    """A product takes a read and a turn of conversions: 2 cycles, 1 + 8 x 0.1 pJ; 10 um^2."""
    return chip("Wide")


def narrow() -> System:
    """With 2 converters it takes a read and 4 turns: 5 cycles, 1 + 8 x 0.2 pJ; 4 um^2."""
    return chip("Narrow", converters=2, convert="0.2 pJ")


def compared(*systems: System, **options: object) -> cimarch.Comparison:
    given = {"models": [layer()], "weight_bits": 4, "input_bits": 4, **options}
    return cimarch.compare(systems, **given)  # type: ignore[arg-type]


# figures and ratios


def test_each_figure_is_the_chips_own_and_the_ratio_is_to_the_first() -> None:
    found = compared(wide(), narrow())
    first, second = found.of("net")
    assert (first.figures["cycles"], second.figures["cycles"]) == (10 * 2, 10 * 5)
    assert first.figures["joules_per_inference"] == pytest.approx(18e-12, rel=1e-12)
    assert second.figures["joules_per_inference"] == pytest.approx(26e-12, rel=1e-12)
    assert (first.figures["area_mm2"], second.figures["area_mm2"]) == pytest.approx((1e-5, 4e-6))
    assert first.figures["energy_delay_Js"] == pytest.approx(18e-12 * 20e-9, rel=1e-12)
    ratios = found.ratios(second)
    assert ratios["seconds"] == ratios["cycles"] == 2.5
    assert ratios["joules_per_inference"] == pytest.approx(26 / 18)
    assert ratios["energy_delay_Js"] == pytest.approx(2.5 * 26 / 18)
    assert ratios["tops_per_watt"] == pytest.approx(18 / 26)
    assert ratios["gops_per_mm2"] == pytest.approx((1 / 2.5) / 0.4)  # slower, and smaller
    assert set(found.ratios(first).values()) <= {1.0, None}


def test_a_report_of_a_comparison_is_the_one_of_a_run_alone() -> None:
    alone = cimarch.simulate(narrow(), layer(), weight_bits=4, input_bits=4)
    found = compared(wide(), narrow())
    assert found.reports["Narrow", "net"].to_dict() == alone.to_dict()
    assert list(found.reports) == [("Wide", "net"), ("Narrow", "net")]


def test_every_network_has_its_table() -> None:
    found = compared(wide(), narrow(), models=[layer("one"), layer("two", invocations=30)])
    assert found.networks == ("one", "two")
    assert [r.figures["cycles"] for r in found.of("two")] == [60, 150]
    page = found.to_text()
    assert "one on 2 chips, 4-bit weights, 4-bit inputs, batch 1, ratios are to Wide" in page
    assert "two on 2 chips" in page
    with pytest.raises(KeyError):
        found.of("three")


def test_bits_of_single_operations_are_of_all_chips() -> None:
    # 8-bit weights take two columns each, so two arrays; 8-bit inputs two steps of the 4-bit dac
    two = chip("Two", members="part tile[2]: Tile")
    found = compared(two, precision={"layer": {"weight_bits": 8, "input_bits": 4}})
    assert found.of()[0].figures["crossbars"] == 2
    assert "with bits of single operations" in found.to_text()
    assert found.to_dict()["manifest"]["options"]["precision"] == {
        "layer": {"weight_bits": 8, "input_bits": 4}
    }


def test_what_is_not_known_is_a_dash_with_the_reason() -> None:
    unpriced = chip("Open", convert="0 pJ", members="part tile: Tile { adc.area = 0 mm^2 }")
    bare = cimarch.loads(
        "from std import crossbar\n"
        "system Bare { clock = 1 GHz\n"
        "part array: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell\n"
        "action read { latency = 1 ns } } }"
    )
    found = compared(unpriced, bare)
    _, second = found.of()
    assert second.figures["joules_per_inference"] is None
    assert second.unknown["joules_per_inference"] == "no price for 1 action: array.read"
    assert second.unknown["area_mm2"] == "no part states an area"
    assert second.unknown["lifetime_inferences"] == "the run writes no cells"
    assert found.ratios(second)["area_mm2"] is None
    page = found.to_text()
    assert "TOPS/W, mean power of Bare: no price for 1 action: array.read" in " ".join(page.split())
    (row,) = (line.split() for line in page.splitlines() if line.startswith("  area   "))
    assert row == ["area", "2.000", "um^2", "-", "-"]


def test_a_chip_that_cannot_run_a_network_is_a_column_with_the_reason() -> None:
    found = compared(wide(), chip("Tiny", members=TINY))
    refused = found.of()[1]
    assert refused.report is None
    (problem,) = refused.problems
    page = found.to_text()
    assert f"Tiny: {problem.headline} [{problem.code}]" in " ".join(page.split())
    (row,) = (line.split() for line in page.splitlines() if "refused with" in line)
    assert row == ["refused", "with", problem.code]
    assert found.to_dict()["results"][1]["errors"][0]["code"] == problem.code
    assert found.to_pandas()["error"].to_list() == ["", problem.code]


TINY = "part tile: Tile { array.serves = weight_bits > 4 }"


def test_ratios_are_to_the_first_chip_that_runs() -> None:
    found = compared(chip("Tiny", members=TINY), wide(), narrow())
    assert found.first() is found.of()[1]
    assert found.ratios(found.of()[2])["cycles"] == 2.5
    assert "ratios are to Wide" in found.to_text()


def test_where_no_chip_runs_the_mistakes_are_told() -> None:
    with pytest.raises(DescriptionError) as caught:
        compared(chip("Tiny", members=TINY))
    assert len(caught.value.diagnostics) == 1


def test_two_of_a_name_are_told_apart() -> None:
    found = compared(wide(), chip("Wide", converters=4), models=[layer(), layer()])
    assert [each.name for each in found.chips] == ["Wide", "Wide (2)"]
    assert found.networks == ("net", "net (2)")
    named = cimarch.compare(
        {"full": wide(), "half": narrow()}, models=[layer()], weight_bits=4, input_bits=4
    )
    assert [each.name for each in named.chips] == ["full", "half"]


def test_nothing_to_compare_is_a_mistake() -> None:
    for systems, models in (([], [layer()]), ([wide()], [])):
        with pytest.raises(DescriptionError) as caught:
            cimarch.compare(systems, models=models)
        assert caught.value.diagnostics[0].code == "E440"
    with pytest.raises(TypeError, match="as a list"):
        cimarch.compare("isaac", models=["digits"])


def test_runs_in_processes_of_their_own_give_the_same() -> None:
    alone, at_once = compared(wide(), narrow()), compared(wide(), narrow(), jobs=2)
    assert at_once.to_dict() == alone.to_dict()


# what differs


def test_assumptions_that_not_all_share_are_listed_by_chip() -> None:
    found = compared(wide(), narrow())
    assert found.differences.assumed == {"Wide": (), "Narrow": ()}
    assert "parts that state no area take none: `tile.dac`" in found.differences.shared
    faster = compared(
        wide(), chip("Fast", members="part tile: Tile { clock = 2 GHz }\n    voltage = 2 V")
    )
    facts = {fact.key: fact for fact in faster.differences.facts}
    assert facts["voltage_V"].values == {"Wide": [], "Fast": [2.0]}
    assert facts["voltage_V"].differs
    assert (facts["voltage_V"].told("Wide"), facts["voltage_V"].told("Fast")) == (
        "not stated",
        "2 V",
    )
    assert not facts["made_for"].differs


def test_what_a_chip_alone_assumes_is_its_own() -> None:
    line = "parts that state no area take none: `tile.dac`"
    found = compared(wide()).differences
    assert line in found.assumed["Wide"]
    assert found.shared == ()
    found = compared(wide(), chip("Tiny", members=TINY)).differences  # runs nothing
    assert line in found.assumed["Wide"]
    assert found.shared == ()


def test_leakage_temperature_and_densities_are_facts_where_they_differ() -> None:
    leaking = "part tile: Tile { leakage = 2 mW }\n    temperature = 360 K"
    reads = "0.1 pJ * input_density"
    stated = f"{leaking}\n    input_density = 0.25"
    found = compared(wide(), chip("Warm", members=stated, convert=reads)).differences
    told = {f.key: (f.told("Wide"), f.told("Warm")) for f in found.facts if f.differs}
    assert told["leakage_W"] == ("not stated", "2.000 mW")
    assert told["temperature_K"] == ("not stated", "360 K")
    assert told["input_density"] == ("not read", "25.0 %")
    assert "weight_density" not in told


POOLS = "part first: Tile\n    part second: Tile { converters = 2 }"


def test_pools_may_be_asked_for_of_one_chip() -> None:
    two = chip("Two", members=POOLS)
    found = compared(wide(), two, place={"Two": {"layer": "second.array"}})
    assert [r.figures["cycles"] for r in found.of()] == [20, 50]
    assert found.to_dict()["chips"][1]["place"] == {"layer": "second.array"}
    assert "layer=second.array" in found.to_text()
    with pytest.raises(DescriptionError, match="`place` is given for `Tow`, which is not compared"):
        compared(wide(), two, place={"Tow": {}})


def test_densities_may_be_given_of_one_chip() -> None:
    # a read takes 1 pJ x (1 + density): 1.5 pJ at the density of one half that nobody states
    energy = {"tile.array.read.energy": "1 pJ * (1 + input_density)"}
    dense = cimarch.loads(text("Dense"), set=energy)
    found = compared(wide(), dense)
    assert found.of()[1].figures["joules_per_inference"] == pytest.approx(10 * 2.3e-12)
    given = compared(wide(), dense, densities={"Dense": {"layer": (0.25, 0.5)}})
    assert given.of()[1].figures["joules_per_inference"] == pytest.approx(10 * 2.05e-12)


def test_power_over_time_comes_with_the_most_that_is_drawn() -> None:
    assert compared(wide(), narrow()).of()[0].figures["drawn_peak_W"] is None
    first, second = compared(wide(), narrow(), power=True).of()
    # 1.8 pJ in 2 ns, and 2.6 pJ in 5 ns, all the time
    assert first.figures["drawn_peak_W"] == pytest.approx(0.9e-3)
    assert second.figures["drawn_peak_W"] == pytest.approx(0.52e-3)
    assert first.report is not None
    assert first.report.drawn is not None
    assert first.figures["mean_power_W"] == pytest.approx(0.9e-3)


# equal areas

TILES = "param tiles: count in 1..1000 = {tiles}\n    part tile[tiles]: Tile\n    {more}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where descriptions are written."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, name: str, *, tiles: int = 1, more: str = "", members: str = "") -> str:
    """A file of a chip whose tiles take 10 um^2 each."""
    whole = members or TILES.format(tiles=tiles, more=more)
    (folder / f"{name}.cimarch").write_text(text(name.title(), members=whole))
    return f"{name}.cimarch"


def one_area(*chips: str, **options: object) -> cimarch.Comparison:
    return cimarch.compare(
        list(chips), models=[layer()], weight_bits=4, input_bits=4, iso_area=True, **options
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("tiles", [1, 3, 4, 5, 900])
def test_the_others_get_the_arrays_that_have_room_in_the_first(folder: Path, tiles: int) -> None:
    # 45 um^2 take 4 tiles of 10 um^2, whatever number the file has
    large = written(folder, "large", members="area = 35 um^2\npart tile: Tile")
    scaled = one_area(large, written(folder, "small", tiles=tiles)).chips[1].scaled
    assert scaled is not None
    assert (scaled.parameter, scaled.array) == ("tiles", "tile[tiles]")
    assert (scaled.before, scaled.after) == (tiles, 4)
    assert scaled.share == pytest.approx(40 / 45)


def test_the_comparison_tells_what_was_taken(folder: Path) -> None:
    large = written(folder, "large", members="area = 35 um^2\npart tile: Tile")
    found = one_area(large, written(folder, "small"))
    page = found.to_text()
    assert "tiles 1 -> 4" in page
    assert "88.9 % of 45.00 um^2" in page
    assert found.reports["Small", "net"].crossbars_available == 4
    assert found.to_dict()["chips"][1]["scaled"]["after"] == 4
    assert found.to_dict()["manifest"]["options"]["iso_area"] is True


def test_a_number_that_the_description_refuses_is_passed_over(folder: Path) -> None:
    # 105 um^2 would take 10 tiles; only multiples of 4 are taken
    large = written(folder, "large", members="area = 95 um^2\npart tile: Tile")
    small = written(folder, "small", tiles=4, more="assert ceil(tiles / 4) * 4 == tiles")
    scaled = one_area(large, small).chips[1].scaled
    assert scaled is not None
    assert scaled.after == 8


def test_no_more_are_taken_than_the_parameter_allows(folder: Path) -> None:
    large = written(folder, "large", members="area = 1 mm^2\npart tile: Tile")
    found = one_area(large, written(folder, "small"))
    scaled = found.chips[1].scaled
    assert scaled is not None
    assert scaled.after == 1000
    assert "Small cannot have one more, tiles = 1,001: `tiles` of" in found.to_text()


@given(
    st.integers(1, 200), st.integers(0, 3000), st.integers(1, 40), st.integers(0, 400),
    st.integers(1, 6), st.integers(1, 300),
)  # fmt: skip
def test_the_number_is_the_largest_that_has_room(
    before: int, area: int, each: int, fixed: int, step: int, most: int
) -> None:
    """A chip of `fixed` + `each` per tile (a router for every 4), multiples of `step` to `most`."""
    before, most = step * before, step * max(before, most)

    def total(number: int) -> int:
        return fixed + each * number + 7 * ((number + 3) // 4)

    def trying(number: int) -> System | Diagnostic:
        there = number % step == 0 and 1 <= number <= most
        return Chip(total(number)) if there else Diagnostic("E061", "no")  # type: ignore[return-value]

    found = _search(
        Fraction(each),
        before,
        trying(before),
        Fraction(area),
        trying,  # type: ignore[arg-type]
    )
    room = [n for n in range(step, most + 1, step) if total(n) <= area]
    if room:
        assert not isinstance(found, int)
        assert found[0] == max(room)
    else:
        assert found == step


@attrs.frozen
class Chip:
    """Stands for a System of which only the area is asked."""

    area: int

    def total(self, quantity: str) -> Fraction:
        assert quantity == "area"
        return Fraction(self.area)


def test_a_size_that_comes_from_further_out_is_set_there(folder: Path) -> None:
    deep = (
        "param all: count = 2\n    part core: Core { tiles = all }\n}\n"
        "component Core {\n    param tiles: count = 7\n    part tile[tiles, 2]: Tile"
    )
    large = written(folder, "large", members="area = 60 um^2\npart tile: Tile")
    scaled = one_area(large, written(folder, "deep", members=deep)).chips[1].scaled
    assert scaled is not None
    assert (scaled.parameter, scaled.array, scaled.after) == ("all", "core.tile[all, 2]", 3)


TWO = (
    "param some: count = 1\n    param more: count = 1\n"
    "    part tile[some]: Tile\n    part other[more]: Tile"
)


def test_of_two_parameters_one_is_chosen(folder: Path) -> None:
    large = written(folder, "large", members="area = 35 um^2\npart tile: Tile")
    two = written(folder, "two", members=TWO)
    with pytest.raises(DescriptionError) as caught:
        one_area(large, two)
    (problem,) = caught.value.diagnostics
    assert (problem.code, problem.helps) == ("E442", ("choose one: `--scale Two:some`",))
    scaled = one_area(large, two, scale={"Two": "more"}).chips[1].scaled
    assert scaled is not None
    assert (scaled.parameter, scaled.after) == ("more", 3)
    with pytest.raises(DescriptionError, match="not the size of an array of parts"):
        one_area(large, two, scale={"Two": "mor"})


def test_what_cannot_be_scaled_is_told_with_what_to_type(folder: Path) -> None:
    large = written(folder, "large", tiles=2)
    fixed = written(folder, "fixed", members="part tile[3]: Tile")
    with pytest.raises(DescriptionError) as caught:
        one_area(large, fixed)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E441"
    assert "`param tiles = 3`" in problem.helps[0]
    with pytest.raises(DescriptionError) as caught:
        one_area(fixed, written(folder, "huge", more="area = 1 mm^2"))
    assert caught.value.diagnostics[0].code == "E444"
    assert "`Huge` is larger than `Fixed` even with `tiles` = 1" in str(caught.value)
    nothing = written(
        folder, "nothing", members="part tile: Tile { array.area = 0 mm^2, adc.area = 0 mm^2 }"
    )
    with pytest.raises(DescriptionError, match="the area of `Nothing` is not known"):
        one_area(nothing, large)
    with pytest.raises(DescriptionError, match="cannot be read again to scale it"):
        cimarch.compare(
            [large, cimarch.loads((folder / "large.cimarch").read_text())],
            models=[layer()],
            iso_area=True,
        )


# what is written

PLAIN = {"schema", "chips", "networks", "results", "differences", "definitions", "manifest"}
OF_A_RESULT = {
    "chip", "network", "figures", "ratios", "ratios_to", "unknown", "bound", "layers", "options",
    "unmapped", "errors",
}  # fmt: skip


def test_json_has_every_figure_with_its_ratio_and_definition() -> None:
    found = compared(wide(), narrow()).to_dict()
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert set(found) == PLAIN
    assert found["schema"] == "cimarch.compare/1"
    keys = [figure.key for figure in FIGURES]
    for result in found["results"]:
        assert set(result) == OF_A_RESULT
        assert list(result["figures"]) == list(result["ratios"]) == keys
        assert set(result["unknown"]) == {k for k, v in result["figures"].items() if v is None}
    assert list(found["definitions"]) == keys
    assert set(found["chips"][0]) == {
        "name", "system", "file", "set", "scaled", "place", "densities",
    }  # fmt: skip
    assert set(found["differences"]) == {"facts", "assumed", "shared", "unmapped", "warnings"}
    assert set(found["manifest"]) == {"cimarch", "options", "digests"}
    assert {"Wide.cimarch", "Narrow.cimarch", "net"} <= set(found["manifest"]["digests"]) | {"net"}
    assert found["results"][1]["layers"][0]["operation"] == "layer"


def test_a_frame_has_a_row_for_each_network_and_chip() -> None:
    pytest.importorskip("pandas")
    found = compared(wide(), narrow())
    assert found.to_pandas().loc["net", "Narrow"]["cycles"] == 50
    assert found.to_pandas("ratios").loc["net", "Narrow"]["cycles"] == 2.5
    assert found.to_pandas("layers").loc["net", "Narrow", "layer"]["seconds"] == 50e-9
    with pytest.raises(ValueError, match="no table `parts`"):
        found.to_pandas("parts")


def test_csv_has_the_ratios_behind_the_figures() -> None:
    rows = list(csv.DictReader(compared(wide(), narrow()).to_csv().splitlines()))
    assert [(row["network"], row["chip"]) for row in rows] == [("net", "Wide"), ("net", "Narrow")]
    assert (rows[1]["cycles"], rows[1]["ratio_cycles"]) == ("50", "2.5")
    assert rows[0]["lifetime_inferences"] == ""
    assert rows[0]["bound_by"] == "tile.array[0]"


def test_latex_has_units_in_its_heads_and_escapes_names() -> None:
    table = compared(wide(), chip("Low_power", converters=2, convert="0.2 pJ")).to_latex()
    lines = table.splitlines()
    assert r"time (ns) & 20.00 & 50.00 (2.500) \\" in lines
    assert r"energy (pJ) & 18.00 & 26.00 (1.444) \\" in lines
    assert r"utilisation (\%) & 100.0 & 100.0 (1.000) \\" in lines
    assert r" & Wide & Low\_power \\" in lines
    product = r"energy $\times$ delay (J\,s) & $3.600 \times 10^{-19}$ & "
    assert product + r"$1.300 \times 10^{-18}$ (3.611) \\" in lines
    body = [line for line in lines if not line.startswith("%")]
    assert body[:2] == [r"\begin{tabular}{lrr}", r"\toprule"]
    assert body[-2:] == [r"\bottomrule", r"\end{tabular}"]
    assert {line.count("&") for line in body if line.endswith(r"\\")} == {2}
    assert escaped("a_b & 5% {x}") == r"a\_b \& 5\% \{x\}"


def test_a_notebook_shows_the_table_with_escaped_names() -> None:
    named = {"<b>": wide(), "half": narrow(), "tiny": chip("Tiny", members=TINY)}
    found = cimarch.compare(named, models=[layer()], weight_bits=4, input_bits=4)
    page = found._repr_html_()
    assert "<th>&lt;b&gt;</th><th>half</th><th>tiny</th>" in page
    assert "<td>20</td><td>50 (x2.500)</td><td title=''>-</td>" in page
    assert "<p>tiny: " in page


def test_chips_that_have_no_room_come_below_again_beside_the_first() -> None:
    found = compared(wide(), narrow(), chip("Third"), chip("Fourth"))

    def heads(width: int | None) -> list[list[str]]:
        lines = found.to_text(width=width).splitlines()
        return [line.split() for line in lines if line.endswith(" ratio")]

    narrowest = [["Wide", name, "ratio"] for name in ("Narrow", "Third", "Fourth")]
    assert heads(64) == narrowest
    assert heads(None) == [["Wide", "Narrow", "ratio", "Third", "ratio", "Fourth", "ratio"]]
    assert max(map(len, found.to_text(width=80).splitlines())) <= 80


def test_the_operations_stand_beside_each_other_when_asked_for() -> None:
    page = compared(wide(), narrow()).to_text(layers=True)
    (row,) = (line.split() for line in page.splitlines() if line.startswith("  layer "))
    assert row == ["layer", "20.00", "ns", "tile.array[0]", "50.00", "ns", "tile.array[0]"]


# the page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "compare.md"
SHOWN = re.compile(r"^```\n(cimarch compare .*)\n```\n\n```text\n((?:.*\n)*?)```$", re.MULTILINE)


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text()
    ((line, shown),) = SHOWN.findall(page)
    assert main(shlex.split(line)[1:]) == 0
    printed = capsys.readouterr().out
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        PAGE.write_text(page.replace(f"```text\n{shown}```", f"```text\n{printed}```", 1))
        return
    assert printed == shown, "CIMARCH_WRITE_EXPECTED=1 writes the page anew"


def test_the_page_defines_every_figure_and_names_every_option() -> None:
    page = PAGE.read_text()
    above, _, shown = page.partition("## Figures\n\n")
    figures = "".join(f"- `{figure.key}`: {figure.definition}\n" for figure in FIGURES)
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        PAGE.write_text(f"{above}## Figures\n\n{figures}")
        return
    assert shown == figures
    command = cli.get_command(click.Context(cli), "compare")
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in NOT_ON_THE_PAGE:
            assert any(f"`{name}" in page for name in option.opts), option.name


NOT_ON_THE_PAGE = ("input_", "tokens", "context", "allow_unmapped")
"""Flags that are those of `cimarch sim`, word for word."""


# the command


def command(folder: Path, *arguments: str) -> list[str]:
    (folder / "net.csv").write_text("name,kind,inputs,outputs,invocations\nlayer,linear,8,8,10\n")
    return ["compare", *arguments, "--model", "net.csv", "--weight-bits", "4", "--input-bits", "4"]


def test_the_command_compares_and_writes_every_form(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chips = [written(folder, "one"), written(folder, "two", tiles=2)]
    forms = ["--csv", "c.csv", "--latex", "c.tex", "-o", "c.json", "--layers"]
    assert main(command(folder, *chips, *forms)) == 0
    page = capsys.readouterr().out
    assert page.startswith("net on 2 chips, 4-bit weights")
    assert "Per operation" in page
    assert json.loads((folder / "c.json").read_text())["networks"] == ["net"]
    assert (folder / "c.csv").read_text().startswith("network,chip,cycles")
    assert r"\toprule" in (folder / "c.tex").read_text()
    assert main(command(folder, *chips, "--json")) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "c.json").read_text())


def test_a_setting_is_of_all_chips_or_of_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(folder, "one")

    def cycles(*settings: str) -> list[float]:
        flags = [flag for setting in settings for flag in ("--set", setting)]
        assert main(command(folder, one, one, *flags, "--json")) == 0
        results = json.loads(capsys.readouterr().out)["results"]
        return [result["figures"]["cycles"] for result in results]

    assert cycles("tile.converters=2") == [50, 50]
    assert cycles("2:tile.converters=2") == [20, 50]
    assert cycles("one.cimarch:tile.converters=4") == [30, 30]
    assert main(command(folder, one, "--set", "three:tiles=2")) == 2
    assert "there is no chip `three` among those that are compared" in capsys.readouterr().err


def test_pools_and_densities_are_of_one_chip(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = written(folder, "two", members=POOLS)
    (folder / "d.json").write_text('{"layer": {"input_density": 0.25, "weight_density": 0.5}}')
    flags = ["--place", "2:layer=second.array", "--densities", "Two (2):d.json", "--json"]
    assert main(command(folder, two, two, *flags)) == 0
    found = json.loads(capsys.readouterr().out)
    assert [result["figures"]["cycles"] for result in found["results"]] == [20, 50]
    assert [chip["densities"] for chip in found["chips"]] == [None, "d.json"]


def test_a_mistake_ends_the_command_before_any_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = written(folder, "one")
    for arguments, code in (
        (["nowhere", one], "E004"),
        ([one, "--plot", "bars.txt"], "E445"),
        ([one, "--csv", "none/c.csv"], "E900"),
        ([one, "--scale", "tiles"], "E901"),
        ([one, "--scale", "2:tiles"], "E901"),
        ([one, "--densities", "d.json"], "E901"),
        ([one, "--place", "two:layer=tile.array"], "E901"),
        ([one, "--set", "1:tiles"], "E901"),
        ([one, "--set", "1:tilez=3"], "E041"),
    ):
        assert main(command(folder, *arguments)) == 2
        done = capsys.readouterr()
        assert f"error[{code}]" in done.err
        assert done.out == ""


def test_only_strict_refuses_a_comparison_that_some_chips_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chips = [written(folder, "one"), written(folder, "tiny", members=TINY)]
    assert main(command(folder, *chips)) == 0
    assert "Does not run (1)" in capsys.readouterr().out
    assert main(command(folder, *chips, "--strict")) == 2
    assert "error[E203]" in capsys.readouterr().err
    assert main(command(folder, chips[0], "--strict")) == 2
    assert "error[E910]: assumed of `net on One` under --strict" in capsys.readouterr().err
    assert main(command(folder, chips[1])) == 2


def test_systems_of_one_file_are_compared_by_their_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = text("Corner") + "system Slow is Corner { tile.converters = 2 }\n"
    (folder / "corners.cimarch").write_text(source)
    assert main(command(folder, "corners.cimarch:Corner", "corners.cimarch:Slow")) == 0
    page = capsys.readouterr().out
    assert "ratios are to Corner" in page
    (head,) = (line.split() for line in page.splitlines() if line.endswith("ratio"))
    assert head == ["Corner", "Slow", "ratio"]
    slow = "corners.cimarch:Slow:tile.converters=1"
    assert main(command(folder, "corners.cimarch:Slow", "--set", slow, "--json")) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["figures"]["cycles"] == 10 * 9


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_pictures_are_drawn_and_the_same_each_time(folder: Path, form: str) -> None:
    pytest.importorskip("matplotlib")
    chips = [written(folder, "one"), written(folder, "two", tiles=2)]
    for name in ("a", "b"):
        flags = ["--plot", f"{name}.{form}", "--bounds", f"{name}_bounds.{form}"]
        flags += ["--power", f"{name}_power.{form}"]
        assert main(command(folder, *chips, *flags)) == 0
    for kind in ("", "_bounds", "_power"):
        first, again = ((folder / f"{name}{kind}.{form}").read_bytes() for name in "ab")
        assert first == again
        assert len(first) > 1000
