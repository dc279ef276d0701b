"""The general path: matrix products per section and input step, then vectorised conversions.

It takes every scheme and converter, and cells that hold no whole numbers: those of a device with
non-idealities. Channel groups and bands of windows are worked through one after the other; what is
done with one is in `cimarch.functional.paths.group_products`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.cells.device import Device
from cimarch.functional.cells.randomness import Draw, Noise
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines
from cimarch.functional.paths.group_products import GroupProducts
from cimarch.functional.paths.unfold import WINDOWS, Band, bands, unfolded
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows

_WINDOWS_ELSEWHERE = 2**16
"""Windows of a band on a device of torch's, which likes larger products. Where chance has a part,
bands are the same everywhere."""


class Products:
    """Products of one matrix operation by general matrix multiplication."""

    name = "products"

    def __init__(
        self,
        lines: Sequence[Lines],
        ranges: Ranges | Sequence[Ranges | None] | None,
        windows: Windows,
        *,
        device: Device | None = None,
        draw: Draw | None = None,
        on: str = "cpu",
    ) -> None:
        """`lines` and `ranges` are one per channel group, or one range for all.

        With a `device` the cells and converters are its; `draw` says which of all that it could be.
        `on` is where to multiply: `cpu`, or a torch device such as `cuda`.
        """
        each = [ranges] * len(lines) if isinstance(ranges, Ranges | None) else list(ranges)
        draw = draw or Draw()
        self.windows = windows
        self.draw = draw
        self._most = WINDOWS if on == "cpu" or device is not None else _WINDOWS_ELSEWHERE
        self.next_image = 0
        """The number of the next image, by which what chance adds to its reads is found. Every
        call counts on; set it to begin elsewhere."""
        self.next_counted = 0
        """The same of `counted`, so that looking at a run does not change it."""
        self.groups = [
            GroupProducts(one, its, device, draw, group, on)
            for group, (one, its) in enumerate(zip(lines, each, strict=True))
        ]

    def __call__(self, inputs: NDArray[np.integer]) -> NDArray[np.generic]:
        """The results, in whole numbers where codes and corrections are."""
        made = self._run(inputs, self.next_image, None)
        self.next_image += len(inputs)
        return made

    def counted(self, inputs: NDArray[np.integer]) -> tuple[NDArray[np.generic], Counts]:
        """The results, and what happened to conversions and sums."""
        counts = [Counts()]
        made = self._run(inputs, self.next_counted, counts)
        self.next_counted += len(inputs)
        return made, sum(counts[1:], counts[0])

    def _run(
        self, inputs: NDArray[np.integer], image: int, counts: list[Counts] | None
    ) -> NDArray[np.generic]:
        outputs = self.groups[0].lines.outputs
        whole = all(group.is_whole for group in self.groups)
        made = np.empty(
            self._shape(inputs, len(self.groups) * outputs), np.int64 if whole else np.float64
        )
        for band in bands(self.windows, inputs.shape, self._most):
            for number, group in enumerate(self.groups):
                x = unfolded(self.windows, inputs, number, band, group.input_type)
                values = group.products(x, self._noise(number, image, band), counts)
                band.put(made, values, number * outputs)
        return made

    def _shape(self, inputs: NDArray[np.integer], columns: int) -> tuple[int, ...]:
        if self.windows.geometry is None:
            return (len(inputs), columns)
        return (len(inputs), columns, *self.windows.size(*inputs.shape[2:]))

    def _noise(self, group: int, image: int, band: Band) -> Noise | None:
        """The chance of the reads of a band; None where they have none."""
        real = self.groups[group].real
        if real is None or not real.is_noisy:
            return None
        images = range(image + band.first, image + band.end)
        return Noise.of(self.draw, group, images, band.number, band.windows_each)
