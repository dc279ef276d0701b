"""What a run costs by its tasks: `python benchmarks/curve.py [largest side]`.

ResNet-18 for CIFAR in a pipeline, with images whose sides grow by the root of ten, so that windows
and tasks grow tenfold; its weights stay where they are. ISAAC's buffers are enlarged to hold the
rows. A line is a process of its own with one thread, shell to shell. Below, the exponents e of
cost ~ tasks^e, fitted to all sizes (least squares of the logarithms) and from the last but one to
the last: 1 is linear, and less where what does not grow is a part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import log

from machine import machine
from runs import Case, Taken, take

SIDES = {"isaac": (10, 32, 101, 320), "language_chip": (32, 101, 320, 1012)}
SETTINGS = {"isaac": {"tile.edram.size": "1 MiB"}, "language_chip": {}}


def cases(chip: str, most: int) -> list[Case]:
    """A chip with images of each size."""
    return [
        Case(
            chip, "resnet18_cifar", input=f"1x3x{side}x{side}", settings=SETTINGS[chip],
            options={"schedule": "pipeline"},
        )
        for side in SIDES[chip]
        if side <= most
    ]  # fmt: skip


def exponent(tasks: Sequence[float], cost: Sequence[float]) -> float:
    """The slope of the line through the logarithms that is closest to them."""
    x, y = ([log(each) for each in values] for values in (tasks, cost))
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return rise / sum((a - middle_x) ** 2 for a in x)


def show(chip: str, side: str, taken: Taken) -> None:
    """Print the line of a run."""
    print(
        f"{chip:15}{side:>10}{taken.tasks:>13,}{taken.seconds:>9.2f}{taken.engine:>9.2f}"
        f"{1e6 * taken.engine / taken.tasks:>15.3f}{taken.MiB:>8,}",
        flush=True,
    )


def fitted(name: str, tasks: Sequence[float], costs: Sequence[Sequence[float]]) -> None:
    """Print the exponents of some costs."""
    found = [exponent(tasks, cost) for cost in costs]
    print(f"{name:38}{found[0]:>9.2f}{found[1]:>9.2f}{'':15}{found[2]:>8.2f}", flush=True)


def main(most: int) -> None:
    """Print a line a size, and the exponents, for each chip."""
    print(machine("numpy", "numba") + ", one thread")
    for chip in SIDES:
        print(
            f"\n{'chip':15}{'image':>10}{'tasks':>13}{'seconds':>9}{'engine':>9}"
            f"{'engine s/M':>15}{'MiB':>8}",
            flush=True,
        )
        runs = []
        for case in cases(chip, most):
            runs.append(take(case, 2))
            show(chip, case.input[4:], runs[-1])
        tasks = [float(run.tasks) for run in runs]
        costs = [[getattr(run, name) for run in runs] for name in ("seconds", "engine", "MiB")]
        if len(runs) > 1:
            fitted("exponent of all", tasks, costs)
            fitted("exponent of the last step", tasks[-2:], [cost[-2:] for cost in costs])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10**9)
