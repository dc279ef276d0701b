"""A run that has found its rhythm: whole periods of it are added up, not run.

A site that takes in row after row soon does the same for each: after some cycles everything that
is under way is as it was, only some blocks further. `Rhythm` looks at the state after blocks of one
piece, finds two times T1 < T2 between which every piece p went on by d(p) blocks (d may be 0), and
skips n times as much at once. That is exact if, with c = T2 - T1 and for j = 0 .. n - 1:

1. The state at T2 is the state at T1, moved: which blocks are under way, what each of their tasks
   waits for or how long it still takes, what each resource does, and who waits for it in which
   order, with block k of piece p as block k + d(p).
2. So are the gates of all blocks up to h(p), the last block of p that anything touched until T2;
   and those of block k > h(p) + d(p) are as far from opening as those of block k - d(p).
3. The tasks that gates wait for are moved too: if a gate of block k of piece p waits for block b of
   piece q, that of block k + d(p) waits for block b + d(q), and the other way round.
4. All blocks up to h(p) + n d(p) are there and whole, and none lacks an edge as the first ones do.
5. Every period of tasks comes round within c cycles.

Then what happens from T2 + j c on until T2 + (j + 1) c is what happened from T1 until T2, moved:
all that an event looks at is the same, moved, and the order of task numbers in a queue does not
change either, as it is first by piece, then by block. So at T2 + n c the state is that of T2, moved
n times, every sum has grown n times by as much as from T1 to T2, and a gate that opened at t in
this period opens in block k + j d(p) at t + j c. A gate of a piece that does not go on (d = 0) may
come nearer to opening in each period; the rhythm ends before it opens.

States are compared number by number, never by a hash. A state is kept after 1, 2, 4, ... looks
(Brent's way to find a cycle), and looks are rarer where a state is long or nothing repeats, so that
what never repeats costs little.
"""

from __future__ import annotations

from math import gcd

import attrs
import numpy as np

from cimarch.engine import kernel
from cimarch.engine.kernel import ANY, DONE, NONE, Run
from cimarch.engine.tasks import Ints

DEAR = 0.25
"""Tasks that must run between two looks for each number of a state: what a look costs, 6 times."""
LEAST = 1000
"""Tasks that must run between two looks."""
PATIENT = 64
"""Looks in vain before they become rarer."""
LONGEST = 2**24
"""Numbers of a state that is still written down."""


@attrs.frozen(eq=False)
class State:
    """How things were when a state was kept."""

    numbers: Ints
    now: int
    ran: int
    opened: int
    lowest: Ints
    waited: dict[int, Ints]
    """Per template whose tasks have begun and are not all over: WAITED of its slots."""
    missing: Ints
    """Per gate: what was missing, NONE where it was open."""


class Rhythm:
    """Runs to the end, looking for repetition on the way."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.skipped = 0
        """Tasks that were not run."""
        self._at = np.empty(len(run.nodes), np.int64)
        room = 4 * len(run.nodes) + len(run.frame_of) + 2 * len(run.pieces) + len(run.queues)
        self._numbers = np.empty(min(room + 1, LONGEST), np.int64)
        self._forget(NONE)

    def simulate(self) -> None:
        """Run until nothing more happens, or until there is no room."""
        state = self.run.state
        state[kernel.WATCHED], state[kernel.DUE] = ANY, 1
        while True:
            kernel.simulate(self.run)
            if state[kernel.HEAP] == 0 or state[kernel.FULL]:
                return
            self._look()
            state[kernel.DUE] = self._stride

    def _forget(self, piece: int, stride: int = 1) -> None:
        """Begin again, watching a piece and looking after so many of its blocks."""
        self._piece, self._stride = piece, stride
        self._kept: State | None = None
        self._age, self._looks, self._keep_for = 0, 0, 1
        self._ran = int(self.run.state[kernel.RAN])

    def _look(self) -> None:
        """Compare the present state with the one that was kept, or keep it."""
        if (watched := int(self.run.state[kernel.WATCHED])) != self._piece:
            self._forget(watched)
        length = kernel.snapshot(self.run, self._at, self._numbers)
        if length == NONE:
            self.run.state[kernel.WATCHED] = NONE
            return
        numbers, ran = self._numbers[:length], int(self.run.state[kernel.RAN]) - self._ran
        self._ran += ran
        self._looks += 1
        if self._kept is not None and np.array_equal(numbers, self._kept.numbers):
            times = repeats(self.run, self._kept)
            if times:
                self.skipped += skip(self.run, self._kept, times)
                if self._left() < 3:  # too few to repeat anything once more
                    self.run.state[kernel.WATCHED] = ANY
                    return
            self._forget(self._piece, 1 if times else 2 * self._stride)
        elif self._looks == PATIENT or (self._looks > 1 and ran < max(LEAST, DEAR * length)):
            self._forget(self._piece, 2 * self._stride)
        self._keep(numbers)

    def _left(self) -> int:
        """Blocks to come of the piece that is watched."""
        row = self.run.pieces[self._piece]
        return int(row[kernel.REPEAT] - row[kernel.LOWEST])

    def _keep(self, numbers: Ints) -> None:
        """Keep this state, unless the kept one has not been compared often enough."""
        self._age += 1
        if self._kept is None or self._age == self._keep_for:
            self._age, self._keep_for = 0, 2 * self._keep_for
            self._kept = keep(self.run, numbers)


def keep(run: Run, numbers: Ints) -> State:
    """The present state; from now on, the gates that are touched are noted."""
    run.pieces[:, kernel.LEAST_GATE] = np.iinfo(np.int64).max
    run.pieces[:, kernel.MOST_GATE] = NONE
    return State(
        numbers.copy(),
        int(run.state[kernel.NOW]),
        int(run.state[kernel.RAN]),
        int(run.state[kernel.OPEN]),
        run.pieces[:, kernel.LOWEST].copy(),
        {each: _times(run, each)[:, kernel.WAITED].copy() for each in _under_way(run)},
        _missing(run),
    )


def _under_way(run: Run) -> list[int]:
    """The templates of which some piece has begun and some piece is not over; none where nothing
    is kept of their slots."""
    if not len(run.times):
        return []
    begun, left = np.zeros((2, len(run.templates)), np.bool_)
    begun[run.pieces[run.pieces[:, kernel.PIECE_START] != NONE, kernel.TEMPLATE]] = True
    is_left = run.pieces[:, kernel.LOWEST] < run.pieces[:, kernel.REPEAT]
    left[run.pieces[is_left, kernel.TEMPLATE]] = True
    return np.flatnonzero(begun & left).tolist()


def _times(run: Run, template: int) -> Ints:
    """The rows of `times` of a template's slots."""
    first = int(run.templates[template, kernel.FIRST_SLOT])
    return run.times[first : first + int(run.templates[template, kernel.SLOTS])]


def _missing(run: Run) -> Ints:
    opened = run.gates[:, kernel.OPENED] != NONE
    return np.where(opened, NONE, run.gates[:, kernel.GATE_MISSING])


# How often ------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Period:
    """What went on from a state that was kept until now."""

    run: Run
    kept: State
    cycles: int
    steps: Ints
    """Per piece: d, the blocks that it went on."""
    reach: Ints
    """Per piece: h, the last block that was touched."""
    gates: Ints
    """Per piece: gates of a block."""

    @classmethod
    def since(cls, run: Run, kept: State) -> _Period:
        """The time since a state was kept."""
        pieces = run.pieces
        gates = run.templates[pieces[:, kernel.TEMPLATE], kernel.GATES]
        touched = (pieces[:, kernel.MOST_GATE] - pieces[:, kernel.OPENINGS]) // np.maximum(1, gates)
        touched[pieces[:, kernel.MOST_GATE] == NONE] = NONE
        return cls(
            run,
            kept,
            int(run.state[kernel.NOW]) - kept.now,
            pieces[:, kernel.LOWEST] - kept.lowest,
            np.maximum(pieces[:, kernel.TOP], touched),
            gates,
        )

    def gates_of(self, missing: Ints, piece: int) -> Ints:
        """(blocks, gates of a block) of a column of all gates, for one piece."""
        first = int(self.run.pieces[piece, kernel.OPENINGS])
        amount = int(self.run.pieces[piece, kernel.REPEAT] * self.gates[piece])
        shape = (int(self.run.pieces[piece, kernel.REPEAT]), int(self.gates[piece]))
        return missing[first : first + amount].reshape(shape)


def repeats(run: Run, kept: State) -> int:
    """How often what happened since a state was kept happens again; its numbers are as they were.

    The rules are those of this file's beginning; the first has been seen to.
    """
    period = _Period.since(run, kept)
    moving = np.flatnonzero(period.steps)
    if not period.cycles or not len(moving) or not (_in_time(period) and _past_first(period)):
        return 0
    last = run.pieces[:, kernel.REPEAT] - 1
    last -= (
        run.pieces[:, kernel.LIMIT] < run.templates[run.pieces[:, kernel.TEMPLATE], kernel.SLOTS]
    )
    times = int(((last - period.reach)[moving] // period.steps[moving]).min())
    missing = _missing(run)
    if times > 0:
        times = min(times, _still(period, missing))
    for piece in moving.tolist():
        if times > 0:
            times = min(times, _by_gates(period, missing, piece), _by_links(period, piece))
    return max(0, times)


def _in_time(period: _Period) -> bool:
    """Rule 5: in the cycles of the period, every period of tasks comes round."""
    used = period.run.periods[np.unique(period.run.extras[:, kernel.PERIOD])]
    return all(n <= d or period.cycles % (n // gcd(n, d)) == 0 for n, d in used.tolist())


def _past_first(period: _Period) -> bool:
    """Rule 4: no block that went on lacks an edge, and no gate of a block before was touched."""
    run, moving = period.run, period.steps > 0
    longest = run.templates[run.pieces[:, kernel.TEMPLATE], kernel.LONGEST]
    first = run.pieces[:, kernel.OPENINGS] + period.kept.lowest * period.gates
    before = run.pieces[:, kernel.LEAST_GATE] < first
    return not (moving & (before | (period.kept.lowest < longest))).any()


def _still(period: _Period, missing: Ints) -> int:
    """How often, for the gates of pieces that do not go on: none may open or have opened."""
    of = period.run.gates[:, kernel.OF_PIECE]
    changed = np.flatnonzero((missing != period.kept.missing) & (period.steps[of] == 0))
    if not len(changed):
        return np.iinfo(np.int64).max
    if (missing[changed] == NONE).any():
        return 0
    less = period.kept.missing[changed] - missing[changed]
    return int(((missing[changed] - 1) // less).min())


def _by_gates(period: _Period, missing: Ints, piece: int) -> int:
    """Rule 2, for a piece that goes on: how often its gates allow."""
    step, reach = int(period.steps[piece]), int(period.reach[piece])
    low = int(period.kept.lowest[piece])
    now = period.gates_of(missing, piece)
    then = period.gates_of(period.kept.missing, piece)
    if not np.array_equal(then[low : reach + 1], now[low + step : reach + step + 1]):
        return 0
    later = now[reach + step + 1 :]
    differ = np.flatnonzero((later != now[reach + 1 : len(now) - step]).any(axis=1))
    if not len(differ):
        return np.iinfo(np.int64).max
    return (int(differ[0]) + step) // step


def _by_links(period: _Period, piece: int) -> int:
    """Rule 3, for a piece that goes on: how often those who wait for its tasks allow."""
    run, step = period.run, int(period.steps[piece])
    low, reach = int(period.kept.lowest[piece]), int(period.reach[piece])
    repeat, first = int(run.pieces[piece, kernel.REPEAT]), int(run.pieces[piece, kernel.POINTS])
    end = first + _outs(run, piece)
    times = np.iinfo(np.int64).max
    for point in run.points[first:end][run.points[first:end] != NONE]:
        starts = run.links_first[point : point + repeat + 1]
        block = _first_odd(period, starts, low, step)
        if block < repeat - step:
            times = min(times, (block - 1 - reach) // step + 1)
    return times


def _outs(run: Run, piece: int) -> int:
    """How many slots of a piece's template gates may wait for."""
    template = run.templates[run.pieces[piece, kernel.TEMPLATE]]
    rows = run.slots[template[kernel.FIRST_SLOT] :][: template[kernel.SLOTS], kernel.MORE]
    return int(run.extras[rows[rows != NONE], kernel.OUT].max(initial=NONE)) + 1


def _first_odd(period: _Period, starts: Ints, low: int, step: int) -> int:
    """The first block from `low` on whose list of gates, moved, is not that of `step` later."""
    run = period.run
    counts = np.diff(starts)
    same = counts[low : len(counts) - step] == counts[low + step :]
    stop = len(counts) - step if same.all() else low + int(np.argmin(same))
    mine = run.links[starts[low] : starts[stop]].astype(np.int64)
    theirs = run.links[starts[low + step] : starts[stop + step]]
    of = run.gates[mine, kernel.OF_PIECE]
    odd = np.flatnonzero(mine + (period.steps * period.gates)[of] != theirs)
    if not len(odd):
        return stop
    return int(np.searchsorted(starts, starts[low] + odd[0], "right")) - 1


# Skipping -------------------------------------------------------------------------------------


def skip(run: Run, kept: State, times: int) -> int:
    """Let it be so many periods later; how many tasks that saves.

    All tasks of the period are of pieces that went on: another one's would show in its blocks.
    """
    period = _Period.since(run, kept)
    cycles = times * period.cycles
    moving = np.flatnonzero(period.steps)
    for template in np.unique(run.pieces[moving, kernel.TEMPLATE]).tolist():
        rows = _times(run, template)
        rows[:, kernel.WAITED] += times * (rows[:, kernel.WAITED] - kept.waited.get(template, 0))
        rows[rows[:, kernel.LAST_START] > kept.now, kernel.LAST_START] += cycles
    run.pieces[run.pieces[:, kernel.PIECE_FINISH] > kept.now, kernel.PIECE_FINISH] += cycles
    tasks = times * (int(run.state[kernel.RAN]) - kept.ran)
    run.state[kernel.RAN] += tasks
    run.state[kernel.OPEN] += times * (int(run.state[kernel.OPEN]) - kept.opened)
    missing = _missing(run)
    for piece in moving:
        _move_gates(period, int(piece), times)
        _move_blocks(period, int(piece), times)
    still = period.steps[run.gates[:, kernel.OF_PIECE]] == 0
    less = np.where(still & (missing != NONE), kept.missing - missing, 0)
    run.gates[:, kernel.GATE_MISSING] -= times * less
    kernel.move_on(run, cycles)
    return tasks


def _move_gates(period: _Period, piece: int, times: int) -> None:
    """The gates of a piece that goes on: when they opened, and what is still missing."""
    run, step, reach = period.run, int(period.steps[piece]), int(period.reach[piece])
    low, far = int(period.kept.lowest[piece]), times * int(period.steps[piece])
    missing = period.gates_of(run.gates[:, kernel.GATE_MISSING], piece)
    opened = period.gates_of(run.gates[:, kernel.OPENED], piece)
    block, gate = np.nonzero(opened > period.kept.now)
    window = missing[low : reach + 1].copy()
    missing[low + step : low + far] = np.tile(window[:step], (times - 1, 1))
    missing[low + far : reach + far + 1] = window
    turn = np.arange(1, times + 1)[:, None]
    opened[block + turn * step, gate] = opened[block, gate] + turn * period.cycles


def _move_blocks(period: _Period, piece: int, times: int) -> None:
    """Name the blocks under way of a piece that goes on as those that they are like."""
    run, far = period.run, times * int(period.steps[piece])
    row = run.pieces[piece]
    low, top = int(row[kernel.LOWEST]), int(row[kernel.TOP])
    blocks = run.frame_of[row[kernel.BLOCKS] :][: row[kernel.REPEAT]]
    frames = blocks[low : top + 1].copy()
    blocks[low : low + far] = DONE
    blocks[low + far : top + far + 1] = frames
    live = frames[frames >= 0]
    run.frames[live, kernel.BLOCK] += far
    run.frames[live, kernel.SHIFT_NUMBER] += far * run.templates[row[kernel.TEMPLATE], kernel.SLOTS]
    row[kernel.LOWEST] += far
    row[kernel.TOP] += far
