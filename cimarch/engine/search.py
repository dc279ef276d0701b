"""Depth-first search for a cycle in the predecessor lists, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled
from cimarch.engine.tasks import Ints

NEW, OPEN, DONE = 0, 1, 2


@compiled("int32[::1](int64[::1], int32[::1])")
def cycle(offsets: Ints, predecessors: NDArray[np.int32]) -> NDArray[np.int32]:
    """The nodes of one cycle, each with the next among its predecessors; empty if there is none."""
    size = len(offsets) - 1
    state = np.zeros(size, np.int8)
    edge = offsets[:-1].copy()  # the next edge to follow, per node
    path = np.empty(size, np.int32)
    for root in range(size):
        depth = 0
        if state[root] == NEW:
            state[root], path[0], depth = OPEN, root, 1
        while depth > 0:
            node = path[depth - 1]
            if edge[node] == offsets[node + 1]:
                state[node] = DONE
                depth -= 1
                continue
            source = predecessors[edge[node]]
            edge[node] += 1
            if state[source] == NEW:
                state[source], path[depth] = OPEN, source
                depth += 1
            elif state[source] == OPEN:
                first = depth - 1
                while path[first] != source:
                    first -= 1
                return path[first:depth].copy()
    return path[:0].copy()
