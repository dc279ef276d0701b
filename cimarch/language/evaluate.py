"""From expressions to values: exact, with dimensions, each parameter once, after all settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

from cimarch import units
from cimarch.diagnostics import Diagnostic, Problems, listing
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.checks import Given, check, conversion, not_a, size_problem
from cimarch.language.inference import INFER
from cimarch.language.instances import ActionSlot, Binding, Instance, Parameter
from cimarch.language.operations import EVALUATE
from cimarch.language.pricing import PRICED, estimate, model_for
from cimarch.language.references import Failed, Running, Scope
from cimarch.language.tables import Tables
from cimarch.language.types import KINDS_OF_VALUE, ValueType, type_of
from cimarch.units import Quantity, UnitError

_DEEPEST = 150
_DEEPEST_TYPE = 20
_SERVED: Mapping[str, Value] = {
    "weight_bits": Quantity(Fraction(8)),
    "input_bits": Quantity(Fraction(8)),
    "rows": Quantity(Fraction(64)),
    "columns": Quantity(Fraction(64)),
    "kind": "linear",
}
"""An ordinary operation, by which `serves` is tried out."""
INHERITED = ("clock", "beat", "node", "transistors", "voltage", "temperature", "clock_gating")
"""The parameters that a part takes from the enclosing one where it does not state its own."""


class Evaluator:
    """Evaluates the tree of one system; every problem is kept, and told once."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.doubts: list[Diagnostic] = []
        self._limits: dict[str, list[Instance]] = {}
        self._failed: set[tuple[Instance, str]] = set()
        self._busy: list[tuple[Instance, str]] = []
        self._depth = self._type_depth = 0
        self._types: dict[tuple[Instance, str], ValueType | None] = {}
        self.tables = Tables()
        self._costs: dict[tuple[Instance, str], Quantity] = {}
        self._totals: dict[tuple[Instance, str], Fraction] = {}

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
        if name in PRICED and binding.is_standard:
            model = model_for(self, instance, name)
            priced = estimate(self, instance, model, {}) if model is not None else None
            if priced is not None:
                return priced.quantity
        is_word = expected is not None and "none" in expected.choices
        if isinstance(binding.value, ast.Unset) and not is_word:
            return self._unset(instance, name, parameter, binding)
        scope = self.scope(instance, binding, expected, name)
        given = Given(instance, parameter, binding, expected)
        return check(self, given, self._settled(binding, scope))

    def is_late(self, instance: Instance, name: str) -> bool:
        """Whether a parameter is a condition over what only an operation gives: `serves`."""
        parameter = instance.parameters.get(name)
        return name == "serves" and parameter is not None and parameter.definition.is_standard

    def serves(self, instance: Instance, served: Mapping[str, Value]) -> bool:
        """Whether a pool takes an operation; raises Failed."""
        binding = instance.bindings["serves"]
        return self.flag(binding.value, Scope(binding.scope, instance, served=served))

    def scope(
        self, owner: Instance, binding: Binding, expected: ValueType | None, name: str = ""
    ) -> Scope:
        """Where the binding of a parameter is read, and which words stand for themselves in it."""
        words = frozenset(expected.choices) if expected else frozenset()
        lists_words = expected is not None and expected.name == "words"
        served = _SERVED if self.is_late(owner, name) else None
        return Scope(binding.scope, owner, words, lists_words, served=served)

    def _settled(self, binding: Binding, scope: Scope) -> Value:
        """The value of a binding, its cycles turned into seconds of the owner's clock."""
        value = self.evaluate(binding.value, scope)
        return self.in_seconds(value, scope, binding.value)

    def in_seconds(self, value: Value, scope: Scope, at: ast.Expression) -> Value:
        """A value with its cycles turned into seconds of the owner's clock."""
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
            return self.lent(instance.parent, name)
        if name == "clock":
            headline = f"{instance.told()} has no clock"
            helps = ("`clock = 1 GHz` in the system gives it one",)
            raise Failed(Diagnostic("E026", headline, instance.place(), helps=helps))
        return None

    def lent(self, instance: Instance, name: str) -> Value | None:
        """The value of a parameter of the library for a part: its own, or where the component has
        taken the name for its own affair, that of what encloses it, or the library's default."""
        if not self.is_taken(instance, name):
            return self.value(instance, name)
        if name in INHERITED:
            return self.lent(instance.parent, name) if instance.parent is not None else None
        library = self._in_library(instance, instance.parameters[name])
        assert library is not None
        assert isinstance(library.tree, ast.Param)
        default = library.tree.default
        if default is None or isinstance(default, ast.Unset):
            return None
        return self.evaluate(default, Scope(instance, instance, frozenset(library.choices)))

    def is_taken(self, instance: Instance, name: str) -> bool:
        """Whether a component has taken a name of the library for something of another kind."""
        own = instance.parameters[name]
        if own.definition.is_standard:
            return False
        library = self._in_library(instance, own)
        if library is None:
            return True
        return self.declared(instance, name) != self._declared(instance, library)

    def _in_library(self, instance: Instance, own: Parameter) -> Parameter | None:
        """What the library declares under the name of a parameter, if anything."""
        chain = (d for d in instance.definition.chain() if d.is_standard)
        trees = (m for d in chain for m in d.tree.body if isinstance(m, ast.Param))
        tree = next((m for m in trees if m.name.text == own.name), None)
        return None if tree is None else Parameter(own.name, tree, own.definition)

    def clock(self, instance: Instance) -> Fraction:
        """The clock of a part in Hz: its own or the nearest enclosing one's."""
        return self.number_of(instance, "clock")

    def number_of(self, instance: Instance, name: str) -> Fraction:
        """The value of a parameter that is a number, in SI base units."""
        found = self.value(instance, name)
        assert isinstance(found, Quantity)
        return found.value

    def warn(self, instance: Instance, sentence: str) -> None:
        """Keep what a cost model says of its limits: a sentence once, with the parts it is of."""
        parts = self._limits.setdefault(sentence, [])
        if instance not in parts:
            parts.append(instance)

    def warnings(self) -> list[Diagnostic]:
        """What cost models say of their own limits."""
        return [self._limit(sentence, parts) for sentence, parts in self._limits.items()]

    def _limit(self, sentence: str, parts: list[Instance]) -> Diagnostic:
        """One such sentence, at the value that is to blame where it begins with its name."""
        here: Instance | None = parts[0]
        name = sentence.partition(" ")[0].strip("`")
        while name in INHERITED and here is not None and here.bindings[name].is_standard:
            here = here.parent
        binding = here.bindings.get(name) if here is not None else None
        stated = binding is not None and not binding.is_standard
        place = binding.value.span if binding is not None and stated else parts[0].place()
        told = listing(part.path or part.definition.name for part in parts)
        return Diagnostic("W001", f"{told}: {sentence}", place)

    def total(self, instance: Instance, name: str) -> Fraction:
        """The sum of `area`, `power` or `leakage` over a part and all inside, every member."""
        key = (instance, name)
        if key not in self._totals:
            total = Fraction(0)
            for part in instance.walk():
                own = self.value(part, name)
                assert isinstance(own, Quantity)
                total += own.value * part.count
            self._totals[key] = total
        return self._totals[key]

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
        return INFER[type(expression)](self, expression, scope)

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
            helps = conversion(value, expected, binding.value)
            place = binding.value.span
            raise Failed(Diagnostic(code, headline, place, f"this is {found}", helps=helps))
        if wrong := size_problem(value):
            headline = f"{named} of {instance.told()} is {value}, {wrong}"
            raise Failed(Diagnostic("E052", headline, binding.value.span, f"this is {value}"))
        return value

    # expressions

    def evaluate(self, expression: ast.Expression, scope: Scope) -> Value:
        """The value of an expression; raises Failed."""
        if self._depth > _DEEPEST:
            headline = f"values depend on each other over more than {_DEEPEST} levels"
            raise Failed(Diagnostic("E061", headline, expression.span))
        self._depth += 1
        try:
            return EVALUATE[type(expression)](self, expression, scope)
        finally:
            self._depth -= 1

    def number(self, expression: ast.Expression, scope: Scope) -> Quantity:
        """The value of an expression that must be a number."""
        value = self.evaluate(expression, scope)
        if not isinstance(value, Quantity):
            raise Failed(not_a(expression, "a number", value))
        return value

    def flag(self, expression: ast.Expression, scope: Scope) -> bool:
        """The value of an expression that must be true or false."""
        value = self.evaluate(expression, scope)
        if not isinstance(value, bool):
            raise Failed(not_a(expression, "true or false", value))
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
