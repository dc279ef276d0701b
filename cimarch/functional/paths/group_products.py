"""The products of one channel group: a matrix product per section and input step.

With whole digits all sums are whole and below 2^24 (float32) or 2^53 (float64), so that products
are exact and equal the plain reference to the last bit; with those of real cells they are exact too
(see `cimarch.functional.cells.realise`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.cells.device import Device
from cimarch.functional.cells.randomness import Draw, Noise
from cimarch.functional.converter import Ranges, scale
from cimarch.functional.lines import Cells, Lines, Section
from cimarch.functional.paths.arithmetic import Arithmetic, Conversion, arithmetic
from cimarch.functional.paths.sizes import exact_type
from cimarch.functional.reference import min_quantum
from cimarch.functional.steps import step_digits, step_factors
from cimarch.functional.sums import Counts

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class _Columns:
    """What the rows of one section add to each sense line; output by output, a row per line."""

    first: int
    end: int
    matrix: Any
    """(outputs x lines, rows)."""
    variances: Any = None
    """The same of what a read adds by chance; None where that does not depend on the cells."""


class GroupProducts:
    """The products of one channel group."""

    def __init__(
        self,
        lines: Lines,
        ranges: Ranges | None,
        device: Device | None = None,
        draw: Draw | None = None,
        group: int = 0,
        on: str = "cpu",
    ) -> None:
        """`draw` says which device of all that `device` could be; see `Products`."""
        draw = draw or Draw()
        self.lines, self.scheme = lines, lines.scheme
        self.real = device.realise(lines, draw, group) if device else None
        self.at: Arithmetic = arithmetic(on)
        self.ranges = ranges if lines.scheme.converter is not None else None
        self.quantum = min_quantum(lines, self.ranges)
        self.tiles_alike = self.ranges is None or not self.ranges.by_tile
        tiles = 1 if self.tiles_alike else lines.factors.shape[2]
        each = [None if self.ranges is None else self.ranges.at(tile) for tile in range(tiles)]
        self.scales = [_scales(lines, ranges) for ranges in each]
        """Base and quantum of each line of each output; of each tile, or one for all."""
        self.conversions = [_conversion(lines, ranges) for ranges in each]
        self.kind = self.real.kind if self.real else exact_type(lines)
        self.tiles = [self._tile(tile) for tile in range(lines.factors.shape[2])]
        self.column: GroupProducts | None = None
        """The reference column, read for all outputs at once."""
        if lines.reference:
            apart = attrs.evolve(draw, operation=f"{draw.operation} reference")
            self.column = GroupProducts(
                reference_column(lines), first_range(self.ranges), device, apart, group, on
            )

    def _tile(self, tile: int) -> list[_Columns]:
        digits = self.real.digits if self.real else self.lines.digits
        variances = self.real.variances if self.real else None
        return [self._columns(s.first, s.end, digits, variances) for s in self._sections(tile)]

    def _sections(self, tile: int) -> list[Section]:
        return [section for section in self.lines.sections if section.tile == tile]

    def _columns(
        self,
        first: int,
        end: int,
        digits: NDArray[np.generic],
        variances: NDArray[np.generic] | None = None,
    ) -> _Columns:
        """Some rows of (lines, outputs, rows), a row for each line of each output."""

        def held(each: NDArray[np.generic]) -> Any:
            rows = each[:, :, first:end].swapaxes(0, 1)
            rows = rows.reshape(rows.shape[0] * rows.shape[1], end - first)
            return self.at.hold(rows.astype(self.kind))

        return _Columns(first, end, held(digits), None if variances is None else held(variances))

    @property
    def is_whole(self) -> bool:
        """Whether results are whole numbers."""
        whole = all((each % 1 == 0).all() for scales in self.scales for each in scales)
        return self.real is None and whole

    def _of(self, tile: int) -> int:
        """Where scales and conversions of a tile stand."""
        return 0 if self.tiles_alike else tile

    @property
    def one_read(self) -> bool:
        """Whether inputs are applied whole, or their steps summed before they are converted."""
        return self.scheme.input_accumulation == "analog" or self.scheme.steps == 1

    @property
    def input_type(self) -> np.dtype[Any]:
        """The type in which inputs are taken: that of products, where they are not cut in steps."""
        if self.one_read:
            return self.kind
        return np.dtype(np.int32 if self.scheme.input_bits < 32 else np.int64)

    def products(
        self, x: NDArray[np.generic], noise: Noise | None = None, counts: list[Counts] | None = None
    ) -> Floats:
        """(outputs, windows) of inputs (rows, windows); appends to `counts` where given."""
        inputs = self.at.hold(x)
        value = self.quantum * self._total(inputs, noise, counts)
        constant, corrected = self.at.hold(self.constant)[:, None], self._corrected(inputs)
        if self.real is None:
            value = value + (constant + corrected)
        else:
            value = self.real.gain * (value + constant) + corrected
        if self.column is not None:
            gain = self.real.gain if self.real else 1
            value = value + gain * self.lines.reference * self._reference(inputs, noise, counts)
        return self.at.numbers(value)

    def _total(self, inputs: Any, noise: Noise | None, counts: list[Counts] | None) -> Any:
        """The sum of all tiles, (outputs, windows), in quanta, through their adders."""
        total: Any = 0.0
        for tile in range(len(self.tiles)):
            register = self._tile_sum(inputs, tile, noise, counts)
            register = self._kept(register, self.scheme.tile_bits, counts)
            total = self._kept(total + register, self.scheme.sum_bits, counts) if tile else register
        return total

    def _tile_sum(
        self, inputs: Any, tile: int, noise: Noise | None, counts: list[Counts] | None
    ) -> Any:
        """What a tile's adder holds in the end, (outputs, windows), in quanta."""
        factors, lines = self.factors[tile], len(self.lines.digits)
        conversion = self.conversions[self._of(tile)]
        share = self.scales[self._of(tile)][1] / self.quantum
        alike = bool((share == 1).all())
        codes = self.at.zeros(len(factors) // (lines if alike else 1), inputs.shape[1])
        for columns in self.tiles[tile]:
            for place, level in self._levels(inputs[columns.first : columns.end]):
                sums = self.at.multiply(columns.matrix, level)
                if self.real is not None:
                    power = self._power(level, noise)
                    sums = self.real.read(sums, columns.variances, power, noise, self.at)
                    sums = self.real.converted(sums, tile, conversion, noise, self.at)
                self.at.add(conversion, sums, factors * place, codes)
                if counts is not None:
                    clipped, rounded = self.at.count(conversion, sums)
                    counts.append(Counts(len(factors) * inputs.shape[1], clipped, rounded))
        return codes if alike else self._joined(codes, share)

    def _joined(self, codes: Any, share: Floats) -> Any:
        """The lines of each output, whose codes count differently, in their order."""
        lines = len(self.lines.digits)
        each = codes.reshape(-1, lines, codes.shape[1])
        register = 0.0
        for line in range(lines):
            register = register + self.at.hold(share[line])[:, None] * each[:, line]
        return register

    def _levels(self, x: Any) -> Iterator[tuple[int, Any]]:
        """Place value and levels of what is converted at once: each input step, or all of them."""
        if self.one_read:
            yield 1, x
            return
        scheme, mask = self.scheme, 2**self.scheme.dac_bits - 1
        signs = 1 - 2 * (x < 0) if scheme.inputs == "sign_magnitude" else None
        for k, place in enumerate(step_factors(scheme)):
            level = (x if signs is None else abs(x)) >> scheme.dac_bits * k
            if scheme.inputs != "twos_complement" or k < scheme.steps - 1:
                level = level & mask
            yield place, self.at.cast(level if signs is None else level * signs, self.kind)

    def _power(self, level: Any, noise: Noise | None) -> Any:
        """The squares of the levels that a conversion takes, summed over steps by place value."""
        if noise is None or not self.real or not self.real.reads:
            return None
        if self.scheme.input_accumulation == "digital" or self.scheme.steps == 1:
            is_bit = self.scheme.dac_bits == 1 and self.scheme.inputs == "unsigned"
            return level if is_bit else level * level
        whole = self.at.numbers(level).astype(np.int64)
        steps = step_digits(whole, self.scheme).astype(np.float64)
        places = np.array(step_factors(self.scheme), np.float64)[:, None, None]
        return self.at.cast(self.at.hold(((places * steps) ** 2).sum(axis=0)), self.kind)

    def _kept(self, values: Any, bits: int | None, counts: list[Counts] | None) -> Any:
        """What an adder of a width keeps of sums."""
        if bits is None:
            return values
        top = 2.0 ** (bits - 1)
        lost = (values < -top) | (values > top - 1)
        if counts is not None:
            outputs, windows = values.shape
            counts.append(Counts(sums=outputs * windows, overflowed=int(lost.sum())))
        if self.scheme.overflow == "wrap":
            return self.at.where(lost, (values + top) % (2 * top) - top, values)
        return self.at.clip(values, -top, top - 1)

    def _corrected(self, inputs: Any) -> Any:
        """The exact corrections, (outputs, windows); 0 where there are none."""
        corrected: Any = 0.0
        for tile, columns in enumerate(self.tiles):
            factors = self.lines.correction[:, tile].astype(np.float64)
            if self.real is not None:
                factors = factors + self.real.correction[:, tile]
            if factors.any():
                exact = self.at.total(inputs[columns[0].first : columns[-1].end])
                corrected = corrected + self.at.hold(factors)[:, None] * exact
        return corrected

    def _reference(self, inputs: Any, noise: Noise | None, counts: list[Counts] | None) -> Any:
        """The sum of the inputs as the reference column measures it; one per column block."""
        column = self.column
        assert column is not None
        found: list[Counts] | None = None if counts is None else []
        codes = column._total(self.at.cast(inputs, column.input_type), noise, found)
        if counts is not None and found is not None:
            counts += found * self.lines.blocks
        taken = len(self.lines.sections) * self.places
        base, quanta = self.scales[0]
        return quanta[0, 0] * codes + base[0, 0] * taken

    @cached_property
    def factors(self) -> list[Floats]:
        """What a code of each row of columns counts, tile by tile."""
        each = self.lines.factors.transpose(2, 1, 0).astype(np.float64)
        return [np.ascontiguousarray(tile.reshape(-1)) for tile in each]

    @property
    def places(self) -> int:
        """The place values of all conversions of a section, added up."""
        return 1 if self.one_read else sum(step_factors(self.scheme))

    @cached_property
    def constant(self) -> Floats:
        """(outputs,): what codes do not stand for, all of them together."""
        constant = np.zeros(self.lines.outputs)
        for tile, sections in enumerate(self.tiles):
            of_tile = np.zeros(self.lines.outputs)
            for line, base in enumerate(self.scales[self._of(tile)][0]):
                of_tile += base * (self.lines.factors[line, :, tile] * len(sections) * self.places)
            constant += of_tile
        return constant


def reference_column(lines: Lines) -> Lines:
    """The lines of the column whose cells all hold 1: as many weights of one cell each."""
    ones = np.ones((1, 1, lines.rows), np.int64)
    one = np.ones(1, np.int64)
    tiles = lines.factors.shape[2]
    return Lines(
        attrs.evolve(lines.scheme, tile_bits=None, sum_bits=None),
        lines.sections,
        Cells(ones, one[:, None], one, 0, lines.cells.lowest, lines.cells.highest),
        ones,
        np.ones((1, 1, tiles), np.int64),
        np.zeros((1, tiles), np.int64),
    )


def first_range(ranges: Ranges | None) -> Ranges | None:
    """That of the first line's first output."""
    if ranges is None:
        return None
    first = ranges.at(0)
    return Ranges(first.low[:1, :1], first.step[:1, :1], ranges.source)


def _by_row(lines: Lines, each: Floats) -> Floats:
    """Values (lines or 1, outputs or 1) for the lines of each output, one after the other."""
    found = _spread(lines, each)
    return np.ascontiguousarray(found.T.reshape(-1), np.float64)


def _spread(lines: Lines, each: Floats) -> Floats:
    """(lines, outputs) of values of the shape of ranges."""
    many, outputs = len(lines.digits), lines.outputs
    return each[np.arange(many) % len(each)][:, np.arange(outputs) % each.shape[1]]


def _scales(lines: Lines, ranges: Ranges | None) -> tuple[Floats, Floats]:
    """Base and quantum of each line of each output."""
    converter, shape = lines.scheme.converter, (len(lines.digits), lines.outputs)
    if ranges is None or converter is None:
        return np.zeros(shape), np.ones(shape)
    base, each = scale(converter, ranges.low, ranges.step)
    return _spread(lines, base), _spread(lines, each)


def _conversion(lines: Lines, ranges: Ranges | None) -> Conversion:
    """How the lines of each output are converted."""
    converter, rows = lines.scheme.converter, len(lines.digits) * lines.outputs
    none = np.zeros(1)
    if ranges is None or converter is None:
        return Conversion(None, np.zeros(rows), np.ones(rows), none, none, none)
    by_levels = converter.transfer == "thresholds"
    levels = np.array([float(each) for each in converter.levels]) if by_levels else none
    quantum = float(scale(converter, none, np.ones(1))[1][0])
    return Conversion(
        converter,
        np.zeros(rows) if by_levels else _by_row(lines, ranges.low),
        _by_row(lines, ranges.step),
        np.array([float(each) for each in converter.thresholds]) if by_levels else none,
        levels,
        np.rint(levels / quantum),
    )
