"""Rules for products with a weight matrix, and for products of two tensors that flow.

Counts follow the output map: a convolution makes one product per output position, those that reach
into the zero padding included. The matrix of a convolution has channels / groups * kh * kw rows
and outputs / groups columns, once per group.
"""

from __future__ import annotations

from math import prod

import attrs

from cimarch.workload.network import Geometry, Setting, Weight
from cimarch.workload.steps import Call, Constant, Flow, Result, Sizes, Step


def conv2d(call: Call) -> Result:
    """`aten.conv2d` and `aten.convolution`, with symmetric padding or `same` or `valid`."""
    if call.flag("transposed"):
        raise call.wrong("is a transposed convolution, which is not covered", code="E120")
    x, weight = call.flow("input", "self"), call.required("weight")
    if len(x.sizes) != 4 or x.sizes[0] != 1 or len(weight.shape) != 4:
        raise call.wrong(f"takes {_by(x.sizes)}, not 1 x channels x rows x columns", code="E130")
    geometry = _geometry(call, weight)
    outputs, inner = weight.shape[0], weight.shape[1]
    groups = geometry.groups
    if inner * groups != x.sizes[1] or outputs % groups:
        raise call.wrong(
            f"has a weight of {_by(weight.shape)} and {groups} groups for {x.sizes[1]} channels",
            code="E130",
        )
    high, wide = map_size(call, x.sizes[2:], geometry)
    return Step(
        kind="conv2d",
        inputs=(x,),
        sizes=((1, outputs, high, wide),),
        geometry=geometry,
        weight=weight,
        bias=_bias(call, call.parameter("bias"), outputs),
        rows=inner * weight.shape[2] * weight.shape[3],
        columns=outputs // groups,
        groups=groups,
        windows=high * wide,
        window_rows=high,
    )


def map_size(call: Call, sizes: Sizes, geometry: Geometry) -> tuple[int, int]:
    """Rows and columns of the map that a moving window makes.

    floor((size + padding - dilation * (kernel - 1) - 1) / stride) + 1, as in torch's Conv2d.
    """
    padding = geometry.padding
    pads = (padding[0] + padding[1], padding[2] + padding[3])
    found = [
        (size + pad - dilation * (kernel - 1) - 1) // stride + 1
        for size, pad, dilation, kernel, stride in zip(
            sizes, pads, geometry.dilation, geometry.kernel, geometry.stride, strict=True
        )
    ]
    if min(found) < 1:
        window = _by(geometry.kernel)
        raise call.wrong(f"moves a {window} window over a smaller {_by(sizes)} map", code="E130")
    return found[0], found[1]


def _geometry(call: Call, weight: Weight) -> Geometry:
    kernel = (weight.shape[2], weight.shape[3])
    stride = call.pair("stride", default=(1, 1), least=1)
    dilation = call.pair("dilation", default=(1, 1), least=1)
    groups = call.integer("groups", default=1)
    if groups < 1:
        raise call.wrong(f"has {groups} groups, below 1", code="E130")
    word = call.get("padding")
    if isinstance(word, str):
        padding = _worded(call, word, kernel, dilation)
    else:
        rows, columns = call.pair("padding", default=(0, 0), least=0)
        padding = (rows, rows, columns, columns)
    return Geometry(kernel, stride, padding, dilation, groups)


def _worded(
    call: Call, word: str, kernel: tuple[int, int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding `valid` is none; `same` keeps the map's size, the odd pixel after."""
    if word not in ("same", "valid"):
        raise call.wrong(f"has padding `{word[:20]}`, neither `same` nor `valid`")
    needed = [d * (k - 1) if word == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    (above, left), (below, right) = (
        (needed[0] // 2, needed[1] // 2),
        (needed[0] - needed[0] // 2, needed[1] - needed[1] // 2),
    )
    return above, below, left, right


def linear(call: Call) -> Result:
    """`aten.linear`: the last dimension times a stored (outputs, inputs) matrix."""
    weight = call.required("weight")
    return _product(call, call.flow("input"), weight, call.parameter("bias"))


def addmm(call: Call) -> Result:
    """`aten.addmm`: a bias plus a product with a stored (inputs, outputs) matrix."""
    if call.number("beta", default=1.0) != 1 or call.number("alpha", default=1.0) != 1:
        raise call.wrong("scales its terms (`beta`, `alpha` other than 1), which is not covered")
    weight = _transposed(call, call.required("mat2"))
    return _product(call, call.flow("mat1"), weight, call.parameter("self"))


def matmul(call: Call) -> Result:
    """`aten.mm`, `bmm` and `matmul`: with a stored matrix a linear, else of two flows."""
    left, right = call.tensor("self", "input"), call.tensor("mat2", "other")
    if isinstance(left, Flow) and isinstance(right, Constant) and len(right.sizes) == 2:
        weight = _transposed(call, call.required("mat2", "other"))
        return _product(call, left, weight, None)
    if not isinstance(left, Flow) or not isinstance(right, Flow):
        raise call.wrong("multiplies a stored tensor from the left, which is not covered")
    return _dynamic(call, left, right)


def _dynamic(call: Call, left: Flow, right: Flow) -> Step:
    """A product of two flows: (..., m, k) by (..., k, n) is m windows of a k x n matrix each."""
    if len(left.sizes) < 2 or len(right.sizes) < 2 or left.sizes[-1] != right.sizes[-2]:
        raise call.wrong(f"multiplies {_by(left.sizes)} by {_by(right.sizes)}", code="E130")
    heads = prod(call.out[:-2])
    m, k, n = left.sizes[-2], left.sizes[-1], right.sizes[-1]
    return Step(
        kind="matmul",
        inputs=(left, right),
        sizes=((*call.out[:-2], m, n),),
        rows=k,
        columns=n,
        groups=heads,
        windows=m,
        window_rows=m,
    )


def sdpa(call: Call) -> Result:
    """`aten.scaled_dot_product_attention`, kept whole; a mask that flows is its last input.

    Of a mask that does not flow, it is only said that there is one (`masked`).
    """
    query, key, value = call.flow("query"), call.flow("key"), call.flow("value")
    if min(len(query.sizes), len(key.sizes), len(value.sizes)) < 2:
        raise call.wrong(f"attends over {_by(query.sizes)}", code="E130")
    if query.sizes[-1] != key.sizes[-1] or key.sizes[-2] != value.sizes[-2]:
        sizes = ", ".join(_by(x.sizes) for x in (query, key, value))
        raise call.wrong(f"attends over {sizes}", code="E130")
    heads, kv_heads = prod(query.sizes[:-2]), prod(key.sizes[:-2])
    if heads % kv_heads:
        raise call.wrong(f"shares {kv_heads} heads of keys among {heads}", code="E130")
    mask = call.tensor("attn_mask")
    scale = call.number("scale", default=query.sizes[-1] ** -0.5)
    special: tuple[tuple[str, Setting], ...] = ()
    if scale != query.sizes[-1] ** -0.5:
        special += (("scale", scale),)
    if isinstance(mask, Constant):
        special += (("masked", 1),)
    return Step(
        kind="sdpa",
        inputs=(query, key, value, *((mask,) if isinstance(mask, Flow) else ())),
        sizes=((*query.sizes[:-1], value.sizes[-1]),),
        settings=(
            ("heads", heads),
            ("kv_heads", kv_heads),
            ("head_dim", query.sizes[-1]),
            ("is_causal", int(call.flag("is_causal"))),
            ("earlier", 0),
            ("keys", key.sizes[-2]),
            *special,
        ),
    )


def _product(call: Call, x: Flow, weight: Weight, bias: Weight | None) -> Step:
    if len(weight.shape) != 2 or not x.sizes or x.sizes[-1] != weight.shape[1]:
        raise call.wrong(
            f"multiplies {_by(x.sizes)} by a weight of {_by(weight.shape)}", code="E130"
        )
    outputs, inputs = weight.shape
    windows = prod(x.sizes[:-1])
    return Step(
        kind="linear",
        inputs=(x,),
        sizes=((*x.sizes[:-1], outputs),),
        weight=weight,
        bias=_bias(call, bias, outputs),
        rows=inputs,
        columns=outputs,
        windows=windows,
        window_rows=windows,
    )


def _transposed(call: Call, weight: Weight) -> Weight:
    """The (outputs, inputs) view of a matrix that is stored as (inputs, outputs)."""
    if len(weight.shape) != 2:
        raise call.wrong(f"has a weight of {_by(weight.shape)}, not a matrix", code="E130")
    return attrs.evolve(
        weight, shape=weight.shape[::-1], data=None if weight.data is None else weight.data.T
    )


def _bias(call: Call, bias: Weight | None, outputs: int) -> Weight | None:
    if bias is not None and bias.shape != (outputs,):
        raise call.wrong(f"has a bias of {_by(bias.shape)} for {outputs} outputs", code="E130")
    return bias


def _by(sizes: Sizes) -> str:
    return " x ".join(map(str, sizes)) or "a single number"
