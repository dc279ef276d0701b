"""How sensitive strips are: against the whole Hessian and the whole Fisher matrix of a tiny net."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cimarch.data.dataset import Examples
from cimarch.data.normalisation import Normalise
from cimarch.mapping.strips import Strips
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.task import archive_of
from cimarch.optimize.mixed import fisher as fishers
from cimarch.optimize.mixed.fisher import fisher
from cimarch.optimize.mixed.hutchinson import exact_trace, traces
from cimarch.optimize.mixed.layers import Layer, folded, layers_of, weight_of, weights_into_
from cimarch.optimize.mixed.scores import SCORES, Evidence, quantised_layer, ranked


class Tiny(nn.Module):
    """Two convolutions, one of them in channel groups and with steps, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.two = nn.Conv2d(4, 4, 2, stride=2, groups=2)
        self.last = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.norm(self.one(x)))
        return self.last(torch.tanh(self.two(x)).mean((2, 3)))


@pytest.fixture
def tiny() -> Tiny:
    torch.manual_seed(0)
    made = Tiny().eval()
    made.norm.running_mean.uniform_(-1, 1)
    made.norm.running_var.uniform_(0.5, 2)
    return made.requires_grad_(False)


@pytest.fixture
def examples() -> Examples:
    draw = np.random.default_rng(0)
    stored = draw.integers(0, 256, (7, 2, 4, 4), np.uint8)
    normalise = Normalise(255.0, (0.5, 0.5), (0.25, 0.25))
    return Examples(stored, draw.integers(0, 3, 7), normalise)


def cut(module: nn.Module, *names: str) -> list[Layer]:
    found = []
    for name in names:
        weight = weight_of(module, name)
        flat = weight.reshape(*weight.shape[:2], -1).numpy()
        found.append(Layer(name, flat.shape[2], len(flat), flat.shape[1], flat.copy()))
    return found


def gradients(module: nn.Module, name: str, examples: Examples) -> tuple[torch.Tensor, ...]:
    """(images, classes, weights) of log p, and p."""
    weight = weight_of(module, name)
    inputs = torch.from_numpy(examples.inputs())

    def logs(w: torch.Tensor) -> torch.Tensor:
        given = {f"{name}.weight": w}
        return F.log_softmax(torch.func.functional_call(module, given, (inputs,)), 1)

    jacobian = torch.func.jacrev(logs)(weight)
    return jacobian.reshape(*jacobian.shape[:2], -1).double(), logs(weight).exp().double()


@pytest.mark.parametrize("name", ["one", "two", "last"])
def test_the_exact_diagonal_weighs_all_labels_by_the_softmax(tiny, examples, name, monkeypatch):
    monkeypatch.setattr(fishers, "LEFT_OUT", 0.0)
    (layer,) = cut(tiny, name)
    g, p = gradients(tiny, name, examples)
    wanted = (p[:, :, None] * g**2).sum(1).mean(0)
    found = fisher(tiny, [layer], examples).diagonal[name]
    assert np.allclose(found.ravel(), wanted.numpy(), rtol=1e-4, atol=1e-9)


def test_what_is_left_out_is_a_small_share_of_the_sum(tiny, examples):
    layers = cut(tiny, "one", "two")
    found = fisher(tiny, layers, examples)
    for layer in layers:
        g, p = gradients(tiny, layer.name, examples)
        whole = float((p[:, :, None] * g**2).sum(1).mean(0).sum())
        assert whole * 0.98 < found.diagonal[layer.name].sum() <= whole * 1.0001
    assert found.passes <= 7 * 2  # three classes: two directions matter


def test_the_empirical_diagonal_takes_the_label_of_the_data(tiny, examples):
    (layer,) = cut(tiny, "two")
    g, _ = gradients(tiny, "two", examples)
    wanted = (g[torch.arange(7), torch.from_numpy(examples.labels)] ** 2).mean(0)
    found = fisher(tiny, [layer], examples, kind="empirical").diagonal["two"]
    assert np.allclose(found.ravel(), wanted.numpy(), rtol=1e-4, atol=1e-9)


def test_sampled_labels_come_from_the_seed(tiny, examples):
    (layer,) = cut(tiny, "two")

    def found(seed: int) -> np.ndarray:
        return fisher(tiny, [layer], examples, kind="sampled", seed=seed).diagonal["two"]

    assert np.array_equal(found(1), found(1))
    assert not np.array_equal(found(1), found(2))


def test_a_change_is_measured_by_the_block_of_its_strip(tiny, examples, monkeypatch):
    monkeypatch.setattr(fishers, "LEFT_OUT", 0.0)
    (layer,) = cut(tiny, "one")
    change = np.random.default_rng(1).normal(size=layer.weight.shape)
    g, p = gradients(tiny, "one", examples)
    each = g.reshape(7, 3, *layer.weight.shape) * torch.from_numpy(change)
    wanted = (p[:, :, None, None] * each.sum(3) ** 2).sum(1).mean(0).T
    found = fisher(tiny, [layer], examples, change={"one": change}).moved["one"]
    assert np.allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-9)


def hessian(module: nn.Module, name: str, examples: Examples) -> torch.Tensor:
    weight = weight_of(module, name)
    inputs, labels = torch.from_numpy(examples.inputs()), torch.from_numpy(examples.labels)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        given = {f"{name}.weight": flat.reshape(weight.shape)}
        return F.cross_entropy(torch.func.functional_call(module, given, (inputs,)), labels)

    return torch.func.hessian(loss)(weight.flatten())


def test_a_strip_s_exact_trace_is_that_of_the_hessian(tiny, examples):
    (layer,) = cut(tiny, "two")
    diagonal = layer.pooled(hessian(tiny, "two", examples).diagonal().numpy())
    for position, output in ((0, 0), (3, 2)):
        found = exact_trace(tiny, layer, examples, position=position, output=output)
        assert found == pytest.approx(diagonal[position, output], rel=1e-4, abs=1e-7)


def test_probes_come_to_the_trace_of_the_layer(tiny, examples):
    layers = cut(tiny, "one", "two")
    found = traces(tiny, layers, examples, probes=400, seed=3)
    for layer in layers:
        wanted = float(hessian(tiny, layer.name, examples).trace())
        values = found.layers[layer.name]
        error = values.std() / np.sqrt(len(values))
        assert abs(found.layer(layer.name) - wanted) < 4 * error
        assert found.strips[layer.name].sum() == pytest.approx(values.mean())


def test_probes_come_from_the_seed(tiny, examples):
    layers = cut(tiny, "two")
    one, same = (traces(tiny, layers, examples, probes=2, seed=5) for _ in range(2))
    assert np.array_equal(one.strips["two"], same.strips["two"])


def test_folding_keeps_what_the_network_computes(tiny, examples):
    module = folded(Model("tiny", archive_of(tiny, torch.zeros(1, 2, 4, 4))))
    x = torch.from_numpy(examples.inputs())
    assert torch.allclose(module(x), tiny(x), atol=1e-5)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in module.children() if each.training)


def test_convolutions_are_cut_and_all_where_asked(tiny):
    model = Model("tiny", archive_of(tiny, torch.zeros(1, 2, 4, 4)))
    module = folded(model)
    assert [each.name for each in layers_of(model, module)] == ["one", "two"]
    every = {each.name: each for each in layers_of(model, module, "all")}
    assert (every["last"].positions, every["last"].outputs, every["last"].depth) == (1, 3, 4)
    assert (every["two"].positions, every["two"].outputs, every["two"].depth) == (4, 4, 2)
    assert every["one"].strips == 36


def test_other_weights_do_not_change_the_layers(tiny):
    model = Model("tiny", archive_of(tiny, torch.zeros(1, 2, 4, 4)))
    module = folded(model)
    (layer, _) = layers_of(model, module)
    before = layer.weight.copy()
    weights_into_(module, {"one": np.zeros_like(before)})
    assert np.array_equal(layer.weight, before)
    assert not weight_of(module, "one").any()


def test_every_score_is_a_number_for_every_strip(tiny, examples):
    evidence = Evidence(tiny, cut(tiny, "one", "two"), examples, probes=2)
    for name in SCORES:
        score = evidence.score(name)
        assert {n: values.shape for n, values in score.items()} == {"one": (9, 4), "two": (4, 4)}
        assert all((values >= 0).all() for values in score.values()), name


def test_the_error_of_a_strip_is_between_its_two_precisions(tiny, examples):
    weight = np.array([[[1.0], [0.5]], [[0.3], [0.0]]], np.float32)  # two outputs, one position
    evidence = Evidence(tiny, [Layer("one", 1, 2, 2, weight)], examples, bits=(8, 2), per="tensor")
    # 2 bits: -1, 0 or 1, steps of 1.0; 0.5 is a tie and goes to the even 0. 8 bits: steps of 1/127.
    high = np.rint(weight * 127) / 127
    wanted = np.array([[high[0, 1, 0] ** 2, high[1, 0, 0] ** 2]])
    assert np.allclose(evidence.error["one"], wanted, atol=1e-6)


def test_a_layer_of_two_precisions_has_a_scale_for_each():
    layer = Layer("one", 1, 2, 1, np.array([[[7.0]], [[1.0]]], np.float32))
    strips = Strips((4, 2), np.array([[0, 1]], np.uint8))
    assert quantised_layer(layer, strips, "tensor", "minmax").ravel().tolist() == [7.0, 1.0]


def test_ranks_are_shares_and_ties_go_by_order():
    ranks = ranked({"a": np.array([[3.0, 1.0]]), "b": np.array([[1.0], [9.0]])})
    assert ranks["a"].tolist() == [[0.75, 0.25]]
    assert ranks["b"].tolist() == [[0.5], [1.0]]
