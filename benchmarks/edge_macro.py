"""What a coarse converter on 256 rows costs: ResNet-20 on the edge macro, nothing trained.

    python benchmarks/edge_macro.py --data cifar10:PATH [--images 4000] [--write]

runs `models/resnet20.pt` at 4-bit weights and inputs on `edge_macro` (256 word lines, one signed
weight a cell, one conversion for all bits) with converters of 6 to 3 bits and ranges by every
policy, and prints the table of docs/functional.md; `--write` puts it there.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import cimarch
from cimarch.data.read import read_data
from cimarch.functional.fit.quantise import Quantising

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "functional.md"
BLOCK = re.compile(r"(```text\n\$ python benchmarks/edge_macro\.py .*\n)(?:.*\n)*?(```)")
BITS = (6, 5, 4, 3)
POLICIES = ("unit", "min_max", "power_of_two", "mse")
FULL = 252 * 15 * 7
"""Units: the largest sum of 252 rows (28 channels of 3 x 3) of 4-bit inputs and weights."""


def main() -> None:
    """Print the table, and put it on the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="cifar10:PATH")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = "".join(table(asked.data, asked.images))
    print(text, end="")
    if asked.write:
        command = f"$ python benchmarks/edge_macro.py --data cifar10:PATH --images {asked.images}\n"
        page = BLOCK.sub(lambda m: f"```text\n{command}{text}{m[2]}", PAGE.read_text())
        PAGE.write_text(page)


def table(data: str, images: int) -> list[str]:
    """A row for each policy, a column for each number of converter bits."""
    network = cimarch.read_network(str(ROOT / "models" / "resnet20.pt"))
    read = read_data(data, network)
    how = Quantising(per="channel", method="mse", weights="mse")
    model = cimarch.quantise(chip(5), network, read, weight_bits=4, input_bits=4, quantising=how)
    rows, top = [], ""
    for policy in ("full range", *POLICIES):
        row = f"  {policy:<14}"
        for bits in BITS:
            is_full = policy == "full range"
            found = cimarch.evaluate(
                chip(bits, full=is_full), network, read, quantised=model, images=images,
                range_policy="unit" if is_full else policy, statistics=1,
            )  # fmt: skip
            less = found.difference
            row += f"{100 * found.top1:>8.2f} % ({100 * less.value:+.1f})"
            top = f"\nfloat {100 * found.float_model.top1.value:.2f} %, quantised 4/4 "
            top += f"{100 * found.quantised.top1.value:.2f} %, {images} images\n\n"
            print(f"  {policy} {bits} {found.top1:.4f}", file=sys.stderr, flush=True)
        rows.append(f"{row}\n")
    return [top, " " * 16 + "".join(f"{bits:>11} bits  " for bits in BITS).rstrip() + "\n", *rows]


def chip(bits: int, *, full: bool = False) -> cimarch.System:
    """The edge macro with converters of so many bits, over all sums that could be where `full`."""
    range_ = {"macro.adc.range_low": -FULL, "macro.adc.range_high": FULL} if full else {}
    return cimarch.load("edge_macro", set={"macro.adc.bits": bits, **range_})


if __name__ == "__main__":
    main()
