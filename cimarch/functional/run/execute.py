"""The whole network on a batch: the float model, the quantised model, or the chip, by one code.

The three differ in what computes the matrix operations: torch in float, an exact product of whole
numbers, or the paths of a placed chip. All else is the same to the last bit, so that a chip whose
converters lose nothing answers exactly as the quantised model does, image by image, and an image
gets the same answer in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.path import Path
from cimarch.functional.paths.mixed import InUnits
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.run.digital import Stored, check_computable, compute
from cimarch.functional.run.sequence import Step, sequence
from cimarch.functional.run.tail import Rounding
from cimarch.functional.windows import Windows
from cimarch.workload.network import Network, Operation

Array = NDArray[Any]
Part = Mapping[str, Array]
Observe = Callable[[str, Array, Array], None]
"""Told of each matrix operation: its name, its inputs in whole numbers, its sums."""

ROOM = 4 << 20
"""Bytes of one image chunk's largest tensor in float32: what lies between two operations of a small
network stays in a second-level cache."""


class Executor:
    """Runs a network on images (or sequences), a few at a time.

    `paths` say how each matrix operation is computed; None: by an exact product of whole numbers,
    which is the quantised model. `chunk` is how many images are under way at once, at most; as many
    chunks as torch has threads are, where every path says that it `may_share` them: what it gives
    depends on its inputs alone. Raises DescriptionError where the network holds not all that its
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
        self._prepare(quantised.network, quantised.operations, device, chunk, observe)
        used = paths.values() if paths is not None else ()
        self._may_share &= all(getattr(path, "may_share", False) for path in used)
        for op in self.network.operations:
            if op.name in quantised.operations:
                each = quantised.operations[op.name]
                path = None if paths is None else paths[op.name]
                self._products[op.name] = _product(op, each, path, device)

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
        made._prepare(network, {}, device, chunk, None)
        made._observe_float = observe
        made._may_share &= observe is None
        return made

    def _prepare(
        self,
        network: Network,
        quantised: Mapping[str, Quantised],
        device: str,
        chunk: int | None,
        observe: Observe | None,
    ) -> None:
        check_computable(network)
        self.network = network
        self.device = device
        self.chunk = chunk or fitting(network)
        self._may_share = device == "cpu" and observe is None
        self.observe = observe
        self._observe_float: Callable[[str, Array], None] | None = None
        self._products: dict[str, Multiply] = {}
        self._steps = sequence(network, quantised)
        self._stored = Stored(network, device)

    def run(self, images: Array) -> NDArray[np.float32]:
        """The network's first output for images (n, *input shape): float32, (n, *its shape)."""
        made: NDArray[np.float32] = self.outputs({self.network.inputs[0]: images})[
            self.network.outputs[0]
        ]
        return made

    def outputs(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name, and what the states are after the inference.

        `inputs` are all inputs of the network by name, and the states that it reads, the images (or
        sequences) in the first axis of each.
        """
        images = self._check(inputs)
        threads = _threads() if self._may_share else 1
        chunk = min(self.chunk, -(-images // threads))
        parts = [
            {name: x[start : start + chunk] for name, x in inputs.items()}
            for start in range(0, images, chunk)
        ]
        made = _shared(self._chunk, parts, threads)
        return {name: np.concatenate([part[name] for part in made]) for name in made[0]}

    def _check(self, inputs: Mapping[str, Array]) -> int:
        """How many images there are; ValueError where inputs are missing or of another shape."""
        network = self.network
        expected = {*network.inputs, *(name for name in network.states if name in network.tensors)}
        if set(inputs) != expected:
            raise ValueError(f"inputs are {sorted(inputs)}, not {sorted(expected)}")
        for name, x in inputs.items():
            if x.shape[1:] != network.tensors[name].shape:
                raise ValueError(
                    f"`{name}` is of shape {x.shape[1:]}, not {network.tensors[name].shape}"
                )
        counts = {len(x) for x in inputs.values()}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(f"there are {sorted(counts)} images, not one number above 0")
        return counts.pop()

    def _chunk(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs and states, by name, for images that fit the cache."""
        with torch.no_grad():
            held = _Held(self, inputs)
            for step in self._steps:
                held.take(step)
        named = {name: name for name in self.network.outputs} | dict(self.network.states)
        return {name: held.array(tensor) for name, tensor in named.items()}


class _Held:
    """The tensors of a chunk of images while the network runs."""

    def __init__(self, executor: Executor, inputs: Mapping[str, Array]) -> None:
        self.executor = executor
        self.images = len(next(iter(inputs.values())))
        self.values: dict[str, Tensor] = {}
        """In float32."""
        self.codes: dict[tuple[str, Rounding], Tensor] = {}
        """In whole numbers, as an operation takes them."""
        for name, x in inputs.items():
            tensor = torch.from_numpy(np.ascontiguousarray(x)).to(executor.device)
            self.values[name] = tensor.float() if tensor.is_floating_point() else tensor

    def array(self, name: str) -> Array:
        """A tensor as numpy has it."""
        made: Array = self.values[name].float().contiguous().cpu().numpy()
        return made

    def take(self, step: Step) -> None:
        """Compute one step, and let go of what nothing reads after it."""
        if step.tail is None:
            self.values[step.result] = self._computed(step)
        else:
            self._multiply(step)
        for name in step.last:
            self.values.pop(name, None)
        for key in [key for key in self.codes if key[0] in step.last]:
            del self.codes[key]

    def _computed(self, step: Step) -> Tensor:
        observe, op = self.executor._observe_float, step.operation
        inputs = [self.values[name] for name in step.inputs]
        if observe is not None and op.is_matrix:
            observe(op.name, inputs[0].float().cpu().numpy())
        return compute(self.executor._stored, op, inputs)

    def _multiply(self, step: Step) -> None:
        """A product of whole numbers, and the tail behind it."""
        tail, op = step.tail, step.operation
        assert tail is not None
        inputs = self._whole(step)
        sums = self.executor._products[op.name](inputs)
        if self.executor.observe is not None:
            self.executor.observe(op.name, inputs.cpu().numpy(), sums.cpu().numpy())
        other = self.values[step.inputs[1]] if len(step.inputs) == 2 else None
        result, codes = tail(sums, other)
        shape = (self.images, *self.executor.network.tensors[step.result].shape)
        if result is not None:
            self.values[step.result] = result.reshape(shape)
        if codes is not None and tail.rounding is not None:
            self.codes[step.result, tail.rounding] = codes.reshape(shape)

    def _whole(self, step: Step) -> Tensor:
        """The inputs of a matrix operation: maps, or vectors (windows, groups x rows)."""
        name, rounding, op = step.inputs[0], step.rounding, step.operation
        assert rounding is not None
        if (name, rounding) not in self.codes:
            self.codes[name, rounding] = rounding(self.values[name])
        codes = self.codes[name, rounding]
        return codes if op.geometry else codes.reshape(-1, op.groups * op.rows)


def _threads() -> int:
    """As many as torch is set to use.

    Numba is started first: at its start it sets OpenMP's threads, which are torch's, to its own.
    """
    threads = torch.get_num_threads()
    numba.get_num_threads()
    torch.set_num_threads(threads)
    return threads


def _alone() -> None:
    """Let libraries compute in one thread in this thread."""
    numba.set_num_threads(1)
    torch.set_num_threads(1)


def _shared(
    work: Callable[[Part], dict[str, Array]], parts: Sequence[Part], threads: int
) -> list[dict[str, Array]]:
    """The work on each part by several threads, in each of which libraries compute in one.

    The first part is done before the others: what is made where it is first needed is then there.
    """
    if threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads, initializer=_alone) as pool:
        try:
            first = pool.submit(work, parts[0]).result()
            return [first, *pool.map(work, parts[1:])]
        finally:
            torch.set_num_threads(threads)


Multiply = Callable[[Tensor], Tensor]


def _product(op: Operation, quantised: Quantised, path: Path | None, device: str) -> Multiply:
    """What computes the sums of an operation, on tensors of a device."""
    if path is None:
        windows = Windows.of(op, quantised.input_zero)
        return InUnits(quantised, windows, device=device).tensor
    direct: Multiply | None = getattr(path, "tensor", None)
    if direct is not None:
        return direct

    def multiply(inputs: Tensor) -> Tensor:
        sums: Array = path(inputs.cpu().numpy())
        return torch.from_numpy(sums).to(inputs.device)

    return multiply


def fitting(network: Network) -> int:
    """How many images to have under way at once, so that tensors stay in the cache."""
    largest = max(tensor.elements for tensor in network.tensors.values())
    return max(1, min(256, ROOM // (4 * largest)))
