"""A report as a piece of HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from cimarch.report.columns import to_rows
from cimarch.report.definitions import LAYERS, PARTS, Column
from cimarch.report.format import number
from cimarch.report.report import Report
from cimarch.report.summary import lines, title


def fragment(report: Report) -> str:
    """The summary, and the tables folded away."""
    summary = "".join(
        f"<tr><th style='text-align:left'>{escape(line.label)}</th>"
        f"<td>{escape(line.value)}</td><td>{escape(line.remark)}</td></tr>"
        for line in lines(report)
    )
    tables = _folded("Per operation", LAYERS, to_rows(report.layers)) + _folded(
        "Per part", PARTS, to_rows(report.parts)
    )
    notes = "".join(
        _listed(heading, sentences)
        for heading, sentences in (
            ("Warnings", report.warnings),
            ("Assumed", report.assumed),
            ("Not mapped", report.unmapped),
            ("Rounded by more than 1 %", report.rounded),
        )
    )
    return f"<div><b>{escape(title(report))}</b><table>{summary}</table>{tables}{notes}</div>"


def _folded(
    heading: str, columns: Iterable[Column], rows: list[dict[str, int | float | str | None]]
) -> str:
    head = "".join(
        f"<th title='{escape(column.definition)}'>{escape(column.name)}</th>" for column in columns
    )
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row.values())}</tr>" for row in rows
    )
    return (
        f"<details><summary>{heading} ({len(rows)})</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )


def _listed(heading: str, sentences: tuple[str, ...]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<details><summary>{heading} ({len(sentences)})</summary><ul>{items}</ul></details>"


def _cell(value: int | float | str | None) -> str:
    if value is None:
        return ""
    return escape(value) if isinstance(value, str) else number(value)
