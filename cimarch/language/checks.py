"""Whether a value may stand where it is put: its type, wholeness, range and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from cimarch import units
from cimarch.diagnostics import Diagnostic, Span, listing, suggestion
from cimarch.hardware.kinds import OPERATION_WORDS
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.instances import Binding, Instance, Parameter
from cimarch.language.references import Failed, Scope
from cimarch.language.types import ValueType, type_of
from cimarch.units import Quantity

if TYPE_CHECKING:
    from cimarch.language.evaluate import Evaluator


@attrs.frozen(eq=False)
class Given:
    """A parameter of a part and what gives it its value."""

    instance: Instance
    parameter: Parameter
    binding: Binding
    expected: ValueType | None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def is_standard(self) -> bool:
        """Whether the library declares the parameter, so that it knows what makes sense."""
        return self.parameter.definition.is_standard

    def refuse(self, value: Quantity, why: str, code: str, *others: tuple[Span, str]) -> Failed:
        """The failure of a value that is of the right type and yet none."""
        headline = f"`{self.name}` of {self.instance.told()} is {value}, {why}"
        label = f"this is {value}"
        return Failed(Diagnostic(code, headline, self.binding.value.span, label, others))


def check(e: Evaluator, given: Given, value: Value) -> Value:
    """The value itself; raises Failed where it cannot be."""
    if given.expected is not None:
        _check_type(given, given.expected, value)
    if isinstance(value, Quantity):
        _check_whole(given, value)
        _check_range(e, given, value)
        signed = given.name in _SIGNED
        wrong = size_problem(value, signed=signed) if given.is_standard else ""
        if wrong:
            raise given.refuse(value, wrong, "E052")
    if given.name == "does" and given.is_standard and isinstance(value, tuple):
        _check_operations(given, value)
    return value


def _check_type(given: Given, expected: ValueType, value: Value) -> None:
    if expected.accepts(value):
        return
    found = type_of(value)
    named = f"`{given.name}` of `{given.instance.type_name}`"
    others = ((given.parameter.tree.name.span, f"declared here, {expected.told()}"),)
    place = given.binding.value.span
    if expected.name == found.name == "word":
        assert isinstance(value, str)
        notes = (f"it is one of {listing(expected.choices)}",)
        helps = suggestion(value, expected.choices)
        headline = f"{named} cannot be `{value}`"
        raise Failed(Diagnostic("E032", headline, place, "unknown word", others, notes, helps))
    code = "E030" if expected.name == found.name == "number" else "E031"
    headline = f"{named} is {expected.told()}, not {found.told()}"
    helps = conversion(value, expected, given.binding.value)
    label = f"this is {found.told()}"
    raise Failed(Diagnostic(code, headline, place, label, others, helps=helps))


def _check_whole(given: Given, value: Quantity) -> None:
    bits = value.dimension == units.DATA and given.is_standard
    counts = given.expected is not None and given.expected.whole
    if (bits or counts) and value.value.denominator != 1:
        what = "a whole number of bits" if bits else "a whole number"
        raise given.refuse(value, f"not {what}", "E051")


def _check_range(e: Evaluator, given: Given, value: Quantity) -> None:
    tree = given.parameter.tree
    if isinstance(tree, ast.Let) or tree.range is None:
        return
    low = _limit(e, given, tree.range.low, value)
    high = _limit(e, given, tree.range.high, value)
    if not low.value <= value.value <= high.value:
        place = (tree.range.span, "the range is declared here")
        raise given.refuse(value, f"outside {low}..{high}", "E050", place)


def _limit(e: Evaluator, given: Given, at: ast.Expression, value: Quantity) -> Quantity:
    """One end of a range, which must be of the same dimension as the value."""
    scope = Scope(given.instance, given.instance)
    limit = e.in_seconds(e.evaluate(at, scope), scope, at)
    if not isinstance(limit, Quantity) or limit.dimension != value.dimension:
        headline = f"a limit of `{given.name}` is not {units.describe(value.dimension)}"
        raise Failed(Diagnostic("E033", headline, at.span))
    return limit


def _check_operations(given: Given, value: tuple[Value, ...]) -> None:
    for word in value:
        if word not in OPERATION_WORDS:
            headline = f"there is no operation `{word}` for `does` of `{given.instance.type_name}`"
            helps = suggestion(str(word), OPERATION_WORDS)
            notes = (f"the operations are {listing(OPERATION_WORDS)}",)
            place = given.binding.value.span
            raise Failed(Diagnostic("E034", headline, place, notes=notes, helps=helps))


_LARGEST = 10**30
"""In SI units: beyond any quantity of a chip, and far within a double when all is summed."""


_SIGNED = ("range_low", "range_high", "offset", "gain_error", "inl")
"""The library's parameters that may be below zero."""


def size_problem(value: Quantity, *, signed: bool = False) -> str:
    """Why a value of the library's parameters cannot be: below zero where it is not `signed`, zero
    where that is none, or of a size that nothing real has."""
    if value.dimension in (units.FREQUENCY, units.DATA, units.TIME) and value.value <= 0:
        return "not above zero"
    positive = (units.ENERGY, units.POWER, units.AREA, units.NUMBER)
    if value.dimension in positive and value.value < 0 and not signed:
        return "below zero"
    if abs(value.value) > _LARGEST:
        return "larger than 1e+30 in SI units"
    if 0 < abs(value.value) * _LARGEST < 1:
        return "smaller than 1e-30 in SI units, and not zero"
    return ""


def not_a(expression: ast.Expression, wanted: str, value: Value) -> Diagnostic:
    """The diagnostic for a value of the wrong type in an expression."""
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


def conversion(value: Value, expected: ValueType, at: ast.Expression) -> tuple[str, ...]:
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
