"""Placements saved and placed again: the same report, or a diagnostic that says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chips import bare, mlp, placed, resnet20, run, table
from cimarch import DescriptionError
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement
from cimarch.mapping.saved import COLUMNS, to_dict, to_text
from cimarch.workload.network import Network
from test_duplicate import arrays
from test_pools import two

# 16 inputs are 2 row blocks.
LAYERS = table((16, 8, 4), (8, 8, 4))


def chip(count: int = 3, more: str = "") -> System:
    return arrays(count, more)


def saved(system: System, network: Network, **asked: Any) -> dict[str, Any]:
    """What the file of a placement holds, read back from its text."""
    text = to_text(placed(system, network, asked=Asked(**asked)))
    content: dict[str, Any] = json.loads(text)
    return content


def again(system: System, network: Network, content: object) -> Placement:
    placement = placed(system, network, asked=Asked(saved=content))
    placement.check()
    return placement


def same(one: Placement, other: Placement) -> bool:
    return to_text(one) == to_text(other) and all(
        (getattr(one.tiles, name) == getattr(other.tiles, name)).all()
        for name in ("rows", "columns", "lines", "cells", "outputs", "inputs", "row0", "column0")
    )


def test_a_placement_file_says_where_each_tile_lies() -> None:
    content = saved(chip(), LAYERS)
    assert content["pools"] == ["array"]
    assert [entry["name"] for entry in content["operations"]] == ["l1", "l2"]
    assert content["columns"] == list(COLUMNS)
    # operation, copy, channel group, column block, row block, pool, array, first column, group
    assert content["tiles"] == [
        [0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0, 2, 0, 0],
    ]


@pytest.mark.parametrize("asked", [{}, {"duplicate": "fill"}, {"spread_rows": True}])
def test_a_placement_is_the_same_when_it_is_placed_again(asked: dict[str, Any]) -> None:
    for system in (chip(9, "word_lines = 4"), two(), chip(2)):
        first = placed(system, LAYERS, asked=Asked(**asked))
        assert same(first, again(system, LAYERS, to_dict(first)))
        assert same(first, again(system, LAYERS, first))


def test_the_run_of_a_placement_file_is_the_run_it_was_saved_of(tmp_path: Path) -> None:
    system, network = bundled("isaac"), resnet20(8)
    file = tmp_path / "placement.json"
    file.write_text(to_text(placed(system, network, 8)))
    one = run(system, network, 8)
    other = run(system, network, 8, asked=Asked(saved=file))
    assert same(one.placement, other.placement)
    assert one.cycles == other.cycles
    assert one.entries == other.entries


def test_a_tile_may_be_moved_to_another_array() -> None:
    content = saved(chip(4), LAYERS)
    content["tiles"][2][6] = 3
    assert again(chip(4), LAYERS, content).tiles.array.tolist() == [0, 1, 3]
    # the order of the lines does not matter
    content["tiles"].reverse()
    assert again(chip(4), LAYERS, content).tiles.array.tolist() == [0, 1, 3]


def test_a_setting_may_change_as_long_as_the_tiles_fit() -> None:
    content = saved(bundled("isaac"), mlp(64, 64))
    again(bundled("isaac", set={"tile.ima.adc.bits": 9}), mlp(64, 64), content)


Change = Callable[[dict[str, Any]], object]


def tile(number: int, name: str, value: object) -> Change:
    """Change one number of one tile."""
    return lambda content: content["tiles"][number].__setitem__(COLUMNS.index(name), value)


WRONG: dict[str, tuple[Change, str]] = {
    "schema": (
        lambda c: c.update(schema="cimarch.placement/9"),
        "the placement has not the schema `cimarch.placement/1`",
    ),
    "an unknown operation": (
        lambda c: c["operations"][1].update(name="l9"),
        "the placement holds `l9`, which is no matrix operation that is run",
    ),
    "a missing operation": (
        lambda c: c["operations"].pop(),
        "the placement holds no weights of `l2`",
    ),
    "operations in disorder": (
        lambda c: c["operations"].reverse(),
        "the placement's operations are not once each in the order of the network",
    ),
    "operations of another kind": (
        lambda c: c.update(operations=3),
        "the placement's `operations` is not a list of objects",
    ),
    "another precision": (
        lambda c: c["operations"][0].update(weight_bits=8),
        "the placement has `l1` at weight_bits 8, the run at 4",
    ),
    "groups of word lines": (
        lambda c: c["operations"][0].update(groups_of_word_lines=-1),
        "`groups_of_word_lines` of `l1` in the placement is -1",
    ),
    "an unknown pool": (
        lambda c: c.update(pools=["arrays"]),
        "the placement's pool `arrays` is no crossbar or digital array of the system",
    ),
    "an array out of range": (
        tile(1, "array", 3),
        "tile 1 of the placement is on array 3 of `array`, which has 3",
    ),
    "an operation out of range": (
        tile(1, "operation", 2),
        "`operation` of tile 1 of the placement is 2, not a whole number below 2",
    ),
    "a number that is none": (
        tile(1, "array", 1e400),
        "`array` of tile 1 of the placement is inf, not a whole number below 2147483648",
    ),
    "a flag for a number": (
        tile(1, "copy", True),
        "`copy` of tile 1 of the placement is True, not a whole number below 2147483648",
    ),
    "a short tile": (
        lambda c: c["tiles"][0].pop(),
        "tile 0 of the placement has not 9 numbers",
    ),
    "two tiles on one array": (
        tile(2, "array", 1),
        "the placement puts two tiles on array 1 of `array` in group 0",
    ),
    "a tile beyond its array": (
        tile(2, "at_column", 1),
        "a tile of `l2` ends at column 9, its array has 8",
    ),
    "missing weights": (
        lambda c: c["tiles"].pop(1),
        "the placement lacks tile (0, 0, 1) of `l1`, copy 0",
    ),
    "no weights at all": (
        lambda c: c["tiles"].pop(),
        "the placement holds no weights of `l2`",
    ),
    "doubled weights": (
        lambda c: c["tiles"].append(list(c["tiles"][0])),
        "the placement holds tile (0, 0, 0) of `l1`, copy 0 twice",
    ),
    "a tile that is not cut": (
        tile(1, "row_block", 2),
        "the placement holds tile (0, 0, 2) of `l1`, copy 0, which it is not cut into",
    ),
    "more copies than windows": (
        tile(2, "copy", 4),
        "the placement holds `l2` 5 times, more than its 4 windows",
    ),
    "a group left out": (
        tile(2, "group", 2),
        "the placement's resident groups are not 0 to 1",
    ),
    "an operation before the one in front of it": (
        lambda c: (tile(0, "group", 1)(c), tile(1, "group", 1)(c)),
        "the placement loads `l2` in group 0, before `l1` in group 1, which is run first",
    ),
    "another network": (
        lambda c: c["network"].update(digest="0"),
        "the placement was made of another network than this `table`",
    ),
    "another system": (
        lambda c: c.pop("system"),
        "the placement was made of another system than this `Chip`",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_placement_that_does_not_fit_is_told(name: str) -> None:
    change, headline = WRONG[name]
    content = saved(chip(), LAYERS)
    change(content)
    with pytest.raises(DescriptionError) as caught:
        again(chip(), LAYERS, content)
    (found,) = caught.value.diagnostics
    assert (found.code, found.headline) == ("E205", headline)


def test_copies_beyond_the_first_group_are_told() -> None:
    network = table((8, 8, 4), (8, 8, 4))
    content = saved(chip(2), network)
    content["tiles"].append([1, 1, 0, 0, 0, 0, 0, 0, 1])
    with pytest.raises(DescriptionError, match="holds `l2` 2 times beyond the first group"):
        again(chip(2), network, content)


def test_an_operation_in_two_pools_is_told() -> None:
    content = saved(two(), LAYERS)
    content["tiles"][1][COLUMNS.index("pool")] = 1
    with pytest.raises(DescriptionError, match="puts `l1` in several pools"):
        again(two(), LAYERS, content)


def test_tiles_side_by_side_need_arrays_that_are_shared() -> None:
    network = table((8, 4), (8, 4))
    content = saved(chip(2), network)
    content["tiles"][1][6:8] = [0, 4]
    with pytest.raises(DescriptionError, match="puts two tiles on array 0 of `array` in group 0"):
        again(chip(2), network, content)
    shared = chip(2, "array_use = shared")
    content["system"] = saved(shared, network)["system"]
    assert again(shared, network, content).tiles.at_column.tolist() == [0, 4]


@pytest.mark.parametrize(
    "asked", [{"pools": ["l1=array"]}, {"duplicate": "fill"}, {"spread_rows": True}]
)
def test_a_saved_placement_leaves_nothing_else_to_ask(asked: dict[str, Any]) -> None:
    content = saved(chip(), LAYERS)
    with pytest.raises(DescriptionError, match="and a saved placement exclude each other"):
        placed(chip(), LAYERS, asked=Asked(saved=content, **asked))


def test_files_that_hold_no_placement_are_told(tmp_path: Path) -> None:
    file = tmp_path / "placement.json"
    with pytest.raises(DescriptionError, match="cannot be read: no such file or directory"):
        again(chip(), LAYERS, file)
    for text in ("", "{", "[" * 20_000, "\x00"):
        file.write_text(text)
        with pytest.raises(DescriptionError, match="is not JSON"):
            again(chip(), LAYERS, str(file))
    for text in ("[]", "{}", "3", '{"schema": 1}'):
        file.write_text(text)
        with pytest.raises(DescriptionError, match=r"has not the schema `cimarch\.placement/1`"):
            again(chip(), LAYERS, file)


def test_placements_of_single_arrays_are_told_apart_by_their_description() -> None:
    content = saved(bare(rows=8, columns=8), table((8, 8)))
    with pytest.raises(DescriptionError, match="made of another system than this `Chip`"):
        again(bare(rows=16, columns=8), table((8, 8)), content)
