"""Rules for what digital units do: activations, sums, norms, softmax, pooling, look-ups."""

from __future__ import annotations

from math import inf

import numpy as np

from cimarch.workload.matrix_rules import map_size
from cimarch.workload.network import Geometry, Setting, Weight
from cimarch.workload.steps import Alias, Array, Call, Constant, Flow, Result, Rule, Step
from cimarch.workload.view_rules import training

Settings = tuple[tuple[str, Setting], ...]


def activation(name: str, *settings: tuple[str, float]) -> Rule:
    """The rule of a function of one element; its settings are numbers with a default."""

    def rule(call: Call) -> Result:
        given = tuple((key, call.number(key, default=default)) for key, default in settings)
        return _elementwise(call, name, given)

    return rule


def _elementwise(call: Call, name: str, settings: Settings = ()) -> Step:
    x = call.flow("self", "input")
    return Step("activation", (x,), (x.sizes,), name, settings=settings)


def gelu(call: Call) -> Result:
    """gelu, exact or by tanh."""
    word = call.get("approximate")
    return _elementwise(call, "gelu", (("approximate", str(word)[:8]),) if word else ())


def clamp(call: Call) -> Result:
    """clamp and hardtanh; from 0 it is a relu, from 0 to 6 a relu6."""
    narrow = call.node.packet == "hardtanh"
    low = call.number("min_val", "min", default=-1.0 if narrow else -inf)
    high = call.number("max_val", "max", default=1.0 if narrow else inf)
    known = {(0.0, inf): "relu", (0.0, 6.0): "relu6"}.get((low, high))
    if known:
        return _elementwise(call, known)
    return _elementwise(
        call, "hardtanh" if narrow else "clamp", (("low", float(low)), ("high", float(high)))
    )


def power(call: Call) -> Result:
    """A power with a constant exponent."""
    return _elementwise(call, "power", (("exponent", call.number("exponent")),))


def masked_fill(call: Call) -> Result:
    """Elements under a mask get a constant value."""
    return _elementwise(call, "masked_fill")


def where(call: Call) -> Result:
    """Elements of one of two tensors, as a mask says that does not change: of one that flows, and
    constants for the rest."""
    flows = [found for found in call.tensors.values() if isinstance(found, Flow)]
    if len(flows) != 1 or isinstance(call.tensor("condition"), Flow):
        raise call.wrong("chooses between tensors that flow, or by one", code="E120")
    (x,) = flows
    if x.sizes != call.out:
        raise call.wrong(f"spreads {x.sizes} over {call.out}", code="E120")
    return Step("activation", (x,), (x.sizes,), "masked_fill")


def binary(kind: str, function: str = "") -> Rule:
    """The rule of an operator of two tensors, or of one and a number or stored tensor."""

    def rule(call: Call) -> Result:
        if call.get("rounding_mode") is not None:
            raise call.wrong("rounds its quotient, which is not covered", code="E120")
        alpha = call.number("alpha", default=1.0)
        settings: Settings = () if alpha == 1 else (("alpha", alpha),)
        left, right = call.tensor("self", "input"), call.tensor("other")
        if isinstance(left, Constant) and not isinstance(right, Flow):
            return Constant(call.out)
        return _combined(call, kind, function, (left, right), settings)

    return rule


def _combined(
    call: Call,
    kind: str,
    function: str,
    operands: tuple[Flow | Constant | None, Flow | Constant | None],
    settings: Settings,
) -> Step:
    flows = tuple(found for found in operands if isinstance(found, Flow))
    sizes = [found.sizes for found in operands if found is not None]
    if not flows:
        raise call.wrong("has no operand that flows")
    try:
        out = np.broadcast_shapes(*sizes)
    except ValueError:
        raise call.wrong(f"combines {sizes[0]} with {sizes[-1]}", code="E130") from None
    if len(flows) == 1:
        constant = next((found for found in operands if isinstance(found, Constant)), None)
        if constant is None:
            settings += (("scalar", call.number("other")),)
        weight = constant.weight if constant is not None else None
        label = function or "constant"
        return Step(kind, flows, (tuple(out),), label, weight=weight, settings=settings)
    return Step(kind, flows, (tuple(out),), function, settings=settings)


def softmax(call: Call) -> Result:
    """softmax and log_softmax along one dimension."""
    x = call.flow("self", "input")
    axis = call.axis(len(x.sizes), "dim")
    function = "log_softmax" if "log" in call.node.packet else "softmax"
    settings = (("sizes", x.sizes), ("dim", axis))
    return Step("softmax", (x,), (x.sizes,), function, settings=settings)


def norm(function: str) -> Rule:
    """The rule of a norm that measures its input at run time: layer, group, rms."""

    def rule(call: Call) -> Result:
        x = call.flow("input", "self")
        settings: Settings = (("eps", call.number("eps", default=1e-5)),)
        if function == "group":
            settings += (("groups", call.integer("num_groups", "group")),)
        else:
            settings += (("dims", len(call.integers("normalized_shape"))),)
        return Step(
            "norm",
            (x,),
            (x.sizes,),
            function,
            weight=call.parameter("weight"),
            bias=call.parameter("bias"),
            settings=settings,
        )

    return rule


def batch_norm(call: Call) -> Result:
    """A batch norm at inference: y = scale * x + shift, per channel.

    scale = weight / sqrt(variance + eps), shift = bias - mean * scale (Ioffe & Szegedy, "Batch
    Normalization", ICML 2015, algorithm 2).
    """
    if call.flag("training"):
        raise training(call)
    x = call.flow("input", "self")
    mean, variance = call.required("running_mean"), call.required("running_var")
    gain, offset = call.parameter("weight"), call.parameter("bias")
    channels = x.sizes[1:2]
    for found in (mean, variance, gain, offset):
        if found is not None and found.shape != channels:
            raise call.wrong(f"has statistics of {found.shape} for {x.sizes}", code="E130")
    scale, shift = _affine(call, mean, variance, gain, offset)
    path = (gain or mean).path.rpartition(".")[0]
    weight = Weight(f"{path}.weight", channels, "float32", scale)
    bias = Weight(f"{path}.bias", channels, "float32", shift)
    return Step("norm", (x,), (x.sizes,), "batch", weight=weight, bias=bias, fold=(weight, bias))


def _affine(
    call: Call, mean: Weight, variance: Weight, gain: Weight | None, offset: Weight | None
) -> tuple[Array | None, Array | None]:
    eps = call.number("eps", default=1e-5)
    if mean.data is None or variance.data is None:
        return None, None
    spread = variance.data.astype(np.float64) + eps
    if not np.all(spread > 0):
        raise call.wrong("has a variance that is not above 0")
    scale = 1 / np.sqrt(spread)
    if gain is not None and gain.data is not None:
        scale = scale * gain.data
    shift = -mean.data.astype(np.float64) * scale
    if offset is not None and offset.data is not None:
        shift = shift + offset.data
    return scale, shift


def max_pool(call: Call) -> Result:
    """max_pool2d."""
    return _pool(call, "max")


def average_pool(call: Call) -> Result:
    """avg_pool2d; whether the padding counts is a setting."""
    settings: Settings = ()
    if not call.flag("count_include_pad", default=True):
        settings += (("count_include_pad", 0),)
    if call.get("divisor_override") is not None:
        settings += (("divisor", call.integer("divisor_override")),)
    return _pool(call, "average", settings)


def _pool(call: Call, function: str, settings: Settings = ()) -> Step:
    x = _map(call)
    kernel = call.pair("kernel_size", default=(0, 0), least=1)
    stride = call.pair("stride", default=kernel, least=1)
    rows, columns = call.pair("padding", default=(0, 0), least=0)
    dilation = call.pair("dilation", default=(1, 1), least=1)
    plain = Geometry(kernel, stride, (rows, rows, columns, columns), dilation)
    geometry = _covering(call, x, plain) if call.flag("ceil_mode") else plain
    high, wide = map_size(call, x.sizes[2:], geometry)
    return Step("pool", (x,), ((*x.sizes[:2], high, wide),), function, geometry, settings=settings)


def _covering(call: Call, x: Flow, plain: Geometry) -> Geometry:
    """With `ceil_mode`, the padding below and right that the last windows reach into."""
    if len(call.out) != 4:
        raise call.wrong(f"makes {call.out} of a map", code="E130")
    extra = [
        max((out - 1) * stride + (kernel - 1) * dilation + 1 - size - 2 * pad, 0)
        for out, stride, kernel, dilation, size, pad in zip(
            call.out[2:],
            plain.stride,
            plain.kernel,
            plain.dilation,
            x.sizes[2:],
            (plain.padding[0], plain.padding[2]),
            strict=True,
        )
    ]
    above, _, left, _ = plain.padding
    padding = (above, above + extra[0], left, left + extra[1])
    return Geometry(plain.kernel, plain.stride, padding, plain.dilation)


def adaptive_pool(function: str) -> Rule:
    """The rule of a pooling to a given size, where that divides the map evenly."""

    def rule(call: Call) -> Result:
        x = _map(call)
        wanted = call.pair("output_size", default=(0, 0), least=1)
        if x.sizes[2:] == wanted:
            return Alias(x, copied=True)
        if x.sizes[2] % wanted[0] or x.sizes[3] % wanted[1]:
            raise call.wrong(
                f"pools {x.sizes[2]} x {x.sizes[3]} to {wanted[0]} x {wanted[1]}: its windows "
                "would differ in size, which is not covered",
                code="E120",
            )
        step = (x.sizes[2] // wanted[0], x.sizes[3] // wanted[1])
        geometry = Geometry(kernel=step, stride=step)
        return Step("pool", (x,), ((*x.sizes[:2], *wanted),), function, geometry)

    return rule


def mean(call: Call) -> Result:
    """mean over the map is a global average pooling; other means keep the averaged dimensions."""
    x = call.flow("self", "input")
    rank = len(x.sizes)
    axes = call.axes(rank, call.integers("dim", default=())) or tuple(range(rank))
    keep = call.flag("keepdim")
    left = tuple(n for axis, n in enumerate(x.sizes) if axis not in axes)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(x.sizes))
    sizes = (kept if keep else left,)
    if rank == 4 and sorted(axes) == [2, 3]:
        whole = (x.sizes[2], x.sizes[3])
        return Step("pool", (x,), sizes, "average", Geometry(kernel=whole, stride=whole))
    settings: Settings = (("sizes", x.sizes), ("dims", axes))
    return Step("pool", (x,), sizes, "average", settings=settings)


def embedding(call: Call) -> Result:
    """A row of a stored table per index."""
    table = call.required("weight")
    found = call.tensor("indices")
    if not isinstance(found, Flow):
        return Constant(call.out)
    if len(table.shape) != 2:
        raise call.wrong(f"looks up in a table of {table.shape}", code="E130")
    return Step("embedding", (found,), ((*found.sizes, table.shape[1]),), weight=table)


def _map(call: Call) -> Flow:
    x = call.flow("self", "input")
    if len(x.sizes) != 4 or x.sizes[0] != 1:
        raise call.wrong(f"takes {x.sizes}, not 1 x channels x rows x columns", code="E130")
    return x
