"""What programs of one system have in common, for who writes thousands of them.

A search changes the precision of a network and asks again: the products of an array, the tolls of a
way and the efforts of an adder are those of the last candidate, as long as the parts, the vectors
and the words are.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from cimarch.hardware.routes import Routes
from cimarch.hardware.system import System
from cimarch.mapping.wiring import Wiring
from cimarch.program.charges import Charge
from cimarch.program.products import Products, Vector
from cimarch.program.transfers import Toll, Transfers
from cimarch.program.writes import Writes

Cycles = dict[tuple[Toll, ...], tuple[tuple[int, int], ...]]
"""Of the hops of a transfer: busy cycles and latency of each."""

Effort = tuple[int, int, tuple[Charge, ...]]
"""Busy cycles, latency and charges."""
Efforts = dict[tuple[str, str, int, int, int], Effort]
"""By what a part does, its path, how many members share it, for how much, and of how many terms."""

MOST = 1 << 14
"""Products of a pool, and transfers and efforts of a kind, that are kept from one program to the
next."""


def _silent(what: str, exact: Fraction, cycles: int) -> None:
    pass


class Kept:
    """Products, transfers and efforts worked out before; made for placements of one system with
    the same wirings. Programs that share it tell nothing of the times that were rounded."""

    def __init__(self) -> None:
        self._products: dict[tuple[str, str], Products] = {}
        self._transfers: dict[tuple[tuple[str, Fraction], ...], Transfers] = {}
        self._efforts: dict[tuple[tuple[str, Fraction], ...], Efforts] = {}
        self._cycles: Cycles = {}
        self._writings: dict[tuple[str, Vector], Writes] = {}
        self._crossings: dict[tuple[Toll, int], tuple[Fraction, Fraction, tuple[Charge, ...]]] = {}

    @property
    def cycles(self) -> Cycles:
        """What transfers take in cycles of the system's clock."""
        if len(self._cycles) > MOST:
            self._cycles.clear()
        return self._cycles

    def products(self, wiring: Wiring, detail: str) -> Products:
        """Those on the arrays of a pool."""
        key = (wiring.pool.path, detail)
        if key not in self._products or len(self._products[key]) > MOST:
            self._products[key] = Products(wiring, _silent, detail)
        return self._products[key]

    def transfers(
        self, system: System, routes: Routes, running: Mapping[str, Fraction]
    ) -> Transfers:
        """Those at costs that read the values `running`."""
        key = tuple(running.items())
        if key not in self._transfers or len(self._transfers[key]) > MOST:
            if len(self._transfers) > _MOST_RUNNING:
                self._transfers.clear()
            self._transfers[key] = Transfers(system, routes, running)
        return self._transfers[key]

    def efforts(self, running: Mapping[str, Fraction]) -> Efforts:
        """Those of units, adders and drivers at costs that read the values `running`."""
        key = tuple(running.items())
        if key not in self._efforts or len(self._efforts[key]) > MOST:
            if len(self._efforts) > _MOST_RUNNING:
                self._efforts.clear()
            self._efforts[key] = {}
        return self._efforts[key]

    @property
    def writings(self) -> dict[tuple[str, Vector], Writes]:
        """What writing cells of a pool takes."""
        if len(self._writings) > MOST:
            self._writings.clear()
        return self._writings

    @property
    def crossings(self) -> dict[tuple[Toll, int], tuple[Fraction, Fraction, tuple[Charge, ...]]]:
        """Of rows that cross a part on their way to cells: seconds that it is held, seconds until
        the first row is over, and the charges."""
        if len(self._crossings) > MOST:
            self._crossings.clear()
        return self._crossings


_MOST_RUNNING = 64
"""Precisions whose transfers and efforts are kept."""
