"""What each operator becomes: small modules with hand-worked counts, run against torch."""

import io

import pytest

from cimarch import DescriptionError, trace
from interpret import run

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional


class Of(nn.Module):
    """A module whose forward is a function of itself and its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def agree(module, *shape):
    """Trace, run both, compare; gives the network."""
    torch.manual_seed(0)
    x = torch.randn(1, *shape)
    network = trace(module, x)
    with torch.no_grad():
        expected = module.eval()(x)[0]
    (found,) = run(network, x)
    torch.testing.assert_close(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)
    return network


def kinds(network):
    return [operation.function or operation.kind for operation in network.operations]


def refused(module, *shape, **options):
    with pytest.raises(DescriptionError) as caught:
        trace(module, torch.zeros(1, *shape), **options)
    return caught.value.diagnostics[0]


def test_a_grouped_convolution_is_a_matrix_per_group():
    network = agree(nn.Conv2d(8, 12, 3, groups=4, padding=1), 8, 6, 6)
    (conv,) = network.operations
    assert (conv.rows, conv.columns, conv.groups, conv.windows) == (18, 3, 4, 36)
    assert conv.macs == 18 * 3 * 4 * 36


def test_a_depthwise_convolution_has_a_group_per_channel():
    (conv,) = agree(nn.Conv2d(5, 5, 3, groups=5), 5, 6, 6).operations
    assert (conv.rows, conv.columns, conv.groups, conv.windows) == (9, 1, 5, 16)


def test_windows_that_reach_into_the_padding_count():
    (conv,) = agree(nn.Conv2d(1, 1, 5, padding=2), 1, 3, 3).operations
    assert (conv.windows, conv.window_rows) == (9, 3)


def test_stride_and_dilation_thin_the_windows():
    (conv,) = agree(nn.Conv2d(1, 2, (3, 1), stride=(2, 3), dilation=(2, 1)), 1, 9, 10).operations
    assert (conv.windows, conv.window_rows) == (3 * 4, 3)
    assert (conv.geometry.kernel, conv.geometry.dilation) == ((3, 1), (2, 1))


def test_same_padding_puts_the_odd_pixel_after():
    (conv,) = agree(nn.Conv2d(1, 1, (4, 3), padding="same"), 1, 6, 6).operations
    assert conv.geometry.padding == (1, 2, 1, 1)
    assert conv.windows == 36


def test_a_linear_layer_on_tokens_makes_a_product_per_token():
    (linear,) = agree(nn.Linear(6, 4), 5, 6).operations
    assert (linear.rows, linear.columns, linear.windows, linear.window_rows) == (6, 4, 5, 5)


def test_addmm_with_an_input_by_output_matrix_is_a_linear_layer():
    weight = nn.Parameter(torch.randn(6, 4))
    net = Of(lambda self, x: torch.addmm(self.bias, x, self.weight), weight=weight,
             bias=nn.Parameter(torch.randn(4)))  # fmt: skip
    network = agree(net, 6)
    (linear,) = network.operations
    assert (linear.kind, linear.rows, linear.columns) == ("linear", 6, 4)
    assert network.weights["weight"].shape == (4, 6)


def test_a_product_with_a_transposed_parameter_is_a_linear_layer():
    net = Of(lambda self, x: x @ self.weight.t(), weight=nn.Parameter(torch.randn(4, 6)))
    (linear,) = agree(net, 6).operations
    assert (linear.kind, linear.name, linear.columns) == ("linear", "weight", 4)


def test_a_product_of_two_flows_has_two_inputs_and_no_weight():
    net = Of(lambda self, x: x @ x.transpose(1, 2))
    product = agree(net, 3, 5).operations[-1]
    assert (product.kind, product.weight, len(product.inputs)) == ("matmul", None, 2)
    assert (product.rows, product.columns, product.windows) == (5, 3, 3)


def test_a_batch_norm_behind_a_linear_layer_is_folded():
    norm = nn.BatchNorm1d(4)
    norm.running_var.fill_(3.0)
    assert kinds(agree(nn.Sequential(nn.Linear(6, 4), norm), 6)) == ["linear"]


def test_a_batch_norm_before_its_convolution_stays():
    norm = nn.BatchNorm2d(2)
    norm.running_mean.fill_(0.5)
    assert kinds(agree(nn.Sequential(norm, nn.Conv2d(2, 2, 1)), 2, 3, 3)) == ["batch", "conv2d"]


def test_a_batch_norm_stays_where_its_convolution_is_read_twice():
    net = Of(lambda self, x: (y := self.conv(x)) + self.norm(y), conv=nn.Conv2d(2, 2, 1),
             norm=nn.BatchNorm2d(2))  # fmt: skip
    assert kinds(agree(net, 2, 3, 3)) == ["conv2d", "batch", "add"]


def test_a_convolution_that_is_used_twice_is_stored_once():
    net = Of(lambda self, x: self.conv(F.relu(self.conv(x))), conv=nn.Conv2d(2, 2, 1))
    network = agree(net, 2, 3, 3)
    assert [operation.name for operation in network.operations] == ["conv", "relu", "conv_1"]
    assert set(network.weights) == {"conv.weight", "conv.bias"}


def test_a_shared_convolution_with_two_norms_is_stored_twice():
    first, second = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    second.running_var.fill_(4.0)
    net = Of(lambda self, x: self.b(self.conv(self.a(self.conv(x)))), a=first, b=second,
             conv=nn.Conv2d(2, 2, 1, bias=False))  # fmt: skip
    network = agree(net, 2, 3, 3)
    assert [o.weight for o in network.operations] == ["conv.weight", "conv_1.weight"]


def test_tied_weights_are_stored_once_and_named_by_their_modules():
    table, head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
    head.weight = table.weight
    net = Of(lambda self, x: self.head(self.table(x)), table=table, head=head)
    network = trace(net, torch.zeros(1, 3, dtype=torch.long))
    look_up, linear = network.operations
    assert (look_up.name, linear.name) == ("table", "head")
    assert look_up.weight == linear.weight
    assert len(network.weights) == 1


ACTIVATIONS = [nn.ReLU(), nn.ReLU6(), nn.Sigmoid(), nn.Tanh(), nn.GELU(), nn.GELU("tanh"),
               nn.SiLU(),
               nn.Hardtanh(-2, 2), nn.Hardswish(), nn.Hardsigmoid(), nn.LeakyReLU(0.2), nn.ELU(),
               nn.Softplus(), nn.Mish()]  # fmt: skip


@pytest.mark.parametrize("module", ACTIVATIONS, ids=str)
def test_an_activation_keeps_its_function_and_shape(module):
    (operation,) = agree(nn.Sequential(module), 2, 3, 3).operations
    assert operation.kind == "activation"
    assert operation.name == "0"


def test_a_clamp_from_zero_is_a_relu():
    assert kinds(agree(Of(lambda self, x: x.clamp(min=0)), 4)) == ["relu"]
    assert kinds(agree(Of(lambda self, x: x.clamp(0, 6)), 4)) == ["relu6"]


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x: F.max_pool2d(x, 2),
        lambda self, x: F.max_pool2d(x, 3, 2, 1),
        lambda self, x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        lambda self, x: F.avg_pool2d(x, 2, 3),
        lambda self, x: F.adaptive_avg_pool2d(x, (4, 2)),
        lambda self, x: F.adaptive_max_pool2d(x, 1),
        lambda self, x: x.mean((2, 3)),
        lambda self, x: x.mean((-1, -2), keepdim=True),
        lambda self, x: F.pad(x, (1, 2, 0, 3)),
        lambda self, x: x[:, 1:, ::2, 3:7:3],
        lambda self, x: x[:, -1],
        lambda self, x: x.narrow(2, 1, 4),
        lambda self, x: torch.cat([x, F.relu(x)], 1),
        lambda self, x: torch.cat([x, x[:, :, 2:]], 2),
        lambda self, x: torch.stack([x, -x], 2),
        lambda self, x: x.chunk(3, 1)[2] + x.split(1, 1)[0] * x.unbind(1)[1],
        lambda self, x: x.permute(0, 2, 3, 1).reshape(1, 64, 3).softmax(-1),
        lambda self, x: x.transpose(1, 3).flatten(2).log_softmax(1),
        lambda self, x: x.unsqueeze(1).squeeze(1).contiguous().clone().view(1, -1),
        lambda self, x: 2 - x * 3 / 4,
        lambda self, x: x.sub(F.relu(x), alpha=2) ** 2,
        lambda self, x: x[:, :1].expand(1, 3, 8, 8) * x,
        lambda self, x: torch.sqrt(torch.exp(x)).abs(),
    ],
)
def test_it_computes_what_torch_computes(forward):
    def guarded(self, x):
        return forward(self, x)

    agree(Of(guarded), 3, 8, 8)


@pytest.mark.parametrize(
    "module", [nn.LayerNorm(6), nn.Sequential(nn.GroupNorm(2, 4)), nn.BatchNorm2d(4)], ids=str
)
def test_a_norm_keeps_what_it_needs(module):
    (operation,) = agree(module, 4, 5, 6).operations
    assert operation.kind == "norm"


def test_a_transformer_layer_keeps_its_attention_whole():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    network = agree(layer, 6, 16)
    (attention,) = [o for o in network.operations if o.kind == "sdpa"]
    assert len(attention.inputs) == 3
    linear = [o for o in network.operations if o.kind == "linear"]
    assert [(o.rows, o.columns, o.windows) for o in linear] == [
        (16, 48, 6),
        (16, 16, 6),
        (16, 32, 6),
        (32, 16, 6),
    ]


def test_dropout_and_what_nothing_reads_are_gone():
    net = Of(lambda self, x: (F.relu(x * 2), self.drop(x) + 1)[1], drop=nn.Dropout())
    assert kinds(agree(net, 4)) == ["constant"]


def test_a_pooling_to_the_same_size_is_nothing():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.AdaptiveAvgPool2d(3))
    assert kinds(agree(net, 2, 3, 3)) == ["conv2d"]


def test_operations_in_place_are_followed():
    def forward(self, x):
        x = self.relu(self.conv(x))
        y = self.conv(x)
        y += x
        y *= 2
        return y

    net = Of(forward, conv=nn.Conv2d(2, 2, 1), relu=nn.ReLU(inplace=True))
    assert kinds(agree(net, 2, 3, 3)) == ["conv2d", "relu", "conv2d", "add", "constant"]


def test_a_value_read_after_its_view_was_changed_is_refused():
    def forward(self, x):
        y = x * 2
        y[:, 0].mul_(3)
        return y

    problem = refused(Of(forward), 4, 4)
    assert "changed through another view" in problem.headline


def test_an_argument_changed_in_place_is_its_new_value_from_then_on():
    def forward(self, x):
        y = x * 2
        F.relu(y, inplace=True)
        return y + 1

    assert kinds(agree(Of(forward), 4)) == ["constant", "relu", "constant"]


def test_an_operator_that_is_not_covered_is_named_with_its_module():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ConvTranspose2d(2, 2, 2))
    problem = refused(net, 2, 4, 4)
    assert problem.code == "E120"
    assert problem.headline.startswith("`1` (aten.conv_transpose2d")
    network = trace(net, torch.zeros(1, 2, 4, 4), allow_unmapped=True)
    assert [o.kind for o in network.operations] == ["conv2d", "other"]


def test_windows_of_unequal_size_are_refused():
    problem = refused(nn.AdaptiveAvgPool2d(3), 1, 7, 7)
    assert "its windows would differ in size" in problem.headline


def test_padding_with_something_else_than_zeros_is_refused():
    assert "something else than zeros" in refused(nn.ReflectionPad2d(1), 1, 4, 4).headline
    assert "something else than zeros" in refused(nn.ConstantPad2d(1, 3.0), 1, 4, 4).headline


def test_training_mode_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Dropout())
    net[2].eval()
    trace(net, torch.zeros(1, 2, 3, 3))
    assert (net.training, net[1].training, net[2].training) == (True, True, False)


def test_an_archive_exported_in_training_mode_is_refused():
    from cimarch.workload.pt2 import read_pt2

    program = torch.export.export(nn.Sequential(nn.Dropout()).train(), (torch.zeros(1, 4),))
    with io.BytesIO() as buffer:
        torch.export.save(program, buffer)
        data = memoryview(buffer.getvalue())
    with pytest.raises(DescriptionError, match="was exported in training mode"):
        read_pt2(data, name="net", source="net.pt", digest="")


def test_a_symbolic_batch_reads_as_a_batch_of_one():
    from cimarch.workload.pt2 import read_pt2

    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 5)).eval()
    batch = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.zeros(2, 2, 4, 4),), dynamic_shapes=batch)
    with io.BytesIO() as buffer:
        torch.export.save(program, buffer)
        symbolic = read_pt2(memoryview(buffer.getvalue()), name="n", source="n", digest="")
    assert symbolic.operations == trace(net, torch.zeros(1, 2, 4, 4)).operations


def test_decomposed_archives_are_read_too():
    from cimarch.workload.pt2 import read_pt2

    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                        nn.Linear(12, 5)).eval()  # fmt: skip
    program = torch.export.export(net, (torch.zeros(1, 2, 4, 4),)).run_decompositions()
    with io.BytesIO() as buffer:
        torch.export.save(program, buffer)
        network = read_pt2(memoryview(buffer.getvalue()), name="n", source="n", digest="")
    assert kinds(network) == ["conv2d", "relu", "reshape", "linear"]
    assert network.operations[-1].name == "4"


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_keep_their_name_and_values(kind):
    net = nn.Linear(3, 2).to(kind)
    network = trace(net, torch.zeros(1, 3, dtype=kind))
    weight = network.weights["weight"]
    assert weight.dtype == str(kind).removeprefix("torch.")
    assert weight.data.tolist() == net.weight.tolist()
