"""Adders and digital units: how long they take for some elements, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, log2

from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.wiring import ADDERS
from cimarch.program.charges import Charge, charge, latency_of
from cimarch.program.context import Context
from cimarch.program.sketch import Slot


def work_slot(context: Context, at: Instances, count: int) -> Slot:
    """A task of a part that does a digital operation on `count` elements."""
    part = context.system.part(at.path)
    if part.kind in ADDERS:
        return add_slot(context, at, count, 2, -1)
    busy = ceil(Fraction(count, part.integer("lanes") * len(at))) * part.number("ii")
    late = busy + (part.integer("stages") - 1) / part.clock
    priced = charge(part, "compute", count, busy=busy, members=len(at), running=context.running)
    return _slot(context, at, busy, late, "unit", -1, priced)


def add_slot(context: Context, at: Instances, count: int, sums: int, tile: int) -> Slot:
    """A task of an adder that makes `count` additions, `sums` terms to a result."""
    part = context.system.part(at.path)
    busy, late = _adding(part, len(at), count, sums, context.running)
    priced = charge(part, "add", count, busy=busy, members=len(at), running=context.running)
    return _slot(context, at, busy, late, "add", tile, priced)


def _slot(
    context: Context, at: Instances, busy: Fraction, late: Fraction, kind: str, tile: int,
    priced: Charge,
) -> Slot:  # fmt: skip
    what = f"work of `{at.path}`"
    cycles = context.cycles(busy, what)
    return context.slot(at, cycles, context.cycles(late, what), kind, tile, (priced,), stage=True)


def _adding(
    part: Part, members: int, count: int, sums: int, running: Mapping[str, Fraction]
) -> tuple[Fraction, Fraction]:
    """Seconds that an adder is busy, and until its last result.

    An adder makes one addition per member and cycle; a tree all of a result in one, which is
    ceil(log2 sums) cycles late.
    """
    each = latency_of(part, "add", 1 / part.clock, running)
    if part.kind == "adder_tree":
        busy = ceil(Fraction(count, (sums - 1) * members)) * each
        return busy, busy + (ceil(log2(sums)) - 1) * each
    busy = ceil(Fraction(count, members)) * each
    return busy, busy
