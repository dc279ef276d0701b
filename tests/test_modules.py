"""Torch layers on a chip: whole numbers forward, straight through backward."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimarch

torch = pytest.importorskip("torch")

from cimarch.functional.converter import Ranges  # noqa: E402
from cimarch.functional.reference import product  # noqa: E402
from cimarch.functional.run.tail import Scales, whole  # noqa: E402
from cimarch.functional.scheme import Converter, Scheme  # noqa: E402
from cimarch.functional.train.modules import Arrays, Chip, Conv2d, Linear, from_float  # noqa: E402
from cimarch.functional.train.torch_models import (  # noqa: E402
    convert_,
    layers,
    quantised_network,
    take_scales_,
    trained_ranges,
)
from models import build  # noqa: E402

MACRO = Scheme(
    encoding="signed_cell", weight_bits=4, input_bits=4, cell_bits=4, dac_bits=4,
    converter=Converter(5),
)  # fmt: skip
SLICED = Scheme(cell_bits=2, converter=Converter(6))
LOSSLESS = Scheme(cell_bits=2, converter=None)


def chip(scheme=SLICED, rows=16, **options):
    return Chip(Arrays(scheme, rows), **options)


def by_reference(layer, x):
    """What plain loops and the network's rounding make of a layer's state."""
    quantised = layer.quantised()
    windows = layer.windows
    inputs = whole(x, quantised).numpy()
    sums = np.stack([
        product(taken, lines, layer.converter_ranges).values
        for taken, lines in zip(windows.unfold(inputs), layer.lines(), strict=True)
    ])  # fmt: skip
    return Scales.of(quantised).result(torch.from_numpy(windows.fold(sums, inputs.shape)))


def settled(layer, x):
    """A layer that has seen a batch."""
    layer.train()
    with torch.no_grad():
        layer(x)
    return layer


@pytest.mark.parametrize("scheme", [SLICED, MACRO, LOSSLESS], ids=["sliced", "macro", "lossless"])
@pytest.mark.parametrize("mode", ["exact", "merged"])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_a_layer_computes_what_plain_loops_do(scheme, mode, per):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 5).relu()
    layer = Conv2d(4, 6, 3, 2, 1, groups=2, chip=chip(scheme, mode=mode, per=per))
    settled(layer, x)
    assert torch.equal(layer(x), by_reference(layer, x))
    dense = settled(
        Linear(20, 3, chip=chip(scheme, mode=mode, per=per)), x[0, 0, :4, :].reshape(1, 20)
    )
    y = torch.rand(3, 2, 20)
    assert torch.equal(dense(y), by_reference(dense, y.reshape(6, 20)).reshape(3, 2, 3))


ONE_LINE = {
    "signed cell": {"encoding": "signed_cell", "cell_bits": 4},
    "offset": {"encoding": "offset", "cell_bits": 4},
    "offset, slices merged in analog": {"encoding": "offset", "slice_merge": "analog"},
    "reference column": {"encoding": "offset_column", "cell_bits": 4},
    "flipped": {"encoding": "flipped", "slice_merge": "analog"},
    "pair": {"encoding": "differential", "cell_bits": 4, "subtract": "analog"},
    "two's complement": {"encoding": "twos_complement", "slice_merge": "analog"},
    "binary": {"encoding": "binary", "weight_bits": 1, "cell_bits": 1},
}
CONVERTERS = {
    "none": None,
    "mid-tread": Converter(5),
    "mid-rise": Converter(4, "mid_rise"),
    "about zero": Converter(4, "sign_magnitude"),
    "thresholds": Converter(
        2,
        "thresholds",
        thresholds=tuple(map(Fraction, (-10, 0, 10))),
        levels=tuple(map(Fraction, (-15, "-4.5", "4.5", 15))),
    ),
}


@st.composite
def one_line_layers(draw):
    """A convolution or a linear layer whose sums are merged on the chip itself, and its inputs."""
    scheme = Scheme(
        **{
            "weight_bits": 4,
            "input_bits": draw(st.integers(2, 4)),
            "input_accumulation": draw(st.sampled_from(["analog", "digital"])),
            "dac_bits": 4,
            "inputs": draw(st.sampled_from(["unsigned", "sign_magnitude", "twos_complement"])),
            "converter": CONVERTERS[draw(st.sampled_from(sorted(CONVERTERS)))],
            "tile_bits": draw(st.sampled_from([None, 6, 30])),
            "sum_bits": draw(st.sampled_from([None, 7])),
            "overflow": draw(st.sampled_from(["saturate", "wrap"])),
        }
        | ONE_LINE[draw(st.sampled_from(sorted(ONE_LINE)))]
    )
    rows = draw(st.integers(3, 12))
    each = draw(st.sampled_from([1, 3]))
    ranges = None
    if scheme.converter and draw(st.booleans()):
        steps = draw(st.sampled_from([(1.0, 2.0, 4.0), (3.0, 3.0, 3.0)]))[:each]
        low = -8.0 if scheme.converter.transfer != "thresholds" else 0.0
        ranges = Ranges(low * np.array([steps]), np.array([steps]))
    arrays = Arrays(scheme, rows, draw(st.integers(1, rows)), blocks=draw(st.integers(1, 2)))
    options = {
        "chip": Chip(arrays, "merged", draw(st.sampled_from(["tensor", "channel"])), ranges),
    }
    if draw(st.booleans()):
        return Linear(draw(st.integers(1, 20)), each, **options), None
    groups = draw(st.sampled_from([1, 2]))
    layer = Conv2d(
        2 * groups, each * groups, (draw(st.integers(1, 3)), 2), draw(st.integers(1, 2)),
        draw(st.sampled_from([0, 1])), draw(st.integers(1, 2)), groups, **options,
    )  # fmt: skip
    return layer, groups


@given(one_line_layers(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_merged_and_exact_agree_where_the_chip_merges(drawn, seed):
    layer, groups = drawn
    torch.manual_seed(seed)
    x = torch.randn(3, layer.in_features) if groups is None else torch.randn(2, 2 * groups, 5, 6)
    settled(layer, x)
    with torch.no_grad():
        mine = layer.eval()(x)  # the chip's path
    merged_sums = layer.train()(x)
    assert torch.equal(mine, by_reference(layer, x))
    torch.testing.assert_close(merged_sums.detach(), mine, rtol=1e-6, atol=1e-6)
    merged_sums.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("padding", [0, 1, (2, 1), "same", "valid"])
@pytest.mark.parametrize("kernel", [1, (2, 4), 3])
def test_every_padding_of_torch_is_taken(padding, kernel):
    torch.manual_seed(0)
    plainly = torch.nn.Conv2d(4, 2, kernel, padding=padding, dilation=2)
    layer = from_float(plainly, chip(LOSSLESS))
    torch.nn.init.constant_(layer.input_scale, 1 / 255)
    x = torch.rand(2, 4, 9, 8, requires_grad=True)
    y = layer(x)
    assert torch.allclose(y, plainly(x), atol=0.05)
    y.sum().backward()
    mine = x.grad.clone()
    x.grad = None
    plainly(x).sum().backward()
    assert torch.allclose(mine, x.grad, atol=0.05)


# ------------------------------------------------------------------ gradients, by autograd


def rounded(v):
    """round, straight through."""
    return v + (v.round() - v).detach()


def held(v, low, high):
    """clamp(round(v)), straight through where v lies inside."""
    inside = v.clamp(low, high)
    return inside + (inside.detach().round() - inside).detach()


def converted(layer, sums, step):
    """The conversion of sums (mid-tread), with gradients of sums and step."""
    converter = layer.chip.scheme.converter
    if converter is None:
        return sums
    begin = float((layer.converter_ranges.low / layer.converter_ranges.step).ravel()[0])
    return step * (begin + held(sums / step - begin, 0, converter.codes - 1))


def plain(layer, x, parameters):
    """The layer in plain torch operations, section by section, for autograd to differentiate."""
    weight, bias, weight_scale, input_scale, step = parameters
    numbers, zero = layer.numbers, layer.numbers.input_zero
    low, high = numbers.input_range
    whole = zero + held(x / input_scale, low - zero, high - zero)
    shape = (-1, *(1,) * (weight.dim() - 1))
    top = numbers.weight_top
    weights = held(weight / weight_scale.view(shape), -top, top)
    geometry = layer.affine
    padding = geometry.padding[0], geometry.padding[2]

    def multiply(x, w):
        if not geometry.is_map:
            return x @ w.T
        padded = torch.nn.functional.pad(x, (padding[1],) * 2 + (padding[0],) * 2, value=zero)
        return torch.conv2d(padded, w, None, geometry.stride, 0, geometry.dilation, geometry.groups)

    if layer.chip.mode == "exact":
        sums = multiply(whole, weights)
        product = layer._exact().forward(layer_whole(layer, x), weights.detach()).values
        sums = sums + (product - sums).detach()
    else:
        sums = 0
        for section in layer.lines()[0].sections:
            mask = torch.zeros(layer.rows, dtype=x.dtype)
            mask[section.first : section.end] = 1
            part = weights * mask.view(weights.shape[1:])
            sums = sums + converted(layer, multiply(whole, part), step)
    sums = sums - zero * along(weights.flatten(1).sum(1), sums)
    result = sums * input_scale * along(weight_scale.expand(len(weight)), sums)
    return result if bias is None else result + along(bias, sums)


def along(values, like):
    return values.reshape(1, -1, *(1,) * (like.dim() - 2))


def layer_whole(layer, x):
    from cimarch.functional.train.straight import whole_inputs

    return whole_inputs(x, layer.input_scale, layer.numbers)


def slope(count, top):
    """LSQ: what a scale's gradient is made smaller by."""
    return 1 / (count * top) ** 0.5


CASES = {
    "sliced": (SLICED, "exact"),
    "lossless": (LOSSLESS, "exact"),
    "macro": (MACRO, "exact"),
    "merged macro": (MACRO, "merged"),
    "merged": (SLICED, "merged"),
    "merged without converters": (LOSSLESS, "merged"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("per", ["tensor", "channel"])
@pytest.mark.parametrize("signed", [False, True], ids=["relu", "with a zero point"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])
def test_gradients_are_those_of_straight_through_estimators(case, per, signed, dtype):
    torch.manual_seed(1)
    scheme, mode = CASES[case]
    x = torch.randn(3, 4, 5, 5, dtype=dtype)
    x = x if signed else x.relu()
    layer = Conv2d(4, 6, 3, 2, 1, groups=2, chip=chip(scheme, mode=mode, per=per), dtype=dtype)
    settled(layer, x)
    with torch.no_grad():
        layer.input_scale *= 0.6
        layer.weight_scale *= 0.7
        if layer.converter_step is not None:
            layer.converter_step *= 0.4
    check_gradients(layer, x)


def check_gradients(layer, x):
    parameters = [layer.weight, layer.bias, layer.weight_scale, layer.input_scale]
    step = layer.converter_step
    wanted = [x.clone().requires_grad_(), *parameters] + ([] if step is None else [step])
    given = torch.randn_like(layer(x))
    found = torch.autograd.grad(layer(wanted[0]), wanted, given)
    twins = [p.detach().double().requires_grad_() for p in [x, *parameters]]
    step_twin = torch.ones(()) if step is None else step.detach().double().requires_grad_()
    result = plain(layer, twins[0], [*twins[1:], step_twin])
    torch.testing.assert_close(layer(x), result.to(x.dtype), rtol=1e-5, atol=1e-5)
    learned = twins + ([] if step is None else [step_twin])
    expected = list(torch.autograd.grad(result, learned, given.double()))
    expected[3] *= slope(layer.weight.numel(), layer.numbers.weight_top)
    expected[4] *= slope(x[0].numel(), layer.numbers.input_range[1])
    if step is not None:
        sections = len(layer.lines()[0].sections)
        most = layer.chip.scheme.converter.codes // 2 - 1
        expected[5] *= slope(given[0].numel() * sections, most)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), rtol=2e-4, atol=2e-4)


# ------------------------------------------------------------------ whole models


class Small(torch.nn.Module):
    """Convolutions with norms and a shortcut, a grouped one, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(8)
        self.second = torch.nn.Conv2d(8, 8, 3, 2, 1, groups=2, bias=False)
        self.norm2 = torch.nn.BatchNorm2d(8)
        self.third = torch.nn.Conv2d(8, 16, 1)
        self.out = torch.nn.Linear(16, 5)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.norm2(self.second(x)) + x[:, :, ::2, ::2])
        x = torch.relu(self.third(x))
        return self.out(torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


EXAMPLE = torch.zeros(1, 3, 8, 8)


def placed(model, name="bit_serial", bits=8, **options):
    network = cimarch.trace(model, EXAMPLE)
    system = cimarch.load(name, **options)
    return cimarch.map_network(system, network, weight_bits=bits, input_bits=bits)


def trained(placement, model, steps=3, **options):
    torch.manual_seed(3)
    convert_(model, placement, **options)
    optimizer = torch.optim.SGD(model.train().parameters(), 0.02)
    for _ in range(steps):
        x, labels = torch.randn(16, 3, 8, 8), torch.randint(0, 5, (16,))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("mode", ["exact", "merged"])
def test_a_trained_model_predicts_what_its_network_does_on_the_chip(mode):
    from cimarch.functional.matrix import matrix_of
    from cimarch.functional.run.execute import Executor

    torch.manual_seed(2)
    model = Small()
    placement = placed(model, "edge_macro", 4)
    trained(placement, model, mode=mode, per="channel")
    quantised, ranges = quantised_network(model, EXAMPLE), trained_ranges(model)
    paths = {
        name: matrix_of(placement, name, each, ranges[name]).path
        for name, each in quantised.operations.items()
    }
    images = torch.randn(40, 3, 8, 8)
    with torch.no_grad():
        mine = model(images)
    theirs = torch.from_numpy(Executor(quantised, paths).run(images.numpy()))
    assert torch.equal(mine.argmax(1), theirs.argmax(1))
    close = torch.isclose(mine, theirs, rtol=1e-4, atol=1e-4).all(1)
    assert close.float().mean() > 0.9  # a norm in front rounds otherwise: a few inputs at a tie


def test_layers_lie_as_the_placement_says():
    model = Small()
    placement = placed(model, set={"macro.rows": 32})
    convert_(model, placement)
    assert sorted(layers(model)) == ["first", "out", "second", "third"]
    (sections,) = layers(model)["first"].chip.arrays.sections
    assert [(s.first, s.end) for s in sections] == [(0, 27)]
    assert len(layers(model)["second"].chip.arrays.sections) == 2


def test_lossless_converters_give_the_gradients_of_the_plain_quantised_model():
    torch.manual_seed(4)
    exact, plainly = Small(), Small()
    plainly.load_state_dict(exact.state_dict())
    convert_(exact, placed(exact, set={"macro.adc.bits": 10}))
    convert_(plainly, placed(plainly), mode="merged")
    for layer in layers(plainly).values():
        layer.ranges = layer.converter_step = None
        layer.chip = Chip(Arrays(LOSSLESS))
    x = torch.randn(4, 3, 8, 8)
    for model in (exact, plainly):
        model(x).square().sum().backward()
    for mine, theirs in zip(exact.parameters(), plainly.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_state_dict_brings_scales_and_ranges_back():
    torch.manual_seed(5)
    model = trained(placed(Small(), "edge_macro", 4), Small(), mode="merged")
    again = Small()
    convert_(again, placed(again, "edge_macro", 4), mode="merged")
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(model(x), again.eval()(x))
    assert layers(again)["first"].converter_ranges.step == layers(model)["first"].converter_step


def trained_digits():
    """The digits' network as it was trained, and its images and labels: (train, test)."""
    pytest.importorskip("sklearn")
    data = cimarch.read_data("digits")
    network = cimarch.read_network("models/digits.pt")
    model = build("digits")
    weights = {path: torch.from_numpy(w.data.copy()) for path, w in network.weights.items()}
    model.load_state_dict(weights)
    parts = [
        (torch.from_numpy(part.inputs()), torch.from_numpy(part.labels))
        for part in (data.train, data.test)
    ]
    return model, network, parts


def placed_digits(network, name, bits, **settings):
    system = cimarch.load(name, set=settings)
    return cimarch.map_network(system, network, weight_bits=bits, input_bits=bits)


def accuracy(model, images, labels):
    with torch.no_grad():
        return float((model(images).argmax(1) == labels).float().mean())


def test_a_chips_answer_is_the_evaluations_to_the_last_bit():
    """Without norms in the model nothing is rounded between a layer and the next."""
    from cimarch.functional.matrix import matrix_of
    from cimarch.functional.run.execute import Executor

    model, network, ((images, _), (judged, _)) = trained_digits()
    placement = placed_digits(network, "bit_serial", 8, **{"macro.adc.bits": 5})
    convert_(model, placement)
    settled(model, images[:100]).eval()
    quantised = quantised_network(model, images[:1])
    operations = quantised.operations.items()
    paths = {name: matrix_of(placement, name, each).path for name, each in operations}
    with torch.no_grad():
        mine = model(judged)
    assert np.array_equal(mine.numpy(), Executor(quantised, paths).run(judged.numpy()))


def test_layers_start_from_what_was_quantised_after_training():
    from cimarch.functional.run.execute import Executor

    model, network, ((images, _), (judged, _)) = trained_digits()
    plain = copy.deepcopy(model)
    placement = placed_digits(network, "bit_serial", 8, **{"macro.adc.bits": 9})
    convert_(model, placement)
    quantised = quantised_network(settled(model, images[:100]).eval(), images[:1])
    convert_(plain, placement, per="channel")
    take_scales_(plain.eval(), quantised)
    with torch.no_grad():
        assert np.array_equal(plain(judged).numpy(), Executor(quantised).run(judged.numpy()))


def test_training_through_coarse_converters_repairs_what_they_break():
    """4-bit weights and inputs, 256 rows, 5-bit converters of one unit: the edge macro as it is."""
    model, network, ((images, labels), (judged, truth)) = trained_digits()
    placement = placed_digits(network, "edge_macro", 4)
    broken = copy.deepcopy(model)
    convert_(broken, placement)
    assert accuracy(settled(broken, images[:200]).eval(), judged, truth) < 0.4
    torch.manual_seed(0)
    convert_(model, placement, mode="merged")
    optimizer = torch.optim.Adam(model.train().parameters(), 1e-3)
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    mine = accuracy(model.eval(), judged, truth)
    assert mine > 0.95
    quantised = quantised_network(model, images[:1])
    (chip_,) = cimarch.evaluate(
        cimarch.load("edge_macro"), quantised.network, "digits", weight_bits=4, input_bits=4,
        quantised=quantised, ranges=trained_ranges(model), statistics=1,
    ).chip  # fmt: skip
    assert chip_.top1.value == pytest.approx(mine, abs=1e-6)


def test_cells_that_are_not_ideal_are_others_at_each_step_and_the_same_at_inference():
    from cimarch.functional.matrix import matrix_of

    torch.manual_seed(0)
    model = Small()
    settings = {"macro.array.program_noise": 0.05, "macro.adc.bits": 6}
    placement = placed(model, set=settings)
    x = torch.randn(4, 3, 8, 8)
    convert_(model, placement, seed=7)
    layer = settled(layers(model)["first"], x)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    second.sum().backward()
    assert torch.isfinite(layer.weight.grad).all()
    matrix = matrix_of(placement, "first", layer.quantised(), seed=7)
    sums = torch.from_numpy(matrix.path(whole(x, matrix.quantised).numpy()))
    with torch.no_grad():
        assert torch.equal(layer.eval()(x), Scales.of(matrix.quantised).result(sums))


# ------------------------------------------------------------------ what it refuses, and keeps


def refused(code, act):
    with pytest.raises(cimarch.DescriptionError) as caught:
        act()
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    return problem


def test_a_layer_without_scales_is_refused_at_inference():
    layer = Conv2d(1, 1, 1, chip=chip()).eval()
    refused("E360", lambda: layer(torch.rand(1, 1, 2, 2)))


def test_a_convolution_that_reflects_is_refused():
    plainly = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")
    problem = refused("E361", lambda: from_float(plainly, chip()))
    assert "`reflect`" in problem.headline


def test_weights_that_are_no_numbers_are_refused():
    plainly = torch.nn.Linear(2, 2)
    with torch.no_grad():
        plainly.weight[0, 0] = float("nan")
    refused("E303", lambda: from_float(plainly, chip()))
    layer = settled(Linear(2, 2, chip=chip()), torch.rand(1, 2))
    with pytest.raises(ValueError, match="diverged"):
        layer(torch.tensor([[float("nan"), 1.0]]))
    with torch.no_grad():
        layer.weight[0, 0] = float("inf")
    with pytest.raises(ValueError, match="diverged"):
        layer(torch.rand(1, 2))


def test_a_placement_of_another_model_is_refused():
    placement = placed(Small())
    other = Small()
    del other.third
    other.thirds = torch.nn.Conv2d(8, 16, 1)
    problem = refused("E362", lambda: convert_(other, placement))
    assert problem.helps == ("did you mean `thirds`?",)


def test_a_mode_or_granularity_that_is_none_is_refused():
    with pytest.raises(ValueError, match="exactly"):
        Chip(Arrays(SLICED), "exactly")
    with pytest.raises(ValueError, match="row"):
        Chip(Arrays(SLICED), per="row")


def test_a_layer_keeps_its_path_while_its_whole_weights_stay():
    layer = settled(Linear(8, 2, chip=chip()), torch.rand(4, 8))
    known = layer._known
    with torch.no_grad():
        layer.weight += 1e-9
        layer(torch.rand(4, 8))
    assert layer._known is known
    with torch.no_grad():
        layer.weight.neg_()
        layer(torch.rand(4, 8))
    assert layer._known is not known


def test_layers_are_copied_and_moved_as_others_are():
    x = torch.rand(4, 8)
    layer = settled(Linear(8, 2, chip=chip(MACRO, mode="merged")), x)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(again(x), layer(x))
    double = copy.deepcopy(layer).double()
    y = double(x.double())
    assert y.dtype == torch.float64
    torch.testing.assert_close(y.float(), layer(x))


def test_a_range_that_is_stated_is_not_learned():
    converter = Converter(5, low=Fraction(-32), step=Fraction(2))
    stated = attrs.evolve(MACRO, converter=converter)
    layer = Linear(8, 2, chip=chip(stated, mode="merged"))
    assert layer.converter_step is None
    assert (layer.converter_ranges.low, layer.converter_ranges.step) == (-32, 2)


def test_a_learned_step_goes_where_the_error_falls():
    """Sums of 8 cells of up to 7 by inputs of up to 15 against 5-bit codes of one unit."""
    torch.manual_seed(0)
    x, ranges = torch.rand(64, 8), Ranges.of(-16, 1)
    layer = Linear(8, 4, chip=chip(MACRO, mode="merged", ranges=ranges))
    target = torch.nn.functional.linear(x, layer.weight, layer.bias).detach()

    def error():
        return torch.nn.functional.mse_loss(layer(x), target)

    before = error().item()
    optimizer = torch.optim.Adam([layer.converter_step], 0.1)
    for _ in range(100):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert layer.converter_step.item() > 2
    assert error().item() < before / 4


def test_a_layer_of_one_bit_holds_signs():
    scheme = Scheme(encoding="binary", weight_bits=1, cell_bits=1, input_bits=4, dac_bits=4)
    layer = settled(Linear(6, 2, chip=chip(scheme)), torch.rand(3, 6))
    assert set(np.unique(layer.whole_weights())) <= {-1, 1}
    assert layer.weight_scale.item() == pytest.approx(layer.weight.abs().mean().item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_compute_in_single_precision(dtype):
    layer = settled(
        Conv2d(2, 3, 3, chip=chip(MACRO), dtype=dtype), torch.rand(2, 2, 5, 5).to(dtype)
    )
    y = layer(torch.rand(2, 2, 5, 5).to(dtype))
    assert y.dtype == dtype
    y.sum().backward()
    assert layer.weight.grad.dtype == dtype


def test_a_scale_that_has_become_negative_is_told():
    layer = settled(Linear(2, 2, chip=chip()), torch.rand(1, 2))
    with torch.no_grad():
        layer.input_scale.neg_()
    with pytest.raises(ValueError, match="`input_scale` has become -"):
        layer(torch.rand(1, 2))


def test_one_scale_for_all_cannot_take_a_scale_for_each():
    torch.manual_seed(0)
    model, plain = Small(), Small()
    placement = placed(model)
    convert_(model, placement)
    quantised = quantised_network(settled(model, torch.rand(8, 3, 8, 8)), EXAMPLE)
    convert_(plain, placement)
    problem = refused("E363", lambda: take_scales_(plain, quantised))
    assert problem.headline.startswith("`first` has a weight scale for each output")
