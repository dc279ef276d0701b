"""Strip-wise precision and its baselines, end to end on a small network and its chip."""

import itertools
from pathlib import Path

import attrs
import numpy as np
import pytest

import cimarch
from cimarch.cli import main
from cimarch.diagnostics import DescriptionError

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch

from cimarch.optimize import Going, Hap, HawqV2, Model, Strips, Uniform
from cimarch.optimize.frame.task import archive_of
from cimarch.optimize.mixed.chip import pools
from cimarch.optimize.mixed.hawq import cheapest
from cimarch.optimize.mixed.hawq import hawq_v2 as run_hawq
from cimarch.optimize.mixed.layers import Layer, folded, layers_of
from cimarch.optimize.mixed.strips import strips as run_strips
from cimarch.optimize.mixed.uniform import uniform as run_uniform
from cimarch.optimize.morph.hap import hap as run_hap
from cimarch.optimize.morph.hap import widths_without
from cimarch.optimize.morph.ties import ties_of
from cimarch.workload.files import contents, find

FEW = {"judge": 40, "calibrate": 64, "layers": "convolutions"}


@pytest.fixture(scope="module")
def chip():
    return cimarch.load("two_pools")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.pt"
    path.write_bytes(contents(find("digits")))
    return path


@pytest.fixture(scope="module")
def run(chip, digits, tmp_path_factory):
    """Half the strips at 4 bits, and the folder of the run."""
    kept = tmp_path_factory.mktemp("run") / "kept"
    options = Strips(score="fisher", share=(0.5,), cap=1.0, **FEW)
    return *run_strips(digits, chip, "digits", options, Going(kept=kept)), kept, options


def test_the_policy_has_a_level_for_every_strip(run):
    model, record, *_ = run
    entry = model.precision["conv2"]["strips"]
    assert entry["bits"] == [8, 4]
    assert entry["levels"] == record.details["strips"]["conv2"]
    assert model.precision["linear"] == {"weight_bits": 8, "input_bits": 8}


def test_half_of_the_strips_are_low_before_they_are_aligned(run):
    _, record, *_ = run
    assert record.details["compression_unaligned"]["strips"] == pytest.approx(0.5, abs=0.01)
    assert record.details["compression"]["parameters"] == 0


def test_what_a_reader_looks_for_is_in_the_record(run):
    _, record, *_ = run
    details = record.details
    assert details["pools"] == ["tile.eight.array", "tile.four.array"]
    assert set(details["utilisation"]) == {"holes", "packed", "aligned", "as laid"}
    assert set(details["weights_only"]) == {"all high", "strips", "all low"}
    assert record.after.weight_bits < record.before.weight_bits
    assert record.after.accuracy_chip is not None


def test_packing_fills_the_high_pool_more_than_holes(run):
    _, record, *_ = run
    high = {how: each["tile.eight.array"] for how, each in record.details["utilisation"].items()}
    assert high["packed"] > high["holes"]


def test_strips_take_no_longer_than_if_all_were_high(run):
    model, record, *_ = run
    prices, reads = record.details["prices"], record.details["reads"]
    assert prices["strips"]["cycles"] <= prices["all high, same tiling"]["cycles"]
    assert record.after.cycles == prices["strips"]["cycles"]
    for name, entry in model.precision.items():
        assert entry.get("strips", {}).get("reads", 0) == reads.get(name, 0)


def test_a_latency_that_cannot_be_had_is_told(chip, digits):
    options = Strips(score="magnitude", share=(0.5,), latency=0.01, **FEW)
    _, record = run_strips(digits, chip, "digits", options)
    assert any("above the 0.01 x of `--latency`" in note for note in record.notes)
    assert not any("a lower `--latency`" in note for note in record.notes)
    options = attrs.evolve(options, latency=0.0, align="none")
    assert run_strips(digits, chip, "digits", options)[1].details["reads"] == {}


def test_the_model_is_read_back_with_its_strips_and_whole_weights(run, chip, tmp_path):
    model, record, *_ = run
    path = tmp_path / "d.adapted"
    model.save(path)
    network = cimarch.read_network(str(path))
    judged = cimarch.evaluate(chip, network, "digits", images=40)
    assert 100 * judged.top1 == record.after.accuracy_chip
    assert cimarch.simulate(chip, network).joules == record.after.joules


def test_what_is_kept_is_not_done_again(run, chip, digits, monkeypatch):
    model, _, kept, options = run
    monkeypatch.setattr("cimarch.optimize.mixed.scores.fisher", None)  # a call would fail
    again, _ = run_strips(digits, chip, "digits", options, Going(kept=kept))
    assert again.digest == model.digest


def test_one_pool_for_both_precisions_is_said(digits):
    chip = cimarch.load("isaac", set={})
    layers = [Layer("conv1", 9, 16, 1, np.zeros((16, 1, 9), np.float32))]
    found = pools(chip, Model.of(digits).network(), layers, (8, 4))
    assert found.is_single
    assert len(found.parts) == 1


def test_the_capacity_is_that_of_the_description(chip, digits):
    network = Model.of(digits).network()
    op = next(op for op in network.operations if op.name == "conv2")
    depth = op.rows // 9
    layers = [Layer("conv2", 9, op.columns, depth, np.zeros((op.columns, depth, 9), np.float32))]
    found = pools(chip, network, layers, (8, 4))
    # 128 columns of 2-bit cells: 32 weights of 8 bits, 64 of 4; 128 rows: so many strips above
    assert found.capacity("layer")["conv2"] == (32 * (128 // depth), 64 * (128 // depth))
    assert found.capacity("position")["conv2"] == (32, 64)


def test_a_precision_that_no_pool_serves_is_told(digits):
    chip = cimarch.load("two_pools", set={"tile.four.array.serves": "weight_bits == 4"})
    layers = [Layer("conv1", 9, 16, 1, np.zeros((16, 1, 9), np.float32))]
    with pytest.raises(DescriptionError) as caught:
        pools(chip, Model.of(digits).network(), layers, (8, 2))
    assert caught.value.diagnostics[0].code == "E481"


def test_a_network_without_convolutions_says_what_to_type():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
    model = Model("plain", archive_of(module, torch.zeros(1, 1, 8, 8)))
    with pytest.raises(DescriptionError) as caught:
        layers_of(model, folded(model))
    assert caught.value.diagnostics[0].code == "E480"
    assert layers_of(model, folded(model), "all")[0].strips == 10


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bits": (4, 8)}, "`bits` are [4, 8], not falling"),
        ({"bits": (8,)}, "`bits` are [8], not two or more in 1..16"),
        ({"share": (0.3, 0.3)}, "`share` has 2 numbers for 1 lower precisions"),
        ({"share": (1.5,)}, "`share` is [1.5], which are no shares of one whole"),
        ({"score": "luck"}, "`score` is `luck`"),
        ({"bits": (8, 6, 4), "threshold": "eps"}, "`threshold` is `eps` for 3 precisions"),
    ],
)
def test_an_option_that_cannot_be_is_told(wrong, told):
    with pytest.raises(DescriptionError) as caught:
        Strips(**wrong).check()
    assert caught.value.diagnostics[0].headline.startswith(told)


def test_thresholds_fall_and_add_up():
    assert Strips(bits=(8, 6, 4), share=(0.4, 0.3)).thresholds == (0.7, 0.4)


def test_eps_takes_the_largest_threshold_within_the_distance(chip, digits):
    options = Strips(threshold="eps", eps=0.02, align="none", **FEW)
    _, record = run_strips(digits, chip, "digits", options)
    tried = dict(record.details["distances"])
    (threshold,) = record.details["thresholds"]
    assert tried.get(threshold, 0.0) <= 0.02
    assert 0 <= threshold < 1


def test_one_precision_for_all(chip, digits):
    model, record = run_uniform(digits, chip, "digits", Uniform(judge=40))
    assert record.after.weight_bits * 2 == record.before.weight_bits
    assert {tuple(pair) for pair in model.precision.values()} == {(4, 8)}


def test_the_cheapest_precisions_are_those_of_trying_all():
    draw = np.random.default_rng(0)
    weights = [int(n) for n in draw.integers(1, 50, 6)]
    costs = [{8: 0.0, 6: float(a), 4: float(a + b)} for a, b in draw.random((6, 2))]
    for share in (0.5, 0.6, 0.75, 1.0):
        allowed = int(share * 8 * sum(weights))
        every = [
            (sum(c[b] for c, b in zip(costs, bits, strict=True)), bits)
            for bits in itertools.product((8, 6, 4), repeat=6)
            if sum(n * b for n, b in zip(weights, bits, strict=True)) <= allowed
        ]
        found = cheapest(weights, costs, allowed)
        assert sum(c[b] for c, b in zip(costs, found, strict=True)) == pytest.approx(min(every)[0])


def test_hawq_fits_the_size(chip, digits):
    options = HawqV2(size=0.6, probes=2, calibrate=64, judge=40)
    _, record = run_hawq(digits, chip, "digits", options)
    assert record.after.weight_bits <= 0.6 * record.before.weight_bits


def test_a_size_below_the_lowest_precision_is_told(chip, digits):
    with pytest.raises(DescriptionError) as caught:
        run_hawq(digits, chip, "digits", HawqV2(size=0.4, judge=40))
    told = caught.value.diagnostics[0]
    assert told.code == "E482"
    assert "0.5" in told.headline


class Normed(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)
        self.two = torch.nn.Conv2d(8, 4, 3, stride=2)
        self.after = torch.nn.BatchNorm2d(4)
        self.last = torch.nn.Linear(4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.one(x)))
        return self.last(torch.relu(self.after(self.two(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def normed() -> Model:
    torch.manual_seed(0)
    return Model("normed", archive_of(Normed().eval(), torch.zeros(1, 1, 8, 8)))


def test_the_least_important_channels_go_first(normed):
    module = normed.module()
    ties = ties_of(module, (1, 8, 8))
    one = next(n for n, space in ties.spaces.items() if "one" in space.makers)
    importance = {n: torch.ones(space.size) for n, space in ties.spaces.items()}
    importance[one][:3] = 0.1
    # 8 x (9 + 36) + 40 weights; without three of eight channels of `one` 265 of 400 are left
    widths = widths_without(ties, importance, remove=0.3, least=0.0)
    assert widths[one] == 5


def test_pruning_narrows_the_network(chip, normed):
    options = Hap(remove=0.4, probes=2, calibrate=64, judge=40)
    model, record = run_hap(normed, chip, "digits", options)
    assert record.after.parameters <= 0.6 * record.before.parameters
    assert record.details["removed"] >= 0.4
    assert model.network().parameters < normed.network().parameters


def test_more_than_may_go_is_told(chip, normed):
    options = Hap(remove=0.9, least=0.5, probes=1, calibrate=8, judge=40)
    with pytest.raises(DescriptionError) as caught:
        run_hap(normed, chip, "digits", options)
    assert caught.value.diagnostics[0].code == "E483"


def test_a_network_whose_channels_may_not_go_is_told(chip, digits):
    with pytest.raises(DescriptionError) as caught:
        run_hap(digits, chip, "digits", Hap(judge=40))
    assert caught.value.diagnostics[0].code == "E484"


def test_the_command_does_the_same(digits, tmp_path, capsys):
    out = tmp_path / "d.adapted"
    asked = ["--data", "digits", "--judge", "40", "--calibrate", "64", "--score", "error"]
    command = ["optimize", "strips", "two_pools", str(digits), *asked, "-o", str(out)]
    assert main(command) == 0
    assert out.exists()


def test_a_weight_that_is_no_number_is_told_before_anything_is_worked_out():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten()).eval()
    with torch.no_grad():
        module[0].weight[0, 0, 0, 0] = float("nan")
    model = Model("broken", archive_of(module, torch.zeros(1, 1, 8, 8)))
    with pytest.raises(DescriptionError) as caught:
        layers_of(model, folded(model))
    assert caught.value.diagnostics[0].code == "E303"
