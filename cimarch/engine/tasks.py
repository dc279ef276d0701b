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
  come first, then the grants in order of resource number; what these starts make ready is queued
  after the last of them, so it waits for the next round.
- A resource is free again `busy` cycles after the start.
"""

from __future__ import annotations

from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

Whole = TypeVar("Whole", int, Ints)
"""A whole number, or an array of them."""

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

    def check(self) -> None:
        """Raise a ValueError that says what is wrong with the table; a cycle is not looked for."""
        _check_shapes(self)
        _check_times(self)
        _check_edges(self)
        _check_periods(self)


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

    def check(self, tasks: Tasks) -> None:
        """Assert that this is a legal run of the table, rule by rule, without running it."""
        _check_ready(self, tasks)
        _check_finish(self, tasks)
        _check_grants(self, tasks)


def timeline(tasks: Tasks, ready: Ints, start: Ints) -> Timeline:
    """Complete what an engine found: when each task was ready and when it started."""
    finish = start + tasks.latency
    held = np.zeros(tasks.resources, np.int64)
    real = tasks.resource != JOIN
    np.add.at(held, tasks.resource[real], tasks.busy[real])
    return Timeline(ready, start, finish, held, int(finish.max(initial=0)))


def align(time: Whole, numerator: Whole, denominator: Whole) -> Whole:
    """The first multiple of the period numerator / denominator at or after a time.

    The k-th multiple is on cycle ceil(k n / d), so the least k is floor((time - 1) d / n) + 1.
    """
    k = (time - 1) * denominator // numerator + 1
    return -(-k * numerator // denominator)


_COLUMNS = {
    "resource": np.int32,
    "busy": np.int64,
    "latency": np.int64,
    "offsets": np.int64,
    "predecessors": np.int32,
    "after_start": np.bool_,
    "period": np.int16,
}
_LATEST = 2**62
"""No time may come near the end of 64 bits."""


def _check_shapes(tasks: Tasks) -> None:
    size, edges = len(tasks), len(tasks.predecessors)
    lengths = {"offsets": size + 1, "predecessors": edges, "after_start": edges}
    for name, kind in _COLUMNS.items():
        column = getattr(tasks, name)
        if column.dtype != kind or column.ndim != 1 or len(column) != lengths.get(name, size):
            raise ValueError(
                f"`{name}` is {column.dtype} of shape {column.shape}, "
                f"not {np.dtype(kind)} of shape ({lengths.get(name, size)},)"
            )
    for name, amount in (("tasks", size), ("predecessors", edges)):
        if amount >= 2**31:
            raise ValueError(f"the table has {amount} {name}, more than {2**31 - 1}")


def _check_times(tasks: Tasks) -> None:
    """A task takes at least a cycle of both, a join neither, and all of it fits in 64 bits."""
    if (tasks.resource < JOIN).any():
        raise ValueError(f"a task has resource {tasks.resource.min()}, below {JOIN}")
    join = tasks.resource == JOIN
    for name, column in (("busy", tasks.busy), ("latency", tasks.latency)):
        wrong = np.flatnonzero(np.where(join, column != 0, column < 1))
        if len(wrong):
            task = int(wrong[0])
            need = "0, as it is a join" if join[task] else "at least 1"
            raise ValueError(f"`{name}` of task {task} is {column[task]}, not {need}")
    steps = [n for n, _ in tasks.periods] + [1]
    scale = max(max(d for _, d in tasks.periods), max(steps)) if tasks.periods else 1
    longest = float(np.maximum(tasks.busy, tasks.latency).sum(dtype=np.float64))
    if (longest + len(tasks) * float(max(steps))) * scale >= _LATEST:
        raise ValueError(f"the times of the table may add up to more than {_LATEST} cycles")


def _check_edges(tasks: Tasks) -> None:
    size, edges = len(tasks), len(tasks.predecessors)
    if tasks.offsets[0] != 0 or tasks.offsets[-1] != edges or (np.diff(tasks.offsets) < 0).any():
        raise ValueError(f"`offsets` does not climb from 0 to {edges}")
    if edges and (tasks.predecessors.min() < 0 or tasks.predecessors.max() >= size):
        wrong = (tasks.predecessors < 0) | (tasks.predecessors >= size)
        which = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"a predecessor is task {tasks.predecessors[which]}, outside 0..{size - 1}"
        )


def _check_periods(tasks: Tasks) -> None:
    for numerator, denominator in tasks.periods:
        if numerator < 1 or denominator < 1:
            raise ValueError(f"the period {numerator}/{denominator} is not positive")
    if len(tasks) and not 0 <= tasks.period.min() <= tasks.period.max() < len(tasks.periods):
        raise ValueError(
            f"`period` has {tasks.period.min()}..{tasks.period.max()}, "
            f"outside 0..{len(tasks.periods) - 1}"
        )


def _predecessor_times(timeline: Timeline, tasks: Tasks) -> Ints:
    """Per edge: when the predecessor let go."""
    source = tasks.predecessors
    return np.where(tasks.after_start, timeline.start[source], timeline.finish[source])


def _waiting(tasks: Tasks) -> Ints:
    """Per edge: the task that waits."""
    return np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))


def _check_ready(timeline: Timeline, tasks: Tasks) -> None:
    """Ready is the latest of the predecessors' times, on the next multiple of the period."""
    latest = np.zeros(len(tasks), np.int64)
    np.maximum.at(latest, _waiting(tasks), _predecessor_times(timeline, tasks))
    periods = np.asarray(tasks.periods, np.int64)[tasks.period]
    expected = align(latest, periods[:, 0], periods[:, 1])
    wrong = np.flatnonzero(timeline.ready != expected)
    assert not len(wrong), (
        f"task {wrong[0]} is ready at {timeline.ready[wrong[0]]}, not at {expected[wrong[0]]}"
    )


def _check_finish(timeline: Timeline, tasks: Tasks) -> None:
    """A task finishes its latency after its start, a join when it is ready."""
    right = timeline.finish == timeline.start + tasks.latency
    assert right.all(), "a task does not finish its latency after its start"
    join = tasks.resource == JOIN
    assert (timeline.start[join] == timeline.ready[join]).all(), "a join takes time"
    assert timeline.makespan == timeline.finish.max(initial=0), "the makespan is no latest finish"


def _check_grants(timeline: Timeline, tasks: Tasks) -> None:
    """Each resource holds one task at a time, the first come first, and is never idle for none."""
    held = np.zeros(tasks.resources, np.int64)
    real = np.flatnonzero(tasks.resource != JOIN)
    np.add.at(held, tasks.resource[real], tasks.busy[real])
    assert (timeline.busy == held).all(), "the cycles held are not those of the tasks"
    order = real[np.lexsort((timeline.start[real], tasks.resource[real]))]
    start, ready = timeline.start[order], timeline.ready[order]
    same = tasks.resource[order][1:] == tasks.resource[order][:-1]
    free = np.zeros(len(order), np.int64)
    free[1:][same] = (start + tasks.busy[order])[:-1][same]
    assert (start >= free).all(), "a resource holds two tasks at once"
    assert (start == np.maximum(ready, free)).all(), "a task waits while its resource is free"
    assert (ready[1:] >= ready[:-1])[same].all(), "a task overtakes one that was ready before it"
    # A lower number may come second only where a start of the same cycle made it ready.
    second = np.flatnonzero(same & (ready[1:] == ready[:-1]) & (order[1:] < order[:-1])) + 1
    allowed = (start[second - 1] == ready[second]).all()
    allowed &= _made_by_start(timeline, tasks, order[second])
    assert allowed, "of tasks ready at once, one overtakes another with a lower number"


def _made_by_start(timeline: Timeline, tasks: Tasks, which: Ints) -> bool:
    """Whether each was made ready by a start of that cycle, directly or through a join."""
    waiting, source = _waiting(tasks), tasks.predecessors
    at_once = _predecessor_times(timeline, tasks) == timeline.ready[waiting]
    made = np.zeros(len(tasks), np.bool_)
    made[waiting[at_once & (tasks.after_start | (tasks.resource[source] == JOIN))]] = True
    return bool(made[which].all())
