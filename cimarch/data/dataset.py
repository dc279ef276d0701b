"""A data set: examples that judge, examples that calibrate, and what stands for what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import prod
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.data.mixing import mixed
from cimarch.data.normalisation import Normalise
from cimarch.data.problems import by, problem
from cimarch.workload.network import Network

Array = NDArray[Any]
Ints = NDArray[np.int64]

UNJUDGED = -1
"""The label of a token that counts for nothing: padding behind the end of a text."""


@attrs.frozen(eq=False, slots=False)
class Examples:
    """Inputs and what is right for each; kept as they are stored until a batch is asked for."""

    stored: Array
    """(n, channels, height, width), (n, features) or, of token ids, (n, tokens)."""
    labels: Ints
    """(n,) class numbers, or (n, tokens) next tokens, -1 where none is judged."""
    normalise: Normalise | None
    """None: whole numbers that are looked up, not multiplied (token ids)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one input."""
        return tuple(self.stored.shape[1:])

    def inputs(self, first: int = 0, end: int | None = None) -> Array:
        """The inputs `first` to `end` as a network takes them: float32, or int64 of token ids."""
        stored = self.stored[first:end]
        if self.normalise is None:
            return np.ascontiguousarray(stored, np.int64)
        return self.normalise(stored)

    def batches(self, size: int) -> Iterator[tuple[Array, Ints]]:
        """Inputs and labels, `size` at a time; the last batch has the rest."""
        for first in range(0, len(self), size):
            yield self.inputs(first, first + size), self.labels[first : first + size]

    def take(self, which: Sequence[int] | slice | Ints) -> Examples:
        """Some of them, in the order given."""
        return attrs.evolve(self, stored=self.stored[which], labels=self.labels[which])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the inputs and labels as they are stored."""
        found = hashlib.sha256(f"{self.stored.dtype} {self.stored.shape}\n".encode())
        for first in range(0, len(self), 1000):
            found.update(np.ascontiguousarray(self.stored[first : first + 1000]).data)
        found.update(np.ascontiguousarray(self.labels, "<i8").data)
        return found.hexdigest()


@attrs.frozen(eq=False, slots=False)
class DataSet:
    """Examples that judge (`test`) and others that calibrate (`train`): none is in both."""

    name: str
    test: Examples
    classes: tuple[str, ...]
    """Names of the classes; empty where none are stated, and of tokens."""
    load_train: Callable[[], Examples | None] = lambda: None
    """Reads the examples that calibrate: only when they are asked for."""
    kind: str = "images"
    """`images` (a class for each) or `tokens` (a next token for each)."""
    source: str = ""
    """Where it was read."""
    notes: tuple[str, ...] = ()
    """What was left out, how it was divided: one sentence each."""

    @cached_property
    def train(self) -> Examples | None:
        """The examples that calibrate; None where the set has none."""
        return self.load_train()

    @property
    def digest(self) -> str:
        """SHA-256 of the examples that judge."""
        return self.test.digest

    def judging(self, images: int | None = None) -> Examples:
        """The first `images` that judge, all without it; DescriptionError where there are fewer."""
        if images is None:
            return self.test
        if not 1 <= images <= len(self.test):
            raise self._too_few("that judge", images, len(self.test))
        return self.test.take(slice(images))

    def calibrating(self, images: int | None = None) -> Examples:
        """The first `images` that calibrate, in mixed order (`cimarch.data.mixing`).

        All without a number. Raises DescriptionError where there are fewer, or none at all.
        """
        train = self.train
        if train is None or not len(train):
            raise problem(
                "E325",
                f"data set `{self.name}` has no training images, and calibration looks at no other",
                helps=["name a set that has both"],
            )
        images = len(train) if images is None else images
        if not 1 <= images <= len(train):
            raise self._too_few("that calibrate", images, len(train))
        return train.take(mixed(len(train))[:images])

    def _too_few(self, which: str, asked: int, there: int) -> Exception:
        return problem("E325", f"{asked} images {which} are asked of `{self.name}`: it has {there}")

    def fitted(self, network: Network) -> DataSet:
        """The same with inputs of the network's shape; DescriptionError where it is another.

        Maps are laid out as a vector, channel by channel and row by row, for a network that takes
        as many numbers in a row. Its outputs must be as many as there are classes.
        """
        _check_form(self, network)
        wanted = network.tensors[network.inputs[0]].shape
        same = self.test.shape == wanted
        if not same and (len(wanted) != 1 or prod(self.test.shape) != wanted[0]):
            raise problem(
                "E323",
                f"the inputs of `{self.name}` are {by(self.test.shape)}, those of the network "
                f"`{network.name}` {by(wanted)}",
            )
        _check_channels(self)
        self._check_outputs(network)
        outputs = network.tensors[network.outputs[0]].shape[-1]
        stated = bool(self.classes) or self.kind == "tokens"
        named = self if stated else attrs.evolve(self, classes=tuple(map(str, range(outputs))))
        if same:
            return named
        load = self.load_train
        return attrs.evolve(
            named, test=_flat(self.test), load_train=lambda: (t := load()) and _flat(t)
        )

    def _check_outputs(self, network: Network) -> None:
        shape = network.tensors[network.outputs[0]].shape
        if self.kind == "tokens":
            top = max(int(self.test.stored.max()), int(self.test.labels.max()))
            if top >= shape[-1]:
                raise problem(
                    "E327",
                    f"`{self.name}` holds token {top}, and `{network.name}` knows {shape[-1]} "
                    f"tokens, 0 to {shape[-1] - 1}",
                )
        elif len(shape) != 1 or not self._agrees(shape[0]):
            labels = f"labels up to {self.test.labels.max()}"
            raise problem(
                "E324",
                f"`{self.name}` has {f'{len(self.classes)} classes' if self.classes else labels}, "
                f"and `{network.name}` gives {by(shape)} outputs",
            )

    def _agrees(self, outputs: int) -> bool:
        """Whether a network of so many outputs tells the classes apart."""
        if self.classes:
            return outputs == len(self.classes)
        return outputs > int(self.test.labels.max())


def _check_form(data: DataSet, network: Network) -> None:
    """Raise DescriptionError unless the network takes one tensor and its classes are told apart."""
    if len(network.inputs) != 1 or not network.outputs:
        raise problem(
            "E323",
            f"`{network.name}` takes {len(network.inputs)} tensors: a data set gives one",
        )
    looks_up = any(o.kind == "embedding" and network.inputs[0] in o.inputs
                   for o in network.operations)  # fmt: skip
    if looks_up != (data.kind == "tokens"):
        takes, gives = ("tokens", "images") if looks_up else ("images", "tokens")
        raise problem("E323", f"`{network.name}` takes {takes}, and `{data.name}` holds {gives}")


def _check_channels(data: DataSet) -> None:
    """Raise DescriptionError where the normalisation is for other channels than the inputs'."""
    normalise = data.test.normalise
    if normalise is not None and normalise.channels not in (1, data.test.shape[0]):
        raise problem(
            "E328",
            f"inputs of `{data.name}` have {data.test.shape[0]} channels, their normalisation "
            f"{normalise.channels}",
            notes=[normalise.source],
        )


def _flat(examples: Examples) -> Examples:
    """Each input as one row; the normalisation still goes channel by channel."""
    stored = examples.stored.reshape(len(examples), -1)
    normalise = examples.normalise
    if normalise is not None and normalise.channels > 1:
        each = prod(examples.shape[1:])
        normalise = attrs.evolve(
            normalise,
            mean=tuple(np.repeat(_all(normalise.mean, examples), each)),
            deviation=tuple(np.repeat(_all(normalise.deviation, examples), each)),
        )
    return Examples(stored, examples.labels, normalise)


def _all(values: tuple[float, ...], examples: Examples) -> tuple[float, ...]:
    return values if len(values) > 1 else values * examples.shape[0]
