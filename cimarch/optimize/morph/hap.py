"""Method `hap`: channels are removed where the Hessian says that they matter least.

S. Yu et al., "Hessian-Aware Pruning and Optimal Neural Implant", WACV 2022: the cost of removing an
output channel c with weights w is Trace(H_c) / 2p x |w|^2, p their number, H_c its block of the
Hessian of the loss, whose trace random probes find (Hutchinson; their public code, HAP, takes 300).
Channels go in one order for the whole network. Those that a residual joins go together, by their
sum; a share of each layer stays. What is removed is really gone: the network is narrower.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, fx

from cimarch.data.dataset import DataSet
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.quantise import matrices
from cimarch.hardware.system import System
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Trains, option
from cimarch.optimize.frame.record import Epoch, Record
from cimarch.optimize.frame.task import Task, archive_of
from cimarch.optimize.inloop.onchip import reestimate
from cimarch.optimize.mixed.hutchinson import traces
from cimarch.optimize.mixed.judging import RANGES, fitted, some_of
from cimarch.optimize.mixed.layers import folded, layers_of
from cimarch.optimize.morph.surgery import choose, rebuild
from cimarch.optimize.morph.ties import Ties, ties_of
from cimarch.optimize.training import Recipe, Training


@attrs.frozen(kw_only=True)
class Hap(Trains):
    """What Hessian-aware pruning takes."""

    remove: float = option(0.5, "Share of the weights that goes.", least=0, most=0.99)
    least: float = option(0.1, "Share of the channels of a layer that stays.", least=0, most=1)
    probes: int = option(300, "Random probes of the Hessian.", least=1)
    calibrate: int = option(1024, "Training images that traces are of.", least=1)
    epochs: int = option(0, "Epochs of fine-tuning; 0: none.", least=0)
    rate: float = option(0.02, "Learning rate of fine-tuning.", least=0)
    reestimate: int = option(
        0, "Estimate batch norms anew on so many training examples at the end; 0: not.", least=0
    )
    weight_bits: int = option(8, "Bits of weights.", least=1, most=16)
    input_bits: int = option(8, "Bits of inputs.", least=1, most=16)
    ranges: str = option("mse", "How converter ranges are chosen.", words=RANGES)


def hap(
    model: Any, system: System, data: DataSet | str, options: Hap | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:  # fmt: skip
    """Remove the channels of a model that matter least, and fine-tune what is left where asked.

    Raises DescriptionError where channels cannot be followed, or so much cannot be removed.
    """
    asked = options or Hap()
    task = Task.of("hap", model, system, data, asked, going)
    module = task.module()
    ties = ties_of(module, task.data.test.shape)
    if not ties.free:
        raise _none_may_go(task.model.name)
    importance = {
        space: torch.tensor(values)
        for space, values in task.going.once("importance", lambda: _listed(task, asked, ties))
    }
    widths = widths_without(ties, importance, asked.remove, asked.least)
    generator = torch.Generator().manual_seed(asked.seed)
    pruned = rebuild(module, ties, choose(ties, importance, widths), generator=generator)
    epochs = _tuned(task, asked, pruned)
    if asked.reestimate:
        reestimate(pruned, task.split.train.take(slice(asked.reestimate)))
    made = task.model.trained(archive_of(pruned, _example(task)))
    before = task.stand(_whole(task, asked, task.model), At(), name="before")
    adapted = _whole(task, asked, made)
    after = task.stand(adapted, At(), name="after")
    record = task.record(before, after, epochs=epochs, details=_told(ties, widths))
    return adapted.with_(record=record), record


def _listed(task: Task, asked: Hap, ties: Ties) -> list[tuple[int, list[float]]]:
    found = _importance(task, asked, ties)
    return [(space, values.tolist()) for space, values in found.items()]


def _importance(task: Task, asked: Hap, ties: Ties) -> dict[int, Tensor]:
    """Trace / 2p x |w|^2 of each channel of each space, summed over the layers that make it."""
    module = folded(task.model)
    layers = {each.name: each for each in layers_of(task.model, module, "all")}
    found = traces(
        module, list(layers.values()), some_of(task.split.train, asked.calibrate, asked.seed),
        probes=asked.probes, seed=asked.seed, device=asked.torch_device,
        tell=lambda share: task.going.tell("probes of the Hessian", share),
    )  # fmt: skip
    made: dict[int, Tensor] = {}
    for number, space in ties.spaces.items():
        total = torch.zeros(space.size, dtype=torch.float64)
        for name in space.makers:
            layer = layers[name]
            trace = torch.from_numpy(found.strips[name].sum(axis=0)).clamp(min=0)
            squared = torch.from_numpy((layer.weight.astype("float64") ** 2).sum(axis=(1, 2)))
            total += trace * squared / (2 * layer.depth * layer.positions)
        made[number] = total
    return made


def widths_without(
    ties: Ties, importance: Mapping[int, Tensor], remove: float, least: float
) -> dict[int, int]:
    """Widths without the least important channels, so that a share of all weights is gone.

    The fewest that do. Raises DescriptionError where the channels that must stay are too many.
    """
    order = sorted(
        (float(value), space, channel)
        for space in ties.free
        for channel, value in enumerate(importance[space].tolist())
    )
    whole = _weights(ties, ties.widths)

    def gone(count: int) -> float:
        return 1 - _weights(ties, _without(ties, order[:count], least)) / whole

    low, high = 0, len(order)
    if gone(high) < remove:
        raise _too_much(remove, gone(high), least)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if gone(middle) >= remove else (middle + 1, high)
    return _without(ties, order[:low], least)


def _without(ties: Ties, removed: list[tuple[float, int, int]], least: float) -> dict[int, int]:
    widths = ties.widths
    for _, space, _ in removed:
        widths[space] -= 1
    for space in ties.free:
        widths[space] = max(widths[space], 1, math.ceil(least * ties.spaces[space].size))
    for embed in ties.embeds:  # a space holds what is embedded in it
        widths[embed.larger] = max(widths[embed.larger], widths[embed.smaller])
    return widths


def _weights(ties: Ties, widths: Mapping[int, int]) -> int:
    return sum(
        layer.positions * layer.inputs * layer.outputs for layer in ties.layers(dict(widths))
    )


def _tuned(task: Task, asked: Hap, pruned: fx.GraphModule) -> list[Epoch]:
    """Train what is left; what each epoch came to."""
    if not asked.epochs:
        return []
    recipe = Recipe(
        epochs=asked.epochs, batch=asked.batch, rate=asked.rate, decay=4e-4, seed=asked.seed,
        **asked.augmented(task.data),
    )  # fmt: skip
    return Training(
        pruned.to(asked.torch_device), task.split.train, task.split.held_back, recipe,
        stage="fine-tune", going=task.going, device=asked.torch_device,
    ).run()  # fmt: skip


def _example(task: Task) -> Tensor:
    return torch.from_numpy(task.data.test.take(slice(1)).inputs())


def _whole(task: Task, asked: Hap, model: Model) -> Model:
    policy = {op.name: [asked.weight_bits, asked.input_bits] for op in matrices(model.network())}
    return fitted(task, policy, per="channel", method="minmax", ranges=asked.ranges, model=model)


def _told(ties: Ties, widths: Mapping[int, int]) -> dict[str, Any]:
    return {
        "removed": 1 - _weights(ties, widths) / _weights(ties, ties.widths),
        "widths": [
            {"layers": ", ".join(space.makers), "before": space.size, "after": widths[number]}
            for number, space in ties.spaces.items()
            if space.makers
        ],
    }


def _none_may_go(network: str) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E484",
            f"`{network}` has no channels that may be removed",
            notes=("widths change where a batch norm scales channels",),
            helps=("train it with batch norms: they cost nothing on the chip",),
        )
    )


def _too_much(remove: float, most: float, least: float) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E483",
            f"`remove` is {remove:g}, and {most:.3g} of the weights is the most that can go",
            notes=(f"`least` keeps {least:g} of the channels of each layer",),
            helps=(f"`--remove {math.floor(most * 100) / 100:g}`, or a smaller `--least`",),
        )
    )
