"""Change a model so that it suits a described chip, and say what that cost and gained.

    model, record = cimarch.optimize.qat("models/resnet20.pt", system, "cifar10:PATH", Qat(seed=0))
    model.save("resnet20_qat.adapted")

Every method is one function of a model (`Model`, or a file), a system, a data set, its options and
what is around the run (`Going`); it gives the changed model and its record. Methods chain: what one
gives, the next takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import attrs


@attrs.frozen
class Method:
    """A method, by the name of its command."""

    module: str
    """Where it is, in this package."""
    function: str
    options: str
    """The name of its options class, beside it."""
    summary: str
    """What it does, in one line."""
    chip: str = "edge_macro"
    """A chip that its page of help shows it on."""

    def load(self) -> tuple[Any, Any]:
        """The function and the class of its options."""
        found = import_module(f"cimarch.optimize.{self.module}")
        return getattr(found, self.function), getattr(found, self.options)


METHODS: dict[str, Method] = {
    "qat": Method(
        "inloop.qat", "qat", "Qat",
        "train for whole numbers, and with the chip's converters in the loop",
        chip="edge_macro:EdgeMacroDigital",
    ),
    "strips": Method(
        "mixed.strips", "strips", "Strips",
        "more bits where weights are sensitive, strip by strip, without training",
        chip="two_pools",
    ),
    "uniform": Method(
        "mixed.uniform", "uniform", "Uniform",
        "all weights at one precision, without training", chip="two_pools",
    ),
    "hawq_v2": Method(
        "mixed.hawq", "hawq_v2", "HawqV2",
        "a precision for each layer by Hessian traces, under a size", chip="two_pools",
    ),
    "hap": Method(
        "morph.hap", "hap", "Hap",
        "remove the channels that the Hessian says matter least", chip="two_pools",
    ),
    "two_stage": Method(
        "morph.two_stage", "two_stage", "TwoStage",
        "widths that fit the macros: shrink by bit lines, expand, train (arXiv 2510.14379)",
    ),
    "uniform_width": Method(
        "morph.two_stage", "uniform_width", "UniformWidth",
        "one factor for all widths that fits the macros, and training: a baseline",
    ),
}  # fmt: skip
"""By name, in the order in which a person would try them."""

_FRAME = ("Going", "Model", "Options", "Record")


def __getattr__(name: str) -> Any:
    """Import a method, the class of its options, or another public name when it is asked for."""
    if name in _FRAME:
        return getattr(import_module(f"cimarch.optimize.frame.{name.lower()}"), name)
    for method in METHODS.values():
        if name in (method.function, method.options):
            return getattr(import_module(f"cimarch.optimize.{method.module}"), name)
    raise AttributeError(f"module `cimarch.optimize` has no attribute `{name}`")
