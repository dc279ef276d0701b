"""Values from outside the files: `--set path=value`, or `load(..., set={path: value})`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from numbers import Rational, Real

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, Span, listing, suggestion
from cimarch.hardware.kinds import COSTS
from cimarch.hardware.system import Override
from cimarch.language import ast
from cimarch.language.build import Builder
from cimarch.language.instances import Binding, Instance
from cimarch.language.parse import HALF_CHARACTER, parse_setting
from cimarch.units import Quantity, show

_LARGEST: int = 10**400


def apply(settings: Mapping[str, object], root: Instance, builder: Builder) -> tuple[Override, ...]:
    """Bind every setting in the tree; what cannot be bound becomes a problem of the builder."""
    overrides = []
    if not isinstance(settings, Mapping):
        raise DescriptionError(_no_mapping(settings))
    for path, value in settings.items():
        try:
            setting = _Setting(_path(path), value)
            overrides.append(Override(setting.path, setting.text))
            setting.apply(root, builder)
        except DescriptionError as error:
            builder.problems.extend(error.diagnostics)
    return tuple(overrides)


def _no_mapping(settings: object) -> Diagnostic:
    headline = f"the settings are a `{type(settings).__name__}`, not values by path"
    return Diagnostic("E040", headline, helps=('`set={"tile.ima.adc.bits": 6}`',))


def _path(path: object) -> str:
    if isinstance(path, str):
        return path.strip()
    headline = f"`{path}` is a `{type(path).__name__}`, not the path of a parameter"
    raise DescriptionError(Diagnostic("E040", headline, helps=('`"part.parameter"`',)))


def of_flag(problem: Diagnostic) -> Diagnostic:
    """A problem inside the value of a flag, told without a window: there is no file to show."""
    if problem.span is None or not problem.span.file.startswith("--set "):
        return problem
    headline = f"{problem.span.file}: {problem.headline}"
    return attrs.evolve(problem, headline=headline, span=None, label="")


class _Setting:
    """One path and the value it is to have."""

    def __init__(self, path: str, value: object) -> None:
        self.path = path
        self.value = value
        self.text = _as_text(value)
        self.told = _short(path)
        self.flag = flag(path, self.text)
        self.span = Span(self.flag, 1, 1, 1, 1 + len(self.text))

    def _fail(
        self, code: str, headline: str, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
    ) -> DescriptionError:
        told = f"{self.flag}: {headline}"
        return DescriptionError(Diagnostic(code, told, notes=notes, helps=helps))

    def apply(self, root: Instance, builder: Builder) -> None:
        """Bind it; raises DescriptionError, or leaves problems in the builder."""
        names = tuple(self.path.split("."))
        if not all(n.isidentifier() for n in names):
            raise self._bad_path()
        target, rest = root.below(names)
        if len(rest) == 2 and rest[0] in target.actions and rest[1] in COSTS:
            slot = target.actions[rest[0]]
            slot.costs[rest[1]] = self._binding(target, slot.place, is_text=False)
        elif len(rest) > 1:
            raise self._no_part(target, rest[0])
        elif not rest:
            headline = f"`{self.told}` is a part, not a parameter"
            known = [p.name for p in target.parameters.values() if not p.is_let]
            raise self._fail("E042", headline, notes=(f"its parameters are {listing(known)}",))
        else:
            self._set_parameter(target, rest[0], builder)

    def _set_parameter(self, target: Instance, name: str, builder: Builder) -> None:
        before = len(builder.problems)
        if not builder.settable(target, name, None) or not builder.unbound(target, name, None):
            told = [self._retold(p) for p in builder.problems[before:]]
            builder.problems[before:] = told
            return
        tree = target.parameters[name].tree
        is_text = isinstance(tree, ast.Param) and tree.kind is not None and tree.kind.text == "text"
        target.bindings[name] = self._binding(target, tree.name.span, is_text=is_text)

    _codes: Mapping[str, str] = {"E020": "E041", "E021": "E043", "E024": "E044"}

    def _retold(self, problem: Diagnostic) -> Diagnostic:
        """A problem of setting a parameter in a file, told of a flag instead."""
        helps = tuple(
            h.replace("set `", "use `--set ", 1).replace("`, and `", "=...`, and `")
            for h in problem.helps
            if not h.startswith("`param")
        )
        headline = f"{self.flag}: {problem.headline}"
        code = self._codes[problem.code]
        return attrs.evolve(problem, code=code, headline=headline, label="", helps=helps)

    def _binding(self, target: Instance, place: Span, *, is_text: bool) -> Binding:
        return Binding(self._expression(is_text), target, place, False, self.flag)

    # the value

    def _expression(self, is_text: bool) -> ast.Expression:
        if not isinstance(self.value, str):
            return self._literal(self.value)
        if is_text and not self.text.startswith('"'):
            return ast.Text(span=self.span, value=self.text)
        try:
            return parse_setting(self.text, self.flag)
        except DescriptionError as error:
            problems = [self._of_text(of_flag(p)) for p in error.diagnostics]
            raise DescriptionError(*problems) from None

    def _of_text(self, problem: Diagnostic) -> Diagnostic:
        """A syntax problem of the value; a range is a sweep's."""
        several = ("one value at a time; several are compared by running several times",)
        return attrs.evolve(
            problem,
            code="E045",
            headline=problem.headline.replace("the end of the file, found", "the end, found")
            .replace("the end of the file, ", "")
            .replace("the end of the line or ", "")
            .replace("the end of the file", "the end"),
            helps=several if ".." in self.text else problem.helps,
        )

    def _literal(self, value: object) -> ast.Expression:
        """A Python value as an expression: exact, whatever its text says."""
        if isinstance(value, bool):
            return ast.Flag(span=self.span, value=value)
        if isinstance(value, list | tuple):
            items = tuple(self._literal(v) for v in value)
            return ast.Items(span=self.span, items=items)
        if isinstance(value, str):
            if value.isidentifier():
                return ast.Name(span=self.span, path=(value,))
            return ast.Text(span=self.span, value=value)
        quantity = value if isinstance(value, Quantity) else Quantity(_fraction(value))
        return ast.Number(span=self.span, value=quantity)

    # what is wrong with the path

    def _bad_path(self) -> DescriptionError:
        if "[" in self.path:
            headline = "a setting is of all members of an array"
            return self._fail("E040", headline, helps=("leave the `[...]` out of the path",))
        headline = f"`{self.told}` is no path of a parameter"
        return self._fail("E040", headline, helps=("`--set part.parameter=value`",))

    def _no_part(self, here: Instance, name: str) -> DescriptionError:
        known = list(here.children)
        notes = (f"its parts are {listing(known)}",) if known else ("it has no parts",)
        headline = f"{here.told()} has no part `{name}`"
        return self._fail("E040", headline, notes=notes, helps=suggestion(name, known))


def flag(path: str, text: str) -> str:
    """What a setting is called: the flag that gives it, which is also its file in spans."""
    return f"--set {_short(path)}={_short(text)}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _fraction(value: object) -> Fraction:
    """The exact value of a Python number; a float is the decimal number it prints as."""
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    assert isinstance(value, Real)
    return Fraction(repr(float(value)))


def _as_text(value: object) -> str:
    """A Python value as the language writes it; DescriptionError for what it cannot say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if HALF_CHARACTER.search(value):
            raise DescriptionError(Diagnostic("E045", f"{value!r} is not Unicode text"))
        return value.strip()
    if isinstance(value, Quantity):
        return show(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_as_text(v) for v in value) + "]"
    if isinstance(value, Real) and _is_writable(value):
        return str(_fraction(value)) if isinstance(value, Rational) else repr(float(value))
    headline = f"a value of type `{type(value).__name__}` has no form in a description"
    raise DescriptionError(Diagnostic("E045", headline))


def _is_writable(value: Real) -> bool:
    if isinstance(value, Rational):
        exact = Fraction(int(value.numerator), int(value.denominator))
        largest: int = max(abs(exact.numerator), exact.denominator)
        return largest < _LARGEST
    return bool(isfinite(float(value)))
