"""Several pools of different arrays: which of them holds an operation, and how each runs."""

from __future__ import annotations

import pytest

from chips import Draft, Run, chip, placed, run, table
from cimarch import DescriptionError
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement
from cimarch.workload.network import Network

TWO = """
    part big[{big}]: crossbar {{
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
        action read {{ latency = 10 ns }}
        action write {{ latency = 1 ns }}
        {serves}
    }}
    part small[{small}]: digital_array {{
        rows = 4, columns = 4, cell_bits = 2, encoding = signed_cell
        action read {{ latency = 3 ns }}
        action write {{ latency = 2 ns }}
        {others}
    }}
"""


def two(*, big: int = 4, small: int = 8, serves: str = "", others: str = "") -> System:
    """Arrays of 8 x 8 4-bit cells, 10 ns a read; and of 4 x 4 2-bit cells, 3 ns a read."""
    return chip(TWO.format(big=big, small=small, serves=serves, others=others))


def held(placement: Placement) -> list[tuple[str, list[int], list[int]]]:
    """Of each matrix: its pool, the arrays of its tiles, and their resident groups."""
    tiles = placement.tiles
    return [
        (
            plan.pool.path,
            tiles.array[tiles.site == plan.site.index].tolist(),
            tiles.resident[tiles.site == plan.site.index].tolist(),
        )
        for plan in placement.plans
        if plan.site.is_matrix
    ]


def refused(system: System, *, pools: object = None, **more: object) -> tuple[str, str, list[str]]:
    with pytest.raises(DescriptionError) as caught:
        placed(system, table((8, 8), (8, 8)), asked=Asked(pools=pools), **more)
    found = caught.value.diagnostics[0]
    return found.code, found.headline, [*found.notes, *found.helps]


def test_the_first_pool_with_room_for_all_of_an_operation_takes_it() -> None:
    # 8 x 8 weights of 4 bits: one big array, or (2 cells a weight) 2 x 4 = 8 small ones. The third
    # finds the 2 big ones taken and goes to the small ones; arrays are numbered within their pool.
    placement = placed(two(big=2), table((8, 8), (8, 8), (8, 8)))
    placement.check()
    assert held(placement) == [
        ("big", [0], [0]),
        ("big", [1], [0]),
        ("small", list(range(8)), [0] * 8),
    ]
    assert (placement.crossbars, placement.available, placement.groups) == (10, 10, 1)


def test_what_no_pool_has_room_for_begins_the_next_group_of_all_pools() -> None:
    # The fourth fits in neither: the first pool's next group. The fifth (2 x 2 small arrays) finds
    # no room in the big ones of group 1, and the small ones are free again there.
    placement = placed(two(big=1), table((8, 8), (8, 8), (8, 8), (8, 4)))
    placement.check()
    assert held(placement) == [
        ("big", [0], [0]),
        ("small", list(range(8)), [0] * 8),
        ("big", [0], [1]),
        ("small", [0, 1, 2, 3], [1] * 4),
    ]


def test_utilisation_counts_the_cells_of_every_pool() -> None:
    # 64 of 64 cells, and 4 x 4 weights of 2 cells on 2 arrays of 16: 96 of 96; with 3 inputs for
    # the second 64 + 24 of 96.
    whole = placed(two(big=1), table((8, 8), (4, 4)))
    assert whole.utilisation == 1.0
    part = placed(two(big=1), table((8, 8), (3, 4)))
    assert part.utilisation == (64 + 24) / 96


def test_a_pool_serves_what_its_condition_is_true_of() -> None:
    system = two(serves="serves = weight_bits > 4", others="serves = weight_bits <= 4 or rows < 8")
    network = table((8, 8), (8, 8), (4, 4))
    bits = [[4, 4], [8, 4], [8, 4]]
    found = held(placed(system, network, precision=bits))
    assert [pool for pool, _, _ in found] == ["small", "big", "big"]
    found = held(placed(system, network, precision=[[4, 4], [8, 4], [4, 4]]))
    assert [pool for pool, _, _ in found] == ["small", "big", "small"]


def test_a_condition_may_ask_for_the_kind_of_operation() -> None:
    system = two(serves="serves = kind == conv2d")
    assert [pool for pool, _, _ in held(placed(system, table((4, 4))))] == ["small"]


def test_a_place_goes_before_what_pools_serve_and_the_last_match_wins() -> None:
    network = table((8, 8), (4, 4), (4, 4))
    system = two(serves="serves = rows > 4")
    for pools in (["l*=small", "l2=big"], {"l*": "small", "l2": "big"}):
        found = held(placed(system, network, asked=Asked(pools=pools)))
        assert [pool for pool, _, _ in found] == ["small", "big", "small"]


def test_an_operation_that_is_sent_to_a_full_pool_takes_its_next_group() -> None:
    found = held(placed(two(big=1), table((8, 8), (8, 8)), asked=Asked(pools=["l*=big"])))
    assert found == [("big", [0], [0]), ("big", [0], [1])]


def test_pools_that_serve_nothing_of_an_operation_are_told() -> None:
    system = two(serves="serves = weight_bits > 4", others="serves = rows < 8")
    code, headline, more = refused(system)
    assert (code, headline) == ("E203", "no pool serves `l1`")
    assert more == [
        "it is a `linear` of 8 x 8 weights of 4 bits, with inputs of 4 bits",
        "`big`, `small` each state in `serves` what they take",
        '`--place "l1=big"` places it all the same',
    ]


def test_places_that_do_not_fit_are_told() -> None:
    assert refused(two(), pools=["l1=bigg"]) == (
        "E202",
        "--place l1=bigg: `bigg` is no crossbar or digital array of the system",
        ["they are `big`, `small`", "did you mean `big`?"],
    )
    assert refused(two(), pools=["conv*=big"]) == (
        "E202",
        "--place conv*=big: `conv*` matches no matrix operation of the network",
        ["they are `l1`, `l2`"],
    )
    assert refused(two(), pools=["big"])[1] == "--place big: not of the form `pattern=pool`"


def test_a_weight_wider_than_one_pools_arrays_goes_to_the_other() -> None:
    # 12-bit weights in 2-bit cells take 6 of 4 columns; in 4-bit cells 3 of 8.
    found = held(placed(two(), table((8, 2)), weight_bits=12, asked=Asked(pools=None)))
    assert found == [("big", [0], [0])]


def test_two_pools_read_at_the_same_time_each_with_its_own_time() -> None:
    # l1 on a big array, 5 products of 10 cycles; l2 on a small one, 5 of 3.
    done = run(two(), table((8, 8, 5), (4, 2, 5)), asked=Asked(pools=["l2=small"]))
    assert [b - a for a, b in done.spans("big")] == [10] * 5
    assert [b - a for a, b in done.spans("small")] == [3] * 5
    assert done.count("big", "read") == done.count("small", "read") == 5
    assert done.layer("l2")["products"] == 5


def test_each_pool_is_written_at_its_own_speed() -> None:
    # 8 rows of 1 ns, and 2 arrays of 4 rows of 2 ns each.
    done = run(two(), table((8, 8), (4, 4)), weights="cold", asked=Asked(pools=["l2=small"]))
    assert [b - a for a, b in done.spans("big", "write")] == [8]
    assert [b - a for a, b in done.spans("small", "write")] == [8, 8]


def test_a_digital_pool_needs_no_converter_of_its_own() -> None:
    system = chip("""
    part maps: buffer { size = 1 KiB }
    part dac[8]: dac { bits = 4 }
    part analog: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part adc: adc { rate = 1 GHz }
    part digital[2]: digital_array { rows = 8, columns = 4, cell_bits = 4, encoding = signed_cell }
    connect maps -> dac[*] -> analog -> adc -> maps
    connect maps -> digital[*] -> maps
    """)
    done = run(system, table((8, 8), (8, 8)))
    assert [plan.pool.path for plan in done.placement.plans] == ["analog", "digital"]
    assert done.count("adc", "convert") == 8
    assert done.layer("l2")["conversions"] == 0


# What a pool serves, in the language ------------------------------------------------------------

SERVES = {
    "weight_bits": ("E031", "`serves` of `crossbar` is true or false, not a plain number"),
    "weight_bit <= 4": ("E015", "there is no `weight_bit` here"),
    "kind == lstm": ("E015", "`lstm` is neither one of the words here nor a parameter"),
    "kind == 3": ("E055", "cannot compare a word with a plain number by `==`"),
    "steps > 3": ("E057", "`steps` is known only while running"),
    "rows / (columns - 64) > 1": ("E056", "division by zero"),
    "rows <= 3 ns": ("E055", "cannot compare a plain number with a time"),
}


@pytest.mark.parametrize("condition", SERVES)
def test_a_condition_that_means_nothing_is_told(condition: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        two(serves=f"serves = {condition}")
    (found,) = caught.value.diagnostics
    assert (found.code, found.headline) == SERVES[condition]


def test_a_condition_reads_the_parameters_around_it_but_not_the_arrays_own() -> None:
    # `rows` is the operation's; `widest` is the system's.
    system = chip("""
    param widest: count = 4
    part array: crossbar { rows = 64, columns = 64, cell_bits = 4, serves = rows <= widest }
    part rest: crossbar { rows = 64, columns = 64, cell_bits = 4 }
    """)
    found = held(placed(system, table((4, 8), (5, 8))))
    assert [pool for pool, _, _ in found] == ["array", "rest"]


def test_a_condition_is_no_value_for_others() -> None:
    with pytest.raises(DescriptionError, match="depends on the operation, known only while"):
        chip("part array: crossbar\n let x = array.serves")


def test_a_condition_is_set_from_outside_like_any_parameter() -> None:
    system = bundled("single_crossbar", set={"crossbar.serves": "weight_bits > 8"})
    with pytest.raises(DescriptionError, match="no pool serves `l1`"):
        placed(system, table((8, 8)), 8)


# Both pools in a pipeline -----------------------------------------------------------------------


def beside() -> System:
    """Crossbars with dacs and converters for 4 bits, and digital arrays; one buffer, one unit."""
    return chip("""
    part maps: buffer { size = 64 KiB, width = 64 bit }
    part dac[16, 64]: dac { bits = 4 }
    part analog[16]: crossbar {
        rows = 64, columns = 32, cell_bits = 4, encoding = signed_cell, serves = weight_bits <= 4
        action read { latency = 10 ns }
    }
    part adc[16]: adc
    part sum: accumulator
    part digital[16]: digital_array {
        rows = 32, columns = 64, cell_bits = 8, encoding = signed_cell
        action read { latency = 3 ns }
    }
    part tree: adder_tree
    part vector: unit { does = [relu, add] }
    connect maps -> dac[*, *] -> analog[*] -> adc[*] -> sum -> vector
    connect maps -> digital[*] -> tree -> vector -> maps
    connect maps -> vector
    connect maps -> sum
    """)


def residual() -> Network:
    """Three 3 x 3 convolutions with a residual, and a classifier, on maps of 4 x 4."""
    draft = Draft(8, 4, 4)
    first = draft.relu("relu1", draft.conv("conv1", "x", 16, 3, padding=1))
    second = draft.relu("relu2", draft.conv("conv2", first, 16, 3, padding=1))
    third = draft.conv("conv3", second, 16, 3, padding=1)
    last = draft.relu("relu3", draft.add("add", third, first))
    draft.linear("linear", draft.view("flat", last, 256), 10)
    return draft.network()


@pytest.mark.parametrize("duplicate", ["none", "fill"])
@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
def test_rows_go_from_pool_to_pool(schedule: str, duplicate: str) -> None:
    def done(engine: str) -> Run:
        return run(
            beside(), residual(), schedule=schedule, engine=engine,
            precision={"conv2": [8, 4]}, asked=Asked(duplicate=duplicate),
        )  # fmt: skip

    one, other = done("fast"), done("simpy")
    pools = [plan.pool.path for plan in one.placement.plans]
    assert pools == ["analog", "digital", "analog", "analog"]
    assert one.cycles == other.cycles
    assert one.entries == other.entries
    # The digital convolution begins before the analog one in front of it is done; with copies that
    # is so quick that it is done before its first row has come.
    begin = min(int(one.timeline.start[task]) for task in one.at("digital"))
    end = max(int(one.timeline.finish[task]) for task in one.at("analog", site=0))
    assert (begin < end) == (schedule == "pipeline" and duplicate == "none")
