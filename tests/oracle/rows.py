"""Which rows of the stored tensors a row of work reads, found element by element.

A view (reshape, slice, concatenation) moves nothing: an element of it is an element of a tensor
behind it. A convolution's row reads the rows of its map from the first to the last under the
kernel; a token, and what is done element by element, the same row; all else reads everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import attrs

from cimarch.mapping.sites import Site, is_global, map_rows
from cimarch.workload.network import VIEW_KINDS, Network, Operation, Tensor

BY_ROW = ("add", "mul", "activation", "norm", "softmax", "embedding")
"""Digital operations of which a row of results takes the same row of each operand."""


@attrs.frozen
class Reading:
    """What an operation of a site reads of one stored tensor, row by row of its own work."""

    site: int
    position: int
    """0: the anchor; j: operation j - 1 of the tail."""
    tensor: str
    needs: tuple[int, ...]
    """Rows of the tensor, from its first, that must be made."""
    frees: tuple[int, ...]
    """Rows of the tensor, from its first, that no later row of the work reads."""

    @property
    def key(self) -> tuple[int, int, str]:
        """Which reader it is."""
        return self.site, self.position, self.tensor


def joined_rows(network: Network, site: Site) -> tuple[int, int]:
    """Rows of the anchor's results, and how many of these a pooling joins to one that is stored."""
    op = site.anchor
    rows = op.window_rows if site.is_matrix else map_rows(network.tensors[op.outputs[0]])
    for pool in site.tail:
        if pool.kind == "pool":
            if is_global(network, pool):
                return rows, rows
            assert pool.geometry is not None
            return rows, pool.geometry.stride[0]
    return rows, 1


def readings(network: Network, site: Site) -> Iterator[Reading]:
    """All that a site reads."""
    rows, joined = joined_rows(network, site)
    chain = {site.anchor.outputs[0]}
    for position, (op, sources) in enumerate(zip(site.operations, site.reads, strict=True)):
        for tensor in dict.fromkeys(source.tensor for source in sources):
            read = [name for name in op.inputs if not (position and name in chain)]
            yield _reading(network, site, position, tensor, read, rows)
        chain |= set(op.outputs)
        if position and op.kind == "pool":
            rows //= joined


def _reading(
    network: Network, site: Site, position: int, tensor: str, read: list[str], count: int
) -> Reading:
    op, height = site.operations[position], map_rows(network.tensors[tensor])
    needs, frees = [0] * count, [height] * count
    for name in read:
        shown = shows(network, name)
        spans = [_span(op, row, count, len(shown)) for row in range(count)]
        for row in range(count):
            before = [at for t, at in _union(shown[: spans[row].stop]) if t == tensor]
            needs[row] = max([needs[row], *(at + 1 for at in before)])
            later = {i for span in spans[row + 1 :] for i in span}
            kept = [at for t, at in _union(shown[i] for i in later) if t == tensor]
            frees[row] = min([frees[row], *kept])
    return Reading(site.index, position, tensor, tuple(needs), tuple(frees))


def _union(sets: object) -> set[tuple[str, int]]:
    return set().union(*sets)  # type: ignore[misc]


def _span(op: Operation, row: int, count: int, height: int) -> range:
    """The rows of what an operation reads that a row of its work takes in."""
    if op.geometry is not None:
        top = row * op.geometry.stride[0] - op.geometry.padding[0]
        reach = (op.geometry.kernel[0] - 1) * op.geometry.dilation[0]
        return range(max(0, top), max(0, min(height, top + reach + 1)))
    is_token = op.is_matrix and op.windows == height > 1
    if is_token or (op.kind in BY_ROW and count == height > 1):
        return range(row, row + 1)
    return range(height)


def shows(network: Network, name: str) -> list[set[tuple[str, int]]]:
    """Per row of a tensor: the rows of stored tensors that it shows."""
    tensor = network.tensors[name]
    found: list[set[tuple[str, int]]] = [set() for _ in range(map_rows(tensor))]
    for element in range(tensor.elements):
        behind = _behind(network, name, element)
        if behind is not None:
            stored, at = behind
            found[_row(tensor, element)].add((stored, _row(network.tensors[stored], at)))
    return found


def _row(tensor: Tensor, element: int) -> int:
    """The row of an element: of a map the height, of tokens the token."""
    if len(tensor.shape) >= 3:
        return element // tensor.shape[-1] % tensor.shape[-2]
    return element // tensor.shape[-1] if len(tensor.shape) == 2 else 0


def _behind(network: Network, name: str, element: int) -> tuple[str, int] | None:
    """The element of a stored tensor that an element of a view is; None for a zero of a pad."""
    while True:
        op = next(
            (o for o in network.operations if o.kind in VIEW_KINDS and name in o.outputs), None
        )
        if op is None:
            return name, element
        if op.kind == "concat":
            name, element = _part(network, op, element)
        elif op.kind == "slice":
            name, element = op.inputs[0], _sliced(network, op, element)
        elif op.kind == "reshape" and not op.function:
            name = op.inputs[0]
        else:
            raise NotImplementedError(op)


def _part(network: Network, op: Operation, element: int) -> tuple[str, int]:
    """Which of the tensors of a concatenation has an element, and where."""
    axis = dict(op.settings)["dim"]
    inner = prod(network.tensors[op.outputs[0]].shape[axis + 1 :])
    whole = network.tensors[op.outputs[0]].shape[axis]
    outer, place = divmod(element, whole * inner)
    along, rest = divmod(place, inner)
    for name in op.inputs:
        size = network.tensors[name].shape[axis]
        if along < size:
            return name, (outer * size + along) * inner + rest
        along -= size
    raise AssertionError(op)


def _sliced(network: Network, op: Operation, element: int) -> int:
    settings = dict(op.settings)
    shape = network.tensors[op.inputs[0]].shape
    axis = settings["dim"]
    inner = prod(shape[axis + 1 :])
    kept = network.tensors[op.outputs[0]].shape[axis]
    outer, place = divmod(element, kept * inner)
    along, rest = divmod(place, inner)
    return (outer * shape[axis] + settings["start"] + along * settings["step"]) * inner + rest
