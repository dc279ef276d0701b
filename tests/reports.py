"""Reports made by hand, for the tests of what is made of a report."""

from __future__ import annotations

from fractions import Fraction

from cimarch.report.columns import from_rows
from cimarch.report.definitions import ENERGY, LAYERS, LEDGER, PARTS
from cimarch.report.report import Bound, Report

CONV = {
    "name": "conv1",
    "kind": "conv2d",
    "windows": 1024,
    "rows": 27,
    "columns": 16,
    "weight_bits": 8,
    "input_bits": 8,
    "tiles": 1,
    "crossbars": 1,
    "utilisation": 27 * 64 / 128**2,
    "start_cycle": 0,
    "finish_cycle": 900,
    "cycles": 900,
    "share": 0.9,
    "products": 1024,
    "conversions": 1024 * 8 * 64,
    "joules": 2e-6,
    "bound_by": "tile.ima.adc",
}
POOL = {
    "name": "pool",
    "kind": "pool",
    "windows": 1,
    "start_cycle": 900,
    "finish_cycle": 1000,
    "cycles": 100,
    "share": 0.1,
    "joules": 0.0,
    "bound_by": "tile.pool",
}


def small(*, adc_joules: float | None = 2e-6, **changes: object) -> Report:
    """1,000 cycles at 1 GHz; 442,368 multiply-accumulates; 2 uJ, all in the converter."""
    given: dict[str, object] = {
        "system": "Chip",
        "network": "net",
        "clock": Fraction(10**9),
        "cycles": 1000,
        "latency": 1000,
        "load_cycles": 128,
        "macs": 1024 * 27 * 16,
        "crossbars": 1,
        "crossbars_available": 96,
        "peak_arrays": 1,
        "utilisation": 27 * 64 / 128**2,
        "area": Fraction(2, 10**6),
        "power": Fraction(1, 2),
        "bound": Bound("tile.ima.adc", (3, 4), 890, 0.89, "conv1", 77),
        "layers": from_rows(LAYERS, [CONV, POOL]),
        "parts": from_rows(
            PARTS,
            [
                {
                    "path": "tile.ima.adc",
                    "kind": "adc",
                    "count": 96,
                    "used": 1,
                    "area_mm2": 0.1152,
                    "power_mW": 192,
                    "busy_cycles": 890,
                    "busy_share": 0.89,
                    "joules": adc_joules,
                    "origin": "none" if adc_joules is None else "stated",
                },
                {"path": "tile.pool", "kind": "unit", "count": 8, "joules": 0.0},
            ],
        ),
        "ledger": from_rows(
            LEDGER,
            [
                {
                    "part": "tile.ima.adc",
                    "action": "convert",
                    "count": 524288,
                    "joules": adc_joules,
                    "origin": "none" if adc_joules is None else "stated",
                },
                {
                    "part": "tile.pool",
                    "action": "compute",
                    "count": 0,
                    "joules": None,
                    "origin": "none",
                },
            ],
        ),
        "energy": from_rows(
            ENERGY,
            [
                {
                    "operation": "conv1",
                    "part": "tile.ima.adc",
                    "action": "convert",
                    "count": 524288,
                    "joules": adc_joules,
                    "origin": "none" if adc_joules is None else "stated",
                },
            ],
        ),
        "assumed": ("inputs are in their home at cycle 0",),
        "options": {"weight_bits": 8, "input_bits": 8},
        "digests": {"chip.cimarch": "00" * 32},
    }
    return Report(**{**given, **changes})  # type: ignore[arg-type]
