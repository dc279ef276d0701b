"""The digital tail of one operation on the CPU: tensors laid out for one pass of compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.run.tail_kernels import BLOCK, finish_channels_last, finish_planes

if TYPE_CHECKING:
    from cimarch.functional.run.tail import Tail

Array = NDArray[Any]

_NONE = np.empty(0, np.float32)


class Pass:
    """What `Tail` makes of sums, in one pass over memory; results lie in memory as the sums do."""

    def __init__(self, tail: Tail) -> None:
        self.keeps = tail.keeps
        self.rounding = tail.rounding
        scales = tail.scales
        self.offset = scales.offset if scales.offset.any() else scales.offset[:0]
        self.each = (self.offset, scales.factor, scales.bias)
        times = max(1, BLOCK // len(scales.factor))
        self.block = tuple(np.tile(values, times) for values in self.each)
        self.ends = _ends(tail)

    def __call__(self, sums: Tensor, other: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The result and the next inputs, each where it is wanted."""
        is_taken = sums.dtype in (torch.float32, torch.int32)
        sums = _dense(sums if is_taken else self._centred(sums))
        planes = sums.dim() == 4 and sums.is_contiguous() and sums.shape[2:].numel() > 1
        finish = finish_planes if planes else finish_channels_last
        offset, factor, bias = self.each if planes else self.block
        size = sums.shape[2:].numel() if planes else len(factor)
        kept, written, codes, bits = None, _NONE, None, _NONE.view(np.uint8)
        if self.keeps:
            kept = torch.empty_like(sums, dtype=torch.float32)
            written = _flat(kept)
        if self.rounding is not None:
            codes = torch.empty_like(sums, dtype=self.rounding.dtype)
            bits = _flat(codes).view(np.uint8)
        finish(
            _flat(sums), offset if is_taken else offset[:0], factor, bias,
            _NONE if other is None else _flat(_as(sums, other)), written, bits, self.ends, size,
        )  # fmt: skip
        return kept, codes

    def _centred(self, sums: Tensor) -> Tensor:
        """Sums of another type, less what the zero point adds, in float32."""
        if not len(self.offset):
            return sums.double().float()
        shape = (-1, *(1,) * (sums.dim() - 2))
        return (sums.double() - torch.from_numpy(self.offset).reshape(shape)).float()


def _dense(sums: Tensor) -> Tensor:
    """Sums with the channels fastest, or planes one behind the other."""
    last = sums.dim() == 4 and sums.is_contiguous(memory_format=torch.channels_last)
    return sums if last or sums.is_contiguous() else sums.contiguous()


def _as(sums: Tensor, other: Tensor) -> Tensor:
    """A second addend, lying in memory as the sums do."""
    other = other.reshape(sums.shape)
    if other.dtype == torch.float32 and other.stride() == sums.stride():
        return other
    return torch.empty_like(sums, dtype=torch.float32).copy_(other)


def _flat(values: Tensor) -> Array:
    """The elements as they lie in memory."""
    if not values.is_contiguous():
        values = values.permute(0, 2, 3, 1)
    flat: Array = values.reshape(-1).numpy()
    return flat


def _ends(tail: Tail) -> Array:
    """The limits, and the rounding, as the kernels take them."""
    rounding = tail.rounding
    if rounding is None:
        return np.array([*tail.limits, 0, 0, 0, 0], np.float32)
    zero = rounding.zero
    low, high = rounding.low - zero, rounding.high - zero
    return np.array([*tail.limits, rounding.factor, low, high, zero], np.float32)
