"""What the actions of a task cost: counted per part and action, priced where a price is known."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import attrs

from cimarch.hardware.actions import latency_of as latency_of
from cimarch.hardware.system import RUNNING_NAMES, Part
from cimarch.mapping.placement import Placement


@attrs.frozen(cache_hash=True)
class Charge:
    """An action done `count` times by one task."""

    part: str
    action: str
    count: int
    joules: Fraction | None
    """Of all of them; None where nobody says."""
    origin: str
    """`stated`, `from power`, the name of a cost model, or `none`."""


def beside(placement: Placement) -> dict[str, Fraction]:
    """What costs of parts beside the products may read: one row, column and step; the precision of
    the operation with the most bits, and the chip's densities."""
    bits = placement.bits.values()
    return {
        **dict.fromkeys(RUNNING_NAMES, Fraction(1)),
        "weight_bits": Fraction(max((each.weight for each in bits), default=1)),
        "input_bits": Fraction(max((each.input for each in bits), default=1)),
        **placement.densities.chip.running,
    }


def charge(
    part: Part,
    action: str,
    count: int,
    *,
    busy: Fraction,
    members: int = 1,
    running: Mapping[str, Fraction] | None = None,
) -> Charge:
    """Price `count` actions of a part.

    An action with an energy charges it. A part with only a power is charged power x busy time:
    `busy` is the seconds that each of `members` instances works. Else the price is unknown.
    """
    found = part.actions.get(action)
    if found is not None and found.energy is not None:
        return Charge(part.path, action, count, count * found.energy.at(running), found.origin)
    if part.power > 0:
        return Charge(part.path, action, count, part.power * busy * members, "from power")
    return Charge(part.path, action, count, None, "none")
