"""Whole-weight sums: one conversion per section, differentiable through clipping and step.

Slices of a weight and steps of an input are merged before the conversion, as in a macro whose cells
hold whole weights and whose inputs come in one step: there this is the chip's own arithmetic. For
all others it is the usual simplification of ADC-aware training, and says so (`is_chips`).

The gradient passes a conversion where its sum lies inside the range, and not where it clips. The
step is learned as in LSQ (Esser et al., ICLR 2020, eq. 3): a code c of sum p stands for step x c,
so that the step's gradient is c - p / step inside the range, and c outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.converter import Ranges
from cimarch.functional.converter import scale as scale_of
from cimarch.functional.lines import Lines, Section
from cimarch.functional.reference import min_quantum
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.train import straight_kernels as kernels
from cimarch.functional.train.affine import Affine
from cimarch.functional.train.straight import Gradients, Sums, along

_VECTOR = 16
"""Channels that a convolution takes at once."""
_EXACT_IN_SINGLE = 2.0**24
"""Whole numbers below this are exact in float32, sums of them in any order too."""


def is_merged(scheme: Scheme) -> bool:
    """Whether a scheme converts each weight's whole product at once: one line, one step."""
    one_step = scheme.steps == 1 or scheme.input_accumulation == "analog"
    halves = 2 if scheme.kind.doubled and scheme.subtract == "digital" else 1
    planes = scheme.slices + scheme.kind.sign_column
    lines = halves * (1 if scheme.slice_merge == "analog" else planes)
    return one_step and lines == 1


def merged(scheme: Scheme) -> Scheme:
    """The scheme itself where it is merged, else one that holds a weight whole, in one cell, and
    takes an input in one step; converter and adders stay."""
    if is_merged(scheme):
        return scheme
    if scheme.kind.one_bit or scheme.weight_bits == 1:
        return attrs.evolve(
            scheme, encoding="binary", slice_merge="digital", input_accumulation="analog"
        )
    return attrs.evolve(
        scheme,
        encoding="signed_cell",
        cell_bits=scheme.weight_bits,
        slice_merge="digital",
        input_accumulation="analog",
    )


@attrs.frozen(eq=False)
class Range:
    """The ranges of a layer's converters, and what they do to a piece's sums."""

    converter: Converter | None
    low: Tensor
    """(outputs,), in units."""
    step: Tensor
    base: Tensor
    """A code stands for base + quantum x code."""
    quantum: Tensor

    @classmethod
    def of(
        cls, converter: Converter | None, ranges: Ranges | None, outputs: int, device: torch.device
    ) -> Range:
        """Of all outputs, from ranges of the outputs of each channel group."""
        low, step = np.zeros(1), np.ones(1)
        base, quantum = low, step
        if ranges is not None and converter is not None:
            low, step = ranges.low[0], ranges.step[0]
            base, quantum = scale_of(converter, low, step)
        return cls(
            converter if ranges is not None else None,
            *(
                torch.from_numpy(np.resize(np.asarray(v, np.float64), outputs)).to(device)
                for v in (low, step, base, quantum)
            ),
        )

    def of_first(self, outputs: int) -> Range:
        """The first output's range for so many outputs: that of reference columns."""
        each = (self.low, self.step, self.base, self.quantum)
        return Range(self.converter, *(values[:1].repeat(outputs) for values in each))

    @property
    def is_even(self) -> bool:
        """Whether a code's unit is the same everywhere."""
        return bool((self.quantum == self.quantum[0]).all())

    @property
    def most(self) -> int | None:
        """The largest magnitude of what an adder gets of one conversion, in quanta of it; None
        where it is not known."""
        if self.converter is None or self.converter.transfer == "thresholds" or not self.is_even:
            return None
        return 2 * self.converter.codes + int(self._firsts.abs().max())

    @property
    def most_code(self) -> int:
        """The largest number of steps that a code stands for; of the first output."""
        if self.converter is None:
            return 1
        if self.converter.transfer == "thresholds":
            return max(1, int(max(self.converter.levels)))
        return max(1, int(self._last + round(float(self.low[0] / self.step[0]))))

    @property
    def _firsts(self) -> Tensor:
        """(outputs,): the number of the range's lower end, as `cimarch.functional.converter`."""
        if self.converter is None or self.converter.transfer == "thresholds":
            return torch.zeros_like(self.low)
        return torch.round(self.low / self.quantum)

    @property
    def _last(self) -> float:
        return float(self.converter.codes - 1) if self.converter else 0.0

    @property
    def _rises(self) -> bool:
        return self.converter is not None and self.converter.transfer == "mid_rise"

    def _is_quick(self, sums: Tensor) -> bool:
        """Whether the compiled loops take it."""
        uniform = self.converter is not None and self.converter.transfer != "thresholds"
        return uniform and sums.dtype == torch.float32 and sums.device.type == "cpu"

    def add(self, sums: Tensor, piece: Piece, codes: Tensor) -> int:
        """Add the codes of a piece's sums to `codes`, times its factors; how many clipped.

        Of sums that the compiled loops take, only the marks remain that `passed` needs.
        """
        if self.converter is None:
            whole = sums + along(piece.shift, sums, 1)
            codes[:, piece.outputs] += (whole * along(piece.factor, sums, 1)).to(codes.dtype)
            return 0
        if self._is_quick(sums):
            return kernels.convert(
                _flat(sums), piece.shift.numpy(), self.low[piece.outputs].numpy(),
                self.step[piece.outputs].numpy(), self._last, self._rises, piece.factor.numpy(),
                piece.outputs.start, _flat(codes),
            )  # fmt: skip
        places = self._places(sums, piece)
        values = self._codes(places)[0] + along(self._firsts[piece.outputs], sums, 1)
        codes[:, piece.outputs] += (values * along(piece.factor, sums, 1)).to(codes.dtype)
        return int((~self._inside(places)).sum())

    def passed(self, gradient: Tensor, sums: Tensor, piece: Piece) -> tuple[Tensor, Tensor]:
        """The gradient where no sum clipped, and (outputs,) its sum times the share of the step."""
        if self.converter is None:
            return gradient[:, piece.outputs], torch.zeros_like(self.step[piece.outputs])
        if self._is_quick(sums) and gradient.dtype == torch.float32:
            passed, slopes = torch.empty_like(sums), torch.zeros_like(piece.shift)
            kernels.unconvert(
                _flat(gradient), _flat(sums), self.low[piece.outputs].numpy(),
                self.step[piece.outputs].numpy(), self._last, self._rises, piece.outputs.start,
                _flat(passed), slopes.numpy(),
            )  # fmt: skip
            return passed, slopes
        given = gradient[:, piece.outputs]
        places = self._places(sums, piece)
        inside, (_, stands_for) = self._inside(places), self._codes(places)
        begins = along((self.low / self.step)[piece.outputs], sums, 1)
        if self.converter.transfer == "thresholds":
            begins = torch.zeros_like(begins)
        share = torch.where(inside, stands_for - places, stands_for + begins)
        others = [axis for axis in range(sums.dim()) if axis != 1]
        return torch.where(inside, given, 0), (given.double() * share).sum(others)

    def _places(self, sums: Tensor, piece: Piece) -> Tensor:
        """Where sums lie in the range, in steps; as `cimarch.functional.converter.convert`."""
        whole = sums.double() + along(piece.shift, sums, 1)
        step = along(self.step[piece.outputs], sums, 1)
        if self.converter is not None and self.converter.transfer == "thresholds":
            return whole / step
        return (whole - along(self.low[piece.outputs], sums, 1)) / step

    def _codes(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """What adders get, but for `_firsts`, and what it stands for, in steps from the range's
        lower end."""
        assert self.converter is not None
        if self.converter.transfer == "thresholds":
            levels = places.new_tensor([float(level) for level in self.converter.levels])
            digital = levels / float(scale_of(self.converter, np.zeros(1), np.ones(1))[1][0])
            thresholds = places.new_tensor([float(t) for t in self.converter.thresholds])
            which = torch.bucketize(places, thresholds, right=True)
            return digital[which], levels[which]
        if self._rises:
            codes = places.floor().clamp(0, self._last)
            return 2 * codes + 1, codes + 0.5
        codes = places.clamp(0, self._last).round()
        return codes, codes

    def _inside(self, places: Tensor) -> Tensor:
        """Where nothing clips."""
        assert self.converter is not None
        least, most = 0.0, self._last + self._rises
        if self.converter.transfer == "thresholds":
            levels = [float(level) for level in self.converter.levels]
            least, most = min(levels), max(levels)
        return (least <= places) & (places <= most)


def _flat(values: Tensor) -> NDArray[np.float32]:
    """(images, outputs, positions) of maps or vectors; a vector's position is one."""
    flat: NDArray[np.float32] = values.contiguous().view(*values.shape[:2], -1).numpy()
    return flat


@attrs.frozen(eq=False)
class Piece:
    """A section of some channel groups that are read alike: one plain product, one conversion."""

    groups: slice
    outputs: slice
    """Of the layer's outputs."""
    channels: slice
    """Of a group's input channels."""
    inside: Tensor
    """(channels x kernel,): 1 at the section's rows, 0 at those of the same channels beside it."""
    digits: Tensor
    """In the form of a weight, 0 beside the section."""
    factor: Tensor
    """(outputs,): what one unit counts in the product."""
    shift: Tensor
    """(outputs,): what an input's zero adds to the sums."""
    tile: int


class Merged:
    """The product of one layer by whole-weight sums, one piece after the other.

    It keeps the sums of its last `forward` for `backward`, where `keep` says so.
    """

    def __init__(
        self,
        affine: Affine,
        lines: Sequence[Lines],
        ranges: Ranges | None,
        weight: Tensor,
        *,
        input_zero: int = 0,
        input_top: int = 255,
        keep: bool = True,
    ) -> None:
        """`lines`: one per channel group, each of one sense line and one step. `weight` has the
        form, type and device of the layer's; `input_top` is the largest magnitude of an input less
        its zero."""
        self.affine, self.lines, self.keep = affine, tuple(lines), keep
        self.scheme, self.input_zero = lines[0].scheme, input_zero
        self.kernel = int(np.prod(weight.shape[2:]))
        digits = np.concatenate([each.digits[0] for each in lines])
        cuts = {section for each in lines for section in each.sections}
        sums = (np.abs(digits[:, cut.first : cut.end]).sum(axis=1).max(initial=0) for cut in cuts)
        largest = float(max(sums)) * (input_top + abs(input_zero))
        exact = largest < _EXACT_IN_SINGLE and weight.device.type == "cpu"
        self.type = weight.dtype if exact and weight.dtype == torch.float32 else torch.float64
        self.digits = torch.from_numpy(digits).to(weight.device, self.type).reshape(weight.shape)
        tiles = lines[0].factors.shape[2] if ranges is not None and ranges.by_tile else 1
        self.ranges = [
            Range.of(
                self.scheme.converter, ranges.at(tile) if ranges else None, len(digits),
                weight.device,
            )
            for tile in range(tiles)
        ]  # fmt: skip
        """Of each row tile, or one for all."""
        self.quantum = min_quantum(lines[0], ranges)
        self.pieces = list(self._pieces())
        self.sums: list[Tensor] = []
        """Of each piece; marks of them, where compiled loops took them."""
        self.clipped = 0
        """Conversions that clipped, of the last `forward`."""

    @property
    def conversions(self) -> int:
        """Of one window, but for those of reference columns."""
        return sum(len(piece.factor) for piece in self.pieces)

    @property
    def most_code(self) -> int:
        """The largest number of steps that a code stands for."""
        return self.ranges[0].most_code

    def _range(self, tile: int) -> Range:
        """That of a row tile."""
        return self.ranges[tile % len(self.ranges)]

    @property
    def _is_even(self) -> bool:
        """Whether a code's unit is the same everywhere."""
        first = self.ranges[0]
        return first.is_even and all(
            bool((each.quantum == first.quantum[0]).all()) for each in self.ranges
        )

    def _pieces(self) -> Iterator[Piece]:
        groups = len(self.lines)
        if all(each.sections == self.lines[0].sections for each in self.lines):
            cuts = [(slice(0, groups), s) for s in self.lines[0].sections]
        else:
            cuts = [(slice(g, g + 1), s) for g in range(groups) for s in self.lines[g].sections]
        for chosen, section in cuts:
            yield self._piece(chosen, section)

    def _piece(self, groups: slice, section: Section) -> Piece:
        kernel, each = self.kernel, self.lines[0].outputs
        channels = _wide(section.first // kernel, -(-section.end // kernel), self.digits.shape[1])
        outputs = slice(groups.start * each, groups.stop * each)
        inside = torch.zeros(self.lines[0].rows, dtype=self.type, device=self.digits.device)
        inside[section.first : section.end] = 1
        inside = inside[channels.start * kernel : channels.stop * kernel]
        digits = self.digits[outputs, channels]
        digits = digits * inside.reshape(digits.shape[1:])
        factor = [each.factors[0, :, section.tile] for each in self.lines[groups]]
        return Piece(
            groups, outputs, channels, inside, digits,
            torch.from_numpy(np.concatenate(factor)).to(digits),
            self.input_zero * digits.flatten(1).sum(1, dtype=torch.float64), section.tile,
        )  # fmt: skip

    def _taken(self, centred: Tensor, piece: Piece) -> tuple[Affine, Tensor]:
        """The plain product of a piece, and the channels of the inputs that it reads."""
        taken = self._part(centred, piece).flatten(1, 2)
        return attrs.evolve(self.affine, groups=piece.groups.stop - piece.groups.start), taken

    def _part(self, maps: Tensor, piece: Piece) -> Tensor:
        """A piece's part of maps or vectors of inputs: (images, groups, channels, ...)."""
        grouped = maps.view(len(maps), self.affine.groups, -1, *maps.shape[2:])
        return grouped[:, piece.groups, piece.channels]

    # Forward

    def forward(self, whole: Tensor, weights: Tensor) -> Sums:
        """The sums, as plain loops over the same lines give them."""
        centred = whole.to(self.type)
        if self.input_zero:
            centred -= self.input_zero
        self.sums, self.clipped = [], 0
        if self._is_plain:
            return Sums(self.affine.product(centred, self.digits), 1.0, self._shift())
        total: Tensor | None = None
        for pieces in self._tiles():
            register = self._register(centred, pieces)
            total = (
                register if total is None else self._held(total + register, self.scheme.sum_bits)
            )
        assert total is not None
        exact = self._corrections(centred)
        if exact is None:
            return Sums(total, self.quantum, self._constant())
        made = self.quantum * total.double() + along(self._constant(), total, 1)
        return Sums(made + exact)

    @property
    def _is_plain(self) -> bool:
        """Whether the sums of all sections are exact, and no more than one plain product."""
        scheme = self.scheme
        limited = (scheme.converter, scheme.tile_bits, scheme.sum_bits) != (None, None, None)
        return not limited and all(
            not each.reference and not each.correction.any() and bool((each.factors == 1).all())
            for each in self.lines
        )

    def _shift(self) -> Tensor | None:
        """(outputs,): what an input's zero adds to the sums; None where that is nothing."""
        if not self.input_zero:
            return None
        return self.input_zero * self.digits.flatten(1).sum(1, dtype=torch.float64)

    def _tiles(self) -> list[list[Piece]]:
        """Pieces by tile; all in one where it makes no difference."""
        fits = self._fits(self.scheme.tile_bits) and self._fits(self.scheme.sum_bits)
        if self._is_even and fits:
            return [self.pieces]
        tiles = sorted({piece.tile for piece in self.pieces})
        return [[piece for piece in self.pieces if piece.tile == tile] for tile in tiles]

    def _register(self, centred: Tensor, pieces: Sequence[Piece]) -> Tensor:
        """What the adder of a tile holds, in quanta."""
        codes: Tensor | None = None
        for piece in pieces:
            affine, taken = self._taken(centred, piece)
            sums = affine.product(taken, piece.digits).contiguous()
            if codes is None:
                codes = sums.new_zeros(len(sums), len(self.digits), *sums.shape[2:])
            self.clipped += self._range(piece.tile).add(sums, piece, codes)
            if self.keep:
                self.sums.append(sums)
        assert codes is not None
        if not self._is_even:
            quanta = self._range(pieces[0].tile).quantum / self.quantum
            codes = codes.double() * along(quanta, codes, 1)
        return self._held(codes, self.scheme.tile_bits)

    def _held(self, sums: Tensor, bits: int | None) -> Tensor:
        """What an adder of a width keeps."""
        if bits is None or self._fits(bits):
            return sums
        top = 2.0 ** (bits - 1)
        if self.scheme.overflow == "saturate":
            return sums.clamp(-top, top - 1)
        fits = (-top <= sums) & (sums <= top - 1)
        return torch.where(fits, sums, torch.remainder(sums + top, 2 * top) - top)

    def _fits(self, bits: int | None) -> bool:
        """Whether no sum can be too wide for an adder."""
        if bits is None:
            return True
        each = [found.most for found in self.ranges]
        most = None if None in each or not self._is_even else max(m for m in each if m is not None)
        return most is not None and len(self.pieces) * most < 2 ** (bits - 1)

    def _constant(self) -> Tensor:
        """(outputs,): what the codes of all pieces do not stand for."""
        found = torch.zeros_like(self.ranges[0].base)
        for piece in self.pieces:
            found[piece.outputs] += self._range(piece.tile).base[piece.outputs] * piece.factor
        return found

    def _corrections(self, centred: Tensor) -> Tensor | None:
        """What is added digitally, from exact sums of the inputs, and what reference columns give;
        None where there is neither."""
        if not any(each.reference or each.correction.any() for each in self.lines):
            return None
        made: Tensor | None = None
        for piece in self.pieces:
            inputs = self._input_sums(centred, piece)
            found = along(self._correction(piece), inputs, 1) * inputs.double()
            found = found + self._referred(inputs, piece)
            if made is None:
                made = found.new_zeros(len(found), len(self.digits), *found.shape[2:])
            made[:, piece.outputs] += found
        return made

    def _correction(self, piece: Piece) -> Tensor:
        """(outputs,): what one unit of the inputs' sum counts."""
        each = [lines.correction[:, piece.tile] for lines in self.lines[piece.groups]]
        return torch.from_numpy(np.concatenate(each)).to(self.digits.device, torch.float64)

    def _input_sums(self, centred: Tensor, piece: Piece) -> Tensor:
        """The sums of a piece's inputs, for each of its outputs."""
        affine, taken = self._taken(centred, piece)
        form = piece.digits.shape[1:]
        ones = piece.inside.reshape(1, *form).expand(affine.groups, *form)
        sums = affine.product(taken, ones) + self.input_zero * piece.inside.sum()
        return sums.repeat_interleave(self.lines[0].outputs, 1)

    def _referred(self, inputs: Tensor, piece: Piece) -> Tensor:
        """What the reference columns say of the inputs' sums, times what they count."""
        unit = self.lines[0].reference
        if not unit:
            return torch.zeros((), dtype=torch.float64, device=inputs.device)
        codes = torch.zeros_like(inputs)
        first = attrs.evolve(
            piece,
            outputs=slice(0, inputs.shape[1]),
            factor=torch.ones_like(piece.factor),
            shift=torch.zeros_like(piece.shift),
        )
        reference = self.ranges[0].of_first(inputs.shape[1])
        self.clipped += reference.add(inputs, first, codes)
        return unit * (reference.quantum[0] * codes.double() + reference.base[0])

    # Backward

    def backward(
        self, gradient: Tensor, centred: Tensor, weights: Tensor, scale: Tensor,
        wanted: tuple[bool, bool, bool],
    ) -> Gradients:  # fmt: skip
        """Straight through, but where a conversion clipped.

        The reference column and the sum of the inputs count as they are.
        """
        for_inputs, for_weight, for_step = wanted
        if not self.clipped and not for_step:
            scaled = weights * along(scale, weights, 0)
            return Gradients(*self.affine.gradients(gradient, centred, scaled, wanted[:2]), None)
        of_inputs = torch.zeros_like(centred) if for_inputs else None
        of_weight = torch.zeros_like(weights) if for_weight else None
        slopes = torch.stack([torch.zeros_like(each.step) for each in self.ranges])
        for piece, sums in zip(self.pieces, self.sums, strict=True):
            passed, slope = self._range(piece.tile).passed(gradient, sums, piece)
            slopes[piece.tile % len(slopes), piece.outputs] += slope * piece.factor
            self._add(passed, gradient, centred, piece, scale, of_inputs, of_weight)
        if of_inputs is not None:
            self._add_corrections(gradient, centred, scale, of_inputs)
        return Gradients(of_inputs, of_weight, slopes * scale if for_step else None)

    def _add(
        self, passed: Tensor, gradient: Tensor, centred: Tensor, piece: Piece, scale: Tensor,
        of_inputs: Tensor | None, of_weight: Tensor | None,
    ) -> None:  # fmt: skip
        """Add one piece's share to the gradients."""
        affine, taken = self._taken(centred, piece)
        digits = piece.digits.to(passed.dtype)
        digits = digits * along((piece.factor * scale[piece.outputs]).to(digits), digits, 0)
        wanted = (of_inputs is not None, of_weight is not None)
        to_inputs, to_weight = affine.gradients(passed, taken, digits, wanted)
        if of_inputs is not None and to_inputs is not None:
            part = self._part(of_inputs, piece)
            part += to_inputs.view_as(part)
        if of_weight is not None and to_weight is not None:
            if self.input_zero:
                # the zero's share is taken out of the sum of all, clipped or not
                others = [axis for axis in range(gradient.dim()) if axis != 1]
                lost = (passed - gradient[:, piece.outputs]).sum(others)
                to_weight = to_weight + self.input_zero * along(lost, to_weight, 0)
            inside = piece.inside.to(to_weight).reshape(to_weight.shape[1:])
            of_weight[piece.outputs, piece.channels] += to_weight * inside

    def _add_corrections(
        self, gradient: Tensor, centred: Tensor, scale: Tensor, of_inputs: Tensor
    ) -> None:
        """Add the share of what is added digitally to the gradient of the inputs."""
        for piece in self.pieces:
            units = self._correction(piece) + self.lines[0].reference
            if not units.any():
                continue
            affine, taken = self._taken(centred, piece)
            ones = piece.inside.reshape(1, *piece.digits.shape[1:]).to(gradient)
            counts = ones * along((units * scale[piece.outputs]).to(gradient), ones, 0)
            given = gradient[:, piece.outputs].contiguous()
            to_inputs, _ = affine.gradients(given, taken, counts, (True, False))
            assert to_inputs is not None
            part = self._part(of_inputs, piece)
            part += to_inputs.view_as(part)


def _wide(first: int, end: int, channels: int) -> slice:
    """The channels `first`..`end`, or a few more: a vector's worth is multiplied faster."""
    wide = -(-(end - first) // _VECTOR) * _VECTOR
    if end - first <= _VECTOR // 2 or wide > channels:
        return slice(first, end)
    first = min(first, channels - wide)
    return slice(first, first + wide)
