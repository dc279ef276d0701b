"""`explain` of a report: an address becomes a number with its definition and its terms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.hardware.origin import Origin
from cimarch.report.definitions import FIGURES
from cimarch.report.explaining.cells import (
    DERIVED,
    EXPLAINED,
    HEAD,
    NAMES,
    Row,
    figure,
    key_of,
    table_of,
    told,
)
from cimarch.report.explaining.explain import Explanation
from cimarch.report.explaining.explain import explain as explain_system
from cimarch.report.explaining.provenance import Provenance
from cimarch.report.explaining.recipes import Cell, recipe_of
from cimarch.report.report import Report

_CELL = re.compile(r"(\w+)\[(.*)\]\.(\w+)", re.DOTALL)
_DOTTED = re.compile(rf"({'|'.join(EXPLAINED)})\.(.+)\.(\w+)", re.DOTALL)
"""The same where a shell would want brackets quoted: `layers.conv1.cycles`."""


def explain(report: Report, address: str = "", *, every: bool = False) -> Explanation:
    """Where a number of a report comes from: a figure, a cell of a table, or one of its system.

    Without an address all figures, without their terms. Raises DescriptionError where the address
    leads nowhere.
    """
    address = address.strip()
    if not address:
        return Explanation(report.system, "", _title(report), made=tuple(_figures(report)))
    if address in NAMES[""]:
        cell = Cell(report, address)
    elif found := _CELL.fullmatch(address) or _DOTTED.fullmatch(address):
        cell = _cell(report, *found.groups())
    else:
        return _of_system(report, address, every=every)
    number = provenance(cell)
    return Explanation(report.system, address, _title(report), (), _origins(number), (), (number,))


def addresses(report: Report) -> Iterator[str]:
    """The address of every figure, and of every cell of every table."""
    yield from NAMES[""]
    for table in EXPLAINED:
        for key in _by_key(report, table):
            yield from (f"{table}[{key}].{name}" for name in NAMES[table])


def provenance(cell: Cell) -> Provenance:
    """A number with its definition and what it is made of."""
    recipe = recipe_of(cell.table, cell.name)
    terms = tuple(recipe.terms(cell))
    if cell.table:
        value = cell.row[cell.name] if cell.name in cell.row else recipe.recomputed(terms)
    else:
        value = figure(cell.report, cell.name)
    if isinstance(value, float) and math.isnan(value):
        value = None
    return Provenance(
        cell.address,
        value,
        told(value, recipe.unit),
        _definition(cell),
        recipe.made,
        recipe.formula,
        terms,
        None if value is None else recipe.recomputed(terms),
        tuple(_notes(cell, value)),
    )


def _title(report: Report) -> str:
    return f"{report.network} on {report.system}"


def _definition(cell: Cell) -> str:
    if cell.table:
        columns = {column.name: column.definition for column in EXPLAINED[cell.table]}
        return (columns | dict(DERIVED.get(cell.table, {})))[cell.name]
    if cell.name in HEAD:
        return HEAD[cell.name][0]
    return {each.key: each.definition for each in FIGURES}[cell.name]


def _notes(cell: Cell, value: object) -> Iterator[str]:
    """Why a number is not known; of times, which tasks begin and end them."""
    ends = cell.basis.ends.get(str(cell.row.get("name"))) if cell.basis else None
    if ends is not None and cell.name in ("start_cycle", "cycles"):
        yield f"its first task: {ends.first}"
    if ends is not None and cell.name in ("finish_cycle", "cycles"):
        yield f"its last task: {ends.last}"
    if value is None and "joules" in cell.name and not cell.table:
        for name in cell.report.unpriced:
            yield f"nobody says the energy of `{name}`"


def _figures(report: Report) -> Iterator[Provenance]:
    for name in NAMES[""]:
        whole = provenance(Cell(report, name))
        yield Provenance(
            whole.address, whole.value, whole.told, whole.definition, whole.made, whole.formula,
            recomputed=whole.recomputed,
        )  # fmt: skip


def _origins(number: Provenance) -> tuple[Origin, ...]:
    """The origins of the terms, each once, where there are few enough to be told in full."""
    found = {term.origin.address: term.origin for term in number.terms if term.origin is not None}
    return tuple(found.values()) if len(found) == 1 else ()


# ------------------------------------------------------------------------- addresses


@lru_cache(maxsize=8)
def _by_key(report: Report, table: str) -> Mapping[str, Row]:
    """The rows of a table by their keys; of several with one key, the later ones are numbered."""
    seen: dict[str, int] = {}
    found = {}
    for row in table_of(report, table):
        key = key_of(table, row)
        seen[key] = seen.get(key, 0) + 1
        found[key if seen[key] == 1 else f"{key} #{seen[key]}"] = row
    return found


def _cell(report: Report, table: str, key: str, name: str) -> Cell:
    if table not in EXPLAINED:
        headline = f"a report has no table `{table}`"
        raise _unknown(headline, f"its tables are {listing(EXPLAINED)}", table, list(EXPLAINED))
    rows = _by_key(report, table)
    if key not in rows:
        told_rows = f"its rows are {listing(rows)}" if rows else "it has no rows"
        raise _unknown(f"`{table}` has no row `{key}`", told_rows, key, list(rows))
    if name not in NAMES[table]:
        note = f"its columns are {listing(NAMES[table])}"
        raise _unknown(f"`{table}` has no column `{name}`", note, name, list(NAMES[table]))
    return Cell(report, name, table, rows[key])


def _unknown(headline: str, note: str, name: str, known: list[str]) -> DescriptionError:
    helps = suggestion(name, known)
    return DescriptionError(Diagnostic("E401", headline, notes=(note,), helps=helps))


def _of_system(report: Report, address: str, *, every: bool) -> Explanation:
    """One of the numbers of the system that ran."""
    if report.basis is not None and report.basis.system.explaining is not None:
        try:
            return explain_system(report.basis.system, address, every=every)
        except DescriptionError:
            pass
    note = "it is a figure, `table[row].column`, or a path of the system"
    raise _unknown(f"`{address}` is no number of this report", note, address, list(NAMES[""]))
