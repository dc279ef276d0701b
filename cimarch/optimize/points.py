"""Records as points: how often a model is right against what is left of it, seeds taken together.

Runs that differ in their seed alone are one point: the mean and the standard deviation (that of a
sample, n - 1) of each figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import attrs

from cimarch.optimize.record import Record

JUDGED = (
    ("accuracy_chip", "accuracy on the chip, %"),
    ("accuracy_quantised", "accuracy quantised, %"),
    ("accuracy_float", "accuracy in float, %"),
)
"""By which accuracy points are judged: the first that all records have."""
LEFT = (
    ("weight_bits", "bits of weights"),
    ("crossbars", "crossbars"),
    ("parameters", "parameters"),
)
"""What is left of a model."""


@attrs.frozen
class Spread:
    """A figure of several runs."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The mean of some values, and how far they lie apart; 0 for one."""
        mean = math.fsum(values) / len(values)
        if len(values) == 1:
            return cls(mean, 0.0)
        square = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        return cls(mean, math.sqrt(square))


@attrs.frozen
class Point:
    """Runs of one method with the same options but for the seed."""

    series: str
    """The method, the network and the chip."""
    judged: str
    """Which accuracy it is."""
    accuracy: Spread
    left: Mapping[str, Spread]
    """In percent of what there was before, by what it is."""
    runs: int


def points(records: Sequence[Record]) -> list[Point]:
    """The records as points; none where no accuracy is known of all of them."""
    name, judged = next(
        (each for each in JUDGED if all(_known(r, each[0]) for r in records)), (None, "")
    )
    if name is None:
        return []
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_alike(record), []).append(record)
    return [
        Point(
            f"{group[0].method}, {group[0].network} for {group[0].system}",
            judged,
            Spread.of([getattr(r.after, name) for r in group]),
            _left(group),
            len(group),
        )
        for group in groups.values()
    ]


def _known(record: Record, name: str) -> bool:
    return getattr(record.after, name) is not None


def _alike(record: Record) -> str:
    """What all runs of a point have in common."""
    options = {name: value for name, value in record.options.items() if name != "seed"}
    told = [record.method, record.network, record.system, record.data, options]
    return json.dumps(told, sort_keys=True)


def _left(group: Sequence[Record]) -> dict[str, Spread]:
    found = {}
    for name, title in LEFT:
        pairs = [(getattr(r.before, name), getattr(r.after, name)) for r in group]
        if all(first and last is not None for first, last in pairs):
            found[title] = Spread.of([100 * last / first for first, last in pairs])
    return found
