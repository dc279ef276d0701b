"""`cimarch map`: tables of where things lie, the picture, and the files it writes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import cimarch
from chips import chip, placed, round_trip, run, table
from cimarch.cli import main
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement
from cimarch.report.floorplan import MOST_PANELS, colour, svg
from cimarch.report.map import operations, pools, to_dict, to_text
from cimarch.report.nesting import MOST, nesting
from test_duplicate import arrays
from test_pools import two

DESCRIPTION = """
from std import crossbar, buffer, unit, accumulator
system Chip {
    clock = 1 GHz
    part maps: buffer { size = 4 KiB }
    part array[4]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part sum: accumulator
    connect maps -> array[*] -> sum -> maps
}
"""
LAYERS = "kind,name,outputs,inputs,invocations\nlinear,first,8,16,5\nlinear,second,4,8,5\n"


# Tables -----------------------------------------------------------------------------------------


def test_a_line_says_where_an_operation_lies() -> None:
    # 16 x 8 weights of 4 bits on arrays of 8 x 8: 2 row blocks; 8 x 4: half of one.
    placement = placed(round_trip(arrays=3), table((16, 8, 5), (8, 4, 5)))
    found = operations(placement)
    assert found["pool"].tolist() == ["array", "array"]
    assert found["tiles"].tolist() == found["arrays"].tolist() == [2, 1]
    assert found["utilisation"].tolist() == [1.0, 0.5]
    assert found["input_from"].tolist() == ["maps[0]", "maps[0]"]
    assert found["results_to"].tolist() == ["maps[0]", "maps[0]"]
    assert found["word_line_groups"].tolist() == [1, 1]


def test_a_line_says_how_full_a_pool_is_in_each_group() -> None:
    found = pools(placed(two(big=1), table((8, 8), (8, 8), (8, 8), (8, 4))))
    assert list(zip(found["pool"], found["group"], found["arrays"], strict=True)) == [
        ("big", 0, 1), ("big", 1, 1), ("small", 0, 8), ("small", 1, 4),
    ]  # fmt: skip
    assert found["available"].tolist() == [1, 1, 8, 8]
    assert found["utilisation"].tolist() == [1.0, 1.0, 1.0, 1.0]


def test_the_map_is_plain_values_the_same_every_time() -> None:
    one, other = (to_dict(placed(arrays(4), table((8, 8, 3)))) for _ in range(2))
    assert json.dumps(one) == json.dumps(other)
    assert one["schema"] == "cimarch.map/1"
    assert [row["name"] for row in one["operations"]] == ["l1"]


def test_the_page_has_a_line_an_operation() -> None:
    text = to_text(placed(arrays(4), table((8, 8, 3), (8, 4, 2)), asked=Asked(duplicate="fill")))
    lines = text.splitlines()
    assert lines[0] == "table on Chip: 4 of 4 arrays, 75.0 % of their cells, 1 resident group"
    assert [line.split()[0] for line in lines[3:5]] == ["l1", "l2"]
    assert lines[3].split()[2:] == [
        "array", "8", "x", "8", "4/4", "2", "2", "2", "0", "100.0", "%", "at", "hand", "nowhere",
    ]  # fmt: skip


# The picture ------------------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"


def drawn(placement: Placement) -> ET.Element:
    """The picture, which must be well-formed and the same every time."""
    text = svg(placement)
    assert text == svg(placement)
    return ET.fromstring(text)


def titles(root: ET.Element) -> list[str]:
    """What the filled rectangles of arrays tell."""
    found = [rect.find(f"{SVG}title") for rect in root.iter(f"{SVG}rect")]
    return [str(title.text) for title in found if title is not None and ":" in str(title.text)]


def test_each_tile_is_a_rectangle_that_tells_what_it_is() -> None:
    root = drawn(placed(arrays(4), table((8, 8, 3), (4, 2, 2)), asked=Asked(duplicate={"l1": 2})))
    assert titles(root) == [
        "array[0]: l1, copy 0, column block 0, row block 0: 8 x 8 cells",
        "array[1]: l1, copy 1, column block 0, row block 0: 8 x 8 cells",
        "array[2]: l2, column block 0, row block 0: 4 x 2 cells",
    ]


def test_a_rectangle_is_as_large_as_the_cells_it_takes() -> None:
    # An array of 8 x 8 is 96 pixels wide and high: 2 columns and 4 rows are 24 and 48.
    root = drawn(placed(arrays(4), table((4, 2))))
    (rect,) = [r for r in root.iter(f"{SVG}rect") if "l1, column" in "".join(r.itertext())]
    assert (rect.get("width"), rect.get("height")) == ("24", "48")
    assert rect.get("fill") == colour(0)


def test_tiles_that_share_an_array_lie_side_by_side() -> None:
    root = drawn(placed(arrays(2, "array_use = shared"), table((8, 2), (8, 4))))
    rects = [r for r in root.iter(f"{SVG}rect") if "cells" in "".join(r.itertext())]
    assert [(r.get("x"), r.get("width")) for r in rects] == [("0", "24"), ("24", "48")]


def test_arrays_nest_as_the_description_does() -> None:
    system = chip(
        "part tile[2, 3]: Tile",
        components="component Tile { part unit[2]: Unit }\n"
        "component Unit { part array[4]: crossbar { rows = 8, columns = 8, cell_bits = 4 } }\n",
    )
    (pool,) = system.of_kind("crossbar")
    grid = nesting(system, pool, pool.count)
    assert [level.name for level in grid.levels] == ["tile", "unit", "array"]
    assert grid.name(47) == "tile[1, 2].unit[1].array[3]"
    assert grid.name(9) == "tile[0, 1].unit[0].array[1]"
    # tile 3 begins the second row, below tile 0
    first, below = grid.box(0, 0), grid.box(3, 0)
    assert (below.x, below.y > first.y) == (first.x, True)
    inner, outer = grid.box(9, 2), grid.box(1, 0)
    assert outer.x <= inner.x
    assert inner.x + inner.width <= outer.x + outer.width
    assert outer.y <= inner.y
    assert inner.y + inner.height <= outer.y + outer.height


@pytest.mark.parametrize("count", [1, 7, 100, 5000, 16_000])
def test_no_array_is_drawn_over_another(count: int) -> None:
    system = arrays(count)
    (pool,) = system.of_kind("crossbar")
    grid = nesting(system, pool, count)
    members = grid.members(0)
    boxes = [grid.box(i, 0) for i in range(members)]
    assert members <= MOST
    assert members * grid.arrays_each >= count
    places = {(round(box.x, 3), round(box.y, 3)) for box in boxes}
    assert len(places) == members
    assert all(box.x + box.width <= grid.size[0] + 0.01 for box in boxes)
    assert all(box.y + box.height <= grid.size[1] + 0.01 for box in boxes)


def test_what_is_empty_behind_the_last_tile_is_left_out() -> None:
    placement = placed(bundled("isaac"), table((64, 64)), 8)
    assert "16,032 arrays behind these, not drawn" in svg(placement)


def test_a_square_stands_for_several_arrays_where_there_are_too_many() -> None:
    placement = placed(bundled("isaac"), table((8, 8, 16_000)), asked=Asked(duplicate="fill"))
    root = drawn(placement)
    found = titles(root)
    assert found[0] == "tile.ima.xbar[0..7]: l1 on 8 arrays"
    # one a unit of 8 arrays, and the legend's
    assert len(found) == placement.crossbars // 8
    assert len(svg(placement)) < 600_000


def test_more_groups_than_panels_are_told() -> None:
    placement = placed(arrays(1), table(*[(8, 8)] * 30))
    assert placement.groups == 30
    assert f"... and {30 - MOST_PANELS} more resident groups" in svg(placement)


def test_names_are_written_so_that_the_picture_stays_whole() -> None:
    network = cimarch.Network.from_table(
        [{"name": 'a<b>&"c"\x00', "kind": "linear", "outputs": 4, "inputs": 4}]
    )
    root = drawn(placed(arrays(1), network))
    assert any('a<b>&"c"' in title for title in titles(root))


def test_colours_of_neighbours_differ() -> None:
    found = [colour(i) for i in range(60)]
    assert len(set(found)) == 60


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "chip.cimarch").write_text(DESCRIPTION)
    (tmp_path / "layers.csv").write_text(LAYERS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


BITS = ["--weight-bits", "4", "--input-bits", "4"]


def test_map_prints_the_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "chip.cimarch", "layers.csv", *BITS]) == 0
    out = capsys.readouterr().out
    assert out.startswith("layers on Chip: 3 of 4 arrays, 83.3 % of their cells, 1 resident group")
    assert main(["map", "chip.cimarch", "layers.csv", *BITS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["tiles"] for row in told["operations"]] == [2, 1]


def test_map_writes_a_placement_that_sim_takes_over(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["chip.cimarch", "layers.csv", *BITS]
    flags = ["--duplicate", "fill", "-o", "placement.json", "--svg", "plan.svg"]
    assert main(["map", *common, *flags]) == 0
    assert json.loads(Path("placement.json").read_text())["schema"] == "cimarch.placement/1"
    assert ET.parse("plan.svg").getroot().tag == f"{SVG}svg"
    capsys.readouterr()
    told = []
    for more in (["--duplicate", "fill"], ["--placement", "placement.json"]):
        assert main(["sim", *common, *more, "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
        told[-1]["manifest"].pop("options")
    assert told[0] == told[1]
    assert told[0]["layers"][1]["copies"] == 2


def test_places_and_spreading_reach_the_simulator(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["sim", "chip.cimarch", "layers.csv", *BITS, "--json"]
    assert main([*common, "--place", "*=array", "--spread-rows"]) == 0
    options = json.loads(capsys.readouterr().out)["manifest"]["options"]
    assert options["place"] == {"*": "array"}
    assert options["spread_rows"] is True
    assert (options["duplicate"], options["placement"]) == ("none", None)


MISTAKES = {
    "no model": (["map", "chip.cimarch"], "give a MODEL file"),
    "no such pool": (["--place", "*=arrays"], "error[E202]"),
    "no pattern": (["--place", "array"], "error[E202]"),
    "no such way to copy": (["--duplicate", "all"], "error[E204]"),
    "no such placement": (["--placement", "nowhere.json"], "error[E205]"),
    "a placement that is a table": (["--placement", "layers.csv"], "error[E205]"),
    "a place that is a folder": (["-o", "."], "error[E900]"),
    "no folder for the picture": (["--svg", "nowhere/plan.svg"], "error[E900]"),
    "an empty name": (["--svg", ""], "error[E900]"),
    "what is assumed, under strict": (["--strict"], "error[E910]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_nothing_is_written(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags, told = MISTAKES[name]
    before = sorted(place.iterdir())
    arguments = flags if flags[0] == "map" else ["map", "chip.cimarch", "layers.csv", *flags]
    assert main(arguments) == 2
    assert told in capsys.readouterr().err
    assert sorted(place.iterdir()) == before


def test_the_function_of_python_places_without_running() -> None:
    system: System = arrays(4)
    network = table((8, 8, 3))
    placement = cimarch.map_network(system, network, weight_bits=4, input_bits=4, duplicate="fill")
    placement.check()
    assert len(placement.plans[0].copies) == 3
    report = cimarch.simulate(system, network, weight_bits=4, input_bits=4, placement=placement)
    assert report.crossbars == 3
    done = run(system, network, asked=Asked(duplicate="fill"))
    assert report.cycles == done.cycles == 10
