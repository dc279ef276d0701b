"""How fast the engines run a task table, and how fast a program is laid out as one.

    python benchmarks/engine.py            # the named table, both engines, cold and warm
    python benchmarks/engine.py --tasks 10000000 --no-simpy

The named table: 100,000 tasks on 256 resources; each waits for three of the 1,000 tasks before it,
for the finish of two and the start of one; busy and latency are 1 to 100 cycles; seed 0.
"""

from __future__ import annotations

import argparse
import os

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from machine import machine, verdict_of_rate

from cimarch.engine import run
from cimarch.engine.edges import Edge
from cimarch.engine.expand import expand
from cimarch.engine.pieces import Link, Piece, Template, Work
from cimarch.engine.tasks import Tasks

NAMED = 100_000
"""Tasks of the named table, which the target is for."""


def named_table(size: int, *, resources: int = 256, seed: int = 0) -> Tasks:
    """The table that the docstring above describes; the first tasks have fewer edges."""
    rng = np.random.default_rng(seed)
    before = np.arange(size)[:, None] - 1 - rng.integers(0, 1000, (size, 3))
    real = before >= 0
    return Tasks(
        resource=rng.integers(0, resources, size).astype(np.int32),
        busy=rng.integers(1, 101, size),
        latency=rng.integers(1, 101, size),
        offsets=np.concatenate(([0], np.cumsum(real.sum(axis=1)))),
        predecessors=before[real].astype(np.int32),
        after_start=np.broadcast_to([False, False, True], before.shape)[real],
        period=np.zeros(size, np.int16),
    )


def windows(count: int) -> Work:
    """A program's work: fetch, read and convert, `count` times, with a sample-and-hold."""
    write = Piece(Template.of(resource=[1], busy=[100]))
    window = Template.of(
        resource=[0, 1, 2],
        busy=[2, 5, 4],
        edges=(Edge(1, 0), Edge(2, 1), Edge(1, 2, lag=1, after_start=True)),
        gates=1,
        opens=((0, 0),),
    )
    link = Link(0, piece=0, source=0, blocks=np.zeros(count, np.int64))
    return Work((write, Piece(window, count, links=(link,))))


def seconds(action: Callable[[], object], repeat: int) -> list[float]:
    """How long each of `repeat` runs took."""
    taken = []
    for _ in range(repeat):
        begin = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begin)
    return taken


def first_call(size: int, cache: str) -> float:
    """Seconds of the first run in a new process: numba is imported, its code compiled or read."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from engine import named_table, run;"
        f"table = named_table({size}); begin = time.perf_counter(); run(table);"
        "print(time.perf_counter() - begin)"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(os.path.abspath(__file__))],
            env={**os.environ, "NUMBA_CACHE_DIR": cache},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )


def told(name: str, amount: int, taken: list[float], target: float | None = None) -> float:
    """Print one line, the target in tasks per second; the best rate."""
    best, median = amount / min(taken), amount / statistics.median(taken)
    aim = f"{target / 1e6:8.1f}   {verdict_of_rate(best, target)}" if target else ""
    print(f"{name:34}{best / 1e6:8.3f}{median / 1e6:8.3f}{len(taken):6}{aim}")
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=NAMED)
    parser.add_argument("--no-simpy", action="store_true", help="leave out the reference engine")
    options = parser.parse_args()
    size = options.tasks

    print(machine("numpy", "numba", "simpy") + ", one thread")
    table = named_table(size)
    print(f"{size:,} tasks, {table.resources} resources, {len(table.predecessors):,} edges\n")

    with tempfile.TemporaryDirectory() as cache:
        cold, warm = first_call(size, cache), first_call(size, cache)
    print(f"first run in a process: {cold:.2f} s compiling, {warm:.2f} s with numba's cache\n")

    print(f"{'M tasks/s':34}{'best':>8}{'median':>8}{'runs':>6}{'target':>8}")
    run(table)
    aim = 5e6 if size == NAMED else None
    fast = told("fast", size, seconds(lambda: run(table), 31 if size <= 10**6 else 3), aim)
    slow = None
    if not options.no_simpy:
        slow = told("simpy", size, seconds(lambda: run(table, "simpy"), 3))
    count = max(1, size // 3)
    work = windows(count)
    told("laying a program's windows out", 3 * count + 1, seconds(lambda: expand(work), 7), 1e6)
    if slow:
        ratio = fast / slow
        print(f"\nfast is {ratio:.0f} times simpy; target 100: {verdict_of_rate(ratio, 100)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
