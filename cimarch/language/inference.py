"""The type of an expression whatever its values: how a parameter without a stated kind gets one."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from cimarch import units
from cimarch.hardware.system import SERVED_KINDS
from cimarch.language import ast
from cimarch.language.operations import ARITHMETIC, MANY, ORDER
from cimarch.language.references import Scope, refer
from cimarch.language.types import KINDS_OF_VALUE, ValueType
from cimarch.units import Quantity, UnitError

if TYPE_CHECKING:
    from cimarch.language.evaluate import Evaluator


def _nothing(e: Evaluator, at: ast.Expression, scope: Scope) -> ValueType | None:
    return None


def _infer_number(e: Evaluator, at: ast.Number, scope: Scope) -> ValueType | None:
    seconds = units.in_seconds(Quantity(Fraction(1), at.value.dimension), Fraction(1))
    return ValueType("number", seconds.dimension)


def _infer_name(e: Evaluator, at: ast.Name, scope: Scope) -> ValueType | None:
    if scope.served is not None and len(at.path) == 1 and at.path[0] in scope.served:
        is_kind = at.path[0] == "kind"
        return ValueType("word", choices=SERVED_KINDS) if is_kind else ValueType("number")
    found = refer(scope, at.path)
    if found is None:
        return None
    if found.parameter is not None:
        return e.declared(found.instance, found.parameter.name)
    return KINDS_OF_VALUE["time" if found.cost == "latency" else "energy"]


def _infer_unary(e: Evaluator, at: ast.Unary, scope: Scope) -> ValueType | None:
    return ValueType("flag") if at.operator == "not" else e.infer(at.operand, scope)


def _infer_binary(e: Evaluator, at: ast.Binary, scope: Scope) -> ValueType | None:
    if at.operator in ORDER or at.operator in ("and", "or"):
        return ValueType("flag")
    left, right = e.infer(at.left, scope), e.infer(at.right, scope)
    if left is None or right is None or left.name != "number" or right.name != "number":
        return None
    a, b = Quantity(Fraction(1), left.dimension), Quantity(Fraction(1), right.dimension)
    if at.operator == "^":
        if not isinstance(at.right, ast.Number):
            return left if left.dimension == units.NUMBER else None
        b = at.right.value
    try:
        return ValueType("number", ARITHMETIC[at.operator](a, b).dimension)
    except UnitError:
        return None


def _infer_choose(e: Evaluator, at: ast.Choose, scope: Scope) -> ValueType | None:
    return e.infer(at.value, scope) or e.infer(at.otherwise, scope)


def _infer_call(e: Evaluator, at: ast.Call, scope: Scope) -> ValueType | None:
    if at.function in ("ceil", "floor", "log2", "ln", "exp"):
        return ValueType("number")
    if at.function == "interpolate" and len(at.arguments) == 3:
        values = at.arguments[2]
        return e.infer(values.items[0], scope) if isinstance(values, ast.Items) else None
    if at.function in MANY and at.arguments:
        return e.infer(at.arguments[0], scope)
    argument = at.arguments[0] if at.arguments else None
    if at.function == "total" and isinstance(argument, ast.Name):
        return KINDS_OF_VALUE.get(argument.path[-1])
    return None


INFER: dict[type[ast.Expression], Callable[..., ValueType | None]] = {
    ast.Number: _infer_number,
    ast.Unset: _nothing,
    ast.Text: lambda e, at, scope: ValueType("text"),
    ast.Flag: lambda e, at, scope: ValueType("flag"),
    ast.Name: _infer_name,
    ast.Unary: _infer_unary,
    ast.Binary: _infer_binary,
    ast.Choose: _infer_choose,
    ast.Items: lambda e, at, scope: ValueType("list"),
    ast.Table: lambda e, at, scope: ValueType("list"),
    ast.Call: _infer_call,
}
