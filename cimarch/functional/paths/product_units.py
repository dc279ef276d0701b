"""The units that compute an exact product of whole numbers, each where it provably gives every bit.

- `integer`: oneDNN's convolution of unsigned by signed 8-bit numbers, summed in 32 bits and handed
  out in float32, exact where no sum reaches 2^24; input channels are cut where it could. CPUs
  without an 8-bit dot product may saturate on the way, so it is tried on extreme inputs first.
- `float32`: a float convolution, exact where no partial sum reaches 2^24, by cuts of channels too;
- `float64`: the same where none reaches 2^53, rounded to whole numbers, so that a library may add
  in any order (and on a GPU in any algorithm);
- `int64`: windows laid out, and 64-bit whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

Array = NDArray[Any]
Multiply = Callable[[Tensor], Tensor]
Convolve = Callable[[Tensor, list[int]], Tensor]
"""Of maps, and how many rows and columns of zeros are to be put around them."""

FLOAT32, FLOAT64 = 2**24, 2**53
"""Whole numbers up to these are floats."""


@attrs.frozen(eq=False)
class Task:
    """What is to be multiplied."""

    weights: NDArray[np.int64]
    """(groups, outputs, rows)."""
    windows: Windows
    low: int
    """The least input."""
    high: int
    device: str = "cpu"

    @property
    def geometry(self) -> Geometry:
        """How windows move; vectors are a map of one column."""
        return self.windows.geometry or Geometry((1, 1), groups=self.windows.groups)

    @property
    def kernel(self) -> Array:
        """The weights of a convolution, (outputs, inputs of a group, high, wide)."""
        high, wide = self.geometry.kernel
        return self.weights.reshape(-1, self.windows.rows // (high * wide), high, wide)

    @property
    def rising(self) -> Array:
        """What positive weights of each channel sum to, (outputs, inputs of a group)."""
        made: Array = np.maximum(self.kernel, 0).sum(axis=(2, 3))
        return made

    @property
    def falling(self) -> Array:
        """The same of negative weights, as positive numbers."""
        made: Array = np.maximum(-self.kernel, 0).sum(axis=(2, 3))
        return made

    @property
    def partial(self) -> int:
        """The largest magnitude of any sum of some of the products."""
        most = (self.rising + self.falling).sum(axis=1).max(initial=0)
        return int(most) * max(abs(self.low), abs(self.high))

    @property
    def reach(self) -> int:
        """The largest magnitude of a result."""
        rising, falling = self.rising.sum(axis=1), self.falling.sum(axis=1)
        most = np.maximum(
            self.high * rising - self.low * falling, self.high * falling - self.low * rising
        )
        return int(most.max(initial=0))


def integer(task: Task) -> Multiply | None:
    """oneDNN's 8-bit convolution; inputs that carry a sign are counted from the least."""
    low, kernel = task.low, task.kernel
    span = task.high - low
    if task.device != "cpu" or span > 255 or np.abs(kernel).max(initial=0) > 127:
        return None
    cuts = _cuts([task.rising, task.falling], task.geometry.groups, span)
    if cuts is None or task.partial + span * 127 * task.windows.rows >= 2**31:
        return None
    if not has_integer_convolution():
        return None
    parts = [packed(kernel[:, first:end], task.geometry) for first, end in cuts]
    totals = torch.from_numpy(low * task.weights.sum(axis=2).reshape(1, -1, 1, 1))
    fill, geometry = task.windows.fill - low, task.geometry
    fits = task.reach < FLOAT32 and len(parts) == 1

    def multiply(x: Tensor) -> Tensor:
        x = (x.to(torch.int16) - low).to(torch.uint8) if low else x.to(torch.uint8)
        sums = _summed(parts, cuts, *_padded(x, geometry, fill))
        if not low:
            return sums
        return sums + totals.float() if fits else sums.to(torch.int32) + totals.to(torch.int32)

    return multiply


def float32(task: Task) -> Multiply | None:
    """A float convolution below 2^24, on the CPU, where it is a sum of products in some order."""
    most = max(abs(task.low), abs(task.high))
    cuts = _cuts([task.rising + task.falling], task.geometry.groups, most)
    if cuts is None or task.device != "cpu" or task.partial >= 2**31:
        return None
    kernel = torch.tensor(task.kernel, dtype=torch.float32)
    parts = [_convolution(kernel[:, first:end], task.geometry) for first, end in cuts]
    fill, geometry = task.windows.fill, task.geometry

    def multiply(x: Tensor) -> Tensor:
        return _summed(parts, cuts, *_padded(x.float(), geometry, fill))

    return multiply


def float64(task: Task) -> Multiply | None:
    """A float convolution below 2^53."""
    if task.partial >= FLOAT64:
        return None
    kernel = torch.tensor(task.kernel, dtype=torch.float64, device=task.device)
    convolve = _convolution(kernel, task.geometry)
    fill, geometry, fits = task.windows.fill, task.geometry, task.reach < FLOAT32

    def multiply(x: Tensor) -> Tensor:
        sums = convolve(*_padded(x.double(), geometry, fill)).round_()
        return sums.float() if fits else sums

    return multiply


def int64(task: Task) -> Multiply:
    """Windows laid out, and a product in 64-bit whole numbers."""
    laid_out = Windows(task.windows.rows, task.windows.groups, task.geometry, task.windows.fill)

    def multiply(x: Tensor) -> Tensor:
        inputs = x.cpu().numpy()
        sums = np.einsum("gwr,gor->gwo", laid_out.unfold(inputs), task.weights)
        return torch.from_numpy(laid_out.fold(sums, inputs.shape)).to(x.device)

    return multiply


UNITS: dict[str, Callable[[Task], Multiply | None]] = {
    "integer": integer,
    "float32": float32,
    "float64": float64,
    "int64": int64,
}
"""What computes a product, the fastest first; each gives None where it cannot."""


def _cuts(sums: list[Array], groups: int, most: int) -> list[tuple[int, int]] | None:
    """Runs of input channels of which no sum reaches 2^24, for inputs up to `most`; None where
    there are none. `sums` are weights (outputs, channels) that may come together."""
    found, first, channels = [], 0, sums[0].shape[1]
    while first < channels:
        reached = np.stack([each[:, first:].cumsum(axis=1) for each in sums]).max(axis=(0, 1))
        taken = int(np.searchsorted(reached, (FLOAT32 - 1) // max(most, 1), side="right"))
        if taken == 0 or (groups > 1 and taken < channels):
            return None
        found.append((first, first + taken))
        first += taken
    return found


def _summed(
    parts: list[Convolve], cuts: list[tuple[int, int]], x: Tensor, padding: list[int]
) -> Tensor:
    """The sum over runs of channels, in float32 where there is one, else in int32."""
    if len(parts) == 1:
        return parts[0](x, padding)
    sums: Tensor | None = None
    for part, (first, end) in zip(parts, cuts, strict=True):
        made = part(x[:, first:end], padding).to(torch.int32)
        sums = made if sums is None else sums.add_(made)
    assert sums is not None
    return sums


def _padded(x: Tensor, geometry: Geometry, fill: int) -> tuple[Tensor, list[int]]:
    """Maps with their padding, and what is left to be padded by zeros: rows, columns.

    None is left where a window may lie in padding alone: oneDNN 3.x then reads beyond the map.
    """
    above, below, left, right = geometry.padding
    high, wide = (d * (k - 1) + 1 for k, d in zip(geometry.kernel, geometry.dilation, strict=True))
    holds = above < high <= x.shape[2] and left < wide <= x.shape[3]
    if fill == 0 and holds and (above, left) == (below, right):
        return x, [above, left]
    return F.pad(x, (left, right, above, below), value=fill), [0, 0]


def _convolution(kernel: Tensor, geometry: Geometry) -> Convolve:
    """A convolution in the type of its weights."""

    def convolve(x: Tensor, padding: list[int]) -> Tensor:
        stride, dilation, groups = geometry.stride, geometry.dilation, geometry.groups
        return F.conv2d(x, kernel, None, stride, padding, dilation, groups)

    return convolve


def packed(kernel: Array, geometry: Geometry) -> Convolve:
    """One 8-bit convolution with its weights laid out as oneDNN wants them."""
    one, zero = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    stride, dilation, groups = list(geometry.stride), list(geometry.dilation), geometry.groups
    weights = torch.from_numpy(np.ascontiguousarray(kernel, np.int8))
    ops = torch.ops.onednn
    above, _, left, _ = geometry.padding
    reach = dilation[1] * (kernel.shape[3] - 1) + 1
    held = ops.qconv_prepack(weights, one, 1.0, 0, stride, [above, left], dilation, groups, None)

    def convolve(x: Tensor, padding: list[int]) -> Tensor:
        missing = reach + stride[1] - x.shape[3] - 2 * padding[1]
        if stride[1] > 1 and missing > 0:
            # Where a stride is left to a single column of results oneDNN 3.x mixes up their rows:
            # a second column is computed, of zeros behind the map, and dropped.
            return convolve(F.pad(x, (0, missing)), padding)[..., :1]
        x = x.contiguous(memory_format=torch.channels_last)
        made: Tensor = ops.qconv2d_pointwise(
            x, 1.0, 0, held, one, zero, None, stride, padding, dilation, groups,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return made

    return convolve


@cache
def has_integer_convolution() -> bool:
    """Whether this build of torch has the 8-bit convolution, and it gives every bit here."""
    weights = np.full((8, 64, 3, 3), 127)
    weights[1::2] *= -1
    x = torch.full((2, 64, 5, 5), 255, dtype=torch.uint8)
    try:
        found = packed(weights, Geometry((3, 3)))(x, [0, 0])
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    expected = F.conv2d(x.double(), torch.from_numpy(weights).double())
    return bool((found.double() == expected).all())
