"""A training step through the chip: `python benchmarks/training_step.py [batch] [repeats]`.

ResNet-20, maps of CIFAR-10, one thread: forward, loss, backward; no optimiser. Every step encodes
its weights anew, as the first after an update does. Seconds are of the processor, the best of the
repeats, and the plain step is timed again beside every line.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import attrs
import torch
from machine import machine, verdict

import cimarch
from cimarch.functional.train.torch_models import convert_, layers
from models import build


@attrs.frozen
class Line:
    """A chip, how its layers train, and what a step should stay under, in plain steps."""

    name: str
    chip: str
    mode: str
    target: float
    bits: int = 8
    set: Mapping[str, object] = attrs.field(factory=dict)


def sliced(encoding: str, bits: int) -> Mapping[str, object]:
    """4 x 2-bit slices, 8 serial input bits, 128 rows."""
    return {"macro.array.encoding": encoding, "macro.adc.bits": bits}


LINES = (
    Line("offset, 8-bit converters", "bit_serial", "exact", 3, set=sliced("offset", 8)),
    Line("offset, 6-bit converters", "bit_serial", "exact", 3, set=sliced("offset", 6)),
    Line("differential, 6-bit", "bit_serial", "exact", 3, set=sliced("differential", 6)),
    Line("differential, 4-bit", "bit_serial", "exact", 3, set=sliced("differential", 4)),
    Line("edge macro, 4-bit cells", "edge_macro", "exact", 3, 4),
    Line("edge macro, 4-bit cells", "edge_macro", "merged", 2.8, 4),
    Line("8-bit weights, 128 rows", "bit_serial", "merged", 2.8, set=sliced("offset", 6)),
)


def model_of(line: Line) -> torch.nn.Module:
    """ResNet-20 on a chip."""
    torch.manual_seed(0)
    model = build("resnet20")
    network = cimarch.trace(model, torch.zeros(1, 3, 32, 32))
    system = cimarch.load(line.chip, set=dict(line.set))
    placement = cimarch.map_network(system, network, weight_bits=line.bits, input_bits=line.bits)
    convert_(model, placement, mode=line.mode)
    return model.train()


def taken(step: Callable[[], None], repeats: int) -> float:
    """Seconds of the processor for a step, the best of the repeats."""
    step()
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        step()
        found.append(time.process_time() - begun)
    return min(found)


def stepping(model: torch.nn.Module, images: torch.Tensor) -> Callable[[], None]:
    """One step of a model on a batch, after an update of its weights."""
    labels = torch.arange(len(images)) % 10
    weights = [p for n, p in model.named_parameters() if n.endswith("weight") and p.dim() > 1]

    def step() -> None:
        with torch.no_grad():
            for weight in weights:
                weight.neg_()
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()

    return step


def paths(model: torch.nn.Module) -> str:
    """The ways that the layers took."""
    found = [layer.path_name for layer in layers(model).values()]
    return ", ".join(f"{found.count(name)} {name}" for name in dict.fromkeys(found))


def main(arguments: list[str]) -> None:
    """Print a line a chip."""
    torch.set_num_threads(1)
    batch = int(arguments[0]) if arguments else 64
    repeats = int(arguments[1]) if len(arguments) > 1 else 5
    print(machine("torch", "numba") + f", one thread\n\nResNet-20, {batch} images a step")
    images = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = stepping(build("resnet20").train(), images)
    last = stepping(build("resnet20").train().to(memory_format=torch.channels_last), images)
    best = taken(last, repeats)
    print(f"plain torch, channels last: {best / batch * 1e3:.2f} ms an image\n")
    print(f"{'':28}{'mode':8}{'ms/image':>9}{'plain':>8}{'ratio':>7}  target       layers")
    for line in LINES:
        model = model_of(line)
        own, base = taken(stepping(model, images), repeats), taken(plain, repeats)
        print(
            f"{line.name:28}{line.mode:8}{own / batch * 1e3:9.2f}{base / batch * 1e3:8.2f}"
            f"{own / base:7.2f}  {line.target:<4g}{verdict(own / base, line.target):12}"
            f"{paths(model)}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
