"""The networks that come with cimarch, by their shapes: what the papers say of them."""

import subprocess
import sys
from math import prod

import pytest

from cimarch import DescriptionError, read_network
from cimarch.workload import zoo
from cimarch.workload.shapes import shapes_only

NAMES = list(zoo.models().MODELS)


def products(network):
    return [operation for operation in network.operations if operation.macs]


def macs(name):
    return sum(operation.macs for operation in products(shapes_only(name)))


def weights(network):
    return {path: (w.path, w.shape, w.dtype, w.data) for path, w in network.weights.items()}


@pytest.mark.parametrize("name", NAMES)
def test_shapes_alone_are_what_torch_traces(name):
    """The same file, run with torch and exported, run with the stand-in and recorded."""
    torch = pytest.importorskip("torch")
    from cimarch import trace

    module, sizes = zoo.build(name, weights=False), zoo.default_input(name)
    traced = trace(module, torch.zeros(sizes, device="meta"), name=name)
    network = shapes_only(name)
    assert network.operations == traced.operations
    assert network.tensors == traced.tensors
    assert weights(network) == weights(traced)
    assert (network.inputs, network.outputs) == (traced.inputs, traced.outputs)


def test_shapes_alone_need_no_torch():
    code = "import sys; sys.modules['torch'] = None; import cimarch; "
    code += "print(len(cimarch.read_network('resnet18').operations))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "49"


def test_an_input_of_another_size_changes_the_maps_and_no_weight():
    small, whole = read_network("resnet18", input="1x3x64x64"), read_network("resnet18")
    assert weights(small) == weights(whole)
    assert [o.windows for o in products(small)][:3] == [32 * 32, 16 * 16, 16 * 16]
    assert small.digest != whole.digest


def test_a_hyphen_is_an_underscore():
    assert shapes_only("resnet18-cifar").digest == shapes_only("resnet18_cifar").digest
    assert shapes_only("resnet18-cifar").name == "resnet18_cifar"


def test_a_misspelt_name_is_guessed_with_and_without_the_flag():
    with pytest.raises(DescriptionError) as caught:
        read_network("resnt18")
    assert caught.value.diagnostics[0].helps == ("--model resnet18 (its shapes, without weights)",)
    with pytest.raises(DescriptionError) as caught:
        read_network(None, model="mobilnetv2")
    assert caught.value.diagnostics[0].helps == ("--model mobilenetv2",)
    assert "resnet18" in caught.value.diagnostics[0].notes[0]


def test_an_input_of_other_channels_is_told_at_the_first_layer():
    with pytest.raises(DescriptionError) as caught:
        read_network("mobilenetv2", input="1x1x224x224")
    found = caught.value.diagnostics[0]
    assert found.headline.startswith("`features.0.0` (aten.conv2d.default) has a weight of 32 x 3")
    assert found.helps == ("`mobilenetv2` is made for --input 1x3x224x224",)


def test_resnets_make_the_multiply_accumulates_of_their_paper():
    """He et al., table 1: 1.8, 3.6 and 3.8 x 10^9."""
    assert macs("resnet18") == 1_814_073_344
    assert macs("resnet34") == 3_663_761_408
    assert macs("resnet50") == 3_857_973_248
    assert macs("resnet50_v15") == 4_089_184_256


def test_resnet18_is_table_1():
    """(rows, columns, windows) of the stem, of the stages' blocks, of the shortcuts, the last."""
    found = {o.name: (o.rows, o.columns, o.windows) for o in products(shapes_only("resnet18"))}
    assert found["conv1"] == (147, 64, 112 * 112)
    assert found["layer1.0.conv1"] == found["layer1.1.conv2"] == (576, 64, 56 * 56)
    assert found["layer2.0.conv1"] == (576, 128, 28 * 28)
    assert found["layer2.0.downsample.0"] == (64, 128, 28 * 28)
    assert found["layer4.1.conv2"] == (4608, 512, 7 * 7)
    assert found["fc"] == (512, 1000, 1)


def test_a_bottleneck_has_its_stride_first_in_the_paper_and_late_in_checkpoints():
    def strides(name):
        found = {o.name: o.geometry.stride[0] for o in products(shapes_only(name)) if o.geometry}
        return [found[f"layer2.0.conv{n}"] for n in (1, 2, 3)]

    assert strides("resnet50") == [2, 1, 1]
    assert strides("resnet50_v15") == [1, 2, 1]


def test_mobilenetv2_makes_the_multiply_accumulates_of_its_paper():
    """Sandler et al., table 4: 300 M."""
    assert macs("mobilenetv2") == 300_774_272


def test_mobilenetv2_is_table_2():
    """Maps of 112, 112, 56, 28, 14, 14, 7 and 7 rows; depthwise layers have a group per channel."""
    network = shapes_only("mobilenetv2")
    depthwise = [o for o in products(network) if o.groups > 1]
    assert len(depthwise) == 17
    assert all((o.rows, o.columns) == (9, 1) for o in depthwise)
    assert [o.groups for o in depthwise][:5] == [32, 96, 144, 144, 192]
    ends = [o for o in products(network) if o.geometry and o.groups == 1 and not narrow(o)]
    assert len(ends) == 1 + 16 + 1
    narrowed = [(o.columns, o.window_rows) for o in products(network) if narrow(o)]
    stages = [(16, 112), (24, 56), (32, 28), (64, 14), (96, 14), (160, 7), (320, 7)]
    assert list(dict.fromkeys(narrowed)) == stages
    assert [narrowed.count(stage) for stage in stages] == [1, 2, 3, 4, 3, 3, 1]


def narrow(operation):
    """The 1 x 1 convolution at the end of an inverted residual."""
    return operation.name.endswith(("conv.1", "conv.2"))


def test_its_shortcuts_go_around_ten_blocks_and_its_convolutions_are_followed_by_relu6():
    operations = shapes_only("mobilenetv2").operations
    assert sum(o.kind == "add" for o in operations) == 10
    assert sum(o.function == "relu6" for o in operations) == 35
    assert not any(o.kind in ("norm", "identity") for o in operations)


def test_the_cifar_forms_keep_the_map_of_32_rows_longer():
    for name, last in (("resnet18_cifar", 4), ("mobilenetv2_cifar", 4), ("resnet50-cifar", 4)):
        network = shapes_only(name)
        convolutions = [o for o in products(network) if o.geometry]
        assert convolutions[0].window_rows == 32
        assert convolutions[-1].window_rows == last
        assert network.tensors[network.outputs[0]].shape == (10,)


@pytest.mark.parametrize("name", NAMES)
def test_operations_follow_one_another_and_reach_the_output(name):
    network = shapes_only(name)
    made = set(network.inputs)
    for operation in network.operations:
        assert set(operation.inputs) <= made
        made |= set(operation.outputs)
        if operation.weight:
            assert prod(network.weights[operation.weight].shape) == (
                operation.rows * operation.columns * operation.groups
            )
    assert set(network.outputs) <= made
