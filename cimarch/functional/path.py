"""What every way of computing a product offers: one contract, one result, several speeds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.sums import Counts


class Path(Protocol):
    """One way to compute the products of one matrix operation; each equals the plain reference.

    Inputs are whole numbers: maps (images, channels, height, width), or vectors (windows, groups x
    rows) where the operation is no convolution. Results have the form of the operation's: maps
    (images, outputs, height, width), or (windows, outputs), in units of weight times input before
    any scale: whole numbers in an integer type (or in float32 below 2^24) where the converters'
    steps are whole, else float64.
    """

    @property
    def name(self) -> str:
        """As reports name it."""

    def __call__(self, inputs: NDArray[np.integer]) -> NDArray[np.generic]:
        """The results."""

    def counted(self, inputs: NDArray[np.integer]) -> tuple[NDArray[np.generic], Counts]:
        """The same results, and what happened to their conversions and sums (slower)."""
