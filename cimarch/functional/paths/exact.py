"""One exact product of whole numbers, by the fastest unit of the machine that gives every bit."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.paths.product_units import UNITS, Multiply, Task, float64
from cimarch.functional.windows import Windows

Array = NDArray[Any]

TRIED = ("integer", "float32")
"""Units that are tried on extreme inputs, and on the first map of each size, for a library or a CPU
may do otherwise than it says."""
LARGEST = 1 << 22
"""Weights that are held in float64 at once."""


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
        self._task = Task(np.asarray(weights, np.int64), windows, *input_range, device)
        self.unit, self._multiply = _unit(self._task, unit)
        self._known: set[tuple[int, ...]] = set()

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The sums of inputs."""
        sums: Array = self.tensor(torch.from_numpy(inputs).to(self.device)).cpu().numpy()
        return sums

    def tensor(self, inputs: Tensor) -> Tensor:
        """The same on a tensor that lies on the device."""
        if self.windows.geometry is not None:
            self._try(inputs)
            return self._multiply(inputs)
        vectors = inputs.reshape(-1, self.windows.groups * self.windows.rows)
        as_map = vectors.T[None, :, :, None]  # (1, inputs, windows, 1), the inputs fastest
        return self._multiply(as_map)[0, :, :, 0].T

    def _try(self, inputs: Tensor) -> None:
        """Try the unit on the first map of a size; one that fails is given up for the next."""
        size = tuple(inputs.shape[2:])
        if size in self._known or self.unit not in TRIED:
            return
        if not _agrees(self._multiply, self._task, inputs[:1]):
            self.unit, self._multiply = _unit(self._task, None, after=self.unit)
        self._known.add(size)


def _unit(task: Task, asked: str | None, after: str | None = None) -> tuple[str, Multiply]:
    """The first unit that takes a product, or the one asked for, or the first after another."""
    names = list(UNITS)
    for name in names[names.index(after) + 1 if after else 0 :]:
        if asked is not None and name != asked:
            continue
        multiply = UNITS[name](task)
        if multiply is None:
            continue
        if name not in TRIED or _agrees(multiply, task, torch.from_numpy(_extremes(task))):
            return name, multiply
    raise ValueError(f"the unit `{asked}` does not take this product")


def _agrees(multiply: Multiply, task: Task, inputs: Tensor) -> bool:
    """Whether a unit gives every bit, as float64 does; a few outputs are made in that at a time."""
    found = multiply(inputs)
    outputs = task.weights.shape[1]
    some = max(1, LARGEST // task.windows.rows) if task.windows.groups == 1 else outputs
    for first in range(0, outputs, some):
        part = attrs.evolve(task, weights=task.weights[:, first : first + some])
        truth = float64(part)
        assert truth is not None
        taken = found if some >= outputs else found[:, first : first + some]
        if not torch.equal(taken.double(), truth(inputs).double()):
            return False
    return True


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
