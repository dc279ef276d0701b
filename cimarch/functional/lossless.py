"""One product of whole numbers, where the converters provably neither clip nor round."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cimarch.functional.windows import Windows

Array = NDArray[Any]


class Product:
    """Weights times inputs, exact."""

    name = "exact"

    def __init__(
        self, weights: NDArray[np.integer], windows: Windows, input_range: tuple[int, int]
    ) -> None:
        self.windows = windows
        self.weights = torch.from_numpy(np.asarray(weights, np.float64))

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The sums of maps (images, channels, rows, columns) or vectors (windows, rows)."""
        x = torch.from_numpy(np.ascontiguousarray(inputs)).double()
        windows, geometry = self.windows, self.windows.geometry
        if geometry is None:
            x = x.reshape(-1, windows.groups, windows.rows)
            made = torch.einsum("wgr,gor->wgo", x, self.weights)
            return made.reshape(len(x), -1).numpy()
        above, below, left, right = geometry.padding
        x = F.pad(x, (left, right, above, below), value=windows.fill)
        kernel = self.weights.reshape(-1, x.shape[1] // windows.groups, *geometry.kernel)
        return F.conv2d(
            x, kernel, None, geometry.stride, 0, geometry.dilation, windows.groups
        ).numpy()
