"""Judging: three models answer to the same examples, and the chip is looked at layer by layer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from cimarch.data.dataset import Examples
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.evaluate.bench import Bench
from cimarch.evaluate.options import wrong
from cimarch.functional.cells.device import device_of
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.calibrate import ends
from cimarch.functional.fit.quantise import matrices
from cimarch.functional.fit.saved_quantised import model_digest
from cimarch.functional.matrix import Matrix
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.run.answers import Answers
from cimarch.functional.shares import wirings_of
from cimarch.mapping.placement import Placement
from cimarch.report.accuracy import LAYERS, Evaluation, Score
from cimarch.report.columns import from_rows
from cimarch.report.statistics import Interval, mcnemar, paired, share

if TYPE_CHECKING:
    from cimarch.functional.run.execute import Executor
    from cimarch.functional.run.measure import Measured

ANSWERS = 1 << 24
"""Numbers that models answer at a time, at most: 64 MiB."""
MUCH = 0.05
"""Share of the conversions of an operation: where more clip, a note says what to do."""
CLASSES = 10
"""With fewer classes, being among the five best says little."""


@attrs.frozen(eq=False)
class Judge:
    """Runs the three models on the same examples."""

    bench: Bench
    examples: Examples
    ranges: Mapping[str, Ranges]
    trials: int
    seed: int
    statistics: int
    path: str | None

    def run(self, asked: Mapping[str, object]) -> Evaluation:
        """The whole result."""
        from cimarch.functional.run.execute import Executor

        bench, model = self.bench, self.bench.quantised
        seconds: dict[str, float] = {}
        plain = Executor.float(model.network, device=bench.how.device)
        in_float = self._answers(plain, "float", seconds)
        in_whole = self._answers(Executor(model, device=bench.how.device), "quantised", seconds)
        on_chip, layers = self._chip(seconds)
        right = [answers.right.astype(np.float64) for answers in on_chip]
        placement = bench.placement
        return Evaluation(
            system=placement.system.name,
            network=model.network.name,
            data=bench.data.name,
            kind=bench.data.kind,
            examples=len(self.examples),
            float_model=self._score(in_float),
            quantised=self._score(in_whole),
            chip=tuple(self._score(answers) for answers in on_chip),
            agreement=tuple(float((a.best == in_whole.best).mean()) for a in on_chip),
            difference=_difference(in_whole, right, in_whole.right.astype(np.float64)),
            loss_difference=self._loss_difference(in_whole, on_chip),
            p_value=_p_value(in_whole, on_chip),
            layers=from_rows(LAYERS, layers),
            runs=self._runs(),
            statistics=min(self.statistics, len(self.examples)),
            seconds=seconds,
            quantisation=model.source,
            assumed=(*placement.system.assumed, *placement.assumed),
            notes=(
                *bench.data.notes,
                *_left_in_float(placement, model),
                *self._one_run(),
                *_much_clips(layers),
            ),
            options=asked,
            digests=self._digests(),
        )

    def _one_run(self) -> Iterator[str]:
        if self._runs() < self.trials:
            yield "cells and converters are ideal, with nothing left to chance: the trials are one"

    def _digests(self) -> dict[str, str]:
        bench = self.bench
        network = bench.placement.network
        return dict(bench.placement.system.sources) | {
            network.source or network.name: network.digest,
            bench.data.source or bench.data.name: self.examples.digest,
            "quantised model": model_digest(bench.quantised),
        }

    def _answers(self, model: Executor, name: str, seconds: dict[str, float]) -> Answers:
        """What a model answers to all examples; its time is added."""
        found, done = [], 0
        for inputs, labels in self.examples.batches(self._batch()):
            begin = time.perf_counter()
            outputs = model.run(inputs)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            _check_finite(outputs, name)
            found.append(Answers.of(outputs, labels))
            done += len(labels)
            self.bench.how.tell(name, done / len(self.examples))
        answers = Answers.joined(found)
        if not len(answers.best):
            raise wrong("no label of the examples that judge is to be judged: all are below 0")
        return answers

    def _batch(self) -> int:
        """Examples at a time: as many as asked for, as long as their answers take little memory."""
        network = self.bench.quantised.network
        each = network.tensors[network.outputs[0]].elements
        return max(1, min(self.bench.how.batch, ANSWERS // max(1, each)))

    def _chip(self, seconds: dict[str, float]) -> tuple[list[Answers], list[dict[str, object]]]:
        """What the chip answers in each trial, and a row for each operation of the first."""
        from cimarch.functional.run.execute import Executor

        found: list[Answers] = []
        layers: list[dict[str, object]] = []
        for trial in range(self._runs()):
            held = self._matrices(trial)
            if trial == 0:
                layers = self._layers(held)
            paths = {name: matrix.path for name, matrix in held.items()}
            chip = Executor(self.bench.quantised, paths, device=self.bench.how.device)
            name = "chip" if self._runs() == 1 else f"chip, trial {trial + 1} of {self.trials}"
            spent: dict[str, float] = {}
            found.append(self._answers(chip, name, spent))
            seconds["chip"] = seconds.get("chip", 0.0) + spent[name]
        return found * (self.trials // len(found)), layers

    def _runs(self) -> int:
        """How many trials can differ: one, where cells and converters are ideal."""
        placement = self.bench.placement
        wirings = [
            wiring
            for name in self.bench.quantised.operations
            for wiring in wirings_of(placement, name)
        ]
        are_real = any(device_of(wiring.pool, wiring.converter) for wiring in wirings)
        return self.trials if are_real else 1

    def _matrices(self, trial: int) -> dict[str, Matrix]:
        names = self.bench.quantised.operations
        return {
            name: self.bench.matrix(name, self.ranges, seed=self.seed, trial=trial, path=self.path)
            for name in names
        }

    def _layers(self, held: Mapping[str, Matrix]) -> list[dict[str, object]]:
        from cimarch.functional.run.measure import measured

        bench, how = self.bench, self.bench.how
        how.tell("statistics", 0.0)
        found = measured(
            bench.quantised, held, self.examples.inputs(0, self.statistics), device=how.device,
            tell=lambda part: how.tell("statistics", part),
        )  # fmt: skip
        return [
            _layer(matrix, which, bench.placement, found[name])
            for name, matrix in held.items()
            for which in range(len(matrix.shares))
        ]

    def _score(self, answers: Answers) -> Score:
        classes = len(self.bench.data.classes)
        tokens = self.bench.data.kind == "tokens"
        judged = len(answers.best)
        return Score(
            judged,
            share(int(answers.right.sum()), judged),
            answers.in_five if tokens or classes >= CLASSES else None,
            float(answers.loss.mean()) if tokens else None,
        )

    def _loss_difference(self, model: Answers, chip: Sequence[Answers]) -> Interval | None:
        if self.bench.data.kind != "tokens":
            return None
        return _difference(model, [answers.loss for answers in chip], model.loss)


def _difference(model: Answers, chip: Sequence[np.ndarray], plain: np.ndarray) -> Interval:
    """The mean of trials less the quantised model, example by example."""
    return paired(model.by_example(sum(chip) / len(chip) - plain), model.sizes)


def _p_value(model: Answers, chip: Sequence[Answers]) -> float | None:
    if len(chip) > 1:
        return None
    mine, other = model.right, chip[0].right
    return mcnemar(int((mine & ~other).sum()), int((other & ~mine).sum()))


def _layer(matrix: Matrix, which: int, placement: Placement, found: Measured) -> dict[str, object]:
    """A row of the table of layers: one share of an operation."""
    windows = next(op for op in placement.network.operations if op.name == matrix.name).windows
    share, counts, density = matrix.shares[which], found.counts[which], found.densities[which]
    scheme, ranges = share.scheme, share.ranges
    converter = scheme.converter
    row: dict[str, object] = {
        "name": matrix.name,
        "path": matrix.path.name,
        "weight_bits": scheme.weight_bits,
        "input_bits": scheme.input_bits,
        "encoding": scheme.encoding,
        "range_source": ranges.source if ranges else "no converter: sums are exact",
        "conversions": share.conversions * windows if converter else 0,
        "error": found.alone.ratio,
        "error_to_here": found.to_here.ratio,
        "input_density": float(density.input),
        "weight_density": float(density.weight),
    }
    if converter and ranges:
        low, high = ends(converter, ranges)
        row["converter_bits"] = converter.bits
        row["range_low"], row["range_high"] = float(low.min()), float(high.max())
        row["step"] = float(ranges.step.max())
        row["clipped"] = counts.clipped / max(1, counts.conversions)
        row["rounded"] = counts.rounded / max(1, counts.conversions)
    if counts.sums:
        row["overflowed"] = counts.overflowed / counts.sums
    return row


def _much_clips(layers: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Where ranges that nobody chose lose much, and what would choose them."""
    shares = [
        (float(str(row["clipped"])), row["name"])
        for row in layers
        if row.get("clipped") and row["range_source"] == "one unit a step"
    ]
    most, name = max(shares, default=(0.0, ""))
    if most > MUCH:
        yield (
            f"{100 * most:.0f} % of the conversions of `{name}` clip at one unit a step: "
            "`--range-policy mse --per slice` chooses ranges from data"
        )


def _left_in_float(placement: Placement, model: QuantisedNetwork) -> Iterator[str]:
    """What is no part of the chip's arithmetic here."""
    yield from placement.unmapped
    for op in placement.network.operations:
        if op.is_matrix and op.is_dynamic:
            yield f"`{op.name}` multiplies two operands that flow: computed in float, not converted"
    for op in matrices(placement.network):
        if op.name not in model.operations:
            yield f"`{op.name}` lies on no arrays: computed in float"


def _check_finite(outputs: np.ndarray, model: str) -> None:
    if not np.isfinite(outputs).all():
        raise DescriptionError(
            Diagnostic(
                "E303",
                f"answers of the model `{model}` are not finite",
                helps=("look at the weights, and at the normalisation of the data",),
            )
        )
