"""The plain product of a torch layer, and its gradients: what straight-through goes by."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Affine:
    """A convolution or a matrix product without bias, and both its gradients.

    Inputs are maps (images, channels, height, width), or vectors (windows, groups x rows) where
    `is_map` is false.
    """

    is_map: bool
    groups: int = 1
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Rows above, rows below, columns left, columns right: zeros."""
    dilation: tuple[int, int] = (1, 1)

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """The outputs."""
        if not self.is_map:
            return x @ weight.T
        x, even = self._padded(x)
        return torch.conv2d(x, weight, None, self.stride, even, self.dilation, self.groups)

    def gradients(
        self, gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Of the inputs and of the weight, each where it is `wanted`."""
        if not self.is_map:
            of_inputs = gradient @ weight if wanted[0] else None
            return of_inputs, gradient.T @ x if wanted[1] else None
        padded, even = self._padded(x)
        of_inputs, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient, padded, weight, None, self.stride, even, self.dilation, False, [0, 0],
            self.groups, [*wanted, False],
        )  # fmt: skip
        if of_inputs is not None and padded is not x:
            above, _, left, _ = self.padding
            of_inputs = of_inputs[:, :, above:, left:][:, :, : x.shape[2], : x.shape[3]]
        return of_inputs, of_weight

    def _padded(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The inputs, and what is still to be padded alike on both sides."""
        above, below, left, right = self.padding
        if (above, left) == (below, right):
            return x, (above, left)
        return torch.nn.functional.pad(x, (left, right, above, below)), (0, 0)
