"""Networks larger than the chip: resident groups, each array written exactly when it must be."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from chips import bare, chip, load, mlp, placed, round_trip, run, table
from cimarch import simulate
from cimarch.engine import run as run_engine
from cimarch.program.check import check
from cimarch.program.context import KIND
from cimarch.program.program import program as write_program

PAIR = """
    part array[2]: crossbar {
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read { latency = 1 ns }
        action write { latency = 1 ns }
    }
    part sum: accumulator
    connect array[*] -> sum
"""


def test_three_resident_groups_write_every_array_exactly_three_times() -> None:
    # Six layers of one tile on two arrays: 0 and 1, 2 and 3, 4 and 5.
    done = run(chip(PAIR), table(*[(8, 8, 4)] * 6))
    assert done.placement.groups == 3
    assert done.writes() == {0: 3, 1: 3}


def test_no_product_runs_on_another_layers_weights() -> None:
    # In order of time, each array sees: a write, then only that tile's products, three times.
    done = run(chip(PAIR), table(*[(8, 8, 4)] * 6))
    kind, tile = done.program.columns["kind"], done.program.columns["tile"]
    for array in (0, 1):
        seen = [
            (int(kind[t]), int(tile[t]))
            for t in done.at("array")
            if done.placement.tiles.array[tile[t]] == array
        ]
        story = [
            (what, layer)
            for layer in (array, 2 + array, 4 + array)
            for what in (KIND["write"], *[KIND["product"]] * 4)
        ]
        assert seen == story


def test_groups_take_their_loads_and_their_products() -> None:
    # A load writes 8 rows on both arrays at once: 8 cycles. Two layers of 4 products: 8.
    done = run(chip(PAIR), table(*[(8, 8, 4)] * 6))
    assert done.cycles == 3 * (8 + 8)


def test_what_fits_is_written_before_the_run_and_reported_apart() -> None:
    found = simulate(chip(PAIR), table((8, 8, 4), (8, 8, 4)), weight_bits=4, input_bits=4)
    assert (found.cycles, found.load_cycles, found.groups) == (8, 8, 1)
    assert found.layers["writes"].tolist() == [0, 0]


def test_a_batch_goes_through_each_group_together() -> None:
    # Both inferences pass group 0 before group 1 is loaded: 3 loads, not 6.
    done = run(chip(PAIR), table(*[(8, 8, 4)] * 6), batch=2)
    assert done.writes() == {0: 3, 1: 3}
    assert done.cycles == 3 * (8 + 2 * 8)


def test_a_batch_that_cannot_wait_goes_one_inference_after_the_other() -> None:
    # maps has room for what one inference holds, two vectors of 8 x 4 bits, and three wait.
    network = mlp(8, 8, 8)
    roomy, tight = (run(round_trip(size=size), network, batch=3) for size in ("1 KiB", "64 bit"))
    assert roomy.writes() == {0: 2}
    assert tight.writes() == {0: 3 * 2}


def test_row_tiles_stay_within_one_group_where_they_fit() -> None:
    # Three arrays; a layer of one tile, then one of three row tiles: it starts the next group
    # rather than being cut.
    system = chip(PAIR.replace("array[2]", "array[3]"))
    tiles = placed(system, table((8, 8), (24, 8))).tiles
    assert tiles.resident.tolist() == [0, 1, 1, 1]
    assert tiles.array.tolist() == [0, 0, 1, 2]


def test_a_load_over_one_link_writes_the_arrays_one_after_the_other() -> None:
    # Two tiles of 8 rows of 32 bits: 16 words over the link, the last row written a cycle later.
    system = chip("part gate: link { width = 32 bit, rate = 1 GHz }" + PAIR +
                  "connect gate -> array[*].write")  # fmt: skip
    assert load(system, table((8, 8), (8, 8))).cycles == 2 * 8 + 1


def test_a_load_from_one_buffer_is_charged_every_row() -> None:
    # 10 rows of 7 columns x 4 bits: 28 bits are one 32-bit word a row.
    system = chip("part store: dram { width = 32 bit, rate = 1 GHz }" + PAIR.replace("8\n", "16\n")
                  + "connect store -> array[*].write")  # fmt: skip
    done = load(system, table((10, 7)))
    assert done.count("store", "read") == 10
    assert done.count("array", "write") == 10


def test_the_check_finds_a_product_before_its_weights_are_written() -> None:
    # Take the edge from the load to the products out: the same total could be reached, illegally.
    program = write_program(placed(bare(), table((256, 256, 2))), weights="cold")
    check(program, run_engine(program.tasks))
    load, *others = program.work.pieces
    write = load.template.columns["kind"] == KIND["write"]
    template = attrs.evolve(
        load.template, busy=_with(load.template.busy, write, 1),
        latency=_with(load.template.latency, write, 1000),
        resource=_with(load.template.resource, write, program.work.resources),
    )  # fmt: skip
    pieces = [attrs.evolve(load, template=template)]
    pieces += [attrs.evolve(piece, links=()) for piece in others]
    broken = attrs.evolve(program, work=attrs.evolve(program.work, pieces=tuple(pieces)))
    with pytest.raises(AssertionError, match="before it is written"):
        check(broken, run_engine(broken.tasks))


def _with(column: np.ndarray, where: np.ndarray, value: int) -> np.ndarray:
    changed = column.copy()
    changed[where] = value
    return changed


def test_cells_wear_out_with_the_writes_of_every_inference() -> None:
    # Two arrays, 4 layers of an array each: every inference writes each array twice, 3 pulses each.
    # 10^6 writes last for 166,666.7 inferences.
    system = chip("""
    part array[2]: crossbar {
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell, endurance = 1e6, pulses = 3
    }
    """)
    found = simulate(system, table((8, 8), (8, 8), (8, 8), (8, 8)), weight_bits=4, input_bits=4)
    assert found.lifetime == pytest.approx(1e6 / 6)
    resident = simulate(system, table((8, 8)), weight_bits=4, input_bits=4)
    assert resident.lifetime is None
