"""Operations that are lossless in part: one product for the outputs that provably lose nothing.

Near the end of a converter's range a few columns of a layer are fuller than the others. They alone
need their conversions computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines
from cimarch.functional.path import Path
from cimarch.functional.paths.exact import Product
from cimarch.functional.paths.lossless import proof, tally, weights_of
from cimarch.functional.reference import min_quantum
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows

Array = NDArray[Any]

LEAST_SHARE = 0.25
"""Of the outputs that lose nothing: below it one path for all takes no longer."""


@attrs.frozen(eq=False)
class Parts:
    """A matrix whose outputs are parted."""

    proven: NDArray[np.int64]
    """Outputs that lose nothing."""
    others: NDArray[np.int64]
    lines: Lines
    """Those of the others."""
    ranges: Ranges | None


def parts_of(lines: Sequence[Lines], ranges: Ranges | None) -> Parts | None:
    """Part the outputs of an operation; None where it is not worth it, or cannot be.

    It cannot where there are several channel groups, a reference column that all outputs share,
    ranges of each row tile, or adders that count in a quantum of outputs on the other side.
    """
    by_tile = ranges is not None and ranges.by_tile
    if len(lines) != 1 or lines[0].reference or by_tile:
        return None
    (whole,) = lines
    truth = proof(whole, ranges).outputs
    if truth.all() or truth.mean() < LEAST_SHARE:
        return None
    others = np.flatnonzero(~truth)
    some = chosen(ranges, others)
    if min_quantum(whole, ranges) != min_quantum(whole, some):
        return None
    return Parts(np.flatnonzero(truth), others, some_of(whole, others), some)


def some_of(lines: Lines, outputs: NDArray[np.int64]) -> Lines:
    """The lines of some outputs."""
    cells = attrs.evolve(lines.cells, levels=lines.cells.levels[:, outputs])
    return attrs.evolve(
        lines,
        cells=cells,
        digits=lines.digits[:, outputs],
        factors=lines.factors[:, outputs],
        correction=lines.correction[outputs],
    )


def chosen(ranges: Ranges | None, outputs: NDArray[np.int64]) -> Ranges | None:
    """The ranges of some outputs."""
    if ranges is None:
        return None
    low, step = (
        each if each.shape[1] == 1 else each[:, outputs] for each in (ranges.low, ranges.step)
    )
    return attrs.evolve(ranges, low=low, step=step)


class Split:
    """The path of an operation that is lossless in part."""

    def __init__(
        self, lines: Lines, parts: Parts, rest: Path, windows: Windows, *, device: str = "cpu"
    ) -> None:
        """`rest` is the path of the other outputs."""
        self.parts = parts
        self.rest = rest
        self.proven = some_of(lines, parts.proven)
        weights = weights_of(lines)[None]
        span = lines.scheme.input_range
        self.product = Product(weights, windows, span, device=device)

    @property
    def name(self) -> str:
        return f"lossless, {self.rest.name}"

    @property
    def may_share(self) -> bool:
        """Whether calls may run at the same time."""
        return bool(getattr(self.rest, "may_share", False))

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The results."""
        return self._joined(inputs, self.rest(inputs))

    def counted(self, inputs: NDArray[np.integer]) -> tuple[Array, Counts]:
        """The same results, and what happened to the conversions and sums of all outputs."""
        rest, counts = self.rest.counted(inputs)
        made = self._joined(inputs, rest)
        windows = made.size // made.shape[1]
        return made, counts + tally(self.proven, windows)

    def _joined(self, inputs: NDArray[np.integer], rest: NDArray[np.generic]) -> Array:
        """The product of all outputs, with the others' results in their place."""
        made = self.product(inputs)
        if rest.dtype == np.float64:
            made = made.astype(np.float64, order="K")
        elif made.dtype == np.float32 and np.abs(rest).max(initial=0) >= 2**24:
            made = made.astype(np.int32, order="K")
        made[:, self.parts.others] = rest
        return made
