"""A method of the tests' own: a few epochs of training in float, to see what is around a method."""

from __future__ import annotations

from typing import Any

import attrs
import torch

from cimarch.data.dataset import DataSet
from cimarch.hardware.system import System
from cimarch.optimize import Method
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options, option
from cimarch.optimize.frame.record import Record
from cimarch.optimize.frame.task import Task, archive_of
from cimarch.optimize.training import Recipe, Training


@attrs.frozen(kw_only=True)
class Toy(Options):
    """How to train."""

    epochs: int = option(2, "Of training.", least=1, most=100)
    rate: float = option(0.05, "Learning rate at its highest.", least=0, most=10)
    how: str = option("plain", "What to do.", words=("plain", "nothing"))
    bits: tuple[int, ...] = option((8, 4), "Bits of something.")
    mirror: bool = option(False, "Mirror half of the images.")
    keep: bool = option(True, "Keep something.")
    budget: int | None = option(None, "Arrays at most; as many as there are.", least=1)


def toy(
    model: Any,
    system: System,
    data: DataSet | str,
    options: Toy | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:
    """Train in float, and say what came of it."""
    options = options or Toy()
    task = Task.of("toy", model, system, data, options, going)
    before = task.stand(task.model, At(), name="before")
    module = task.module()
    recipe = Recipe(
        epochs=options.epochs, batch=64, rate=options.rate, shift=0, mirror=options.mirror,
        seed=options.seed,
    )  # fmt: skip
    split = task.split
    epochs = Training(
        module, split.train, split.held_back, recipe, stage="toy", going=task.going, every=0.0
    ).run()
    example = torch.from_numpy(split.train.inputs(0, 1))
    made = task.model.trained(archive_of(module, example))
    precision = {name: [6, 8] for name in ("conv1", "conv2")}
    made = made.with_(precision=precision)
    after = task.stand(made, At(), name="after")
    details = {
        "steps": 12,
        "bits": list(options.bits),
        "widths": [{"layer": "conv1", "before": 16, "after": 12},
                   {"layer": "conv2", "before": 32, "after": 40}],
    }  # fmt: skip
    record = task.record(before, after, epochs=epochs, notes=["it is a toy"], details=details)
    return made.with_(record=record), record


class Given(Method):
    """A method that lies in the tests."""

    def load(self) -> tuple[Any, Any]:
        """The function and the class of its options."""
        return toy, Toy


METHOD = Given("toy", "toy", "Toy", "train a little, for the tests")
