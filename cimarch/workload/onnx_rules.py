"""The ONNX operators that are covered: a table from their names to calls of ATen's operators.

A conversion says what an operation is in the words of `operators`, whose rules then check it; here
are only ONNX's own ways: attributes that became inputs, padding on four sides, a product and its
bias in two operations. To cover another operator, add a line to `CONVERSIONS`.
"""

from __future__ import annotations

from math import inf, prod

import numpy as np

from cimarch.workload.graph import Argument
from cimarch.workload.onnx_fold import NotFolded, places_of, reshaped, slices
from cimarch.workload.onnx_graph import Conversion, OnnxCall, Operator
from cimarch.workload.steps import Sizes


def elementwise(target: str, **attributes: tuple[str, float]) -> Conversion:
    """A function of one element; attributes by ATen's name: ONNX's name and default."""

    def convert(call: OnnxCall) -> None:
        given = {ours: call.real(*theirs) for ours, theirs in attributes.items()}
        call.emit(f"aten.{target}.default", call.sizes(), self=call.flow(), **given)

    return convert


def conv(call: OnnxCall) -> None:
    """Conv, with its padding apart where that differs before and after."""
    weight = call.parameter(1)
    kernel = call.sizes(1)[2:]
    x, sizes = call.flow(), call.sizes()
    if len(sizes) != 4 or len(kernel) != 2:
        raise call.wrong(f"takes {sizes}, not 1 x channels x rows x columns", code="E120")
    stride, dilation = _pair(call, "strides"), _pair(call, "dilations")
    before, after = _padding(call, kernel, stride, dilation)
    if before != after:
        amounts = (before[1], after[1], before[0], after[0])
        padded = tuple(n + b + a for n, b, a in zip(sizes[2:], before, after, strict=True))
        sizes = (*sizes[:2], *padded)
        x = call.between("aten.pad.default", sizes, self=x, pad=amounts)
        before = (0, 0)
    moved = _moved(call, sizes, kernel, stride, before, before, dilation)
    call.emit(
        "aten.conv2d.default",
        (sizes[0], call.sizes(1)[0], *moved),
        input=x,
        weight=weight,
        bias=call.parameter(2, "bias"),
        stride=stride,
        padding=before,
        dilation=dilation,
        groups=call.whole("group", 1),
    )


def gemm(call: OnnxCall) -> None:
    """Gemm with a stored second matrix: a fully connected layer."""
    if call.real("alpha", 1.0) != 1 or (call.name(2) and call.real("beta", 1.0) != 1):
        raise call.wrong("scales its terms (`alpha`, `beta` other than 1)", code="E120")
    matrix = call.constant(1)
    if call.whole("transA", 0) or matrix is None or matrix.ndim != 2:
        raise call.wrong("is not a flow times a stored matrix, which is not covered", code="E120")
    turned = call.whole("transB", 0)
    weight = call.parameter(1) if turned else call.seen(1, "weight", matrix.T)
    bias = call.constant(2)
    outputs = matrix.shape[0 if turned else 1]
    shift = None
    if bias is not None:
        flat = np.broadcast_to(bias.ravel(), (outputs,)) if bias.size == 1 else bias.ravel()
        same = bias.shape == flat.shape
        shift = call.parameter(2, "bias") if same else call.seen(2, "bias", flat)
    elif call.name(2):
        raise call.wrong("computes its bias in the graph: it must be stored")
    call.emit(
        "aten.linear.default",
        (*call.sizes()[:-1], outputs),
        input=call.flow(),
        weight=weight,
        bias=shift,
    )


def matmul(call: OnnxCall) -> None:
    """MatMul: with a stored matrix a layer (and its bias, where that is added next), else of two
    flows."""
    matrix = call.constant(1)
    if matrix is None or matrix.ndim != 2:
        left, right = call.sizes(0), call.sizes(1)
        heads = np.broadcast_shapes(left[:-2], right[:-2]) if _fits(left, right) else ()
        sizes = (*heads, *left[-2:-1], *right[-1:])
        call.emit("aten.matmul.default", sizes, self=call.flow(0), other=_other(call))
        return
    outputs = matrix.shape[1]
    sizes = (*call.sizes()[:-1], outputs)
    weight = call.seen(1, "weight", matrix.T)
    reader = call.reading.only_reader(call.operator.outputs[0])
    index = _bias_of(call, reader, outputs)
    if reader is None or index is None:
        call.emit("aten.linear.default", sizes, input=call.flow(), weight=weight)
        return
    name = reader.inputs[index]
    path = call.reading.stored[weight.name].removesuffix("weight") + "bias"
    bias = call.reading.store(name, path, call.reading.constants[name])
    whole = call.take_in(reader)
    whole.emit("aten.linear.default", sizes, input=call.flow(), weight=weight, bias=bias)


def _other(call: OnnxCall) -> Argument:
    return call.flow(1) if call.is_flow(1) else call.parameter(1)


def _fits(left: Sizes, right: Sizes) -> bool:
    """Whether the leading dimensions of two tensors go together."""
    pairs = zip(left[-3::-1], right[-3::-1], strict=False)
    return len(left) > 1 and len(right) > 1 and all(a == b or 1 in (a, b) for a, b in pairs)


def _bias_of(call: OnnxCall, reader: Operator | None, outputs: int) -> int | None:
    """Which input of the Add that follows a product is its bias; None where it is none."""
    if reader is None or reader.op != "Add" or len(reader.inputs) != 2:
        return None
    index = 1 - reader.inputs.index(call.operator.outputs[0])
    found = call.reading.constants.get(reader.inputs[index])
    return index if found is not None and found.shape == (outputs,) else None


def binary(target: str) -> Conversion:
    """A sum, difference, product or quotient of two."""

    def convert(call: OnnxCall) -> None:
        left, right = call.sizes(0), call.sizes(1)
        try:
            sizes = tuple(np.broadcast_shapes(left, right))
        except ValueError:
            raise call.wrong(f"combines {left} with {right}", code="E130") from None
        first, second, word = call.operand(0), call.operand(1), target
        if not call.is_flow(0):
            word = {"sub": "rsub", "add": "add", "mul": "mul"}.get(target, "")
            first, second = second, first
        if not word:
            raise call.wrong("divides a constant by what flows, which is not covered", code="E120")
        call.emit(f"aten.{word}.Tensor", sizes, self=first, other=second)

    return convert


def sigmoid(call: OnnxCall) -> None:
    """Sigmoid; x * sigmoid(x) is a silu."""
    reader = call.reading.only_reader(call.operator.outputs[0])
    both = {call.name(0), call.operator.outputs[0]}
    if reader is not None and reader.op == "Mul" and set(reader.inputs) == both:
        whole = call.take_in(reader)
        whole.emit("aten.silu.default", call.sizes(), self=call.flow())
        return
    call.emit("aten.sigmoid.default", call.sizes(), self=call.flow())


def hard_sigmoid(call: OnnxCall) -> None:
    """HardSigmoid with the slope that torch's has."""
    slope, shift = call.real("alpha", 0.2), call.real("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-6 or shift != 0.5:
        raise call.wrong(f"has slope {slope} and shift {shift}, not 1/6 and 1/2", code="E120")
    call.emit("aten.hardsigmoid.default", call.sizes(), self=call.flow())


def gelu(call: OnnxCall) -> None:
    """Gelu."""
    word = call.text("approximate", "none")
    given = {} if word == "none" else {"approximate": word}
    call.emit("aten.gelu.default", call.sizes(), self=call.flow(), **given)


def clip(call: OnnxCall) -> None:
    """Clip; limits are inputs since opset 11, attributes before."""
    if any(call.name(index) and call.scalar(index) is None for index in (1, 2)):
        raise call.wrong("has limits that are no numbers", code="E120")
    low, high = call.scalar(1), call.scalar(2)
    if call.reading.opset < 11:
        low, high = call.real("min", -inf), call.real("max", inf)
    call.emit("aten.clamp.default", call.sizes(), self=call.flow(), **_limits(low, high))


def _limits(low: float | None, high: float | None) -> dict[str, Argument]:
    limits = {"min": low, "max": high}
    return {key: n for key, n in limits.items() if n is not None and abs(n) < 3.4e38}


def power(call: OnnxCall) -> None:
    """Pow with a constant exponent."""
    exponent = call.scalar(1)
    if exponent is None:
        raise call.wrong("has an exponent that is no number", code="E120")
    call.emit("aten.pow.Tensor_Scalar", call.sizes(), self=call.flow(), exponent=exponent)


def pool(target: str) -> Conversion:
    """MaxPool and AveragePool, with the same padding before and after."""

    def convert(call: OnnxCall) -> None:
        kernel = call.list_of("kernel_shape") or ()
        sizes = call.sizes()
        if len(sizes) != 4 or len(kernel) != 2:
            raise call.wrong(f"takes {sizes}, not 1 x channels x rows x columns", code="E120")
        stride, dilation = _pair(call, "strides"), _pair(call, "dilations")
        before, after = _padding(call, kernel, stride, dilation)
        if before != after:
            raise call.wrong(f"pads {before} before and {after} after its map", code="E120")
        covering = bool(call.whole("ceil_mode", 0))
        moved = _moved(call, sizes, kernel, stride, before, after, dilation, covering=covering)
        given: dict[str, Argument] = {"dilation": dilation} if target == "max_pool2d" else {}
        if target == "avg_pool2d":
            if dilation != (1, 1):
                raise call.wrong(f"has dilation {dilation}", code="E120")
            given["count_include_pad"] = bool(call.whole("count_include_pad", 0)) or before == (
                0,
                0,
            )
        call.emit(
            f"aten.{target}.default",
            (*sizes[:2], *moved),
            self=call.flow(),
            kernel_size=kernel,
            stride=stride,
            padding=before,
            ceil_mode=covering,
            **given,
        )

    return convert


def global_pool(target: str) -> Conversion:
    """GlobalAveragePool and GlobalMaxPool."""

    def convert(call: OnnxCall) -> None:
        sizes = (*call.sizes()[:2], 1, 1)
        call.emit(f"aten.{target}.default", sizes, self=call.flow(), output_size=(1, 1))

    return convert


def reduce_mean(call: OnnxCall) -> None:
    """ReduceMean; axes are an input since opset 18, an attribute before."""
    sizes = call.sizes()
    given = call.integers(1) if len(call.operator.inputs) > 1 else call.list_of("axes")
    if not given and call.whole("noop_with_empty_axes", 0):
        call.emit("aten.alias.default", sizes, self=call.flow())
        return
    axes = tuple(call.axis(n, len(sizes)) for n in given or range(len(sizes)))
    keep = bool(call.whole("keepdims", 1))
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(sizes))
    left = tuple(n for axis, n in enumerate(sizes) if axis not in axes)
    call.emit("aten.mean.dim", kept if keep else left, self=call.flow(), dim=axes, keepdim=keep)


def batch_norm(call: OnnxCall) -> None:
    """BatchNormalization at inference."""
    call.emit(
        "aten.batch_norm.default",
        call.sizes(),
        input=call.flow(),
        weight=call.parameter(1),
        bias=call.parameter(2, "bias"),
        running_mean=call.parameter(3, "running_mean"),
        running_var=call.parameter(4, "running_var"),
        training=bool(call.whole("training_mode", 0)),
        eps=call.real("epsilon", 1e-5),
    )


def layer_norm(call: OnnxCall) -> None:
    """LayerNormalization."""
    call.emit("aten.layer_norm.default", call.sizes(), **_normed(call, -1))


def rms_norm(call: OnnxCall) -> None:
    """RMSNormalization."""
    call.emit("aten.rms_norm.default", call.sizes(), **_normed(call, -1))


def _normed(call: OnnxCall, default: int) -> dict[str, Argument]:
    sizes = call.sizes()
    axis = call.axis(call.whole("axis", default), len(sizes))
    return {
        "input": call.flow(),
        "normalized_shape": sizes[axis:],
        "weight": call.parameter(1),
        "bias": call.parameter(2, "bias"),
        "eps": call.real("epsilon", 1e-5),
    }


def softmax(target: str) -> Conversion:
    """Softmax and LogSoftmax; before opset 13 they worked on all dimensions from one on."""

    def convert(call: OnnxCall) -> None:
        sizes = call.sizes()
        old = call.reading.opset < 13
        axis = call.axis(call.whole("axis", 1 if old else -1), len(sizes))
        if old and prod(sizes[axis + 1 :]) != 1:
            raise call.wrong(f"works on dimensions {axis} to {len(sizes) - 1} at once", code="E120")
        call.emit(f"aten.{target}.int", sizes, self=call.flow(), dim=axis)

    return convert


def flatten(call: OnnxCall) -> None:
    """Flatten: always to two dimensions."""
    sizes, axis = call.sizes(), call.whole("axis", 1)
    if axis != len(sizes):
        axis = call.axis(axis, len(sizes))
    found = (prod(sizes[:axis]), prod(sizes[axis:]))
    call.emit("aten.view.default", found, self=call.flow())


def reshape(call: OnnxCall) -> None:
    """Reshape to sizes that are constant."""
    wanted = call.integers(1)
    if wanted is None:
        raise call.wrong("does not say to what sizes")
    try:
        sizes = reshaped(list(wanted), call.sizes(), bool(call.whole("allowzero", 0)))
    except NotFolded as error:
        raise call.wrong(f"takes {error}", code="E130") from None
    call.emit("aten.view.default", sizes, self=call.flow())


def squeeze(call: OnnxCall) -> None:
    """Squeeze: dimensions of one go away."""
    sizes = call.sizes()
    given = call.integers(1) if call.name(1) else call.list_of("axes")
    ones = tuple(axis for axis, n in enumerate(sizes) if n == 1)
    axes = ones if given is None else tuple(call.axis(n, len(sizes)) for n in given)
    if any(sizes[axis] != 1 for axis in axes):
        raise call.wrong(f"takes dimensions {axes} out of {sizes}", code="E130")
    found = tuple(n for axis, n in enumerate(sizes) if axis not in axes)
    call.emit("aten.view.default", found, self=call.flow())


def unsqueeze(call: OnnxCall) -> None:
    """Unsqueeze: dimensions of one come in."""
    given = call.integers(1) if call.name(1) else call.list_of("axes")
    rank = len(call.sizes()) + len(given or ())
    axes = {call.axis(n, rank) for n in given or ()}
    rest = iter(call.sizes())
    found = tuple(1 if axis in axes else next(rest, 1) for axis in range(rank))
    call.emit("aten.view.default", found, self=call.flow())


def transpose(call: OnnxCall) -> None:
    """Transpose: dimensions in another order, by default reversed."""
    sizes = call.sizes()
    order = call.list_of("perm") or tuple(range(len(sizes)))[::-1]
    if sorted(order) != list(range(len(sizes))):
        raise call.wrong(f"puts {len(sizes)} dimensions in the order {order}", code="E130")
    moved = tuple(sizes[axis] for axis in order)
    call.emit("aten.permute.default", moved, self=call.flow(), dims=order)


def concat(call: OnnxCall) -> None:
    """Concat."""
    flows = tuple(call.flow(index) for index in range(len(call.operator.inputs)))
    sizes = [call.sizes(index) for index in range(len(flows))]
    axis = call.axis(call.whole("axis", 0), len(sizes[0]))
    joined = list(sizes[0])
    joined[axis] = sum(found[axis] for found in sizes if axis < len(found))
    call.emit("aten.cat.default", tuple(joined), tensors=flows, dim=axis)


def slice_(call: OnnxCall) -> None:
    """Slice: one dimension after the other."""
    sizes = call.sizes()
    if any(call.is_flow(index) for index in range(1, len(call.operator.inputs))):
        raise call.wrong("takes its places from a computed tensor", code="E131")
    try:
        every = list(
            zip(*slices(call.operator.attributes, call.constants(), len(sizes)), strict=True)
        )
    except NotFolded as error:
        raise call.wrong(f"is {error}", code="E130") from None
    x = call.flow()
    cuts = [cut for cut in every if not _is_whole(cut, sizes)]
    for index, (start, end, axis, step) in enumerate(cuts):
        found = places_of(start, end, step, sizes[axis])
        sizes = (*sizes[:axis], len(found), *sizes[axis + 1 :])
        given: dict[str, Argument] = {
            "self": x, "dim": axis, "start": found.start, "end": found.stop, "step": step
        }  # fmt: skip
        if index == len(cuts) - 1:
            call.emit("aten.slice.Tensor", sizes, **given)
        else:
            x = call.between("aten.slice.Tensor", sizes, **given)
    if not cuts:
        call.emit("aten.alias.default", sizes, self=x)


def _is_whole(cut: tuple[int, int, int, int], sizes: Sizes) -> bool:
    start, end, axis, step = cut
    return places_of(start, end, step, sizes[axis]) == range(sizes[axis])


def split(call: OnnxCall) -> None:
    """Split into parts; equal ones, where their sizes are not stated."""
    sizes = call.sizes()
    axis = call.axis(call.whole("axis", 0), len(sizes))
    count = len(call.operator.outputs)
    lengths = call.integers(1) if call.name(1) else call.list_of("split")
    each = -(-sizes[axis] // max(count, 1))
    if lengths is None:
        lengths = (*(each,) * (count - 1), sizes[axis] - each * (count - 1))
    if len(lengths) != count:
        raise call.wrong(f"has {count} outputs of lengths {lengths[:8]}", code="E130")
    parts: list[Sizes] = [(*sizes[:axis], length, *sizes[axis + 1 :]) for length in lengths]
    call.emit_all("aten.split_with_sizes.default", parts, self=call.flow(), dim=axis)


def pad(call: OnnxCall) -> None:
    """Pad with zeros; amounts are an input since opset 11, an attribute before."""
    sizes = call.sizes()
    amounts = call.integers(1) if call.name(1) else call.list_of("pads")
    axes = call.integers(3) if call.name(3) else tuple(range(len(sizes)))
    if amounts is None or axes is None or len(amounts) != 2 * len(axes):
        raise call.wrong(f"pads {sizes} by {amounts}", code="E130")
    before, after = [0] * len(sizes), [0] * len(sizes)
    for place, number in enumerate(axes):
        axis = call.axis(number, len(sizes))
        before[axis], after[axis] = amounts[place], amounts[place + len(axes)]
    value = call.scalar(2) if call.name(2) else call.real("value", 0.0)
    call.emit(
        "aten.pad.default",
        tuple(b + n + a for b, n, a in zip(before, sizes, after, strict=True)),
        self=call.flow(),
        pad=tuple(n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair),
        mode=call.text("mode", "constant"),
        value=value,
    )


def expand(call: OnnxCall) -> None:
    """Expand: elements repeated along dimensions of one."""
    wanted = call.integers(1) or ()
    try:
        sizes = tuple(np.broadcast_shapes(call.sizes(), wanted))
    except ValueError:
        raise call.wrong(f"expands {call.sizes()} to {wanted}", code="E130") from None
    call.emit("aten.expand.default", sizes, self=call.flow())


def gather(call: OnnxCall) -> None:
    """Gather: rows of a stored table, or one element along a dimension."""
    sizes, index = call.sizes(), call.constant(1)
    axis = call.axis(call.whole("axis", 0), len(sizes))
    if not call.is_flow(0):
        if axis or len(sizes) != 2:
            raise call.wrong(f"looks up in dimension {axis} of a table of {sizes}", code="E120")
        found = (*call.sizes(1), sizes[1])
        call.emit("aten.embedding.default", found, weight=call.parameter(0), indices=call.flow(1))
        return
    if index is None or index.ndim:
        raise call.wrong("gathers more than one element along a dimension", code="E120")
    left = sizes[:axis] + sizes[axis + 1 :]
    call.emit("aten.select.int", left, self=call.flow(), dim=axis, index=int(index))


def same(target: str) -> Conversion:
    """An operation that changes nothing."""

    def convert(call: OnnxCall) -> None:
        call.emit(f"aten.{target}.default", call.sizes(), self=call.flow())

    return convert


def dropout(call: OnnxCall) -> None:
    """Dropout at inference; its training flag is a third input since opset 12."""
    flag = call.constant(2)
    training = call.is_flow(2) or (flag is not None and bool(flag.any()))
    call.emit("aten.dropout.default", call.sizes(), input=call.flow(), train=training)


def _pair(call: OnnxCall, name: str) -> tuple[int, int]:
    found = call.list_of(name) or (1, 1)
    if len(found) != 2 or min(found) < 1:
        raise call.wrong(f"has `{name}` {found[:8]}, not two numbers of at least 1", code="E130")
    return found[0], found[1]


def _padding(
    call: OnnxCall, kernel: Sizes, stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding before and after, of rows and columns; `auto_pad` makes ceil(size / stride)."""
    word = call.text("auto_pad", "NOTSET")
    if word in ("NOTSET", ""):
        found = call.list_of("pads") or (0, 0, 0, 0)
        if len(found) != 4 or min(found) < 0:
            raise call.wrong(
                f"has padding {found[:8]}, not four numbers of at least 0", code="E130"
            )
        return (found[0], found[1]), (found[2], found[3])
    if word == "VALID":
        return (0, 0), (0, 0)
    if word not in ("SAME_UPPER", "SAME_LOWER"):
        raise call.wrong(f"has `auto_pad` `{word[:20]}`", code="E120")
    total = [
        max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        for n, k, s, d in zip(call.sizes()[2:], kernel, stride, dilation, strict=True)
    ]
    half = (total[0] // 2, total[1] // 2)
    rest = (total[0] - half[0], total[1] - half[1])
    return (half, rest) if word == "SAME_UPPER" else (rest, half)


def _moved(
    call: OnnxCall,
    sizes: Sizes,
    kernel: Sizes,
    stride: tuple[int, int],
    before: tuple[int, int],
    after: tuple[int, int],
    dilation: tuple[int, int],
    *,
    covering: bool = False,
) -> Sizes:
    """Rows and columns of the map that a moving window makes (ONNX's Conv and MaxPool)."""
    found = []
    for axis, size in enumerate(sizes[2:]):
        span = size + before[axis] + after[axis] - dilation[axis] * (kernel[axis] - 1) - 1
        step = stride[axis]
        count = (-(-span // step) if covering else span // step) + 1
        # a window that would begin in the padding after the map is left out
        inside = (count - 1) * step < size + before[axis]
        found.append(count if inside or not covering else count - 1)
    if min(found) < 1:
        window, there = (" x ".join(map(str, n)) for n in (kernel, sizes[2:]))
        raise call.wrong(f"moves a {window} window over a smaller {there} map", code="E130")
    return tuple(found)


CONVERSIONS: dict[str, Conversion] = {
    # products
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    # functions of one element
    "Relu": elementwise("relu"),
    "Clip": clip,
    "Sigmoid": sigmoid,
    "Tanh": elementwise("tanh"),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": elementwise("hardswish"),
    "Swish": elementwise("silu"),
    "Gelu": gelu,
    "Mish": elementwise("mish"),
    "LeakyRelu": elementwise("leaky_relu", negative_slope=("alpha", 0.01)),
    "Elu": elementwise("elu", alpha=("alpha", 1.0)),
    "Softplus": elementwise("softplus"),
    "Exp": elementwise("exp"),
    "Log": elementwise("log"),
    "Erf": elementwise("erf"),
    "Sin": elementwise("sin"),
    "Cos": elementwise("cos"),
    "Sqrt": elementwise("sqrt"),
    "Reciprocal": elementwise("reciprocal"),
    "Abs": elementwise("abs"),
    "Neg": elementwise("neg"),
    "Pow": power,
    # of two
    "Add": binary("add"),
    "Sub": binary("sub"),
    "Mul": binary("mul"),
    "Div": binary("div"),
    # of many
    "Softmax": softmax("softmax"),
    "LogSoftmax": softmax("log_softmax"),
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "MaxPool": pool("max_pool2d"),
    "AveragePool": pool("avg_pool2d"),
    "GlobalAveragePool": global_pool("adaptive_avg_pool2d"),
    "GlobalMaxPool": global_pool("adaptive_max_pool2d"),
    "ReduceMean": reduce_mean,
    "Gather": gather,
    # of places
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": slice_,
    "Split": split,
    "Pad": pad,
    "Expand": expand,
    # of nothing
    "Identity": same("alias"),
    "Cast": same("_to_copy"),
    "Dropout": dropout,
}
"""By the operator's name in the standard domain."""
