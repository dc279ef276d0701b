"""What follows from a System without running anything: totals over the tree, and peak throughput.

Peak throughput counts a multiplication and an addition as two operations and supposes that every
array is in use, full, all the time:

    operations of one pass = rows x logical columns x 2
    logical columns        = (columns - extra columns) / columns per weight, whole unless straddled
    time of one pass       = groups x time of one group
    groups                 = ceil(rows / word lines)

One group of word lines takes one read for each input step, and its sums are converted in turns on
the converters of the array, one array after the other where several arrays share converters:

    steps  = ceil(magnitude bits / DAC bits)
    turns  = sense lines on the busiest converter of an array
    burst  = turns / rate
    bursts = the bursts of all arrays that share the converters
    with a sample-and-hold behind the array:  steps x max(read, bursts)
    without one:                              steps x max(read + burst, bursts)

and where the steps are accumulated in analog, one conversion follows all of them: `steps x read`
takes the place of `read`, once. All arrays of a part are taken for wired as its first. Times are
exact, not rounded to cycles: this is what the parts can do, not what a run takes.
`cimarch.explore.products` finds the same by running such products.
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
    unknown = tuple(p.path for p in arrays if _read_time(system, p, weights, inputs) is None)
    if unknown:
        return Peak(weights, inputs, None, unknown)
    routes = Routes(system)
    rates = (_rate(system, routes, part, weights, inputs) for part in arrays)
    return Peak(weights, inputs, sum(rates, Fraction(0)))


def rates(system: System, weight_bits: int, input_bits: int) -> dict[str, Fraction]:
    """What the peak is the sum of: operations per second of all arrays of each pool, by path."""
    routes = Routes(system)
    return {
        part.path: _rate(system, routes, part, weight_bits, input_bits)
        for part in system.of_kind(*CROSSBARS)
    }


def logical_columns(part: Part, weight_bits: int) -> Fraction:
    """Weights side by side in a full array: whole, unless they may straddle two arrays."""
    columns = part.integer("columns") - encoding.extra_columns(part)
    across = encoding.columns_per_weight(part, weight_bits)
    if part.word("packing") == "straddle":
        return Fraction(columns - columns % encoding.merged_columns(part, weight_bits), across)
    return Fraction(columns // across)


def _rate(system: System, routes: Routes, part: Part, weights: int, inputs: int) -> Fraction:
    rows = part.integer("rows") // encoding.rows_per_input(part)
    arrays = Fraction(part.count, encoding.arrays_per_weight(part))
    operations = rows * logical_columns(part, weights) * 2 * arrays
    time = len(_groups(part)) * _group_time(system, routes, part, weights, inputs)
    return operations / time if time else Fraction(0)


def _groups(part: Part) -> tuple[int, ...]:
    """The rows of each group of word lines of a full array."""
    together = encoding.rows_per_input(part)
    return encoding.groups(part, part.integer("rows") // together * together)


def _group_time(system: System, routes: Routes, part: Part, weights: int, inputs: int) -> Fraction:
    """Seconds for one group of word lines: all input steps, and their conversions."""
    dac_bits = _dac_bits(system, routes, part) or inputs
    steps = encoding.steps(part, dac_bits, inputs)
    read = _read_time(system, part, weights, inputs, steps) or Fraction(0)
    conversions = encoding.conversions_per_line(part, dac_bits, inputs)
    before = read * (steps // conversions)
    bursts, held = _bursts(system, routes, part, weights)
    alone = before if held else before + max(bursts, default=Fraction(0))
    return conversions * max(alone, sum(bursts, Fraction(0)))


def _read_time(
    system: System, part: Part, weights: int, inputs: int, steps: int = 1
) -> Fraction | None:
    """Seconds of one read of a full array, the longest of its groups, at the densities that the
    chip states; None where nothing states them."""
    action = part.actions.get("read")
    if action is None or action.latency is None:
        return None
    used = logical_columns(part, weights) * encoding.columns_per_weight(part, weights)
    running = {
        "active_columns": used + encoding.extra_columns(part),
        "input_bits": Fraction(inputs),
        "weight_bits": Fraction(weights),
        "input_density": system.root.number("input_density"),
        "weight_density": system.root.number("weight_density"),
        "steps": Fraction(steps),
    }
    rows = {Fraction(rows) for rows in _groups(part)} or {part.number("word_lines")}
    return max(action.latency.at(running | {"active_rows": each}) for each in rows)


def _dac_bits(system: System, routes: Routes, part: Part) -> int | None:
    """Input bits that enter in one step: the nearest converter's; None where they enter whole."""
    for at in routes.upstream(_first(part), "in"):
        reached = system.part(at.path)
        if reached.kind == "dac":
            return reached.integer("bits")
    return None


def _bursts(
    system: System, routes: Routes, part: Part, weights: int
) -> tuple[list[Fraction], bool]:
    """Seconds to convert the sums of one read, for each array that shares the converters, and
    whether a sample-and-hold keeps the sums meanwhile."""
    held = False
    for at in routes.downstream(_first(part)) if part.kind == "crossbar" else ():
        reached = system.part(at.path)
        held |= reached.kind == "sample_hold"
        if reached.kind == "adc":
            arrays = max(1, part.count * len(at) // reached.count)
            turns = [_turns(part, reached, len(at), weights, array) for array in range(arrays)]
            return [each / reached.number("rate") for each in turns], held
    return [], held


def _turns(part: Part, adc: Part, converters: int, weights: int, array: int) -> int:
    """Conversions that the busiest of a full array's converters makes in one read.

    Of two arrays whose bit lines meet, each converts half of the lines.
    """
    across = encoding.columns_per_weight(part, weights)
    lines = encoding.sense_lines_per_weight(part, weights)
    used = int(logical_columns(part, weights) * across) * lines // across
    used += encoding.extra_columns(part)
    halves = encoding.arrays_per_sum(part)
    if halves == 2:
        used = (used + 1 - array % 2) // 2
    if adc.word("mux") == "interleaved":
        return ceil(Fraction(used, converters))
    wired = ceil(Fraction(ceil(Fraction(part.integer("columns") * lines, across)), halves))
    return min(used, ceil(Fraction(wired, converters)))


def _first(part: Part) -> Instances:
    return Instances(part.path, 0, 1)
