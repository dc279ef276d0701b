"""Whole networks on the chip, image by image: `python benchmarks/network_images.py [--data SET]`.

ResNet-20 in batches of 100 on one thread: in plain torch, by the executor in float and in whole
numbers, and on `bit_serial` (128 rows, 4 slices of 2 bits, 8 input bits one by one) with several
encodings and converters. Weights are those of `models/resnet20.pt`; images are drawn at random, or
come from a data set (`--data cifar10:PATH`), which changes no rate. Then the lossless path alone,
on layers of the shapes that residual networks have. Each figure is the best of several repeats.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import torch
from machine import features, machine, verdict_of_rate

import cimarch
from cimarch.functional.fit.observe import spreads_of
from cimarch.functional.fit.quantise import Quantising, quantise, schemes_of
from cimarch.functional.matrix import matrix_of
from cimarch.functional.paths.exact import Product
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.run.execute import Executor
from cimarch.functional.windows import Windows
from cimarch.mapping.placement import Placement
from cimarch.simulate import map_network
from cimarch.workload import zoo
from cimarch.workload.network import Geometry, Network

BATCH = 100
CHIPS = {
    "flipped, 8 bits": ("flipped", 8, 1500),
    "offset, 9 bits": ("offset", 9, 1500),
    "offset, 8 bits": ("offset", 8, 1500),
    "offset, 7 bits": ("offset", 7, 0),
    "offset, 6 bits": ("offset", 6, 320),
    "differential, 8 bits": ("differential", 8, 0),
    "differential, 6 bits": ("differential", 6, 240),
}
"""Encoding, converter bits, and the images a second that it should reach."""
LAYERS = [(16, 32), (32, 16), (64, 8), (128, 16), (256, 8), (512, 4)]
"""Channels and side of the map of 3 x 3 convolutions, as of ResNet-20 and ResNet-18."""
REPEATS = 15


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a data set, as `cimarch eval` takes it")
    asked = parser.parse_args()
    print(f"{machine('numpy', 'numba', 'torch')}, one thread, {features()}")
    network = cimarch.read_network("resnet20")
    images = drawn(network, asked.data)
    print(f"\nimages/s, ResNet-20, batch {BATCH}     best  median   target")
    for line in network_rates(network, images):
        print(line, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")
    print(f"\nG multiply-accumulates/s, 3 x 3, batch {BATCH}    rows  integer  float32")
    for line in layer_rates():
        print(line, flush=True)


def drawn(network: Network, data: str | None) -> np.ndarray:
    """A batch of images."""
    if data is not None:
        return cimarch.read_data(data).fitted(network).test.inputs(0, BATCH)
    shape = network.tensors[network.inputs[0]].shape
    return np.random.default_rng(0).normal(size=(BATCH, *shape)).astype(np.float32)


def network_rates(network: Network, images: np.ndarray) -> Iterator[str]:
    """A line for each way to run the network."""
    module = zoo.build("resnet20").eval()
    with torch.no_grad():
        x = torch.from_numpy(images)
        plain = times(lambda: module(x))
    yield line("float, plain torch", plain, 0)
    float_ = Executor.float(network)
    yield line("float, executor", times(lambda: float_.run(images)), 0)
    whole = in_whole_numbers(network, placed(network, "offset", 8), images)
    exact = Executor(whole)
    yield line("whole numbers, exact", times(lambda: exact.run(images)), 0)
    for name, (encoding, bits, target) in CHIPS.items():
        placement = placed(network, encoding, bits)
        matrices = {n: matrix_of(placement, n, each) for n, each in whole.operations.items()}
        chip = Executor(whole, {n: matrix.path for n, matrix in matrices.items()})
        seconds = times(partial(chip.run, images))
        paths = [matrix.path.name for matrix in matrices.values()]
        kinds = ", ".join(f"{paths.count(p)} {p.replace(', ', ' + ')}" for p in sorted({*paths}))
        yield f"{line(name, seconds, target):66} {kinds}"


def placed(network: Network, encoding: str, bits: int) -> Placement:
    """The network on the plain bit-serial chip."""
    chosen = {"macro.array.encoding": encoding, "macro.adc.bits": str(bits)}
    return map_network(cimarch.load("bit_serial", set=chosen), network)


def in_whole_numbers(
    network: Network, placement: Placement, images: np.ndarray
) -> QuantisedNetwork:
    """The network, quantised by the images themselves: nothing is judged here."""
    schemes = schemes_of(placement)
    spreads = spreads_of(network, schemes, lambda: [images], len(images))
    return quantise(network, schemes, spreads, Quantising())


def layer_rates() -> Iterator[str]:
    """A line for each layer, with both units of the lossless path."""
    random = np.random.default_rng(0)
    for channels, side in LAYERS:
        rows = channels * 9
        windows = Windows(rows, 1, Geometry((3, 3), padding=(1, 1, 1, 1)))
        weights = np.clip(random.normal(0, 30, (1, channels, rows)), -127, 127).astype(np.int64)
        x = random.integers(0, 256, (BATCH, side, side, channels), dtype=np.uint8)
        x = x.transpose(0, 3, 1, 2)  # the channels fastest, as the tail hands them on
        macs = BATCH * side * side * rows * channels
        rates = [rate(weights, windows, x, macs, unit) for unit in ("integer", "float32")]
        told = [f"{each:9,.0f}" if each else "        -" for each in rates]
        verdict = verdict_of_rate(rates[0], 100) if rows >= 288 else ""
        layer = f"{channels:4} channels, {side:2} x {side:2}{rows:27,}"
        yield f"{layer}{''.join(told)}   {verdict}".rstrip()


def rate(weights: np.ndarray, windows: Windows, x: np.ndarray, macs: int, unit: str) -> float:
    """Multiply-accumulates a nanosecond; 0 where a unit does not take the layer."""
    try:
        product = Product(weights, windows, (0, 255), unit=unit)
    except ValueError:
        return 0.0
    return macs / min(times(lambda: product(x))) / 1e9


def times(work: Callable[[], object]) -> list[float]:
    """Processor seconds of each repeat, the shortest first."""
    work()
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return sorted(found)


def line(name: str, seconds: list[float], target: float) -> str:
    """A row of the table of networks."""
    best, median = BATCH / seconds[0], BATCH / seconds[len(seconds) // 2]
    told = f"{target:6,.0f}   {verdict_of_rate(best, target)}" if target else ""
    return f"{name:34}{best:8,.0f}{median:8,.0f}   {told}".rstrip()


if __name__ == "__main__":
    main()
