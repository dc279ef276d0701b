"""The meaning of a task table, cycle by cycle, as its docstring says it: no queue, no heap."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np

from cimarch.engine.tasks import JOIN, Tasks, Timeline


def run(tasks: Tasks) -> Timeline:
    """Look at every task in every cycle until all have finished. The table has no cycle."""
    size = len(tasks)
    resource, busy, latency = (c.tolist() for c in (tasks.resource, tasks.busy, tasks.latency))
    edges = [
        [
            (int(tasks.predecessors[e]), bool(tasks.after_start[e]))
            for e in range(tasks.offsets[i], tasks.offsets[i + 1])
        ]
        for i in range(size)
    ]
    start: list[int | None] = [None] * size
    ready: list[int | None] = [None] * size
    queued = [False] * size
    free = [0] * tasks.resources
    time = 0

    def let_go(task: int, after_start: bool) -> bool:
        began = start[task]
        return began is not None and (after_start or began + latency[task] <= time)

    def multiple(task: int) -> bool:
        period = Fraction(*tasks.periods[tasks.period[task]])
        return ceil(time // period * period) == time

    def settle() -> None:
        """Joins that are ready finish, chains of them included; ready tasks are queued."""
        moved = True
        while moved:
            moved = False
            for i in range(size):
                if not queued[i] and multiple(i) and all(let_go(*edge) for edge in edges[i]):
                    queued[i], ready[i], moved = True, time, True
                    if resource[i] == JOIN:
                        start[i] = time

    while any(began is None for began in start):
        granted = True
        while granted:
            settle()
            granted = False
            waits = [i for i in range(size) if queued[i] and start[i] is None]
            for r in range(tasks.resources):
                if free[r] <= time and (queue := [i for i in waits if resource[i] == r]):
                    first = min(queue, key=lambda i: (ready[i], i))
                    start[first], free[r], granted = time, time + busy[first], True
        time += 1

    starts = np.array(start, np.int64)
    held = [
        sum(b for b, of in zip(busy, resource, strict=True) if of == r) for r in range(len(free))
    ]
    finish = starts + tasks.latency
    return Timeline(
        np.array(ready, np.int64),
        starts,
        finish,
        np.array(held, np.int64),
        int(finish.max(initial=0)),
    )
