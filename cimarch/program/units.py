"""Adders, digital units and drivers: how long they take for some elements, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, log2

from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.wiring import ADDERS
from cimarch.program.charges import Charge, charge, latency_of
from cimarch.program.context import Context
from cimarch.program.kept import Effort
from cimarch.program.sketch import Slot


def work_slot(context: Context, at: Instances, count: int) -> Slot:
    """A task of a part that does a digital operation on `count` elements."""
    if context.system.part(at.path).kind in ADDERS:
        return add_slot(context, at, count, 2, -1)
    key = ("unit", at.path, len(at), count, 1)
    if key not in context.efforts:
        context.efforts[key] = _computed(context, at, count)
    busy, late, charges = context.efforts[key]
    return context.slot(at, busy, late, "unit", -1, charges, stage=True)


def add_slot(context: Context, at: Instances, count: int, sums: int, tile: int) -> Slot:
    """A task of an adder that makes `count` additions, `sums` terms to a result."""
    key = ("add", at.path, len(at), count, sums)
    if key not in context.efforts:
        context.efforts[key] = _added(context, at, count, sums)
    busy, late, charges = context.efforts[key]
    return context.slot(at, busy, late, "add", tile, charges, stage=True)


def feed_slot(context: Context, at: Instances, bits: int) -> Slot:
    """A task of the buffer that drives arrays, of no tile yet: it is read for so many bits."""
    key = ("feed", at.path, len(at), bits, 1)
    if key not in context.efforts:
        context.efforts[key] = _fed(context, at, bits)
    busy, late, charges = context.efforts[key]
    return context.slot(at, busy, late, "feed", -1, charges, stage=False)


def _computed(context: Context, at: Instances, count: int) -> Effort:
    part = context.system.part(at.path)
    busy = ceil(Fraction(count, part.integer("lanes") * len(at))) * part.number("ii")
    late = busy + (part.integer("stages") - 1) / part.clock
    priced = charge(part, "compute", count, busy=busy, members=len(at), running=context.running)
    return _effort(context, at, busy, late, priced)


def _added(context: Context, at: Instances, count: int, sums: int) -> Effort:
    part = context.system.part(at.path)
    busy, late = _adding(part, len(at), count, sums, context.running)
    priced = charge(part, "add", count, busy=busy, members=len(at), running=context.running)
    return _effort(context, at, busy, late, priced)


def _fed(context: Context, at: Instances, bits: int) -> Effort:
    part, running = context.system.part(at.path), context.running
    count = ceil(bits / (part.number("width") * len(at)))
    busy = count * latency_of(part, "read", 1 / part.clock, running)
    priced = charge(part, "read", count * len(at), busy=busy, members=len(at), running=running)
    cycles = context.cycles(busy, f"a read of `{part.path}`")
    return cycles, cycles, (priced,)


def _effort(
    context: Context, at: Instances, busy: Fraction, late: Fraction, priced: Charge
) -> Effort:
    what = f"work of `{at.path}`"
    return context.cycles(busy, what), context.cycles(late, what), (priced,)


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
