"""Whole torch models: their layers put on a chip, and what they have learned read back.

network = cimarch.trace(model, example)
placement = cimarch.map_network(system, network, weight_bits=4, input_bits=4)
convert_(model, placement, mode="merged")
...                                     # any training loop
quantised = quantised_network(model, example)
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from cimarch.diagnostics import DescriptionError, Diagnostic, suggestion
from cimarch.functional.cells.device import device_of
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.quantise import bias_of, matrices, weight_matrix
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.scheme import scheme_of
from cimarch.functional.tiles import sections_of_placement
from cimarch.functional.train.modules import (
    Arrays,
    Chip,
    Conv2d,
    Linear,
    Norm,
    from_float,
)
from cimarch.mapping.placement import Placement
from cimarch.workload.network import Network, Operation
from cimarch.workload.trace import trace


def convert_(
    model: nn.Module,
    placement: Placement,
    *,
    mode: str = "exact",
    per: str = "tensor",
    ranges: Mapping[str, Ranges] | None = None,
    seed: int = 0,
) -> None:
    """Put the layers of a torch model on the arrays that a placement of its network gives them.

    Every operation with a stored matrix becomes a `Linear` or `Conv2d` of
    `cimarch.functional.train.modules` with the same parameters; batch norms and all else stay as
    they are. `ranges` are those of the converters, by operation; `seed` draws what cells and
    converters do that is not ideal. Raises DescriptionError where an operation is no layer of the
    model, or a layer cannot lie on arrays.
    """
    for op in matrices(placement.network):
        chip = Chip(arrays_of(placement, op.name), mode, per, (ranges or {}).get(op.name))
        put_(model, op, chip, seed=seed)


def put_(model: nn.Module, op: Operation, chip: Chip, *, seed: int = 0) -> None:
    """Put the layer of one operation on a chip; as `convert_`."""
    made = from_float(_layer(model, op), chip)
    made.draw = Draw(seed, 0, op.name)
    _replace(model, op.name, made)


def arrays_of(placement: Placement, name: str) -> Arrays:
    """The arrays of an operation with a stored matrix; KeyError where it lies on none."""
    plans = {plan.site.anchor.name: plan for plan in placement.plans if plan.site.is_matrix}
    layouts = sections_of_placement(placement, name)
    wiring = plans[name].wiring
    return Arrays(
        scheme_of(wiring, placement.bits[name]),
        sections=tuple(layout.sections for layout in layouts),
        blocks=layouts[0].blocks,
        device=device_of(wiring.pool, wiring.converter),
    )


def fold_norms_(model: fx.GraphModule) -> None:
    """Have each layer on arrays take in the batch norm that alone reads its result.

    Training goes on through the norms; where no gradient is asked for, model and chip then compute
    the same to the last bit.
    """
    called = {
        node: model.get_submodule(str(node.target))
        for node in model.graph.nodes
        if node.op == "call_module"
    }
    for node, norm in called.items():
        for before in node.all_input_nodes[:1]:
            layer = called.get(before)
            if not isinstance(norm, nn.BatchNorm2d) or not isinstance(layer, (Conv2d, Linear)):
                continue
            if len(before.users) == 1:
                _replace(model, str(node.target), Norm(layer, norm))


def layers(model: nn.Module) -> dict[str, Conv2d | Linear]:
    """The layers of a model that lie on arrays, by their path."""
    return {
        name: layer for name, layer in model.named_modules() if isinstance(layer, (Conv2d, Linear))
    }


def _layer(model: nn.Module, op: Operation) -> nn.Conv2d | nn.Linear:
    """The layer of an operation; DescriptionError where there is none."""
    found = dict(model.named_modules()).get(op.name)
    if isinstance(found, (nn.Conv2d, nn.Linear)):
        return found
    names = [n for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    what = "is not in the model" if found is None else f"is a `{type(found).__name__}` of the model"
    raise _missing(op.name, f"{what}, no `Conv2d` or `Linear`", names)


def _missing(name: str, what: str, names: list[str]) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E362",
            f"the operation `{name}` {what}",
            notes=("a layer is called by the path of its parameters",),
            helps=suggestion(name, names) or ("trace the model that is to be converted",),
        )
    )


def _replace(model: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)


def float_model(model: nn.Module) -> nn.Module:
    """A copy of a model whose layers are torch's again, with the weights that were learned."""
    copy = deepcopy(model)
    for path, norm in list(copy.named_modules()):
        if isinstance(norm, Norm):
            _replace(copy, path, norm.plain())
    for path, layer in layers(copy).items():
        _replace(copy, path, layer.float_layer())
    return copy


def quantised_network(
    model: nn.Module, example_inputs: Any, *, name: str | None = None
) -> QuantisedNetwork:
    """The network of a trained model in whole numbers, as `cimarch.evaluate` takes it.

    The whole weights are those that the layers hold. A batch norm behind a layer becomes part of
    its scale and bias, which leaves them as they are.
    """
    return whole_network(model, trace(float_model(model), example_inputs, name=name))


def whole_network(model: nn.Module, network: Network) -> QuantisedNetwork:
    """The same of a network that was traced or read already."""
    mine = layers(model)
    found = {op.name: _folded(network, op, mine[op.name]) for op in matrices(network)}
    return QuantisedNetwork(network, found, "trained through the chip")


def _folded(network: Network, op: Operation, layer: Conv2d | Linear) -> Quantised:
    """A layer in whole numbers, with what the network has folded into its weights."""
    quantised = layer.quantised()
    if layer.norm is not None:
        return quantised
    folded = weight_matrix(network, op).reshape(len(layer.weight), -1)
    shares = _shares(folded, layer.weight.detach().double().cpu().numpy().reshape(folded.shape))
    return attrs.evolve(
        quantised, weight_scale=quantised.weight_scale * shares, bias=bias_of(network, op)
    )


def _shares(folded: NDArray[np.float64], own: NDArray[np.float64]) -> NDArray[np.float64]:
    """(outputs,): by how much each output was multiplied, as its largest weight tells."""
    place = np.abs(own).argmax(axis=1)[:, None]
    largest = np.take_along_axis(own, place, axis=1)[:, 0]
    given = np.take_along_axis(folded, place, axis=1)[:, 0]
    return np.divide(given, largest, out=np.ones_like(given), where=largest != 0)


def take_scales_(model: nn.Module, quantised: QuantisedNetwork) -> None:
    """Start the layers of a model on a chip from a network that was quantised after training.

    They then hold the same whole numbers; where the network has folded a batch norm into a layer,
    or scales differ from output to output, the layer must have been converted `per="channel"`.
    Raises DescriptionError where an operation is no layer on a chip.
    """
    mine = layers(model)
    for name, each in quantised.operations.items():
        if name not in mine:
            raise _missing(name, "is no layer on a chip", list(mine))
        layer = mine[name]
        op = next(op for op in quantised.network.operations if op.name == name)
        folded = weight_matrix(quantised.network, op).reshape(len(layer.weight), -1)
        own = layer.weight.detach().double().cpu().numpy().reshape(folded.shape)
        shares = np.abs(_shares(folded, own))
        shares = np.where(shares > 0, shares, np.inf)  # outputs that a norm has put out
        scale = np.broadcast_to(np.abs(each.weight_scale), len(folded)) / shares
        scale = np.where(scale > 0, scale, scale.max(initial=0.0) or 1.0)
        if len(layer.weight_scale) == 1:
            scale = _single(name, scale)
        with torch.no_grad():
            layer.weight_scale.copy_(torch.from_numpy(scale.copy()))
            layer.input_scale.fill_(each.input_scale)
            layer.input_zero.fill_(each.input_zero)


def _single(name: str, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """The one scale of all outputs; DescriptionError where they differ."""
    if np.allclose(scale, scale[0], rtol=1e-5):
        return scale[:1]
    raise DescriptionError(
        Diagnostic(
            "E363",
            f"`{name}` has a weight scale for each output, and its layer one for all",
            notes=("a batch norm that was folded into it gives each output its own",),
            helps=('convert the model `per="channel"`',),
        )
    )


def trained_ranges(model: nn.Module) -> dict[str, Ranges]:
    """The ranges of the converters of all layers, by operation: for `cimarch.evaluate`.

    Layers whose sums are merged but on no chip's arrays are left out: their ranges are of other
    sums than its converters see.
    """
    found = {n: layer.converter_ranges for n, layer in layers(model).items() if layer.chip.is_chips}
    return {name: ranges for name, ranges in found.items() if ranges is not None}
