"""Pieces mean what their table means; the engine runs them in memory of what is under way."""

from __future__ import annotations

import os

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import brute
from cimarch.engine import Outcome, layout, run, run_work
from cimarch.engine.deadlock import Deadlock, find_cycle
from cimarch.engine.edges import Edge
from cimarch.engine.expand import expand
from cimarch.engine.outcome import NEVER, outcome
from cimarch.engine.pieces import NOTHING, Link, Piece, Template, Work
from cimarch.engine.tasks import JOIN
from random_works import random_work
from test_engine import same

WINDOW = Template.of(
    resource=[0, 1, 2],
    busy=[2, 5, 4],
    edges=(Edge(1, 0), Edge(2, 1), Edge(1, 2, lag=1, after_start=True)),
    gates=1,
    opens=((0, 0),),
)
"""Fetch, read and convert; a gate before the fetch."""


def alike(one: Outcome, other: Outcome) -> None:
    """Assert that two outcomes say the same but for what the engine needed."""
    for name in ("busy", "first_start", "last_finish", "gates"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.makespan, one.peak) == (other.makespan, other.peak)
    assert len(one.slots) == len(other.slots)
    for mine, theirs in zip(one.slots, other.slots, strict=True):
        for name in attrs.fields_dict(type(mine)):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name


def agreed(work: Work, weights: object = 1) -> Outcome:
    """The outcome on which the engines and the plain loop agree, a legal run of the table."""
    tasks = expand(work)
    found = run_work(work, weights=weights, record=True)
    found.timeline.check(tasks)
    assert same(found.timeline, brute.run(tasks))
    reference = run_work(work, "simpy", weights=weights, record=True)
    assert same(found.timeline, reference.timeline)
    alike(found, reference)
    alike(found, run_work(work, weights=weights))
    return found


def ten_windows(cut: int = 0) -> Work:
    """Ten windows that wait for a write of 100 cycles."""
    write = Piece(Template.of(resource=[1], busy=[100]))
    return Work((write, Piece(WINDOW, 10, cut, links=(Link(0, 0, 0, [0] * 10),))))


# Stories --------------------------------------------------------------------------------------


def test_windows_behind_a_write_take_fill_and_nine_times_the_slowest_stage() -> None:
    found = agreed(ten_windows())
    assert found.makespan == 100 + (2 + 5 + 4) + 9 * 5
    assert found.gates.tolist() == [100] * 10
    assert found.first_start.tolist() == [0, 100]
    assert found.last_finish.tolist() == [100, 156]
    assert found.slots[1].first_start.tolist() == [100, 102, 107]
    assert found.slots[1].last_finish.tolist() == [120, 152, 156]
    assert found.slots[1].waited.tolist() == [2 * sum(range(10)), 0, 0]


def test_what_is_cut_off_the_last_block_is_not_there() -> None:
    found = agreed(ten_windows(cut=2))
    assert found.busy.tolist() == [10 * 2, 100 + 9 * 5, 9 * 4]
    assert found.makespan == 100 + 2 + 9 * 5 + 4


def test_a_gate_of_slots_that_are_cut_off_opens_all_the_same() -> None:
    template = Template.of(resource=[0, 0], busy=[1, 1], gates=1, opens=((1, 0),))
    first = Piece(Template.of(resource=[1], busy=[7]))
    found = agreed(Work((first, Piece(template, 2, 1, (Link(0, 0, 0, [NOTHING, 0]),)))))
    assert found.gates.tolist() == [0, 7]


def test_a_gate_without_links_opens_at_once() -> None:
    assert agreed(Work((Piece(WINDOW, 2),))).gates.tolist() == [0, 0]


def test_a_gate_waits_for_all_its_links_and_for_pieces_that_come_later() -> None:
    links = (Link(0, 1, 0, [0, 2]), Link(0, 1, 0, [1, NOTHING]))
    later = Piece(Template.of(resource=[3], busy=[10]), 3)
    found = agreed(Work((Piece(WINDOW, 2, links=links), later)))
    assert found.gates.tolist() == [20, 30]


def test_a_piece_may_wait_for_its_own_earlier_blocks() -> None:
    found = agreed(Work((Piece(WINDOW, 3, links=(Link(0, 0, 2, [NOTHING, 0, 1]),)),)))
    assert found.gates.tolist() == [0, 11, 22]
    assert found.makespan == 33


def test_ties_between_pieces_go_to_the_lower_number() -> None:
    one = Template.of(resource=[0], busy=[1], gates=1, opens=((0, 0),))
    write = Piece(Template.of(resource=[1], busy=[4]))
    links = (Link(0, 2, 0, [0, 0]),)
    found = agreed(Work((Piece(one, 2, links=links), Piece(one, 2, links=links), write)))
    assert found.first_start.tolist() == [4, 6, 0]
    assert found.timeline.start.tolist()[:4] == [4, 5, 6, 7]


def test_the_peak_counts_what_is_held_at_once() -> None:
    """Three windows: fetch, read and convert of three windows hold all three resources at once."""
    weights = [1, 10, 100]
    assert agreed(Work((Piece(WINDOW, 1),)), weights).peak == 100
    assert agreed(Work((Piece(WINDOW, 3),)), weights).peak == 110
    assert run_work(Work((Piece(WINDOW, 3),))).peak == 0


def test_what_a_task_leaves_free_is_taken_at_that_time_and_not_counted_twice() -> None:
    work = Work((Piece(Template.of(resource=[0, 0], busy=[2, 2])),))
    assert agreed(work).peak == 1


def test_a_slot_and_a_piece_without_tasks_never_start() -> None:
    found = agreed(Work((Piece(WINDOW, 1, cut=2), Piece(WINDOW, 0))))
    assert found.slots[0].first_start.tolist() == [0, NEVER, NEVER]
    assert found.slots[0].last_finish.tolist() == [2, NEVER, NEVER]
    assert found.first_start.tolist() == [0, NEVER]
    assert found.last_finish.tolist() == [2, NEVER]


def test_a_table_may_have_a_longer_period_first() -> None:
    template = Template.of(resource=[0, 1], busy=[3, 1], edges=(Edge(1, 0),))
    tasks = attrs.evolve(expand(Work((Piece(template),))), periods=((10, 1),))
    assert same(run(tasks), brute.run(tasks))
    assert run(tasks).makespan == 11


def test_no_pieces_take_no_time() -> None:
    assert agreed(Work(())).makespan == 0


# Memory ---------------------------------------------------------------------------------------


def test_blocks_one_after_the_other_need_the_memory_of_two() -> None:
    """A block begins when the one before it has finished, and is remembered from then on."""
    slots = 20
    chain = (*(Edge(s, s - 1) for s in range(1, slots)), Edge(0, slots - 1, lag=1))
    work = Work((Piece(Template.of(resource=[0] * slots, busy=[1] * slots, edges=chain), 500),))
    found = run_work(work)
    assert found.makespan == 500 * slots
    assert found.most_rows == 2 * slots


def test_a_gate_that_opens_early_needs_no_memory_while_its_slots_wait_for_more() -> None:
    """The second gate of block k opens when block k - 1 is over; the first opened at 4."""
    template = Template.of(resource=[0], busy=[1], gates=2, opens=((0, 0), (0, 1)))
    before = np.arange(100) - 1
    links = (Link(0, 1, 0, [0] * 100), Link(1, 0, 0, before))
    work = Work((Piece(template, 100, links=links), Piece(Template.of(resource=[1], busy=[4]))))
    found = agreed(work)
    assert found.gates[0:6:2].tolist() == [4, 4, 4]
    assert found.makespan == 104
    assert found.most_rows <= 3


def test_a_frame_serves_any_template_of_its_size() -> None:
    """Two templates of 9 and 10 slots, one piece after the other: frames for 10 slots, twice."""

    def chain(slots: int) -> Template:
        edges = (*(Edge(s, s - 1) for s in range(1, slots)), Edge(0, slots - 1, lag=1))
        return Template.of(
            resource=[0] * slots, busy=[1] * slots, edges=edges, gates=1, opens=((0, 0),)
        )

    links = (Link(0, 0, 8, [49] * 50),)
    found = agreed(Work((Piece(chain(9), 50), Piece(chain(10), 50, links=links))))
    assert found.makespan == 50 * 9 + 50 * 10
    assert found.most_rows == 2 * 10


def test_more_under_way_than_there_is_memory_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tasks that wait for nothing are all ready at 0; there is room for 64."""
    monkeypatch.setattr(layout, "most_rows", lambda: 64)
    work = Work((Piece(Template.of(resource=[0], busy=[1]), 100),))
    with pytest.raises(MemoryError, match="more than 64 tasks are under way at once, 104 bytes"):
        run_work(work)
    assert run_work(Work((Piece(Template.of(resource=[0], busy=[1]), 64),))).makespan == 64


# Circles --------------------------------------------------------------------------------------


def test_gates_that_wait_in_a_circle_are_named_by_the_numbers_of_the_table() -> None:
    """Task 0 waits for gate 2 and this for task 1, which waits for gate 3 and this for task 0."""
    one = Template.of(resource=[0], busy=[1], gates=1, opens=((0, 0),))
    work = Work((Piece(one, links=(Link(0, 1, 0, [0]),)), Piece(one, links=(Link(0, 0, 0, [0]),))))
    for engine in ("fast", "simpy"):
        with pytest.raises(Deadlock, match="4 tasks wait for each other: 0 -> 2 -> 1 -> 3 -> 0"):
            run_work(work, engine)


def test_a_circle_is_found_behind_a_long_piece() -> None:
    one = Template.of(resource=[0], busy=[1], gates=1, opens=((0, 0),))
    links = (Link(0, 0, 0, np.r_[np.full(999_999, NOTHING), 999_999]),)
    with pytest.raises(Deadlock) as caught:
        run_work(Work((Piece(one, 10**6, links=links),)))
    assert caught.value.cycle == (999_999, 1_999_999)


@settings(max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_the_circle_named_is_that_of_the_table(seed: int) -> None:
    work = random_work(np.random.default_rng(seed), acyclic=False)
    cycle = find_cycle(expand(work))
    if not cycle:
        agreed(work)
        return
    with pytest.raises(Deadlock) as caught:
        run_work(work)
    assert caught.value.cycle == cycle


# Misuse ---------------------------------------------------------------------------------------


def piece(template: Template = WINDOW, **changes: object) -> Work:
    return Work((Piece(template, **changes),))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (piece(repeat=-1), "repeated -1 times, less than 0, in piece 0"),
        (piece(cut=3), r"`cut` is 3, outside 0\.\.2"),
        (piece(cut=-1), r"`cut` is -1, outside 0\.\.2"),
        (piece(repeat=0, cut=1), r"`cut` is 1, outside 0\.\.0"),
        (piece(links=(Link(1, 0, 0, [0]),)), r"a gate of a link is 1, outside 0\.\.0"),
        (piece(links=(Link(0, 1, 0, [0]),)), r"a piece of a link is 1, outside 0\.\.0"),
        (piece(links=(Link(0, 0, 3, [0]),)), r"`source` of a link is 3, outside 0\.\.2"),
        (piece(links=(Link(0, 0, 0, [1]),)), r"a block of a link is 1, outside -1\.\.0"),
        (piece(links=(Link(0, 0, 0, [0, 0]),)), r"a link has \(2,\) blocks, not \(1,\)"),
        (piece(Template.of(resource=[0], busy=[0])), "`busy` of slot 0 is 0, not at least 1"),
        (piece(Template.of(resource=[JOIN], busy=[1])), "not 0, as it is a join, in template 0"),
        (piece(Template.of(resource=[-2], busy=[1])), "a resource is -2, below -1"),
        (piece(Template.of(resource=[0], busy=[1, 1])), r"`busy` has shape \(2,\), not \(1,\)"),
        (piece(Template.of(resource=[0], busy=[1], period=1)), r"`period` is 1, outside 0\.\.0"),
        (piece(Template.of(resource=[0], busy=[1], opens=((0, 0),))), r"a gate is 0, outside"),
        (piece(attrs.evolve(WINDOW, opens=np.array([[3, 0]]))), "waits for a gate is 3, outside"),
        (
            piece(Template.of(resource=[0], busy=[1], edges=(Edge(0, 1, lag=1),))),
            r"`source` of an edge is 1, outside 0\.\.0",
        ),
        (
            piece(Template.of(resource=[0], busy=[1], edges=(Edge(0, 0, lag=-1),))),
            "a lag is -1, outside",
        ),
        (Work((), ((3, 2),)), "the first period, that of gates, is 3/2, more than a cycle"),
        (Work((), ((0, 1),)), "the period 0/1 is not positive"),
        (piece(Template.of(resource=[0], busy=[2**61]), repeat=2), "may add up to more than"),
        (piece(repeat=2**31), "the work has 2147483648 gates, more than 2147483647"),
    ],
)
@pytest.mark.parametrize("engine", ["fast", "simpy"])
def test_a_bad_work_is_refused(work: Work, message: str, engine: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_work(work, engine)


# Random works ---------------------------------------------------------------------------------


@settings(max_examples=400)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_pieces_mean_what_their_table_means(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    agreed(random_work(rng, longest=longest), rng.integers(-1, 4, 8)[:1])


@pytest.mark.long
def test_ten_thousand_works_and_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of them small, by all three; half with more blocks, by the two engines."""
    works, total = int(os.environ.get("CIMARCH_WORKS", "12000")), 0
    for seed in range(works):
        rng = np.random.default_rng([11, seed])
        if seed % 2:
            work = random_work(rng, longest=int(rng.choice([1, 2, 3])))
            agreed(work, rng.integers(0, 4))
        else:
            work = random_work(rng, longest=int(rng.choice([1, 3, 10, 100])), blocks=40)
            found, tasks = run_work(work, record=True), expand(work)
            found.timeline.check(tasks)
            alike(found, run_work(work, "simpy"))
            alike(found, outcome(work, found.timeline))
        total += len(work)
    with capsys.disabled():
        print(f"\n{works} random works, {total} tasks: the engines agree on all of them")
