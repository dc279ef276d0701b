"""What shares and differences over images and trials are worth: intervals, and a test.

All intervals are of 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, fsum, sqrt
from statistics import NormalDist
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_BEHIND = (1 + LEVEL) / 2
NORMAL = NormalDist().inv_cdf(_BEHIND)
"""1.96: how many deviations a normal number stays within."""


@attrs.frozen
class Interval:
    """A figure and the interval that it lies in."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The same as plain JSON values."""
        return attrs.asdict(self)


def share(hits: int, count: int) -> Interval:
    """A share and its score interval (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    found, z = hits / count, NORMAL
    middle = (found + z * z / (2 * count)) / (1 + z * z / count)
    reach = sqrt(found * (1 - found) / count + z * z / (4 * count * count)) * z
    reach /= 1 + z * z / count
    return Interval(found, min(found, middle - reach), max(found, middle + reach))


def paired(differences: NDArray[Any], sizes: NDArray[Any]) -> Interval:
    """The mean of differences that come example by example, and its normal interval.

    `differences` are sums over the `sizes` judgements of each example (one of an image; of a row of
    tokens as many as are judged), so that examples, not judgements, are what is drawn: the ratio
    estimator (Cochran, Sampling Techniques, 1977, eq. 2.47). For single judgements it is the
    interval of McNemar's discordant pairs.
    """
    total, count = float(sizes.sum()), len(sizes)
    mean = float(differences.sum()) / total
    rest = differences - mean * sizes
    spread = float((rest * rest).sum()) * count / max(1, count - 1)
    reach = NORMAL * sqrt(spread) / total
    return Interval(mean, mean - reach, mean + reach)


def mcnemar(only_first: int, only_second: int) -> float:
    """How likely discordant pairs are at least so uneven, were both equally good: exact, two-sided
    (McNemar, Psychometrika 12, 1947)."""
    count, fewer = only_first + only_second, min(only_first, only_second)
    if count > 1000:  # beyond, the normal one with continuity is the same to three digits
        z = max(0.0, abs(only_first - only_second) - 1) / sqrt(count)
        return 2 * (1 - NormalDist().cdf(z))
    tail = sum(comb(count, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**count))


def over_trials(values: Sequence[float]) -> tuple[float, Interval]:
    """Standard deviation of trials, and their mean with Student's interval; at least two."""
    count = len(values)
    mean = fsum(values) / count
    deviation = sqrt(fsum((value - mean) ** 2 for value in values) / (count - 1))
    reach = student(count - 1) * deviation / sqrt(count)
    return deviation, Interval(mean, mean - reach, mean + reach)


def student(freedom: int) -> float:
    """Where 97.5 % of Student's distribution lie below, for degrees of freedom.

    Found by halving; the distribution is summed in closed form (Abramowitz and Stegun, 26.7.3 and
    26.7.4).
    """
    low, high = 0.0, 20.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < LEVEL else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The share of Student's distribution between -t and t."""
    angle = float(np.arctan2(t, sqrt(freedom)))
    sine, cosine = float(np.sin(angle)), float(np.cos(angle))
    term, total = (1.0, 1.0) if freedom % 2 == 0 else (cosine, cosine)
    if freedom == 1:
        return 2 * angle / np.pi
    for k in range(2 + freedom % 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if freedom % 2:
        return 2 / np.pi * (angle + sine * total)
    return sine * total
