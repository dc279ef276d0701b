"""What the kernels of bit planes are given: all that they read and write, in plain arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.paths.lookups import rows_of_a_lookup

ROWS = rows_of_a_lookup()
"""Rows that one lookup adds."""
WIDE = 5
"""How a line is computed whose sums or codes do not fit bytes."""
CONSTANT = 6
"""How a line is computed whose digits are all 0: it is in `bias`."""
PART_BITS = 4
"""Bits of the parts that digits are cut in where a table of them does not fit bytes."""

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float64]


class Plan(NamedTuple):
    """How the sections of all channel groups become codes; the last output is the reference.

    Shapes begin with (groups, sections, outputs, lines) where nothing else is said.
    """

    digits: NDArray[np.int16]
    """(..., rows), padded with zeros."""
    order: NDArray[np.uint16]
    """(..., lookups): those whose digits are not all 0, before the others."""
    used: Longs
    """How many these are."""
    how: Bytes
    """A way of `lookups`, WIDE or CONSTANT."""
    start: Bytes
    low: Bytes
    high: Bytes
    codes: Longs
    """Where the line's two tables of 256 begin in `tables`."""
    factor: Numbers
    """What one of a byte's codes counts."""
    wide_factor: Numbers
    """What one of `values` counts."""
    tables: Bytes
    values_at: Longs
    """(groups, outputs, lines): where the value of sum 0 lies in `values`."""
    values: Numbers
    """The code of each sum."""
    flags: Bytes
    """1: the sum clips; 2: it rounds."""
    slopes: Numbers
    """(outputs, lines, 4): low, high, the code of low, and codes a sum: what lies between them is a
    slope, what lies outside is flat; no codes a sum: it is otherwise."""
    bias: Numbers
    """(groups, stages, held lines, outputs): what a stage's sums begin with."""
    first: Longs
    """(sections,): the first row."""
    lookups: Longs
    """(sections,): as many as their rows need."""
    rows: Longs
    """(sections,): how many rows they have."""
    tile: Longs
    """(sections,): which of the sums of inputs they count to."""
    begins: Longs
    """(stages + 1,): the first section of each stage."""
    correction: Numbers
    """(groups, outputs, tiles), what one unit of the sums of inputs counts."""
    step_begins: Longs
    """(steps + 1,): the first of the step's planes."""
    step_planes: Longs
    step_weights: Numbers
    """What one of a plane adds to the levels of its step."""
    places: Numbers
    """(steps,): what one unit of a step's codes counts."""
    bits: Longs
    """How many of a byte map's planes are steps, where lines fit bytes."""
    maps: Numbers
    """(maps, 2): what one of a byte map counts in an input, and whether its bytes are signed."""
    times: Longs
    """(groups, outputs): how often a conversion counts."""
    group: Longs
    """(groups,): which channel group of the operation it is."""


class Source(NamedTuple):
    """The bytes of a batch, and where windows find them."""

    bytes: Bytes
    """Maps with their padding, columns parted by their remainder by the stride."""
    at: Longs
    """(groups, rows): where the row's byte for window 0 lies."""
    shape: Longs
    """Images, height and width of the output; bytes of an image, of a step down, of a byte map."""


class Room(NamedTuple):
    """What a chunk is computed in."""

    filled: Bytes
    indices: Bytes
    tables: Bytes
    sums: Numbers
    """(held lines, outputs, windows)."""
    inputs: Numbers
    """(tiles, windows): sums of inputs."""
    raw: Bytes
    """(planes, 64)."""
    wide: Numbers
    """(planes, 64): sums of a block's planes."""
    levels: Numbers
    """(64,): sums of a step."""
    converted: Numbers
    """(64,): their codes."""
    part: NDArray[np.int16]
    """Parts of the digits of one lookup."""


class Adders(NamedTuple):
    """Sums that are not whole, or adders that are too narrow: everything in float64."""

    ratios: Floats
    """(groups, lines, outputs): quanta that one code of a line counts."""
    constants: Floats
    """(groups, outputs, 2): what codes do not stand for; the same of the reference column."""
    numbers: Floats
    """The quantum; the reference column's factor and quantum; tile width and sum width, or 0; 1
    where sums wrap."""
    total: Floats
    """(outputs, windows): what the adder behind the tiles holds."""
    reference: Numbers
    """(windows,): codes of the reference column."""
    register: Floats
    """(windows,)."""


DIMENSIONS = {
    "digits": 5, "order": 5, "used": 4, "how": 4, "start": 4, "low": 4, "high": 4, "codes": 4,
    "factor": 4, "wide_factor": 4, "values_at": 3, "slopes": 3, "bias": 4, "correction": 3,
    "maps": 2, "at": 2, "sums": 3, "inputs": 2, "wide": 2, "times": 2, "ratios": 3,
    "constants": 3, "total": 2,
}  # fmt: skip
