"""Strips: an operation's weights at several precisions, one for each 1 x 1 x D vector of them.

A strip is the weights of one kernel position and one output channel: the D weights that meet all
input channels at that place (Chen et al., arXiv 2512.19445, section 3). A layer of K x K positions
and N outputs has K x K x N of them; a fully connected layer has one position. Each strip has a
level, an index into the operation's precisions, the highest first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeGuard

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic, listing
from cimarch.workload.network import Operation

LAYOUTS = {
    "packed": "the strips of a precision lie beside and above each other, without gaps",
    "holes": "each pool has the whole matrix, with gaps where the strips of other pools are",
}
"""How strips lie on the arrays of their pools."""

MOST_LEVELS = 10
_MOST_BITS = 64
_FORM = '`"strips": {"bits": [8, 4], "levels": ["0110", ...], "layout": "packed"}`'


@attrs.frozen(eq=False)
class Strips:
    """The precision of every strip of one operation."""

    bits: tuple[int, ...]
    """Of each level, the highest first."""
    level: NDArray[np.uint8]
    """(kernel positions, outputs of all channel groups): an index into `bits` for each strip."""
    layout: str = "packed"
    """One of `LAYOUTS`."""
    reads: int = 0
    """Of `packed`: reads of an array for a window, at most, where it holds strips of several
    positions; 0: there is no limit. What would be read later lies on further arrays."""

    @property
    def positions(self) -> int:
        """Kernel positions."""
        return int(self.level.shape[0])

    @property
    def outputs(self) -> int:
        """Outputs, of all channel groups."""
        return int(self.level.shape[1])

    @property
    def counts(self) -> tuple[int, ...]:
        """Strips of each level."""
        found = np.bincount(self.level.ravel(), minlength=len(self.bits))
        return tuple(int(count) for count in found)

    @property
    def used(self) -> tuple[int, ...]:
        """The levels that some strip has, in order."""
        return tuple(level for level, count in enumerate(self.counts) if count)

    def holding(self, level: int) -> NDArray[np.bool_]:
        """(kernel positions, outputs): which strips are of a level."""
        found: NDArray[np.bool_] = self.level == level
        return found

    def weight_bits(self, depth: int) -> int:
        """Bits of all weights together, where a strip has `depth` of them."""
        return depth * sum(c * b for c, b in zip(self.counts, self.bits, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """As a precision file has it: a text for each position, with a digit for each output."""
        return {
            "bits": list(self.bits),
            "levels": ["".join(map(str, row)) for row in self.level.tolist()],
            "layout": self.layout,
            **({"reads": self.reads} if self.reads else {}),
        }


def positions_of(op: Operation) -> int:
    """Kernel positions of an operation; 1 where it has no kernel."""
    if op.geometry is None:
        return 1
    height, width = op.geometry.kernel
    return height * width


def depth_of(op: Operation) -> int:
    """Weights of one strip: the input channels of its channel group."""
    return op.rows // positions_of(op)


def read_strips(entry: object, op: Operation, where: str) -> Strips:
    """The strips that an entry of a precision file gives an operation.

    Raises DescriptionError where it is not of the form that `Strips.to_dict` writes, or does not
    have a level for each strip of the operation.
    """
    if not isinstance(entry, Mapping):
        raise _wrong(f"{where}: strips are {entry!r}, not an object")
    unknown = sorted(map(str, set(entry) - {"bits", "levels", "layout", "reads"}))
    if unknown:
        raise _wrong(f"{where}: strips have an unknown field `{unknown[0]}`")
    layout = entry.get("layout", "packed")
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise _wrong(
            f"{where}: `layout` of strips is {layout!r}, none of {listing(LAYOUTS)}",
            notes=tuple(f"`{name}`: {told}" for name, told in LAYOUTS.items()),
        )
    if op.written:
        raise _wrong(f"{where}: `{op.name}` has no stored weights, and so no strips")
    bits = _bits(entry.get("bits"), where)
    levels = _levels(entry.get("levels"), len(bits), op, where)
    return Strips(bits, levels, layout, _reads(entry.get("reads", 0), layout, where))


def _reads(given: object, layout: str, where: str) -> int:
    """How often an array is read for a window, at most."""
    if type(given) is not int or given < 0:
        raise _wrong(f"{where}: `reads` of strips is {given!r}, not a whole number from 0 on")
    if given and layout != "packed":
        raise _wrong(
            f"{where}: `reads` of strips is {given} in the layout `{layout}`",
            notes=("only packed strips of several positions share an array",),
        )
    return given


def _bits(given: object, where: str) -> tuple[int, ...]:
    """Precisions, the highest first."""
    if not _is_list(given) or not all(type(each) is int for each in given):
        raise _wrong(f"{where}: `bits` of strips is {given!r}, not a list of whole numbers")
    bits = tuple(given)
    if not 1 <= len(bits) <= MOST_LEVELS:
        raise _wrong(
            f"{where}: strips have {_counted(len(bits), 'precision')}, outside 1..{MOST_LEVELS}"
        )
    outside = [each for each in bits if not 1 <= each <= _MOST_BITS]
    if outside:
        raise _wrong(f"{where}: a precision of strips is {outside[0]}, outside 1..{_MOST_BITS}")
    if any(high <= low for high, low in pairwise(bits)):
        raise _wrong(f"{where}: `bits` of strips are {list(bits)}, not falling")
    return bits


def _levels(given: object, levels: int, op: Operation, where: str) -> NDArray[np.uint8]:
    """Levels from a text for each position."""
    if not _is_list(given) or not all(isinstance(each, str) for each in given):
        raise _wrong(f"{where}: `levels` of strips are not a list of texts")
    positions, outputs = positions_of(op), op.columns * op.groups
    has = f"`{op.name}` has {_counted(positions, 'position')} and {_counted(outputs, 'output')}"
    if len(given) != positions:
        raise _misfit(
            f"{where}: strips have {_counted(len(given), 'position')}, not {positions}", has
        )
    digits = "0123456789"[:levels]
    for number, text in enumerate(given):
        if len(text) != outputs:
            found = _counted(len(text), "output")
            raise _misfit(f"{where}: position {number} of strips has {found}, not {outputs}", has)
        wrong = text.strip(digits) and next(c for c in text if c not in digits)
        if wrong:
            raise _wrong(
                f"{where}: position {number} of strips has the level `{wrong}`, outside "
                f"0..{levels - 1}",
                notes=(f"`bits` lists {levels} of them",),
            )
    flat: NDArray[np.uint8] = np.frombuffer("".join(given).encode(), np.uint8) - ord("0")
    return flat.reshape(positions, outputs)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _is_list(given: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(given, Sequence) and not isinstance(given, (str, bytes))


def _wrong(headline: str, *, notes: tuple[str, ...] = ()) -> DescriptionError:
    return DescriptionError(
        Diagnostic("E460", headline, notes=notes, helps=(f"write for instance {_FORM}",))
    )


def _misfit(headline: str, note: str) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E461",
            headline,
            notes=(note,),
            helps=("give a text for each kernel position, with a digit for each output",),
        )
    )
