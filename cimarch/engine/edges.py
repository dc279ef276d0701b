"""Who waits for whom within the blocks of a piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


@attrs.frozen
class Edge:
    """In each block, `slot` waits for the slot `source` of the same block or of an earlier one."""

    slot: int
    source: int
    lag: int = 0
    """How many blocks earlier, at least 0. The first `lag` blocks do not have the edge."""
    after_start: bool = False
    """Wait for the start of the source, not for its finish."""


@attrs.frozen(eq=False)
class Edges:
    """Many edges as columns of one length, of whole numbers of any size."""

    slot: NDArray[np.integer]
    source: NDArray[np.integer]
    lag: NDArray[np.integer]
    after_start: Flags

    @classmethod
    def of(cls, edges: Iterable[Edge]) -> Edges:
        """The columns of single edges."""
        rows = [(e.slot, e.source, e.lag, e.after_start) for e in edges]
        slot, source, lag, after_start = np.array(rows, np.int64).reshape(len(rows), 4).T
        return cls(slot, source, lag, after_start.astype(np.bool_))

    @classmethod
    def joined(cls, parts: Sequence[Edges]) -> Edges:
        """All edges of several columns."""
        names = ("slot", "source", "lag", "after_start")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
