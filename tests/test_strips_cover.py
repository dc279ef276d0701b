"""Whatever the strips: every weight lies once, on its precision's pool, where no other does."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest

from chips import Draft, chip, placed
from cimarch.hardware.encoding import inputs_per_group, is_read_apart
from cimarch.mapping.assign import Asked
from cimarch.mapping.placement import Placement
from cimarch.mapping.strips import LAYOUTS

POOL = """
    part {name}[200]: crossbar {{
        rows = {rows}, columns = {columns}, word_lines = {lines}, cell_bits = {cell}
        encoding = {encoding}
        serves = weight_bits {serves}
    }}
    connect {name}[*] -> sum"""


def mixed(draw: Random) -> Placement:
    """A convolution in strips of 8, 6 and 4 bits, as it falls, on two pools of any shape."""
    groups, kernel = draw.choice([1, 1, 1, 2, 3]), draw.choice([1, 2, 3])
    channels, outputs = groups * draw.randint(1, 9), groups * draw.randint(1, 9)
    draft = Draft(channels, 4, 4)
    draft.conv("conv", "x", outputs, kernel, groups=groups)
    pools = "".join(
        POOL.format(
            name=name, serves=serves, rows=2 * draw.randint(2, 8), columns=draw.randint(8, 20),
            lines=2 * draw.randint(1, 2), cell=draw.choice([2, 4]),
            encoding=draw.choice(["offset", "signed_cell", "differential, pair = row"]),
        )
        for name, serves in (("high", ">= 6"), ("low", "<= 6"))
    )  # fmt: skip
    rows = ["".join(draw.choice("0122") for _ in range(outputs)) for _ in range(kernel * kernel)]
    strips = {"bits": [8, 6, 4], "levels": rows, "layout": draw.choice(list(LAYOUTS))}
    strips["reads"] = draw.choice([0, 1, 2, 3, 5]) if strips["layout"] == "packed" else 0
    asked = Asked(spread_rows=draw.random() < 0.3)
    system = chip("    part sum: accumulator" + pools)
    return placed(system, draft.network(), 8, precision={"conv": {"strips": strips}}, asked=asked)


@pytest.mark.parametrize("seed", range(40))
def test_every_weight_lies_once_where_its_precision_is_served(seed: int) -> None:
    placement = mixed(Random(seed))
    placement.check()
    (plan,) = placement.plans
    op, strips = plan.site.anchor, placement.bits["conv"].strips
    assert strips is not None
    t = placement.tiles
    held = np.zeros((op.groups, op.rows, op.columns), np.int64)
    for tile in range(len(t)):
        level, outputs = placement.strips_of(tile)
        group, every = int(t.channel_group[tile]), int(t.every[tile])
        rows = int(t.row0[tile]) + every * np.arange(int(t.inputs[tile]))
        own = strips.level[rows % strips.positions][:, group * op.columns + outputs] == level
        assert own.any(axis=0).all(), "a column without a weight of its level"
        assert strips.layout == "holes" or own.all()
        held[group][np.ix_(rows, outputs)] += own
        bits = strips.bits[level]
        assert {"high": bits >= 6, "low": bits <= 6}[placement.wiring_of(tile).pool.path]
    assert (held == 1).all()


@pytest.mark.parametrize("seed", range(40))
def test_an_array_of_several_tiles_is_read_as_often_as_it_may(seed: int) -> None:
    placement = mixed(Random(seed))
    strips, t = placement.bits["conv"].strips, placement.tiles
    assert strips is not None
    reads = Counter[tuple[int, int]]()
    for tile in range(len(t)):
        pool = placement.wiring_of(tile).pool
        groups = -(-int(t.inputs[tile]) // inputs_per_group(pool))
        reads[int(t.pool[tile]), int(t.array[tile])] += groups * (2 if is_read_apart(pool) else 1)
    tiles = Counter(zip(t.pool.tolist(), t.array.tolist(), strict=True))
    assert all(tiles[array] == 1 or reads[array] <= (strips.reads or 10**9) for array in tiles)
