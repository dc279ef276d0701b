"""Attention as what hardware does: two products of operands known only at run time, and a softmax.

For each head, scores = queries x keys^T, weights = softmax(scores), result = weights x values
(Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1; the factor
1 / sqrt(head_dim) is part of the softmax). Where several heads share keys and values (Ainslie et
al., "GQA", EMNLP 2023), every head still does its own products.

**How a causal one is counted.** Token i of T new ones, behind C earlier ones, attends to C + i
keys; nothing is computed for the others. These are T x (2 C + T + 1) / 2 pairs of token and key
for each head: scores and weights have as many elements, and each of the two products head_dim as
many multiply-accumulates. An operation has whole numbers of windows and columns, so the mean number
of keys is taken, (2 C + T + 1) / 2 columns in each of T windows, and where that is no whole number
two tokens are a window: 2 C + T + 1 columns in each of T / 2. Both give the exact product.

**Two ways.** A digital unit multiplies, or keys and values are written into arrays, to which
queries and probabilities are put as vectors. An array's product takes all the keys that it has room
for, so there the matrices have a column (of scores) or a row (of values) for every key; what is
needed of their products, and what a unit does between, is as many as above.
"""

from __future__ import annotations

import attrs

from cimarch.workload.naming import Names
from cimarch.workload.network import Network, Operation, Tensor

HOW = ("digital", "written")
"""`digital`: a unit that does `matmul` multiplies, and skips the keys that a token does not see.
`written`: the second operand is written into arrays, the first is put to them."""


def lowered(network: Network, *, attention: str = "digital") -> Network:
    """A network without `sdpa`: each becomes `matmul`, `softmax`, `matmul` (and `add` of a mask).

    The products have no weight: their operands are two tensors, the second of them the matrix
    (keys, turned; values). `digital`: `rows` x `columns` x `windows` x `groups` are the
    multiply-accumulates that are needed, see above; `groups` are the heads. `written`: the matrices
    have all keys, `groups` are the heads of keys, `windows` tokens x heads / heads of keys; every
    other product of two tensors is `written` too. Raises ValueError for another `attention`.
    """
    if attention not in HOW:
        raise ValueError(f"`attention` is {attention!r}, not one of {', '.join(HOW)}")
    write = attention == "written"
    splitter = (_Writer if write else _Splitter)(network)
    if not any(op.kind == "sdpa" or (write and op.is_dynamic) for op in network.operations):
        return network
    operations = [new for op in network.operations for new in splitter.lowered(op)]
    return attrs.evolve(network, operations=tuple(operations), tensors=splitter.tensors)


@attrs.frozen
class Attention:
    """The sizes of one `sdpa`."""

    heads: int
    kv_heads: int
    head_dim: int
    """Numbers of a query and of a key."""
    tokens: int
    keys: int
    """Tokens that have a key: earlier ones, then the new ones."""
    earlier: int
    causal: bool
    value_dim: int
    """Numbers of a value."""

    @classmethod
    def of(cls, network: Network, op: Operation) -> Attention:
        """Read them off an operation of kind `sdpa`."""
        given = {key: value for key, value in op.settings if isinstance(value, int)}
        heads, head_dim = given["heads"], given["head_dim"]
        tokens = network.tensors[op.inputs[0]].elements // (heads * head_dim)
        value_dim = network.tensors[op.outputs[0]].elements // (heads * tokens)
        return cls(
            heads, given["kv_heads"], head_dim, tokens, given["keys"], given["earlier"],
            bool(given["is_causal"]), value_dim,
        )  # fmt: skip

    @property
    def pairs(self) -> int:
        """Pairs of a token and a key that it attends to, of one head."""
        if not self.causal:
            return self.tokens * self.keys
        return _sum_to(self.keys, self.earlier + self.tokens) - _sum_to(self.keys, self.earlier)

    @property
    def windows(self) -> tuple[int, int]:
        """Windows and columns whose product is `pairs`: a token, two, or all are a window."""
        for windows in (self.tokens, self.tokens // 2):
            if windows and self.pairs % windows == 0:
                return windows, self.pairs // windows
        return 1, self.pairs


def _sum_to(keys: int, tokens: int) -> int:
    """min(1, keys) + min(2, keys) + ... up to the last of `tokens`."""
    rising = min(tokens, keys)
    return rising * (rising + 1) // 2 + (tokens - rising) * keys


class _Splitter:
    """Splits operations of kind `sdpa`, and collects the tensors between the pieces."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.tensors = dict(network.tensors)
        self.names = Names({*network.tensors, *(op.name for op in network.operations)})

    def lowered(self, op: Operation) -> list[Operation]:
        """What an operation becomes."""
        return self.split(op) if op.kind == "sdpa" else [op]

    def split(self, op: Operation) -> list[Operation]:
        """The products, the softmax and the mask of one `sdpa`."""
        sizes = Attention.of(self.network, op)
        query, key, value, *masks = op.inputs
        scores = self._product(op, "scores", sizes, (query, key))
        made = [scores]
        for mask in masks:
            made.append(self._between(op, "add", sizes, (made[-1].outputs[0], mask), "add"))
        soft = self._between(op, "softmax", sizes, made[-1].outputs, "softmax", "softmax")
        mixed = self._product(op, "values", sizes, (soft.outputs[0], value), op.outputs)
        return [*made, soft, mixed]

    def _product(
        self,
        op: Operation,
        what: str,
        sizes: Attention,
        inputs: tuple[str, str],
        outputs: tuple[str, ...] = (),
    ) -> Operation:
        name = self.names.fresh(f"{op.name}.{what}")
        windows, keys = sizes.windows
        if not outputs:
            self.tensors[name] = Tensor(name, (sizes.heads, windows, keys))
        return Operation(
            name=name,
            kind="matmul",
            inputs=inputs,
            outputs=outputs or (name,),
            rows=keys if outputs else sizes.head_dim,
            columns=sizes.value_dim if outputs else keys,
            groups=sizes.heads,
            windows=windows,
            window_rows=windows,
            settings=(("tokens", sizes.tokens), ("keys", sizes.keys), ("kv_heads", sizes.kv_heads)),
        )

    def _between(
        self,
        op: Operation,
        what: str,
        sizes: Attention,
        inputs: tuple[str, ...],
        kind: str,
        function: str = "",
    ) -> Operation:
        """An operation on every pair of a token and a key."""
        name = self.names.fresh(f"{op.name}.{what}")
        shape = (sizes.heads, *sizes.windows)
        self.tensors[name] = Tensor(name, shape)
        settings = (("sizes", shape), ("dim", 2)) if kind == "softmax" else ()
        return Operation(name, kind, inputs, (name,), function, settings=settings)


class _Writer(_Splitter):
    """Splits them into products whose second operand is written into arrays."""

    def lowered(self, op: Operation) -> list[Operation]:
        """What an operation becomes."""
        return super().lowered(self._turned(op) if op.is_dynamic and not op.written else op)

    def _turned(self, op: Operation) -> Operation:
        """A product of two tensors; where the second is one turned over, that one's rows are its
        columns."""
        left, right = op.inputs
        maker = next((other for other in self.network.operations if right in other.outputs), None)
        if maker is not None and _swaps_last(maker):
            return attrs.evolve(op, inputs=(left, maker.inputs[0]), written="columns")
        return attrs.evolve(op, written="rows")

    def _product(
        self,
        op: Operation,
        what: str,
        sizes: Attention,
        inputs: tuple[str, str],
        outputs: tuple[str, ...] = (),
    ) -> Operation:
        skipping = super()._product(op, what, sizes, inputs, outputs)
        return attrs.evolve(
            skipping,
            rows=sizes.keys if outputs else sizes.head_dim,
            columns=sizes.value_dim if outputs else sizes.keys,
            groups=sizes.kv_heads,
            windows=sizes.tokens * sizes.heads // sizes.kv_heads,
            written="rows" if outputs else "columns",
            needed=skipping.macs,
            settings=(
                *skipping.settings,
                ("earlier", sizes.earlier), ("is_causal", int(sizes.causal)),
            ),
        )  # fmt: skip


def _swaps_last(op: Operation) -> bool:
    """Whether a view turns its last two dimensions over, and nothing else."""
    dims = dict(op.settings).get("dims", ())
    if op.function != "permute" or not isinstance(dims, tuple) or len(dims) < 2:
        return False
    return dims == (*range(len(dims) - 2), len(dims) - 1, len(dims) - 2)
