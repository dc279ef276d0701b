"""What provably runs at the same times runs once, and the outcome is the same."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimarch.engine import lockstep, run_work
from cimarch.engine.deadlock import Deadlock
from cimarch.engine.edges import Edge
from cimarch.engine.expand import expand
from cimarch.engine.pieces import Link, Piece, Template, Work
from random_works import laned, random_work
from test_engine import same
from test_pieces import agreed, alike


@pytest.fixture(autouse=True)
def small_works_are_folded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "WORTH", 0)
    monkeypatch.setattr(lockstep, "GAIN", 0)


def folded(work: Work, weights: object = 1) -> int:
    """How many tasks were saved, with the outcome of the work as it is."""
    whole = run_work(work, weights=weights, record=True, reduce=False)
    lean = run_work(work, weights=weights, record=True)
    alike(lean, whole)
    assert same(lean.timeline, whole.timeline)
    alike(run_work(work, weights=weights), whole)
    unlooked = run_work(work, weights=weights, likes=False)
    alike(unlooked, whole)
    assert whole.alike == unlooked.alike == 0
    return lean.alike


def macros(busy: tuple[int, ...], **changes: object) -> Template:
    """A read and a conversion on an array and a converter of their own, for each macro."""
    amount = len(busy)
    edges = [Edge(amount + m, m) for m in range(amount)]
    return Template.of(
        resource=range(2 * amount), busy=[*busy, *[2] * amount], edges=edges, **changes
    )


def test_macros_that_do_the_same_run_once() -> None:
    work = Work((Piece(macros((5, 5, 5)), 4),))
    assert folded(work) == 4 * 2 * 2
    assert run_work(work, weights=1).peak == 6


def test_a_macro_that_takes_longer_runs_for_itself() -> None:
    assert folded(Work((Piece(macros((5, 6, 5)), 4),))) == 4 * 2


def test_what_shares_a_converter_waits_and_is_not_alike() -> None:
    """Two reads are alike, their conversions are not, and so neither what comes after these."""
    edges = (Edge(2, 0), Edge(3, 1), Edge(4, 2), Edge(5, 3))
    template = Template.of(resource=[0, 1, 2, 2, 3, 4], busy=[5, 5, 2, 2, 1, 1], edges=edges)
    assert folded(Work((Piece(template, 4),))) == 4


def test_one_difference_is_enough_along_a_whole_chain() -> None:
    """Of three macros that start together, one is behind a slower fetch."""
    edges = (Edge(3, 0), Edge(4, 1), Edge(5, 2), Edge(6, 3), Edge(7, 4), Edge(8, 5))
    busy = [1, 1, 2, 5, 5, 5, 2, 2, 2]
    work = Work((Piece(Template.of(resource=range(9), busy=busy, edges=edges), 2),))
    assert folded(work) == 2 * 3


def test_a_cut_between_two_tells_them_apart() -> None:
    assert folded(Work((Piece(macros((5, 5, 5)), 4, cut=1),))) == 4 * (2 + 1)
    assert folded(Work((Piece(macros((5, 5, 5)), 4, cut=3),))) == 4 * 4 - 2


def test_gates_with_the_same_links_are_alike_and_others_are_not() -> None:
    gated = macros((5, 5, 5), gates=3, opens=((0, 0), (1, 1), (2, 2)))
    write = Piece(macros((9, 9, 8)))
    links = tuple(Link(m, 0, m, [0]) for m in range(3))
    assert folded(Work((write, Piece(gated, links=links)))) == 2 + 2
    write = Piece(macros((9, 9, 9)))
    assert folded(Work((write, Piece(gated, 2, links=(Link(0, 0, 0, [0, 0]),))))) == 2 + 2 * 2


def test_a_join_of_many_equals_waits_for_one() -> None:
    amount = 8
    wide = [*range(amount), amount]
    edges = [Edge(amount, m) for m in range(amount)]
    work = Work((Piece(Template.of(resource=wide, busy=[3] * 9, edges=edges), 5),))
    assert folded(work) == 5 * (amount - 1)
    folding = lockstep.fold(work)
    assert len(folding.work.templates[0].edges.slot) == 1


def test_a_circle_is_told_by_the_numbers_of_the_whole() -> None:
    edges = (*(Edge(m, 3 + m) for m in range(3)), *(Edge(3 + m, m) for m in range(3)))
    work = Work((Piece(Template.of(resource=range(6), busy=[1] * 6, edges=edges)),))
    with pytest.raises(Deadlock) as caught:
        run_work(work)
    assert caught.value.cycle == (0, 3)


def test_colours_that_clash_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """If hashing could not tell any two slots apart, nothing would be folded, nor go wrong."""
    from cimarch.engine import refine

    def clash(colour: np.ndarray, *_: object) -> None:
        colour[:] = 0

    for name in ("colour_by", "colour_by_resource"):
        monkeypatch.setattr(refine, name, clash)
    monkeypatch.setattr(refine, "colour_by_sources", lambda *lists: clash(lists[4]))
    monkeypatch.setattr(refine, "colour_resources", lambda _, __, held: clash(held))
    work = Work((Piece(macros((5, 6, 7)), 4),))
    assert lockstep.fold(work) is None
    assert folded(work) == 0


def test_a_work_of_little_repetition_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockstep, "WORTH", 4)
    assert folded(Work((Piece(macros((5, 5, 5)), 3),))) == 0
    assert folded(Work((Piece(macros((5, 5, 5)), 4),))) == 16


def test_a_work_with_few_that_are_alike_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five macros two are alike: of ten tasks, two need not run."""
    monkeypatch.setattr(lockstep, "GAIN", 0.2)
    assert folded(Work((Piece(macros((5, 5, 6, 7, 8)), 4),))) == 0
    assert folded(Work((Piece(macros((5, 5, 6, 7)), 4),))) == 4 * 2


@settings(max_examples=300)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_folding_changes_nothing(seed: int, longest: int) -> None:
    rng = np.random.default_rng(seed)
    work = laned(rng, random_work(rng, longest=longest))
    folded(work, rng.integers(-1, 4, work.resources))
    if seed % 4 == 0:
        agreed(work)


@pytest.mark.long
def test_folding_changes_nothing_ten_thousand_times(capsys: pytest.CaptureFixture[str]) -> None:
    works, total, saved = int(os.environ.get("CIMARCH_WORKS", "12000")), 0, 0
    for seed in range(works):
        rng = np.random.default_rng([13, seed])
        work = laned(rng, random_work(rng, longest=int(rng.choice([1, 3, 30])), blocks=12))
        lean, tasks = run_work(work, weights=1, record=True), expand(work)
        lean.timeline.check(tasks)
        whole = run_work(work, weights=1, record=True, reduce=False)
        alike(lean, whole)
        assert same(lean.timeline, whole.timeline)
        total, saved = total + len(work), saved + lean.alike
    with capsys.disabled():
        print(f"\n{works} random works of lanes: {saved} of {total} tasks were not run")
