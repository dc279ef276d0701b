"""Rows: how far each row of a site's work reaches into the tensors that it reads.

A site works row by row of its anchor's results; a pooling of the tail joins several of these to one
row of what is stored, a strip. Row a needs the first `needs[a]` rows of a stored tensor to be
there, and once it is done the first `frees[a]` rows are needed no more. A convolution of kernel
height k, dilation d, stride s and p rows of padding above needs rows up to a s - p + (k - 1) d and
frees all above (a + 1) s - p. Who reads a view (a reshape, a slice, a concatenation) reads the rows
behind it. What has no rows in common is needed whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.mapping.sites import Site, Source, Views, is_global, map_rows
from cimarch.mapping.tiling import Ints
from cimarch.workload.network import VIEW_KINDS, Network, Operation

Ids = NDArray[np.int32]

ROWWISE = frozenset({"add", "mul", "activation", "norm", "softmax", "embedding"})
"""Digital operations whose row of results takes the same row of each operand."""


@attrs.frozen(eq=False)
class Reach:
    """What a site's rows need of one stored tensor."""

    source: Source
    position: int
    """0: the anchor reads it; j: operation j - 1 of the tail does."""
    per_strip: bool
    """Whether the arrays have a value per strip, not per row of the anchor."""
    needs: Ints
    frees: Ints


@attrs.frozen(eq=False)
class Extent:
    """The rows of a site's work."""

    rows: int
    """Of the anchor's results."""
    joined: int
    """Rows of a strip: how many a pooling of the tail joins to one; else 1."""

    @property
    def strips(self) -> int:
        """Rows of what the site stores."""
        return self.rows // self.joined


def extent(network: Network, site: Site) -> Extent:
    """The rows and strips of a site."""
    op = site.anchor
    rows = op.window_rows if site.is_matrix else map_rows(network.tensors[op.outputs[0]])
    pool = next((other for other in site.tail if other.kind == "pool"), None)
    if pool is None:
        return Extent(rows, 1)
    if is_global(network, pool):
        return Extent(rows, rows)
    assert pool.geometry is not None
    return Extent(rows, pool.geometry.stride[0])


class Rows:
    """Finds the reaches of the sites of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._views = Views(network)
        self._maker = {
            name: op for op in network.operations if op.kind in VIEW_KINDS for name in op.outputs
        }

    def of(self, site: Site) -> Iterator[Reach]:
        """A reach for every source of the site, in order of `site.reads`."""
        size = extent(self._network, site)
        chain = {site.anchor.outputs[0]}
        pooled = False
        for position, (op, sources) in enumerate(zip(site.operations, site.reads, strict=True)):
            count = size.strips if pooled else size.rows
            for source in sources:
                yield self._reach(op, source, position, count, chain, per_strip=pooled)
            chain |= set(op.outputs)
            pooled = pooled or (position > 0 and op.kind == "pool")

    def _reach(
        self, op: Operation, source: Source, position: int, count: int, chain: set[str], *,
        per_strip: bool,
    ) -> Reach:  # fmt: skip
        height = map_rows(self._network.tensors[source.tensor])
        needs = np.zeros(count, np.int64)
        frees = np.full(count, height, np.int64)
        for name in op.inputs:
            if (position and name in chain) or (op.written and name != op.inputs[0]):
                continue
            if all(s.tensor != source.tensor for s in self._views.sources(name)):
                continue
            seen = map_rows(self._network.tensors[name])
            first, last = self.behind(name, source.tensor, height)
            most = np.concatenate(([0], np.maximum.accumulate(last) + 1))
            least = np.concatenate((np.minimum.accumulate(first[::-1])[::-1], [height]))
            asked, done = _of_operation(op, seen, count)
            needs = np.maximum(needs, most[asked])
            frees = np.minimum(frees, least[done])
        frees[-1:] = height
        return Reach(source, position, per_strip, needs, frees)

    def behind(self, name: str, tensor: str, height: int) -> tuple[Ints, Ints]:
        """Per row of what is read: the first and the last row of the tensor that it shows.

        A row that shows nothing of it has `height` and -1.
        """
        if name == tensor:
            return np.arange(height), np.arange(height)
        seen = map_rows(self._network.tensors[name])
        shown = self._shown(name, tensor, height)
        if shown is None:
            return np.zeros(seen, np.int64), np.full(seen, height - 1)
        shape = self._network.tensors[name].shape
        axis = len(shape) - 2 if len(shape) >= 3 else 0
        by_row = np.moveaxis(shown.reshape(shape), axis, 0).reshape(seen, -1)
        if len(shape) == 1:
            by_row = shown.reshape(1, -1)
        first = np.where(by_row < 0, height, by_row).min(axis=1)
        return first.astype(np.int64), by_row.max(axis=1).astype(np.int64)

    def _shown(self, name: str, tensor: str, height: int) -> Ids | None:
        """Per element of a view, in order: the row of the tensor that it shows; -1 for none.

        None where the network does not say which elements the view takes.
        """
        elements = self._network.tensors[name].elements
        if name == tensor:
            shape = self._network.tensors[name].shape
            if height == 1:
                return np.zeros(elements, np.int32)
            axis = len(shape) - 2 if len(shape) >= 3 else 0
            ids = np.arange(height, dtype=np.int32).reshape(
                [-1 if i == axis else 1 for i in range(len(shape))]
            )
            return np.broadcast_to(ids, shape).reshape(-1)
        maker = self._maker.get(name)
        if maker is None:
            return np.full(elements, -1, np.int32)
        parts = [self._shown(each, tensor, height) for each in maker.inputs]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or not _is_told(maker, sum(map(len, known)), elements):
            return None
        return _viewed(maker, known, elements)


def _of_operation(op: Operation, seen: int, count: int) -> tuple[Ints, Ints]:
    """Per row of the work: rows of what it reads that it asks for, and is done with."""
    row = np.arange(count)
    if op.geometry is not None:
        g = op.geometry
        top = row * g.stride[0] - g.padding[0]
        reach = (g.kernel[0] - 1) * g.dilation[0] + 1
        return np.clip(top + reach, 0, seen), np.clip(top + g.stride[0], 0, seen)
    if op.written and seen % count == 0 and seen > 1:
        each = seen // count
        return (row + 1) * each, (row + 1) * each
    if seen == count > 1 and (op.kind in ROWWISE or (op.weight is not None and op.windows == seen)):
        return row + 1, row + 1
    return np.full(count, seen), np.zeros(count, np.int64)


_TOLD = {
    "concat": ("sizes", "dim"),
    "slice": ("sizes", "dim", "start", "step"),
    "pad": ("sizes", "before", "after"),
    "permute": ("sizes", "dims"),
    "expand": ("sizes", "to"),
}
"""What must be known of a view, by its kind or function."""


def _is_told(op: Operation, before: int, after: int) -> bool:
    """Whether it is known which elements a view takes, of so many before, so many after."""
    settings = dict(op.settings)
    needed = _TOLD.get(op.kind) or _TOLD.get(op.function)
    return before == after if needed is None else all(name in settings for name in needed)


def _viewed(op: Operation, parts: list[Ids], elements: int) -> Ids:
    """What a view shows, from what the tensors behind it show."""
    settings: Mapping[str, Any] = dict(op.settings)
    sizes = settings.get("sizes", ())
    if op.kind == "concat":
        axis = settings["dim"]
        if "stored" in settings:
            own = np.full(elements - sum(part.size for part in parts), -1, np.int32)
            parts = [*parts[: settings["stored"]], own, *parts[settings["stored"] :]]
        shapes = [[*sizes[:axis], -1, *sizes[axis + 1 :]] for _ in parts]
        joined = [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]
        return np.concatenate(joined, axis=axis).reshape(-1)
    (shown,) = parts
    if op.kind == "slice":
        axis, start, step = settings["dim"], settings["start"], settings["step"]
        length = elements * sizes[axis] // shown.size
        index = [slice(None)] * len(sizes)
        index[axis] = slice(start, start + (length - 1) * step + 1, step)
        return shown.reshape(sizes)[tuple(index)].reshape(-1)
    if op.kind == "pad":
        width = list(zip(settings["before"], settings["after"], strict=True))
        return np.pad(shown.reshape(sizes), width, constant_values=-1).reshape(-1)
    if op.function == "permute":
        return shown.reshape(sizes).transpose(settings["dims"]).reshape(-1)
    if op.function == "expand":
        return np.broadcast_to(shown.reshape(sizes), settings["to"]).reshape(-1)
    return shown
