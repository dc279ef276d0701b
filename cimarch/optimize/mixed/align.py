"""Dynamic clustering: so many strips of each precision that they fill arrays of their pool.

The paper lowers q, the number of high strips, until q mod C = 0 (arXiv 2512.19445, section 4.2); C,
the crossbar's capacity, it does not define, and one threshold for the network moves all layers at
once, which share no arrays. Here each group (a layer, or a layer and kernel position) moves on its
own: the q mod C least sensitive high strips go down, or the most sensitive lower ones come up until
q mod C = 0, whichever takes less energy, while no more than a share of q moves. C comes from the
description: weights beside each other in an array, times strips above each other where they are
short (`cimarch.mapping.packing`). Moves are listed, and groups that had to be left as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.optimize.mixed.choose import Levels
from cimarch.optimize.mixed.layers import PerStrip

GROUPS = ("layer", "position", "none")
"""What is aligned by itself: a layer, each kernel position of a layer, nothing."""
WAYS = ("energy", "demote", "promote")
"""Which way strips move: the one that takes less energy, only down, only up."""

MutableLevels = dict[str, NDArray[np.uint8]]
Price = Callable[[Levels], float]
"""Joules of an inference with these levels, or a figure that orders them alike."""


@attrs.frozen
class Move:
    """What was done to one group at one precision."""

    layer: str
    position: int | None
    """None: of the whole layer."""
    level: int
    capacity: int
    """Strips of this level that fill an array."""
    before: int
    """Strips of this level, after what moved at the levels above."""
    after: int
    why: str
    """`demoted`, `promoted`, `full` where nothing was to do, `left` where the share was too small
    for either."""


@attrs.frozen(eq=False)
class Aligned:
    """Levels after alignment, and what was done."""

    levels: MutableLevels
    moves: tuple[Move, ...]

    @property
    def moved(self) -> int:
        """Strips that changed their level."""
        return sum(abs(move.after - move.before) for move in self.moves)


def align(
    levels: Levels,
    ranks: PerStrip,
    capacity: Mapping[str, Sequence[int]],
    *,
    group: str = "layer",
    way: str = "energy",
    cap: float = 0.2,
    price: Price | None = None,
) -> Aligned:
    """Make the numbers of strips of each level but the lowest multiples of what fills an array.

    `capacity` says for each layer how many strips of each level do (`position`: in one band).
    `cap` is the largest share of a group's strips of a level that may move. Without a `price`
    going down counts as cheaper than coming up.
    """
    found = {name: np.array(level, np.uint8) for name, level in levels.items()}
    moves: list[Move] = []
    if group == "none":
        return Aligned(found, ())
    for place in _places(found, group):
        for level, most in enumerate(capacity[place.layer][:-1]):
            group_of = _Group(place, level, most, found, ranks[place.layer])
            moves.append(group_of.aligned(way, cap, price))
    return Aligned(found, tuple(moves))


@attrs.frozen
class _Place:
    layer: str
    position: int | None


def _places(levels: Levels, group: str) -> Iterator[_Place]:
    for name, level in levels.items():
        if group == "layer":
            yield _Place(name, None)
        else:
            yield from (_Place(name, position) for position in range(len(level)))


@attrs.frozen(eq=False)
class _Group:
    """The strips that are aligned together, at one level."""

    place: _Place
    level: int
    capacity: int
    levels: MutableLevels
    """Of all layers; changed here."""
    ranks: NDArray[np.float64]
    """Of the layer."""

    def aligned(self, way: str, cap: float, price: Price | None) -> Move:
        """Move strips where it helps, and say what was done."""
        count = int((self._mine() == self.level).sum())
        rest = count % self.capacity
        if not rest:
            return self._told(count, count, "full")
        tried = {
            "demoted": self._down(rest) if way != "promote" else None,
            "promoted": self._up(self.capacity - rest) if way != "demote" else None,
        }
        moved = {"demoted": rest, "promoted": self.capacity - rest}
        allowed = {
            why: made
            for why, made in tried.items()
            if made is not None and moved[why] <= cap * count
        }
        if not allowed:
            return self._told(count, count, "left")
        why = self._cheapest(allowed, price)
        self.levels[self.place.layer] = allowed[why]
        return self._told(count, count + (-rest if why == "demoted" else self.capacity - rest), why)

    def _cheapest(self, allowed: Mapping[str, NDArray[np.uint8]], price: Price | None) -> str:
        if price is None or len(allowed) == 1:
            return next(iter(allowed))
        costs = {why: price({**self.levels, self.place.layer: m}) for why, m in allowed.items()}
        return min(costs, key=lambda why: costs[why])

    def _mine(self) -> NDArray[np.uint8]:
        level = self.levels[self.place.layer]
        return level if self.place.position is None else level[self.place.position]

    def _down(self, count: int) -> NDArray[np.uint8]:
        """The layer with the least sensitive strips of this level one lower."""
        return self._changed(self._of(lambda held: held == self.level)[:count], self.level + 1)

    def _up(self, count: int) -> NDArray[np.uint8] | None:
        """The layer with the most sensitive lower strips at this level; None: not so many."""
        lower = self._of(lambda held: held > self.level)
        return (
            self._changed(lower[len(lower) - count :], self.level) if len(lower) >= count else None
        )

    def _of(self, which: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]) -> NDArray[np.int64]:
        """Places in the layer of some of the group's strips, the least sensitive first."""
        level = self.levels[self.place.layer]
        inside = np.zeros(level.shape, bool)
        inside[slice(None) if self.place.position is None else self.place.position] = True
        places = np.flatnonzero(inside & which(level))
        return places[np.argsort(self.ranks.ravel()[places], kind="stable")]

    def _changed(self, places: NDArray[np.int64], level: int) -> NDArray[np.uint8]:
        made = self.levels[self.place.layer].copy()
        made.ravel()[places] = level
        return made

    def _told(self, before: int, after: int, why: str) -> Move:
        place = self.place
        return Move(place.layer, place.position, self.level, self.capacity, before, after, why)
