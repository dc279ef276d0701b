"""Widths that fit macros: what layers take, which channels are tied, and how widths change."""

import functools

import attrs
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

import cimarch
from cimarch import DescriptionError
from cimarch.data.dataset import Examples
from cimarch.data.normalisation import Normalise
from cimarch.optimize.frame.going import Going
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.task import archive_of
from cimarch.optimize.inloop.qat import Qat
from cimarch.optimize.morph.expand import Budget, filled, widest
from cimarch.optimize.morph.options import TwoStage, UniformWidth
from cimarch.optimize.morph.resources import (
    Layer,
    Macro,
    aligned_macros,
    bit_lines,
    chain,
    per_bit_line,
    reads,
    resources,
    segments,
)
from cimarch.optimize.morph.shrink import (
    bit_line_costs,
    importance,
    literal_costs,
    prices,
    survivors,
    taylor,
    threshold_for,
)
from cimarch.optimize.morph.surgery import choose, rebuild
from cimarch.optimize.morph.ties import ties_of
from cimarch.optimize.morph.two_stage import two_stage, uniform_width
from cimarch.workload import zoo

MACRO = Macro(256, 256)
SHORT = {
    "images": 128,
    "held_back": 40,
    "judge": 10,
    "batch": 64,
    "bfloat16": False,
    "augment": "none",
}


class Shortcut(nn.Module):
    """Three convolutions; zeros are padded beside the first's channels to meet the third's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.conv3 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(x)))
        y = self.bn3(self.conv3(y))
        y = F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)))
        return self.linear(torch.flatten(y, 1))


class Grouped(nn.Module):
    """A convolution of two groups, which no channel may leave."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.linear = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.conv2(self.bn1(self.conv1(x))).mean((2, 3)))


class Joined(nn.Module):
    """Two halves of channels side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.linear = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x))
        return self.linear(torch.cat((y, y), 1).mean((2, 3)))


class Depthwise(nn.Module):
    """A depthwise convolution between two others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return self.linear(F.relu(self.bn2(self.conv2(x))).mean((2, 3)))


def made(module: nn.Module, shape: tuple[int, ...] = (1, 8, 8), name: str = "small") -> Model:
    """A model of a module, with norms of all kinds of numbers; the same for the same module."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.reset_parameters()
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
    return Model(name, archive_of(module, torch.zeros(1, *shape)))


def trained(module: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> fx.GraphModule:
    return made(module, shape).module()


def answers(module: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return module(torch.randn(3, *shape, generator=draw))


# what layers take


def test_a_bit_line_holds_28_channels_of_a_3_x_3_kernel():
    assert per_bit_line(9, MACRO) == 28
    assert segments(Layer("conv", 9, 28, 1), MACRO) == 1
    assert segments(Layer("conv", 9, 29, 1), MACRO) == 2
    assert bit_lines(Layer("conv", 9, 64, 128), MACRO) == 3 * 128


def test_a_kernel_larger_than_a_bit_line_takes_several_for_each_channel():
    small = Macro(16, 16)
    assert per_bit_line(25, small) == 0
    assert segments(Layer("conv", 25, 3, 1), small) == 3 * 2


def test_word_lines_that_are_not_active_together_are_read_one_after_the_other():
    layer = Layer("conv", 9, 28, 8)
    assert reads(layer, MACRO) == 1
    assert reads(layer, attrs.evolve(MACRO, together=64)) == 4


def test_two_columns_a_weight_take_twice_the_bit_lines():
    pair = attrs.evolve(MACRO, across=2)
    assert bit_lines(Layer("linear", 1, 256, 10), pair) == 20
    assert aligned_macros(Layer("linear", 1, 300, 129), pair) == 2 * 2


def test_a_vgg_of_eight_convolutions_takes_151_macros():
    found = resources(chain([64, 128, 256, 256, 512, 512, 512, 512]), MACRO)
    assert (found.bit_lines, found.macros, found.weights) == (38_592, 151, 9_217_728)
    assert round(found.packed, 3) == 0.931
    assert found.packed == 9_217_728 / (151 * 65_536)


def test_vgg7_takes_20_macros_side_by_side_and_27_apart():
    found = resources(chain([64, 64, 128, 128, 256, 256]), MACRO)
    assert (found.bit_lines, found.macros) == (5_120, 20)
    # conv1 1, conv2 and conv3 three segments each, 5 and 5, and 10 of the last
    assert found.aligned_macros == 1 + 3 + 3 + 5 + 5 + 10
    assert found.aligned == 1_144_512 / (27 * 65_536)


def test_the_arrays_of_a_description_say_what_a_bit_line_is():
    pool = cimarch.load("edge_macro").part("macro.array")
    assert Macro.of(pool, 4) == attrs.evolve(MACRO, together=256)
    assert Macro.of(pool, 8).across == 2


# ties


def test_a_chain_ties_nothing_and_sees_a_flattened_channel_sixteen_times():
    ties = ties_of(zoo_module("vgg7"), (3, 32, 32))
    assert [ties.widths[number] for number in ties.free] == [64, 64, 128, 128, 256, 256]
    assert ties.uses[-1].repeat == 16
    found = resources(ties.layers(ties.widths), MACRO)
    assert found.bit_lines == 5_120 + 10 * 16


def test_residual_widths_are_tied_and_shortcuts_embed_one_stage_in_the_next():
    ties = ties_of(zoo_module("resnet20"), (3, 32, 32))
    assert [ties.widths[number] for number in ties.free] == [16] * 4 + [32] * 4 + [64] * 4
    tied = [ties.spaces[number] for number in ties.free if len(ties.spaces[number].makers) > 1]
    assert [space.size for space in tied] == [16, 32, 64]
    assert tied[0].makers == ("conv1", "layer1.0.conv2", "layer1.1.conv2", "layer1.2.conv2")
    assert [(e.smaller, e.larger, e.offset) for e in ties.embeds] == [
        (tied[0].number, tied[1].number, 8),
        (tied[1].number, tied[2].number, 16),
    ]


def test_a_layer_without_a_batch_norm_behind_it_keeps_its_width():
    ties = ties_of(zoo_module("vgg8"), (3, 32, 32))
    hidden = next(s for s in ties.spaces.values() if s.makers == ("classifier.0",))
    assert hidden.fixed
    assert hidden.size == 1024


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Grouped(), "the channels behind `conv2` cannot be followed: a convolution of 2 groups"),
        (Joined(), "the channels behind `cat_default` cannot be followed: `cat` may mix them"),
    ],
)
def test_channels_that_cannot_be_followed_are_refused(module, why):
    with pytest.raises(DescriptionError) as caught:
        ties_of(trained(module), (1, 8, 8))
    assert caught.value.diagnostics[0].code == "E476"
    assert str(caught.value).startswith(why)


def zoo_module(name: str) -> fx.GraphModule:
    return trained(zoo.build(name).eval(), zoo.default_input(name)[1:])


# surgery


@pytest.mark.parametrize("module", [Shortcut(), Depthwise()])
def test_the_same_channels_in_another_order_compute_the_same(module):
    given = trained(module)
    ties = ties_of(given, (1, 8, 8))
    scores = {n: torch.rand(ties.spaces[n].size) for n in ties.free}
    same = rebuild(given, ties, choose(ties, scores, ties.widths), generator=torch.Generator())
    assert torch.allclose(answers(same), answers(given), atol=1e-5)


def test_new_channels_keep_the_function_unless_they_are_drawn():
    given = trained(Shortcut())
    ties = ties_of(given, (1, 8, 8))
    widths = {n: size + (0 if ties.spaces[n].fixed else 3) for n, size in ties.widths.items()}
    chosen = choose(ties, {}, widths)
    draw = torch.Generator().manual_seed(0)
    wider = rebuild(given, ties, chosen, generator=draw)
    assert wider.get_submodule("conv2").weight.shape == (9, 7, 3, 3)
    assert torch.allclose(answers(wider), answers(given), atol=1e-5)
    drawn = rebuild(given, ties, chosen, generator=draw, fresh="he")
    assert not torch.allclose(answers(drawn), answers(given), atol=1e-2)


def test_the_most_important_channels_stay_and_a_shortcut_keeps_both_of_its_ends():
    given = trained(Shortcut())
    ties = ties_of(given, (1, 8, 8))
    small, inner, large = ties.free
    scores = {
        small: torch.tensor([1.0, 4.0, 2.0, 3.0]),
        inner: torch.arange(6.0),
        large: torch.tensor([9.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 8.0]),
    }
    chosen = choose(ties, scores, {**ties.widths, small: 2, inner: 3, large: 3})
    assert chosen[small] == [1, 3]
    assert chosen[inner] == [3, 4, 5]
    # channels 1 and 3 lie at 3 and 5 of the larger space, which has one place left
    assert chosen[large] == [3, 5, 0]
    cut = rebuild(given, ties, chosen, generator=torch.Generator())
    pad = next(node for node in cut.graph.nodes if "pad" in node.name)
    assert pad.kwargs["pad"] == [0, 0, 0, 0, 0, 1]
    assert answers(cut).shape == (3, 10)


def test_a_channel_without_effect_may_go_without_effect():
    given = trained(Depthwise())
    for path in ("bn1", "bn2"):
        norm = given.get_submodule(path)
        with torch.no_grad():
            norm.weight[2] = norm.bias[2] = 0.0
            norm.running_mean[2] = 0.0
    ties = ties_of(given, (1, 8, 8))
    scores = importance(given, ties)
    (space,) = ties.free
    assert float(scores[space][2].detach()) == 0.0
    cut = rebuild(
        given, ties, choose(ties, scores, {**ties.widths, space: 5}), generator=torch.Generator()
    )
    assert torch.allclose(answers(cut), answers(given), atol=1e-5)


# shrinking


def test_the_regulariser_costs_what_channels_take():
    given = trained(Shortcut())
    ties = ties_of(given, (1, 8, 8))
    for path in ties.norms:
        nn.init.ones_(given.get_submodule(path).weight)
    budget = Budget(ties, MACRO, 100)
    # all in one segment: 4 + 6 + 8 bit lines, and 10 of the classifier of 128 inputs
    assert budget.taken(ties.widths) == 28
    outputs = 4 + 6 + 8
    inputs = 4 * 6 / 28 + 6 * 8 / 28 + 8 * 10 * 16 / 256
    cost = float(bit_line_costs(budget)(given).detach())
    assert cost == pytest.approx((outputs + inputs) / 28)
    sums = 9 * (4 + (4 + 6) + (6 + 8)) + 1 * 8
    whole = 9 * (1 + 4 + 4 + 6 + 6 + 8) + 8 + 10
    assert float(literal_costs(budget)(given).detach()) == pytest.approx(sums / whole)


def test_the_regulariser_presses_where_a_segment_begins():
    given = trained(Shortcut())
    ties = ties_of(given, (1, 8, 8))
    narrow = Macro(36, 256)  # 4 channels of a 3 x 3 kernel a bit line: conv3 takes two segments
    cost = bit_line_costs(Budget(ties, narrow, 100))(given)
    cost.backward()
    slope = given.get_submodule("bn3").weight.grad
    # an output of conv3 costs 2 bit lines; as an input of the classifier 16 of 36 rows for each
    # of 10 outputs
    lines = 4 + 6 + 2 * 8 + 10 * 4
    assert float(slope[0]) == pytest.approx((2 + 10 * 16 / 36) / lines)


def test_a_threshold_leaves_so_many_bit_lines_and_a_share_of_each_layer():
    ties = ties_of(trained(Shortcut()), (1, 8, 8))
    budget = Budget(ties, MACRO, 100)
    scores = {n: torch.arange(1.0, ties.spaces[n].size + 1) for n in ties.free}
    found = threshold_for(budget, scores, 22, 0.1)
    left = survivors(scores, found, 0.1)
    assert budget.taken(budget.widths(left, 1.0)) <= 22
    assert left == {n: float(ties.spaces[n].size - int(found)) for n in ties.free}
    assert list(survivors(scores, 99.0, 0.5).values()) == [2.0, 3.0, 4.0]


def test_what_the_loss_loses_is_measured_for_each_bit_line():
    given = trained(Depthwise())
    norm = given.get_submodule("bn2")
    with torch.no_grad():
        norm.weight[1] = norm.bias[1] = 0.0  # what gives 0 already costs nothing to remove,
        given.get_submodule("bn1").weight[1] = 0.0  # if all that is tied to it does
        given.get_submodule("bn1").bias[1] = 0.0
    budget = Budget(ties_of(given, (1, 8, 8)), MACRO, 100)
    draw = np.random.default_rng(0)
    images = draw.normal(size=(32, 1, 8, 8))
    examples = Examples(images, np.arange(32) % 10, Normalise())
    (space,) = budget.ties.free
    # conv1 and conv2 make it, a bit line each; the classifier reads 1 / 256 of one, ten times
    assert prices(budget, budget.ties.widths)[space] == 2 + 10 / 256
    scores = taylor(given, budget, examples, "cpu")[space]
    assert scores[1] == 0.0
    assert (scores[torch.tensor([0, 2, 3, 4, 5])] > 0).all()


# expanding


def chain_budget(macros: int) -> Budget:
    return Budget(ties_of(zoo_module("vgg7"), (3, 32, 32)), MACRO, 256 * macros)


def test_one_factor_for_vgg7_on_four_macros_is_seven_sixteenths():
    budget = chain_budget(4)
    omega, widths = widest(budget, budget.ties.widths)
    assert [widths[n] for n in budget.ties.free] == [28, 28, 56, 56, 112, 112]
    assert 0.4375 <= omega < 0.4453
    assert budget.taken(widths) == 28 + 28 + 56 + 56 * 2 + 112 * 2 + 112 * 4 + 10 * 7


@pytest.mark.parametrize("power", [1.0, 0.6])
@pytest.mark.parametrize("macros", [3, 4, 8])
def test_filled_widths_use_95_percent_of_the_macros_bought_and_never_more(macros, power):
    budget = chain_budget(macros)
    widths = filled(budget, {n: budget.ties.widths[n] ** power for n in budget.ties.free})
    found = resources(budget.layers(widths), MACRO)
    assert found.bit_lines <= 256 * macros
    assert found.macros == macros
    assert found.packed >= 0.95


def test_a_network_may_grow_into_its_budget():
    budget = chain_budget(40)
    omega, widths = widest(budget, budget.ties.widths)
    assert omega > 1.2
    assert 9_900 < budget.taken(widths) <= 40 * 256


def test_an_embedded_space_is_never_wider_than_what_it_is_embedded_in():
    ties = ties_of(trained(Shortcut()), (1, 8, 8))
    small, inner, large = ties.free
    budget = Budget(ties, MACRO, 60)
    widths = filled(budget, {small: 20.0, inner: 4.0, large: 5.0})
    assert widths[small] <= widths[large]
    assert budget.taken(widths) <= 60


def test_less_than_a_channel_a_layer_is_no_budget():
    budget = attrs.evolve(chain_budget(1), lines=15)
    with pytest.raises(DescriptionError) as caught:
        widest(budget, budget.ties.widths)
    # one bit line for each of six convolutions, ten for the classifier
    assert str(caught.value) == (
        "15 bit lines hold no network of these layers: one channel a layer takes 16"
    )
    assert caught.value.diagnostics[0].helps[1] == "`--bit-lines 16`"


def test_cycles_of_loading_fall_with_the_macros_that_are_loaded():
    given = zoo_module("vgg7")
    ties = ties_of(given, (3, 32, 32))
    narrow = dict(zip(ties.free, (28, 56, 56, 84, 84, 112), strict=True))
    cut = rebuild(
        given, ties, choose(ties, {}, {**ties.widths, **narrow}), generator=torch.Generator()
    )
    # a row of the macro is written in a cycle, where the port is as wide
    wide = {"weights.size": "1 MiB", "weights.width": "1024 bit"}
    loaded = []
    for module in (given, cut):
        network = Model("vgg7", archive_of(module, torch.zeros(1, 3, 32, 32))).network()
        report = cimarch.simulate(chip(**wide), network, weight_bits=4, input_bits=4)
        loaded.append((sum(map(int, report.layers["tiles"])), report.load_cycles))
    (tiles, cycles), (left, fewer) = loaded
    assert (tiles, left) == (42, 19)
    assert fewer / cycles == pytest.approx(left / tiles, rel=0.05)


# the methods


def chip(**set_):
    return cimarch.load("edge_macro", set=set_)


@pytest.fixture(scope="module")
def adapted():
    options = TwoStage(bit_lines=24, epochs=1, rounds=2, **SHORT)
    return two_stage(made(Shortcut()), chip(), "digits", options)


def test_what_two_stage_makes_is_within_its_budget_and_can_be_run(adapted):
    model, record = adapted
    rows = record.details["macros"]
    assert rows[0]["bit_lines"] == 28
    assert rows[1]["bit_lines"] <= 24
    assert rows[1]["tiles"] == 4
    assert record.after.parameters == rows[1]["weights"]
    assert record.after.load_cycles == rows[1]["load_cycles"]
    assert [epoch.stage for epoch in record.epochs] == ["shrink 1", "shrink 2", "last widths"]
    assert [row["budget"] for row in record.details["rounds"]] == [25, 24]  # 28 * (24 / 28) ** 0.5
    assert [row["layer"] for row in record.details["widths"]][-1] == "linear"
    report = cimarch.simulate(chip(), model.network(), weight_bits=4, input_bits=4)
    assert report.load_cycles == record.after.load_cycles


def test_a_run_that_goes_on_ends_as_one_that_never_stopped(adapted, tmp_path):
    options = TwoStage(bit_lines=24, epochs=1, rounds=2, **SHORT)
    asked = iter([False] * 4 + [True] + [False] * 99)
    stopping = Going(kept=tmp_path / "kept", stopped=lambda: next(asked))
    with pytest.raises(KeyboardInterrupt):
        two_stage(made(Shortcut()), chip(), "digits", options, stopping)
    again = Going(kept=tmp_path / "kept")
    model, record = two_stage(made(Shortcut()), chip(), "digits", options, again)
    weights = model.module().state_dict()
    for name, unbroken in adapted[0].module().state_dict().items():
        assert torch.equal(weights[name], unbroken)
    assert record.details == adapted[1].details


def test_uniform_width_scales_all_widths_and_says_by_what():
    options = UniformWidth(bit_lines=19, epochs=0, importance="magnitude", **SHORT)
    _, record = uniform_width(made(Shortcut()), chip(), "digits", options)
    omega = record.details["omega"]
    assert [row["after"] for row in record.details["widths"]] == [
        *(round(omega * width) for width in (4, 6, 8)),
        10,
    ]
    assert record.details["macros"][1]["bit_lines"] <= 19


def test_a_budget_above_what_the_network_takes_is_said():
    options = UniformWidth(bit_lines=40, epochs=0, importance="random", **SHORT)
    _, record = uniform_width(made(Shortcut()), chip(), "digits", options)
    assert record.notes[0] == (
        "the budget of 40 bit lines is above the 28 that the network took: it may grow"
    )
    assert record.details["macros"][1]["bit_lines"] > 28


def test_a_network_without_batch_norm_is_refused():
    with pytest.raises(DescriptionError) as caught:
        two_stage("models/digits.pt", chip(), "digits", TwoStage(**SHORT))
    assert caught.value.diagnostics[0].code == "E475"
    assert "`digits` has no batch norm" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"budget": 2, "bit_lines": 9}, "`budget` is 2 macros and `bit_lines` is 9"),
        ({"pool": "macro"}, "`pool` is `macro`, none of `macro.array`"),
        ({"uncounted": "conv9"}, "`uncounted` names `conv9`, which no layer is called"),
        ({"uncounted": "*"}, "no layer lies in `macro.array`"),
        ({"bit_lines": 5}, "5 bit lines hold no network of these layers"),
        ({"budget": 10_000}, "the network that fills 10000 macros has 655,360,000 weights"),
        ({"shrink_rate": 1e30}, "training diverged in shrink 1, epoch 1"),
        ({"images": 5_000}, "5000 of the 1297 training examples of `digits` are to train"),
        ({"importance": "size"}, "`importance` is `size`, none of"),
    ],
)
def test_an_option_that_cannot_be_is_told(options, why):
    with pytest.raises(DescriptionError) as caught:
        two_stage(made(Shortcut()), chip(), "digits", TwoStage(**(SHORT | options)))
    assert str(caught.value).startswith(why)


def test_layers_that_lie_elsewhere_take_nothing_of_the_budget():
    options = UniformWidth(bit_lines=12, epochs=0, uncounted="conv1, linear", **SHORT)
    _, record = uniform_width(made(Shortcut()), chip(), "digits", options)
    assert record.details["macros"][0]["bit_lines"] == 6 + 8
    assert record.details["macros"][1]["bit_lines"] <= 12
    assert "not counted: conv1, linear" in record.notes


def test_the_second_stage_takes_what_the_first_one_made(monkeypatch):
    short = functools.partial(Qat, epochs_scales=0, epochs_converters=0)
    monkeypatch.setattr("cimarch.optimize.morph.two_stage.Qat", short)
    options = TwoStage(bit_lines=24, epochs=0, rounds=1, then_qat=True, **SHORT)
    model, record = two_stage(made(Shortcut()), chip(), "digits", options)
    assert [each.method for each in model.records] == ["two_stage", "qat"]
    assert record.method == "two_stage"
    assert model.precision["conv2"]["weight_bits"] == 4
    assert model.quantised() is not None


def test_without_a_budget_it_is_what_the_network_takes_of_the_description():
    system = cimarch.load("edge_macro:EdgeMacros", set={"macros": 3})
    _, record = uniform_width(made(Shortcut()), system, "digits", UniformWidth(epochs=0, **SHORT))
    assert record.details["budget_bit_lines"] == 256
    assert "the budget is 1 of the 3 macros of `macro.array`" in record.notes
