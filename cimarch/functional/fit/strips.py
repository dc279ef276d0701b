"""Post-training quantisation strip by strip: weights of several precisions in one matrix.

A strip is the weights of one kernel position and one output, 1 x 1 x D (arXiv 2512.19445, section
4). Every strip has the bits of its level, and becomes whole numbers about zero as in
`cimarch.functional.fit.quantise`. One scale serves all strips of a level (`tensor`), those of a
level and an output (`channel`), or one strip (`strip`).

The sums of levels meet in one number of each output, `Z = Z_q + expand(Z_p)` (section 4; the paper
does not say what `expand` does). Here the scale of each strip is a ratio times the scale of its
output, and `expand` multiplies sums by that ratio:

- `free`: whole multiples of 2^-16, rounded up, so that nothing clips that did not: a requantiser
  with 16 bits behind the point, exact in whole numbers.
- `power_of_two`: 2^k with k >= 0, so that it is a left shift by k. Of each scale k is the one with
  the least squared error over its strips, the least of equally good ones.

The scale of an output is that of its highest level that has strips (of the strip with the smallest
scale in that level, where each has its own), or 2^-16 of its largest where that is more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.quantised import by_row
from cimarch.mapping.strips import Strips

PER = ("tensor", "channel", "strip")
"""Of what one weight scale is."""
RATIOS = ("free", "power_of_two")
"""What a strip's scale may be of its output's."""

FRACTION = 16
"""Bits behind the point of a free ratio."""

SHARES = np.linspace(0.2, 1.0, 81)
"""Of the largest magnitude: where `mse` looks for the end of the range."""

Floats = NDArray[np.float64]


@attrs.frozen(eq=False)
class WholeStrips:
    """A matrix in whole numbers of several precisions.

    Weight = whole number x ratio of its strip x scale of its output.
    """

    weights: NDArray[np.int32]
    """(groups, outputs, rows), each in the range of its strip's bits."""
    scale: Floats
    """(groups x outputs,)."""
    ratios: Floats
    """(positions, groups x outputs): whole multiples of 2^-16, between 2^-16 and 2^16."""

    @property
    def values(self) -> Floats:
        """The weights in float, (groups, outputs, rows)."""
        made: Floats = self.weights * by_row(self.ratios * self.scale, self.weights.shape)
        return made


def quantised_strips(
    matrix: NDArray[Any],
    strips: Strips,
    *,
    per: str = "tensor",
    method: str = "minmax",
    ratio: str = "free",
) -> WholeStrips:
    """Integer weights of a float matrix (groups, outputs, rows) whose strips have several bits.

    `per` is one of `PER`, `ratio` one of `RATIOS`; `method` is `minmax` (the largest magnitude is
    the largest number) or `mse` (the end of the range with the least squared error). A strip of 1
    bit is its signs times the mean magnitude. Ties round to even. Raises ValueError where the
    strips are not those of the matrix, or a choice is none.
    """
    for word, known in ((per, PER), (method, ("minmax", "mse")), (ratio, RATIOS)):
        if word not in known:
            raise ValueError(f"`{word}` is none of {', '.join(known)}")
    positions, outputs = strips.level.shape
    if matrix.shape[0] * matrix.shape[1] != outputs or matrix.shape[2] % positions:
        raise ValueError(f"{positions} x {outputs} strips do not make a matrix {matrix.shape}")
    fit = _Fit.of(np.asarray(matrix, np.float64), strips, per)
    scales = fit.scales(method)
    unit = fit.unit(scales)
    ratios = fit.shifts(scales, unit) if ratio == "power_of_two" else _multiples(scales / unit)
    ratios = np.where((scales > 0) | fit.is_sign, ratios, 1.0)
    whole = fit.whole(ratios * unit)
    made = np.ascontiguousarray(whole.transpose(1, 2, 0), np.int32).reshape(matrix.shape)
    return WholeStrips(made, unit, ratios)


def fake_quantised(
    weight: NDArray[Any],
    strips: Strips,
    per: str = "tensor",
    method: str = "minmax",
    ratio: str = "free",
) -> NDArray[np.float32]:
    """The weights that `quantised_strips` keeps of a float tensor, in float and in its shape.

    `weight` is (outputs, channels of a group, kernel rows, kernel columns), or (outputs, inputs)
    of a fully connected layer.
    """
    matrix = np.asarray(weight, np.float64).reshape(1, len(weight), -1)
    made = quantised_strips(matrix, strips, per=per, method=method, ratio=ratio)
    return made.values.reshape(weight.shape).astype(np.float32)


def _multiples(ratios: Floats) -> Floats:
    """Ratios rounded up to whole multiples of 2^-16; what is one by less than a float tells, stays.

    The quotient of a scale and one that is 2^-16 times it may be above 2^16 by its last bit.
    """
    one = 2.0**FRACTION
    return np.clip(np.ceil(ratios * one * (1 - 2.0**-50)), 1.0, one * one) / one


def are_ratios(ratios: Floats) -> bool:
    """Whether numbers can be ratios of strips: whole multiples of 2^-16, from 2^-16 to 2^16."""
    one = 2.0**FRACTION
    inside = (ratios >= 1 / one) & (ratios <= one)
    return bool((inside & (ratios * one % 1 == 0)).all())


@attrs.frozen(eq=False)
class _Fit:
    """Strips in a row, with the number of the scale that each has."""

    strips: Floats
    """(positions, outputs, channels)."""
    level: NDArray[np.int64]
    """(positions, outputs)."""
    top: Floats
    """(positions, outputs): the largest whole number of a strip."""
    is_sign: NDArray[np.bool_]
    """(positions, outputs): strips of 1 bit."""
    key: NDArray[np.int64]
    """(positions, outputs): which scale a strip has."""
    per: str

    @classmethod
    def of(cls, matrix: Floats, strips: Strips, per: str) -> _Fit:
        """The strips of a matrix (groups, outputs, rows)."""
        positions, outputs = strips.level.shape
        each = matrix.reshape(outputs, -1, positions).transpose(2, 0, 1)
        bits = np.array(strips.bits, np.int64)[strips.level]
        level = strips.level.astype(np.int64)
        keys = {
            "tensor": level,
            "channel": level * outputs + np.arange(outputs),
            "strip": np.arange(level.size).reshape(level.shape),
        }
        top = np.maximum(1.0, 2.0 ** (bits - 1) - 1)
        return cls(np.ascontiguousarray(each), level, top, bits == 1, keys[per], per)

    def scales(self, method: str) -> Floats:
        """The scale of every strip, (positions, outputs); 0 where all that share it are 0."""
        magnitude = np.abs(self.strips)
        largest = self._shared(magnitude.max(axis=2), np.maximum)
        if method == "mse":
            largest = self._best_ends(largest)
        total = self._shared(magnitude.sum(axis=2), np.add)
        count = self._shared(np.full(self.level.shape, float(self.strips.shape[2])), np.add)
        return np.where(self.is_sign, total / count, largest / self.top)

    def _shared(self, figure: Floats, into: np.ufunc) -> Floats:
        """A figure of every strip, joined over those that share a scale."""
        found = np.zeros(int(self.key.max(initial=0)) + 1)
        into.at(found, self.key.ravel(), figure.ravel())
        joined: Floats = found[self.key]
        return joined

    def _best_ends(self, largest: Floats) -> Floats:
        """The end of the range with the least squared error, among shares of the largest."""
        return self._least_error(
            largest, [share * largest for share in SHARES[::-1]], lambda end: end / self.top
        )

    def _least_error(
        self, start: Floats, tried: list[Floats], scale: Callable[[Floats], Floats]
    ) -> Floats:
        """Of figures that are tried one after the other, for each scale the first with the least
        squared error of its strips; `scale` makes scales of them."""
        best, least = start, np.full(start.shape, np.inf)
        for figure in tried:
            error = self._shared(self._errors(scale(figure)), np.add)
            is_less = error < least
            best, least = np.where(is_less, figure, best), np.minimum(error, least)
        return best

    def _errors(self, scales: Floats) -> Floats:
        """The squared error of every strip, (positions, outputs)."""
        each = np.where(scales > 0, scales, 1.0)[:, :, None]
        error = self.whole(scales)
        error *= each
        error -= self.strips
        found: Floats = np.einsum("pod,pod->po", error, error)
        return found

    def whole(self, scales: Floats) -> Floats:
        """The whole numbers of every weight, (positions, outputs, channels)."""
        each = np.where(scales > 0, scales, 1.0)[:, :, None]
        places = self.strips / each
        np.rint(places, out=places)
        np.clip(places, -self.top[:, :, None], self.top[:, :, None], out=places)
        if not self.is_sign.any():
            return places
        return np.where(self.is_sign[:, :, None], np.where(self.strips < 0, -1.0, 1.0), places)

    def unit(self, scales: Floats) -> Floats:
        """The scale of each output, (outputs,)."""
        there = scales > 0
        level = np.where(there, self.level, self.level.max(initial=0) + 1)
        shared = None if self.per == "tensor" else 0
        highest = level.min(axis=shared, keepdims=True)
        mine = np.where(there & (level == highest), scales, np.inf).min(axis=shared, keepdims=True)
        most = scales.max(axis=shared, keepdims=True)
        unit = np.where(most > 0, np.maximum(mine, most / 2.0**FRACTION), 1.0)
        each: Floats = np.broadcast_to(unit, (1, scales.shape[1]))[0].copy()
        return each

    def shifts(self, scales: Floats, unit: Floats) -> Floats:
        """Ratios that are powers of two, (positions, outputs)."""
        ones = np.ones(scales.shape)
        needed = np.ceil(np.log2(np.maximum(scales / unit, 1.0)) - 2.0**-40)
        most = int(min(FRACTION, needed.max(initial=0)))
        tried = [np.minimum(2.0**k, 2.0**needed) for k in range(most + 1)]
        return self._least_error(ones, tried, lambda ratio: ratio * unit)
