"""Torch layers on a chip: whole numbers forward, straight through backward."""

from __future__ import annotations

import numpy as np
import pytest

import cimarch

torch = pytest.importorskip("torch")

from cimarch.functional.modules import Arrays, Chip, Conv2d, Linear  # noqa: E402
from cimarch.functional.reference import product  # noqa: E402
from cimarch.functional.scheme import Converter, Scheme  # noqa: E402
from cimarch.functional.tail import Scales, whole  # noqa: E402
from cimarch.functional.torch_models import (  # noqa: E402
    convert_,
    layers,
    quantised_network,
    trained_ranges,
)

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
    from cimarch.functional.straight import whole_inputs

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
    scales = len(layer.weight_scale)
    expected[3] *= slope(layer.weight.numel() // scales, layer.numbers.weight_top)
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
    from cimarch.functional.execute import Executor
    from cimarch.functional.matrix import matrix_of

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
