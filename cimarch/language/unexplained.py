"""What `explain` says of an address that leads nowhere, and of an energy that nobody says."""

from __future__ import annotations

from cimarch.diagnostics import Diagnostic, listing, suggestion
from cimarch.hardware.costs import models
from cimarch.hardware.kinds import COSTS
from cimarch.language.instances import ActionSlot, Instance
from cimarch.language.reads import address_in

COUNT = "count"
"""The number of a part's instances, explained like a parameter."""


def no_such(here: Instance, asked: str, rest: tuple[str, ...]) -> Diagnostic:
    """The diagnostic for an address that leads nowhere."""
    if "[" in asked:
        helps: tuple[str, ...] = ("leave the `[...]` out: all members of an array are alike",)
        return Diagnostic("E400", f"`{asked}` is no path of a part", helps=helps)
    if not all(name.isidentifier() for name in rest):
        return Diagnostic("E400", f"`{asked}` is no path of a part")
    action = here.actions.get(rest[0])
    if action is not None:
        known: list[str] = list(COSTS)
        headline = f"`{action.name}` of {here.told()} has no cost `{'.'.join(rest[1:])}`"
        notes: tuple[str, ...] = (f"its costs are {listing(known)}",)
    else:
        known = [*here.children, *here.parameters, *here.actions, COUNT]
        headline = f"there is no `{rest[0]}` in {here.told()}"
        notes = (f"its parts are {listing(here.children)}",) if here.children else ()
        notes += (f"its actions are {listing(here.actions)}",) if here.actions else ()
        if rest[0] in here.parameters:
            headline = f"`{rest[0]}` of {here.told()} is a number, with nothing in it"
    helps = _deeper(here, rest) or suggestion(rest[-1], known)
    return Diagnostic("E400", headline, notes=notes, helps=helps)


def _deeper(here: Instance, rest: tuple[str, ...]) -> tuple[str, ...]:
    """A part further in that has the name: `tile.ima.adc.bits` for `adc.bits`."""
    for part in here.walk()[1:]:
        if part.name == rest[0]:
            within, left = part.below(rest[1:])
            if not left or left[0] in (*within.parameters, *within.actions, COUNT):
                return (f"did you mean `{'.'.join((part.path, *rest[1:]))}`?",)
    return ()


def what_to_type(here: Instance, slot: ActionSlot, whole: str) -> tuple[str, ...]:
    """How an energy that nobody says is given."""
    stating = f"`action {slot.name} {{ energy = ... }}` in `{here.type_name}` states it"
    if here.definition.is_standard:
        stating = f"`action {slot.name} {{ energy = ... }}` in the body of {here.told()} states it"
    trying = f'`--set {address_in(here, whole)}="1 pJ"` tries a value'
    model = whole in models(here.definition.kind())
    node = ("`node = 32 nm` in the system lets a cost model price it",)
    return (stating, trying, *(node if model and here.values.get("node") is None else ()))
