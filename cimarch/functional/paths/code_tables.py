"""Conversions as tables: the code of every sum that can occur, and how bytes look it up."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges, convert, scale
from cimarch.functional.paths.lookups import (
    CLIP,
    LIMIT,
    LOOK_UP,
    SATURATE_LIMIT,
    SATURATE_LOOK_UP,
)
from cimarch.functional.scheme import Converter

Ints = NDArray[np.int64]


@attrs.frozen(eq=False, slots=False)
class CodeTable:
    """The codes of the sums `first` to `first + len(codes) - 1` of one range."""

    first: int
    codes: Ints
    flags: NDArray[np.uint8]
    """1: the sum clips; 2: it rounds."""

    @property
    def end(self) -> int:
        """The sum behind the last."""
        return self.first + len(self.codes)

    def extent(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """The least and the largest code of sums within bounds, arrays of one shape."""
        if (np.diff(self.codes) >= 0).all():
            return self.codes[low - self.first], self.codes[high - self.first]
        return np.full(low.shape, self.codes.min()), np.full(low.shape, self.codes.max())

    @cached_property
    def slope(self) -> tuple[int, int, int] | None:
        """(low, high, step) where the code of S is a constant + step x clip(S, low, high)."""
        steps = np.diff(self.codes)
        (rising,) = np.nonzero(steps)
        if not len(rising):
            return None
        low, high, step = int(rising[0]), int(rising[-1]) + 1, int(steps[rising[0]])
        if step < 0 or (steps[low:high] != step).any():
            return None
        return self.first + low, self.first + high, step

    def over(self, first: int, end: int) -> Ints:
        """The codes of sums `first` to `end - 1`; those of the nearest sum where it has none."""
        return self.codes[self._places(first, end)]

    def _places(self, first: int, end: int) -> NDArray[np.intp]:
        return np.clip(np.arange(first, end), self.first, self.end - 1) - self.first

    def bytes_of(
        self, values: NDArray[np.integer], start: int, saturates: bool, negates: bool
    ) -> NDArray[np.integer] | None:
        """`codes` or `flags` (2, 256) of sums that are kept as sum + `start`, and of the last step;
        None where sums that are kept as 255 differ. For the parameters see `byte_codes`."""
        found = np.stack([values[self._places(-start, 256 - start)]] * 2)
        if negates:
            found[1] = values[self._places(start - 255, start + 1)][::-1]
        ends = [values[self._places(255, max(self.end, 256))]]
        if negates:
            ends.append(values[self._places(min(self.first, -255), -254)])
        differ = any((each != each[0]).any() for each in ends)
        return None if saturates and differ else found


def code_table(
    converter: Converter | None, low: float, step: float, first: int, end: int
) -> CodeTable:
    """The table of a converter's range; without a converter a code is the sum."""
    sums = np.arange(first, end)
    if converter is None:
        return CodeTable(first, sums, np.zeros(len(sums), np.uint8))
    made = convert(converter, sums.astype(np.float64), np.array(low), np.array(step))
    return CodeTable(first, made.values, (made.clipped + 2 * made.rounded).astype(np.uint8))


def scales(converter: Converter | None, ranges: Ranges | None, lines: int, outputs: int) -> tuple[
    NDArray[np.float64], NDArray[np.float64]
]:  # fmt: skip
    """Base and quantum of each line and output."""
    if converter is None or ranges is None:
        return np.zeros((lines, outputs)), np.ones((lines, outputs))
    base, quantum = scale(converter, ranges.low, ranges.step)
    at = np.ix_(np.arange(lines) % len(ranges.low), np.arange(outputs) % ranges.low.shape[1])
    return base[at], quantum[at]


@attrs.frozen(eq=False)
class ByteCodes:
    """How the sums of a line, in bytes, become codes in bytes.

    A step's code is `least` (of the last step: `least_last`) + `factor` x the byte's code.
    """

    how: int
    start: int
    low: int
    high: int
    factor: int
    least: int
    least_last: int
    tables: NDArray[np.uint8] | None
    """(2, 256), where codes are looked up."""
    flags: NDArray[np.uint8] | None
    """(2, 256), as `CodeTable.flags`; None where sums of 255 and those above have other flags."""

    @property
    def of_zero(self) -> int:
        """The byte's code of a sum of 0."""
        if self.tables is None:
            return min(max(self.start, self.low), self.high)
        return int(self.tables[0, self.start])


def byte_codes(table: CodeTable, start: int, saturates: bool, negates: bool) -> ByteCodes | None:
    """The codes of sums that are kept as sum + `start` in a byte; None where no byte can.

    `saturates`: sums above 255 are kept as 255. `negates`: the last step's sum counts negative.
    """
    codes = table.bytes_of(table.codes, start, saturates, negates)
    flags = table.bytes_of(table.flags, start, saturates, negates)
    if codes is None:
        return None
    known = None if flags is None else flags.astype(np.uint8)
    if not negates and table.slope is not None:
        first, last, step = table.slope
        low, high = first + start, last + start
        if low <= 255 and high >= 0 and (low <= 0 or not saturates):
            how = SATURATE_LIMIT if saturates else LIMIT if low <= 0 else CLIP
            least = int(table.codes[first - table.first]) - step * low
            ends = (max(low, 0), min(high, 255))
            return ByteCodes(how, start, *ends, step, least, least, None, known)
    least_of = codes.min(axis=1)
    codes = codes - least_of[:, None]
    factor = max(1, int(np.gcd.reduce(codes, axis=None)))
    if (codes // factor).max() > 255:
        return None
    how = SATURATE_LOOK_UP if saturates else LOOK_UP
    made = (codes // factor).astype(np.uint8)
    return ByteCodes(how, start, 0, 255, factor, int(least_of[0]), int(least_of[1]), made, known)
