"""How strips of two precisions fill arrays, and what each way to lay them costs in time and energy.

    python benchmarks/packing.py [--model resnet20] [--seed N]

All convolutions in strips of 8 and 4 bits, drawn at random, on `two_pools` and on the same chip
with arrays of 32 x 32; the table of docs/mapping.md. Cycles and joules are those of an inference,
over those of all strips at 8 bits, packed; `packed, 5`: an array is read five times at most.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

import cimarch
from cimarch.hardware.system import System
from cimarch.language.modules import locate
from cimarch.mapping.strips import Strips, positions_of

SHARES = (0.0, 0.7, 0.8)
"""Of strips at 4 bits."""
LAYOUTS = (("packed", 0), ("packed", 5), ("holes", 0))
"""And how often an array is read for a window, at most."""


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--model", default="resnet20")
    asked.add_argument("--seed", type=int, default=0)
    told = asked.parse_args()
    network = cimarch.read_network(told.model)
    heads = f"{'low':>5}{'8-bit pool':>12}{'taken':>8}{'time':>7}{'energy':>8}"
    print(f"{'arrays':<10}{'layout':<10}{heads}")
    for size in (128, 32):
        for line in table(chip(size), network, told.seed):
            print(f"{f'{size} x {size}':<10}{line}", flush=True)


def chip(size: int) -> System:
    """`two_pools` with arrays of so many rows and columns, and as many cells."""
    text = locate("two_pools").read_text()
    for what in ("rows = ", "columns = ", "dac[arrays, ", "adc[arrays, "):
        text = text.replace(f"{what}128", f"{what}{size}")
    arrays = min(1024, 128 * (128 // size) ** 2)
    return cimarch.loads(text.replace("8..4096 = 128", f"8..4096 = {arrays}"))


def table(system: System, network: cimarch.Network, seed: int) -> Iterator[str]:
    whole = None
    for layout, reads in LAYOUTS:
        name = f"{layout}, {reads}" if reads else layout
        for share in SHARES:
            policy = drawn(network, share, layout, reads, seed)
            report = cimarch.simulate(system, network, precision=policy)
            placement = cimarch.map_network(system, network, precision=policy)
            whole = whole or report
            used = placement.utilisation_of_pool("tile.eight.array")
            yield (
                f"{name:<10}{share:>5.0%}{used:>12.1%}{report.crossbars:>8}"
                f"{report.cycles / whole.cycles:>7.2f}"
                f"{(report.dynamic_joules or 0) / (whole.dynamic_joules or 1):>8.2f}"
            )


def drawn(
    network: cimarch.Network, share: float, layout: str, reads: int, seed: int
) -> dict[str, object]:
    """A precision policy whose strips are of 4 bits by chance."""
    chance = np.random.default_rng(seed)
    found: dict[str, object] = {}
    for op in network.operations:
        if op.kind == "conv2d":
            shape = (positions_of(op), op.columns * op.groups)
            level = (chance.random(shape) < share).astype(np.uint8)
            found[op.name] = {"strips": Strips((8, 4), level, layout, reads).to_dict()}
    return found


if __name__ == "__main__":
    main()
