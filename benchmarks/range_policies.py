"""Accuracy by the policy that chooses converter ranges: ResNet-20 on bit-sliced, bit-serial arrays.

    python benchmarks/range_policies.py --data cifar10:PATH [--images 500] [--write]

runs `models/resnet20.pt` on `bit_serial` with converters of few bits, ranges chosen by every policy
on 32 training images, per layer, slice and column, and prints the table of docs/functional.md;
`--write` puts it there.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import cimarch
from cimarch.data.read import read_data

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "functional.md"
BLOCK = re.compile(r"(```text\n\$ python benchmarks/range_policies\.py .*\n)(?:.*\n)*?(```)")
CHIPS = (("differential", 5), ("differential", 4), ("offset", 6), ("offset", 5))
POLICIES = ("unit", "power_of_two", "mse", "percentile", "min_max")
PER = ("layer", "slice", "column")
CALIBRATION = 32


def main() -> None:
    """Print the table, and put it on the page where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="cifar10:PATH")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    network = cimarch.read_network(str(ROOT / "models" / "resnet20.pt"))
    data = read_data(asked.data, network)
    text = "".join(table(network, data, asked.images, *chip) for chip in CHIPS)
    print(text, end="")
    if asked.write:
        shown = f"--data cifar10:PATH --images {asked.images}"
        command = f"$ python benchmarks/range_policies.py {shown}\n"
        page = BLOCK.sub(lambda m: f"```text\n{command}{text}{m[2]}", PAGE.read_text())
        PAGE.write_text(page)


def table(network: cimarch.Network, data: object, images: int, encoding: str, bits: int) -> str:
    """One chip: a row for each policy, a column for what one range is of."""
    system = cimarch.load(
        "bit_serial", set={"macro.array.encoding": encoding, "macro.adc.bits": bits}
    )
    model = cimarch.quantise(system, network, data)
    lines = []
    for policy in POLICIES:
        row = f"  {policy:<14}"
        for per in PER if policy != "unit" else PER[:1]:
            found = evaluated(system, network, data, images, model, policy, per)
            row += f"{100 * found.top1:>8.1f} %"
            print(
                f"  {encoding} {bits} {policy} {per} {found.top1:.3f}", file=sys.stderr, flush=True
            )
        lines.append(f"{row}\n")
    whole = 100 * found.quantised.top1.value
    head = f"\n{encoding}, {bits} bits; quantised {whole:.1f} %\n\n"
    return head + " " * 16 + "".join(f"{per:>10}" for per in PER) + "\n" + "".join(lines)


def evaluated(
    system: cimarch.System, network: cimarch.Network, data: object, images: int, model: object,
    policy: str, per: str,
) -> cimarch.Evaluation:  # fmt: skip
    """The evaluation with ranges by one policy."""
    ranges = cimarch.calibrate(
        system, network, data, quantised=model, policy=policy, per=per, images=CALIBRATION
    )
    return cimarch.evaluate(
        system, network, data, quantised=model, ranges=ranges, images=images, statistics=1
    )


if __name__ == "__main__":
    main()
