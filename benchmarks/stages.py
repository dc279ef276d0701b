"""Where the time of a run goes, stage by stage: `python benchmarks/stages.py [repeats] [names]`.

A case runs in a process of its own, with numba's cache filled; the fastest of the repeats is shown.
Its stages are what `cimarch sim` does in turn: the interpreter starts, packages are imported, the
description is parsed, the network read, placed, written as a table of tasks, run and reported.
`--model` networks are read through PyTorch, which is why that takes seconds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import attrs
from machine import machine

ROOT = Path(__file__).resolve().parent.parent

IMPORTS = (
    "cimarch.cli.sim", "cimarch.language.build", "cimarch.workload.pt2", "cimarch.simulate",
    "cimarch.engine.fast", "cimarch.engine.refine", "cimarch.report.terminal",
)  # fmt: skip
"""Where the packages come in that a run needs; imported ahead, so that no stage pays for them."""

STAGES = (
    "start", "import", "parse", "read", "place", "program", "run", "report", "print",
)  # fmt: skip


@attrs.frozen
class Case:
    """A run: an architecture, and a file or the name of a network."""

    architecture: str
    file: str | None = None
    model: str | None = None
    repeats: int = 5
    """How often it is worth repeating."""

    @property
    def name(self) -> str:
        return f"{self.architecture} {self.file or f'--model {self.model}'}"


CASES = (
    Case("isaac", "models/resnet20.pt"),
    Case("edge_macro", "models/resnet20.pt"),
    Case("single_crossbar", model="vgg16", repeats=3),
    Case("isaac", model="vgg16", repeats=1),
)


@attrs.define
class Watch:
    """Names stretches of time, each from the end of the one before."""

    last: float
    taken: dict[str, float] = attrs.field(factory=dict)

    def stop(self, stage: str) -> None:
        now = time.time()
        self.taken[stage] = self.taken.get(stage, 0.0) + now - self.last
        self.last = now


def run(case: Case, begin: float) -> dict[str, object]:
    """Run a case in this process, which began at `begin`; seconds by stage and what came out."""
    watch = Watch(begin)
    watch.stop("start")
    for name in IMPORTS:
        import_module(name)
    watch.stop("import")
    import cimarch

    system = cimarch.load(case.architecture)
    watch.stop("parse")
    network = cimarch.read_network(case.file, model=case.model)
    watch.stop("read")
    tasks = counted()
    report = cimarch.simulate(system, network, progress=follow(watch))
    watch.stop("report")
    from cimarch.report.terminal import render

    render(report)
    watch.stop("print")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"taken": watch.taken, "tasks": sum(tasks), "cycles": report.cycles, "GiB": memory}


def follow(watch: Watch) -> Callable[[str, float], None]:
    """A progress function that stops the watch when a stage of the simulation is over."""
    current: list[str] = []

    def tell(stage: str, share: float) -> None:
        if current and current[-1] != stage:
            watch.stop(current[-1])
        current.append(stage)

    return tell


def counted() -> list[int]:
    """Let the engine note how many tasks each work has that it runs."""
    simulate, sizes = sys.modules["cimarch.simulate"], []
    engine = simulate.run_work

    def noted(work, *arguments, **options):  # type: ignore[no-untyped-def]
        sizes.append(len(work))
        return engine(work, *arguments, **options)

    simulate.run_work = noted  # type: ignore[attr-defined]
    return sizes


def fastest(index: int, repeats: int) -> dict[str, object]:
    """The best of some processes that each run a case once."""
    found = []
    for _ in range(repeats):
        call = [sys.executable, __file__, "--case", str(index), repr(time.time())]
        done = subprocess.run(call, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout))
    return min(found, key=lambda one: sum(one["taken"].values()))


def show(case: Case, found: dict[str, object]) -> None:
    """Print a case: seconds and share of each stage."""
    taken = found["taken"]
    assert isinstance(taken, dict)
    total = sum(taken.values())
    print(
        f"\n{case.name}: {total:.2f} s; {found['cycles']:,} cycles, {found['tasks']:,} tasks, "
        f"{found['GiB']:.1f} GiB"
    )
    print("  " + "".join(f"{stage:>9}" for stage in STAGES))
    print("  " + "".join(f"{taken[stage]:8.2f}s" for stage in STAGES))
    print("  " + "".join(f"{taken[stage] / total:9.0%}" for stage in STAGES))


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--case"]:
        print(json.dumps(run(CASES[int(arguments[1])], float(arguments[2]))))
        return
    repeats = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 5
    print(machine("numpy", "numba", "torch"))
    for index, case in enumerate(CASES):
        if all(word in case.name for word in arguments):
            show(case, fastest(index, min(repeats, case.repeats)))


if __name__ == "__main__":
    main(sys.argv[1:])
