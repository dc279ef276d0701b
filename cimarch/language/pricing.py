"""Asking the cost models for what a description leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from cimarch.diagnostics import Diagnostic
from cimarch.hardware.costs import CostError, Estimate, Model, model_of
from cimarch.hardware.kinds import CROSSBARS
from cimarch.language.references import Failed, Running
from cimarch.units import Quantity

if TYPE_CHECKING:
    from cimarch.language.evaluate import Evaluator
    from cimarch.language.instances import Instance

_ORDINARY: Mapping[str, Fraction] = {
    "active_rows": Fraction(64),
    "active_columns": Fraction(64),
    "input_bits": Fraction(8),
    "weight_bits": Fraction(8),
    "input_density": Fraction(1, 2),
    "weight_density": Fraction(1, 2),
    "steps": Fraction(8),
}


def trial(e: Evaluator, instance: Instance) -> dict[str, Fraction]:
    """An ordinary run, by which a formula over the running names is tried out: at the precision and
    the densities that the system states, with all word lines and columns of an array."""
    root = instance
    while root.parent is not None:
        root = root.parent
    stated = {n: e.number_of(root, n) for n in _ORDINARY if n in root.parameters}
    if instance.definition.kind() in CROSSBARS:
        stated["active_rows"] = e.number_of(instance, "word_lines")
        stated["active_columns"] = e.number_of(instance, "columns")
    return {**_ORDINARY, **stated}


PRICED = ("area", "leakage", "idle_power", "router_area")
"""The parameters that a model may give."""


@attrs.frozen(eq=False)
class PartFacts:
    """What a model may ask of one part: its parameters, worked out when they are asked for."""

    evaluator: Evaluator
    instance: Instance
    running: Mapping[str, Fraction] = attrs.field(factory=dict)

    @property
    def kind(self) -> str:
        """The component of the library that the part is at the bottom."""
        return self.instance.definition.kind()

    @property
    def clock(self) -> Fraction:
        """Hz: the part's clock."""
        return self.evaluator.clock(self.instance)

    def has(self, name: str) -> bool:
        """Whether a parameter has a value: it is not `none`."""
        return self.evaluator.lent(self.instance, name) is not None

    def number(self, name: str) -> Fraction:
        """The value of a parameter that is a number."""
        value = self.evaluator.lent(self.instance, name)
        assert isinstance(value, Quantity)
        return value.value

    def word(self, name: str) -> str:
        """The value of a parameter that is a word."""
        value = self.evaluator.lent(self.instance, name)
        assert isinstance(value, str)
        return value

    def flag(self, name: str) -> bool:
        """The value of a parameter that is true or false."""
        value = self.evaluator.lent(self.instance, name)
        assert isinstance(value, bool)
        return value

    def list(self, name: str) -> tuple[object, ...]:
        """The value of a parameter that is a list."""
        value = self.evaluator.lent(self.instance, name)
        assert isinstance(value, tuple)
        return value

    def latency(self, action: str, running: Mapping[str, Fraction]) -> Fraction:
        """Seconds of one of the part's own actions: as stated, else a cycle of its clock."""
        slot = self.instance.actions[action]
        if "latency" not in slot.costs:
            return 1 / self.clock
        given = Running({**trial(self.evaluator, self.instance), **running})
        return self.evaluator.cost(self.instance, slot, "latency", given).value

    def stated(self, action: str) -> Fraction | None:
        """Joules of one of the part's own actions, as the description states them, in an ordinary
        run; None where it does not."""
        slot = self.instance.actions[action]
        if "energy" not in slot.costs:
            return None
        given = Running(trial(self.evaluator, self.instance))
        return self.evaluator.cost(self.instance, slot, "energy", given).value


def model_for(e: Evaluator, instance: Instance, target: str) -> Model | None:
    """The model that prices a number of a part which its description leaves open."""
    with_node = e.lent(instance, "node") is not None
    return model_of(instance.definition.kind(), target, with_node=with_node)


def estimate(
    e: Evaluator, instance: Instance, model: Model, running: Mapping[str, Fraction]
) -> Estimate | None:
    """What a model says of a part; raises Failed where its formula means nothing there."""
    try:
        found = model.price(PartFacts(e, instance, running))
    except CostError as error:
        raise Failed(_meaningless(instance, error)) from None
    if found is not None:
        instance.estimates[model.target] = found
        for sentence in found.warnings:
            e.warn(instance, sentence)
    return found


def _meaningless(instance: Instance, error: CostError) -> Diagnostic:
    binding = instance.bindings.get(error.parameter)
    place = instance.place() if binding is None or binding.is_standard else binding.value.span
    headline = f"{instance.told()} cannot be priced: {error.headline}"
    return Diagnostic("E062", headline, place, helps=error.helps)
