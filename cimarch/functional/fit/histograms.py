"""Histograms of the sums that converters see, exact: one for each converter range to be chosen.

A sum is a whole number of units. Where the numbers that a line could sum to are more than `MOST`,
neighbours share a bin, whose middle then stands for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.lines import Lines
from cimarch.functional.scheme import Scheme
from cimarch.functional.steps import step_digits, step_factors, step_range

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

PER = ("layer", "slice", "column")
"""Of what one range is: all lines of an operation, each line (slice), each line of each output."""

MOST = 1 << 16
"""Bins of one histogram."""
MOST_IN_ALL = 1 << 24
"""Bins of all histograms of an operation."""
SUMS = 1 << 22
"""Sums of an operation that are looked at: of more, those of windows taken at random."""

_AT_ONCE = 1 << 22


@attrs.frozen(eq=False)
class Histogram:
    """How often sums were seen that share a range, and how much each counts in the result."""

    values: Floats
    """(bins,): the sums, in units, ascending."""
    counts: Ints
    """(ranges, bins)."""
    weights: Floats
    """(ranges, bins): of each sum, how often, times the square of what one unit of it adds to the
    result; a squared error in units times this is one of the result."""


class Histograms:
    """Counts the sums of one operation, as its windows come by.

    Lines whose sums may be negative never share a range with others. Channel groups share theirs,
    and so do pieces of strips (`cimarch.functional.pieces`): `outputs` are those of each, of
    `columns` in a channel group.
    """

    def __init__(
        self,
        lines: Sequence[Lines],
        per: str,
        outputs: Sequence[Ints] | None = None,
        columns: int | None = None,
    ) -> None:
        self.lines, self.per = tuple(lines), per
        first = self.lines[0]
        self.scheme: Scheme = first.scheme
        self.keys = _keys(first, per, columns or first.outputs)
        self._mine = [self.keys for _ in lines]
        if outputs is not None:
            self._mine = [self.keys[:, each] for each in outputs]
        low, high = np.array([_ends(each) for each in self.lines]).T
        self.low, self.high = int(low.min()), int(high.max())
        self.kind = np.dtype(np.float32 if max(self.high, -self.low) < 2**24 else np.float64)
        """What holds any sum of digits times levels exactly."""
        ranges = int(self.keys.max()) + 1
        self.shift = _shift(self.high - self.low + 1, min(MOST, max(2, MOST_IN_ALL // ranges)))
        bins = ((self.high - self.low) >> self.shift) + 1
        self.counts = np.zeros((ranges, bins), np.int64)
        self.weights = np.zeros((ranges, bins), np.float64)

    @property
    def sums_of_a_window(self) -> int:
        """How many sums one window makes, over all channel groups."""
        return sum(
            len(lines.sections) * len(_places(self.scheme)) * lines.digits[:, :, 0].size
            for lines in self.lines
        )

    def add(self, windows: Ints | Sequence[Ints]) -> None:
        """Count the sums of windows, (windows, rows) for each of the lines."""
        for lines, keys, group in zip(self.lines, self._mine, windows, strict=True):
            for first in range(0, len(group), step := self._chunk(lines)):
                self._add(lines, keys, group[first : first + step])

    def _chunk(self, lines: Lines) -> int:
        return max(1, _AT_ONCE // lines.digits[:, :, 0].size)

    def _add(self, lines: Lines, keys: Ints, group: Ints) -> None:
        levels = _levels(group, self.scheme)
        for section in lines.sections:
            rows = slice(section.first, section.end)
            columns = lines.digits[:, :, 0].size
            digits = lines.digits[:, :, rows].reshape(columns, section.end - section.first)
            digits = digits.astype(self.kind).T
            factors = lines.factors[:, :, section.tile].ravel()
            for place, level in zip(_places(self.scheme), levels, strict=True):
                seen = level[:, rows]
                sums = seen.astype(self.kind) @ digits
                self._count(sums, keys.ravel(), place * factors)
                if lines.reference:
                    total = seen.sum(axis=1, keepdims=True)
                    every = np.repeat(total, lines.blocks, axis=1)
                    of_column = np.full(lines.blocks, self.keys[0, 0])
                    self._count(every, of_column, np.full(lines.blocks, place * lines.reference))

    def _count(self, sums: NDArray[Any], keys: Ints, factors: Ints) -> None:
        """Sums (windows, columns), the range of each column, and what one unit of it counts."""
        bins = self.counts.shape[1]
        for size in np.unique(np.abs(factors)):
            mine = np.abs(factors) == size
            ranges, which = np.unique(keys[mine], return_inverse=True)
            places = sums[:, mine].astype(np.int64)
            places -= self.low
            places >>= self.shift
            places += which * bins
            counted = np.bincount(places.ravel(), minlength=len(ranges) * bins)
            counted = counted.reshape(len(ranges), bins)
            self.counts[ranges] += counted
            self.weights[ranges] += float(size) ** 2 * counted

    def result(self) -> Histogram:
        """What was counted."""
        seen = self.counts.any(axis=0)
        width = 1 << self.shift
        values = self.low + width * np.flatnonzero(seen) + (width - 1) / 2
        return Histogram(values.astype(np.float64), self.counts[:, seen], self.weights[:, seen])


def _keys(lines: Lines, per: str, outputs: int) -> Ints:
    """(lines, outputs): which range each column has."""
    count = len(lines.digits)
    if per == "column":
        return np.arange(count * outputs).reshape(count, outputs)
    each = np.arange(count) if per == "slice" else np.unique(lines.signed, return_inverse=True)[1]
    return np.repeat(np.asarray(each, np.int64)[:, None], outputs, axis=1)


def _ends(lines: Lines) -> tuple[int, int]:
    """The least and the largest sum that any line could have."""
    spans = [lines.scheme.input_range] if _is_whole(lines.scheme) else step_range(lines.scheme)
    low, high = min(a for a, _ in spans), max(b for _, b in spans)
    negative, positive = np.minimum(lines.digits, 0), np.maximum(lines.digits, 0)
    least, most = 0, 0
    for section in lines.sections:
        rows = slice(section.first, section.end)
        down, up = negative[:, :, rows].sum(axis=2), positive[:, :, rows].sum(axis=2)
        least = min(least, int((low * up + high * down).min()))
        most = max(most, int((high * up + low * down).max()))
        if lines.reference:
            deep = section.end - section.first
            least, most = min(least, low * deep), max(most, high * deep)
    return least, most


def _is_whole(scheme: Scheme) -> bool:
    """Whether one conversion takes all steps of an input."""
    return scheme.input_accumulation == "analog"


def _places(scheme: Scheme) -> tuple[int, ...]:
    return (1,) if _is_whole(scheme) else step_factors(scheme)


def _levels(windows: Ints, scheme: Scheme) -> Ints:
    """(steps, windows, rows): what is applied at once."""
    return windows[None] if _is_whole(scheme) else step_digits(windows, scheme)


def _shift(span: int, most: int) -> int:
    """Bits of a sum that a bin leaves out, so that bins are at most `most`."""
    return max(0, int(np.ceil(np.log2(span / most)))) if span > most else 0
