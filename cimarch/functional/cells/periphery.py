"""What converters add of their own: offset, gain, noise and non-linearity.

A sum S becomes S x (1 + gain) + step x (offset + noise x normal + deviation(S)) before it is
converted as always: errors are referred to the converter's input, as IEEE Std 1241 defines them for
converters (offset, gain, integral non-linearity against the line through both ends).
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.cells.device import Device, Errors
from cimarch.functional.cells.randomness import Noise
from cimarch.functional.lines import Lines
from cimarch.functional.paths.arithmetic import Arithmetic, Conversion

Floats = NDArray[np.float64]
_PEAK = 2 / 3**1.5
"""The largest value of u - u^3 between 0 and 1: a cubic curve of this peak is 0 at both ends of the
range and in its middle."""


@attrs.frozen(eq=False)
class Periphery:
    """The converters of a channel group's arrays."""

    errors: Errors
    gains: Floats
    """(tiles, outputs x lines)."""
    offsets: Floats
    """(tiles, outputs x lines), in steps."""

    @property
    def noise(self) -> float:
        """Standard deviation of a conversion, in steps."""
        return self.errors.noise

    def distorted(
        self, sums: Any, tile: int, how: Conversion, noise: Noise | None, at: Arithmetic
    ) -> Any:
        """Sums (rows, windows) as an ideal converter would have to be given them; in place."""
        sums *= self._column(1 + self.gains[tile], sums, at)
        sums += self._column(self.offsets[tile] * how.steps, sums, at)
        if noise is not None and self.errors.noise:
            normal = at.cast(at.hold(noise.normal(len(sums))), at.kind(sums))
            normal *= self._column(self.errors.noise * how.steps, sums, at)
            sums += normal
        if self.errors.inl or self.errors.inl_table:
            table = np.array(self.errors.inl_table, np.float64)
            at.bend(how, sums, self.errors.inl / _PEAK, table)
        return sums

    def _column(self, each: Floats, sums: Any, at: Arithmetic) -> Any:
        """One value per row, in the type of sums."""
        return at.hold(each.astype(at.kind(sums)))[:, None]


def periphery_of(device: Device, lines: Lines, generator: np.random.Generator) -> Periphery | None:
    """The converters of all arrays of a channel group; None where they are ideal.

    A weight's lines lie side by side, as many weights on an array as its columns hold; lines that
    share a converter share its errors.
    """
    errors = device.errors
    if errors == Errors():
        return None
    tiles = lines.factors.shape[2]
    array, converter = _converters(device, lines)
    shape = (tiles, array.max(initial=0) + 1, device.converters)
    gains, offsets = (
        mean + spread * generator.standard_normal(shape)
        for mean, spread in (
            (errors.gain_error, errors.gain_spread),
            (errors.offset, errors.offset_spread),
        )
    )
    return Periphery(errors, gains[:, array, converter], offsets[:, array, converter])


def _converters(device: Device, lines: Lines) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Array (counted along the columns) and converter of each line of each output."""
    planes, many = len(lines.cells.levels), len(lines.digits)
    weights = max(1, device.columns // planes)
    output, line = np.divmod(np.arange(many * lines.outputs), many)
    place = (output % weights) * many + line
    if device.mux == "interleaved":
        return output // weights, place % device.converters
    share = -(-weights * many // device.converters)
    return output // weights, np.minimum(place // share, device.converters - 1)
