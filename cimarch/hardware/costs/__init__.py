"""Cost models: what a part costs whose description states its node, but not the cost.

A part's own numbers always win. A model is asked for an area or a leakage that is not stated, and
for the energy of an action where neither that nor the part's power is. It needs `node`, the feature
size of the process, which a part takes from what encloses it: a description without one is priced
by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model

__all__ = ["CostError", "Estimate", "Facts", "Model", "model_of", "models"]

FAMILIES: Mapping[str, str] = {
    "adc": "adc",
    "dac": "dac",
    "sample_hold": "hold",
    "shift_add": "digital",
    "accumulator": "digital",
    "adder_tree": "digital",
    "unit": "digital",
    "buffer": "buffers",
    "crossbar": "arrays",
    "digital_array": "arrays",
    "bus": "wires",
    "htree": "wires",
    "link": "wires",
    "mesh": "mesh",
    "dram": "dram",
}
"""Kind of part -> the module with its models, imported when it is first asked."""

NODELESS = frozenset({"dram"})
"""Kinds that are priced without a node."""


@cache
def models(kind: str) -> Mapping[str, Model]:
    """The models of a kind of part by the number that each prices; none of a kind that has none."""
    if kind not in FAMILIES:
        return {}
    family = import_module(f"{__name__}.{FAMILIES[kind]}")
    return {model.target: model for model in family.MODELS if model.kind == kind}


def model_of(kind: str, target: str, *, with_node: bool) -> Model | None:
    """What prices a number of a part that has a node, or has none; None where nothing does."""
    if not with_node and kind not in NODELESS:
        return None
    model = models(kind).get(target)
    return model if model is not None and (with_node or not model.needs_node) else None
