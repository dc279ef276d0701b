"""What levels cost on a chip: cycles, joules, the use of its pools, for each way to lay strips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from cimarch.functional.fit.quantise import matrices
from cimarch.hardware.system import System
from cimarch.optimize.mixed.choose import NONE, Levels, strips_of
from cimarch.optimize.pricing import Price, Prices
from cimarch.simulate import map_network
from cimarch.workload.network import Network

Reads = Mapping[str, int]
"""Of some layers, how often an array is read for a window, at most."""


@attrs.frozen(eq=False, slots=False)
class Tilings:
    """The policies of one network at several precisions, and their prices on one system."""

    system: System
    network: Network
    bits: tuple[int, ...]
    """The highest first."""
    input_bits: int

    @cached_property
    def _prices(self) -> Prices:
        return Prices(
            self.system, self.network, None, weight_bits=self.bits[0], input_bits=self.input_bits
        )

    @property
    def plain(self) -> dict[str, Any]:
        """Everything at the highest precision, in the tiling of one precision (im2col)."""
        return {
            op.name: {"weight_bits": self.bits[0], "input_bits": self.input_bits}
            for op in matrices(self.network)
        }

    def policy(self, levels: Levels, layout: str, reads: Reads = NONE) -> dict[str, Any]:
        """A precision policy: strips where there are levels, the highest precision elsewhere."""
        mixed = {
            name: {"input_bits": self.input_bits, "strips": each.to_dict()}
            for name, each in strips_of(levels, self.bits, layout, reads).items()
        }
        return {**self.plain, **mixed}

    def priced(self, policy: Mapping[str, Any]) -> Price:
        """Cycles and joules of an inference."""
        return self._prices.of(policy)

    def price(self, levels: Levels, layout: str) -> float:
        """Joules of an inference; its cycles where something that is done has no price."""
        found = self.priced(self.policy(levels, layout))
        return float(found.cycles if found.joules is None else found.joules)

    def told(self, levels: Levels, layout: str, reads: Reads = NONE) -> dict[str, Any]:
        """The price as plain values."""
        return attrs.asdict(self.priced(self.policy(levels, layout, reads)))

    def plain_told(self) -> dict[str, Any]:
        """The price of everything at the highest precision, im2col."""
        return attrs.asdict(self.priced(self.plain))

    def utilisation(
        self, levels: Levels, layout: str, paths: Sequence[str], reads: Reads = NONE
    ) -> dict[str, float]:
        """Cells that hold weights over the cells of the arrays that are used, of each pool."""
        placed = map_network(
            self.system, self.network, weight_bits=self.bits[0], input_bits=self.input_bits,
            precision=self.policy(levels, layout, reads),
        )  # fmt: skip
        return {path: placed.utilisation_of_pool(path) for path in paths}
