"""Every network of models/ exports, reads back, and computes what torch computes."""

import math

import numpy as np
import pytest

from cimarch import read_network, trace
from cimarch.workload import zoo
from interpret import run

torch = pytest.importorskip("torch")

SMALL = [
    "mlp",
    "digits",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet18_cifar",
    "mobilenetv2_cifar",
    "vgg8",
    "vgg11",
    "vgg16_cifar",
]

PARAMETERS = {
    "mlp": 235_146,
    "digits": 15_338,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet50_v15": 25_557_032,
    "resnet18_cifar": 11_173_962,
    "resnet34_cifar": 21_282_122,
    "resnet50_cifar": 23_520_842,
    "mobilenetv2": 3_504_872,
    "mobilenetv2_cifar": 2_236_682,
    "vgg7": 1_188_170,
    "vgg8": 12_979_850,
    "vgg11": 9_756_426,
    "vgg16": 138_357_544,
    "vgg16_cifar": 15_253_578,
}
"""Trained numbers: weights, biases, and two per channel of a batch norm."""

LAYERS = {
    "mlp": 3,
    "digits": 4,
    "resnet20": 20,
    "resnet32": 32,
    "resnet44": 44,
    "resnet56": 56,
    "resnet18": 18 + 3,
    "resnet34": 34 + 3,
    "resnet50": 50 + 4,
    "resnet50_v15": 50 + 4,
    "resnet18_cifar": 18 + 3,
    "resnet34_cifar": 34 + 3,
    "resnet50_cifar": 50 + 4,
    "mobilenetv2": 53,
    "mobilenetv2_cifar": 53,
    "vgg7": 7,
    "vgg8": 8,
    "vgg11": 11,
    "vgg16": 16,
    "vgg16_cifar": 16,
}
"""Matrix products: the layers of the name, and the shortcuts that are convolutions."""


def trained(name):
    """The network with batch norms that are not the identity, as after training."""
    torch.manual_seed(0)
    module = zoo.build(name)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
            torch.nn.init.normal_(part.bias, 0, 0.1)
    return module.eval()


def products(network):
    return [operation for operation in network.operations if operation.macs]


def test_the_list_of_networks_is_complete():
    assert set(zoo.models().MODELS) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_it_has_as_many_parameters_and_layers_as_published(name):
    module = zoo.build(name, weights=False)
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS[name]
    network = read_network(None, model=name)
    assert len(products(network)) == LAYERS[name]
    assert all(weight.data is None for weight in network.weights.values())


@pytest.mark.parametrize("name", SMALL)
def test_it_reads_back_as_what_it_computes(name, tmp_path):
    module, shape = trained(name), zoo.default_input(name)
    network = trace(module, torch.zeros(shape))
    path = tmp_path / f"{name}.pt"
    from cimarch.workload.trace import export

    path.write_bytes(export(module, torch.zeros(shape)))
    again = read_network(path)
    assert again.operations == network.operations
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(x)[0]
    (found,) = run(again, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_folded_weights_are_the_products_of_torchs_own(name):
    module = trained(name)
    network = trace(module, torch.zeros(zoo.default_input(name)))
    norms = {n for n, part in module.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    assert not any(operation.kind == "norm" for operation in network.operations)
    parts = dict(module.named_modules())
    folded = 0
    for operation in products(network):
        part = parts[operation.name]
        norm = norm_behind(operation.name)
        if norm in norms:
            part = torch.nn.utils.fuse_conv_bn_eval(part, parts[norm])
            folded += 1
        assert np.allclose(network.weights[operation.weight].data, part.weight.detach(), 1e-5, 1e-6)
        assert np.allclose(network.weights[operation.bias].data, part.bias.detach(), 1e-5, 1e-6)
    assert folded == len(norms)


def norm_behind(name):
    """`layer1.0.conv2` -> `layer1.0.bn2`; `features.3` -> `features.4`."""
    head, _, last = name.rpartition(".")
    behind = str(int(last) + 1) if last.isdigit() else last.replace("conv", "bn")
    return f"{head}.{behind}" if head else behind


def test_resnet20_makes_9089_products():
    """7 convolutions on 32 x 32 maps, 6 on 16 x 16, 6 on 8 x 8, and one linear layer."""
    network = read_network(None, model="resnet20")
    assert sum(operation.windows for operation in products(network)) == 9089
    by_name = {operation.name: operation for operation in network.operations}
    assert shape_of(by_name["conv1"]) == (27, 16, 1024, 32)
    assert shape_of(by_name["layer1.2.conv2"]) == (144, 16, 1024, 32)
    assert shape_of(by_name["layer2.0.conv1"]) == (144, 32, 256, 16)
    assert shape_of(by_name["layer2.0.conv2"]) == (288, 32, 256, 16)
    assert shape_of(by_name["layer3.0.conv1"]) == (288, 64, 64, 8)
    assert shape_of(by_name["layer3.2.conv2"]) == (576, 64, 64, 8)
    assert shape_of(by_name["linear"]) == (64, 10, 1, 1)


def shape_of(operation):
    return operation.rows, operation.columns, operation.windows, operation.window_rows


def test_its_shortcut_takes_every_second_pixel_and_pads_channels():
    network = read_network(None, model="resnet20")
    names = [operation.name for operation in network.operations]
    at = names.index("layer2.0.slice")
    rows, columns, padded = network.operations[at : at + 3]
    assert (dict(rows.settings)["dim"], dict(rows.settings)["step"]) == (2, 2)
    assert (dict(columns.settings)["dim"], dict(columns.settings)["step"]) == (3, 2)
    assert dict(padded.settings)["before"] == (0, 8, 0, 0)
    assert [network.tensors[o.outputs[0]].shape for o in (rows, columns, padded)] == [
        (16, 16, 32),
        (16, 16, 16),
        (32, 16, 16),
    ]


def test_vgg16_at_imagenet_shapes_is_the_published_table():
    """Simonyan & Zisserman, table 1, configuration D: (outputs, inputs, positions)."""
    network = read_network(None, model="vgg16", input="1x3x224x224")
    assert [(o.columns, o.rows, o.windows) for o in products(network)] == [
        (64, 27, 50176),
        (64, 576, 50176),
        (128, 576, 12544),
        (128, 1152, 12544),
        (256, 1152, 3136),
        (256, 2304, 3136),
        (256, 2304, 3136),
        (512, 2304, 784),
        (512, 4608, 784),
        (512, 4608, 784),
        (512, 4608, 196),
        (512, 4608, 196),
        (512, 4608, 196),
        (4096, 25088, 1),
        (4096, 4096, 1),
        (1000, 4096, 1),
    ]


@pytest.mark.parametrize("name", PARAMETERS)
def test_its_default_input_has_a_batch_of_one(name):
    assert zoo.default_input(name)[0] == 1
    assert math.prod(zoo.default_input(name)) >= 64


def test_the_shipped_network_is_the_one_that_was_trained():
    """Its record says how it was trained and how well it does; its arrays are all there."""
    import json

    from cimarch import share

    network = read_network("resnet20")
    record = json.loads((share.folder("models") / "resnet20.json").read_text())
    assert record["test_top1_percent"] >= 90
    assert len(products(network)) == 20
    assert all(weight.data is not None for weight in network.weights.values())
    assert sum(operation.windows for operation in products(network)) == 9089
