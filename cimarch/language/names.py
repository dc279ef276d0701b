"""Whether every name in an expression means something, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from cimarch.diagnostics import Diagnostic, listing, suggestion
from cimarch.hardware.system import RUNNING_NAMES
from cimarch.language import ast
from cimarch.language.evaluate import (
    Evaluator,
    Scope,
    call_problem,
    comparison_words,
    refer,
)


def name_problems(e: Evaluator, expression: ast.Expression, scope: Scope) -> Iterator[Diagnostic]:
    """Every name and function in an expression that means nothing in its scope."""
    waiting = [(expression, scope)]
    while waiting:
        here, there = waiting.pop()
        if isinstance(here, ast.Name):
            if not _means_something(here, there):
                yield _unknown(here, there)
            continue
        if isinstance(here, ast.Call):
            problem = call_problem(here, there)
            if problem is not None:
                yield problem
                continue
        waiting += list(_inside(e, here, there))[::-1]


def _means_something(name: ast.Name, scope: Scope) -> bool:
    if len(name.path) == 1:
        word = name.path[0]
        if word in scope.words or (scope.action is not None and word in RUNNING_NAMES):
            return True
    return refer(scope, name.path) is not None


def _inside(
    e: Evaluator, here: ast.Expression, scope: Scope
) -> Iterator[tuple[ast.Expression, Scope]]:
    """The expressions inside, each with the words that stand for themselves there."""
    plain = attrs.evolve(scope, words=frozenset())
    if isinstance(here, ast.Binary) and here.operator in ("==", "!=", "<", "<=", ">", ">="):
        left, right = comparison_words(e, here, scope)
        yield here.left, attrs.evolve(scope, words=left)
        yield here.right, attrs.evolve(scope, words=right)
    elif isinstance(here, ast.Choose):
        yield here.value, scope
        yield here.condition, plain
        yield here.otherwise, scope
    elif isinstance(here, ast.Items) and scope.any_word:
        for item in here.items:
            if not (isinstance(item, ast.Name) and len(item.path) == 1):
                yield item, scope
    elif isinstance(here, ast.Call) and here.function == "total":
        return
    else:
        for expression in here.inside():
            yield expression, scope


def _unknown(name: ast.Name, scope: Scope) -> Diagnostic:
    here, rest = scope.instance.below(name.path)
    where = "here" if here is scope.instance else f"in {here.told()}"
    if scope.words and len(name.path) == 1:
        notes: tuple[str, ...] = (f"the words here are {listing(sorted(scope.words))}",)
        helps = suggestion(name.path[0], [*scope.words, *here.parameters])
        headline = f"`{name.text}` is neither one of the words here nor a parameter"
        return Diagnostic("E015", headline, name.span, "unknown word", notes=notes, helps=helps)
    if not rest:
        headline = f"`{name.text}` is a part, which has no value of its own"
        helps = (f"`{name.text}.{next(iter(here.parameters), 'area')}` is a value of it",)
        return Diagnostic("E015", headline, name.span, helps=helps)
    if rest[0] in RUNNING_NAMES and scope.action is None:
        headline = f"`{rest[0]}` is known only while running"
        helps = ("it can be read in the costs of an action",)
        return Diagnostic("E057", headline, name.span, helps=helps)
    known = [*here.parameters, *here.children, *here.actions]
    headline = f"there is no `{rest[0]}` {where}"
    helps = suggestion(rest[0], known) or _from_outside(scope, rest[0])
    return Diagnostic("E015", headline, name.span, "unknown name", helps=helps)


def _from_outside(scope: Scope, name: str) -> tuple[str, ...]:
    """A part sees nothing of what holds it: say how the value is handed in."""
    outer = scope.instance.parent
    while outer is not None:
        if name in outer.parameters:
            owner = scope.instance.type_name
            return (
                f"a part does not see the parameters of {outer.told()}: declare "
                f"`param {name}` in `{owner}` and set it there, `{name} = {name}`",
            )
        outer = outer.parent
    return ()
