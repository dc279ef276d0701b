"""Which inference, row and window a task of a finished run belongs to.

A piece whose blocks are rows of results says so only by the place of a slot in its block. A
`Stretch` is such a piece with what its rows are; `Places` finds the row and window of every slot.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs
import numpy as np

from cimarch.engine.pieces import Piece
from cimarch.engine.tasks import Ints
from cimarch.program.program import Program
from cimarch.program.sketch import Laid

NONE = -1
"""In place of a site, a row or a window."""


@attrs.frozen(eq=False)
class Places:
    """Per slot of a block: its row, and its window in that row (`NONE` outside of windows)."""

    row: Ints
    window: Ints

    @classmethod
    def of(cls, laid: Laid) -> Places:
        """Find them; what follows the last row of a strip counts to that row."""
        slots = np.arange(len(laid))
        row = np.searchsorted(laid.lead_at, slots, side="right") - 1
        window = np.full(len(laid), NONE)
        strip = laid.strip
        if strip.windows:
            widths = np.array([len(sketch) for sketch in strip.window])
            index = np.searchsorted(laid.window_at, slots, side="right") - 1
            end = laid.window_at[index] + widths[index % strip.copies]
            inside = (index >= 0) & (slots < end)
            window[inside] = (index - row * strip.windows)[inside]
        return cls(row, window)


@attrs.frozen(eq=False)
class Stretch:
    """A piece that makes rows of a tensor, inference after inference."""

    number: int
    """Of the piece."""
    piece: Piece
    laid: Laid
    site: int
    """`NONE`: it brings inputs of the network."""
    makes: tuple[str, ...]
    """Tensors, a row of each a strip."""
    group: int
    rows: int
    """Of one inference, before poolings join them."""
    strips: int
    """Of one inference: rows of what is stored."""
    first: int
    """The first of its inferences."""

    @cached_property
    def total(self) -> int:
        """Strips of all its inferences."""
        kept = len(self.laid) - self.piece.cut
        missing = sum(at >= kept for at in self.laid.strip_at)
        return self.piece.repeat * self.laid.strip.strips - missing

    @property
    def inferences(self) -> int:
        """How many inferences' rows it makes."""
        return self.total // self.strips

    def row_of(self, places: Places, slot: Ints, block: Ints) -> Ints:
        """The row of some tasks, counted over all its inferences."""
        rows: Ints = block * self.laid.strip.rows + places.row[slot]
        return rows


def stretches(program: Program) -> list[Stretch]:
    """The pieces of sites and of inputs, in order of their numbers."""
    found = sorted(_pieces(program), key=lambda stretch: stretch.number)
    seen: dict[tuple[int, tuple[str, ...], int], int] = {}
    numbered = []
    for stretch in found:
        key = (stretch.site, stretch.makes, stretch.group)
        numbered.append(attrs.evolve(stretch, first=seen.get(key, 0)))
        seen[key] = seen.get(key, 0) + stretch.inferences
    return numbered


def _pieces(program: Program) -> Iterator[Stretch]:
    pieces = program.work.pieces
    for placed in program.placed:
        site, size, piece = placed.work.plan.site, placed.work.size, pieces[placed.piece]
        yield Stretch(
            placed.piece, piece, placed.work.laid, site.index, (site.result,),
            piece.columns["group"], size.rows, size.strips, 0,
        )  # fmt: skip
    for brought in program.brought:
        piece = pieces[brought.piece]
        yield Stretch(
            brought.piece, piece, brought.laid, NONE, brought.tensors,
            piece.columns["group"], brought.rows, brought.rows, 0,
        )  # fmt: skip
