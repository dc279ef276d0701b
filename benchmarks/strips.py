"""Accuracy against the share of low strips: scores, baselines, seeds, repeatability.

    python benchmarks/strips.py --model models/resnet20.pt --data cifar10:PATH --keep FOLDER

judges strip-wise mixed precision by all test images, weights only (inputs and sums in float, no
fine-tuning), for several quantisers, scores and shares. Thresholds are shares and nothing is chosen
by test images. Points are kept one line each, the most important first, so that a run that was
stopped goes on where it was; `--tell` prints the tables of what is there.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.read import read_data
from cimarch.optimize.frame.model import Model
from cimarch.optimize.mixed.choose import levels_at, pooled, strips_of
from cimarch.optimize.mixed.fisher import fisher
from cimarch.optimize.mixed.hutchinson import exact_trace, traces
from cimarch.optimize.mixed.layers import folded, layers_of, weights_into_
from cimarch.optimize.mixed.scores import Evidence, over_windows, quantised_layer, ranked

IMAGES = 1024
"""That calibrate; seeds take disjoint ones."""
SHARES = (0.7, 0.9, 0.5, 0.8)
GATED = (((8, 4), "tensor"), ((8, 3), "channel"))
SHOWN = (((8, 4), "channel"), ((8, 4), "strip"))
MAIN = ("fisher", "hawq", "error", "magnitude", "fisher_block")
WEIGHED = ("fisher/0.5", "fisher_block/0.5", "fisher/1", "fisher_block/1")
"""Scores over the windows of their layer, to a power."""
SEEDED = ("fisher", "fisher_block")
OTHERS = ("noise", "printed", "hessian", "fisher_empirical", "fisher_sampled")


@attrs.frozen
class Point:
    """One model that is judged."""

    bits: tuple[int, int]
    per: str
    score: str
    share: float
    """Of low strips."""
    seed: int = 0
    """Of calibration images and probes, or of what is drawn."""

    @property
    def key(self) -> str:
        high, low = self.bits
        return f"{high}/{low} {self.per} {self.score} {self.share:g} {self.seed}"


def points() -> Iterator[Point]:
    """All, the most important first."""
    for quantiser in GATED:
        yield from (Point(*quantiser, "error", share) for share in (0.0, 1.0))
    tensor, channel = GATED
    for quantiser, share, scores, draws in (
        (tensor, 0.7, ("fisher", "hawq", "magnitude", "fisher_block"), 5),
        (channel, 0.7, ("fisher", "hawq", "magnitude", "fisher_block"), 5),
        (channel, 0.9, ("fisher", "magnitude"), 5),
        (channel, 0.5, ("fisher", "magnitude"), 5),
        (tensor, 0.7, WEIGHED, 0),
        (channel, 0.7, WEIGHED[:2], 0),
        (channel, 0.7, MAIN, 0),
        (channel, 0.9, MAIN, 0),
        (channel, 0.5, MAIN, 0),
        (channel, 0.8, MAIN, 0),
        (tensor, 0.7, MAIN, 0),
        (tensor, 0.9, MAIN, 5),
        (tensor, 0.5, MAIN, 0),
        (tensor, 0.8, MAIN, 0),
    ):
        yield from (Point(*quantiser, score, share) for score in scores)
        yield from (Point(*quantiser, "random", share, draw) for draw in range(draws))
    for quantiser in GATED:
        yield from (Point(*quantiser, s, 0.7, seed) for seed in (1, 2) for s in SEEDED)
        yield from (Point(*quantiser, s, 0.7) for s in OTHERS)
    for quantiser in SHOWN:
        yield from (Point(*quantiser, "error", share) for share in (0.0, 1.0))
    for share in SHARES:
        for quantiser in SHOWN:
            scores = ("fisher", "hawq", "error", "noise", "magnitude", "random")
            yield from (Point(*quantiser, score, share) for score in scores)


@attrs.frozen(eq=False, slots=False)
class Bench:
    """A model, its strips, and the examples."""

    model: Model
    data: DataSet
    keep: Path

    def __attrs_post_init__(self) -> None:
        module = folded(self.model)
        vars(self).update(
            module=module, layers=layers_of(self.model, module), scores={}, traces={},
            judge=folded(self.model).to(memory_format=torch.channels_last),
        )  # fmt: skip

    def calibrating(self, seed: int) -> Examples:
        """Images of a seed, none of another's."""
        first = seed * IMAGES
        return self.data.calibrating((seed + 1) * IMAGES).take(slice(first, first + IMAGES))

    def evidence(self, point: Point) -> Evidence:
        """What the scores of a point are made of."""
        key = (point.bits, point.per, point.seed)
        if key not in self.scores:
            made = Evidence(
                self.module, self.layers, self.calibrating(point.seed % 3), bits=point.bits,
                per=point.per, seed=point.seed,
            )  # fmt: skip
            if point.seed in self.traces:
                vars(made)["traces"] = self.traces[point.seed]
            self.scores[key] = made
        return self.scores[key]

    def ranks(self, point: Point) -> dict[str, Any]:
        """Of the strips, by a point's score."""
        name, _, power = point.score.partition("/")
        scores = self.scored(point, name)
        return ranked(over_windows(scores, self.model.network(), float(power or 0)))

    def scored(self, point: Point, name: str) -> dict[str, Any]:
        """A score, worked out once."""
        high, low = point.bits
        kept = self.keep / f"{self.model.name} {high}{low} {point.per} {name} {point.seed}.npz"
        if kept.exists():
            with np.load(kept) as held:
                return dict(held)
        evidence = self.evidence(point)
        found = evidence.score(name)
        if "traces" in vars(evidence):
            self.traces[point.seed] = evidence.traces
        np.savez(kept, **found)
        return found

    def judged(self, point: Point) -> dict[str, Any]:
        """Which test images are right."""
        began = time.perf_counter()
        strips = strips_of(levels_at(self.ranks(point), [point.share]), point.bits)
        weights = {
            each.name: quantised_layer(each, strips[each.name], point.per, "minmax")
            for each in self.layers
        }
        scored = time.perf_counter() - began
        weights_into_(self.judge, weights)
        right = right_of(self.judge, self.data.judging())
        return {
            "key": point.key,
            "accuracy": 100 * float(right.mean()),
            "right": base64.b64encode(np.packbits(right).tobytes()).decode(),
            "examples": len(right),
            "seconds": [round(scored, 2), round(time.perf_counter() - began, 2)],
        }


def right_of(module: torch.nn.Module, examples: Examples) -> np.ndarray:
    """Which examples are answered right."""
    found = []
    with torch.inference_mode():
        for inputs, labels in examples.batches(50):
            images = torch.from_numpy(inputs).contiguous(memory_format=torch.channels_last)
            best = module(images).argmax(1).numpy()
            found.append(best == labels)
    return np.concatenate(found)


def repeatability(bench: Bench) -> dict[str, Any]:
    """How alike what is measured twice is: on disjoint images, or by other probes."""
    module, layers = bench.module, bench.layers
    found: dict[str, Any] = {"key": "repeatability"}
    for kind in ("exact", "sampled", "empirical"):
        twice = [
            _flat(pooled(layers, fisher(module, layers, bench.calibrating(s), kind=kind).diagonal))
            for s in (0, 1)
        ]
        found[f"fisher {kind} strips"] = spearman(*twice)
    probed = [traces(module, layers, bench.calibrating(s), seed=s) for s in (0, 1)]
    same = traces(module, layers, bench.calibrating(0), seed=7)
    found["traces of layers, other images and probes"] = spearman(
        *(np.array([each.layer(n.name) for n in layers]) for each in probed)
    )
    found["traces of layers, other probes"] = spearman(
        *(np.array([each.layer(n.name) for n in layers]) for each in (probed[0], same))
    )
    found["traces of strips, other probes"] = spearman(_flat(probed[0].strips), _flat(same.strips))
    return found


def exact_traces(bench: Bench) -> dict[str, Any]:
    """A few strips' traces beside those of 50 probes, twice, of the same 256 images."""
    few = bench.calibrating(0).take(slice(256))
    found: dict[str, Any] = {"key": "exact traces", "strips": []}
    for layer in bench.layers[:2]:
        twice = [traces(bench.module, [layer], few, seed=s).strips[layer.name] for s in (0, 1)]
        size = np.abs(layer.weight).sum(axis=1)  # (outputs, positions)
        order = np.argsort(size, axis=None)
        for place in (order[-1], order[len(order) // 2]):
            output, position = (int(each) for each in np.unravel_index(place, size.shape))
            found["strips"].append({
                "strip": f"{layer.name} position {position} output {output}",
                "exact": exact_trace(bench.module, layer, few, position=position, output=output),
                "by 50 probes": [float(each[position, output]) for each in twice],
            })  # fmt: skip
    return found


def _flat(values: Any) -> np.ndarray:
    return np.concatenate([np.asarray(each).ravel() for each in values.values()])


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of ranks; ties share their mean rank."""
    ranks = [_ranks(each) for each in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


REPEATED = {"repeatability": repeatability, "exact traces": exact_traces}


@attrs.frozen
class Kept:
    """Points in a file, a line each."""

    path: Path

    @property
    def found(self) -> dict[str, Any]:
        if not self.path.exists():
            return {}
        lines = [json.loads(line) for line in self.path.read_text().splitlines() if line]
        return {line["key"]: line for line in lines}

    def add(self, line: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def main() -> None:
    asked = arguments()
    kept = Kept(Path(asked.keep) / f"{Path(asked.model).stem}.jsonl")
    kept.path.parent.mkdir(parents=True, exist_ok=True)
    if not asked.tell:
        run(asked, kept)
    print("\n".join(tables(kept.found)))


def run(asked: argparse.Namespace, kept: Kept) -> None:
    """Judge every point that is not kept."""
    torch.set_num_threads(1)
    model = Model.of(asked.model)
    bench = Bench(model, read_data(asked.data, model.network()), Path(asked.keep))
    done = kept.found
    if "float" not in done:
        right = right_of(bench.judge, bench.data.judging())
        kept.add({"key": "float", "accuracy": 100 * float(right.mean())})
    if asked.repeat:
        for key, measure in REPEATED.items():
            if key not in done:
                kept.add(measure(bench))
        return
    for point in points():
        if asked.only in point.key and point.key not in kept.found:
            line = bench.judged(point)
            kept.add(line)
            print(line["key"], f"{line['accuracy']:.2f}", line["seconds"], flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/resnet20.pt")
    parser.add_argument("--data", default="cifar10:PATH")
    parser.add_argument("--keep", default="strips")
    parser.add_argument("--repeat", action="store_true", help="measure repeatability alone")
    parser.add_argument("--only", default="", help="points with this in their name: '8/4 tensor'")
    parser.add_argument("--tell", action="store_true", help="print what is kept")
    return parser.parse_args()


def tables(found: dict[str, Any]) -> Iterator[str]:
    """What is there, a table for each quantiser."""
    yield f"float {found['float']['accuracy']:.2f} %"
    for bits, per in (*GATED, *SHOWN):
        yield from table(found, bits, per)
    for name, value in found.get("repeatability", {}).items():
        if name not in ("key", "exact traces"):
            yield f"{name}: {value:.3f}"
    for each in found.get("exact traces", {}).get("strips", ()):
        probed = " and ".join(f"{value:.3f}" for value in each["by 50 probes"])
        yield f"trace of {each['strip']}: {each['exact']:.3f}, by 50 probes {probed}"


def table(found: dict[str, Any], bits: tuple[int, int], per: str) -> Iterator[str]:
    @cache
    def accuracy(score: str, share: float, seed: int = 0) -> float | None:
        line = found.get(Point(bits, per, score, share, seed).key)
        return None if line is None else line["accuracy"]

    ends = [accuracy("error", share) for share in (0.0, 1.0)]
    if None in ends:
        return
    yield f"\n{bits[0]}/{bits[1]} per {per}: all high {ends[0]:.2f} %, all low {ends[1]:.2f} %"
    shares = sorted(SHARES)
    told = False
    for score in (*MAIN, *WEIGHED, *OTHERS, "random"):
        rows = [[accuracy(score, s, seed) for seed in range(5)] for s in shares]
        rows = [[v for v in row if v is not None] for row in rows]
        if not any(rows):
            continue
        if not told:
            yield (
                f"{'score':<18}" + "".join(f"{100 * s:>12.0f} %" for s in shares) + f"{'mean':>10}"
            )
            told = True
        means = [np.mean(row) for row in rows if row]
        mean = f"{np.mean(means):>10.2f}" if len(means) == len(rows) else f"{'-':>10}"
        yield f"{score:<18}{''.join(f'{spread(row):>14}' for row in rows)}{mean}"


def spread(values: list[float]) -> str:
    """Mean, and the deviation where there are several."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{np.mean(values):.2f}+-{np.std(values, ddof=1):.2f}"


if __name__ == "__main__":
    main()
