"""The fast engine: the same times as the reference, compiled, with only what is under way kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cimarch.engine import kernel
from cimarch.engine.deadlock import Deadlock
from cimarch.engine.edges import Edges
from cimarch.engine.kernel import Run
from cimarch.engine.layout import ROW_BYTES, lay_out
from cimarch.engine.lockstep import fold
from cimarch.engine.outcome import Outcome, SlotTimes
from cimarch.engine.pieces import Piece, Template, Work
from cimarch.engine.rhythm import Rhythm
from cimarch.engine.stuck import find_stuck
from cimarch.engine.tasks import Ints, Tasks, Timeline, timeline


def run(tasks: Tasks) -> Timeline:
    """Run a table.

    Raises Deadlock where tasks wait in a circle, ValueError for a bad table.
    """
    tasks.check()
    slot = np.repeat(np.arange(len(tasks), dtype=np.int32), np.diff(tasks.offsets))
    lag = np.zeros(len(slot), np.int32)
    template = Template(
        tasks.resource,
        tasks.busy,
        tasks.latency,
        tasks.period,
        Edges(slot, tasks.predecessors, lag, tasks.after_start),
        gates=0,
        opens=np.zeros((0, 2), np.int32),
        columns={},
    )
    work = Work((Piece(template),), tasks.periods)
    run = lay_out(work, record=True, sums=False)
    _simulate(run, reduce=False)
    _ended(work, run)
    return timeline(tasks, run.ready, run.start)


def run_work(
    work: Work,
    *,
    weights: ArrayLike = 0,
    record: bool = False,
    reduce: bool = True,
    check: bool = True,
    sums: bool = True,
    likes: bool = True,
) -> Outcome:
    """Run a work: see `cimarch.engine.run_work`."""
    if check:
        work.check()
    folded = fold(work) if reduce and likes else None
    if folded is None:
        return _outcome(work, lay_out(work, weights=weights, record=record, sums=sums), reduce)
    lean = lay_out(folded.work, weights=folded.weights(weights), record=record, sums=sums)
    try:
        return folded.unfold(_outcome(folded.work, lean, reduce))
    except Deadlock:  # the whole stands still too: name its tasks
        return run_work(work, weights=weights, record=record, reduce=False)


def _simulate(run: Run, reduce: bool) -> int:
    """Run to the end; how many tasks were skipped."""
    kernel.prepare(run)
    if not reduce or len(run.ready):
        kernel.simulate(run)
        return 0
    rhythm = Rhythm(run)
    rhythm.simulate()
    return rhythm.skipped


def _ended(work: Work, run: Run) -> None:
    """Raise a Deadlock or a MemoryError where tasks are left."""
    if run.state[kernel.FULL]:
        raise MemoryError(
            f"more than {len(run.nodes) - len(run.queues)} tasks are under way at once, "
            f"{ROW_BYTES} bytes each"
        )
    if run.state[kernel.RAN] < len(work) or run.state[kernel.OPEN] < len(run.gates):
        raise Deadlock(find_stuck(work, run))


def _outcome(work: Work, run: Run, reduce: bool) -> Outcome:
    """Run, and what the arrays say at the end."""
    skipped = _simulate(run, reduce)
    _ended(work, run)
    opened = run.gates[:, kernel.OPENED].copy()
    whole = _timeline(work, run, opened) if len(run.ready) or not len(work) else None
    return Outcome(
        makespan=int(run.pieces[:, kernel.PIECE_FINISH].max(initial=0)),
        busy=work.busy,
        slots=_slot_times(work, run.times) if len(run.times) else (),
        first_start=run.pieces[:, kernel.PIECE_START].copy(),
        last_finish=run.pieces[:, kernel.PIECE_FINISH].copy(),
        gates=opened,
        peak=int(run.state[kernel.PEAK]),
        most_rows=int(run.state[kernel.ROWS]) - len(run.queues),
        alike=0,
        skipped=skipped,
        timeline=whole,
    )


def _timeline(work: Work, run: Run, opened: Ints) -> Timeline:
    """The times of all tasks and, behind them, gates."""
    latency = [np.resize(piece.template.latency, len(piece)) for piece in work.pieces]
    start = np.concatenate((run.start, opened))
    finish = start + np.concatenate((*latency, np.zeros(len(opened), np.int64)))
    ready = np.concatenate((run.ready, opened))
    busy = np.trim_zeros(work.busy, "b")  # the table does not know of resources without a task
    return Timeline(ready, start, finish, busy, int(finish.max(initial=0)))


def _slot_times(work: Work, rows: Ints) -> tuple[SlotTimes, ...]:
    times, end = [], 0
    for template in work.templates:
        begin, end = end, end + len(template)
        first, last = rows[begin:end, kernel.FIRST_START], rows[begin:end, kernel.LAST_START]
        finish = np.where(last == kernel.NONE, kernel.NONE, last + template.latency)
        times.append(SlotTimes(first.copy(), finish, rows[begin:end, kernel.WAITED].copy()))
    return tuple(times)
