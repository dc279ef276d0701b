"""What each kind of expression does, and the functions that a description may call."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from cimarch import units
from cimarch.diagnostics import Diagnostic, listing, suggestion
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.instances import ActionSlot, Instance
from cimarch.language.pricing import estimate, model_for
from cimarch.language.references import Failed, Reference, Scope, needs, refer, unknown_name
from cimarch.language.types import Text, type_of
from cimarch.units import Quantity, UnitError

if TYPE_CHECKING:
    from cimarch.language.evaluate import Evaluator


def _number(e: Evaluator, at: ast.Number, scope: Scope) -> Value:
    return at.value


def _text(e: Evaluator, at: ast.Text, scope: Scope) -> Value:
    return Text(at.value)


def _flag(e: Evaluator, at: ast.Flag, scope: Scope) -> Value:
    return at.value


def _unset(e: Evaluator, at: ast.Unset, scope: Scope) -> Value:
    if "none" in scope.words:
        return "none"
    raise Failed(Diagnostic("E031", "`none` is not a value", at.span))


def _name(e: Evaluator, at: ast.Name, scope: Scope) -> Value:
    if len(at.path) == 1:
        if scope.running is not None and at.path[0] in scope.running.names:
            return Quantity(scope.running.names[at.path[0]])
        if scope.served is not None and at.path[0] in scope.served:
            return scope.served[at.path[0]]
        if at.path[0] in scope.words:
            return at.path[0]
    found = refer(scope, at.path)
    if found is None:
        raise Failed(unknown_name(at, scope))
    if found.action is not None:
        return _cost(e, at, found, found.action, scope)
    assert found.parameter is not None
    if e.is_late(found.instance, found.parameter.name):
        headline = f"`{at.text}` depends on the operation, known only while running"
        raise Failed(Diagnostic("E057", headline, at.span))
    value = e.value(found.instance, found.parameter.name)
    if value is None:
        headline = f"`{at.text}` has no value"
        raise Failed(Diagnostic("E025", headline, at.span))
    return value


def _cost(e: Evaluator, at: ast.Name, found: Reference, action: ActionSlot, scope: Scope) -> Value:
    if found.cost not in action.costs:
        model = model_for(e, found.instance, f"{action.name}.{found.cost}")
        running = scope.running.names if scope.running is not None else {}
        if model is not None and not model.needs - running.keys():
            priced = estimate(e, found.instance, model, running)
            if priced is not None:
                return priced.quantity
        headline = f"`{action.name}` of {found.instance.told()} states no {found.cost}"
        raise Failed(Diagnostic("E025", headline, at.span, helps=(f"`{found.cost} = ...`",)))
    needed = needs(found.instance, action, found.cost)
    if needed and scope.running is None:
        headline = f"`{at.text}` depends on {listing(sorted(needed))}, known only while running"
        raise Failed(Diagnostic("E057", headline, at.span))
    return e.cost(found.instance, action, found.cost, scope.running)


def _unary(e: Evaluator, at: ast.Unary, scope: Scope) -> Value:
    if at.operator == "not":
        return not e.flag(at.operand, scope)
    return -e.number(at.operand, scope)


ARITHMETIC: dict[str, Callable[[Quantity, Quantity], Quantity]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
ORDER: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _binary(e: Evaluator, at: ast.Binary, scope: Scope) -> Value:
    if at.operator == "and":
        return e.flag(at.left, scope) and e.flag(at.right, scope)
    if at.operator == "or":
        return e.flag(at.left, scope) or e.flag(at.right, scope)
    if at.operator in ORDER:
        return _compare(e, at, scope)
    left, right = e.number(at.left, scope), e.number(at.right, scope)
    if at.operator in "+-":
        left, right = e.alike(at, left, right, scope)
    return e.arithmetic(at, ARITHMETIC[at.operator], left, right)


def sides(e: Evaluator, at: ast.Binary, scope: Scope) -> tuple[Value, Value]:
    """Both sides of a comparison; beside a choice, a bare name is one of its words."""
    left_words, right_words = comparison_words(e, at, scope)
    left = e.evaluate(at.left, attrs.evolve(scope, words=left_words))
    right = e.evaluate(at.right, attrs.evolve(scope, words=right_words))
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        left, right = e.alike(at, left, right, scope)
    return left, right


def comparison_words(
    e: Evaluator, at: ast.Binary, scope: Scope
) -> tuple[frozenset[str], frozenset[str]]:
    """The words that stand for themselves on the left and on the right of a comparison."""
    left, right = e.infer(at.left, scope), e.infer(at.right, scope)
    return (
        frozenset(right.choices) if right else frozenset(),
        frozenset(left.choices) if left else frozenset(),
    )


def _compare(e: Evaluator, at: ast.Binary, scope: Scope) -> Value:
    left, right = sides(e, at, scope)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        if left.dimension != right.dimension:
            told = f"{units.describe(left.dimension)} with {units.describe(right.dimension)}"
            raise Failed(Diagnostic("E055", f"cannot compare {told}", at.span))
        return ORDER[at.operator](left.value, right.value)
    if type_of(left).name != type_of(right).name or at.operator not in ("==", "!="):
        told = f"{type_of(left).told()} with {type_of(right).told()} by `{at.operator}`"
        raise Failed(Diagnostic("E055", f"cannot compare {told}", at.span))
    return (left == right) == (at.operator == "==")


def _choose(e: Evaluator, at: ast.Choose, scope: Scope) -> Value:
    condition = e.flag(at.condition, attrs.evolve(scope, words=frozenset()))
    return e.evaluate(at.value if condition else at.otherwise, scope)


def _items(e: Evaluator, at: ast.Items, scope: Scope) -> Value:
    if scope.any_word:
        return tuple(_word_or_value(e, item, scope) for item in at.items)
    return tuple(e.evaluate(item, scope) for item in at.items)


def _word_or_value(e: Evaluator, item: ast.Expression, scope: Scope) -> Value:
    if isinstance(item, ast.Name) and len(item.path) == 1:
        return item.path[0]
    return e.evaluate(item, scope)


def _table(e: Evaluator, at: ast.Table, scope: Scope) -> Value:
    return e.tables.read(at)


# ----------------------------------------------------------------------- functions


def _rounded(how: Callable[[Fraction], int]) -> Callable[[Quantity], Quantity]:
    def apply(value: Quantity) -> Quantity:
        if value.dimension != units.NUMBER:
            raise UnitError(f"cannot round {units.describe(value.dimension)} without a unit")
        return Quantity(Fraction(how(value.value)))

    return apply


_ONE: dict[str, Callable[[Quantity], Quantity]] = {
    "ceil": _rounded(math.ceil),
    "floor": _rounded(math.floor),
    "log2": units.logarithm,
    "ln": units.natural_logarithm,
    "exp": units.exponential,
    "sqrt": units.square_root,
}
MANY: dict[str, Callable[[list[Quantity]], Quantity]] = {
    "min": lambda values: min(values, key=lambda q: q.value),
    "max": lambda values: max(values, key=lambda q: q.value),
}
TOTALS = ("area", "power", "leakage")
FUNCTIONS = (*_ONE, *MANY, "interpolate", "total")


def _call(e: Evaluator, at: ast.Call, scope: Scope) -> Value:
    problem = call_problem(at, scope)
    if problem is not None:
        raise Failed(problem)
    if at.function in _ONE:
        return e.arithmetic(at, _ONE[at.function], e.number(at.arguments[0], scope))
    if at.function in MANY:
        values = [e.number(a, scope) for a in at.arguments]
        alike = [e.alike(at, v, values[0], scope)[0] for v in values]
        if len({v.dimension for v in alike}) > 1:
            dimensions = [units.describe(v.dimension) for v in alike]
            raise Failed(Diagnostic("E055", f"cannot compare {' with '.join(dimensions)}", at.span))
        return MANY[at.function](alike)
    if at.function == "interpolate":
        return _interpolate(e, at, scope)
    argument = at.arguments[0]
    assert isinstance(argument, ast.Name)
    target, rest = scope.instance.below(argument.path)
    return _total(e, scope.instance, target, rest[0])


def _interpolate(e: Evaluator, at: ast.Call, scope: Scope) -> Quantity:
    """`interpolate(x, [x0, x1, ...], [y0, y1, ...])`: straight lines between the points."""
    x = e.number(at.arguments[0], scope)
    xs, ys = (_points(e, argument, scope) for argument in at.arguments[1:])
    if len(xs) != len(ys):
        headline = f"`interpolate` has {len(xs)} places and {len(ys)} values"
        raise Failed(Diagnostic("E058", headline, at.span))
    alike = {x.dimension for x in xs}
    if alike != {x.dimension}:
        told = listing(units.describe(d) for d in (*alike, x.dimension))
        raise Failed(Diagnostic("E055", f"`interpolate` mixes {told}", at.span))
    if not all(a.value < b.value for a, b in pairwise(xs)):
        headline = "the places of `interpolate` do not ascend"
        raise Failed(Diagnostic("E058", headline, at.arguments[1].span))
    if not xs[0].value <= x.value <= xs[-1].value:
        headline = f"`interpolate` is asked for {x}, outside {xs[0]}..{xs[-1]}"
        raise Failed(Diagnostic("E056", headline, at.arguments[0].span))
    return units.between(x, xs, ys)


def _points(e: Evaluator, at: ast.Expression, scope: Scope) -> list[Quantity]:
    """A list of numbers of one dimension."""
    value = e.evaluate(at, scope)
    items = value if isinstance(value, tuple) else ()
    numbers = [item for item in items if isinstance(item, Quantity)]
    if not items or len(numbers) < len(items) or len({n.dimension for n in numbers}) > 1:
        headline = "`interpolate` takes lists of numbers of one dimension"
        raise Failed(Diagnostic("E058", headline, at.span))
    return numbers


def _total(e: Evaluator, scope: Instance, target: Instance, quantity: str) -> Quantity:
    """The sum of `area`, `power` or `leakage` over a part and all parts inside, every member."""
    dimension = units.AREA if quantity == "area" else units.POWER
    return Quantity(e.total(target, quantity) / scope.count, dimension)


def call_problem(at: ast.Call, scope: Scope) -> Diagnostic | None:
    """What is wrong with a call whatever its values: the function's name, its arguments."""
    if at.function not in FUNCTIONS:
        notes = (f"the functions are {listing(FUNCTIONS)}",)
        helps = suggestion(at.function, FUNCTIONS)
        headline = f"there is no function `{at.function}`"
        return Diagnostic("E058", headline, at.span, notes=notes, helps=helps)
    count, needed = len(at.arguments), 3 if at.function == "interpolate" else 1
    if count < needed or (count > needed and at.function not in MANY):
        wanted = {True: "at least one argument", False: "one argument"}[at.function in MANY]
        wanted = wanted if needed == 1 else "a number and two lists"
        headline = f"`{at.function}` takes {wanted}, not {count}"
        helps = ("`interpolate(bits, [1, 2, 4], [3 pJ, 5 pJ, 8 pJ])`",) if needed == 3 else ()
        return Diagnostic("E058", headline, at.span, helps=helps)
    if at.function == "total":
        argument = at.arguments[0]
        path = argument.path if isinstance(argument, ast.Name) else ()
        rest = scope.instance.below(path)[1]
        if len(rest) != 1 or rest[0] not in TOTALS:
            headline = f"`total` takes {listing(TOTALS)} of a part or of what it is written in"
            return Diagnostic("E058", headline, argument.span, helps=("`total(area)`",))
    return None


EVALUATE: dict[type[ast.Expression], Callable[..., Value]] = {
    ast.Number: _number,
    ast.Text: _text,
    ast.Flag: _flag,
    ast.Unset: _unset,
    ast.Name: _name,
    ast.Unary: _unary,
    ast.Binary: _binary,
    ast.Choose: _choose,
    ast.Items: _items,
    ast.Table: _table,
    ast.Call: _call,
}
