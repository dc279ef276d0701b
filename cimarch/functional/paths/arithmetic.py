"""Where products are made: numpy and compiled conversions on the CPU, or a device of torch's.

Both do the same operations on the same numbers; with whole digits the results are equal.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.paths import columns
from cimarch.functional.scheme import Converter

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class Conversion:
    """The conversion of the sense lines of a section: a row of sums each, output by output."""

    converter: Converter | None
    """None: sums are exact."""
    lows: Floats
    """(rows,), units."""
    steps: Floats
    thresholds: Floats
    levels: Floats
    """Of transfer `thresholds`: what the codes stand for, in steps."""
    values: Floats
    """The same, in quanta."""

    @property
    def span(self) -> float:
        """Steps from end to end of the range."""
        return max(self.last + (self.kind == columns.KINDS["mid_rise"]), 1.0)

    @property
    def kind(self) -> int:
        """As the kernels call it."""
        return columns.EXACT if self.converter is None else columns.KINDS[self.converter.transfer]

    @property
    def last(self) -> float:
        """The highest code."""
        return float(self.converter.codes - 1) if self.converter else 0.0


class Host:
    """numpy, and conversions that are compiled."""

    def hold(self, array: NDArray[np.generic]) -> Any:
        """An array as this computes with it."""
        return np.ascontiguousarray(array)

    def zeros(self, rows: int, windows: int) -> Any:
        """Sums to add to."""
        return np.zeros((rows, windows))

    def kind(self, array: Any) -> np.dtype[Any]:
        """The type of the numbers of an array."""
        made: np.dtype[Any] = array.dtype
        return made

    def cast(self, array: Any, kind: np.dtype[Any]) -> Any:
        """In a type of numbers."""
        return array.astype(kind, copy=False)

    def multiply(self, matrix: Any, levels: Any) -> Any:
        """The sums (rows of the matrix, windows)."""
        return matrix @ levels

    def total(self, x: Any) -> Any:
        """The sums of inputs (rows, windows) of each window."""
        return x.sum(axis=0, dtype=np.float64)

    def add(self, how: Conversion, sums: Any, factors: Floats, codes: Any) -> None:
        """Add factors x codes of sums to `codes`, of which one row takes several."""
        rows = how.lows, how.steps, how.last, how.thresholds
        columns.add(how.kind, sums, *rows, how.values, factors, codes)

    def count(self, how: Conversion, sums: Any) -> tuple[int, int]:
        """Conversions that clip and that round."""
        if how.converter is None:
            return 0, 0
        rows = how.lows, how.steps, how.last, how.thresholds
        return columns.count(how.kind, sums, *rows, how.levels)

    def bend(self, how: Conversion, sums: Any, cubic: float, table: Floats) -> None:
        """Add what converters' curves deviate, in place."""
        columns.bend(sums, how.lows, how.steps, how.span, cubic, table)

    def clip(self, array: Any, low: float, high: float) -> Any:
        """Held within limits."""
        return np.clip(array, low, high)

    def where(self, which: Any, one: Any, other: Any) -> Any:
        """One where it holds, the other elsewhere."""
        return np.where(which, one, other)

    def numbers(self, array: Any) -> Floats:
        """Back in numpy."""
        return np.asarray(array)


class Torch:
    """A device of torch's."""

    def __init__(self, device: str) -> None:
        import torch

        self.torch, self.device = torch, torch.device(device)
        if self.device.type == "cuda":  # products in float32 must be exact
            torch.backends.cuda.matmul.allow_tf32 = False

    def hold(self, array: NDArray[np.generic]) -> Any:
        """An array as this computes with it."""
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def zeros(self, rows: int, windows: int) -> Any:
        """Sums to add to."""
        return self.torch.zeros((rows, windows), dtype=self.torch.float64, device=self.device)

    def kind(self, array: Any) -> np.dtype[Any]:
        """The type of the numbers of an array."""
        return np.dtype(str(array.dtype).removeprefix("torch."))

    def cast(self, array: Any, kind: np.dtype[Any]) -> Any:
        """In a type of numbers."""
        return array.to(getattr(self.torch, kind.name))

    def multiply(self, matrix: Any, levels: Any) -> Any:
        """The sums (rows of the matrix, windows)."""
        return matrix @ levels

    def total(self, x: Any) -> Any:
        """The sums of inputs (rows, windows) of each window."""
        return x.sum(dim=0, dtype=self.torch.float64)

    def add(self, how: Conversion, sums: Any, factors: Floats, codes: Any) -> None:
        """Add factors x codes of sums to `codes`, of which one row takes several."""
        made = self._codes(how, sums.double()) * self.hold(factors)[:, None]
        codes += made.reshape(codes.shape[0], -1, codes.shape[1]).sum(dim=1)

    def _codes(self, how: Conversion, sums: Any) -> Any:
        if how.converter is None:
            return sums
        places = self._places(how, sums)
        if how.converter.transfer == "mid_rise":
            first = self.hold(np.rint(how.lows / (how.steps / 2)) + 1)[:, None]
            return 2 * places.floor().clamp(0, how.last) + first
        if how.converter.transfer == "thresholds":
            return self.hold(how.values)[self._which(how, places)]
        return places.clamp(0, how.last).round() + self.hold(np.rint(how.lows / how.steps))[:, None]

    def _places(self, how: Conversion, sums: Any) -> Any:
        return (sums - self.hold(how.lows)[:, None]) / self.hold(how.steps)[:, None]

    def _which(self, how: Conversion, places: Any) -> Any:
        return self.torch.searchsorted(self.hold(how.thresholds), places, right=True)

    def count(self, how: Conversion, sums: Any) -> tuple[int, int]:
        """Conversions that clip and that round."""
        if how.converter is None:
            return 0, 0
        places = self._places(how, sums.double())
        least, most, nearest = 0.0, how.last, places.round()
        if how.converter.transfer == "mid_rise":
            most, nearest = how.last + 1, places.floor().clamp(max=how.last) + 0.5
        elif how.converter.transfer == "thresholds":
            least, most = how.levels.min(), how.levels.max()
            nearest = self.hold(how.levels)[self._which(how, places)]
        clipped = (places < least) | (places > most)
        return int(clipped.sum()), int((~clipped & (nearest != places)).sum())

    def bend(self, how: Conversion, sums: Any, cubic: float, table: Floats) -> None:
        """Add what converters' curves deviate, in place."""
        steps = self.hold(how.steps)[:, None]
        share = ((sums - self.hold(how.lows)[:, None]) / steps / how.span).clamp(0, 1)
        moved = cubic * (2 * share - 1) * (1 - (2 * share - 1) ** 2)
        if len(table):
            entries, last = self.hold(table), len(table) - 1
            before = (share * last).long().clamp(max=last - 1)
            rise = entries[before + 1] - entries[before]
            moved = entries[before] + (share * last - before) * rise
        sums += (moved * steps).to(sums.dtype)

    def clip(self, array: Any, low: float, high: float) -> Any:
        """Held within limits."""
        return array.clamp(low, high)

    def where(self, which: Any, one: Any, other: Any) -> Any:
        """One where it holds, the other elsewhere."""
        return self.torch.where(which, one, other)

    def numbers(self, array: Any) -> Floats:
        """Back in numpy."""
        made: Floats = array.cpu().numpy()
        return made


Arithmetic = Host | Torch


@cache
def arithmetic(on: str) -> Arithmetic:
    """That of a place: `cpu`, or a torch device such as `cuda` or `torch` (torch on the CPU)."""
    return Host() if on == "cpu" else Torch("cpu" if on == "torch" else on)
