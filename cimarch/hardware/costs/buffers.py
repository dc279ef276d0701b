"""Buffers: SRAM and eDRAM interpolated from a table of CACTI 7, registers by the bit.

The table was made with CACTI 7 (memory without tags, one port to read and write, 360 K, shortest
cycle). Its points are met exactly. Between them, with all axes logarithmic: along the size at words
of 256 bits, times a power of the width that the two words of 2 KB fix; between 32 nm and 22 nm
along the node. Outside those nodes the nearest one is scaled. eDRAM is CACTI's one point (64 KB,
256 bits, `lp-dram`, 32 nm) with the shape of the table in size and width; a write is priced as a
read, because CACTI's 807 pJ of a write are the restoring of a whole row. ISAAC (Table I) gives
20.45 pJ and 0.083 mm^2 for the same memory, 13 % less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from math import exp, log

import attrs

from cimarch.hardware.costs.inputs import Inputs, joules, square_metres, watts
from cimarch.hardware.costs.logic import (
    AREA,
    ENERGY,
    LEAKAGE,
    REGISTER,
    Makeup,
    Measure,
    Use,
    measured,
)
from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    ENERGY_RULE,
    LEAKAGE_RULE,
    SCALING,
    Technology,
    energy_inputs,
    interpolate,
    leakage_inputs,
    reference,
    scale_area,
    scale_energy,
    scale_leakage,
    technology,
)
from cimarch.units import DATA, Quantity, show

SOURCE = "CACTI 7, run for 32 nm and 22 nm, itrs-hp and itrs-lop"
KB = 1024 * 8
"""Bits."""
LARGEST = 2**20 * KB
MOST_REGISTERS = 4 * KB

Number = Callable[[float, float, Technology], float]
"""What is asked of a memory of some bits, with words of some bits, in a technology."""


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

_WIDE = 256
_ANCHOR = 64 * KB
_WARM = 360
_NODES = (22, 32)


@attrs.frozen
class Surface:
    """One number by size and width: a line along the size, a power of the width."""

    exponent: float
    """Of the width."""
    points: dict[float, float]
    """By size, for words of 256 bits."""

    def at(self, size: float, width: float) -> float:
        """The number of a memory of some bits with words of some bits."""
        return interpolate(size, self.points) * exp(self.exponent * log(width / _WIDE))


@cache
def surface(node: int, transistors: str, field: str) -> Surface:
    """The table's numbers of one kind: `read`, `write`, `leakage` or `area`.

    Small areas were kept for 32 nm LOP alone: elsewhere they are those, times the ratio at 64 KB.
    """
    points = TABLE[node, transistors]
    known: dict[tuple[float, int], float] = {(p.size, p.width): getattr(p, field) for p in points}
    if known[2 * KB, _WIDE] is None:
        whole = surface(32, "LOP", field)
        ratio = known[_ANCHOR, _WIDE] / whole.points[_ANCHOR]
        known |= {
            (p.size, p.width): ratio * whole.at(p.size, p.width)
            for p in points
            if getattr(p, field) is None
        }
    exponent = log(known[2 * KB, _WIDE] / known[2 * KB, 64]) / log(_WIDE / 64)
    line = {s: v / (w / _WIDE) ** exponent for (s, w), v in known.items() if (s, w) != (2 * KB, 64)}
    return Surface(exponent, line)


def _nearest(nanometres: float) -> float:
    return min(max(nanometres, _NODES[0]), _NODES[1])


def _tabled(field: str, size: float, width: float, node: float, transistors: str) -> float:
    """Between the table's nodes, at the node's own voltage and 360 K."""
    ends: dict[float, float] = {n: surface(n, transistors, field).at(size, width) for n in _NODES}
    return interpolate(node, ends)


def cell_scale(known: float, to: float) -> float:
    """How areas of memories go between two nodes (nm).

    As squares of the feature size down to 22 nm, below it in proportion to the node's name: bit
    cells have hardly shrunk since (hwcomponents-cacti, after IEDM 2022).
    """

    def relative(node: float) -> float:
        return (node / 22) ** 2 if node >= 22 else node / 22

    return relative(to) / relative(known)


def access_energy(field: str, size: float, width: float, to: Technology) -> float:
    """pJ of one `read` or `write` of an SRAM of some bits with words of some bits."""
    node = _nearest(to.nanometres)
    known = _tabled(field, size, width, node, to.transistors)
    return scale_energy(known, node, to)


def sram_leakage(size: float, width: float, to: Technology) -> float:
    """mW of an SRAM."""
    node = _nearest(to.nanometres)
    known = _tabled("leakage", size, width, node, to.transistors)
    return scale_leakage(known, reference(node, to.transistors, temperature=_WARM), to)


def sram_area(size: float, width: float, to: Technology) -> float:
    """mm^2 of an SRAM."""
    node = _nearest(to.nanometres)
    return _tabled("area", size, width, node, to.transistors) * cell_scale(node, to.nanometres)


def _shape(field: str, size: float, width: float) -> float:
    """The table's number at 32 nm LOP, relative to 64 KB with words of 256 bits."""
    table = surface(32, "LOP", field)
    return table.at(size, width) / table.at(_ANCHOR, _WIDE)


def edram_energy(size: float, width: float, to: Technology) -> float:
    """pJ of one access of an eDRAM."""
    return scale_energy(EDRAM.read * _shape("read", size, width), 32, to)


def edram_leakage(size: float, width: float, to: Technology) -> float:
    """mW of an eDRAM."""
    known = EDRAM.leakage * _shape("leakage", size, width)
    return scale_leakage(known, reference(32, to.transistors, temperature=_WARM), to)


def edram_area(size: float, width: float, to: Technology) -> float:
    """mm^2 of an eDRAM."""
    assert EDRAM.area is not None
    return EDRAM.area * _shape("area", size, width) * cell_scale(32, to.nanometres)


def _registers(measure: Measure) -> Number:
    """Bits of a register: all of them stand and leak, those of one word are read."""

    def price(size: float, width: float, to: Technology) -> float:
        bits = width if measure is ENERGY else size
        return measured(Makeup((Use(REGISTER, bits),), ""), measure, to)

    return price


def _at(node: float) -> Callable[[Technology], Technology]:
    return lambda to: reference(node, to.transistors, temperature=_WARM)


@attrs.frozen
class Memory:
    """How one kind of memory is priced."""

    model: str
    source: str
    known: Callable[[Technology], Technology]
    """Where the figures were taken that a memory in some technology is priced by."""
    numbers: dict[str, Number]
    """In SI units: `read`, `write`, `leakage` and `area`."""
    formulas: dict[str, str]
    """Of `known`, what the memory would be where the figures were taken."""
    told: Callable[[str, float, float, Technology], Inputs]
    """What else is put in for it."""
    shrink: Callable[[Technology, Technology], float]
    """How its area goes from there to another technology."""


def _line_and_power(field: str, size: float, width: float, known: Technology) -> Inputs:
    """The table along the size, for words of 256 bits, and the power of the width."""
    wide, narrow = (
        _tabled(field, size, bits, known.nanometres, known.transistors) for bits in (_WIDE, 64)
    )
    power = log(wide / narrow) / log(_WIDE / 64)
    return (("line", f"{wide:.6g} {_UNITS[field]}"), ("power", f"{power:.6g}"))


def _shape_told(field: str, size: float, width: float, known: Technology) -> Inputs:
    shape = "read" if field == "write" else field
    return (("shape", f"{_shape(shape, size, width):.6g}"),)


_UNITS = {"read": "pJ", "write": "pJ", "leakage": "mW", "area": "mm^2"}
_TABLED = "line * (width / 256 bit)^power, line = CACTI's table at size and 256 bit"
_SHAPED = "* shape, shape = SRAM of size and width / SRAM of 64 KB and 256 bit"

MEMORIES = {
    "SRAM": Memory(
        "SRAM of CACTI",
        f"{SOURCE}; {SCALING}",
        lambda to: _at(_nearest(to.nanometres))(to),
        {
            "read": lambda size, width, to: access_energy("read", size, width, to) / 10**12,
            "write": lambda size, width, to: access_energy("write", size, width, to) / 10**12,
            "leakage": lambda size, width, to: sram_leakage(size, width, to) / 10**3,
            "area": lambda size, width, to: sram_area(size, width, to) / 10**6,
        },
        dict.fromkeys(_UNITS, _TABLED),
        _line_and_power,
        lambda known, to: cell_scale(known.nanometres, to.nanometres),
    ),
    "eDRAM": Memory(
        "eDRAM of CACTI",
        f"CACTI 7, lp-dram, 32 nm, 64 KB and 256 bit; {SCALING}",
        _at(32),
        {
            "read": lambda size, width, to: edram_energy(size, width, to) / 10**12,
            "write": lambda size, width, to: edram_energy(size, width, to) / 10**12,
            "leakage": lambda size, width, to: edram_leakage(size, width, to) / 10**3,
            "area": lambda size, width, to: edram_area(size, width, to) / 10**6,
        },
        {
            "read": f"23.6 pJ {_SHAPED}",
            "write": f"23.6 pJ {_SHAPED}",
            "leakage": f"5.9 mW {_SHAPED}",
            "area": f"0.095 mm^2 {_SHAPED}",
        },
        _shape_told,
        lambda known, to: cell_scale(known.nanometres, to.nanometres),
    ),
    "registers": Memory(
        "registers",
        f"{REGISTER.source}; {SCALING}",
        lambda to: reference(REGISTER.node, to.transistors),
        {
            "read": _registers(ENERGY),
            "write": _registers(ENERGY),
            "leakage": _registers(LEAKAGE),
            "area": _registers(AREA),
        },
        {
            "read": f"width * {REGISTER.energy:g} fJ",
            "write": f"width * {REGISTER.energy:g} fJ",
            "leakage": f"size * {REGISTER.leakage:g} nW",
            "area": f"size * {REGISTER.area:g} um^2",
        },
        lambda field, size, width, known: (),
        lambda known, to: scale_area(1, known, to),
    ),
}
"""By the word of `memory`."""


def _data(bits: float) -> str:
    return show(Quantity(Fraction(bits), DATA))


def _checked(facts: Facts) -> tuple[float, float]:
    """Bits of the memory and of a word; CostError where there is no such memory."""
    size, width = float(facts.number("size")), float(facts.number("width"))
    if size > LARGEST:
        raise CostError(f"`size` is {_data(size)}, and no memory on a chip has 1 GiB", "size")
    if size < width:
        raise CostError(
            f"`size` is {_data(size)}, less than one word of `width` {_data(width)}", "size"
        )
    return size, width


def _doubts(memory: str, size: float, width: float) -> Iterator[str]:
    if memory == "registers":
        if size > MOST_REGISTERS:
            yield f"`size` {_data(size)} is above 4 KiB, where registers are no memory"
        return
    if not KB // 4 <= size <= 4096 * KB:
        yield f"`size` {_data(size)} is outside 256 B..4 MiB, the sizes of CACTI's table"
    if not 16 <= width <= 512:
        yield f"`width` {_data(width)} is outside 16 bit..512 bit, the widths of CACTI's table"


_RULES = {
    "read": f"energy = {ENERGY_RULE}",
    "write": f"energy = {ENERGY_RULE}",
    "leakage": f"leakage = {LEAKAGE_RULE}",
    "area": "area = known * shrink",
}


def _scaling(field: str, memory: Memory, to: Technology) -> Inputs:
    known = memory.known(to)
    if field == "area":
        return (("shrink", f"{memory.shrink(known, to):.6g}"), *to.told())
    return leakage_inputs(known, to) if field == "leakage" else energy_inputs(known, to)


def _estimate(facts: Facts, field: str, quantity: Callable[[float], Quantity]) -> Estimate:
    word = facts.word("memory")
    memory, to = MEMORIES[word], technology(facts)
    size, width = _checked(facts)
    known = memory.known(to)
    there = quantity(memory.numbers[field](size, width, known))
    inputs: Inputs = (
        ("size", _data(size)),
        ("width", _data(width)),
        *memory.told(field, size, width, known),
        ("known", f"{show(there)} at {known.nanometres:g} nm"),
    )
    return Estimate(
        quantity(memory.numbers[field](size, width, to)),
        memory.model,
        f"{_RULES[field]}, known = {memory.formulas[field]}",
        (*inputs, *_scaling(field, memory, to)),
        memory.source,
        (*to.warnings, *_doubts(word, size, width)),
    )


MODELS = (
    Model("buffer", "read.energy", lambda facts: _estimate(facts, "read", joules)),
    Model("buffer", "write.energy", lambda facts: _estimate(facts, "write", joules)),
    Model("buffer", "leakage", lambda facts: _estimate(facts, "leakage", watts)),
    Model("buffer", "area", lambda facts: _estimate(facts, "area", square_metres)),
)
