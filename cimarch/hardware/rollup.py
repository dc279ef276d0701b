"""What follows from a System without running anything: totals over the tree, and peak throughput.

Peak throughput counts a multiplication and an addition as two operations and supposes that every
array is in use, full, all the time:

    operations of one pass = rows x logical columns x 2
    logical columns        = (columns - extra columns) / columns per weight, whole unless straddled
    time of one pass       = groups x time of one group
    groups                 = ceil(rows / word lines)

One group of word lines takes one read for each input step, and its sums are converted in turns:

    steps = ceil(magnitude bits / DAC bits)
    turns = ceil(sense lines x arrays that share a converter / converters of an array)
    with a sample-and-hold behind the array:  steps x max(read, turns / rate)
    without one:                              steps x (read + turns / rate)

and where the steps are accumulated in analog, one conversion follows all of them: max or sum of
`steps x read` and `turns / rate`. Times are exact, not rounded to cycles: this is what the parts
can do, not what a run takes.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import attrs

from cimarch.hardware import encoding
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.routes import Instances, Routes
from cimarch.hardware.system import Part, System


def total(part: Part, quantity: str) -> Fraction:
    """Sum `area` (m^2), `power` (W) or `leakage` (W) over all members of a part and all inside."""
    return sum((getattr(p, quantity) * p.count for p in part.walk()), Fraction(0))


@attrs.frozen
class Peak:
    """What the crossbars can do at most, at one precision."""

    weight_bits: int
    input_bits: int
    operations: Fraction | None
    """Multiplications and additions per second; None where a read's time is not stated."""
    unknown: tuple[str, ...] = ()
    """Paths of the crossbars that state no read latency."""


def peak(system: System, weight_bits: int | None = None, input_bits: int | None = None) -> Peak:
    """The peak throughput; at the precision that the system names, unless another is given."""
    weights = weight_bits or system.root.integer("weight_bits")
    inputs = input_bits or system.root.integer("input_bits")
    arrays = system.of_kind(*CROSSBARS)
    unknown = tuple(p.path for p in arrays if _read_time(p, weights, inputs) is None)
    if unknown:
        return Peak(weights, inputs, None, unknown)
    routes = Routes(system)
    rates = (_rate(system, routes, part, weights, inputs) for part in arrays)
    return Peak(weights, inputs, sum(rates, Fraction(0)))


def logical_columns(part: Part, weight_bits: int) -> Fraction:
    """Weights side by side in a full array: whole, unless they may straddle two arrays."""
    columns = part.integer("columns") - encoding.extra_columns(part)
    weights = Fraction(columns, encoding.columns_per_weight(part, weight_bits))
    return weights if part.word("packing") == "straddle" else Fraction(weights // 1)


def _rate(system: System, routes: Routes, part: Part, weights: int, inputs: int) -> Fraction:
    rows = Fraction(part.integer("rows"), encoding.rows_per_input(part))
    arrays = Fraction(part.count, encoding.arrays_per_weight(part))
    operations = rows * logical_columns(part, weights) * 2 * arrays
    groups = encoding.groups(part, part.integer("rows"))
    time = len(groups) * _group_time(system, routes, part, weights, inputs)
    return operations / time if time else Fraction(0)


def _group_time(system: System, routes: Routes, part: Part, weights: int, inputs: int) -> Fraction:
    """Seconds for one group of word lines: all input steps, and their conversions."""
    steps = encoding.steps(part, _dac_bits(system, routes, part) or inputs, inputs)
    read = _read_time(part, weights, inputs) or Fraction(0)
    convert, held = _conversion(system, routes, part, weights)
    if part.word("input_accumulation") == "analog":
        return max(steps * read, convert) if held else steps * read + convert
    return steps * (max(read, convert) if held else read + convert)


def _read_time(part: Part, weights: int, inputs: int) -> Fraction | None:
    """Seconds of one read of a full array; None where nothing states them."""
    action = part.actions.get("read")
    if action is None or action.latency is None:
        return None
    running = {
        "active_rows": part.number("word_lines"),
        "active_columns": part.number("columns"),
        "input_bits": Fraction(inputs),
        "weight_bits": Fraction(weights),
        "input_density": Fraction(1),
        "weight_density": Fraction(1),
        "steps": Fraction(1),
    }
    return action.latency.at(running)


def _dac_bits(system: System, routes: Routes, part: Part) -> int | None:
    """Input bits that enter in one step: the nearest converter's; None where they enter whole."""
    for at in routes.upstream(_first(part), "in"):
        reached = system.part(at.path)
        if reached.kind == "dac":
            return reached.integer("bits")
    return None


def _conversion(system: System, routes: Routes, part: Part, weights: int) -> tuple[Fraction, bool]:
    """Seconds to convert all sums of a read, and whether a sample-and-hold keeps them meanwhile."""
    held = False
    for at in routes.downstream(_first(part)):
        reached = system.part(at.path)
        held |= reached.kind == "sample_hold"
        if reached.kind == "adc":
            used = logical_columns(part, weights) * encoding.sense_lines_per_weight(part, weights)
            lines = ceil(used) + encoding.extra_columns(part)
            shared = max(1, part.count // reached.count)
            return ceil(Fraction(lines * shared, len(at))) / reached.number("rate"), held
    return Fraction(0), held


def _first(part: Part) -> Instances:
    return Instances(part.path, 0, 1)
