"""Between a product and the next: scale, bias, and the rounding to the next operation's inputs.

This is the one definition of both, for the quantised model and the chip alike:

- the result of an operation is `f32(sums) x f32(input scale x weight scale) + f32(bias)`, where
  `sums` are weights . (x - zero), exact; multiplied first, then added, each rounded to float32;
- the input of an operation is `clamp(rint(f32(y x f32(1 / input scale))) + zero)`, ties to even.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.quantised import Quantised

Array = NDArray[Any]


def reciprocal(quantised: Quantised) -> float:
    """The float32 by which an input is multiplied to become whole."""
    return float(np.float32(1 / quantised.input_scale))


def whole(x: Tensor, quantised: Quantised) -> Tensor:
    """The inputs of an operation in whole numbers, of the narrowest type that its range fits."""
    low, high = quantised.input_range
    places = torch.round(x.float() * reciprocal(quantised)) + quantised.input_zero
    return places.clamp_(low, high).to(type_of(low, high))


def type_of(low: int, high: int) -> torch.dtype:
    """The narrowest type of whole numbers, unsigned where it can be."""
    if low >= 0 and high <= 255:
        return torch.uint8
    for kind in (torch.int8, torch.int16, torch.int32):
        limits = torch.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return kind
    return torch.int64


@attrs.frozen(eq=False)
class Scales:
    """What turns the sums of an operation into its result, per output channel."""

    offset: NDArray[np.float64]
    """What a zero point other than 0 adds to the sums: zero x (sum of the channel's weights)."""
    factor: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def of(cls, quantised: Quantised) -> Scales:
        """Those of an operation."""
        totals = quantised.weights.sum(axis=2, dtype=np.int64).ravel()
        factor = np.asarray(quantised.input_scale * quantised.weight_scale, np.float32)
        bias = np.zeros(totals.shape) if quantised.bias is None else quantised.bias
        return cls(
            (totals * quantised.input_zero).astype(np.float64),
            np.broadcast_to(factor, totals.shape).copy(),
            bias.astype(np.float32),
        )

    def result(self, sums: Tensor) -> Tensor:
        """The result of an operation in float32, from sums with the channels in dimension 1."""
        shape = (-1, *(1,) * (sums.dim() - 2))
        device = sums.device

        def along(values: Array) -> Tensor:
            return torch.from_numpy(values).to(device).reshape(shape)

        if self.offset.any():
            sums = sums.double() - along(self.offset)
        return sums.float() * along(self.factor) + along(self.bias)
