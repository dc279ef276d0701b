"""Cut a network into sites: a matrix product, or a digital operation, and what is done on the way.

A site is one anchor operation with its tail: the digital operations that its results pass before
they are stored, each the only reader of the one before. A product of two operands that are known
only at run time has no weight to place: it is a digital anchor, unless its second operand is
written into arrays. Views (reshape, slice, pad) move nothing: who reads a view reads the tensor
behind it.
"""

from __future__ import annotations

import attrs

from cimarch.workload.network import VIEW_KINDS, Network, Operation, Tensor


@attrs.frozen
class Source:
    """What an operation reads: a stored tensor, and how many of its elements."""

    tensor: str
    elements: int


@attrs.frozen
class Site:
    """An anchor operation and the digital operations that its results pass."""

    index: int
    anchor: Operation
    tail: tuple[Operation, ...]
    reads: tuple[tuple[Source, ...], ...]
    """What the anchor reads, then what each operation of the tail reads besides the chain."""
    result: str
    """The tensor that leaves the site."""
    operand: tuple[Source, ...] = ()
    """What is written into the arrays: the second operand of a product of two tensors."""

    @property
    def is_matrix(self) -> bool:
        return self.anchor.is_matrix

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (self.anchor, *self.tail)


class Views:
    """Resolves the tensors that operations read to the stored tensors behind them."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._maker = {
            name: op for op in network.operations if op.kind in VIEW_KINDS for name in op.outputs
        }

    def sources(self, name: str) -> tuple[Source, ...]:
        """The stored tensors behind a tensor, with the elements that are read of each."""
        elements = self._network.tensors[name].elements
        maker = self._maker.get(name)
        if maker is None:
            return (Source(name, elements),)
        behind = [source for read in maker.inputs for source in self.sources(read)]
        return tuple(Source(s.tensor, min(s.elements, elements)) for s in behind)


def sites(network: Network, skipped: frozenset[str] = frozenset()) -> tuple[Site, ...]:
    """Cut the network into sites, in order; `skipped` names operations that are left out."""
    return _Cutter(network, skipped).cut()


@attrs.define
class _Draft:
    anchor: Operation
    tail: list[Operation]
    reads: list[tuple[Source, ...]]
    result: str
    operand: tuple[Source, ...] = ()


class _Cutter:
    def __init__(self, network: Network, skipped: frozenset[str]) -> None:
        self.network = network
        self.views = Views(network)
        self.working = [
            op for op in network.operations if op.kind not in VIEW_KINDS and op.name not in skipped
        ]
        self.readers: dict[str, int] = {}
        for op in self.working:
            for tensor in {s.tensor for name in op.inputs for s in self.views.sources(name)}:
                self.readers[tensor] = self.readers.get(tensor, 0) + 1
        self.leaving = {s.tensor for name in network.outputs for s in self.views.sources(name)}
        self.drafts: list[_Draft] = []
        self.made: dict[str, int] = {}

    def cut(self) -> tuple[Site, ...]:
        for op in self.working:
            self._take(op)
        return tuple(
            Site(i, d.anchor, tuple(d.tail), tuple(d.reads), d.result, d.operand)
            for i, d in enumerate(self.drafts)
        )

    def _take(self, op: Operation) -> None:
        sources = [self.views.sources(name) for name in op.inputs]
        alone = op.is_matrix or op.is_dynamic
        host = None if alone else self._host(op, sources)
        if host is None:
            put = sources[:1] if op.written else sources
            reads = tuple(s for group in put for s in group)
            operand = sources[1] if op.written else ()
            self.drafts.append(_Draft(op, [], [reads], op.outputs[0], operand))
            host = len(self.drafts) - 1
        else:
            draft = self.drafts[host]
            draft.tail.append(op)
            others = [s for group in sources for s in group if s.tensor != draft.result]
            draft.reads.append(tuple(others))
            draft.result = op.outputs[0]
        self.made[op.outputs[0]] = host

    def _host(self, op: Operation, sources: list[tuple[Source, ...]]) -> int | None:
        """The site whose results the operation takes on their way, if there is one."""
        stored = [s.tensor for group in sources for s in group]
        makers = [self.made.get(tensor, -1) for tensor in stored]
        latest = max(makers, default=-1)
        if latest < 0:
            return None
        draft = self.drafts[latest]
        chained = draft.result in stored and self.readers[draft.result] == 1
        if not chained or draft.result in self.leaving or not self._whole(op, draft.result):
            return None
        return None if op.kind == "pool" and not self._pool_joins(op, draft) else latest

    def _whole(self, op: Operation, result: str) -> bool:
        """Whether every element of the chain's result is read, in order."""
        elements = self.network.tensors[result].elements
        return any(
            source == Source(result, elements)
            for name in op.inputs
            for source in self.views.sources(name)
        )

    def _pool_joins(self, op: Operation, draft: _Draft) -> bool:
        """A pooling joins a chain of maps once, if each of its rows ends within its stride."""
        if any(other.kind == "pool" for other in draft.tail) or draft.anchor.kind == "pool":
            return False
        rows = map_rows(self.network.tensors[draft.result])
        return is_global(self.network, op) or ends_within_stride(op, rows)


def is_global(network: Network, op: Operation) -> bool:
    """Whether a pooling reduces each channel's whole map to one element."""
    return map_rows(network.tensors[op.outputs[0]]) == 1


def ends_within_stride(op: Operation, rows: int) -> bool:
    """Whether row j of a pooling is complete with row (j + 1) * stride - 1 of its `rows` rows."""
    if op.geometry is None or rows % op.geometry.stride[0]:
        return False
    g = op.geometry
    return (g.kernel[0] - 1) * g.dilation[0] - g.padding[0] < g.stride[0]


def map_rows(tensor: Tensor) -> int:
    """Rows of a map (channels, height, width); tokens of (tokens, features); else 1."""
    if len(tensor.shape) >= 3:
        return tensor.shape[-2]
    return tensor.shape[0] if len(tensor.shape) == 2 else 1
