"""Products through converters, layer by layer: `python benchmarks/crossbar_products.py [repeats]`.

3 x 3 convolutions of the sizes that residual networks have, batch 100, 8-bit weights in 4 slices of
2 bits drawn evenly, 8 input bits one by one, 128 rows, on one thread: logical multiply-accumulates
per second of the bit-plane path, whatever the converter does to the sums; then where the time of a
layer goes, how far it is from the vector instructions that it cannot do without, and how two
threads scale. Filling, packing and tables of digits are included. Best of several repeats.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attrs
import numba
import numpy as np
from machine import features, machine, verdict_of_rate

from cimarch.functional.converter import Ranges, unit_ranges
from cimarch.functional.lines import lines_of, sections_of
from cimarch.functional.paths import plane_packing, plane_products
from cimarch.functional.paths.lookups import LANES, rows_of_a_lookup
from cimarch.functional.paths.plane_data import Plan
from cimarch.functional.paths.planes import CHUNK, Planes, room_of
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

BATCH = 100
LAYERS = [(16, 32), (32, 16), (64, 8), (128, 16), (256, 8), (512, 4)]
"""Channels and side of the map, as in ResNet-20 and ResNet-18."""
KINDS = {
    "offset, 6 bits": ("offset", Converter(6), None, 15, 12),
    "differential, 6 bits": ("differential", Converter(6), None, 11, 9),
    "offset, 5 bits, step 12.4": ("offset", Converter(5), Ranges.of(0, 12.4), 12, 0),
}
"""Encoding, converter, ranges, and the rates to reach: of 288 rows and more, and of fewer."""


@attrs.frozen(eq=False)
class Layer:
    """A convolution and its inputs."""

    path: Planes
    inputs: np.ndarray
    products: int

    @classmethod
    def of(cls, kind: str, channels: int, side: int) -> Layer:
        encoding, converter, ranges, *_ = KINDS[kind]
        random, rows = np.random.default_rng(0), channels * 9
        scheme = Scheme(encoding, subtract="analog", converter=converter)
        weights = random.integers(-127, 128, (channels, rows))
        lines = lines_of(weights, scheme, sections_of(rows, 128, 128))
        windows = Windows(rows, 1, Geometry((3, 3), padding=(1, 1, 1, 1)))
        path = Planes([lines], ranges or unit_ranges(converter, lines.signed), windows, threads=1)
        inputs = random.integers(0, 256, (BATCH, channels, side, side)).astype(np.uint8)
        return cls(path, inputs, BATCH * side * side * rows * channels)

    def rate(self, repeats: int) -> float:
        """Billions of multiply-accumulates per second of processor time."""
        return self.products / best(lambda: self.path(self.inputs), repeats) / 1e9


def best(
    work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time
) -> float:
    """The shortest time of a piece of work."""
    work()
    found = []
    for _ in range(repeats):
        start = clock()
        work()
        found.append(clock() - start)
    return min(found)


def rates(repeats: int) -> Iterator[str]:
    yield (
        "\nG multiply-accumulates/s    rows"
        + "   ".join(["", *(f"{kind:27}" for kind in KINDS)]).rstrip()
    )
    for channels, side in LAYERS:
        told = []
        for kind, (*_, target, small) in KINDS.items():
            rate = Layer.of(kind, channels, side).rate(repeats)
            wanted = target if channels * 9 >= 288 else small
            verdict = f"{verdict_of_rate(rate, wanted)} ({wanted})" if wanted else ""
            told.append(f"   {rate:6.1f}   {verdict:18}")
        name = f"{channels} channels, {side} x {side}"
        yield f"{name:24}{channels * 9:8,}{''.join(told)}".rstrip()


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def part(which, planes, plan, source, end, width, room, counts):  # type: ignore[no-untyped-def]
    """One part of the work on a chunk, all sections."""
    for s in range(len(plan.first)):
        if which == 0:
            plane_packing.fill(plan, source, 0, s, 0, end, width, room.filled)
        elif which == 1:
            plane_packing.pack(planes, plan, s, width, room)
        elif which == 2:
            plane_products.make_tables(plan, 0, s, 0, plan.digits.shape[2], room.tables)
        else:
            plane_products.multiply(
                planes, (), plan, 0, s, 0, plan.digits.shape[2], width, room, counts
            )


def profile(repeats: int) -> Iterator[str]:
    """Where the time of a layer goes, and its floor."""
    clock = gigahertz()
    yield f"\nthe clock runs at {clock:.2f} GHz, as a chain of multiplications tells"
    yield "us, 2,048 windows     rows   all    fill    pack  tables   mult.    rest   floor  ratio"
    for channels, side in LAYERS[:3]:
        layer = Layer.of("offset, 6 bits", channels, side)
        plan, (source, _) = layer.path.prepared[0].plan, layer.path.source_of(layer.inputs)
        rows = CHUNK // side
        room, width = room_of(layer.path.prepared[0], source, rows)
        given = ((np.uint8(0),) * 8, plan, source, rows, width, room, np.zeros(3, np.int64))
        times = [best(partial(part, n, *given), repeats) for n in range(4)]
        chunk = layer.products / layer.rate(repeats) / 1e9 * rows / (BATCH * side)
        floor = vectors(plan, width) / 2 / clock / 1e9
        shares = "".join(f"{each / chunk:8.0%}" for each in [*times, chunk - sum(times)])
        yield (
            f"{channels:3} channels{channels * 9:15,}{chunk * 1e6:6,.0f}{shares}"
            f"{floor * 1e6:8,.0f}{chunk / floor:7.2f}"
        )


def vectors(plan: Plan, width: int) -> float:
    """Vector instructions that the products of a chunk cannot do without, 64 lanes each.

    A lookup and an addition for each lookup and plane; 7 for each plane to clip a code, to widen it
    in two halves and to add it up; 16 to add a line to its outputs.
    """
    lookups, lines = int(plan.used.sum()), plan.used.size
    return width / LANES * (lookups * 2 * 8 + lines * (7 * 8 + 16))


@numba.njit  # type: ignore[untyped-decorator]
def chain(count: int) -> int:
    x = np.uint64(count)
    for _ in range(count):
        x = x * x + np.uint64(12345)
    return int(x)


def gigahertz(count: int = 20_000_000) -> float:
    """Cycles per nanosecond: a multiplication takes three of them and an addition one."""
    return 4 * count / best(lambda: chain(count), 5) / 1e9


def threads(repeats: int) -> Iterator[str]:
    cores = os.cpu_count() or 1
    yield f"\nthreads, wall time, {cores} cores             1       2   ratio"
    for channels, side in LAYERS[1:4:2]:
        layer = Layer.of("offset, 6 bits", channels, side)
        one, two = (
            layer.products / best(partial(path, layer.inputs), repeats, time.perf_counter) / 1e9
            for path in (attrs.evolve(layer.path, threads=count) for count in (1, 2))
        )
        yield f"offset, 6 bits, {channels:3} channels{one:14.1f}{two:8.1f}{two / one:8.2f}"


def main(repeats: int) -> None:
    print(f"{machine('numpy', 'numba')}, one thread, {features()}")
    print(f"{rows_of_a_lookup()} rows a lookup")
    for lines in (rates(repeats), profile(repeats), threads(repeats)):
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
