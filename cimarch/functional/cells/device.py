"""What cells and converters are really like, as a description states it.

Everything is off unless stated: by a parameter of the crossbar or the converter, or by a preset
that `device_model` names (`cimarch.functional.cells.presets`), whose values stated parameters
replace.
What a device makes of a weight matrix is in `cimarch.functional.cells.realise`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.cells.presets import PRESETS
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.lines import Lines
from cimarch.hardware.system import Part, Value
from cimarch.units import NUMBER, Quantity

if TYPE_CHECKING:
    from cimarch.functional.cells.realise import Realised


@attrs.frozen
class Cell:
    """What is not ideal of the cells of a pool; in shares of the full conductance, where no unit
    is given. Tables have one entry per level, from 0 to the highest."""

    program_noise: float = 0.0
    """Standard deviation of what a cell becomes about what it should."""
    program_noise_kind: str = "absolute"
    """`absolute`: of the full conductance; `proportional`: of the cell's own; `lognormal`: of the
    logarithm of its conductance, whose median stays."""
    program_noise_table: tuple[float, ...] = ()
    """Absolute, by level; in place of the other two."""
    read_noise: float = 0.0
    """Standard deviation of one cell in one read."""
    read_noise_kind: str = "absolute"
    read_noise_table: tuple[float, ...] = ()
    stuck_on: float = 0.0
    """Probability that a cell always conducts fully."""
    stuck_off: float = 0.0
    drift: float = 0.0
    """Exponent of G(t) = G(drift_from) x (t / drift_from)^-drift."""
    drift_spread: float = 0.0
    """Standard deviation of the exponent from cell to cell."""
    drift_table: tuple[float, ...] = ()
    drift_spread_table: tuple[float, ...] = ()
    drift_from: float = 1.0
    """Seconds from writing to the conductances that drift starts from."""
    age: float = 1.0
    """Seconds from writing to reading."""
    drift_compensation: bool = False
    """Whether results are scaled by what all cells conducted over what they conduct now."""
    retention_time: float | None = None
    """Seconds in which the distance to `retention_level` falls to 1/e; None: for ever."""
    retention_level: float = 0.0
    on_off_ratio: float = 0.0
    """Full conductance over that of a cell at level 0; 0: level 0 conducts nothing."""
    off_current: str = "kept"
    """What becomes of the current of level 0: `kept`, or subtracted: `digital`, `analog`."""
    conductance_levels: int = 0
    """Conductances that a cell can take, evenly spaced; 0: any."""
    wire_resistance: float = 0.0
    """Ohm of the wire from cell to cell, along word lines and bit lines."""
    on_resistance: float = 0.0
    """Ohm of a cell at full conductance."""
    wire_model: str = "exact"
    """`exact` or `fast`."""


@attrs.frozen
class Errors:
    """What is not ideal of the converters of a pool, in steps of the converter."""

    offset: float = 0.0
    offset_spread: float = 0.0
    """Standard deviation from converter to converter."""
    gain_error: float = 0.0
    """Share by which sums are taken for larger."""
    gain_spread: float = 0.0
    noise: float = 0.0
    """Standard deviation from conversion to conversion."""
    inl: float = 0.0
    """Largest deviation of a cubic curve that is right at both ends and in the middle."""
    inl_table: tuple[float, ...] = ()
    """Deviations at evenly spaced places from the lower to the upper end; in place of `inl`."""


@attrs.frozen
class Device:
    """The cells and converters of a pool."""

    cell: Cell = Cell()
    errors: Errors = Errors()
    columns: int = 128
    """Of one array."""
    converters: int = 128
    """That serve one array."""
    mux: str = "adjacent"
    """Which columns share a converter: `adjacent` or `interleaved`."""

    @property
    def is_ideal(self) -> bool:
        """Whether nothing differs from the ideal."""
        return not _differs(self.cell) and self.errors == Errors()

    def realise(self, lines: Lines, draw: Draw, group: int = 0) -> Realised:
        """What these lines become: one device of all that `draw` could give."""
        from cimarch.functional.cells.realise import realise

        return realise(self, lines, draw, group)


def _differs(cell: Cell) -> bool:
    """Whether cells do anything but what they should."""
    ages = cell.age > cell.drift_from
    noisy = cell.program_noise or cell.read_noise or cell.stuck_on or cell.stuck_off
    tables = any(cell.program_noise_table) or any(cell.read_noise_table)
    drifts = ages and (
        cell.drift or cell.drift_spread or any(cell.drift_table) or any(cell.drift_spread_table)
    )
    forgets = ages and cell.retention_time is not None
    fixed = cell.on_off_ratio or cell.conductance_levels or cell.wire_resistance
    return bool(noisy or tables or drifts or forgets or fixed)


def device_of(pool: Part, adc: Part | None = None) -> Device | None:
    """The device that a pool and its converter describe; None where it is ideal.

    Raises DescriptionError where what is stated does not go together.
    """
    cell = cell_of(pool)
    if pool.kind == "digital_array" and _differs(attrs.evolve(cell, stuck_on=0.0, stuck_off=0.0)):
        raise DescriptionError(_digital(pool))
    device = Device(
        cell,
        errors_of(adc) if adc is not None else Errors(),
        pool.integer("columns"),
        max(1, adc.count // pool.count) if adc is not None else pool.integer("columns"),
        adc.word("mux") if adc is not None else "adjacent",
    )
    return None if device.is_ideal else device


def cell_of(pool: Part) -> Cell:
    """What a crossbar states of its cells, on top of its preset."""
    levels = 2 ** pool.integer("cell_bits")
    values: dict[str, Any] = dict(PRESETS[pool.word("device_model")].values(levels - 1))
    for name, replaced in _REPLACES.items():
        if name in pool.stated:
            values.pop(replaced, None)
    for field in attrs.fields(Cell):
        if field.name in pool.params and (field.name in pool.stated or field.name not in values):
            values[field.name] = _plain(pool, field.name)
    if "age" not in pool.stated:
        values["age"] = values["drift_from"]
    _check_table(pool, "program_noise_table", levels, "program_noise")
    if values["wire_resistance"] and not values["on_resistance"]:
        raise DescriptionError(_without_on_resistance(pool))
    if values["age"] < values["drift_from"]:
        raise DescriptionError(_too_young(pool, values["age"], values["drift_from"]))
    return Cell(**values)


def errors_of(adc: Part) -> Errors:
    """What a converter states of its errors."""
    _check_table(adc, "inl_table", None, "inl")
    errors = Errors(**{field.name: _plain(adc, field.name) for field in attrs.fields(Errors)})
    if (errors.inl or errors.inl_table) and adc.word("transfer") == "thresholds":
        headline = f"`{adc.path}` has thresholds, and a non-linearity beside them"
        note = "thresholds say at which sums the codes go up, so they are the non-linearity"
        helps = ("leave `inl` and `inl_table` out, and move the thresholds",)
        raise DescriptionError(Diagnostic("E332", headline, adc.span, notes=(note,), helps=helps))
    return errors


_REPLACES = {
    "program_noise": "program_noise_table",
    "read_noise": "read_noise_table",
    "drift": "drift_table",
    "drift_spread": "drift_spread_table",
}
"""A stated value takes the place of a preset's table."""


def _plain(part: Part, name: str) -> Any:
    """A parameter's value in SI units, as Python has it."""
    value = part.params[name]
    if isinstance(value, Quantity):
        whole = name == "conductance_levels"
        return int(value.value) if whole else float(value.value)
    if isinstance(value, tuple):
        return tuple(_entry(each) for each in value)
    return None if value == "none" else value


def _entry(value: Value) -> float:
    """An entry of a table; no number where it is none, or has a unit."""
    if isinstance(value, Quantity) and value.dimension == NUMBER:
        return float(value.value)
    return np.nan


def _check_table(part: Part, name: str, length: int | None, other: str) -> None:
    """Raise DescriptionError where a table cannot be."""
    table = _plain(part, name)
    if not table:
        return
    headline, helps = "", ""
    if any(np.isnan(table)):
        headline, helps = "holds something that is no number", "plain numbers only"
    elif length is not None and len(table) != length:
        headline = f"has {len(table)} entries, and its cells have {length} levels"
        helps = f"give {length} entries, for the levels 0 to {length - 1}"
    elif length is not None and min(table) < 0:
        headline, helps = f"holds {min(table):g}, below zero", "standard deviations of 0 or more"
    elif len(table) < 2:
        headline, helps = "has 1 entry, fewer than its two ends", "give two entries or more"
    elif other in part.stated:
        headline = f"is stated, and `{other}` too"
        helps = f"leave out one of `{name}` and `{other}`"
    if headline:
        told = f"`{name}` of `{part.path}` {headline}"
        raise DescriptionError(Diagnostic("E330", told, part.span, helps=(helps,)))


def _without_on_resistance(pool: Part) -> Diagnostic:
    return Diagnostic(
        "E331",
        f"`{pool.path}` has a `wire_resistance`, and no `on_resistance`",
        pool.span,
        notes=("what is lost on wires depends on the resistance of a cell at its highest level",),
        helps=("state `on_resistance`, such as `on_resistance = 100 kohm`",),
    )


def _digital(pool: Part) -> Diagnostic:
    return Diagnostic(
        "E334",
        f"`{pool.path}` adds in digital, and its cells are described as analog ones",
        pool.span,
        notes=("of what cells can do, a `digital_array` has `stuck_on` and `stuck_off`",),
        helps=("describe a `crossbar`, or leave out what its cells conduct",),
    )


def _too_young(pool: Part, age: float, begins: float) -> Diagnostic:
    return Diagnostic(
        "E333",
        f"`{pool.path}` is read at an `age` of {age:g} s, before its drift begins at {begins:g} s",
        pool.span,
        notes=(f"`{pool.word('device_model')}` describes cells {begins:g} s after writing",),
        helps=(f"state an `age` of {begins:g} s or more, or a `drift_from`",),
    )
