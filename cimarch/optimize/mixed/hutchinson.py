"""The trace of the Hessian of the loss, per strip and per layer, from random probes.

Hutchinson: E[v . H v] is the trace of H for v of independent signs (printed in G.-C. Chen et al.,
arXiv 2512.19445, section 2.3); v . H v summed over a part of the weights alone estimates the trace
of that block, so one product with the Hessian serves all strips and layers (HAP does the same for
channels: S. Yu et al., WACV 2022). The paper prints H as second derivatives of the pre-activation,
which is linear in the weights: that is zero. Here it is of the mean cross-entropy.

A probe sees one batch of the images, the next probe the next batch, so that a few probes see all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

from cimarch.data.dataset import Examples
from cimarch.optimize.mixed.layers import Floats, Layer, weight_of

BATCH = 64
"""Images of a probe."""


@attrs.frozen(eq=False)
class Traces:
    """Of single probes, so that their mean and its deviation can be taken."""

    strips: Mapping[str, Floats]
    """Mean over the probes of each strip's trace, (positions, outputs), by layer."""
    layers: Mapping[str, Floats]
    """Of each probe the trace of the layer, (probes,)."""

    def layer(self, name: str) -> float:
        """The mean trace of a layer."""
        return float(self.layers[name].mean())


def traces(
    module: nn.Module,
    layers: Sequence[Layer],
    examples: Examples,
    *,
    probes: int = 50,
    seed: int = 0,
    device: str = "cpu",
    tell: Callable[[float], None] = lambda share: None,
) -> Traces:
    """Traces of the Hessian of the mean loss over the examples, by so many probes."""
    product = _product(module, layers)
    draw = torch.Generator().manual_seed(seed)
    sums = {layer.name: np.zeros((layer.positions, layer.outputs)) for layer in layers}
    each: dict[str, list[float]] = {layer.name: [] for layer in layers}
    for probe in range(probes):
        images, labels = _batch(examples, probe)
        signs = {layer.name: _signs(layer, draw).to(device) for layer in layers}
        found = product(signs, images.to(device), labels.to(device))
        for layer in layers:
            along = (signs[layer.name] * found[layer.name]).cpu()
            pooled = layer.pooled(along.double())
            sums[layer.name] += pooled
            each[layer.name].append(float(pooled.sum()))
        tell((probe + 1) / probes)
    strips = {name: total / probes for name, total in sums.items()}
    return Traces(strips, {name: np.array(values) for name, values in each.items()})


def exact_trace(
    module: nn.Module, layer: Layer, examples: Examples, *, position: int, output: int
) -> float:
    """The trace of one strip, one product with the Hessian for each of its weights, over all."""
    product = _product(module, [layer])
    total = 0.0
    for channel in range(layer.depth):
        v = torch.zeros(layer.outputs, layer.depth, layer.positions)
        v[output, channel, position] = 1
        for inputs, labels in examples.batches(BATCH):
            x, y = torch.from_numpy(inputs), torch.from_numpy(np.asarray(labels))
            found = product({layer.name: v}, x, y)[layer.name]
            share = len(y) / len(examples)
            total += share * float(found.reshape(v.shape)[output, channel, position])
    return total


Product = Callable[[Mapping[str, Tensor], Tensor, Tensor], dict[str, Tensor]]


def _product(module: nn.Module, layers: Sequence[Layer]) -> Product:
    """The product of the loss's Hessian and a vector, for the layers' weights together.

    The gradient of the loss's slope along the vector: reverse over forward, which takes two
    thirds of the time of forward over reverse, for the same product.
    """
    at = {layer.name: weight_of(module, layer.name) for layer in layers}

    def loss(weights: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        given = {f"{name}.weight": value for name, value in weights.items()}
        return F.cross_entropy(functional_call(module, given, (inputs,)), labels)

    def product(v: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        along = {name: value.reshape(at[name].shape) for name, value in v.items()}

        def slope(weights: Mapping[str, Tensor]) -> Tensor:
            found: Tensor = jvp(lambda w: loss(w, inputs, labels), (weights,), (along,))[1]
            return found

        found: dict[str, Tensor] = grad(slope)(at)
        return {name: value.reshape(v[name].shape) for name, value in found.items()}

    return product


def _signs(layer: Layer, draw: torch.Generator) -> Tensor:
    shape = (layer.outputs, layer.depth, layer.positions)
    return torch.randint(0, 2, shape, generator=draw).float() * 2 - 1


def _batch(examples: Examples, probe: int) -> tuple[Tensor, Tensor]:
    size = min(BATCH, len(examples))
    first = probe * size % (len(examples) - size + 1) if len(examples) > size else 0
    first = first // size * size
    some = examples.take(slice(first, first + size))
    return torch.from_numpy(some.inputs()), torch.from_numpy(np.asarray(some.labels))
