"""A work as one table of tasks: what the pieces mean, laid out for engines that read tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.pieces import NOTHING, Work
from cimarch.engine.tasks import JOIN, Ints, Tasks

_Lists = tuple[Ints, Ints, NDArray[np.bool_]]
"""Who waits, for whom, and whether for the start: a row an edge."""


def expand(work: Work) -> Tasks:
    """All tasks in order of their numbers, then all gates, as joins."""
    joins = int(work.first_gate[-1]) - len(work)
    lists = [each for number in range(len(work.pieces)) for each in _piece(work, number)]
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    target, source, after_start = (
        np.concatenate(parts) for parts in zip(none, *lists, strict=True)
    )
    order = np.argsort(target, kind="stable")
    counts = np.bincount(target, minlength=len(work) + joins)
    return Tasks(
        resource=_column(work, "resource", JOIN, joins).astype(np.int32),
        busy=_column(work, "busy", 0, joins).astype(np.int64),
        latency=_column(work, "latency", 0, joins).astype(np.int64),
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        predecessors=source[order].astype(np.int32),
        after_start=after_start[order],
        period=_column(work, "period", 0, joins).astype(np.int16),
        periods=work.periods,
    )


def _column(work: Work, name: str, of_gates: int, joins: int) -> NDArray[np.generic]:
    parts = [np.resize(getattr(p.template, name), len(p)) for p in work.pieces]
    kind = parts[0].dtype if parts else np.dtype(np.int64)
    return np.concatenate([*parts, np.full(joins, of_gates, kind)])


def _piece(work: Work, number: int) -> Iterator[_Lists]:
    """The edges of one piece, then those of its gates."""
    piece, first = work.pieces[number], int(work.first[number])
    slots, edges = len(piece.template), piece.template.edges
    block = np.arange(piece.repeat)[:, None]
    target = block * slots + edges.slot
    source = (block - edges.lag) * slots + edges.source
    real = (block >= edges.lag) & (target < len(piece)) & (source < len(piece))
    flags = np.broadcast_to(edges.after_start, real.shape)
    yield first + target[real], first + source[real], flags[real]

    gates, opens = piece.template.gates, piece.template.opens
    first_gate = int(work.first_gate[number])
    target = block * slots + opens[:, 0]
    source = block * gates + opens[:, 1]
    real = target < len(piece)
    yield first + target[real], first_gate + source[real], np.zeros(int(real.sum()), np.bool_)

    for link in piece.links:
        behind = work.pieces[link.piece]
        source = link.blocks * len(behind.template) + link.source
        real = (link.blocks != NOTHING) & (source < len(behind))
        target = first_gate + gates * np.arange(piece.repeat) + link.gate
        source = int(work.first[link.piece]) + source
        yield target[real], source[real], np.zeros(int(real.sum()), np.bool_)
