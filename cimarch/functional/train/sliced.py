"""Sums as arrays that cut weights or inputs make them, differentiable: every slice of a weight and
every step of an input through a conversion of its own.

A line (slice) l of the weights and a step k of the inputs make a product of their own, in whole
numbers, which is converted, and counts factor l x place k in the result. Forward this is what the
chip computes, but for adders that are too narrow. Backward a conversion passes the gradient where
its sum does not clip, as in `cimarch.functional.train.merged`. What reaches the slices reaches the
whole weight in the proportion of the squares of their factors, and what reaches the steps the whole
input in that of the squares of their places: so that where nothing clips both get the gradient of
the plain product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch
from torch import Tensor

from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines
from cimarch.functional.steps import step_digits, step_factors
from cimarch.functional.train.affine import Affine
from cimarch.functional.train.merged import Merged
from cimarch.functional.train.straight import Gradients, Sums, along


class Sliced:
    """The product of one layer, line by line and step by step."""

    def __init__(
        self,
        affine: Affine,
        lines: Sequence[Lines],
        ranges: Ranges | None,
        weight: Tensor,
        *,
        input_zero: int = 0,
    ) -> None:
        """As `Merged`; `ranges` may be of each line."""
        self.affine, self.lines, self.input_zero = affine, tuple(lines), input_zero
        self.scheme = lines[0].scheme
        self.places = self._places()
        self.count = len(lines[0].digits)
        bare = attrs.evolve(affine, padding=(0, 0, 0, 0))
        top = 2**self.scheme.input_bits
        self.products = [
            [
                Merged(bare, list(self._line(line)), _of_line(ranges, line), weight, input_top=top)
                for _ in self.places
            ]
            for line in range(self.count)
        ]

    def _places(self) -> list[int]:
        if self.scheme.input_accumulation == "analog":
            return [1]
        return [int(place) for place in step_factors(self.scheme)]

    def _line(self, number: int) -> Iterator[Lines]:
        """One line of each channel group; what is corrected digitally goes with the first."""
        scheme = attrs.evolve(self.scheme, tile_bits=None, sum_bits=None)
        for each in self.lines:
            first = number == 0
            yield attrs.evolve(
                each,
                scheme=scheme,
                digits=each.digits[number : number + 1],
                factors=each.factors[number : number + 1],
                correction=each.correction if first else np.zeros_like(each.correction),
                reference=each.reference if first else 0,
            )

    @property
    def conversions(self) -> int:
        """Of one window, but for those of reference columns."""
        return sum(each.conversions for line in self.products for each in line)

    @property
    def most_code(self) -> int:
        """The largest number of steps that a code stands for."""
        return max(line[0].most_code for line in self.products)

    def forward(self, whole: Tensor, weights: Tensor) -> Sums:
        """The sums less what the zero point adds, which `rescaled` takes off again."""
        levels = self._levels(self._padded(whole))
        total: Tensor | None = None
        for line in self.products:
            for place, level, product in zip(self.places, levels, line, strict=True):
                values, quantum, base = product.forward(level, weights)
                made = quantum * values.double()
                made = place * (made if base is None else made + along(base, made, 1))
                total = made if total is None else total + made
        assert total is not None
        return Sums(total)

    def _padded(self, whole: Tensor) -> Tensor:
        """The inputs with the padding that is driven: the input's zero."""
        above, below, left, right = self.affine.padding
        if not self.affine.is_map or not any(self.affine.padding):
            return whole
        sides = (left, right, above, below)
        return torch.nn.functional.pad(whole, sides, value=self.input_zero)

    def _levels(self, whole: Tensor) -> list[Tensor]:
        if len(self.places) == 1:
            return [whole]
        cut = step_digits(whole.cpu().numpy().astype(np.int64), self.scheme)
        return [torch.from_numpy(np.ascontiguousarray(each)).to(whole.device) for each in cut]

    def backward(
        self, gradient: Tensor, centred: Tensor, weights: Tensor, scale: Tensor,
        wanted: tuple[bool, bool, bool],
    ) -> Gradients:  # fmt: skip
        """Straight through, but where a conversion clipped."""
        whole = centred + self.input_zero if self.input_zero else centred
        levels = [each.to(gradient.dtype) for each in self._levels(self._padded(whole))]
        of_inputs = torch.zeros_like(levels[0]) if wanted[0] else None
        of_weight = torch.zeros_like(weights) if wanted[1] else None
        slopes = [torch.zeros_like(scale, dtype=torch.float64) for _ in self.products]
        shares = self._shares(weights)
        squares = sum(place**2 for place in self.places)
        for number, line in enumerate(self.products):
            for place, level, product in zip(self.places, levels, line, strict=True):
                found = product.backward(
                    place * gradient, level, weights, scale, (wanted[0], wanted[1], True)
                )
                if of_inputs is not None and found.inputs is not None:
                    of_inputs += place / squares * found.inputs
                if of_weight is not None and found.weight is not None:
                    of_weight += shares[number] * found.weight
                if found.step is not None:
                    slopes[number] += found.step.sum(0)
        if of_weight is not None and self.input_zero:
            others = [axis for axis in range(gradient.dim()) if axis != 1]
            of_weight -= self.input_zero * along(gradient.sum(others), of_weight, 0)
        if of_inputs is not None:
            above, _, left, _ = self.affine.padding
            if self.affine.is_map and any(self.affine.padding):
                high, wide = centred.shape[2:]
                of_inputs = of_inputs[:, :, above : above + high, left : left + wide]
            of_inputs = of_inputs.contiguous()
        return Gradients(of_inputs, of_weight, torch.stack(slopes) if wanted[2] else None)

    def _shares(self, weights: Tensor) -> list[Tensor]:
        """What part of a weight's gradient each line has, as one number for all weights."""
        squares = [
            float(np.mean([np.square(each.factors[line]).mean() for each in self.lines]))
            for line in range(self.count)
        ]
        return [torch.tensor(each / sum(squares)).to(weights) for each in squares]


def _of_line(ranges: Ranges | None, line: int) -> Ranges | None:
    """The ranges of one line, (1, outputs or 1)."""
    if ranges is None:
        return None
    low, step = (each[line % len(each)][None] for each in (ranges.low, ranges.step))
    return Ranges(low, step, ranges.source)
