"""The same network with other channels: some taken out, some put in, what stays keeps its weights.

A channel that is put in has incoming weights as at the beginning of a training (He et al., ICCV
2015) and the mean scale of the channels beside it. Its outgoing weights are zero (`keep`: the
network computes what it computed without it) or drawn as well (`he`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from cimarch.optimize.frame.trainee import BatchNorm
from cimarch.optimize.morph.ties import Embed, Ties, Use, Widths

NEW = -1
"""In place of a channel's number: it is put in."""
Chosen = Mapping[int, Sequence[int]]
"""Of each space the channels that it has afterwards, by their numbers before."""


def choose(ties: Ties, importance: Mapping[int, Tensor], widths: Widths) -> dict[int, list[int]]:
    """The most important channels of each space, in their order; new ones behind them.

    A channel that is embedded in a larger space is chosen there too, first and in the same order,
    so that the padding between them puts zeros behind it alone.
    """
    inside = {embed.larger: embed for embed in ties.embeds}
    chosen: dict[int, list[int]] = {}

    def made(number: int) -> list[int]:
        if number not in chosen:
            first: list[int] = []
            if number in inside:
                embed = inside[number]
                first = [
                    NEW if each == NEW else each + embed.offset for each in made(embed.smaller)
                ]
            scores = importance.get(number, torch.ones(ties.spaces[number].size))
            chosen[number] = first + _best(scores, widths[number] - len(first), first)
        return chosen[number]

    for number in ties.spaces:
        made(number)
    return chosen


def _best(scores: Tensor, count: int, taken: Sequence[int]) -> list[int]:
    """The `count` highest that are not taken, in order; new ones where there are not so many."""
    ranked = torch.argsort(scores, descending=True, stable=True).tolist()
    kept = sorted([each for each in ranked if each not in set(taken)][:count])
    return kept + [NEW] * (count - len(kept))


def rebuild(
    module: fx.GraphModule,
    ties: Ties,
    chosen: Chosen,
    *,
    generator: torch.Generator,
    fresh: str = "keep",
) -> fx.GraphModule:
    """A new module with the chosen channels; `generator` draws the weights of new ones."""
    made = copy.deepcopy(module)
    by_norm = ties.norms
    for use in ties.uses:
        layer = made.get_submodule(use.path)
        _put(made, use.path, _layer(layer, use, chosen, generator, fresh))
    for path, space in by_norm.items():
        _put(made, path, _norm(made.get_submodule(path), chosen[space]))
    for node in made.graph.nodes:
        _adjust(node, ties, chosen)
    made.recompile()
    return made


def _put(root: nn.Module, path: str, layer: nn.Module) -> None:
    above, _, last = path.rpartition(".")
    setattr(root.get_submodule(above) if above else root, last, layer)


def _layer(
    layer: nn.Module, use: Use, chosen: Chosen, generator: torch.Generator, fresh: str
) -> nn.Module:
    outputs, inputs = list(chosen[use.makes]), _seen(chosen[use.reads], use)
    made = _of_size(layer, len(inputs), len(outputs), use.depthwise)
    given = layer.bias
    assert isinstance(layer.weight, Tensor)
    with torch.no_grad():
        made.weight.copy_(_weights(layer.weight, outputs, inputs, generator, fresh))
        if isinstance(given, Tensor) and made.bias is not None:
            made.bias.copy_(_picked(given, outputs, 0.0))
    return made.to(layer.weight.device)


def _of_size(layer: nn.Module, inputs: int, outputs: int, depthwise: bool) -> nn.Conv2d | nn.Linear:
    """A layer as another one, with so many inputs and outputs."""
    has_bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(inputs, outputs, has_bias)
    assert isinstance(layer, nn.Conv2d)
    channels = outputs if depthwise else inputs
    groups = outputs if depthwise else 1
    kernel, stride, dilation = (
        (pair[0], pair[1]) for pair in (layer.kernel_size, layer.stride, layer.dilation)
    )
    padding = layer.padding
    sides = padding if isinstance(padding, str) else (padding[0], padding[1])
    return nn.Conv2d(channels, outputs, kernel, stride, sides, dilation, groups, has_bias)


def _seen(channels: Sequence[int], use: Use) -> list[int]:
    """The inputs of a layer: its channels, each as often as a flattening shows it."""
    if use.depthwise:
        return [0]
    return [
        NEW if each == NEW else each * use.repeat + place
        for each in channels
        for place in range(use.repeat)
    ]


def _weights(
    weight: Tensor, outputs: list[int], inputs: list[int], generator: torch.Generator, fresh: str
) -> Tensor:
    """(outputs, inputs, ...) of what was chosen; what is new is drawn, or zero where it must be."""
    there, seen = torch.tensor(outputs), torch.tensor(inputs)
    own = weight.detach().cpu()
    found = own[there.clamp(min=0)][:, seen.clamp(min=0)]
    drawn = torch.empty_like(found).normal_(generator=generator)
    drawn *= (2 / found[0].numel()) ** 0.5
    found[there == NEW] = drawn[there == NEW]
    found[:, seen == NEW] = drawn[:, seen == NEW] if fresh == "he" else 0.0
    return found


def _picked(values: Tensor, chosen: Sequence[int], new: float) -> Tensor:
    there = torch.tensor(list(chosen))
    found = values.detach().cpu()[there.clamp(min=0)].clone()
    found[there == NEW] = new
    return found


def _norm(layer: nn.Module, chosen: Sequence[int]) -> nn.BatchNorm2d:
    assert isinstance(layer, nn.BatchNorm2d)
    made = BatchNorm(len(chosen), layer.eps, layer.momentum, affine=layer.affine)
    kept = torch.tensor([each for each in chosen if each != NEW], dtype=torch.long)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    with torch.no_grad():
        if layer.affine:
            scale = layer.weight.detach().cpu()
            mean = float(scale[kept].abs().mean()) if len(kept) else 1.0
            made.weight.copy_(_picked(layer.weight, chosen, mean))
            made.bias.copy_(_picked(layer.bias, chosen, 0.0))
        assert made.running_mean is not None
        assert made.running_var is not None
        made.running_mean.copy_(_picked(layer.running_mean, chosen, 0.0))
        made.running_var.copy_(_picked(layer.running_var, chosen, 1.0))
    made.train(layer.training)
    return made.to(layer.running_mean.device)


def _adjust(node: fx.Node, ties: Ties, chosen: Chosen) -> None:
    """What a node says of numbers of channels."""
    embed = next((each for each in ties.embeds if each.node == node.name), None)
    if embed is not None:
        _set(node, 1, "pad", _pads(node, embed, chosen))
    if node.name in ties.views:
        node.args = (node.args[0], [-1])


def _pads(node: fx.Node, embed: Embed, chosen: Chosen) -> list[int]:
    """Zeros behind the channels alone: those of the smaller space come first in the larger."""
    sides = list(node.kwargs["pad"] if "pad" in node.kwargs else node.args[1])  # type: ignore[arg-type]
    return [*sides[:-2], 0, len(chosen[embed.larger]) - len(chosen[embed.smaller])]


def _set(node: fx.Node, number: int, name: str, value: Any) -> None:
    if name in node.kwargs:
        node.kwargs = {**node.kwargs, name: value}
    else:
        node.args = (*node.args[:number], value, *node.args[number + 1 :])
