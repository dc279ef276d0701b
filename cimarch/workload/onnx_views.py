"""ONNX's operators that say where elements lie, in ATen's words, and those that do nothing."""

from __future__ import annotations

from math import prod

import numpy as np

from cimarch.workload.graph import Argument
from cimarch.workload.onnx_call import Conversion, OnnxCall
from cimarch.workload.onnx_fold import NotFolded, places_of, reshaped, slices
from cimarch.workload.steps import Sizes


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
