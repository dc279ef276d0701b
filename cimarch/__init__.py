"""Describe a compute-in-memory chip, hand in a network: a map, cycles, joules, accuracy.

    import cimarch

    system = cimarch.load("isaac", set={"tile.ima.adc.bits": 9})
    network = cimarch.read_network("models/resnet20.pt")
    report = cimarch.simulate(system, network, weight_bits=8, input_bits=8)
    print(report.cycles, report.joules, report.utilisation)

Everything public is named here and imported when it is first used, so that `import cimarch`
itself costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cimarch.data.dataset import DataSet
    from cimarch.data.read import read_data
    from cimarch.diagnostics import DescriptionError, Diagnostic
    from cimarch.evaluate import (
        Calibration,
        Evaluation,
        Quantising,
        calibrate,
        evaluate,
        quantise,
        save_densities,
        save_quantised,
        save_ranges,
    )
    from cimarch.explore.comparing.compare import Comparison, compare
    from cimarch.explore.validating.validate import validate
    from cimarch.generate import generate
    from cimarch.hardware.system import System
    from cimarch.language import load, loads
    from cimarch.report.explaining.explain import explain
    from cimarch.report.report import Report
    from cimarch.simulate import map_network, simulate
    from cimarch.workload.network import Network
    from cimarch.workload.read import read_network
    from cimarch.workload.trace import trace

__version__ = "0.1.0"

__all__ = [
    "Calibration",
    "Comparison",
    "DataSet",
    "DescriptionError",
    "Diagnostic",
    "Evaluation",
    "Network",
    "Quantising",
    "Report",
    "System",
    "__version__",
    "calibrate",
    "compare",
    "evaluate",
    "explain",
    "generate",
    "load",
    "loads",
    "map_network",
    "quantise",
    "read_data",
    "read_network",
    "save_densities",
    "save_quantised",
    "save_ranges",
    "simulate",
    "trace",
    "validate",
]

_HOMES = {
    "Calibration": "cimarch.evaluate",
    "Comparison": "cimarch.explore.comparing.compare",
    "DataSet": "cimarch.data.dataset",
    "DescriptionError": "cimarch.diagnostics",
    "Diagnostic": "cimarch.diagnostics",
    "Evaluation": "cimarch.evaluate",
    "Network": "cimarch.workload.network",
    "Report": "cimarch.report.report",
    "Quantising": "cimarch.evaluate",
    "System": "cimarch.hardware.system",
    "calibrate": "cimarch.evaluate",
    "compare": "cimarch.explore.comparing.compare",
    "evaluate": "cimarch.evaluate",
    "explain": "cimarch.report.explaining.explain",
    "generate": "cimarch.generate",
    "load": "cimarch.language",
    "loads": "cimarch.language",
    "map_network": "cimarch.simulate",
    "quantise": "cimarch.evaluate",
    "read_data": "cimarch.data.read",
    "read_network": "cimarch.workload.read",
    "save_densities": "cimarch.evaluate",
    "save_quantised": "cimarch.evaluate",
    "save_ranges": "cimarch.evaluate",
    "simulate": "cimarch.simulate",
    "trace": "cimarch.workload.trace",
    "validate": "cimarch.explore.validating.validate",
}


_PACKAGES = ("optimize",)
"""Packages whose names are public themselves: `cimarch.optimize.qat`."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name in _PACKAGES:
        return import_module(f"cimarch.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module `cimarch` has no attribute `{name}`")
    value: object = getattr(import_module(_HOMES[name]), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """A package in which `simulate`, `evaluate` and `generate` are functions, though their modules
    are called the same."""

    def __setattr__(self, name: str, value: object) -> None:
        """Bind a name; importing a submodule of a public name binds the public name instead."""
        if isinstance(value, ModuleType) and name in _HOMES:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
