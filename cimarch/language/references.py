"""What a dotted name means where it is read, and how one that means nothing is told."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import attrs

from cimarch.diagnostics import Diagnostic, listing, suggestion
from cimarch.hardware.kinds import COSTS
from cimarch.hardware.system import RUNNING_NAMES, Value
from cimarch.language import ast
from cimarch.language.instances import ActionSlot, Instance, Parameter
from cimarch.units import Quantity


class Failed(Exception):
    """A value cannot be had; the diagnostic is new, or None where it has been told already."""

    def __init__(self, problem: Diagnostic | None = None) -> None:
        self.problem = problem
        super().__init__(problem.headline if problem else "")


@attrs.frozen(eq=False)
class Running:
    """What a run gives to the costs of actions, and the costs worked out with it."""

    names: Mapping[str, Fraction]
    known: dict[tuple[Instance, str], Quantity] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Scope:
    """Where names are read while an expression is evaluated."""

    instance: Instance
    owner: Instance
    """The part whose clock a `cycle` is of."""
    words: frozenset[str] = frozenset()
    """Words that stand for themselves here: the choices of what is being set."""
    any_word: bool = False
    """Whether every bare name in a list is a word."""
    action: ActionSlot | None = None
    """In the costs of an action: the action."""
    running: Running | None = None
    """In the costs of an action: what a run gives."""
    served: Mapping[str, Value] | None = None
    """In `serves` of a pool: what an operation gives."""


@attrs.frozen
class Reference:
    """What a dotted name means: a parameter of a part, or a cost of one of its actions."""

    instance: Instance
    parameter: Parameter | None = None
    action: ActionSlot | None = None
    cost: str = ""


def refer(scope: Scope, path: tuple[str, ...]) -> Reference | None:
    """What a name means in a scope (running names and words apart); None where it means nothing."""
    if scope.action is not None and len(path) == 1 and path[0] in COSTS:
        return Reference(scope.owner, action=scope.action, cost=path[0])
    here, rest = scope.instance.below(path)
    if len(rest) == 1 and rest[0] in here.parameters:
        return Reference(here, here.parameters[rest[0]])
    if len(rest) == 2 and rest[0] in here.actions and rest[1] in COSTS:
        return Reference(here, action=here.actions[rest[0]], cost=rest[1])
    return None


def needs(instance: Instance, action: ActionSlot, cost: str) -> frozenset[str]:
    """The running names that a cost reads, through the other costs of its action too."""
    found: set[str] = set()
    waiting, seen = [(instance, action, cost)], set()
    while waiting:
        here, slot, name = waiting.pop()
        if (here, slot.name, name) in seen or name not in slot.costs:
            continue
        seen.add((here, slot.name, name))
        binding = slot.costs[name]
        scope = Scope(binding.scope, here, action=slot)
        for expression in binding.value.walk():
            if not isinstance(expression, ast.Name):
                continue
            if expression.text in RUNNING_NAMES:
                found.add(expression.text)
            elif (other := refer(scope, expression.path)) and other.action is not None:
                waiting.append((other.instance, other.action, other.cost))
    return frozenset(found)


def unknown_name(name: ast.Name, scope: Scope) -> Diagnostic:
    """The diagnostic for a name that means nothing in its scope."""
    here, rest = scope.instance.below(name.path)
    where = "here" if here is scope.instance else f"in {here.told()}"
    if scope.words and len(name.path) == 1:
        notes: tuple[str, ...] = (f"the words here are {listing(sorted(scope.words))}",)
        helps = suggestion(name.path[0], [*scope.words, *here.parameters])
        headline = f"`{name.text}` is neither one of the words here nor a parameter"
        return Diagnostic("E015", headline, name.span, "unknown word", notes=notes, helps=helps)
    if not rest:
        headline = f"`{name.text}` is a part, which has no value of its own"
        helps = (f"`{name.text}.{_telling(here)}` is a value of it",)
        return Diagnostic("E015", headline, name.span, helps=helps)
    if rest[0] in RUNNING_NAMES and scope.action is None:
        headline = f"`{rest[0]}` is known only while running"
        helps = ("it can be read in the costs of an action",)
        return Diagnostic("E057", headline, name.span, helps=helps)
    known = [*(scope.served or ()), *here.parameters, *here.children, *here.actions]
    headline = f"there is no `{rest[0]}` {where}"
    helps = (
        _from_outside(scope, rest[0]) or _from_inside(here, rest[0]) or suggestion(rest[0], known)
    )
    return Diagnostic("E015", headline, name.span, "unknown name", helps=helps)


def _telling(here: Instance) -> str:
    """The parameter that says most of a part: the first that its own kind declares."""
    own = (p.name for p in here.parameters.values() if p.definition.base is not None)
    return next(own, "area")


def _from_inside(here: Instance, name: str) -> tuple[str, ...]:
    """Parts that have a parameter of the name."""
    parts = [p.name for p in here.children.values() if name in p.parameters]
    return (f"did you mean `{parts[0]}.{name}`?",) if parts else ()


def _from_outside(scope: Scope, name: str) -> tuple[str, ...]:
    """A part sees nothing of what holds it: say how the value is handed in."""
    outer = scope.instance.parent
    while outer is not None:
        if name in outer.parameters:
            owner = scope.instance.type_name
            return (
                f"a part does not see the parameters of {outer.told()}: declare "
                f"`param {name}` in `{owner}` and set it there, `{name} = {name}`",
            )
        outer = outer.parent
    return ()
