"""Records as points: how often a model is right against what is left of it, seeds taken together.

Runs that differ in their seed alone are one point: the mean and the standard deviation (that of a
sample, n - 1) of each figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import attrs

from cimarch.optimize.frame.record import Record

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
    """The method, and the words of its options that not all runs of it have."""
    judged: str
    """Which accuracy it is."""
    accuracy: Spread
    left: Mapping[str, Spread]
    """In percent of what there was before, by what it is."""
    before: float | None
    """The mean accuracy of what there was before; None where it is not known."""
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
            _series(group[0], records),
            judged,
            Spread.of([getattr(r.after, name) for r in group]),
            _left(group),
            _before(group, name),
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


def _series(record: Record, records: Sequence[Record]) -> str:
    """What a run is called: its method, and what is said in words that others say otherwise."""
    others = [each for each in records if each.method == record.method]
    words = [record.method]
    for what in ("network", "system", "data"):
        if len({getattr(each, what) for each in records}) > 1:
            words.append(getattr(record, what))
    for name, value in record.options.items():
        differs = any(each.options.get(name) != value for each in others)
        if isinstance(value, (str, bool)) and differs:
            words.append(f"{name.replace('_', ' ')} {value}".lower())
    return ", ".join(words)


def _before(group: Sequence[Record], name: str) -> float | None:
    values = [getattr(record.before, name) for record in group]
    return None if None in values else math.fsum(values) / len(values)


def _left(group: Sequence[Record]) -> dict[str, Spread]:
    found = {}
    for name, title in LEFT:
        pairs = [(getattr(r.before, name), getattr(r.after, name)) for r in group]
        if all(first and last is not None for first, last in pairs):
            found[title] = Spread.of([100 * last / first for first, last in pairs])
    return found
