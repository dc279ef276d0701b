"""Arrays of cells: energy of a read from the cells and the lines, of a write, area and leakage.

A read of resistive cells: the current through the cells while the read voltage is on, and the lines
that are charged; of SRAM cells: the lines; of SRAM cells with logic in them: a gate in every cell
and the word lines. Inputs are pulses of the whole height, so that `input_density` is the share of
the time that lines are on. What drives, holds, converts or adds is parts of their own. Derived from
the numbers of devices: no published array was fitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from cimarch.hardware.costs.buffers import price
from cimarch.hardware.costs.cells import DEVICES, WIRE, Cell, cell_area, cell_of
from cimarch.hardware.costs.inputs import Inputs, counted, joules, square_metres, watts, whole
from cimarch.hardware.costs.memory_table import SOURCE
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    SCALING,
    Technology,
    gate_capacitance,
    technology,
)
from cimarch.units import CONDUCTANCE, TIME, VOLTAGE, Dimension, Quantity, show

_OF_A_READ = frozenset({"active_rows", "active_columns", "input_density", "weight_density"})
_OF_A_WRITE = frozenset({"active_rows", "active_columns"})
_WIRES = "NeuroSim: 0.2 fF/um of wire"


def _told(value: float, dimension: Dimension) -> str:
    return show(Quantity(Fraction(value), dimension))


def _run(running: Mapping[str, Fraction], names: frozenset[str]) -> Inputs:
    return tuple((name, f"{float(running[name]):.6g}") for name in sorted(names))


def word_line(cell: Cell, to: Technology) -> float:
    """F that one cell hangs on its word line: wire as long as the cell, and its gates."""
    gate = cell.device.gate if cell.device is not None else 0
    return (WIRE * cell.side() + gate * to.capacitance) / 10**15


def bit_line(cell: Cell) -> float:
    """F that one cell hangs on its bit line: wire as long as the cell."""
    return WIRE * cell.side() / 10**15


def _resistive(facts: Facts, cell: Cell, to: Technology) -> Estimate | None:
    if cell.on_resistance is None or cell.read_voltage is None:
        return None
    run = facts.running
    pulse = facts.number("read_pulse") if facts.has("read_pulse") else facts.latency("read", run)
    conductance = cell.conductance(float(run["weight_density"]))
    each = cell.read_voltage**2 * conductance * float(pulse)
    lines = _word_lines(facts, cell, to) + _bit_lines(facts, cell, cell.read_voltage, 1)
    cells = float(run["active_rows"] * run["active_columns"] * run["input_density"])
    return Estimate(
        joules(cells * each + lines),
        "resistive cells",
        "energy = active_rows * active_columns * input_density * read_voltage^2"
        " * (G_off + weight_density * (G_on - G_off)) * pulse + lines,"
        " lines = active_rows * input_density * columns * c_word * voltage^2"
        " + active_columns * rows * c_bit * read_voltage^2",
        (
            *_run(run, _OF_A_READ),
            ("read_voltage", _told(cell.read_voltage, VOLTAGE)),
            ("G_on", _told(cell.conductance(1), CONDUCTANCE)),
            ("G_off", _told(cell.conductance(0), CONDUCTANCE)),
            ("pulse", show(Quantity(pulse, TIME))),
            *_lines_told(facts, cell, to),
        ),
        _sources(cell),
        (*to.warnings, *_doubts(cell)),
    )


def _word_lines(facts: Facts, cell: Cell, to: Technology) -> float:
    lines = float(facts.running["active_rows"] * facts.running["input_density"])
    return lines * whole(facts, "columns") * word_line(cell, to) * to.voltage**2


def _bit_lines(facts: Facts, cell: Cell, voltage: float, swing: float) -> float:
    lines = float(facts.running["active_columns"])
    return lines * whole(facts, "rows") * bit_line(cell) * voltage**2 * swing


def _lines_told(facts: Facts, cell: Cell, to: Technology) -> Inputs:
    return (
        *counted(facts, "rows", "columns"),
        ("c_word", f"{word_line(cell, to) * 10**15:.4g} fF"),
        ("c_bit", f"{bit_line(cell) * 10**15:.4g} fF"),
        *to.told(),
    )


def _sources(cell: Cell) -> str:
    device = [cell.device.source] if cell.device is not None else []
    return "; ".join([*device, _WIRES, SCALING])


def _doubts(cell: Cell) -> tuple[str, ...]:
    if cell.write_voltage is None or cell.read_voltage is None:
        return ()
    if cell.read_voltage < cell.write_voltage:
        return ()
    return (
        f"`read_voltage` {cell.read_voltage:.4g} V is not below the"
        f" {cell.write_voltage:.4g} V that write a cell",
    )


def _bit_line_read(facts: Facts, cell: Cell, to: Technology) -> Estimate:
    run = facts.running
    swing = float(run["input_density"] * run["weight_density"])
    found = _word_lines(facts, cell, to) + _bit_lines(facts, cell, to.voltage, swing)
    return Estimate(
        joules(found),
        "SRAM bit lines",
        "energy = (active_rows * input_density * columns * c_word"
        " + active_columns * rows * c_bit * input_density * weight_density) * voltage^2",
        (*_run(run, _OF_A_READ), *_lines_told(facts, cell, to)),
        _sources(cell),
        to.warnings,
    )


def _gate_read(facts: Facts, cell: Cell, to: Technology) -> Estimate:
    run = facts.running
    gate = gate_capacitance(to) / 10**15
    ones = run["active_rows"] * run["active_columns"] * run["input_density"]
    products = float(ones * run["weight_density"])
    found = _word_lines(facts, cell, to) + products * gate * to.voltage**2
    return Estimate(
        joules(found),
        "SRAM with a gate in each cell",
        "energy = (active_rows * input_density * columns * c_word + active_rows * active_columns"
        " * input_density * weight_density * c_gate) * voltage^2",
        (
            *_run(run, _OF_A_READ),
            ("c_gate", f"{gate * 10**15:.4g} fF"),
            *_lines_told(facts, cell, to),
        ),
        f"{_sources(cell)}; gate: ZigZag-IMC, 0.7 fF at 28 nm",
        to.warnings,
    )


def read(facts: Facts) -> Estimate | None:
    """Of one group of word lines in one input step; None where cells are not described."""
    to = technology(facts)
    cell = cell_of(facts, to)
    if cell.device is not DEVICES["SRAM"]:
        return _resistive(facts, cell, to)
    return (_gate_read if facts.kind == "digital_array" else _bit_line_read)(facts, cell, to)


def write(facts: Facts) -> Estimate | None:
    """Of one pulse on one row, cell or array; None where cells are not described."""
    to = technology(facts)
    cell = cell_of(facts, to)
    if cell.write_energy is not None:
        return _pulses(facts, cell, cell.write_energy, to)
    return _row_write(facts, to) if cell.device is DEVICES["SRAM"] else None


def _pulses(facts: Facts, cell: Cell, pulse: float, to: Technology) -> Estimate:
    run = facts.running
    cells = float(run["active_rows"] * run["active_columns"])
    stated = facts.has("write_energy")
    return Estimate(
        joules(cells * pulse),
        "write pulses",
        "energy = active_rows * active_columns * cell",
        (*_run(run, _OF_A_WRITE), ("cell", show(joules(pulse)))),
        "the array's `write_energy`" if stated or cell.device is None else cell.device.source,
        to.warnings,
    )


def _row_write(facts: Facts, to: Technology) -> Estimate:
    run = facts.running
    bits = whole(facts, "cell_bits")
    size = whole(facts, "rows") * whole(facts, "columns") * bits
    row = price("write", size, float(run["active_columns"] * bits), to)
    return Estimate(
        joules(float(run["active_rows"]) * row),
        "SRAM of CACTI",
        "energy = active_rows * row, row = a write of active_columns * cell_bits bit in a buffer"
        " of rows * columns * cell_bits",
        (
            *_run(run, _OF_A_WRITE),
            *counted(facts, "rows", "columns", "cell_bits"),
            ("row", show(joules(row))),
            *to.told(),
        ),
        f"{SOURCE}; {SCALING}",
        to.warnings,
    )


def area(facts: Facts) -> Estimate | None:
    """Of the cells; None where neither `device` nor `cell_area` is stated."""
    to = technology(facts)
    cell = cell_of(facts, to)
    if cell.area is None:
        return None
    cells = whole(facts, "rows") * whole(facts, "columns")
    size: Inputs = counted(facts, "rows", "columns")
    if facts.has("cell_area") or cell.device is None:
        formula, source = "area = rows * columns * cell_area", "the array's `cell_area`"
        size += (("cell_area", show(square_metres(cell.area))),)
    else:
        formula, source = "area = rows * columns * squares * square", cell.device.source
        squares = (("squares", f"{cell.device.squares:g}"),)
        size += (*squares, ("square", show(square_metres(cell_area(to)))), *to.told())
    return Estimate(
        square_metres(cells * cell.area), "area of cells", formula, size, source, to.warnings
    )


def leakage(facts: Facts) -> Estimate | None:
    """Of the cells: SRAM's; the others keep their level without power."""
    to = technology(facts)
    cell = cell_of(facts, to)
    if cell.device is None:
        return None
    each = cell.device.leaking * to.leakage / 10**9
    cells = whole(facts, "rows") * whole(facts, "columns") * whole(facts, "cell_bits")
    return Estimate(
        watts(cells * each),
        "leakage of cells",
        "leakage = rows * columns * cell_bits * cell",
        (
            *counted(facts, "rows", "columns", "cell_bits"),
            ("cell", show(watts(each))),
            *to.told(),
            *to.warmth(),
        ),
        f"{cell.device.source}; {SCALING}",
        to.warnings,
    )


MODELS = tuple(
    model
    for kind in ("crossbar", "digital_array")
    for model in (
        Model(kind, "read.energy", read, needs=_OF_A_READ),
        Model(kind, "write.energy", write, needs=_OF_A_WRITE),
        Model(kind, "area", area),
        Model(kind, "leakage", leakage),
    )
)
