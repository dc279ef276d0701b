"""Evaluate a network on a system: what the float model, the quantised one and the chip answer.

The network is placed as `simulate` places it, quantised for the pools that its matrices lie on, and
run on the examples that judge. What is chosen on data (scales of inputs, converter ranges) looks at
other examples, those that calibrate.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import attrs

from cimarch.data.dataset import DataSet
from cimarch.evaluate.bench import Bench
from cimarch.evaluate.brought import Brought
from cimarch.evaluate.judge import Judge
from cimarch.evaluate.options import How, Where, count, named
from cimarch.functional.fit.calibrate import Policy
from cimarch.functional.fit.quantise import Quantising
from cimarch.functional.fit.saved_quantised import Saved as SavedModel
from cimarch.functional.fit.saved_quantised import to_bytes
from cimarch.functional.fit.saved_ranges import Calibration
from cimarch.functional.fit.saved_ranges import Saved as SavedRanges
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.hardware.system import System
from cimarch.mapping.densities import Density, to_text
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.placement import Placement
from cimarch.mapping.pools import Wanted
from cimarch.mapping.saved import Saved as SavedPlacement
from cimarch.mapping.saved import read_saved
from cimarch.report.accuracy import Evaluation
from cimarch.report.files import whole
from cimarch.simulate import Progress
from cimarch.workload.network import Network

STATISTICS = 100
"""Examples on which conversions are counted where no number is asked for."""

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
    range_policy: str | None = None,
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
    `calibrate` gave); else chosen by `range_policy` (`"unit"` without one), `per` layer, slice or
    column, on the same calibration examples (`cimarch.functional.fit.calibrate`). The file of an
    adapted model brings whole weights and ranges, which are taken where none of `precision`,
    `quantising`, `quantised`, and of `ranges` and `range_policy`, is given. `trials` runs of the
    chip draw what is random anew, all from `seed`. Conversions are counted on the first
    `statistics` examples. `path` asks for one way of computing (`cimarch.functional.matrix`);
    `device` is torch's. The options before are those of `map_network`. Raises DescriptionError
    where any of this cannot be done.
    """
    policy = Policy(range_policy or "unit", per, range_percentile)
    policy.check()
    trials, statistics = count(trials, "trials"), count(statistics, "statistics")
    seed = count(seed, "seed", least=0)
    where = Where(
        weight_bits=weight_bits, input_bits=input_bits, precision=precision, place=place,
        duplicate=duplicate, spread_rows=spread_rows, placement=placement, attention=attention,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    given = ranges if ranges is not None else _beside(placement)
    how, own = _how(
        network, precision, quantising, quantised, calibrate, batch, device, progress,
        ranges=given is None and range_policy is None,
    )  # fmt: skip
    with own.fitting():
        bench = Bench.of(system, network, data, where, how)
        examples = bench.data.judging(images)
        chosen = bench.ranges(own.ranges if given is None else given, policy)
    asked = {
        **where.told(), **how.told(), "data": bench.data.told(), "images": images,
        "trials": trials, "seed": seed,
        "ranges": named(ranges), "range_policy": policy.name, "per": per,
        "range_percentile": range_percentile, "statistics": statistics, "path": path,
        "set": {each.path: each.text for each in system.overrides},
        **own.told(),
    }  # fmt: skip
    found = Judge(bench, examples, chosen, trials, seed, statistics, path).run(asked)
    return attrs.evolve(found, notes=(*own.notes, *found.notes))


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
    chosen = Policy(policy, per, percentile)
    chosen.check()
    where = Where(
        weight_bits=weight_bits, input_bits=input_bits, precision=precision, place=place,
        duplicate=duplicate, spread_rows=spread_rows, placement=placement, attention=attention,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    how, own = _how(network, precision, quantising, quantised, images, batch, device, progress)
    with own.fitting():
        return Bench.of(system, network, data, where, how).calibration(chosen)


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
    where = Where(
        weight_bits=weight_bits, input_bits=input_bits, precision=precision, place=place,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    how = How(
        quantising=quantising or Quantising(), calibrate=images, batch=batch, device=device,
        tell=progress or _silent,
    )  # fmt: skip
    return Bench.of(system, network, data, where, how).quantised


def save_quantised(model: QuantisedNetwork, path: str | Path) -> None:
    """Write a quantised model to a file, whole or not at all; DescriptionError where it cannot."""
    with whole(Path(path)) as file:
        file.write(to_bytes(model))


def save_ranges(ranges: Calibration, path: str | Path) -> None:
    """Write converter ranges to a file, whole or not at all; DescriptionError where it cannot."""
    with whole(Path(path)) as file:
        file.write(ranges.to_text().encode("utf-8"))


def save_densities(found: Evaluation, path: str | Path) -> None:
    """Write the densities that an evaluation measured to a file, for `simulate` and
    `cimarch sim --densities`; whole or not at all, DescriptionError where it cannot."""
    measured = {name: Density(*map(Fraction, d.values())) for name, d in found.densities.items()}
    with whole(Path(path)) as file:
        file.write(to_text(found.network, measured).encode("utf-8"))


def _how(
    network: Network,
    precision: object,
    quantising: Quantising | None,
    quantised: SavedModel | None,
    calibrate: int | None,
    batch: int,
    device: str,
    progress: Progress | None,
    *,
    ranges: bool = False,
) -> tuple[How, Brought]:
    """How the network becomes whole, and what of that its own file brings."""
    own = Brought.of(
        network,
        bits=precision is None and quantised is None,
        whole=quantising is None,
        ranges=ranges,
    )
    how = How(
        quantising=quantising or Quantising(),
        quantised=own.quantised if quantised is None else quantised,
        calibrate=calibrate, batch=batch, device=device, tell=progress or _silent,
    )  # fmt: skip
    return how, own


def _silent(stage: str, share: float) -> None:
    pass


def _beside(placement: SavedPlacement | None) -> SavedRanges | None:
    """The ranges that lie in the file of a placement, where it has some."""
    if placement is None or isinstance(placement, Placement):
        return None
    content = read_saved(placement)
    return content if "ranges" in content else None


__all__ = [
    "Calibration",
    "Evaluation",
    "Quantising",
    "calibrate",
    "evaluate",
    "quantise",
    "save_densities",
    "save_quantised",
    "save_ranges",
]
