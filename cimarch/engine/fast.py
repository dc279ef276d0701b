"""The fast engine: the same times as the reference, compiled.

Events wait in buckets, one for each time, found by a hash of the time and taken in order from a
heap of the buckets: one entry of the heap holds all that happens at once. Each resource has a queue
in order of (ready time, number). A task is in one list at most (the bucket in which it becomes
ready or finishes, the queue, or the joins that finish now), so one link each is enough.

What is kept of a task is one row of a table, and so one line of the processor's cache; the names of
the columns are the constants below. A node is a row: first all tasks, then all resources, which
need one only for the link in the bucket in which they become free.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part
from cimarch.engine.deadlock import Deadlock, find_cycle
from cimarch.engine.tasks import JOIN, Ints, Tasks, Timeline, timeline
from cimarch.engine.tasks import align as _align

Numbers = NDArray[np.int32]
Scalar = TypeVar("Scalar", bound=np.generic)

align = compiled_part(_align)

NONE = -1
"""No task, no bucket; also a time that is not yet known."""
HASH = 1024
"""How many buckets the hash remembers; a power of two."""
SHORT = 48
"""A batch up to this long is queued as it comes, a longer one is sorted first."""

# Columns of `nodes`. MISSING counts the predecessors that have not let go.
RESOURCE, BUSY, LATENCY, PERIOD, MISSING, LINK, READY, START = range(8)

# Columns of `queues`, a row a resource. TAIL_READY is the ready time of the tail, BEFORE the last
# task in front of those that share it (NONE where they begin the queue), FINGER the task that was
# put between others last, in the round FINGER_ROUND. CALLED: it will choose in this round.
HEAD, TAIL, TAIL_READY, BEFORE, FINGER, FINGER_ROUND, FREE, CALLED = range(8)

# Columns of `calendar`: two tables that have nothing to do with each other but their length.
# A bucket is its time and its first node (a spare one: NONE and the next spare one).
TIME, FIRST, HEAP_TIME, HEAP_BUCKET = range(4)

# Places in `state`: how many buckets are in the heap and were ever used, the lengths of the batch
# and of `called`; the first spare bucket, the first join to finish; is the batch out of order;
# rounds; tasks that ran.
HEAP, USED, BATCH, CALLS, SPARE, JOINS, UNSORTED, ROUND, RAN = range(9)


class Run(NamedTuple):
    """The arrays of one run, as long as they can ever need to be.

    Memory that is never used is never touched: a long calendar costs nothing.
    """

    nodes: Ints
    """(tasks + resources, 8)"""
    periods: Ints
    """(periods, 2): numerator and denominator."""
    first: Numbers
    waiting: Numbers
    """The successor lists: see `successors`."""
    queues: Ints
    """(resources, 8)"""
    calendar: Ints
    """(tasks + resources + 1, 4)"""
    recent: Ints
    """Per hash of a time: the bucket last made there, or NONE."""
    batch: Numbers
    """(2, tasks): those that became ready at the present time and are not queued yet; the second
    row is for sorting."""
    called: Numbers
    """The resources that choose in this round."""
    state: Ints


def run(tasks: Tasks) -> Timeline:
    """Run the table.

    Raises Deadlock where tasks wait in a circle, ValueError for a bad table.
    """
    tasks.check()
    run = _prepare(tasks)
    if simulate(*run) < len(tasks):
        raise Deadlock(find_cycle(tasks))
    rows = run.nodes[: len(tasks)]
    return timeline(tasks, rows[:, READY].copy(), rows[:, START].copy())


def _prepare(tasks: Tasks) -> Run:
    """All arrays of a run, at its beginning."""
    size, resources = len(tasks), tasks.resources
    nodes = np.empty((size + resources, 8), np.int64)
    offsets = _plain(tasks.offsets)
    times = _plain(tasks.busy), _plain(tasks.latency)
    fill(nodes, _plain(tasks.resource), *times, _plain(tasks.period), offsets)
    first, waiting = successors(offsets, _plain(tasks.predecessors), _plain(tasks.after_start))
    queues = np.full((resources, 8), NONE, np.int64)
    queues[:, FREE] = 1
    queues[:, CALLED] = 0
    state = np.zeros(9, np.int64)
    state[[SPARE, JOINS]] = NONE
    return Run(
        nodes=nodes,
        periods=np.array(tasks.periods, np.int64).reshape(-1, 2),
        first=first,
        waiting=waiting,
        queues=queues,
        calendar=np.empty((size + resources + 1, 4), np.int64),
        recent=np.full(HASH, NONE, np.int64),
        batch=np.empty((2, size), np.int32),
        called=np.empty(resources, np.int32),
        state=state,
    )


def _plain(column: NDArray[Scalar]) -> NDArray[Scalar]:
    """The column as compiled code takes it: in one piece and writable, a copy where it is not."""
    return np.require(column, requirements=["C", "W"])


@compiled(
    "void(int64[:, ::1], int32[::1], int64[::1], int64[::1], int16[::1], int64[::1])",
    allocates=False,
)
def fill(
    nodes: Ints,
    resource: Numbers,
    busy: Ints,
    latency: Ints,
    period: NDArray[np.int16],
    offsets: Ints,
) -> None:
    """Write the row of every task, at the beginning of the run."""
    for task in range(len(resource)):
        nodes[task, RESOURCE] = resource[task]
        nodes[task, BUSY] = busy[task]
        nodes[task, LATENCY] = latency[task]
        nodes[task, PERIOD] = period[task]
        nodes[task, MISSING] = offsets[task + 1] - offsets[task]
        nodes[task, START] = NONE


@compiled("Tuple((int32[::1], int32[::1]))(int64[::1], int32[::1], boolean[::1])")
def successors(
    offsets: Ints, predecessors: Numbers, after_start: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    """Turn the predecessor lists round, by counting.

    The tasks that wait for the start of i are `waiting[first[2i]:first[2i+1]]`, those that wait for
    its finish go on to `first[2i+2]`; each in order of number.
    """
    size = len(offsets) - 1
    first = np.zeros(2 * size + 1, np.int32)
    for edge in range(len(predecessors)):
        first[2 * predecessors[edge] + (1 - after_start[edge])] += 1
    total = 0
    for key in range(2 * size + 1):
        total += first[key]
        first[key] = total
    waiting = np.empty(len(predecessors), np.int32)
    for task in range(size - 1, -1, -1):
        for edge in range(offsets[task + 1] - 1, offsets[task] - 1, -1):
            key = 2 * predecessors[edge] + (1 - after_start[edge])
            first[key] -= 1
            waiting[first[key]] = task
    return first, waiting


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
    slot = time & (HASH - 1)
    bucket = run.recent[slot]
    if bucket == NONE or run.calendar[bucket, TIME] != time:
        bucket = open_bucket(run, time)
        run.recent[slot] = bucket
    run.nodes[node, LINK] = run.calendar[bucket, FIRST]
    run.calendar[bucket, FIRST] = node


# Tasks become ready ---------------------------------------------------------------------------


@compiled_part
def arrive(run: Run, task: int, time: int) -> None:
    """A task is ready now: it goes to the batch, a join to the joins that finish now."""
    if run.nodes[task, RESOURCE] == JOIN:
        run.nodes[task, START] = time
        run.nodes[task, LINK] = run.state[JOINS]
        run.state[JOINS] = task
        return
    length = run.state[BATCH]
    if length > 0 and run.batch[0, length - 1] > task:
        run.state[UNSORTED] = 1
    run.batch[0, length] = task
    run.state[BATCH] = length + 1


@compiled_part
def let_go(run: Run, task: int, time: int) -> None:
    """Nothing is missing for a task: it is ready now or on its next period."""
    period = run.nodes[task, PERIOD]
    numerator, denominator = run.periods[period, 0], run.periods[period, 1]
    when = time
    if numerator > denominator:
        when = align(time, numerator, denominator)
    run.nodes[task, READY] = when
    if when > time:
        expect(run, when, task)
    else:
        arrive(run, task, time)


@compiled_part
def release(run: Run, begin: int, end: int, time: int) -> None:
    """Let go of a stretch of the successor lists."""
    for edge in range(begin, end):
        task = run.waiting[edge]
        missing = run.nodes[task, MISSING] - 1
        run.nodes[task, MISSING] = missing
        if missing == 0:
            let_go(run, task, time)


# The queues -----------------------------------------------------------------------------------


@compiled_part
def call(run: Run, resource: int) -> None:
    """Let a resource choose in the next round."""
    if not run.queues[resource, CALLED]:
        run.queues[resource, CALLED] = 1
        run.called[run.state[CALLS]] = resource
        run.state[CALLS] += 1


@compiled_part
def enqueue(run: Run, task: int, time: int) -> None:
    """Put a task that is ready now in the queue of its resource."""
    resource = run.nodes[task, RESOURCE]
    tail = run.queues[resource, TAIL]
    as_late = tail != NONE and run.queues[resource, TAIL_READY] == time
    if as_late and tail > task:
        insert(run, task)
        return
    if tail == NONE:
        run.queues[resource, HEAD] = task
    else:
        run.nodes[tail, LINK] = task
    if not as_late:
        run.queues[resource, BEFORE] = tail
        run.queues[resource, TAIL_READY] = time
    run.queues[resource, TAIL] = task
    run.nodes[task, LINK] = NONE


@compiled_part
def insert(run: Run, task: int) -> None:
    """Put a task among those of the same ready time, in front of the first with a greater number.

    A sorted batch goes on from where its last task was put, so all of it costs one walk.
    """
    resource = run.nodes[task, RESOURCE]
    before = run.queues[resource, BEFORE]
    if before != NONE and run.nodes[before, START] != NONE:
        before = NONE
    finger = run.queues[resource, FINGER]
    if run.queues[resource, FINGER_ROUND] == run.state[ROUND] and finger < task:
        before = finger
    after = run.queues[resource, HEAD] if before == NONE else run.nodes[before, LINK]
    while after < task:
        before, after = after, run.nodes[after, LINK]
    run.nodes[task, LINK] = after
    if before == NONE:
        run.queues[resource, HEAD] = task
    else:
        run.nodes[before, LINK] = task
    run.queues[resource, FINGER] = task
    run.queues[resource, FINGER_ROUND] = run.state[ROUND]


@compiled_part
def sort(batch: Numbers, length: int) -> None:
    """Sort the first row by merging runs of 1, 2, 4, ... back and forth with the second."""
    run, row = 1, 0
    while run < length:
        for begin in range(0, length, 2 * run):
            middle, end = min(begin + run, length), min(begin + 2 * run, length)
            left, right = begin, middle
            for place in range(begin, end):
                if right >= end or (left < middle and batch[row, left] < batch[row, right]):
                    batch[1 - row, place] = batch[row, left]
                    left += 1
                else:
                    batch[1 - row, place] = batch[row, right]
                    right += 1
        run, row = 2 * run, 1 - row
    if row == 1:
        for place in range(length):
            batch[0, place] = batch[1, place]


@compiled_part
def queue_batch(run: Run, time: int) -> None:
    """Queue all tasks that have become ready, and call the free resources among theirs."""
    length = run.state[BATCH]
    if run.state[UNSORTED] and length > SHORT:
        sort(run.batch, length)
    run.state[ROUND] += 1
    for place in range(length):
        task = run.batch[0, place]
        resource = run.nodes[task, RESOURCE]
        enqueue(run, task, time)
        if run.queues[resource, FREE]:
            call(run, resource)
    run.state[BATCH] = 0
    run.state[UNSORTED] = 0


@compiled_part
def choose(run: Run, resource: int) -> int:
    """Take the first task of the queue of a resource, if it is free and one waits."""
    run.queues[resource, CALLED] = 0
    task = run.queues[resource, HEAD]
    if task == NONE or not run.queues[resource, FREE]:
        return NONE
    run.queues[resource, HEAD] = run.nodes[task, LINK]
    if run.queues[resource, HEAD] == NONE:
        run.queues[resource, TAIL] = NONE
    run.queues[resource, FREE] = 0
    return int(task)


# What happens at one time ---------------------------------------------------------------------


@compiled_part
def come_true(run: Run, time: int) -> None:
    """All that was expected: tasks become ready or finish, resources become free."""
    tasks = len(run.nodes) - len(run.queues)
    while run.state[HEAP] > 0 and run.calendar[0, HEAP_TIME] == time:
        node = close_bucket(run)
        while node != NONE:
            following = run.nodes[node, LINK]
            if node >= tasks:
                set_free(run, node - tasks)
            elif run.nodes[node, START] == NONE:
                arrive(run, node, time)
            else:
                if run.nodes[node, BUSY] == run.nodes[node, LATENCY]:
                    set_free(run, run.nodes[node, RESOURCE])
                release(run, run.first[2 * node + 1], run.first[2 * node + 2], time)
            node = following


@compiled_part
def set_free(run: Run, resource: int) -> None:
    """A resource is free again, and will choose."""
    run.queues[resource, FREE] = 1
    call(run, resource)


@compiled_part
def finish_joins(run: Run, time: int) -> None:
    """Finish the joins that are ready, chains of them included."""
    while run.state[JOINS] != NONE:
        join = run.state[JOINS]
        run.state[JOINS] = run.nodes[join, LINK]
        run.state[RAN] += 1
        release(run, run.first[2 * join], run.first[2 * join + 2], time)


@compiled_part
def grant(run: Run, time: int) -> None:
    """All resources that were called choose; what the starts make ready waits in the batch."""
    tasks = len(run.nodes) - len(run.queues)
    for place in range(run.state[CALLS]):
        resource = run.called[place]
        task = choose(run, resource)
        if task == NONE:
            continue
        run.nodes[task, START] = time
        run.state[RAN] += 1
        busy, latency = run.nodes[task, BUSY], run.nodes[task, LATENCY]
        expect(run, time + latency, task)
        if busy != latency:
            expect(run, time + busy, tasks + resource)
        release(run, run.first[2 * task], run.first[2 * task + 1], time)
    run.state[CALLS] = 0


@compiled(
    "int64(int64[:, ::1], int64[:, ::1], int32[::1], int32[::1], int64[:, ::1], int64[:, ::1],"
    " int64[::1], int32[:, ::1], int32[::1], int64[::1])",
    allocates=False,
)
def simulate(
    nodes: Ints,
    periods: Ints,
    first: Numbers,
    waiting: Numbers,
    queues: Ints,
    calendar: Ints,
    recent: Ints,
    batch: Numbers,
    called: Numbers,
    state: Ints,
) -> int:
    """Fill READY and START of every task; how many tasks ran. The arguments are those of Run."""
    run = Run(nodes, periods, first, waiting, queues, calendar, recent, batch, called, state)
    for task in range(len(nodes) - len(queues)):
        if nodes[task, MISSING] == 0:
            let_go(run, task, 0)
    time = 0
    while True:
        finish_joins(run, time)
        while state[BATCH] > 0 or state[CALLS] > 0:
            queue_batch(run, time)
            grant(run, time)
            finish_joins(run, time)
        if state[HEAP] == 0:
            return int(state[RAN])
        time = calendar[0, HEAP_TIME]
        come_true(run, time)
