"""What strips of two precisions take of a chip: use of its pools, energy, cycles, alignment.

    python benchmarks/strips_on_chip.py --data cifar10:PATH [--model models/resnet20.pt]

places a network with 70 and 80 % low strips on `two_pools`, one tile of 128 x 128 and of 32 x 32
cells, with holes, packed, aligned, and on so many arrays more that it is no slower than all at 8
bits; it prints the tables of docs/optimize.md. Energy and cycles are beside those of the same
network all at 8 bits, packed and in the tiling of one precision (im2col). Accuracy is of all test
images by weights alone, before and after strips were aligned.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs
import numpy as np
import torch

import cimarch
from cimarch.data.read import read_data
from cimarch.optimize.frame.model import Model
from cimarch.optimize.mixed.align import Aligned, align
from cimarch.optimize.mixed.chip import Pools, pools
from cimarch.optimize.mixed.choose import NONE, Levels, levels_at, strips_of
from cimarch.optimize.mixed.judging import by_weights_alone
from cimarch.optimize.mixed.latency import Spread
from cimarch.optimize.mixed.layers import folded, layers_of
from cimarch.optimize.mixed.pricing import Reads, Tilings
from cimarch.optimize.mixed.scores import Evidence, over_windows, quantised_layer, ranked

BITS = (8, 4)
SHARES = (0.7, 0.8)
ORDERS = (("fisher", 0.0), ("fisher_block", 0.5))
"""Scores, over the windows to a power."""
LAYOUTS = ("holes", "packed")
SIZES = (128, 32)
"""Rows and columns of the arrays of both pools."""
CELLS = {"resnet20": 128 * 128**2, "vgg7": 320 * 128**2}
"""Of each pool: enough for all weights at 8 bits, packed or with holes."""


def settings(model: str, size: int) -> dict[str, str]:
    """Of `two_pools`, for arrays of so many rows and columns."""
    arrays = CELLS[model] // size**2
    tiles = -(-arrays // 4096)
    found = {"tiles": str(tiles)}
    for pool in ("tile.four", "tile.eight"):
        found[f"{pool}.arrays"] = str(-(-arrays // tiles // 8) * 8)
        found |= {f"{pool}.array.{side}": str(size) for side in ("rows", "columns")}
    return found


@attrs.frozen(eq=False)
class Chip:
    """A chip, the ranks of the strips, and what fills its arrays."""

    tilings: Tilings
    pools: Pools
    high: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """What all strips at 8 bits take, by layout; `plain`: in the tiling of one precision."""

    @classmethod
    def of(cls, network: Any, layers: Any, settings: dict[str, str]) -> Chip:
        system = cimarch.load("two_pools", set=settings)
        return cls(Tilings(system, network, BITS, 8), pools(system, network, layers, BITS))

    def aligned(self, levels: Levels, ranks: Any) -> Aligned:
        return align(
            levels, ranks, self.pools.capacity("layer"),
            price=lambda each: self.tilings.price(each, "packed"),
        )  # fmt: skip

    def whole(self, levels: Levels, layout: str) -> dict[str, Any]:
        """What all strips at 8 bits take, in the same tiling."""
        if layout not in self.high:
            high = {name: np.zeros_like(level) for name, level in levels.items()}
            self.high[layout] = self.tilings.told(high, layout)
        return self.high[layout]

    def no_slower(self, levels: Levels) -> Reads:
        """Limits of reads, so that packed strips take no longer than at 8 bits."""
        most = self.whole(levels, "packed")["cycles"]
        return Spread(self.tilings, self.pools, levels).within(most)

    def row(self, levels: Levels, layout: str, reads: Reads = NONE) -> list[str]:
        """Use of both pools, arrays, energy and cycles beside 8 bits, packed and im2col."""
        paths = [part.path for part in self.pools.parts]
        used = self.tilings.utilisation(levels, layout, paths, reads)
        price = self.tilings.told(levels, layout, reads)
        same, plain = self.whole(levels, "packed"), self.tilings.plain_told()
        return [
            *(f"{100 * used[path]:.1f} %" for path in paths),
            str(price["crossbars"]),
            f"{price['joules'] / same['joules']:.3f}",
            f"{price['cycles'] / same['cycles']:.3f}",
            f"{price['joules'] / plain['joules']:.3f}",
            f"{price['cycles'] / plain['cycles']:.2f}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/resnet20.pt")
    parser.add_argument("--data", default="cifar10:PATH")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for line_of_table in tables(Model.of(asked.model), asked.data):
        print(line_of_table, flush=True)


def tables(model: Model, data: str) -> Iterator[str]:
    """A table for each chip."""
    network, module = model.network(), folded(model)
    layers = layers_of(model, module)
    given = read_data(data, network)
    examples, judging = given.calibrating(1024), given.judging()
    evidence = Evidence(module, layers, examples, bits=BITS, per="tensor")

    @cache
    def right(levels: tuple[tuple[str, bytes], ...]) -> float:
        """Percent of the test images."""
        given = {layer.name: (layer.positions, layer.outputs) for layer in layers}
        held = {name: np.frombuffer(raw, np.uint8).reshape(given[name]) for name, raw in levels}
        strips = strips_of(held, BITS)
        weights = {
            layer.name: quantised_layer(layer, strips[layer.name], "tensor", "minmax")
            for layer in layers
        }
        return by_weights_alone(folded(model), weights, judging)

    def accuracy(levels: Levels) -> str:
        return f"{right(tuple((name, held.tobytes()) for name, held in levels.items())):.2f} %"

    for size in SIZES:
        chip = Chip.of(network, layers, settings(model.name, size))
        yield f"\n{size} x {size}"
        yield line(["order", "low", "packing", "8 bit", "4 bit", "arrays", "energy", "cycles",
                    "im2col", "cycles", "accuracy"])  # fmt: skip
        for score, power in ORDERS:
            ranks = ranked(over_windows(evidence.score(score), network, power))
            told = f"{score}/{power:g}" if power else score
            for share in SHARES:
                levels = levels_at(ranks, [share])
                for layout in LAYOUTS:
                    row = [*chip.row(levels, layout), accuracy(levels)]
                    yield line([told, f"{share:.0%}", layout, *row])
                found = chip.aligned(levels, ranks)
                reads = chip.no_slower(found.levels)
                for name, limits in (("aligned", NONE), ("no slower", reads)):
                    row = [*chip.row(found.levels, "packed", limits), accuracy(found.levels)]
                    yield line([told, f"{share:.0%}", name, *row])
                left = sum(move.why == "left" for move in found.moves)
                yield (
                    f"    {found.moved} strips moved, {left} of {len(found.moves)} layers left; "
                    f"{len(reads)} layers take more arrays"
                )


def line(cells: list[str]) -> str:
    """Cells in columns."""
    first, *rest = cells
    return f"{first:<18}" + "".join(f"{cell:>10}" for cell in rest)


if __name__ == "__main__":
    main()
