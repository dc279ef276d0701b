"""Operands that are known only at run time and written into arrays, a row at a time.

The second operand of such a product has a row for every key (a token's key or value): it becomes a
column of the matrix in the arrays, or a row of it. Keys of earlier tokens, which a state of the
network holds, are in the arrays already: they were written in earlier inferences.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.mapping.homes import Home
from cimarch.mapping.rows import Reach, Rows, extent
from cimarch.mapping.sites import Site, Source, map_rows
from cimarch.mapping.tiling import Ints
from cimarch.workload.network import Network


@attrs.frozen(eq=False)
class Writing:
    """The operand of a site that an inference writes into its arrays, key by key."""

    site: Site
    """The operand as something that is made: a row a key, its result named apart from all
    tensors."""
    keys: Ints
    """Which columns (or rows) of the matrix are written, in order; others are there already."""
    reaches: tuple[Reach, ...]
    """What the writing of each key needs of the tensors that the operand comes from."""
    needs: Ints
    """Per row of the site's work: how many of the keys must be written before."""
    before: Ints
    """Per key the rows of the work that do not need it, and come before it is written."""
    shows: NDArray[np.bool_]
    """(tensors, keys): which of the tensors a key is made of."""
    earlier: int
    """Columns (or rows) of the matrix that are in the arrays before."""
    homes: tuple[Home | None, ...] = ()
    """Where each of those tensors is; None where it is at hand."""

    @property
    def name(self) -> str:
        """What stands for the operand in its arrays among the tensors."""
        return self.site.result

    @property
    def reach(self) -> Reach:
        """What the rows of the site's work need of the operand in its arrays: all of it until the
        last row is done."""
        frees = np.zeros(len(self.needs), np.int64)
        frees[-1] = len(self.keys)
        source = Source(self.name, len(self.keys))
        return Reach(source, 0, per_strip=False, needs=self.needs, frees=frees)


def writing(network: Network, rows: Rows, site: Site) -> Writing | None:
    """How a site's operand is written; None where it has none, or all of it is there already."""
    op = site.anchor
    if not op.written:
        return None
    count = op.columns if op.written == "columns" else op.rows
    seen = _seen(network, site, count)
    shown = {
        source: _behind(network, rows, op.inputs[1], source, count)
        for source in dict.fromkeys(site.operand)
        if source.tensor not in network.states
    }
    comes = np.zeros(count, np.bool_)
    for _, last in shown.values():
        comes |= last >= 0
    comes[int(seen[-1]) :] = False
    keys = np.flatnonzero(comes)
    if not len(keys):
        return None
    needs = np.searchsorted(keys, seen)
    reaches = tuple(
        _reach(source, map_rows(network.tensors[source.tensor]), first[keys], last[keys])
        for source, (first, last) in shown.items()
    )
    before = np.searchsorted(needs, np.arange(len(keys)), side="right")
    made = attrs.evolve(
        site, index=-1 - site.index, tail=(), reads=(tuple(shown),),
        result=f"{op.name}: {op.inputs[1]} in its arrays", operand=(),
    )  # fmt: skip
    shows = np.array([last[keys] >= 0 for _, last in shown.values()])
    return Writing(made, keys, reaches, needs, before, shows, int((~comes[: int(seen[-1])]).sum()))


def _seen(network: Network, site: Site, count: int) -> Ints:
    """Per row of the work, how many keys its tokens attend to: of T, C + T where causal."""
    settings: dict[str, Any] = dict(site.anchor.settings)
    rows = extent(network, site).rows
    if not settings.get("is_causal"):
        return np.full(rows, count)
    tokens = (np.arange(rows) + 1) * settings["tokens"] // rows
    seen: Ints = np.minimum(count, settings["earlier"] + tokens)
    return seen


def _behind(
    network: Network, rows: Rows, name: str, source: Source, count: int
) -> tuple[Ints, Ints]:
    """Per key the first and the last row of a tensor that it shows; all, where that is not known.

    A key that shows nothing of it has the tensor's height, and -1.
    """
    height = map_rows(network.tensors[source.tensor])
    first, last = rows.behind(name, source.tensor, height)
    if len(first) != count:
        return np.zeros(count, np.int64), np.full(count, height - 1)
    return first, last


def _reach(source: Source, height: int, first: Ints, last: Ints) -> Reach:
    """Rows that must be there for each key, and rows that no later key needs."""
    needs = np.maximum.accumulate(last) + 1
    frees = np.append(np.minimum.accumulate(first[::-1])[::-1][1:], height)
    return Reach(source, 0, per_strip=False, needs=needs, frees=np.minimum(frees, height))
