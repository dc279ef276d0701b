"""Assertions: a false one is told with the values that made it so."""

from __future__ import annotations

from cimarch.diagnostics import Diagnostic
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.evaluate import Evaluator
from cimarch.language.instances import Binding, Instance
from cimarch.language.operations import sides
from cimarch.language.references import Failed, Reference, Scope, refer
from cimarch.units import Quantity


def check_assertion(e: Evaluator, here: Instance, assertion: ast.Assertion) -> None:
    """Raise Failed where the condition is false or has no value."""
    scope = Scope(here, here)
    condition = assertion.condition
    if e.flag(condition, scope):
        return
    headline = assertion.message or f"an assertion of `{here.type_name}` is false"
    notes = []
    if here.parent is not None:
        notes.append(f"checked in `{here.path}`, whose type is `{here.type_name}`")
    notes += _facts(e, condition, scope)
    raise Failed(
        Diagnostic(
            "E070",
            headline,
            condition.span,
            _compared(e, condition, scope),
            notes=tuple(notes),
            helps=_remedy(e, condition, scope),
        )
    )


def told(value: Value) -> str:
    """A value as a description writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(told(v) for v in value) + "]"
    return str(value)


def _compared(e: Evaluator, condition: ast.Expression, scope: Scope) -> str:
    if isinstance(condition, ast.Binary) and condition.operator not in ("and", "or"):
        left, right = sides(e, condition, scope)
        return f"{told(left)} {condition.operator} {told(right)} is false"
    return "this is false"


def _facts(e: Evaluator, condition: ast.Expression, scope: Scope) -> list[str]:
    """The value of every name in the condition, and the flag that gave it."""
    facts: dict[str, str] = {}
    for name in condition.walk():
        if not isinstance(name, ast.Name) or name.text in facts:
            continue
        found = refer(scope, name.path)
        if found is None:
            continue
        try:
            value = told(e.evaluate(name, scope))
        except Failed:
            continue
        facts[name.text] = f"`{name.text}` is {value}{_origin(found)}"
    return list(facts.values())


def _origin(found: Reference) -> str:
    binding: Binding | None
    if found.parameter is not None:
        binding = found.instance.bindings.get(found.parameter.name)
    else:
        binding = found.action.costs.get(found.cost) if found.action else None
    return f", set by `{binding.setting}`" if binding and binding.setting else ""


_ENOUGH = {">=": "or more", "<=": "or less", "==": ""}
_MIRRORED = {">=": "<=", "<=": ">=", "==": "=="}


def _remedy(e: Evaluator, condition: ast.Expression, scope: Scope) -> tuple[str, ...]:
    """The value that would satisfy a comparison with a single name on one side."""
    if not isinstance(condition, ast.Binary) or condition.operator not in _ENOUGH:
        return ()
    left, right = sides(e, condition, scope)
    name, value, operator = condition.left, right, condition.operator
    if not isinstance(name, ast.Name):
        name, value, operator = condition.right, left, _MIRRORED[operator]
    if not isinstance(name, ast.Name) or not isinstance(value, Quantity):
        return ()
    return (f"`{name.text}` of {value} {_ENOUGH[operator]}".rstrip() + " satisfies it",)
