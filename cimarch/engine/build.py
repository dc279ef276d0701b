"""The block builder: large task tables from small templates, without a loop over tasks.

A program repeats itself: every window of an operation is the same few tasks with the same edges.
A `Block` is one such repeat, written once; the builder lays out as many as asked for with numpy.

Ten windows of fetch, read and convert. A read waits for its fetch, a conversion for its read; a
read may start when the conversion of the read before it starts (a sample-and-hold). The first
fetch waits for a write, and a join tells when all is done:

    table = TableBuilder()
    write = table.task(resource=1, busy=100)
    window = Block(
        resource=[0, 1, 2],
        busy=[2, 5, 4],
        edges=(Edge(1, 0), Edge(2, 1), Edge(1, 2, lag=1, after_start=True)),
    )
    first = table.append(window, 10, after=(After(0, write, blocks=1),))
    done = table.join(first + 3 * np.arange(10) + 2)
    tasks = table.build()
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine.tasks import JOIN, Ints, Tasks

Scalar = TypeVar("Scalar", bound=np.generic)

NOTHING = -1
"""In place of a task number: wait for nothing."""


@attrs.frozen
class Edge:
    """In each block, `slot` waits for the slot `source` of the same block or of an earlier one."""

    slot: int
    source: int
    lag: int = 0
    """How many blocks earlier, at least 0. The first `lag` blocks do not have the edge."""
    after_start: bool = False
    """Wait for the start of the source, not for its finish."""


@attrs.frozen(eq=False)
class After:
    """`slot` waits for tasks by number: of earlier blocks, of later ones, or of the same.

    `tasks` is one number, for every block (or the first `blocks` of them); or one number a block;
    or rows of numbers, row n being all that block n waits for. Blocks beyond the last row wait
    for nothing, and so does an entry of `NOTHING`.
    """

    slot: int
    tasks: ArrayLike
    blocks: int | None = None
    """Only the first so many blocks wait; None is all of them (or all that have a row)."""
    after_start: bool = False


@attrs.frozen(eq=False)
class Block:
    """A template of slots: one task each, repeated.

    Every column is one number for all slots, or one a slot, or (repeat, slots) where the blocks
    differ. `resource` says how many slots there are, so it is never a single number.
    """

    resource: ArrayLike
    """The resource of each slot; `JOIN` for a join."""
    busy: ArrayLike
    """Cycles; 0 for a join."""
    latency: ArrayLike | None = None
    """Cycles; None is as long as busy."""
    period: ArrayLike = 0
    edges: tuple[Edge, ...] = ()
    columns: Mapping[str, ArrayLike] = attrs.field(factory=dict)
    """Values of the builder's own columns; what is not given is that column's default."""

    @property
    def slots(self) -> int:
        """How many tasks one repeat has."""
        return int(np.shape(self.resource)[-1])


class TableBuilder:
    """Collects blocks, single tasks and joins; `build` lays them out as one table.

    Task numbers are given in order of appending: within a repeated block, the task of slot s in
    block n is `first + n * slots + s`. Edges may name tasks that are appended later; a cycle is
    not looked for here. Misuse (a slot that does not exist, a column nobody declared) is a
    ValueError.
    """

    def __init__(
        self,
        *,
        periods: tuple[tuple[int, int], ...] = ((1, 1),),
        columns: Mapping[str, int | np.integer] | None = None,
    ) -> None:
        """Begin an empty table with its periods and with further columns, each with its default.

        A further column has the type of its default: `int` is 64 bits, `np.int16(0)` is 16.
        """
        self.periods = periods
        self.columns = {name: np.asarray(value) for name, value in (columns or {}).items()}
        self._size = 0
        self._rows: dict[str, list[NDArray[np.generic]]] = {name: [] for name in self._types()}
        self._edges = _EdgeLists()
        self._extra = _EdgeLists()
        self._single = _Singles()

    def __len__(self) -> int:
        """How many tasks there are so far: the number that the next one gets."""
        return self._size

    def append(
        self,
        block: Block,
        repeat: int = 1,
        *,
        after: Iterable[After] = (),
        columns: Mapping[str, ArrayLike] | None = None,
    ) -> int:
        """Append `repeat` blocks; the number of the first task.

        `after` adds edges to tasks outside, `columns` values beside those of the block.
        """
        if repeat < 0:
            raise ValueError(f"a block is repeated {repeat} times, less than 0")
        after = tuple(after)
        _check_slots(block, after)
        self._flush()
        first = self._size
        self._add_rows(block, repeat, {**block.columns, **(columns or {})})
        for start, stop in _stretches(block, after, repeat):
            self._edges.add(*_stretch_edges(block, after, first, start, stop))
        self._size += repeat * block.slots
        return first

    def task(
        self,
        *,
        resource: int,
        busy: int,
        latency: int | None = None,
        predecessors: Iterable[int] = (),
        started: Iterable[int] = (),
        period: int = 0,
        columns: Mapping[str, int] | None = None,
    ) -> int:
        """Append one task that waits for the finish of some tasks and the start of others."""
        row = (resource, busy, busy if latency is None else latency, period)
        self._single.add(row, predecessors, started, self._own(columns or {}))
        self._size += 1
        return self._size - 1

    def join(
        self,
        predecessors: Iterable[int],
        *,
        started: Iterable[int] = (),
        columns: Mapping[str, int] | None = None,
    ) -> int:
        """Append a join; its number."""
        return self.task(
            resource=JOIN, busy=0, predecessors=predecessors, started=started, columns=columns
        )

    def connect(self, tasks: ArrayLike, sources: ArrayLike, *, after_start: bool = False) -> None:
        """Let each of `tasks` wait for the one of `sources` beside it (broadcast to one shape)."""
        pairs = np.broadcast_arrays(np.asarray(tasks, np.int64), np.asarray(sources, np.int64))
        target, source = (each.ravel() for each in pairs)
        self._extra.add(target, source, np.full(len(target), after_start))

    def build(self) -> Tasks:
        """Lay out the table, checked except for cycles."""
        self._flush()
        offsets, predecessors, after_start = self._edges.lists(self._size, self._extra)
        tasks = Tasks(
            resource=self.column("resource").astype(np.int32, copy=False),
            busy=self.column("busy").astype(np.int64, copy=False),
            latency=self.column("latency").astype(np.int64, copy=False),
            offsets=offsets,
            predecessors=predecessors,
            after_start=after_start,
            period=self.column("period").astype(np.int16, copy=False),
            periods=self.periods,
        )
        tasks.check()
        return tasks

    def column(self, name: str) -> NDArray[np.generic]:
        """One column of all tasks so far: a further one, or one of the table's own."""
        self._flush()
        chunks = self._rows[name]
        if len(chunks) > 1:
            chunks[:] = [np.concatenate(chunks)]
        return chunks[0] if chunks else np.empty(0, self._types()[name])

    def _types(self) -> dict[str, np.dtype[np.generic]]:
        own = {name: default.dtype for name, default in self.columns.items()}
        return {name: np.dtype(kind) for name, kind in _TYPES.items()} | own

    def _own(self, columns: Mapping[str, ArrayLike]) -> dict[str, ArrayLike]:
        """The further columns, each with a value."""
        if strange := sorted(set(columns) - set(self.columns)):
            raise ValueError(f"the table has no column `{strange[0]}`")
        return {name: columns.get(name, default) for name, default in self.columns.items()}

    def _add_rows(self, block: Block, repeat: int, columns: Mapping[str, ArrayLike]) -> None:
        latency = block.busy if block.latency is None else block.latency
        values = {"resource": block.resource, "busy": block.busy, "latency": latency}
        values |= {"period": block.period} | self._own(columns)
        shape = (repeat, block.slots)
        kinds = self._types()
        for name, value in values.items():
            spread = np.broadcast_to(np.asarray(value), shape)
            self._rows[name].append(_exactly(spread, kinds[name], name).reshape(-1))

    def _flush(self) -> None:
        """Turn the single tasks gathered so far into one chunk of every column."""
        single, self._single = self._single, _Singles()
        if not single.rows:
            return
        first = self._size - len(single.rows)
        values = dict(zip(_TYPES, np.asarray(single.rows, np.int64).T, strict=True))
        values |= {n: np.asarray([row[n] for row in single.columns]) for n in self.columns}
        for name, kind in self._types().items():
            self._rows[name].append(_exactly(values[name], kind, name))
        self._edges.add(
            first + np.asarray(single.targets, np.int64),
            np.asarray(single.sources, np.int64),
            np.asarray(single.after_start, np.bool_),
        )


_TYPES = {"resource": np.int32, "busy": np.int64, "latency": np.int64, "period": np.int16}


class _Singles:
    """Tasks appended one by one, as Python lists until the next block."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self.columns: list[dict[str, ArrayLike]] = []
        self.targets: list[int] = []
        self.sources: list[int] = []
        self.after_start: list[bool] = []

    def add(
        self,
        row: tuple[int, int, int, int],
        finished: Iterable[int],
        started: Iterable[int],
        columns: dict[str, ArrayLike],
    ) -> None:
        for sources, after_start in ((finished, False), (started, True)):
            numbers = np.asarray(
                sources if isinstance(sources, np.ndarray) else list(sources), np.int64
            ).tolist()
            self.targets += [len(self.rows)] * len(numbers)
            self.sources += numbers
            self.after_start += [after_start] * len(numbers)
        self.rows.append(row)
        self.columns.append(columns)


class _EdgeLists:
    """Edges gathered in chunks: who waits, for whom, after its start or its finish."""

    def __init__(self) -> None:
        self.targets: list[Ints] = []
        self.sources: list[NDArray[np.int32]] = []
        self.after_start: list[NDArray[np.bool_]] = []

    def add(self, target: Ints, source: Ints, after_start: NDArray[np.bool_]) -> None:
        """Add a chunk, without the edges to `NOTHING`."""
        if source.min(initial=0) < 0:
            real = source != NOTHING
            target, source, after_start = target[real], source[real], after_start[real]
        if len(target):
            self.targets.append(target)
            self.sources.append(_exactly(source, np.dtype(np.int32), "predecessors"))
            self.after_start.append(after_start)

    def lists(
        self, size: int, extra: _EdgeLists
    ) -> tuple[Ints, NDArray[np.int32], NDArray[np.bool_]]:
        """Offsets, predecessors and flags in order of the waiting task.

        The edges of this list are in that order already; those of `extra` come behind them.
        """
        count = _counts(self.targets, size)
        if not extra.targets:
            return _offsets(count), _join(self.sources, np.int32), _join(self.after_start, np.bool_)
        target = np.concatenate(extra.targets)
        order = np.argsort(target, kind="stable")
        added = _counts(extra.targets, size)
        offsets = _offsets(count + added)
        place = offsets[target[order]] + count[target[order]]
        place += np.arange(len(order)) - np.repeat(_offsets(added)[:-1], added)
        is_extra = np.zeros(offsets[-1], np.bool_)
        is_extra[place] = True
        source = np.empty(offsets[-1], np.int32)
        after_start = np.empty(offsets[-1], np.bool_)
        source[place] = np.concatenate(extra.sources)[order]
        after_start[place] = np.concatenate(extra.after_start)[order]
        source[~is_extra] = _join(self.sources, np.int32)
        after_start[~is_extra] = _join(self.after_start, np.bool_)
        return offsets, source, after_start


def _check_slots(block: Block, after: tuple[After, ...]) -> None:
    used = [slot for edge in block.edges for slot in (edge.slot, edge.source)]
    used += [each.slot for each in after]
    for slot in used:
        if not 0 <= slot < block.slots:
            raise ValueError(f"slot {slot} is outside 0..{block.slots - 1}")
    if any(edge.lag < 0 for edge in block.edges):
        raise ValueError("an edge has a negative lag")


def _reach(after: After, repeat: int) -> int:
    """How many blocks wait by this edge."""
    rows = repeat if np.ndim(after.tasks) == 0 else len(np.asarray(after.tasks))
    return min(repeat, rows, repeat if after.blocks is None else after.blocks)


def _stretches(block: Block, after: tuple[After, ...], repeat: int) -> Iterator[tuple[int, int]]:
    """Cut the blocks into stretches in which all have the same edges."""
    cuts = {0, repeat} | {edge.lag for edge in block.edges} | {_reach(a, repeat) for a in after}
    bounds = sorted(cut for cut in cuts if cut <= repeat)
    return pairwise(bounds)


def _stretch_edges(
    block: Block, after: tuple[After, ...], first: int, start: int, stop: int
) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """All edges of the blocks start..stop, in order of the waiting task."""
    base = first + block.slots * np.arange(start, stop, dtype=np.int64)[:, None]
    pieces = [
        (edge.slot, base + (edge.source - edge.lag * block.slots), edge.after_start)
        for edge in block.edges
        if edge.lag <= start
    ]
    pieces += [
        (each.slot, _outer_tasks(each, start, stop), each.after_start)
        for each in after
        if stop <= _reach(each, stop)
    ]
    if not pieces:
        return _NO_EDGES
    pieces.sort(key=lambda piece: piece[0])
    widths = [source.shape[1] for _, source, _ in pieces]
    slots = np.repeat(np.asarray([slot for slot, _, _ in pieces], np.int64), widths)
    flags = np.repeat(np.asarray([flag for _, _, flag in pieces], np.bool_), widths)
    source = np.concatenate([source for _, source, _ in pieces], axis=1)
    flag = np.broadcast_to(flags, source.shape)
    return (base + slots).reshape(-1), source.reshape(-1), flag.reshape(-1)


_NO_EDGES = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.bool_))


def _outer_tasks(after: After, start: int, stop: int) -> Ints:
    """(blocks, edges a block): the task numbers that the blocks start..stop wait for."""
    tasks = np.asarray(after.tasks, np.int64)
    if tasks.ndim > 2:
        raise ValueError(f"`tasks` of After has {tasks.ndim} dimensions, more than 2")
    if tasks.ndim == 0:
        return np.full((stop - start, 1), tasks)
    return tasks[start:stop].reshape(stop - start, -1)


def _exactly(values: NDArray[np.generic], kind: np.dtype[Scalar], name: str) -> NDArray[Scalar]:
    """The values as that type, in memory of their own; ValueError where one does not fit."""
    if values.dtype.kind not in "iub":
        raise ValueError(f"`{name}` has values that are not whole numbers ({values.dtype})")
    if values.size and kind.itemsize < 8:
        lowest, highest = _limits(kind)
        least, most = int(values.min()), int(values.max())
        if least < lowest or most > highest:
            raise ValueError(f"`{name}` has {least}..{most}, outside {lowest}..{highest}")
    return np.array(values, kind, order="C")


@cache
def _limits(kind: np.dtype[np.generic]) -> tuple[int, int]:
    limit = np.iinfo(str(kind))
    return int(limit.min), int(limit.max)


def _counts(targets: list[Ints], size: int) -> Ints:
    """How often each task is a target."""
    total = np.zeros(size, np.int64)
    for target in targets:
        if target.min() < 0 or target.max() >= size:
            raise ValueError(f"an edge ends at task {target.max()}, outside 0..{size - 1}")
        low = int(target.min())
        count = np.bincount(target - low)
        total[low : low + len(count)] += count
    return total


def _offsets(counts: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(counts)))


def _join(chunks: list[NDArray[Scalar]], kind: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate(chunks) if chunks else np.empty(0, kind)
