"""Whether a run was legal: what a right total can hide.

A run with the right number of cycles may still have used an array before its weights were there.
These checks read the finished timeline and know nothing of how the program was written.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from cimarch.engine.tasks import Ints, Timeline
from cimarch.program.context import KIND
from cimarch.program.program import Placed, Program

USES = ("read", "product")


def check(program: Program, timeline: Timeline) -> None:
    """Assert that the timeline is a legal run of the program.

    The engine's rules (`Timeline.check`); no product on an array while or before its own weights
    are written, and no write before all products of what it replaces are done; every staging
    buffer within its size; operands in arrays as far as a row needs them, and no further.
    """
    timeline.check(program.tasks)
    program.placement.check()
    _hazards(program, timeline, _operands(program, timeline))
    _staging(program, timeline)


def _hazards(program: Program, timeline: Timeline, idle: Set[int]) -> None:
    """On every array, the products between two writes are those of the tile just written.

    `idle` are products with an array of which no key is needed yet, whatever is in it.
    """
    tiles = program.placement.tiles
    tile = program.columns["tile"].astype(np.int64)
    kind = program.columns["kind"]
    tasks = np.flatnonzero(np.isin(kind, [KIND[name] for name in (*USES, "convert", "write")]))
    tasks = tasks[tile[tasks] >= 0]
    placement = program.placement
    array = placement.arrays[tile[tasks]] * max(p.integer("rows") for p in placement.pools)
    array = (array + tiles.at_row[tile[tasks]]) * max(
        p.integer("columns") for p in placement.pools
    ) + tiles.at_column[tile[tasks]]
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
        if task in idle:
            used_until = max(used_until, finish)
            continue
        if loaded < 0:
            standing = bool(placement.written[mine[i]])
            message = f"a product on array {current} before anything is written"
            assert program.preloaded or standing, message
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


def _operands(program: Program, timeline: Timeline) -> set[int]:
    """A product finds the keys that its row needs written, and no others but where all are there
    before (layer by layer): no key is written before the rows that do not need it are done.

    Returns the products that need no key of their array.
    """
    idle: set[int] = set()
    kind = program.columns["kind"]
    tile = program.columns["tile"]
    done: dict[int, int] = {}
    """Per tile the inferences so far."""
    exact = program.placement.schedule == "pipeline"
    for placed in program.placed:
        work = placed.work
        if work.operand is None:
            continue
        first = int(program.work.first[placed.piece])
        mine = np.arange(first, first + len(program.work.pieces[placed.piece]))
        uses = mine[np.isin(kind[mine], [KIND[name] for name in (*USES, "convert")])]
        keys = work.operand.keys()
        for number, each in work.arrays.items():
            writes = np.flatnonzero((kind == KIND["write"]) & (tile == number))
            tasks = uses[tile[uses] == number]
            window = (
                np.arange(len(tasks)) // len(each.product.stages) * len(work.copies) + each.copy
            )
            inference, row = np.divmod(window // work.strip.windows, work.size.rows)
            inference += done.get(number, 0)
            held = work.operand.held(number)[row]
            needed = np.where(held > 0, held + inference * keys[number], 0)
            most = (inference if exact else inference + 1) * keys[number]
            most += held if exact else 0
            ends, begins = np.sort(timeline.finish[writes]), np.sort(timeline.start[writes])
            ready = np.searchsorted(ends, timeline.start[tasks], "right")
            begun = np.searchsorted(begins, timeline.finish[tasks], "left")
            assert (ready >= needed).all(), f"a product on tile {number} before its keys are there"
            assert (begun <= most).all(), f"a key is written on tile {number} while it is in use"
            done[number] = int(inference.max()) + 1
            if not work.plan.writing or not work.plan.writing.earlier:
                idle |= set(tasks[held == 0].tolist())
    return idle


def _at(program: Program, placed: Placed, copy: int, slot: int) -> Ints:
    """The tasks of one slot of a copy, window by window."""
    piece = program.work.pieces[placed.piece]
    blocks = len(piece.template) * np.arange(piece.repeat)[:, None]
    places = (blocks + placed.work.laid.window_places(copy, slot)).ravel()
    found: Ints = int(program.work.first[placed.piece]) + places[places < len(piece)]
    return found
