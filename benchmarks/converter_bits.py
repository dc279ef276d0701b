"""Accuracy against converter bits: ResNet-20 on bit-sliced, bit-serial arrays of 128 rows.

    python benchmarks/converter_bits.py --data cifar10:PATH [--checkpoint resnet20.safetensors]
                                        [--images 4000] [--write]

runs `models/resnet20.pt` (and a state_dict of the same network, where one is given) on `bit_serial`
with offset, flipped and differential columns and converters of 4 to 9 bits, every point on the same
test images, and prints the tables of docs/functional.md; `--write` puts them there. Points are kept
in a file beside, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import cimarch
from cimarch.functional.matrix import matrix_of
from cimarch.workload.network import Network

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "functional.md"
BLOCK = re.compile(r"(```text\n\$ python benchmarks/converter_bits\.py .*\n)(?:.*\n)*?(```)")
ENCODINGS = ("offset", "flipped", "differential")
BITS = range(9, 3, -1)
STEPS = (2, 4)
Point = dict[str, Any]


def main() -> None:
    asked = arguments()
    networks = {"models/resnet20.pt": cimarch.read_network(str(ROOT / "models" / "resnet20.pt"))}
    if asked.checkpoint:
        path = Path(asked.checkpoint)
        networks[path.name] = cimarch.read_network(str(path), "resnet20")
    kept = Kept(Path(asked.keep), asked.images)
    text = "".join(
        part
        for name, network in networks.items()
        for part in (*table(name, network, asked, kept), *steps(name, network, asked, kept))
    )
    text += why(next(reversed(networks)), networks, asked)
    print(text, end="")
    if asked.write:
        command = f"$ python {' '.join(['benchmarks/converter_bits.py', *shown(asked)])}\n"
        page, written = BLOCK.subn(lambda m: f"```text\n{command}{text}{m[2]}", PAGE.read_text())
        if not written:
            sys.exit(f"{PAGE.name} has no block of this command")
        PAGE.write_text(page)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="cifar10:PATH")
    parser.add_argument("--checkpoint", help="a state_dict of resnet20, as safetensors")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--keep", default="converter_bits.json", help="where points are kept")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def shown(asked: argparse.Namespace) -> Iterator[str]:
    yield "--data cifar10:PATH"
    if asked.checkpoint:
        yield f"--checkpoint {Path(asked.checkpoint).name}"
    yield f"--images {asked.images}"


class Kept:
    """Points that are done, in a file."""

    def __init__(self, path: Path, images: int) -> None:
        self.path, self.images = path, images
        self.points: dict[str, Point] = json.loads(path.read_text()) if path.exists() else {}

    def point(self, name: str, network: Network, data: str, **chip: object) -> Point:
        """One evaluation, or what it gave before."""
        key = f"{name} {self.images} {sorted(chip.items())}"
        if key not in self.points:
            print(f"  {key}", file=sys.stderr, flush=True)
            self.points[key] = evaluated(network, data, self.images, chip)
            self.path.write_text(json.dumps(self.points, indent=1))
        return self.points[key]


def evaluated(network: Network, data: str, images: int, chip: dict[str, object]) -> Point:
    system = cimarch.load("bit_serial", set={f"macro.{path}": v for path, v in chip.items()})
    done = cimarch.evaluate(system, network, data, images=images)
    layers = done.layers
    all_of = float(layers["conversions"].sum())
    return {
        "float": done.float_model.top1.value,
        "quantised": done.quantised.top1.value,
        "chip": done.chip[0].top1.value,
        "difference": done.difference.value,
        "low": done.difference.low,
        "high": done.difference.high,
        "clipped": float((layers["clipped"] * layers["conversions"]).sum()) / all_of,
        "rounded": float((layers["rounded"] * layers["conversions"]).sum()) / all_of,
        "images_per_second": done.examples / done.seconds["chip"],
        "lossless": int((layers["path"] == "lossless").sum()),
        "layers": len(layers["path"]),
    }


def table(name: str, network: Network, asked: argparse.Namespace, kept: Kept) -> Iterator[str]:
    """Accuracy by converter bits, and what it is less than the quantised model's."""
    points = {
        (encoding, bits): kept.point(
            name, network, asked.data, **{"array.encoding": encoding, "adc.bits": bits}
        )
        for encoding in ENCODINGS
        for bits in BITS
    }
    first = points["offset", 9]
    yield f"\n{name}: float {percent(first['float'])}, quantised {percent(first['quantised'])} "
    yield f"(8/8 bits), {asked.images} images; one unit a step\n\n"
    head = "  ".join(f"{encoding:^38}" for encoding in ENCODINGS)
    yield f"        {head.rstrip()}\n"
    columns = "  ".join(f"{'chip':>7}  {'less, 95 %':^19}  {'clipped':>8}" for _ in ENCODINGS)
    yield f"  bits  {columns}\n"
    for bits in BITS:
        row = "  ".join(cells(points[encoding, bits]) for encoding in ENCODINGS)
        yield f"  {bits:>4}  {row}\n"


def cells(point: Point) -> str:
    ends = (
        f"{100 * point['difference']:+.2f} ({100 * point['low']:+.2f} {100 * point['high']:+.2f})"
    )
    return f"{percent(point['chip']):>7}  {ends:>19}  {100 * point['clipped']:>6.3f} %"


def steps(name: str, network: Network, asked: argparse.Namespace, kept: Kept) -> Iterator[str]:
    """Accuracy where nothing clips and a converter's step is several units."""
    yield f"\n{name}: converters of 9 bits that clip nothing, by the units of a step\n\n"
    yield "  step  " + "  ".join(f"{encoding:^31}" for encoding in ENCODINGS).rstrip() + "\n"
    columns = "  ".join(f"{'chip':>7}  {'less, 95 %':^22}" for _ in ENCODINGS)
    yield f"        {columns}".rstrip() + "\n"
    for step in STEPS:
        row = []
        for encoding in ENCODINGS:
            chip = {"array.encoding": encoding, "adc.bits": 9, "adc.step": step}
            point = kept.point(name, network, asked.data, **chip)
            ends = f"({100 * point['low']:+.2f} {100 * point['high']:+.2f})"
            less = f"{100 * point['difference']:+.2f} {ends}"
            row.append(f"{percent(point['chip']):>7}  {less:>22}")
        yield f"  {step:>4}  " + "  ".join(row) + "\n"


def why(name: str, networks: dict[str, Network], asked: argparse.Namespace) -> str:
    """What clipping does to the results of each layer, with the layer's exact inputs."""
    lines = [f"\n{name}, 6 bits, 20 images: errors of each layer on exact inputs\n\n"]
    lines.append("  operation         " + "  ".join(f"{e:^32}" for e in ENCODINGS).rstrip() + "\n")
    each = f"{'clipped':>9}  {'lowered':>8}  {'mean/rms':>11}"
    lines.append("                    " + "  ".join(each for _ in ENCODINGS) + "\n")
    found = {encoding: errors(networks[name], asked.data, encoding) for encoding in ENCODINGS}
    for layer in found["offset"]:
        row = []
        for encoding in ENCODINGS:
            clipped, lowered, mean = found[encoding][layer]
            row.append(f"{100 * clipped:>7.3f} %  {100 * lowered:>6.1f} %  {mean:>+11.4f}")
        lines.append(f"  {layer:<18}" + "  ".join(row) + "\n")
    return "".join(lines)


def errors(network: Network, data: str, encoding: str) -> dict[str, tuple[float, float, float]]:
    """Per layer: conversions that clip, results that are changed and then lowered (shares), and the
    mean error over the root mean square of the exact results."""
    from cimarch.functional.run.execute import Executor

    chip = {"macro.array.encoding": encoding, "macro.adc.bits": 6}
    system = cimarch.load("bit_serial", set=chip)
    placement = cimarch.map_network(system, network)
    model = cimarch.quantise(system, network, data)
    found = {}

    def look(name: str, inputs: np.ndarray, exact: np.ndarray) -> None:
        made, counts = matrix_of(placement, name, model.operations[name]).path.counted(inputs)
        error = made.astype(np.float64) - exact
        changed = error != 0
        rms = float(np.sqrt((exact.astype(np.float64) ** 2).mean()))
        lowered = float((error < 0).sum()) / max(1, int(changed.sum()))
        found[name] = (counts.clipped / counts.conversions, lowered, float(error.mean()) / rms)

    from cimarch.data.read import read_data

    examples = read_data(data, network).judging(20)
    for inputs, _ in examples.batches(20):
        Executor(model, observe=look, chunk=20).run(inputs)
    return found


def percent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    main()
