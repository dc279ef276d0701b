"""Fixed orders of examples: the same on every machine, whatever library draws random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def mixed(count: int) -> Indices:
    """The numbers below `count`, mixed: by their hash, the smallest first.

    The hash is the output function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable
    Pseudorandom Number Generators", OOPSLA 2014) at state (number + 1) x 0x9E3779B97F4A7C15.
    """
    state = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.argsort(state ^ (state >> np.uint64(31)), kind="stable").astype(np.int64)


def divided(count: int, train: int) -> tuple[Indices, Indices]:
    """The examples that calibrate and those that judge, each in ascending order.

    The first `train` of the mixed order calibrate, all others judge: no example is in both.
    """
    order = mixed(count)
    return np.sort(order[:train]), np.sort(order[train:])
