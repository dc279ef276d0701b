"""Where a run ended before its tasks: a walk along what is waited for, without laying all out.

A task that did not run waits for one that did not run either, so a walk from one to the next comes
back to where it has been: that is the circle. It begins at the lowest number and takes the first
such predecessor, which is the circle that `find_cycle` finds in the table of `expand`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimarch.engine import kernel
from cimarch.engine.kernel import DONE, NONE, Run
from cimarch.engine.pieces import NOTHING, Work


def find_stuck(work: Work, run: Run) -> tuple[int, ...]:
    """Tasks and gates by number, each waiting for the next and the last for the first."""
    stuck = _Stuck(work, run)
    path: dict[int, int] = {}
    number = stuck.lowest()
    while number not in path:
        path[number] = len(path)
        number = next(source for source in stuck.sources(number) if not stuck.ran(source))
    return tuple(path)[path[number] :]


class _Stuck:
    """Task numbers, and what the arrays of the run say of them."""

    def __init__(self, work: Work, run: Run) -> None:
        self.work = work
        self.run = run

    def lowest(self) -> int:
        """The lowest number of a task that did not run."""
        for piece, row in enumerate(self.run.pieces):
            frames = self.run.frame_of[row[kernel.BLOCKS] :][: row[kernel.REPEAT]]
            left = np.flatnonzero(frames != DONE)
            if len(left):
                first = self._number(piece, int(left[0]), 0)
                return next(
                    number for number in range(first, len(self.work)) if not self.ran(number)
                )
        raise AssertionError("every task ran, and so every gate opened")

    def ran(self, number: int) -> bool:
        """Whether a task ran or a gate opened."""
        if number >= len(self.work):
            return bool(self.run.gates[number - len(self.work), kernel.OPENED] != NONE)
        piece, block, slot = self._place(number)
        frame = self.run.frame_of[self.run.pieces[piece, kernel.BLOCKS] + block]
        if frame in (NONE, DONE):
            return bool(frame == DONE)
        node = self.run.frames[frame, kernel.BASE] + slot
        return bool(self.run.nodes[node, kernel.WHEN] == NONE)

    def sources(self, number: int) -> Iterator[int]:
        """What a task or a gate waits for."""
        if number >= len(self.work):
            yield from self._linked(number)
            return
        piece, block, slot = self._place(number)
        template = self.work.pieces[piece].template
        edges = template.edges
        end = int(self.work.first[piece + 1])
        for edge in np.flatnonzero((edges.slot == slot) & (edges.lag <= block)):
            source = self._number(piece, block - int(edges.lag[edge]), int(edges.source[edge]))
            if source < end:
                yield source
        for gate in template.opens[template.opens[:, 0] == slot, 1]:
            yield int(self.work.first_gate[piece]) + block * template.gates + int(gate)

    def _linked(self, number: int) -> Iterator[int]:
        """The tasks that a gate waits for."""
        piece = int(np.searchsorted(self.work.first_gate, number, "right")) - 1
        of = self.work.pieces[piece]
        block, gate = divmod(number - int(self.work.first_gate[piece]), of.template.gates)
        for link in of.links:
            if link.gate == gate and link.blocks[block] != NOTHING:
                source = self._number(link.piece, int(link.blocks[block]), link.source)
                if source < self.work.first[link.piece + 1]:
                    yield source

    def _place(self, number: int) -> tuple[int, int, int]:
        """The piece, block and slot of a task."""
        piece = int(np.searchsorted(self.work.first, number, "right")) - 1
        inside = number - int(self.work.first[piece])
        return piece, *divmod(inside, len(self.work.pieces[piece].template))

    def _number(self, piece: int, block: int, slot: int) -> int:
        return int(self.work.first[piece]) + block * len(self.work.pieces[piece].template) + slot
