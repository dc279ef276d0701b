"""Buffers: SRAM and eDRAM interpolated from a table of CACTI 7, registers by the bit.

What a memory would be where its figures were taken is scaled to the part's technology. SRAM is the
table at the nearest of its nodes. eDRAM is CACTI's one point (64 KB, 256 bits, `lp-dram`, 32 nm)
with the shape of the table in size and width; a write is priced as a read, because CACTI's 807 pJ
of a write are the restoring of a whole row. ISAAC (Table I) gives 20.45 pJ and 0.083 mm^2 for the
same memory, 13 % less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import log

import attrs

from cimarch.hardware.costs.clock import clocked
from cimarch.hardware.costs.inputs import Inputs, joules, square_metres, watts
from cimarch.hardware.costs.logic import REGISTER
from cimarch.hardware.costs.memory_table import (
    EDRAM,
    KB,
    KELVIN,
    NODES,
    SOURCE,
    WIDE,
    shape,
    tabled,
)
from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    ENERGY_RULE,
    LEAKAGE_RULE,
    SCALING,
    Technology,
    energy_inputs,
    leakage_inputs,
    reference,
    scale_area,
    scale_energy,
    scale_leakage,
    technology,
)
from cimarch.units import DATA, Quantity, show

LARGEST = 2**20 * KB
MOST_REGISTERS = 4 * KB


def cell_scale(known: float, to: float) -> float:
    """How areas of memories go between two nodes (nm).

    As squares of the feature size down to 22 nm, below it in proportion to the node's name: bit
    cells have hardly shrunk since (hwcomponents-cacti, after IEDM 2022).
    """

    def relative(node: float) -> float:
        return (node / 22) ** 2 if node >= 22 else node / 22

    return relative(to) / relative(known)


def _cells(known: Technology, to: Technology) -> float:
    return cell_scale(known.nanometres, to.nanometres)


@attrs.frozen
class Memory:
    """One kind of memory, where its figures were taken."""

    model: str
    source: str
    known: Callable[[Technology], Technology]
    """Where the figures were taken that price a memory in some technology."""
    number: Callable[[str, float, float, Technology], float]
    """There: pJ of a `read` or `write`, mW of `leakage`, mm^2 of `area`, by size and width."""
    formulas: dict[str, str]
    """How these come about."""
    told: Callable[[str, float, float, Technology], Inputs]
    """What is put in for that, beside size and width."""
    shrink: Callable[[Technology, Technology], float] = _cells
    """How its area goes from there to another technology."""


def _nearest(to: Technology) -> Technology:
    node = min(max(to.nanometres, NODES[0]), NODES[1])
    return reference(node, to.transistors, temperature=KELVIN)


def _sram(field: str, size: float, width: float, known: Technology) -> float:
    return tabled(field, size, width, known.nanometres, known.transistors)


def _sram_told(field: str, size: float, width: float, known: Technology) -> Inputs:
    """The table along the size, for words of 256 bits, and the power of the width."""
    wide, narrow = (_sram(field, size, bits, known) for bits in (WIDE, 64))
    power = log(wide / narrow) / log(WIDE / 64)
    return (("line", f"{wide:.6g} {_UNITS[field]}"), ("power", f"{power:.6g}"))


_EDRAM: dict[str, tuple[float, str]] = {
    "read": (EDRAM.read, "read"),
    "write": (EDRAM.read, "read"),
    "leakage": (EDRAM.leakage, "leakage"),
    "area": (EDRAM.area or 0, "area"),
}
"""The one point, and the number of the table whose shape it takes on."""


def _edram(field: str, size: float, width: float, known: Technology) -> float:
    point, like = _EDRAM[field]
    return point * shape(like, size, width)


def _edram_told(field: str, size: float, width: float, known: Technology) -> Inputs:
    return (("shape", f"{shape(_EDRAM[field][1], size, width):.6g}"),)


_BIT: dict[str, float] = {
    "read": REGISTER.energy / 10**3,
    "write": REGISTER.energy / 10**3,
    "leakage": REGISTER.leakage / 10**6,
    "area": REGISTER.area / 10**6,
}
"""pJ, mW and mm^2 of a bit in a register."""


def _registers(field: str, size: float, width: float, known: Technology) -> float:
    """All bits stand and leak; those of one word are read or written."""
    return (width if field in ("read", "write") else size) * _BIT[field]


_UNITS = {"read": "pJ", "write": "pJ", "leakage": "mW", "area": "mm^2"}
_TABLED = "line * (width / 256 bit)^power, line = CACTI's table at size and 256 bit"
_SHAPED = "shape, shape = SRAM of size and width / SRAM of 64 KB and 256 bit"

MEMORIES = {
    "SRAM": Memory(
        "SRAM of CACTI", SOURCE, _nearest, _sram, dict.fromkeys(_UNITS, _TABLED), _sram_told
    ),
    "eDRAM": Memory(
        "eDRAM of CACTI",
        "CACTI 7, lp-dram, 32 nm, 64 KB and 256 bit",
        lambda to: reference(32, to.transistors, temperature=KELVIN),
        _edram,
        {field: f"{point:g} {_UNITS[field]} * {_SHAPED}" for field, (point, _) in _EDRAM.items()},
        _edram_told,
    ),
    "registers": Memory(
        "registers",
        REGISTER.source,
        lambda to: reference(REGISTER.node, to.transistors),
        _registers,
        {
            "read": f"width / bit * {REGISTER.energy:g} fJ",
            "write": f"width / bit * {REGISTER.energy:g} fJ",
            "leakage": f"size / bit * {REGISTER.leakage:g} nW",
            "area": f"size / bit * {REGISTER.area:g} um^2",
        },
        lambda field, size, width, known: (),
        lambda known, to: scale_area(1, known, to),
    ),
}
"""By the word of `memory`."""


@attrs.frozen
class Rule:
    """How one number of a memory goes from where its figures were taken to a technology."""

    formula: str
    scaled: Callable[[float, Memory, Technology], float]
    """From pJ, mW or mm^2 there, to SI units."""
    inputs: Callable[[Memory, Technology], Inputs]
    quantity: Callable[[float], Quantity]
    si: float
    """Of one pJ, mW or mm^2."""


_ENERGY = Rule(
    f"energy = {ENERGY_RULE}",
    lambda number, memory, to: scale_energy(number, memory.known(to), to),
    lambda memory, to: energy_inputs(memory.known(to), to),
    joules,
    1e-12,
)
RULES = {
    "read": _ENERGY,
    "write": _ENERGY,
    "leakage": Rule(
        f"leakage = {LEAKAGE_RULE}",
        lambda number, memory, to: scale_leakage(number, memory.known(to), to),
        lambda memory, to: leakage_inputs(memory.known(to), to),
        watts,
        1e-3,
    ),
    "area": Rule(
        "area = known * shrink",
        lambda number, memory, to: number * memory.shrink(memory.known(to), to),
        lambda memory, to: (
            ("shrink", f"{memory.shrink(memory.known(to), to):.6g}"),
            *to.told(),
        ),
        square_metres,
        1e-6,
    ),
}


def price(field: str, size: float, width: float, to: Technology, *, memory: str = "SRAM") -> float:
    """J of a `read` or `write`, W of `leakage` or m^2 of `area`, of bits with words of bits."""
    kind = MEMORIES[memory]
    number = kind.number(field, size, width, kind.known(to))
    return RULES[field].scaled(number, kind, to) * RULES[field].si


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


def _estimate(facts: Facts, field: str) -> Estimate:
    word, to = facts.word("memory"), technology(facts)
    memory, rule = MEMORIES[word], RULES[field]
    size, width = _checked(facts)
    known = memory.known(to)
    there = rule.quantity(memory.number(field, size, width, known) * rule.si)
    return Estimate(
        rule.quantity(price(field, size, width, to, memory=word)),
        memory.model,
        f"{rule.formula}, known = {memory.formulas[field]}",
        (
            ("size", _data(size)),
            ("width", _data(width)),
            *memory.told(field, size, width, known),
            ("known", f"{show(there)} at {known.nanometres:g} nm"),
            *rule.inputs(memory, to),
        ),
        f"{memory.source}; {SCALING}",
        (*to.warnings, *_doubts(word, size, width)),
    )


def _register_bits(facts: Facts) -> float:
    """Bits that are clocked: those of registers, none of a memory's cells."""
    return float(facts.number("size")) if facts.word("memory") == "registers" else 0.0


MODELS = (
    Model("buffer", "read.energy", lambda facts: _estimate(facts, "read")),
    Model("buffer", "write.energy", lambda facts: _estimate(facts, "write")),
    Model("buffer", "leakage", lambda facts: _estimate(facts, "leakage")),
    Model("buffer", "area", lambda facts: _estimate(facts, "area")),
    clocked("buffer", _register_bits, "size"),
)
