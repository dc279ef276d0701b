"""How long an action of a part takes."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from cimarch.hardware.system import Part


def latency_of(
    part: Part, action: str, default: Fraction, running: Mapping[str, Fraction] | None = None
) -> Fraction:
    """Seconds that one action takes; `default` where the description does not say."""
    found = part.actions.get(action)
    return default if found is None or found.latency is None else found.latency.at(running)
