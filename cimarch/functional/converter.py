"""Conversions: column sums in, whole codes out, and what a code stands for.

Sums and ranges are in units (one cell level times one input level). A code stands for
`base + quantum x code`, so that everything behind the converters adds whole numbers.

Codes are numbered from the one nearest to a sum of 0, which is code 0: adders behind converters
whose range lies about zero add numbers of both signs.

- `mid_tread`: 2^bits codes from `low` to `high` inclusive, step (high - low) / (codes - 1); the
  nearest, ties to the even code.
- `sign_magnitude`: the same with 2^bits - 1 codes, so that 0 is one of them in a range about zero.
- `mid_rise`: 2^bits intervals of one step from `low`; a code stands for the middle of its own.
- `thresholds`: as many codes as thresholds plus one; a sum at a threshold is above it. Sense
  amplifiers of 1 to 3 bits are such converters.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from math import gcd, lcm

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.scheme import Converter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@attrs.frozen(eq=False)
class Ranges:
    """The ranges of the converters of one operation.

    `low` and `step` have the shape (lines or 1, outputs or 1), or with a third axis of row tiles
    where each array has ranges of its own. The reference column of `offset_column` takes the first
    line's first.
    """

    low: Floats
    step: Floats
    source: str = "one unit a step"
    """Where they come from."""

    @classmethod
    def of(cls, low: float, step: float, source: str = "stated") -> Ranges:
        """One range for all lines and outputs."""
        return cls(np.full((1, 1), float(low)), np.full((1, 1), float(step)), source)

    @property
    def by_tile(self) -> bool:
        """Whether each row tile has ranges of its own."""
        return self.low.ndim == 3

    def at(self, tile: int) -> Ranges:
        """Those of a row tile, (lines or 1, outputs or 1)."""
        if not self.by_tile:
            return self
        return Ranges(self.low[:, :, tile], self.step[:, :, tile], self.source)


@attrs.frozen(eq=False)
class Codes:
    """What a converter made of sums; all of their shape."""

    values: Ints
    clipped: NDArray[np.bool_]
    """The sum lay outside the range."""
    rounded: NDArray[np.bool_]
    """It lay inside, and the code stands for another number."""


def scale(converter: Converter, low: Floats, step: Floats) -> tuple[Floats, Floats]:
    """Base and quantum: a code stands for base + quantum x code."""
    if converter.transfer == "thresholds":
        return np.zeros_like(low), step * float(_quantum(converter.levels))
    quantum = step / 2 if converter.transfer == "mid_rise" else step
    return low - quantum * _first(low, quantum), quantum


def _first(low: Floats, quantum: Floats) -> Floats:
    """The number of a range's lower end, in quanta: that of sum 0 is 0."""
    first: Floats = np.rint(low / quantum)
    return first


def convert(converter: Converter, sums: Floats, low: Floats, step: Floats) -> Codes:
    """The codes of sums; `low` and `step` broadcast against them."""
    if converter.transfer == "thresholds":
        return _by_thresholds(converter, sums, step)
    places = (sums - low) / step
    last = converter.codes - 1
    if converter.transfer == "mid_rise":
        codes = np.clip(np.floor(places), 0, last)
        clipped = (places < 0) | (places > last + 1)
        values, stands_for = 2 * codes + 1 + _first(low, step / 2), codes + 0.5
    else:
        stands_for = np.rint(np.clip(places, 0, last))
        values = stands_for + _first(low, step)
        clipped = (places < 0) | (places > last)
    return Codes(values.astype(np.int64), clipped, ~clipped & (stands_for != places))


def _by_thresholds(converter: Converter, sums: Floats, step: Floats) -> Codes:
    thresholds = np.array([float(t) for t in converter.thresholds])
    levels = np.array([float(level) for level in converter.levels])
    quantum = _quantum(converter.levels)
    digital = np.array([int(level / quantum) for level in converter.levels], np.int64)
    places = sums / step
    which = np.searchsorted(thresholds, places, side="right")
    least, most = levels.min(), levels.max()
    clipped = (places < least) | (places > most)
    return Codes(digital[which], clipped, ~clipped & (levels[which] != places))


def _quantum(levels: tuple[Fraction, ...]) -> Fraction:
    """The largest number of which all levels are whole multiples."""
    below = reduce(lcm, (level.denominator for level in levels), 1)
    above = reduce(gcd, (int(level * below) for level in levels), 0)
    return Fraction(above or 1, below)


def unit_ranges(converter: Converter, signed: NDArray[np.bool_]) -> Ranges:
    """The range where none is stated or calibrated: one unit a step, and what is outside clips.

    It begins at 0 for lines whose sums cannot be negative, and lies about 0 for the others
    (`signed`, one entry per line).
    """
    if converter.transfer == "thresholds":
        return Ranges.of(0, 1, "thresholds")
    lows = np.where(signed, float(_about_zero(converter)), 0.0)
    return _ranges(lows, np.ones(len(lows)), "one unit a step")


def stated_ranges(converter: Converter, signed: NDArray[np.bool_]) -> Ranges | None:
    """The range that the description states; None where it leaves it open.

    Two of `low`, `high` and `step` give the third. `high` alone: from 0, or from -`high` for lines
    whose sums may be negative; `step` alone: as `unit_ranges`, so many units a step; `low` alone:
    one unit a step.
    """
    if converter.transfer == "thresholds":
        return None if converter.step is None else Ranges.of(0, float(converter.step))
    if converter.low is None and converter.high is None and converter.step is None:
        return None
    ends = [_completed(converter, bool(each)) for each in signed]
    return _ranges(
        np.array([float(low) for low, _ in ends]), np.array([float(step) for _, step in ends])
    )


def _completed(converter: Converter, is_signed: bool) -> tuple[Fraction, Fraction]:
    """Low end and step of one line, from as much of both and of the high end as is stated."""
    low, high, step = converter.low, converter.high, converter.step
    intervals = converter.codes - (converter.transfer != "mid_rise")
    if high is None:
        step = Fraction(1) if step is None else step
        if low is None:
            low = step * _about_zero(converter) if is_signed else Fraction(0)
    elif step is None:
        if low is None:
            low = -high if is_signed else Fraction(0)
        step = (high - low) / intervals
    elif low is None:
        low = high - step * intervals
    return low, step


def _about_zero(converter: Converter) -> int:
    """The low end of a range about zero, in steps."""
    return (converter.transfer == "sign_magnitude") - int(2 ** (converter.bits - 1))


def _ranges(lows: Floats, steps: Floats, source: str = "stated") -> Ranges:
    """Ranges per line, or one for all where they are the same."""
    if len(set(zip(lows, steps, strict=True))) == 1:
        lows, steps = lows[:1], steps[:1]
    return Ranges(lows[:, None], steps[:, None], source)
