"""Warnings of stated costs that cannot be, each at the value that says so."""

from __future__ import annotations

from collections.abc import Iterator

from cimarch.diagnostics import Diagnostic, Span
from cimarch.hardware.plausible import BOUNDS, doubt
from cimarch.language.evaluate import Evaluator
from cimarch.language.instances import Instance
from cimarch.language.pricing import PartFacts, trial
from cimarch.language.references import Running, needs
from cimarch.units import Quantity

_NAMES = frozenset(bound.name for bound in BOUNDS)


def doubts(e: Evaluator, root: Instance) -> Iterator[Diagnostic]:
    """A warning for each number of a description that is outside its bounds; once a place.

    What cost models give is not doubted here, nor what the library sets; only for a tree whose
    values all stand.
    """
    told: set[tuple[str, Span]] = set()
    for instance in root.walk():
        facts = PartFacts(e, instance)
        for name, value, place in _stated(e, instance):
            found = doubt(facts, name, value)
            if found is not None and (found.bound.code, place) not in told:
                told.add((found.bound.code, place))
                headline = f"`{name}` of {instance.told()} is {found.words}"
                notes = (f"known: {found.bound.source}",)
                yield Diagnostic(found.bound.code, headline, place, notes=notes)


def _stated(e: Evaluator, here: Instance) -> Iterator[tuple[str, Quantity, Span]]:
    """The numbers that a description gives a part, with where it does."""
    for name, binding in here.bindings.items():
        value = here.values.get(name)
        if name not in _NAMES or binding.is_standard or not isinstance(value, Quantity):
            continue
        if not e.is_taken(here, name):
            yield name, value, binding.value.span
    for slot in here.actions.values():
        for cost, binding in slot.costs.items():
            running = Running(trial(e, here)) if needs(here, slot, cost) else None
            value = e.cost(here, slot, cost, running)
            yield f"{slot.name}.{cost}", value, binding.value.span
