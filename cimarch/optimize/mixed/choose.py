"""Which strips keep their bits: one threshold for the whole network, and how it is found.

A strip is high where its rank (`scores.ranked`) is above the threshold T, so that T is the share of
strips that are low. With more precisions there are several thresholds, one below each but the
lowest.

The paper moves T by gradient descent on |F(T) - F0|, of which T = 0 (nothing is low) is the best
and whose gradient is zero almost everywhere (arXiv 2512.19445, algorithm 1). Here T is the largest
with |F(T) - F0| <= eps |F0|, found by bisection: F is the Fisher diagonal pooled by strip, always
of the same examples. Or T is the knee of distance against energy, as the paper's section 5 has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.mapping.strips import Strips
from cimarch.optimize.mixed.layers import Floats, Layer, PerStrip

Levels = Mapping[str, NDArray[np.uint8]]
"""The level of every strip, (positions, outputs), by layer."""

NONE: Mapping[str, int] = MappingProxyType({})
"""No layer has a limit of reads."""

RESOLUTION = 0.01
"""Of a threshold that is searched for: one in a hundred strips."""


def levels_at(ranks: PerStrip, thresholds: Sequence[float]) -> dict[str, NDArray[np.uint8]]:
    """Levels for falling thresholds: 0 above the first, 1 above the second, and so on."""
    return {
        name: np.sum([rank <= each + 1e-12 for each in thresholds], axis=0).astype(np.uint8)
        for name, rank in ranks.items()
    }


def strips_of(
    levels: Levels, bits: tuple[int, ...], layout: str = "packed", reads: Mapping[str, int] = NONE
) -> dict[str, Strips]:
    """The precision of every strip, by layer; `reads` of an array at most, where a layer has a
    limit."""
    return {
        name: Strips(bits, np.asarray(level, np.uint8), layout, reads.get(name, 0))
        for name, level in levels.items()
    }


def largest(within: Callable[[float], bool], resolution: float = RESOLUTION) -> float:
    """The largest threshold of a grid in 0..1 for which `within` holds, by bisection.

    `within` holds at 0, where nothing changes, and is taken to hold up to some threshold and not
    above it.
    """
    low, high = 0, round(1 / resolution)
    if within(1.0):
        return 1.0
    while high - low > 1:
        middle = (low + high) // 2
        if within(middle * resolution):
            low = middle
        else:
            high = middle
    return low * resolution


@attrs.frozen
class Point:
    """A threshold that was tried."""

    threshold: float
    distance: float
    """|F(T) - F0| / |F0|."""
    energy: float
    """Joules of an inference, or bits of weights where no chip says."""


def knee(points: Sequence[Point]) -> Point:
    """The point farthest below the line between the ends of the front of distance and energy.

    Both are scaled to 0..1 between the ends; of points that another one beats in both, none counts.
    """
    front = _front(points)
    first, last = front[0], front[-1]
    wide = (last.energy - first.energy) or 1.0
    high = (first.distance - last.distance) or 1.0

    def below(point: Point) -> float:
        return 1 - (point.energy - first.energy) / wide - (point.distance - last.distance) / high

    return max(front, key=below)


def _front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both, by rising energy."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.energy, p.distance, p.threshold)):
        if not found or point.distance < found[-1].distance:
            found.append(point)
    return found


def distance(found: PerStrip, at_first: PerStrip) -> float:
    """|F - F0| / |F0| of diagonals pooled by strip, over all layers."""
    gap = sum(float(((found[n] - at_first[n]) ** 2).sum()) for n in at_first)
    size = sum(float((at_first[n] ** 2).sum()) for n in at_first)
    return float(np.sqrt(gap / size)) if size else 0.0


@attrs.frozen
class Compression:
    """How much smaller, three ways: they are not comparable with each other."""

    strips: float
    """Share of the strips that are not at the highest precision: the paper's ratio."""
    bits: float
    """1 - bits of weights / bits where all are at the highest precision."""
    parameters: float
    """Share of the weights that are removed: none, where only bits are fewer."""


def compression(
    layers: Sequence[Layer], levels: Levels, bits: tuple[int, ...], removed: int = 0
) -> Compression:
    """Of the layers that are cut into strips."""
    strips = sum(layer.strips for layer in layers)
    lower = sum(int((levels[layer.name] > 0).sum()) for layer in layers)
    weights = sum(layer.weights for layer in layers)
    held = sum(layer.depth * int(np.asarray(bits)[levels[layer.name]].sum()) for layer in layers)
    return Compression(lower / strips, 1 - held / (weights * bits[0]), removed / weights)


def pooled(layers: Sequence[Layer], diagonal: Mapping[str, Floats]) -> dict[str, Floats]:
    """A diagonal summed over each strip."""
    return {layer.name: layer.pooled(diagonal[layer.name]) for layer in layers}
