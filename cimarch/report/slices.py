"""The tasks of a finished run as slices of time, with what they are."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np

from cimarch.engine.pieces import Piece
from cimarch.engine.tasks import JOIN, Ints, Timeline
from cimarch.program.context import KINDS
from cimarch.program.program import Program
from cimarch.report.stretches import NONE, Places, Stretch, stretches

FOREVER = 2**62
"""An end that no run reaches."""


@attrs.frozen(eq=False)
class Slices:
    """Columns of equal length, one row a task, by start and resource."""

    resource: Ints
    """Index into the program's resources."""
    start: Ints
    """Cycle."""
    busy: Ints
    """Cycles that the resource is held."""
    latency: Ints
    """Cycles until what waits for it may go on."""
    wait: Ints
    """Cycles from ready to start."""
    kind: Ints
    """Index into `KINDS`."""
    site: Ints
    step: Ints
    """Which of the site's operations it does."""
    tile: Ints
    group: Ints
    charge: Ints
    inference: Ints
    row: Ints
    """Of the site's results, within the inference."""
    window: Ints
    """Of the row."""

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Ints | slice) -> Slices:
        """Some of the rows."""
        return Slices(*(getattr(self, field.name)[rows] for field in attrs.fields(Slices)))


class Names:
    """What sites, operations and tasks are called."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @cached_property
    def operations(self) -> dict[tuple[int, int], str]:
        """(site, step) -> the name of the operation."""
        return {
            (plan.site.index, step): op.name
            for plan in self.program.placement.plans
            for step, op in enumerate(plan.site.operations)
        }

    def operation(self, site: int, step: int) -> str:
        """The operation of a task; empty where it has none."""
        return self.operations.get((site, step), "")

    def task(self, kind: int, site: int, step: int) -> str:
        """What a slice is called: `conv1 product`, `input`."""
        return f"{self.operation(site, step)} {KINDS[kind]}".strip()


def count_tasks(program: Program) -> int:
    """How many tasks hold something: the slices of the whole run."""
    total = 0
    for piece in program.work.pieces:
        real = np.flatnonzero(piece.template.resource != JOIN)
        last = len(piece.template) - piece.cut
        total += len(real) * piece.repeat - int((real >= last).sum())
    return total


def slices(program: Program, timeline: Timeline, first: int = 0, last: int = FOREVER) -> Slices:
    """All tasks that hold a resource at some cycle of `first <= cycle < last`."""
    known = {stretch.number: stretch for stretch in stretches(program)}
    places: dict[int, Places] = {}
    parts = []
    for number, piece in enumerate(program.work.pieces):
        begin = int(program.work.first[number])
        stretch = known.get(number)
        if stretch is not None and id(stretch.laid) not in places:
            places[id(stretch.laid)] = Places.of(stretch.laid)
        at = _within(piece, timeline, begin, first, last)
        if len(at):
            where = places[id(stretch.laid)] if stretch else None
            parts.append(_columns(program, timeline, piece, begin, at, stretch, where))
    names = [field.name for field in attrs.fields(Slices)]
    empty = [np.zeros(0, np.int64)]
    whole = Slices(*(np.concatenate([p[name] for p in parts] or empty) for name in names))
    return whole.take(np.lexsort((whole.resource, whole.start)))


def _within(piece: Piece, timeline: Timeline, begin: int, first: int, last: int) -> Ints:
    """The tasks of a piece within the cut, by their place in the piece."""
    start = timeline.start[begin : begin + len(piece)]
    held = np.resize(piece.template.resource != JOIN, len(piece))
    chosen = held & (start < last)
    if first > 0:
        chosen &= start + np.resize(piece.template.busy, len(piece)) > first
    return np.flatnonzero(chosen)


def _columns(
    program: Program,
    timeline: Timeline,
    piece: Piece,
    begin: int,
    at: Ints,
    stretch: Stretch | None,
    places: Places | None,
) -> dict[str, Ints]:
    template = piece.template
    block, slot = np.divmod(at, len(template))
    start = timeline.start[begin + at]
    found = {
        "resource": template.resource[slot],
        "start": start,
        "busy": template.busy[slot],
        "latency": template.latency[slot],
        "wait": start - timeline.ready[begin + at],
    }
    for name, column in _MEANING:
        found[name] = _meaning(program, piece, column, slot)
    found["row"] = found["window"] = np.full(len(at), NONE)
    if stretch is not None and places is not None:
        inference, found["row"] = np.divmod(stretch.row_of(places, slot, block), stretch.rows)
        found["inference"] = inference + stretch.first
        found["window"] = places.window[slot]
    return {name: np.asarray(values, np.int64) for name, values in found.items()}


_MEANING = tuple(
    (name, "operation" if name == "site" else name)
    for name in ("kind", "site", "step", "tile", "group", "charge", "inference")
)
"""Slices' columns that the program has, and their names there."""


def _meaning(program: Program, piece: Piece, column: str, slot: Ints) -> Ints:
    """A column of the program for some slots of a piece."""
    if column in piece.columns:
        return np.full(len(slot), piece.columns[column])
    if column in piece.template.columns:
        return piece.template.columns[column][slot].astype(np.int64)
    return np.full(len(slot), int(program.work.defaults[column]))
