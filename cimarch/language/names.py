"""Whether every name in an expression means something, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from cimarch.diagnostics import Diagnostic
from cimarch.hardware.system import RUNNING_NAMES
from cimarch.language import ast
from cimarch.language.evaluate import Evaluator
from cimarch.language.operations import call_problem, comparison_words
from cimarch.language.references import Scope, refer, unknown_name


def name_problems(e: Evaluator, expression: ast.Expression, scope: Scope) -> Iterator[Diagnostic]:
    """Every name and function in an expression that means nothing in its scope."""
    waiting = [(expression, scope)]
    while waiting:
        here, there = waiting.pop()
        if isinstance(here, ast.Name):
            if not _means_something(here, there):
                yield unknown_name(here, there)
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
        if scope.served is not None and word in scope.served:
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
