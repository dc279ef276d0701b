"""What the digital units compute: every operation that is no product with a stored matrix.

All work on a batch, one image (or sequence) behind the other in the first axis, in float32; what an
image gives does not depend on the others. Averages are summed in float64, so that they do not
depend on the order of summing. `Network` says what the fields of an operation mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.workload.network import Network, Operation, Setting, Weight

Settings = Mapping[str, Any]
Unit = Callable[["Stored", Operation, Settings, list[Tensor]], Tensor]


class Stored:
    """The stored tensors of a network, in float32 on a device, each made once."""

    def __init__(self, network: Network, device: str = "cpu") -> None:
        self.network = network
        self.device = device
        self._held: dict[str, Tensor] = {}

    def __call__(self, path: str) -> Tensor:
        """The tensor of a path."""
        if path not in self._held:
            data = np.ascontiguousarray(array_of(self.network.weights[path]))
            self._held[path] = torch.tensor(data, device=self.device)
        return self._held[path]

    def perhaps(self, path: str | None) -> Tensor | None:
        """The tensor of a path; None where there is no path."""
        return None if path is None else self(path)


def array_of(weight: Weight) -> np.ndarray:
    """A stored tensor in float32; its data must be there."""
    assert weight.data is not None
    return weight.data.astype(np.float32).reshape(weight.shape)


def compute(stored: Stored, operation: Operation, inputs: list[Tensor]) -> Tensor:
    """The result of an operation, (images, *shape of its output)."""
    made = UNITS[operation.kind](stored, operation, dict(operation.settings), inputs)
    return made.reshape(len(inputs[0]), *_out(stored, operation))


def _out(stored: Stored, operation: Operation) -> tuple[int, ...]:
    return stored.network.tensors[operation.outputs[0]].shape


def _conv2d(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """A convolution in float, of the float model."""
    geometry = operation.geometry
    assert geometry is not None
    above, below, left, right = geometry.padding
    (x,) = inputs
    if (above, left) != (below, right):
        x, above, left = F.pad(x, (left, right, above, below)), 0, 0
    weight, bias = stored(operation.weight or ""), stored.perhaps(operation.bias)
    return F.conv2d(
        x, weight, bias, geometry.stride, (above, left), geometry.dilation, geometry.groups
    )


def _linear(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """A product with a stored matrix in float, of the float model."""
    x = inputs[0].reshape(-1, operation.rows)
    return F.linear(x, stored(operation.weight or ""), stored.perhaps(operation.bias))


def _matmul(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """A product of two tensors that flow; `written` in columns, the second is turned over."""
    if operation.weight is not None:
        return _linear(stored, operation, given, inputs)
    left, right = _aligned(inputs)
    return left @ (right.transpose(-1, -2) if operation.written == "columns" else right)


def _aligned(inputs: list[Tensor]) -> list[Tensor]:
    """Tensors whose dimensions behind the first line up from the right."""
    rank = max(x.dim() for x in inputs)
    return [x.reshape(len(x), *(1,) * (rank - x.dim()), *x.shape[1:]) for x in inputs]


def _sdpa(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """Scaled dot-product attention; tokens x (heads x head_dim), or heads in a dimension before."""
    query, key, value, *masks = inputs
    heads, kv_heads = given["heads"], given["kv_heads"]
    flat = query.dim() == 3
    if flat:
        query, key, value = (
            x.reshape(*x.shape[:2], n, -1).transpose(1, 2)
            for x, n in ((query, heads), (key, kv_heads), (value, kv_heads))
        )
    tokens, keys = query.shape[-2], key.shape[-2]
    query, key, value = (
        x.reshape(len(x), n, *x.shape[-2:])
        for x, n in ((query, heads), (key, kv_heads), (value, kv_heads))
    )
    shared = heads // kv_heads
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    seen = masks[0] if masks else None
    if given["is_causal"]:
        seen = torch.ones(tokens, keys, dtype=torch.bool, device=query.device)
        seen = seen.tril(given["earlier"])
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=given.get("scale")
    )
    return mixed.transpose(1, 2) if flat else mixed


FUNCTIONS: dict[str, Callable[[Tensor, Settings], Tensor]] = {
    "relu": lambda x, given: torch.relu(x),
    "relu6": lambda x, given: torch.clamp(x, 0, 6),
    "hardtanh": lambda x, given: torch.clamp(x, given["low"], given["high"]),
    "clamp": lambda x, given: torch.clamp(x, given["low"], given["high"]),
    "sigmoid": lambda x, given: torch.sigmoid(x),
    "tanh": lambda x, given: torch.tanh(x),
    "gelu": lambda x, given: F.gelu(x, approximate=given.get("approximate", "none")),
    "silu": lambda x, given: F.silu(x),
    "mish": lambda x, given: F.mish(x.double()).float(),
    "hardswish": lambda x, given: F.hardswish(x),
    "hardsigmoid": lambda x, given: F.hardsigmoid(x),
    "leaky_relu": lambda x, given: F.leaky_relu(x, given["negative_slope"]),
    "elu": lambda x, given: torch.ops.aten.elu(
        x, given["alpha"], given["scale"], given["input_scale"]
    ),
    "softplus": lambda x, given: F.softplus(x.double(), given["beta"], given["threshold"]).float(),
    "exp": lambda x, given: torch.exp(x),
    "log": lambda x, given: torch.log(x),
    "erf": lambda x, given: torch.erf(x),
    "sin": lambda x, given: torch.sin(x),
    "cos": lambda x, given: torch.cos(x),
    "sqrt": lambda x, given: torch.sqrt(x),
    "rsqrt": lambda x, given: torch.rsqrt(x),
    "reciprocal": lambda x, given: torch.reciprocal(x),
    "abs": lambda x, given: torch.abs(x),
    "negative": lambda x, given: torch.neg(x),
    "square": lambda x, given: torch.square(x),
    "power": lambda x, given: torch.pow(x, given["exponent"]),
}
"""Functions of one element, by the operation's function.

torch's `mish` and `softplus` round the last elements of an array otherwise than the others; in
float64 that does not show.
"""


def _activation(
    stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]
) -> Tensor:
    return FUNCTIONS[operation.function](inputs[0], given)


COMBINED: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "add": torch.add,
    "mul": torch.mul,
    "subtract": torch.sub,
    "reverse_subtract": lambda x, other: other - x,
    "divide": torch.div,
}


def _combined(
    stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]
) -> Tensor:
    """A sum, difference, product or quotient of two tensors, or of one and a constant."""
    if operation.function == "rotary":
        return _rotary(given, inputs[0])
    function = COMBINED.get(operation.function) or COMBINED[operation.kind]
    if len(inputs) == 2:
        left, right = _aligned(inputs)
    elif "scalar" in given:
        left, right = inputs[0], torch.tensor(float(given["scalar"]), device=stored.device)
    else:
        left, right = _with_constant(inputs[0], _constant(stored, operation, given))
    alpha = given.get("alpha", 1)
    return function(left, right if alpha == 1 else right * alpha)


def _constant(stored: Stored, operation: Operation, given: Settings) -> Tensor:
    """A stored operand; of a table, `count` rows from `first` on."""
    constant = stored(operation.weight or "")
    if "first" not in given:
        return constant
    rows = constant.reshape(-1, constant.shape[-1])
    return rows[given["first"] : given["first"] + given["count"]]


def _with_constant(x: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
    """A batch and what is the same for all of it, lined up from the right."""
    missing = max(constant.dim() - (x.dim() - 1), 0)
    return x.reshape(len(x), *(1,) * missing, *x.shape[1:]), constant


def _rotary(given: Settings, x: Tensor) -> Tensor:
    """Pairs of a head turn by an angle of their token: neighbours, or numbers half a head apart.

    Su et al., "RoFormer", arXiv 2104.09864, equation 34.
    """
    size = given["head_dim"]
    half = size // 2
    device = x.device
    rates = given["theta"] ** (-torch.arange(half, device=device) * 2.0 / size)
    angles = (torch.arange(x.shape[1], device=device) + given["start"])[:, None, None] * rates
    axis, pairs = (4, (half, 2)) if given["interleaved"] else (3, (2, half))
    one, other = x.reshape(*x.shape[:2], -1, *pairs).unbind(axis)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((one * cos - other * sin, one * sin + other * cos), axis)


def _softmax(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    function = torch.log_softmax if operation.function == "log_softmax" else torch.softmax
    return function(_sized(inputs[0], given), given["dim"] + 1)


def _norm(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """A norm that measures its input, or a batch norm's stored scale and shift."""
    (x,) = inputs
    weight, bias = stored.perhaps(operation.weight), stored.perhaps(operation.bias)
    if operation.function == "batch":
        assert weight is not None
        assert bias is not None
        shape = (-1, *(1,) * (x.dim() - 2))
        return x * weight.reshape(shape) + bias.reshape(shape)
    if operation.function == "group":
        return F.group_norm(x, given["groups"], weight, bias, given["eps"])
    normed = list(x.shape[x.dim() - given["dims"] :])
    if operation.function == "rms":
        return F.rms_norm(x, normed, weight, given["eps"])
    return F.layer_norm(x, normed, weight, bias, given["eps"])


def _pool(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    """The largest or the average of a window, or the mean along dimensions."""
    (x,) = inputs
    geometry = operation.geometry
    if geometry is None:
        dims = [axis + 1 for axis in given["dims"]]
        return _sized(x, given).double().mean(dims).float()
    above, below, left, right = geometry.padding
    if operation.function == "max":
        if any(geometry.padding):
            x = F.pad(x, (left, right, above, below), value=-torch.inf)
        return F.max_pool2d(x, geometry.kernel, geometry.stride, 0, geometry.dilation)
    size = prod(geometry.kernel)
    padded = F.pad(x.double(), (left, right, above, below))
    totals = F.avg_pool2d(padded, geometry.kernel, geometry.stride, divisor_override=1)
    return (totals / _divisor(given, geometry.padding, x, geometry, size)).float()


def _divisor(
    given: Settings, padding: tuple[int, int, int, int], x: Tensor, geometry: Any, size: int
) -> Tensor | int:
    """How many elements each window averages.

    The padding counts, unless `count_include_pad` is 0; what a window that was rounded up reaches
    beyond the stated padding (more below than above, or right than left) never does.
    """
    if "divisor" in given:
        return int(given["divisor"])
    above, below, left, right = padding
    whole = given.get("count_include_pad", 1) == 1
    if whole and (above, left) == (below, right):
        return size
    counted = torch.ones(1, 1, *x.shape[-2:], dtype=torch.float64, device=x.device)
    if whole:
        counted = F.pad(counted, (left, left, above, above), value=1.0)
        counted = F.pad(counted, (0, right - left, 0, below - above))
    else:
        counted = F.pad(counted, (left, right, above, below))
    return F.avg_pool2d(counted, geometry.kernel, geometry.stride, divisor_override=1)


def _sized(x: Tensor, given: Settings) -> Tensor:
    """A batch under the sizes whose dimensions an operation counts."""
    return x.reshape(len(x), *given["sizes"])


def _embedding(
    stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]
) -> Tensor:
    return F.embedding(inputs[0].long(), stored(operation.weight or ""))


def _reshape(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    (x,) = inputs
    if operation.function == "permute":
        return _sized(x, given).permute(0, *(axis + 1 for axis in given["dims"]))
    if operation.function == "expand":
        sized, to = _sized(x, given), given["to"]
        missing = len(to) - (sized.dim() - 1)
        return sized.reshape(len(x), *(1,) * missing, *sized.shape[1:]).expand(len(x), *to)
    return x


def _slice(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    x = _sized(inputs[0], given)
    start, step, axis = given["start"], given["step"], given["dim"] + 1
    others = x[0].numel() // x.shape[axis]
    length = prod(_out(stored, operation)) // others
    return x[(slice(None),) * axis + (slice(start, start + (length - 1) * step + 1, step),)]


def _pad(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    pairs = list(zip(given["before"], given["after"], strict=True))
    return F.pad(_sized(inputs[0], given), [n for pair in pairs[::-1] for n in pair])


def _concat(stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]) -> Tensor:
    images = len(inputs[0])
    before = prod(given["sizes"][: given["dim"]])
    parts = [x.reshape(images, before, -1) for x in inputs]
    if "stored" in given:
        held = stored(operation.weight or "").reshape(1, before, -1)
        parts.insert(given["stored"], held.expand(images, -1, -1))
    return torch.cat(parts, 2)


def _identity(
    stored: Stored, operation: Operation, given: Settings, inputs: list[Tensor]
) -> Tensor:
    return inputs[0]


UNITS: dict[str, Unit] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "matmul": _matmul,
    "sdpa": _sdpa,
    "activation": _activation,
    "add": _combined,
    "mul": _combined,
    "softmax": _softmax,
    "norm": _norm,
    "pool": _pool,
    "embedding": _embedding,
    "reshape": _reshape,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "identity": _identity,
}
"""What an operation of a kind computes."""


def check_computable(network: Network) -> None:
    """Refuse a network that says what its operations cost, and not all that they compute.

    Raises DescriptionError (E350) for an operation whose arithmetic the network does not hold,
    (E351) for weights of which only the shapes are known.
    """
    wrong = [found for op in network.operations if (found := _missing(network, op))]
    if wrong:
        raise DescriptionError(*wrong[:8])


def _missing(network: Network, op: Operation) -> Diagnostic | None:
    """What keeps an operation from being computed."""
    given = dict(op.settings)
    unknown = _unknown(op, given)
    if unknown:
        return Diagnostic("E350", f"`{op.name}` cannot be computed: {unknown}")
    if op.kind in ("conv2d", "linear") and op.weight is None:
        return _shapes_only(network, op.name)
    for path in (op.weight, op.bias):
        if path is not None and network.weights[path].data is None:
            return _shapes_only(network, op.name)
    return None


def _shapes_only(network: Network, name: str) -> Diagnostic:
    return Diagnostic(
        "E351",
        f"`{name}` of `{network.name}` has no weights, only their shapes",
        helps=("give a file that holds the trained weights",),
    )


def _unknown(op: Operation, given: Mapping[str, Setting]) -> str:
    """In what an operation's arithmetic is not known; empty where it is."""
    if op.kind not in UNITS:
        return f"the operator `{op.function}` is not covered"
    if op.kind == "activation" and op.function not in FUNCTIONS:
        return f"what `{op.function}` puts where is not in the network"
    if op.kind == "sdpa" and given.get("masked"):
        return "its mask is not in the network"
    if op.kind == "matmul" and "kv_heads" in given:
        return "attention is computed whole, before it is taken apart"
    constant = len(op.inputs) == 1 and "scalar" not in given and op.function != "rotary"
    if op.kind in ("add", "mul") and constant and op.weight is None:
        return "its constant is worked out in the model, and is not in the network"
    if op.kind == "concat" and "stored" in given and op.weight is None:
        return "one of its parts is worked out in the model, and is not in the network"
    if op.kind == "embedding" and op.weight is None:
        return "its table is not in the network"
    return ""
