"""Batch norms folded into the convolution or linear before them.

A batch norm at inference is y = scale * x + shift per channel. Behind a product x = W a + b whose
result nothing else reads, it is the product (scale W) a + (scale b + shift) (Jacob et al.,
"Quantization and Training of Neural Networks", CVPR 2018, section 3.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs
import numpy as np

from cimarch.workload.network import Weight
from cimarch.workload.steps import Array, Step


def fold_batch_norms(steps: list[Step], *, keep: Iterable[str]) -> list[Step]:
    """Fold what can be folded; values in `keep` (the network's outputs) count as read."""
    reads = Counter(flow.name for step in steps for flow in step.inputs)
    reads.update(keep)
    folded: list[Step] = []
    made: dict[str, int] = {}
    for step in steps:
        before = made.get(step.inputs[0].name) if step.fold else None
        if before is not None and reads[step.inputs[0].name] == 1 and _fits(folded[before], step):
            folded[before] = _folded(folded[before], step)
            made[step.outputs[0]] = before
            continue
        made.update({output: len(folded) for output in step.outputs})
        folded.append(_in_float32(step) if step.fold else step)
    return folded


def _fits(product: Step, norm: Step) -> bool:
    """Whether a product's outputs are the batch norm's channels."""
    rank = {"conv2d": 4, "linear": 2}.get(product.kind)
    sizes = norm.inputs[0].sizes
    return len(sizes) == rank and sizes[1] == product.columns * product.groups


def _folded(product: Step, norm: Step) -> Step:
    scale, shift = norm.fold
    assert product.weight is not None
    assert scale is not None
    assert shift is not None
    weight, bias = _scaled(product.weight, scale), _shifted(product.bias, scale, shift)
    path = product.weight.path.removesuffix("weight") + "bias"
    return attrs.evolve(
        product,
        weight=weight,
        bias=attrs.evolve(bias, path=product.bias.path if product.bias else path),
        outputs=norm.outputs,
    )


def _scaled(weight: Weight, scale: Weight) -> Weight:
    if weight.data is None or scale.data is None:
        return attrs.evolve(weight, data=None)
    factor = scale.data.reshape(-1, *(1,) * (len(weight.shape) - 1))
    return attrs.evolve(weight, dtype="float32", data=_float32(weight.data * factor))


def _shifted(bias: Weight | None, scale: Weight, shift: Weight) -> Weight:
    if shift.data is None or scale.data is None or (bias is not None and bias.data is None):
        return attrs.evolve(shift, data=None)
    moved = shift.data if bias is None or bias.data is None else bias.data * scale.data + shift.data
    return attrs.evolve(shift, data=_float32(moved))


def _in_float32(norm: Step) -> Step:
    """A batch norm that stays, with the scale and shift that a unit would hold."""
    weight, bias = (
        None if w is None or w.data is None else attrs.evolve(w, data=_float32(w.data))
        for w in (norm.weight, norm.bias)
    )
    return attrs.evolve(norm, weight=weight or norm.weight, bias=bias or norm.bias)


def _float32(values: Array) -> Array:
    return np.asarray(values, dtype=np.float32)
