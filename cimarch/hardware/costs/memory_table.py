"""Memories as CACTI 7 prices them: a table of points, and what lies between them.

The table was made with CACTI 7 (memory without tags, one port to read and write, 360 K, shortest
cycle). Its points are met exactly. Between them, with all axes logarithmic: along the size at words
of 256 bits, times a power of the width that the two words of 2 KB fix; between 32 nm and 22 nm
along the node.
"""

from __future__ import annotations

from functools import cache
from math import exp, log

import attrs

from cimarch.hardware.costs.technology import interpolate

SOURCE = "CACTI 7, run for 32 nm and 22 nm, itrs-hp and itrs-lop"
KB = 1024 * 8
"""Bits."""
NODES = (22, 32)
"""nm."""
KELVIN = 360
WIDE = 256
"""Bits of the words of most points."""


@attrs.frozen
class Point:
    """What CACTI says of one memory."""

    size: int
    """Bits."""
    width: int
    """Bits of one access."""
    read: float
    """pJ."""
    write: float
    """pJ."""
    leakage: float
    """mW at 360 K."""
    area: float | None = None
    """mm^2; None where it was not kept."""


TABLE: dict[tuple[int, str], tuple[Point, ...]] = {
    (32, "LOP"): (
        Point(KB // 4, 16, 0.130, 0.153, 0.044, 0.00057),
        Point(2 * KB, 64, 0.728, 0.934, 0.34, 0.0043),
        Point(2 * KB, 256, 2.30, 2.94, 0.33, 0.0080),
        Point(16 * KB, 256, 5.91, 7.68, 2.26, 0.0343),
        Point(64 * KB, 256, 14.3, 13.9, 8.28, 0.159),
        Point(256 * KB, 256, 29.5, 28.8, 32.8, 0.589),
        Point(1024 * KB, 256, 62.9, 53.5, 125, 2.12),
        Point(4096 * KB, 512, 241, 239, 501, 9.06),
    ),
    (32, "HP"): (
        Point(KB // 4, 16, 0.273, 0.353, 0.21),
        Point(2 * KB, 64, 1.415, 2.093, 1.62),
        Point(2 * KB, 256, 4.64, 6.32, 1.59),
        Point(16 * KB, 256, 7.60, 22.4, 11.8),
        Point(64 * KB, 256, 27.8, 32.8, 39.8, 0.114),
        Point(256 * KB, 256, 55.0, 60.0, 159, 0.590),
        Point(1024 * KB, 256, 117, 109, 608, 2.12),
        Point(4096 * KB, 512, 462, 482, 2428, 9.06),
    ),
    (22, "HP"): (
        Point(KB // 4, 16, 0.120, 0.159, 0.10),
        Point(2 * KB, 64, 0.691, 1.022, 0.80),
        Point(2 * KB, 256, 2.35, 3.21, 0.80),
        Point(16 * KB, 256, 4.07, 11.6, 5.84),
        Point(64 * KB, 256, 12.5, 18.1, 21.0, 0.076),
        Point(256 * KB, 256, 29.4, 31.1, 77.3, 0.279),
        Point(1024 * KB, 256, 65.5, 67.3, 309, 1.11),
        Point(4096 * KB, 512, 250, 257, 1185, 4.29),
    ),
    (22, "LOP"): (
        Point(KB // 4, 16, 0.078, 0.094, 0.14),
        Point(2 * KB, 64, 0.465, 0.604, 1.11),
        Point(2 * KB, 256, 1.55, 1.98, 1.09),
        Point(16 * KB, 256, 3.99, 5.17, 7.36),
        Point(64 * KB, 256, 9.84, 9.57, 27.1, 0.075),
        Point(256 * KB, 256, 20.5, 20.1, 107, 0.278),
        Point(1024 * KB, 256, 43.8, 37.6, 412, 1.00),
        Point(4096 * KB, 512, 182, 180, 1647, 4.45),
    ),
}
"""By nanometres and transistors; the memories are the same in each."""

EDRAM = Point(64 * KB, 256, 23.6, 23.6, 5.9, 0.095)
"""At 32 nm; a write as a read."""

ANCHOR = 64 * KB


@attrs.frozen
class Surface:
    """One number by size and width: a line along the size, a power of the width."""

    exponent: float
    """Of the width."""
    points: dict[float, float]
    """By size, for words of 256 bits."""

    def at(self, size: float, width: float) -> float:
        """The number of a memory of some bits with words of some bits."""
        return interpolate(size, self.points) * exp(self.exponent * log(width / WIDE))


@cache
def surface(node: int, transistors: str, field: str) -> Surface:
    """The table's numbers of one kind: `read`, `write`, `leakage` or `area`.

    Small areas were kept for 32 nm LOP alone: elsewhere they are those, times the ratio at 64 KB.
    """
    points = TABLE[node, transistors]
    known: dict[tuple[float, int], float] = {(p.size, p.width): getattr(p, field) for p in points}
    if known[2 * KB, WIDE] is None:
        whole = surface(32, "LOP", field)
        ratio = known[ANCHOR, WIDE] / whole.points[ANCHOR]
        known |= {
            (p.size, p.width): ratio * whole.at(p.size, p.width)
            for p in points
            if getattr(p, field) is None
        }
    exponent = log(known[2 * KB, WIDE] / known[2 * KB, 64]) / log(WIDE / 64)
    line = {s: v / (w / WIDE) ** exponent for (s, w), v in known.items() if (s, w) != (2 * KB, 64)}
    return Surface(exponent, line)


def tabled(field: str, size: float, width: float, node: float, transistors: str) -> float:
    """Of a memory of some bits with words of some bits: pJ of a `read` or `write`, mW, or mm^2.

    At a node (nm) from 22 to 32, at its own voltage and 360 K.
    """
    ends: dict[float, float] = {n: surface(n, transistors, field).at(size, width) for n in NODES}
    return interpolate(node, ends)


def shape(field: str, size: float, width: float) -> float:
    """The table's number at 32 nm LOP, relative to 64 KB with words of 256 bits."""
    table = surface(32, "LOP", field)
    return table.at(size, width) / table.at(ANCHOR, WIDE)
