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

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.compiled import compiled, compiled_part
from cimarch.engine.deadlock import Deadlock, find_cycle
from cimarch.engine.tasks import JOIN, Ints, Tasks, Timeline, timeline
from cimarch.engine.tasks import align as _align

Numbers = NDArray[np.int32]

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


def run(tasks: Tasks) -> Timeline:
    """Run the table.

    Raises Deadlock where tasks wait in a circle, ValueError for a bad table.
    """
    tasks.check()
    nodes = _nodes(tasks)
    first, waiting = successors(
        np.require(tasks.offsets, requirements=["C", "W"]),
        np.require(tasks.predecessors, requirements=["C", "W"]),
        np.require(tasks.after_start, requirements=["C", "W"]),
    )
    periods = np.array(tasks.periods, np.int64).reshape(-1, 2)
    ran = simulate(nodes, first, waiting, periods, *_work(len(tasks), tasks.resources))
    if ran < len(tasks):
        raise Deadlock(find_cycle(tasks))
    ready, start = nodes[: len(tasks), READY].copy(), nodes[: len(tasks), START].copy()
    return timeline(tasks, ready, start)


def _nodes(tasks: Tasks) -> Ints:
    """(tasks + resources, 8): the row of each."""
    nodes = np.empty((len(tasks) + tasks.resources, 8), np.int64)
    rows = nodes[: len(tasks)]
    rows[:, RESOURCE] = tasks.resource
    rows[:, BUSY] = tasks.busy
    rows[:, LATENCY] = tasks.latency
    rows[:, PERIOD] = tasks.period
    rows[:, MISSING] = np.diff(tasks.offsets)
    rows[:, START] = NONE
    return nodes


def _work(tasks: int, resources: int) -> tuple[Ints, Ints, Ints, Numbers, Numbers, Ints]:
    """Queues, calendar, recent buckets, batch, called resources and state of a run to begin.

    They are as long as they can ever need to be, but memory that is never used is never touched.
    """
    queues = np.full((resources, 8), NONE, np.int64)
    queues[:, FREE] = 1
    queues[:, CALLED] = 0
    calendar = np.empty((tasks + resources + 1, 4), np.int64)
    batch = np.empty((2, tasks), np.int32)
    state = np.zeros(9, np.int64)
    state[[SPARE, JOINS]] = NONE
    recent = np.full(HASH, NONE, np.int64)
    return queues, calendar, recent, batch, np.empty(resources, np.int32), state


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


# The calendar -------------------------------------------------------------------------------


@compiled_part
def push(calendar: Ints, state: Ints, time: int, bucket: int) -> None:
    """Add a bucket to the heap."""
    place = state[HEAP]
    state[HEAP] += 1
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
def pop(calendar: Ints, state: Ints) -> int:
    """Take the earliest bucket from the heap and make it spare; its first node."""
    earliest = calendar[0, HEAP_BUCKET]
    state[HEAP] -= 1
    size = state[HEAP]
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
    node = calendar[earliest, FIRST]
    calendar[earliest, TIME] = NONE
    calendar[earliest, FIRST] = state[SPARE]
    state[SPARE] = earliest
    return int(node)


@compiled_part
def open_bucket(calendar: Ints, state: Ints, time: int) -> int:
    """Make an empty bucket for a time."""
    bucket = state[SPARE]
    if bucket == NONE:
        bucket = state[USED]
        state[USED] += 1
    else:
        state[SPARE] = calendar[bucket, FIRST]
    calendar[bucket, TIME] = time
    calendar[bucket, FIRST] = NONE
    push(calendar, state, time, bucket)
    return int(bucket)


@compiled_part
def expect(nodes: Ints, calendar: Ints, recent: Ints, state: Ints, time: int, node: int) -> None:
    """Put a node in the bucket of a time.

    Where two times share a hash the older bucket is forgotten, and its time may get a second one.
    """
    slot = time & (HASH - 1)
    bucket = recent[slot]
    if bucket == NONE or calendar[bucket, TIME] != time:
        bucket = open_bucket(calendar, state, time)
        recent[slot] = bucket
    nodes[node, LINK] = calendar[bucket, FIRST]
    calendar[bucket, FIRST] = node


# Tasks become ready ---------------------------------------------------------------------------


@compiled_part
def arrive(nodes: Ints, batch: Numbers, state: Ints, task: int, time: int) -> None:
    """A task is ready now: it goes to the batch, a join to the joins that finish now."""
    if nodes[task, RESOURCE] == JOIN:
        nodes[task, START] = time
        nodes[task, LINK] = state[JOINS]
        state[JOINS] = task
        return
    length = state[BATCH]
    if length > 0 and batch[0, length - 1] > task:
        state[UNSORTED] = 1
    batch[0, length] = task
    state[BATCH] = length + 1


@compiled_part
def let_go(
    nodes: Ints,
    periods: Ints,
    calendar: Ints,
    recent: Ints,
    batch: Numbers,
    state: Ints,
    task: int,
    time: int,
) -> None:
    """Nothing is missing for a task: it is ready now or on its next period."""
    numerator = periods[nodes[task, PERIOD], 0]
    denominator = periods[nodes[task, PERIOD], 1]
    when = time
    if numerator > denominator:
        when = align(time, numerator, denominator)
    nodes[task, READY] = when
    if when > time:
        expect(nodes, calendar, recent, state, when, task)
    else:
        arrive(nodes, batch, state, task, time)


@compiled_part
def release(
    nodes: Ints,
    waiting: Numbers,
    begin: int,
    end: int,
    periods: Ints,
    calendar: Ints,
    recent: Ints,
    batch: Numbers,
    state: Ints,
    time: int,
) -> None:
    """Let go of a stretch of the successor lists."""
    for edge in range(begin, end):
        task = waiting[edge]
        missing = nodes[task, MISSING] - 1
        nodes[task, MISSING] = missing
        if missing == 0:
            let_go(nodes, periods, calendar, recent, batch, state, task, time)


# The queues -----------------------------------------------------------------------------------


@compiled_part
def call(queues: Ints, called: Numbers, state: Ints, resource: int) -> None:
    """Let a resource choose in the next round."""
    if not queues[resource, CALLED]:
        queues[resource, CALLED] = 1
        called[state[CALLS]] = resource
        state[CALLS] += 1


@compiled_part
def enqueue(nodes: Ints, queues: Ints, state: Ints, task: int, time: int) -> None:
    """Put a task that is ready now in the queue of its resource."""
    resource = nodes[task, RESOURCE]
    tail = queues[resource, TAIL]
    as_late = tail != NONE and queues[resource, TAIL_READY] == time
    if as_late and tail > task:
        insert(nodes, queues, state, task)
        return
    if tail == NONE:
        queues[resource, HEAD] = task
    else:
        nodes[tail, LINK] = task
    if not as_late:
        queues[resource, BEFORE] = tail
        queues[resource, TAIL_READY] = time
    queues[resource, TAIL] = task
    nodes[task, LINK] = NONE


@compiled_part
def insert(nodes: Ints, queues: Ints, state: Ints, task: int) -> None:
    """Put a task among those of the same ready time, in front of the first with a greater number.

    A sorted batch goes on from where its last task was put, so all of it costs one walk.
    """
    resource = nodes[task, RESOURCE]
    before = queues[resource, BEFORE]
    if before != NONE and nodes[before, START] != NONE:
        before = NONE
    finger = queues[resource, FINGER]
    if queues[resource, FINGER_ROUND] == state[ROUND] and finger < task:
        before = finger
    after = queues[resource, HEAD] if before == NONE else nodes[before, LINK]
    while after < task:
        before, after = after, nodes[after, LINK]
    nodes[task, LINK] = after
    if before == NONE:
        queues[resource, HEAD] = task
    else:
        nodes[before, LINK] = task
    queues[resource, FINGER] = task
    queues[resource, FINGER_ROUND] = state[ROUND]


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
def queue_batch(
    nodes: Ints, queues: Ints, batch: Numbers, called: Numbers, state: Ints, time: int
) -> None:
    """Queue all tasks that have become ready, and call the free resources among theirs."""
    length = state[BATCH]
    if state[UNSORTED] and length > SHORT:
        sort(batch, length)
    state[ROUND] += 1
    for place in range(length):
        task = batch[0, place]
        enqueue(nodes, queues, state, task, time)
        if queues[nodes[task, RESOURCE], FREE]:
            call(queues, called, state, nodes[task, RESOURCE])
    state[BATCH] = 0
    state[UNSORTED] = 0


@compiled_part
def choose(nodes: Ints, queues: Ints, resource: int) -> int:
    """Take the first task of the queue of a resource, if it is free and one waits."""
    queues[resource, CALLED] = 0
    task = queues[resource, HEAD]
    if task == NONE or not queues[resource, FREE]:
        return NONE
    queues[resource, HEAD] = nodes[task, LINK]
    if queues[resource, HEAD] == NONE:
        queues[resource, TAIL] = NONE
    queues[resource, FREE] = 0
    return int(task)


# The run --------------------------------------------------------------------------------------


@compiled(
    "int64(int64[:, ::1], int32[::1], int32[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1],"
    " int64[::1], int32[:, ::1], int32[::1], int64[::1])",
    allocates=False,
)
def simulate(
    nodes: Ints,
    first: Numbers,
    waiting: Numbers,
    periods: Ints,
    queues: Ints,
    calendar: Ints,
    recent: Ints,
    batch: Numbers,
    called: Numbers,
    state: Ints,
) -> int:
    """Fill READY and START of every task; how many tasks ran."""
    tasks = len(nodes) - len(queues)
    for task in range(tasks):
        if nodes[task, MISSING] == 0:
            let_go(nodes, periods, calendar, recent, batch, state, task, 0)
    time = 0
    while True:
        # Joins that are ready finish, chains of them included; then a round, until all is still.
        while True:
            while state[JOINS] != NONE:
                join = state[JOINS]
                state[JOINS] = nodes[join, LINK]
                state[RAN] += 1
                release(
                    nodes, waiting, first[2 * join], first[2 * join + 2],
                    periods, calendar, recent, batch, state, time,
                )  # fmt: skip
            if state[BATCH] == 0 and state[CALLS] == 0:
                break
            queue_batch(nodes, queues, batch, called, state, time)
            for place in range(state[CALLS]):
                resource = called[place]
                task = choose(nodes, queues, resource)
                if task == NONE:
                    continue
                nodes[task, START] = time
                state[RAN] += 1
                busy, latency = nodes[task, BUSY], nodes[task, LATENCY]
                expect(nodes, calendar, recent, state, time + latency, task)
                if busy != latency:
                    expect(nodes, calendar, recent, state, time + busy, tasks + resource)
                release(
                    nodes, waiting, first[2 * task], first[2 * task + 1],
                    periods, calendar, recent, batch, state, time,
                )  # fmt: skip
            state[CALLS] = 0
        if state[HEAP] == 0:
            break
        time = calendar[0, HEAP_TIME]
        # All that happens at this time: tasks become ready or finish, resources become free.
        while state[HEAP] > 0 and calendar[0, HEAP_TIME] == time:
            node = pop(calendar, state)
            while node != NONE:
                following = nodes[node, LINK]
                if node >= tasks:
                    queues[node - tasks, FREE] = 1
                    call(queues, called, state, node - tasks)
                elif nodes[node, START] == NONE:
                    arrive(nodes, batch, state, node, time)
                else:
                    if nodes[node, BUSY] == nodes[node, LATENCY]:
                        queues[nodes[node, RESOURCE], FREE] = 1
                        call(queues, called, state, nodes[node, RESOURCE])
                    release(
                        nodes, waiting, first[2 * node + 1], first[2 * node + 2],
                        periods, calendar, recent, batch, state, time,
                    )  # fmt: skip
                node = following
    return int(state[RAN])
