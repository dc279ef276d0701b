"""Where inputs live and which way results go.

A site's results leave its arrays, meet at an adder where a matrix has several row blocks, pass the
unit of each digital operation of the tail in order, and are stored in the home of every reader.
"""

from __future__ import annotations

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part
from cimarch.mapping.homes import Home
from cimarch.mapping.sites import Source
from cimarch.mapping.wiring import ADDERS, Wiring
from cimarch.workload.network import Operation

CARRY = Operation("partial sums", "add", ("sums", "carried"), ("sums",))
"""The addition, in a later group, of sums that a group boundary cuts."""


@attrs.frozen
class Operand:
    """A stored tensor that an operation of the tail reads beside the results that pass it."""

    source: Source
    home: Home | None
    way: Route | None
    """From its home (from outside, where that does not hold it whole) to the unit; None where it
    is at hand."""


@attrs.frozen
class Waypoint:
    """A digital operation on the way, and the unit or adder that does it."""

    operation: Operation
    at: Instances | None
    """None: the description has no such part, so it is done at once and free."""
    way: Route | None
    """From the place before; None where that is the same place."""
    operands: tuple[Operand, ...] = ()


@attrs.frozen
class Flow:
    """The way of some column blocks' results, from where they gather to where they are read."""

    blocks: tuple[int, ...]
    """The column blocks that share the way, by their place in the site."""
    adder: Instances | None
    """Where the sums of one column block meet; None for a single one, or where sums are free."""
    origin: Instances
    """Where a row of results gathers: the adder, a buffer, or the array itself."""
    waypoints: tuple[Waypoint, ...] = ()
    stores: tuple[Store, ...] = ()
    spill: Route | None = None
    """Where a group boundary cuts sums: the way from the origin to where they wait."""
    carried: Route | None = None
    """The way from there to the first waypoint, which adds them."""


@attrs.frozen
class Store:
    """A home (or the chip's edge) that receives the results, and the way there."""

    at: Instances
    way: Route
    bits: int
    """Of one element."""


def no_way(source: Instances, target: Instances, why: str) -> DescriptionError:
    """The diagnostic for two places that no links join."""
    return DescriptionError(
        Diagnostic(
            "E224",
            f"no route leads from `{source.path}` to `{target.path}`, {why}",
            helps=(f"connect them: `connect {source.path} -> {target.path}`",),
        )
    )


def words_of(op: Operation) -> tuple[str, ...]:
    """The words by which a unit's `does` may name an operation, the most precise first."""
    if op.kind == "pool":
        return (f"{op.function}_pool", "pool")
    words = (op.function, op.kind) if op.function else (op.kind,)
    return tuple(dict.fromkeys(words))


def able(part: Part, op: Operation) -> bool:
    """Whether a part can do a digital operation."""
    if part.kind in ADDERS:
        return op.kind == "add"
    if part.kind != "unit":
        return False
    does = part.params.get("does", ("any",))
    named = does if isinstance(does, tuple) else (does,)
    return "any" in named or any(word in named for word in words_of(op))


def unit_for(wiring: Wiring, here: Instances, op: Operation) -> Instances | None:
    """The nearest able part from a place on; None where the system has no such kind at all.

    Raises DescriptionError where such parts exist but none can do it, or none is reached.
    """
    system = wiring.system
    if able(system.part(here.path), op) and _operands_reach(wiring, here, op):
        return here
    for at in wiring.routes.downstream(here):
        if able(system.part(at.path), op) and _operands_reach(wiring, at, op):
            return _lanes(system.part(at.path), at)
    parts = [p for p in system.walk() if p.kind == "unit"]
    fit = [p for p in system.walk() if able(p, op)]
    if not parts and not fit:
        return None
    word = words_of(op)[0]
    if fit:
        headline = f"no part that does `{word}` is reached from `{here.path}`"
        helps: tuple[str, ...] = (f"connect `{here.path}` to one of them",)
        if len(op.inputs) > 1:
            headline += " and from a buffer"
            helps = ("connect one of them, or a unit that does it, to both",)
            buffer = next((p.path for p in system.walk() if p.kind == "buffer"), "")
            if buffer:
                helps = (f"`connect {buffer} -> {fit[0].path}`, say, where `{buffer}` keeps the "
                         f"other operand", *helps)  # fmt: skip
        notes = tuple(f"`{p.path}` does it" for p in fit[:3])
    else:
        headline = f"no unit of the system does `{word}`"
        notes = tuple(f"`{p.path}` does {_listed(p)}" for p in parts[:3])
        helps = (f"add `{word}` to the `does` of a unit",)
    raise DescriptionError(
        Diagnostic("E222", headline, notes=(f"`{op.name}` needs it", *notes), helps=helps)
    )


def _listed(part: Part) -> str:
    does = part.params.get("does", ())
    return ", ".join(f"`{word}`" for word in (does if isinstance(does, tuple) else (does,)))


def _operands_reach(wiring: Wiring, at: Instances, op: Operation) -> bool:
    """Whether a second operand can come from some buffer."""
    return len(op.inputs) < 2 or any(len(b) == 1 for b in wiring.feeders(at))


def _lanes(part: Part, at: Instances) -> Instances:
    """The members that one place leads to; of those behind a mesh, the first such set."""
    lanes = 1
    for extent in part.shape:
        lanes *= extent
    return at if len(at) <= lanes else Instances(at.path, at.lo, at.lo + lanes)


def route_from(wiring: Wiring, here: Instances, target: Instances, why: str) -> Route | None:
    """The way between two places; None where they are one. Raises where no links lead there."""
    if here == target:
        return None
    way = wiring.routes.find(here, target)
    if way is None:
        raise no_way(here, target, why)
    return way
