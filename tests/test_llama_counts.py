"""Llama-3.2-1B by its sizes alone: what lies on crossbars and is done there, counted by hand.

The sizes are those of its config.json: 16 blocks, width 2048, 32 heads of 64 with 8 for keys and
values, 8192 wide in between, 128256 words. Every block has seven matrices, and the head is the
table of words once more:

    query and output    2 x 2048 x 2048     =   8,388,608
    key and value       2 x 2048 x 512      =   2,097,152
    gate, up and down   3 x 2048 x 8192     =  50,331,648
    a block                                    60,817,408
    16 blocks                                 973,078,528
    the head            2048 x 128256       = 262,668,288
                                            1,235,746,816

An array of `language_chip` has 256 rows and 256 columns of 4-bit cells, so 128 weights of 8 bits a
row. A matrix takes (inputs / 256) x (outputs / 128) arrays:

    query and output    2 x 8 x 16          =  256
    key and value       2 x 8 x 4           =   64
    gate and up         2 x 8 x 64          = 1024
    down                32 x 16             =  512
    a block                                   1856
    16 blocks                                29,696
    the head            8 x 1002            =  8016
                                            37,712

A token puts a vector to every array of the blocks; only the last one's is put to the head.
"""

from __future__ import annotations

import json
import subprocess
import sys

import attrs
import pytest

import cimarch
from cimarch import map_network, read_network, simulate
from cimarch.report.report import Report
from cimarch.workload.blocks import prefill
from cimarch.workload.bundled import named
from cimarch.workload.network import Network

PARAMETERS = 1_235_746_816
BLOCK, HEAD, ARRAYS = 1856, 8016, 37_712

MEASURED = """
import json, cimarch
system, network = cimarch.load("language_chip"), cimarch.read_network("llama-3.2-1b", tokens={})
done = {}
report = done if isinstance(done, cimarch.Report) else None
with open("/proc/self/status") as lines:
    found = dict(MiB=next(int(line.split()[1]) >> 10 for line in lines if "VmHWM" in line))
if report is not None:
    found |= dict(
        products=int(report.layers["products"].sum()), arrays=report.crossbars, groups=report.groups
    )
print(json.dumps(found))
"""


def measured(work: str, tokens: int) -> dict[str, int]:
    """What some work takes and gives, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURED.format(tokens, work)], check=True, capture_output=True
    )
    found: dict[str, int] = json.loads(run.stdout)
    return found


def small(blocks: int, vocabulary: int, tokens: int) -> Network:
    """The same model with fewer blocks and words."""
    model = attrs.evolve(named("llama-3.2-1b"), layers=blocks, vocabulary=vocabulary)
    return prefill(model, tokens)


def products(report: Report) -> int:
    return int(report.layers["products"].sum())


def test_its_parameters_are_those_of_its_sizes() -> None:
    network = read_network("llama-3.2-1b", tokens=512)
    matrices = [op for op in network.operations if op.weight is not None and op.rows]
    assert len(matrices) == 16 * 7 + 1
    assert sum(op.rows * op.columns for op in matrices) == PARAMETERS
    assert all(weight.data is None for weight in network.weights.values())


def test_its_weights_take_37_712_arrays() -> None:
    placement = map_network(cimarch.load("language_chip"), read_network("llama-3.2-1b", tokens=1))
    assert len(placement.tiles) == placement.crossbars == 16 * BLOCK + HEAD == ARRAYS
    assert placement.groups == 1
    # Every array is full: two cells a weight.
    assert PARAMETERS * 2 == ARRAYS * 256 * 256
    assert placement.utilisation == 1


@pytest.mark.parametrize("tokens", [1, 3])
def test_a_block_puts_each_token_to_its_arrays_and_the_head_only_the_last(tokens: int) -> None:
    # One block, and a head of 2048 words: 8 x 16 arrays.
    report = simulate(cimarch.load("language_chip"), small(1, 2048, tokens))
    assert report.crossbars == BLOCK + 128
    assert products(report) == tokens * BLOCK + 128
    # 8 steps of one bit; two columns a weight, each converted in each step.
    assert int(report.layers["conversions"].sum()) == (tokens * BLOCK + 128) * 8 * 256


def test_nothing_is_held_for_weights() -> None:
    # A byte each would be 1,178 MiB.
    assert PARAMETERS >> 20 == 1178
    assert measured("cimarch.map_network(system, network)", 512)["MiB"] < 100


@pytest.mark.long
def test_512_tokens_of_it_take_15_million_products_and_less_than_two_gigabytes() -> None:
    found = measured("cimarch.simulate(system, network)", 512)
    assert found["arrays"] == ARRAYS
    assert found["groups"] == 1
    assert found["products"] == 512 * 16 * BLOCK + HEAD == 15_212_368
    assert found["MiB"] < 2 * 10**9 >> 20
