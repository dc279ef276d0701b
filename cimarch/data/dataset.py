"""A data set: examples that judge, examples that calibrate, and what stands for what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.data.mixing import mixed
from cimarch.data.normalisation import Normalise
from cimarch.data.problems import problem
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
    mirrors: bool = False
    """Whether an image and its mirror image are known to be of one class."""
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

    def told(self) -> dict[str, str]:
        """What it is and how its inputs are made, as plain words for a report."""
        normalise = self.test.normalise
        inputs = "token ids" if normalise is None else normalise.source
        return {"name": self.name, "source": self.source, "inputs": inputs}

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
        """The same in the form in which the network takes it (`cimarch.data.fit`).

        Raises DescriptionError where it is of another shape, or of other classes.
        """
        from cimarch.data.fit import fitted

        return fitted(self, network)
