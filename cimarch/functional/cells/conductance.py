"""What cells conduct once they are written, aged and faulty; in levels, and never below 0.

The steps, in the order in which they are taken:

1. limited levels: a level goes to the nearest of n evenly spaced ones;
2. on/off ratio r: level 0 conducts top / (r - 1), and all levels so much more;
3. programming noise;
4. drift, (age / drift_from)^-nu, nu a normal number of its own for each cell, not below 0
   (Ielmini, Lavizzari, Sharma and Lacaita, IEDM 2007; Le Gallo et al., Adv. Electron. Mater. 2018);
5. retention: exponentially towards a level, with one time constant;
6. faults: a stuck cell conducts fully, or as level 0, whatever happened before.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cimarch.functional.cells.device import Cell

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Conductances:
    """Cells of one kind that hold some levels, from 0 to `top`."""

    cell: Cell
    levels: NDArray[np.int64]
    """(planes, outputs, rows)."""
    top: int

    @property
    def off(self) -> float:
        """What level 0 conducts: G_min / ((G_max - G_min) / top)."""
        return self.top / (self.cell.on_off_ratio - 1) if self.cell.on_off_ratio else 0.0

    @property
    def full(self) -> float:
        """What the highest level conducts."""
        return self.top + self.off

    def drawn(self, generator: Generator) -> tuple[Floats, Floats]:
        """What the cells conduct when they are read, and when they had just been written."""
        written = self._written(generator)
        aged = self._aged(written, generator)
        if not (self.cell.stuck_on or self.cell.stuck_off):
            return aged, written
        fate = generator.random(self.levels.shape)
        return self._stuck(aged, fate), self._stuck(written, fate)

    def _wanted(self) -> Floats:
        """The nearest of the levels that cells can take, above that of level 0."""
        last, levels = self.cell.conductance_levels - 1, self.levels.astype(np.float64)
        if last > 0:
            levels = np.rint(levels * (last / self.top)) * (self.top / last)
        return levels + self.off

    def _written(self, generator: Generator) -> Floats:
        cell, wanted = self.cell, self._wanted()
        if not (cell.program_noise or cell.program_noise_table):
            return wanted
        normal = generator.standard_normal(wanted.shape)
        if cell.program_noise_kind == "lognormal" and not cell.program_noise_table:
            return np.asarray(wanted * np.exp(cell.program_noise * normal))
        flat: float | Floats = cell.program_noise * self.full
        if cell.program_noise_kind == "proportional":
            flat = cell.program_noise * wanted
        spread = self._by_level(cell.program_noise_table, flat, self.full)
        return np.maximum(wanted + spread * normal, 0.0)

    def _aged(self, written: Floats, generator: Generator) -> Floats:
        cell = self.cell
        if cell.age <= cell.drift_from:
            return written
        exponent = self._by_level(cell.drift_table, cell.drift)
        spread = self._by_level(cell.drift_spread_table, cell.drift_spread)
        if np.any(spread):
            exponent = exponent + spread * generator.standard_normal(written.shape)
        made = written * (cell.age / cell.drift_from) ** -np.maximum(exponent, 0.0)
        if cell.retention_time is not None:
            end = self.off + cell.retention_level * (self.full - self.off)
            left = np.exp(-(cell.age - cell.drift_from) / cell.retention_time)
            made = end + (made - end) * left
        return np.asarray(made)

    def _stuck(self, cells: Floats, fate: Floats) -> Floats:
        """Cells of which some are stuck; `fate` is even between 0 and 1."""
        on, fails = fate < self.cell.stuck_on, fate < self.cell.stuck_on + self.cell.stuck_off
        return np.where(on, self.full, np.where(fails, self.off, cells))

    def read_spread(self) -> float | Floats:
        """Standard deviation of what a read adds, per level of input: one for all, or each's."""
        cell = self.cell
        flat: float | Floats = cell.read_noise * self.full
        if cell.read_noise_kind == "proportional" and cell.read_noise:
            flat = cell.read_noise * (self.levels.astype(np.float64) + self.off)
        return self._by_level(cell.read_noise_table, flat, self.full)

    def _by_level(
        self, table: tuple[float, ...], flat: float | Floats, unit: float = 1.0
    ) -> float | Floats:
        """The entries, in a unit, of a table that goes evenly from level 0 to the full conductance;
        `flat` where there is none. A signed cell, of half as many levels, takes every other."""
        if not table:
            return flat
        places = np.rint(self.levels * ((len(table) - 1) / self.top)).astype(np.int64)
        return np.asarray(np.array(table)[places] * unit)
