"""The terms of an energy: how often each price was paid, and where the price comes from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from cimarch.hardware.origin import Origin
from cimarch.program.basis import PER_ACTION, Basis, Price
from cimarch.report.explaining.cells import dotted, told
from cimarch.report.explaining.provenance import Term
from cimarch.report.explaining.recipes import Cell, energy_origin
from cimarch.units import ENERGY, POWER, TIME, Quantity, show


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
        dotted(price.part, price.action), joules, told(joules, "J"), "",
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
