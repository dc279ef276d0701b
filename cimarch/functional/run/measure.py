"""Where a chip departs from the quantised model: counts and errors, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.densities import InputLevels, density
from cimarch.functional.matrix import Matrix
from cimarch.functional.path import Path
from cimarch.functional.paths.mixed import InUnits, Mixed
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.run.execute import Executor
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows
from cimarch.mapping.densities import Density

Array = NDArray[Any]


class Counting:
    """A path that counts each time it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.totals: dict[int, Counts] = {}
        """By the level of strips; of all others, by 0."""

    @property
    def name(self) -> str:
        """That of the path."""
        return self.path.name

    def __call__(self, inputs: NDArray[np.integer]) -> NDArray[np.generic]:
        """The path's results."""
        return self.counted(inputs)[0]

    def counted(self, inputs: NDArray[np.integer]) -> tuple[NDArray[np.generic], Counts]:
        """The path's results, and what happened; both are kept in mind."""
        if isinstance(self.path, Mixed):
            values, each = self.path.counted_each(inputs)
        else:
            values, counts = self.path.counted(inputs)
            each = {0: counts}
        for level, counts in each.items():
            self.totals[level] = self.totals.get(level, Counts()) + counts
        return values, sum(each.values(), Counts())


@attrs.define
class Power:
    """Powers of an error and of what it is an error of, summed over all results."""

    error: float = 0.0
    signal: float = 0.0

    def add(self, found: Array, exact: Array, quantised: Quantised) -> None:
        """Add results (first axis: images or windows, second: outputs) in units of the sums."""
        other = tuple(axis for axis in range(exact.ndim) if axis != 1)
        totals = quantised.totals * quantised.input_zero
        centred = exact - totals.reshape(1, -1, *(1,) * (exact.ndim - 2))
        scales = (quantised.input_scale * quantised.weight_scale) ** 2
        difference = np.asarray(found, np.float64) - exact
        self.error += float((scales * np.square(difference).sum(axis=other)).sum())
        self.signal += float((scales * np.square(centred, dtype=np.float64).sum(axis=other)).sum())

    @property
    def ratio(self) -> float:
        """Error over signal; an error without a signal is as large as can be told."""
        return self.error / self.signal if self.signal else float(self.error > 0)


@attrs.frozen(eq=False)
class Measured:
    """What was measured of one operation."""

    alone: Power
    """Against the exact product of the same inputs."""
    to_here: Power
    """Against the quantised model's result, with what operations before did."""
    counts: tuple[Counts, ...] = ()
    """One per share."""
    densities: tuple[Density, ...] = ()
    """How full inputs and weights of each share are, as its arrays get them."""


def measured(
    quantised: QuantisedNetwork,
    matrices: Mapping[str, Matrix],
    images: Array,
    *,
    device: str = "cpu",
    tell: Callable[[float], None] = lambda share: None,
) -> dict[str, Measured]:
    """Run the quantised model and the chip side by side, and measure every operation."""
    exact = {name: _product(matrix) for name, matrix in matrices.items()}
    paths = {name: Counting(matrix.path) for name, matrix in matrices.items()}
    found = {name: Measured(Power(), Power()) for name in matrices}
    entering = {
        name: [InputLevels(share.scheme, each.windows) for share in each.shares]
        for name, each in matrices.items()
    }
    right: dict[str, Array] = {}

    def keep(name: str, inputs: Array, sums: Array) -> None:
        right[name] = np.array(sums, np.float64)

    def compare(name: str, inputs: Array, sums: Array) -> None:
        each = matrices[name].quantised
        for levels in entering[name]:
            levels.add(inputs)
        found[name].alone.add(sums, np.asarray(exact[name](inputs), np.float64), each)
        found[name].to_here.add(sums, right.pop(name), each)

    model = Executor(quantised, None, device=device, observe=keep)
    chip = Executor(quantised, paths, device=device, observe=compare)
    for first in range(0, len(images), size := min(model.chunk, chip.chunk)):
        model.run(images[first : first + size])
        chip.run(images[first : first + size])
        tell(min(1.0, (first + size) / len(images)))
    return {
        name: attrs.evolve(
            each,
            counts=tuple(paths[name].totals[share.level] for share in matrices[name].shares),
            densities=tuple(
                density(levels, share.lines)
                for levels, share in zip(entering[name], matrices[name].shares, strict=True)
            ),
        )
        for name, each in found.items()
    }


def _product(matrix: Matrix) -> InUnits:
    windows: Windows = matrix.windows
    return InUnits(matrix.quantised, windows)
