"""A validation as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap

from cimarch.explore.validating.published import KINDS, Reference
from cimarch.explore.validating.quantities import EVENTS
from cimarch.explore.validating.validate import Check, Validation

HEADS = (
    "figure", "published", "by parts", "by events", "difference", "kind", "source", "verdict",
)  # fmt: skip
WIDTH = 100
"""Of the notes on a terminal."""
RIGHT = frozenset({1, 2, 3, 4})
"""Columns that are numbers."""


def text(found: Validation) -> str:
    """The tables of all chips for a terminal, and in the end how many figures are met."""
    blocks = [_chip(found, reference) for reference in found.references]
    return "\n\n".join([*blocks, summary(found)])


def summary(found: Validation) -> str:
    """How many checks came to which verdict."""
    counts: dict[str, int] = {}
    for check in found.checks:
        counts[check.verdict] = counts.get(check.verdict, 0) + 1
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    checks, chips = _counted(len(found.checks), "check"), _counted(len(found.references), "chip")
    return f"{checks} of {chips}: {told or 'none'}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _chip(found: Validation, reference: Reference) -> str:
    lines = [f"{reference.title}: {reference.source}", ""]
    table = rows(found.of(reference))
    lines += _plain([HEADS, *table]) if table else ["no figure of its own can be compared"]
    for note in _notes(found, reference):
        lines += wrap(
            note, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
    return "\n".join(lines)


def _plain(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if i in RIGHT else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """A row for each figure, in the order of `HEADS`."""
    return [_row(list(same)) for _, same in groupby(checks, key=lambda check: check.figure)]


def _row(same: Sequence[Check]) -> tuple[str, ...]:
    """One figure, by each method that finds it."""
    check = max(same, key=lambda each: (each.failed, abs(each.difference or 0)))
    run = [each for each in same if each.method == EVENTS]
    other = [each for each in same if each.method != EVENTS]
    told = [percent(each.difference) for each in same if each.difference is not None]
    return (
        check.figure,
        _with_unit(check.published, check.unit),
        *(_with_unit(each.found, each.unit) for each in other),
        *[""] * (not other),
        *(_with_unit(each.found, each.unit) for each in run),
        *[""] * (not run),
        ", ".join(dict.fromkeys(told)) or "-",
        _allowed(check),
        check.checked,
        check.verdict,
    )


def _allowed(check: Check) -> str:
    """The kind, and the difference that a figure allows where it is not that of its kind."""
    usual = KINDS[check.kind]
    if check.tolerance is None or usual is None or check.tolerance == float(usual):
        return check.kind
    return f"{check.kind}, {check.tolerance * 100:g} %"


def _with_unit(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{number(value)} {unit}".rstrip()


def number(value: float) -> str:
    """A value in five significant digits, without an exponent where people write none."""
    return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.5g}"


def percent(difference: float) -> str:
    """A relative difference: `+0.91 %`."""
    return f"{difference * 100:+.2f} %".replace("+0.00 %", "0.00 %").replace("-0.00 %", "0.00 %")


def _notes(found: Validation, reference: Reference) -> list[str]:
    """What is told below a chip's table: of the whole, then of single figures, each once."""
    of_figures = [f"{c.figure}: {c.note}" for c in found.of(reference) if c.note]
    return [*reference.notes, *dict.fromkeys(of_figures)]
