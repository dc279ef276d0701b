"""Method `uniform`: all weights at one precision, the baseline of every mixed one."""

from __future__ import annotations

from typing import Any

import attrs

from cimarch.data.dataset import DataSet
from cimarch.functional.fit.quantise import matrices
from cimarch.hardware.system import System
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options, option
from cimarch.optimize.frame.record import Record
from cimarch.optimize.frame.task import Task
from cimarch.optimize.mixed.judging import RANGES, fitted


@attrs.frozen(kw_only=True)
class Uniform(Options):
    """What one precision for all takes."""

    weight_bits: int = option(4, "Bits of weights.", least=1, most=16)
    input_bits: int = option(8, "Bits of inputs.", least=1, most=16)
    from_bits: int = option(8, "Bits of weights before.", least=1, most=16)
    per: str = option("channel", "What has one scale of weights.", words=("tensor", "channel"))
    method: str = option("minmax", "How that scale is chosen.", words=("minmax", "mse"))
    ranges: str = option("mse", "How converter ranges are chosen.", words=RANGES)


def uniform(
    model: Any, system: System, data: DataSet | str, options: Uniform | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:  # fmt: skip
    """Give all weights of a model one precision, without training."""
    asked = options or Uniform()
    task = Task.of("uniform", model, system, data, asked, going)

    def made(bits: int) -> Model:
        policy = {op.name: [bits, asked.input_bits] for op in matrices(task.network)}
        return fitted(task, policy, per=asked.per, method=asked.method, ranges=asked.ranges)

    before = task.stand(made(asked.from_bits), At(), name="before")
    adapted = made(asked.weight_bits)
    record = task.record(before, task.stand(adapted, At(), name="after"))
    return adapted.with_(record=record), record
