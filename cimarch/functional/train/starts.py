"""Where learning begins: converter ranges that a policy chooses on the sums of a first batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimarch.functional.converter import Ranges, convert, unit_ranges
from cimarch.functional.converter import scale as scale_of
from cimarch.functional.fit.calibrate import POLICIES, Policy, Seen
from cimarch.functional.fit.histograms import Histogram
from cimarch.functional.scheme import Converter
from cimarch.functional.train.merged import Merged
from cimarch.functional.train.straight import along

STEP_PER = ("layer", "macro", "column")
"""Of what one learned step is: a layer, each array (row tile) of it, or each output."""
FULL_RANGE = "full_range"
"""The start at which nothing can clip."""
STARTS = ("mse", "min_max", "percentile", "power_of_two", FULL_RANGE)
"""How steps are found before they are learned."""

_LOOKED_AT = 1 << 16
"""Sums of an operation that a range is chosen on, about."""


def start_ranges(product: Merged, policy: Policy, per: str, largest: int) -> Ranges:
    """The ranges that a policy chooses on the sums of a product's last `forward`, without ranges.

    `per` is one of `STEP_PER`. The policy `full_range` holds every sum that the rows of a section
    could make of inputs times weights up to `largest`, whatever lies in the cells; `mse` has the
    step of the least squared error and begins as many steps below 0 as at one unit a step; the
    others are those of `cimarch.functional.fit.calibrate`.
    """
    converter = product.scheme.converter
    assert converter is not None
    outputs = product.lines[0].outputs
    seen = _sums_by_range(product, per)
    signed = np.full(len(seen), bool(product.lines[0].signed.any()))
    if policy.name == FULL_RANGE:
        lows, steps = full_range(converter, _rows(product) * float(largest), signed)
    elif policy.name == "mse":
        lows, steps = _best_steps(converter, seen, signed)
    else:
        chosen = [_histogram(values) for values in seen]
        found = [POLICIES[policy.name](Seen(converter, one, signed[:1], policy)) for one in chosen]
        lows, steps = (np.concatenate(each) for each in zip(*found, strict=True))
    shape = {"layer": (1, 1), "column": (1, outputs), "macro": (1, 1, len(seen))}[per]
    source = "full range" if policy.name == FULL_RANGE else policy.told(0).partition(",")[0]
    return Ranges(lows.reshape(shape), steps.reshape(shape), source)


def full_range(
    converter: Converter, largest: float, signed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low ends and steps at which sums up to `largest` of either sign do not clip."""
    if converter.transfer == "thresholds":
        most = max(float(abs(level)) for level in converter.levels) or 1.0
        return np.zeros(len(signed)), np.full(len(signed), largest / most)
    low = np.broadcast_to(unit_ranges(converter, signed).low.ravel(), signed.shape)
    intervals = converter.codes - (converter.transfer != "mid_rise")
    reach = np.minimum(np.where(low < 0, -low, np.inf), low + intervals)
    steps = largest / reach
    return low * steps, steps


_SHARES = np.geomspace(1 / 64, 1, 61)
"""Of the step that holds all sums: where the best one is looked for."""


def _best_steps(
    converter: Converter, seen: Sequence[NDArray[np.float64]], signed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low end and step of the least squared error for each range; no step is below one unit."""
    start = unit_ranges(converter, signed[:1]).low.item()
    most = max(1.0, abs(start), abs(start + converter.codes - 1))
    if converter.transfer == "thresholds":
        most = max(1.0, float(max(converter.levels)))
    best = np.ones(len(seen))
    for i, sums in enumerate(seen):
        steps = np.maximum(1, _SHARES * np.abs(sums).max(initial=0) / most)
        best[i] = steps[np.argmin([_error(converter, sums, start * s, s) for s in steps])]
    return start * best, best


def _error(converter: Converter, sums: NDArray[np.float64], low: float, step: float) -> float:
    """The mean squared difference of sums and what their codes stand for."""
    base, quantum = scale_of(converter, np.array(low), np.array(step))
    codes = convert(converter, sums, np.array(low), np.array(step)).values
    return float(((base + quantum * codes - sums) ** 2).mean())


def _rows(product: Merged) -> int:
    """Rows of the largest section."""
    return max(cut.end - cut.first for lines in product.lines for cut in lines.sections)


def _histogram(values: NDArray[np.float64]) -> Histogram:
    """Of sums of one range; each counts alike."""
    found, counts = np.unique(values, return_counts=True)
    return Histogram(found, counts[None], counts[None].astype(np.float64))


def _sums_by_range(product: Merged, per: str) -> list[NDArray[np.float64]]:
    """Some of the sums of each range, in units."""
    outputs = product.lines[0].outputs
    parts: dict[int, list[Tensor]] = {}
    for piece, sums in zip(product.pieces, product.sums, strict=True):
        whole = (sums.double() + along(piece.shift, sums, 1)).movedim(1, 0).flatten(1)
        if per == "column":
            for output, row in enumerate(whole):
                parts.setdefault(output % outputs, []).append(row)
        else:
            parts.setdefault(piece.tile if per == "macro" else 0, []).append(whole.flatten())
    return [_some(parts[key], max(1, len(parts))) for key in sorted(parts)]


def _some(parts: list[Tensor], ranges: int) -> NDArray[np.float64]:
    joined = torch.cat(parts)
    every = max(1, len(joined) * ranges // _LOOKED_AT)
    taken: NDArray[np.float64] = joined[::every].cpu().numpy()
    return taken
