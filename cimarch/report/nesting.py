"""Where the arrays of a pool are drawn: side by side, nested as the description nests them.

`tile[2, 3].ima[4].xbar[8]` is 2 rows of 3 tiles, each with 4 units of 8 arrays. Every level is a
grid: two-dimensional where the description says so, else as wide as makes the picture handy.
Lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod, sqrt

import attrs

from cimarch.hardware.system import Part, System


@attrs.frozen
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Level:
    """One level of the nesting: the members side by side in one member of the level around it."""

    name: str
    path: str
    shape: tuple[int, ...]
    across: int
    """Members in a row."""
    step: tuple[float, float]
    """From one member to the next, across and down."""
    size: tuple[float, float]
    """Of one member."""

    @property
    def count(self) -> int:
        return prod(self.shape)


@attrs.frozen
class Nesting:
    """The grids of a pool, from the outside in; the innermost members are what is drawn filled."""

    levels: tuple[Level, ...]
    arrays_each: int
    """Arrays that an innermost member stands for: 1, or more where there are too many to draw."""
    shown: int
    """Arrays drawn, from the first; those behind are left out, as they are empty."""
    size: tuple[float, float]

    def box(self, index: int, depth: int) -> Box:
        """The rectangle of a member of a level, numbered over the whole pool."""
        x = y = 0.0
        level = self.levels[depth]
        width, height = level.size
        for here in reversed(self.levels[: depth + 1]):
            index, place = divmod(index, here.count)
            row, column = divmod(place, here.across)
            x += column * here.step[0]
            y += row * here.step[1]
            if here is not self.levels[0]:
                x, y = x + PAD, y + PAD
        return Box(x, y, width, height)

    def members(self, depth: int) -> int:
        """Members of a level that are drawn, at least in part."""
        inside = prod(level.count for level in self.levels[depth + 1 :]) * self.arrays_each
        return ceil(self.shown / inside)

    def name(self, array: int) -> str:
        """An array as a description names it: `tile[0, 3].xbar[1]`."""
        return member_name(self.levels, array // self.arrays_each)


PAD = 4.0
GAP = 2.0
MOST = 4096
"""Innermost members that are drawn one by one."""


def nesting(system: System, pool: Part, used: int) -> Nesting:
    """The nesting of a pool whose first `used` arrays must be seen.

    Arrays behind these are left out by whole rows of the outermost grid. Where more than `MOST`
    would be drawn, the innermost level that has several members is drawn as one.
    """
    shapes = _shapes(system, pool)
    outer = shapes[0][2]
    inside = pool.count // prod(outer)
    rows = _kept(outer, inside, used)
    shown = min(pool.count, rows * inside)
    each = 1
    while len(shapes) > 1 and shown // each > MOST:
        each *= prod(shapes.pop()[2])
    if shown // each > MOST:
        each = ceil(shown / MOST)
        name, path, _ = shapes[0]
        shapes = [(name, path, (ceil(shown / each),))]
    return _laid(shapes, each, shown, _leaf(pool, shown // each, each))


def _shapes(system: System, pool: Part) -> list[tuple[str, str, tuple[int, ...]]]:
    """(name, path, shape) of every array on the way to a pool; at least the pool itself."""
    names = pool.path.split(".")
    found = []
    for depth in range(1, len(names) + 1):
        part = system.part(".".join(names[:depth]))
        if part.shape or depth == len(names):
            found.append((part.name, part.path, part.shape or (1,)))
    return found


def _kept(outer: tuple[int, ...], inside: int, used: int) -> int:
    """Outermost members that are drawn: all, or as far as they are used (whole rows of a grid)."""
    needed = ceil(max(1, used) / inside)
    count = prod(outer)
    row = outer[-1] if len(outer) > 1 and needed > outer[-1] else 1
    kept = ceil(needed / row) * row
    return count if kept > 0.7 * count else kept


def _leaf(pool: Part, drawn: int, each: int) -> tuple[float, float]:
    """Width and height of an innermost member: as the array's columns and rows, within limits."""
    side = 96.0 if drawn <= 16 else 48.0 if drawn <= 128 else 20.0 if drawn <= 1024 else 10.0
    if each > 1:
        return max(side, 14.0), max(side, 14.0)
    ratio = min(3.0, max(1 / 3, pool.integer("columns") / pool.integer("rows")))
    return (side * min(1.0, ratio), side * min(1.0, 1 / ratio))


def _laid(
    shapes: Sequence[tuple[str, str, tuple[int, ...]]],
    each: int,
    shown: int,
    leaf: tuple[float, float],
) -> Nesting:
    levels: list[Level] = []
    size = leaf
    inside = each
    for depth, (name, path, shape) in reversed(list(enumerate(shapes))):
        count = prod(shape) if depth else ceil(shown / inside)
        across = min(count, _across(shape, count, size))
        gap = GAP if depth == len(shapes) - 1 else 2 * GAP
        step = (size[0] + gap, size[1] + gap)
        levels.insert(0, Level(name, path, shape, across, step, size))
        down = ceil(count / across)
        pad = PAD if depth else 0.0
        size = (across * step[0] - gap + 2 * pad, down * step[1] - gap + 2 * pad)
        inside *= prod(shape)
    return Nesting(tuple(levels), each, shown, size)


def _across(shape: tuple[int, ...], count: int, size: tuple[float, float]) -> int:
    """Members in a row of a grid: the last dimension, or as many as make it wider than high."""
    if len(shape) > 1 and shape[-1] > 1:
        return shape[-1]
    return max(1, round(sqrt(1.5 * count * size[1] / size[0])))


def member_name(levels: Sequence[Level], index: int) -> str:
    """A member of the innermost level by its indices on all levels."""
    parts: list[str] = []
    for level in reversed(levels):
        index, place = divmod(index, level.count)
        parts.insert(0, f"{level.name}[{', '.join(map(str, _indices(place, level.shape)))}]")
    return ".".join(parts)


def _indices(place: int, shape: tuple[int, ...]) -> Iterator[int]:
    for depth in range(len(shape)):
        yield place // prod(shape[depth + 1 :]) % shape[depth]
