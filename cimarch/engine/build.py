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

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine.edges import NOTHING, After, Edge, EdgeLists, Edges, Repeat
from cimarch.engine.tasks import JOIN, Tasks

__all__ = ["JOIN", "NOTHING", "After", "Block", "Edge", "Edges", "TableBuilder"]


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
    edges: tuple[Edge, ...] | Edges = ()
    columns: Mapping[str, ArrayLike] = attrs.field(factory=dict)
    """Values of the builder's own columns; what is not given is that column's default."""

    @property
    def slots(self) -> int:
        """How many tasks one repeat has."""
        shape = np.shape(self.resource)
        if not shape:
            raise ValueError("`resource` of a block is a single number, not one a slot")
        if not shape[-1]:
            raise ValueError("a block has no slots")
        return int(shape[-1])


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
        self._rows: list[_Rows] = []
        self._edges = EdgeLists()
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
        self._flush()
        first, slots = self._size, block.slots
        edges = block.edges if isinstance(block.edges, Edges) else Edges.of(block.edges)
        blocks = Repeat(first, repeat, slots, edges, tuple(after))
        blocks.check()
        values = self._values(block, {**block.columns, **(columns or {})})
        for name, value in values.items():
            _check_column(name, value, repeat, slots)
        self._edges.add_repeat(blocks)
        self._size += repeat * slots
        self._rows.append(_Rows(first, self._size, slots, values))
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
        self._check_names(columns or {})
        row = (resource, busy, busy if latency is None else latency, period)
        self._single.add(row, predecessors, started, columns or {})
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
        target, source = np.broadcast_arrays(np.asarray(tasks, np.int64), np.asarray(sources))
        self._edges.add_extra(target.ravel(), source.ravel(), after_start)

    def build(self) -> Tasks:
        """Lay out the table, checked except for cycles."""
        self._flush()
        offsets, predecessors, after_start = self._edges.lists(self._size)
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
        """Lay out one column of all tasks so far: a further one, or one of the table's own.

        A value that its type cannot hold is a ValueError.
        """
        self._flush()
        default = self.columns.get(name)
        laid = np.full(self._size, 0 if default is None else default, np.int64)
        for rows in self._rows:
            if (value := rows.values.get(name)) is not None:
                laid[rows.first : rows.stop].reshape(-1, rows.slots)[...] = value
        return _narrow(name, laid, _TYPES[name] if default is None else default.dtype)

    def _check_names(self, columns: Mapping[str, ArrayLike]) -> None:
        if not columns.keys() <= self.columns.keys():
            strange = min(set(columns) - set(self.columns))
            raise ValueError(f"the table has no column `{strange}`")

    def _values(self, block: Block, columns: Mapping[str, ArrayLike]) -> _Values:
        """The values of all columns that a block gives."""
        self._check_names(columns)
        values = {"resource": block.resource, "busy": block.busy, "period": block.period}
        values["latency"] = block.busy if block.latency is None else block.latency
        return {name: np.asarray(value) for name, value in (values | dict(columns)).items()}

    def _flush(self) -> None:
        """Lay out the single tasks gathered so far."""
        single, self._single = self._single, _Singles()
        if not single.rows:
            return
        first = self._size - len(single.rows)
        own = np.asarray(single.rows, np.int64)
        values: _Values = {name: own[:, [k]] for k, name in enumerate(_TYPES)}
        for name in {name for row in single.columns for name in row}:
            default = int(self.columns[name])
            column = [row.get(name, default) for row in single.columns]
            values[name] = np.asarray(column, np.int64)[:, None]
        self._rows.append(_Rows(first, self._size, 1, values))
        flags = np.asarray(single.after_start, np.bool_)
        self._edges.add_tasks(first, np.asarray(single.counts, np.int64), single.sources, flags)


_TYPES: Mapping[str, np.dtype[np.integer]] = {
    "resource": np.dtype(np.int32),
    "busy": np.dtype(np.int64),
    "latency": np.dtype(np.int64),
    "period": np.dtype(np.int16),
}

_Values: TypeAlias = dict[str, NDArray[np.integer]]


@attrs.frozen(eq=False)
class _Rows:
    """The tasks first..stop, so many a block, with the values of their columns."""

    first: int
    stop: int
    slots: int
    values: _Values
    """Each to be broadcast to (blocks, slots)."""


class _Singles:
    """Tasks appended one by one, as Python lists until the next block."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self.columns: list[Mapping[str, int]] = []
        self.counts: list[int] = []
        self.sources: list[int] = []
        self.after_start: list[bool] = []

    def add(
        self,
        row: tuple[int, int, int, int],
        finished: Iterable[int],
        started: Iterable[int],
        columns: Mapping[str, int],
    ) -> None:
        before = len(self.sources)
        for sources, after_start in ((finished, False), (started, True)):
            self.sources += sources.tolist() if isinstance(sources, np.ndarray) else sources
            self.after_start += [after_start] * (len(self.sources) - len(self.after_start))
        self.counts.append(len(self.sources) - before)
        self.rows.append(row)
        self.columns.append(columns)


def _check_column(name: str, value: NDArray[np.integer], blocks: int, slots: int) -> None:
    """Raise a ValueError where the values are not whole numbers or do not fit the blocks."""
    if value.dtype.kind not in "iub":
        raise ValueError(f"`{name}` has values that are not whole numbers ({value.dtype})")
    shape = (1, 1, *value.shape)[-2:]
    if value.ndim > 2 or shape[0] not in (1, blocks) or shape[1] not in (1, slots):
        raise ValueError(f"`{name}` has shape {value.shape}, for {blocks} blocks of {slots} slots")


def _narrow(
    name: str, values: NDArray[np.int64], kind: np.dtype[np.integer]
) -> NDArray[np.integer]:
    """The values as that type; ValueError where one does not fit."""
    if kind == values.dtype:
        return values
    if len(values):
        limit = np.iinfo(str(kind))
        least, most = int(values.min()), int(values.max())
        if least < limit.min or most > limit.max:
            raise ValueError(f"`{name}` has {least}..{most}, outside {limit.min}..{limit.max}")
    return values.astype(kind)
