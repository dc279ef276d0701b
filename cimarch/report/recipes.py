"""How every figure of a report and every column of its tables is made: of which terms, and how.

Each name of `cimarch.report.definitions` has a `Recipe` here. A number that is arithmetic of others
is worked out again from its terms; one that is counted in the run, found by the placement, or read
from the network says so in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import attrs

from cimarch.hardware.origin import Origin
from cimarch.program.basis import PER_ACTION, Basis, Price
from cimarch.report.columns import to_rows
from cimarch.report.definitions import BOUNDS, FIGURES, TABLES, Column
from cimarch.report.format import area, count, number, percent, quantity
from cimarch.report.provenance import Number, Term
from cimarch.report.report import Report
from cimarch.units import ENERGY, POWER, TIME, Quantity, show

Row = Mapping[str, Any]


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
    """One of `cimarch.report.provenance.MADE`."""
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


# --------------------------------------------------------------------------- telling

_TELLERS: Mapping[str, Callable[[Any], str]] = {
    "J": lambda value: quantity(value, "J"),
    "s": lambda value: quantity(value, "s"),
    "Hz": lambda value: quantity(value, "Hz"),
    "W": lambda value: quantity(value, "W"),
    "mW": lambda value: quantity(None if value is None else value / 1000, "W"),
    "mm2": lambda value: "not known" if value is None else area(value / 1e6) if value else "0 mm^2",
    "share": percent,
    "cycles": lambda value: "not known" if value is None else f"{number(value)} cycles"
    if isinstance(value, float) else f"{value:,} cycles",
    "": lambda value: "not known" if value is None else value if isinstance(value, str)
    else count(value) if isinstance(value, int) else number(value),
}  # fmt: skip


def told(value: Number | str | None, unit: str) -> str:
    """A value as people write it."""
    return _TELLERS[unit](value)


# ----------------------------------------------------------------------------- terms


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
    if cell.basis is None or cell.basis.system.explaining is None:
        return None
    name = _POWERS.get(action, f"{action}.energy")
    return cell.basis.system.origin(part, name)


_POWERS = {"leakage": "leakage", "idle": "idle_power", "gated": "gated_leakage"}


def prices(cell: Cell) -> Iterator[Term]:
    """The prices of one row of `energy`, each with how often it was paid."""
    if cell.basis is None:
        return
    key = (cell.row["operation"], cell.row["part"], cell.row["action"])
    origin = energy_origin(cell, key[1], key[2])
    for price in cell.basis.prices.get(key, ()):
        if price.origin == cell.row["origin"]:
            yield _price(cell.basis, price, origin)


def load_prices(cell: Cell) -> Iterator[Term]:
    """The prices of the load beside the run."""
    if cell.basis is not None:
        for price in cell.basis.load:
            yield _price(cell.basis, price, energy_origin(cell, price.part, price.action))


def _price(basis: Basis, price: Price, origin: Origin | None) -> Term:
    """One price: `1,024 x 1.5625 pJ`, or `1 x 2 mW for 3 ms` where time is paid for."""
    joules = None if price.each is None else float(price.each * price.times)
    is_action = price.per == PER_ACTION
    return Term(
        _dotted(price.part, price.action), joules, told(joules, "J"), "",
        int(price.times) if is_action else 1, _paid(basis, price), origin=origin,
    )  # fmt: skip


def _paid(basis: Basis, price: Price) -> str:
    """What one costs: joules, or watts and the time that they are paid for."""
    if price.each is None:
        return "not known"
    if price.per != PER_ACTION:
        return _for_time(price.each, price.times)
    power = basis.system.part(price.part).power
    if price.origin == "from power" and power:
        return _for_time(power, price.each / power)
    return show(Quantity(price.each, ENERGY))


def _for_time(watts: Fraction, seconds: Fraction) -> str:
    return f"{show(Quantity(watts, POWER))} for {show(Quantity(seconds, TIME))}"


# ----------------------------------------------------------------- what a report holds


def figure(report: Report, key: str) -> Number | str | None:
    """A figure by its name in JSON, in the unit that it has there."""
    if key in HEAD:
        return HEAD[key][1](report)
    (found,) = (each for each in FIGURES if each.key == key)
    value: Number | None = getattr(report, found.attribute)
    return value if value is None or found.scale == 1 else value * found.scale


def _bound(name: str) -> Callable[[Report], Number | str | None]:
    return lambda report: None if report.bound is None else getattr(report.bound, name)


HEAD: Mapping[str, tuple[str, Callable[[Report], Number | str | None]]] = {
    "clock_Hz": (
        "frequency of the system clock, that cycles are counted in", lambda r: float(r.clock)
    ),
    "batch": ("inferences of the run", lambda r: r.batch),
    "bound.path": ("part whose instance is busy for the longest: it bounds the time",
                   _bound("path")),
    "bound.busy": ("cycles that this instance is held", _bound("busy")),
    "bound.share": ("bound.busy / cycles of the run", _bound("share")),
    "bound.delays": ("operation whose tasks wait longest in its queue", _bound("delays")),
    "bound.waited": ("cycles that they wait there, added up", _bound("waited")),
}  # fmt: skip
"""What stands beside the figures at the head of a report: what it means, and its value."""

EXPLAINED: Mapping[str, tuple[Column, ...]] = {**TABLES, "bounds": BOUNDS}
"""The tables whose cells are explained: those of the JSON, and those written where asked for."""

DERIVED: Mapping[str, Mapping[str, str]] = {
    "parts": {"energy_share": "joules / joules of the run: `of all` in the printed table"},
}
"""Columns that are printed and not written: what they mean, by table."""


@lru_cache(maxsize=8)
def table_of(report: Report, name: str) -> tuple[Row, ...]:
    """The rows of a table, kept for the next number that is made of them."""
    return tuple(to_rows(getattr(report, name)))


@lru_cache(maxsize=4)
def of_parts(report: Report, column: str) -> Mapping[str, Any]:
    """A column of the parts by their paths."""
    return {str(row["path"]): row[column] for row in table_of(report, "parts")}


def _dotted(part: str, action: str) -> str:
    return f"{part}.{action}" if part else action


_KEYS: Mapping[str, Callable[[Row], str]] = {
    "layers": lambda row: str(row["name"]),
    "parts": lambda row: str(row["path"]),
    "ledger": lambda row: _dotted(row["part"], row["action"]),
    "energy": lambda row: f"{row['operation']}, {_dotted(row['part'], row['action'])}"
    if row["operation"] else _dotted(row["part"], row["action"]),
    "bounds": lambda row: f"{row['operation']}, {row['part']}",
}  # fmt: skip
"""What stands in the brackets of an address."""


def key_of(table: str, row: Row) -> str:
    """What stands in the brackets of the address of a row."""
    return _KEYS[table](row)


def address_of(table: str, row: Row, name: str) -> str:
    """The address of a cell."""
    return f"{table}[{key_of(table, row)}].{name}"


def recipe_of(table: str, name: str) -> Recipe:
    """How a figure, or a column of a table, is made; KeyError for one that no recipe makes."""
    from cimarch.report.cookbook import RECIPES

    return RECIPES[table][name]


NAMES: Mapping[str, tuple[str, ...]] = {
    "": (*(each.key for each in FIGURES), *HEAD),
    **{
        table: (*(column.name for column in columns), *DERIVED.get(table, ()))
        for table, columns in EXPLAINED.items()
    },
}
"""Every name that must have a recipe, by table; the empty one holds the figures."""
