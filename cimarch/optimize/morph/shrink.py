"""Channels that are worth their bit lines: a regulariser on batch-norm scales, and a threshold.

MorphNet (Gordon et al., CVPR 2018, arXiv 1711.06798; `resource_function.py` of
google-research/morph-net) adds to the loss, for each layer, what its resource costs if it is
bilinear in the numbers of its channels:

    F = c (sum over inputs |gamma| x outputs alive + inputs alive x sum over outputs |gamma|)

Here the resource is bit lines. An output channel costs whole segments, ceil(inputs alive / per) of
them; an input channel 1 / per of a segment for each output that is alive. The account of arXiv
2510.14379 that was published prints instead

    F = k k (sum over outputs |gamma| + sum over inputs |gamma|)

without the numbers of the other side; it is here as `literal`. Where an addition ties the channels
of several batch norms, the largest |gamma| stands for all of them (`MaxGroupingRegularizer`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from cimarch.data.dataset import Examples
from cimarch.optimize.morph.expand import Budget
from cimarch.optimize.morph.resources import per_bit_line
from cimarch.optimize.morph.ties import Ties, Use

TAYLOR_EXAMPLES = 1024
"""Training examples by which the change of the loss is measured."""
TAYLOR_BATCH = 32
ALIVE = 0.01
"""The scale from which on a channel counts as alive (`DEFAULT_THRESHOLD` of morph-net)."""


def importance(module: nn.Module, ties: Ties) -> dict[int, Tensor]:
    """|gamma| of each channel of the spaces that may change, the largest of those that are tied."""
    found = {}
    for number in ties.free:
        scales = [_scale(module, path).abs() for path in ties.spaces[number].norms]
        found[number] = torch.stack(scales).amax(0)
    return found


def _scale(module: nn.Module, path: str) -> Tensor:
    scale = module.get_submodule(path).weight
    assert isinstance(scale, Tensor)
    return scale


def magnitude(module: nn.Module, ties: Ties) -> dict[int, Tensor]:
    """The mean |weight| by which each channel is made, of all layers that make it."""
    found = {}
    for number in ties.free:
        made = []
        for path in ties.spaces[number].makers:
            weight = module.get_submodule(path).weight
            assert isinstance(weight, Tensor)
            made.append(weight.detach().flatten(1).abs().mean(1))
        found[number] = torch.stack(made).sum(0)
    return found


def prices(budget: Budget, widths: Mapping[int, int]) -> dict[int, float]:
    """Bit lines that one channel of each space takes: of the layers that make it all segments,
    begun ones too, and of those that read it its part of a segment for each output."""
    macro = budget.macro
    across = macro.across * macro.beside
    found = dict.fromkeys(budget.ties.free, 0.0)
    for use in _counted(budget):
        per = max(1, per_bit_line(use.positions, macro)) / use.repeat
        inputs = 1 if use.depthwise else widths[use.reads]
        if use.makes in found:
            found[use.makes] += across * math.ceil(inputs / per)
        if use.reads in found and not use.depthwise:
            found[use.reads] += across * widths[use.makes] / per
    return found


def bit_line_costs(budget: Budget) -> Callable[[nn.Module], Tensor]:
    """The regulariser by bit lines, as a share of those that the network has now."""
    whole = max(1, budget.taken(budget.ties.widths))

    def cost(module: nn.Module) -> Tensor:
        scales = importance(module, budget.ties)
        alive = {number: int((each > ALIVE).sum()) for number, each in scales.items()}
        price = prices(budget, {**budget.ties.widths, **alive})
        parts = [price[number] * each.sum() for number, each in scales.items()]
        return torch.stack(parts).sum() / whole

    return cost


def literal_costs(budget: Budget) -> Callable[[nn.Module], Tensor]:
    """The regulariser as the published account of arXiv 2510.14379 prints it, with its sums scaled
    to one where all scales are one."""
    ties = budget.ties
    whole = sum(
        use.positions * ties.widths[number]
        for use in _counted(budget)
        for number in (use.reads, use.makes)
    )

    def cost(module: nn.Module) -> Tensor:
        scales = importance(module, ties)
        parts = [
            use.positions * scales[number].sum()
            for use in _counted(budget)
            for number in (use.reads, use.makes)
            if number in scales
        ]
        return torch.stack(parts).sum() / whole

    return cost


COSTS: dict[str, Callable[[Budget], Callable[[nn.Module], Tensor]]] = {
    "bilinear": bit_line_costs,
    "literal": literal_costs,
}
"""The forms of the regulariser."""


def _counted(budget: Budget) -> list[Use]:
    uses = budget.ties.uses
    return [use for use in uses if not budget.counted or use.path in budget.counted]


def survivors(scores: Mapping[int, Tensor], threshold: float, least: float) -> dict[int, float]:
    """How many channels of each space are above a threshold; at least a share of them, and one."""
    return {
        number: float(max(int((each > threshold).sum()), round(least * len(each)), 1))
        for number, each in scores.items()
    }


def threshold_for(
    budget: Budget, scores: Mapping[int, Tensor], lines: float, least: float
) -> float:
    """The smallest of the scores that, as a threshold, leaves at most so many bit lines.

    The largest score where none does: then only the least share of each space is left.
    """
    levels = torch.unique(torch.cat([each.detach().flatten().cpu() for each in scores.values()]))
    low, high = -1, len(levels) - 1
    while high - low > 1:
        middle = (low + high) // 2
        left = survivors(scores, float(levels[middle]), least)
        if budget.taken(budget.widths(left, 1.0)) <= lines:
            high = middle
        else:
            low = middle
    return float(levels[high])


def taylor(module: nn.Module, budget: Budget, examples: Examples, device: str) -> dict[int, Tensor]:
    """How much the loss changes, to first order, when a channel's batch norms give 0; for each bit
    line that the channel takes.

    The square of gamma dL/dgamma + beta dL/dbeta, summed over the batch norms that an addition
    ties, over batches of `TAYLOR_BATCH`, with the batch norms at rest: after Molchanov et al.,
    "Importance Estimation for Neural Network Pruning", CVPR 2019 (unverified: recalled).
    """
    ties = budget.ties
    found = {number: torch.zeros(ties.spaces[number].size) for number in ties.free}
    module.eval()
    for inputs, labels in examples.batches(TAYLOR_BATCH):
        module.zero_grad()
        answers = module(torch.from_numpy(inputs).to(device))
        F.cross_entropy(answers, torch.from_numpy(labels).to(device)).backward()  # type: ignore[no-untyped-call]
        for number in ties.free:
            found[number] += _first_order(module, ties.spaces[number].norms).cpu() ** 2
    module.zero_grad()
    price = prices(budget, ties.widths)
    return {number: each / max(price[number], 1.0) for number, each in found.items()}


def _first_order(module: nn.Module, norms: Sequence[str]) -> Tensor:
    parts = []
    for path in norms:
        norm = module.get_submodule(path)
        for value in (norm.weight, norm.bias):
            assert isinstance(value, Tensor)
            assert value.grad is not None
            parts.append(value.detach() * value.grad)
    return torch.stack(parts).sum(0)


def scores_of(
    name: str,
    module: fx.GraphModule,
    budget: Budget,
    examples: Examples,
    generator: torch.Generator,
    device: str = "cpu",
) -> dict[int, Tensor]:
    """What channels are chosen by: `gamma`, `taylor`, `magnitude` or `random`."""
    ties = budget.ties
    if name == "gamma":
        return {number: each.detach().cpu() for number, each in importance(module, ties).items()}
    if name == "taylor":
        return taylor(module, budget, examples.take(slice(TAYLOR_EXAMPLES)), device)
    if name == "magnitude":
        return {number: each.cpu() for number, each in magnitude(module, ties).items()}
    return {n: torch.rand(ties.spaces[n].size, generator=generator) for n in ties.free}
