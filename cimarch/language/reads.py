"""What an expression of a description reads: names with their values and their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from cimarch.hardware.origin import Read
from cimarch.hardware.system import RUNNING_NAMES, Value
from cimarch.language import ast
from cimarch.language.evaluate import Evaluator
from cimarch.language.instances import Instance
from cimarch.language.references import Failed, Reference, Scope, refer
from cimarch.language.types import Text
from cimarch.language.written import Put
from cimarch.units import FREQUENCY, Quantity, show


def read_by(
    e: Evaluator, expression: ast.Expression, scope: Scope
) -> tuple[tuple[Read, ...], list[Put]]:
    """Every name in it with its value, and where these are put in."""
    found: dict[str, Read] = {}
    put: list[Put] = []
    for each in _readable(expression):
        read = _read(e, each, scope)
        if read is not None:
            found.setdefault(read.name, read)
            if read.name not in RUNNING_NAMES:
                put.append((each.span, read.value))
    if any(isinstance(n, ast.Number) and n.value.dimension[6] for n in expression.walk()):
        clock = Quantity(e.clock(scope.owner), FREQUENCY)
        found.setdefault("clock", Read("clock", show(clock), address_in(scope.owner, "clock")))
    return tuple(found.values()), put


def _readable(expression: ast.Expression) -> Iterator[ast.Name | ast.Call]:
    """The names in an expression, and the sums over parts."""
    match expression:
        case ast.Name() | ast.Call(function="total"):
            yield expression
        case _:
            for inside in expression.inside():
                yield from _readable(inside)


def _read(e: Evaluator, at: ast.Name | ast.Call, scope: Scope) -> Read | None:
    """What a name stands for; None for a word, and for what is not reached."""
    if isinstance(at, ast.Name) and at.text in scope.words:
        return None
    name = at if isinstance(at, ast.Name) else at.arguments[0]
    assert isinstance(name, ast.Name)
    known = refer(scope, name.path)
    if known is None and name.text not in RUNNING_NAMES:
        return None
    try:
        value = e.evaluate(at, scope)
    except Failed:
        return None
    address = "" if known is None or at is not name else _address_of(known)
    text = at.text if isinstance(at, ast.Name) else f"total({name.text})"
    return Read(text, told(value), address)


def address_in(here: Instance, name: str) -> str:
    """The address of a number of a part."""
    return f"{here.path}.{name}" if here.path else name


def _address_of(known: Reference) -> str:
    if known.parameter is not None:
        return address_in(known.instance, known.parameter.name)
    assert known.action is not None
    return address_in(known.instance, f"{known.action.name}.{known.cost}")


def told(value: Value | None) -> str:
    """A value as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(told(item) for item in value) + "]"
    if isinstance(value, Quantity):
        return show(value)
    return f'"{value}"' if isinstance(value, Text) else value
