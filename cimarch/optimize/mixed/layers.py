"""The layers that are cut into strips, and the network as a chip holds it: norms folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.quantise import check_weights, matrices
from cimarch.optimize.frame.model import Model

Floats = NDArray[np.float64]
PerStrip = Mapping[str, Floats]
"""A number for each strip, (positions, outputs), by the name of its layer."""


@attrs.frozen(eq=False)
class Layer:
    """A convolution or fully connected layer, cut into strips."""

    name: str
    """Of its operation."""
    positions: int
    """Of its kernel; 1 of a fully connected layer."""
    outputs: int
    """Of all channel groups."""
    depth: int
    """Weights of a strip."""
    weight: NDArray[np.float32]
    """(outputs, depth, positions), as a chip holds it: batch norms folded."""

    @property
    def strips(self) -> int:
        return self.positions * self.outputs

    @property
    def weights(self) -> int:
        return self.strips * self.depth

    def pooled(self, values: Floats | Tensor) -> Floats:
        """The sum over each strip of what is known of each weight, (positions, outputs)."""
        each = np.asarray(values, np.float64).reshape(self.outputs, self.depth, self.positions)
        return np.ascontiguousarray(each.sum(axis=1).T)


def folded(model: Model) -> fx.GraphModule:
    """The model in evaluation mode with each batch norm folded into the convolution before it.

    So it has the weights that lie on a chip, and sensitivities are those of these weights.
    """
    module = model.module().eval()
    inside = dict(module.named_modules())
    for node in list(module.graph.nodes):
        if node.op != "call_module" or not isinstance(inside[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0]
        conv = inside.get(before.target) if before.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d) or len(before.users) > 1:
            continue
        fused = fuse_conv_bn_eval(conv, inside[node.target])
        _put(module, before.target, fused)
        inside[before.target] = fused
        node.replace_all_uses_with(before)
        module.graph.erase_node(node)
    module.recompile()
    return module.requires_grad_(False)


def layers_of(model: Model, module: fx.GraphModule, which: str = "convolutions") -> list[Layer]:
    """The layers that are cut into strips: convolutions, or `all` matrices with weights.

    Raises DescriptionError where there is none to cut, and where a weight is not finite.
    """
    inside, network = dict(module.named_modules()), model.network()
    check_weights(network)
    found = []
    for op in matrices(network):
        held = inside.get(op.name)
        if which == "convolutions" and op.kind != "conv2d":
            continue
        if isinstance(held, (nn.Conv2d, nn.Linear)):
            found.append(_layer(op.name, held.weight))
    if not found:
        raise DescriptionError(
            Diagnostic(
                "E480",
                f"`{model.name}` has no convolution whose weights could be cut into strips",
                helps=("`--layers all` cuts fully connected layers as well",),
            )
        )
    return found


def _layer(name: str, weight: Tensor) -> Layer:
    outputs, depth = weight.shape[:2]
    flat = weight.detach().reshape(outputs, depth, -1).numpy()
    return Layer(name, flat.shape[2], outputs, depth, flat.astype(np.float32))  # its own copy


def _put(module: nn.Module, path: str, layer: nn.Module) -> None:
    above, _, last = path.rpartition(".")
    setattr(module.get_submodule(above), last, layer)


def weight_of(module: nn.Module, name: str) -> Tensor:
    """The weights of a layer of a module, as they are: to read, or to change in place."""
    held = module.get_submodule(name).weight
    assert isinstance(held, Tensor)
    return held.detach()


def weights_into_(module: nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
    """Put other weights, (outputs, depth, positions), into the layers of a module."""
    for name, values in weights.items():
        held = weight_of(module, name)
        held.copy_(torch.from_numpy(np.asarray(values, np.float32)).reshape(held.shape))
