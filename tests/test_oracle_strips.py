"""The independent simulator of tests/oracle agrees on strips that lie on several pools."""

from __future__ import annotations

from random import Random

import pytest

import cimarch
from cimarch.engine import run
from cimarch.mapping.place import place
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import precision
from cimarch.mapping.strips import LAYOUTS, positions_of
from cimarch.program.context import Options
from cimarch.program.program import program
from cimarch.workload.network import Network
from oracle import networks
from test_oracle import NETWORKS, agree

POOLS = """
from std import crossbar, dac, adc, shift_add, adder_tree, accumulator, buffer, unit, bus, dram
component Pool {
    param read: time = 4 ns
    part input[3]: buffer { size = INPUT, width = 16 bit }
    part dac[6, 32]: dac { bits = 2 }
    part array[6]: crossbar {
        rows = 32, columns = 24, word_lines = 16, cell_bits = 2, encoding = offset
        action read { latency = read }
        action write { latency = 7 ns }
    }
    part adc[6, 4]: adc { bits = 5, rate = 1 GHz }
    part merge[6]: shift_add
    connect input[*] -> dac[*, *] -> array[*] -> adc[*, *] -> merge[*]
}
component High is Pool { array.serves = weight_bits > 4 }
component Low is Pool { read = 3 ns, array.serves = weight_bits <= 4 }
system Pools {
    clock = 500 MHz
    part maps: buffer { size = SIZE, width = 32 bit }
    part bus: bus { width = 24 bit }
    part high: High
    part low: Low
    part add: ADDER
    part vector: unit { does = [relu, add, max_pool, average_pool], lanes = 2, stages = 2 }
    part memory: dram { width = 32 bit, rate = 500 MHz }
    connect memory <-> maps
    connect maps -> bus -> high.input[*]
    connect bus -> low.input[*]
    connect high.merge[*] -> bus -> add -> vector -> maps
    connect low.merge[*] -> bus
    connect maps -> vector
}
"""


def mixed(draw: Random, network: Network) -> dict[str, object]:
    """Strips of 6 and 4 bits for most matrix operations."""
    found: dict[str, object] = {}
    for op in network.operations:
        if op.is_matrix and draw.random() < 0.8:
            low = draw.choice([0.2, 0.5, 0.9])
            rows = [
                "".join("01"[draw.random() < low] for _ in range(op.columns * op.groups))
                for _ in range(positions_of(op))
            ]
            strips = {"bits": [6, 4], "levels": rows, "layout": draw.choice(list(LAYOUTS))}
            strips["reads"] = len(found) % 3 if strips["layout"] == "packed" else 0
            found[op.name] = {"strips": strips}
    return found


def placed(draw: Random, network: Network, schedule: str) -> Placement:
    text = POOLS.replace("ADDER", draw.choice(["adder_tree", "accumulator"]))
    text = text.replace("INPUT", draw.choice(["48 B", "400 B"])).replace("SIZE", "16 KiB")
    bits = precision(network, 6, 4, mixed(draw, network))
    return place(cimarch.loads(text), network, bits, input_bits=4, schedule=schedule)


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("network", ["perceptron", "convolutions", "residual"])
def test_the_oracle_agrees_on_strips(network: str, schedule: str) -> None:
    for seed in range(2):
        placement = placed(Random(seed), NETWORKS[network], schedule)
        placement.check()
        agree(placement, rounded=True)


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_agrees_on_strips_of_networks_as_they_fall(seed: int) -> None:
    draw = Random(seed)
    network = networks.any_network(draw)
    agree(placed(draw, network, "layers"), rounded=True, batch=draw.randint(1, 2))


@pytest.mark.parametrize("network", ["convolutions", "residual"])
def test_strips_take_the_same_time_read_by_read(network: str) -> None:
    placement = placed(Random(0), NETWORKS[network], "layers")
    times = [
        run(program(placement, options=Options(detail=detail)).tasks).makespan
        for detail in ("mvm", "wordline")
    ]
    assert times[0] == times[1]


def test_the_oracle_agrees_where_the_weights_of_both_pools_are_written_first() -> None:
    placement = placed(Random(2), NETWORKS["residual"], "layers")
    agree(placement, rounded=True, weights="cold")
