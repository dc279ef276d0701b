"""How long a user waits, shell to shell: `python benchmarks/startup.py [repeats]`.

Each command runs in a process of its own; the best and the median of the repeats are printed, next
to the target. The first run after an installation also compiles the engine and is not counted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

COMMANDS = (
    ("import cimarch", ("-c", "import cimarch"), 0.1),
    ("cimarch check isaac", ("-m", "cimarch", "check", "isaac"), 0.4),
    (
        "cimarch sim isaac models/resnet20.pt",
        ("-m", "cimarch", "sim", "isaac", "models/resnet20.pt"),
        3.0,
    ),
)
"""What is run, how, and the seconds that it may take."""


def seconds(arguments: tuple[str, ...]) -> float:
    """Run the interpreter once and return how long it took."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main(repeats: int) -> None:
    """Print a line a command."""
    print(f"{'command':40}{'best':>8}{'median':>8}{'target':>8}   seconds, {repeats} runs")
    for label, arguments, target in COMMANDS:
        seconds(arguments)
        taken = [seconds(arguments) for _ in range(repeats)]
        print(f"{label:40}{min(taken):8.3f}{statistics.median(taken):8.3f}{target:8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
