"""Where the sums of a mix of precisions meet: an adder that has to have room for them.

The sums of a share's pieces are added in the nearest adder that joins arrays. What a piece's codes
can sum to follows from its cells, for a converter's code rises with its sum.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.converter import Ranges, convert, scale
from cimarch.functional.lines import Lines
from cimarch.functional.paths.lossless import column_sums
from cimarch.functional.shares import Share
from cimarch.functional.steps import step_factors


def check_sums(name: str, share: Share) -> None:
    """Raise DescriptionError where the adder that joins the pieces of strips is too narrow.

    It counts in the smallest step of the share's converters.
    """
    width = share.scheme.sum_bits
    if width is None:
        return
    ends = np.zeros((1 + max(p.group for p in share.pieces), _outputs(share), 2))
    for piece, lines in zip(share.pieces, share.lines, strict=True):
        ends[piece.group, piece.outputs] += registers(
            lines, of_outputs(share.ranges, piece.outputs)
        )
    least, most = float(ends[..., 0].min()), float(ends[..., 1].max())
    needed = 1
    while least < -(2.0 ** (needed - 1)) or most > 2.0 ** (needed - 1) - 1:
        needed += 1
    if needed > width:
        raise DescriptionError(
            Diagnostic(
                "E467",
                f"sums of the strips of `{name}` take {needed} bits, and the adder in which they "
                f"meet has {width}",
                helps=(f"give it `bits = {needed}`",),
            )
        )


def check_ranges(share: Share) -> None:
    """Raise DescriptionError where each row tile has ranges of its own: strips have no such."""
    if share.ranges is not None and share.ranges.by_tile:
        raise DescriptionError(
            Diagnostic(
                "E469",
                f"the ranges of `{share.name}` are those of row tiles, and strips are read by "
                "kernel position",
                helps=("choose ranges per layer, slice or column",),
            )
        )


def _outputs(share: Share) -> int:
    return 1 + max(int(piece.outputs.max()) for piece in share.pieces)


def of_outputs(ranges: Ranges | None, outputs: NDArray[np.int64]) -> Ranges | None:
    """The ranges of some outputs."""
    if ranges is None:
        return None
    low, step = (
        each if each.shape[1] == 1 else each[:, outputs] for each in (ranges.low, ranges.step)
    )
    return attrs.evolve(ranges, low=low, step=step)


def registers(lines: Lines, ranges: Ranges | None) -> NDArray[np.float64]:
    """The least and the largest sum of the codes of each output, (outputs, 2), whatever the inputs.

    In the smallest step of the converters; the least is at most 0, the largest at least 0, as sums
    are added one after the other.
    """
    ends = np.stack(column_sums(lines)).astype(np.float64)  # (2, lines, outputs, sections, steps)
    share = np.ones(lines.digits.shape[:2])
    converter = lines.scheme.converter
    if ranges is not None and converter is not None:
        low, step = (np.broadcast_to(each, share.shape) for each in (ranges.low, ranges.step))
        codes = convert(converter, ends, low[:, :, None, None], step[:, :, None, None])
        ends, quanta = codes.values.astype(np.float64), scale(converter, low, step)[1]
        share = quanta / quanta.min()
    analog = lines.scheme.input_accumulation == "analog"
    places = np.array((1,) if analog else step_factors(lines.scheme))
    tiles = [section.tile for section in lines.sections]
    counted = ends * (lines.factors[:, :, tiles, None] * places * share[:, :, None, None])
    least, most = np.minimum(counted.min(axis=0), 0), np.maximum(counted.max(axis=0), 0)
    found: NDArray[np.float64] = np.stack([least, most], axis=-1).sum(axis=(0, 2, 3))
    return found
