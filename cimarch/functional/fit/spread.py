"""The spread of an operation's inputs over calibration data: ends and a histogram.

Inputs are seen in two passes of the float network: the first finds the ends, the second fills a
histogram between them.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic

BINS = 2048

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Spread:
    """What one operation's inputs were."""

    low: float
    high: float
    counts: NDArray[np.int64]
    """(bins,): how many lay in each of the equal bins from `low` to `high`."""
    images: int

    @property
    def values(self) -> Floats:
        """The middle of each bin."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5), np.float64)

    def percentiles(self, percent: float) -> tuple[float, float]:
        """The range that leaves 100 - `percent` per cent of the inputs out on either side."""
        below = np.cumsum(self.counts) / max(1, self.counts.sum())
        width = (self.high - self.low) / len(self.counts)
        out = 1 - percent / 100
        first = int(np.searchsorted(below, out, side="right"))
        last = int(np.searchsorted(below, 1 - out, side="left"))
        first, last = min(first, len(below) - 1), min(last, len(below) - 1)
        return self.low + width * first, self.low + width * (last + 1)


class Spreads:
    """Sees the inputs of operations, batch by batch, first for their ends, then to count them."""

    def __init__(self) -> None:
        self.ends: dict[str, tuple[float, float]] = {}
        self.counts: dict[str, NDArray[np.int64]] = {}

    def see(self, name: str, inputs: NDArray[np.floating]) -> None:
        """Widen the ends of an operation's inputs; DescriptionError where one is not finite."""
        low, high = float(inputs.min(initial=0.0)), float(inputs.max(initial=0.0))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DescriptionError(
                Diagnostic(
                    "E303",
                    f"inputs of `{name}` are not finite in the float model",
                    notes=("a calibration image gives NaN or infinity there",),
                    helps=("look at the weights before it, and at the normalisation of the data",),
                )
            )
        before = self.ends.get(name, (0.0, 0.0))
        self.ends[name] = min(before[0], low), max(before[1], high)

    def count(self, name: str, inputs: NDArray[np.floating]) -> None:
        """Count inputs between the ends."""
        low, high = self.ends[name]
        counted, _ = np.histogram(inputs, BINS, (low, high) if low < high else (low, low + 1))
        held = self.counts.setdefault(name, np.zeros(BINS, np.int64))
        held += counted

    def result(self, images: int) -> dict[str, Spread]:
        """What was seen, by operation."""
        nothing = np.zeros(1, np.int64)
        return {
            name: Spread(low, high, self.counts.get(name, nothing), images)
            for name, (low, high) in self.ends.items()
        }
