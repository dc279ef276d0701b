"""Cost models: what a part costs whose description states its node, but not the cost.

A part's own numbers always win. A model is asked for an area or a leakage that is not stated, and
for the energy of an action where neither that nor the part's power is. It needs `node`, the feature
size of the process, which a part takes from what encloses it: a description without one is priced
by nobody.
"""

from __future__ import annotations

from cimarch.hardware.costs import (
    adc,
    arrays,
    buffers,
    dac,
    digital,
    dram,
    hold,
    mesh,
    wires,
)
from cimarch.hardware.costs.model import CostError, Estimate, Facts, Model

__all__ = ["MODELS", "CostError", "Estimate", "Facts", "Model", "model_of"]

MODELS: dict[tuple[str, str], Model] = {
    (model.kind, model.target): model
    for family in (adc, dac, hold, digital, buffers, arrays, wires, mesh, dram)
    for model in family.MODELS
}
"""Every model by the kind of part and the number that it prices."""


def model_of(kind: str, target: str, *, with_node: bool) -> Model | None:
    """What prices a number of a part that has a node, or has none; None where nothing does."""
    model = MODELS.get((kind, target))
    return model if model is not None and (with_node or not model.needs_node) else None
