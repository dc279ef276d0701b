"""The task table: everything that an engine needs to know of a program.

A task holds one resource for `busy` cycles; its successors wait `latency` cycles from its start.
A join (resource -1) takes neither. The meaning, to the cycle, of a run of the table:

- A task is *ready* at the latest of its predecessors' times (the start of some, the finish of
  others; `finish = start + latency`), or at 0, rounded up to the next multiple of its period.
- At a time t, first all tasks and joins that finish at t do so and joins that become ready at t
  finish (joins take no time, chains of them included), and every task that these make ready at t
  joins the queue of its resource; then each free resource grants the task of its queue that is
  least by (ready time, task number). A grant starts the task at once. A start at t can make other
  tasks (joins too) ready at t by `after start` edges: what they make ready is queued, and the
  resources still free grant again, until nothing more happens at t. Within such a round all joins
  come first, then the grants in order of resource number.
- A resource is free again `busy` cycles after the start.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

JOIN = -1
"""The resource of a join."""


@attrs.frozen(eq=False)
class Tasks:
    """Columns of equal length, one row a task, plus the predecessor lists (CSR)."""

    resource: NDArray[np.int32]
    """Index of the resource it holds; `JOIN` for a join."""
    busy: Ints
    """Cycles that it holds its resource, at least 1; 0 for a join."""
    latency: Ints
    """Cycles from its start until its successors may go on, at least 1; 0 for a join."""
    offsets: Ints
    """(tasks + 1): the predecessors of task i are `predecessors[offsets[i]:offsets[i + 1]]`."""
    predecessors: NDArray[np.int32]
    after_start: NDArray[np.bool_]
    """Per predecessor: wait for its start (True) or for its finish (False)."""
    period: NDArray[np.int16]
    """Index into `periods`: the task is ready only on multiples of it."""
    periods: tuple[tuple[int, int], ...] = ((1, 1),)
    """(numerator, denominator) in cycles; the k-th multiple falls on cycle ceil(k * n / d)."""

    def __len__(self) -> int:
        return len(self.resource)

    @property
    def resources(self) -> int:
        """How many resources the table speaks of."""
        return int(self.resource.max(initial=-1)) + 1


@attrs.frozen(eq=False)
class Timeline:
    """When everything happened, in cycles."""

    ready: Ints
    start: Ints
    finish: Ints
    """start + latency; for a join all three are equal."""
    busy: Ints
    """Per resource: cycles held."""
    makespan: int
    """The latest finish (0 for an empty table)."""
