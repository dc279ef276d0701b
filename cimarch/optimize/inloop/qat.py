"""Quantisation-aware training with the chip in the loop, in two phases.

First the scales of weights and inputs are learned with the weights, as in LSQ (Esser et al., ICLR
2020), sums being exact. Then every partial sum passes the chip's converter, whose step is learned,
too (Lin & Chang, arXiv 2510.14379, section III-C: "ADC-aware learned scaling"). What comes out are
whole weights, scales and ranges, with which the chip computes what the trained model does, to the
last bit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import attrs
import torch
from torch import fx

from cimarch.data.dataset import DataSet
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.quantise import matrices
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.run.execute import Executor
from cimarch.functional.train.starts import FULL_RANGE, STARTS, STEP_PER
from cimarch.functional.train.straight import DivergedError
from cimarch.functional.train.torch_models import layers, trained_ranges
from cimarch.hardware.system import System
from cimarch.mapping.precision import precision as bits_of
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Trains, option, wrong
from cimarch.optimize.frame.record import Epoch, Record
from cimarch.optimize.frame.task import Task
from cimarch.optimize.inloop import onchip
from cimarch.optimize.inloop.codes import converter_use, paths_of
from cimarch.optimize.training import Recipe, Training, accuracy
from cimarch.simulate import map_network

FIRST, SECOND = "scales", "converters"
"""The phases, as they are told."""


@attrs.frozen(kw_only=True)
class Qat(Trains):
    """How to train for whole numbers and converters."""

    weight_bits: int = option(4, "Of weights.", least=1, most=8)
    input_bits: int = option(4, "Of inputs.", least=1, most=8)
    precision: str | Mapping[str, Any] | None = option(
        None, "Precision policy of single operations; what MODEL brings, or the ends as below.",
        metavar="FILE",
    )  # fmt: skip
    ends: int = option(
        8, "Bits of the first matrix operation and of the last, without a policy.", least=1, most=8
    )
    per: str = option("tensor", "Of what one weight scale is.", words=("tensor", "channel"))
    epochs_scales: int = option(4, "Epochs with exact sums.", least=0)
    epochs_converters: int = option(2, "Epochs behind the converters.", least=0)
    rate: float = option(0.02, "Learning rate of the first phase.", least=0)
    rate_converters: float = option(0.005, "Learning rate of the second phase.", least=0)
    rate_scales: float = option(
        0.1, "Learning rate of scales and steps, as a share of the others'.", least=0
    )
    converters: str = option(
        "on", "Whether sums are converted, as the second phase; off: the first alone.",
        words=("on", "off"),
    )  # fmt: skip
    start: str = option("mse", "How ranges are chosen before steps are learned.", words=STARTS)
    percentile: float = option(99.9, "Of the start percentile.", least=50, most=100)
    step_per: str = option("layer", "Of what one learned step is.", words=STEP_PER)
    power_of_two: bool = option(False, "Hold learned steps at powers of two.")
    reestimate: int = option(
        0, "Training images on which batch norms are estimated anew, behind the converters, before "
        "the second phase.", least=0, metavar="N",
    )  # fmt: skip
    untrained: bool = option(
        False, "Also judge the model behind converters before it is trained: every start, batch "
        "norms kept and estimated anew.",
    )  # fmt: skip

    @property
    def choices(self) -> onchip.Choices:
        """How layers lie on the chip."""
        return onchip.Choices(
            self.per, self.start, self.step_per, self.power_of_two, self.percentile
        )


UNTRAINED = ("full_range", "min_max", "mse")
"""The starts that `untrained` judges."""
REESTIMATED = 1000
"""Images on which it estimates batch norms anew."""
_TOLD = {
    "sliced": "the arrays of {} cut weights or inputs: every slice and step is converted in "
    "training, with a step for each slice",
    "exact": "cells or converters of {} are not ideal: they are drawn anew for each step of "
    "training, and ranges are chosen, not learned",
}
"""What is said of operations, by how they train."""


def qat(
    model: Any,
    system: System,
    data: DataSet | str,
    options: Qat | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:
    """Train a model for the whole numbers and the converters of a system.

    `model` is a `Model` or a file. Gives the trained model, with whole weights, scales, converter
    ranges and precision, and its record. Raises DescriptionError where an option is outside its
    range, the model cannot be trained or does not fit, or training diverges.
    """
    asked = _with_policy(options or Qat())
    task = Task.of("qat", model, system, data, asked, going)
    return _Run(task, asked).done()


class _Run:
    """One model on its way."""

    def __init__(self, task: Task, asked: Qat) -> None:
        self.task, self.asked = task, asked
        self.policy = _policy(task, asked)
        self.placement = map_network(
            task.system, task.network, weight_bits=asked.weight_bits,
            input_bits=asked.input_bits, precision=self.policy,
        )  # fmt: skip
        onchip.check(self.placement)
        self.modes = onchip.modes(self.placement)
        self.notes: list[str] = []
        self.epochs: list[Epoch] = []
        self.details: dict[str, Any] = {}

    def done(self) -> tuple[Model, Record]:
        """The trained model and its record."""
        task, asked = self.task, self.asked
        at = At(weight_bits=asked.weight_bits, input_bits=asked.input_bits, precision=self.policy)
        before = task.stand(task.model, at, name="before")
        module = self._first_phase()
        if asked.converters == "on" and self._has_converters():
            if asked.untrained:
                self.details["untrained"] = list(self._untrained(module))
            module = self._second_phase(module)
        images = len(task.split.train)
        made = onchip.adapted(task.model, module, self.placement, task.data.name, images)
        self._tell_of_converters(made, module)
        if "exact" not in self.modes.values():
            self.details["answers_that_differ"] = task.going.once(
                "answers_that_differ", partial(self._differing, made, module)
            )
        after = task.stand(made, At(weight_bits=asked.weight_bits, input_bits=asked.input_bits),
                           name="after")  # fmt: skip
        record = task.record(
            before, after, epochs=self.epochs, notes=self.notes, details=self.details
        )
        return made.with_(record=record), record

    # The phases

    def _first_phase(self) -> fx.GraphModule:
        """The model with learned scales, whose sums are exact."""
        task, asked = self.task, self.asked
        module = task.module().to(asked.torch_device)
        onchip.exact(module, self.placement, asked.choices)
        onchip.start_scales(module, self._quantised())
        if not asked.epochs_scales:
            onchip.calibrate(module, task.split.held_back)
        self._train(module, FIRST, asked.epochs_scales, asked.rate)
        self.details["held_back_without_converters"] = task.going.once(
            "held_back_scales",
            lambda: accuracy(module, task.split.held_back, device=asked.torch_device),
        )
        return module

    def _quantised(self) -> Any:
        """What the model brings in whole numbers of these bits; None where it brings none."""
        found = self.task.model.quantised()
        if found is None:
            return None
        bits = {name: each.bits for name, each in found.operations.items()}
        mine = {name: self.placement.bits[name] for name in bits}
        return found if bits == mine else None

    def _second_phase(self, module: fx.GraphModule) -> fx.GraphModule:
        """The model that has learned to live with its converters."""
        task, asked = self.task, self.asked
        made = onchip.converted(module, self.placement, asked.choices, task.split.held_back)
        if asked.reestimate:
            onchip.reestimate(made, task.split.train.take(slice(asked.reestimate)))
        began = _steps(made)
        onchip.learn_in_results(made)
        self._train(made, SECOND, asked.epochs_converters, asked.rate_converters)
        ended = _steps(made)
        self.details["converters"] = {
            name: {"step_before": began[name], "step_after": step} for name, step in ended.items()
        }
        return made

    def _train(self, module: fx.GraphModule, stage: str, epochs: int, rate: float) -> None:
        task, asked = self.task, self.asked
        if not epochs:
            return
        recipe = Recipe(
            epochs=epochs, batch=asked.batch, rate=rate, scale_rate=asked.rate_scales,
            seed=asked.seed, **asked.augmented(task.data),
        )  # fmt: skip
        training = Training(
            module, task.split.train, task.split.held_back, recipe, stage=stage,
            going=task.going, device=asked.torch_device,
        )  # fmt: skip
        try:
            self.epochs += training.run()
        except DivergedError as error:
            raise _diverged(stage, str(error), rate) from None

    # Before it is trained

    def _untrained(self, module: fx.GraphModule) -> Iterator[dict[str, Any]]:
        """What the chip answers right with ranges that were only chosen, in percent."""
        for start in UNTRAINED if {*self.modes.values()} == {"merged"} else UNTRAINED[1:]:
            for images in (0, REESTIMATED):
                judge = partial(self._judged, module, start, images)
                yield self.task.going.once(f"untrained_{start}_{images}", judge)

    def _judged(self, module: fx.GraphModule, start: str, images: int) -> dict[str, Any]:
        task, asked = self.task, self.asked
        choices = attrs.evolve(asked.choices, start=start)
        task.going.tell(f"untrained, {start.replace('_', ' ')}", 0.0)
        made = onchip.converted(module, self.placement, choices, task.split.held_back)
        if images:
            onchip.reestimate(made, task.split.train.take(slice(images)))
        judging = task.data.judging(asked.judge)
        right = accuracy(made, judging, batch=250, device=asked.torch_device)
        told = {"start": start, "batch_norm_images": images, "accuracy_chip": right}
        return told | self._mean_use(made)

    def _mean_use(self, module: fx.GraphModule) -> dict[str, float]:
        """The shares of `converter_use`, means over operations."""
        whole = {name: layer.quantised() for name, layer in layers(module).items()}
        model = QuantisedNetwork(self.task.network, whole, "untrained")
        held_back = self.task.split.held_back
        each = converter_use(self.placement, model, trained_ranges(module), held_back).values()
        return {what: mean(found[what] for found in each) for what in ("dead", "unused", "clipped")}

    # What is told

    def _has_converters(self) -> bool:
        if not self.modes:
            self.notes.append("no converter stands behind these arrays: sums are exact")
            return False
        for mode, what in _TOLD.items():
            names = [f"`{name}`" for name, found in self.modes.items() if found == mode]
            if names and self.asked.start == FULL_RANGE:
                told = f"`start` is `{FULL_RANGE}`, which is none for {names[0]}"
                raise wrong(told, "`--start mse`", notes=(what.format(names[0]),))
            if names:
                self.notes.append(what.format(", ".join(names[:3]) + (" ..." * bool(names[3:]))))
        return True

    def _differing(self, made: Model, module: fx.GraphModule) -> int:
        """The examples held back to which torch and the chip answer otherwise; the exact sums of
        whole numbers stand for the chip where nothing is converted."""
        quantised, ranges = made.quantised(), trained_ranges(module)
        assert quantised is not None
        paths = paths_of(self.placement, quantised, ranges) if ranges else None
        chip, device, found = Executor(quantised, paths), self.asked.torch_device, 0
        module.eval()
        for inputs, _ in self.task.split.held_back.batches(250):
            with torch.no_grad():
                mine = module(torch.from_numpy(inputs).to(device)).argmax(1).cpu().numpy()
            found += int((mine != chip.run(inputs).argmax(1)).sum())
        return found

    def _tell_of_converters(self, made: Model, module: fx.GraphModule) -> None:
        """Dead codes and unused range, by operation."""
        ranges = trained_ranges(module)
        quantised = made.quantised()
        if not ranges or quantised is None:
            return
        held_back = self.task.split.held_back
        use = self.task.going.once(
            "converter_use", lambda: converter_use(self.placement, quantised, ranges, held_back)
        )
        for name, found in self.details["converters"].items():
            found.update(use[name])


def _with_policy(asked: Qat) -> Qat:
    """The options with what the policy file says, so that a run knows whether it goes on with the
    same; a file that cannot be read is told of where it is used."""
    if not isinstance(asked.precision, (str, Path)):
        return asked
    try:
        return attrs.evolve(asked, precision=json.loads(Path(asked.precision).read_text()))
    except (OSError, ValueError):
        return asked


def _policy(task: Task, asked: Qat) -> Any:
    """The bits of every operation: as asked, as the model brings them, or the ends apart."""
    if asked.precision is not None:
        return asked.precision
    if task.model.precision is not None:
        return task.model.precision
    names = [op.name for op in matrices(task.network)]
    ends = {name: [asked.ends, asked.ends] for name in (names[:1] + names[-1:])}
    bits_of(task.network, asked.weight_bits, asked.input_bits, ends)
    return ends


def _steps(module: fx.GraphModule) -> dict[str, float]:
    """The mean step of the converters of each operation, in units."""
    return {name: float(ranges.step.mean()) for name, ranges in trained_ranges(module).items()}


def _diverged(stage: str, what: str, rate: float) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E451",
            f"training diverged in {stage}: {what}",
            helps=(f"a lower learning rate than {rate:g}",),
        )
    )
