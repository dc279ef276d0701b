"""The compiled engine: runs pieces of templates and remembers only the blocks under way.

Events wait in buckets, one for each time, found by a hash of the time and taken in order from a
heap of the buckets: one entry of the heap holds all that happens at once. Each resource has a queue
in order of (ready time, number). A task is in one list at most (the bucket in which it becomes
ready or finishes, the queue, or the joins that finish now), so one link each is enough.

What all blocks of a template share (resources, times, successor lists) is kept once. What is kept
of a task is one row of `nodes`, and only while its block is under way: the rows of one block are
its *frame*. A frame is taken when the first task or start that a slot of it waits for has come, or
when gates alone make a slot ready; it is given back when all its tasks have finished, for the next
block of its size. What is kept of a gate (how many links are still missing) is kept apart, so gates
that open early cost no frame: a frame that is taken later counts them as open.

The names of the columns are the constants below. The first rows of `nodes` are the resources, which
need one only for the link in the bucket in which they become free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part, type_of
from cimarch.engine.tasks import JOIN, Ints
from cimarch.engine.tasks import align as _align

Numbers = NDArray[np.int32]

align = compiled_part(_align)

NONE = -1
"""No node, no bucket, no frame, no gate; also a time that is not yet known."""
DONE = -2
"""In place of a frame: all of the block has finished."""
HASH = 1024
"""How many buckets the hash remembers; a power of two."""
SHORT = 48
"""A batch up to this long is queued as it comes, a longer one is sorted first."""

# Columns of `nodes`. WHEN: until the task is ready, how many of its predecessors have not let go;
# then when it was ready; from its start on, NONE.
WHEN, LINK, FRAME = range(3)

# Columns of `slots`. MORE: its row of `extras`, of which most slots have none.
RESOURCE, BUSY, LATENCY, MORE = range(4)

# Columns of `extras`. OUT: the number of the slot among those that gates wait for, or NONE.
PERIOD, OUT = range(2)

# Columns of `times`, over all tasks of a slot. WAITED: cycles from ready to start.
FIRST_START, LAST_START, WAITED = range(3)

# Columns of `templates`. SLOTS and GATES: how many of each; FIRST_SLOT and FIRST_GATE: where its
# rows of `slots` and `opens_first` begin; LONGEST: the longest lag of its edges; LAGGED and its
# end: its stretch of `lagged`; ROOTS: slots that wait for nothing in any block. KIND: of all frames
# of its CAPACITY.
(
    SLOTS,
    GATES,
    FIRST_SLOT,
    FIRST_GATE,
    LONGEST,
    LAGGED,
    LAGGED_END,
    ROOTS,
    KIND,
    CAPACITY,
) = range(10)

# Columns of `pieces`. LIMIT: slots of its last block; FIRST_NUMBER: of its first task; BLOCKS,
# OPENINGS and POINTS: where it begins in `frame_of`, `gates` and `points`; LOWEST: the first block
# that is not done; TOP: the last that ever had a frame; LEAST_GATE and MOST_GATE: of those that
# came nearer to opening since somebody set them.
(
    TEMPLATE,
    REPEAT,
    LIMIT,
    FIRST_NUMBER,
    BLOCKS,
    OPENINGS,
    POINTS,
    PIECE_START,
    PIECE_FINISH,
    LOWEST,
    TOP,
    LEAST_GATE,
    MOST_GATE,
) = range(13)

# Columns of `gates`: what is missing until it opens, when it did, the next gate that opens now.
GATE_MISSING, OPENED, NEXT_GATE, OF_PIECE = range(4)

# Columns of `frames`. SHIFT_SLOT and SHIFT_NUMBER: from a node to its row of `slots` and to its
# task number; SIZE: the slots of this block; LEFT: tasks of it that have not finished.
BASE, PIECE, BLOCK, SHIFT_SLOT, SHIFT_NUMBER, SIZE, LEFT, NEXT_FREE = range(8)

# Columns of `queues`, a row a resource. TAIL_READY is the ready time of the tail, BEFORE the last
# task in front of those that share it (NONE where they begin the queue), FINGER the task that was
# put between others last, in the round FINGER_ROUND. CALLED: it will choose in this round.
HEAD, TAIL, TAIL_READY, BEFORE, FINGER, FINGER_ROUND, FREE, CALLED = range(8)

# Columns of `calendar`: two tables that have nothing to do with each other but their length.
# A bucket is its time and its first node (a spare one: NONE and the next spare one).
TIME, FIRST, HEAP_TIME, HEAP_BUCKET = range(4)

# Places in `state`: how many buckets are in the heap and were ever used, the lengths of the batch
# and of `called`; the first spare bucket, the first join to finish, the first gate to open; is the
# batch out of order; rounds; tasks that ran; gates that opened; rows of nodes and frames ever used;
# was there no room for a frame; the weight of the resources held, and its peak; the present time;
# for who looks for a rhythm, see `note_block`: the piece that is watched, the blocks until the run
# is to pause, and the blocks of others until another piece is watched.
(
    HEAP,
    USED,
    BATCH,
    CALLS,
    SPARE,
    JOINS,
    OPENING,
    UNSORTED,
    ROUND,
    RAN,
    OPEN,
    ROWS,
    FRAMES,
    FULL,
    HELD,
    PEAK,
    NOW,
    WATCHED,
    DUE,
    PATIENCE,
) = range(20)
ANY = -2
"""Watched is the first piece with enough blocks to come that ends a block."""
ENOUGH = 8
"""Blocks to come of a piece that is watched."""
PATIENT = 256


class Run(NamedTuple):
    """The arrays of one run, as long as they can ever need to be.

    Memory that is never used is never touched: a long calendar costs nothing.
    """

    slots: Ints
    """(slots of all templates, 4)"""
    extras: Ints
    """(slots that have a period or a gate behind them, 2)"""
    times: Ints
    """(slots of all templates, 3); empty where that is not asked for"""
    first: Numbers
    """(2 slots + 1): the successors of slot s after its start are `successors[first[2s]:
    first[2s + 1]]`, those after its finish go on to `first[2s + 2]`."""
    successors: Numbers
    """The slot that waits in the same block; for one in a later block, -1 - the row of `lagged`."""
    initial: Numbers
    """Per slot: edges to it and gates that it waits for, in a block that has all of them."""
    templates: Ints
    lagged: Numbers
    """(edges to later blocks, 2): the slot that waits, and how many blocks later."""
    opens_first: Ints
    """(gates of all templates + 1): the slots of gate g are `opens[opens_first[g]:...]`."""
    opens: Numbers
    """(opens, 2): the slot, and its row of `waits_first`."""
    waits_first: Ints
    waits: Numbers
    """(n, 2): all that a slot with a gate waits for: an edge (source, lag), or (gate, NONE)."""
    pieces: Ints
    frame_of: Numbers
    """Per block of all pieces: its frame, or NONE."""
    points: Ints
    """Per piece and slot that gates of others may wait for: where its links begin, or NONE."""
    links_first: Ints
    links: Numbers
    """The gates that wait for the finish of a task: a list a point and block."""
    gates: Ints
    """(gates of all blocks, 4)"""
    periods: Ints
    """(periods, 2): numerator and denominator."""
    weights: Ints
    """Per resource: what counts in the peak while it is held."""
    nodes: Ints
    """(resources + rows, 3)"""
    frames: Ints
    """(frames, 8)"""
    free: Ints
    """Per kind of frame: the first free one, or NONE."""
    queues: Ints
    """(resources, 8)"""
    calendar: Ints
    """(rows + resources + 1, 4)"""
    recent: Ints
    """Per hash of a time: the bucket last made there, or NONE."""
    batch: Ints
    """(2, rows, 3): number, node and resource of those that became ready at the present time and
    are not queued yet; the second half is for sorting."""
    called: Numbers
    """The resources that choose in this round."""
    ready: Ints
    """Per task, by number: when it was ready; empty where that is not recorded."""
    start: Ints
    state: Ints


TABLES = (
    *("slots", "extras", "times", "templates", "lagged", "opens", "waits", "pieces", "gates"),
    *("periods", "nodes", "frames", "queues", "calendar"),
)
"""The fields of `Run` with columns."""

RUN = type_of(Run, {**dict.fromkeys(TABLES, 2), "batch": 3})


# The calendar ---------------------------------------------------------------------------------


@compiled_part
def push(run: Run, time: int, bucket: int) -> None:
    """Add a bucket to the heap."""
    calendar = run.calendar
    place = run.state[HEAP]
    run.state[HEAP] += 1
    while place > 0:
        parent = (place - 1) >> 1
        if calendar[parent, HEAP_TIME] <= time:
            break
        calendar[place, HEAP_TIME] = calendar[parent, HEAP_TIME]
        calendar[place, HEAP_BUCKET] = calendar[parent, HEAP_BUCKET]
        place = parent
    calendar[place, HEAP_TIME] = time
    calendar[place, HEAP_BUCKET] = bucket


@compiled_part
def pop(run: Run) -> int:
    """Take the earliest bucket from the heap; its number."""
    calendar = run.calendar
    earliest = calendar[0, HEAP_BUCKET]
    run.state[HEAP] -= 1
    size = run.state[HEAP]
    time, bucket = calendar[size, HEAP_TIME], calendar[size, HEAP_BUCKET]
    place, child = 0, 1
    while child < size:
        if child + 1 < size and calendar[child + 1, HEAP_TIME] < calendar[child, HEAP_TIME]:
            child += 1
        if calendar[child, HEAP_TIME] >= time:
            break
        calendar[place, HEAP_TIME] = calendar[child, HEAP_TIME]
        calendar[place, HEAP_BUCKET] = calendar[child, HEAP_BUCKET]
        place, child = child, 2 * child + 1
    calendar[place, HEAP_TIME] = time
    calendar[place, HEAP_BUCKET] = bucket
    return int(earliest)


@compiled_part
def open_bucket(run: Run, time: int) -> int:
    """Make an empty bucket for a time."""
    bucket = run.state[SPARE]
    if bucket == NONE:
        bucket = run.state[USED]
        run.state[USED] += 1
    else:
        run.state[SPARE] = run.calendar[bucket, FIRST]
    run.calendar[bucket, TIME] = time
    run.calendar[bucket, FIRST] = NONE
    push(run, time, bucket)
    return int(bucket)


@compiled_part
def close_bucket(run: Run) -> int:
    """Take the earliest bucket away and make it spare; its first node."""
    bucket = pop(run)
    node = run.calendar[bucket, FIRST]
    run.calendar[bucket, TIME] = NONE
    run.calendar[bucket, FIRST] = run.state[SPARE]
    run.state[SPARE] = bucket
    return int(node)


@compiled_part
def expect(run: Run, time: int, node: int) -> None:
    """Put a node in the bucket of a time.

    Where two times share a hash the older bucket is forgotten, and its time may get a second one.
    """
    place = time & (HASH - 1)
    bucket = run.recent[place]
    if bucket == NONE or run.calendar[bucket, TIME] != time:
        bucket = open_bucket(run, time)
        run.recent[place] = bucket
    run.nodes[node, LINK] = run.calendar[bucket, FIRST]
    run.calendar[bucket, FIRST] = node


# Frames ---------------------------------------------------------------------------------------


@compiled_part
def number_of(run: Run, node: int) -> int:
    """The task number of a node."""
    return int(node + run.frames[run.nodes[node, FRAME], SHIFT_NUMBER])


@compiled_part
def size_of(run: Run, piece: int, block: int) -> int:
    """How many slots a block has."""
    row = run.pieces[piece]
    if block == row[REPEAT] - 1:
        return int(row[LIMIT])
    return int(run.templates[row[TEMPLATE], SLOTS])


@compiled_part
def room(run: Run, template: int) -> int:
    """A frame for a block of a template, free or new; its number, NONE if there is no room."""
    kind, capacity = run.templates[template, KIND], run.templates[template, CAPACITY]
    frame = run.free[kind]
    if frame != NONE:
        run.free[kind] = run.frames[frame, NEXT_FREE]
        return int(frame)
    base = run.state[ROWS]
    if base + capacity > len(run.nodes) or run.state[FRAMES] == len(run.frames):
        run.state[FULL] = 1
        return NONE
    frame = run.state[FRAMES]
    run.state[FRAMES] += 1
    run.state[ROWS] += capacity
    run.frames[frame, BASE] = base
    return int(frame)


@compiled_part
def take(run: Run, piece: int, block: int) -> int:
    """Take a frame for a block, in which nothing has happened but that gates opened."""
    template = run.pieces[piece, TEMPLATE]
    frame = room(run, template)
    if frame == NONE:
        return NONE
    first, size = run.templates[template, FIRST_SLOT], size_of(run, piece, block)
    base = run.frames[frame, BASE]
    number = run.pieces[piece, FIRST_NUMBER] + block * run.templates[template, SLOTS]
    run.frames[frame, PIECE] = piece
    run.frames[frame, BLOCK] = block
    run.frames[frame, SHIFT_SLOT] = first - base
    run.frames[frame, SHIFT_NUMBER] = number - base
    run.frames[frame, SIZE] = size
    run.frames[frame, LEFT] = size
    run.frame_of[run.pieces[piece, BLOCKS] + block] = frame
    run.pieces[piece, TOP] = max(run.pieces[piece, TOP], block)
    for slot in range(size):
        run.nodes[base + slot, WHEN] = run.initial[first + slot]
        run.nodes[base + slot, FRAME] = frame
    forget_edges(run, template, frame)
    forget_gates(run, template, frame)
    return frame


@compiled_part
def forget_edges(run: Run, template: int, frame: int) -> None:
    """Do not wait for what is before the first block or cut off from the last."""
    base, block, size = run.frames[frame, BASE], run.frames[frame, BLOCK], run.frames[frame, SIZE]
    if block < run.templates[template, LONGEST]:
        for row in range(run.templates[template, LAGGED], run.templates[template, LAGGED_END]):
            if run.lagged[row, 1] > block:
                run.nodes[base + run.lagged[row, 0], WHEN] -= 1
    first = run.templates[template, FIRST_SLOT]
    begin = run.first[2 * (first + size)]
    end = run.first[2 * (first + run.templates[template, SLOTS])]
    for edge in range(begin, end):
        if run.successors[edge] >= 0:
            run.nodes[base + run.successors[edge], WHEN] -= 1


@compiled_part
def forget_gates(run: Run, template: int, frame: int) -> None:
    """Do not wait for the gates of the block that have opened."""
    base, size, piece = run.frames[frame, BASE], run.frames[frame, SIZE], run.frames[frame, PIECE]
    gates = run.templates[template, GATES]
    opening = run.pieces[piece, OPENINGS] + run.frames[frame, BLOCK] * gates
    for gate in range(gates):
        if run.gates[opening + gate, OPENED] != NONE:
            row = run.templates[template, FIRST_GATE] + gate
            for place in range(run.opens_first[row], run.opens_first[row + 1]):
                if run.opens[place, 0] < size:
                    run.nodes[base + run.opens[place, 0], WHEN] -= 1


@compiled_part
def give_back(run: Run, frame: int, then: int) -> None:
    """All of a block has finished (then it is DONE), or nothing has begun: its frame is free."""
    piece, block = run.frames[frame, PIECE], run.frames[frame, BLOCK]
    kind = run.templates[run.pieces[piece, TEMPLATE], KIND]
    run.frame_of[run.pieces[piece, BLOCKS] + block] = then
    run.frames[frame, NEXT_FREE] = run.free[kind]
    run.free[kind] = frame


# Tasks become ready ---------------------------------------------------------------------------


@compiled_part
def arrive(run: Run, node: int, frame: int, resource: int) -> None:
    """A task is ready now: it goes to the batch, a join to the joins that finish now."""
    if resource == JOIN:
        run.nodes[node, LINK] = run.state[JOINS]
        run.state[JOINS] = node
        return
    number, length = node + run.frames[frame, SHIFT_NUMBER], run.state[BATCH]
    if length > 0 and run.batch[0, length - 1, 0] > number:
        run.state[UNSORTED] = 1
    run.batch[0, length, 0] = number
    run.batch[0, length, 1] = node
    run.batch[0, length, 2] = resource
    run.state[BATCH] = length + 1


@compiled_part
def let_go(run: Run, node: int, frame: int, time: int) -> None:
    """Nothing is missing for a task: it is ready now or on its next period."""
    slot = node + run.frames[frame, SHIFT_SLOT]
    more = run.slots[slot, MORE]
    when = time
    if more != NONE:
        when = next_period(run, run.extras[more, PERIOD], time)
    run.nodes[node, WHEN] = when
    if when > time:
        expect(run, when, node)
    else:
        arrive(run, node, frame, run.slots[slot, RESOURCE])


@compiled_part
def next_period(run: Run, period: int, time: int) -> int:
    """The first multiple of a period from a time on."""
    numerator, denominator = run.periods[period, 0], run.periods[period, 1]
    if numerator > denominator:
        return int(align(time, numerator, denominator))
    return time


@compiled_part
def less(run: Run, node: int, frame: int, time: int) -> None:
    """One thing less is missing for a task."""
    missing = run.nodes[node, WHEN] - 1
    run.nodes[node, WHEN] = missing
    if missing == 0:
        let_go(run, node, frame, time)


@compiled_part
def release(run: Run, frame: int, begin: int, end: int, time: int) -> None:
    """Let go of a stretch of the successor lists, for a task of a frame."""
    base, size = run.frames[frame, BASE], run.frames[frame, SIZE]
    for edge in range(begin, end):
        target = run.successors[edge]
        if target < 0:
            release_later(run, frame, -1 - target, time)
        elif target < size:
            less(run, base + target, frame, time)


@compiled_part
def release_later(run: Run, frame: int, row: int, time: int) -> None:
    """Let go of a slot of a later block, whose frame is taken where it has none."""
    slot = run.lagged[row, 0]
    of = frame_after(run, frame, run.lagged[row, 1], slot)
    if of != NONE:
        less(run, run.frames[of, BASE] + slot, of, time)


@compiled_part
def frame_after(run: Run, frame: int, lag: int, slot: int) -> int:
    """The frame of the block so many blocks later; NONE where the slot is not there."""
    piece, block = run.frames[frame, PIECE], run.frames[frame, BLOCK] + lag
    if block >= run.pieces[piece, REPEAT] or slot >= size_of(run, piece, block):
        return NONE
    of = run.frame_of[run.pieces[piece, BLOCKS] + block]
    if of == NONE:
        return take(run, piece, block)
    return int(of)


@compiled_part
def finish(run: Run, frame: int, slot: int, begin: int, time: int) -> None:
    """A task has finished: release from `begin` of its successors on, and the gates behind it."""
    release(run, frame, begin, run.first[2 * slot + 2], time)
    more = run.slots[slot, MORE]
    if more != NONE and run.extras[more, OUT] != NONE:
        release_gates(run, frame, run.extras[more, OUT])
    left = run.frames[frame, LEFT] - 1
    run.frames[frame, LEFT] = left
    if left == 0:
        piece = run.frames[frame, PIECE]
        run.pieces[piece, PIECE_FINISH] = time
        give_back(run, frame, DONE)
        note_block(run, piece)


@compiled_part
def note_block(run: Run, piece: int) -> None:
    """A block of a piece is done: count it, and towards a pause where the piece is watched."""
    lowest, repeat, first = (
        run.pieces[piece, LOWEST],
        run.pieces[piece, REPEAT],
        run.pieces[piece, BLOCKS],
    )
    while lowest < repeat and run.frame_of[first + lowest] == DONE:
        lowest += 1
    run.pieces[piece, LOWEST] = lowest
    if run.state[WATCHED] == NONE:
        return
    if run.state[WATCHED] == ANY and repeat - lowest >= ENOUGH:
        run.state[WATCHED] = piece
        run.state[PATIENCE] = PATIENT
        run.state[DUE] = 1
    if run.state[WATCHED] != piece:
        run.state[PATIENCE] -= 1
    else:
        run.state[PATIENCE] = PATIENT
        run.state[DUE] -= 1
    if run.state[PATIENCE] == 0 or (run.state[WATCHED] == piece and lowest == repeat):
        run.state[WATCHED] = ANY
        run.state[DUE] = 1


# Gates ----------------------------------------------------------------------------------------


@compiled_part
def release_gates(run: Run, frame: int, out: int) -> None:
    """Let go of the gates that wait for a task."""
    point = run.points[run.pieces[run.frames[frame, PIECE], POINTS] + out]
    if point == NONE:
        return
    place = point + run.frames[frame, BLOCK]
    for link in range(run.links_first[place], run.links_first[place + 1]):
        gate = run.links[link]
        run.gates[gate, GATE_MISSING] -= 1
        piece = run.gates[gate, OF_PIECE]
        run.pieces[piece, LEAST_GATE] = min(run.pieces[piece, LEAST_GATE], gate)
        run.pieces[piece, MOST_GATE] = max(run.pieces[piece, MOST_GATE], gate)
        if run.gates[gate, GATE_MISSING] == 0:
            stack_gate(run, gate)


@compiled_part
def stack_gate(run: Run, gate: int) -> None:
    """A gate opens now, with the joins."""
    run.gates[gate, NEXT_GATE] = run.state[OPENING]
    run.state[OPENING] = gate


@compiled_part
def waits_only(run: Run, row: int, block: int, size: int, opening: int, gate: int) -> bool:
    """Whether a slot of a block in which nothing happened waits for nothing but this gate."""
    for place in range(run.waits_first[row], run.waits_first[row + 1]):
        source, lag = run.waits[place, 0], run.waits[place, 1]
        if lag == NONE:
            if opening + source != gate and run.gates[opening + source, OPENED] == NONE:
                return False
        elif lag <= block and (lag > 0 or source < size):
            return False
    return True


@compiled_part
def open_gate(run: Run, gate: int, time: int) -> None:
    """Open a gate: for the slots of a frame, or for the frame that is taken later."""
    piece = run.gates[gate, OF_PIECE]
    template = run.pieces[piece, TEMPLATE]
    gates = run.templates[template, GATES]
    block = (gate - run.pieces[piece, OPENINGS]) // gates
    opening = run.pieces[piece, OPENINGS] + block * gates
    row = run.templates[template, FIRST_GATE] + gate - opening
    begin, end = run.opens_first[row], run.opens_first[row + 1]
    size = size_of(run, piece, block)
    frame = run.frame_of[run.pieces[piece, BLOCKS] + block]
    if frame == NONE:
        for place in range(begin, end):
            slot, waits = run.opens[place, 0], run.opens[place, 1]
            if slot < size and waits_only(run, waits, block, size, opening, gate):
                frame = take(run, piece, block)
                break
    run.gates[gate, OPENED] = time
    run.state[OPEN] += 1
    if frame < 0:
        return
    base = run.frames[frame, BASE]
    for place in range(begin, end):
        if run.opens[place, 0] < size:
            less(run, base + run.opens[place, 0], frame, time)


# The queues -----------------------------------------------------------------------------------


@compiled_part
def call(run: Run, resource: int) -> None:
    """Let a resource choose in the next round."""
    if not run.queues[resource, CALLED]:
        run.queues[resource, CALLED] = 1
        run.called[run.state[CALLS]] = resource
        run.state[CALLS] += 1


@compiled_part
def enqueue(run: Run, resource: int, node: int, number: int, time: int) -> None:
    """Put a task that is ready now in the queue of its resource."""
    tail = run.queues[resource, TAIL]
    as_late = tail != NONE and run.queues[resource, TAIL_READY] == time
    if as_late and number_of(run, tail) > number:
        insert(run, resource, node, number)
        return
    if tail == NONE:
        run.queues[resource, HEAD] = node
    else:
        run.nodes[tail, LINK] = node
    if not as_late:
        run.queues[resource, BEFORE] = tail
        run.queues[resource, TAIL_READY] = time
    run.queues[resource, TAIL] = node
    run.nodes[node, LINK] = NONE


@compiled_part
def insert(run: Run, resource: int, node: int, number: int) -> None:
    """Put a task among those of the same ready time, in front of the first with a greater number.

    A sorted batch goes on from where its last task was put, so all of it costs one walk.
    """
    before = run.queues[resource, BEFORE]
    if run.queues[resource, FINGER_ROUND] == run.state[ROUND]:
        finger = run.queues[resource, FINGER]
        if number_of(run, finger) < number:
            before = finger
    after = run.queues[resource, HEAD] if before == NONE else run.nodes[before, LINK]
    while number_of(run, after) < number:
        before, after = after, run.nodes[after, LINK]
    run.nodes[node, LINK] = after
    if before == NONE:
        run.queues[resource, HEAD] = node
    else:
        run.nodes[before, LINK] = node
    run.queues[resource, FINGER] = node
    run.queues[resource, FINGER_ROUND] = run.state[ROUND]


@compiled_part
def sort(batch: Ints, length: int) -> None:
    """Sort the first half by merging runs of 1, 2, 4, ... back and forth with the second."""
    run, half = 1, 0
    while run < length:
        for begin in range(0, length, 2 * run):
            middle, end = min(begin + run, length), min(begin + 2 * run, length)
            left, right = begin, middle
            for place in range(begin, end):
                if right >= end or (left < middle and batch[half, left, 0] < batch[half, right, 0]):
                    least, left = left, left + 1
                else:
                    least, right = right, right + 1
                for column in range(3):
                    batch[1 - half, place, column] = batch[half, least, column]
        run, half = 2 * run, 1 - half
    if half == 1:
        for place in range(length):
            for column in range(3):
                batch[0, place, column] = batch[1, place, column]


@compiled_part
def queue_batch(run: Run, time: int) -> None:
    """Queue all tasks that have become ready, and call the free resources among theirs."""
    length = run.state[BATCH]
    if run.state[UNSORTED] and length > SHORT:
        sort(run.batch, length)
    run.state[ROUND] += 1
    for place in range(length):
        number, node = run.batch[0, place, 0], run.batch[0, place, 1]
        resource = run.batch[0, place, 2]
        enqueue(run, resource, node, number, time)
        if run.queues[resource, FREE]:
            call(run, resource)
    run.state[BATCH] = 0
    run.state[UNSORTED] = 0


@compiled_part
def choose(run: Run, resource: int) -> int:
    """Take the first task of the queue of a resource, if it is free and one waits."""
    run.queues[resource, CALLED] = 0
    node = run.queues[resource, HEAD]
    if node == NONE or not run.queues[resource, FREE]:
        return NONE
    run.queues[resource, HEAD] = run.nodes[node, LINK]
    if run.queues[resource, HEAD] == NONE:
        run.queues[resource, TAIL] = NONE
    if run.queues[resource, BEFORE] == node:
        run.queues[resource, BEFORE] = NONE
    run.queues[resource, FREE] = 0
    return int(node)


# What happens at one time ---------------------------------------------------------------------


@compiled_part
def come_true(run: Run, time: int) -> None:
    """All that was expected: tasks become ready or finish, resources become free."""
    resources = len(run.queues)
    while run.state[HEAP] > 0 and run.calendar[0, HEAP_TIME] == time:
        node = close_bucket(run)
        while node != NONE:
            following = run.nodes[node, LINK]
            if node < resources:
                set_free(run, node)
            else:
                frame = run.nodes[node, FRAME]
                slot = node + run.frames[frame, SHIFT_SLOT]
                if run.nodes[node, WHEN] != NONE:
                    arrive(run, node, frame, run.slots[slot, RESOURCE])
                else:
                    if run.slots[slot, BUSY] == run.slots[slot, LATENCY]:
                        set_free(run, run.slots[slot, RESOURCE])
                    finish(run, frame, slot, run.first[2 * slot + 1], time)
            node = following


@compiled_part
def set_free(run: Run, resource: int) -> None:
    """A resource is free again, and will choose."""
    run.queues[resource, FREE] = 1
    run.state[HELD] -= run.weights[resource]
    call(run, resource)


@compiled_part
def finish_joins(run: Run, time: int) -> None:
    """Finish the joins that are ready and open the gates, chains of them included."""
    while run.state[JOINS] != NONE or run.state[OPENING] != NONE:
        join = run.state[JOINS]
        if join != NONE:
            run.state[JOINS] = run.nodes[join, LINK]
            frame = run.nodes[join, FRAME]
            slot = join + run.frames[frame, SHIFT_SLOT]
            start_task(run, join, frame, slot, time)
            finish(run, frame, slot, run.first[2 * slot], time)
        else:
            gate = run.state[OPENING]
            run.state[OPENING] = run.gates[gate, NEXT_GATE]
            open_gate(run, gate, time)


@compiled_part
def start_task(run: Run, node: int, frame: int, slot: int, time: int) -> None:
    """A task starts: note when, for its slot and for its piece."""
    ready, piece = run.nodes[node, WHEN], run.frames[frame, PIECE]
    run.nodes[node, WHEN] = NONE
    run.state[RAN] += 1
    if len(run.times) > 0:
        if run.times[slot, FIRST_START] == NONE:
            run.times[slot, FIRST_START] = time
        run.times[slot, LAST_START] = time
        run.times[slot, WAITED] += time - ready
    if run.pieces[piece, PIECE_START] == NONE:
        run.pieces[piece, PIECE_START] = time
    if len(run.ready) > 0:
        number = node + run.frames[frame, SHIFT_NUMBER]
        run.ready[number] = ready
        run.start[number] = time


@compiled_part
def grant(run: Run, time: int) -> None:
    """All resources that were called choose; what the starts make ready waits in the batch."""
    for place in range(run.state[CALLS]):
        resource = run.called[place]
        node = choose(run, resource)
        if node == NONE:
            continue
        frame = run.nodes[node, FRAME]
        slot = node + run.frames[frame, SHIFT_SLOT]
        start_task(run, node, frame, slot, time)
        run.state[HELD] += run.weights[resource]
        busy, latency = run.slots[slot, BUSY], run.slots[slot, LATENCY]
        expect(run, time + latency, node)
        if busy != latency:
            expect(run, time + busy, resource)
        release(run, frame, run.first[2 * slot], run.first[2 * slot + 1], time)
    run.state[PEAK] = max(run.state[PEAK], run.state[HELD])
    run.state[CALLS] = 0


# The run --------------------------------------------------------------------------------------


@compiled_part
def begin_block(run: Run, piece: int, block: int) -> None:
    """Let go of the slots of a block that wait for nothing; without one, it takes no frame."""
    top = run.pieces[piece, TOP]
    frame = take(run, piece, block)
    if frame == NONE:
        return
    base, found = run.frames[frame, BASE], False
    for node in range(base, base + run.frames[frame, SIZE]):
        if run.nodes[node, WHEN] == 0:
            let_go(run, node, frame, 0)
            found = True
    if not found:
        give_back(run, frame, NONE)
        run.pieces[piece, TOP] = top


@compiled_part
def begin_piece(run: Run, piece: int) -> None:
    """Let go of all slots of a piece that wait for nothing.

    Only the first blocks, which lack edges, and the last, if it is cut, can have such slots where
    the template has none.
    """
    row = run.templates[run.pieces[piece, TEMPLATE]]
    repeat, block = run.pieces[piece, REPEAT], 0
    while block < repeat and not run.state[FULL]:
        last_cut = block == repeat - 1 and run.pieces[piece, LIMIT] < row[SLOTS]
        if row[ROOTS] > 0 or block < row[LONGEST] or last_cut:
            begin_block(run, piece, block)
            block += 1
        else:
            block = max(block + 1, repeat - 1)


@compiled(types.void(RUN), allocates=False)
def prepare(run: Run) -> None:
    """Let go of all that waits for nothing."""
    for piece in range(len(run.pieces)):
        begin_piece(run, piece)
    for gate in range(len(run.gates)):
        if run.gates[gate, GATE_MISSING] == 0:
            stack_gate(run, gate)


@compiled(types.void(RUN), allocates=False)
def simulate(run: Run) -> None:
    """Go on from the present time until nothing more happens, there is no room, or a pause is due.

    Where a pause is due, all that happens at the present time has happened.
    """
    state = run.state
    while True:
        time = state[NOW]
        finish_joins(run, time)
        if state[BATCH] > 0 or state[CALLS] > 0:
            queue_batch(run, time)
            grant(run, time)
            continue
        if state[HEAP] == 0 or state[FULL] or (state[WATCHED] >= 0 and state[DUE] <= 0):
            return
        state[NOW] = run.calendar[0, HEAP_TIME]
        come_true(run, state[NOW])


# What a rhythm is found by -----------------------------------------------------------------------

# In a snapshot, what a task under way is at, the cycles that go with it in the bits above.
HAS_FINISHED, WAITS, COMES, RUNS, QUEUES = range(5)


@compiled_part
def mark_tasks(run: Run, at: Ints) -> None:
    """Set `at` of every task under way, and of every resource that is held longer than its task."""
    now = run.state[NOW]
    for resource in range(len(run.queues)):
        at[resource] = 0
    for piece in range(len(run.pieces)):
        first = run.pieces[piece, BLOCKS]
        for block in range(run.pieces[piece, LOWEST], run.pieces[piece, TOP] + 1):
            frame = run.frame_of[first + block]
            if frame >= 0:
                base = run.frames[frame, BASE]
                for node in range(base, base + run.frames[frame, SIZE]):
                    missing = run.nodes[node, WHEN]
                    at[node] = HAS_FINISHED if missing == NONE else missing * 8 + WAITS
    for place in range(run.state[HEAP]):
        node = run.calendar[run.calendar[place, HEAP_BUCKET], FIRST]
        after = run.calendar[place, HEAP_TIME] - now
        while node != NONE:
            runs = node < len(run.queues) or run.nodes[node, WHEN] == NONE
            at[node] = after * 8 + (RUNS if runs else COMES)
            node = run.nodes[node, LINK]
    for resource in range(len(run.queues)):
        node = run.queues[resource, HEAD]
        while node != NONE:
            at[node] = (now - run.nodes[node, WHEN]) * 8 + QUEUES
            node = run.nodes[node, LINK]


@compiled_part
def write_queues(run: Run, at: Ints, out: Ints, size: int) -> int:
    """Write down what each resource does, and who waits for it in which order."""
    for resource in range(len(run.queues)):
        if size + 2 > len(out):
            return NONE
        out[size] = at[resource] * 2 + run.queues[resource, FREE]
        size += 1
        node = run.queues[resource, HEAD]
        while node != NONE:
            if size + 4 > len(out):
                return NONE
            frame = run.nodes[node, FRAME]
            piece = run.frames[frame, PIECE]
            out[size] = piece
            out[size + 1] = run.frames[frame, BLOCK] - run.pieces[piece, LOWEST]
            out[size + 2] = node - run.frames[frame, BASE]
            size += 3
            node = run.nodes[node, LINK]
        out[size] = NONE
        size += 1
    return int(size)


@compiled(types.int64(RUN, types.int64[::1], types.int64[::1]), allocates=False)
def snapshot(run: Run, at: Ints, out: Ints) -> int:
    """Write down the state of all blocks under way, relative to the time and to the first blocks.

    `at` has a place a node. The numbers written; NONE where `out` has too little room. Gates are
    not in it.
    """
    mark_tasks(run, at)
    size = 0
    for piece in range(len(run.pieces)):
        first, lowest = run.pieces[piece, BLOCKS], run.pieces[piece, LOWEST]
        top = run.pieces[piece, TOP]
        if lowest > top:
            continue
        if size + 2 + top - lowest >= len(out):
            return NONE
        out[size] = piece
        out[size + 1] = top - lowest
        size += 2
        for block in range(lowest, top + 1):
            frame = run.frame_of[first + block]
            if frame < 0:
                out[size] = frame
                size += 1
                continue
            base, slots = run.frames[frame, BASE], run.frames[frame, SIZE]
            if size + slots + 1 + top - block >= len(out):
                return NONE
            for slot in range(slots):
                out[size + slot] = at[base + slot]
            size += slots
    out[size] = NONE
    return write_queues(run, at, out, size + 1)


@compiled(types.void(RUN, types.int64), allocates=False)
def move_on(run: Run, cycles: int) -> None:
    """Let everything that is expected, and the time itself, be so many cycles later."""
    run.state[NOW] += cycles
    run.recent[:] = NONE
    for place in range(run.state[HEAP]):
        run.calendar[place, HEAP_TIME] += cycles
        bucket = run.calendar[place, HEAP_BUCKET]
        run.calendar[bucket, TIME] += cycles
        node = run.calendar[bucket, FIRST]
        while node != NONE:
            if node >= len(run.queues) and run.nodes[node, WHEN] != NONE:
                run.nodes[node, WHEN] += cycles
            node = run.nodes[node, LINK]
    for resource in range(len(run.queues)):
        run.queues[resource, TAIL_READY] += cycles
        node = run.queues[resource, HEAD]
        while node != NONE:
            run.nodes[node, WHEN] += cycles
            node = run.nodes[node, LINK]
