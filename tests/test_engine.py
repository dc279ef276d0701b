"""A task table means the same, to the cycle, to every engine; each rule has its story."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import brute
from cimarch.engine import ENGINES, kernel, run
from cimarch.engine.compiled import compiled
from cimarch.engine.deadlock import Deadlock, find_cycle
from cimarch.engine.simpy_engine import run as observed
from cimarch.engine.tasks import JOIN, Tasks, Timeline, align
from random_tables import random_table
from tables import TableBuilder


def same(one: Timeline, other: Timeline) -> bool:
    """Whether two timelines say the same of every task and resource."""
    columns = ("ready", "start", "finish", "busy")
    equal = all(np.array_equal(getattr(one, c), getattr(other, c)) for c in columns)
    return equal and one.makespan == other.makespan


def agreed(tasks: Tasks) -> Timeline:
    """The timeline on which the engines agree, and which keeps the rules."""
    timeline = run(tasks, "fast")
    timeline.check(tasks)
    assert same(timeline, run(tasks, "simpy"))
    return timeline


def timeline_of(table: TableBuilder) -> Timeline:
    """The timeline on which the engines and the plain loop agree."""
    tasks = table.build()
    timeline = agreed(tasks)
    assert same(timeline, brute.run(tasks))
    return timeline


@pytest.fixture
def table() -> TableBuilder:
    return TableBuilder(periods=((1, 1), (120, 1), (6, 5), (2, 3)))


# Stories: each number is worked out by hand -----------------------------------------------------


def test_a_chain_takes_the_sum_of_its_latencies(table: TableBuilder) -> None:
    last = table.task(resource=0, busy=2, latency=5)
    for latency in (3, 4):
        last = table.task(resource=1, busy=1, latency=latency, predecessors=[last])
    timeline = timeline_of(table)
    assert timeline.start.tolist() == [0, 5, 8]
    assert timeline.makespan == 12
    assert timeline.busy.tolist() == [2, 2]


def test_a_resource_is_free_before_its_task_has_finished(table: TableBuilder) -> None:
    for _ in range(3):
        table.task(resource=0, busy=2, latency=10)
    timeline = timeline_of(table)
    assert timeline.start.tolist() == [0, 2, 4]
    assert timeline.makespan == 14


def test_a_task_may_finish_before_its_resource_is_free(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=10, latency=2)
    table.task(resource=1, busy=1, predecessors=[first])
    table.task(resource=0, busy=1, predecessors=[first])
    assert timeline_of(table).start.tolist() == [0, 2, 10]


def test_of_tasks_ready_at_once_the_lowest_number_is_first(table: TableBuilder) -> None:
    gate = table.task(resource=1, busy=1)
    for _ in range(3):
        table.task(resource=0, busy=1, predecessors=[gate])
    assert timeline_of(table).start.tolist() == [0, 1, 2, 3]


def test_the_first_to_be_ready_is_the_first_to_be_served(table: TableBuilder) -> None:
    table.task(resource=0, busy=10)
    early, late = (table.task(resource=r, busy=busy) for r, busy in ((1, 3), (2, 5)))
    table.task(resource=0, busy=1, predecessors=[late])
    table.task(resource=0, busy=1, predecessors=[early])
    assert timeline_of(table).start.tolist() == [0, 0, 0, 11, 10]


def test_a_task_that_becomes_ready_as_the_resource_becomes_free_takes_part(
    table: TableBuilder,
) -> None:
    first = table.task(resource=0, busy=4)
    table.task(resource=0, busy=1, predecessors=[first])
    table.task(resource=0, busy=1, predecessors=[first])
    assert timeline_of(table).start.tolist() == [0, 4, 5]


def test_an_edge_after_start_lets_both_run_side_by_side(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=7)
    table.task(resource=1, busy=7, started=[first])
    timeline = timeline_of(table)
    assert timeline.start.tolist() == [0, 0]
    assert timeline.makespan == 7


def test_a_chain_of_starts_happens_in_one_cycle(table: TableBuilder) -> None:
    last = table.task(resource=9, busy=1)
    for resource in reversed(range(9)):
        last = table.task(resource=resource, busy=1, started=[last])
    timeline = timeline_of(table)
    assert timeline.start.tolist() == [0] * 10
    assert timeline.makespan == 1


def test_what_a_start_makes_ready_waits_for_the_next_round(table: TableBuilder) -> None:
    """Task 2 starts in the first round; what it makes ready, task 0, is too late for resource 1."""
    table.task(resource=1, busy=5, started=[2])
    table.task(resource=1, busy=5)
    table.task(resource=0, busy=1)
    timeline = timeline_of(table)
    assert timeline.ready.tolist() == [0, 0, 0]
    assert timeline.start.tolist() == [5, 0, 0]


def test_a_join_takes_no_time_and_no_resource(table: TableBuilder) -> None:
    parts = [table.task(resource=r, busy=r + 1) for r in range(3)]
    join = table.join(parts)
    table.task(resource=0, busy=1, predecessors=[join])
    timeline = timeline_of(table)
    assert [c[join] for c in (timeline.ready, timeline.start, timeline.finish)] == [3, 3, 3]
    assert timeline.start[-1] == 3
    assert timeline.busy.tolist() == [2, 2, 3]


def test_a_chain_of_joins_comes_before_the_grants_of_its_cycle(table: TableBuilder) -> None:
    """Ten joins after the finish of task 0, task 1 takes part in the grant of that cycle."""
    table.task(resource=0, busy=3)
    table.task(resource=0, busy=1, predecessors=[12])
    table.task(resource=0, busy=1, predecessors=[0])
    for before in (0, *range(3, 12)):
        table.join([before])
    assert timeline_of(table).start.tolist()[:3] == [0, 3, 4]


def test_a_join_after_a_start_does_not_wait_for_the_finish(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=8)
    join = table.join([], started=[first])
    table.task(resource=1, busy=1, predecessors=[join])
    assert timeline_of(table).start.tolist() == [0, 0, 0]


def test_a_join_without_predecessors_happens_at_once(table: TableBuilder) -> None:
    table.join([])
    timeline = timeline_of(table)
    assert timeline.makespan == 0
    assert timeline.busy.tolist() == []


def test_a_task_is_ready_only_on_its_period(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=1)
    table.task(resource=0, busy=7, predecessors=[first], period=1)
    table.task(resource=0, busy=1, period=1)
    timeline = timeline_of(table)
    assert timeline.ready.tolist() == [0, 120, 0]
    assert timeline.start.tolist() == [0, 120, 1]


def test_a_period_that_is_no_whole_number_falls_on_the_cycle_after(table: TableBuilder) -> None:
    """Multiples of 6/5: 0, 1.2, 2.4, 3.6, 4.8, 6 fall on the cycles 0, 2, 3, 4, 5, 6."""
    for delay in range(1, 8):
        last = table.task(resource=0, busy=1, latency=delay)
        table.task(resource=1, busy=1, predecessors=[last], period=2)
    ready = timeline_of(table).ready.tolist()[1::2]
    # task 2i starts at i, and finishes at 2i + 1: 1, 3, 5, 7, 9, 11, 13
    assert ready == [2, 3, 5, 8, 9, 11, 14]


def test_a_period_below_a_cycle_is_every_cycle(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=5)
    table.task(resource=0, busy=1, predecessors=[first], period=3)
    assert timeline_of(table).ready.tolist() == [0, 5]


def test_a_join_may_have_a_period(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=1)
    beat = table.task(resource=JOIN, busy=0, predecessors=[first], period=1)
    table.task(resource=0, busy=1, predecessors=[beat])
    table.task(resource=0, busy=200)
    assert timeline_of(table).start.tolist() == [0, 120, 201, 1]


def test_a_wait_for_the_same_task_twice_is_one_wait(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=2)
    table.task(resource=1, busy=1, predecessors=[first, first], started=[first])
    assert timeline_of(table).start.tolist() == [0, 2]


def test_nothing_to_do_takes_no_time(table: TableBuilder) -> None:
    assert timeline_of(table).makespan == 0


def test_a_late_batch_is_put_in_order_of_number(table: TableBuilder) -> None:
    """200 tasks become ready at once in an order far from their own; they start in their own."""
    order = np.random.default_rng(0).permutation(200)
    for first in 200 + np.argsort(order):
        table.task(resource=0, busy=1, predecessors=[first])
    for place in range(200):
        table.task(resource=1 + place, busy=1, latency=300)
    timeline = timeline_of(table)
    assert timeline.start[:200].tolist() == list(range(300, 500))


@pytest.mark.parametrize("period", [(1, 1), (6, 5), (120, 1), (7, 3), (2, 3), (1, 4)])
def test_align_finds_the_first_multiple(period: tuple[int, int]) -> None:
    numerator, denominator = period
    multiples = {-(-k * numerator // denominator) for k in range(2000)}
    for time in range(300):
        assert align(time, *period) == min(m for m in multiples if m >= time)


# The observer -----------------------------------------------------------------------------------


def test_the_observer_hears_all_in_order(table: TableBuilder) -> None:
    first = table.task(resource=0, busy=2)
    table.join([first])
    table.task(resource=0, busy=1)
    log: list[tuple[int, str, int]] = []
    observed(table.build(), lambda *event: log.append(event))
    assert log == [
        (0, "ready", 0),
        (0, "ready", 2),
        (0, "start", 0),
        (2, "finish", 0),
        (2, "ready", 1),
        (2, "start", 1),
        (2, "finish", 1),
        (2, "start", 2),
        (3, "finish", 2),
    ]


# Cycles -----------------------------------------------------------------------------------------


def circle(*sources: int) -> Tasks:
    """Task i waits for the start of `sources[i]`; a negative one is none."""
    table = TableBuilder()
    for source in sources:
        table.task(resource=0, busy=1, started=[source] if source >= 0 else [])
    return table.build()


@pytest.mark.parametrize("engine", ENGINES)
def test_tasks_that_wait_in_a_circle_are_named(engine: str) -> None:
    with pytest.raises(Deadlock, match="3 tasks wait for each other: 1 -> 4 -> 2 -> 1") as caught:
        run(circle(-1, 4, 1, 2, 2, -1), engine)
    assert caught.value.cycle == (1, 4, 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_task_that_waits_for_itself_is_a_circle(engine: str) -> None:
    with pytest.raises(Deadlock, match="1 task waits for itself: 1"):
        run(circle(-1, 1), engine)


def test_waiting_for_a_higher_number_alone_is_no_circle() -> None:
    tasks = circle(1, 2, -1)
    assert find_cycle(tasks) == ()
    assert agreed(tasks).start.tolist() == [2, 1, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_a_cycle_found_is_one_and_none_is_missed(seed: int, size: int) -> None:
    tasks = random_table(np.random.default_rng(seed), size, acyclic=False)
    cycle = find_cycle(tasks)
    edges = {
        (task, int(source))
        for task in range(size)
        for source in tasks.predecessors[tasks.offsets[task] : tasks.offsets[task + 1]]
    }
    assert all(edge in edges for edge in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    if cycle:
        with pytest.raises(Deadlock):
            run(tasks)
    else:
        agreed(tasks)


# Misuse -----------------------------------------------------------------------------------------

GOOD = circle(-1, 0)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("busy", [1, 0], "`busy` of task 1 is 0, not at least 1"),
        ("latency", [-5, 1], "`latency` of task 0 is -5, not at least 1"),
        ("resource", [0, JOIN], "`busy` of task 1 is 1, not 0, as it is a join"),
        ("resource", [0, -2], "a task has resource -2, below -1"),
        ("busy", [1, 2**62], "may add up to more than"),
        ("offsets", [0, 2, 1], "`offsets` does not climb from 0 to 1"),
        ("offsets", [0, 1], "`offsets` is int64 of shape"),
        ("predecessors", [2], r"a predecessor is task 2, outside 0\.\.1"),
        ("predecessors", [-1], r"a predecessor is task -1, outside 0\.\.1"),
        ("period", [0, 1], r"`period` has 0\.\.1, outside 0\.\.0"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_bad_table_is_refused(engine: str, column: str, values: list[int], message: str) -> None:
    kind = getattr(GOOD, column).dtype
    with pytest.raises(ValueError, match=message):
        run(attrs.evolve(GOOD, **{column: np.array(values, kind)}), engine)


def test_a_column_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`busy` is float64 of shape \(2,\), not int64"):
        run(attrs.evolve(GOOD, busy=np.ones(2)))


@pytest.mark.parametrize("period", [(0, 1), (1, 0), (-6, 5)])
def test_a_period_must_be_positive(period: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not positive"):
        run(attrs.evolve(GOOD, periods=(period,)))


def test_a_table_that_cannot_be_written_to_runs_and_stays_as_it_was() -> None:
    tasks = circle(-1, 0, 1)
    for column in attrs.fields_dict(Tasks):
        if column != "periods":
            getattr(tasks, column).flags.writeable = False
    assert agreed(tasks).start.tolist() == [0, 1, 2]


# Timeline.check ---------------------------------------------------------------------------------


def spoilt() -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Timelines of three tasks of 2 cycles on one resource, the third after the first."""
    yield "task 2 is ready at 0, not at 2", {"ready": [0, 0, 0]}
    yield "holds two tasks at once", {"start": [0, 1, 4], "finish": [2, 3, 6]}
    yield "waits while its resource is free", {"start": [0, 2, 5], "finish": [2, 4, 7]}
    yield "does not finish its latency after", {"finish": [2, 4, 9]}
    yield "the cycles held are not those", {"busy": [5]}
    yield (
        "overtakes another with a lower number",
        {
            "start": [2, 0, 4],
            "finish": [4, 2, 6],
            "ready": [0, 0, 4],
        },
    )


@pytest.mark.parametrize(("message", "changes"), list(spoilt()))
def test_an_illegal_timeline_is_found(message: str, changes: dict[str, list[int]]) -> None:
    table = TableBuilder()
    for predecessors in ([], [], [0]):
        table.task(resource=0, busy=2, predecessors=predecessors)
    tasks = table.build()
    timeline = agreed(tasks)
    columns = {name: np.array(values, np.int64) for name, values in changes.items()}
    makespan = int(columns.get("finish", timeline.finish).max())
    bad = attrs.evolve(timeline, **columns, makespan=makespan)
    with pytest.raises(AssertionError, match=message):
        bad.check(tasks)


def test_overtaking_one_that_was_ready_before_is_found() -> None:
    table = TableBuilder()
    gate = table.task(resource=1, busy=1)
    table.task(resource=0, busy=3)
    table.task(resource=0, busy=1, predecessors=[gate])
    table.task(resource=0, busy=1)
    tasks = table.build()
    timeline = agreed(tasks)
    assert timeline.start.tolist() == [0, 0, 4, 3]
    start = np.array([0, 0, 3, 4])
    bad = attrs.evolve(timeline, start=start, finish=start + tasks.latency)
    with pytest.raises(AssertionError, match="overtakes one that was ready before it"):
        bad.check(tasks)


# Random tables ----------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 4))
def test_fast_simpy_and_a_plain_loop_agree_on_any_table(seed: int, size: int, longest: int) -> None:
    tasks = random_table(np.random.default_rng(seed), size, longest=longest)
    assert same(agreed(tasks), brute.run(tasks))


@pytest.mark.parametrize("seed", range(4))
def test_fast_and_simpy_agree_on_larger_tables(seed: int) -> None:
    agreed(random_table(np.random.default_rng(seed), 1500, longest=1 + 20 * seed))


@pytest.mark.long
def test_ten_thousand_tables_and_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of them by all three, half larger ones by the two engines."""
    tables = int(os.environ.get("CIMARCH_TABLES", "12000"))
    total = 0
    for seed in range(tables):
        rng = np.random.default_rng([7, seed])
        small = seed % 2 == 0
        size = int(rng.integers(1, 50)) if small else int(np.exp(rng.uniform(4, 7.6)))
        tasks = random_table(
            rng, size, longest=int(rng.choice([1, 2, 3, 10, 1000])) if not small else 3
        )
        timeline = agreed(tasks)
        if small:
            assert same(timeline, brute.run(tasks)), seed
        total += size
    with capsys.disabled():
        print(f"\n{tables} random tables, {total} tasks: the engines agree on all of them")


# What an engine is made of ----------------------------------------------------------------------


def test_the_engines_are_imported_only_when_they_run() -> None:
    code = (
        "import sys, cimarch.engine, cimarch.engine.pieces;"
        "sys.exit(bool({'numba', 'simpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_function_without_a_place_for_its_code_is_compiled_all_the_same() -> None:
    """What is made by `exec` has no file, and so no folder where numba could keep its code."""
    namespace: dict[str, Callable[[int], int]] = {}
    exec("def double(number): return 2 * number", namespace)
    assert compiled("int64(int64)")(namespace["double"])(21) == 42


@pytest.mark.parametrize("length", [0, 1, 2, 3, 49, 1000])
def test_a_batch_is_sorted(length: int) -> None:
    numbers = np.random.default_rng(length).permutation(length)
    rows = np.stack([numbers, numbers + 1000, numbers + 2000], 1)
    batch = np.stack([rows, np.zeros_like(rows)])
    kernel.sort(batch, length)
    assert batch[0].tolist() == [[n, n + 1000, n + 2000] for n in range(length)]
