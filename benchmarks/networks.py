"""Whole networks, shell to shell, with targets: `python benchmarks/networks.py [repeats] [words]`.

Every line is a process of its own with one thread: reading, placing, running and reporting. Only
the cases are run whose names hold all of the words. What other tools take for like work stands
below; docs/benchmarks.md tells where those figures come from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import attrs
from machine import machine, verdict
from runs import Case, Taken, take

PIPELINE = {"schedule": "pipeline"}
FINE = {**PIPELINE, "detail": "wordline"}


@attrs.frozen
class Line:
    """A case, its name, and what it should stay under."""

    name: str
    case: Case
    seconds: float | None = None
    MB: int | None = None
    repeats: int = 5
    """How often it is worth repeating."""

    def verdict(self, taken: Taken) -> str:
        """Whether it stays under, and under what."""
        told = []
        if self.seconds is not None:
            told.append(f"{self.seconds:g} s {verdict(taken.seconds, self.seconds)}")
        if self.MB is not None:
            told.append(f"{self.MB:,} MB {verdict(taken.MiB * 2**20 / 10**6, self.MB)}")
        return ", ".join(told)


LINES = (
    Line("isaac resnet20", Case("isaac", "resnet20", options=PIPELINE)),
    Line("isaac vgg8", Case("isaac", "vgg8", options=PIPELINE)),
    Line("isaac resnet18_cifar", Case("isaac", "resnet18_cifar", options=PIPELINE)),
    Line("isaac resnet18", Case("isaac", "resnet18", options=PIPELINE), 5),
    Line("isaac resnet18, every read", Case("isaac", "resnet18", options=FINE), 60, 2000, 3),
    Line("isaac vgg16", Case("isaac", "vgg16", options=PIPELINE), repeats=1),
    Line(
        "llama-3.2-1b, 512 tokens", Case("language_chip", "llama-3.2-1b", tokens=512), 60, 2000, 2
    ),
)

OTHERS: Mapping[str, str] = {
    "NeuroSim 1.4": "ResNet-20, cost only: 12.5 to 70 CPU s (the converter decides); VGG-8: 84",
    "MNSIM 2": "CIFAR, cost only: VGG-8 15, ResNet-18 16, VGG-16 17 CPU s",
    "PIMCOMP-NN": "ResNet-18 on 136 cores of 64 crossbars: 43 to 54 CPU s to compile",
    "PIMSIM-NN": "the same, compiled, to simulate: 59.5 s (published)",
    "AccelForge": "ResNet-18 on its ISAAC macro: a layer 8 s, all of it not done in 8 min",
}
"""What was measured of other tools, in CPU seconds of one thread; `published` is their own word."""


def main(arguments: list[str]) -> None:
    """Print a line a case, then the others."""
    repeats = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 5
    print(machine("numpy", "numba") + ", one thread\n")
    print(
        f"{'network':27}{'seconds':>9}{'CPU s':>8}{'tasks':>13}{'cycles':>13}{'MiB':>7}   targets",
        flush=True,
    )
    for line in LINES:
        if all(word in line.name for word in arguments):
            taken = take(line.case, min(repeats, line.repeats))
            row = (
                f"{line.name:27}{taken.seconds:>9.2f}{taken.cpu:>8.2f}{taken.tasks:>13,}"
                f"{taken.cycles:>13,}{taken.MiB:>7,}   {line.verdict(taken)}"
            )
            print(row.rstrip(), flush=True)
    print("\nother tools:")
    for name, told in OTHERS.items():
        print(f"{name:14}{told}")


if __name__ == "__main__":
    main(sys.argv[1:])
