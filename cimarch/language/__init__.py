"""The .cimarch language: from a text to a System, or to diagnostics."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from cimarch.diagnostics import (
    MOST_FOUND,
    DescriptionError,
    Diagnostic,
    Enough,
    listing,
    suggestion,
)
from cimarch.hardware.system import System
from cimarch.language import settings
from cimarch.language.build import Builder
from cimarch.language.elaborate import Elaboration, system_problems, unused_problems
from cimarch.language.modules import Definition, Library, Module, display, locate

__all__ = ["load", "loads"]

_Reading = Callable[[Library], Module]


def load(name_or_path: str | os.PathLike[str], set: Mapping[str, object] | None = None) -> System:
    """Read a description: a file, or the name of one that comes with cimarch (`isaac`).

    `set` gives parameters values from outside, path by path: `{"tile.ima.adc.bits": 6}`. A file
    with several systems is the one that all others extend; any is chosen by its name behind a
    colon: `corners.cimarch:Low`. Raises DescriptionError with everything that is wrong.
    """
    text = os.fspath(name_or_path)
    name, _, system = text.rpartition(":") if _names_system(text) else (text, "", "")
    path = locate(name)
    return _load(lambda library: library.read_main(path), display(path), system, set or {})


def loads(text: str, file: str = "<text>", set: Mapping[str, object] | None = None) -> System:
    """Read a description from a string; `file` is what diagnostics call it."""
    return _load(lambda library: library.read_text(text, file, None), file, "", set or {})


def _names_system(text: str) -> bool:
    path, _, name = text.rpartition(":")
    return bool(path) and name.isidentifier() and not Path(text).exists()


def _load(reading: _Reading, file: str, name: str, given: Mapping[str, object]) -> System:
    try:
        return _elaborate(reading, file, name, given)
    except RecursionError:
        headline = f"`{file}` nests too deeply"
        raise DescriptionError(Diagnostic("E016", headline)) from None
    except Enough as enough:
        headline = f"`{file}` has {MOST_FOUND} mistakes or more"
        rest = Diagnostic("E007", headline, notes=("it is not looked at further",))
        raise DescriptionError(*_in_order([*enough.problems, rest])) from None


def _elaborate(reading: _Reading, file: str, name: str, given: Mapping[str, object]) -> System:
    library = Library()
    module = reading(library)
    definition = _choose_system(module, file, name, library)
    builder = Builder(library)
    root = builder.build(definition)
    overrides = settings.apply(given, root, builder)
    unused = builder.build_unused(module, definition)
    _stop_at(library.problems + builder.problems)
    elaboration = Elaboration(root)
    elaboration.check_names()
    _stop_at([*elaboration.problems, *unused_problems(unused), *system_problems(root)])
    elaboration.evaluate()
    _stop_at(elaboration.problems)
    elaboration.check()
    _stop_at(elaboration.problems)
    return elaboration.system(overrides, tuple(sorted(library.sources)))


def _choose_system(module: Module, file: str, name: str, library: Library) -> Definition:
    systems = {d.name: d for d in module.own.values() if d.tree.is_system}
    notes: tuple[str, ...] = ()
    if name:
        if name in systems:
            return systems[name]
        headline = f"`{file}` has no system `{name}`"
        notes = (f"its systems are {listing(systems)}",) if systems else ()
        helps = suggestion(name, systems)
    elif len(basic := [d for d in systems.values() if d.base not in systems.values()]) == 1:
        return basic[0]
    elif systems:
        headline = f"`{file}` has {len(systems)} systems: {listing(systems)}"
        helps = (f"choose one: `{file}:{next(iter(systems))}`",)
    else:
        headline = f"`{file}` has no system"
        helps = ("`system Name { ... }` says what the whole chip is",)
    problems = [*library.problems, Diagnostic("E092", headline, notes=notes, helps=helps)]
    raise DescriptionError(*_in_order(problems))


def _stop_at(problems: list[Diagnostic]) -> None:
    if problems:
        raise DescriptionError(*_in_order(problems))


def _in_order(problems: list[Diagnostic]) -> list[Diagnostic]:
    """By position, what has no place last; one problem once, however many parts have it."""
    once = {(p.code, p.span, p.headline if p.span is None else ""): p for p in problems[::-1]}
    return sorted(map(settings.of_flag, once.values()), key=_position)


def _position(problem: Diagnostic) -> tuple[bool, str, int, int, str]:
    span = problem.span
    if span is None:
        return (True, "", 0, 0, problem.headline)
    return (False, span.file, span.line, span.column, problem.headline)
