"""The workload: a framework-free graph of operations over tensors, with weights as numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import attrs
import numpy as np

MATRIX_KINDS = frozenset({"conv2d", "linear", "matmul"})
"""The operations that crossbars can hold."""

VIEW_KINDS = frozenset({"reshape", "pad", "slice", "identity", "concat"})
"""Operations that only say where elements lie: they move nothing by themselves."""

Setting = int | float | str | tuple[int, ...]
"""What an operator was given besides tensors: an axis, a slope, a shape, ..."""


@attrs.frozen
class Tensor:
    """A value that flows between operations; shapes are those of one inference (no batch)."""

    name: str
    shape: tuple[int, ...]
    """(channels, height, width) for a map, (tokens, features) or (features,) otherwise."""

    @property
    def elements(self) -> int:
        return prod(self.shape)


@attrs.frozen
class Geometry:
    """How a window of a convolution or a pooling moves over its input map."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Rows above, rows below, columns left, columns right."""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@attrs.frozen(eq=False)
class Weight:
    """A trained parameter; `data` is None where only its shape is known."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    data: np.ndarray | None = None


@attrs.frozen
class Operation:
    """One step of the network.

    `kind` is one of conv2d, linear, matmul, sdpa, add, mul, activation, norm, softmax, pool,
    embedding, reshape, pad, slice, concat, identity; `function` says which (`relu`, `max`,
    `average`, ...). A folded batch norm is part of its convolution. A matmul of two tensors that
    both flow has two inputs and no weight. What no rule covers is kind `other`, where the reader
    was told to allow it, with the operator as its function.
    """

    name: str
    """The path of its parameters in the model (`layer1.0.conv1`), else a unique name of its own."""
    kind: str
    inputs: tuple[str, ...]
    """Tensor names, those that flow; a stored weight is not among them."""
    outputs: tuple[str, ...]
    function: str = ""
    geometry: Geometry | None = None
    weight: str | None = None
    """The path of the weight matrix: (outputs, inputs) or (outputs, inputs / groups, kh, kw)."""
    bias: str | None = None
    rows: int = 0
    """Of one group's weight matrix: inputs of one product (channels / groups * kh * kw)."""
    columns: int = 0
    """Of one group's weight matrix: outputs of one product."""
    groups: int = 1
    """Independent matrices of that size: channel groups of a convolution, repeats of a table."""
    windows: int = 1
    """Products per matrix and inference: positions of the output map, or tokens."""
    window_rows: int = 1
    """Rows of the output map that the windows lie in: windows = window_rows * (windows per row)."""
    written: str = ""
    """Of a product of two tensors, how the second comes into arrays, where it is written there as
    the matrix: each of its rows (a token's key, or its value) is one of the matrix's `columns`, or
    one of its `rows`."""
    needed: int = 0
    """Multiply-accumulates that are needed, where they are fewer than those of whole matrices
    (keys that a token does not see); 0: all."""
    settings: tuple[tuple[str, Setting], ...] = ()
    """What else the operator was given. Axes count the dimensions of `sizes`, where that is listed:
    the input's elements in order, under that shape."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return self.needed or self.rows * self.columns * self.groups * self.windows

    @property
    def is_matrix(self) -> bool:
        """Whether it is a product with a matrix that crossbars hold: stored, or written there."""
        return self.kind in MATRIX_KINDS and (not self.is_dynamic or bool(self.written))

    @property
    def is_dynamic(self) -> bool:
        """Whether it is a product of two operands that are known only at run time."""
        return self.kind == "matmul" and self.weight is None


@attrs.frozen(eq=False)
class Network:
    """A network: operations in topological order, tensors and weights by name."""

    name: str
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    weights: Mapping[str, Weight]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str = ""
    """The file, or how it was made."""
    digest: str = ""
    """SHA-256 of what was read."""
    has_geometry: bool = True
    """False for a layer table: a chain with no maps between its operations."""
    states: Mapping[str, str] = attrs.field(factory=dict)
    """What lives across inferences, as the keys and values of earlier tokens do: the name of a
    state -> the tensor that holds it after an inference. Where a tensor has the name of the state,
    it holds it before: it is no input of the network, for it never comes from outside. A state
    without such a tensor begins with this inference."""
    attached: Mapping[str, bytes] = attrs.field(factory=dict)
    """What a file of an adapted model brings besides the network (`cimarch.workload.adapted`)."""

    @property
    def parameters(self) -> int:
        """Stored numbers; what several operations share counts once."""
        return sum(prod(weight.shape) for weight in self.weights.values())

    @classmethod
    def from_table(cls, rows: Iterable[Mapping[str, object]], *, name: str = "table") -> Network:
        """Make a network of matrix products from rows (name, kind, outputs, inputs, invocations,
        repeat); see `cimarch.workload.table`."""
        from cimarch.workload.table import from_table

        return from_table(rows, name=name)
