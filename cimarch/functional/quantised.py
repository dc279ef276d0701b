"""A network in whole numbers: integer weights, and the scales that join them to the float model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.mapping.precision import Bits
from cimarch.workload.network import Network


@attrs.frozen(eq=False)
class Quantised:
    """One matrix operation: y = input scale x weight scale x (weights . (x - zero)) + bias.

    x = clamp(round(input / input scale) + zero) is what the word lines get; ties round to even.
    Where its strips have precisions of their own, each weight counts as often as the ratio of its
    strip says.
    """

    bits: Bits
    weights: NDArray[np.int32]
    """(groups, outputs, rows), in the range of the pool's encoding."""
    weight_scale: NDArray[np.float64]
    """(groups x outputs,); all equal where it is per tensor."""
    input_scale: float
    input_zero: int
    """What stands for 0; 0 where inputs carry a sign or are never negative."""
    input_range: tuple[int, int]
    """The least and the largest input."""
    bias: NDArray[np.float64] | None = None
    """(groups x outputs,)."""
    ratios: NDArray[np.float64] | None = None
    """Where `bits.strips` are given, (positions, groups x outputs): the scale of each strip over
    the weight scale of its output (`cimarch.functional.fit.strips`)."""

    @property
    def in_units(self) -> tuple[NDArray[np.int64], int]:
        """Weights in units of their weight scale, as whole numbers, and how many of their bits lie
        behind the point."""
        if self.ratios is None:
            return self.weights.astype(np.int64), 0
        bits = 0
        while (np.ldexp(self.ratios, bits) % 1).any():
            bits += 1
        times = np.ldexp(by_row(self.ratios, self.weights.shape), bits).astype(np.int64)
        return self.weights * times, bits

    @property
    def totals(self) -> NDArray[np.float64]:
        """The sum of each output's weights, in units of its weight scale; exact."""
        weights, bits = self.in_units
        found: NDArray[np.float64] = np.ldexp(weights.sum(axis=2).ravel().astype(float), -bits)
        return found


def by_row(each: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A figure of strips (positions, groups x outputs) for every weight (groups, outputs, rows).

    Rows are channel by channel, in each the kernel's positions.
    """
    groups, outputs, rows = shape
    positions = len(each)
    one_channel = each.T.reshape(groups, outputs, 1, positions)
    spread = np.broadcast_to(one_channel, (groups, outputs, rows // positions, positions))
    return spread.reshape(shape)


@attrs.frozen(eq=False)
class QuantisedNetwork:
    """A network whose matrix operations are in whole numbers; the others stay in float."""

    network: Network
    operations: Mapping[str, Quantised]
    """By the operation's name."""
    source: str
    """How the scales were found."""
