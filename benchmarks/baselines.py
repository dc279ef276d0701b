"""What pruning and layer-wise precision make of a network at the bits that strips leave.

    python benchmarks/baselines.py --data cifar10:PATH --kept FOLDER

`hap` removes channels of `models/resnet20.pt` until 65 % of the weights are left, all at 8 bits: as
many bits as 8/4 has with 70 % of the strips low; and 26 %, as in table 2 of arXiv 2512.19445.
Without fine-tuning (batch norms kept, and estimated anew), and with: 4 epochs of 16,000 images.
`hawq_v2` gives each layer a precision within the bits of 70 % low strips. All test images judge the
model in float, by its weights alone. What is done lies in FOLDER and is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import cimarch
from cimarch.data.dataset import DataSet
from cimarch.data.read import read_data
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.mixed.hawq import cheapest
from cimarch.optimize.mixed.hutchinson import traces
from cimarch.optimize.mixed.judging import by_weights_alone
from cimarch.optimize.mixed.layers import folded, layers_of
from cimarch.optimize.mixed.scores import quantised_to
from cimarch.optimize.morph.hap import Hap, hap
from cimarch.optimize.training import accuracy

LEFT = {0.65: (0, 1, 2), 0.26: (0,)}
"""Of the weights: what 70 % low strips of 8/4 come to, and table 2 of the paper; and the seeds."""
WAYS = {
    "norms kept": {"epochs": 0},
    "norms anew": {"epochs": 0, "reestimate": 1000},
    "fine-tuned": {"epochs": 4, "images": 16_000},
}
QUANTISERS = (((8, 4), "tensor"), ((8, 3), "channel"))
LOW = 0.7
"""Share of strips whose bits `hawq_v2` may use."""
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/resnet20.pt")
    parser.add_argument("--data", default="cifar10:PATH")
    parser.add_argument("--kept", required=True, type=Path, help="the folder of what is done")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.kept.mkdir(parents=True, exist_ok=True)
    model = Model.of(asked.model)
    data = read_data(asked.data, model.network())
    place = asked.kept / "baselines.jsonl"
    for bits, per in QUANTISERS:
        once(place, ["hawq_v2", list(bits), per], lambda b=bits, p=per: by_layer(model, data, b, p))
    for left, seeds in LEFT.items():
        for way in WAYS:
            for seed in seeds if way == "fine-tuned" else seeds[:1]:
                job = ["hap", left, way, seed]
                once(place, job, lambda j=job: pruned(model, data, asked.kept, *j[1:]))
    print("\n".join(table(rows(place))))


def rows(place: Path) -> list[Row]:
    """What is done."""
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def once(place: Path, job: list[Any], make: Any) -> None:
    """One job, unless it is done."""
    if all(row["job"] != job for row in rows(place)):
        row = {"job": job, **make()}
        with place.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(row, flush=True)


def pruned(model: Model, data: DataSet, kept: Path, left: float, way: str, seed: int) -> Row:
    """Channels removed, and the accuracy of what is left."""
    options = Hap(remove=1 - left, seed=seed, judge=20, probes=50, **WAYS[way])
    going = Going(kept=kept / f"hap {left} {way} {seed}")
    made, record = hap(model, cimarch.load("two_pools"), data, options, going)
    before, after = record.before.parameters, record.after.parameters
    found = accuracy(made.module(), data.judging())
    return {"accuracy": found, "left": after / before}


def by_layer(model: Model, data: DataSet, bits: tuple[int, int], per: str) -> Row:
    """A precision for each layer, and the accuracy by these weights."""
    module = folded(model)
    layers = [layer for layer in layers_of(model, module) if layer.positions > 1]
    high, low = bits
    size = 1 - LOW * (high - low) / high
    found = traces(module, layers, data.calibrating(1024), probes=50, seed=0)
    costs = []
    for layer in layers:
        mean = max(found.layer(layer.name), 0.0) / layer.weights
        changes = {b: quantised_to(layer, b, per, "minmax") - layer.weight for b in bits}
        costs.append({b: mean * float((each**2).sum()) for b, each in changes.items()})
    sizes = [layer.weights for layer in layers]
    chosen = cheapest(sizes, costs, int(size * high * sum(sizes)))
    weights = {
        layer.name: quantised_to(layer, b, per, "minmax")
        for layer, b in zip(layers, chosen, strict=True)
    }
    right = by_weights_alone(folded(model), weights, data.judging())
    used = sum(b * n for b, n in zip(chosen, sizes, strict=True)) / (high * sum(sizes))
    return {"accuracy": right, "left": used, "bits": list(chosen)}


def table(done: list[Row]) -> Iterator[str]:
    """A line for each way, the mean over its seeds."""
    yield f"  {'':<34}{'left':>8}{'accuracy':>18}"
    for name in dict.fromkeys(_named(row["job"]) for row in done):
        found = [row for row in done if _named(row["job"]) == name]
        each = [row["accuracy"] for row in found]
        spread = f" +- {statistics.stdev(each):.2f}" if len(each) > 1 else ""
        mean = f"{statistics.mean(each):.2f}{spread} %"
        yield f"  {name:<34}{statistics.mean(r['left'] for r in found):>8.1%}{mean:>18}"


def _named(job: list[Any]) -> str:
    if job[0] == "hap":
        return f"hap, {job[2]}, {job[1]:.0%}"
    high, low = job[1]
    return f"hawq_v2, {high}/{low} per {job[2]}"


if __name__ == "__main__":
    main()
