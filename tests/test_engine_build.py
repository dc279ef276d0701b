"""The block builder lays out what a plain loop would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimarch.engine.build import NOTHING, After, Block, Edge, TableBuilder
from cimarch.engine.tasks import JOIN, Tasks

Edges = list[tuple[int, bool]]


def edges_of(tasks: Tasks, task: int) -> Edges:
    """(predecessor, after its start) of a task, sorted."""
    part = slice(tasks.offsets[task], tasks.offsets[task + 1])
    sources, starts = tasks.predecessors[part].tolist(), tasks.after_start[part].tolist()
    return sorted(zip(sources, starts, strict=True))


def test_a_block_repeated_numbers_its_tasks_block_by_block() -> None:
    table = TableBuilder()
    assert table.append(Block(resource=[3, 4], busy=[1, 2]), 3) == 0
    assert len(table) == 6
    tasks = table.build()
    assert tasks.resource.tolist() == [3, 4, 3, 4, 3, 4]
    assert tasks.busy.tolist() == tasks.latency.tolist() == [1, 2, 1, 2, 1, 2]


def test_an_edge_with_a_lag_is_missing_in_the_first_blocks() -> None:
    table = TableBuilder()
    table.append(Block(resource=[0], busy=1, edges=(Edge(0, 0, lag=2, after_start=True),)), 4)
    tasks = table.build()
    assert [edges_of(tasks, i) for i in range(4)] == [[], [], [(0, True)], [(1, True)]]


def test_an_outer_task_stands_in_for_the_blocks_before_the_first() -> None:
    table = TableBuilder()
    old = table.task(resource=0, busy=1)
    block = Block(resource=[0], busy=1, edges=(Edge(0, 0, lag=2),))
    table.append(block, 4, after=(After(0, old, blocks=2),))
    tasks = table.build()
    assert [edges_of(tasks, i + 1) for i in range(4)] == [
        [(0, False)],
        [(0, False)],
        [(1, False)],
        [(2, False)],
    ]


def test_each_block_may_wait_for_a_task_of_its_own_or_for_nothing() -> None:
    table = TableBuilder()
    table.append(Block(resource=[0], busy=1), 2)
    table.append(Block(resource=[0], busy=1), 4, after=(After(0, [1, NOTHING, 0]),))
    tasks = table.build()
    assert [edges_of(tasks, i) for i in range(2, 6)] == [[(1, False)], [], [(0, False)], []]


def test_one_block_may_wait_for_a_row_of_tasks() -> None:
    table = TableBuilder()
    table.append(Block(resource=[0], busy=1), 3)
    table.append(Block(resource=[JOIN], busy=0), 2, after=(After(0, [[0, 1, 2]]),))
    tasks = table.build()
    assert edges_of(tasks, 3) == [(0, False), (1, False), (2, False)]
    assert edges_of(tasks, 4) == []


def test_a_task_may_wait_for_one_appended_later() -> None:
    table = TableBuilder()
    table.task(resource=0, busy=1, predecessors=[2])
    table.append(Block(resource=[1], busy=1), 2)
    table.connect(1, 2, after_start=True)
    tasks = table.build()
    assert edges_of(tasks, 0) == [(2, False)]
    assert edges_of(tasks, 1) == [(2, True)]


def test_a_join_waits_for_starts_and_finishes() -> None:
    table = TableBuilder()
    table.append(Block(resource=[0], busy=1), 2)
    join = table.join([0], started=np.array([1]))
    tasks = table.build()
    assert tasks.resource[join] == JOIN
    assert edges_of(tasks, join) == [(0, False), (1, True)]


def test_further_columns_have_the_type_of_their_default() -> None:
    table = TableBuilder(columns={"operation": -1, "kind": np.int8(7)})
    table.task(resource=0, busy=1)
    block = Block(resource=[0, 0], busy=1, columns={"kind": [1, 2]})
    table.append(block, 2, columns={"operation": [[10], [11]]})
    assert table.column("operation").tolist() == [-1, 10, 10, 11, 11]
    assert table.column("kind").tolist() == [7, 1, 2, 1, 2]
    assert table.column("kind").dtype == np.int8


def test_blocks_may_differ_in_their_times() -> None:
    table = TableBuilder()
    table.append(Block(resource=[0, 1], busy=[[1, 2], [3, 4]], latency=9), 2)
    tasks = table.build()
    assert tasks.busy.tolist() == [1, 2, 3, 4]
    assert tasks.latency.tolist() == [9, 9, 9, 9]


def test_an_empty_table_is_a_table() -> None:
    assert len(TableBuilder().build()) == 0


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (Block(resource=[0], busy=1, edges=(Edge(0, 1),)), "slot 1 is outside 0..0"),
        (Block(resource=[0], busy=1, edges=(Edge(0, 0, lag=-1),)), "a negative lag"),
        (Block(resource=[0], busy=1, columns={"tile": 1}), "no column `tile`"),
        (Block(resource=[0], busy=0), "`busy` of task 0 is 0, not at least 1"),
        (Block(resource=[0], busy=1, period=1), r"`period` has 1..1, outside 0..0"),
        (Block(resource=[0], busy=1.5), "not whole numbers"),
        (Block(resource=[2**31], busy=1), "outside -2147483648..2147483647"),
        (Block(resource=0, busy=1), "`resource` of a block is a single number"),
        (Block(resource=[], busy=1), "a block has no slots"),
        (
            Block(resource=[0, 0], busy=[1, 2, 3]),
            r"`busy` has shape \(3,\), for 1 blocks of 2 slots",
        ),
        (
            Block(resource=[0], busy=[[1], [2]]),
            r"`busy` has shape \(2, 1\), for 1 blocks of 1 slots",
        ),
    ],
)
def test_misuse_is_a_value_error(block: Block, message: str) -> None:
    def build() -> None:
        table = TableBuilder()
        table.append(block)
        table.build()

    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (-2, r"a task to wait for is -2, outside 0\.\.2147483647"),
        (2**31, "a task to wait for is 2147483648, outside"),
        (0.5, "a task to wait for is no whole number"),
        (7, r"a predecessor is task 7, outside 0\.\.1"),
    ],
)
def test_waiting_for_what_is_no_task_is_a_value_error(source: int, message: str) -> None:
    def append() -> None:
        table = TableBuilder()
        table.append(Block(resource=[0], busy=1), 2, after=(After(0, source),))
        table.build()

    def connect() -> None:
        table = TableBuilder()
        table.append(Block(resource=[0], busy=1), 2)
        table.connect(0, source)
        table.build()

    for action in (append, connect):
        with pytest.raises(ValueError, match=message):
            action()


def test_an_extra_edge_of_no_task_is_a_value_error() -> None:
    table = TableBuilder()
    table.task(resource=0, busy=1)
    table.connect(1, 0)
    with pytest.raises(ValueError, match=r"an edge ends at task 1, outside 0\.\.0"):
        table.build()


# Random builds against a plain loop ---------------------------------------------------------

slots = st.integers(1, 4)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Block, int, tuple[After, ...]]:
    width, repeat = draw(slots), draw(st.integers(0, 5))
    slot, number = st.integers(0, width - 1), st.integers(NOTHING, 3)
    edge = st.builds(Edge, slot, slot, st.integers(0, 3), st.booleans())
    rows = draw(st.integers(0, 7))
    tasks = st.one_of(
        st.integers(0, 3),
        st.lists(number, max_size=7),
        st.lists(st.lists(number, min_size=2, max_size=2), min_size=rows, max_size=rows).map(
            lambda lists: np.array(lists, np.int64).reshape(-1, 2)
        ),
    )
    after = st.builds(After, slot, tasks, st.none() | st.integers(0, 6), st.booleans())
    resource = draw(st.lists(st.integers(0, 9), min_size=width, max_size=width))
    block = Block(resource=resource, busy=1, edges=tuple(draw(st.lists(edge, max_size=4))))
    return block, repeat, tuple(draw(st.lists(after, max_size=3)))


def lay_out(first: int, block: Block, repeat: int, after: tuple[After, ...]) -> list[Edges]:
    """The edges of every task of the blocks, by a plain loop."""
    lists: list[Edges] = [[] for _ in range(repeat * block.slots)]
    for n in range(repeat):
        for edge in block.edges:
            if n >= edge.lag:
                source = first + (n - edge.lag) * block.slots + edge.source
                lists[n * block.slots + edge.slot].append((source, edge.after_start))
        for each in after:
            tasks = np.asarray(each.tasks)
            if each.blocks is not None and n >= each.blocks:
                continue
            row = tasks.tolist() if tasks.ndim == 0 else tasks[n : n + 1].ravel().tolist()
            for source in row if isinstance(row, list) else [row]:
                if source != NOTHING:
                    lists[n * block.slots + each.slot].append((int(source), each.after_start))
    return [sorted(edges) for edges in lists]


singles = st.lists(st.integers(0, 3), max_size=3)


@given(
    st.lists(st.one_of(blocks(), singles), max_size=5),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=4),
)
def test_the_builder_lays_out_what_a_loop_would(
    parts: list[tuple[Block, int, tuple[After, ...]] | list[int]],
    extra: list[tuple[int, int, bool]],
) -> None:
    table = TableBuilder()
    table.append(Block(resource=[0], busy=1), 4)
    expected: list[Edges] = [[] for _ in range(4)]
    for part in parts:
        if isinstance(part, list):
            table.task(resource=1, busy=1, predecessors=part, started=part[:1])
            expected.append(sorted([(p, False) for p in part] + [(p, True) for p in part[:1]]))
        else:
            block, repeat, after = part
            expected += lay_out(len(table), block, repeat, after)
            table.append(block, repeat, after=after)
    for task, source, after_start in extra:
        table.connect(task, source, after_start=after_start)
        expected[task] = sorted([*expected[task], (source, after_start)])
    tasks = table.build()
    assert [edges_of(tasks, i) for i in range(len(tasks))] == expected
