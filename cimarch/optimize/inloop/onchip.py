"""A model on a chip, in training: its layers on arrays, their scales and steps found on data, and
what it has become read back.

A layer trains by whole-weight sums wherever these are the chip's own arithmetic (a weight in one
cell, an input in one step). On arrays that cut weights or inputs every slice and step passes a
conversion of its own, as on the chip. The converters' steps are learned with the weights; but where
cells or converters are not ideal their ranges are chosen on data and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs
import torch
from torch import Tensor, fx, nn

from cimarch.data.dataset import Examples
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.calibrate import Policy
from cimarch.functional.fit.observe import watched
from cimarch.functional.fit.quantise import check_bits, matrices, schemes_of
from cimarch.functional.fit.saved_ranges import Calibration
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.train.merged import is_merged
from cimarch.functional.train.modules import Arrays, Chip, Conv2d, Linear
from cimarch.functional.train.torch_models import (
    arrays_of,
    float_model,
    fold_norms_,
    layers,
    put_,
    take_scales_,
    trained_ranges,
    whole_network,
)
from cimarch.mapping.placement import Placement
from cimarch.mapping.saved import network_digest
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.task import archive_of

SEEN = 512
"""Examples held back on which scales and ranges are found."""


@attrs.frozen
class Choices:
    """How layers lie on the chip."""

    per: str = "tensor"
    """Of what one weight scale is: `tensor` or `channel`."""
    start: str = "mse"
    step_per: str = "layer"
    power_of_two: bool = False
    percentile: float = 99.9

    @property
    def policy(self) -> Policy:
        """How ranges of arrays that cut weights or inputs are chosen: for each slice, or column."""
        per = "column" if self.step_per == "column" else "slice"
        return Policy(self.start, per, self.percentile)


def check(placement: Placement) -> None:
    """Raise DescriptionError where an operation's bits are none that its arrays hold."""
    for name, scheme in schemes_of(placement).items():
        check_bits(name, scheme)


def exact(module: fx.GraphModule, placement: Placement, choices: Choices) -> None:
    """Put the layers of a model on arrays whose sums are not converted."""
    for op in matrices(placement.network):
        arrays = arrays_of(placement, op.name)
        scheme = attrs.evolve(arrays.scheme, converter=None, tile_bits=None, sum_bits=None)
        arrays = attrs.evolve(arrays, scheme=scheme, device=None)
        put_(module, op, Chip(arrays, "merged", choices.per))
    fold_norms_(module)


def converted(
    module: fx.GraphModule, placement: Placement, choices: Choices, examples: Examples
) -> fx.GraphModule:
    """The model of `exact` behind the chip's converters, their ranges chosen on examples.

    It is a copy: `module` stays as it is.
    """
    ranges = cut_ranges(module, placement, choices, examples)
    made = _with_converters(module, placement, choices, ranges)
    calibrate(made, examples)
    return made


def _with_converters(
    module: fx.GraphModule, placement: Placement, choices: Choices, ranges: Mapping[str, Ranges]
) -> fx.GraphModule:
    made = float_model(module)
    assert isinstance(made, fx.GraphModule)
    found = layers(module)
    for op in matrices(placement.network):
        arrays = arrays_of(placement, op.name)
        put_(made, op, _chip(arrays, choices, ranges.get(op.name)))
    for name, layer in layers(made).items():
        _take_scales(layer, found[name])
    fold_norms_(made)
    return made


def modes(placement: Placement) -> dict[str, str]:
    """How each operation behind converters trains, one of `cimarch.functional.train.modules.MODES`:
    `exact` where cells or converters are not ideal, `sliced` where weights or inputs are cut, else
    `merged`."""
    held = {name: arrays_of(placement, name) for name in schemes_of(placement)}
    return {name: _mode(arrays) for name, arrays in held.items() if arrays.scheme.converter}


def _mode(arrays: Arrays) -> str:
    if arrays.device is not None:
        return "exact"
    cuts = arrays.scheme.converter is not None and not is_merged(arrays.scheme)
    return "sliced" if cuts else "merged"


def _chip(arrays: Arrays, choices: Choices, ranges: Ranges | None) -> Chip:
    mode = _mode(arrays)
    if mode != "merged":
        return Chip(arrays, mode, choices.per, ranges, power_of_two=choices.power_of_two)
    return Chip(
        arrays, mode, choices.per, None, choices.start, choices.step_per,
        choices.power_of_two, choices.percentile,
    )  # fmt: skip


@torch.no_grad()
def _take_scales(layer: Conv2d | Linear, other: Conv2d | Linear) -> None:
    layer.weight_scale.copy_(other.weight_scale)
    layer.input_scale.copy_(other.input_scale)
    layer.input_zero.copy_(other.input_zero)


def cut_ranges(
    module: fx.GraphModule, placement: Placement, choices: Choices, examples: Examples
) -> dict[str, Ranges]:
    """The ranges of converters that are chosen before, by operation: of all that are no
    `merged`."""
    cut = [name for name, mode in modes(placement).items() if mode != "merged"]
    if not cut:
        return {}
    whole = {name: layer.quantised() for name, layer in layers(module).items()}
    model = QuantisedNetwork(placement.network, whole, "trained")
    some = examples.take(slice(min(SEEN, len(examples))))
    watch = watched(
        placement, model, lambda: (x for x, _ in some.batches(100)), len(some),
        per=choices.policy.per,
    )  # fmt: skip
    found = watch.ranges(choices.policy, len(some))
    return {name: found[name] for name in cut if name in found}


def start_scales(module: fx.GraphModule, quantised: QuantisedNetwork | None) -> None:
    """Begin with the scales of a model that was quantised before; else the first batch finds
    them."""
    if quantised is not None:
        take_scales_(module, quantised)


def calibrate(module: nn.Module, examples: Examples) -> None:
    """Find scales and ranges that layers do not have yet, on some examples; norms as they are."""
    some = examples.take(slice(min(SEEN, len(examples))))
    device = next(module.parameters()).device
    with finding(module), torch.no_grad():
        module(torch.from_numpy(some.inputs()).to(device))


@contextmanager
def finding(module: nn.Module) -> Iterator[None]:
    """A block in which layers on arrays may find scales, and all else is as at inference."""
    was = module.training
    module.eval()
    for layer in layers(module).values():
        layer.train()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
    yield
    module.train(was)


def reestimate(module: nn.Module, examples: Examples, batch: int = 100) -> None:
    """Set the statistics of batch norms to the mean of those of batches of examples."""
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    device = next(module.parameters()).device
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    module.train()
    with torch.no_grad():
        for inputs, _ in examples.batches(batch):
            module(torch.from_numpy(inputs).to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    module.eval()


def learn_in_results(module: nn.Module) -> None:
    """Have converters' steps learn in units of their results, as LSQ's scales do (Esser et al.,
    ICLR 2020): they are held in units of sums, of which one is input scale x weight scale.

    A step in results is s = u t; so t moves by (dL/ds) / u = (dL/dt) / u^2.
    """
    for layer in layers(module).values():
        if layer.converter_step is None:
            continue
        unit = float((layer.input_scale * layer.weight_scale.mean()).detach())
        layer.converter_step.register_hook(_times(unit**-2))  # type: ignore[no-untyped-call]


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda given: given * factor


def adapted(
    given: Model, module: fx.GraphModule, placement: Placement, data: str, images: int
) -> Model:
    """The model that the module has become: its archive, whole weights, ranges and precision."""
    plain = float_model(module)
    example = torch.zeros(1, *placement.network.tensors[placement.network.inputs[0]].shape)
    made = given.trained(archive_of(plain, example))
    network = made.network()
    quantised = whole_network(module, network)
    ranges = trained_ranges(module)
    schemes = schemes_of(placement)
    calibration = Calibration(
        ranges=ranges,
        schemes={name: schemes[name] for name in ranges},
        network=network.name,
        network_digest=network_digest(network),
        system=placement.system.name,
        policy="trained",
        per="layer",
        images=images,
        data=data,
    )
    bits = {
        name: {"weight_bits": each.bits.weight, "input_bits": each.bits.input}
        for name, each in quantised.operations.items()
    }
    return made.with_(quantised=quantised, ranges=calibration if ranges else None, precision=bits)
