"""Method `strips`: strip-wise mixed precision for the pools of a chip, without training.

G.-C. Chen et al., "Sensitivity-Aware Mixed-Precision Quantization for ReRAM-based
Computing-in-Memory", arXiv 2512.19445: a score for every strip, one threshold for the network,
numbers of strips that fill arrays, pools that work in parallel. What is printed there and cannot be
meant is resolved as docs/optimize.md says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
from torch import fx

from cimarch.data.dataset import DataSet, Examples
from cimarch.hardware.system import System
from cimarch.mapping.strips import LAYOUTS
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.measure import At
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.options import Options, option, wrong
from cimarch.optimize.frame.record import Record
from cimarch.optimize.frame.task import Task
from cimarch.optimize.mixed.align import GROUPS, WAYS, Aligned, align
from cimarch.optimize.mixed.chip import Pools, pools
from cimarch.optimize.mixed.choose import (
    Levels,
    Point,
    compression,
    distance,
    knee,
    largest,
    levels_at,
    pooled,
    strips_of,
)
from cimarch.optimize.mixed.fisher import fisher
from cimarch.optimize.mixed.judging import RANGES, by_weights_alone, fitted, some_of
from cimarch.optimize.mixed.latency import Spread
from cimarch.optimize.mixed.layers import Layer, PerStrip, folded, layers_of, weights_into_
from cimarch.optimize.mixed.pricing import Reads, Tilings
from cimarch.optimize.mixed.scores import (
    SCORES,
    Evidence,
    over_windows,
    quantised_layer,
    ranked,
    told,
)

CHOICES = ("share", "eps", "knee")
"""How the threshold is found."""
PER = ("tensor", "channel", "strip")
KNEE_AT = tuple(round(0.1 * step, 1) for step in range(11))
"""Thresholds among which the knee is looked for."""


@attrs.frozen(kw_only=True)
class Strips(Options):
    """What strip-wise mixed precision takes."""

    bits: tuple[int, ...] = option((8, 4), "Precisions of weights, the highest first.")
    input_bits: int = option(8, "Bits of inputs.", least=1, most=16)
    layers: str = option("convolutions", "What is cut into strips.", words=("convolutions", "all"))
    score: str = option("fisher", "How sensitive a strip is.", words=tuple(SCORES))
    windows: float = option(
        0.0, "Divide scores by a layer's windows to this power: 1 saves energy, 0 bits.",
        least=0, most=1,
    )  # fmt: skip
    threshold: str = option("share", "How the threshold is found.", words=CHOICES)
    share: tuple[float, ...] = option(
        (0.7,), "Shares of strips, one for each precision but the highest, the lowest first."
    )
    eps: float = option(0.1, "With --threshold eps: the largest |F - F0| / |F0|.", least=0)
    per: str = option("channel", "What has one scale of weights.", words=PER)
    method: str = option("minmax", "How that scale is chosen.", words=("minmax", "mse"))
    align: str = option("layer", "Whose strips are made to fill arrays.", words=GROUPS)
    way: str = option("energy", "Which way strips move to fill arrays.", words=WAYS)
    cap: float = option(0.2, "Largest share of high strips that moves.", least=0, most=1)
    layout: str = option("packed", "How strips lie on arrays.", words=tuple(LAYOUTS))
    latency: float = option(
        1.0, "Largest cycles over those of all strips high: packed strips take more arrays where "
        "they would take longer; 0 sets no limit.", least=0,
    )  # fmt: skip
    ranges: str = option("mse", "How converter ranges are chosen.", words=RANGES)
    calibrate: int = option(1024, "Training images that scores are of.", least=1)
    probes: int = option(50, "Random probes of the Hessian.", least=1)

    def check(self) -> None:
        """As of all options; precisions fall, shares are in 0..1 and one for each lower one."""
        super().check()
        if len(self.bits) < 2 or any(not 1 <= b <= 16 for b in self.bits):
            raise wrong(f"`bits` are {list(self.bits)}, not two or more in 1..16", "`--bits 8,4`")
        if any(high <= low for high, low in zip(self.bits, self.bits[1:], strict=False)):
            raise wrong(f"`bits` are {list(self.bits)}, not falling", "`--bits 8,6,4`")
        lower = len(self.bits) - 1
        if self.threshold != "share":
            if lower > 1:
                raise wrong(
                    f"`threshold` is `{self.threshold}` for {len(self.bits)} precisions, and finds "
                    "one threshold",
                    "`--threshold share --share 0.4,0.3`",
                )
        elif len(self.share) != lower:
            raise wrong(
                f"`share` has {len(self.share)} numbers for {lower} lower precisions",
                f"`--share {','.join(['0.3'] * lower)}`",
            )
        if any(not 0 <= s <= 1 for s in self.share) or sum(self.share) > 1 + 1e-9:
            raise wrong(f"`share` is {list(self.share)}, which are no shares of one whole")

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of ranks, falling: below the first a strip is lower, below the last at the lowest."""
        return tuple(np.cumsum(self.share)[::-1].tolist())


def strips(
    model: Any, system: System, data: DataSet | str, options: Strips | None = None,
    going: Going | None = None,
) -> tuple[Model, Record]:  # fmt: skip
    """Give each strip of a model the precision that it needs, for the pools of a system.

    No training. Raises DescriptionError where no pool serves a precision, the model has nothing to
    cut, or an option is none.
    """
    task = Task.of("strips", model, system, data, options or Strips(), going)
    return _Run(task).done()


@attrs.frozen(eq=False, slots=False)
class _Run:
    """One run of the method."""

    task: Task

    @cached_property
    def options(self) -> Strips:
        found = self.task.options
        assert isinstance(found, Strips)
        return found

    @cached_property
    def module(self) -> fx.GraphModule:
        return folded(self.task.model)

    @cached_property
    def layers(self) -> list[Layer]:
        return layers_of(self.task.model, self.module, self.options.layers)

    @cached_property
    def pools(self) -> Pools:
        asked = self.options
        network = self.task.network
        return pools(self.task.system, network, self.layers, asked.bits, asked.input_bits)

    @cached_property
    def calibrating(self) -> Examples:
        """Training images that scores are of, drawn by the seed."""
        return some_of(self.task.split.train, self.options.calibrate, self.options.seed)

    @cached_property
    def evidence(self) -> Evidence:
        asked = self.options
        return Evidence(
            self.module, self.layers, self.calibrating, bits=asked.bits, per=asked.per,
            method=asked.method, probes=asked.probes, seed=asked.seed,
            device=asked.torch_device, tell=self.task.going.tell,
        )  # fmt: skip

    @cached_property
    def tilings(self) -> Tilings:
        asked = self.options
        return Tilings(self.task.system, self.task.network, asked.bits, asked.input_bits)

    def done(self) -> tuple[Model, Record]:
        """All of it."""
        _ = self.pools  # whether the chip can hold it is told before anything is worked out
        task, asked = self.task, self.options
        scores = task.going.once("scores", lambda: told(self.scores()))
        ranks = ranked({name: np.array(values) for name, values in scores.items()})
        found = task.going.once("levels", lambda: self.chosen(ranks))
        levels = {name: np.array(level, np.uint8) for name, level in found["levels"].items()}
        before = task.stand(self.plain_model(), At(input_bits=asked.input_bits), name="before")
        adapted = self.made(levels, found["reads"])
        after = task.stand(adapted, At(input_bits=asked.input_bits), name="after")
        details = {**found["details"], **task.going.once("costs", lambda: self.costs(found))}
        details["weights_only"] = task.going.once("weights_only", lambda: self.judged(levels))
        record = task.record(before, after, notes=self.notes(details), details=details)
        return adapted.with_(record=record), record

    def scores(self) -> PerStrip:
        """Of every strip, as the options say."""
        found = self.evidence.score(self.options.score)
        return over_windows(found, self.task.network, self.options.windows)

    def plain_model(self) -> Model:
        """The model all at the highest precision, as the chip would have it otherwise."""
        return self.fitted(self.tilings.plain)

    def made(self, levels: Levels, reads: Reads) -> Model:
        """The model with the precision of every strip."""
        return self.fitted(self.tilings.policy(levels, self.options.layout, reads))

    def fitted(self, policy: Mapping[str, Any]) -> Model:
        asked = self.options
        return fitted(self.task, policy, per=asked.per, method=asked.method, ranges=asked.ranges)

    # which strips are high

    def chosen(self, ranks: PerStrip) -> dict[str, Any]:
        """Levels before and after alignment, as plain values, and how they were found."""
        thresholds, how = self.thresholds(ranks)
        first = levels_at(ranks, thresholds)
        aligned = self.aligned(first, ranks)
        reads = self.reads(aligned.levels)
        return {
            "levels": {name: level.tolist() for name, level in aligned.levels.items()},
            "unaligned": {name: level.tolist() for name, level in first.items()},
            "reads": reads,
            "details": {
                "score": self.options.score,
                "bits": list(self.options.bits),
                "thresholds": list(thresholds),
                **how,
                "compression": attrs.asdict(self.compression(aligned.levels)),
                "compression_unaligned": attrs.asdict(self.compression(first)),
                "moves": [attrs.asdict(move) for move in aligned.moves if move.why != "full"],
                "moved": aligned.moved,
                "strips": {name: [_digits(row) for row in level]
                           for name, level in aligned.levels.items()},
                "pools": [part.path for part in self.pools.parts],
                "reads": reads,
            },
        }  # fmt: skip

    def compression(self, levels: Levels) -> Any:
        return compression(self.layers, levels, self.options.bits)

    def thresholds(self, ranks: PerStrip) -> tuple[tuple[float, ...], dict[str, Any]]:
        """The thresholds, and how they were found."""
        asked = self.options
        if asked.threshold == "share":
            return asked.thresholds, {}
        tried: dict[float, float] = {}

        def far(threshold: float) -> float:
            if threshold not in tried:
                self.task.going.tell("Fisher distance", threshold)
                tried[threshold] = self.distance(levels_at(ranks, [threshold]))
            return tried[threshold]

        if asked.threshold == "eps":
            found = largest(lambda threshold: far(threshold) <= asked.eps)
            return (found,), {"distances": sorted(tried.items())}
        points = [
            Point(t, far(t), self.tilings.price(levels_at(ranks, [t]), asked.layout))
            for t in KNEE_AT
        ]
        return (knee(points).threshold,), {"points": [attrs.asdict(point) for point in points]}

    def distance(self, levels: Levels) -> float:
        """How far the Fisher diagonal moves, pooled by strip: same images, same way."""
        first = pooled(self.layers, self.evidence.exact.diagonal)
        try:
            weights_into_(self.module, self.weights(levels))
            moved = fisher(
                self.module, self.layers, self.calibrating, device=self.options.torch_device
            )
        finally:
            weights_into_(self.module, {layer.name: layer.weight for layer in self.layers})
        return distance(pooled(self.layers, moved.diagonal), first)

    def weights(self, levels: Levels) -> dict[str, np.ndarray]:
        asked = self.options
        each = strips_of(levels, asked.bits)
        return {
            layer.name: quantised_layer(layer, each[layer.name], asked.per, asked.method)
            for layer in self.layers
        }

    def aligned(self, levels: Levels, ranks: PerStrip) -> Aligned:
        asked = self.options
        if asked.align == "none":
            return align(levels, ranks, {}, group="none")
        return align(
            levels, ranks, self.pools.capacity(asked.align), group=asked.align, way=asked.way,
            cap=asked.cap, price=lambda each: self.tilings.price(each, asked.layout),
        )  # fmt: skip

    def reads(self, levels: Levels) -> dict[str, int]:
        """Limits of reads with which the network is no slower than it may be."""
        asked = self.options
        if asked.layout != "packed" or not asked.latency:
            return {}
        self.task.going.tell("latency", 0.0)
        high = {name: np.zeros_like(level) for name, level in levels.items()}
        cycles = self.tilings.told(high, asked.layout)["cycles"]
        return dict(Spread(self.tilings, self.pools, levels).within(asked.latency * cycles))

    # what it comes to

    def costs(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Use of each pool in three packings, and energy and cycles beside 8 bits."""
        paths = [part.path for part in self.pools.parts]
        first, last = (
            {name: np.array(level, np.uint8) for name, level in found[which].items()}
            for which in ("unaligned", "levels")
        )
        high = {name: np.zeros_like(level) for name, level in last.items()}
        tilings, layout = self.tilings, self.options.layout
        return {
            "utilisation": {
                "holes": tilings.utilisation(first, "holes", paths),
                "packed": tilings.utilisation(first, "packed", paths),
                "aligned": tilings.utilisation(last, "packed", paths),
                "as laid": tilings.utilisation(last, layout, paths, found["reads"]),
            },
            "prices": {
                "strips": tilings.told(last, layout, found["reads"]),
                "unaligned": tilings.told(first, layout),
                "all high, same tiling": tilings.told(high, layout),
                "all high, im2col": tilings.plain_told(),
            },
        }

    def judged(self, levels: Levels) -> dict[str, float]:
        """Percent right by weights alone: inputs and sums in float."""
        task = self.task
        examples = task.data.judging(self.options.judge)
        high = {name: np.zeros_like(level) for name, level in levels.items()}
        low = {
            name: np.full_like(level, len(self.options.bits) - 1) for name, level in levels.items()
        }
        found = {}
        for name, each in (("all high", high), ("strips", levels), ("all low", low)):
            task.going.tell(f"weights alone, {name}", 0.0)
            module = folded(task.model)
            found[name] = by_weights_alone(
                module, self.weights(each), examples, self.options.torch_device
            )
        return found

    def notes(self, details: Mapping[str, Any]) -> Sequence[str]:
        """What a reader should know."""
        found = []
        if self.pools.is_single:
            only = self.pools.parts[0].path
            found.append(
                f"`{self.task.system.name}` has one pool for all precisions, `{only}`: its strips "
                "share converters and work in turn, not in parallel"
            )
        prices = details["prices"]
        mixed, plain, high = (
            prices[name]["cycles"]
            for name in ("strips", "all high, im2col", "all high, same tiling")
        )
        is_packed = self.options.layout == "packed"
        is_slower = is_packed and 0 < self.options.latency < mixed / high
        if is_packed and mixed > plain:
            more = "" if is_slower else "a lower `--latency` takes more of them, and "
            found.append(
                f"packed strips take {mixed / plain:.3g} x the cycles of the tiling of one "
                "precision: an array that holds several kernel positions is read once for each; "
                f"{more}`--layout holes` reads each once"
            )
        if is_slower:
            found.append(
                f"strips take {mixed / high:.3g} x the cycles of all strips at "
                f"{self.options.bits[0]} bits in the same tiling, above the "
                f"{self.options.latency:g} x of `--latency`"
            )
        left = [move for move in details["moves"] if move["why"] == "left"]
        if left:
            groups = "1 group was" if len(left) == 1 else f"{len(left)} groups were"
            found.append(
                f"{groups} left unaligned: more than {self.options.cap:.0%} of the strips there "
                "would have had to move"
            )
        return found


def _digits(row: Any) -> str:
    return "".join(map(str, np.asarray(row).tolist()))
