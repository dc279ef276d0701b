"""How well converters are used: codes that never come up, and range that no sum reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cimarch.data.dataset import Examples
from cimarch.functional.converter import Ranges, convert
from cimarch.functional.fit.calibrate import ends
from cimarch.functional.fit.histograms import Histograms
from cimarch.functional.fit.observe import Watch
from cimarch.functional.matrix import matrix_of
from cimarch.functional.path import Path
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.run.execute import Executor
from cimarch.functional.scheme import Converter
from cimarch.mapping.placement import Placement

EXAMPLES = 64
"""On which sums are looked at."""


def paths_of(
    placement: Placement, quantised: QuantisedNetwork, ranges: Mapping[str, Ranges]
) -> dict[str, Path]:
    """How the chip computes each operation."""
    return {
        name: matrix_of(placement, name, each, ranges.get(name)).path
        for name, each in quantised.operations.items()
    }


def converter_use(
    placement: Placement, quantised: QuantisedNetwork, ranges: dict[str, Ranges], some: Examples
) -> dict[str, dict[str, float]]:
    """By operation, on the first of some examples while the chip computes them: the `dead` share of
    codes that never came up, the `unused` share of the range that no sum reached, and the share of
    conversions that `clipped`; of a layer with several ranges their mean."""
    some = some.take(slice(EXAMPLES))
    watch = {per: Watch(placement, quantised, per, len(some)) for per in ("layer", "column")}

    def observe(name: str, inputs: Any, sums: Any) -> None:
        if name in ranges:
            watch[_per(ranges[name])].see(name, inputs, sums)

    Executor(quantised, paths_of(placement, quantised, ranges), observe=observe).run(some.inputs())
    return {name: _use(watch[_per(each)].sums[name], each) for name, each in ranges.items()}


def _per(ranges: Ranges) -> str:
    return "column" if ranges.low.shape[1] > 1 else "layer"


def _use(sums: Histograms, ranges: Ranges) -> dict[str, float]:
    converter, found = sums.scheme.converter, sums.result()
    assert converter is not None
    low, step = ranges.low, ranges.step
    if ranges.by_tile:  # arrays have a range each; the histogram is of all: the mean of each alone
        tiles = [_use(sums, ranges.at(tile)) for tile in range(low.shape[2])]
        return {what: float(np.mean([each[what] for each in tiles])) for what in tiles[0]}
    rows = []
    for which, counts in enumerate(found.counts):
        line, output = np.argwhere(sums.keys == which)[0]
        one = Ranges(
            low[line % len(low), output % low.shape[1]].reshape(1, 1),
            step[line % len(step), output % step.shape[1]].reshape(1, 1),
        )
        rows.append(_use_of_one(converter, found.values[counts > 0], counts[counts > 0], one))
    return dict(zip(("dead", "unused", "clipped"), np.mean(rows, axis=0).tolist(), strict=True))


def _use_of_one(
    converter: Converter, values: np.ndarray, counts: np.ndarray, one: Ranges
) -> tuple[float, float, float]:
    """Of one range: dead codes, unused range, clipped conversions, as shares."""
    if not len(values):
        return 1.0, 1.0, 0.0
    codes = convert(converter, values, one.low[0], one.step[0])
    low, high = (float(end.item()) for end in ends(converter, one))
    reached = max(0.0, min(high, values.max()) - max(low, values.min()))
    return (
        1 - len(np.unique(codes.values)) / converter.codes,
        1 - reached / (high - low),
        float((codes.clipped * counts).sum() / counts.sum()),
    )
