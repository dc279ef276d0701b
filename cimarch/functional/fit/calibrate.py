"""Converter ranges from data: a range for each converter, chosen by a policy from what it sees.

A range has a low end and a step, in units. No policy goes below one unit a step, for sums are whole
units and a finer step could not tell more.

- `unit`: one unit a step, from 0, or about 0 where sums may be negative; the rest clips.
- `power_of_two`: such a range with a step of 1, 2, 4, ... units: the one with the least error.
- `percentile`: from one percentile of the sums to the other, where one unit a step does not hold
  them.
- `min_max`: the same from the least to the largest sum.
- `mse`: low end and step with the least error.

The error is the squared difference of code and sum, counted as much as the sum counts in the
result: a unit of slice i in step k stands for 2^(cell bits x i + dac bits x k).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.converter import Ranges, convert, scale, unit_ranges
from cimarch.functional.fit.histograms import PER, Histogram, Histograms
from cimarch.functional.fit.quantise import check_percentile
from cimarch.functional.scheme import Converter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 33
"""Steps that `mse` tries between one unit and what holds all sums."""
LOWS = 33
"""Low ends that it tries with each."""

_AT_ONCE = 1 << 22


@attrs.frozen
class Policy:
    """How ranges are chosen."""

    name: str = "unit"
    """One of `POLICIES`."""
    per: str = "layer"
    """One of `PER`: `layer`, `slice` or `column`."""
    percentile: float = 99.9
    """Of policy `percentile`, in percent: as much lies below the high end, and above the low."""

    def check(self) -> None:
        """Raise DescriptionError where it is none."""
        for what, word, known in (
            ("range policy", self.name, tuple(POLICIES)),
            ("granularity of ranges", self.per, PER),
        ):
            if word not in known:
                named = ", ".join(f"`{each}`" for each in known)
                raise DescriptionError(
                    Diagnostic("E304", f"the {what} is `{word}`, none of {named}")
                )
        check_percentile(self.percentile)

    @property
    def needs_data(self) -> bool:
        """Whether it looks at sums."""
        return self.name != "unit"

    def told(self, images: int) -> str:
        """Where its ranges come from, for a report."""
        if not self.needs_data:
            return "one unit a step"
        name = self.name.replace("_", " ").replace("min max", "min-max")
        name += f" {self.percentile:g}" if self.name == "percentile" else ""
        return f"{name} per {self.per}, {images} images"


@attrs.frozen(eq=False)
class Seen:
    """What a policy chooses from."""

    converter: Converter
    histogram: Histogram
    signed: NDArray[np.bool_]
    """(ranges,): whether sums may be negative."""
    policy: Policy


def calibrated(sums: Histograms, policy: Policy, images: int) -> Ranges:
    """The ranges of one operation's converters, from the sums that were counted."""
    converter = sums.scheme.converter
    assert converter is not None
    signed = _signed(sums)
    seen = Seen(converter, sums.result(), signed, policy)
    lows, steps = POLICIES[policy.name](seen)
    keys = sums.keys if sums.per == "column" else sums.keys[:, :1]
    low, step = lows[keys], steps[keys]
    if len({*zip(low.ravel().tolist(), step.ravel().tolist(), strict=True)}) == 1:
        low, step = low[:1, :1], step[:1, :1]
    return Ranges(low, step, policy.told(images))


def ends(converter: Converter, ranges: Ranges) -> tuple[Floats, Floats]:
    """The sums between which converters do not clip, in units."""
    if converter.transfer == "thresholds":
        levels = np.array([float(level) for level in converter.levels])
        return ranges.step * levels.min(), ranges.step * levels.max()
    return ranges.low, ranges.low + ranges.step * _intervals(converter)


def _signed(sums: Histograms) -> NDArray[np.bool_]:
    """Of each range."""
    found = np.zeros(len(sums.counts), np.bool_)
    found[sums.keys] = sums.lines[0].signed[:, None]
    return found


# Policies: a low end and a step for each range ----------------------------------------------------


def _unit(seen: Seen) -> tuple[Floats, Floats]:
    ones = np.ones(len(seen.signed))
    return _unit_lows(seen), ones


def _unit_lows(seen: Seen) -> Floats:
    """The low end of each range at one unit a step."""
    lows = unit_ranges(seen.converter, seen.signed).low[:, 0]
    return np.broadcast_to(lows, seen.signed.shape).astype(np.float64)


def _power_of_two(seen: Seen) -> tuple[Floats, Floats]:
    largest = float(np.abs(seen.histogram.values).max(initial=1.0))
    steps: Floats = np.exp2(np.arange(int(np.ceil(np.log2(max(2.0, largest)))) + 1))
    units = _unit_lows(seen)
    errors = np.stack([_errors_at(seen, unit * steps, steps) for unit in np.unique(units)])
    which = np.unique(units, return_inverse=True)[1]
    best = errors[which, np.arange(len(units))].argmin(axis=1)
    return units * steps[best], steps[best]


def _errors_at(seen: Seen, lows: Floats, steps: Floats) -> Floats:
    """Error of each range (ranges, candidates) with each of some low ends and steps."""
    values, weights = seen.histogram.values, seen.histogram.weights
    found = np.empty((len(weights), len(steps)))
    size = max(1, _AT_ONCE // max(1, len(values)))
    for first in range(0, len(steps), size):
        chosen = slice(first, first + size)
        low, step = lows[chosen, None], steps[chosen, None]
        found[:, chosen] = weights @ _error(seen.converter, values[None], low, step).T
    return found


def _error(converter: Converter, values: Floats, low: Floats, step: Floats) -> Floats:
    """The squared difference of each sum and what its code stands for."""
    base, quantum = scale(converter, low, step)
    squared: Floats = (base + quantum * convert(converter, values, low, step).values - values) ** 2
    return squared


def _percentile(seen: Seen) -> tuple[Floats, Floats]:
    return _spanning(seen, *_percentiles(seen.histogram, seen.policy.percentile))


def _percentiles(histogram: Histogram, percent: float) -> tuple[Floats, Floats]:
    """The sums that leave 100 - percent per cent out below and above, of each range."""
    below = np.cumsum(histogram.counts, axis=1)
    total = np.maximum(below[:, -1:], 1)
    out = (1 - percent / 100) * total
    last = len(histogram.values) - 1
    first = np.minimum((below <= out).sum(axis=1), last)
    end = np.minimum((below < total - out).sum(axis=1), last)
    return histogram.values[first], histogram.values[np.maximum(first, end)]


def _min_max(seen: Seen) -> tuple[Floats, Floats]:
    return _spanning(seen, *_percentiles(seen.histogram, 100))


def _spanning(seen: Seen, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Ranges that hold `low` to `high`: that of one unit a step where it does, else the narrowest
    with steps of at least one unit."""
    converter = seen.converter
    if converter.transfer == "thresholds":
        return np.zeros_like(low), _threshold_steps(converter, low, high)
    if converter.transfer == "sign_magnitude":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    step = np.maximum(1.0, (high - low) / _intervals(converter))
    if converter.transfer == "sign_magnitude":
        return -step * _intervals(converter) / 2, step
    units = _unit_lows(seen)
    held = (units <= low) & (high <= units + _intervals(converter))
    return np.where(held, units, low), np.where(held, 1.0, step)


def _threshold_steps(converter: Converter, low: Floats, high: Floats) -> Floats:
    """Steps at which the outermost levels are the outermost sums."""
    levels = np.array([float(level) for level in converter.levels])
    up = high / levels.max() if levels.max() > 0 else np.zeros_like(high)
    down = low / levels.min() if levels.min() < 0 else np.zeros_like(low)
    steps: Floats = np.maximum(1.0, np.maximum(up, down))
    return steps


def _intervals(converter: Converter) -> int:
    return converter.codes - (converter.transfer != "mid_rise")


def _mse(seen: Seen) -> tuple[Floats, Floats]:
    lows, steps = _candidates(seen)
    best = _errors_at(seen, lows, steps).argmin(axis=1)
    return lows[best], steps[best]


def _candidates(seen: Seen) -> tuple[Floats, Floats]:
    """Low ends and steps that `mse` tries, one unit a step before all others: ties go to it."""
    units = np.unique(_unit_lows(seen))
    values = seen.histogram.values
    least, most = float(values.min(initial=0)), float(values.max(initial=0))
    ones = np.ones(len(seen.signed))
    _, widest = _spanning(seen, least * ones, most * ones)
    steps = np.geomspace(1.0, float(widest.max()), STEPS)
    reach = steps * _intervals(seen.converter)
    if seen.converter.transfer == "thresholds":
        lows = np.zeros_like(steps)
    elif seen.converter.transfer == "sign_magnitude":
        lows = -reach / 2
    else:
        room = np.maximum(0.0, most - least - reach)[:, None]
        lows = np.floor(least + np.linspace(0.0, 1.0, LOWS) * room).ravel()
        steps = np.repeat(steps, LOWS)
    return np.concatenate([units, lows]), np.concatenate([np.ones(len(units)), steps])


POLICIES: dict[str, Callable[[Seen], tuple[Floats, Floats]]] = {
    "unit": _unit,
    "power_of_two": _power_of_two,
    "percentile": _percentile,
    "min_max": _min_max,
    "mse": _mse,
}
"""Every policy by its name."""
