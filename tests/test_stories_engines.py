"""Every bundled chip runs every kind of network, the same on both engines and every time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chips import Draft, bare, mlp, resnet20, run, table
from cimarch import simulate
from cimarch.language import load as bundled
from cimarch.workload.network import Network

CHIPS = ("isaac", "edge_macro", "single_crossbar")


def pooled() -> Network:
    """Convolutions with strides and groups, poolings that join a chain and that do not."""
    draft = Draft(4, 12, 12)
    one = draft.relu("relu1", draft.conv("conv1", "x", 8, 3, padding=1))
    two = draft.conv("conv2", draft.pool("pool1", one, 2, 2), 8, 3, padding=1, groups=8)
    three = draft.add("add", two, draft.conv("conv3", two, 8, 1))
    four = draft.conv("conv4", draft.pool("pool2", three, 3, 1), 6, 3, stride=2, dilation=1)
    draft.linear("linear", draft.pool("pool3", four, 1, 1, "average"), 10)
    return draft.network()


NETWORKS = {
    "resnet20": lambda: resnet20(side=8),
    "mlp": lambda: mlp(784, 100, 10),
    "table": lambda: table((300, 70, 9), (70, 40, 3, 4), (160, 20)),
    "pooled": pooled,
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("chip", CHIPS)
def test_both_engines_run_a_bundled_chip_the_same(chip: str, name: str) -> None:
    fast, simpy = (run(bundled(chip), NETWORKS[name](), engine=e) for e in ("fast", "simpy"))
    for column in ("ready", "start", "finish", "busy"):
        assert np.array_equal(getattr(fast.timeline, column), getattr(simpy.timeline, column))
    assert fast.cycles == simpy.cycles
    assert fast.entries == simpy.entries


@pytest.mark.parametrize("weights", ["preloaded", "cold"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("chip", CHIPS)
def test_batches_are_legal_on_every_chip(chip: str, batch: int, weights: str) -> None:
    # `run` checks every timeline; each inference does the same work.
    network = pooled()
    done = run(bundled(chip), network, batch=batch, weights=weights)
    once = run(bundled(chip), network)
    path = done.placement.pool.path
    assert done.count(path, "read") == batch * once.count(path, "read")


@pytest.mark.parametrize("chip", CHIPS)
def test_the_same_input_gives_the_same_report_byte_for_byte(chip: str) -> None:
    one, two = (
        json.dumps(simulate(bundled(chip), resnet20(side=8)).to_dict(), sort_keys=False)
        for _ in range(2)
    )
    assert one == two


def test_the_engine_does_not_change_the_report() -> None:
    def figures(engine: str) -> dict[str, object]:
        found = simulate(bare(), table((256, 100, 5)), engine=engine).to_dict()
        return {key: value for key, value in found.items() if key not in ("options", "manifest")}

    assert figures("fast") == figures("simpy")


def test_resnet20_on_isaac_is_a_legal_run() -> None:
    # 16,128 arrays hold it many times over: one group, 9,089 windows, nothing written in the run.
    done = run(bundled("isaac"), resnet20(), 8)
    assert done.placement.groups == 1
    assert done.writes() == {}
    # 8-bit weights are 4 columns of 2 bits: 32 outputs an array, 128 inputs
    tiles = [
        -(-op.rows // 128) * -(-op.columns // 32)
        for op in done.placement.network.operations
        if op.rows
    ]
    assert len(done.placement.tiles) == sum(tiles)
