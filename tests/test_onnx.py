"""ONNX models: the same Network as an archive of the same module, and safe to read."""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from cimarch import DescriptionError, read_network

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto

rng = np.random.default_rng(0)


def value(name, *sizes, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, sizes)


def stored(name, *sizes, kind=np.float32):
    return onnx.numpy_helper.from_array(rng.standard_normal(sizes).astype(kind), name)


def whole(name, *numbers):
    return onnx.numpy_helper.from_array(np.array(numbers, np.int64), name)


def number(name, x):
    return onnx.numpy_helper.from_array(np.float32(x), name)


def node(op, inputs, outputs, name="", domain="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name, domain=domain, **attributes)


def model(nodes, inputs, outputs, initializers=(), opset=20, **more):
    graph = helper.make_graph(nodes, "net", inputs, outputs, initializers, **more)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.fixture
def read(tmp_path):
    """Write a model (or bytes) and read it."""

    def reading(made, **options):
        path = tmp_path / "net.onnx"
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return read_network(path, **options)

    return reading


@pytest.fixture
def refused(read):
    """Write a model, read it, and give the diagnostic."""

    def refusing(made, **options):
        with pytest.raises(DescriptionError) as caught:
            read(made, **options)
        return caught.value.diagnostics[0]

    return refusing


def of_one(op, sizes, out, initializers=(), extra="", opset=20, **attributes):
    """A model of one operation on one input; further inputs are constants."""
    one = node(op, f"x {extra}".strip(), "y", "it", **attributes)
    return model([one], [value("x", *sizes)], [value("y", *out)], initializers, opset)


def kinds(network):
    return [operation.function or operation.kind for operation in network.operations]


# --- the same network as torch's archive ---------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "resnet20", "mobilenetv2_cifar", "vgg8"])
def test_an_exported_network_is_the_traced_one(name, tmp_path):
    """Names, geometry, settings and paths are equal; weights but for the order of roundings."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from cimarch import trace
    from cimarch.workload import zoo

    module, x = trained(zoo.build(name)), torch.zeros(zoo.default_input(name))
    traced = trace(module, x, name=name)
    path = tmp_path / "net.onnx"
    torch.onnx.export(module, (x,), path, dynamo=True, verbose=False)
    network = read_network(path)
    assert network.operations == traced.operations
    assert network.tensors == traced.tensors
    assert (network.inputs, network.outputs) == (traced.inputs, traced.outputs)
    assert set(network.weights) == set(traced.weights)
    for key, weight in network.weights.items():
        assert np.allclose(weight.data, traced.weights[key].data, 1e-4, 1e-6)


def trained(module):
    """Batch norms that are not the identity."""
    import torch

    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(part.bias, 0, 0.1)
    return module.eval()


def test_what_it_computes_is_what_torch_computes(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from interpret import run

    nn = torch.nn
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.Hardswish(),
        nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.BatchNorm2d(4), nn.ReLU6(), nn.SiLU(),
        nn.AvgPool2d(2), nn.Flatten(2), nn.LayerNorm(4), nn.Linear(4, 3), nn.GELU(), nn.Softmax(-1),
    )  # fmt: skip
    x = torch.randn(1, 3, 8, 8)
    path = tmp_path / "net.onnx"
    with torch.no_grad():
        expected = trained(module)(x)[0]
    torch.onnx.export(module, (x,), path, dynamo=True, verbose=False)
    network = read_network(path)
    assert kinds(network) == [
        "conv2d", "hardswish", "conv2d", "relu6", "silu", "average", "reshape", "layer", "linear",
        "gelu", "softmax",
    ]  # fmt: skip
    (found,) = run(network, x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# --- each operator -------------------------------------------------------------------------------


def test_a_convolution_is_read_with_its_groups_stride_padding_and_bias(read):
    made = model(
        [node("Conv", "x a.weight a.bias", "y", group=2, strides=[2, 1], pads=[1, 2, 1, 2])],
        [value("x", 1, 4, 8, 8)],
        [value("y", 1, 6, 4, 10)],
        [stored("a.weight", 6, 2, 3, 3), stored("a.bias", 6)],
    )
    (conv,) = read(made).operations
    assert (conv.name, conv.weight, conv.bias) == ("a", "a.weight", "a.bias")
    assert (conv.rows, conv.columns, conv.groups, conv.windows) == (18, 3, 2, 40)
    assert conv.geometry.padding == (1, 1, 2, 2)


def test_padding_on_one_side_is_a_pad_of_its_own(read):
    made = of_one("Conv", (1, 2, 6, 6), (1, 3, 3, 3), [stored("w", 3, 2, 3, 3)], "w",
                  strides=[2, 2], auto_pad="SAME_UPPER")  # fmt: skip
    padded, conv = read(made).operations
    assert dict(padded.settings)["after"] == (0, 0, 1, 1)
    assert (conv.windows, conv.geometry.padding) == (9, (0, 0, 0, 0))


def test_a_batch_norm_is_folded_into_a_depthwise_convolution(read):
    weight, scale = stored("c.weight", 3, 1, 3, 3), stored("n.weight", 3)
    variance = onnx.numpy_helper.from_array(np.full(3, 3.0, np.float32), "n.var")
    made = model(
        [
            node("Conv", "x c.weight", "c", group=3),
            node("BatchNormalization", "c n.weight n.bias n.mean n.var", "y", epsilon=1.0),
        ],
        [value("x", 1, 3, 5, 5)],
        [value("y", 1, 3, 3, 3)],
        [weight, scale, stored("n.bias", 3), stored("n.mean", 3), variance],
    )
    network = read(made)
    (conv,) = network.operations
    plain, factor = (onnx.numpy_helper.to_array(x) for x in (weight, scale))
    expected = plain * (factor / 2).reshape(3, 1, 1, 1)  # sqrt(3 + 1) = 2
    assert np.allclose(network.weights[conv.weight].data, expected)


def test_gemm_takes_its_matrix_either_way_up(read):
    for turned, sizes in ((0, (6, 4)), (1, (4, 6))):
        made = of_one("Gemm", (1, 6), (1, 4), [stored("l.weight", *sizes), stored("l.bias", 4)],
                      "l.weight l.bias", transB=turned)  # fmt: skip
        network = read(made)
        (linear,) = network.operations
        assert (linear.kind, linear.rows, linear.columns) == ("linear", 6, 4)
        assert network.weights["l.weight"].shape == (4, 6)
        assert linear.bias == "l.bias"


def test_a_product_and_the_bias_added_next_are_one_layer(read):
    made = model(
        [node("MatMul", "x w", "p", "/head/MatMul"), node("Add", "b p", "y", "/head/Add")],
        [value("x", 1, 5, 6)],
        [value("y", 1, 5, 4)],
        [stored("w", 6, 4), stored("b", 4)],
    )
    (linear,) = read(made).operations
    assert (linear.name, linear.windows, linear.weight, linear.bias) == (
        "head",
        5,
        "head.weight",
        "head.bias",
    )


def test_a_product_that_two_read_keeps_its_bias_apart(read):
    made = model(
        [node("MatMul", "x w", "p"), node("Add", "b p", "s"), node("Add", "s p", "y")],
        [value("x", 1, 6)],
        [value("y", 1, 4)],
        [stored("w", 6, 4), stored("b", 4)],
    )
    assert [operation.kind for operation in read(made).operations] == ["linear", "add", "add"]


def test_x_times_its_sigmoid_is_a_silu(read):
    made = model(
        [node("Sigmoid", "x", "s"), node("Mul", "s x", "y")], [value("x", 1, 8)], [value("y", 1, 8)]
    )
    assert kinds(read(made)) == ["silu"]


@pytest.mark.parametrize(
    ("op", "function", "attributes"),
    [
        ("Relu", "relu", {}),
        ("Sigmoid", "sigmoid", {}),
        ("HardSwish", "hardswish", {}),
        ("Gelu", "gelu", {"approximate": "tanh"}),
        ("LeakyRelu", "leaky_relu", {"alpha": 0.2}),
        ("HardSigmoid", "hardsigmoid", {"alpha": 1 / 6}),
        ("Softmax", "softmax", {"axis": 1}),
        ("GlobalAveragePool", "average", {}),
        ("MaxPool", "max", {"kernel_shape": [6, 6]}),
        ("AveragePool", "average", {"kernel_shape": [6, 6]}),
    ],
)
def test_a_function_keeps_its_name(read, op, function, attributes):
    out = (1, 2, 1, 1) if "Pool" in op else (1, 2, 6, 6)
    (operation,) = read(of_one(op, (1, 2, 6, 6), out, **attributes)).operations
    assert operation.function == function


def test_settings_are_the_numbers_that_were_written(read):
    (leaky,) = read(of_one("LeakyRelu", (1, 4), (1, 4), alpha=0.2)).operations
    assert leaky.settings == (("negative_slope", 0.2),)


def test_a_clip_from_0_to_6_is_a_relu6(read):
    limits = [number("low", 0), number("high", 6)]
    assert kinds(read(of_one("Clip", (1, 4), (1, 4), limits, "low high"))) == ["relu6"]
    assert kinds(read(of_one("Clip", (1, 4), (1, 4), limits[:1], "low"))) == ["relu"]
    assert kinds(read(of_one("Clip", (1, 4), (1, 4), opset=7, min=0.0, max=6.0))) == ["relu6"]


def test_a_pooling_that_covers_its_map_has_one_window_more(read):
    made = of_one("MaxPool", (1, 1, 6, 6), (1, 1, 3, 3), kernel_shape=[3, 3], strides=[2, 2],
                  ceil_mode=1)  # fmt: skip
    (pool,) = read(made).operations
    assert pool.geometry.padding == (0, 1, 0, 1)


def test_a_mean_over_the_map_is_a_global_pooling(read):
    made = of_one("ReduceMean", (1, 3, 4, 4), (1, 3), [whole("axes", 2, 3)], "axes", keepdims=0)
    (pool,) = read(made).operations
    assert (pool.function, pool.geometry.kernel) == ("average", (4, 4))
    old = of_one("ReduceMean", (1, 3, 4, 4), (1, 3), opset=11, axes=[-1, -2], keepdims=0)
    assert read(old).operations[0].geometry == pool.geometry


def test_places_are_read_from_inputs_and_from_attributes(read):
    slices = of_one("Slice", (1, 8, 8), (1, 4, 3),
                    [whole("from", 0, 1), whole("to", 2**62, -1), whole("axes", 1, 2),
                     whole("by", 2, 2)], "from to axes by")  # fmt: skip
    assert [dict(o.settings)["step"] for o in read(slices).operations] == [2, 2]
    old = of_one("Slice", (1, 8, 8), (1, 8, 3), opset=9, starts=[1], ends=[4], axes=[2])
    assert [dict(o.settings)["start"] for o in read(old).operations] == [1]
    pad = of_one("Pad", (1, 2, 3), (1, 2, 6), [whole("pads", 0, 0, 1, 0, 0, 2)], "pads")
    assert dict(read(pad).operations[0].settings)["before"] == (0, 0, 1)


def test_views_move_nothing(read):
    made = model(
        [
            node("Transpose", "x", "a", perm=[0, 2, 1]),
            node("Unsqueeze", "a two", "b"),
            node("Squeeze", "b two", "c"),
            node("Split", "c", "d e", axis=2, num_outputs=2),
            node("Concat", "e d", "f", axis=2),
            node("Dropout", "f", "g"),
            node("Identity", "g", "h"),
            node("Cast", "h", "y", to=TensorProto.FLOAT16),
        ],
        [value("x", 1, 4, 6)],
        [value("y", 1, 6, 4, kind=TensorProto.FLOAT16)],
        [whole("two", 2)],
    )
    assert kinds(read(made)) == ["permute", "reshape", "reshape", "slice", "slice", "concat"]


def test_sizes_that_a_graph_computes_are_worked_out(read):
    """x.view(x.shape[0], -1), as exporters wrote it: Shape, Gather, Unsqueeze, Concat, Reshape."""
    made = model(
        [
            node("Shape", "x", "sizes"),
            node("Gather", "sizes first", "batch", axis=0),
            node("Unsqueeze", "batch front", "lead"),
            node("Constant", "", "rest", value_ints=[-1]),
            node("Concat", "lead rest", "wanted", axis=0),
            node("Reshape", "x wanted", "y"),
            node("Gemm", "y w", "z", transB=1),
        ],
        [value("x", "N", 3, 2, 2)],
        [value("z", "N", 5)],
        [onnx.numpy_helper.from_array(np.int64(0), "first"), whole("front", 0), stored("w", 5, 12)],
    )
    network = read(made)
    assert kinds(network) == ["reshape", "linear"]
    assert network.tensors["x"].shape == (3, 2, 2)


def test_token_numbers_look_up_rows_of_a_table(read):
    made = model(
        [node("Gather", "table x", "y")],
        [value("x", 1, 5, kind=TensorProto.INT64)],
        [value("y", 1, 5, 8)],
        [stored("table", 100, 8)],
    )
    (look_up,) = read(made).operations
    assert (look_up.kind, look_up.weight) == ("embedding", "table")


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.float32])
def test_numbers_of_any_length_are_read_raw_or_listed(read, kind):
    raw = stored("w", 2, 3, kind=kind)
    plain = onnx.numpy_helper.to_array(raw)
    listed = helper.make_tensor("w", raw.data_type, (2, 3), plain.ravel())
    for tensor in (raw, listed):
        network = read(of_one("Gemm", (1, 3), (1, 2), [tensor], "w", transB=1))
        assert np.array_equal(network.weights["w"].data, plain)


def test_a_shared_matrix_is_stored_once(read):
    made = model(
        [node("Conv", "x w", "a"), node("Relu", "a", "b"), node("Conv", "b w", "y")],
        [value("x", 1, 2, 3, 3)],
        [value("y", 1, 2, 3, 3)],
        [stored("w", 2, 2, 1, 1)],
    )
    network = read(made)
    assert list(network.weights) == ["w"]
    assert len(network.operations) == 3


def test_a_shared_matrix_that_is_turned_is_stored_once(read):
    made = model(
        [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("Gemm", "b w", "y")],
        [value("x", 1, 4)],
        [value("y", 1, 4)],
        [stored("w", 4, 4)],
    )
    network = read(made)
    assert [operation.weight for operation in network.operations] == ["w", None, "w"]


def test_stored_tensors_that_an_old_file_lists_as_inputs_are_no_inputs(read):
    made = model(
        [node("Gemm", "x w", "y", transB=1)],
        [value("x", 1, 3), value("w", 2, 3)],
        [value("y", 1, 2)],
        [stored("w", 2, 3)],
        opset=9,
    )
    assert read(made).inputs == ("x",)


# --- what is refused -----------------------------------------------------------------------------


def test_an_operator_that_is_not_covered_is_named_with_its_path(refused, read):
    made = model(
        [node("Relu", "x", "a"), node("LpNormalization", "a", "y", "/head/norm/LpNormalization")],
        [value("x", 1, 4)],
        [value("y", 1, 4)],
    )
    found = refused(made)
    assert found.code == "E120"
    assert found.headline == "`head.norm` (LpNormalization) is an operator that is not covered"
    kept = read(made, allow_unmapped=True).operations[-1]
    assert (kept.kind, kept.function) == ("other", "onnx.LpNormalization")


def test_an_operator_of_another_domain_is_another_operator(refused):
    one = node("Relu", "x", "y", "mine", domain="com.mine")
    found = refused(model([one], [value("x", 1, 4)], [value("y", 1, 4)]))
    assert found.headline == "`mine` (com.mine.Relu) is an operator that is not covered"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: of_one("Relu", (2, 4), (2, 4)), "must be 1 or symbolic"),
        (lambda: of_one("Relu", (1, "n"), (1, "n")), "dimension 1 of input `x` is symbolic"),
        (lambda: of_one("Relu", (1, 4), (1, 5)), "gives (1, 4) by its arguments, but the file"),
        (lambda: of_one("Relu", (1, 4), (1, 4), opset=6), "uses version 6 of the ONNX operators"),
        (lambda: model([node("Relu", "z", "y")], [value("x", 1, 4)], [value("y", 1, 4)]),
         "reads `z`, which nothing makes"),
        (lambda: model([node("Relu", "x", "x")], [value("x", 1, 4)], [value("x", 1, 4)]),
         "two operations make a tensor `x`"),
        (lambda: of_one("Reshape", (1, 4), (1, 5), [whole("to", 1, 5)], "to"), "takes 4 elements"),
        (lambda: of_one("MaxPool", (1, 1, 4, 4), (1, 1, 1, 1), kernel_shape=[9, 9]),
         "moves a 9 x 9 window over a smaller 4 x 4 map"),
        (lambda: of_one("Conv", (1, 3, 4, 4), (1, 2, 2, 2), [stored("w", 2, 5, 3, 3)], "w"),
         "has a weight of 2 x 5 x 3 x 3 and 1 groups for 3 channels"),
        (lambda: of_one("Gemm", (1, 4), (1, 2), [stored("w", 4, 2)], "w", alpha=0.5), "scales"),
        (lambda: of_one("HardSigmoid", (1, 4), (1, 4)), "has slope 0.2 and shift 0.5"),
        (lambda: of_one("Dropout", (1, 4), (1, 4), [number("r", 0.5),
         onnx.numpy_helper.from_array(np.True_, "t")], "r t"), "exported in training mode"),
        (lambda: of_one("Slice", (1, 4), (1, 4), [whole("a", 0), whole("b", 4), whole("c", 0),
         whole("d", 0)], "a b c d"), "is a slice along dimensions [0] by steps [0]"),
        (lambda: of_one("Expand", (1, 4), (1, 4), [whole("to", *[2**40] * 3)], "to"),
         "expands (1, 4) to"),
        (lambda: model([node("ConstantOfShape", "n", "y")], [value("x", 1, 4)],
         [value("y", 1)], [whole("n", 2**40)]), "works on constants in a way that is not covered"),
        (lambda: model([], [value("x", 1, 4)], [value("x", 1, 4)]), "without operations"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(refused, made, says):
    assert says in refused(made()).headline


def test_numbers_that_are_too_few_are_told(refused):
    tensor = stored("w", 2, 3)
    tensor.raw_data = tensor.raw_data[:-4]
    found = refused(of_one("Gemm", (1, 3), (1, 2), [tensor], "w", transB=1))
    assert (found.code, found.headline) == ("E116", "`w` has 5 numbers for 2 x 3")
    tensor.dims[0] = -1
    assert refused(of_one("Relu", (1, 3), (1, 3), [tensor])).code == "E130"
    tensor.data_type = TensorProto.STRING
    assert refused(of_one("Relu", (1, 3), (1, 3), [tensor])).code == "E121"


@pytest.mark.parametrize("cut", [9, 40, 100, -1])
def test_half_a_file_is_a_diagnostic(refused, cut):
    data = of_one("Gemm", (1, 3), (1, 2), [stored("w", 2, 3)], "w", transB=1).SerializeToString()
    assert refused(data[:cut]).code in ("E111", "E114", "E116", "E124", "E131")


def test_a_file_with_any_byte_changed_is_read_or_told(tmp_path):
    data = bytearray(
        model(
            [node("Conv", "x w b", "a", pads=[1, 1, 1, 1]), node("Relu", "a", "y")],
            [value("x", "N", 2, 4, 4)],
            [value("y", "N", 3, 4, 4)],
            [stored("w", 3, 2, 3, 3), stored("b", 3)],
        ).SerializeToString()
    )
    path = tmp_path / "net.onnx"
    for index in range(len(data)):
        changed = data.copy()
        changed[index] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with contextlib.suppress(DescriptionError):
            read_network(path, allow_unmapped=bool(index % 2))


def test_constants_that_grow_beyond_the_file_are_refused(refused):
    """Each is within the limit of one; a thousand of them are not."""
    many = [node("ConstantOfShape", "n", f"c{index}") for index in range(1000)]
    made = model(
        [*many, node("Relu", "x", "y")], [value("x", 1, 4)], [value("y", 1, 4)], [whole("n", 2**20)]
    )
    found = refused(made)
    assert found.notes == ("more numbers than the file itself holds",)


def test_a_chain_of_20000_operations_is_read_in_seconds(read):
    chain = [node("MatMul", f"v{n} w", f"v{n + 1}") for n in range(5_000)]
    chain += [node("Relu", f"v{n}", f"v{n + 1}") for n in range(5_000, 20_000)]
    made = model(chain, [value("v0", 1, 2)], [value("v20000", 1, 2)], [stored("w", 2, 2)])
    began = time.perf_counter()
    assert len(read(made).operations) == 20_000
    assert time.perf_counter() - began < 10


def external(tensor, location, offset=0, length=None):
    """The same tensor with its numbers in another file."""
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": location, "offset": offset, "length": size if length is None else length}
    for key, entry in entries.items():
        tensor.external_data.add(key=key, value=str(entry))
    return tensor


def test_numbers_beside_the_file_are_read(read, tmp_path):
    tensor = stored("w", 2, 3)
    numbers = onnx.numpy_helper.to_array(tensor)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "w.bin").write_bytes(bytes(16) + numbers.tobytes())
    away = external(tensor, "parts/w.bin", offset=16)
    network = read(of_one("Gemm", (1, 3), (1, 2), [away], "w", transB=1))
    assert np.array_equal(network.weights["w"].data, numbers)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "", "a/../../w.bin", "out.bin"])
def test_numbers_outside_the_folder_are_refused(refused, tmp_path, location):
    outside = tmp_path.parent / "w.bin"
    outside.write_bytes(bytes(24))
    os.symlink(outside, tmp_path / "out.bin")
    away = external(stored("w", 2, 3), location)
    found = refused(of_one("Gemm", (1, 3), (1, 2), [away], "w", transB=1))
    assert found.code == "E110"
    assert (
        found.headline == f"`w` of `{tmp_path / 'net.onnx'}` lies outside the folder of its model"
    )


@pytest.mark.parametrize(
    ("offset", "length", "says"),
    [(8, 24, "takes 24 bytes from byte 8 on"), (0, 20, "takes 24"), ("x", 24, "is no number")],
)
def test_numbers_beyond_the_end_are_refused(refused, tmp_path, offset, length, says):
    (tmp_path / "w.bin").write_bytes(bytes(24))
    away = external(stored("w", 2, 3), "w.bin", offset, length)
    assert says in refused(of_one("Gemm", (1, 3), (1, 2), [away], "w", transB=1)).headline


def test_numbers_that_are_not_there_are_told(refused):
    away = external(stored("w", 2, 3), "gone.bin")
    found = refused(of_one("Gemm", (1, 3), (1, 2), [away], "w", transB=1))
    assert found.headline.endswith("keeps numbers in `gone.bin`, which is not beside it")


def test_an_onnx_model_takes_no_name(refused):
    made = of_one("Relu", (1, 4), (1, 4))
    assert refused(made, model="mlp").headline.endswith("it takes no `--model`")


def test_without_the_extra_it_is_said_what_to_install(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(of_one("Relu", (1, 4), (1, 4)).SerializeToString())
    code = "import sys; sys.modules['onnx'] = None; from cimarch.cli import main; "
    code += f"sys.exit(main(['sim', 'isaac', {str(path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "help: pip install 'cimarch[onnx]'" in done.stderr


def test_reading_imports_no_torch(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(of_one("Relu", (1, 4), (1, 4)).SerializeToString())
    code = (
        f"import sys, cimarch; cimarch.read_network({str(path)!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
