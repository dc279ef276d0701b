"""ONNX's products in ATen's words: padding on four sides, a product apart from its bias."""

from __future__ import annotations

import numpy as np

from cimarch.workload.graph import Argument
from cimarch.workload.onnx_call import OnnxCall
from cimarch.workload.onnx_records import Operator
from cimarch.workload.steps import Sizes

Pair = tuple[int, int]


def conv(call: OnnxCall) -> None:
    """Conv, with its padding apart where that differs before and after."""
    weight = call.parameter(1)
    kernel = call.sizes(1)[2:]
    x, sizes = call.flow(), call.sizes()
    if len(sizes) != 4 or len(kernel) != 2:
        raise call.wrong(f"takes {sizes}, not 1 x channels x rows x columns", code="E120")
    stride, dilation = pair(call, "strides"), pair(call, "dilations")
    before, after = padding(call, kernel, stride, dilation)
    if before != after:
        amounts = (before[1], after[1], before[0], after[0])
        padded = tuple(n + b + a for n, b, a in zip(sizes[2:], before, after, strict=True))
        sizes = (*sizes[:2], *padded)
        x = call.between("aten.pad.default", sizes, self=x, pad=amounts)
        before = (0, 0)
    found = moved(call, sizes, kernel, stride, before, before, dilation)
    call.emit(
        "aten.conv2d.default",
        (sizes[0], call.sizes(1)[0], *found),
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


def pair(call: OnnxCall, name: str) -> Pair:
    """Two numbers of at least 1 among the attributes, rows and columns; 1 by default."""
    found = call.list_of(name) or (1, 1)
    if len(found) != 2 or min(found) < 1:
        raise call.wrong(f"has `{name}` {found[:8]}, not two numbers of at least 1", code="E130")
    return found[0], found[1]


def padding(call: OnnxCall, kernel: Sizes, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
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


def moved(
    call: OnnxCall,
    sizes: Sizes,
    kernel: Sizes,
    stride: Pair,
    before: Pair,
    after: Pair,
    dilation: Pair,
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
