"""A whole network on a batch: what torch computes, in float, in whole numbers, and on a chip."""

import math

import attrs
import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from cimarch import DescriptionError, read_network, trace
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import lines_of, sections_of
from cimarch.functional.paths.lossless import Lossless
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.reference import Reference
from cimarch.functional.run.digital import Stored, compute
from cimarch.functional.run.execute import Executor, fitting
from cimarch.functional.run.tail import Rounding, Scales, Tail, whole
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.windows import Windows
from cimarch.mapping.precision import Bits
from cimarch.workload import zoo
from cimarch.workload.blocks import build
from cimarch.workload.bundled import named
from cimarch.workload.stored import Checkpoint
from cimarch.workload.weights import from_tensors
from interpret import values_of
from test_language_models import LANGUAGE_MODELS, module
from test_zoo_blocks import BLOCKS


class Of(nn.Module):
    """A module whose forward is a function of itself and its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def batched(module, *shape, images=3, atol=1e-5):
    """Trace with a batch of one, run with several, compare with the module on each of them."""
    torch.manual_seed(0)
    x = torch.randn(images, *shape)
    network = trace(module, x[:1])
    with torch.no_grad():
        expected = torch.cat([module.eval()(one[None]) for one in x])
    found = Executor.float(network, chunk=2).run(x.numpy())
    np.testing.assert_allclose(found, expected.numpy().reshape(found.shape), 1e-4, atol)
    return network


@pytest.mark.parametrize("name", ["mlp", "resnet20", "mobilenetv2_cifar", "vgg8"])
def test_the_float_model_is_what_torch_computes(name):
    torch.manual_seed(0)
    made, shape = zoo.build(name).eval(), zoo.default_input(name)
    network = trace(made, torch.zeros(shape))
    images = torch.randn(3, *shape[1:])
    with torch.no_grad():
        expected = made(images)
    found = Executor.float(network).run(images.numpy())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_what_torch_computes_for_each_image(block):
    torch.manual_seed(0)
    batched(block(), 3, 8, 8)


ELEMENTWISE = [
    nn.ReLU(), nn.ReLU6(), nn.Hardtanh(-0.5, 0.25), nn.Sigmoid(), nn.Tanh(), nn.GELU(),
    nn.GELU(approximate="tanh"), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(),
    nn.LeakyReLU(0.2), nn.ELU(0.5), nn.Softplus(2.0, 3.0), torch.exp, torch.erf, torch.sin,
    torch.cos, torch.abs, torch.neg, torch.square, torch.reciprocal,
    lambda x: torch.log(x.square()), lambda x: torch.sqrt(x.square()), lambda x: x**3,
    lambda x: torch.rsqrt(x.square() + 1), lambda x: x.clamp(max=0.25), lambda x: 2 - x,
    lambda x: x - 3, lambda x: x / 4, lambda x: torch.sub(x, x * 2, alpha=3),
    lambda x: torch.add(x, 1, alpha=0.5), lambda x: x / (x.square() + 1), lambda x: x - x * x,
]  # fmt: skip


@pytest.mark.parametrize("function", ELEMENTWISE, ids=range(len(ELEMENTWISE)))
def test_a_function_of_each_element(function):
    batched(Of(lambda self, x: function(x)), 4, 3, 5)


SHAPES = [
    (lambda x: x.reshape(1, 2, 2, 15).transpose(1, 2).flatten(1), (4, 3, 5)),
    (lambda x: x.permute(0, 3, 1, 2), (4, 3, 5)),
    (lambda x: x.permute(0, 2, 3, 1).reshape(1, 3, -1), (4, 3, 5)),
    (lambda x: x[:, 1:3, ::2] + x[:, 2:, 1:], (4, 3, 5)),
    (lambda x: torch.cat([x[:, :1], x, x[:, 2:]], 1), (4, 3, 5)),
    (lambda x: torch.stack(x.unbind(1), 2), (4, 3, 5)),
    (lambda x: F.pad(x, (1, 0, 2, 1, 0, 3)), (4, 3, 5)),
    (lambda x: x[:, :1].expand(-1, 4, -1, -1) * x, (4, 3, 5)),
    (lambda x: x.mean((1, 2), keepdim=True) + x, (4, 3, 5)),
    (lambda x: x.mean(-1), (4, 3, 5)),
    (lambda x: F.softmax(x, 1) + F.log_softmax(x, -1), (4, 3, 5)),
    (lambda x: F.layer_norm(x, x.shape[-2:]), (4, 3, 5)),
    (lambda x: F.rms_norm(x, x.shape[-1:]), (4, 3, 5)),
    (lambda x: F.group_norm(x, 2), (4, 3, 5)),
    (lambda x: F.max_pool2d(x, 3, 2, 1), (4, 6, 5)),
    (lambda x: F.max_pool2d(x, 2, 1, 0, 2), (4, 6, 5)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1), (4, 6, 5)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (4, 6, 5)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (4, 6, 6)),
    (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (4, 6, 6)),
    (lambda x: F.avg_pool2d(x, 2, divisor_override=3), (4, 6, 6)),
    (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (4, 6, 6)),
    (lambda x: F.adaptive_max_pool2d(x, 1), (4, 6, 6)),
    (lambda x: x @ x.transpose(-1, -2), (4, 3, 5)),
    (lambda x: F.scaled_dot_product_attention(x, x, x), (4, 6, 8)),
    (lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True), (4, 6, 8)),
    (lambda x: F.scaled_dot_product_attention(x, x, x, scale=0.2), (4, 6, 8)),
    (lambda x: F.scaled_dot_product_attention(x, x[:, :3], x[:, :3]), (6, 8)),
]


@pytest.mark.parametrize(("function", "shape"), SHAPES, ids=range(len(SHAPES)))
def test_an_operation_on_whole_tensors(function, shape):
    batched(Of(lambda self, x: function(x)), *shape)


PARTS = {
    "even kernel": (nn.Conv2d(4, 6, (4, 3), padding="same"), (4, 6, 6)),
    "depthwise, stride, dilation": (nn.Conv2d(4, 8, 3, 2, 2, 2, groups=4), (4, 9, 9)),
    "tokens": (nn.Linear(6, 4), (5, 6)),
    "batch norm": (nn.BatchNorm2d(4), (4, 3, 3)),
    "norms": (nn.Sequential(nn.GroupNorm(2, 4), nn.LayerNorm([3, 5])), (4, 3, 5)),
    "parameter": (Of(lambda self, x: x * self.p + self.p, p=nn.Parameter(torch.randn(4, 1, 1))),
                  (4, 3, 3)),
    "joined": (Of(lambda self, x: torch.cat([self.p, x], 1), p=nn.Parameter(torch.randn(1, 2, 6))),
               (5, 6)),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (5, 8)),
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_a_layer_with_parameters(part):
    made, shape = PARTS[part]
    batched(made, *shape)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_sequences_of_tokens_run_together(name):
    made = module(*LANGUAGE_MODELS[name])
    stored = Checkpoint(from_tensors(made.state_dict()), named(name))
    network = build(named(name), tokens=7, logits="all", weights=stored)
    tokens = torch.randint(0, 60, (3, 7))
    with torch.no_grad():
        expected = made(tokens)
    found = Executor.float(network).run(tokens.numpy())
    np.testing.assert_allclose(found, expected.numpy(), 1e-4, 1e-4)


def test_states_are_handed_from_one_inference_to_the_next():
    made = module(*LANGUAGE_MODELS["stories260k"])
    stored = Checkpoint(from_tensors(made.state_dict()), named("stories260k"))
    tokens = np.random.default_rng(0).integers(0, 60, (2, 5))
    model = named("stories260k")
    first = build(model, tokens=3, logits="all", weights=stored)
    second = build(model, tokens=2, context=3, logits="all", weights=stored)
    before = Executor.float(first).outputs({first.inputs[0]: tokens[:, :3]})
    states = {name: before[name] for name in second.states}
    assert {x.shape[:2] for x in states.values()} == {(2, 3)}
    after = Executor.float(second).outputs({second.inputs[0]: tokens[:, 3:], **states})
    for i in range(2):
        states_of_one = {n: torch.tensor(x[i]) for n, x in states.items()}
        once = values_of(second, torch.tensor(tokens[i : i + 1, 3:]), states_of_one)
        name = second.outputs[0]
        np.testing.assert_allclose(after[name][i], once[name].numpy(), 1e-4, 1e-4)


class Net(nn.Module):
    """Residuals, strides, padding of a zero point that is not 0, branches, and a linear layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, 3, 2, 1)
        self.same = nn.Conv2d(8, 8, 3, padding=1)
        self.short = nn.Conv2d(8, 8, 1, 2)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.first(x))
        y = self.same(F.relu(self.down(x)))
        x = F.relu6(y + self.short(x))
        x = F.relu(x + self.deep(x)) + x
        return self.last(F.adaptive_avg_pool2d(x, 1).flatten(1))


def quantised(network, *, inputs=(0, 255), zero=None, bits=8, seed=0):
    """A network in whole numbers, with scales that keep what is in it small."""
    random, made = np.random.default_rng(seed), {}
    for op in network.operations:
        if op.kind not in ("conv2d", "linear"):
            continue
        data = network.weights[op.weight].data.astype(np.float64)
        top = 2 ** (bits - 1) - 1
        scale = np.full(op.groups * op.columns, np.abs(data).max() / top)
        bias = network.weights[op.bias].data.astype(np.float64)
        made[op.name] = Quantised(
            Bits(bits, 8),
            np.rint(data / scale[0]).astype(np.int32).reshape(op.groups, op.columns, op.rows),
            scale * random.uniform(0.9, 1.1, scale.shape),
            3 / (inputs[1] - inputs[0]),
            int(random.integers(0, 99)) if zero is None else zero,
            inputs,
            bias,
        )  # fmt: skip
    return QuantisedNetwork(network, made, "drawn")


def step_by_step(made, images):
    """The quantised network, one operation after the other, sums by numpy."""
    stored = Stored(made.network)
    values = {made.network.inputs[0]: torch.from_numpy(images)}
    for op in made.network.operations:
        inputs = [values[name] for name in op.inputs]
        if op.name not in made.operations:
            values[op.outputs[0]] = compute(stored, op, inputs)
            continue
        each = made.operations[op.name]
        x = whole(inputs[0], each).numpy()
        windows = Windows.of(op, each.input_zero)
        sums = np.einsum("gwr,gor->gwo", windows.unfold(x), each.weights)
        result = Scales.of(each).result(torch.from_numpy(windows.fold(sums, x.shape).copy()))
        values[op.outputs[0]] = result.reshape(
            len(images), *made.network.tensors[op.outputs[0]].shape
        )
    return values[made.network.outputs[0]].numpy()


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(3)
    return trace(Net(), torch.zeros(1, 3, 8, 8))


IMAGES = np.random.default_rng(1).normal(size=(5, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("span", [(0, 255), (0, 15), (-127, 127), (-2000, 2000)])
def test_what_is_done_in_one_go_is_what_is_done_step_by_step(net, span):
    made = quantised(net, inputs=span, zero=None if span[0] == 0 and span[1] > 99 else 0)
    assert (Executor(made, chunk=2).run(IMAGES) == step_by_step(made, IMAGES)).all()


def test_sums_and_relus_belong_to_the_tail_of_a_product(net):
    steps = Executor(quantised(net))._steps
    assert [step.operation.name for step in steps if step.tail] == list(quantised(net).operations)
    others = [step.operation.kind for step in steps if not step.tail]
    assert others == ["add", "pool", "reshape"]
    kept = {step.operation.name: step.tail.keeps for step in steps if step.tail}
    assert kept == {
        "first": True, "down": False, "same": True, "short": True, "deep": True, "last": True,
    }  # fmt: skip


def test_an_image_gets_the_same_answer_in_any_batch(net):
    made = quantised(net)
    whole_batch = Executor(made, chunk=5).run(IMAGES)
    alone = np.concatenate([Executor(made, chunk=1).run(x[None]) for x in IMAGES])
    assert (whole_batch == alone).all()


def test_chunks_on_several_threads_give_the_same(net):
    made = quantised(net)
    expected, before = Executor(made, chunk=5).run(IMAGES), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert (Executor(made, chunk=1).run(IMAGES) == expected).all()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_transformer_in_whole_numbers_gives_the_same_in_any_batch():
    layer = nn.Sequential(nn.TransformerEncoderLayer(16, 4, 32, 0.0, "gelu", batch_first=True))
    network = trace(layer.eval(), torch.zeros(1, 7, 16))
    made = quantised(network, inputs=(-127, 127), zero=0)
    assert made.operations
    x = np.random.default_rng(0).normal(size=(6, 7, 16)).astype(np.float32)
    together = Executor(made, chunk=6).run(x)
    assert (together == Executor(made, chunk=1).run(x)).all()
    assert (together == step_by_step(made, x)).all()


def paths_of(made, bits, kind):
    """A path for each operation, on arrays of 32 rows with 2-bit cells."""
    scheme, paths = Scheme(converter=Converter(bits)), {}
    for op in made.network.operations:
        if op.name in made.operations:
            each = made.operations[op.name]
            lines = [lines_of(w, scheme, sections_of(op.rows, 32, 32)) for w in each.weights]
            ranges = Ranges.of(0, 1)
            windows = Windows.of(op, each.input_zero)
            lossless = Lossless.takes(lines, ranges)
            assert lossless is (bits >= 7)
            path = Lossless(lines, windows) if kind == "lossless" else None
            paths[op.name] = path or Reference(lines, ranges, windows)
    return paths


def test_where_converters_lose_nothing_the_chip_is_the_quantised_model():
    """32 rows of cells up to 3 sum to 96, within the 128 codes of 7 bits."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4))
    made = quantised(trace(net, torch.zeros(1, 2, 3, 3)))
    images = IMAGES[:2, :2, :3, :3]
    expected = Executor(made).run(images)
    for kind in ("lossless", "reference"):
        chip = Executor(made, paths_of(made, 7, kind))
        assert (chip.run(images) == expected).all()
    assert (Executor(made, paths_of(made, 4, "reference")).run(images) != expected).any()


def test_inputs_and_sums_can_be_watched(net):
    seen = {}
    made = quantised(net)
    Executor(made, observe=lambda name, x, sums: seen.setdefault(name, (x, sums))).run(IMAGES)
    assert list(seen) == list(made.operations)
    x, sums = seen["down"]
    assert (x.dtype, x.shape, sums.shape) == (np.uint8, (5, 8, 8, 8), (5, 8, 4, 4))
    windows = Windows.of(next(o for o in net.operations if o.name == "down"))
    windows = attrs.evolve(windows, fill=made.operations["down"].input_zero)
    expected = np.einsum("gwr,gor->gwo", windows.unfold(x), made.operations["down"].weights)
    assert (windows.fold(expected, x.shape) == sums).all()


SUMS = {
    "planes": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "neither": lambda x: x.transpose(2, 3),
    "vectors": lambda x: x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]),
}


@pytest.mark.parametrize("layout", SUMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int64, torch.float64])
@pytest.mark.parametrize("zero", [0, 131])
def test_a_tail_in_one_pass_is_the_tail_step_by_step(layout, dtype, zero):
    """Bias, second addend, limits and next inputs, of 70 channels and maps of 40 x 40."""
    torch.manual_seed(0)
    sums = SUMS[layout](torch.randint(-(2**23), 2**23, (2, 70, 40, 40)).to(dtype))
    random = np.random.default_rng(0)
    scales = Scales(
        np.floor(random.normal(0, 1e6, 70)) * (zero > 0),
        random.uniform(1e-7, 1e-6, 70).astype(np.float32),
        random.normal(0, 1, 70).astype(np.float32),
    )
    other = torch.randn(sums.shape)
    for rounding in (None, Rounding(50.0, zero, 0, 255), Rounding(31.7, 0, -127, 127)):
        for limits in ((-math.inf, math.inf), (0.0, math.inf), (0.0, 6.0)):
            for addend, keeps in ((None, False), (other, True)):
                tail = Tail(scales, limits, keeps, rounding)
                found, expected = tail(sums, addend), tail.plain(sums, addend)
                for one, two in zip(found, expected, strict=True):
                    assert (one is None) is (two is None)
                    assert one is None or torch.equal(one, two)
                    assert one is None or one.dtype == two.dtype


def test_ties_round_to_the_even_number():
    """0.5, 1.5 and 2.5 in units of the scale, and a zero point of 1, which is added after."""
    tail = Tail(
        Scales(np.zeros(1), np.full(1, 0.5, np.float32), np.zeros(1, np.float32)),
        keeps=False,
        rounding=Rounding(1.0, 1, 0, 255),
    )
    for kind in (torch.float32, torch.int64):
        _, codes = tail(torch.tensor([[1], [3], [5], [-9]]).to(kind), None)
        assert codes.ravel().tolist() == [1, 3, 3, 0]


def refused(network):
    with pytest.raises(DescriptionError) as caught:
        Executor.float(network)
    return caught.value.diagnostics[0]


def test_a_network_without_weights_is_refused():
    found = refused(read_network(None, model="resnet20"))
    assert found.code == "E351"
    assert found.headline == "`conv1` of `resnet20` has no weights, only their shapes"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: x.masked_fill(torch.ones(4, 4).tril() == 0, 0.0), "masked_fill"),
        (lambda x: x + torch.arange(4), "constant"),
        (lambda x: F.scaled_dot_product_attention(x, x, x, torch.ones(4, 4).tril()), "mask"),
    ],
)
def test_what_the_network_does_not_hold_is_refused(function, says):
    found = refused(trace(Of(lambda self, x: function(x)), torch.zeros(1, 4, 4)))
    assert found.code == "E350"
    assert says in found.headline


def test_images_of_another_shape_are_refused(net):
    with pytest.raises(ValueError, match=r"\(3, 4, 4\), not \(3, 8, 8\)"):
        Executor.float(net).run(IMAGES[:, :, :4, :4])
    with pytest.raises(ValueError, match="above 0"):
        Executor.float(net).run(IMAGES[:0])
    with pytest.raises(ValueError, match="inputs are"):
        Executor.float(net).outputs({"y": IMAGES})


def test_as_many_images_are_under_way_as_fit_the_cache():
    """The largest tensor of ResNet-20 has 16 x 32 x 32 numbers, 64 KiB: 64 of them are 4 MiB."""
    assert fitting(read_network("resnet20")) == 64


def test_what_a_shortcut_does_comes_before_the_products_beside_it():
    """So the tail of a block's second convolution adds it: no sum of ResNet-20 is left over."""
    network = read_network("resnet20")
    steps = Executor(quantised(network, zero=0))._steps
    assert {step.operation.kind for step in steps} == {
        "conv2d", "linear", "slice", "pad", "pool", "reshape",
    }  # fmt: skip
    assert [s.operation.name for s in steps if s.tail] == list(quantised(network).operations)
