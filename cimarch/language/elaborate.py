"""From the tree of parts to the System: evaluate, check, and freeze."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, remembered
from cimarch.hardware.costs import Estimate, Model
from cimarch.hardware.kinds import CROSSBARS, KINDS
from cimarch.hardware.system import (
    RUNNING_NAMES,
    Action,
    Cost,
    Link,
    Override,
    Part,
    System,
    Value,
)
from cimarch.language import ast
from cimarch.language.assertions import check_assertion
from cimarch.language.converters import converter_problems
from cimarch.language.doubts import doubts
from cimarch.language.evaluate import Evaluator
from cimarch.language.instances import ActionSlot, Instance
from cimarch.language.links import Linker
from cimarch.language.names import name_problems
from cimarch.language.pricing import PartFacts, estimate, model_for, trial
from cimarch.language.references import Failed, Running, Scope, needs
from cimarch.language.settings import flag
from cimarch.language.sizes import sized_by
from cimarch.language.types import KINDS_OF_VALUE
from cimarch.units import NUMBER, Quantity

if TYPE_CHECKING:
    from cimarch.hardware.origin import Explainer

_LARGEST_ARRAY = 2**20
_MOST_DIMENSIONS = 8
_MOST_INSTANCES = 10**9


class Elaboration:
    """Evaluates one tree; `problems` holds all that is wrong with it afterwards."""

    def __init__(self, root: Instance) -> None:
        self.root = root
        self.evaluator = Evaluator()
        self.links: tuple[Link, ...] = ()

    @property
    def problems(self) -> list[Diagnostic]:
        return self.evaluator.problems

    # names

    def check_names(self) -> None:
        """Every name in every expression, whether a value needs it or not."""
        seen: set[tuple[int, int]] = set()
        for instance in self.root.walk():
            for expression, scope in self._expressions(instance):
                key = (id(expression), id(scope.instance.definition))
                if key not in seen:
                    seen.add(key)
                    self.problems.extend(name_problems(self.evaluator, expression, scope))
            self._check_declarations(instance)

    def _expressions(self, here: Instance) -> Iterator[tuple[ast.Expression, Scope]]:
        plain = Scope(here, here)
        for parameter in here.parameters.values():
            if isinstance(parameter.tree, ast.Param) and parameter.tree.range is not None:
                yield parameter.tree.range.low, plain
                yield parameter.tree.range.high, plain
        for name, binding in here.bindings.items():
            expected = self.evaluator.declared(here, name)
            yield binding.value, self.evaluator.scope(here, binding, expected, name)
        for slot in here.actions.values():
            for binding in slot.costs.values():
                yield binding.value, Scope(binding.scope, here, action=slot)
        for assertion in here.assertions:
            yield assertion.condition, plain
        for link in here.links:
            for end in link.ends:
                for index in (i for hop in end.hops for i in hop.indices):
                    yield from ((e, plain) for e in (index.first, index.last) if e is not None)
            for option in link.options:
                if isinstance(option, ast.Assign) and option.path[0].text == "width":
                    yield option.value, plain
        for child in here.children.values():
            assert child.tree is not None
            yield from ((size, plain) for size in child.tree.shape)

    def _check_declarations(self, here: Instance) -> None:
        for parameter in here.parameters.values():
            tree = parameter.tree
            if isinstance(tree, ast.Let):
                continue
            if tree.kind is not None and tree.kind.text not in KINDS_OF_VALUE:
                headline = f"there is no kind of value `{tree.kind.text}`"
                notes = (f"the kinds are {listing(KINDS_OF_VALUE)}",)
                self.problems.append(Diagnostic("E027", headline, tree.kind.span, notes=notes))
            times = Counter(parameter.choices)
            repeated = [word for word, count in times.items() if count > 1]
            if repeated:
                headline = f"`{parameter.name}` names {listing(sorted(repeated))} twice"
                self.problems.append(Diagnostic("E011", headline, tree.span))

    # values

    def evaluate(self) -> None:
        """Every shape, parameter and cost; then links and assertions."""
        self._measure(self.root)
        for instance in self.root.walk():
            for name in instance.parameters:
                with self.evaluator.collecting():
                    self.evaluator.value(instance, name)
            for slot in instance.actions.values():
                for cost in slot.costs:
                    with self.evaluator.collecting():
                        self.evaluator.cost(instance, slot, cost, self._trial(instance, slot, cost))
                with self.evaluator.collecting():
                    self._price(instance, slot)
        linker = Linker(self.root, self.evaluator)
        self.links = linker.links()

    def _price(self, here: Instance, slot: ActionSlot) -> Model | None:
        """Ask a model for the energy of an action where neither that nor a power is stated."""
        model = model_for(self.evaluator, here, f"{slot.name}.energy")
        if model is None or "energy" in slot.costs or self.evaluator.number_of(here, "power"):
            return None
        running = trial(self.evaluator, here)
        return model if estimate(self.evaluator, here, model, running) is not None else None

    def _trial(self, here: Instance, slot: ActionSlot, cost: str) -> Running | None:
        return Running(trial(self.evaluator, here)) if needs(here, slot, cost) else None

    def check(self) -> None:
        """Assertions, converters, doubts; only of a description whose values all stand."""
        for instance in self.root.walk():
            if instance.definition.kind() == "adc":
                self.problems.extend(converter_problems(instance))
            for assertion in instance.assertions:
                with self.evaluator.collecting():
                    check_assertion(self.evaluator, instance, assertion)
        if not self.problems:
            self.evaluator.doubts.extend(doubts(self.evaluator, self.root))

    def _measure(self, here: Instance) -> None:
        for child in here.children.values():
            child.has_shape = False
            with self.evaluator.collecting():
                child.shape = self._shape(here, child)
                child.has_shape = True
            child.count = here.count
            for size in child.shape:
                child.count *= size
            if child.count > _MOST_INSTANCES:
                headline = f"the system has more than {_MOST_INSTANCES:,} of `{child.path}`"
                self.problems.append(Diagnostic("E054", headline, child.place()))
                child.count = here.count
            self._measure(child)

    def _shape(self, here: Instance, child: Instance) -> tuple[int, ...]:
        assert child.tree is not None
        shape: list[int] = []
        if len(child.tree.shape) > _MOST_DIMENSIONS:
            headline = f"the array `{child.path}` has more than {_MOST_DIMENSIONS} dimensions"
            raise Failed(Diagnostic("E053", headline, child.tree.shape[_MOST_DIMENSIONS].span))
        for expression in child.tree.shape:
            size = self.evaluator.number(expression, Scope(here, here))
            whole = size.dimension == NUMBER and size.value.denominator == 1
            if not whole or not 1 <= size.value <= _LARGEST_ARRAY:
                headline = f"the array `{child.path}` has the size {size}"
                note = f"a size is a whole number in 1..{_LARGEST_ARRAY:,}"
                problem = Diagnostic("E053", headline, expression.span, f"{size}", notes=(note,))
                raise Failed(problem)
            shape.append(int(size.value))
        return tuple(shape)

    # the result

    def system(
        self, overrides: tuple[Override, ...], sources: tuple[tuple[str, str], ...]
    ) -> System:
        """The frozen System; only of a tree without problems."""
        root = self._part(self.root)
        return System(
            name=self.root.definition.name,
            clock=root.clock,
            root=root,
            links=self.links,
            assumed=assumed(root),
            overrides=overrides,
            sources=sources,
            warnings=(*self.evaluator.warnings(), *self.evaluator.doubts),
            explaining=Explaining(self.evaluator, self.root, _texts(sources, overrides)),
        )

    def _part(self, here: Instance) -> Part:
        params = {
            name: _plain(value)
            for name, value in here.values.items()
            if value is not None
            and not here.parameters[name].is_let
            and not self.evaluator.is_late(here, name)
        }
        beat = params.get("beat")
        if isinstance(here.bindings["beat"].value, ast.Unset):
            params.pop("beat", None)
        return Part(
            path=here.path,
            name=here.name,
            kind=here.definition.kind(),
            type_name=here.type_name,
            shape=here.shape,
            count=here.count,
            clock=_number(params["clock"]),
            beat=_number(beat) if beat is not None else None,
            params=params,
            actions={slot.name: self._action(here, slot) for slot in here.actions.values()},
            area=_number(params["area"]),
            power=_number(params["power"]),
            leakage=_number(params["leakage"]),
            parts=tuple(self._part(child) for child in here.children.values()),
            span=here.place(),
            stated=frozenset(n for n, b in here.bindings.items() if not b.is_standard),
            serves=self._serves(here),
            estimates=dict(here.estimates),
            sized_by=sized_by(here),
        )

    def _serves(self, here: Instance) -> Condition | None:
        """What a pool takes, where the description says."""
        stated = self.evaluator.is_late(here, "serves")
        stated = stated and not here.bindings["serves"].is_standard
        return Condition(self.evaluator, here) if stated else None

    def _action(self, here: Instance, slot: ActionSlot) -> Action:
        costs = {name: self._cost(here, slot, name) for name in slot.costs}
        action = Action(slot.name, costs.get("latency"), costs.get("energy"), span=slot.place)
        model = self._price(here, slot)
        if model is None:
            return action
        found = here.estimates[model.target]
        return attrs.evolve(
            action, energy=self._modelled(here, model, found), origin=f"model {found.model}"
        )

    def _modelled(self, here: Instance, model: Model, found: Estimate) -> Cost:
        if not model.needs:
            return Cost(found.quantity)
        return Cost(None, PricedFormula(self.evaluator, here, model), model.needs)

    def _cost(self, here: Instance, slot: ActionSlot, name: str) -> Cost:
        span = slot.costs[name].value.span
        needed = needs(here, slot, name)
        if needed:
            formula = Formula(self.evaluator, here, slot, name, needed)
            return Cost(None, formula, needed, span)
        return Cost(self.evaluator.cost(here, slot, name, None), span=span)


@attrs.frozen(eq=False)
class Formula:
    """A cost that depends on the run; calling it gives the value in SI units."""

    evaluator: Evaluator
    instance: Instance
    action: ActionSlot
    cost: str
    needs: frozenset[str]

    def __call__(self, running: Mapping[str, Fraction]) -> Quantity:
        """The value under the running names; KeyError where one that it needs is missing."""
        given = {name: Fraction(running[name]) for name in RUNNING_NAMES if name in running}
        missing = self.needs - given.keys()
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        try:
            return self.evaluator.cost(self.instance, self.action, self.cost, Running(given))
        except Failed as failure:
            problems = () if failure.problem is None else (failure.problem,)
            raise DescriptionError(*problems) from None


@attrs.frozen(eq=False)
class PricedFormula:
    """A modelled energy that depends on the run; calling it gives the value in joules."""

    evaluator: Evaluator
    instance: Instance
    model: Model

    def __call__(self, running: Mapping[str, Fraction]) -> Quantity:
        """The value under the running names."""
        found = self.at(running)
        return found.quantity

    def at(self, running: Mapping[str, Fraction]) -> Estimate:
        """The whole estimate under the running names."""
        found = self.model.price(PartFacts(self.evaluator, self.instance, running))
        assert found is not None
        return found


@attrs.frozen(eq=False)
class Condition:
    """`serves` of a pool; calling it says whether the pool takes an operation."""

    evaluator: Evaluator
    instance: Instance

    def __call__(self, served: Mapping[str, Value]) -> bool:
        """Whether it is true under the served names."""
        try:
            return self.evaluator.serves(self.instance, served)
        except Failed as failure:
            problems = () if failure.problem is None else (failure.problem,)
            raise DescriptionError(*problems) from None


@attrs.frozen(eq=False)
class Explaining:
    """What a System keeps of its description to say where numbers come from, when asked."""

    evaluator: Evaluator
    root: Instance
    files: Mapping[str, tuple[str, ...]]

    def __call__(self) -> Explainer:
        """Make the explainer, with what only it imports."""
        from cimarch.language.origins import Origins
        from cimarch.language.written import Texts

        return Origins(self.evaluator, self.root, Texts(self.files))


def _texts(
    sources: tuple[tuple[str, str], ...], overrides: tuple[Override, ...]
) -> dict[str, tuple[str, ...]]:
    """The lines of all that was read, files and flags."""
    files = [file for file, _ in sources] + [flag(o.path, o.text) for o in overrides]
    return {file: remembered(file) for file in files}


def _plain(value: Value) -> Value:
    """A value without the language's own subclasses."""
    if isinstance(value, str):
        return str(value)
    return tuple(_plain(v) for v in value) if isinstance(value, tuple) else value


def _number(value: Value) -> Fraction:
    assert isinstance(value, Quantity)
    return value.value


def assumed(root: Part) -> tuple[str, ...]:
    """What the description leaves to the library's defaults and the run depends on."""
    lines = []
    for part in root.walk():
        for name in KINDS[part.kind].figures:
            if name not in part.stated and name in part.params:
                lines.append(f"`{name}` of `{part.path}` is {told(part.params[name])}")
    return tuple(lines)


def told(value: Value) -> str:
    """A value as a description writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(told(v) for v in value) + "]"
    return str(value)


def unused_problems(roots: list[Instance]) -> list[Diagnostic]:
    """Names that mean nothing in components that the system does not use."""
    problems = []
    for root in roots:
        elaboration = Elaboration(root)
        elaboration.check_names()
        problems += elaboration.problems
    return problems


def system_problems(root: Instance) -> list[Diagnostic]:
    """What a system must have: something that multiplies, and only kinds that are known."""
    problems = []
    for instance in root.walk():
        kind = instance.definition.kind()
        if kind not in KINDS:
            headline = f"nothing in cimarch behaves like a `{kind}`"
            problems.append(Diagnostic("E091", headline, instance.place()))
    if not any(i.definition.kind() in CROSSBARS for i in root.walk()):
        headline = f"the system `{root.definition.name}` has no crossbar"
        place = root.definition.tree.name.span
        helps = ("a part that `is crossbar` or `is digital_array` holds weights",)
        problems.append(Diagnostic("E090", headline, place, helps=helps))
    kind = root.definition.kind()
    if kind in KINDS and KINDS[kind].ports:
        headline = f"the system `{root.definition.name}` is itself of the kind `{kind}`"
        base = root.definition.base
        helps = (f"make that a part of it: `part {kind}: {base.name if base else kind}`",)
        problems.append(Diagnostic("E093", headline, root.definition.tree.name.span, helps=helps))
    return problems
