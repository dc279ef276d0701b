"""A mix of precisions as pieces: strips of one level that are read together.

A piece is a matrix of its own, of some rows and some outputs of an operation; its sums are added to
those of the other pieces behind the converters, each as often as the ratio of its strips says.

- `packed`: a piece for each level and kernel position: the input channels at that
  place, and the outputs that have a strip of the level there.
- `holes`: the whole matrix on the arrays of the level's pool. Where a strip is of another level,
  cells hold the weight 0; an array without strips of the level is none, and a column without any is
  not converted. Outputs that are converted on the same row blocks are a piece.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.lines import Ints, Section
from cimarch.hardware.encoding import inputs_per_group
from cimarch.mapping.packing import outputs_of
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.strips import Strips
from cimarch.mapping.wiring import Wiring

Rows = tuple[int, int, int]
"""The first of some rows, how many, and the steps from one to the next."""


@attrs.frozen(eq=False)
class Piece:
    """Strips of one level and channel group that are read together."""

    level: int
    group: int
    rows: Ints
    """Of the group's matrix, in the order of word lines."""
    outputs: Ints
    """Of the group's."""
    sections: tuple[Section, ...]
    """Over `rows`, counted from the first of them."""
    position: int | None = None
    """The kernel position that all its strips are of; None: rows are of several."""


def pieces_of(placement: Placement, plan: Plan, strips: Strips) -> tuple[Piece, ...]:
    """The pieces of an operation of mixed precision, level by level."""
    tiles = placement.tiles.take(placement.tiles.site == plan.site.index)
    op = plan.site.anchor
    blocks: dict[tuple[int, int, int | None, int], list[Rows]] = {}
    pools: dict[int, int] = {}
    for tile in np.lexsort((tiles.row_block, tiles.level)).tolist():
        level, group = int(tiles.level[tile]), int(tiles.channel_group[tile])
        rows = int(tiles.row0[tile]), int(tiles.inputs[tile]), int(tiles.every[tile])
        position = rows[0] % strips.positions if strips.layout != "holes" else None
        pools[level] = int(tiles.pool[tile])
        pool = placement.wirings[pools[level]].pool
        for output in outputs_of(op, strips, tiles, tile, pool).tolist():
            blocks.setdefault((level, group, position, output), []).append(rows)
    return tuple(
        _piece(place, outputs, inputs_per_group(placement.wirings[pools[place[0]]].pool))
        for place, outputs in _alike(blocks).items()
    )


def wirings_of_levels(placement: Placement, plan: Plan) -> dict[int, Wiring]:
    """The surroundings of the pool of each level that an operation uses, the highest first."""
    tiles = placement.tiles.take(placement.tiles.site == plan.site.index)
    pools = dict(zip(tiles.level.tolist(), tiles.pool.tolist(), strict=True))
    return {level: placement.wirings[pools[level]] for level in sorted(pools)}


Place = tuple[int, int, int | None, tuple[Rows, ...]]
"""Level, channel group, kernel position and row blocks."""


def _alike(blocks: dict[tuple[int, int, int | None, int], list[Rows]]) -> dict[Place, list[int]]:
    """Outputs by the row blocks that they are converted on."""
    found: dict[Place, list[int]] = {}
    for (level, group, position, output), rows in blocks.items():
        found.setdefault((level, group, position, tuple(rows)), []).append(output)
    return found


def _piece(place: Place, outputs: list[int], word_lines: int) -> Piece:
    level, group, position, blocks = place
    rows, sections, before = [], [], 0
    for tile, (first, count, every) in enumerate(blocks):
        rows.append(first + every * np.arange(count))
        for start in range(before, before + count, word_lines):
            sections.append(Section(start, min(start + word_lines, before + count), tile))
        before += count
    return Piece(
        level, group, np.concatenate(rows), np.array(sorted(outputs)), tuple(sections), position
    )


def held_by(piece: Piece, strips: Strips, outputs: int) -> NDArray[np.bool_]:
    """Which weights of a piece are of its level, (outputs, rows); an operation has `outputs` in
    each channel group."""
    places = piece.group * outputs + piece.outputs
    held = strips.holding(piece.level)[:, places]
    found: NDArray[np.bool_] = held[piece.rows % strips.positions].T
    return found
