"""What widths that fit the macros cost: two-stage adaptation beside one factor for all widths.

    python benchmarks/widths.py --data cifar10:PATH --kept FOLDER [--write]

adapts `models/vgg7.pt` to 3 macros, a seventh of what it takes, and `models/resnet20.pt` to 1, 2
and 3, by `two_stage` and by `uniform_width` with as many epochs, for each seed. All test images
judge the float model once, at the end. What is done lies in FOLDER, a line of `results.jsonl` for
each run, and is not done again; `--table` prints what is there, `--write` puts it on the page.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import cimarch
from cimarch.data.read import read_data
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.morph.options import TwoStage, UniformWidth
from cimarch.optimize.morph.two_stage import two_stage, uniform_width
from cimarch.optimize.training import accuracy

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "optimize.md"
COMMAND = "$ python benchmarks/widths.py --data cifar10:PATH --kept FOLDER\n"
BLOCK = re.compile(r"(```text\n\$ python benchmarks/widths\.py .*\n)(?:.*\n)*?(```)")
SET = {"weights.size": "1 MiB", "maps.size": "256 KiB"}
PORTS = (64, 1024)
"""Bits of the port through which weights come: that of the description, and a row of the macro."""
SCHEDULES = {"vgg7": (None, 16), "resnet20": (16_000, 8)}
"""Training images (None: all) and epochs behind the last widths."""
JOBS = (("vgg7", 3), ("resnet20", 1), ("resnet20", 2), ("resnet20", 3))
METHODS = ("two_stage", "uniform_width")
Row = dict[str, Any]


def main() -> None:
    """Do what is not done yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="cifar10:PATH")
    parser.add_argument("--kept", required=True, type=Path, help="the folder of what is done")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", default="", help="runs with this in their name: vgg7_two")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--write", action="store_true", help="put the table on the page")
    asked = parser.parse_args()
    asked.kept.mkdir(parents=True, exist_ok=True)
    place = asked.kept / "results.jsonl"
    if not asked.table:
        for seed, (net, budget), method in product(asked.seeds.split(","), JOBS, METHODS):
            job = [net, method, budget, int(seed)]
            if asked.only in named(job):
                once(place, asked.data, job)
    text = "\n".join(table(rows(place))) + "\n"
    print(text, end="")
    if asked.write:
        page = PAGE.read_text()
        PAGE.write_text(BLOCK.sub(lambda m: f"```text\n{COMMAND}{text}{m[2]}", page))


def rows(place: Path) -> list[Row]:
    """What is done."""
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


class Told:
    """Prints what is being done, a line a minute at most."""

    def __init__(self, name: str) -> None:
        self.name, self.last = name, 0.0

    def __call__(self, stage: str, share: float) -> None:
        if time.monotonic() - self.last > 60:
            self.last = time.monotonic()
            print(f"{self.name} {stage} {share:.2f}", flush=True)


def named(job: list[Any]) -> str:
    """The name of a run."""
    return "_".join(map(str, job))


def once(place: Path, data: str, job: list[Any]) -> None:
    """One run, unless it is done."""
    if any(row["job"] == job for row in rows(place)):
        return
    net, method, budget, seed = job
    given = Model.of(str(ROOT / "models" / f"{net}.pt"))
    examples = read_data(data, given.network())
    images, epochs = SCHEDULES[net]
    common: Row = {"budget": budget, "seed": seed, "images": images, "judge": 20}
    going = Going(Told(named(job)), place.parent / named(job))
    system = cimarch.load("edge_macro", set=SET)
    if method == "two_stage":
        made, record = two_stage(given, system, examples, TwoStage(epochs=epochs, **common), going)
    else:
        asked = UniformWidth(epochs=epochs + 2, **common)  # two epochs of shrinking the more
        made, record = uniform_width(given, system, examples, asked, going)
    test = examples.judging()
    row = {
        "job": job,
        "float_before": accuracy(given.module(), test),
        "float_after": accuracy(made.module(), test),
        "details": dict(record.details),
        "loads_before": loads(given),
        "loads_after": loads(made),
    }
    with place.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def loads(model: Model) -> dict[str, dict[str, int]]:
    """Tiles and the cycles of loading them, by the bits of the port."""
    found = {}
    for port in PORTS:
        system = cimarch.load("edge_macro", set=SET | {"weights.width": f"{port} bit"})
        report = cimarch.simulate(system, model.network(), weight_bits=4, input_bits=4)
        tiles = int(sum(report.layers["tiles"]))
        found[str(port)] = {"tiles": tiles, "load_cycles": report.load_cycles}
    return found


def table(done: list[Row]) -> Iterator[str]:
    """A line for each network, budget and method, then one for the networks as they were."""
    yield (
        f"  {'':<10}{'macros':>7}  {'widths':<14}{'accuracy':>16}{'change':>8}{'packed':>8}"
        f"{'aligned':>9}{'conv weights':>14}{'tiles':>7}{'load, 1024':>12}{'load, 64':>10}"
    )
    for net, budget in JOBS:
        first = next((row for row in done if row["job"][0] == net), None)
        if first and budget == next(b for n, b in JOBS if n == net):
            yield _line(net, "as trained", [first], before=True)
        for method in METHODS:
            found = [row for row in done if row["job"][:3] == [net, method, budget]]
            if found:
                yield _line(net, method, found)


def _line(net: str, name: str, found: list[Row], before: bool = False) -> str:
    """The mean of several seeds."""
    which = 0 if before else 1
    accuracies = [row["float_before" if before else "float_after"] for row in found]
    macros = [row["details"]["macros"][which] for row in found]

    def mean(values: list[float]) -> float:
        return statistics.mean(values)

    spread = f" +- {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    change = mean(accuracies) - found[0]["float_before"]
    removed = 0.0 if before else mean([r["details"]["conv_weights_removed_percent"] for r in found])
    tiles, wide, narrow = (
        mean([_left(row, port, what) if not before else 1.0 for row in found])
        for port, what in (("64", "tiles"), ("1024", "load_cycles"), ("64", "load_cycles"))
    )
    return (
        f"  {net:<10}{max(m['macros'] for m in macros):>7}  {name:<14}"
        f"{f'{mean(accuracies):.2f}{spread}':>14} %{change:>+8.2f}"
        f"{mean([m['packed_percent'] for m in macros]) / 100:>8.3f}"
        f"{mean([m['aligned_percent'] for m in macros]) / 100:>9.3f}"
        f"{'' if before else f'-{removed:.1f} %':>14}{tiles:>7.3f}{wide:>12.3f}{narrow:>10.3f}"
    )


def _left(row: Row, port: str, what: str) -> float:
    return float(row["loads_after"][port][what] / row["loads_before"][port][what])


if __name__ == "__main__":
    main()
