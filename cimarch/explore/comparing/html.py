"""A comparison as a piece of HTML, for notebooks: a table a network, ratios in brackets."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from cimarch.explore.comparing.comparison import Comparison, Result
from cimarch.explore.comparing.figures import FIGURES, Compared, times


def fragment(comparison: Comparison) -> str:
    """The figures of every network, and why some chips do not run it."""
    tables = "".join(_table(comparison, network) for network in comparison.networks)
    return f"<div>{tables}</div>"


def _table(comparison: Comparison, network: str) -> str:
    results = comparison.of(network)
    head = "".join(f"<th>{escape(result.chip)}</th>" for result in results)
    rows = "".join(
        f"<tr><th style='text-align:left' title='{escape(figure.definition)}'>"
        f"{escape(figure.label)}</th>{''.join(_cells(comparison, figure, results))}</tr>"
        for figure in FIGURES
        if any(result.figures[figure.key] is not None for result in results)
    )
    refused = "".join(
        f"<p>{escape(f'{result.chip}: {problem.headline} [{problem.code}]')}</p>"
        for result in results
        for problem in result.problems
    )
    caption = f"<caption>{escape(network)}</caption>"
    return f"<table>{caption}<thead><tr><th></th>{head}</tr></thead>{rows}</table>{refused}"


def _cells(comparison: Comparison, figure: Compared, results: Iterable[Result]) -> Iterable[str]:
    for result in results:
        value, ratio = result.figures[figure.key], comparison.ratios(result)[figure.key]
        is_first = result is comparison.first(result.network)
        behind = "" if ratio is None or is_first else f" ({times(ratio)})"
        why = "" if value is not None else f" title='{escape(result.unknown.get(figure.key, ''))}'"
        yield f"<td{why}>{'-' if value is None else escape(figure.show(value) + behind)}</td>"
