"""What a weight matrix becomes in cells that are not ideal, read by converters that are not.

In units: one level of a cell is 1, so that the full conductance is 2^(cell bits) - 1 levels above
that of level 0. The steps, in the order in which they are taken:

1. limited levels: a level goes to the nearest of n evenly spaced ones;
2. on/off ratio r: level 0 conducts top / (r - 1), all levels by so much more;
3. programming noise; a conductance is never below 0;
4. drift, (age / drift_from)^-nu, nu a normal number of its own for each cell, not below 0
   (Ielmini, Lavizzari, Sharma and Lacaita, IEDM 2007; Le Gallo et al., Adv. Electron. Mater. 2018);
5. retention: exponentially towards a level, with one time constant;
6. faults: a stuck cell conducts fully, or as level 0, whatever happened;
7. wires: the array is solved as a mesh of resistors (`cimarch.functional.wire`).

A cell that holds a sign has it from the branch that its current takes: magnitudes are conductances,
and the currents of level 0 of both branches cancel.

At last digits are rounded to a binary fraction (2^-10 of a level or finer), with which all sums are
exact: results depend neither on the batch nor on the order of additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.arithmetic import Arithmetic, Conversion
from cimarch.functional.device import Cell, Device
from cimarch.functional.lines import Lines
from cimarch.functional.periphery import Periphery, periphery_of
from cimarch.functional.randomness import Draw, Noise
from cimarch.functional.sizes import largest_sum
from cimarch.functional.wire import wired

if TYPE_CHECKING:
    from numpy.random import Generator

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
    cell, levels, generator = device.cell, lines.cells.levels, draw.cells(group)
    top = max(lines.cells.highest, -lines.cells.lowest)
    cells, fresh = _conductances(cell, np.abs(levels), top, generator)
    signs = np.where(levels < 0, -1, 1)
    if cell.wire_resistance:
        cells = wired(device, lines, cells, top + _off(cell, top))
    off = _off(cell, top)
    lost = off if lines.cells.lowest < 0 or cell.off_current == "analog" else 0.0
    into = lines.cells.into.astype(np.float64)
    digits = np.einsum("lp,por->lor", into, signs * (cells - lost))
    kind, grid = _grid(lines, digits)
    return Realised(
        _rounded(digits, grid),
        _digital(cell, lines, off) if cell.off_current == "digital" else _none(lines),
        float(fresh.sum() / cells.sum()) if cell.drift_compensation and cells.sum() else 1.0,
        kind,
        *_reading(cell, lines, top),
        periphery_of(device, lines, draw.converters(group)),
    )


def _off(cell: Cell, top: int) -> float:
    """What level 0 conducts, in levels: G_min / ((G_max - G_min) / top)."""
    return top / (cell.on_off_ratio - 1) if cell.on_off_ratio else 0.0


def _conductances(
    cell: Cell, levels: NDArray[np.int64], top: int, generator: Generator
) -> tuple[Floats, Floats]:
    """Conductances of cells (planes, outputs, rows), in levels: as they are read, and as they were
    when they had just been written."""
    off = _off(cell, top)
    written = _written(cell, _limited(cell, levels, top) + off, levels, top + off, generator)
    aged = _aged(cell, written, levels, (off, top + off), generator)
    stuck = generator.random(levels.shape) if cell.stuck_on or cell.stuck_off else None
    if stuck is None:
        return aged, written
    on, fails = stuck < cell.stuck_on, stuck < cell.stuck_on + cell.stuck_off
    return tuple(np.where(on, top + off, np.where(fails, off, each)) for each in (aged, written))  # type: ignore[return-value]


def _limited(cell: Cell, levels: NDArray[np.int64], top: int) -> Floats:
    """The nearest of the levels that a cell can take."""
    last = cell.conductance_levels - 1
    return np.rint(levels * (last / top)) * (top / last) if last > 0 else levels.astype(np.float64)


def _written(
    cell: Cell, wanted: Floats, levels: NDArray[np.int64], full: float, generator: Generator
) -> Floats:
    """What cells become when they are written."""
    table = _by_level(cell.program_noise_table, levels)
    if table is None and not cell.program_noise:
        return wanted
    normal = generator.standard_normal(wanted.shape)
    if table is not None:
        made = wanted + table * full * normal
    elif cell.program_noise_kind == "absolute":
        made = wanted + cell.program_noise * full * normal
    elif cell.program_noise_kind == "proportional":
        made = wanted * (1 + cell.program_noise * normal)
    else:
        made = wanted * np.exp(cell.program_noise * normal)
    return np.maximum(made, 0.0)


def _aged(
    cell: Cell,
    written: Floats,
    levels: NDArray[np.int64],
    ends: tuple[float, float],
    generator: Generator,
) -> Floats:
    """What is left of conductances when they are read."""
    if cell.age <= cell.drift_from:
        return written
    exponent = _each(cell.drift_table, cell.drift, levels)
    spread = _each(cell.drift_spread_table, cell.drift_spread, levels)
    if spread.any():
        exponent = exponent + spread * generator.standard_normal(levels.shape)
    made = written * (cell.age / cell.drift_from) ** -np.maximum(exponent, 0.0)
    if cell.retention_time is not None:
        end = ends[0] + cell.retention_level * (ends[1] - ends[0])
        left = np.exp(-(cell.age - cell.drift_from) / cell.retention_time)
        made = end + (made - end) * left
    return np.asarray(made)


def _by_level(table: tuple[float, ...], levels: NDArray[np.int64]) -> Floats | None:
    """The entries of a table of levels, of which a signed cell has half as many."""
    return np.array(table)[np.minimum(levels, len(table) - 1)] if table else None


def _each(table: tuple[float, ...], flat: float, levels: NDArray[np.int64]) -> Floats:
    """The same, or one value for all where there is no table."""
    found = _by_level(table, levels)
    return np.full(levels.shape, flat) if found is None else found


def _reading(cell: Cell, lines: Lines, top: int) -> tuple[Floats, Floats | None]:
    """Spread by row, or variances by cell, of the noise of one read."""
    levels, off = np.abs(lines.cells.levels), _off(cell, top)
    squares = lines.cells.into.astype(np.float64) ** 2
    flat = np.zeros(len(lines.digits) * lines.outputs)
    table = _by_level(cell.read_noise_table, levels)
    if table is None and not cell.read_noise:
        return flat, None
    if table is None and cell.read_noise_kind == "absolute":
        each = cell.read_noise * (top + off) * np.sqrt(squares.sum(axis=1))
        return np.tile(each, lines.outputs), None
    spread = table * (top + off) if table is not None else cell.read_noise * (levels + off)
    variances = np.einsum("lp,por->lor", squares, spread**2)
    return flat, _rounded(variances, _grid(lines, variances, squared=True)[1])


def _digital(cell: Cell, lines: Lines, off: float) -> Floats:
    """(outputs, tiles): what takes the current of level 0 out again, times the sum of inputs."""
    if lines.cells.lowest < 0:
        return _none(lines)
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
