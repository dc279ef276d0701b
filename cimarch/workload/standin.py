"""Torch's words as far as the networks of `models/` use them, for shapes alone.

The files of `models/` are plain PyTorch. Where only their shapes are asked for, they are run with
this page in torch's place (`shapes`): a module is its parameters' shapes, a tensor its sizes, and
what torch.export would record of a forward pass is written down as it happens. So there is one
description of a network, and torch is needed only where there are numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from types import SimpleNamespace
from typing import Any

from cimarch.workload.graph import Argument, Graph, Node, Ref, Value
from cimarch.workload.network import Weight

Pair = int | tuple[int, int]


class Tape:
    """What a forward pass did: calls, values, and the parameters that they read."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.values: dict[str, Value] = {}
        self.stored: dict[str, str] = {}
        self.weights: dict[str, Weight] = {}
        self.calling: list[Module] = []

    def input(self, name: str, sizes: tuple[int, ...]) -> Tensor:
        """A tensor that is handed in."""
        return self._tensor(name, sizes)

    def call(self, target: str, sizes: tuple[int, ...], /, **arguments: object) -> Tensor:
        """Write down a call of an operator; gives its result."""
        output = f"{target.split('.')[1]}_{len(self.nodes)}"
        module = self.calling[-1]
        given = {name: self._argument(value) for name, value in arguments.items()}
        self.nodes.append(Node(target, given, (output,), module.path, module.kind, output))
        return self._tensor(output, sizes)

    def graph(self, name: str, output: Tensor) -> Graph:
        """The graph from input `name` to `output`."""
        return Graph(tuple(self.nodes), self.values, self.stored, (name,), (output.name,))

    def _tensor(self, name: str, sizes: tuple[int, ...]) -> Tensor:
        self.values[name] = Value(name, sizes, "float32")
        return Tensor(self, name, sizes)

    def _argument(self, value: Any) -> Argument:
        if isinstance(value, Parameter):
            self.values[value.path] = Value(value.path, value.shape, "float32")
            self.stored[value.path] = value.path
            self.weights[value.path] = Weight(value.path, value.shape, "float32")
            return Ref(value.path)
        return Ref(value.name) if isinstance(value, Tensor) else value


class Tensor:
    """The sizes of a tensor that flows."""

    def __init__(self, tape: Tape, name: str, sizes: tuple[int, ...]) -> None:
        self.tape = tape
        self.name = name
        self.shape = sizes

    def __add__(self, other: Tensor) -> Tensor:
        return self.tape.call("aten.add.Tensor", self.shape, self=self, other=other)

    def __getitem__(self, index: tuple[slice, ...]) -> Tensor:
        found = self
        for axis, places in enumerate(index):
            if places != slice(None):
                found = found._slice(axis, places)
        return found

    def _slice(self, axis: int, places: slice) -> Tensor:
        start, end, step = places.indices(self.shape[axis])
        left = len(range(start, end, step))
        sizes = (*self.shape[:axis], left, *self.shape[axis + 1 :])
        return self.tape.call(
            "aten.slice.Tensor", sizes, self=self, dim=axis, start=start, end=end, step=step
        )


class Parameter:
    """The shape of a parameter; `path` is its place in the module that was asked for."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.path = ""


class Module:
    """torch.nn.Module: what is set on it is its own, a call runs `forward`."""

    path = ""

    @property
    def kind(self) -> str:
        """The class as torch.export tells it; classes of this page are torch's own."""
        own = type(self).__module__ == __name__
        return f"{'torch.nn.modules' if own else 'models'}.{type(self).__name__}"

    def __call__(self, x: Tensor) -> Tensor:
        x.tape.calling.append(self)
        try:
            return self.forward(x)
        finally:
            x.tape.calling.pop()

    def forward(self, x: Tensor) -> Tensor:
        """The result; every module says its own."""
        raise NotImplementedError(type(self).__name__)

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules set on it, by name."""
        return ((name, x) for name, x in vars(self).items() if isinstance(x, Module))

    def modules(self) -> Iterator[Module]:
        """It and all below it."""
        yield self
        for _, child in self.children():
            yield from child.modules()

    def name_(self, path: str = "") -> None:
        """Tell every module and parameter below what its path is."""
        self.path = path
        before = f"{path}." if path else ""
        for name, found in vars(self).items():
            if isinstance(found, Parameter):
                found.path = before + name
        for name, child in self.children():
            child.name_(before + name)


class Sequential(Module):
    """torch.nn.Sequential."""

    def __init__(self, *parts: Module) -> None:
        for index, part in enumerate(parts):
            setattr(self, str(index), part)

    def forward(self, x: Tensor) -> Tensor:
        for _, part in self.children():
            x = part(x)
        return x


class Conv2d(Module):
    """torch.nn.Conv2d."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        self.kernel, self.stride = _pair(kernel), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.groups = groups
        self.weight = Parameter(outputs, inputs // groups, *self.kernel)
        self.bias = Parameter(outputs) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        moved = _moved(x, self.kernel, self.stride, self.padding, self.dilation)
        return x.tape.call(
            "aten.conv2d.default",
            (x.shape[0], self.weight.shape[0], *moved),
            input=x,
            weight=self.weight,
            bias=self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class BatchNorm2d(Module):
    """torch.nn.BatchNorm2d, at inference."""

    def __init__(self, channels: int) -> None:
        self.weight, self.bias = Parameter(channels), Parameter(channels)
        self.running_mean, self.running_var = Parameter(channels), Parameter(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x.tape.call(
            "aten.batch_norm.default",
            x.shape,
            input=x,
            weight=self.weight,
            bias=self.bias,
            running_mean=self.running_mean,
            running_var=self.running_var,
            training=False,
            eps=1e-5,
        )


class Linear(Module):
    """torch.nn.Linear."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        self.weight = Parameter(outputs, inputs)
        self.bias = Parameter(outputs) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        sizes = (*x.shape[:-1], self.weight.shape[0])
        return x.tape.call(
            "aten.linear.default", sizes, input=x, weight=self.weight, bias=self.bias
        )


class ReLU(Module):
    """torch.nn.ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


class ReLU6(Module):
    """torch.nn.ReLU6."""

    def forward(self, x: Tensor) -> Tensor:
        return x.tape.call("aten.hardtanh.default", x.shape, self=x, min_val=0.0, max_val=6.0)


class MaxPool2d(Module):
    """torch.nn.MaxPool2d."""

    def __init__(self, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel, self.padding = _pair(kernel), _pair(padding)
        self.stride = self.kernel if stride is None else _pair(stride)

    def forward(self, x: Tensor) -> Tensor:
        return x.tape.call(
            "aten.max_pool2d.default",
            (*x.shape[:2], *_moved(x, self.kernel, self.stride, self.padding)),
            self=x,
            kernel_size=self.kernel,
            stride=self.stride,
            padding=self.padding,
        )


class Dropout(Module):
    """torch.nn.Dropout, at inference."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return x.tape.call("aten.dropout.default", x.shape, input=x, p=self.p, train=False)


def relu(x: Tensor) -> Tensor:
    """torch.nn.functional.relu."""
    return x.tape.call("aten.relu.default", x.shape, self=x)


def adaptive_avg_pool2d(x: Tensor, size: Pair) -> Tensor:
    """torch.nn.functional.adaptive_avg_pool2d."""
    sizes = (*x.shape[:2], *_pair(size))
    return x.tape.call("aten.adaptive_avg_pool2d.default", sizes, self=x, output_size=_pair(size))


def pad(x: Tensor, amounts: tuple[int, ...]) -> Tensor:
    """torch.nn.functional.pad with zeros: (before, after) pairs, the last dimension first."""
    sizes = list(x.shape)
    for index in range(len(amounts) // 2):
        sizes[-1 - index] += amounts[2 * index] + amounts[2 * index + 1]
    return x.tape.call("aten.pad.default", tuple(sizes), self=x, pad=amounts)


def flatten(x: Tensor, start: int = 0) -> Tensor:
    """torch.flatten from dimension `start` on."""
    sizes = (*x.shape[:start], prod(x.shape[start:]))
    return x.tape.call("aten.flatten.using_ints", sizes, self=x, start_dim=start)


def _moved(
    x: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, ...]:
    """Rows and columns of the map that a moving window makes, as in torch's Conv2d."""
    return tuple(
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, k, s, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )


def _pair(number: Pair) -> tuple[int, int]:
    return number if isinstance(number, tuple) else (number, number)


def _nothing(*_: object, **__: object) -> None:
    """Initial values of parameters that have none."""


_functional = SimpleNamespace(adaptive_avg_pool2d=adaptive_avg_pool2d, pad=pad, relu=relu)
_nn = SimpleNamespace(
    **{kind.__name__: kind for kind in Module.__subclasses__()},
    Module=Module,
    functional=_functional,
    init=SimpleNamespace(
        kaiming_normal_=_nothing, normal_=_nothing, ones_=_nothing, zeros_=_nothing
    ),
)
TORCH = SimpleNamespace(Tensor=Tensor, nn=_nn, flatten=flatten)
"""What stands for `torch`."""
