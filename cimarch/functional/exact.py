"""One exact product of whole numbers, at the speed of the CPU's integer or float units.

Three units compute it, the first that provably gives every bit:

- `integer`: oneDNN's convolution of unsigned by signed 8-bit numbers, summed in 32 bits and handed
  out in float32, exact where no sum reaches 2^24; input channels are cut where it could. CPUs
  without an 8-bit dot product may saturate on the way, so it is tried on extreme inputs first.
- `float32`: a float convolution, exact where no partial sum reaches 2^24;
- `float64`: the same where none reaches 2^53, rounded to whole numbers, so that a library may add
  in any order (and on a GPU in any algorithm). Beyond it, `int64`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

Array = NDArray[Any]
_FLOAT32, _FLOAT64 = 2**24, 2**53
"""Whole numbers up to these are floats."""


class Product:
    """Weights times inputs, exact; maps (images, channels, rows, columns) or (windows, rows).

    `weights` are (groups, outputs, rows), inputs lie in `input_range`. Sums come in float32 where
    they stay below 2^24, else in int32, int64, or float64. A map's sums may lie with the channels
    fastest in memory, which inputs may as well. `unit` asks for one of `UNITS`.
    """

    name = "exact"

    def __init__(
        self,
        weights: NDArray[np.integer],
        windows: Windows,
        input_range: tuple[int, int],
        *,
        device: str = "cpu",
        unit: str | None = None,
    ) -> None:
        self.windows = windows
        self.device = device
        self.unit, self._multiply = _unit(
            np.asarray(weights, np.int64), windows, input_range, device, unit
        )

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The sums of inputs."""
        sums: Array = self.tensor(torch.from_numpy(inputs).to(self.device)).cpu().numpy()
        return sums

    def tensor(self, inputs: Tensor) -> Tensor:
        """The same on a tensor that lies on the device."""
        if self.windows.geometry is not None:
            return self._multiply(inputs)
        vectors = inputs.reshape(-1, self.windows.groups * self.windows.rows)
        as_map = vectors.T[None, :, :, None]  # (1, inputs, windows, 1), the inputs fastest
        return self._multiply(as_map)[0, :, :, 0].T


Multiply = Callable[[Tensor], Tensor]


def _unit(
    weights: Array, windows: Windows, span: tuple[int, int], device: str, asked: str | None
) -> tuple[str, Multiply]:
    """The first unit that takes a product, or the one asked for, tried on extreme inputs."""
    for name, make in UNITS.items():
        if asked is not None and name != asked:
            continue
        multiply = make(weights, windows, span, device)
        if multiply is not None and _holds(name, multiply, weights, windows, span):
            return name, multiply
    raise ValueError(f"the unit `{asked}` does not take this product")


def _geometry(windows: Windows) -> Geometry:
    """How windows move; vectors are a map of one column."""
    return windows.geometry or Geometry((1, 1), groups=windows.groups)


def _kernel(weights: Array, windows: Windows) -> Array:
    """(groups, outputs, rows) as the weights of a convolution, (outputs, inputs, high, wide)."""
    high, wide = _geometry(windows).kernel
    return weights.reshape(-1, windows.rows // (high * wide), high, wide)


def reach(weights: Array, span: tuple[int, int]) -> tuple[int, int]:
    """The least and the largest sum of weights (..., rows) times inputs within `span`."""
    rising = np.maximum(weights, 0).sum(axis=-1, dtype=np.int64)
    falling = np.minimum(weights, 0).sum(axis=-1, dtype=np.int64)
    low, high = span
    return int((low * rising + high * falling).min()), int((high * rising + low * falling).max())


def _partial(weights: Array, span: tuple[int, int]) -> int:
    """The largest magnitude of any sum of some of the products."""
    return int(np.abs(weights).sum(axis=-1, dtype=np.int64).max()) * max(abs(span[0]), span[1])


def _padded(x: Tensor, geometry: Geometry, fill: int) -> tuple[Tensor, list[int]]:
    """Maps with their padding, and what is left to be padded by zeros: rows, columns."""
    above, below, left, right = geometry.padding
    if fill == 0 and (above, left) == (below, right):
        return x, [above, left]
    return F.pad(x, (left, right, above, below), value=fill), [0, 0]


def _integer(
    weights: Array, windows: Windows, span: tuple[int, int], device: str
) -> Multiply | None:
    """oneDNN's 8-bit convolution; inputs that carry a sign are counted from the least."""
    low, high = span
    shifted = (0, high - low)
    if device != "cpu" or high - low > 255 or np.abs(weights).max(initial=0) > 127:
        return None
    kernel = _kernel(weights, windows)
    cuts = _cuts(kernel, windows.groups, shifted)
    if cuts is None or max(map(abs, reach(weights, shifted))) >= 2**31 or not _has_onednn():
        return None
    geometry, fill = _geometry(windows), windows.fill - low
    parts = [_packed(kernel[:, first:end], geometry) for first, end in cuts]
    totals = torch.from_numpy(low * weights.sum(axis=2).reshape(1, -1, 1, 1))
    small = max(map(abs, reach(weights, span))) < _FLOAT32

    def multiply(x: Tensor) -> Tensor:
        x = (x.to(torch.int16) - low).to(torch.uint8) if low else x.to(torch.uint8)
        x, padding = _padded(x, geometry, fill)
        if len(parts) == 1:
            sums = parts[0](x, padding)
        else:
            pairs = zip(parts, cuts, strict=True)
            each = [part(x[:, first:end], padding) for part, (first, end) in pairs]
            sums = torch.stack([one.to(torch.int32) for one in each]).sum(0, dtype=torch.int32)
        if low:
            sums = sums + (totals.float() if small and len(parts) == 1 else totals)
        return sums

    return multiply


def _cuts(kernel: Array, groups: int, span: tuple[int, int]) -> list[tuple[int, int]] | None:
    """Runs of input channels of which no sum reaches 2^24; None where there are none."""
    channels = kernel.shape[1]
    sums = np.cumsum(np.maximum(kernel, 0).sum(axis=(2, 3)), axis=1)
    falls = np.cumsum(np.maximum(-kernel, 0).sum(axis=(2, 3)), axis=1)
    most = np.maximum(sums, falls)
    found, first = [], 0
    while first < channels:
        before = (sums[:, first - 1 : first], falls[:, first - 1 : first]) if first else (0, 0)
        most = np.maximum(sums[:, first:] - before[0], falls[:, first:] - before[1]).max(axis=0)
        taken = int(np.searchsorted(most, (_FLOAT32 - 1) // max(span[1], 1), side="right"))
        if taken == 0 or (groups > 1 and taken < channels):
            return None
        found.append((first, first + taken))
        first += taken
    return found


def _packed(kernel: Array, geometry: Geometry) -> Callable[[Tensor, list[int]], Tensor]:
    """One 8-bit convolution with its weights laid out as oneDNN wants them."""
    one, zero = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    stride, dilation, groups = list(geometry.stride), list(geometry.dilation), geometry.groups
    weights = torch.from_numpy(np.ascontiguousarray(kernel, np.int8))
    ops = torch.ops.onednn
    above, _, left, _ = geometry.padding
    held = ops.qconv_prepack(weights, one, 1.0, 0, stride, [above, left], dilation, groups, None)

    def convolve(x: Tensor, padding: list[int]) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        made: Tensor = ops.qconv2d_pointwise(
            x, 1.0, 0, held, one, zero, None, stride, padding, dilation, groups,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return made

    return convolve


@cache
def _has_onednn() -> bool:
    """Whether this build of torch has the 8-bit convolution, and it gives every bit here."""
    weights = np.full((8, 64, 3, 3), 127)
    weights[1::2] *= -1
    x = torch.full((2, 64, 5, 5), 255, dtype=torch.uint8)
    try:
        found = _packed(weights, Geometry((3, 3)))(x, [0, 0])
    except (RuntimeError, AttributeError, TypeError, NotImplementedError):
        return False
    expected = F.conv2d(x.double(), torch.from_numpy(weights).double())
    return bool((found.double() == expected).all())


def _float(kind: torch.dtype, limit: int) -> Callable[..., Multiply | None]:
    """The unit of a float convolution that is exact below a limit."""

    def make(
        weights: Array, windows: Windows, span: tuple[int, int], device: str
    ) -> Multiply | None:
        if _partial(weights, span) >= limit or (device != "cpu" and kind == torch.float32):
            return None
        geometry = _geometry(windows)
        kernel = torch.tensor(_kernel(weights, windows), dtype=kind, device=device)
        small = max(map(abs, reach(weights, span))) < _FLOAT32

        def multiply(x: Tensor) -> Tensor:
            x, padding = _padded(x.to(kind), geometry, windows.fill)
            sums = F.conv2d(
                x, kernel, None, geometry.stride, padding, geometry.dilation, geometry.groups
            )
            if kind == torch.float64:
                sums = sums.round_()
            return sums.float() if small else sums

        return multiply

    return make


def _int64(weights: Array, windows: Windows, span: tuple[int, int], device: str) -> Multiply:
    """Windows laid out, and a product in 64-bit whole numbers."""
    laid_out = Windows(windows.rows, windows.groups, _geometry(windows), windows.fill)

    def multiply(x: Tensor) -> Tensor:
        inputs = x.cpu().numpy()
        sums = np.einsum("gwr,gor->gwo", laid_out.unfold(inputs), weights)
        return torch.from_numpy(laid_out.fold(sums, inputs.shape)).to(x.device)

    return multiply


UNITS: dict[str, Callable[[Array, Windows, tuple[int, int], str], Multiply | None]] = {
    "integer": _integer,
    "float32": _float(torch.float32, _FLOAT32),
    "float64": _float(torch.float64, _FLOAT64),
    "int64": _int64,
}
"""What computes a product, the fastest first; each says None where it cannot."""


def _holds(
    name: str, multiply: Multiply, weights: Array, windows: Windows, span: tuple[int, int]
) -> bool:
    """Whether a unit gives every bit on the largest and on random inputs, as float64 does."""
    if name not in ("integer", "float32"):
        return True
    geometry = _geometry(windows)
    size = [
        d * (k - 1) + 1 + 2 * s
        for k, s, d in zip(geometry.kernel, geometry.stride, geometry.dilation, strict=True)
    ]
    channels = windows.rows * windows.groups // (geometry.kernel[0] * geometry.kernel[1])
    random = np.random.default_rng(0)
    low, high = span
    x = np.stack([
        np.full((channels, *size), high),
        random.choice([low, high], (channels, *size)),
        random.integers(low, high + 1, (channels, *size)),
    ])  # fmt: skip
    truth = _float(torch.float64, _FLOAT64)(weights, windows, span, "cpu")
    assert truth is not None
    inputs = torch.from_numpy(x)
    return bool((multiply(inputs).double() == truth(inputs).double()).all())
