"""Where a model stands on a chip: its accuracy on test examples, cycles, joules, crossbars."""

from __future__ import annotations

import json
from typing import Any

import attrs

from cimarch.data.dataset import DataSet
from cimarch.evaluate import evaluate
from cimarch.functional.fit.quantise import matrices
from cimarch.hardware.system import System
from cimarch.mapping.precision import Bits
from cimarch.mapping.precision import precision as bits_of
from cimarch.mapping.strips import depth_of
from cimarch.optimize.frame.record import Stand
from cimarch.report.report import Report
from cimarch.simulate import simulate
from cimarch.workload.adapted import PRECISION, RANGES
from cimarch.workload.network import Network, Operation


@attrs.frozen(kw_only=True)
class At:
    """The precision at which a model is measured, and how what it does not bring is chosen."""

    weight_bits: int = 8
    input_bits: int = 8
    precision: Any = None
    """A policy; None: what the model brings, else the bits above."""
    range_policy: str = "mse"
    """Of converters whose ranges neither the model nor the description states."""


def stand(
    system: System,
    network: Network,
    data: DataSet | None,
    at: At,
    *,
    judge: int | None = None,
    **how: Any,
) -> Stand:
    """Run the network on the system once, and judge it where there is data.

    `judge` examples judge, all without a number; `how` are other options of `evaluate`. Where the
    policy is the one that the model brings, its whole weights are measured, too, and not others
    that are made of its float weights.
    """
    bits: dict[str, Any] = {
        "weight_bits": at.weight_bits, "input_bits": at.input_bits,
        "precision": None if at.precision == _brought(network) else at.precision,
    }  # fmt: skip
    found = costs(simulate(system, network, **bits), network, at)
    if data is None:
        return found
    brings = at.precision is None and how.get("quantising") is None and RANGES in network.attached
    policy = None if brings else at.range_policy
    judged = evaluate(system, network, data, images=judge, range_policy=policy, **bits, **how)
    return attrs.evolve(
        found,
        accuracy_float=100 * judged.float_model.top1.value,
        accuracy_quantised=100 * judged.quantised.top1.value,
        accuracy_chip=100 * judged.top1,
        examples=judged.examples,
    )


def costs(report: Report, network: Network, at: At) -> Stand:
    """What a simulation says of a model, without its accuracy."""
    bits = bits_of(network, at.weight_bits, at.input_bits, _policy(network, at))
    counts = {op.name: op.rows * op.columns * op.groups for op in matrices(network)}
    return Stand(
        cycles=report.cycles,
        joules=report.joules,
        crossbars=report.crossbars,
        utilisation=100 * report.utilisation,
        load_cycles=report.load_cycles,
        parameters=sum(counts.values()),
        weight_bits=sum(_weight_bits(op, bits[op.name]) for op in matrices(network)),
    )


def _weight_bits(op: Operation, bits: Bits) -> int:
    if bits.strips is not None:
        return bits.strips.weight_bits(depth_of(op))
    return op.rows * op.columns * op.groups * bits.weight


def _policy(network: Network, at: At) -> Any:
    return _brought(network) if at.precision is None else at.precision


def _brought(network: Network) -> Any:
    """The policy that a model brings, or None."""
    given = network.attached.get(PRECISION)
    return None if given is None else json.loads(given)
