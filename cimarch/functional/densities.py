"""How full the inputs and the weights of an operation are: what costs may read, measured.

Both are means of levels over the highest level that there can be, signs left aside: of the levels
that enter the word lines, over all used rows, input steps and windows; of the levels of the cells
that hold weights, as the pool encodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.lines import Lines
from cimarch.functional.scheme import Scheme
from cimarch.functional.steps import step_digits, step_range
from cimarch.functional.windows import Windows
from cimarch.mapping.densities import Density

Ints = NDArray[np.int64]

LARGEST_TABLE = 1 << 16
"""Inputs of as many values are looked up; of more, worked out one by one."""


@attrs.define
class Levels:
    """The levels of some steps or cells, added up."""

    total: int = 0
    count: int = 0
    highest: int = 1
    """That there can be."""

    @property
    def density(self) -> Fraction:
        """The mean over the highest; 0 of none."""
        return Fraction(self.total, self.count * self.highest) if self.count else Fraction(0)


def cell_levels(lines: Sequence[Lines]) -> Levels:
    """The levels of the cells that hold an operation's weights, over all its channel groups."""
    found = Levels()
    for each in lines:
        found.total += int(np.abs(each.cells.levels).sum())
        found.count += each.cells.levels.size
        found.highest = max(abs(each.cells.lowest), abs(each.cells.highest))
    return found


class InputLevels:
    """The levels that enter the word lines of one operation, added up input by input."""

    def __init__(self, scheme: Scheme, windows: Windows) -> None:
        self.scheme = scheme
        self.windows = windows
        self.levels = Levels(highest=max(abs(end) for span in step_range(scheme) for end in span))
        low, high = scheme.input_range
        self._low = low
        self._table: Ints | None = None
        if high - low < LARGEST_TABLE:
            self._table = self._worked_out(np.arange(low, high + 1, dtype=np.int64))

    def add(self, inputs: NDArray[Any]) -> None:
        """Add the windows of some inputs in whole numbers, the padding around them included."""
        whole = np.asarray(inputs).astype(np.int64)
        each = self._of(whole)
        times, entries = uses(self.windows, whole.shape)
        self.levels.total += int((each * times).sum())
        padded = entries - int(np.broadcast_to(times, whole.shape).sum())
        fill = self._of(np.array(self.windows.fill, np.int64))
        self.levels.total += padded * int(fill)
        self.levels.count += entries * self.scheme.steps

    def _of(self, inputs: Ints) -> Ints:
        """Per input the sum of its levels over all steps."""
        if self._table is None:
            return self._worked_out(inputs)
        found: Ints = self._table[inputs - self._low]
        return found

    def _worked_out(self, inputs: Ints) -> Ints:
        found: Ints = np.abs(step_digits(inputs, self.scheme)).sum(axis=0)
        return found


def uses(windows: Windows, shape: tuple[int, ...]) -> tuple[Ints, int]:
    """In how many windows each input stands, to be broadcast over inputs of a shape; and how many
    inputs all windows have, those of the padding included."""
    g = windows.geometry
    if g is None:
        return np.ones(1, np.int64), int(np.prod(shape))
    above, _, left, _ = g.padding
    high, wide = windows.size(*shape[2:])
    down = _along(shape[2], high, g.kernel[0], g.stride[0], g.dilation[0], above)
    across = _along(shape[3], wide, g.kernel[1], g.stride[1], g.dilation[1], left)
    entries = shape[0] * high * wide * windows.rows * windows.groups
    return down[:, None] * across, entries


def _along(size: int, count: int, kernel: int, stride: int, dilation: int, before: int) -> Ints:
    """In how many of `count` windows each place of one axis stands."""
    places = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - before
    inside = places[(places >= 0) & (places < size)]
    return np.bincount(inside, minlength=size).astype(np.int64)


def density(inputs: InputLevels, lines: Sequence[Lines]) -> Density:
    """The densities of an operation whose inputs have been added up."""
    return Density(inputs.levels.density, cell_levels(lines).density)
