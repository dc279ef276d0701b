"""What a product gives: the numbers, and what happened on the way."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen
class Counts:
    """Conversions of a product and what became of them, and sums too wide for their adder."""

    conversions: int = 0
    clipped: int = 0
    """Conversions whose sum lay outside the converter's range."""
    rounded: int = 0
    """Conversions whose sum lay inside it, between two codes."""
    sums: int = 0
    """Sums that an adder of limited width held: one per window, output and tile, and one more where
    several tiles meet, for each of these adders that has a width."""
    overflowed: int = 0
    """Of these, how many did not fit."""

    def __add__(self, other: Counts) -> Counts:
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Counts(*(a + b for a, b in pairs))


@attrs.frozen(eq=False)
class Sums:
    """The results of a product."""

    values: NDArray[np.float64]
    """(windows, outputs), in units of weight times input; whole numbers where steps are whole."""
    counts: Counts | None
    """None where the path does not count."""
