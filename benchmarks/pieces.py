"""How the fast engine runs pieces: its cost is linear, its memory that of what is under way.

    python benchmarks/pieces.py            # 4 sizes, 10 times as large each, and the reductions
    python benchmarks/pieces.py 1000       # with so many blocks at most

A block has 1,000 tasks on 256 resources; each waits for one of the 40 before it, and the first for
the last of the block before. The pipeline is 8 such pieces, each a row behind the one before it and
at most 4 rows ahead of the one behind it. The macros are 4,096 arrays, each with its converter,
that do the same 128 times a block. Every line is a process of its own; its memory is the most that
it had, with what Python, numpy and numba take.
"""

from __future__ import annotations

import os
import subprocess
import sys

os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import resource
import time

import numpy as np
from machine import machine

from cimarch.engine import run_work
from cimarch.engine.edges import Edge, Edges
from cimarch.engine.pieces import NOTHING, Link, Piece, Template, Work

SLOTS, LAYERS, MACROS, TURNS = 1000, 8, 4096, 128


def block(seed: int, gates: int = 0) -> Template:
    """The template that the docstring above describes."""
    rng = np.random.default_rng(seed)
    slot = np.arange(1, SLOTS)
    source = np.maximum(0, slot - rng.integers(1, 41, len(slot)))
    inside = Edges(slot, source, np.zeros_like(slot), np.zeros(len(slot), np.bool_))
    return Template.of(
        resource=256 * seed + rng.integers(0, 256, SLOTS),
        busy=rng.integers(1, 20, SLOTS),
        edges=Edges.joined([inside, Edges.of([Edge(0, SLOTS - 1, lag=1)])]),
        gates=gates,
        opens=[(0, gate) for gate in range(gates)],
    )


def repeated(blocks: int) -> Work:
    """One piece."""
    return Work((Piece(block(0), blocks),))


def pipeline(blocks: int) -> Work:
    """Pieces that take in each other's rows and have room for four."""
    row, last = np.arange(blocks), SLOTS - 1
    room = np.maximum(NOTHING, row - 4)
    pieces = []
    for number in range(LAYERS):
        links = [Link(0, number - 1, last, row)] if number else []
        links += [Link(1, number + 1, last, room)] if number + 1 < LAYERS else []
        pieces.append(Piece(block(number, gates=2), blocks, links=tuple(links)))
    return Work(tuple(pieces))


def macros(blocks: int) -> Work:
    """Arrays and converters that run in lock-step, and a join at the end of each block."""
    size = 2 * MACROS * TURNS + 1
    macro, turn = np.arange(MACROS)[:, None], np.arange(TURNS)
    read = 2 * (macro * TURNS + turn)
    convert, end = read + 1, size - 1
    held, busy = np.full(size, -1), np.zeros(size, np.int64)
    held[read], held[convert] = macro, MACROS + macro
    busy[read], busy[convert] = 10, 8
    ends = ((convert, read), (read[:, 1:], read[:, :-1]), (end, convert[:, -1]), (read[:, 0], end))
    pairs = [np.broadcast_arrays(slot, source) for slot, source in ends]
    slot, source = (np.concatenate([np.ravel(pair[n]) for pair in pairs]) for n in (0, 1))
    lag = np.where(source == end, 1, 0)
    edges = Edges(slot, source, lag, np.zeros(len(slot), np.bool_))
    return Work((Piece(Template.of(resource=held, busy=busy, edges=edges), blocks),))


KINDS = {"repeated": repeated, "pipeline": pipeline, "macros": macros}


def case(kind: str, blocks: int, reduce: bool) -> None:
    """Run one work and print its line; a small one first, to read the compiled code."""
    run_work(repeated(10), reduce=reduce)
    work = KINDS[kind](blocks)
    begin = time.perf_counter()
    found = run_work(work, reduce=reduce)
    taken = time.perf_counter() - begin
    spared = found.alike + found.skipped
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{kind:9}{blocks:>9,}{len(work):>15,}{'yes' if reduce else 'no':>8}{taken:>9.3f}"
        f"{len(work) / taken / 1e6:>11.1f}{len(work) - spared:>13,}{found.most_rows:>11,}"
        f"{memory:>9,.0f}",
        flush=True,
    )


def main(most: int) -> None:
    print(machine("numpy", "numba") + ", one thread\n")
    print(
        f"{'work':9}{'blocks':>9}{'tasks':>15}{'reduced':>8}{'seconds':>9}{'M tasks/s':>11}"
        f"{'of them run':>13}{'at once':>11}{'MiB':>9}",
        flush=True,
    )
    sizes = [blocks for blocks in (100, 1000, 10_000, 100_000) if blocks <= most]
    cases = [("repeated", blocks, "") for blocks in sizes]
    cases += [("pipeline", blocks, "") for blocks in sizes[:-1]]
    cases += [(kind, sizes[-1], "reduce") for kind in ("repeated", "pipeline")]
    cases += [("macros", min(512, most), "reduce")]
    for kind, blocks, reduce in cases:
        subprocess.run([sys.executable, __file__, kind, str(blocks), reduce], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        case(sys.argv[1], int(sys.argv[2]), bool(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
