"""Numbers with a dimension, as a description writes them."""

from __future__ import annotations

from fractions import Fraction

import attrs


@attrs.frozen
class Quantity:
    """An exact value in SI base units, with the exponents of its dimension."""

    value: Fraction
    dimension: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 0)
