"""Rows spread over more arrays where fewer word lines than rows may be active."""

from __future__ import annotations

import pytest

from chips import chip, placed, run, table
from cimarch.hardware.system import System
from cimarch.mapping.assign import Asked

SPREAD = Asked(spread_rows=True)


def limited(arrays: int, lines: int, *, rows: int = 16) -> System:
    """Arrays of 16 x 8 cells of which few word lines are active at once, 10 ns a read."""
    return chip(f"""
    part array[{arrays}]: crossbar {{
        rows = {rows}, columns = 8, word_lines = {lines}, cell_bits = 4, encoding = signed_cell
        action read {{ latency = 10 ns }}
    }}
    """)


@pytest.mark.parametrize(
    ("arrays", "k", "tiles"), [(1, 4, 1), (2, 2, 2), (3, 2, 2), (4, 1, 4), (9, 1, 4)]
)
def test_a_product_takes_as_few_groups_as_the_arrays_allow(arrays: int, k: int, tiles: int) -> None:
    # 16 rows, 4 at once: 4 groups on one array, 2 each on two, 1 each on four.
    done = run(limited(arrays, 4), table((16, 8, 5)), asked=SPREAD)
    assert len(done.placement.tiles) == tiles
    assert done.placement.tiles.rows.tolist() == [16 // tiles] * tiles
    assert done.cycles == 5 * k * 10
    assert run(limited(arrays, 4), table((16, 8, 5))).cycles == 5 * 4 * 10


@pytest.mark.parametrize(("rows", "lines"), [(16, 3), (10, 4), (7, 2), (16, 5)])
def test_the_speed_up_is_the_ratio_of_the_groups_rounded_up(rows: int, lines: int) -> None:
    # With an array for each group: ceil(rows / lines) times as fast.
    groups = -(-rows // lines)
    system, network = limited(groups, lines), table((rows, 8, 7))
    apart, spread = run(system, network), run(system, network, asked=SPREAD)
    assert apart.cycles == groups * spread.cycles
    assert spread.count("array", "read") == apart.count("array", "read")


def test_half_the_word_lines_take_twice_the_groups() -> None:
    cycles = [run(limited(1, lines), table((16, 8, 5))).cycles for lines in (16, 8, 4, 2, 1)]
    assert cycles == [50, 100, 200, 400, 800]


def test_all_operations_share_the_free_arrays() -> None:
    # Both layers have 4 groups: with 4 arrays 2 groups each, with 8 one.
    for arrays, groups in ((2, 4), (3, 4), (4, 2), (7, 2), (8, 1)):
        placement = placed(limited(arrays, 4), table((16, 8), (16, 8)), asked=SPREAD)
        placement.check()
        assert set(placement.tiles.rows.tolist()) == {4 * groups}
        assert placement.groups == 1


def test_nothing_is_spread_where_all_rows_are_read_at_once() -> None:
    placement = placed(limited(9, 16), table((16, 8)), asked=SPREAD)
    assert (len(placement.tiles), placement.tiles.reads.tolist()) == (1, [0])


def test_nothing_is_spread_where_the_weights_do_not_fit() -> None:
    placement = placed(limited(1, 4), table((16, 8), (16, 8)), asked=SPREAD)
    assert placement.groups == 2
    assert (
        "no rows are spread: the weights take several resident groups as it is" in placement.assumed
    )


def test_copies_take_what_spreading_leaves() -> None:
    # 4 arrays for each of 2 copies of 16 rows by 4; the 9th stays empty.
    asked = Asked(spread_rows=True, duplicate="fill")
    placement = placed(limited(9, 4), table((16, 8, 6)), asked=asked)
    assert len(placement.plans[0].copies) == 2
    assert len(placement.tiles) == 8
