"""What is true of every run, for each pair of the named list in `every_chip.py`.

Both engines give every task the same times; pieces mean what their table means; the schedule is
legal; reads and bursts as tasks of their own change nothing that is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import attrs
import numpy as np
import pytest

import cimarch
from cimarch import DescriptionError, map_network
from cimarch.engine import run as run_table
from cimarch.engine import run_work
from cimarch.engine.outcome import Outcome, outcome
from cimarch.mapping.placement import Placement
from cimarch.program.check import check
from cimarch.program.context import Options
from cimarch.program.program import Program, load_program
from cimarch.program.program import program as write_program
from cimarch.report.report import Report
from cimarch.simulate import report as told_of
from every_chip import CHIPS, COMES_TO, NETWORKS, PAIRS, ROOT, Pair

SIMPY, SIMPY_LONG = 16_000, 200_000
"""Tasks up to which the reference engine runs a program too."""

LARGE = {"mobilenetv2_cifar", "vgg8"}
SLOW = {("isaac", "resnet20"), ("language_chip", "resnet20")} | {
    (chip, "resnet20") for chip in CHIPS[CHIPS.index("puma") :]
}
"""Runs of several hundred thousand tasks."""

DETAILS = ("mvm", "wordline")


def is_long(pair: Pair) -> bool:
    return pair.network in LARGE or (pair.chip, pair.network) in SLOW


def cases(*, long: bool) -> Iterator[object]:
    """(pair, schedule, batch), those that take long marked."""
    for pair in PAIRS:
        for schedule in pair.schedules if pair.runs else ():
            for batch in (1, 2):
                marks = [pytest.mark.long] if long or is_long(pair) else []
                name = f"{pair}-{schedule}-{batch}"
                yield pytest.param(pair, schedule, batch, id=name, marks=marks)


@attrs.frozen(eq=False)
class Done:
    """A program and what came out of it."""

    program: Program
    ran: Outcome
    report: Report


@cache
def placement(pair: Pair, schedule: str) -> Placement:
    return map_network(pair.system(), pair.read(), schedule=schedule)


def arrays(program: Program) -> list[int]:
    """Per resource, how many crossbar arrays are held with it."""
    pools = {pool.path for pool in program.placement.pools}
    return [len(at) if at.path in pools else 0 for at in program.resources]


def done(pair: Pair, schedule: str, batch: int, detail: str) -> Done:
    """Write a program and run it as pieces."""
    placed = placement(pair, schedule)
    program = write_program(placed, batch=batch, options=Options(detail))
    ran = run_work(program.work, weights=arrays(program))
    return Done(program, ran, told_of(program, ran, None, None, batch=batch, options={}))


def assert_legal(program: Program, ran: Outcome, most: int) -> None:
    """Run the whole table, on both engines where it is small enough, and check each task."""
    timeline = run_table(program.tasks, "fast")
    check(program, timeline)
    assert_same_outcome(ran, outcome(program.work, timeline, arrays(program)))
    if len(program.tasks.resource) <= most:
        reference = run_table(program.tasks, "simpy")
        for column in ("ready", "start", "finish", "busy"):
            assert np.array_equal(getattr(timeline, column), getattr(reference, column)), column


def assert_same_outcome(one: Outcome, other: Outcome) -> None:
    assert (one.makespan, one.peak) == (other.makespan, other.peak)
    for name in ("busy", "first_start", "last_finish", "gates"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for mine, theirs in zip(one.slots, other.slots, strict=True):
        for name in ("first_start", "last_finish", "waited"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name


def assert_same_figures(one: Report, other: Report, *, holds: bool = True) -> None:
    """Equal in time, busy cycles of each part, counts, joules, and the times of each layer.

    Without a sample-and-hold a merged product holds its array while it is converted, reads and
    bursts of their own do not: fewer arrays may then be held at one time in the other.
    """
    for name in ("cycles", "latency", "interval", "load_cycles", "joules"):
        assert getattr(one, name) == getattr(other, name), name
    assert other.peak_arrays <= one.peak_arrays
    assert other.peak_arrays == one.peak_arrays or not holds
    queues = {"waited_at", "waited_cycles"}  # more tasks stand in more queues
    for table in ("parts", "ledger", "layers"):
        mine, theirs = getattr(one, table), getattr(other, table)
        for column in set(mine) - queues:
            np.testing.assert_array_equal(mine[column], theirs[column], column)


@pytest.mark.parametrize(("pair", "schedule", "batch"), list(cases(long=False)))
def test_a_run_is_legal_and_the_same_in_every_detail(pair: Pair, schedule: str, batch: int) -> None:
    coarse, fine = (done(pair, schedule, batch, detail) for detail in DETAILS)
    assert len(fine.program.work) >= len(coarse.program.work)
    for each in (coarse, fine):
        assert_legal(each.program, each.ran, SIMPY)
    holds = bool(pair.system().of_kind("sample_hold"))
    assert_same_figures(coarse.report, fine.report, holds=holds)


@pytest.mark.parametrize(("pair", "schedule", "batch"), list(cases(long=True)))
def test_both_engines_give_every_task_the_same_times(pair: Pair, schedule: str, batch: int) -> None:
    for detail in DETAILS:
        each = done(pair, schedule, batch, detail)
        if SIMPY < len(each.program.tasks.resource) <= SIMPY_LONG:
            assert_legal(each.program, each.ran, SIMPY_LONG)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.runs], ids=str)
def test_a_network_takes_so_many_resident_groups_of_a_chip(pair: Pair) -> None:
    # mlp at 8 bits on edge_macro: 256 rows and 128 weights of two 4-bit cells an array, so
    # 784 x 256 are 4 x 2 tiles, 256 x 128 and 128 x 10 one each: 10 groups of its one array.
    placed = placement(pair, "layers")
    assert placed.groups == pair.comes_to
    loading = load_program(placed)
    assert_legal(loading, run_work(loading.work, weights=arrays(loading)), SIMPY)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.runs], ids=str)
def test_what_a_chip_cannot_run_is_refused(pair: Pair) -> None:
    for schedule in pair.schedules:
        with pytest.raises(DescriptionError) as caught:
            placement(pair, schedule)
        assert [each.code for each in caught.value.diagnostics] == [pair.comes_to]


def test_a_table_of_layers_is_refused_as_a_pipeline() -> None:
    for chip in CHIPS:
        with pytest.raises(DescriptionError, match="has no rows for a pipeline"):
            map_network(cimarch.load(chip), NETWORKS["table"](), schedule="pipeline")


def test_the_list_has_every_bundled_chip() -> None:
    bundled = {path.stem for path in (ROOT / "architectures").glob("*.cimarch")} - {"std"}
    assert bundled == set(CHIPS)
    assert set(COMES_TO) == set(NETWORKS)
