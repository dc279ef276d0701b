"""Whole runs, each in a process of its own with one thread: what it took.

    python benchmarks/runs.py '{"architecture": "isaac", "network": "mlp"}'

is such a process: it reads, places, runs and reports as `cimarch sim` does, and prints a line of
JSON. Its memory is the most that it ever had, with what Python and the packages take.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parent.parent


@attrs.frozen
class Case:
    """A run: an architecture, a network, and options."""

    architecture: str
    network: str
    """A file, or the name of one that comes with cimarch (shapes only)."""
    input: str = ""
    tokens: int = 0
    settings: Mapping[str, str] = attrs.field(factory=dict)
    """Parameters of the architecture."""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    """Of `simulate`."""


@attrs.frozen
class Taken:
    """What a run took, and what came out."""

    seconds: float
    """From the start of the interpreter to the end of the process."""
    cpu: float
    """Of the processor, until it printed."""
    engine: float
    """Of the seconds, those of the engine's run, its compiled code being there."""
    MiB: int
    tasks: int
    cycles: int
    arrays: int
    groups: int


def take(case: Case, repeats: int = 1) -> Taken:
    """Run a case some times; the fastest."""
    return min((once(case) for _ in range(repeats)), key=lambda taken: taken.seconds)


def once(case: Case) -> Taken:
    """Run a case in a process of its own."""
    begin = time.perf_counter()
    call = [sys.executable, __file__, json.dumps(attrs.asdict(case))]
    done = subprocess.run(call, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Taken(seconds=time.perf_counter() - begin, **json.loads(done.stdout))


def main(case: Case) -> None:
    """Run a case in this process."""
    import cimarch

    module = import_module("cimarch.simulate")
    engine, ran = module.run_work, []

    def noted(work: Any, *arguments: Any, **options: Any) -> Any:
        if not ran:
            engine(smallest())
        begin = time.perf_counter()
        found = engine(work, *arguments, **options)
        ran.append((len(work), time.perf_counter() - begin))
        return found

    module.run_work = noted  # type: ignore[attr-defined]
    network = cimarch.read_network(
        case.network, input=case.input or None, tokens=case.tokens or None
    )
    system = cimarch.load(case.architecture, set=dict(case.settings))
    report = cimarch.simulate(system, network, **case.options)
    found = {
        "cpu": time.process_time(), "engine": ran[0][1], "MiB": most_memory(), "tasks": ran[0][0],
        "cycles": report.cycles, "arrays": report.crossbars, "groups": report.groups,
    }  # fmt: skip
    print(json.dumps(found))


def smallest() -> Any:
    """A work of one task, which lets the engine's compiled code be read."""
    from cimarch.engine.pieces import Piece, Template, Work

    return Work((Piece(Template.of(resource=[0], busy=[1]), 1),))


def most_memory() -> int:
    """MiB: the most that this process ever had."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if "VmHWM" in line) >> 10


if __name__ == "__main__":
    main(Case(**json.loads(sys.argv[1])))
