"""Tasks that wait for each other in a circle: the only way in which a table can hang."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.tasks import Ints, Tasks


class Deadlock(ValueError):
    """Some tasks of the table wait for each other in a circle, so they never start."""

    def __init__(self, cycle: tuple[int, ...]) -> None:
        self.cycle = cycle
        """Task numbers: each waits for the next, the last one for the first."""
        shown = " -> ".join(map(str, cycle[:8])) + (" -> ..." if len(cycle) > 8 else "")
        who = f"{len(cycle)} tasks wait for each other: {shown} -> {cycle[0]}"
        super().__init__(who if len(cycle) > 1 else f"1 task waits for itself: {cycle[0]}")


def find_cycle(tasks: Tasks) -> tuple[int, ...]:
    """The tasks of one cycle, each waiting for the next and the last for the first; or none.

    A table whose tasks wait only for lower numbers has none; that is seen at once.
    """
    waiting = np.repeat(np.arange(len(tasks), dtype=np.int32), np.diff(tasks.offsets))
    if not (tasks.predecessors >= waiting).any():
        return ()
    return tuple(_search(tasks.offsets, tasks.predecessors).tolist())


def _search(offsets: Ints, predecessors: NDArray[np.int32]) -> NDArray[np.int32]:
    """Compile late: most tables never need it."""
    from cimarch.engine.search import cycle

    return cycle(
        np.require(offsets, requirements=["C", "W"]),
        np.require(predecessors, requirements=["C", "W"]),
    )
