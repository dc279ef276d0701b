"""Arrays written for the next resident group while others still work for this one, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chips import Draft, Run, chip, mlp, resnet20, round_trip, run, table
from cimarch import simulate
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.program.context import KIND, Options
from cimarch.workload.network import Network


def apart(system: System, network: Network, **options: Any) -> Run:
    """Each group written when all of the one before is over."""
    return run(system, network, how=Options(overlap=False), **options)


def overlapped(system: System, network: Network, **options: Any) -> Run:
    return run(system, network, how=Options(overlap=True), **options)


def written(done: Run) -> list[tuple[int, int]]:
    """(start, finish) of all writes."""
    return done.spans("array", "write")


# Two arrays, three groups -----------------------------------------------------------------------


PAIR = """
part array[2]: crossbar {
    rows = 4, columns = 4, cell_bits = 4, encoding = signed_cell
    action read { latency = 10 ns }
    action write { latency = 5 ns }
}
"""
SIX = table(*[(4, 4)] * 6)


def rows(count: int) -> Network:
    """Six 1 x 1 convolutions of a map of so many rows of one window."""
    draft, last = Draft(4, count, 1), "x"
    for i in range(1, 7):
        last = draft.conv(f"l{i}", last, 4, 1)
    return draft.network()


def test_an_array_is_written_while_the_other_still_works() -> None:
    # Writing 4 rows takes 20, a product 10. Apart: 3 x (20 + 20).
    # l1 20-30 on array 0, which is written for l3 30-50, beside l2 30-40 on array 1; that is
    # written 40-60. l3 50-60, l4 60-70; writes 60-80 and 70-90; l5 80-90, l6 90-100.
    assert apart(chip(PAIR), SIX).cycles == 120
    done = overlapped(chip(PAIR), SIX)
    assert written(done) == [(0, 20), (0, 20), (30, 50), (40, 60), (60, 80), (70, 90)]
    assert done.spans("array", "product") == [
        (20, 30), (30, 40), (50, 60), (60, 70), (80, 90), (90, 100),
    ]  # fmt: skip


def test_a_write_waits_for_the_last_product_of_a_batch() -> None:
    # Apart: 3 x (20 + 2 x 20). l1 20-30 and 40-50, l2 30-40 and 50-60: array 0 is written 50-70,
    # array 1 60-80. l3 70-80, l4 80-90, again 90-110; writes 100-120 and 110-130; then 120-160.
    assert apart(chip(PAIR), SIX, batch=2).cycles == 180
    done = overlapped(chip(PAIR), SIX, batch=2)
    assert written(done) == [(0, 20), (0, 20), (50, 70), (60, 80), (100, 120), (110, 130)]
    assert done.cycles == 160


def test_a_write_waits_for_the_last_row_of_a_pipeline() -> None:
    # 3 rows. l1 20-50, l2 a row behind 30-60. Writes 50-70 and 60-80. l3 70-100, l4 80-110; writes
    # 100-120 and 110-130; l5 120-150, l6 130-160. Apart: 3 x (20 + 30 + 10).
    options: dict[str, Any] = {"schedule": "pipeline"}
    assert apart(chip(PAIR), rows(3), **options).cycles == 180
    done = overlapped(chip(PAIR), rows(3), **options)
    assert written(done) == [(0, 20), (0, 20), (50, 70), (60, 80), (100, 120), (110, 130)]
    assert done.cycles == 160


def test_a_batch_in_a_pipeline_saves_as_much_at_each_boundary() -> None:
    # 2 x 3 rows behind each other: 3 x (20 + 60 + 10) apart; array 0 is free a row (10) early at
    # both boundaries.
    options: dict[str, Any] = {"schedule": "pipeline", "batch": 2}
    assert apart(chip(PAIR), rows(3), **options).cycles == 270
    assert overlapped(chip(PAIR), rows(3), **options).cycles == 270 - 2 * 10


def test_layer_by_layer_rows_do_not_mix() -> None:
    # 3 rows: l1 20-50, l2 50-80. Array 0 is written 50-70, array 1 80-100. l3 80-110, l4 110-140:
    # only the writing of array 0 is hidden, and of array 1 that beside l3.
    assert apart(chip(PAIR), rows(3), schedule="layers").cycles == 3 * (20 + 60)
    done = overlapped(chip(PAIR), rows(3), schedule="layers")
    assert written(done) == [(0, 20), (0, 20), (50, 70), (80, 100), (110, 130), (140, 160)]
    assert done.cycles == 20 + 3 * 60


def test_one_array_has_nothing_to_overlap() -> None:
    alone = chip(PAIR.replace("array[2]", "array"))
    assert apart(alone, SIX).cycles == overlapped(alone, SIX).cycles == 6 * (20 + 10)


def test_nothing_changes_where_all_weights_fit() -> None:
    for weights in ("preloaded", "cold"):
        done = [each(chip(PAIR), table((4, 4), (4, 4)), weights=weights).cycles
                for each in (apart, overlapped)]  # fmt: skip
        assert done[0] == done[1]


# A bus that carries weights and activations -----------------------------------------------------


BUS = """
part store: buffer { size = 1 KiB, width = 16 bit }
part maps: buffer { size = 1 KiB, width = 16 bit }
part bus: bus { width = 4 bit }
part array[2]: crossbar {
    rows = 4, columns = 4, cell_bits = 4, encoding = signed_cell, home = "maps"
    action read { latency = 10 ns }
    action write { latency = 1 ns }
}
connect store -> bus -> array[*].write
connect maps -> bus -> array[*] -> maps
"""


def bus(done: Run) -> list[tuple[str, int]]:
    """What the bus carries, and from when."""
    kinds = {number: name for name, number in KIND.items()}
    columns, start = done.program.columns, done.timeline.start
    return [
        (f"{kinds[int(columns['kind'][t])]} l{columns['operation'][t] + 1}", int(start[t]))
        for t in done.at("bus")
    ]


def test_weights_and_activations_take_turns_on_a_bus() -> None:
    """A row of weights is 16 bits: 1 cycle of `store`, 4 of the bus, 1 to write. A load holds the
    bus for 16 and is written 1 + 3 x 4 from when its first row is there. Inputs are 16 bits: 1 of
    `maps`, 4 of the bus; results 1 of `maps`.

    Group 0: loads on the bus 1-17 and 17-33, written until 34. l1: maps 34, bus 35-39, product
    39-49, stored 49-50. Now array 0 is free: its load comes at 49 from the store, takes the bus
    50-66 and is written by 67. l2 reads `maps` 50-51, but the bus is taken: 66-70, product 70-80,
    and so on: load l4 81-97 (from 80), fetch l3 97-101 instead of 82. Each fetch but those of l1,
    and of l6, when nothing is loaded any more, waits behind a load.
    """
    done = overlapped(chip(BUS), SIX)
    assert bus(done) == [
        ("load l1", 1), ("load l2", 17), ("fetch l1", 35), ("load l3", 50), ("fetch l2", 66),
        ("load l4", 81), ("fetch l3", 97), ("load l5", 112), ("fetch l4", 128), ("load l6", 143),
        ("fetch l5", 159), ("fetch l6", 175),
    ]  # fmt: skip
    assert done.cycles == 175 + 4 + 10 + 1


def test_without_overlap_the_bus_carries_one_after_the_other() -> None:
    # Loads until 34; l1 fetched 35-39, done 50; l2 51-55, done 66. Each group takes 66.
    done = apart(chip(BUS), SIX)
    assert bus(done)[:6] == [
        ("load l1", 1), ("load l2", 17), ("fetch l1", 35), ("fetch l2", 51), ("load l3", 67),
        ("load l4", 83),
    ]  # fmt: skip
    assert done.cycles == 3 * 66


# Any network ------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    arrays=st.integers(1, 4),
    sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), min_size=2, max_size=6),
    batch=st.integers(1, 3),
)
def test_no_write_begins_before_the_last_product_of_what_it_replaces(
    arrays: int, sizes: list[tuple[int, int]], batch: int
) -> None:
    # `run` checks that. Nothing is shared but the arrays, so nothing ends later either.
    layers = [(width, 4, vectors) for width, vectors in sizes]
    system, network = chip(PAIR.replace("[2]", f"[{arrays}]")), table(*layers)
    before, after = apart(system, network, batch=batch), overlapped(system, network, batch=batch)
    assert after.cycles <= before.cycles
    assert after.entries == before.entries
    assert after.writes() == before.writes()


@pytest.mark.parametrize("size", ["24 B", "1 KiB"])
@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("batch", [1, 2])
def test_every_order_of_groups_and_inferences_is_legal(
    batch: int, schedule: str, size: str
) -> None:
    # In 24 bytes a batch cannot wait for the next group: each inference goes through all groups.
    system, network = round_trip(arrays=2, size=size), mlp(16, 12, 20, 8)
    done = overlapped(system, network, batch=batch, schedule=schedule)
    groups = done.placement.groups
    assert groups > 2
    loads = groups * (batch if size == "24 B" else 1)
    assert len(done.program.loads) == loads
    assert done.cycles <= apart(system, network, batch=batch, schedule=schedule).cycles


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
def test_the_edge_macro_is_written_while_its_last_results_are_stored(schedule: str) -> None:
    # It has one array: what overlaps is the way of the results behind the last product.
    system, network = bundled("edge_macro"), resnet20(side=8)
    before, after = (
        simulate(system, network, schedule=schedule, overlap=overlap) for overlap in (False, True)
    )
    assert after.groups == 36
    assert 0 < before.cycles - after.cycles < before.cycles // 100
    assert after.ledger["count"].tolist() == before.ledger["count"].tolist()
