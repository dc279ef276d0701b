"""Copies of weights: who gets the next one, where it lies, and when there are enough."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chips import Draft, bare, chip, placed, resnet20, run, table
from cimarch import DescriptionError
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import Bits
from cimarch.mapping.readout import Vector, seconds_per_product
from cimarch.mapping.wiring import wirings_of
from cimarch.workload.network import Network
from test_pools import two


def arrays(count: int, more: str = "") -> System:
    """Arrays of 8 x 8 signed 4-bit cells, 10 ns a read."""
    return chip(f"""
    part array[{count}]: crossbar {{
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
        action read {{ latency = 10 ns }}
        {more}
    }}
    """)


def copies(system: System, network: Network, duplicate: object) -> list[int]:
    """The copies of each matrix, of a placement that holds what it should."""
    placement = given(system, network, duplicate)
    placement.check()
    return [len(plan.copies) for plan in placement.plans if plan.site.is_matrix]


def given(system: System, network: Network, duplicate: object) -> Placement:
    return placed(system, network, asked=Asked(duplicate=duplicate))


def refused(system: System, network: Network, duplicate: object) -> tuple[str, list[str]]:
    with pytest.raises(DescriptionError) as caught:
        given(system, network, duplicate)
    (found,) = caught.value.diagnostics
    assert found.code == "E204"
    return found.headline, [*found.notes, *found.helps]


# 16 products, then 8, then 4; an array each. 10 ns a product on all of them.
THREE = table((8, 8, 16), (8, 8, 8), (8, 8, 4))


def test_balance_gives_the_next_copy_to_the_slowest() -> None:
    # 16 8 4 with 3 arrays; a 4th makes l1 8; the 5th goes to l1 (the first of 8 and 8: 16 / 3) and
    # only with the 6th, for l2, the slowest falls below 8: to 16 / 3.
    found = [copies(arrays(n), THREE, "balance") for n in (3, 4, 5, 6, 7)]
    assert found == [[1, 1, 1], [2, 1, 1], [2, 1, 1], [3, 2, 1], [4, 2, 1]]


def test_fill_goes_on_until_nothing_fits() -> None:
    assert copies(arrays(5), THREE, "fill") == [3, 1, 1]
    # 16 / 4, 8 / 2 and 4 / 1 are alike, so the 8th array goes to l1 again.
    assert copies(arrays(8), THREE, "fill") == [5, 2, 1]


def test_there_are_never_more_copies_than_windows() -> None:
    assert copies(arrays(40), THREE, "fill") == [16, 8, 4]
    assert copies(arrays(40), table((8, 8), (8, 8)), "fill") == [1, 1]


def test_fill_gives_what_the_slowest_cannot_take_to_others() -> None:
    # A copy of l1 takes 2 x 2 arrays; of the 3 that are left l2 gets one each.
    network = table((8, 32, 16), (8, 8, 8))
    assert copies(arrays(8), network, "balance") == [1, 1]
    assert copies(arrays(8), network, "fill") == [1, 4]


def test_copies_lie_behind_each_other_in_order_of_the_operations() -> None:
    placement = given(arrays(5), THREE, {"l1": 3})
    tiles = placement.tiles
    assert tiles.site.tolist() == [0, 0, 0, 1, 2]
    assert tiles.copy.tolist() == [0, 1, 2, 0, 0]
    assert tiles.array.tolist() == [0, 1, 2, 3, 4]
    plan = placement.plans[0]
    assert [block.tiles.tolist() for copy in plan.copies for block in copy.blocks] == [
        [0],
        [1],
        [2],
    ]
    assert [copy.present for copy in plan.copies] == [
        {0: {0: (0,)}},
        {0: {0: (1,)}},
        {0: {0: (2,)}},
    ]
    assert plan.blocks is plan.copies[0].blocks


def test_copies_are_given_by_name_or_pattern_or_in_a_file(tmp_path: Path) -> None:
    assert copies(arrays(9), THREE, {"l*": 2, "l3": 3}) == [2, 2, 3]
    file = tmp_path / "copies.json"
    file.write_text(json.dumps({"l2": 4}))
    assert copies(arrays(9), THREE, file) == copies(arrays(9), THREE, str(file)) == [1, 4, 1]


def test_nothing_is_copied_where_the_network_takes_several_groups() -> None:
    placement = given(arrays(2), THREE, "balance")
    assert placement.groups == 2
    assert [len(plan.copies) for plan in placement.plans] == [1, 1, 1]
    assert "no weights are held twice: they take 2 resident groups as it is" in placement.assumed


def test_a_copy_keeps_its_sums_below_one_adder() -> None:
    # 16 inputs take 2 arrays, which meet below one of the adders that 4 arrays share: 2 copies an
    # adder. 24 inputs take 3: one copy an adder, the 4th array stays empty.
    system = chip("""
    part array[8]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part sum[2]: accumulator
    connect array[*] -> sum[*]
    """)
    assert given(system, table((16, 8, 9)), "fill").tiles.array.tolist() == list(range(8))
    assert given(system, table((24, 8, 9)), "fill").tiles.array.tolist() == [0, 1, 2, 4, 5, 6]


def test_layers_that_share_an_array_share_it_with_copies() -> None:
    # 2 columns each: 4 tiles of 2 columns an array.
    system = arrays(2, "array_use = shared")
    placement = given(system, table((8, 2, 9), (8, 2, 9)), "fill")
    placement.check()
    assert [len(plan.copies) for plan in placement.plans] == [4, 4]
    assert placement.tiles.array.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_each_operation_is_copied_in_its_own_pool() -> None:
    # l2 on the 8 small arrays of 4 x 4 2-bit cells takes 2 a copy, and 3 ns a product.
    placement = placed(two(big=2), table((8, 8, 10), (4, 4, 10)), asked=Asked(["l2=small"], "fill"))
    assert [len(plan.copies) for plan in placement.plans] == [2, 4]
    assert [plan.pool.path for plan in placement.plans] == ["big", "small"]


def test_a_product_takes_what_its_read_out_takes() -> None:
    # 2 steps of 10 ns; 8 columns on 2 converters of 1 GHz are bursts of 4 ns.
    def seconds(**more: object) -> float:
        (wiring,) = wirings_of(bare(rows=8, columns=8, read="10 ns", converters=2, **more))
        return float(seconds_per_product(wiring, Vector(8, 8, 8, Bits(4, 8)), 0) * 10**9)

    assert seconds() == 2 * 10  # held: the bursts are hidden
    assert seconds(hold=False) == 2 * (10 + 4)
    assert seconds(rate="100 MHz") == 2 * 40  # held, and bound by the bursts
    assert seconds(array="word_lines = 2") == 4 * 2 * 10


def test_balance_weighs_by_the_time_of_a_product() -> None:
    # 8 products each, 64 inputs at once take the reads of 8 word lines 8 times; 8 inputs once.
    system = chip("""
    part array[5]: crossbar {
        rows = 64, columns = 8, word_lines = 8, cell_bits = 4, encoding = signed_cell
    }
    """)
    assert copies(system, table((8, 8, 8), (64, 8, 8)), "balance") == [1, 4]


def test_copies_that_cannot_be_are_told(tmp_path: Path) -> None:
    assert refused(arrays(9), THREE, {"l9": 2}) == (
        "`duplicate` names `l9`, which is no matrix operation of the network",
        ["they are `l1`, `l2`, `l3`"],
    )
    assert refused(arrays(9), THREE, {"l3": 5}) == (
        "`l3` has 5 copies, more than its 4 windows",
        ["every copy takes windows in turn", "`l3`: 4"],
    )
    assert refused(arrays(9), THREE, {"l1": 8, "l2": 2}) == (
        "the copies do not fit the 9 arrays of `array`",
        [
            "asked for are 8 of `l1`, 2 of `l2`",
            "ask for fewer, or `--duplicate fill` for as many as fit",
        ],
    )
    for wrong in (0, 1.5, True, "two", None):
        assert refused(arrays(9), THREE, {"l1": wrong})[0] == (
            f"`duplicate`: `l1` has {wrong!r} copies, not a whole number from 1"
        )
    assert refused(arrays(9), THREE, 3)[0] == (
        "`duplicate` is not an object of copies by operation"
    )
    file = tmp_path / "copies.json"
    headline, _ = refused(arrays(9), THREE, file)
    assert headline == f"the file of copies `{file}` cannot be read: no such file or directory"
    file.write_text("{")
    assert "is not JSON" in refused(arrays(9), THREE, file)[0]
    file.write_text('{"l1": 2, "l1": 3}')
    assert refused(arrays(9), THREE, file)[0] == "the file of copies names `l1` twice"


def test_a_large_chip_is_filled_to_the_last_copy() -> None:
    # The four stages of ResNet-20 have 1024, 256 and 64 windows: copies go as they do.
    placement = given(bundled("isaac"), resnet20(), "fill")
    placement.check()
    counts = [len(plan.copies) for plan in placement.plans]
    assert placement.groups == 1
    assert counts[0] > 3 * counts[8] > 9 * counts[-2]
    assert placement.crossbars > 0.99 * placement.available


def test_same_network_same_copies() -> None:
    one, other = (given(arrays(9), THREE, "fill").tiles for _ in range(2))
    assert one.array.tolist() == other.array.tolist()
    assert one.copy.tolist() == other.copy.tolist()


def test_copies_leave_room_for_operations_that_begin_with_a_buffer_of_their_own() -> None:
    # The second begins with the first array of 4: with 8 arrays the first has 4 and the second 4.
    asked = Asked(duplicate="fill", spaced={"l2": 4})
    placement = placed(arrays(8), table((8, 8, 9), (8, 8, 9)), asked=asked)
    placement.check()
    assert placement.groups == 1
    assert placement.tiles.array.tolist() == list(range(8))
    assert [len(plan.copies) for plan in placement.plans] == [4, 4]


# Runs -------------------------------------------------------------------------------------------


def test_copies_take_the_windows_in_turn() -> None:
    # 7 products of 10 ns on 3 copies: windows 0 3 6, 1 4 and 2 5.
    done = run(arrays(3), table((8, 8, 7)), asked=Asked(duplicate={"l1": 3}))
    tiles = done.program.columns["tile"][done.at("array")]
    assert np.bincount(tiles).tolist() == [3, 2, 2]
    assert done.cycles == 3 * 10
    assert done.layer("l1")["products"] == 7
    assert done.layer("l1")["copies"] == 3


@pytest.mark.parametrize("copies", [1, 2, 3, 4, 5, 16])
def test_copies_divide_the_time_up_to_rounding(copies: int) -> None:
    done = run(arrays(16), table((8, 8, 16)), asked=Asked(duplicate={"l1": copies}))
    assert done.cycles == -(-16 // copies) * 10
    assert done.count("array", "read") == 16


def test_every_copy_is_written() -> None:
    done = run(arrays(3), table((8, 8, 7)), weights="cold", asked=Asked(duplicate={"l1": 3}))
    assert done.writes() == {0: 1, 1: 1, 2: 1}


def test_rows_go_through_copies_in_a_pipeline() -> None:
    # 4 rows of 4 windows, 2 copies: half the cycles on the arrays.
    draft = Draft(8, 4, 4)
    draft.conv("conv", "x", 8, 1)
    for schedule in ("layers", "pipeline"):
        one = run(arrays(2), draft.network(), schedule=schedule)
        two = run(arrays(2), draft.network(), schedule=schedule, asked=Asked(duplicate="fill"))
        assert (one.cycles, two.cycles) == (160, 80)
