"""A network in whole numbers: integer weights, and the scales that join them to the float model."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.mapping.precision import Bits
from cimarch.workload.network import Network


@attrs.frozen(eq=False)
class Quantised:
    """One matrix operation: y = input scale x weight scale x (weights . (x - zero)) + bias.

    x = clamp(round(input / input scale) + zero) is what the word lines get; ties round to even.
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


@attrs.frozen(eq=False)
class QuantisedNetwork:
    """A network whose matrix operations are in whole numbers; the others stay in float."""

    network: Network
    operations: Mapping[str, Quantised]
    """By the operation's name."""
    source: str
    """How the scales were found."""
