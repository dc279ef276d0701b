"""The clock: what registers that are clocked draw while nothing is added in them.

A part whose clock is gated (`clock_gating`, which is so unless a description says otherwise) draws
nothing while it is idle but its leakage. One whose clock keeps running draws for each register bit
the energy of a clock edge, every cycle.
"""

from __future__ import annotations

from collections.abc import Callable

from cimarch.hardware.costs.inputs import watts
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.hardware.costs.technology import SCALING, scale_energy, technology
from cimarch.units import FREQUENCY, Quantity, show

CLOCKED = "clocked registers"
EDGE = 7.936518
"""fJ a bit and cycle at 40 nm: the internal power of a register bit that is clocked every ns."""
EDGE_NODE = 40.0
SOURCE = (
    'Y. S. Shao et al., "Aladdin", ISCA 2014: REG_1ns_int_power, 7.94 uW a bit at 40 nm and 1 ns'
    " (read in power_func.h of gem5-aladdin)"
)


def clocked(kind: str, bits: Callable[[Facts], float], formula: str) -> Model:
    """The model of a kind's `idle_power`; `formula` says how its register bits are counted."""

    def price(facts: Facts) -> Estimate | None:
        gated = not facts.has("clock_gating") or facts.flag("clock_gating")
        if gated or not bits(facts):
            return None
        to, count, hertz = technology(facts), bits(facts), float(facts.clock)
        edge = scale_energy(EDGE, EDGE_NODE, to)
        return Estimate(
            watts(count * edge / 10**15 * hertz),
            CLOCKED,
            f"idle_power = registers * edge * clock, registers = {formula}",
            (
                ("registers", f"{count:g}"),
                ("edge", f"{edge:.4g} fJ"),
                ("clock", show(Quantity(facts.clock, FREQUENCY))),
                *to.told(),
            ),
            f"{SOURCE}; {SCALING}",
            to.warnings,
        )

    return Model(kind, "idle_power", price)
