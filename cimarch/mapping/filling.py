"""Every matrix site gets its arrays, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimarch.diagnostics import DescriptionError
from cimarch.mapping.packing import place_strips
from cimarch.mapping.tiling import Arrays, Cut, Taker, Tiles, Wish, tiles_of


def tile(wishes: Sequence[Wish], pools: Sequence[Arrays]) -> Tiles:
    """Cut and place the weights of every matrix site.

    A site goes whole to the first of its pools with room for all of it in the current resident
    group, else to the first of them at all, in as many groups as it needs; strips do so level by
    level. Raises DescriptionError where a weight is wider than the arrays of each of them.
    """
    takers = [Taker(pool) for pool in pools]
    current = 0
    tables = []
    for wish in wishes:
        if wish.levels:
            placed = place_strips(wish, pools, takers, current)
            tables += placed
            current = max([current, *(int(each.resident.max()) for each in placed)])
            continue
        parts, index = _chosen(wish, pools, takers, current)
        taker = takers[index]
        taker.advance(current)
        taker.space(wish.spaced)
        for number in range(wish.copies):
            taken = taker.take(parts, np.array(parts.widths, np.int64))
            tables.append(tiles_of(wish, parts, pools[index], taken, index, number))
        current = taker.latest
    return Tiles.joined(tables)


def _chosen(
    wish: Wish, pools: Sequence[Arrays], takers: Sequence[Taker], current: int
) -> tuple[Cut, int]:
    """The pool that takes a site's weights, and how they are cut for it."""
    found: list[tuple[Cut, int]] = []
    wrong: DescriptionError | None = None
    for index in wish.pools:
        try:
            found.append((pools[index].cut(wish.site.anchor, wish.bits), index))
        except DescriptionError as error:
            wrong = wrong or error
    if not found:
        assert wrong is not None
        raise wrong
    if len(found) > 1:
        for parts, index in found:
            if takers[index].has_room(parts, current, wish.copies):
                return parts, index
    return found[0]
