"""The named list of chips and networks: `python benchmarks/every_chip.py [words]`.

The list is that of tests/every_chip.py, where each pair is held to what must be true of any run;
here is what comes of each, and what it takes: both schedules in the detail `mvm`, one inference,
8-bit weights and inputs. Every pair is run twice in this process, and the second is timed; one that
takes ten seconds is run once.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from machine import machine

import cimarch
from cimarch import DescriptionError, Network, Report, System
from cimarch.mapping.placement import Placement
from cimarch.program.program import program
from every_chip import PAIRS, Pair

LONG = 10.0
"""Seconds from which a pair is run once: what the first run loads is nothing beside it."""


def tasks(placement: Placement) -> int:
    """Tasks of one inference."""
    return len(program(placement).work)


def timed(system: System, network: Network, schedule: str) -> tuple[Report, float]:
    """A run, and its seconds."""
    begin = time.perf_counter()
    report = cimarch.simulate(system, network, schedule=schedule)
    return report, time.perf_counter() - begin


def show(pair: Pair) -> None:
    """Print the line of a pair."""
    system, network = pair.system(), pair.read()
    line = f"{pair.chip:17}{pair.network:28}"
    for schedule in pair.schedules:
        try:
            report, taken = timed(system, network, schedule)
        except DescriptionError as error:
            print(f"{line}refused: {error.diagnostics[0].code}", flush=True)
            return
        if taken < LONG:
            report, taken = timed(system, network, schedule)
        count = tasks(cimarch.map_network(system, network, schedule=schedule))
        print(
            f"{line}{schedule:10}{report.groups:>7}{count:>12,}{report.cycles:>14,}{taken:>9.2f}",
            flush=True,
        )


def main(words: list[str]) -> None:
    """Print the lines of the pairs whose names hold all words."""
    print(machine("numpy", "numba") + ", one thread\n")
    print(
        f"{'chip':17}{'network':28}{'schedule':10}{'groups':>7}{'tasks':>12}{'cycles':>14}"
        f"{'seconds':>9}",
        flush=True,
    )
    for pair in PAIRS:
        if all(word in str(pair) for word in words):
            show(pair)


if __name__ == "__main__":
    main(sys.argv[1:])
