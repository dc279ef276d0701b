"""The arrays that the kernel runs on: a work, turned into successor lists and counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, TypeVar

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine import kernel
from cimarch.engine.compiled import compiled
from cimarch.engine.kernel import NONE, Numbers, Run
from cimarch.engine.pieces import NOTHING, Template, Work
from cimarch.engine.tasks import Ints

Scalar = TypeVar("Scalar", bound=np.generic)

ROW_BYTES = 104
"""Of a task under way, at most: its row of `nodes`, its places in the batch and the calendar."""


def lay_out(work: Work, *, weights: ArrayLike = 0, record: bool = False, sums: bool = True) -> Run:
    """All arrays of a run, at its beginning. The work has been checked.

    `weights` is what each resource counts in the peak while it is held; with `record`, the run
    keeps when every task was ready and started; without `sums`, nothing per slot.
    """
    lists, links = _lists(work.templates), _links(work)
    initial = np.bincount(lists.target, minlength=lists.size)
    initial += np.bincount(lists.waiter, minlength=lists.size)
    roots, lagged = np.flatnonzero(initial == 0), np.flatnonzero(lists.lag)
    opens_first, opens, waits_first, waits = _opens(lists)
    first, successors = _successors(
        lists.target, lists.source, lists.lag, lists.after_start, lists.first_slot
    )
    slots, extras = _slots(work, links.out)
    templates, pieces = _templates(lists, lagged, roots), _pieces(work, links)
    tasks = len(work) if record else 0
    return Run(
        slots=slots,
        extras=extras,
        times=np.full((lists.size if sums else 0, 3), (NONE, NONE, 0), np.int64),
        first=first,
        successors=successors,
        initial=initial.astype(np.int32),
        templates=templates,
        lagged=_pairs(lists.local(lists.target[lagged]), lists.lag[lagged]),
        opens_first=opens_first,
        opens=opens,
        waits_first=waits_first,
        waits=waits,
        pieces=pieces,
        points=links.points,
        links_first=links.first,
        links=links.gates,
        gates=_gates(work, links.missing),
        periods=np.array(work.periods, np.int64).reshape(-1, 2),
        weights=np.broadcast_to(np.asarray(weights, np.int64), work.resources).copy(),
        ready=np.empty(tasks, np.int64),
        start=np.empty(tasks, np.int64),
        **_dynamic(work.resources, templates, pieces),
    )


def most_rows() -> int:
    """How many tasks can be under way at once in the memory of this machine."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 16 * 2**30
    return memory // ROW_BYTES


def _dynamic(resources: int, templates: Ints, pieces: Ints) -> dict[str, Any]:
    """What changes in a run; of the long arrays only what is used is ever in memory."""
    template, repeat = pieces[:, kernel.TEMPLATE], pieces[:, kernel.REPEAT]
    needed = int((templates[template, kernel.CAPACITY] * repeat).sum())
    rows, blocks = min(needed, most_rows()), int(repeat.sum())
    queues = np.full((resources, 8), NONE, np.int64)
    queues[:, kernel.FREE] = 1
    queues[:, kernel.CALLED] = 0
    state = np.zeros(20, np.int64)
    state[[kernel.SPARE, kernel.JOINS, kernel.OPENING, kernel.WATCHED]] = NONE
    state[kernel.ROWS] = resources
    return {
        "frame_of": np.full(blocks, NONE, np.int32),
        "nodes": np.empty((resources + rows, 3), np.int64),
        "frames": np.empty((min(blocks, rows), 8), np.int64),
        "free": np.full(int(templates[:, kernel.KIND].max(initial=0)) + 1, NONE, np.int64),
        "queues": queues,
        "calendar": np.empty((resources + rows + 1, 4), np.int64),
        "recent": np.full(kernel.HASH, NONE, np.int64),
        "batch": np.empty((2, rows, 3), np.int64),
        "called": np.empty(resources, np.int32),
        "state": state,
    }


# Templates ------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Lists:
    """The edges and gates of all templates; slots and gates numbered through all of them."""

    first_slot: Ints
    first_gate: Ints
    """(templates + 1) each."""
    target: Numbers
    """Per edge, template by template: the slot that waits, for which one, how many blocks later."""
    source: Numbers
    lag: Numbers
    after_start: NDArray[np.bool_]
    waiter: Numbers
    """Per slot that waits for a gate: the slot, and the gate."""
    gate: Numbers

    @property
    def size(self) -> int:
        """How many slots there are."""
        return int(self.first_slot[-1])

    @cached_property
    def template(self) -> Ints:
        """The template of each slot."""
        sizes = np.diff(self.first_slot)
        return np.repeat(np.arange(len(sizes)), sizes)

    def local(self, slots: NDArray[np.integer]) -> Ints:
        """The number of each slot in its template."""
        found: Ints = slots - self.first_slot[self.template[slots]]
        return found


def _lists(templates: Sequence[Template]) -> _Lists:
    first_slot = _starts([len(each) for each in templates])
    first_gate = _starts([each.gates for each in templates])
    edges = [each.edges for each in templates]
    return _Lists(
        first_slot,
        first_gate,
        _shifted([each.slot for each in edges], first_slot),
        _shifted([each.source for each in edges], first_slot),
        _shifted([each.lag for each in edges], np.zeros_like(first_slot)),
        np.concatenate([np.zeros(0, np.bool_), *(each.after_start for each in edges)]),
        _shifted([each.opens[:, 0] for each in templates], first_slot),
        _shifted([each.opens[:, 1] for each in templates], first_gate),
    )


def _shifted(columns: Sequence[NDArray[np.integer]], shifts: Ints) -> Numbers:
    """The columns one behind the other, each with its shift added."""
    if len(columns) == 1:
        return _plain(np.asarray(columns[0], np.int32))
    whole = np.empty(sum(map(len, columns)), np.int32)
    end = 0
    for column, shift in zip(columns, shifts.tolist(), strict=False):
        begin, end = end, end + len(column)
        np.add(column, shift, out=whole[begin:end], casting="unsafe")
    return whole


def _templates(lists: _Lists, lagged: Ints, roots: Ints) -> Ints:
    sizes = np.diff(lists.first_slot)
    rows = np.zeros((len(sizes), 10), np.int64)
    rows[:, kernel.SLOTS] = sizes
    rows[:, kernel.GATES] = np.diff(lists.first_gate)
    rows[:, kernel.FIRST_SLOT] = lists.first_slot[:-1]
    rows[:, kernel.FIRST_GATE] = lists.first_gate[:-1]
    bounds = np.searchsorted(lists.target[lagged], lists.first_slot)
    rows[:, kernel.LAGGED], rows[:, kernel.LAGGED_END] = bounds[:-1], bounds[1:]
    rows[:, kernel.ROOTS] = np.diff(np.searchsorted(roots, lists.first_slot))
    for row in rows:
        stretch = lagged[row[kernel.LAGGED] : row[kernel.LAGGED_END]]
        row[kernel.LONGEST] = lists.lag[stretch].max(initial=0)
    capacity = _capacity(sizes)
    rows[:, kernel.CAPACITY] = capacity
    rows[:, kernel.KIND] = np.unique(capacity, return_inverse=True)[1]
    return rows


def _capacity(sizes: Ints) -> Ints:
    """A size for the frames of each template, at most a quarter more, so that few sizes do."""
    step = 1 << np.maximum(0, np.floor(np.log2(np.maximum(1, sizes))).astype(np.int64) - 2)
    capacity: Ints = -(-sizes // step) * step
    return capacity


def _slots(work: Work, out: Ints) -> tuple[Ints, Ints]:
    """`slots` and `extras` of Run."""
    rows = np.empty((len(out), 4), np.int64)
    period = np.concatenate([np.zeros(0, np.int16), *(each.period for each in work.templates)])
    beats = np.array([numerator > denominator for numerator, denominator in work.periods])
    more = np.flatnonzero(beats[period] | (out != NONE))
    rows[:, kernel.MORE] = NONE
    rows[more, kernel.MORE] = np.arange(len(more))
    end = 0
    for each in work.templates:
        begin, end = end, end + len(each)
        rows[begin:end, kernel.RESOURCE] = each.resource
        rows[begin:end, kernel.BUSY] = each.busy
        rows[begin:end, kernel.LATENCY] = each.latency
    return rows, np.stack((period[more], out[more]), 1).astype(np.int64)


def _plain(column: NDArray[Scalar]) -> NDArray[Scalar]:
    """The column as compiled code takes it: in one piece and writable, a copy where it is not."""
    return np.require(column, requirements=["C", "W"])


def _opens(lists: _Lists) -> tuple[Ints, Numbers, Ints, Numbers]:
    """The slots of each gate, and all that these slots wait for: see `Run`."""
    order = np.argsort(lists.gate, kind="stable")
    is_opened = np.zeros(lists.size, np.bool_)
    is_opened[lists.waiter] = True
    place = np.cumsum(is_opened) - 1
    row = place[lists.waiter]
    opens = _pairs(lists.local(lists.waiter[order]), row[order])
    opens_first = np.searchsorted(lists.gate[order], np.arange(lists.first_gate[-1] + 1))

    edges = np.flatnonzero(is_opened[lists.target])
    gate = lists.gate - lists.first_gate[lists.template[lists.waiter]]
    rows = np.concatenate((place[lists.target[edges]], row))
    waits = _pairs(
        np.concatenate((lists.local(lists.source[edges]), gate)),
        np.concatenate((lists.lag[edges], np.full(len(row), NONE))),
    )
    counts = np.bincount(rows, minlength=int(np.count_nonzero(is_opened)))
    return opens_first, opens, _starts(counts), waits[np.argsort(rows, kind="stable")]


@compiled(
    "Tuple((int32[::1], int32[::1]))(int32[::1], int32[::1], int32[::1], b1[::1], int64[::1])"
)
def _successors(
    target: Numbers,
    source: Numbers,
    lag: Numbers,
    after_start: NDArray[np.bool_],
    first_slot: Ints,
) -> tuple[Numbers, Numbers]:
    """Turn the edges round, by counting: `first` and `successors` of Run, each in edge order."""
    size = first_slot[-1]
    first = np.zeros(2 * size + 1, np.int32)
    lagged = 0
    for edge in range(len(source)):
        first[2 * source[edge] + (1 - after_start[edge])] += 1
        lagged += lag[edge] > 0
    total = 0
    for key in range(2 * size + 1):
        total += first[key]
        first[key] = total
    successors = np.empty(len(source), np.int32)
    template = len(first_slot) - 1
    for edge in range(len(source) - 1, -1, -1):
        while target[edge] < first_slot[template]:
            template -= 1
        key = 2 * source[edge] + (1 - after_start[edge])
        first[key] -= 1
        successors[first[key]] = target[edge] - first_slot[template]
        if lag[edge] > 0:
            lagged -= 1
            successors[first[key]] = -1 - lagged
    return first, successors


# Pieces ---------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Links:
    """The links of all pieces, from the side of the tasks that gates wait for."""

    out: Ints
    """Per slot of all templates: its number among those linked to, or NONE."""
    points_first: Ints
    """Per piece: its first point."""
    points: Ints
    first: Ints
    gates: Numbers
    missing: Ints
    """Per gate of all blocks: how many tasks it waits for."""


def _links(work: Work) -> _Links:
    template = {id(each): place for place, each in enumerate(work.templates)}
    of = np.array([template[id(piece.template)] for piece in work.pieces], np.int64)
    first_slot = _starts([len(each) for each in work.templates])
    piece, source, block, gate = _all_links(work)
    slot = first_slot[of[piece]] + source
    out = np.full(first_slot[-1], NONE, np.int64)
    linked = np.unique(slot)
    begin = np.searchsorted(linked, first_slot)
    out[linked] = np.arange(len(linked)) - begin[np.searchsorted(first_slot, linked, "right") - 1]

    points_first = _starts(np.diff(begin)[of])
    points = np.full(points_first[-1], NONE, np.int64)
    point = points_first[piece] + out[slot]
    used = np.unique(point)
    owner = np.searchsorted(points_first, used, "right") - 1
    rows = _starts(np.array([each.repeat for each in work.pieces], np.int64)[owner])
    points[used] = rows[:-1]
    place = points[point] + block
    return _Links(
        out,
        points_first,
        points,
        _starts(np.bincount(place, minlength=int(rows[-1]))),
        gate[np.argsort(place, kind="stable")].astype(np.int32),
        np.bincount(gate, minlength=int(work.first_gate[-1]) - len(work)),
    )


def _all_links(work: Work) -> tuple[Ints, Ints, Ints, Ints]:
    """Per task that a gate waits for: its piece, slot and block, and the gate."""
    parts = [tuple(np.zeros(0, np.int64) for _ in range(4)), *_each_link(work)]
    piece, source, block, gate = (np.concatenate(column) for column in zip(*parts, strict=True))
    return piece, source, block, gate


def _each_link(work: Work) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    for piece, first in zip(work.pieces, work.first_gate - len(work), strict=False):
        gates = first + piece.template.gates * np.arange(piece.repeat)
        for link in piece.links:
            behind = work.pieces[link.piece]
            there = link.blocks * len(behind.template) + link.source < len(behind)
            real = (link.blocks != NOTHING) & there
            block = link.blocks[real]
            yield (
                np.full(len(block), link.piece, np.int64),
                np.full(len(block), link.source, np.int64),
                block,
                gates[real] + link.gate,
            )


def _pieces(work: Work, links: _Links) -> Ints:
    template = {id(each): place for place, each in enumerate(work.templates)}
    rows = np.empty((len(work.pieces), 13), np.int64)
    for row, piece in zip(rows, work.pieces, strict=True):
        row[kernel.TEMPLATE] = template[id(piece.template)]
        row[kernel.REPEAT] = piece.repeat
        row[kernel.LIMIT] = len(piece.template) - piece.cut
    rows[:, kernel.FIRST_NUMBER] = work.first[:-1]
    rows[:, kernel.BLOCKS] = _starts(rows[:, kernel.REPEAT])[:-1]
    rows[:, kernel.OPENINGS] = work.first_gate[:-1] - len(work)
    rows[:, kernel.POINTS] = links.points_first[:-1]
    rows[:, [kernel.PIECE_START, kernel.PIECE_FINISH, kernel.TOP, kernel.MOST_GATE]] = NONE
    rows[:, kernel.LOWEST], rows[:, kernel.LEAST_GATE] = 0, np.iinfo(np.int64).max
    return rows


def _gates(work: Work, missing: Ints) -> Ints:
    rows = np.empty((len(missing), 4), np.int64)
    rows[:, kernel.GATE_MISSING] = missing
    rows[:, kernel.OPENED] = rows[:, kernel.NEXT_GATE] = NONE
    rows[:, kernel.OF_PIECE] = np.repeat(np.arange(len(work.pieces)), np.diff(work.first_gate))
    return rows


def _starts(counts: ArrayLike) -> Ints:
    """Where each of several stretches begins; at the end, where the last one ends."""
    return np.concatenate(([0], np.cumsum(np.asarray(counts, np.int64)))).astype(np.int64)


def _pairs(left: NDArray[np.integer], right: NDArray[np.integer]) -> Numbers:
    pairs = np.empty((len(left), 2), np.int32)
    pairs[:, 0], pairs[:, 1] = left, right
    return pairs
