"""Bands: the pieces in which a path works through the windows of its inputs.

A band is some rows of the output maps of some images (or some of the vectors), so that what is
laid out for it stays small whatever the batch. How many rows it has depends on the operation alone,
so that what chance adds to a band is the same in any batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.windows import Windows

WINDOWS = 2048
"""Windows of a band, about: their sums stay in the cache, and rows of them are long."""


@attrs.frozen
class Band:
    """Images `first` to `end`, rows `top` to `bottom` of their output maps."""

    first: int
    end: int
    top: int = 0
    bottom: int = 1
    wide: int = 1
    """Windows of a row of the output map."""
    number: int = 0
    """Which band of its images it is."""

    @property
    def windows_each(self) -> int:
        """Of one image."""
        return (self.bottom - self.top) * self.wide

    def put(self, made: NDArray[np.generic], values: NDArray[np.float64], column: int) -> None:
        """Lay results (outputs, windows) into the operation's, from an output on."""
        columns = slice(column, column + len(values))
        if made.ndim == 2:
            made[self.first : self.end, columns] = values.T
            return
        split = values.reshape(len(values), self.end - self.first, -1, self.wide)
        made[self.first : self.end, columns, self.top : self.bottom] = split.swapaxes(0, 1)


def bands(windows: Windows, shape: tuple[int, ...], most: int = WINDOWS) -> Iterator[Band]:
    """The bands of inputs of a shape, in order, of about `most` windows."""
    if windows.geometry is None:
        for first in range(0, shape[0], most):
            yield Band(first, min(first + most, shape[0]))
        return
    high, wide = windows.size(*shape[2:])
    rows = min(high, max(1, most // wide))
    images = max(1, most // (rows * wide))
    for first in range(0, shape[0], images):
        for number, top in enumerate(range(0, high, rows)):
            end, bottom = min(first + images, shape[0]), min(top + rows, high)
            yield Band(first, end, top, bottom, wide, number)


def unfolded(
    windows: Windows,
    inputs: NDArray[np.integer],
    group: int,
    band: Band,
    kind: np.dtype[np.generic],
) -> NDArray[np.generic]:
    """The inputs (rows, windows) of one channel group, in a type, window by window of the band."""
    if windows.geometry is None:
        rows = slice(group * windows.rows, (group + 1) * windows.rows)
        return np.ascontiguousarray(inputs[band.first : band.end, rows].T, kind)
    g = windows.geometry
    channels = windows.rows // (g.kernel[0] * g.kernel[1])
    mine = inputs[band.first : band.end, group * channels : (group + 1) * channels]
    held = _padded(windows, mine, band, kind)
    images, high, wide = band.end - band.first, band.bottom - band.top, band.wide
    laid = np.empty((channels, *g.kernel, images, high, wide), kind)
    for i in range(g.kernel[0]):
        for j in range(g.kernel[1]):
            top, left = i * g.dilation[0], j * g.dilation[1]
            bottom, right = top + (high - 1) * g.stride[0] + 1, left + (wide - 1) * g.stride[1] + 1
            laid[:, i, j] = held[:, :, top : bottom : g.stride[0], left : right : g.stride[1]]
    return laid.reshape(windows.rows, images * high * wide)


def _padded(
    windows: Windows, maps: NDArray[np.integer], band: Band, kind: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """The part (channels, images, height, width) of maps that a band reads, with its padding."""
    g = windows.geometry
    assert g is not None
    above, _, left, right = g.padding
    images, channels, height, width = maps.shape
    first = band.top * g.stride[0] - above
    last = (band.bottom - 1) * g.stride[0] - above + g.dilation[0] * (g.kernel[0] - 1) + 1
    held = np.full((channels, images, last - first, left + width + right), windows.fill, kind)
    top, bottom = max(first, 0), min(last, height)
    if bottom > top:
        taken = maps[:, :, top:bottom].swapaxes(0, 1)
        held[:, :, top - first : bottom - first, left : left + width] = taken
    return held
