"""Between a product and the next: scale, bias, and the rounding to the next operation's inputs.

This is the one definition of both, for the quantised model and the chip alike:

- the result of an operation is `f32(sums) x f32(input scale x weight scale) + f32(bias)`, where
  `sums` are weights . (x - zero), exact; multiplied first, then added, each rounded to float32;
- the input of an operation is `clamp(rint(f32(y x f32(1 / input scale))) + zero)`, ties to even.
"""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.quantised import Quantised

if TYPE_CHECKING:
    from cimarch.functional.run.tail_pass import Pass

Array = NDArray[Any]


@attrs.frozen
class Rounding:
    """How numbers become the inputs of an operation."""

    factor: float
    """The float32 that they are multiplied by."""
    zero: int
    low: int
    high: int

    @classmethod
    def of(cls, quantised: Quantised) -> Rounding:
        """That of an operation's inputs."""
        factor = float(np.float32(1 / quantised.input_scale))
        return cls(factor, quantised.input_zero, *quantised.input_range)

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest type of whole numbers that they fit, unsigned where it can be."""
        if self.low >= 0 and self.high <= 255:
            return torch.uint8
        for kind in (torch.int8, torch.int16, torch.int32):
            limits = torch.iinfo(kind)
            if limits.min <= self.low and self.high <= limits.max:
                return kind
        return torch.int64

    @property
    def is_byte(self) -> bool:
        """Whether they have 8 bits at most."""
        return self.dtype in (torch.uint8, torch.int8)

    def __call__(self, x: Tensor) -> Tensor:
        """The inputs in whole numbers."""
        places = torch.round(x.float() * self.factor).add_(self.zero)
        return places.clamp_(self.low, self.high).to(self.dtype)


def whole(x: Tensor, quantised: Quantised) -> Tensor:
    """The inputs of an operation in whole numbers, of the narrowest type that its range fits."""
    return Rounding.of(quantised)(x)


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
        totals = quantised.totals
        factor = np.asarray(quantised.input_scale * quantised.weight_scale, np.float32)
        bias = np.zeros(totals.shape) if quantised.bias is None else quantised.bias
        return cls(
            totals * quantised.input_zero,
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


@attrs.frozen(eq=False, slots=False)
class Tail:
    """What the digital units do between the sums of one operation and what reads its result."""

    scales: Scales
    limits: tuple[float, float] = (-inf, inf)
    """Between which the result is held: (0, inf) is a relu."""
    keeps: bool = True
    """Whether something reads the result itself."""
    rounding: Rounding | None = None
    """Of the operation that reads it as its inputs; None: none does."""

    def __call__(self, sums: Tensor, other: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The result and the next inputs, each where it is wanted; `other` is added first.

        Sums have the channels in dimension 1.
        """
        if sums.device.type == "cpu" and (self.rounding is None or self.rounding.is_byte):
            return self._pass(sums, other)
        return self.plain(sums, other)

    @cached_property
    def _pass(self) -> Pass:
        from cimarch.functional.run.tail_pass import Pass

        return Pass(self)

    def plain(self, sums: Tensor, other: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The same, one step after the other."""
        y = self.scales.result(sums)
        if other is not None:
            y = y + other.reshape(y.shape)
        if self.limits != (-inf, inf):
            y = y.clamp(*self.limits)
        return y if self.keeps else None, self.rounding(y) if self.rounding else None
