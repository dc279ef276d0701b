"""What cells of each kind cost in accuracy.

    python benchmarks/devices.py [--model digits --data digits] [--images N] [--trials N]

Every preset of `device_model` on `bit_serial`, with offset and with differential columns; the table
of docs/functional.md.
"""

from __future__ import annotations

import argparse

import cimarch
from cimarch.functional.cells.presets import PRESETS

ENCODINGS = ("offset", "differential")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--model", default="digits")
    asked.add_argument("--data", default="digits")
    asked.add_argument("--images", type=int)
    asked.add_argument("--trials", type=int, default=5)
    told = asked.parse_args()
    network = cimarch.read_network(told.model)
    print(f"{'device':<8}" + "".join(f"{encoding:>26}" for encoding in ENCODINGS))
    for device in PRESETS:
        cells = [
            cell(network, told.data, device, encoding, told.images, told.trials)
            for encoding in ENCODINGS
        ]
        print(f"{device:<8}" + "".join(f"{text:>26}" for text in cells), flush=True)


def cell(
    network: cimarch.Network,
    data: str,
    device: str,
    encoding: str,
    images: int | None,
    trials: int,
) -> str:
    """Accuracy on the chip, and how far it is from the quantised model."""
    settings = {"macro.array.device_model": device, "macro.array.encoding": encoding}
    system = cimarch.load("bit_serial", set=settings)
    found = cimarch.evaluate(system, network, data, images=images, trials=trials, statistics=1)
    mean = sum(each.top1.value for each in found.chip) / len(found.chip)
    lost = found.difference
    half = (lost.high - lost.low) / 2
    return f"{mean:.1%} ({lost.value * 100:+.1f} +- {half * 100:.1f})"


if __name__ == "__main__":
    main()
