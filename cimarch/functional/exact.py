"""One exact product of whole numbers, by the fastest unit of the machine that gives every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.product_units import UNITS, Multiply, Task, float64
from cimarch.functional.windows import Windows

Array = NDArray[Any]

TRIED = ("integer", "float32")
"""Units that are tried on extreme inputs, for a library or a CPU may do otherwise than it says."""


class Product:
    """Weights times inputs, exact; maps (images, channels, rows, columns) or (windows, rows).

    `weights` are (groups, outputs, rows), inputs lie in `input_range`. Sums come in float32 where
    they stay below 2^24, else in int32, int64, or float64. A map's sums may lie with the channels
    fastest in memory, which inputs may as well. `unit` asks for one of `UNITS`; ValueError where it
    does not take the product.
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
        task = Task(np.asarray(weights, np.int64), windows, *input_range, device)
        self.unit, self._multiply = _unit(task, unit)

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


def _unit(task: Task, asked: str | None) -> tuple[str, Multiply]:
    """The first unit that takes a product, or the one asked for."""
    for name, make in UNITS.items():
        if asked is not None and name != asked:
            continue
        multiply = make(task)
        if multiply is not None and (name not in TRIED or _holds(multiply, task)):
            return name, multiply
    raise ValueError(f"the unit `{asked}` does not take this product")


def _holds(multiply: Multiply, task: Task) -> bool:
    """Whether a unit gives every bit on the largest and on random inputs, as float64 does."""
    inputs = torch.from_numpy(_extremes(task))
    truth = float64(task)
    assert truth is not None
    return bool((multiply(inputs).double() == truth(inputs).double()).all())


def _extremes(task: Task) -> Array:
    """Three small maps: of the largest input, of least and largest ones, and of any."""
    geometry = task.geometry
    high, wide = (
        d * (k - 1) + 1 + 2 * s
        for k, s, d in zip(geometry.kernel, geometry.stride, geometry.dilation, strict=True)
    )
    size = (task.kernel.shape[1] * geometry.groups, high, wide)
    random = np.random.default_rng(0)
    full = np.full(size, task.high)
    ends = random.choice([task.low, task.high], size)
    return np.stack([full, ends, random.integers(task.low, task.high + 1, size)])
