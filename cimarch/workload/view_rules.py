"""Rules for operators that only say where elements lie: reshape, permute, slice, pad, concat."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import prod

import attrs

from cimarch.workload.network import Setting
from cimarch.workload.steps import Alias, Array, Call, Constant, Flow, Result, Sizes, Step


def same(call: Call) -> Result:
    """An operator that hands on its input, perhaps as a copy: contiguous, detach, alias."""
    found = call.tensor("self", "input")
    return Alias(found, copied=None) if isinstance(found, Flow) else _constant(call, found)


def clone(call: Call) -> Result:
    """A copy of the input."""
    found = call.tensor("self", "input")
    return Alias(found, copied=True) if isinstance(found, Flow) else _constant(call, found)


def convert(call: Call) -> Result:
    """A change of element type or device; precision on the chip is not the file's."""
    found = call.tensor("self", "input")
    kinds = {call.outputs[0].dtype.rstrip("0123456789") for _ in call.outputs[:1]}
    if isinstance(found, Flow) and not kinds <= {"float", "bfloat"}:
        raise call.wrong("turns numbers into whole numbers, which is not covered", code="E120")
    return Alias(found, copied=None) if isinstance(found, Flow) else _constant(call, found)


def dropout(call: Call) -> Result:
    """Dropout: nothing, when it was exported for inference."""
    if call.flag("train") or call.flag("training"):
        raise training(call)
    return same(call)


def training(call: Call) -> Exception:
    """What is said of an operator that was exported in training mode."""
    return call.wrong(
        "was exported in training mode", code="E123", helps=("call `model.eval()`, export again",)
    )


def reshape(call: Call) -> Result:
    """view, reshape, flatten, unflatten, squeeze, unsqueeze: the same elements in order."""
    found = call.tensor("self", "input")
    if not isinstance(found, Flow):
        return _viewed(call, found, lambda weight: weight.reshape(call.out))
    if prod(found.sizes) != prod(call.out):
        raise call.wrong(f"turns {prod(found.sizes)} elements into {prod(call.out)}", code="E130")
    if found.sizes == call.out:
        return Alias(found, copied=None)
    return Step(kind="reshape", inputs=(found,), view=None)


def permute(call: Call) -> Result:
    """permute, transpose, t: dimensions in another order."""
    found = call.tensor("self", "input")
    sizes = call.out if found is None else found.sizes
    order = _order(call, len(sizes))
    moved = tuple(sizes[axis] for axis in order)
    if not isinstance(found, Flow):
        return _viewed(call, found, lambda weight: weight.transpose(order))
    settings = (("sizes", sizes), ("dims", order))
    return Step("reshape", (found,), (moved,), "permute", settings=settings, view=True)


def _order(call: Call, rank: int) -> Sizes:
    if call.node.packet == "permute":
        order = call.axes(rank, call.integers("dims"))
        if sorted(order) != list(range(rank)):
            raise call.wrong(f"puts {rank} dimensions in the order {order}", code="E130")
        return order
    order_list = list(range(rank))
    first, second = (0, max(rank - 1, 0)) if call.node.packet in ("t", "numpy_T") else (
        call.axis(rank, "dim0", "axis0"),
        call.axis(rank, "dim1", "axis1"),
    )  # fmt: skip
    if rank > 1:
        order_list[first], order_list[second] = second, first
    return tuple(order_list)


def expand(call: Call) -> Result:
    """expand: elements repeated along dimensions of size one."""
    found = call.tensor("self")
    if isinstance(found, Constant) and found.sizes == call.out:
        return found
    if not isinstance(found, Flow):
        return Constant(call.out)
    padded = (1,) * (len(call.out) - len(found.sizes)) + found.sizes
    if len(padded) != len(call.out) or any(
        a not in (1, b) for a, b in zip(padded, call.out, strict=False)
    ):
        raise call.wrong(f"expands {found.sizes} to {call.out}", code="E130")
    if padded == call.out == found.sizes:
        return Alias(found)
    settings = (("sizes", found.sizes), ("to", call.out))
    return Step("reshape", (found,), function="expand", settings=settings, view=True)


def slice_(call: Call) -> Result:
    """slice: every `step`-th element from `start` up to `end` along one dimension."""
    x = call.flow("self")
    axis = call.axis(len(x.sizes), "dim", default=0)
    step = call.integer("step", default=1)
    if step < 1:
        raise call.wrong(f"has step {step}, below 1", code="E130")
    size = x.sizes[axis]
    start = _bounded(call.integer("start", default=0), size)
    end = _bounded(call.integer("end", default=size), size)
    if (start, end, step) == (0, size, 1):
        return Alias(x)
    return _cut(call, x, axis, [(start, max(-(-(end - start) // step), 0))], step)[0]


def narrow(call: Call) -> Result:
    """narrow: `length` elements from `start` along one dimension."""
    x = call.flow("self")
    axis = call.axis(len(x.sizes), "dim")
    start = _bounded(call.integer("start"), x.sizes[axis])
    return _cut(call, x, axis, [(start, call.integer("length"))], 1)[0]


def select(call: Call) -> Result:
    """select: one element along a dimension, which goes away."""
    x = call.flow("self")
    axis = call.axis(len(x.sizes), "dim", default=0)
    index = call.integer("index")
    if not -x.sizes[axis] <= index < x.sizes[axis]:
        raise call.wrong(f"selects element {index} of {x.sizes}", code="E130")
    cut = _cut(call, x, axis, [(index % x.sizes[axis], 1)], 1)[0]
    return attrs.evolve(cut, sizes=(x.sizes[:axis] + x.sizes[axis + 1 :],))


def split(call: Call) -> Result:
    """split, chunk, unbind: a slice for each part."""
    x = call.flow("self")
    axis = call.axis(len(x.sizes), "dim", default=0)
    alone = call.node.packet == "unbind"
    lengths = [1 if alone else _along(call, out.sizes, axis) for out in call.outputs]
    starts = list(accumulate(lengths, initial=0))[:-1]
    if sum(lengths) != x.sizes[axis]:
        raise call.wrong(f"splits {x.sizes} into lengths {lengths[:8]}", code="E130")
    steps = _cut(call, x, axis, list(zip(starts, lengths, strict=True)), 1)
    if alone:
        gone = x.sizes[:axis] + x.sizes[axis + 1 :]
        steps = tuple(attrs.evolve(step, sizes=(gone,)) for step in steps)
    return steps


def _along(call: Call, sizes: Sizes, axis: int) -> int:
    if axis >= len(sizes):
        raise call.wrong(f"has no dimension {axis} in its output {sizes}", code="E130")
    return sizes[axis]


def _cut(
    call: Call, x: Flow, axis: int, parts: list[tuple[int, int]], step: int
) -> tuple[Step, ...]:
    """Slices of `x`: (start, length) each."""
    found = []
    for start, length in parts:
        if length < 1 or start + (length - 1) * step >= x.sizes[axis]:
            raise call.wrong(
                f"takes {length} elements from {start} on of the {x.sizes[axis]} in dimension "
                f"{axis}",
                code="E130",
            )
        cut = (*x.sizes[:axis], length, *x.sizes[axis + 1 :])
        settings = (("sizes", x.sizes), ("dim", axis), ("start", start), ("step", step))
        found.append(Step("slice", (x,), (cut,), settings=settings, view=True))
    return tuple(found)


def _bounded(index: int, size: int) -> int:
    """An index as Python slices take it: negative from the end, kept within the dimension."""
    return min(max(index + size if index < 0 else index, 0), size)


def pad(call: Call) -> Result:
    """pad with zeros: pairs (before, after), the last dimension first."""
    x = call.flow("self")
    amounts = call.integers("pad")
    if call.get("mode") not in (None, "constant") or call.number("value", default=0.0) != 0:
        raise call.wrong("pads with something else than zeros, which is not covered", code="E120")
    if len(amounts) % 2 or len(amounts) > 2 * len(x.sizes):
        raise call.wrong(f"pads {x.sizes} by {amounts}", code="E130")
    missing = [0] * (len(x.sizes) - len(amounts) // 2)
    before = tuple(missing + list(amounts[0::2])[::-1])
    after = tuple(missing + list(amounts[1::2])[::-1])
    padded = tuple(b + n + a for b, n, a in zip(before, x.sizes, after, strict=True))
    if min(before + after, default=0) < 0:
        raise call.wrong(f"pads by {amounts}: negative padding is not covered", code="E120")
    settings = (("sizes", x.sizes), ("before", before), ("after", after))
    return Step("pad", (x,), (padded,), "zero", settings=settings)


def concat(call: Call) -> Result:
    """cat and stack: inputs one after the other along a dimension; one of them may be stored."""
    given = call.get("tensors")
    refs = given if isinstance(given, tuple) else ()
    parts = [call.tensors[name] for ref in refs if (name := getattr(ref, "name", ""))]
    flows = [part for part in parts if isinstance(part, Flow)]
    stored = [(i, part) for i, part in enumerate(parts) if isinstance(part, Constant)]
    if len(stored) > 1 or not flows:
        raise call.wrong("joins several stored tensors to one that flows", code="E120")
    axis = call.axis(len(call.out), "dim", default=0)
    sizes = [_joined(part.sizes, axis, call.node.packet == "stack") for part in parts]
    if any(len(s) != len(call.out) for s in sizes):
        raise call.wrong(f"joins {[part.sizes for part in parts][:4]}", code="E130")
    joined = list(sizes[0])
    joined[axis] = sum(s[axis] for s in sizes)
    if any(s[:axis] + s[axis + 1 :] != sizes[0][:axis] + sizes[0][axis + 1 :] for s in sizes):
        raise call.wrong(f"joins {sizes[:4]} along dimension {axis}", code="E130")
    settings: tuple[tuple[str, Setting], ...] = (("sizes", call.out), ("dim", axis))
    weight = None
    for place, part in stored:
        settings, weight = (*settings, ("stored", place)), part.weight
    return Step("concat", tuple(flows), (tuple(joined),), weight=weight, settings=settings)


def _joined(sizes: Sizes, axis: int, stacked: bool) -> Sizes:
    return (*sizes[:axis], 1, *sizes[axis:]) if stacked else sizes


def computed(call: Call) -> Result:
    """An operator that only makes constants: arange, full, zeros, ..."""
    flows = [name for name, found in call.tensors.items() if isinstance(found, Flow)]
    if flows:
        raise call.wrong("takes a tensor that flows", code="E120")
    return Constant(call.out)


def like(call: Call) -> Result:
    """A constant of the size of another tensor: zeros_like, full_like, ..."""
    return Constant(call.out)


def _constant(call: Call, found: Constant | None) -> Constant:
    return Constant(call.out) if found is None else found


def _viewed(call: Call, found: Constant | None, view: Callable[[Array], Array]) -> Constant:
    """A view of a stored parameter is that parameter, seen otherwise."""
    weight = found.weight if found is not None else None
    if weight is None:
        return Constant(call.out)
    if prod(weight.shape) != prod(call.out):
        raise call.wrong(f"turns {weight.shape} into {call.out}", code="E130")
    data = None if weight.data is None else view(weight.data)
    if data is not None and data.shape != call.out:
        raise call.wrong(f"turns {weight.shape} into {data.shape}, not {call.out}", code="E130")
    return Constant(call.out, attrs.evolve(weight, shape=call.out, data=data))
