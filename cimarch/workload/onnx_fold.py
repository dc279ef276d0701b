"""Arithmetic on constants of an ONNX graph, done once: sizes that exporters compute in the graph.

Only what such arithmetic needs is here, as numpy does it, and no result is larger than
`LARGEST_RESULT` elements, but for views of stored weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from cimarch.workload.onnx_file import DTYPES
from cimarch.workload.steps import Array

LARGEST_RESULT = 1 << 20
"""Elements."""

Attributes = Mapping[str, Any]
Fold = Callable[[Attributes, list[Array | None]], Array]


class NotFolded(Exception):
    """The operator, or these arguments of it, are not folded."""


def fold(op: str, attributes: Attributes, inputs: list[Array | None]) -> Array:
    """The result of an operator whose inputs are all constant. Raises NotFolded."""
    rule = FOLDS.get(op)
    if rule is None:
        raise NotFolded(f"`{op}` of constants")
    try:
        with np.errstate(all="ignore"):
            return np.asarray(rule(attributes, inputs))
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise NotFolded(str(error)) from None


def _sized(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if prod(sizes) > LARGEST_RESULT or min(sizes, default=0) < 0:
        raise NotFolded(f"a constant of {prod(sizes)} elements")
    return sizes


def _elementwise(function: Callable[..., Array]) -> Fold:
    def rule(attributes: Attributes, inputs: list[Array | None]) -> Array:
        arrays = [np.asarray(x) for x in inputs]
        if getattr(function, "nin", len(arrays)) != len(arrays):
            raise NotFolded(f"{len(arrays)} operands")
        _sized(np.broadcast_shapes(*(x.shape for x in arrays)))
        return function(*arrays)

    return rule


def _divide(left: Array, right: Array) -> Array:
    if left.dtype.kind not in "iu":
        return np.asarray(left / right)
    if not np.all(right):
        raise NotFolded("a whole number divided by 0")
    return np.asarray(np.trunc(left / right).astype(left.dtype))


def _axes(attributes: Attributes, inputs: list[Array | None]) -> tuple[int, ...] | None:
    """Axes: an input since opset 13, an attribute before."""
    given = inputs[1] if len(inputs) > 1 else attributes.get("axes")
    return None if given is None else tuple(int(n) for n in np.asarray(given).ravel())


def _unsqueeze(attributes: Attributes, inputs: list[Array | None]) -> Array:
    axes = _axes(attributes, inputs)
    if axes is None:
        raise NotFolded("no axes")
    return np.expand_dims(np.asarray(inputs[0]), axes)


def _squeeze(attributes: Attributes, inputs: list[Array | None]) -> Array:
    return np.squeeze(np.asarray(inputs[0]), _axes(attributes, inputs))


def _concat(attributes: Attributes, inputs: list[Array | None]) -> Array:
    arrays = [np.asarray(x) for x in inputs]
    _sized((sum(x.size for x in arrays),))
    return np.concatenate(arrays, axis=int(attributes["axis"]))


def _gather(attributes: Attributes, inputs: list[Array | None]) -> Array:
    table, index = np.asarray(inputs[0]), np.asarray(inputs[1])
    _sized((index.size, table.size))
    return np.take(table, index, axis=int(attributes.get("axis", 0)), mode="raise")


def _slice(attributes: Attributes, inputs: list[Array | None]) -> Array:
    found = np.asarray(inputs[0])
    _sized(found.shape)
    starts, ends, axes, steps = slices(attributes, inputs, found.ndim)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = places_of(start, end, step, found.shape[axis])
        found = np.take(found, list(places), axis=axis)
    return found


def slices(
    attributes: Attributes, inputs: list[Array | None], rank: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Starts, ends, axes and steps: inputs since opset 10, attributes before."""
    given = [attributes.get("starts"), attributes.get("ends"), attributes.get("axes"), None]
    for place, array in enumerate(inputs[1:5]):
        given[place] = array
    if given[0] is None or given[1] is None:
        raise NotFolded("a slice without its places")
    lists = [None if g is None else _integers(g) for g in given]
    starts, ends = lists[0] or [], lists[1] or []
    axes = lists[2] if lists[2] is not None else list(range(len(starts)))
    steps = lists[3] if lists[3] is not None else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise NotFolded("a slice whose places differ in number")
    if any(not -rank <= axis < rank for axis in axes) or 0 in steps:
        raise NotFolded(f"a slice along dimensions {axes} by steps {steps}")
    return starts, ends, [axis % rank for axis in axes], steps


def _integers(given: object) -> list[int]:
    found = np.asarray(given)
    if found.dtype.kind not in "iu":
        raise NotFolded("a slice whose places are no whole numbers")
    return [int(n) for n in found.ravel()]


def places_of(start: int, end: int, step: int, size: int) -> range:
    """The places that a slice takes; ends beyond the dimension mean its end."""
    return range(*slice(start, end, step).indices(size))


def _constant_of_shape(attributes: Attributes, inputs: list[Array | None]) -> Array:
    sizes = _sized(tuple(int(n) for n in np.asarray(inputs[0]).ravel()))
    value = attributes.get("value")
    filled = np.zeros(1, np.float32) if value is None else np.asarray(value).ravel()
    return np.full(sizes, filled[0], filled.dtype)


def _range(attributes: Attributes, inputs: list[Array | None]) -> Array:
    start, end, step = (np.asarray(x).item() for x in inputs)
    if not step:
        raise NotFolded("a range of step 0")
    _sized((max(0, int((end - start) / step) + 1),))
    return np.arange(start, end, step, dtype=np.asarray(inputs[0]).dtype)


def _reshape(attributes: Attributes, inputs: list[Array | None]) -> Array:
    found = np.asarray(inputs[0])
    wanted = [int(n) for n in np.asarray(inputs[1]).ravel()]
    return found.reshape(reshaped(wanted, found.shape, bool(attributes.get("allowzero"))))


def reshaped(wanted: list[int], sizes: tuple[int, ...], allow_zero: bool) -> tuple[int, ...]:
    """The sizes that a Reshape asks for: 0 keeps a dimension, -1 takes what is left.

    Raises NotFolded where the elements do not fit.
    """
    found = []
    for axis, size in enumerate(wanted):
        kept = size == 0 and not allow_zero
        if kept and axis >= len(sizes):
            raise NotFolded(f"{wanted} keeps dimension {axis} of {len(sizes)}")
        found.append(sizes[axis] if kept else size)
    open_ = [axis for axis, size in enumerate(found) if size == -1]
    if open_:
        rest = prod(size for size in found if size != -1)
        found[open_[0]] = prod(sizes) // rest if rest else 0
    if len(open_) > 1 or min(found, default=0) < 0 or prod(found) != prod(sizes):
        raise NotFolded(f"{prod(sizes)} elements as {wanted}")
    return tuple(found)


def _expand(attributes: Attributes, inputs: list[Array | None]) -> Array:
    found = np.asarray(inputs[0])
    wanted = tuple(int(n) for n in np.asarray(inputs[1]).ravel())
    return np.broadcast_to(found, _sized(np.broadcast_shapes(found.shape, wanted)))


def _cast(attributes: Attributes, inputs: list[Array | None]) -> Array:
    kind = DTYPES.get(int(attributes["to"]), "")
    return np.asarray(inputs[0]).astype("float32" if kind == "bfloat16" else kind)


def _transpose(attributes: Attributes, inputs: list[Array | None]) -> Array:
    return np.transpose(np.asarray(inputs[0]), attributes.get("perm"))


def _reduced(function: Callable[..., Array]) -> Fold:
    def rule(attributes: Attributes, inputs: list[Array | None]) -> Array:
        keep = bool(attributes.get("keepdims", 1))
        return function(np.asarray(inputs[0]), axis=_axes(attributes, inputs), keepdims=keep)

    return rule


FOLDS: dict[str, Fold] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(_divide),
    "Mod": _elementwise(np.mod),
    "Min": _elementwise(np.minimum),
    "Max": _elementwise(np.maximum),
    "Neg": _elementwise(np.negative),
    "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil),
    "Sqrt": _elementwise(np.sqrt),
    "Equal": _elementwise(np.equal),
    "Where": _elementwise(np.where),
    "Identity": lambda attributes, inputs: np.asarray(inputs[0]),
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Range": _range,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""By the operator's name; `Shape` is known to the graph itself."""
