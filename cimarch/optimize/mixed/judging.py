"""Models of other precision, ready for the chip, and judged by their weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from cimarch.data.dataset import Examples
from cimarch.evaluate.bench import Bench
from cimarch.evaluate.options import How, Where
from cimarch.functional.fit.calibrate import POLICIES, Policy
from cimarch.functional.fit.quantise import Quantising
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.task import Task
from cimarch.optimize.mixed.layers import weights_into_

RANGES = tuple(POLICIES)
"""How ranges of converters are chosen."""
BATCH = 50
"""Images at a time; larger batches are slower on one core."""


def fitted(
    task: Task, policy: Any, *, per: str, method: str, ranges: str, model: Model | None = None
) -> Model:
    """The task's model (or another) with a policy, whole weights, and ranges of its converters.

    Inputs and ranges are chosen on the examples that calibrate an evaluation.
    """
    model = task.model if model is None else model
    network = model.trained(model.archive).network()
    quantising = Quantising(per=per, weights=method)
    how = How(quantising=quantising, device=task.options.torch_device)
    bench = Bench.of(task.system, network, task.data, Where(precision=policy), how)
    has_any = any(scheme.converter is not None for scheme in bench.pools.values())
    found = bench.calibration(Policy(ranges, "layer", 99.9)) if has_any else None
    return model.trained(model.archive, precision=policy, quantised=bench.quantised, ranges=found)


def some_of(examples: Examples, count: int, seed: int) -> Examples:
    """So many of them, drawn by a seed; all where there are not more."""
    drawn = np.random.default_rng(seed).permutation(len(examples))[:count]
    return examples.take(np.sort(drawn))


def right_of(module: nn.Module, examples: Examples, device: str = "cpu") -> np.ndarray:
    """Which examples a module answers right."""
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = []
    with torch.inference_mode():
        for inputs, labels in examples.batches(BATCH):
            given = torch.from_numpy(inputs).to(device)
            if given.dim() == 4:
                given = given.contiguous(memory_format=torch.channels_last)
            found.append(module(given).argmax(1).cpu().numpy() == labels)
    return np.concatenate(found)


def by_weights_alone(
    module: nn.Module, weights: Mapping[str, Any], examples: Examples, device: str = "cpu"
) -> float:
    """Percent right with other weights; inputs and sums stay in float. Changes the module's."""
    weights_into_(module, weights)
    return 100 * float(right_of(module, examples, device).mean())
