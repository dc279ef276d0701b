"""Strips on arrays: where they lie, what is read when, and what it costs; worked by hand.

The chip has two pools of arrays of 4 x 4 cells of 4 bits. A weight of 8 bits takes two columns of
`eight`, read in 10 cycles; one of 4 bits takes one of `four`, read in 3 cycles. An accumulator that
both lead to makes an addition a cycle; all else is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chips import Draft, Run, chip, placed, run
from cimarch import DescriptionError
from cimarch.hardware.system import System
from cimarch.mapping import saved
from cimarch.mapping.assign import Asked
from cimarch.mapping.packing import Needed, needed
from cimarch.mapping.placement import Placement
from cimarch.mapping.tiling import Arrays
from cimarch.program.context import Options
from cimarch.report.map import to_dict, to_text
from cimarch.workload.network import Network

SUM = "\n    part sum: accumulator\n    connect eight[*] -> sum\n    connect four[*] -> sum"


def pool(
    name: str, read: int, serves: str, count: int = 8, more: str = "encoding = signed_cell"
) -> str:
    """So many arrays, read in so many cycles, for weights of some bits."""
    return f"""
    part {name}[{count}]: crossbar {{
        rows = 4, columns = 4, cell_bits = 4
        action read {{ latency = {read} ns, energy = 1 pJ }}
        action write {{ latency = 1 ns }}
        {f"serves = weight_bits {serves}" if serves else ""}
        {more}
    }}"""


def two(*, count: int = 8, wires: str = SUM, more: str = "encoding = signed_cell") -> System:
    """The chip of these stories."""
    pools = pool("eight", 10, "> 4", count, more) + pool("four", 3, "<= 4", count, more)
    return chip(pools + wires)


def conv(channels: int = 2, outputs: int = 3, groups: int = 1) -> Network:
    """A convolution of 2 x 2 positions, two windows."""
    draft = Draft(channels, 2, 3)
    draft.conv("conv", "x", outputs, 2, groups=groups)
    return draft.network()


MIX = ("001", "011", "111", "000")
"""Six strips of 8 bits: two of the first position, one of the second, three of the fourth."""


def strips(
    levels: Sequence[str] = MIX, layout: str = "packed", bits: Sequence[int] = (8, 4), **more: int
) -> dict[str, object]:
    told = {"bits": list(bits), "levels": list(levels), "layout": layout, **more}
    return {"conv": {"strips": told}}


def lying(placement: Placement, pool: int) -> list[tuple[int, ...]]:
    """(kernel position or first row, array, first row, first column, columns) of a pool's tiles."""
    t = placement.tiles.take(placement.tiles.pool == pool)
    names = ("row0", "array", "at_row", "at_column", "columns")
    return list(zip(*(getattr(t, name).tolist() for name in names), strict=True))


def utilisations(placement: Placement) -> tuple[float, float]:
    return placement.utilisation_of_pool("eight"), placement.utilisation_of_pool("four")


# Where they lie ---------------------------------------------------------------------------------


def test_strips_lie_beside_and_above_each_other() -> None:
    # A strip is 2 rows. At 8 bits an array takes 2 x 2 strips, the six take two arrays: those of
    # the fourth position go on behind the one of the second. At 4 bits it takes 4 x 2.
    placement = placed(two(), conv(), 8, precision=strips())
    assert lying(placement, 0) == [
        (0, 0, 0, 0, 4),
        (1, 0, 2, 0, 2),
        (3, 0, 2, 2, 2),
        (3, 1, 0, 0, 4),
    ]
    # Three strips of the third position have no room beside the first three; there is room above.
    assert lying(placement, 1) == [(0, 0, 0, 0, 1), (1, 0, 0, 1, 2), (2, 0, 2, 0, 3)]
    # 6 strips x 2 rows x 2 columns of 2 x 16 cells, and 6 x 2 x 1 of 16.
    assert utilisations(placement) == (24 / 32, 12 / 16)
    placement.check()


def test_the_rows_of_a_tile_are_those_of_its_position() -> None:
    # Rows of the matrix are channel by channel: position p has rows p and 4 + p.
    placement = placed(two(), conv(), 8, precision=strips())
    assert set(placement.tiles.every.tolist()) == {4}
    assert placement.tiles.inputs.tolist() == [2] * 7
    made = [(level, outputs.tolist()) for level, outputs in map(placement.strips_of, range(7))]
    assert made == [
        (0, [0, 1]), (0, [0]), (0, [0]), (0, [1, 2]), (1, [2]), (1, [1, 2]), (1, [0, 1, 2]),
    ]  # fmt: skip


def test_holes_leave_the_matrix_as_it_is() -> None:
    # 8 x 3 weights: at 8 bits 2 x 2 arrays, at 4 bits 2 x 1, each with a strip at least.
    placement = placed(two(), conv(), 8, precision=strips(layout="holes"))
    assert lying(placement, 0) == [
        (0, 0, 0, 0, 4),
        (4, 1, 0, 0, 4),
        (0, 2, 0, 0, 2),
        (4, 3, 0, 0, 2),
    ]
    assert lying(placement, 1) == [(0, 0, 0, 0, 3), (4, 1, 0, 0, 3)]
    assert utilisations(placement) == (24 / 64, 12 / 32)
    placement.check()


def test_an_array_without_a_strip_is_not_taken_and_a_column_without_one_not_read() -> None:
    # Of 8 bits is only the third output's strip at the first position: the arrays of outputs 0, 1
    # have none. At 4 bits all three columns have some.
    placement = placed(two(), conv(), 8, precision=strips(["110", *["111"] * 3], "holes"))
    assert lying(placement, 0) == [(0, 0, 0, 0, 2), (4, 1, 0, 0, 2)]
    tiles = placement.tiles
    assert tiles.outputs.tolist() == [1, 1, 3, 3]
    only_first = placed(two(), conv(), 8, precision=strips(["011", *["111"] * 3], "holes")).tiles
    assert only_first.columns.tolist() == [4, 4, 3, 3]
    assert only_first.lines.tolist() == [2, 2, 3, 3]


def test_strips_longer_than_an_array_are_cut() -> None:
    # 6 channels on 4 rows: 4 + 2. The first pieces fill arrays of 2 strips, the second of 2 x 2:
    # of four strips (one a position) 2 arrays and 1.
    placement = placed(two(), conv(6, 1), 8, precision=strips("0000"))
    tiles = placement.tiles
    assert tiles.inputs.tolist() == [4] * 4 + [2] * 4
    assert tiles.row0.tolist() == [0, 1, 2, 3, 16, 17, 18, 19]
    assert tiles.array.tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    assert tiles.row_block.tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    placement.check()


def test_a_limit_of_reads_takes_further_arrays() -> None:
    # One strip of 8 bits at each of three positions, of three that an array has room for: together
    # they are read three times a window; with two reads at most the third has an array of its own.
    draft = Draft(2, 2, 3)
    draft.conv("conv", "x", 4, 2)
    mix = ["0111", "0111", "0111", "1111"]
    network = draft.network()
    dense = placed(two(), network, 8, precision=strips(mix))
    spread = placed(two(), network, 8, precision=strips(mix, reads=2))
    assert dense.tiles.array[dense.tiles.level == 0].tolist() == [0, 0, 0]
    assert spread.tiles.array[spread.tiles.level == 0].tolist() == [0, 0, 1]
    assert dense.utilisation_of_pool("eight") == 2 * spread.utilisation_of_pool("eight")
    op, eight = network.operations[0], Arrays(spread.pools[0])
    assert needed(op, spread.bits["conv"], 0, eight) == Needed(arrays=2, reads=2)
    assert needed(op, dense.bits["conv"], 0, eight) == Needed(arrays=1, reads=3)


def test_spread_rows_leave_as_few_strips_on_an_array_as_can_be() -> None:
    # Eight arrays a pool: each of the four tiles of 8 bits and the three of 4 bits has its own.
    asked = Asked(spread_rows=True)
    placement = placed(two(), conv(), 8, precision=strips(), asked=asked)
    pools = [placement.tiles.array[placement.tiles.pool == pool].tolist() for pool in (0, 1)]
    assert [len(set(arrays)) for arrays in pools] == [len(arrays) for arrays in pools]


def test_strips_of_channel_groups_keep_to_their_own_inputs() -> None:
    # Two groups of one channel, two outputs each: a strip is one weight. Rows of the second group
    # follow those of the first.
    placement = placed(two(), conv(2, 4, groups=2), 8, precision=strips(["0011"] * 4))
    tiles = placement.tiles
    assert tiles.channel_group.tolist() == [0] * 4 + [1] * 4
    assert tiles.level.tolist() == [0] * 4 + [1] * 4
    assert tiles.row0.tolist() == [0, 1, 2, 3] * 2
    placement.check()


def test_the_map_tells_precisions_pools_and_how_full_each_is() -> None:
    placement = placed(two(), conv(), 8, precision=strips())
    (row,) = [row for row in to_dict(placement)["operations"] if row["rows"]]
    assert (row["pool"], row["strips"]) == ("eight, four", "8: 6, 4: 6")
    assert (row["arrays"], row["tiles"], row["word_line_groups"]) == (3, 7, 1)
    found = {row["pool"]: row["utilisation"] for row in to_dict(placement)["pools"]}
    assert found == {"eight": 24 / 32, "four": 12 / 16}
    assert "  8 4/8  " in to_text(placement)


# What is read when ------------------------------------------------------------------------------


def mixed(layout: str = "packed", **options: object) -> Run:
    return run(two(), conv(), 8, precision=strips(layout=layout), **options)  # type: ignore[arg-type]


def test_pools_work_on_a_window_at_the_same_time_and_positions_in_turn() -> None:
    # A window: the first array of `eight` is read three times, 30 cycles, the second once; `four`
    # three times, 9 cycles. Then 3 outputs of 4 sums each: 9 additions. The second window's reads
    # follow the first one's: 60, and 9 more.
    done = mixed()
    assert done.spans("eight")[:2] == [(0, 10), (0, 10)]
    assert done.spans("four")[:3] == [(0, 3), (3, 6), (6, 9)]
    assert done.spans("sum") == [(30, 39), (60, 69)]
    assert done.cycles == 69


def test_every_read_and_addition_is_counted() -> None:
    done = mixed()
    assert (done.count("eight", "read"), done.count("four", "read")) == (2 * 4, 2 * 3)
    assert done.count("sum", "add") == 2 * 9
    assert done.layer("conv")["products"] == 2 * 7
    assert (done.joules("eight", "read"), done.joules("four", "read")) == (8e-12, 6e-12)


def test_with_holes_all_arrays_are_read_at_once() -> None:
    # 10 cycles a window, then 9 additions: the first output has sums on four arrays, as have both
    # others.
    done = mixed("holes")
    assert done.spans("sum") == [(10, 19), (20, 29)]
    assert done.cycles == 29


def test_outputs_of_one_sum_need_no_addition() -> None:
    # One position of 4 rows: each output has one sum, on one pool or the other.
    draft = Draft(4)
    draft.linear("conv", "x", 5)
    done = run(two(), draft.network(), 8, precision=strips(["01011"]))
    assert (done.cycles, done.count("sum", "add")) == (10, 0)


def test_all_strips_of_the_highest_precision_are_the_same_weights_in_another_tiling() -> None:
    # Plain: 8 x 3 weights on 2 x 2 arrays, 10 cycles a window, one addition for each output. In
    # strips: 12 strips on 3 arrays, the first of which is read three times; three additions each.
    plain = run(two(), conv(), 8)
    whole = run(two(), conv(), 8, precision=strips(["000"] * 4))
    assert (plain.placement.crossbars, whole.placement.crossbars) == (4, 3)
    assert plain.placement.tiles.cells.sum() == whole.placement.tiles.cells.sum() == 48
    assert (plain.count("sum", "add"), whole.count("sum", "add")) == (2 * 3, 2 * 9)
    assert (plain.cycles, whole.cycles) == (10 + 10 + 3, 30 + 30 + 9)


@pytest.mark.parametrize("how", [Options(detail="wordline"), Options(granularity="wordline")])
@pytest.mark.parametrize("engine", ["fast", "simpy"])
def test_strips_take_the_same_time_in_every_detail(how: Options, engine: str) -> None:
    assert mixed(how=how, engine=engine).cycles == 69


def test_weights_of_both_pools_are_written_before_they_are_read() -> None:
    # Rows are written one by one and a cycle each: of the first array of `eight` 2 + 2 + 2.
    done = mixed(weights="cold")
    assert done.cycles == 69 + 6
    assert done.count("eight", "write") == 4 * 2
    assert done.count("four", "write") == 3 * 2


def test_what_does_not_fit_one_resident_group_goes_to_the_next() -> None:
    # One array a pool: the fourth tile of `eight` is loaded later. The first group has 4, 3 and 3
    # sums of the outputs; in the second what waited in `maps` is added to all three.
    wires = (
        SUM
        + """
    part maps: buffer { size = 1 KiB, width = 32 bit }
    connect maps -> eight[*]
    connect maps -> four[*]
    connect sum -> maps
    connect maps -> sum"""
    )
    done = run(two(count=1, wires=wires), conv(), 8, precision=strips(), weights="cold")
    assert done.placement.groups == 2
    assert done.placement.tiles.resident.tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert done.count("sum", "add") == 2 * (3 + 2 + 2 + 3)
    done.placement.check()


def test_three_precisions_lie_on_three_pools() -> None:
    pools = pool("eight", 10, "> 6") + pool("four", 3, "<= 4") + pool("six", 5, "== 6")
    system = chip(pools + SUM + "\n    connect six[*] -> sum")
    mix = strips(["012"] * 4, bits=(8, 6, 4))
    placement = placed(system, conv(), 8, precision=mix)
    assert [placement.pools_of(plan) for plan in placement.plans] == [
        tuple(system.part(path) for path in ("eight", "six", "four"))
    ]
    assert placement.tiles.pool.tolist() == [0] * 4 + [2] * 4 + [1] * 4


# What cannot be ---------------------------------------------------------------------------------


def refused(system: System, network: Network | None = None, **options: object) -> tuple[str, str]:
    with pytest.raises(DescriptionError) as caught:
        placed(system, network or conv(), 8, **{"precision": strips(), **options})
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].headline


def test_a_precision_that_no_pool_serves_is_told() -> None:
    wires = "\n    part sum: accumulator\n    connect eight[*] -> sum"
    system = chip(pool("eight", 10, "> 4") + wires)
    assert refused(system) == ("E203", "no pool serves the strips of 4 bits of `conv`")


def test_strips_of_two_precisions_on_one_pool_are_told_and_read_in_turn() -> None:
    # The pool serves all. Its own arrays for each precision: `eight` as above, and the three tiles
    # of 4 bits on a third array, which is read in 30 cycles like the first.
    wires = "\n    part sum: accumulator\n    connect eight[*] -> sum"
    system = chip(pool("eight", 10, "") + wires)
    done = run(system, conv(), 8, precision=strips())
    assert "strips of 8 and 4 bits lie together on `eight`" in done.placement.assumed
    assert done.placement.tiles.array.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert done.cycles == 69
    forced = placed(two(), conv(), 8, precision=strips(), asked=Asked(pools={"conv": "eight"}))
    assert forced.tiles.array.tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_pools_without_a_common_adder_are_told() -> None:
    wires = (
        "\n    part sum: accumulator\n    part other: accumulator"
        "\n    connect eight[*] -> sum\n    connect four[*] -> other"
    )
    code, headline = refused(two(wires=wires))
    assert code == "E223"
    assert headline == "no adder that `eight[0]` leads to joins the partial sums of `conv`"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        (
            "encoding = offset_column",
            "one column of each measures the offset of all its rows together",
        ),
        ("encoding = differential, pair = array", "the halves of a weight lie on two of them"),
    ],
)
def test_arrays_that_take_no_strips_are_told(encoding: str, told: str) -> None:
    system = two(more=encoding)
    with pytest.raises(DescriptionError) as caught:
        placed(system, conv(), 8, precision=strips())
    (found,) = caught.value.diagnostics
    assert (found.code, found.notes) == ("E462", (told,))


def test_a_weight_wider_than_the_arrays_of_its_pool_is_told() -> None:
    mix = strips(bits=(20, 4))
    assert refused(two(), precision=mix)[0] == "E211"


def test_strips_are_held_once_and_kept_in_no_placement_file() -> None:
    assert refused(two(), asked=Asked(duplicate="fill")) == (
        "E463",
        "`--duplicate` and strips of several precisions exclude each other",
    )
    with pytest.raises(DescriptionError, match="strips of `conv` are kept in no placement file"):
        saved.to_text(placed(two(), conv(), 8, precision=strips()))
    plain = placed(two(), conv(), 8)
    assert refused(two(), asked=Asked(saved=plain))[0] == "E463"
