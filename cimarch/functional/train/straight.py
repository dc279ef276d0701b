"""Straight through: a product in whole numbers that is differentiated as if nothing were rounded.

Forward, everything is as on the chip: inputs and weights become whole numbers, the product is the
chip's own. Backward, a rounding counts as nothing and a clamp lets through what lies inside it
(Bengio et al., arXiv 1308.3432, 2013). Scales are learned as in LSQ (Esser et al., ICLR 2020),
which is the same rule carried through: a scale has a share in the whole number, and one in what the
whole number stands for.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import attrs
import numpy as np
import torch
from torch import Tensor

from cimarch.functional.train import straight_kernels as kernels
from cimarch.functional.train.affine import Affine


class DivergedError(ValueError):
    """Training has led a parameter or an input to where nothing can be computed."""


class Gradients(NamedTuple):
    """Of the inputs (over the input scale), of the weight (over both scales), of the step."""

    inputs: Tensor | None
    weight: Tensor | None
    step: Tensor | None
    """(1, lines or row tiles; outputs)."""


class Sums(NamedTuple):
    """The sums of a product, in units: quantum x values + base, channels in dimension 1."""

    values: Tensor
    quantum: float = 1.0
    base: Tensor | None = None
    """(outputs,)."""


class Product(Protocol):
    """The product of one layer in whole numbers, and its gradients."""

    def forward(self, whole: Tensor, weights: Tensor) -> Sums:
        """The product of whole inputs and whole weights."""

    def backward(
        self, gradient: Tensor, centred: Tensor, weights: Tensor, scale: Tensor,
        wanted: tuple[bool, bool, bool],
    ) -> Gradients:  # fmt: skip
        """`centred` are the inputs less their zero point; `scale` (outputs,) is the weights'."""


@attrs.frozen(eq=False)
class Numbers:
    """What stands for what: the whole numbers of a layer's inputs and weights."""

    affine: Affine
    input_zero: int
    input_range: tuple[int, int]
    weight_top: int
    """Weights are -top .. top; of 1 bit, their sign."""
    is_binary: bool = False

    @property
    def inside(self) -> tuple[float, float]:
        """The ends of the input range, in input scales."""
        low, high = self.input_range
        return float(low - self.input_zero), float(high - self.input_zero)

    @property
    def whole_type(self) -> torch.dtype:
        """The smallest type of the inputs' whole numbers."""
        low, high = self.input_range
        types = (torch.uint8, torch.int8, torch.int16)
        fitting = (t for t in types if torch.iinfo(t).min <= low and high <= torch.iinfo(t).max)
        return next(fitting, torch.int32)

    def weights(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The whole numbers of a weight, ties to even, in the type that it computes in."""
        weight, scale = weight.to(_wide(weight.dtype)), scale.to(_wide(weight.dtype))
        if self.is_binary:
            return torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)
        top = float(self.weight_top)
        return (weight / along(scale, weight, 0)).round_().clamp_(-top, top)


def along(values: Tensor, like: Tensor, axis: int) -> Tensor:
    """Values of each output (or one for all) so that they broadcast along an axis."""
    shape = [1] * like.dim()
    shape[axis] = -1
    return values.reshape(shape)


def _is_quick(x: Tensor) -> bool:
    """Whether the compiled loops take it; all others go through torch, with the same result."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def reciprocal(scale: Tensor) -> float:
    """The float32 by which inputs are multiplied; as `cimarch.functional.run.tail.reciprocal`."""
    return float(np.float32(1 / float(scale.detach())))


def whole_inputs(x: Tensor, scale: Tensor, numbers: Numbers) -> Tensor:
    """clamp(round(x x f32(1 / scale)) + zero), ties to even, as `whole` of
    `cimarch.functional.run.tail`.

    Raises DivergedError where an input is not a number.
    """
    low, high = numbers.input_range
    share = reciprocal(scale)
    if _is_quick(x):
        whole = torch.empty(x.shape, dtype=numbers.whole_type)
        strange = kernels.quantise(
            x.detach().contiguous().view(-1).numpy(), share,
            numbers.input_zero, low, high,
            whole.view(-1).numpy(),
        )  # fmt: skip
    else:
        places = (x.float() * share).round_().add_(numbers.input_zero)
        strange = bool(places.isnan().any())
        whole = places.clamp_(low, high).to(numbers.whole_type)
    if strange:
        raise DivergedError("an input is not a number: training has diverged, or data are broken")
    return whole


def _through_inputs(
    gradient: Tensor, x: Tensor, scale: Tensor, numbers: Numbers
) -> tuple[Tensor, Tensor]:
    """What a gradient of the whole inputs becomes for x, and its sum times x, for the scale."""
    low, high = numbers.inside
    share = reciprocal(scale)
    if _is_quick(x):
        passed = torch.empty(x.shape)
        total = kernels.gate(
            gradient.contiguous().view(-1).numpy(), x.contiguous().view(-1).numpy(),
            share, low, high, passed.view(-1).numpy(),
        )  # fmt: skip
        return passed, torch.tensor(total)
    places = x * share
    passed = torch.where((low <= places) & (places <= high), gradient, 0)
    return passed, (passed * x).sum()


def rescaled(sums: Sums, offset: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """f32(sums - offset) x scale + bias: one rounding after each; channels are dimension 1.

    As `cimarch.functional.run.tail.Scales.result`. In the type of `scale`.
    """
    values, quantum, base = sums
    outputs = values.shape[1]
    base = torch.zeros(outputs, dtype=torch.float64, device=values.device) if base is None else base
    if values.dim() == 4 and values.device.type == "cpu" and scale.dtype == torch.float32:
        made = torch.empty(values.shape)
        offsets = torch.zeros(outputs) if bias is None else bias.detach().float()
        kernels.rescale(
            values.contiguous().view(len(values), outputs, -1).numpy(),
            quantum,
            base.contiguous().numpy(),
            offset.double().contiguous().numpy(),
            scale.expand(outputs).contiguous().numpy(),
            offsets.contiguous().numpy(),
            made.view(len(values), outputs, -1).numpy(),
        )
        return made
    units = quantum * values.double() + along(base, values, 1) - along(offset, values, 1)
    made = units.to(scale.dtype) * along(scale, values, 1)
    return made if bias is None else made + along(bias.detach().to(scale.dtype), values, 1)


def _moments(gradient: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Of each output, the sum of its gradient, and of its gradient times itself."""
    if gradient.dim() == 4 and _is_quick(gradient):
        sums, weighted = np.zeros(gradient.shape[1]), np.zeros(gradient.shape[1])
        kernels.moments(
            gradient.contiguous().view(*gradient.shape[:2], -1).numpy(),
            outputs.contiguous().view(*gradient.shape[:2], -1).numpy(),
            sums, weighted,
        )  # fmt: skip
        return torch.from_numpy(sums), torch.from_numpy(weighted)
    others = [axis for axis in range(gradient.dim()) if axis != 1]
    return gradient.double().sum(others), (gradient.double() * outputs).sum(others)


class StraightThrough(torch.autograd.Function):
    """input scale x weight scale x product(whole inputs, whole weights) + bias."""

    @staticmethod
    def forward(
        ctx: Any, product: Product, numbers: Numbers, x: Tensor, weight: Tensor,
        bias: Tensor | None, input_scale: Tensor, weight_scale: Tensor, step: Tensor | None,
    ) -> Tensor:  # fmt: skip
        """The layer's outputs; `step` is there for its gradient only, the product holds it."""
        whole = whole_inputs(x, input_scale, numbers)
        weights = numbers.weights(weight, weight_scale)
        scale = (input_scale.double() * weight_scale.double()).to(_wide(weight.dtype))
        offset = numbers.input_zero * weights.flatten(1).sum(1, dtype=torch.float64)
        outputs = rescaled(product.forward(whole, weights), offset, scale, bias).to(x.dtype)
        ctx.product, ctx.numbers = product, numbers
        ctx.save_for_backward(
            x, whole, weight, weights, bias, input_scale, weight_scale, step, outputs
        )
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """By straight-through estimators; see the top of this file."""
        (gradient,) = gradients
        return _backward(ctx, gradient.to(_wide(gradient.dtype)).contiguous())


def _wide(kind: torch.dtype) -> torch.dtype:
    """The type in which a layer of some type computes: halves in single precision."""
    return torch.float32 if kind.itemsize < 4 else kind


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of all arguments of `StraightThrough.forward`."""
    x, whole, weight, weights, bias, input_scale, weight_scale, step, outputs = ctx.saved_tensors
    numbers: Numbers = ctx.numbers
    _, _, for_x, for_weight, for_bias, for_input_scale, for_scale, for_step = ctx.needs_input_grad
    centred = whole.to(gradient.dtype)
    if numbers.input_zero:
        centred -= numbers.input_zero
    weights, weight_scale = weights.to(gradient.dtype), weight_scale.to(gradient.dtype)
    found = ctx.product.backward(
        gradient, centred, weights, weight_scale.expand(len(weights)),
        (for_x or for_input_scale, for_weight or for_scale, for_step),
    )  # fmt: skip
    sums = weighted = None
    if for_bias or for_scale or for_input_scale:
        sums, weighted = _moments(gradient, outputs.to(gradient.dtype))
        # of products x scales alone
        weighted = weighted if bias is None else weighted - sums * bias
    of_x = of_weight = of_input_scale = of_scale = None
    if found.inputs is not None:
        of_x, share = _through_inputs(found.inputs, x, input_scale, numbers)
        if for_input_scale:
            assert weighted is not None
            slope = _slope(x[0].numel(), numbers.input_range[1])
            total = (weighted.sum() - share) / input_scale.double()
            of_input_scale = (slope * total).to(input_scale.dtype).reshape(input_scale.shape)
    if found.weight is not None:
        of_weight, of_scale = _through_weights(
            found.weight * input_scale, weight, weight_scale, weighted, numbers
        )
    of_step = None
    if found.step is not None:
        positions = gradient[0, 0].numel() * ctx.product.conversions
        of_step = _of_step(found.step * input_scale, step, positions, ctx.product.most_code)
    of_bias = sums.to(bias.dtype) if for_bias and sums is not None else None
    return (
        None, None, of_x if for_x else None, of_weight if for_weight else None, of_bias,
        of_input_scale, of_scale if for_scale else None, of_step,
    )  # fmt: skip


def _through_weights(
    gradient: Tensor, weight: Tensor, scale: Tensor, weighted: Tensor | None, numbers: Numbers
) -> tuple[Tensor, Tensor | None]:
    """The gradients of the float weight and of its scale.

    `gradient` is that of the weight that the whole numbers stand for, were it not rounded.
    """
    places = weight / along(scale, weight, 0)
    passed = torch.where(places.abs() <= numbers.weight_top, gradient, 0)
    if weighted is None:
        return passed, None
    share = 0 if numbers.is_binary else (passed * weight).flatten(1).sum(1, dtype=torch.float64)
    total = weighted - share
    if scale.numel() == 1:
        total = total.sum()
    slope = _slope(weight.numel(), numbers.weight_top)
    return passed, (slope * total / scale.double()).to(scale.dtype).reshape(scale.shape)


def _of_step(slopes: Tensor, step: Tensor, conversions: int, top: int) -> Tensor:
    """The gradient of a learned step (lines or 1, outputs of a channel group or 1), or
    (1, 1, row tiles).

    `slopes` are (1, lines or row tiles; outputs), `conversions` those of one image.
    """
    if step.dim() == 3:
        shared = slopes.sum(1)
    else:
        shared = slopes.reshape(len(slopes), -1, step.shape[1]).sum(1)
        shared = shared if len(step) > 1 else shared.sum(0)
    return (_slope(conversions // step.numel(), top) * shared).to(step.dtype).reshape(step.shape)


def _slope(count: int, top: int) -> float:
    """LSQ, section 2.2: the gradient of a scale is 1 / sqrt(count x top) of what it would be."""
    return float(1 / np.sqrt(max(1, count) * max(1, top)))


@attrs.frozen(eq=False)
class Exact:
    """The chip's product as its conversions make it; backward the plain product."""

    affine: Affine
    path: Any
    """A `cimarch.functional.path.Path` of the whole weights."""

    def forward(self, whole: Tensor, weights: Tensor) -> Sums:
        """By the path."""
        made = self.path(whole.cpu().numpy())
        return Sums(torch.from_numpy(np.ascontiguousarray(made)).to(whole.device))

    def backward(
        self, gradient: Tensor, centred: Tensor, weights: Tensor, scale: Tensor,
        wanted: tuple[bool, bool, bool],
    ) -> Gradients:  # fmt: skip
        """Of the plain product."""
        scaled = weights * along(scale, weights, 0)
        return Gradients(*self.affine.gradients(gradient, centred, scaled, wanted[:2]), None)
