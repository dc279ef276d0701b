"""What lies where: tiles, columns, converted lines, homes and adders, each counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from chips import Draft, bare, chip, mlp, placed, resnet20, round_trip, run, table
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.mapping.placement import Placement
from cimarch.mapping.wiring import Wiring

# Encodings --------------------------------------------------------------------------------------


def pool(setting: str, *, arrays: int = 64, size: int = 16, cell_bits: int = 2) -> System:
    """Arrays of size x size cells, each with its converter, all behind one adder."""
    return chip(f"""
    part dac[{arrays}, {size}]: dac {{ bits = 1 }}
    part array[{arrays}]: crossbar {{
        rows = {size}
        columns = {size}
        cell_bits = {cell_bits}
        {setting}
    }}
    part adc[{arrays}]: adc
    part sum: accumulator {{ bits = 64 }}
    connect dac[*, *] -> array[*] -> adc[*] -> sum
    """)


def shapes(placement: Placement) -> tuple[list[int], list[int], list[int]]:
    tiles = placement.tiles
    return tiles.rows.tolist(), tiles.columns.tolist(), tiles.lines.tolist()


# One layer of 16 inputs and 2 outputs, 8-bit weights on 2-bit cells (4 slices), 16 x 16 arrays:
# (encoding, word lines, columns, sense lines) of each tile.
ENCODINGS = {
    "offset": ("encoding = offset", [16], [8], [8]),
    "offset_column": ("encoding = offset_column", [16], [9], [9]),
    "flipped": ("encoding = flipped", [16], [8], [8]),
    # 1 sign column and ceil(7 / 2) = 4 slices
    "twos_complement": ("encoding = twos_complement", [16], [10], [10]),
    "signed_cell": ("encoding = signed_cell", [16], [8], [8]),
    "binary": ("encoding = binary", [16], [2], [2]),
    # 2 halves of 4 slices in neighbouring columns
    "column, digital": ("encoding = differential", [16], [16], [16]),
    "column, analog": ("encoding = differential\nsubtract = analog", [16], [16], [8]),
    # each input drives 2 rows: 16 inputs are 32 word lines, two arrays
    "row": ("encoding = differential\npair = row", [16, 16], [8, 8], [8, 8]),
    # the negative halves on an array of their own
    "array": ("encoding = differential\npair = array", [16, 16], [8, 8], [8, 8]),
    "slices merged in analog": ("encoding = offset\nslice_merge = analog", [16], [8], [2]),
    "both in analog": (
        "encoding = differential\nsubtract = analog\nslice_merge = analog", [16], [16], [2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_takes_its_rows_columns_and_sense_lines(name: str) -> None:
    setting, *expected = ENCODINGS[name]
    done = run(pool(setting), table((16, 2, 3)), 8)
    assert shapes(done.placement) == tuple(expected)
    # 3 windows, 8 one-bit steps, every sense line of every tile
    assert done.count("adc", "convert") == 3 * 8 * sum(expected[2])


def test_an_offset_column_leaves_one_column_less_for_weights() -> None:
    # 16 columns hold 4 weights of 4 slices; beside the offset's own column only 3. 8 outputs are 2
    # tiles without it, and 3 with it: 3 x 4 + 1, the same, and 2 x 4 + 1 columns.
    assert len(placed(pool("encoding = offset"), table((16, 8)), 8).tiles) == 2
    tiles = placed(pool("encoding = offset_column"), table((16, 8)), 8).tiles
    assert tiles.columns.tolist() == [13, 13, 9]


def test_more_cell_bits_than_weight_bits_take_one_cell() -> None:
    tiles = placed(pool("encoding = offset", cell_bits=8), table((16, 8)), 3).tiles
    assert tiles.columns.tolist() == [8]


@pytest.mark.parametrize(
    ("packing", "columns", "outputs"),
    [("whole", [15, 15, 15, 15], [5, 5, 5, 5]), ("straddle", [16, 16, 16, 12], [6, 6, 6, 4])],
)
def test_straddled_weights_lie_on_two_arrays(
    packing: str, columns: list[int], outputs: list[int]
) -> None:
    # 20 outputs of 3 columns on 16 columns. Whole: 5 weights an array. Straddled: 60 columns are 3
    # full arrays and 12 more; an array makes a part of every output that touches it:
    # 0..5, 5..10, 10..15 and 16..19.
    tiles = placed(pool(f"encoding = offset\npacking = {packing}"), table((16, 20)), 6).tiles
    assert tiles.columns.tolist() == columns
    assert tiles.outputs.tolist() == outputs


# Tiles and cells --------------------------------------------------------------------------------


def test_rows_and_columns_are_cut_row_blocks_inside_column_blocks() -> None:
    # 20 x 40 on 16 x 16: rows 16 + 4, columns 16 + 16 + 8.
    tiles = placed(pool("encoding = offset", cell_bits=4), table((20, 40)), 4).tiles
    assert tiles.rows.tolist() == [16, 4] * 3
    assert tiles.columns.tolist() == [16, 16, 16, 16, 8, 8]
    assert tiles.array.tolist() == [0, 1, 2, 3, 4, 5]


def test_utilisation_is_cells_that_hold_weights_over_cells_allocated() -> None:
    # 20 x 40 = 800 cells of 6 arrays of 256.
    placement = placed(pool("encoding = offset", cell_bits=4), table((20, 40)), 4)
    assert placement.crossbars == 6
    assert placement.utilisation == 800 / (6 * 256)


def test_a_layer_smaller_than_an_array_takes_the_cells_it_needs() -> None:
    done = run(bare(), table((3, 5, 7)))
    assert shapes(done.placement) == ([3], [5], [5])
    assert done.placement.utilisation == 15 / (256 * 256)
    assert done.count("adc", "convert") == 7 * 5


def test_a_grouped_convolution_takes_an_array_a_group() -> None:
    # 4 groups of 2 channels: 18 x 3 each.
    draft = Draft(8, 4, 4)
    draft.conv("conv", "x", 12, 3, padding=1, groups=4)
    done = run(pool("encoding = offset", size=32, cell_bits=4), draft.network())
    assert shapes(done.placement) == ([18] * 4, [3] * 4, [3] * 4)
    assert done.layer("conv")["products"] == 4 * 16


def test_depthwise_groups_lie_on_the_diagonal() -> None:
    # 11 channels of 9 x 1: an array of 32 x 32 takes 3 on its diagonal (27 rows, 3 columns):
    # 3 + 3 + 3 + 2. The cells off the diagonal hold nothing.
    draft = Draft(11, 4, 4)
    draft.conv("conv", "x", 11, 3, padding=1, groups=11)
    done = run(pool("encoding = offset", size=32, cell_bits=4), draft.network())
    assert shapes(done.placement) == ([27, 27, 27, 18], [3, 3, 3, 2], [3, 3, 3, 2])
    assert done.placement.tiles.cells.tolist() == [27, 27, 27, 18]
    # 16 windows, 4 one-bit steps, 11 lines
    assert done.count("adc", "convert") == 16 * 4 * 11


def test_zero_padding_counts() -> None:
    # 3 x 3 on 4 x 4 with a border of one: all 16 positions, each a product of all 9 inputs.
    draft = Draft(1, 4, 4)
    draft.conv("conv", "x", 1, 3, padding=1)
    done = run(bare(), draft.network())
    assert done.layer("conv")["products"] == 16
    assert done.placement.tiles.rows.tolist() == [9]


def test_a_1_x_1_map_is_one_window() -> None:
    # A 3 x 3 convolution of a 1 x 1 map with a border of one: 1 window, 9 inputs a channel.
    draft = Draft(4, 1, 1)
    draft.conv("conv", "x", 8, 3, padding=1)
    done = run(bare(), draft.network())
    assert done.layer("conv")["products"] == 1
    assert done.placement.tiles.rows.tolist() == [36]


def test_a_strided_1_x_1_shortcut_takes_every_second_window() -> None:
    # 8 x 8 with stride 2: 4 x 4 windows of 16 inputs, 32 columns: 16 products, 512 conversions.
    draft = Draft(16, 8, 8)
    draft.conv("conv", "x", 32, 1, stride=2)
    done = run(bare(), draft.network())
    assert done.layer("conv")["products"] == 16
    assert done.count("adc", "convert") == 16 * 32


# ResNet-20 --------------------------------------------------------------------------------------

# The rows, columns and windows of its 20 matrices: 9 inputs a channel, all positions of the map.
RESNET = {
    "conv1": (27, 16, 1024),
    **{f"layer1.{b}.conv{c}": (144, 16, 1024) for b in range(3) for c in (1, 2)},
    "layer2.0.conv1": (144, 32, 256),
    **{f"layer2.{b}.conv{c}": (288, 32, 256) for b, c in ((0, 2), (1, 1), (1, 2), (2, 1), (2, 2))},
    "layer3.0.conv1": (288, 64, 64),
    **{f"layer3.{b}.conv{c}": (576, 64, 64) for b, c in ((0, 2), (1, 1), (1, 2), (2, 1), (2, 2))},
    "linear": (64, 10, 1),
}


def test_all_9089_windows_of_resnet20_are_there() -> None:
    # 1,024 x 7 + 256 x 6 + 64 x 6 + 1
    network = resnet20()
    matrices = [op for op in network.operations if op.rows]
    assert {op.name: (op.rows, op.columns, op.windows) for op in matrices} == RESNET
    assert sum(op.windows for op in matrices) == 9089


def test_every_layer_of_resnet20_has_its_products_conversions_and_writes() -> None:
    # On the edge macro at 4 bits: ceil(rows / 256) tiles, each written once an inference, a product
    # a tile and window, a conversion a column of each. One array: as many groups as tiles, 36.
    done = run(bundled("edge_macro"), resnet20())
    for name, (rows, columns, windows) in RESNET.items():
        tiles, layer = -(-rows // 256), done.layer(name)
        assert layer["products"] == windows * tiles
        assert layer["conversions"] == windows * tiles * columns
        assert layer["writes"] == tiles
    assert done.placement.groups == 7 + 1 + 5 * 2 + 2 + 5 * 3 + 1 == 36
    assert done.writes() == {0: 36}


# Ways of the results ----------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "adder"), [(256, "tile.ima.add"), (384, "tile.add")])
def test_the_sums_of_isaac_meet_at_the_nearest_adder(inputs: int, adder: str) -> None:
    # 128 rows an array. Two row tiles sit on neighbours that share one of the IMA's four adders;
    # three need the tile's.
    done = run(bundled("isaac"), mlp(inputs, 16, 16), 16)
    flow = done.placement.plans[0].flows[0]
    assert flow.adder is not None
    assert flow.adder.path == adder
    # 16 outputs, one addition less than tiles
    (add,) = done.at(adder, "add", site=0)
    charge = done.program.charges[int(done.program.columns["charge"][add])]
    assert [(c.part, c.count) for c in charge] == [(adder, 16 * (inputs // 128 - 1))]


def test_partial_sums_take_outputs_x_sums_less_one_cycles() -> None:
    # 48 inputs on 16 rows: 3 sums of 5 outputs meet at one adder: 5 x 2 = 10 cycles after the last.
    done = run(pool("encoding = offset", cell_bits=4), table((48, 5)), 4)
    ((start, finish),) = done.spans("sum", "add")
    assert finish - start == 10
    # 4 one-bit steps of a read (1) and 5 turns (no hold): 24 cycles.
    assert start == 4 * (1 + 5)


def test_an_adder_tree_is_ceil_log2_levels_deep() -> None:
    # 5 outputs of 3 sums at a tree: one output a cycle, 2 levels: 5 + 1 = 6.
    system = chip("""
    part array[3]: crossbar { rows = 16, columns = 16, cell_bits = 4 }
    part tree: adder_tree
    connect array[*] -> tree
    """)
    ((start, finish),) = run(system, table((48, 5)), 4).spans("tree", "add")
    assert finish - start == 5 + 1


def test_a_residual_is_added_at_the_adder() -> None:
    # 8 channels of 1 x 2: the adder takes both operands of 8 elements a row, in 16 cycles.
    draft = Draft(8, 1, 2)
    first = draft.conv("one", "x", 8, 1)
    second = draft.conv("two", first, 8, 1)
    draft.relu("relu", draft.add("add", second, first))
    done = run(round_trip(arrays=2), draft.network())
    waypoints = done.placement.plans[1].flows[0].waypoints
    assert [w.at and w.at.path for w in waypoints] == ["sum", "vector"]
    assert [finish - start for start, finish in done.spans("sum", "add")] == [16]
    assert done.count("sum", "add") == 16
    # the other operand is fetched from its home, 16 x 4 bits: 2 words
    (fetch,) = [t for t in done.at("maps", "fetch", site=1) if done.program.columns["tile"][t] < 0]
    assert done.program.tasks.busy[fetch] == 2


def test_a_fully_connected_layer_waits_for_the_whole_map() -> None:
    draft = Draft(8, 4, 4)
    conv = draft.conv("conv", "x", 4, 1)
    draft.linear("linear", conv, 8)
    system = pool("encoding = offset", size=64, cell_bits=4)
    done = run(system, draft.network())
    operation = done.program.columns["operation"]
    last = done.timeline.finish[operation == 0].max()
    assert done.layer("conv")["products"] == 16
    assert done.timeline.start[operation == 1].min() >= last


# Where inputs live ------------------------------------------------------------------------------


def test_inputs_live_in_the_nearest_buffer_with_room() -> None:
    def home(bits: int) -> str:
        system = chip(f"""
        part maps: buffer {{ size = 1 KiB }}
        part input: buffer {{ size = {bits} bit }}
        part array: crossbar {{ rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }}
        connect maps -> input -> array
        """)
        draft = Draft(8, 1, 3)
        draft.conv("conv", "x", 8, 1)
        found = run(system, draft.network()).placement.plans[0].homes[0]
        assert found is not None
        return found.path

    assert home(96) == "input"  # 8 x 3 elements of 4 bits
    assert home(95) == "maps"


def test_arrays_under_two_buffers_each_have_a_copy() -> None:
    # 16 outputs are two arrays, each with its own input buffer and nothing above: the 32 bits of
    # the second layer's input are stored twice, once in each.
    system = chip("""
    part input[2]: buffer { size = 64 bit, width = 32 bit }
    part array[2, 2]: crossbar { rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell }
    part vector: unit { does = [relu] }
    connect input[*] -> array[*, *]
    connect array[*, *] -> vector -> input[*]
    """)
    done = run(system, mlp(8, 8, 24))
    (home,) = done.placement.plans[1].homes
    assert home is not None
    assert (home.path, home.lo, home.hi) == ("input", 0, 2)
    assert len(done.at("input", "store", site=0)) == 2


def test_same_network_same_tiles() -> None:
    one, two = (placed(bundled("isaac"), resnet20(), 8).tiles for _ in range(2))
    assert all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("array", "resident", "rows", "columns")
    )


def test_layers_share_an_array_where_the_pool_says_so() -> None:
    # 8 columns of 4-bit signed cells: layers of 3, 4 and 2 outputs take 3 + 4 columns of the first
    # array and 2 of the second; each alone would take an array of its own.
    parts = "encoding = signed_cell, array_use = %s"
    tables = table((8, 3), (8, 4), (8, 2))
    alone = run(pool(parts % "layer", size=8, cell_bits=4), tables).placement.tiles
    assert alone.array.tolist() == [0, 1, 2]
    shared = run(pool(parts % "shared", size=8, cell_bits=4), tables).placement.tiles
    assert shared.array.tolist() == [0, 0, 1]
    assert shared.at_column.tolist() == [0, 3, 0]


def test_a_shared_array_begins_its_turns_where_its_columns_begin() -> None:
    # 8 columns, 4 converters, 2 adjacent columns each. Columns 3..6 lie on converters 1, 2, 2, 3:
    # 2 turns; columns 0..2 on 0, 0, 1: 2 turns; 3 and 4 alone on 1 and 2: 1 turn.
    system = pool("encoding = signed_cell", size=8, cell_bits=4)
    wiring = Wiring(system, system.of_kind("crossbar")[0])
    each = [wiring.turns(lines, 4, 4, first) for lines, first in ((4, 3), (3, 0), (2, 3))]
    assert each == [2, 2, 1]


def test_grouped_channels_lie_on_the_diagonal_where_the_pool_says_so() -> None:
    # 4 groups of 9 x 1 cells (3 x 3 kernels, one channel each in, one out) on 32 x 32: an array a
    # group with `array`; 3 on one diagonal (27 of 32 rows) and 1 on the next with `diagonal`.
    draft = Draft(4, 4, 4)
    draft.conv("conv", "x", 4, 3, padding=1, groups=4)
    found = {
        grouped: run(
            pool(f"encoding = signed_cell, grouped = {grouped}", size=32, cell_bits=4),
            draft.network(),
        ).placement.tiles.rows.tolist()
        for grouped in ("array", "diagonal")
    }
    assert found == {"array": [9, 9, 9, 9], "diagonal": [27, 9]}
