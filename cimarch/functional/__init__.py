"""What a described chip would compute, bit for bit: cells, steps, conversions and digital sums.

The torch layers that train through it are named here, and imported (torch with them) when first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cimarch.functional.train.modules import Arrays, Chip, Conv2d, Linear, from_float
    from cimarch.functional.train.torch_models import (
        convert_,
        quantised_network,
        take_scales_,
        trained_ranges,
    )

__all__ = [
    "Arrays",
    "Chip",
    "Conv2d",
    "Linear",
    "convert_",
    "from_float",
    "quantised_network",
    "take_scales_",
    "trained_ranges",
]

_WHOLE_MODELS = ("convert_", "quantised_network", "take_scales_", "trained_ranges")


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module `cimarch.functional` has no attribute `{name}`")
    home = "torch_models" if name in _WHOLE_MODELS else "modules"
    value: object = getattr(import_module(f"cimarch.functional.train.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
