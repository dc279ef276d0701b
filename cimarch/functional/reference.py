"""The product of inputs and a placed weight matrix, in plain loops: what all fast paths must equal.

It is written to be read. Codes are added up as whole numbers, sense line by sense line, and become
units at the very end, so that the result does not depend on the order of additions.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges, convert, scale
from cimarch.functional.lines import Ints, Lines, Section
from cimarch.functional.steps import step_digits, step_factors
from cimarch.functional.sums import Counts, Sums
from cimarch.functional.windows import Windows


def product(inputs: Ints, lines: Lines, ranges: Ranges | None = None) -> Sums:
    """Windows (windows, rows) times the weights of `lines`; no `ranges`, no converter."""
    bench = Bench(lines, ranges)
    rows = np.asarray(inputs, np.int64)
    values = np.array(
        [[bench.output(x, output) for output in range(lines.outputs)] for x in rows], np.float64
    )
    return Sums(values.reshape(len(rows), lines.outputs), bench.counts)


@attrs.frozen(eq=False)
class Reference:
    """The plain loops as a `Path`."""

    lines: Sequence[Lines]
    """One per channel group."""
    ranges: Ranges | None
    windows: Windows

    @property
    def name(self) -> str:
        return "reference"

    def __call__(self, inputs: NDArray[np.integer]) -> NDArray[np.generic]:
        """The results."""
        return self.counted(inputs)[0]

    def counted(self, inputs: NDArray[np.integer]) -> tuple[NDArray[np.generic], Counts]:
        """The results, and what happened to their conversions and sums."""
        windows = self.windows.unfold(inputs)
        sums = [product(x, each, self.ranges) for x, each in zip(windows, self.lines, strict=True)]
        values = np.stack([each.values for each in sums])
        counts = sum((each.counts for each in sums if each.counts), Counts())
        return self.windows.fold(values, inputs.shape), counts


class Bench:
    """Makes one output of one window after the other, and counts what happens."""

    def __init__(self, lines: Lines, ranges: Ranges | None) -> None:
        self.lines, self.scheme, self.ranges = lines, lines.scheme, ranges
        self.counts = Counts()
        self.quantum = min_quantum(lines, ranges)

    def output(self, x: Ints, output: int) -> float:
        """One number: the tiles' sums through their adders, in units, and the exact corrections."""
        lines, scheme = self.lines, self.scheme
        total, constant, corrected = 0.0, 0.0, 0
        for tile in range(lines.factors.shape[2]):
            register, base = self._tile(x, output, tile)
            register = self._held(register, scheme.tile_bits)
            total = register if tile == 0 else self._held(total + register, scheme.sum_bits)
            constant += base
            exact = sum(int(x[s.first : s.end].sum()) for s in self._sections(tile))
            corrected += int(lines.correction[output, tile]) * exact
        value = self.quantum * total + (constant + corrected)
        return value + lines.reference * self._reference(x, output) if lines.reference else value

    def _sections(self, tile: int) -> list[Section]:
        return [section for section in self.lines.sections if section.tile == tile]

    def _tile(self, x: Ints, output: int, tile: int) -> tuple[float, float]:
        """What a tile's adder holds in the end, in quanta, and what its codes do not stand for."""
        register, constant = 0.0, 0.0
        for line in range(len(self.lines.digits)):
            base, quantum = self._scale(line, output, tile)
            codes, taken = 0, 0
            factor = int(self.lines.factors[line, output, tile])
            for section in self._sections(tile):
                digits = self.lines.digits[line, output, section.first : section.end]
                for place, levels in self._steps(x[section.first : section.end]):
                    code = self._convert(int((digits * levels).sum()), line, output, tile)
                    codes += factor * place * code
                    taken += factor * place
            register += quantum / self.quantum * codes
            constant += base * taken
        return register, constant

    def _steps(self, x: Ints) -> list[tuple[int, Ints]]:
        """Place value and levels of what is converted at once: a step, or all of them."""
        if self.scheme.input_accumulation == "analog":
            return [(1, x)]
        return list(zip(step_factors(self.scheme), step_digits(x, self.scheme), strict=True))

    def _scale(self, line: int, output: int, tile: int = 0) -> tuple[float, float]:
        """What a code of a line stands for: base + quantum x code."""
        if self.ranges is None or self.scheme.converter is None:
            return 0.0, 1.0
        low, step = self._range(line, output, tile)
        base, quantum = scale(self.scheme.converter, low, step)
        return float(base), float(quantum)

    def _range(self, line: int, output: int, tile: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.ranges is not None
        ranges = self.ranges.at(tile)
        low, step = ranges.low, ranges.step
        return low[line % len(low), output % low.shape[1]], step[
            line % len(step), output % step.shape[1]
        ]

    def _convert(self, total: int, line: int, output: int, tile: int = 0, times: int = 1) -> int:
        """The code of one column sum."""
        if self.ranges is None or self.scheme.converter is None:
            self.counts += Counts(conversions=times)
            return total
        where = self._range(line, output, tile)
        code = convert(self.scheme.converter, np.array(float(total)), *where)
        self.counts += Counts(times, times * int(code.clipped), times * int(code.rounded))
        return int(code.values)

    def _reference(self, x: Ints, output: int) -> float:
        """The sum of the inputs as the reference column measures it: once per column block."""
        times = self.lines.blocks if output == 0 else 0
        base, quantum = self._scale(0, 0)
        codes, taken = 0, 0
        for section in self.lines.sections:
            for place, levels in self._steps(x[section.first : section.end]):
                codes += place * self._convert(int(levels.sum()), 0, 0, times=times)
                taken += place
        return quantum * codes + base * taken

    def _held(self, value: float, bits: int | None) -> float:
        """What an adder of a width keeps of a sum."""
        if bits is None:
            return value
        top = 2.0 ** (bits - 1)
        too_wide = not -top <= value <= top - 1
        self.counts += Counts(sums=1, overflowed=int(too_wide))
        if not too_wide:
            return value
        if self.scheme.overflow == "wrap":
            return (value + top) % (2 * top) - top
        return max(-top, min(top - 1, value))


def min_quantum(lines: Lines, ranges: Ranges | None) -> float:
    """The smallest quantum of all converters of an operation: one of it is what adders count in."""
    converter = lines.scheme.converter
    if ranges is None or converter is None:
        return 1.0
    return float(scale(converter, ranges.low, ranges.step)[1].min())
