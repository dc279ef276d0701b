"""What a precision policy costs on a chip, without its accuracy and without a report.

A search over policies asks thousands of times for cycles and joules. They are those of `simulate`,
to the last digit: each policy is placed, its program written and run, and what it was charged is
added up. What hangs on the chip alone (ways, products, transfers) is worked out once.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from cimarch.hardware.system import System
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.placement import Placement
from cimarch.mapping.pools import Wanted
from cimarch.mapping.wiring import wirings_of
from cimarch.program.kept import Kept
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program, load_program
from cimarch.program.program import program as write_program
from cimarch.simulate import load_cycles, map_network, run_program
from cimarch.workload.network import Network


@attrs.frozen
class Price:
    """What one inference takes at one precision, and what holds its weights."""

    cycles: int
    joules: float | None
    """None where the description does not price an action that is done."""
    crossbars: int
    """That hold weights."""
    utilisation: float
    """Cells that hold weights over the cells of these crossbars, 0 to 1."""


class Prices:
    """Prices of policies for one network on one system."""

    def __init__(
        self,
        system: System,
        network: Network,
        schedule: str | None = "layers",
        *,
        weight_bits: int = 8,
        input_bits: int = 8,
        place: Wanted = None,
        duplicate: Duplicate = "none",
    ) -> None:
        """`schedule`, `place`, `duplicate` and the bits of what a policy does not name are those of
        `cimarch.simulate`."""
        self.system, self.network = system, network
        self._wirings = wirings_of(system)
        self._kept = Kept()
        self._how: dict[str, Any] = {
            "schedule": schedule, "weight_bits": weight_bits, "input_bits": input_bits,
            "place": place, "duplicate": duplicate, "wirings": self._wirings,
        }  # fmt: skip

    def of(self, policy: object = None) -> Price:
        """The price of a policy, as `cimarch.simulate` takes one (`cimarch.mapping.precision`).

        Raises DescriptionError where the system cannot hold or route the network so.
        """
        with _uncollected():
            return self._of(policy)

    def loading(self, policy: object = None) -> int:
        """Cycles to write all weights of a policy once."""
        with _uncollected():
            placed, program = self._written(policy)
            if program.preloaded and placed.groups:
                return run_program(
                    load_program(placed, self._kept), check=False, sums=False
                ).makespan
            return load_cycles(program, run_program(program, check=False, sums=False))

    def _of(self, policy: object) -> Price:
        placed, program = self._written(policy)
        ran = run_program(program, check=False, sums=False, likes=not _packs(placed))
        return Price(
            cycles=ran.makespan,
            joules=Ledger(program, ran).joules,
            crossbars=placed.crossbars,
            utilisation=placed.utilisation,
        )

    def _written(self, policy: object) -> tuple[Placement, Program]:
        placed = map_network(self.system, self.network, precision=policy, **self._how)
        return placed, write_program(placed, kept=self._kept)


def _packs(placed: Placement) -> bool:
    """Whether strips are packed: then each array holds others, and does nothing as another does."""
    strips = [bits.strips for bits in placed.bits.values() if bits.strips is not None]
    return any(each.layout == "packed" for each in strips)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let Python look for cycles once, at the end, and only in what was made within.

    A program is so many objects that every other one would have the whole heap searched.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if was_on:
            gc.enable()
