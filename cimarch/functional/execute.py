"""The whole network on a batch: the float model, the quantised model, or the chip, by one code.

The three differ in what computes the matrix operations: torch in float, an exact product of whole
numbers, or the paths of a placed chip. All else is the same to the last bit, so that a chip whose
converters lose nothing answers exactly as the quantised model does, image by image, and an image
gets the same answer in any batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.digital import Stored, check_computable, compute
from cimarch.functional.exact import Product
from cimarch.functional.path import Path
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.tail import Scales, whole
from cimarch.functional.windows import Windows
from cimarch.workload.network import Network, Operation

Array = NDArray[Any]
Observe = Callable[[str, Array, Array], None]
"""Told of each matrix operation: its name, its inputs in whole numbers, its sums."""

CHUNK = 20
"""Images at a time: what lies between two operations of a small network stays in the cache."""


class Executor:
    """Runs a network on images (or sequences), a few at a time.

    `paths` say how each matrix operation is computed; None: by an exact product of whole numbers,
    which is the quantised model. Raises DescriptionError where the network holds not all that its
    operations compute.
    """

    def __init__(
        self,
        quantised: QuantisedNetwork,
        paths: Mapping[str, Path] | None = None,
        *,
        device: str = "cpu",
        chunk: int | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._prepare(quantised.network, device, chunk)
        self.observe = observe
        self._observe_float: Callable[[str, Array], None] | None = None
        self._products = {
            op.name: _Operation(op, quantised.operations[op.name], paths, device)
            for op in quantised.network.operations
            if op.name in quantised.operations
        }

    @classmethod
    def float(
        cls,
        network: Network,
        *,
        device: str = "cpu",
        chunk: int | None = None,
        observe: Callable[[str, Array], None] | None = None,
    ) -> Executor:
        """The float model; `observe` is told of each matrix operation its name and its inputs."""
        made = cls.__new__(cls)
        made._prepare(network, device, chunk)
        made.observe = None
        made._observe_float = observe
        made._products = {}
        return made

    def _prepare(self, network: Network, device: str, chunk: int | None) -> None:
        check_computable(network)
        self.network = network
        self.device = device
        self.chunk = chunk or CHUNK
        self._stored = Stored(network, device)
        reads = Counter(name for op in network.operations for name in op.inputs)
        self._reads = reads + Counter(network.outputs)

    def run(self, images: Array) -> NDArray[np.float32]:
        """The first output for images (n, *input shape): float32, (n, *output shape)."""
        return self.outputs(images)[0]

    def outputs(self, images: Array) -> tuple[NDArray[np.float32], ...]:
        """All outputs of the network, in its order."""
        shape = self.network.tensors[self.network.inputs[0]].shape
        if images.shape[1:] != shape:
            raise ValueError(f"images of shape {images.shape[1:]}, not {shape}")
        made = []
        with torch.no_grad():
            for start in range(0, len(images), self.chunk):
                made.append(self._chunk(images[start : start + self.chunk]))
        return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))

    def _chunk(self, images: Array) -> list[Array]:
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        values = {self.network.inputs[0]: x if not x.is_floating_point() else x.float()}
        left = Counter(self._reads)
        for op in self.network.operations:
            made = self._computed(op, [values[name] for name in op.inputs])
            for name in op.inputs:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)
            values[op.outputs[0]] = made
        return [values[name].float().contiguous().cpu().numpy() for name in self.network.outputs]

    def _computed(self, op: Operation, inputs: list[Tensor]) -> Tensor:
        product = self._products.get(op.name)
        if product is None:
            if self._observe_float is not None and op.is_matrix:
                self._observe_float(op.name, inputs[0].float().cpu().numpy())
            return compute(self._stored, op, inputs)
        shape = self.network.tensors[op.outputs[0]].shape
        return product(inputs[0], self.observe).reshape(len(inputs[0]), *shape)


class _Operation:
    """A matrix operation of a quantised network."""

    def __init__(
        self, op: Operation, quantised: Quantised, paths: Mapping[str, Path] | None, device: str
    ) -> None:
        self.op = op
        self.quantised = quantised
        self.scales = Scales.of(quantised)
        self.product: Callable[[Array], Array]
        if paths is not None:
            self.product = paths[op.name]
        else:
            windows = Windows.of(op, quantised.input_zero)
            self.product = Product(quantised.weights, windows, quantised.input_range)

    def __call__(self, x: Tensor, observe: Observe | None) -> Tensor:
        inputs = whole(x, self.quantised)
        if self.op.geometry is None:
            inputs = inputs.reshape(-1, self.op.groups * self.op.rows)
        sums = self.product(inputs.cpu().numpy())
        if observe is not None:
            observe(self.op.name, inputs.cpu().numpy(), sums)
        return self.scales.result(torch.from_numpy(sums).to(x.device))
