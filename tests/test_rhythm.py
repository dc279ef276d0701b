"""What repeats is added up, not run, and the outcome is the same."""

from __future__ import annotations

import os
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimarch.engine import lockstep, rhythm, run_work
from cimarch.engine.deadlock import Deadlock
from cimarch.engine.edges import Edge
from cimarch.engine.pieces import NOTHING, Link, Piece, Template, Work
from random_works import laned, pipeline
from test_pieces import WINDOW, agreed, alike, ten_windows


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after every block, however little it is."""
    monkeypatch.setattr(rhythm, "LEAST", 0)
    monkeypatch.setattr(rhythm, "DEAR", 0)


def skipped(work: Work) -> int:
    """How many tasks were skipped, with the outcome of running every one."""
    found, whole = run_work(work, weights=1), run_work(work, weights=1, reduce=False)
    alike(found, whole)
    assert whole.skipped == 0
    return found.skipped


def row(busy: int, *, resource: int = 0, before: int = 1) -> Template:
    """One task, after the one of some blocks before; it waits for a gate of rows, and of room."""
    return Template.of(
        resource=[resource],
        busy=[busy],
        edges=(Edge(0, 0, lag=before),),
        gates=2,
        opens=((0, 0), (0, 1)),
    )


def rows_of(number: int, rows: np.ndarray, *, gate: int = 0) -> Link:
    return Link(gate, number, 0, rows)


@pytest.mark.usefixtures("eager")
def test_windows_one_after_the_other_are_run_a_few_times() -> None:
    chain = (Edge(1, 0), Edge(2, 1), Edge(0, 2, lag=1))
    work = Work((Piece(Template.of(resource=[0, 1, 2], busy=[2, 5, 4], edges=chain), 1000),))
    assert run_work(work).makespan == 1000 * 11
    assert skipped(work) > 2900


def test_a_million_windows_cost_a_few_thousand() -> None:
    chain = (Edge(1, 0), Edge(2, 1), Edge(0, 1, lag=1), Edge(1, 2, lag=1, after_start=True))
    template = Template.of(resource=[0, 1, 2], busy=[2, 5, 4], edges=chain)
    found = run_work(Work((Piece(template, 10**6),)))
    assert found.makespan == 7 * 10**6 + 4
    assert found.busy.tolist() == [2 * 10**6, 5 * 10**6, 4 * 10**6]
    assert found.skipped > 0.95 * 3 * 10**6
    assert found.slots[0].last_finish.tolist() == [7 * 10**6 - 5, 7 * 10**6, 7 * 10**6 + 4]


@pytest.mark.usefixtures("eager")
def test_two_layers_keep_step_row_by_row() -> None:
    """Every second row of the first makes one of the second; gates open every 10 cycles."""
    second = 2 * np.arange(400) + 1
    first = Piece(row(5), 800)
    work = Work((first, Piece(row(3, resource=1), 400, links=(rows_of(0, second),))))
    assert run_work(work).gates.reshape(-1, 2)[800:, 0].tolist() == [*range(10, 4001, 10)]
    assert skipped(work) > 1000


@pytest.mark.usefixtures("eager")
def test_room_for_few_rows_slows_the_first_layer_down() -> None:
    """The second takes 9 a row, the first waits until there is room: row k for the end of k - 4."""
    room = np.maximum(NOTHING, np.arange(300) - 4)
    first = Piece(row(5), 300, links=(rows_of(1, room, gate=1),))
    work = Work((first, Piece(row(9, resource=1), 300, links=(rows_of(0, np.arange(300)),))))
    assert run_work(work).makespan == 5 + 300 * 9
    assert skipped(work) > 500


@pytest.mark.usefixtures("eager")
def test_a_barrier_that_waits_for_every_row_comes_nearer_with_each() -> None:
    barrier = tuple(rows_of(0, [k]) for k in range(300))
    work = Work((Piece(row(5), 300), Piece(row(1), 1, links=barrier)))
    assert run_work(work).last_finish.tolist() == [1500, 1501]
    assert skipped(work) > 250


@pytest.mark.usefixtures("eager")
def test_a_link_out_of_step_ends_the_rhythm_for_a_while() -> None:
    rows = np.arange(300)
    rows[150] = 290
    links = (rows_of(0, rows),)
    work = Work((Piece(row(5), 300), Piece(row(3, resource=1), 300, links=links)))
    assert 300 < skipped(work) < 580


@pytest.mark.usefixtures("eager")
def test_gates_that_opened_long_ago_stay_as_they_are() -> None:
    write = Piece(Template.of(resource=[1], busy=[7]))
    links = (rows_of(0, np.zeros(300, np.int64)),)
    work = Work((write, Piece(row(5), 300, links=links)))
    assert set(run_work(work).gates.tolist()) == {0, 7}
    assert skipped(work) > 250


@pytest.mark.usefixtures("eager")
def test_a_rhythm_takes_whole_periods_of_its_tasks() -> None:
    """A block takes 3 cycles and begins on multiples of 4/3: 0, 4, 7 or 8, and so on."""
    template = Template.of(resource=[0], busy=[3], period=1, edges=(Edge(0, 0, lag=1),))
    work = Work((Piece(template, 400),), ((1, 1), (7, 2)))
    assert skipped(work) > 300
    agreed(Work((Piece(template, 40),), ((1, 1), (7, 2))))


@pytest.mark.usefixtures("eager")
def test_a_last_block_that_is_cut_is_run() -> None:
    chain = (Edge(1, 0), Edge(2, 1), Edge(0, 2, lag=1))
    template = Template.of(resource=[0, 1, 2], busy=[2, 5, 4], edges=chain)
    work = Work((Piece(template, 100, cut=1),))
    assert run_work(work).makespan == 99 * 11 + 7
    assert skipped(work) > 200


def test_little_work_is_not_looked_at() -> None:
    assert skipped(ten_windows()) == 0


def test_what_never_repeats_is_looked_at_ever_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that wait for ever more rows of another piece: 20,000 blocks, 64 looks a doubling."""
    monkeypatch.setattr(rhythm, "LEAST", 0)
    snapshot = Mock(side_effect=rhythm.kernel.snapshot)
    monkeypatch.setattr(rhythm.kernel, "snapshot", snapshot)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.integers(0, 20_000, 20_000))
    first = Piece(row(5), 20_000)
    other = Piece(row(3, resource=1), 20_000, links=(rows_of(0, rows),))
    found = run_work(Work((first, other)))
    assert found.skipped == 0
    assert snapshot.call_count < 64 * 12


@pytest.mark.usefixtures("eager")
def test_a_circle_behind_a_rhythm_is_found() -> None:
    work = Work((Piece(WINDOW, 300, links=(Link(0, 0, 2, [*np.arange(299) - 1, 299]),)),))
    with pytest.raises(Deadlock) as caught:
        run_work(work)
    with pytest.raises(Deadlock) as whole:
        run_work(work, reduce=False)
    assert caught.value.cycle == whole.value.cycle
    assert caught.value.cycle[0] == 3 * 299


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.sampled_from((1, 3, 8)))
def test_skipping_changes_nothing(seed: int, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rhythm, "LEAST", 0)
        patch.setattr(rhythm, "DEAR", 0)
        skipped(pipeline(np.random.default_rng(seed), longest=longest))


@pytest.mark.long
@pytest.mark.usefixtures("eager")
def test_skipping_changes_nothing_ten_thousand_times(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of them with lanes that run in lock-step."""
    monkeypatch.setattr(lockstep, "WORTH", 0)
    monkeypatch.setattr(lockstep, "GAIN", 0)
    works, total, saved, some = int(os.environ.get("CIMARCH_WORKS", "12000")), 0, 0, 0
    for seed in range(works):
        rng = np.random.default_rng([19, seed])
        work = pipeline(rng, longest=int(rng.choice([1, 3, 8])), blocks=int(rng.choice([60, 200])))
        work = laned(rng, work) if seed % 2 else work
        spared = skipped(work)
        total, saved, some = total + len(work), saved + spared, some + (spared > 0)
    with capsys.disabled():
        print(f"\n{works} random works: {saved} of {total} tasks were skipped, in {some} of them")
