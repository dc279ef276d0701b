"""Training data in two parts: examples that train, and others held back to choose by."""

from __future__ import annotations

import attrs

from cimarch.data.dataset import DataSet, Examples
from cimarch.diagnostics import DescriptionError, Diagnostic

HELD_BACK = 2000
"""Examples held back at most; of a small set a fifth."""


@attrs.frozen(eq=False)
class Split:
    """The examples that a method may look at; those that judge are in neither part."""

    train: Examples
    held_back: Examples
    """They choose, calibrate and tell how training goes; no gradient comes from them."""

    def told(self) -> dict[str, object]:
        """The parts as plain values for a record."""
        return {
            "train": len(self.train),
            "held_back": len(self.held_back),
            "train_digest": self.train.digest,
            "held_back_digest": self.held_back.digest,
        }


def split(data: DataSet, images: int | None = None, held_back: int | None = None) -> Split:
    """The training examples of a data set in two parts, the same for the same set.

    The first `held_back` in mixed order (`cimarch.data.mixing`) are held back, of the others the
    first `images` train, all without a number. Raises DescriptionError where there are too few.
    """
    there = data.calibrating()  # in mixed order; tells of a set without any
    apart = min(HELD_BACK, len(there) // 5) if held_back is None else held_back
    most = len(there) - apart
    wanted = most if images is None else images
    if apart < 1 or not 1 <= wanted <= most:
        raise _too_few(data, wanted, apart, len(there))
    return Split(there.take(slice(apart, apart + wanted)), there.take(slice(apart)))


def _too_few(data: DataSet, images: int, apart: int, there: int) -> DescriptionError:
    of = f"of the {there} training examples of `{data.name}`"
    usual = min(HELD_BACK, there // 5)
    if not 1 <= apart < there:
        headline = f"{apart} {of} are to be held back, and each part needs one"
        helps = (f"`--held-back {usual}`",) if usual else ("name a larger data set",)
    else:
        headline = f"{images} {of} are to train, and {apart} are held back"
        helps = (f"`--images {there - apart}`",)
    return DescriptionError(Diagnostic("E454", headline, helps=helps))
