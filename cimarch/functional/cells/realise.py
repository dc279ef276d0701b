"""What a weight matrix becomes on cells that are not ideal, read by converters that are not.

What cells conduct is in `cimarch.functional.cells.conductance`; where wires resist, an array of
them is solved as a mesh (`cimarch.functional.cells.wire`). One unit is one level of a cell.

A cell that holds a sign has it from the branch that its current takes: magnitudes are conductances,
and the currents of level 0 of both branches cancel.

At last digits are rounded to a binary fraction (2^-10 of a level or finer), with which all sums are
exact: results depend neither on the batch nor on the order of additions.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.cells.conductance import Conductances
from cimarch.functional.cells.device import Device
from cimarch.functional.cells.periphery import Periphery, periphery_of
from cimarch.functional.cells.randomness import Draw, Noise
from cimarch.functional.cells.wire import wired
from cimarch.functional.lines import Lines
from cimarch.functional.paths.arithmetic import Arithmetic, Conversion
from cimarch.functional.paths.sizes import largest_sum

Floats = NDArray[np.float64]
_FINEST = 30
"""Bits behind the point that digits have at most."""


@attrs.frozen(eq=False)
class Realised:
    """The sense lines of a channel group on one real device."""

    digits: Floats
    """(lines, outputs, rows), rounded so that sums are exact in `kind`."""
    correction: Floats
    """(outputs, tiles): what is added to the lines' correction."""
    gain: float
    """By which results of converters are multiplied: compensated drift."""
    kind: np.dtype[Any]
    spread: Floats
    """(outputs x lines,): standard deviation of a read, per square root of the sum of squared
    levels; where it is the same for all cells."""
    variances: Floats | None
    """(lines, outputs, rows): what each cell adds to the variance of a read; where it is not."""
    periphery: Periphery | None
    """None: the converters are ideal."""

    @property
    def reads(self) -> bool:
        """Whether reads have noise."""
        return self.variances is not None or bool(self.spread.any())

    @property
    def is_noisy(self) -> bool:
        """Whether chance adds to every read or conversion."""
        return self.reads or (self.periphery is not None and self.periphery.noise > 0)

    def read(
        self, sums: Any, variances: Any, power: Any, noise: Noise | None, at: Arithmetic
    ) -> Any:
        """Sums (rows, windows) with the noise of one read, in place; `power` are squared levels."""
        if noise is None or not self.reads:
            return sums
        if variances is not None:
            spread = at.multiply(variances, power) ** 0.5
        else:
            total = at.cast(at.total(power) ** 0.5, self.kind)
            spread = at.hold(self.spread.astype(self.kind))[:, None] * total
        spread *= at.hold(noise.normal(len(sums)))
        sums += spread
        return sums

    def converted(
        self, sums: Any, tile: int, how: Conversion, noise: Noise | None, at: Arithmetic
    ) -> Any:
        """Sums as the converters take them, so that an ideal converter gives their codes."""
        if self.periphery is None or how.converter is None:
            return sums
        return self.periphery.distorted(sums, tile, how, noise, at)


def realise(device: Device, lines: Lines, draw: Draw, group: int) -> Realised:
    """One device of all that `draw` could give."""
    cell, levels = device.cell, lines.cells.levels
    held = Conductances(cell, np.abs(levels), max(lines.cells.highest, -lines.cells.lowest))
    cells, fresh = held.drawn(draw.cells(group))
    if cell.wire_resistance:
        cells = wired(device, lines, cells, held.full)
    is_lost = lines.cells.lowest < 0 or cell.off_current == "analog"
    signed = np.where(levels < 0, -1, 1) * (cells - (held.off if is_lost else 0.0))
    digits = np.einsum("lp,por->lor", lines.cells.into.astype(np.float64), signed)
    kind, grid = _grid(lines, digits)
    spread, variances = _reading(held, lines)
    return Realised(
        _rounded(digits, grid),
        _none(lines) if is_lost or cell.off_current == "kept" else _digital(lines, held.off),
        float(fresh.sum() / cells.sum()) if cell.drift_compensation and cells.sum() else 1.0,
        kind,
        spread,
        variances,
        periphery_of(device, lines, draw.converters(group)),
    )


def _reading(held: Conductances, lines: Lines) -> tuple[Floats, Floats | None]:
    """Spread by row, or variances by cell, of the noise of one read."""
    spread, squares = held.read_spread(), lines.cells.into.astype(np.float64) ** 2
    if isinstance(spread, float):
        return np.tile(spread * np.sqrt(squares.sum(axis=1)), lines.outputs), None
    variances = np.einsum("lp,por->lor", squares, spread**2)
    rounded = _rounded(variances, _grid(lines, variances, squared=True)[1])
    return np.zeros(len(squares) * lines.outputs), rounded


def _digital(lines: Lines, off: float) -> Floats:
    """(outputs, tiles): what takes the current of level 0 out again, times the sum of inputs."""
    each = lines.cells.into.sum(axis=1) * off
    made: Floats = -(lines.factors * each[:, None, None]).sum(axis=0) - lines.reference * off
    return made


def _none(lines: Lines) -> Floats:
    return np.zeros(lines.correction.shape)


def _grid(lines: Lines, digits: Floats, *, squared: bool = False) -> tuple[np.dtype[Any], float]:
    """A type, and the binary fraction of which digits are multiples so that sums in it are exact.

    float32 where it leaves ten bits behind the point, else float64.
    """
    needed = int(np.ceil(np.log2(largest_sum(lines, digits, squared=squared)))) + 1
    if 24 - needed >= 10:
        return np.dtype(np.float32), 2.0 ** -(24 - needed)
    return np.dtype(np.float64), 2.0 ** -min(_FINEST, 53 - needed)


def _rounded(digits: Floats, grid: float) -> Floats:
    made: Floats = np.rint(digits / grid) * grid
    return made
