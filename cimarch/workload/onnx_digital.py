"""ONNX's functions, sums, norms and poolings in ATen's words."""

from __future__ import annotations

from math import inf, prod

import numpy as np

from cimarch.workload.graph import Argument
from cimarch.workload.onnx_call import Conversion, OnnxCall
from cimarch.workload.onnx_matrix import moved, padding, pair


def elementwise(target: str, **attributes: tuple[str, float]) -> Conversion:
    """A function of one element; attributes by ATen's name: ONNX's name and default."""

    def convert(call: OnnxCall) -> None:
        given = {ours: call.real(*theirs) for ours, theirs in attributes.items()}
        call.emit(f"aten.{target}.default", call.sizes(), self=call.flow(), **given)

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


def pool(target: str) -> Conversion:
    """MaxPool and AveragePool, with the same padding before and after."""

    def convert(call: OnnxCall) -> None:
        kernel = call.list_of("kernel_shape") or ()
        sizes = call.sizes()
        if len(sizes) != 4 or len(kernel) != 2:
            raise call.wrong(f"takes {sizes}, not 1 x channels x rows x columns", code="E120")
        stride, dilation = pair(call, "strides"), pair(call, "dilations")
        before, after = padding(call, kernel, stride, dilation)
        if before != after:
            raise call.wrong(f"pads {before} before and {after} after its map", code="E120")
        covering = bool(call.whole("ceil_mode", 0))
        found = moved(call, sizes, kernel, stride, before, after, dilation, covering=covering)
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
            (*sizes[:2], *found),
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
