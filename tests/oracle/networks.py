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
        stride: int = 1, padding: int = 0, groups: int = 1, dilation: int = 1,
    ) -> str:  # fmt: skip
        """A square convolution."""
        channels, height, width = self.tensors[source].shape
        reach = (kernel - 1) * dilation + 1
        high, wide = ((n + 2 * padding - reach) // stride + 1 for n in (height, width))
        op = Operation(
            name, "conv2d", (source,), (name,), weight=name, groups=groups,
            geometry=Geometry(
                (kernel, kernel), (stride, stride), (padding,) * 4, (dilation,) * 2, groups
            ),
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

    def pool(
        self, source: str, kernel: int, *, function: str = "max", stride: int = 0, padding: int = 0
    ) -> str:
        """A pooling; its windows do not overlap without a stride; the whole map where the kernel
        is 0.
        """
        channels, *sides = self.tensors[source].shape
        size = (kernel, kernel) if kernel else (sides[0], sides[1])
        steps = (stride, stride) if stride else size
        name = f"{source}.pool"
        geometry = Geometry(size, steps, (padding,) * 4)
        op = Operation(name, "pool", (source,), (name,), function, geometry)
        high, wide = (
            (n + 2 * padding - k) // s + 1 for n, k, s in zip(sides, size, steps, strict=True)
        )
        return self._add(op, (channels, high, wide))

    def concat(self, name: str, *sources: str, along: int = 0) -> str:
        """Tensors behind each other along an axis."""
        shape = list(self.tensors[sources[0]].shape)
        shape[along] = sum(self.tensors[source].shape[along] for source in sources)
        settings = (("dim", along), ("sizes", tuple(shape)))
        return self._add(
            Operation(name, "concat", sources, (name,), settings=settings), tuple(shape)
        )

    def part(
        self, name: str, source: str, axis: int, start: int, length: int, step: int = 1
    ) -> str:
        """Some of a tensor: `length` places of an axis."""
        sizes = self.tensors[source].shape
        settings = (("dim", axis), ("start", start), ("step", step), ("sizes", sizes))
        shape = tuple(length if i == axis else n for i, n in enumerate(sizes))
        return self._add(Operation(name, "slice", (source,), (name,), settings=settings), shape)

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


# Networks of which rows are made and read in many ways ------------------------------------------


def chain(*, stride: int = 1, dilation: int = 1, kernels: tuple[int, ...] = (3, 3, 3)) -> Network:
    """Convolutions behind each other; stride and dilation are those of all but the first."""
    make = Maker()
    last = make.conv("conv0", make.input(2, 8, 4), 3, kernels[0], padding=kernels[0] // 2)
    for i, kernel in enumerate(kernels[1:], start=1):
        last = make.conv(
            f"conv{i}", last, 3 + i, kernel, stride=stride, padding=dilation * (kernel // 2),
            dilation=dilation,
        )  # fmt: skip
    return make.done(last)


def pooled(kernel: int, stride: int, padding: int = 0) -> Network:
    """A convolution, a pooling of its relu, a convolution."""
    make = Maker()
    first = make.relu(make.conv("first", make.input(2, 6, 6), 3, padding=1))
    pool = make.pool(first, kernel, stride=stride, padding=padding)
    return make.done(make.conv("second", pool, 4, padding=1))


def downsampled() -> Network:
    """A residual of which both paths have stride 2."""
    make = Maker()
    start = make.relu(make.conv("start", make.input(2, 6, 6), 4, padding=1))
    inner = make.relu(make.conv("inner", start, 6, padding=1, stride=2))
    outer = make.conv("outer", inner, 6, padding=1)
    return make.done(make.relu(make.add(outer, make.conv("side", start, 6, 1, stride=2))))


def branches(along: int) -> Network:
    """Two convolutions of one map, behind each other along an axis, and a convolution of both."""
    make = Maker()
    start = make.conv("start", make.input(2, 5, 5), 4, padding=1)
    wide = make.conv("wide", start, 3, padding=1)
    small = make.conv("small", start, 3, 1)
    both = make.concat("both", wide, small, along=along)
    return make.done(make.conv("last", both, 3, padding=1))


def flattened() -> Network:
    """Two convolutions and a classifier of the whole map."""
    make = Maker()
    first = make.conv("first", make.input(2, 5, 5), 4, padding=1)
    second = make.relu(make.conv("second", first, 3, padding=1))
    return make.done(make.linear("classify", second, 5))


def two_readers() -> Network:
    """A map that two convolutions read, one of them without its border."""
    make = Maker()
    start = make.conv("start", make.input(2, 5, 5), 4, padding=1)
    return make.done(make.conv("one", start, 3, padding=1), make.conv("other", start, 2))


def tokens() -> Network:
    """Six tokens through three layers."""
    make = Maker()
    first = make.linear("one", make.input(6, 10), 8)
    second = make.relu(make.linear("two", first, 9))
    return make.done(make.linear("three", second, 4))


def every_second_row() -> Network:
    """A convolution of the odd rows of a map."""
    make = Maker()
    start = make.conv("start", make.input(2, 6, 4), 4, padding=1)
    odd = make.part("odd", start, 1, 1, 3, 2)
    return make.done(make.conv("last", odd, 4, padding=1))


def deep() -> Network:
    """A residual before a pooling, one behind it, a pooling of all and a classifier."""
    make = Maker()
    start = make.conv("start", make.input(2, 6, 4), 4, padding=1)
    inner = make.conv("inner", start, 4, padding=1)
    pool = make.pool(make.relu(make.add(inner, start)), 2)
    side = make.conv("side", pool, 4, 1)
    total = make.add(make.conv("last", pool, 4, padding=1), side)
    return make.done(make.linear("classify", make.pool(total, 0, function="average"), 3))


def digital() -> Network:
    """A map added to itself and pooled before the first convolution."""
    make = Maker()
    given = make.input(3, 6, 4)
    return make.done(make.conv("last", make.pool(make.add(given, given), 2), 4, padding=1))


def two_residuals() -> Network:
    """A convolution whose results meet the maps of both convolutions before it."""
    make = Maker()
    start = make.conv("start", make.input(2, 6, 4), 4, padding=1)
    inner = make.conv("inner", start, 4, padding=1)
    outer = make.conv("outer", inner, 4, padding=1)
    return make.done(make.add(make.add(outer, start), inner))


def bordered() -> Network:
    """A 1 x 1 convolution that pads: its first and last row read zeros only."""
    make = Maker()
    start = make.conv("start", make.input(3, 6, 4), 3, 1, padding=1)
    return make.done(make.conv("last", start, 4, 1))


ROWS = {
    "chain": chain(),
    "strides and dilation": chain(stride=2, dilation=2, kernels=(3, 3)),
    "strides above the kernel": chain(stride=3, kernels=(3, 2, 1)),
    "pooling on the way": pooled(2, 2),
    "pooling that overlaps": pooled(3, 1, 1),
    "pooling that overlaps, by two": pooled(3, 2, 1),
    "residual": residual(),
    "residual of stride 2": downsampled(),
    "channels side by side": branches(0),
    "rows behind rows": branches(1),
    "flattened": flattened(),
    "two readers": two_readers(),
    "tokens": tokens(),
    "every second row": every_second_row(),
    "deep": deep(),
    "digital": digital(),
}
"""By how their rows are read."""


def any_rows(draw: Random) -> Network:
    """Up to four convolutions with what may lie between them."""
    make = Maker()
    last = make.input(draw.randint(1, 3), draw.randint(5, 9), draw.randint(3, 5))
    before: list[str] = []
    for i in range(draw.randint(1, 4)):
        kernel, channels = draw.choice([1, 2, 3, 3]), draw.randint(2, 5)
        dilation = draw.choice([1, 1, 1, 2])
        padding = draw.choice([0, kernel // 2 * dilation])
        height, width = make.tensors[last].shape[1:]
        if min(height, width) + 2 * padding <= (kernel - 1) * dilation:
            padding = kernel // 2 * dilation
        last = make.conv(
            f"conv{i}", last, channels, kernel, padding=padding, dilation=dilation,
            stride=draw.choice([1, 1, 2, 3]),
        )  # fmt: skip
        same = [b for b in before if make.tensors[b].shape == make.tensors[last].shape]
        beside = [b for b in before if make.tensors[b].shape[1:] == make.tensors[last].shape[1:]]
        if same and draw.random() < 0.7:
            last = make.add(last, draw.choice(same))
        elif beside and draw.random() < 0.4:
            last = make.concat(f"both{i}", last, draw.choice(beside))
        last = make.relu(last) if draw.random() < 0.4 else last
        height, width = make.tensors[last].shape[1:]
        if draw.random() < 0.3 and min(height, width) > 1:
            last = make.pool(last, 2, stride=draw.choice([1, 2]))
        before.append(last)
    if draw.random() < 0.3:
        last = make.pool(last, 0, function="average")
    return make.done(make.linear("classify", last, 3) if draw.random() < 0.3 else last)
