"""Method `hawq_v2`: a precision for each layer, by Hessian traces, under a size budget.

Z. Dong et al., "HAWQ-V2: Hessian Aware trace-Weighted Quantization of Neural Networks", NeurIPS
2020: of all precisions of all layers, within the size, the one with the least

    Omega = sum over layers of (mean trace of the layer) x |Q(W) - W|^2.

Here it is found exactly, by dynamic programming over the front of size and Omega.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from cimarch.data.dataset import DataSet
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.system import System
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options, option, wrong
from cimarch.optimize.frame.record import Record
from cimarch.optimize.frame.task import Task
from cimarch.optimize.mixed.hutchinson import traces
from cimarch.optimize.mixed.judging import RANGES, fitted, some_of
from cimarch.optimize.mixed.layers import Layer, folded, layers_of
from cimarch.optimize.mixed.scores import quantised_to


@attrs.frozen(kw_only=True)
class HawqV2(Options):
    """What a precision for each layer takes."""

    bits: tuple[int, ...] = option((8, 4), "Precisions that a layer may have.")
    size: float = option(
        0.65, "Bits of all weights at most, as a share of those at the highest precision.",
        least=0, most=1,
    )  # fmt: skip
    input_bits: int = option(8, "Bits of inputs.", least=1, most=16)
    per: str = option("channel", "What has one scale of weights.", words=("tensor", "channel"))
    method: str = option("minmax", "How that scale is chosen.", words=("minmax", "mse"))
    ranges: str = option("mse", "How converter ranges are chosen.", words=RANGES)
    calibrate: int = option(1024, "Training images that traces are of.", least=1)
    probes: int = option(50, "Random probes of the Hessian.", least=1)

    def check(self) -> None:
        """As of all options; precisions are in 1..16 and none stands twice."""
        super().check()
        if not self.bits or any(not 1 <= b <= 16 for b in self.bits):
            raise wrong(f"`bits` are {list(self.bits)}, not in 1..16", "`--bits 8,6,4`")
        if len(set(self.bits)) < len(self.bits):
            raise wrong(f"`bits` are {list(self.bits)}, one of them twice", "`--bits 8,6,4`")


def hawq_v2(
    model: Any, system: System, data: DataSet | str, options: HawqV2 | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:  # fmt: skip
    """Give each layer a precision so that all fits a size and the loss curves least.

    Raises DescriptionError where the size is below that of the lowest precision.
    """
    asked = options or HawqV2()
    task = Task.of("hawq_v2", model, system, data, asked, going)
    module = folded(task.model)
    layers = layers_of(task.model, module, "all")
    _check_size(layers, asked)
    costs = task.going.once("costs", lambda: _costs(task, asked, module, layers))
    by_bits = [{int(b): value for b, value in each.items()} for each in costs["omega"]]
    chosen = cheapest([layer.weights for layer in layers], by_bits, _allowed(layers, asked))

    def made(bits: Mapping[str, int]) -> Model:
        policy = {name: [each, asked.input_bits] for name, each in bits.items()}
        return fitted(task, policy, per=asked.per, method=asked.method, ranges=asked.ranges)

    names = [layer.name for layer in layers]
    before = task.stand(made(dict.fromkeys(names, max(asked.bits))), At(), name="before")
    adapted = made(dict(zip(names, chosen, strict=True)))
    after = task.stand(adapted, At(), name="after")
    details = {
        "layers": [
            {"layer": name, "bits": bits, "trace": trace, "omega": each[bits]}
            for name, bits, trace, each in zip(names, chosen, costs["traces"], by_bits, strict=True)
        ],
        "omega": sum(each[bits] for each, bits in zip(by_bits, chosen, strict=True)),
    }
    record = task.record(before, after, details=details)
    return adapted.with_(record=record), record


def _costs(task: Task, asked: HawqV2, module: Any, layers: Sequence[Layer]) -> dict[str, Any]:
    """Of each layer the mean trace, and Omega at each precision."""
    found = traces(
        module, layers, some_of(task.split.train, asked.calibrate, asked.seed),
        probes=asked.probes, seed=asked.seed, device=asked.torch_device,
        tell=lambda share: task.going.tell("probes of the Hessian", share),
    )  # fmt: skip
    means = [max(found.layer(layer.name), 0.0) / layer.weights for layer in layers]
    return {
        "traces": means,
        "omega": [
            {
                bits: mean
                * float(((quantised_to(layer, bits, asked.per, asked.method) - layer.weight) ** 2)
                        .sum())
                for bits in asked.bits
            }
            for layer, mean in zip(layers, means, strict=True)
        ],
    }  # fmt: skip


def _allowed(layers: Sequence[Layer], asked: HawqV2) -> int:
    """Bits that all weights may have."""
    return int(asked.size * max(asked.bits) * sum(layer.weights for layer in layers) + 1e-6)


def _check_size(layers: Sequence[Layer], asked: HawqV2) -> None:
    weights = sum(layer.weights for layer in layers)
    least = min(asked.bits) * weights
    if least > _allowed(layers, asked):
        share = least / (max(asked.bits) * weights)
        raise DescriptionError(
            Diagnostic(
                "E482",
                f"`size` is {asked.size:g}, below {share:g}, where all weights have "
                f"{min(asked.bits)} bits",
                helps=(f"`--size {share:g}`, or a lower precision among `--bits`",),
            )
        )


@attrs.frozen
class _State:
    """Precisions of the first layers."""

    size: int
    cost: float
    bits: tuple[int, ...]


def cheapest(
    weights: Sequence[int], costs: Sequence[Mapping[int, float]], allowed: int
) -> tuple[int, ...]:
    """The precision of each layer with the least sum of costs, within `allowed` bits together.

    `weights` and, by precision, `costs` are of each layer. Ties go to the smaller one. Raises
    ValueError where nothing fits.
    """
    rest = [0] * (len(weights) + 1)
    for i in range(len(weights) - 1, -1, -1):
        rest[i] = rest[i + 1] + weights[i] * min(costs[i])
    front = [_State(0, 0.0, ())]
    for i, (count, each) in enumerate(zip(weights, costs, strict=True)):
        made = [
            _State(state.size + count * bits, state.cost + cost, (*state.bits, bits))
            for state in front
            for bits, cost in each.items()
        ]
        front = _undominated([s for s in made if s.size + rest[i + 1] <= allowed])
    if not front:
        raise ValueError(f"no precision fits in {allowed} bits")
    return front[-1].bits


def _undominated(states: Sequence[_State]) -> list[_State]:
    """Those that none beats in both size and cost, by rising size and falling cost."""
    found: list[_State] = []
    for state in sorted(states, key=lambda s: (s.size, s.cost, s.bits)):
        if not found or state.cost < found[-1].cost:
            found.append(state)
    return found
