"""Who waits for whom: edges within a repeated block and to tasks outside it, laid out as lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine.tasks import Ints

Numbers = NDArray[np.int32]
Flags = NDArray[np.bool_]

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
class Edges:
    """Many edges as columns of one length, of whole numbers of any size."""

    slot: NDArray[np.integer]
    source: NDArray[np.integer]
    lag: NDArray[np.integer]
    after_start: Flags

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Edges:
        """The columns of single edges."""
        rows = [(e.slot, e.source, e.lag, e.after_start) for e in edges]
        slot, source, lag, after_start = np.array(rows, np.int64).reshape(len(rows), 4).T
        return cls(slot, source, lag, after_start.astype(np.bool_))

    @classmethod
    def joined(cls, parts: Sequence[Edges]) -> Edges:
        """All edges of several columns."""
        names = ("slot", "source", "lag", "after_start")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


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
class Repeat:
    """Blocks that have been given their task numbers."""

    first: int
    blocks: int
    slots: int
    edges: Edges
    after: tuple[After, ...]

    def check(self) -> None:
        """Raise a ValueError for a slot that does not exist or an edge to a later block."""
        outer = np.asarray([each.slot for each in self.after], np.int64)
        used = np.concatenate((self.edges.slot, self.edges.source, outer))
        strange = used[(used < 0) | (used >= self.slots)]
        if len(strange):
            raise ValueError(f"slot {strange[0]} is outside 0..{self.slots - 1}")
        if (self.edges.lag < 0).any():
            raise ValueError("an edge has a negative lag")


@attrs.frozen(eq=False)
class _Chunk:
    """The edges of the tasks first..stop, in order of the task that waits."""

    first: int
    stop: int
    counts: Ints
    """Edges per task; where every block has the same, of one block."""
    source: Numbers
    after_start: Flags
    """Per edge, or per edge of one block."""


class EdgeLists:
    """Gathers the edges of a table, of task after task; those of `extra` may come at any time."""

    def __init__(self) -> None:
        self._chunks: list[_Chunk] = []
        self._extra: list[tuple[Ints, Numbers, Flags]] = []

    def add_repeat(self, repeat: Repeat) -> None:
        """Add the edges of repeated blocks."""
        for start, stop in _stretches(repeat):
            if (chunk := _lay_out(repeat, start, stop)) is not None:
                self._chunks.append(chunk)

    def add_tasks(self, first: int, counts: Ints, source: ArrayLike, after_start: Flags) -> None:
        """Add the edges of single tasks: so many each, one behind the other."""
        numbers = _numbers(source)
        if len(numbers) and numbers.min() == NOTHING:
            real = numbers != NOTHING
            waiting = np.repeat(np.arange(len(counts)), counts)[real]
            counts = np.bincount(waiting, minlength=len(counts))
            numbers, after_start = numbers[real], after_start[real]
        self._chunks.append(_Chunk(first, first + len(counts), counts, numbers, after_start))

    def add_extra(self, target: Ints, source: ArrayLike, after_start: bool) -> None:
        """Add edges to tasks that may have some already."""
        numbers = _numbers(source)
        real = numbers != NOTHING
        flags = np.full(int(real.sum()), after_start)
        self._extra.append((target[real], numbers[real], flags))

    def lists(self, size: int) -> tuple[Ints, Numbers, Flags]:
        """Offsets, predecessors and flags; in each list, the extra edges come last."""
        counts = np.zeros(size, np.int64)
        for chunk in self._chunks:
            counts[chunk.first : chunk.stop].reshape(-1, len(chunk.counts))[...] = chunk.counts
        source = np.empty(int(counts.sum()), np.int32)
        after_start = np.empty(len(source), np.bool_)
        end = 0
        for chunk in self._chunks:
            begin, end = end, end + len(chunk.source)
            source[begin:end] = chunk.source
            if begin < end:
                after_start[begin:end].reshape(-1, len(chunk.after_start))[...] = chunk.after_start
        if not self._extra:
            return _offsets(counts), source, after_start
        return _merge(counts, source, after_start, self._extra)


def _reach(after: After, blocks: int) -> int:
    """How many blocks wait by this edge."""
    rows = blocks if np.ndim(after.tasks) == 0 else len(np.asarray(after.tasks))
    return min(blocks, rows, blocks if after.blocks is None else after.blocks)


def _stretches(repeat: Repeat) -> Iterator[tuple[int, int]]:
    """Cut the blocks into stretches in which all have the same edges."""
    cuts = {0, repeat.blocks} | set(np.unique(repeat.edges.lag).tolist())
    cuts |= {_reach(each, repeat.blocks) for each in repeat.after}
    return pairwise(sorted(cut for cut in cuts if cut <= repeat.blocks))


def _lay_out(repeat: Repeat, start: int, stop: int) -> _Chunk | None:
    """All edges of the blocks start..stop, slot by slot; None where they have none."""
    edges = repeat.edges
    inner = np.flatnonzero(edges.lag <= start)
    outer = [each for each in repeat.after if stop <= _reach(each, stop)]
    tasks = [_outer_tasks(each, start, stop) for each in outer]
    if not len(inner) and not outer:
        return None
    # The columns as they come: one for each inner edge, then those of each outer one.
    widths = [numbers.shape[1] for numbers in tasks]
    outer_slots = np.repeat(np.asarray([each.slot for each in outer], np.int64), widths)
    outer_flags = np.repeat(np.asarray([each.after_start for each in outer], np.bool_), widths)
    slots = np.concatenate((edges.slot[inner], outer_slots))
    flags = np.concatenate((edges.after_start[inner], outer_flags))
    order = np.argsort(slots, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    source = np.empty((stop - start, len(slots)), np.int32)
    base = repeat.first + repeat.slots * np.arange(start, stop)[:, None]
    shift = edges.source[inner] - edges.lag[inner] * repeat.slots
    source[:, place[: len(inner)]] = base + shift
    column = len(inner)
    for numbers in tasks:
        source[:, place[column : column + numbers.shape[1]]] = numbers
        column += numbers.shape[1]
    return _chunk(repeat, start, source, slots[order], flags[order])


def _chunk(repeat: Repeat, start: int, source: Numbers, slots: Ints, flags: Flags) -> _Chunk:
    """Drop the edges to nothing, and count the others."""
    blocks, width = len(source), repeat.slots
    first = repeat.first + start * width
    stop = first + blocks * width
    if source.min(initial=0) >= 0:
        counts = np.bincount(slots, minlength=width)
        return _Chunk(first, stop, counts, source.reshape(-1), flags)
    real = source != NOTHING
    waiting = (width * np.arange(blocks)[:, None] + slots)[real]
    counts = np.bincount(waiting, minlength=blocks * width)
    return _Chunk(first, stop, counts, source[real], np.broadcast_to(flags, real.shape)[real])


def _outer_tasks(after: After, start: int, stop: int) -> Numbers:
    """(blocks, edges a block), or one row for all: whom the blocks start..stop wait for."""
    tasks = np.asarray(after.tasks)
    if tasks.ndim > 2:
        raise ValueError(f"`tasks` of After has {tasks.ndim} dimensions, more than 2")
    if tasks.ndim == 0:
        return _numbers(tasks).reshape(1, 1)
    return _numbers(tasks[start:stop]).reshape(stop - start, -1)


def _numbers(tasks: ArrayLike) -> Numbers:
    """Task numbers, or NOTHING, as they are stored; ValueError for what can be none of both."""
    numbers = np.asarray(tasks)
    if not numbers.size:
        return np.empty(numbers.shape, np.int32)
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"a task to wait for is no whole number ({numbers.dtype})")
    least, most = int(numbers.min()), int(numbers.max())
    if least < NOTHING or most >= 2**31:
        wrong = least if least < NOTHING else most
        raise ValueError(f"a task to wait for is {wrong}, outside 0..{2**31 - 1}")
    return numbers.astype(np.int32)


def _offsets(counts: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(counts)))


def _merge(
    counts: Ints, source: Numbers, after_start: Flags, extra: list[tuple[Ints, Numbers, Flags]]
) -> tuple[Ints, Numbers, Flags]:
    """Put the extra edges of each task behind its others."""
    target = np.concatenate([each for each, _, _ in extra])
    if len(target) and not 0 <= target.min() <= target.max() < len(counts):
        wrong = target.min() if target.min() < 0 else target.max()
        raise ValueError(f"an edge ends at task {wrong}, outside 0..{len(counts) - 1}")
    order = np.argsort(target, kind="stable")
    added = np.bincount(target, minlength=len(counts))
    offsets = _offsets(counts + added)
    place = (offsets[:-1] + counts - _offsets(added)[:-1])[target[order]] + np.arange(len(order))
    is_extra = np.zeros(int(offsets[-1]), np.bool_)
    is_extra[place] = True
    sources, flags = np.empty(len(is_extra), np.int32), np.empty(len(is_extra), np.bool_)
    sources[place] = np.concatenate([each for _, each, _ in extra])[order]
    flags[place] = np.concatenate([each for _, _, each in extra])[order]
    sources[~is_extra], flags[~is_extra] = source, after_start
    return offsets, sources, flags
