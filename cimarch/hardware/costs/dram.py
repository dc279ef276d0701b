"""Memory off the chip: energy of a bit by standard, whatever the chip's node is.

LPDDR4, LPDDR, HBM2, HBM3 and HBM4: as hwcomponents-cacti takes them, both ways alike. GDDR6 and
DDR4: figures that go around in public simulators and name no source: unverified. (The public model
of Prosperity takes 17.97 pJ a bit, out of a simulation with DRAMsim.)
"""

from __future__ import annotations

from cimarch.hardware.costs.inputs import joules
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.units import DATA, Quantity, show

_TABLE = "hwcomponents-cacti: DRAM by type"
_UNVERIFIED = "commonly quoted, unverified"
STANDARDS = {
    "LPDDR": (40, _TABLE),
    "LPDDR4": (8, _TABLE),
    "HBM2": (6.25, _TABLE),
    "HBM3": (4.05, _TABLE),
    "HBM4": (3.2, _TABLE),
    "GDDR6": (7, _UNVERIFIED),
    "DDR4": (18, _UNVERIFIED),
}
"""pJ a bit, and the source, by the word of `standard`."""


def access(facts: Facts) -> Estimate | None:
    """Of one word; None without a standard."""
    if not facts.has("standard"):
        return None
    standard = facts.word("standard")
    picojoules, source = STANDARDS[standard]
    return Estimate(
        joules(float(facts.number("width")) * picojoules / 10**12),
        f"{standard} by the bit",
        f"energy = width * {picojoules:g} pJ/bit",
        (("width", show(Quantity(facts.number("width"), DATA))), ("standard", standard)),
        source,
    )


MODELS = (
    Model("dram", "read.energy", access, needs_node=False),
    Model("dram", "write.energy", access, needs_node=False),
)
