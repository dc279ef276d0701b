"""Small task tables, written task by task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cimarch.engine.tasks import JOIN, Tasks


class TableBuilder:
    """Collects tasks and joins; `build` makes them one table."""

    def __init__(self, periods: tuple[tuple[int, int], ...] = ((1, 1),)) -> None:
        self.periods = periods
        self.rows: list[tuple[int, int, int, int]] = []
        self.edges: list[list[tuple[int, bool]]] = []

    def __len__(self) -> int:
        return len(self.rows)

    def task(
        self,
        *,
        resource: int,
        busy: int,
        latency: int | None = None,
        predecessors: Iterable[int] = (),
        started: Iterable[int] = (),
        period: int = 0,
    ) -> int:
        """Append a task that waits for the finish of some tasks and the start of others."""
        self.rows.append((resource, busy, busy if latency is None else latency, period))
        self.edges.append([(p, False) for p in predecessors] + [(s, True) for s in started])
        return len(self.rows) - 1

    def join(self, predecessors: Iterable[int], *, started: Iterable[int] = ()) -> int:
        """Append a join."""
        return self.task(resource=JOIN, busy=0, predecessors=predecessors, started=started)

    def build(self) -> Tasks:
        """The table."""
        resource, busy, latency, period = np.array(self.rows, np.int64).reshape(-1, 4).T
        flat = [edge for edges in self.edges for edge in edges]
        source, after_start = np.array(flat, np.int64).reshape(-1, 2).T
        counts = [len(edges) for edges in self.edges]
        return Tasks(
            resource.astype(np.int32), busy.copy(), latency.copy(),
            np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
            source.astype(np.int32), after_start.astype(np.bool_), period.astype(np.int16),
            self.periods,
        )  # fmt: skip
