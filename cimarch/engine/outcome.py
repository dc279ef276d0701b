"""What came out of running a work: times per slot, piece, gate and resource, not per task."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import ArrayLike

from cimarch.engine.expand import expand
from cimarch.engine.pieces import Work
from cimarch.engine.tasks import JOIN, Ints, Timeline

NEVER = -1
"""The time of what never happens: a slot that every block cuts off, a piece without tasks."""


@attrs.frozen(eq=False)
class SlotTimes:
    """When the tasks of each slot of a template ran, over all blocks of all its pieces."""

    first_start: Ints
    last_finish: Ints
    waited: Ints
    """Cycles from ready to start, added up."""


@attrs.frozen(eq=False)
class Outcome:
    """When everything happened, in cycles."""

    makespan: int
    """The latest finish of a task."""
    busy: Ints
    """Per resource: cycles held."""
    slots: tuple[SlotTimes, ...]
    """Per template, in order of `Work.templates`; none where nobody asked."""
    first_start: Ints
    """Per piece."""
    last_finish: Ints
    """Per piece."""
    gates: Ints
    """When each gate opened, in order of their numbers."""
    peak: int
    """The most that the weights of the resources held at one time add up to."""
    most_rows: int
    """How many tasks the engine had memory for at once; 0 where it kept all of them."""
    alike: int
    """How many tasks were not run, as others run at the same times: `cimarch.engine.lockstep`."""
    skipped: int
    """How many tasks of those left were not run, as they repeat others: `cimarch.engine.rhythm`."""
    timeline: Timeline | None
    """Every task and gate, numbered as in `expand(work)`, where it was asked for."""


def outcome(work: Work, timeline: Timeline, weights: ArrayLike = 0) -> Outcome:
    """What a timeline of the table `expand(work)` says of the work."""
    times = [_slot_times(work, timeline, number) for number in range(len(work.templates))]
    bounds = [slice(a, b) for a, b in zip(work.first, work.first[1:], strict=False)]
    return Outcome(
        makespan=timeline.makespan,
        busy=work.busy,
        slots=tuple(times),
        first_start=np.array([_least(timeline.start[each]) for each in bounds], np.int64),
        last_finish=np.array(
            [timeline.finish[each].max(initial=NEVER) for each in bounds], np.int64
        ),
        gates=timeline.start[len(work) :],
        peak=_peak(work, timeline, weights),
        most_rows=0,
        alike=0,
        skipped=0,
        timeline=timeline,
    )


def _least(times: Ints) -> int:
    return int(times.min()) if len(times) else NEVER


def _slot_times(work: Work, timeline: Timeline, number: int) -> SlotTimes:
    template = work.templates[number]
    first = np.full(len(template), np.iinfo(np.int64).max)
    last, waited = np.full(len(template), NEVER), np.zeros(len(template), np.int64)
    for piece, begin in zip(work.pieces, work.first, strict=False):
        if piece.template is template:
            mine = slice(begin, begin + len(piece))
            slot = np.resize(np.arange(len(template)), len(piece))
            np.minimum.at(first, slot, timeline.start[mine])
            np.maximum.at(last, slot, timeline.finish[mine])
            np.add.at(waited, slot, timeline.start[mine] - timeline.ready[mine])
    first[last == NEVER] = NEVER
    return SlotTimes(first, last, waited)


def _peak(work: Work, timeline: Timeline, weights: ArrayLike) -> int:
    """The most at any time; what ends at a time is over before what begins at it."""
    tasks = expand(work)
    real = np.flatnonzero(tasks.resource != JOIN)
    each = np.broadcast_to(np.asarray(weights, np.int64), work.resources)
    weight = each[tasks.resource[real]]
    begin = timeline.start[real]
    times = np.concatenate((begin + tasks.busy[real], begin))
    change = np.concatenate((-weight, weight))[np.argsort(times, kind="stable")]
    return int(np.cumsum(change).max(initial=0))
