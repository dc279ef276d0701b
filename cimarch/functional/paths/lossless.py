"""Products in which provably nothing is lost: no conversion clips or rounds, no adder overflows.

What every column sum and every adder can hold at most follows from the cells and from the levels of
each input step. Where all of it lies within the converters' codes and the adders' widths, the whole
of slices, steps and tiles is one product of whole numbers, and is computed as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import frexp
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges, convert, scale
from cimarch.functional.lines import Lines
from cimarch.functional.paths.exact import Product
from cimarch.functional.reference import min_quantum
from cimarch.functional.scheme import Converter
from cimarch.functional.steps import step_factors, step_range
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
Truth = NDArray[np.bool_]


@attrs.frozen(eq=False)
class Proof:
    """What of a matrix provably loses nothing, whatever the inputs."""

    conversions: Truth
    """(lines, outputs, sections, steps); one step where steps are summed before the conversion."""
    adders: Truth
    """(outputs, tiles): the sum of the tile, and that of the tiles up to it, fit their adders."""
    reference: bool
    """The reference column's conversions; True where there is none."""

    @property
    def outputs(self) -> Truth:
        """(outputs,): those of which nothing is lost."""
        converted = np.asarray(self.conversions.all(axis=(0, 2, 3)))
        fits = np.asarray(self.adders.all(axis=1))
        return np.asarray(converted & fits & self.reference)

    @property
    def holds(self) -> bool:
        """Whether nothing at all is lost."""
        return bool(self.outputs.all())


def proof(lines: Lines, ranges: Ranges | None) -> Proof:
    """What of a matrix on its arrays loses nothing; `ranges` None: there is no converter."""
    spans = _spans(lines, ranges)
    least, most = column_sums(lines)
    exact = (spans[0][:, :, None, None] <= least) & (most <= spans[1][:, :, None, None])
    exact &= _is_power_of_two(min_quantum(lines, ranges))  # of one line that all are counted in
    return Proof(exact, _adders(lines, ranges), _reference(lines, spans))


def _levels(lines: Lines) -> list[tuple[int, int]]:
    """The least and the largest level of what is converted at once: a step, or all of them."""
    if lines.scheme.input_accumulation == "analog":
        return [lines.scheme.input_range]
    return list(step_range(lines.scheme))


def column_sums(lines: Lines) -> tuple[Array, Array]:
    """The least and the largest column sums, (lines, outputs, sections, steps) each."""
    rising = _of_sections(np.maximum(lines.digits, 0), lines)[..., None]
    falling = _of_sections(np.minimum(lines.digits, 0), lines)[..., None]
    low, high = np.array(_levels(lines), np.int64).T
    return low * rising + high * falling, high * rising + low * falling


def _of_sections(digits: Array, lines: Lines) -> Array:
    """The sum of digits (lines, outputs, rows) over each section; one may have no rows."""
    each = [digits[:, :, s.first : s.end].sum(axis=2) for s in lines.sections]
    return np.stack(each, axis=2)


def _spans(lines: Lines, ranges: Ranges | None) -> tuple[Array, Array]:
    """The sums that each converter gives exactly, from .. to, (lines, outputs) each."""
    shape = lines.digits.shape[:2]
    if ranges is None or lines.scheme.converter is None:
        limit = np.iinfo(np.int64).max
        return np.full(shape, -limit), np.full(shape, limit)
    pairs = np.stack(np.broadcast_arrays(ranges.low, ranges.step), axis=-1)
    unique, where = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    spans = np.array([exact_span(lines.scheme.converter, *pair) for pair in unique.tolist()])
    each = spans[where.reshape(pairs.shape[:2])]  # (lines or 1, outputs or 1, 2)
    lows, highs = np.broadcast_to(each, (*shape, 2)).transpose(2, 0, 1)
    return lows, highs


def exact_span(converter: Converter, low: float, step: float) -> tuple[int, int]:
    """The whole sums about 0 that a converter gives exactly, from .. to; (1, 0) where 0 is lost.

    Only steps that are powers of two are looked at: with them all arithmetic behind the converter
    is exact in float64 too.
    """
    if not _is_power_of_two(float(scale(converter, np.array(low), np.array(step))[1])):
        return 1, 0
    if converter.transfer == "thresholds":
        return _span_by_trial(converter, low, step)
    start, width = Fraction(low), Fraction(step)
    if converter.transfer == "mid_rise":
        start += width / 2
    last = start + width * (converter.codes - 1)
    if (start / width).denominator != 1 or not start <= 0 <= last:
        return 1, 0
    if (1 / width).denominator != 1:
        return 0, 0
    return -int(-start // 1), int(last // 1)


def _is_power_of_two(number: float) -> bool:
    return number > 0 and frexp(number)[0] == 0.5


def _span_by_trial(converter: Converter, low: float, step: float) -> tuple[int, int]:
    """The same where codes stand for anything: sums of both signs are tried until one is lost."""
    ends = []
    for sign in (-1, 1):
        tried = np.arange(len(converter.levels) + 1, dtype=np.float64)
        codes = convert(converter, sign * tried, np.array(low), np.array(step))
        lost = codes.clipped | codes.rounded
        ends.append(sign * (int(np.argmax(lost)) - 1))
    return (ends[0], ends[1]) if ends[1] >= 0 else (1, 0)


def _adders(lines: Lines, ranges: Ranges | None) -> Truth:
    """(outputs, tiles): whether what a tile's adder and the one of all tiles hold always fits."""
    scheme, tiles = lines.scheme, lines.factors.shape[2]
    fits: Truth = np.ones((lines.outputs, tiles), np.bool_)
    if scheme.tile_bits is None and scheme.sum_bits is None:
        return fits
    least, most = _registers(lines, ranges)
    if scheme.tile_bits is not None:
        top = 2.0 ** (scheme.tile_bits - 1)
        fits &= (-top <= least) & (most <= top - 1)
    if scheme.sum_bits is not None:
        top = 2.0 ** (scheme.sum_bits - 1)
        joined = (-top <= least.cumsum(axis=1)) & (most.cumsum(axis=1) <= top - 1)
        fits[:, 1:] &= joined[:, 1:]
    return fits


def _registers(lines: Lines, ranges: Ranges | None) -> tuple[Array, Array]:
    """The least and the largest sum of the codes of each tile, in quanta, (outputs, tiles)."""
    low, high = lines.scheme.input_range
    least = np.empty(lines.factors.shape[1:])
    most = np.empty_like(least)
    constant = _constants(lines, ranges)
    for tile in range(lines.factors.shape[2]):
        mine = [section for section in lines.sections if section.tile == tile]
        digits = lines.digits[:, :, mine[0].first : mine[-1].end]
        weights = np.einsum("lo,lor->or", lines.factors[:, :, tile], digits)
        rising = np.maximum(weights, 0).sum(axis=1)
        falling = np.minimum(weights, 0).sum(axis=1)
        least[:, tile] = low * rising + high * falling
        most[:, tile] = high * rising + low * falling
    quantum = min_quantum(lines, ranges)
    return (least - constant) / quantum, (most - constant) / quantum


def _constants(lines: Lines, ranges: Ranges | None) -> Array:
    """What the codes of a tile do not stand for, (outputs, tiles): bases times their factors."""
    if ranges is None or lines.scheme.converter is None:
        return np.zeros(lines.factors.shape[1:])
    base, _ = scale(lines.scheme.converter, ranges.low, ranges.step)
    tiles = [section.tile for section in lines.sections]
    sections = np.bincount(tiles, minlength=lines.factors.shape[2])
    analog = lines.scheme.input_accumulation == "analog"
    places = 1 if analog else sum(step_factors(lines.scheme))
    shape = lines.factors.shape[:2]
    bases = np.einsum("lo,lot->ot", np.broadcast_to(base, shape), lines.factors)
    made: Array = bases * sections * places
    return made


def _reference(lines: Lines, spans: tuple[Array, Array]) -> bool:
    """Whether the reference column, whose cells all hold 1, is converted exactly."""
    if not lines.reference:
        return True
    rows = np.array([section.end - section.first for section in lines.sections])
    low, high = np.array(_levels(lines)).T
    least, most = rows.max() * low.min(), rows.max() * high.max()
    return bool(spans[0][0, 0] <= least and most <= spans[1][0, 0])


def tally(lines: Lines, windows: int) -> Counts:
    """What a product of so many windows converts and adds, nothing of it lost."""
    scheme = lines.scheme
    each = 1 if scheme.input_accumulation == "analog" else scheme.steps
    columns = len(lines.digits) * lines.outputs + (lines.blocks if lines.reference else 0)
    tiles = lines.factors.shape[2]
    held = tiles * (scheme.tile_bits is not None) + (tiles - 1) * (scheme.sum_bits is not None)
    return Counts(
        conversions=windows * len(lines.sections) * each * columns,
        sums=windows * lines.outputs * held,
    )


def weights_of(lines: Lines) -> NDArray[np.int64]:
    """The weights (outputs, rows) that lines stand for."""
    weights = np.empty((lines.outputs, lines.rows), np.int64)
    for section in lines.sections:
        rows = slice(section.first, section.end)
        factors = lines.factors[:, :, section.tile]
        held = np.einsum("lo,lor->or", factors, lines.digits[:, :, rows])
        weights[:, rows] = held + lines.correction[:, section.tile, None] + lines.reference
    return weights


class Lossless:
    """The path of operations in which nothing is lost: one product of whole numbers."""

    name = "lossless"
    may_share = True
    """Whether calls may run at the same time."""

    def __init__(self, lines: Sequence[Lines], windows: Windows, *, device: str = "cpu") -> None:
        """`lines` of each channel group; `takes` must be true of them and their ranges."""
        self.lines = tuple(lines)
        self.windows = windows
        weights = np.stack([weights_of(group) for group in lines])
        self.product = Product(weights, windows, lines[0].scheme.input_range, device=device)

    @staticmethod
    def takes(lines: Sequence[Lines], ranges: Ranges | None) -> bool:
        """Whether nothing can be lost in any channel group."""
        if ranges is not None and ranges.by_tile:
            return False
        return all(proof(group, ranges).holds for group in lines)

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The results; float32 below 2^24, else int32, int64 or float64."""
        return self.product(inputs)

    def tensor(self, inputs: Tensor) -> Tensor:
        """The same on a tensor of the device."""
        return self.product.tensor(inputs)

    def counted(self, inputs: NDArray[np.integer]) -> tuple[Array, Counts]:
        """The same, and what was converted: nothing clips, rounds or overflows."""
        made = self.product(inputs)
        windows = made.size // sum(group.outputs for group in self.lines)
        return made, sum((tally(group, windows) for group in self.lines), Counts())
