"""What wires take from an array, and how well the fast estimate tells it.

    python benchmarks/wires.py

Random 2-bit cells, random inputs of one bit; the table of docs/functional.md.
"""

from __future__ import annotations

import time

import numpy as np

from cimarch.functional.cells.wire import effective, effective_fast

SIZES = (64, 128, 256)
RATIOS = (1e6, 1e5, 1e4)
"""Resistance of a cell at its highest level over that of a segment of wire."""


def main() -> None:
    print(f"{'array':>9} {'cell / wire':>12} {'lost':>8} {'fast errs by':>13} {'exact takes':>12}")
    for size in SIZES:
        for ratio in RATIOS:
            print(line(size, ratio))


def line(size: int, ratio: float) -> str:
    """One row of the table."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, (size, size)) / 3 / ratio
    inputs = rng.integers(0, 2, (200, size))
    begin = time.process_time()
    exact = inputs @ effective(cells)
    took = time.process_time() - begin
    ideal, fast = inputs @ cells, inputs @ effective_fast(cells)
    lost = 1 - exact.sum() / ideal.sum()
    error = np.sqrt(((fast - exact) ** 2).mean()) / exact.mean()
    array = f"{size} x {size}"
    return f"{array:>9} {ratio:>12,.0f} {lost:>8.2%} {error:>13.4%} {took:>10.2f} s"


if __name__ == "__main__":
    main()
