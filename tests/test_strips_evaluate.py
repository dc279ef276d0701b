"""Networks whose strips have several precisions, judged end to end on two pools."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimarch
from cimarch.cli import main
from cimarch.evaluate import Quantising
from cimarch.functional.fit.quantise import matrices
from cimarch.mapping.strips import Strips, positions_of
from cimarch.workload.network import Network

pytest.importorskip("torch")
pytest.importorskip("sklearn")

IDEAL = {"tile.four.array.on_off_ratio": 0, "tile.eight.array.on_off_ratio": 0}
"""Cells whose level 0 conducts nothing: all sums are whole."""
EXACT = IDEAL | {"tile.four.converter_bits": 8}
"""And converters that hold any sum of 64 rows."""


@pytest.fixture(scope="module")
def network() -> Network:
    return cimarch.read_network("digits")


def policy(network: Network, low: float, bits: tuple[int, ...] = (8, 4), **more: Any) -> Any:
    """A share of strips at random in the lower precision."""
    random = np.random.default_rng(0)
    found = {}
    for op in matrices(network):
        level = random.random((positions_of(op), op.columns * op.groups)) < low
        found[op.name] = {"strips": Strips(bits, level.astype(np.uint8), **more).to_dict()}
    return found


@pytest.mark.parametrize("layout", ["packed", "holes"])
def test_conversions_are_those_that_the_simulation_charges(network: Network, layout: str) -> None:
    system, mix = cimarch.load("two_pools", set=IDEAL), policy(network, 0.7, layout=layout)
    found = cimarch.evaluate(system, network, "digits", images=20, statistics=5, precision=mix)
    counted: dict[str, int] = defaultdict(int)
    for name, conversions in zip(found.layers["name"], found.layers["conversions"], strict=True):
        counted[name] += int(conversions)
    report = cimarch.simulate(system, network, precision=mix)
    charged = dict(zip(report.layers["name"], report.layers["conversions"], strict=True))
    assert counted == {name: charged[name] for name in counted}
    assert found.layers["weight_bits"].tolist() == [8, 4] * 4
    assert found.layers["converter_bits"].tolist() == [8, 4] * 4


def test_where_converters_lose_nothing_the_chip_is_the_quantised_model(network: Network) -> None:
    system, mix = cimarch.load("two_pools", set=EXACT), policy(network, 0.5)
    for per, ratio in (("tensor", "free"), ("channel", "power_of_two"), ("strip", "free")):
        found = cimarch.evaluate(
            system, network, "digits", images=100, statistics=10, precision=mix,
            quantising=Quantising(per=per, ratio=ratio),
        )  # fmt: skip
        assert set(found.layers["path"]) == {"lossless"}
        assert found.is_equal
        assert found.difference.value == 0
        assert max(found.layers["error"]) == 0
        assert found.quantised.top1.value >= 0.95


def test_strips_all_of_one_precision_are_the_uniform_model(network: Network) -> None:
    system = cimarch.load("two_pools", set=EXACT)
    uniform, mixed = (
        cimarch.quantise(system, network, "digits", precision=each)
        for each in (None, policy(network, 0.0))
    )
    for name, each in uniform.operations.items():
        assert np.array_equal(each.weights, mixed.operations[name].weights)
        assert np.array_equal(each.weight_scale, mixed.operations[name].weight_scale)


def test_a_quantised_model_and_its_ranges_are_taken_over(network: Network, tmp_path: Path) -> None:
    system, mix = cimarch.load("two_pools", set=IDEAL), policy(network, 0.7)
    model = cimarch.quantise(system, network, "digits", precision=mix, images=32)
    cimarch.save_quantised(model, tmp_path / "model.safetensors")
    ranges = cimarch.calibrate(
        system, network, "digits", quantised=tmp_path / "model.safetensors", images=32,
        policy="mse", per="slice",
    )  # fmt: skip
    assert set(ranges.ranges) == {
        f"{name}@{bits}" for name in ("conv1", "conv2", "conv3", "linear") for bits in (8, 4)
    }
    cimarch.save_ranges(ranges, tmp_path / "ranges.json")
    how: dict[str, Any] = {"images": 100, "statistics": 5}
    read = cimarch.evaluate(
        system, network, "digits", quantised=tmp_path / "model.safetensors",
        ranges=tmp_path / "ranges.json", **how,
    )  # fmt: skip
    made = cimarch.evaluate(
        system, network, "digits", precision=mix, calibrate=32, range_policy="mse", per="slice",
        **how,
    )  # fmt: skip
    assert read.chip[0].top1.value == made.chip[0].top1.value
    assert made.chip[0].top1.value >= 0.9  # at one unit a step, a third of the images
    low = made.layers["weight_bits"] == 4
    assert (made.layers["step"][low] > 1).any()


def test_how_full_strips_are_is_one_figure_for_costs(network: Network, tmp_path: Path) -> None:
    system, mix = cimarch.load("two_pools", set=IDEAL), policy(network, 0.7)
    found = cimarch.evaluate(system, network, "digits", images=20, statistics=5, precision=mix)
    rows = [row for row in found.to_dict()["layers"] if row["name"] == "conv2"]
    share = [row["conversions"] / sum(row["conversions"] for row in rows) for row in rows]
    expected = sum(s * row["weight_density"] for s, row in zip(share, rows, strict=True))
    assert found.densities["conv2"]["weight_density"] == pytest.approx(expected)
    cimarch.save_densities(found, tmp_path / "densities.json")
    assert cimarch.simulate(system, network, precision=mix, densities=tmp_path / "densities.json")


def test_the_command_takes_scales_of_strips(
    network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mix.json"
    file.write_text(json.dumps(policy(network, 0.7)))
    exact = [f"--set={name}={value}" for name, value in EXACT.items()]
    asked = ["eval", "two_pools", "digits", "--data", "digits", "--images", "20", "--statistics=5"]
    how = ["--precision", str(file), "--quantise", "per-strip", "--strip-ratio", "power_of_two"]
    assert main([*asked, *how, *exact, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["quantisation"].startswith("weights per strip by powers of two, inputs by minmax")


def test_scales_of_strips_in_holes_are_refused(network: Network) -> None:
    mix = policy(network, 0.5, layout="holes")
    with pytest.raises(
        cimarch.DescriptionError, match="strips of `conv1` have scales of their own"
    ):
        cimarch.quantise(
            cimarch.load("two_pools"), network, "digits", precision=mix,
            quantising=Quantising(per="strip"),
        )  # fmt: skip
