"""Blocks of networks that are not in the zoo: each is read, is what torch computes, and runs."""

import pytest

import cimarch
from cimarch import trace
from interpret import run

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Gated(nn.Module):
    """Squeeze and excitation, as in MobileNetV3: a map times one number per channel."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(3, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)

    def forward(self, x):
        x = F.hardswish(self.norm(self.depthwise(F.hardswish(self.wide(x)))))
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        return (x * F.hardsigmoid(gate)).mean((2, 3))


class Swish(Gated):
    """The same with silu and sigmoid, as in EfficientNet."""

    def forward(self, x):
        x = F.silu(self.norm(self.depthwise(F.silu(self.wide(x)))))
        gate = self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return (x * torch.sigmoid(gate)).mean((2, 3))


class Dense(nn.Module):
    """DenseNet: batch norms before their convolutions, and everything joined to its input."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm, self.second = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1, bias=False)

    def forward(self, x):
        x = self.first(x)
        return F.avg_pool2d(torch.cat([x, self.second(F.relu(self.norm(x)))], 1), 8)


class Shuffled(nn.Module):
    """ShuffleNet: half of the channels pass, and the halves are interleaved."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        left, right = self.first(x).chunk(2, 1)
        x = torch.cat([left, self.norm(self.depthwise(F.relu(right)))], 1)
        x = x.view(1, 2, 8, 8, 8).transpose(1, 2).reshape(1, 16, 8, 8)
        return x.mean([2, 3])


class Inception(nn.Module):
    """Branches of several windows, joined, and a pooling that covers the edge."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 1)
        self.wide = nn.Conv2d(3, 4, (1, 5), padding=(0, 2))
        self.pooled = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        parts = [self.one(x), F.relu6(self.wide(x)), self.pooled(F.avg_pool2d(x, 3, 1, 1))]
        return F.max_pool2d(torch.cat(parts, 1), 3, 2, ceil_mode=True)


BLOCKS = {
    Gated: "conv2d hardswish conv2d hardswish average conv2d relu conv2d hardsigmoid mul average",
    Swish: "conv2d silu conv2d silu average conv2d silu conv2d sigmoid mul average",
    Dense: "conv2d batch relu conv2d concat average",
    Shuffled: "conv2d slice slice relu conv2d concat reshape permute reshape average",
    Inception: "conv2d conv2d relu6 average conv2d concat max",
}


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_what_torch_computes_and_runs(block):
    torch.manual_seed(0)
    module = block()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 3, 8, 8)
    network = trace(module, x)
    assert [o.function or o.kind for o in network.operations] == BLOCKS[block].split()
    with torch.no_grad():
        expected = module.eval()(x)[0]
    (found,) = run(network, x)
    torch.testing.assert_close(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)
    system = cimarch.load("edge_macro", set={"vector.does": "[any]"})
    assert cimarch.simulate(system, network).cycles > 0


def test_a_clamp_is_called_by_its_limits():
    class Clamps(nn.Module):
        def forward(self, x):
            return x.clamp(0, 6) + x.clamp(min=0) + x.clamp_max(4) + F.relu6(x) + F.hardtanh(x)

    operations = trace(Clamps(), torch.zeros(1, 4)).operations
    found = [o for o in operations if o.kind == "activation"]
    assert [o.function for o in found] == ["relu6", "relu", "clamp", "relu6", "hardtanh"]
    assert dict(found[2].settings)["high"] == 4


def test_the_gate_of_a_block_reaches_every_element_of_its_map():
    """One number per channel meets the 64 positions of its channel."""
    network = trace(Gated(), torch.zeros(1, 3, 8, 8))
    multiply = next(o for o in network.operations if o.kind == "mul")
    sizes = [network.tensors[name].shape for name in (*multiply.inputs, *multiply.outputs)]
    assert sizes == [(16, 8, 8), (16, 1, 1), (16, 8, 8)]
