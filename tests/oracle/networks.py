"""Small networks, written operation by operation."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import attrs

from cimarch.workload.network import Geometry, Network, Operation, Tensor


@attrs.define
class Maker:
    """Chains operations into a network; each method adds one and gives its tensor's name."""

    tensors: dict[str, Tensor] = attrs.Factory(dict)
    operations: list[Operation] = attrs.Factory(list)
    inputs: list[str] = attrs.Factory(list)

    def input(self, *shape: int) -> str:
        """A tensor that the network is given."""
        self.inputs.append(self._tensor(f"input{len(self.inputs)}", shape))
        return self.inputs[-1]

    def _tensor(self, name: str, shape: tuple[int, ...]) -> str:
        self.tensors[name] = Tensor(name, shape)
        return name

    def _add(self, op: Operation, shape: tuple[int, ...]) -> str:
        self.operations.append(op)
        return self._tensor(op.outputs[0], shape)

    def conv(
        self, name: str, source: str, outputs: int, kernel: int = 3, *,
        stride: int = 1, padding: int = 0, groups: int = 1,
    ) -> str:  # fmt: skip
        """A square convolution."""
        channels, height, width = self.tensors[source].shape
        high, wide = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
        op = Operation(
            name, "conv2d", (source,), (name,), weight=name, groups=groups,
            geometry=Geometry((kernel, kernel), (stride, stride), (padding,) * 4, groups=groups),
            rows=channels // groups * kernel * kernel, columns=outputs // groups,
            windows=high * wide, window_rows=high,
        )  # fmt: skip
        return self._add(op, (outputs, high, wide))

    def linear(self, name: str, source: str, outputs: int) -> str:
        """A matrix product of the last axis; of the flattened map where the tensor is one."""
        shape = self.tensors[source].shape
        if len(shape) == 3:
            flat = (self.tensors[source].elements,)
            op = Operation(f"{name}.flat", "reshape", (source,), (f"{name}.flat",))
            source, shape = self._add(op, flat), flat
        tokens = shape[0] if len(shape) == 2 else 1
        op = Operation(
            name, "linear", (source,), (name,), weight=name, rows=shape[-1], columns=outputs,
            windows=tokens, window_rows=tokens,
        )  # fmt: skip
        return self._add(op, (*shape[:-1], outputs))

    def digital(self, name: str, kind: str, function: str, *sources: str) -> str:
        """An operation that keeps the shape."""
        op = Operation(name, kind, sources, (name,), function)
        return self._add(op, self.tensors[sources[0]].shape)

    def relu(self, source: str) -> str:
        """max(x, 0)."""
        return self.digital(f"{source}.relu", "activation", "relu", source)

    def add(self, one: str, other: str) -> str:
        """A residual."""
        return self.digital(f"{one}.add", "add", "", one, other)

    def pool(self, source: str, kernel: int, *, function: str = "max") -> str:
        """A pooling whose windows do not overlap; the whole map where the kernel is 0."""
        channels, height, width = self.tensors[source].shape
        size = (kernel, kernel) if kernel else (height, width)
        name = f"{source}.pool"
        op = Operation(name, "pool", (source,), (name,), function, Geometry(size, size))
        return self._add(op, (channels, height // size[0], width // size[1]))

    def done(self, *outputs: str) -> Network:
        """The network whose results these are."""
        return Network(
            "made", tuple(self.operations), self.tensors, {}, tuple(self.inputs), outputs
        )


def table(*layers: tuple[int, int, int]) -> Network:
    """A chain of matrix products: (inputs, outputs, invocations) of each."""
    rows: Iterable[dict[str, object]] = (
        {"kind": "linear", "inputs": inputs, "outputs": outputs, "invocations": times}
        for inputs, outputs, times in layers
    )
    return Network.from_table(rows)


def mlp() -> Network:
    """Three tokens through two layers with a relu between."""
    make = Maker()
    hidden = make.relu(make.linear("up", make.input(3, 20), 30))
    return make.done(make.linear("down", hidden, 10))


def convolutions() -> Network:
    """Two convolutions with relu and a max pooling between."""
    make = Maker()
    first = make.pool(make.relu(make.conv("one", make.input(2, 6, 6), 5, padding=1)), 2)
    return make.done(make.relu(make.conv("two", first, 7)))


def residual() -> Network:
    """Two convolutions, the input of the second added to its result; a classifier behind."""
    make = Maker()
    start = make.relu(make.conv("one", make.input(2, 5, 5), 4, padding=1))
    inner = make.conv("two", start, 4, padding=1)
    total = make.relu(make.add(inner, start))
    pooled = make.pool(total, 0, function="average")
    return make.done(make.linear("classify", pooled, 6))


def any_network(draw: Random) -> Network:
    """A table, a perceptron, or a few convolutions, as it falls."""
    if draw.random() < 0.3:
        sizes = [(draw.randint(1, 50), draw.randint(1, 20)) for _ in range(draw.randint(1, 3))]
        return table(*((rows, columns, draw.randint(1, 4)) for rows, columns in sizes))
    return any_perceptron(draw) if draw.random() < 0.3 else any_convolutions(draw)


def any_perceptron(draw: Random) -> Network:
    """One to three layers."""
    make = Maker()
    last = make.input(draw.randint(1, 3), draw.randint(2, 30))
    for i in range(draw.randint(1, 3)):
        last = make.linear(f"layer{i}", last, draw.randint(2, 20))
        last = make.relu(last) if draw.random() < 0.5 else last
    return make.done(last)


def any_convolutions(draw: Random) -> Network:
    """One convolution, a second that may be depthwise or residual, poolings and a classifier."""
    make = Maker()
    first = make.conv("first", make.input(draw.randint(1, 3), 6, 6), draw.randint(1, 5), padding=1)
    first = make.relu(first) if draw.random() < 0.5 else first
    first = make.pool(first, 2) if draw.random() < 0.4 else first
    channels = make.tensors[first].shape[0]
    groups = channels if draw.random() < 0.3 else 1
    last = make.conv("second", first, channels, padding=1, groups=groups)
    last = make.relu(make.add(last, first)) if draw.random() < 0.6 else last
    last = make.conv("third", last, 3, 2, stride=2) if draw.random() < 0.3 else last
    last = make.pool(last, 0, function="average") if draw.random() < 0.4 else last
    return make.done(make.linear("classify", last, 5) if draw.random() < 0.5 else last)
