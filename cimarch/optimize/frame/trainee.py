"""A model file as a torch module that can be trained: the calls of its graph, and no code of it.

The graph of a torch.export archive is read as everywhere (`cimarch.workload`), without unpickling
and without running what a file brings. Convolutions, fully connected layers and batch norms become
torch's own layers under the paths of their parameters, batch norms those of training again; what is
between them is called as the archive says. Any archive that can be simulated can so be trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from cimarch.workload.graph import SYMBOLIC, Argument, Graph, Node, Ref
from cimarch.workload.network import Weight
from cimarch.workload.operators import OPERATORS
from cimarch.workload.problems import problem

_BATCHED = ("view", "reshape", "_unsafe_view", "expand")
"""Operators whose list of sizes begins with the batch."""
_LISTS = ("split", "split_with_sizes", "chunk", "unbind")
"""Operators that give a list, of one tensor too."""


class BatchNorm(nn.BatchNorm2d):
    """That of torch, for what flows of any number of dimensions: the second is the channels."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass


def module_of(graph: Graph, weights: Mapping[str, Weight]) -> fx.GraphModule:
    """The module of an exported graph, in evaluation mode, with its weights.

    Raises DescriptionError where a weight has no data, or an operator is not covered.
    """
    return _Making(graph, weights).module()


class _Making:
    def __init__(self, graph: Graph, weights: Mapping[str, Weight]) -> None:
        self.graph, self.weights = graph, weights
        self.root = nn.Module()
        self.made = fx.Graph()
        self.known: dict[str, fx.Node] = {}

    def module(self) -> fx.GraphModule:
        for name in self.graph.inputs:
            self.known[name] = self.made.placeholder(name)
        for node in self.graph.nodes:
            self._call(node)
        found = tuple(self.known[name] for name in self.graph.outputs)
        self.made.output(found[0] if len(found) == 1 else found)
        return fx.GraphModule(self.root, self.made).eval()

    def _call(self, node: Node) -> None:
        layer = _LAYERS.get(node.packet)
        made = layer(self, node) if layer is not None else None
        if made is not None:  # of several tensors that it gives only the first one flows on
            self.known[node.outputs[0]] = made
            return
        made = self._function(node)
        if len(node.outputs) == 1 and node.packet not in _LISTS:
            self.known[node.outputs[0]] = made
            return
        for number, name in enumerate(node.outputs):
            self.known[name] = self.made.call_function(_item, (made, number))

    # values

    def tensor(self, name: str) -> Tensor:
        """A stored tensor, by the name of its value."""
        held = self.weights.get(self.graph.stored[name])
        if held is None or held.data is None:
            raise problem("E351", f"`{self.graph.stored[name]}` has no weights to train")
        return torch.from_numpy(np.array(held.data))

    def stored(self, argument: Argument) -> tuple[str, str] | None:
        """The path of a stored argument: of the layer that holds it, and its name there."""
        if not isinstance(argument, Ref) or argument.name not in self.graph.stored:
            return None
        path, _, name = self.graph.stored[argument.name].rpartition(".")
        return (path, name) if path else None

    def value(self, argument: Argument) -> Any:
        """An argument as the module's graph says it."""
        if isinstance(argument, Ref):
            if argument.name in self.known:
                return self.known[argument.name]
            return self._attribute(argument.name)
        if isinstance(argument, tuple):
            return [self.value(each) for each in argument]
        if argument == SYMBOLIC:
            return -1
        return argument

    def _attribute(self, name: str) -> fx.Node:
        """A stored tensor that no layer holds: a buffer, as it is."""
        own = "stored_" + "".join(c if c.isalnum() else "_" for c in self.graph.stored[name])
        if not hasattr(self.root, own):
            self.root.register_buffer(own, self.tensor(name))
        self.known[name] = self.made.get_attr(own)
        return self.known[name]

    def place(self, path: str, layer: nn.Module) -> None:
        """Put a layer under its path."""
        here = self.root
        *above, last = path.split(".")
        for name in above:
            if not hasattr(here, name):
                here.add_module(name, nn.Module())
            here = here.get_submodule(name)
        if not hasattr(here, last):
            here.add_module(last, layer)

    # calls

    def _function(self, node: Node) -> fx.Node:
        if node.packet not in OPERATORS:
            raise problem("E120", f"operator `{node.target}` is not covered")
        overload = node.target.split(".")[2]
        function = getattr(getattr(torch.ops.aten, node.target.split(".")[1]), overload)
        given = {name: self.value(each) for name, each in node.arguments.items()}
        if node.packet in _BATCHED:
            sizes = next(given[name] for name in ("size", "shape") if name in given)
            return self.made.call_function(_resized, (given["self"], sizes[1:]))
        return self.made.call_function(function, (), given)


def _item(values: Any, number: int) -> Any:
    return values[number]


def _resized(x: Tensor, sizes: list[int]) -> Tensor:
    """Another shape for each inference of a batch."""
    return x.reshape(x.shape[0], *sizes)


fx.wrap("_item")
fx.wrap("_resized")


def _conv(making: _Making, node: Node) -> fx.Node | None:
    a = node.arguments
    held = making.stored(a["weight"])
    if held is None or held[1] != "weight" or a.get("transposed"):
        return None
    weight = making.tensor(_name(a["weight"]))
    stride, padding, dilation = (_extent(a.get(n), d) for n, d in _GEOMETRY)
    groups = int(_number(a.get("groups"), 1))
    layer = nn.Conv2d(
        weight.shape[1] * groups, weight.shape[0], _pair(weight.shape[2:], 1), stride, padding,
        dilation, groups, a.get("bias") is not None,
    )  # fmt: skip
    return _placed(making, held[0], layer, node, "input", ("weight", "bias"))


_GEOMETRY = (("stride", 1), ("padding", 0), ("dilation", 1))


def _linear(making: _Making, node: Node) -> fx.Node | None:
    held = making.stored(node.arguments["weight"])
    if held is None or held[1] != "weight":
        return None
    weight = making.tensor(_name(node.arguments["weight"]))
    has_bias = node.arguments.get("bias") is not None
    layer = nn.Linear(weight.shape[1], weight.shape[0], has_bias)
    return _placed(making, held[0], layer, node, "input", ("weight", "bias"))


def _norm(making: _Making, node: Node) -> fx.Node | None:
    a = node.arguments
    held = making.stored(a.get("running_mean"))
    if held is None:
        return None
    channels = len(making.tensor(_name(a["running_mean"])))
    momentum, eps = (_number(a.get(n), d) for n, d in (("momentum", 0.1), ("eps", 1e-5)))
    layer = BatchNorm(channels, eps, momentum, affine=a.get("weight") is not None)
    tensors = ("weight", "bias", "running_mean", "running_var")
    return _placed(making, held[0], layer, node, "input", tensors)


def _dropout(making: _Making, node: Node) -> fx.Node:
    path = f"{node.module or node.name}".replace(".", "_") + "_drop"
    making.place(path, nn.Dropout(_number(node.arguments.get("p"), 0.5)))
    return making.made.call_module(path, (making.value(node.arguments["input"]),))


def _placed(
    making: _Making, path: str, layer: nn.Module, node: Node, flows: str, tensors: tuple[str, ...]
) -> fx.Node:
    """Fill a layer with what the archive stores for it, and call it."""
    with torch.no_grad():
        for name in tensors:
            argument = node.arguments.get(name)
            if argument is not None:
                getattr(layer, name).copy_(making.tensor(_name(argument)))
    making.place(path, layer)
    return making.made.call_module(path, (making.value(node.arguments[flows]),))


_LAYERS: dict[str, Callable[[_Making, Node], fx.Node | None]] = {
    "conv2d": _conv,
    "convolution": _conv,
    "linear": _linear,
    "batch_norm": _norm,
    "_native_batch_norm_legit_no_training": _norm,
    "dropout": _dropout,
}
"""Operators that become layers; None where what they use is not stored, but flows."""


def _name(argument: Argument) -> str:
    assert isinstance(argument, Ref)
    return argument.name


def _number(argument: Argument, default: float) -> float:
    return default if argument is None else float(argument)  # type: ignore[arg-type]


def _extent(argument: Any, default: int) -> Any:
    """Two numbers, or the word that padding may be."""
    return argument if isinstance(argument, str) else _pair(argument, default)


def _pair(argument: Any, default: int) -> tuple[int, int]:
    if argument is None:
        return default, default
    values = tuple(int(each) for each in argument) if hasattr(argument, "__len__") else (argument,)
    return (values[0], values[-1])
