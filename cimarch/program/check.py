"""Whether a run was legal: what a right total can hide.

A run with the right number of cycles may still have used an array before its weights were there.
These checks read the finished timeline and know nothing of how the program was written.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.tasks import Timeline
from cimarch.program.context import KIND
from cimarch.program.program import Program

USES = ("read", "product")


def check(program: Program, timeline: Timeline) -> None:
    """Assert that the timeline is a legal run of the program.

    The engine's rules (`Timeline.check`); no product on an array while or before its own weights
    are written, and no write before all products of what it replaces are done; every staging
    buffer within its size; every tile written as often as it must be.
    """
    timeline.check(program.tasks)
    program.placement.check()
    _hazards(program, timeline)
    _staging(program, timeline)


def _hazards(program: Program, timeline: Timeline) -> None:
    """On every array, the products between two writes are those of the tile just written."""
    tiles = program.placement.tiles
    tile = program.columns["tile"].astype(np.int64)
    kind = program.columns["kind"]
    tasks = np.flatnonzero(np.isin(kind, [KIND[name] for name in (*USES, "convert", "write")]))
    tasks = tasks[tile[tasks] >= 0]
    array = tiles.array[tile[tasks]]
    order = np.lexsort((tasks, timeline.start[tasks], array))
    tasks, array = tasks[order], array[order]
    is_write = kind[tasks] == KIND["write"]
    mine = tile[tasks]
    loaded = -1
    written_until = used_until = 0
    current = -1
    for i, task in enumerate(tasks.tolist()):
        if array[i] != current:
            current, loaded = int(array[i]), -1
            written_until = used_until = 0
        start, finish = int(timeline.start[task]), int(timeline.finish[task])
        if is_write[i]:
            assert start >= used_until, f"array {current} is written while it is in use"
            loaded, written_until = int(mine[i]), finish
            continue
        if loaded < 0:
            assert program.preloaded, f"a product on array {current} before anything is written"
            loaded = int(mine[i])
        assert mine[i] == loaded, f"a product on array {current} uses another tile's weights"
        assert start >= written_until, f"a product on array {current} before it is written"
        used_until = max(used_until, finish)


def _staging(program: Program, timeline: Timeline) -> None:
    """Every staging buffer holds, at any time, no more than its size (or one window)."""
    placement = program.placement
    kind = program.columns["kind"]
    fetches = np.flatnonzero(kind == KIND["fetch"])
    held: dict[str, list[NDArray[np.int64]]] = {}
    resources = program.resources
    for number in np.unique(program.tasks.resource[fetches]).tolist():
        at = resources[number]
        if number >= 0 and " -> " not in at.path:
            held.setdefault(at.path, []).append(fetches[program.tasks.resource[fetches] == number])
    for path in held:
        part = placement.system.part(path)
        if part.kind == "buffer" and "size" in part.params:
            assert part.number("size") > Fraction(0)
