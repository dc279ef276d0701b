"""From expressions to values: exact, with dimensions, each parameter once, after all settings."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import attrs

from cimarch import units
from cimarch.diagnostics import DescriptionError, Diagnostic, Span, listing, suggestion
from cimarch.hardware.kinds import COSTS
from cimarch.hardware.system import RUNNING_NAMES, Value
from cimarch.language import ast
from cimarch.language.instances import ActionSlot, Binding, Instance, Parameter
from cimarch.language.types import KINDS_OF_VALUE, Text, ValueType, type_of
from cimarch.units import Quantity, UnitError

_DEEPEST = 150
_DEEPEST_TYPE = 20
INHERITED = ("clock", "beat")
"""The parameters that a part takes from the enclosing one where it does not state its own."""


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


class Evaluator:
    """Evaluates the tree of one system; every problem is kept, and told once."""

    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []
        self._failed: set[tuple[Instance, str]] = set()
        self._busy: list[tuple[Instance, str]] = []
        self._depth = self._type_depth = 0
        self._types: dict[tuple[Instance, str], ValueType | None] = {}
        self._tables: dict[str, tuple[Value, ...]] = {}
        self._costs: dict[tuple[Instance, str], Quantity] = {}

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep the problem that ends the block."""
        try:
            yield
        except Failed as failure:
            if failure.problem is not None:
                self.problems.append(failure.problem)

    # parameters

    def value(self, instance: Instance, name: str) -> Value | None:
        """The value of a parameter, None where it is optional and unset; raises Failed."""
        if name in instance.values:
            return instance.values[name]
        key = (instance, name)
        if key in self._failed:
            raise Failed
        if key in self._busy:
            raise Failed(self._ring(key))
        self._busy.append(key)
        try:
            instance.values[name] = found = self._find(instance, name)
        except Failed:
            self._failed.add(key)
            raise
        finally:
            self._busy.pop()
        return found

    def _ring(self, key: tuple[Instance, str]) -> Diagnostic:
        ring = [*self._busy[self._busy.index(key) :], key]
        told = [f"{i.path}.{n}" if i.path else n for i, n in ring]
        headline = f"`{told[0]}` depends on itself"
        notes = (" reads ".join(f"`{t}`" for t in told[:8]),) if len(told) > 2 else ()
        binding = key[0].bindings[key[1]]
        return Diagnostic("E060", headline, binding.value.span, notes=notes)

    def _find(self, instance: Instance, name: str) -> Value | None:
        binding = instance.bindings.get(name)
        parameter = instance.parameters[name]
        if binding is None:
            raise Failed(self._missing(instance, parameter))
        expected = self.declared(instance, name)
        is_word = expected is not None and "none" in expected.choices
        if isinstance(binding.value, ast.Unset) and not is_word:
            return self._unset(instance, name, parameter, binding)
        scope = self.scope(instance, binding, expected)
        return self._checked(instance, parameter, binding, self._settled(binding, scope), expected)

    def scope(self, owner: Instance, binding: Binding, expected: ValueType | None) -> Scope:
        """Where a binding is read, and which words stand for themselves in it."""
        words = frozenset(expected.choices) if expected else frozenset()
        lists_words = expected is not None and expected.name == "words"
        return Scope(binding.scope, owner, words, lists_words)

    def _settled(self, binding: Binding, scope: Scope) -> Value:
        """The value of a binding, its cycles turned into seconds of the owner's clock."""
        value = self.evaluate(binding.value, scope)
        return self._in_seconds(value, scope, binding.value)

    def _in_seconds(self, value: Value, scope: Scope, at: ast.Expression) -> Value:
        if isinstance(value, Quantity) and value.dimension[6]:
            return self.arithmetic(at, units.in_seconds, value, self.clock(scope.owner))
        return value

    def _missing(self, instance: Instance, parameter: Parameter) -> Diagnostic:
        return Diagnostic(
            "E025",
            f"`{parameter.name}` of {instance.told()} has no value",
            instance.place(),
            others=((parameter.tree.name.span, "declared here, without a default"),),
            helps=(f"`{parameter.name} = ...` gives it one",),
        )

    def _unset(
        self, instance: Instance, name: str, parameter: Parameter, binding: Binding
    ) -> Value | None:
        default = parameter.tree.default if isinstance(parameter.tree, ast.Param) else None
        if not isinstance(default, ast.Unset):
            headline = f"`{name}` of `{instance.type_name}` must have a value, not `none`"
            raise Failed(Diagnostic("E031", headline, binding.value.span))
        if name in INHERITED and instance.parent is not None:
            return self.value(instance.parent, name)
        if name == "clock":
            headline = f"{instance.told()} has no clock"
            helps = ("`clock = 1 GHz` in the system gives it one",)
            raise Failed(Diagnostic("E026", headline, instance.place(), helps=helps))
        return None

    def clock(self, instance: Instance) -> Fraction:
        """The clock of a part in Hz: its own or the nearest enclosing one's."""
        found = self.value(instance, "clock")
        assert isinstance(found, Quantity)
        return found.value

    # types

    def declared(self, instance: Instance, name: str) -> ValueType | None:
        """What values a parameter takes, as its declaration says; None where it does not say."""
        key = (instance, name)
        if key not in self._types:
            if self._type_depth > _DEEPEST_TYPE:
                return None
            self._types[key] = None  # while it is being found: a ring says nothing
            self._type_depth += 1
            self._types[key] = self._declared(instance, instance.parameters[name])
            self._type_depth -= 1
        return self._types[key]

    def _declared(self, instance: Instance, parameter: Parameter) -> ValueType | None:
        tree = parameter.tree
        if isinstance(tree, ast.Let):
            return self.infer(tree.value, Scope(instance, instance))
        if tree.choices:
            return ValueType("word", choices=parameter.choices)
        if tree.kind is not None and tree.kind.text in KINDS_OF_VALUE:
            return KINDS_OF_VALUE[tree.kind.text]
        scope = Scope(instance, instance)
        if tree.range is not None:
            return self.infer(tree.range.low, scope) or self.infer(tree.range.high, scope)
        return self.infer(tree.default, scope) if tree.default is not None else None

    def infer(self, expression: ast.Expression, scope: Scope) -> ValueType | None:
        """The type an expression has whatever the values in it; None where it cannot be told."""
        return _INFER.get(type(expression), _nothing)(self, expression, scope)

    # checks of a value

    def _checked(
        self,
        instance: Instance,
        parameter: Parameter,
        binding: Binding,
        value: Value,
        expected: ValueType | None,
    ) -> Value:
        if expected is not None:
            self._check_type(instance, parameter, binding, value, expected)
        if isinstance(value, Quantity):
            self._check_whole(instance, parameter, binding, value, expected)
            self._check_range(instance, parameter, binding, value)
            self._check_sign(instance, parameter, binding, value)
        return value

    def _check_type(
        self,
        instance: Instance,
        parameter: Parameter,
        binding: Binding,
        value: Value,
        expected: ValueType,
    ) -> None:
        if expected.accepts(value):
            return
        found = type_of(value)
        declared = parameter.tree.name.span
        named = f"`{parameter.name}` of `{instance.type_name}`"
        others = ((declared, f"declared here, {expected.in_short()}"),)
        if expected.name == "word" and found.name == "word":
            assert isinstance(value, str)
            code, headline = "E032", f"{named} cannot be `{value}`"
            label, helps = "unknown word", suggestion(value, expected.choices)
            notes: tuple[str, ...] = (f"it is one of {listing(expected.choices)}",)
        else:
            code = "E030" if expected.name == found.name == "number" else "E031"
            headline = f"{named} is {expected.told()}, not {found.told()}"
            label, notes = f"this is {found.told()}", ()
            helps = _conversion(value, expected, binding.value)
        place = binding.value.span
        raise Failed(Diagnostic(code, headline, place, label, others, notes, helps))

    def _check_whole(
        self,
        instance: Instance,
        parameter: Parameter,
        binding: Binding,
        value: Quantity,
        expected: ValueType | None,
    ) -> None:
        bits = value.dimension == units.DATA and parameter.definition.is_standard
        if (bits or (expected is not None and expected.whole)) and value.value.denominator != 1:
            whole = "a whole number of bits" if bits else "a whole number"
            self._refuse(instance, parameter, binding, value, f"not {whole}", "E051")

    def _check_range(
        self, instance: Instance, parameter: Parameter, binding: Binding, value: Quantity
    ) -> None:
        tree = parameter.tree
        if isinstance(tree, ast.Let) or tree.range is None:
            return
        scope = Scope(instance, instance)
        low = self._in_seconds(self.evaluate(tree.range.low, scope), scope, tree.range.low)
        high = self._in_seconds(self.evaluate(tree.range.high, scope), scope, tree.range.high)
        for limit, at in ((low, tree.range.low), (high, tree.range.high)):
            if not isinstance(limit, Quantity) or limit.dimension != value.dimension:
                kind = units.describe(value.dimension)
                headline = f"a limit of `{parameter.name}` is not {kind}"
                raise Failed(Diagnostic("E033", headline, at.span))
        assert isinstance(low, Quantity)
        assert isinstance(high, Quantity)
        if not low.value <= value.value <= high.value:
            self._refuse(instance, parameter, binding, value, f"outside {low}..{high}", "E050")

    def _check_sign(
        self, instance: Instance, parameter: Parameter, binding: Binding, value: Quantity
    ) -> None:
        if not parameter.definition.is_standard:
            return
        wrong = sign_problem(value)
        if wrong:
            self._refuse(instance, parameter, binding, value, wrong, "E052")

    def _refuse(
        self,
        instance: Instance,
        parameter: Parameter,
        binding: Binding,
        value: Quantity,
        why: str,
        code: str,
    ) -> None:
        headline = f"`{parameter.name}` of {instance.told()} is {value}, {why}"
        others: tuple[tuple[Span, str], ...] = ()
        if code == "E050" and isinstance(parameter.tree, ast.Param) and parameter.tree.range:
            others = ((parameter.tree.range.span, "the range is declared here"),)
        raise Failed(Diagnostic(code, headline, binding.value.span, f"this is {value}", others))

    # costs

    def cost(
        self,
        instance: Instance,
        action: ActionSlot,
        name: str,
        running: Running | None,
    ) -> Quantity:
        """The value of an action's cost in SI units; raises Failed."""
        binding = action.costs[name]
        key = (instance, f"{action.name}.{name}")
        known = running.known if running is not None else self._costs
        if key in known:
            return known[key]
        if key in self._busy:
            headline = f"`{name}` of `{action.name}` of {instance.told()} depends on itself"
            raise Failed(Diagnostic("E060", headline, binding.value.span))
        self._busy.append(key)
        try:
            scope = Scope(binding.scope, instance, action=action, running=running)
            value = self._settled(binding, scope)
        finally:
            self._busy.pop()
        known[key] = self._checked_cost(instance, action, name, binding, value)
        return known[key]

    def _checked_cost(
        self, instance: Instance, action: ActionSlot, name: str, binding: Binding, value: Value
    ) -> Quantity:
        expected = KINDS_OF_VALUE["time" if name == "latency" else "energy"]
        named = f"`{name}` of `{action.name}`"
        if not isinstance(value, Quantity) or not expected.accepts(value):
            found = type_of(value).told()
            headline = f"{named} is {expected.told()}, not {found}"
            code = "E030" if isinstance(value, Quantity) else "E031"
            helps = _conversion(value, expected, binding.value)
            place = binding.value.span
            raise Failed(Diagnostic(code, headline, place, f"this is {found}", helps=helps))
        if value.value < 0:
            headline = f"{named} of {instance.told()} is {value}, below zero"
            raise Failed(Diagnostic("E052", headline, binding.value.span, f"this is {value}"))
        return value

    # expressions

    def evaluate(self, expression: ast.Expression, scope: Scope) -> Value:
        """The value of an expression; raises Failed."""
        if self._depth > _DEEPEST:
            headline = "parameters that depend on each other over too many levels"
            raise Failed(Diagnostic("E061", headline, expression.span))
        self._depth += 1
        try:
            return _EVALUATE[type(expression)](self, expression, scope)
        finally:
            self._depth -= 1

    def number(self, expression: ast.Expression, scope: Scope) -> Quantity:
        """The value of an expression that must be a number."""
        value = self.evaluate(expression, scope)
        if not isinstance(value, Quantity):
            raise Failed(_not_a(expression, "a number", value))
        return value

    def flag(self, expression: ast.Expression, scope: Scope) -> bool:
        """The value of an expression that must be true or false."""
        value = self.evaluate(expression, scope)
        if not isinstance(value, bool):
            raise Failed(_not_a(expression, "true or false", value))
        return value

    def arithmetic(
        self, at: ast.Expression, compute: Callable[..., Quantity], *values: object
    ) -> Quantity:
        """Compute with quantities; a UnitError becomes a diagnostic at the expression."""
        try:
            return compute(*values)
        except UnitError as problem:
            headline = str(problem)
            code = "E055" if headline.startswith("cannot") or "exponent" in headline else "E056"
            raise Failed(Diagnostic(code, headline, at.span)) from None

    def alike(
        self, at: ast.Expression, left: Quantity, right: Quantity, scope: Scope
    ) -> tuple[Quantity, Quantity]:
        """Both in the same unit: where only one counts cycles, these become seconds."""
        if left.dimension == right.dimension:
            return left, right
        clock = self.clock(scope.owner) if left.dimension[6] or right.dimension[6] else Fraction(1)
        left = self.arithmetic(at, units.in_seconds, left, clock)
        return left, self.arithmetic(at, units.in_seconds, right, clock)

    def table(self, expression: ast.Table) -> tuple[Value, ...]:
        """The numbers of a CSV file: a list, or a list of lists where rows have several."""
        folder = Path(expression.span.file).parent
        path = folder / expression.file
        key = str(path)
        if key not in self._tables:
            self._tables[key] = _read_table(path, expression)
        return self._tables[key]


def sign_problem(value: Quantity) -> str:
    """Why a value of the library's parameters cannot be: below zero, or zero where that is none."""
    if value.dimension in (units.FREQUENCY, units.DATA) and value.value <= 0:
        return "not above zero"
    signed = (units.TIME, units.ENERGY, units.POWER, units.AREA, units.NUMBER)
    return "below zero" if value.dimension in signed and value.value < 0 else ""


def _not_a(expression: ast.Expression, wanted: str, value: Value) -> Diagnostic:
    found = type_of(value).told()
    return Diagnostic("E031", f"{found} where {wanted} is needed", expression.span, "used here")


_EXAMPLES = {
    units.TIME: "ns",
    units.FREQUENCY: "GHz",
    units.ENERGY: "pJ",
    units.POWER: "mW",
    units.AREA: "um^2",
    units.LENGTH: "um",
    units.DATA: "bit",
    units.VOLTAGE: "V",
    units.TEMPERATURE: "K",
}


def _conversion(value: Value, expected: ValueType, at: ast.Expression) -> tuple[str, ...]:
    """What to type where a value has the wrong type."""
    if isinstance(value, str) and not isinstance(value, Quantity) and expected.name == "word":
        return (f"without quotes: `{value}`",)
    if expected.name == "words" and isinstance(value, str):
        return (f"a list of one word is `[{value}]`",)
    if not isinstance(value, Quantity) or expected.name != "number":
        return ()
    unit = at.unit if isinstance(at, ast.Number) else ""
    found, wanted = value.dimension, expected.dimension
    if unit.startswith(("S/s", "kS/s", "MS/s", "GS/s")):
        return (f"`S` is siemens; samples are `{unit.replace('S', 'Sa', 1)}`",)
    if wanted == units.AREA and unit.endswith("F^2"):
        return ("`F` is farad; a feature size is a parameter: `146 * node^2`",)
    if wanted == units.FREQUENCY and found == units.TIME:
        return (f"a rate of one every {value} is `1 / {value}`",)
    if wanted == units.TIME and found == units.FREQUENCY:
        return (f"the period of {value} is `1 / {value}`",)
    if found == units.NUMBER and wanted in _EXAMPLES:
        return (f"with a unit: `{value} {_EXAMPLES[wanted]}`",)
    if wanted == units.NUMBER and found == units.DATA:
        return (f"without the unit: `{units.decimal(value.value)}`",)
    return ()


# ------------------------------------------------------------ kinds of expression


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
        if at.path[0] in scope.words:
            return at.path[0]
    found = refer(scope, at.path)
    if found is None:
        raise Failed  # names are checked before, and this one was told
    if found.action is not None:
        return _cost(e, at, found, found.action, scope)
    assert found.parameter is not None
    value = e.value(found.instance, found.parameter.name)
    if value is None:
        headline = f"`{at.text}` has no value"
        raise Failed(Diagnostic("E025", headline, at.span))
    return value


def _cost(e: Evaluator, at: ast.Name, found: Reference, action: ActionSlot, scope: Scope) -> Value:
    if found.cost not in action.costs:
        headline = f"`{action.name}` of {found.instance.told()} states no {found.cost}"
        raise Failed(Diagnostic("E025", headline, at.span, helps=(f"`{found.cost} = ...`",)))
    needed = needs(found.instance, action, found.cost)
    if needed and scope.running is None:
        headline = f"`{at.text}` depends on {listing(sorted(needed))}, known only while running"
        raise Failed(Diagnostic("E057", headline, at.span))
    return e.cost(found.instance, action, found.cost, scope.running)


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


def _unary(e: Evaluator, at: ast.Unary, scope: Scope) -> Value:
    if at.operator == "not":
        return not e.flag(at.operand, scope)
    return -e.number(at.operand, scope)


_ARITHMETIC: dict[str, Callable[[Quantity, Quantity], Quantity]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
_ORDER: dict[str, Callable[[Fraction, Fraction], bool]] = {
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
    if at.operator in _ORDER:
        return _compare(e, at, scope)
    left, right = e.number(at.left, scope), e.number(at.right, scope)
    if at.operator in "+-":
        left, right = e.alike(at, left, right, scope)
    return e.arithmetic(at, _ARITHMETIC[at.operator], left, right)


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
        return _ORDER[at.operator](left.value, right.value)
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
    return e.table(at)


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
    "sqrt": units.square_root,
}
_MANY: dict[str, Callable[[list[Quantity]], Quantity]] = {
    "min": lambda values: min(values, key=lambda q: q.value),
    "max": lambda values: max(values, key=lambda q: q.value),
}
TOTALS = ("area", "power", "leakage")
FUNCTIONS = (*_ONE, *_MANY, "total")


def _call(e: Evaluator, at: ast.Call, scope: Scope) -> Value:
    if at.function in _ONE:
        return e.arithmetic(at, _ONE[at.function], e.number(at.arguments[0], scope))
    if at.function in _MANY:
        values = [e.number(a, scope) for a in at.arguments]
        alike = [e.alike(at, v, values[0], scope)[0] for v in values]
        if len({v.dimension for v in alike}) > 1:
            dimensions = [units.describe(v.dimension) for v in alike]
            raise Failed(Diagnostic("E055", f"cannot compare {' with '.join(dimensions)}", at.span))
        return _MANY[at.function](alike)
    argument = at.arguments[0]
    assert isinstance(argument, ast.Name)
    target, rest = scope.instance.below(argument.path)
    return _total(e, scope.instance, target, rest[0])


def _total(e: Evaluator, scope: Instance, target: Instance, quantity: str) -> Quantity:
    """The sum of `area`, `power` or `leakage` over a part and all parts inside, every member."""
    dimension = units.AREA if quantity == "area" else units.POWER
    total = Fraction(0)
    for part in target.walk():
        own = e.value(part, quantity)
        assert isinstance(own, Quantity)
        total += own.value * part.count / scope.count
    return Quantity(total, dimension)


def call_problem(at: ast.Call, scope: Scope) -> Diagnostic | None:
    """What is wrong with a call whatever its values: the function's name, its arguments."""
    if at.function not in FUNCTIONS:
        notes = (f"the functions are {listing(FUNCTIONS)}",)
        helps = suggestion(at.function, FUNCTIONS)
        headline = f"there is no function `{at.function}`"
        return Diagnostic("E058", headline, at.span, notes=notes, helps=helps)
    wanted = "at least one" if at.function in _MANY else "one"
    count = len(at.arguments)
    if count < 1 or (count > 1 and at.function not in _MANY):
        headline = f"`{at.function}` takes {wanted} argument, not {count}"
        return Diagnostic("E058", headline, at.span)
    if at.function == "total":
        argument = at.arguments[0]
        path = argument.path if isinstance(argument, ast.Name) else ()
        rest = scope.instance.below(path)[1]
        if len(rest) != 1 or rest[0] not in TOTALS:
            headline = f"`total` takes {listing(TOTALS)} of a part or of what it is written in"
            return Diagnostic("E058", headline, argument.span, helps=("`total(area)`",))
    return None


_EVALUATE: dict[type[ast.Expression], Callable[[Evaluator, ast.Expression, Scope], Value]] = {
    ast.Number: _number,  # type: ignore[dict-item]
    ast.Text: _text,  # type: ignore[dict-item]
    ast.Flag: _flag,  # type: ignore[dict-item]
    ast.Unset: _unset,  # type: ignore[dict-item]
    ast.Name: _name,  # type: ignore[dict-item]
    ast.Unary: _unary,  # type: ignore[dict-item]
    ast.Binary: _binary,  # type: ignore[dict-item]
    ast.Choose: _choose,  # type: ignore[dict-item]
    ast.Items: _items,  # type: ignore[dict-item]
    ast.Table: _table,  # type: ignore[dict-item]
    ast.Call: _call,  # type: ignore[dict-item]
}


# ------------------------------------------------------------------------ inference


def _nothing(e: Evaluator, at: ast.Expression, scope: Scope) -> ValueType | None:
    return None


def _infer_number(e: Evaluator, at: ast.Number, scope: Scope) -> ValueType | None:
    seconds = units.in_seconds(Quantity(Fraction(1), at.value.dimension), Fraction(1))
    return ValueType("number", seconds.dimension)


def _infer_name(e: Evaluator, at: ast.Name, scope: Scope) -> ValueType | None:
    found = refer(scope, at.path)
    if found is None:
        return None
    if found.parameter is not None:
        return e.declared(found.instance, found.parameter.name)
    return KINDS_OF_VALUE["time" if found.cost == "latency" else "energy"]


def _infer_unary(e: Evaluator, at: ast.Unary, scope: Scope) -> ValueType | None:
    return ValueType("flag") if at.operator == "not" else e.infer(at.operand, scope)


def _infer_binary(e: Evaluator, at: ast.Binary, scope: Scope) -> ValueType | None:
    if at.operator in _ORDER or at.operator in ("and", "or"):
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
        return ValueType("number", _ARITHMETIC[at.operator](a, b).dimension)
    except UnitError:
        return None


def _infer_choose(e: Evaluator, at: ast.Choose, scope: Scope) -> ValueType | None:
    return e.infer(at.value, scope) or e.infer(at.otherwise, scope)


def _infer_call(e: Evaluator, at: ast.Call, scope: Scope) -> ValueType | None:
    if at.function in ("ceil", "floor", "log2"):
        return ValueType("number")
    if at.function in _MANY and at.arguments:
        return e.infer(at.arguments[0], scope)
    argument = at.arguments[0] if at.arguments else None
    if at.function == "total" and isinstance(argument, ast.Name):
        return KINDS_OF_VALUE.get(argument.path[-1])
    return None


_INFER: dict[
    type[ast.Expression], Callable[[Evaluator, ast.Expression, Scope], ValueType | None]
] = {
    ast.Number: _infer_number,  # type: ignore[dict-item]
    ast.Text: lambda e, at, scope: ValueType("text"),
    ast.Flag: lambda e, at, scope: ValueType("flag"),
    ast.Name: _infer_name,  # type: ignore[dict-item]
    ast.Unary: _infer_unary,  # type: ignore[dict-item]
    ast.Binary: _infer_binary,  # type: ignore[dict-item]
    ast.Choose: _infer_choose,  # type: ignore[dict-item]
    ast.Items: lambda e, at, scope: ValueType("list"),
    ast.Table: lambda e, at, scope: ValueType("list"),
    ast.Call: _infer_call,  # type: ignore[dict-item]
}


# ------------------------------------------------------------------------- tables

_LONGEST_TABLE = 1_000_000


def _read_table(path: Path, at: ast.Table) -> tuple[Value, ...]:
    try:
        if path.stat().st_size > _LONGEST_TABLE:
            raise Failed(Diagnostic("E059", f"`{at.file}` is larger than 1 MB", at.span))
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        headline = f"`{at.file}` cannot be read: {reason.lower()}"
        raise Failed(Diagnostic("E059", headline, at.span)) from None
    rows = [_table_row(row, n, at) for n, row in enumerate(csv.reader(text.split("\n")), 1) if row]
    if not rows:
        raise Failed(Diagnostic("E059", f"`{at.file}` holds no numbers", at.span))
    return tuple(row[0] for row in rows) if all(len(r) == 1 for r in rows) else tuple(rows)


def _table_row(row: list[str], line: int, at: ast.Table) -> tuple[Value, ...]:
    found: list[Value] = []
    for cell in row:
        number, _, unit = cell.strip().partition(" ")
        try:
            found.append(units.read_quantity(number, unit.strip()))
        except (ValueError, OverflowError):
            headline = f"line {line} of `{at.file}` has `{cell[:40]}`, which is no number"
            raise Failed(Diagnostic("E059", headline, at.span)) from None
    return tuple(found)


def description_error(failure: Failed) -> DescriptionError:
    """The exception for a problem that appears only while running."""
    return DescriptionError(*([failure.problem] if failure.problem else []))
