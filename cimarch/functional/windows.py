"""Windows: which inputs a product takes, and how they lie in the map that they come from."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.workload.network import Geometry, Operation


@attrs.frozen
class Windows:
    """How the windows of a matrix operation lie in its input.

    The rows of a convolution's matrix are (input channel, kernel row, kernel column) of one channel
    group, the last fastest: those of its weight tensor.
    """

    rows: int
    """Of one group's matrix."""
    groups: int = 1
    geometry: Geometry | None = None
    """None: the input is (windows, groups x rows) as it stands."""
    fill: int = 0
    """What stands in the padding: the input's zero point."""

    @classmethod
    def of(cls, operation: Operation, fill: int = 0) -> Windows:
        """Those of a matrix operation of a network."""
        return cls(operation.rows, operation.groups, operation.geometry, fill)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output map of a map."""
        g = self.geometry
        assert g is not None
        above, below, left, right = g.padding
        return (
            (height + above + below - g.dilation[0] * (g.kernel[0] - 1) - 1) // g.stride[0] + 1,
            (width + left + right - g.dilation[1] * (g.kernel[1] - 1) - 1) // g.stride[1] + 1,
        )

    def unfold(self, inputs: NDArray[np.integer]) -> NDArray[np.int64]:
        """All windows, (groups, windows, rows), of maps (images, channels, height, width) or of
        vectors (windows, groups x rows); image by image, the output's rows one after the other."""
        x = np.asarray(inputs, np.int64)
        if self.geometry is None:
            return x.reshape(-1, self.groups, self.rows).swapaxes(0, 1)
        g = self.geometry
        above, below, left, right = g.padding
        x = np.pad(x, ((0, 0), (0, 0), (above, below), (left, right)), constant_values=self.fill)
        high, wide = self.size(*inputs.shape[2:])
        taken = np.stack(
            [
                x[
                    :,
                    :,
                    i * g.dilation[0] : i * g.dilation[0] + (high - 1) * g.stride[0] + 1 : g.stride[
                        0
                    ],
                    j * g.dilation[1] : j * g.dilation[1] + (wide - 1) * g.stride[1] + 1 : g.stride[
                        1
                    ],
                ]
                for i in range(g.kernel[0])
                for j in range(g.kernel[1])
            ],
            axis=2,
        )  # (images, channels, kernel, high, wide)
        n = len(x)
        split = taken.reshape(n, self.groups, self.rows, high * wide)
        return split.transpose(1, 0, 3, 2).reshape(self.groups, n * high * wide, self.rows)

    def fold(self, outputs: NDArray[np.generic], inputs: tuple[int, ...]) -> NDArray[np.generic]:
        """Results (groups, windows, outputs) in the form of the operation's: maps (images, groups x
        outputs, height, width), or vectors; `inputs` is the shape that `unfold` was given."""
        groups, windows, columns = outputs.shape
        if self.geometry is None:
            return outputs.swapaxes(0, 1).reshape(windows, groups * columns)
        high, wide = self.size(*inputs[2:])
        split = outputs.reshape(groups, inputs[0], high * wide, columns)
        return split.transpose(1, 0, 3, 2).reshape(inputs[0], groups * columns, high, wide)
