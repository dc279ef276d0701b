"""Whether a run was legal: what a right total can hide.

A run with the right number of cycles may still have used an array before its weights were there.
These checks read the finished timeline and know nothing of how the program was written.
"""

from __future__ import annotations

import numpy as np

from cimarch.engine.tasks import Ints, Timeline
from cimarch.program.context import KIND
from cimarch.program.program import Placed, Program

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
    placement = program.placement
    array = placement.arrays[tile[tasks]] * max(p.integer("columns") for p in placement.pools)
    array += tiles.at_column[tile[tasks]]
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
    """A staging buffer is filled for a window only when an earlier one has left it.

    Buffers hold as many windows as fit (at least one): the fetch of window w starts no earlier than
    the product of window w - windows ends.
    """
    for placed in program.placed:
        work = placed.work
        for tile, fetches in work.fetched.items():
            array = work.arrays[tile]
            ends = timeline.finish[_at(program, placed, array.copy, array.end)]
            for fetch in fetches:
                held = work.held_windows(fetch.place)
                starts = timeline.start[_at(program, placed, array.copy, fetch.root)]
                early = starts[held:] < ends[: len(starts) - held] if held < len(starts) else False
                assert not np.any(early), f"`{fetch.place}` is filled before it is free"


def _at(program: Program, placed: Placed, copy: int, slot: int) -> Ints:
    """The tasks of one slot of a copy, window by window."""
    piece = program.work.pieces[placed.piece]
    blocks = len(piece.template) * np.arange(piece.repeat)[:, None]
    places = (blocks + placed.work.laid.window_places(copy, slot)).ravel()
    found: Ints = int(program.work.first[placed.piece]) + places[places < len(piece)]
    return found
