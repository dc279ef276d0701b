"""Chance that can be repeated: every draw has a key, so no order of work changes any of them.

A key is (seed, trial, operation, what, ...). What cells became depends on seed, trial and
operation; what a read or a conversion adds depends on the image too, but not on its batch.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from statistics import NormalDist

import attrs
import numpy as np
from numpy.typing import NDArray

_CELLS, _CONVERTERS, _READS = range(3)


@attrs.frozen
class Draw:
    """The source of all chance of one operation in one trial."""

    seed: int = 0
    trial: int = 0
    operation: str = ""

    def cells(self, group: int) -> np.random.Generator:
        """For what the cells of a channel group became when they were written."""
        return self._generator(_CELLS, group)

    def converters(self, group: int) -> np.random.Generator:
        """For how the converters of a channel group differ."""
        return self._generator(_CONVERTERS, group)

    def reads(self, group: int, image: int, band: int) -> np.random.Generator:
        """For the reads and conversions of some rows of one image's output map."""
        return self._generator(_READS, group, image, band)

    def _generator(self, *key: int) -> np.random.Generator:
        """Philox, seeded by all of a key (Salmon et al., SC 2011)."""
        name = int.from_bytes(blake2b(self.operation.encode(), digest_size=8).digest())
        entropy = [self.seed, self.trial, name, *key]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


class Noise:
    """Normal numbers for the sums of a band, image by image."""

    def __init__(self, generators: list[np.random.Generator], windows_each: int) -> None:
        self._generators, self._windows = generators, windows_each

    @classmethod
    def of(cls, draw: Draw, group: int, images: range, band: int, windows_each: int) -> Noise:
        """Those of a band: `windows_each` windows of each of some images."""
        return cls([draw.reads(group, image, band) for image in images], windows_each)

    def normal(self, rows: int) -> NDArray[np.float32]:
        """The next ones, (rows, windows)."""
        each = rows * self._windows
        made = np.empty((rows, len(self._generators), self._windows), np.float32)
        for image, generator in enumerate(self._generators):
            raw = generator.bit_generator.random_raw(-(-each // 4)).astype("<u8").view("<u2")
            made[:, image] = _quantiles().take(raw[:each]).reshape(rows, -1)
        return made.reshape(rows, -1)


@cache
def _quantiles() -> NDArray[np.float32]:
    """The middles of 65,536 equally likely parts of the normal distribution, of deviation 1.

    One of them at random is a normal number to within 1e-4 of its distribution function, and never
    beyond 4.33 deviations; it takes a sixth of the time of an exact one.
    """
    half = [NormalDist().inv_cdf((k + 0.5) / 65536) for k in range(32768)]
    both = np.array([*half, *(-x for x in reversed(half))])
    made: NDArray[np.float32] = (both / both.std()).astype(np.float32)
    return made
