"""Memory cells: what a device is like where an array does not say it.

ReRAM: NVSim and NVMExplorer, cell of ReRAM (2.0 V, 10 ns, 0.6 pJ to set or reset; 0.4 V and 1 Mohm
to 10 Mohm to read; 53 F^2 with a transistor, 4 F^2 without). PCM: NVSim's sample cell after B. Lee
et al., ISCA 2009 (300 uA for 40 ns to reset; 40 uA and 1 kohm to 1 Mohm to read, so 0.04 V; 9 F^2);
its 1.6 V of a reset are recalled: unverified. SRAM: CACTI 7, transistors of 1.31, 2.08 and 1.23
feature sizes, 146 F^2. FeFET: NVMExplorer's sample cell (3.0 V to write and 0.1 fF, so 0.9 fJ;
0.05 V and 1 Mohm to 10 Mohm to read; 10 F^2). Wires of an array: NeuroSim, 0.2 fF/um.
"""

from __future__ import annotations

from math import sqrt

import attrs

from cimarch.hardware.costs.buffers import cell_scale
from cimarch.hardware.costs.model import CostError, Facts
from cimarch.hardware.costs.technology import Technology

WIRE = 0.2
"""fF/um, of a word line or a bit line."""


@attrs.frozen
class Device:
    """A kind of memory cell."""

    name: str
    source: str
    squares: float
    """Area in squares of the feature size."""
    gate: float
    """Feature sizes of gate that it hangs on a word line."""
    on_resistance: float | None = None
    """ohm, at the highest level; None: it is no resistor."""
    on_off_ratio: float | None = None
    read_voltage: float | None = None
    """V."""
    write_voltage: float | None = None
    """V."""
    write_energy: float | None = None
    """J of one pulse; None: it is written as a buffer is."""
    leaking: float = 0
    """Feature sizes of gate that are off in it."""


DEVICES = {
    "ReRAM": Device("ReRAM", "NVSim, NVMExplorer: ReRAM cell", 53, 2, 1e6, 10, 0.4, 2.0, 0.6e-12),
    "PCM": Device(
        "PCM",
        "NVSim: PCM cell after B. Lee et al., ISCA 2009 (1.6 V recalled, unverified)",
        9,
        2,
        1e3,
        1e3,
        0.04,
        1.6,
        19.2e-12,
    ),
    "SRAM": Device("SRAM", "CACTI 7: SRAM cell", 146, 2 * 1.31, leaking=1.31 + 2.08 + 1.23),
    "FeFET": Device("FeFET", "NVMExplorer: FeFET cell", 10, 1, 1e6, 10, 0.05, 3.0, 0.9e-15),
}
"""By the word of `device`; `unspecified` stands for none of them."""


@attrs.frozen
class Cell:
    """The cell of one array: what the array states, else the device's; None where nobody says."""

    device: Device | None
    area: float | None
    """m^2."""
    on_resistance: float | None
    """ohm."""
    on_off_ratio: float | None
    """None: level 0 conducts nothing."""
    read_voltage: float | None
    """V."""
    write_voltage: float | None
    """V."""
    write_energy: float | None
    """J of one pulse."""

    def conductance(self, level: float) -> float:
        """S on the average, where cells hold this share of the highest level."""
        assert self.on_resistance is not None
        on = 1 / self.on_resistance
        off = on / self.on_off_ratio if self.on_off_ratio is not None else 0.0
        return off + level * (on - off)

    def side(self) -> float:
        """um of a square cell."""
        return sqrt(self.area or 0) * 10**6


def _stated(facts: Facts, name: str, own: float | None) -> float | None:
    """A parameter, or the device's own number where it is `none`."""
    if not facts.has(name):
        return own
    value = float(facts.number(name))
    if value < 0:
        raise CostError(f"`{name}` is below zero", name)
    return value


def cell_of(facts: Facts, to: Technology) -> Cell:
    """The cell of an array; raises CostError where its numbers mean nothing.

    `on_resistance` and `on_off_ratio` are unstated at 0, the others where they are `none`.
    """
    device = DEVICES.get(facts.word("device"))
    own = device or Device("", "", 0, 0)
    write_voltage = _stated(facts, "write_voltage", own.write_voltage)
    return Cell(
        device,
        _stated(facts, "cell_area", own.squares * cell_area(to) if device else None),
        _stated(facts, "on_resistance", None) or own.on_resistance,
        _stated(facts, "on_off_ratio", None) or own.on_off_ratio,
        _stated(facts, "read_voltage", own.read_voltage),
        write_voltage,
        _stated(facts, "write_energy", _pulse(own, write_voltage)),
    )


def _pulse(device: Device, voltage: float | None) -> float | None:
    """J that a device takes at a write voltage: it goes with the square."""
    if device.write_energy is None or device.write_voltage is None or voltage is None:
        return None
    return device.write_energy * (voltage / device.write_voltage) ** 2


def cell_area(to: Technology) -> float:
    """m^2 of one square of the feature size; below 22 nm as areas of memories shrink."""
    return float((22e-9) ** 2 * cell_scale(22, to.nanometres))
