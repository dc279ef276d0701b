"""How large column sums can be, and the type of numbers in which they are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.lines import Lines
from cimarch.functional.steps import step_factors, step_range

_EXACT_IN_SINGLE = 2.0**24
"""Sums of whole numbers that stay below this are exact in float32, in any order."""


def exact_type(lines: Lines) -> np.dtype[Any]:
    """float32 where all column sums are below 2^24, else float64."""
    largest = largest_sum(lines, lines.digits)
    return np.dtype(np.float32 if largest < _EXACT_IN_SINGLE else np.float64)


def largest_sum(lines: Lines, digits: NDArray[Any], *, squared: bool = False) -> float:
    """What no column sum exceeds, with these digits (lines, outputs, rows) and any inputs.

    At least the number of rows times the highest level: a reference column holds ones. `squared`:
    of the levels' squares, by place value where steps are summed in analog.
    """
    level = _highest(lines, squared)
    sums = [
        float(np.abs(digits[:, :, s.first : s.end]).sum(axis=2).max(initial=s.end - s.first))
        for s in lines.sections
    ]
    return level * max(sums, default=1.0)


def _highest(lines: Lines, squared: bool) -> float:
    """The largest level of a read, or what its square is at most."""
    scheme = lines.scheme
    spans = step_range(scheme)
    each = [max(-low, high) for low, high in spans]
    analog = scheme.input_accumulation == "analog"
    if squared:
        places = step_factors(scheme) if analog else [1] * len(each)
        all_of_them = [(p * x) ** 2 for p, x in zip(places, each, strict=True)]
        return float(sum(all_of_them) if analog else max(all_of_them))
    low, high = scheme.input_range
    return float(max(-low, high) if analog else max(each))
