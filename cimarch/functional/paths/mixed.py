"""A mix of precisions: the products of its pieces, added up behind the converters.

Z = sum over pieces of ratio x (the sums of the piece), `Z_q + expand(Z_p)` of arXiv 2512.19445,
section 4: each piece has its own sections, converters and adders; where they meet, whole numbers
are added exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.lines import Lines
from cimarch.functional.path import Path
from cimarch.functional.paths.exact import Product
from cimarch.functional.paths.lossless import tally
from cimarch.functional.pieces import Piece, held_by
from cimarch.functional.quantised import Quantised, by_row
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

Array = NDArray[Any]

MOST = 62
"""Bits of a sum of whole numbers, its sign apart."""


class InUnits:
    """The exact product of a quantised operation, in units of its weight scales.

    As `Product`; where strips have ratios that are no whole numbers, sums have bits behind the
    point, and come in float64, exact where they take 53 bits at most. `chosen` (groups, outputs,
    rows) are the weights that take part. Raises DescriptionError where each strip counts otherwise
    and sums take more bits than whole numbers have.
    """

    def __init__(
        self,
        quantised: Quantised,
        windows: Windows,
        *,
        device: str = "cpu",
        chosen: NDArray[np.bool_] | None = None,
    ) -> None:
        taken = np.ones(quantised.weights.shape, np.bool_) if chosen is None else chosen
        span, self.device = quantised.input_range, device
        weights, bits = quantised.in_units
        self.has_point = bits > 0
        levels = _by_level(quantised) if bits else None
        if levels is None:
            _check_width(weights, span)
            levels = [(weights, np.full(weights[..., 0].size, 2.0**-bits))]
        self._levels = [
            (
                Product(np.where(taken, mine, 0), windows, span, device=device),
                torch.from_numpy(times).to(device),
            )
            for mine, times in levels
        ]

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The sums of inputs."""
        sums: Array = self.tensor(torch.from_numpy(inputs).to(self.device)).cpu().numpy()
        return sums

    def tensor(self, inputs: Tensor) -> Tensor:
        """The same on a tensor of the device."""
        each = [product.tensor(inputs) for product, _ in self._levels]
        if not self.has_point:
            return each[0]
        times = [times.reshape(-1, *(1,) * (each[0].dim() - 2)) for _, times in self._levels]
        found = each[0].double() * times[0]
        for sums, ratio in zip(each[1:], times[1:], strict=True):
            found += sums.double() * ratio
        return found


def _check_width(weights: NDArray[np.int64], span: tuple[int, int]) -> None:
    """Raise DescriptionError where sums do not fit 64 bits."""
    largest = np.abs(weights).sum(axis=2, dtype=np.float64).max(initial=0) * max(map(abs, span))
    if largest >= 2.0**MOST:
        raise DescriptionError(
            Diagnostic(
                "E467",
                f"sums of strips take {int(np.log2(largest)) + 2} bits, above the {MOST + 1} that "
                "are added",
                notes=("each strip has a scale of its own, with 16 bits behind the point",),
                helps=("give strips scales per channel, or powers of two",),
            )
        )


def _by_level(quantised: Quantised) -> list[tuple[NDArray[np.int64], Array]] | None:
    """The weights of each level, and how often their sums count in each output; None where that
    differs between the strips of an output."""
    strips, ratios = quantised.bits.strips, quantised.ratios
    assert strips is not None
    assert ratios is not None
    found = []
    for level in strips.used:
        held = strips.holding(level)
        most = np.where(held, ratios, 0.0).max(axis=0)
        if (held & (ratios != most)).any():
            return None
        mine = by_row(held, quantised.weights.shape)
        found.append((np.where(mine, quantised.weights, 0).astype(np.int64), most))
    return found


@attrs.frozen(eq=False, slots=False)
class Entrance:
    """Which inputs a piece takes, and the windows in which its path sees them."""

    piece: Piece
    windows: Windows
    """Of the whole operation."""

    @cached_property
    def inner(self) -> Windows:
        """Those of its path, of one channel group."""
        geometry = self.windows.geometry
        if geometry is None or not (self.is_whole or self.piece.position is not None):
            return Windows(len(self.piece.rows))
        if self.piece.position is not None:
            return Windows(len(self.piece.rows), 1, Geometry((1, 1)))
        return Windows(self.windows.rows, 1, attrs.evolve(geometry, groups=1), self.windows.fill)

    @cached_property
    def is_whole(self) -> bool:
        """Whether it takes all rows of its channel group in their order."""
        return np.array_equal(self.piece.rows, np.arange(self.windows.rows))

    def take(self, inputs: NDArray[np.integer], padded: NDArray[np.integer]) -> NDArray[np.integer]:
        """Its inputs, of the inputs of the operation; `padded` are those with what lies around."""
        geometry, piece = self.windows.geometry, self.piece
        if geometry is None:
            first = piece.group * self.windows.rows
            return np.ascontiguousarray(inputs[:, first + piece.rows])
        if piece.position is None and not self.is_whole:
            taken = self.windows.unfold(inputs)[piece.group][:, piece.rows]
            return np.ascontiguousarray(taken, inputs.dtype)
        high, wide = geometry.kernel
        channels = self.windows.rows // (high * wide)
        mine = slice(piece.group * channels, (piece.group + 1) * channels)
        if piece.position is None:
            return np.ascontiguousarray(inputs[:, mine])
        channel = (piece.rows - piece.position) // (high * wide)
        size = self.windows.size(*inputs.shape[2:])
        places = divmod(piece.position, wide)
        along = [
            slice(at * every, at * every + (count - 1) * stride + 1, stride)
            for at, every, count, stride in zip(
                places, geometry.dilation, size, geometry.stride, strict=True
            )
        ]
        return np.ascontiguousarray(padded[:, mine, along[0], along[1]][:, channel])

    def put(self, into: Array, sums: Array, ratios: Array, outputs: int) -> None:
        """Add sums, each as often as its ratio says, to the result of the operation.

        `outputs` are those of one channel group.
        """
        places = self.piece.group * outputs + self.piece.outputs
        if into.ndim == 4 and sums.ndim == 2:
            images, _, high, wide = into.shape
            sums = sums.reshape(images, high * wide, -1).swapaxes(1, 2)
            sums = sums.reshape(images, -1, high, wide)
        into[:, places] += ratios.reshape(-1, *(1,) * (into.ndim - 2)) * sums


@attrs.frozen(eq=False)
class Laid:
    """A piece on its arrays, with the path that computes it."""

    lines: Lines
    path: Path | None
    """None: nothing can be lost, and it is computed with all others of which that is so."""
    entrance: Entrance
    ratios: NDArray[np.float64]
    """(outputs of the piece,)."""

    @property
    def piece(self) -> Piece:
        """The piece."""
        return self.entrance.piece


class Mixed:
    """The path of an operation whose strips have several precisions."""

    def __init__(
        self,
        quantised: Quantised,
        windows: Windows,
        laid: Sequence[Laid],
        *,
        device: str = "cpu",
    ) -> None:
        self.windows = windows
        self.groups, self.outputs, _ = quantised.weights.shape
        self.laid = tuple(laid)
        self._proven = [each for each in laid if each.path is None]
        self._alone = [(each, each.path) for each in laid if each.path is not None]
        self._product = self._joined(quantised, device) if self._proven else None

    def _joined(self, quantised: Quantised, device: str) -> InUnits:
        """The product of all strips in which nothing is lost."""
        strips = quantised.bits.strips
        assert strips is not None
        chosen = np.zeros(quantised.weights.shape, np.bool_)
        for piece in (each.piece for each in self._proven):
            mine = piece.group, piece.outputs[:, None], piece.rows
            chosen[mine] |= held_by(piece, strips, self.outputs)
        return InUnits(quantised, self.windows, device=device, chosen=chosen)

    @property
    def name(self) -> str:
        """The paths of all pieces, each named once."""
        each = ["lossless" if each.path is None else each.path.name for each in self.laid]
        names = ", ".join(each).split(", ")
        return ", ".join(dict.fromkeys(names))

    @property
    def may_share(self) -> bool:
        """Whether calls may run at the same time."""
        return all(getattr(path, "may_share", False) for _, path in self._alone)

    def __call__(self, inputs: NDArray[np.integer]) -> Array:
        """The results."""
        made, padded = self._begun(inputs), self._padded(inputs)
        for each, path in self._alone:
            sums = path(each.entrance.take(inputs, padded))
            each.entrance.put(made, sums, each.ratios, self.outputs)
        return made

    def counted(self, inputs: NDArray[np.integer]) -> tuple[Array, Counts]:
        """The same results, and what happened to conversions and sums."""
        made, counts = self.counted_each(inputs)
        return made, sum(counts.values(), Counts())

    def counted_each(self, inputs: NDArray[np.integer]) -> tuple[Array, dict[int, Counts]]:
        """The same, level by level."""
        made, padded = self._begun(inputs), self._padded(inputs)
        windows = made.size // made.shape[1]
        counts = {each.piece.level: Counts() for each in self.laid}
        for each in self._proven:
            counts[each.piece.level] += tally(each.lines, windows)
        for each, path in self._alone:
            sums, mine = path.counted(each.entrance.take(inputs, padded))
            each.entrance.put(made, sums, each.ratios, self.outputs)
            counts[each.piece.level] += mine
        return made, counts

    def _begun(self, inputs: NDArray[np.integer]) -> Array:
        """What the pieces that lose nothing make, to which the others are added."""
        if self._product is not None:
            return self._product(inputs).astype(np.float64)
        if self.windows.geometry is None:
            return np.zeros((len(inputs), self.groups * self.outputs))
        size = self.windows.size(*inputs.shape[2:])
        return np.zeros((len(inputs), self.groups * self.outputs, *size))

    def _padded(self, inputs: NDArray[np.integer]) -> NDArray[np.integer]:
        """Maps with what lies around them; vectors as they are."""
        geometry = self.windows.geometry
        if geometry is None:
            return inputs
        above, below, left, right = geometry.padding
        around = ((0, 0), (0, 0), (above, below), (left, right))
        return np.pad(inputs, around, constant_values=self.windows.fill)
