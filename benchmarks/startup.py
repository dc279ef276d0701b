"""How long a user waits, shell to shell: `python benchmarks/startup.py [repeats]`.

Each command runs in a process of its own. *Warm* is the second run and those after it; *cold* is a
run in which numba's cache is empty, as after an installation, so the engine is compiled too.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import attrs
from machine import machine, verdict

ROOT = Path(__file__).resolve().parent.parent

HEAVY = ("torch", "numpy", "networkx", "numba", "rich", "simpy", "pandas")
"""Packages that a light command does without."""


@attrs.frozen
class Command:
    """What is run, how, and the seconds that it may take when warm."""

    label: str
    arguments: tuple[str, ...]
    target: float
    compiles: bool = False
    """Whether it runs an engine, which an empty cache makes slower."""


COMMANDS = (
    Command("python, nothing else", ("-c", ""), 0.1),
    Command("import cimarch", ("-c", "import cimarch"), 0.1),
    Command("cimarch check isaac", ("-m", "cimarch", "check", "isaac"), 0.4),
    Command(
        "cimarch sim isaac models/resnet20.pt",
        ("-m", "cimarch", "sim", "isaac", "models/resnet20.pt"),
        3.0,
        compiles=True,
    ),
)


def seconds(command: Command, cache: str | None = None) -> float:
    """Run the interpreter once and return how long it took."""
    environment = dict(os.environ) if cache is None else {**os.environ, "NUMBA_CACHE_DIR": cache}
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *command.arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begin


def cold(command: Command) -> str:
    """The seconds with an empty cache, where that makes a difference."""
    if not command.compiles:
        return ""
    with tempfile.TemporaryDirectory() as cache:
        return f"{seconds(command, cache):.2f}"


def loaded(arguments: tuple[str, ...]) -> list[str]:
    """The heavy packages that a command of cimarch loads."""
    code = (
        f"import sys; from cimarch.cli import main; main({list(arguments)}); "
        f"print(*(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()[-1].split()


def main(repeats: int) -> None:
    """Print a line a command."""
    print(machine("lark", "numpy", "numba"))
    print(f"\n{'seconds':38}{'best':>8}{'median':>8}{'cold':>8}{'target':>8}   best of {repeats}")
    for command in COMMANDS:
        seconds(command)
        taken = [seconds(command) for _ in range(repeats)]
        best, median = min(taken), statistics.median(taken)
        print(
            f"{command.label:38}{best:8.3f}{median:8.3f}{cold(command):>8}{command.target:8.1f}"
            f"   {verdict(best, command.target)}"
        )
    print(f"\ncheck loads {', '.join(loaded(('check', 'isaac'))) or 'none'} of {', '.join(HEAVY)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
