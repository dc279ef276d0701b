"""Random task tables with many ties, for the tests that hold the engines against each other."""

from __future__ import annotations

import numpy as np

from cimarch.engine.tasks import JOIN, Tasks

PERIODS = ((1, 1), (6, 5), (3, 1), (120, 1), (2, 3))


def random_table(
    rng: np.random.Generator, size: int, *, longest: int = 3, acyclic: bool = True
) -> Tasks:
    """A table of `size` tasks whose numbers say nothing of their order.

    Short times make ties common; a tenth to half of the tasks are joins, half of the tables have
    periods. `longest` is the longest busy and latency.
    """
    resource = rng.integers(0, rng.integers(1, 9), size).astype(np.int32)
    resource[rng.random(size) < rng.uniform(0.1, 0.5)] = JOIN
    real = resource != JOIN
    order = rng.permutation(size)  # order[k] is the k-th task in an order without a cycle
    count = rng.integers(0, rng.integers(2, 5), size)
    waiting, source = [], []
    for k in range(0 if not acyclic else 1, size):
        near = rng.integers(0, k, count[k]) if acyclic else rng.integers(0, size, count[k])
        waiting += [order[k]] * len(near)
        source += order[near].tolist()
    by_task = np.argsort(np.array(waiting, np.int64), kind="stable")
    edges = np.bincount(np.array(waiting, np.int64), minlength=size)
    choices = len(PERIODS) if rng.random() < 0.5 else 1
    return Tasks(
        resource=resource,
        busy=np.where(real, rng.integers(1, longest + 1, size), 0),
        latency=np.where(real, rng.integers(1, longest + 1, size), 0),
        offsets=np.concatenate(([0], np.cumsum(edges))),
        predecessors=np.array(source, np.int32)[by_task],
        after_start=rng.random(len(source)) < rng.uniform(0, 1),
        period=rng.integers(0, choices, size).astype(np.int16),
        periods=PERIODS,
    )
