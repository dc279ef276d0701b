"""Whether a run was legal: what a right total can hide.

A run with the right number of cycles may still have used an array before its weights were there.
These checks read the finished timeline and know nothing of how the program was written.
"""

from __future__ import annotations

import numpy as np

from cimarch.engine.tasks import Ints, Timeline
from cimarch.program.context import KIND
from cimarch.program.program import Program
from cimarch.program.sketch import Strip

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
    for laid in program.laid:
        strip = laid.work.strip
        windows = np.arange(strip.windows * strip.rows)
        strips = laid.first + strip.size * np.arange(laid.repeat)[:, None]

        for tile, fetches in laid.work.fetched.items():
            ends = timeline.finish[_at(strips, strip, windows, laid.work.arrays[tile].end)]
            for fetch in fetches:
                held = laid.work.held_windows(fetch.place)
                starts = timeline.start[_at(strips, strip, windows, fetch.root)]
                early = starts[held:] < ends[: len(starts) - held] if held < len(starts) else False
                assert not np.any(early), f"`{fetch.place}` is filled before it is free"


def _at(strips: Ints, strip: Strip, windows: Ints, slot: int) -> Ints:
    """The tasks of one slot, window by window."""
    found: Ints = strips + strip.window_places(windows, slot)
    return found.ravel()
