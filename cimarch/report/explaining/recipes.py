"""How every figure of a report and every column of its tables is made: of which terms, and how.

Each name of `cimarch.report.definitions` has a `Recipe` here. A number that is arithmetic of others
is worked out again from its terms; one that is counted in the run, found by the placement, or read
from the network says so in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from cimarch.hardware.origin import Origin
from cimarch.program.basis import Basis
from cimarch.report.explaining.cells import Row, address_of, figure, key_of, table_of, told
from cimarch.report.explaining.provenance import Number, Term
from cimarch.report.report import Report


@attrs.frozen
class Cell:
    """One number of a report: a figure, or a column of a row."""

    report: Report
    name: str
    """Of the figure or the column."""
    table: str = ""
    """Empty for a figure."""
    row: Row = attrs.field(factory=dict)

    @property
    def address(self) -> str:
        """What explains it: `joules`, `layers[conv1].joules`."""
        return address_of(self.table, self.row, self.name) if self.table else self.name

    @property
    def basis(self) -> Basis | None:
        """What the report rests on, where a run made it."""
        return self.report.basis


Terms = Callable[[Cell], Iterable[Term]]
Compute = Callable[..., Number | None]


def nothing(cell: Cell) -> Iterable[Term]:
    """No terms."""
    return ()


@attrs.frozen
class Recipe:
    """How a number is made."""

    made: str
    """One of `cimarch.report.explaining.provenance.MADE`."""
    formula: str = ""
    terms: Terms = nothing
    compute: Compute | None = None
    """Of a formula: the number from the values of the terms, in their order."""
    unit: str = ""
    """`J`, `s`, `Hz`, `W`, `mm2`, `share`, `cycles`; empty: a plain number or a word."""

    def recomputed(self, terms: Sequence[Term]) -> Number | None:
        """The number from its terms; None where it is no arithmetic, or a term is not known."""
        values = [v for term in terms if isinstance(v := term.value, int | float)]
        if self.made not in ("sum", "formula") or len(values) < len(terms):
            return None
        compute = self.compute if self.made == "formula" else _add
        return None if compute is None else compute(*values)


def _add(*values: Number) -> Number:
    """The sum: of whole numbers whole, of floats without loss on the way."""
    if all(isinstance(value, int) for value in values):
        return sum(values)
    return math.fsum(values)


def figures(*names: str) -> Terms:
    """Terms that are figures of the same report."""

    def give(cell: Cell) -> Iterator[Term]:
        for name in names:
            value = figure(cell.report, name)
            yield Term(name, value, told(value, recipe_of("", name).unit), name)

    return give


def beside(*names: str) -> Terms:
    """Terms that are other columns of the same row."""

    def give(cell: Cell) -> Iterator[Term]:
        for name in names:
            value = cell.row[name]
            address = address_of(cell.table, cell.row, name)
            yield Term(name, value, told(value, recipe_of(cell.table, name).unit), address)

    return give


def both(*terms: Terms) -> Terms:
    """The terms of several, one after the other."""
    return lambda cell: [term for each in terms for term in each(cell)]


def rows(
    table: str, column: str, chosen: Callable[[Cell, Row], bool] = lambda cell, row: True
) -> Terms:
    """Terms that are cells of one column of a table: those of some rows, zeros left out."""

    def give(cell: Cell) -> Iterator[Term]:
        unit = recipe_of(table, column).unit
        found = [
            row for row in table_of(cell.report, table) if chosen(cell, row) and row[column] != 0
        ]
        values = [row[column] for row in found]
        whole = None if None in values else _add(*values)
        for row in found:
            value = row[column]
            share = None if not whole or value is None else value / whole
            yield Term(
                key_of(table, row), value, told(value, unit), address_of(table, row, column),
                share=share, origin=_energy_of(cell, table, row, column),
            )  # fmt: skip

    return give


def _energy_of(cell: Cell, table: str, row: Row, column: str) -> Origin | None:
    """The origin of one action's energy, of a row of the ledger or of `energy`."""
    if column != "joules" or table not in ("ledger", "energy"):
        return None
    return energy_origin(cell, str(row["part"]), str(row["action"]))


def energy_origin(cell: Cell, part: str, action: str) -> Origin | None:
    """Where the energy of an action, or the power that is paid for time, comes from."""
    return origin_of(cell, part, _POWERS.get(action, f"{action}.energy"))


def origin_of(cell: Cell, part: str, name: str) -> Origin | None:
    """Where a number of the system comes from; None of a report that no run made."""
    if cell.basis is None or cell.basis.system.explaining is None:
        return None
    return cell.basis.system.origin(part, name)


_POWERS = {"leakage": "leakage", "idle": "idle_power", "gated": "gated_leakage"}


def recipe_of(table: str, name: str) -> Recipe:
    """How a figure, or a column of a table, is made; KeyError for one that no recipe makes."""
    from cimarch.report.explaining.cookbook import RECIPES

    return RECIPES[table][name]
