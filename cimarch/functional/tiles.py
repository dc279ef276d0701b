"""Which rows of a placed matrix are read at once: from the placement's tiles to sections.

Word lines of a tile are read in groups from its first on (`cimarch.mapping.readout`). Where several
channel groups lie on the diagonal of one array, the groups are cut over the rows of all of them: a
channel group has a section in each word-line group of its tile, an empty one where none of its own
rows is in it, since all sense lines are converted with each group that is read.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.lines import Section
from cimarch.hardware.encoding import arrays_per_weight, inputs_per_group
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.tiling import Tiles


@attrs.frozen
class Layout:
    """How the matrix of one channel group lies on arrays."""

    sections: tuple[Section, ...]
    """Over all rows in order, tile by tile."""
    blocks: int
    """Column blocks; all are cut alike along the rows."""


def sections_of_placement(placement: Placement, name: str) -> tuple[Layout, ...]:
    """The layout of each channel group of a matrix operation, of the first copy of its weights.

    Raises KeyError where the placement has no such operation on arrays, DescriptionError where its
    strips have several precisions: they lie in pieces (`cimarch.functional.pieces`).
    """
    plan = next(
        (p for p in placement.plans if p.site.is_matrix and p.site.anchor.name == name), None
    )
    if plan is None:
        raise KeyError(name)
    if placement.bits[name].strips is not None:
        raise _in_pieces(name)
    tiles = placement.tiles
    mine = tiles.take((tiles.site == plan.site.index) & (tiles.copy == 0))
    found: dict[int, Layout] = {}
    for first in np.unique(mine.channel_group):
        chosen = mine.take(mine.channel_group == first)
        found |= dict(enumerate(_layouts(plan, chosen), start=int(first)))
    assert sorted(found) == list(range(plan.site.anchor.groups)), f"channel groups of `{name}`"
    return tuple(found[group] for group in range(plan.site.anchor.groups))


def _in_pieces(name: str) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E468",
            f"a layer on arrays has one precision, and the strips of `{name}` have several",
            helps=("quantise strips after training: `cimarch eval --precision policy.json`",),
        )
    )


def _layouts(plan: Plan, tiles: Tiles) -> list[Layout]:
    """Those of the channel groups of one diagonal; of one group alone where tiles are dense."""
    blocks = np.unique(tiles.column_block)
    bounds = [_bounds(plan, tiles.take(tiles.column_block == block)) for block in blocks]
    assert all(np.array_equal(b, bounds[0]) for b in bounds), "column blocks are not cut alike"
    rows = plan.site.anchor.rows
    across = int(tiles.channel_groups[0])
    return [
        Layout(_sections(plan, bounds[0], place * rows, (place + 1) * rows), len(blocks))
        for place in range(across)
    ]


def _bounds(plan: Plan, tiles: Tiles) -> NDArray[np.int64]:
    """First input and inputs of each row tile of a column block; the halves of a pair on two arrays
    are one."""
    order = np.argsort(tiles.row_block)
    each = arrays_per_weight(plan.pool)
    bounds = np.stack([tiles.row0[order], tiles.inputs[order]], axis=1)
    pairs = bounds.reshape(-1, each, 2)
    assert (pairs == pairs[:, :1]).all(), "the halves of a pair are not cut alike"
    return pairs[:, 0]


def _sections(plan: Plan, bounds: NDArray[np.int64], begin: int, stop: int) -> tuple[Section, ...]:
    """The sections of the rows `begin`..`stop` of tiles, counted from `begin`."""
    limit = inputs_per_group(plan.pool)
    found = []
    for tile, (row0, inputs) in enumerate(bounds.tolist()):
        for first in range(row0, row0 + inputs, limit):
            end = min(first + limit, row0 + inputs)
            inner = min(max(first, begin), stop), max(min(end, stop), begin)
            found.append(Section(inner[0] - begin, inner[1] - begin, tile))
    return tuple(found)
