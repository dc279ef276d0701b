"""A finished run from afar: layers, inferences, loads and resident groups in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

import attrs
import numpy as np

from cimarch.engine.outcome import NEVER
from cimarch.engine.tasks import JOIN, Ints, Timeline
from cimarch.program.program import Program
from cimarch.report.slices import FOREVER, Names
from cimarch.report.stretches import NONE, Places, Stretch, stretches


@attrs.frozen
class Span:
    """Something from its first cycle to its last."""

    track: str
    """What it is one of: spans of one track are shown together."""
    name: str
    start: int
    finish: int
    group: int = NONE
    inference: int = NONE


def layers(program: Program, timeline: Timeline) -> list[Span]:
    """Every operation, once per inference and visit of a resident group, and its weights' writing.

    From the first start of its tasks to their last finish, as `start_cycle` and `finish_cycle` of
    the report's layers say for all of these together.
    """
    names = Names(program)
    found = [
        Span(name, f"{name} weights", start, finish, group)
        for number in program.loads
        for name, start, finish, group in _written(program, timeline, number)
    ]
    for stretch, step, starts, finishes in _steps(program, timeline):
        name = names.operation(stretch.site, step) or "inputs"
        for place in np.flatnonzero(finishes != NEVER).tolist():
            found.append(
                Span(
                    name, name, int(starts[place]), int(finishes[place]),
                    stretch.group, stretch.first + place,
                )
            )  # fmt: skip
    return found


def inferences(program: Program, timeline: Timeline) -> list[Span]:
    """Every inference, from the start of its first task to the end of all of it."""
    begin = np.full(len(program.finishes), FOREVER)
    for stretch, _, starts, _ in _steps(program, timeline):
        mine = slice(stretch.first, stretch.first + stretch.inferences)
        begin[mine] = np.minimum(begin[mine], starts)
    ends = [int(timeline.finish[program.work.first[piece]]) for piece in program.finishes]
    return [
        Span("inferences", f"inference {i}", int(start), end, inference=i)
        for i, (start, end) in enumerate(zip(begin, ends, strict=True))
        if start != FOREVER
    ]


def groups(program: Program, timeline: Timeline) -> list[Span]:
    """Every visit of a resident group: from the first task of its sites to the last."""
    found: list[Span] = []
    for stretch in stretches(program):
        start, finish = _extent(program, timeline, stretch.number)
        if found and found[-1].group == stretch.group:
            start, finish = min(start, found[-1].start), max(finish, found[-1].finish)
            found.pop()
        found.append(
            Span("resident groups", f"group {stretch.group}", start, finish, stretch.group)
        )
    return [span for span in found if span.finish > NEVER]


def loads(program: Program, timeline: Timeline) -> list[Span]:
    """Every writing of a resident group's weights."""
    found = []
    for number in program.loads:
        group = program.work.pieces[number].columns["group"]
        start, finish = _extent(program, timeline, number)
        found.append(Span("loads", f"load of group {group}", start, finish, group))
    return found


def lanes(spans: Iterable[Span]) -> list[list[Span]]:
    """Spans of one track in as few lanes as it takes for none to overlap in its lane."""
    found: list[list[Span]] = []
    free: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda each: (each.start, each.finish)):
        if free and free[0][0] <= span.start:
            lane = heappop(free)[1]
        else:
            lane = len(found)
            found.append([])
        found[lane].append(span)
        heappush(free, (span.finish, lane))
    return found


def _extent(program: Program, timeline: Timeline, number: int) -> tuple[int, int]:
    """First start and last finish of the tasks of a piece."""
    piece = program.work.pieces[number]
    begin = int(program.work.first[number])
    held = np.flatnonzero(np.resize(piece.template.resource != JOIN, len(piece))) + begin
    if not len(held):
        return FOREVER, NEVER
    return int(timeline.start[held].min()), int(timeline.finish[held].max())


def _written(
    program: Program, timeline: Timeline, number: int
) -> Iterator[tuple[str, int, int, int]]:
    """Per operation whose weights a piece writes: its name, first start, last finish, group."""
    piece, begin = program.work.pieces[number], int(program.work.first[number])
    names = Names(program)
    site = np.resize(piece.template.columns["operation"], len(piece))
    held = np.resize(piece.template.resource != JOIN, len(piece))
    for each in np.unique(site[held]).tolist():
        mine = begin + np.flatnonzero(held & (site == each))
        start, finish = timeline.start[mine].min(), timeline.finish[mine].max()
        yield names.operation(each, 0), int(start), int(finish), piece.columns["group"]


def _steps(program: Program, timeline: Timeline) -> Iterator[tuple[Stretch, int, Ints, Ints]]:
    """Per piece and operation of its site: first start and last finish, by inference."""
    places: dict[int, Places] = {}
    for stretch in stretches(program):
        where = places.setdefault(id(stretch.laid), Places.of(stretch.laid))
        piece, begin = stretch.piece, int(program.work.first[stretch.number])
        step = piece.template.columns["step"]
        held = np.flatnonzero(np.resize(piece.template.resource != JOIN, len(piece)))
        block, slot = np.divmod(held, len(piece.template))
        inference = stretch.row_of(where, slot, block) // stretch.rows
        for each in np.unique(step[slot]).tolist():
            mine = step[slot] == each
            start = np.full(stretch.inferences, FOREVER)
            finish = np.full(stretch.inferences, NEVER)
            np.minimum.at(start, inference[mine], timeline.start[begin + held[mine]])
            np.maximum.at(finish, inference[mine], timeline.finish[begin + held[mine]])
            yield stretch, each, start, finish
