"""What a model answered to examples, judged: by image, or by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOP = 5


@attrs.frozen(eq=False)
class Answers:
    """Answers in order; one of an image, one of each judged token of a row."""

    best: Ints
    """(answers,): the class with the highest number, the first of equal ones."""
    rank: Ints
    """(answers,): how many classes come before the label; 0: right."""
    loss: Floats
    """(answers,): -ln(softmax of the label), nats."""
    sizes: Ints
    """(examples,): answers to each example."""

    @classmethod
    def of(cls, outputs: NDArray[Any], labels: Ints) -> Answers:
        """Those of outputs (examples, classes) or (examples, tokens, classes).

        `labels` are (examples,) or (examples, tokens); below 0, nothing is judged.
        """
        outputs = np.asarray(outputs, np.float64).reshape(*labels.shape, -1)
        judged = labels >= 0
        chosen, right = outputs[judged], labels[judged]
        mine = np.take_along_axis(chosen, right[:, None], axis=1)
        before = np.arange(chosen.shape[1]) < right[:, None]
        rank = ((chosen > mine) | ((chosen == mine) & before)).sum(axis=1)
        highest = chosen.max(axis=1, keepdims=True)
        total = np.log(np.exp(chosen - highest).sum(axis=1)) + highest[:, 0]
        sizes = judged.reshape(len(labels), -1).sum(axis=1)
        return cls(chosen.argmax(axis=1), rank.astype(np.int64), total - mine[:, 0], sizes)

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Those of batches, one after the other."""
        names = ("best", "rank", "loss", "sizes")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @property
    def right(self) -> NDArray[np.bool_]:
        """(answers,): whether the answer is the label."""
        found: NDArray[np.bool_] = self.rank == 0
        return found

    @property
    def in_five(self) -> float:
        """Share of the answers whose label is among the five best."""
        return float((self.rank < TOP).mean())

    def by_example(self, values: NDArray[Any]) -> Floats:
        """Sums of a figure (answers,) over the answers to each example."""
        owners = np.repeat(np.arange(len(self.sizes)), self.sizes)
        sums = np.bincount(owners, weights=values, minlength=len(self.sizes))
        return sums.astype(np.float64)
