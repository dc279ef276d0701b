"""Torch layers whose products are the chip's: they drop into a model and train through it.

A layer is the torch layer plus what the hardware does to it: whole weights and inputs, the arrays
that they lie on, the ranges of the converters. Forward is what the chip computes, to the last bit;
backward goes straight through (`cimarch.functional.train.straight`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.cells.device import Device
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.converter import Ranges, stated_ranges, unit_ranges
from cimarch.functional.fit.calibrate import Policy
from cimarch.functional.fit.quantise import Quantising, input_scale, quantised_weights
from cimarch.functional.fit.spread import Spreads
from cimarch.functional.lines import Lines, Section, lines_of, sections_of
from cimarch.functional.matrix import path_of
from cimarch.functional.quantised import Quantised
from cimarch.functional.scheme import Scheme
from cimarch.functional.train.affine import Affine
from cimarch.functional.train.merged import Merged, is_merged, merged
from cimarch.functional.train.sliced import Sliced
from cimarch.functional.train.starts import STARTS, STEP_PER, start_ranges
from cimarch.functional.train.straight import (
    DivergedError,
    Exact,
    Numbers,
    StraightThrough,
    rescaled,
    whole_inputs,
)
from cimarch.functional.windows import Windows
from cimarch.mapping.precision import Bits
from cimarch.workload.network import Geometry

MODES = ("exact", "merged", "sliced")
"""`exact`: slices and steps as on the chip, backward the plain product. `merged`: whole-weight
sums, whose gradient ends where a conversion clips and reaches the converter's step. `sliced`: that
gradient for slices and steps as on the chip, one conversion after the other."""
_SCALES = Quantising(method="mse", weights="mse")
"""How a layer finds the scales that it was not given."""


@attrs.frozen
class Arrays:
    """The arrays that a layer's matrix lies on: how they multiply, and how it is cut."""

    scheme: Scheme
    rows: int = 128
    """Inputs that one array takes."""
    word_lines: int | None = None
    """Inputs that are read at once; None: all of an array."""
    sections: tuple[tuple[Section, ...], ...] = ()
    """One per channel group, where a placement says how they lie; else `rows` and `word_lines`."""
    blocks: int = 1
    """Column blocks."""
    device: Device | None = None
    """What cells and converters do that is not ideal; None: nothing."""

    def cut(self, rows: int, groups: int) -> tuple[tuple[Section, ...], ...]:
        """The sections of each channel group of a matrix of so many rows."""
        cut = sections_of(rows, self.rows, self.word_lines or self.rows)
        return self.sections or (cut,) * groups


@attrs.frozen
class Chip:
    """What a layer is told of the chip."""

    arrays: Arrays
    mode: str = attrs.field(default="exact", validator=attrs.validators.in_(MODES))
    """One of `MODES`."""
    per: str = attrs.field(default="tensor", validator=attrs.validators.in_(("tensor", "channel")))
    """Of what one weight scale is: the whole `tensor`, or one output `channel`."""
    ranges: Ranges | None = None
    """Of its converters, where the description states none; None: one unit a step, or where the
    mode is `merged` those that `start` chooses on the first batch."""
    start: str = attrs.field(default="mse", validator=attrs.validators.in_(STARTS))
    """How ranges are chosen before their steps are learned, one of `STARTS`."""
    step_per: str = attrs.field(default="layer", validator=attrs.validators.in_(STEP_PER))
    """Of what one learned step is, one of `STEP_PER`."""
    power_of_two: bool = False
    """Whether a learned step is the power of two next to what was learned."""
    percentile: float = 99.9
    """Of the start `percentile`."""

    @property
    def scheme(self) -> Scheme:
        """The arithmetic of the mode."""
        return merged(self.arrays.scheme) if self.mode == "merged" else self.arrays.scheme

    @property
    def is_chips(self) -> bool:
        """Whether that is the arithmetic of the chip itself."""
        return self.mode != "merged" or is_merged(self.arrays.scheme)


class _OnArrays(nn.Module):
    """What `Linear` and `Conv2d` have in common."""

    weight: Tensor
    bias: Tensor | None
    affine: Affine
    chip: Chip
    draw: Draw
    """Of what its cells could be those that they are, where they are not ideal: at inference these,
    in training others each time."""
    input_zero: Tensor
    converter_step: nn.Parameter | None

    def _settle(self, chip: Chip) -> None:
        """Take what the chip adds to a torch layer that has just been made."""
        self.chip, self.draw = chip, Draw()
        like = self.weight.detach()
        self.weight_scale = nn.Parameter(
            like.new_zeros(len(self.weight) if chip.per == "channel" else 1)
        )
        self.input_scale = nn.Parameter(like.new_zeros(1))
        zero = torch.zeros((), dtype=torch.int64, device=like.device)
        self.register_buffer("input_zero", zero)
        self.ranges = self._given_ranges()
        self.converter_step = None
        if chip.mode != "exact" and chip.scheme.converter and self._stated() is None:
            step = np.zeros(self._steps()) if self.ranges is None else self.ranges.step
            self.converter_step = nn.Parameter(torch.from_numpy(step).to(like))
        self._known: _Known | None = None
        self._drawn = 0
        self._norm: list[nn.BatchNorm2d] = []

    def _steps(self) -> tuple[int, ...]:
        """The shape of learned steps, as that of `cimarch.functional.converter.Ranges`."""
        if self.chip.step_per == "column":
            return 1, len(self.weight) // self.affine.groups
        if self.chip.step_per == "layer":
            return 1, 1
        cut = self.chip.arrays.cut(self.rows, self.affine.groups)
        return 1, 1, 1 + max(section.tile for sections in cut for section in sections)

    # What it keeps

    def get_extra_state(self) -> dict[str, Any]:
        """The ranges that are no parameter."""
        if self.ranges is None:
            return {}
        low, step = torch.from_numpy(self.ranges.low), torch.from_numpy(self.ranges.step)
        return {"low": low, "step": step, "source": self.ranges.source}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take ranges that were kept."""
        self.ranges = None
        if state:
            self.ranges = Ranges(state["low"].numpy(), state["step"].numpy(), state["source"])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": None}

    # What it is made of

    @property
    def rows(self) -> int:
        """Of one channel group's matrix."""
        return self.weight[0].numel()

    @property
    def numbers(self) -> Numbers:
        """What its whole numbers stand for."""
        scheme = self.chip.scheme
        binary = scheme.kind.one_bit or scheme.weight_bits == 1
        top = 1 if binary else 2 ** (scheme.weight_bits - 1) - 1
        return Numbers(self.affine, int(self.input_zero), scheme.input_range, top, binary)

    @property
    def windows(self) -> Windows:
        """How its windows lie in its inputs."""
        a = self.affine
        if not a.is_map:
            return Windows(self.rows)
        geometry = Geometry(_pair(self.weight.shape[2:]), a.stride, a.padding, a.dilation, a.groups)
        return Windows(self.rows, a.groups, geometry, int(self.input_zero))

    def _stated(self) -> Ranges | None:
        """The ranges that the description states, for the arithmetic of the mode."""
        converter = self.chip.scheme.converter
        if converter is None or not self.chip.is_chips:
            return None
        return stated_ranges(converter, self._signed())

    def _given_ranges(self) -> Ranges | None:
        """The ranges that are not learned; None where they are, or nothing is converted."""
        converter = self.chip.scheme.converter
        if converter is None:
            return None
        given = self._stated() or self.chip.ranges
        if given is None and self.chip.mode != "merged":
            return unit_ranges(converter, self._signed())
        return given

    def _signed(self) -> NDArray[np.bool_]:
        """(lines,): whether sums may be negative."""
        one = np.ones((1, 1), np.int64)
        return lines_of(one, self.chip.scheme, (Section(0, 1, 0),)).signed

    @property
    def converter_ranges(self) -> Ranges | None:
        """The ranges of its converters as they are now; None where nothing is converted."""
        if self.converter_step is None:
            return self.ranges
        step = self.converter_step.detach().double().cpu().numpy()
        if self.chip.power_of_two:
            step = np.exp2(np.rint(np.log2(step)))
        return Ranges(self._begins() * step, step, "trained")

    def _begins(self) -> NDArray[np.float64]:
        """Where ranges begin, in steps; a learned step keeps it."""
        converter = self.chip.scheme.converter
        assert converter is not None
        if self.ranges is None:
            return unit_ranges(converter, self._signed()).low
        return self.ranges.low / self.ranges.step

    def whole_weights(self) -> NDArray[np.int64]:
        """(channel groups, outputs, rows): what the cells hold."""
        with torch.no_grad():
            whole = self.numbers.weights(self.weight, self.weight_scale)
        return (
            whole.double().cpu().numpy().astype(np.int64).reshape(self.affine.groups, -1, self.rows)
        )

    def lines(self, weights: NDArray[np.int64] | None = None) -> tuple[Lines, ...]:
        """The sense lines of each channel group."""
        weights = self.whole_weights() if weights is None else weights
        arrays = self.chip.arrays
        cut = arrays.cut(self.rows, self.affine.groups)
        return tuple(
            lines_of(group, self.chip.scheme, sections, arrays.blocks)
            for group, sections in zip(weights, cut, strict=True)
        )

    def quantised(self) -> Quantised:
        """The layer, and the norm that it takes in, in whole numbers, as a quantised network holds
        them."""
        scheme = self.chip.scheme
        share, shifted = self._share_and_bias()
        scale = (self.weight_scale.detach().double() * share).cpu().numpy()
        bias = None if shifted is None else shifted.cpu().numpy()
        return Quantised(
            bits=Bits(scheme.weight_bits, scheme.input_bits),
            weights=self.whole_weights().astype(np.int32),
            weight_scale=scale,
            input_scale=float(self.input_scale.detach()),
            input_zero=int(self.input_zero),
            input_range=scheme.input_range,
            bias=bias,
        )

    def float_layer(self) -> nn.Module:
        """The torch layer that it is otherwise, with its parameters."""
        raise NotImplementedError

    # What it computes

    def _computed(self, x: Tensor) -> Tensor:
        """The layer's outputs for maps, or for vectors (windows, rows)."""
        self._find_scales(x)
        self._check()
        numbers = self.numbers
        product = self._product(numbers)
        if self.is_folded:
            return self._folded(product, numbers, x)
        return StraightThrough.apply(  # type: ignore[no-untyped-call, no-any-return]
            product, numbers, x, self.weight, self.bias, self.input_scale, self.weight_scale,
            self.converter_step,
        )  # fmt: skip

    # The batch norm behind it

    def fold(self, norm: nn.BatchNorm2d) -> None:
        """Take the batch norm behind the layer into its scale and bias wherever no gradient is
        asked for outside of training, as the chip does; the norm then passes on what it gets.

        `norm` stays where it is, and a parameter of the model.
        """
        self._norm = [norm]

    @property
    def norm(self) -> nn.BatchNorm2d | None:
        """The batch norm that it takes in."""
        return self._norm[0] if self._norm else None

    @property
    def is_folded(self) -> bool:
        """Whether its outputs are now those behind the norm."""
        return bool(self._norm) and not self.training and not torch.is_grad_enabled()

    def _share_and_bias(self) -> tuple[Tensor, Tensor | None]:
        """What each output is multiplied by behind its scales, and what is added, in float64.

        With a norm W x + b becomes (g W) x + g (b - mean) + shift, g = gain / sqrt(variance + eps)
        (Jacob et al., CVPR 2018, section 3.2).
        """
        bias = None if self.bias is None else self.bias.detach().double()
        norm = self.norm
        if norm is None:
            return torch.ones(len(self.weight), dtype=torch.float64).to(self.weight.device), bias
        assert norm.running_mean is not None
        assert norm.running_var is not None
        share = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            share = share * norm.weight.detach().double()
        moved = (0 if bias is None else bias) - norm.running_mean.double()
        shift = 0 if norm.bias is None else norm.bias.detach().double()
        return share, moved * share + shift

    def _folded(self, product: Exact | Merged | Sliced, numbers: Numbers, x: Tensor) -> Tensor:
        """The outputs behind the norm, by the same steps as the tail of a chip's product
        (`cimarch.functional.run.tail`)."""
        share, bias = self._share_and_bias()
        whole = whole_inputs(x, self.input_scale, numbers)
        weights = numbers.weights(self.weight, self.weight_scale)
        scale = (self.input_scale.double() * (self.weight_scale.double() * share)).float()
        offset = numbers.input_zero * weights.flatten(1).sum(1, dtype=torch.float64)
        made = rescaled(product.forward(whole, weights), offset, scale.detach(), bias)
        return made.to(x.dtype)

    def _product(self, numbers: Numbers) -> Exact | Merged | Sliced:
        if self.chip.mode == "exact" or (self.chip.is_chips and not torch.is_grad_enabled()):
            return self._exact()
        if self.chip.mode == "sliced":
            return Sliced(
                self.affine, self.lines(), self.converter_ranges, self.weight.detach(),
                input_zero=numbers.input_zero,
            )  # fmt: skip
        return self._merged(self.converter_ranges, keep=torch.is_grad_enabled())

    def _merged(self, ranges: Ranges | None, *, keep: bool) -> Merged:
        numbers = self.numbers
        return Merged(
            self.affine, self.lines(), ranges, self.weight.detach(),
            input_zero=numbers.input_zero,
            input_top=int(max(abs(end) for end in numbers.inside)), keep=keep,
        )  # fmt: skip

    def _exact(self) -> Exact:
        """The path of the present whole weights; the last one where nothing has changed."""
        weights, ranges, draw = self.whole_weights(), self.converter_ranges, self.draw
        if self.training and self.chip.arrays.device is not None:
            self._drawn += 1
            draw = attrs.evolve(draw, trial=draw.trial + self._drawn)
        known = self._known
        if known is None or not known.holds(weights, ranges, self.windows, draw):
            path = path_of(
                self.lines(weights), ranges, self.windows, device=self.chip.arrays.device,
                draw=draw, on=self.weight.device.type,
            )  # fmt: skip
            known = _Known(weights, ranges, self.windows, draw, Exact(self.affine, path))
            self._known = known
        return known.product

    @property
    def path_name(self) -> str:
        """The way that it computed its last product."""
        return self._known.product.path.name if self._known else "merged"

    # What it must know first

    def _check(self) -> None:
        """Raise DivergedError where training has led parameters to where nothing is computed."""
        if not bool(torch.isfinite(self.weight).all()):
            raise DivergedError("a weight is not a finite number: training has diverged")
        for name in ("weight_scale", "input_scale", "converter_step"):
            scale = getattr(self, name)
            if scale is not None and not bool((scale > 0).all()):
                raise DivergedError(
                    f"`{name}` has become {float(scale.detach().min()):g}, and must be above 0: "
                    "give scales a lower learning rate"
                )

    def _find_scales(self, x: Tensor) -> None:
        """Take scales that the layer does not have yet from its weights and this batch."""
        if not float(self.weight_scale.detach().max()):
            self.find_weight_scale()
        needs_step = self.converter_step is not None and not float(
            self.converter_step.detach().max()
        )
        if float(self.input_scale.detach()) and not needs_step:
            return
        if not self.training:
            raise DescriptionError(
                Diagnostic(
                    "E360",
                    f"a `{type(self).__name__}` on arrays has no scale for its inputs yet",
                    notes=("scales come from the first batch that a layer sees in training",),
                    helps=("call the model on data once before `eval()`", "or load a state_dict"),
                )
            )
        if not float(self.input_scale.detach()):
            self.find_input_scale(x)
        if needs_step:
            self.find_step(x)

    @torch.no_grad()
    def find_weight_scale(self) -> None:
        """Set the scale of the weights to that of the least squared error."""
        matrix = self.weight.detach().double().cpu().numpy()
        matrix = matrix.reshape(self.affine.groups, -1, self.rows)
        _, scale = quantised_weights(
            matrix, self.chip.scheme, per=self.chip.per, method=_SCALES.weights
        )
        found = torch.from_numpy(scale[: len(self.weight_scale)])
        self.weight_scale.copy_(found.to(self.weight_scale))

    @torch.no_grad()
    def find_input_scale(self, x: Tensor) -> None:
        """Set scale and zero of the inputs to those of the least squared error on these."""
        seen, values = Spreads(), x.detach().double().cpu().numpy()
        seen.see("x", values)
        seen.count("x", values)
        scale, zero = input_scale(self.chip.scheme, seen.result(len(x))["x"], _SCALES)
        self.input_scale.fill_(scale)
        self.input_zero.fill_(zero)

    @torch.no_grad()
    def find_step(self, x: Tensor) -> None:
        """Set the ranges of the converters to those that the chip's `start` chooses on these."""
        assert self.converter_step is not None
        numbers = self.numbers
        whole = whole_inputs(x, self.input_scale, numbers)
        product = self._merged(None, keep=True)
        product.forward(whole, numbers.weights(self.weight, self.weight_scale))
        largest = int(max(abs(end) for end in numbers.inside)) * numbers.weight_top
        policy = Policy(self.chip.start, percentile=self.chip.percentile)
        found = start_ranges(product, policy, self.chip.step_per, largest)
        self.ranges = found
        self.converter_step.copy_(torch.from_numpy(found.step).to(self.converter_step))


@attrs.frozen(eq=False)
class _Known:
    """The path of a layer's present state."""

    weights: NDArray[np.int64]
    ranges: Ranges | None
    windows: Windows
    draw: Draw
    product: Exact

    def holds(
        self, weights: NDArray[np.int64], ranges: Ranges | None, windows: Windows, draw: Draw
    ) -> bool:
        """Whether it is still the path of these."""
        same = (self.ranges is None) == (ranges is None)
        if same and self.ranges is not None and ranges is not None:
            same = np.array_equal(self.ranges.low, ranges.low)
            same = same and np.array_equal(self.ranges.step, ranges.step)
        same = same and windows == self.windows and draw == self.draw
        return same and np.array_equal(weights, self.weights)


class Norm(nn.BatchNorm2d):
    """A batch norm behind a layer on arrays, which takes it in where no gradient is asked for."""

    def __init__(self, layer: _OnArrays, norm: nn.BatchNorm2d) -> None:
        """Share the parameters and the statistics of a norm, and have `layer` take it in."""
        super().__init__(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        share_norm(self, norm)
        self.kind: type[nn.BatchNorm2d] = norm.kind if isinstance(norm, Norm) else type(norm)
        self._layer = [layer]
        layer.fold(self)

    def plain(self) -> nn.BatchNorm2d:
        """The norm that it otherwise is, with the same parameters and statistics."""
        made = self.kind(
            self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats
        )
        share_norm(made, self)
        return made

    def _check_input_dim(self, input: Tensor) -> None:
        """Channels are in dimension 1 of maps and of vectors."""

    def forward(self, input: Tensor) -> Tensor:
        """The normalised maps; as they are where the layer has done it."""
        if self._layer[0].is_folded:
            return input
        made: Tensor = super().forward(input)
        return made


def share_norm(norm: nn.BatchNorm2d, other: nn.BatchNorm2d) -> None:
    """Give a norm the parameters, statistics and mode of another."""
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        setattr(norm, name, getattr(other, name))
    norm.train(other.training)


class Linear(_OnArrays, nn.Linear):  # type: ignore[misc]  # torch: its bias is never None
    """`torch.nn.Linear` whose matrix lies on a chip's arrays."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        chip: Chip,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device, dtype)
        self.affine = Affine(is_map=False)
        self._settle(chip)

    def forward(self, input: Tensor) -> Tensor:  # (..., in_features) -> (..., out_features)
        """The layer's outputs."""
        flat = input.reshape(-1, self.in_features)
        return self._computed(flat).reshape(*input.shape[:-1], self.out_features)

    def float_layer(self) -> nn.Linear:
        """The torch layer that it is otherwise, with its parameters."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        _share(made, self)
        return made


class Conv2d(_OnArrays, nn.Conv2d):
    """`torch.nn.Conv2d` whose matrix lies on a chip's arrays; padded with zeros."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        *,
        chip: Chip,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        nn.Conv2d.__init__(
            self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        self.affine = affine_of(self)
        self._settle(chip)

    def forward(self, input: Tensor) -> Tensor:  # (N, channels, height, width), or without N
        """The layer's outputs."""
        if input.dim() == 3:
            return self._computed(input[None])[0]
        return self._computed(input)

    def float_layer(self) -> nn.Conv2d:
        """The torch layer that it is otherwise, with its parameters."""
        made = nn.Conv2d(
            self.in_channels, self.out_channels, _pair(self.kernel_size), _pair(self.stride),
            self.padding if isinstance(self.padding, str) else _pair(self.padding),
            _pair(self.dilation), self.groups, self.bias is not None,
        )  # fmt: skip
        _share(made, self)
        return made


def affine_of(layer: nn.Conv2d | nn.Linear) -> Affine:
    """The plain product of a torch layer; raises DescriptionError where it pads with other than
    zeros."""
    if isinstance(layer, nn.Linear):
        return Affine(is_map=False)
    if layer.padding_mode != "zeros":
        raise DescriptionError(
            Diagnostic(
                "E361",
                f"a convolution pads with `{layer.padding_mode}`, and word lines only with `zeros`",
                helps=(
                    'give it `padding_mode="zeros"`',
                    "or pad in front of it, in a layer of its own",
                ),
            )
        )
    left, right, above, below = layer._reversed_padding_repeated_twice
    return Affine(
        True, layer.groups, _pair(layer.stride), (above, below, left, right), _pair(layer.dilation)
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    high, wide = values
    return int(high), int(wide)


def from_float(layer: nn.Conv2d | nn.Linear, chip: Chip) -> Conv2d | Linear:
    """The layer on a chip, with the parameters of a torch layer (the same, not copies).

    Raises DescriptionError where it pads with other than zeros, or a weight is not finite.
    """
    affine_of(layer)
    bad = int((~torch.isfinite(layer.weight)).sum())
    if bad:
        raise DescriptionError(
            Diagnostic(
                "E303",
                f"the weight of a `{type(layer).__name__}` holds {bad:,} of "
                f"{layer.weight.numel():,} numbers that are not finite",
                notes=("a weight that is NaN or infinite has no integer",),
                helps=("look at the training run that made it",),
            )
        )
    dtype, device = layer.weight.dtype, layer.weight.device
    made: Conv2d | Linear
    if isinstance(layer, nn.Conv2d):
        made = Conv2d(
            layer.in_channels, layer.out_channels, _pair(layer.kernel_size), _pair(layer.stride),
            layer.padding if isinstance(layer.padding, str) else _pair(layer.padding),
            _pair(layer.dilation), layer.groups, layer.bias is not None,
            chip=chip, device=device, dtype=dtype,
        )  # fmt: skip
    else:
        made = Linear(
            layer.in_features, layer.out_features, layer.bias is not None,
            chip=chip, device=device, dtype=dtype,
        )  # fmt: skip
    _share(made, layer)
    return made


def _share(layer: nn.Module, other: nn.Module) -> None:
    """Give a layer the weight, the bias and the mode of another."""
    for name in ("weight", "bias"):
        setattr(layer, name, getattr(other, name))
    layer.train(other.training)
