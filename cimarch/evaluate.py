"""Evaluate a network on a system: what the float model, the quantised one and the chip answer.

The network is placed as `simulate` places it, quantised for the pools that its matrices lie on, and
run on the examples that judge. What is chosen on data (scales of inputs, converter ranges) looks at
other examples, those that calibrate.
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.read import read_data
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.answers import Answers
from cimarch.functional.calibrate import Policy, ends
from cimarch.functional.converter import Ranges
from cimarch.functional.device import device_of
from cimarch.functional.matrix import Matrix, matrix_of, plan_of
from cimarch.functional.observe import seen, spreads_of, watched
from cimarch.functional.quantise import (
    Quantising,
    check_weights,
    matrices,
    schemes_of,
)
from cimarch.functional.quantise import quantise as made_whole
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.saved_quantised import Saved as SavedModel
from cimarch.functional.saved_quantised import read_quantised, to_bytes
from cimarch.functional.saved_ranges import Calibration, check_shape, read_ranges
from cimarch.functional.saved_ranges import Saved as SavedRanges
from cimarch.functional.scheme import Scheme
from cimarch.hardware.system import System
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.placement import Placement
from cimarch.mapping.pools import Wanted, pairs
from cimarch.mapping.saved import Saved as SavedPlacement
from cimarch.mapping.saved import network_digest, read_saved
from cimarch.report.accuracy import LAYERS, Evaluation, Score
from cimarch.report.columns import from_rows
from cimarch.report.files import whole
from cimarch.report.statistics import Interval, mcnemar, paired, share
from cimarch.simulate import Progress, map_network
from cimarch.workload.network import Network

if TYPE_CHECKING:
    from cimarch.functional.execute import Executor
    from cimarch.functional.measure import Measured

CALIBRATION = 128
"""Examples that calibrate where no number is asked for, as far as the data set has as many."""
STATISTICS = 100
"""Examples on which conversions are counted where no number is asked for."""
CLASSES = 10
"""With fewer classes, being among the five best says little."""

Data = DataSet | str
"""A data set, or what `--data` says."""


def evaluate(
    system: System,
    network: Network,
    data: Data,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    place: Wanted = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    placement: SavedPlacement | None = None,
    attention: str | None = None,
    allow_unmapped: bool = False,
    images: int | None = None,
    batch: int = 100,
    trials: int = 1,
    seed: int = 0,
    quantising: Quantising | None = None,
    quantised: SavedModel | None = None,
    calibrate: int | None = None,
    ranges: SavedRanges | None = None,
    range_policy: str = "unit",
    per: str = "layer",
    range_percentile: float = 99.9,
    statistics: int = STATISTICS,
    path: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Evaluation:
    """Judge the float model, the quantised model and the chip by the same examples of a data set.

    `data` is a `DataSet` or the text of `--data`; its first `images` examples judge, all without a
    number. Weights and inputs become whole as `quantising` says, inputs by `calibrate` examples
    that do not judge (128 without a number); or as a saved model `quantised` has them, with its
    bits. Converter ranges are what the description states; else those of `ranges` (a file, or what
    `calibrate` gave); else chosen by `range_policy`, `per` layer, slice or column, on the same
    calibration examples (`cimarch.functional.calibrate`). `trials` runs of the chip draw what is
    random anew, all from `seed`. Conversions are counted on the first `statistics` examples. `path`
    asks for one way of computing (`cimarch.functional.matrix`); `device` is torch's. The options
    before are those of `map_network`. Raises DescriptionError where any of this cannot be done.
    """
    asked = {
        "weight_bits": weight_bits, "input_bits": input_bits, "precision": _plain(precision),
        "place": dict(pairs(place)), "duplicate": _plain(duplicate), "spread_rows": spread_rows,
        "placement": _named(placement), "attention": attention, "images": images,
        "trials": trials, "seed": seed, "quantising": attrs.asdict(quantising or Quantising()),
        "quantised": _named(quantised), "calibrate": calibrate, "ranges": _named(ranges),
        "range_policy": range_policy, "per": per, "range_percentile": range_percentile,
        "statistics": statistics, "path": path,
        "set": {each.path: each.text for each in system.overrides},
    }  # fmt: skip
    policy = Policy(range_policy, per, range_percentile)
    policy.check()
    numbers = {"batch": batch, "trials": trials, "statistics": statistics}
    batch, trials, statistics = (_count(value, name) for name, value in numbers.items())
    seed = _count(seed, "seed", least=0)
    tell = progress or (lambda stage, share: None)
    bench = _bench(
        system, network, data, quantised=quantised, quantising=quantising, calibrate=calibrate,
        batch=batch, device=device, tell=tell, precision=precision,
        bits=(weight_bits, input_bits), place=place, duplicate=duplicate, spread_rows=spread_rows,
        placement=placement, attention=attention, allow_unmapped=allow_unmapped,
    )  # fmt: skip
    examples = bench.data.judging(images)
    given = ranges if ranges is not None else _ranges_beside(placement)
    chosen = bench.ranges(given, policy)
    return _Judge(bench, examples, chosen, trials, seed, statistics, path).run(asked)


def calibrate(
    system: System,
    network: Network,
    data: Data,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    place: Wanted = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    placement: SavedPlacement | None = None,
    attention: str | None = None,
    allow_unmapped: bool = False,
    images: int | None = None,
    batch: int = 100,
    quantising: Quantising | None = None,
    quantised: SavedModel | None = None,
    policy: str = "power_of_two",
    per: str = "layer",
    percentile: float = 99.9,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Calibration:
    """Choose the converter ranges of a network on a system, on examples that do not judge.

    `images` of them are looked at, 128 without a number. `policy` is one of `unit`, `power_of_two`,
    `percentile`, `min_max` and `mse`, for each layer, slice or column (`per`). The other options
    are those of `evaluate`, which takes the result as its `ranges`. Raises DescriptionError where
    there is nothing to calibrate, or on.
    """
    how = Policy(policy, per, percentile)
    how.check()
    bench = _bench(
        system, network, data, quantised=quantised, quantising=quantising, calibrate=images,
        batch=_count(batch, "batch"), device=device, tell=progress or (lambda stage, share: None),
        precision=precision, bits=(weight_bits, input_bits), place=place, duplicate=duplicate,
        spread_rows=spread_rows, placement=placement, attention=attention,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    return bench.calibration(how)


def quantise(
    system: System,
    network: Network,
    data: Data,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    place: Wanted = None,
    images: int | None = None,
    batch: int = 100,
    quantising: Quantising | None = None,
    allow_unmapped: bool = False,
    device: str = "cpu",
    progress: Progress | None = None,
) -> QuantisedNetwork:
    """Quantise a float model for the pools of a system that its matrices lie on.

    Scales of inputs come from `images` examples that do not judge, 128 without a number. `evaluate`
    takes the result as its `quantised`, and `save_quantised` writes it to a file.
    """
    bench = _bench(
        system, network, data, quantised=None, quantising=quantising, calibrate=images,
        batch=_count(batch, "batch"), device=device, tell=progress or (lambda stage, share: None),
        precision=precision, bits=(weight_bits, input_bits), place=place, duplicate="none",
        spread_rows=False, placement=None, attention=None, allow_unmapped=allow_unmapped,
    )  # fmt: skip
    return bench.quantised


def save_quantised(model: QuantisedNetwork, path: str | Path) -> None:
    """Write a quantised model to a file, whole or not at all; DescriptionError where it cannot."""
    with whole(Path(path)) as file:
        file.write(to_bytes(model))


def save_ranges(ranges: Calibration, path: str | Path) -> None:
    """Write converter ranges to a file, whole or not at all; DescriptionError where it cannot."""
    with whole(Path(path)) as file:
        file.write(ranges.to_text().encode("utf-8"))


# What is judged ----------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Bench:
    """A placed, quantised network with its data."""

    placement: Placement
    data: DataSet
    schemes: Mapping[str, Scheme]
    quantised: QuantisedNetwork
    examples: int | None
    """That calibrate, as asked for."""
    batch: int
    device: str
    tell: Progress

    def calibration(self, policy: Policy) -> Calibration:
        """Converter ranges by a policy, on the examples that calibrate."""
        _check_converters(self.schemes)
        chosen = _calibrating(self.data, self.examples)
        watch = watched(
            self.placement, self.quantised, lambda: _inputs(chosen, self.batch), len(chosen),
            per=policy.per, device=self.device, tell=lambda part: self.tell("calibrate", part),
        )  # fmt: skip
        found = watch.ranges(policy, len(chosen))
        return Calibration(
            ranges=found,
            schemes={name: self.schemes[name] for name in found},
            network=self.placement.network.name,
            network_digest=network_digest(self.placement.network),
            system=self.placement.system.name,
            policy=policy.name,
            per=policy.per,
            images=len(chosen),
            data=self.data.name,
            seen={name: seen(watch.sums[name], each) for name, each in found.items()},
        )

    def ranges(self, given: SavedRanges | None, policy: Policy) -> Mapping[str, Ranges]:
        """The ranges of converters where the description states none; none: one unit a step."""
        if given is not None:
            read = read_ranges(given)
            read.check(self.placement.network, self.schemes)
            for op in matrices(self.placement.network):
                if op.name in read.ranges:
                    check_shape(read.ranges[op.name], self.schemes[op.name], op)
            return read.ranges
        has_any = any(scheme.converter is not None for scheme in self.schemes.values())
        return self.calibration(policy).ranges if policy.needs_data and has_any else {}

    def matrix(self, name: str, ranges: Ranges | None, **how: Any) -> Matrix:
        """A matrix operation with its path; DescriptionError where the one asked for is none."""
        whole = self.quantised.operations[name]
        try:
            return matrix_of(self.placement, name, whole, ranges, on=self.device, **how)
        except ValueError as error:
            if how.get("path") is None:
                raise
            raise _wrong(f"`{name}` cannot be computed as asked: {error}") from None


def _bench(
    system: System,
    network: Network,
    data: Data,
    *,
    quantised: SavedModel | None,
    quantising: Quantising | None,
    calibrate: int | None,
    batch: int,
    device: str,
    tell: Progress,
    precision: object,
    bits: tuple[int, int],
    **where: Any,
) -> _Bench:
    """Place, read and quantise."""
    _check_torch()
    _check_device(device)
    (quantising or Quantising()).check()
    if calibrate is not None:
        calibrate = _count(calibrate, "calibrate", least=0)
    check_weights(network)
    tell("place", 0.0)
    model = None if quantised is None else read_quantised(quantised, network)
    if model is not None:
        precision = {name: (o.bits.weight, o.bits.input) for name, o in model.operations.items()}
    placement = map_network(
        system, network, weight_bits=bits[0], input_bits=bits[1], precision=precision, **where
    )
    schemes = schemes_of(placement)
    if not schemes:
        raise _nothing_placed(placement.network)
    tell("read data", 0.0)
    data = read_data(data, network) if isinstance(data, str) else data.fitted(network)
    if model is None:
        model = _quantised(network, schemes, data, calibrate, quantising, batch, device, tell)
    else:
        model = _taken_over(model, network, schemes)
    return _Bench(placement, data, schemes, model, calibrate, batch, device, tell)


def _quantised(
    network: Network,
    schemes: Mapping[str, Scheme],
    data: DataSet,
    calibrate: int | None,
    quantising: Quantising | None,
    batch: int,
    device: str,
    tell: Progress,
) -> QuantisedNetwork:
    """The network in whole numbers, by the examples that calibrate.

    It is the one that was read: in the placed one attention is taken apart in products, which say
    what they cost, and not all that they compute.
    """
    choices = quantising or Quantising()
    chosen = _calibrating(data, calibrate)
    spreads = spreads_of(
        network, schemes, lambda: _inputs(chosen, batch), len(chosen),
        histograms=choices.method != "minmax", device=device,
        tell=lambda part: tell("quantise", part),
    )  # fmt: skip
    return made_whole(network, schemes, spreads, choices)


def _taken_over(
    model: QuantisedNetwork, network: Network, schemes: Mapping[str, Scheme]
) -> QuantisedNetwork:
    """A quantised model on the pools of a placement; DescriptionError where one cannot take it."""
    for name, scheme in schemes.items():
        each = model.operations.get(name)
        if each is None:
            raise _unfit(f"the quantised model holds no `{name}`, which lies on arrays")
        low, high = scheme.weight_range
        if not (low <= each.weights.min() and each.weights.max() <= high):
            raise _unfit(
                f"weights of `{name}` are {each.weights.min()}..{each.weights.max()}, and its "
                f"encoding `{scheme.encoding}` holds {low}..{high}"
            )
        if each.input_range != scheme.input_range:
            raise _unfit(
                f"inputs of `{name}` are {_span(each.input_range)}, and its pool takes "
                f"{_span(scheme.input_range)} (`inputs = {scheme.inputs}`)"
            )
    operations = {name: model.operations[name] for name in schemes}
    return QuantisedNetwork(network, operations, model.source)


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]}..{ends[1]}"


def _calibrating(data: DataSet, images: int | None) -> Examples:
    """The examples that calibrate; DescriptionError where there are none."""
    train = data.train
    there = 0 if train is None else len(train)
    if images == 0 or not there:
        why = f"data set `{data.name}` has no examples that calibrate"
        raise DescriptionError(
            Diagnostic(
                "E300",
                "the model was never quantised, and there is no calibration data",
                notes=(why if not there else "0 examples are to calibrate",
                       "what enters each layer is scaled by examples that do not judge"),
                helps=("calibrate on some: `--calibrate 128`" if there else
                       "name a data set with a training part",
                       "or give a quantised model: `--quantised model.safetensors`"),
            )
        )  # fmt: skip
    return data.calibrating(min(CALIBRATION, there) if images is None else images)


def _inputs(examples: Examples, batch: int) -> Iterator[np.ndarray]:
    for inputs, _ in examples.batches(batch):
        yield inputs


# Judging -----------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Judge:
    """Runs the three models on the same examples."""

    bench: _Bench
    examples: Examples
    ranges: Mapping[str, Ranges]
    trials: int
    seed: int
    statistics: int
    path: str | None

    def run(self, asked: Mapping[str, object]) -> Evaluation:
        """The whole result."""
        from cimarch.functional.execute import Executor

        bench, model = self.bench, self.bench.quantised
        seconds: dict[str, float] = {}
        plain = Executor.float(model.network, device=bench.device)
        in_float = self._answers(plain, "float", seconds)
        in_whole = self._answers(Executor(model, device=bench.device), "quantised", seconds)
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
            notes=(*bench.data.notes, *_left_in_float(placement, model), *self._one_run()),
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
            "quantised model": sha256(to_bytes(bench.quantised)).hexdigest(),
        }

    def _answers(self, model: Executor, name: str, seconds: dict[str, float]) -> Answers:
        """What a model answers to all examples; its time is added."""
        found, done = [], 0
        for inputs, labels in self.examples.batches(self.bench.batch):
            begin = time.perf_counter()
            outputs = model.run(inputs)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            _check_finite(outputs, name)
            found.append(Answers.of(outputs, labels))
            done += len(labels)
            self.bench.tell(name, done / len(self.examples))
        answers = Answers.joined(found)
        if not len(answers.best):
            raise _wrong("no label of the examples that judge is to be judged: all are below 0")
        return answers

    def _chip(self, seconds: dict[str, float]) -> tuple[list[Answers], list[dict[str, object]]]:
        """What the chip answers in each trial, and a row for each operation of the first."""
        from cimarch.functional.execute import Executor

        found: list[Answers] = []
        layers: list[dict[str, object]] = []
        for trial in range(self._runs()):
            held = self._matrices(trial)
            if trial == 0:
                layers = self._layers(held)
            paths = {name: matrix.path for name, matrix in held.items()}
            chip = Executor(self.bench.quantised, paths, device=self.bench.device)
            name = "chip" if self._runs() == 1 else f"chip, trial {trial + 1} of {self.trials}"
            spent: dict[str, float] = {}
            found.append(self._answers(chip, name, spent))
            seconds["chip"] = seconds.get("chip", 0.0) + spent[name]
        return found * (self.trials // len(found)), layers

    def _runs(self) -> int:
        """How many trials can differ: one, where cells and converters are ideal."""
        placement = self.bench.placement
        plans = [plan_of(placement, name) for name in self.bench.quantised.operations]
        are_real = any(device_of(plan.wiring.pool, plan.wiring.converter) for plan in plans)
        return self.trials if are_real else 1

    def _matrices(self, trial: int) -> dict[str, Matrix]:
        names = self.bench.quantised.operations
        return {
            name: self.bench.matrix(
                name, self.ranges.get(name), seed=self.seed, trial=trial, path=self.path
            )
            for name in names
        }

    def _layers(self, held: Mapping[str, Matrix]) -> list[dict[str, object]]:
        from cimarch.functional.measure import measured

        bench = self.bench
        bench.tell("statistics", 0.0)
        found = measured(
            bench.quantised, held, self.examples.inputs(0, self.statistics), device=bench.device,
            tell=lambda part: bench.tell("statistics", part),
        )  # fmt: skip
        return [_layer(matrix, bench.placement, found[name]) for name, matrix in held.items()]

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


def _layer(matrix: Matrix, placement: Placement, found: Measured) -> dict[str, object]:
    """A row of the table of layers."""
    windows = next(op for op in placement.network.operations if op.name == matrix.name).windows
    scheme, counts = matrix.scheme, found.counts
    converter, ranges = scheme.converter, matrix.ranges
    row: dict[str, object] = {
        "name": matrix.name,
        "path": matrix.path.name,
        "weight_bits": scheme.weight_bits,
        "input_bits": scheme.input_bits,
        "encoding": scheme.encoding,
        "range_source": ranges.source if ranges else "no converter: sums are exact",
        "conversions": matrix.conversions * windows if converter else 0,
        "error": found.alone.ratio,
        "error_to_here": found.to_here.ratio,
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


def _left_in_float(placement: Placement, model: QuantisedNetwork) -> Iterator[str]:
    """What is no part of the chip's arithmetic here."""
    yield from placement.unmapped
    for op in placement.network.operations:
        if op.is_matrix and op.is_dynamic:
            yield f"`{op.name}` multiplies two operands that flow: computed in float, not converted"
    for op in matrices(placement.network):
        if op.name not in model.operations:
            yield f"`{op.name}` lies on no arrays: computed in float"


# Checks ------------------------------------------------------------------------------------------


def _check_torch() -> None:
    if find_spec("torch") is None:
        raise DescriptionError(
            Diagnostic(
                "E308",
                "evaluating a network takes torch, which is not installed",
                helps=("install it: `pip install 'cimarch[torch]'`",),
            )
        )


def _count(value: object, what: str, least: int = 1) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = least - 1
    if isinstance(value, bool) or count < least:
        raise _wrong(f"`{what}` is {value!r}, not a whole number from {least} up")
    return count


def _wrong(headline: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E309", headline))


def _check_device(device: str) -> None:
    """Raise DescriptionError where torch has no such device."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        headline = f"`device` is {device!r}, which cannot be used here"
        raise DescriptionError(Diagnostic("E309", headline, notes=(reason,))) from None


def _check_finite(outputs: np.ndarray, model: str) -> None:
    if not np.isfinite(outputs).all():
        raise DescriptionError(
            Diagnostic(
                "E303",
                f"answers of the model `{model}` are not finite",
                helps=("look at the weights, and at the normalisation of the data",),
            )
        )


def _check_converters(schemes: Mapping[str, Scheme]) -> None:
    if all(scheme.converter is None for scheme in schemes.values()):
        raise DescriptionError(
            Diagnostic(
                "E305", "no converter stands behind these arrays: there is no range to choose"
            )
        )


def _nothing_placed(network: Network) -> DescriptionError:
    return DescriptionError(
        Diagnostic("E305", f"no weight matrix of `{network.name}` lies on arrays")
    )


def _unfit(headline: str) -> DescriptionError:
    helps = ("quantise the float model for this system",)
    return DescriptionError(Diagnostic("E307", headline, helps=helps))


def _ranges_beside(placement: SavedPlacement | None) -> SavedRanges | None:
    """The ranges that lie in the file of a placement, where it has some."""
    if placement is None or isinstance(placement, Placement):
        return None
    content = read_saved(placement)
    return content if "ranges" in content else None


def _plain(option: object) -> object:
    if isinstance(option, Mapping):
        return dict(option)
    return os.fspath(option) if isinstance(option, Path) else option


def _named(option: object) -> str | None:
    """The file that an option names; what was given as an object has no name."""
    if option is None or isinstance(option, (str, Path)):
        return None if option is None else os.fspath(option)
    return type(option).__name__


__all__ = [
    "Calibration",
    "Evaluation",
    "Quantising",
    "calibrate",
    "evaluate",
    "quantise",
    "save_quantised",
    "save_ranges",
]
