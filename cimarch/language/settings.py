"""Values from outside the files: `--set path=value`, or `load(..., set={path: value})`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.hardware.kinds import COSTS
from cimarch.hardware.system import Override
from cimarch.language import ast
from cimarch.language.build import Builder
from cimarch.language.instances import Binding, Instance
from cimarch.language.parse import parse_setting
from cimarch.units import Quantity, show


def as_text(value: object) -> str:
    """A Python value as the language writes it; DescriptionError for what it cannot say."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value) if value.bit_length() < 1300 else "1e400"
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return repr(value)
    if isinstance(value, Fraction):
        return f"{as_text(value.numerator)} / {as_text(value.denominator)}"
    if isinstance(value, Quantity):
        return show(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(as_text(v) for v in value) + "]"
    headline = f"a value of type `{type(value).__name__}` has no form in a description"
    raise DescriptionError(Diagnostic("E045", headline))


def apply(settings: Mapping[str, object], root: Instance, builder: Builder) -> tuple[Override, ...]:
    """Bind every setting in the tree; what cannot be bound becomes a problem of the builder."""
    overrides = []
    for path, value in settings.items():
        try:
            override = Override(path.strip(), as_text(value).strip())
            overrides.append(override)
            _apply_one(override, root, builder)
        except DescriptionError as error:
            builder.problems += error.diagnostics
    return tuple(overrides)


def _apply_one(override: Override, root: Instance, builder: Builder) -> None:
    flag = f"--set {override.path}={override.text}"
    names = tuple(override.path.split("."))
    if not all(n.isidentifier() for n in names):
        raise DescriptionError(_bad_path(flag, override.path))
    target, rest = root.below(names)
    if len(rest) == 2 and rest[0] in target.actions and rest[1] in COSTS:
        _set_cost(override, target, rest, flag)
        return
    if len(rest) > 1:
        raise DescriptionError(_no_part(flag, target, rest[0]))
    if not rest:
        headline = f"{flag}: `{override.path}` is a part, not a parameter"
        known = [p.name for p in target.parameters.values() if not p.is_let]
        note = f"its parameters are {listing(known)}"
        raise DescriptionError(Diagnostic("E042", headline, notes=(note,)))
    _set_parameter(override, target, rest[0], flag, builder)


def _set_parameter(
    override: Override, target: Instance, name: str, flag: str, builder: Builder
) -> None:
    before = len(builder.problems)
    if not builder.settable(target, name, None) or not builder.unbound(target, name, None):
        builder.problems[before:] = [_of_flag(p, flag) for p in builder.problems[before:]]
        return
    value = _parsed(override, target, name, flag)
    place = target.parameters[name].tree.name.span
    target.bindings[name] = Binding(value, target, place, False, flag)


_CODES = {"E020": "E041", "E021": "E043", "E024": "E044"}


def _of_flag(problem: Diagnostic, flag: str) -> Diagnostic:
    """A problem of a setting in a file, told of a flag instead."""
    notes = problem.notes
    helps = tuple(h.replace("set `", "use `--set ", 1) for h in problem.helps)
    helps = tuple(h.replace("`, and `", "=...`, and `") for h in helps)
    if problem.code == "E020" and helps and helps[0].startswith("`param"):
        helps = ()
    return attrs.evolve(
        problem,
        code=_CODES[problem.code],
        headline=f"{flag}: {problem.headline}",
        span=None,
        label="",
        notes=notes,
        helps=helps,
    )


def _set_cost(override: Override, target: Instance, rest: tuple[str, ...], flag: str) -> None:
    slot = target.actions[rest[0]]
    value = _parse(override, flag)
    slot.costs[rest[1]] = Binding(value, target, slot.place, False, flag)


def _parsed(override: Override, target: Instance, name: str, flag: str) -> ast.Expression:
    tree = target.parameters[name].tree
    is_text = isinstance(tree, ast.Param) and tree.kind is not None and tree.kind.text == "text"
    if is_text and not override.text.startswith('"'):
        quoted = attrs.evolve(override, text=f'"{override.text}"')
        return _parse(quoted, flag)
    return _parse(override, flag)


def _parse(override: Override, flag: str) -> ast.Expression:
    try:
        return parse_setting(override.text, flag)
    except DescriptionError as error:
        problems = [_of_text(p, flag, override.text) for p in error.diagnostics]
        raise DescriptionError(*problems) from None


def _of_text(problem: Diagnostic, flag: str, text: str) -> Diagnostic:
    helps = problem.helps
    if ".." in text:
        helps = ("one value at a time; several are compared by running several times",)
    return Diagnostic("E045", f"{flag}: {problem.headline}", notes=problem.notes, helps=helps)


def _bad_path(flag: str, path: str) -> Diagnostic:
    if "[" in path:
        headline = f"{flag}: a setting is of all members of an array"
        return Diagnostic("E040", headline, helps=("leave the `[...]` out of the path",))
    headline = f"{flag}: `{path}` is no path of a parameter"
    return Diagnostic("E040", headline, helps=("`--set part.parameter=value`",))


def _no_part(flag: str, here: Instance, name: str) -> Diagnostic:
    known = list(here.children)
    notes = (f"its parts are {listing(known)}",) if known else ("it has no parts",)
    headline = f"{flag}: {here.told()} has no part `{name}`"
    return Diagnostic("E040", headline, notes=notes, helps=suggestion(name, known))
