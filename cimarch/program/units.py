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
from cimarch.program.kept import Work
from cimarch.program.sketch import Slot


def work_slot(context: Context, at: Instances, count: int) -> Slot:
    """A task of a part that does a digital operation on `count` elements."""
    if context.system.part(at.path).kind in ADDERS:
        return add_slot(context, at, count, 2, -1)
    key = ("unit", at.path, len(at), count, 1)
    if key not in context.works:
        context.works[key] = _computed(context, at, count)
    busy, late, charges = context.works[key]
    return context.slot(at, busy, late, "unit", -1, charges, stage=True)


def add_slot(context: Context, at: Instances, count: int, sums: int, tile: int) -> Slot:
    """A task of an adder that makes `count` additions, `sums` terms to a result."""
    key = ("add", at.path, len(at), count, sums)
    if key not in context.works:
        context.works[key] = _added(context, at, count, sums)
    busy, late, charges = context.works[key]
    return context.slot(at, busy, late, "add", tile, charges, stage=True)


def _computed(context: Context, at: Instances, count: int) -> Work:
    part = context.system.part(at.path)
    busy = ceil(Fraction(count, part.integer("lanes") * len(at))) * part.number("ii")
    late = busy + (part.integer("stages") - 1) / part.clock
    priced = charge(part, "compute", count, busy=busy, members=len(at), running=context.running)
    return _work(context, at, busy, late, priced)


def _added(context: Context, at: Instances, count: int, sums: int) -> Work:
    part = context.system.part(at.path)
    busy, late = _adding(part, len(at), count, sums, context.running)
    priced = charge(part, "add", count, busy=busy, members=len(at), running=context.running)
    return _work(context, at, busy, late, priced)


def _work(context: Context, at: Instances, busy: Fraction, late: Fraction, priced: Charge) -> Work:
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
