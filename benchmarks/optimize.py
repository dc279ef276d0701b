"""What adapting a model takes: `python benchmarks/optimize.py --data cifar10:PATH [parts]`.

A training step with learned scales, plain, with whole numbers, and with the converters of macros of
256, 128 and 64 rows in the loop; scores of all strips; the whole search of strips; the price of a
candidate. One thread, seconds of the processor, the best of the repeats. `parts` are some of epoch,
scores, search and price; `--model` and `--images` are for a shorter look.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import torch
import torch.nn.functional as F
from machine import machine, verdict
from torch import nn

import cimarch
from cimarch.data.read import read_data
from cimarch.functional.fit.quantise import matrices
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.split import Split, split
from cimarch.optimize.inloop import onchip
from cimarch.optimize.mixed.fisher import fisher
from cimarch.optimize.mixed.hutchinson import traces
from cimarch.optimize.mixed.layers import folded, layers_of
from cimarch.optimize.mixed.strips import Strips, strips
from cimarch.optimize.pricing import Prices
from cimarch.workload.network import Operation

EPOCH = 45_000
"""Images of CIFAR-10's training set that train."""
PROBES = 50
CANDIDATES = 20
FEW = 3
"""Layers in which a candidate differs from the one before it, where it does not in all."""
READS = 3
"""Of an array for a window, at most, where strips are to lie on more arrays."""
STRIPS = "two_pools"
"""The chip of the strips, and of what prices are of."""


@attrs.frozen
class Asked:
    """What is measured, and on what."""

    model: Model
    data: cimarch.DataSet
    images: int
    """That scores are of."""
    batch: int
    repeats: int

    @property
    def split(self) -> Split:
        """The training examples in two parts."""
        return split(self.data)


@attrs.frozen
class Line:
    """A thing to do, and the seconds that it should stay under."""

    name: str
    seconds: float
    target: float | None = None
    told: str = ""

    def __str__(self) -> str:
        target = (
            ""
            if self.target is None
            else f"{self.target:>6g} s {verdict(self.seconds, self.target)}"
        )
        return f"{self.name:44}{self.seconds:10.3f}{target:24}{self.told}".rstrip()


def best(action: Callable[[], object], repeats: int) -> float:
    """Seconds of the processor, the best of the repeats."""
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        action()
        found.append(time.process_time() - begun)
    return min(found)


# Training steps


def stepping(asked: Asked, module: nn.Module) -> Callable[[], None]:
    """One step of training: forward, loss, backward, and the update of all parameters."""
    some = asked.split.train.take(slice(asked.batch))
    images, labels = torch.from_numpy(some.inputs()), torch.from_numpy(some.labels)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9, nesterov=True)

    def step() -> None:
        module.train()
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(module(images), labels).backward()
        optimiser.step()

    step()
    return step


def chip(rows: int) -> cimarch.System:
    """The edge macro with so many rows, of which all are read at once."""
    return cimarch.load("edge_macro", set={"macro.rows": rows})


def on_chip(asked: Asked, rows: int, *, converters: bool) -> nn.Module:
    """The model on macros of so many rows, behind their converters where asked."""
    network = asked.model.network()
    placement = cimarch.map_network(chip(rows), network, weight_bits=4, input_bits=4)
    module, choices = asked.model.module(), onchip.Choices()
    onchip.exact(module, placement, choices)
    onchip.calibrate(module, asked.split.held_back)
    if not converters:
        return module
    return onchip.converted(module, placement, choices, asked.split.held_back)


def training(asked: Asked) -> Iterator[Line]:
    """Seconds of an epoch, and how many of the epoch with learned scales and exact sums it is."""
    epochs = EPOCH / asked.batch
    plain = epochs * best(stepping(asked, asked.model.module()), asked.repeats)
    yield Line("an epoch in float", plain)
    exact = epochs * best(stepping(asked, on_chip(asked, 256, converters=False)), asked.repeats)
    yield Line("an epoch of LSQ, exact sums", exact, told=f"{exact / plain:.2f} x float")
    for rows, most in ((256, 2), (128, 4), (64, 4)):
        own = epochs * best(stepping(asked, on_chip(asked, rows, converters=True)), asked.repeats)
        told = f"{own / exact:.2f} x LSQ, at most {most}: {verdict(own / exact, most)}"
        yield Line(f"an epoch with converters, {rows} rows", own, told=told)


# Scores and the search


def scores(asked: Asked) -> Iterator[Line]:
    """What it takes to score all strips."""
    module = folded(asked.model)
    layers = layers_of(asked.model, module)
    some = asked.split.held_back.take(slice(asked.images))
    passes = 0

    def exact() -> None:
        nonlocal passes
        passes = fisher(module, layers, some).passes

    seconds = best(exact, 1)
    yield Line(
        f"exact-label Fisher, {len(some)} images",
        seconds,
        15,
        f"{passes / len(some):.2f} pulls each",
    )
    seconds = best(lambda: traces(module, layers, some, probes=PROBES), 1)
    yield Line(f"{PROBES} Hutchinson probes", seconds, 90)


def search(asked: Asked) -> Iterator[Line]:
    """The method `strips` from its scores to its record, one test image judging."""
    options = Strips(calibrate=asked.images, judge=1)
    system = cimarch.load(STRIPS)
    seconds = best(lambda: strips(asked.model, system, asked.data, options), 1)
    yield Line("the whole search of strips", seconds, 180)


# Prices


def prices(asked: Asked) -> Iterator[Line]:
    """The price of candidates, each another one; and what a report takes."""
    network = asked.model.network()
    for chip, bits in ((STRIPS, (8, 4)), ("edge_macro", (4, 3))):
        yield _by_layers(network, chip, bits)
    for tiles in (8, 1):
        for reads in (0, READS):
            yield _by_strips(network, tiles, reads, len(network.operations))
            yield _by_strips(network, tiles, reads, FEW)


def _by_layers(network: cimarch.Network, name: str, bits: tuple[int, int]) -> Line:
    system, draw = cimarch.load(name), random.Random(0)
    policies = [
        {op.name: [draw.choice(bits), bits[0]] for op in matrices(network)}
        for _ in range(CANDIDATES)
    ]
    how = {"input_bits": bits[0], "schedule": "layers"}
    own = _each(Prices(system, network, **how).of, policies)
    whole = _each(lambda p: cimarch.simulate(system, network, precision=p, **how), policies[:5])
    return Line(f"price of a policy, {name}", own, 0.05, f"a report {whole:.3f}")


def _by_strips(network: cimarch.Network, tiles: int, reads: int, layers: int) -> Line:
    """Half of the strips low, drawn anew for each candidate in so many layers, at most in all."""
    draw = random.Random(0)

    def drawn(op: Operation) -> dict[str, object]:
        positions = op.geometry.kernel[0] * op.geometry.kernel[1]
        outputs = op.columns * op.groups
        levels = ["".join(draw.choices("01", k=outputs)) for _ in range(positions)]
        limit = {"reads": reads} if reads else {}
        return {"strips": {"bits": [8, 4], "levels": levels, "layout": "packed", **limit}}

    found = [op for op in matrices(network) if op.kind == "conv2d"]
    policies = [{op.name: drawn(op) for op in found}]
    for _ in range(CANDIDATES):
        changed = draw.sample(found, min(layers, len(found)))
        policies.append(policies[-1] | {op.name: drawn(op) for op in changed})
    of = Prices(cimarch.load(STRIPS, set={"tiles": tiles}), network, "layers").of
    which = "all" if layers >= len(found) else str(layers)
    name = f"price of strips, {which} layers anew, {tiles} tile{'s' if tiles > 1 else ''}"
    return Line(name, _each(of, policies), 0.05, f"at most {reads} reads" if reads else "packed")


def _each(action: Callable[[Any], object], policies: Sequence[Any]) -> float:
    """Seconds of the fastest, the first one not counted."""
    action(policies[0])
    return min(best(partial(action, policy), 1) for policy in policies[1:])


PARTS = {"epoch": training, "scores": scores, "search": search, "price": prices}


def main() -> None:
    """Print a line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="cifar10:PATH")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="of what; all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = Model.of(given.model)
    data = read_data(given.data, model.network())
    asked = Asked(model, data, given.images, given.batch, given.repeats)
    print(machine("torch", "numba") + f", one thread\n\n{model.name}, {data.name}")
    print(f"an epoch: {EPOCH:,} images, {asked.batch} a step\n\n{'':44}{'seconds':>10}  target")
    for part in given.parts or PARTS:
        for line in PARTS[part](asked):
            print(line, flush=True)


if __name__ == "__main__":
    main()
