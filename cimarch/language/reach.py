"""Which members of an array the wires leave out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from cimarch.language.instances import Instance

Box = tuple[tuple[int, int], ...]
"""A block of members: a half open range for each dimension, ancestors first."""


def full_shape(part: Instance) -> tuple[int, ...]:
    """The sizes of a part's array, those of its ancestors first."""
    above = full_shape(part.parent) if part.parent else ()
    return above + part.shape


def widened(selection: Box, shape: Sequence[int]) -> Box:
    """The members that a wire names, in every instance of the component that holds the wire."""
    above = tuple((0, size) for size in shape[: len(shape) - len(selection)])
    return above + selection


class TooManyBoxes(Exception):
    """So many different blocks that it takes too long to see what they leave out."""


_MOST_STEPS = 500_000
"""Of comparing a block with a slice of the array: about a tenth of a second."""


def left_out(shape: Sequence[int], boxes: Iterable[Box]) -> Box | None:
    """The first block of members that no box covers; None where all of them are covered.

    Raises TooManyBoxes where that is too much work.
    """
    boxes = set(boxes)
    whole = tuple((0, size) for size in shape)
    return None if whole in boxes else _Search().left_out(tuple(shape), boxes)


class _Search:
    """Cuts an array at the edges of the boxes, one dimension after the other."""

    def __init__(self) -> None:
        self.steps = 0

    def left_out(self, shape: tuple[int, ...], boxes: Collection[Box]) -> Box | None:
        if not boxes:
            return tuple((0, size) for size in shape)
        if not shape:
            return None
        cuts = sorted({0, shape[0], *(edge for box in boxes for edge in box[0])})
        for low, high in pairwise(cuts):
            self.steps += len(boxes)
            if self.steps > _MOST_STEPS:
                raise TooManyBoxes
            through = {box[1:] for box in boxes if box[0][0] <= low and high <= box[0][1]}
            rest = self.left_out(shape[1:], through)
            if rest is not None:
                return ((low, high), *rest)
        return None


def told(part: Instance, members: Box) -> str:
    """A block of members as a description names it: `tile[*].xbar[2..3]`."""
    sizes = part.shape
    here = part.name + _indices(members[len(members) - len(sizes) :], sizes)
    above = members[: len(members) - len(sizes)]
    if part.parent is None or not part.parent.path:
        return here
    return f"{told(part.parent, above)}.{here}"


def _indices(ranges: Box, sizes: Sequence[int]) -> str:
    texts = [_range(low, high, n) for (low, high), n in zip(ranges, sizes, strict=True)]
    return f"[{', '.join(texts)}]" if texts else ""


def _range(low: int, high: int, size: int) -> str:
    if (low, high) == (0, size):
        return "*"
    return str(low) if high == low + 1 else f"{low}..{high - 1}"
