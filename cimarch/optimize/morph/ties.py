"""Which channels of a network come and go together.

Every convolution and fully connected layer makes a *space* of channels. Batch norms, functions of
one element and poolings keep the space of what they read; an addition makes one space of two; a
depthwise convolution writes the space that it reads; a flattening shows each channel several times.
Zeros that are padded beside channels (the shortcuts of He et al., CVPR 2016, option A) *embed* a
space in a larger one: a channel of the smaller keeps one of the larger alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from cimarch.optimize.morph.problems import unfollowed
from cimarch.optimize.morph.resources import Layer

Widths = Mapping[int, int]
"""Channels of each space, by its number."""


@attrs.frozen
class Space:
    """Channels that all its layers make and read in the same order."""

    number: int
    size: int
    fixed: bool
    """Inputs and results of the network, and what no batch norm scales."""
    norms: tuple[str, ...]
    """The batch norms that scale its channels."""
    makers: tuple[str, ...]
    """The layers whose outputs they are."""


@attrs.frozen
class Use:
    """A layer, and the spaces that it joins."""

    path: str
    reads: int
    repeat: int
    """Inputs that each channel is seen as: the positions of a map that was flattened."""
    makes: int
    positions: int
    depthwise: bool = False


@attrs.frozen
class Embed:
    """A padding that puts a space into a larger one, from `offset` on."""

    node: str
    smaller: int
    larger: int
    offset: int


@attrs.frozen
class Ties:
    """The spaces of a network, and who uses them."""

    spaces: Mapping[int, Space]
    uses: tuple[Use, ...]
    norms: Mapping[str, int]
    """The space of each batch norm."""
    embeds: tuple[Embed, ...]
    views: tuple[str, ...]
    """Nodes that flatten channels and say to how many they do."""

    @property
    def widths(self) -> dict[int, int]:
        """As they are."""
        return {number: space.size for number, space in self.spaces.items()}

    @property
    def free(self) -> list[int]:
        """Spaces whose width may change, in the order of the network."""
        return [number for number, space in self.spaces.items() if not space.fixed]

    def layers(self, widths: Widths) -> list[Layer]:
        """The layers, were the spaces of other widths."""
        return [
            Layer(
                use.path,
                use.positions,
                1 if use.depthwise else widths[use.reads] * use.repeat,
                widths[use.makes],
            )
            for use in self.uses
        ]


def ties_of(module: fx.GraphModule, shape: tuple[int, ...]) -> Ties:
    """Follow the channels of a network whose single input has this shape (without the batch).

    Raises DescriptionError where they pass something that mixes, cuts or joins them.
    """
    return _Following(module, shape).ties()


@attrs.frozen
class _Seen:
    """The channels of a value: a space, and how often each of them is seen."""

    space: int
    repeat: int = 1


class _Following:
    def __init__(self, module: fx.GraphModule, shape: tuple[int, ...]) -> None:
        self.module = module
        self.at: dict[fx.Node, _Seen | None] = {}
        self.parent: list[int] = []
        self.sizes: list[int] = []
        self.fixed: set[int] = set()
        self.uses: list[Use] = []
        self.norms: dict[str, int] = {}
        self.embeds: list[Embed] = []
        self.views: list[str] = []
        example = torch.zeros(2, *shape, device=next(module.parameters()).device)
        with torch.no_grad():
            ShapeProp(module).propagate(example)

    def ties(self) -> Ties:
        for node in self.module.graph.nodes:
            self.at[node] = self._seen(node)
        return self._told()

    # spaces

    def space(self, size: int) -> int:
        self.parent.append(len(self.parent))
        self.sizes.append(size)
        return len(self.parent) - 1

    def root(self, space: int) -> int:
        while self.parent[space] != space:
            space = self.parent[space]
        return space

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self.parent[high] = low

    # nodes

    def _seen(self, node: fx.Node) -> _Seen | None:
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "call_module":
            return self._module(node)
        if node.op == "call_function":
            return self._function(node)
        if node.op == "output":
            self._output(node)
        return None

    def _input(self, node: fx.Node) -> _Seen:
        made = self.space(_shape(node)[1])
        self.fixed.add(made)
        return _Seen(made)

    def _output(self, node: fx.Node) -> None:
        for given in node.all_input_nodes:
            seen = self.at[given]
            if seen is not None:
                self.fixed.add(seen.space)

    def _module(self, node: fx.Node) -> _Seen | None:
        path = str(node.target)
        layer = self.module.get_submodule(path)
        given = self._one(node)
        if isinstance(layer, nn.BatchNorm2d):
            if layer.affine:
                self.norms[path] = given.space
            return given
        if isinstance(layer, nn.Conv2d):
            return self._conv(path, layer, given)
        if isinstance(layer, nn.Linear):
            if len(_shape(node)) != 2:
                raise unfollowed(node.name, "a fully connected layer is applied to each token")
            return self._use(path, given, layer.out_features, 1)
        return given  # dropout

    def _conv(self, path: str, layer: nn.Conv2d, given: _Seen) -> _Seen:
        positions = layer.kernel_size[0] * layer.kernel_size[1]
        if layer.groups == 1:
            return self._use(path, given, layer.out_channels, positions)
        if layer.groups == layer.in_channels == layer.out_channels:
            self.uses.append(Use(path, given.space, 1, given.space, positions, depthwise=True))
            return given
        raise unfollowed(path, f"a convolution of {layer.groups} groups keeps them apart")

    def _use(self, path: str, given: _Seen, outputs: int, positions: int) -> _Seen:
        if any(use.path == path for use in self.uses):
            raise unfollowed(path, "the layer is called more than once")
        made = self.space(outputs)
        self.uses.append(Use(path, given.space, given.repeat, made, positions))
        return _Seen(made)

    def _one(self, node: fx.Node) -> _Seen:
        seen = [self.at[given] for given in node.all_input_nodes]
        if len(seen) != 1 or seen[0] is None:
            raise unfollowed(node.name, "it reads other than one tensor of channels")
        return seen[0]

    def _function(self, node: fx.Node) -> _Seen | None:
        name = _packet(node)
        rule = _RULES.get(name)
        if rule is None:
            raise unfollowed(node.name, f"`{name}` may mix them")
        return rule(self, node)

    # what comes out

    def _told(self) -> Ties:
        fixed = {self.root(space) for space in self.fixed}
        scaled: dict[int, list[str]] = {}
        for path, space in self.norms.items():
            scaled.setdefault(self.root(space), []).append(path)
        makers: dict[int, list[str]] = {}
        for use in self.uses:
            makers.setdefault(self.root(use.makes), []).append(use.path)
        spaces = {
            number: Space(
                number,
                self.sizes[number],
                number in fixed or number not in scaled,
                tuple(scaled.get(number, ())),
                tuple(makers.get(number, ())),
            )
            for number in range(len(self.parent))
            if self.root(number) == number
        }
        uses = tuple(
            attrs.evolve(use, reads=self.root(use.reads), makes=self.root(use.makes))
            for use in self.uses
        )
        norms = {path: self.root(space) for path, space in self.norms.items()}
        return Ties(spaces, uses, norms, self._embedded(spaces), tuple(self.views))

    def _embedded(self, spaces: Mapping[int, Space]) -> tuple[Embed, ...]:
        found: list[Embed] = []
        for each in self.embeds:
            smaller, larger = self.root(each.smaller), self.root(each.larger)
            if any(other.larger == larger for other in found):
                raise unfollowed(each.node, "two paddings lead to the same channels")
            if smaller == larger or spaces[larger].fixed != spaces[smaller].fixed:
                raise unfollowed(each.node, "it pads channels whose number may not change")
            found.append(attrs.evolve(each, smaller=smaller, larger=larger))
        return tuple(found)


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


def _packet(node: fx.Node) -> str:
    """The operator's name without its overload; of other functions their own."""
    parts = str(node.target).split(".")
    if parts[0] == "aten":
        return parts[1]
    return getattr(node.target, "__name__", str(node.target))


def _argument(node: fx.Node, number: int, name: str, default: Any = None) -> Any:
    if name in node.kwargs:
        return node.kwargs[name]
    return node.args[number] if len(node.args) > number else default


def _keep(following: _Following, node: fx.Node) -> _Seen:
    return following._one(node)


def _join(following: _Following, node: fx.Node) -> _Seen:
    seen = [following.at[given] for given in node.all_input_nodes]
    if None in seen or not seen:
        raise unfollowed(node.name, "it reads a stored tensor")
    first = seen[0]
    assert first is not None
    for other in seen[1:]:
        assert other is not None
        same = following.sizes[other.space] == following.sizes[first.space]
        if other.repeat != first.repeat or not same:
            raise unfollowed(node.name, "it joins tensors of different channels")
        following.join(first.space, other.space)
    return first


def _slice(following: _Following, node: fx.Node) -> _Seen:
    if _argument(node, 1, "dim", 0) % len(_shape(node)) < 2:
        raise unfollowed(node.name, "it takes some of them")
    return following._one(node)


def _mean(following: _Following, node: fx.Node) -> _Seen:
    given = node.all_input_nodes[0]
    rank = len(_shape(given))
    over = _argument(node, 1, "dim")
    if rank != 4 or {each % rank for each in over or range(rank)} - {2, 3}:
        raise unfollowed(node.name, "it is a mean over them")
    return following._one(node)


def _pad(following: _Following, node: fx.Node) -> _Seen:
    seen = following._one(node)
    sides = list(_argument(node, 1, "pad"))
    axis = len(_shape(node)) - 2  # of the channels, counted from the last
    if len(sides) < 2 * axis + 2:
        return seen
    before, after = sides[2 * axis : 2 * axis + 2]
    if seen.repeat != 1 or min(before, after) < 0:
        raise unfollowed(node.name, "it takes some of them")
    larger = following.space(_shape(node)[1])
    following.embeds.append(Embed(node.name, seen.space, larger, before))
    return _Seen(larger)


def _view(following: _Following, node: fx.Node) -> _Seen:
    seen = following._one(node)
    before, after = _shape(node.all_input_nodes[0]), _shape(node)
    if before == after:
        return seen
    inside = 1
    for each in before[2:]:
        inside *= each
    if len(after) == 2 and after == (before[0], before[1] * inside):
        if _packet(node) == "_resized":
            following.views.append(node.name)
        return attrs.evolve(seen, repeat=seen.repeat * inside)
    raise unfollowed(node.name, f"it makes {after[1:]} of {before[1:]}")


_RULES: Mapping[str, Callable[[_Following, fx.Node], _Seen]] = (
    dict.fromkeys(
        (
            "relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "sigmoid", "tanh",
            "gelu", "silu", "mish", "hardswish", "hardsigmoid", "leaky_relu", "elu", "softplus",
            "max_pool2d", "max_pool2d_with_indices", "avg_pool2d", "adaptive_avg_pool2d",
            "_adaptive_avg_pool2d", "adaptive_max_pool2d", "_item", "clone", "contiguous", "detach",
            "alias", "to", "_to_copy", "abs", "square",
        ),
        _keep,
    )
    | dict.fromkeys(("add", "sub", "mul"), _join)
    | dict.fromkeys(
        ("flatten", "_resized", "squeeze"), _view
    )
    | {"slice": _slice, "mean": _mean, "pad": _pad, "constant_pad_nd": _pad}
)  # fmt: skip
"""What each function does to channels."""
