"""Rows of tensors between those who make them and those who read them, in one group of weights.

A row is made when the one before it is and all is done that its maker does for it. A reader frees
rows in order. Where a home holds B rows, row y comes when every reader of the home has freed row
y - B. Rows are counted over the inferences of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

import simpy

from cimarch.mapping.homes import Home
from oracle.hardware import Bench, Steps
from oracle.rows import Reading


class Stock:
    """What of each tensor is made, and what of it is free; of nothing, where rows do not matter."""

    def __init__(self, bench: Bench, inferences: int) -> None:
        self.bench = bench
        self.inferences = inferences
        self.made: dict[str, list[simpy.Event]] = {}
        self.freed: dict[tuple[int, int, str], list[simpy.Event]] = {}
        self.held: dict[str, list[tuple[tuple[int, int, str], int]]] = {}
        """Tensor -> its readers, each with the rows that a home of it holds for them."""

    def make(self, tensor: str, height: int) -> None:
        """Say that a tensor is made here, and of how many rows."""
        self.made[tensor] = [self.bench.env.event() for _ in range(height * self.inferences)]

    def read(self, reading: Reading, homes: Iterable[Home]) -> None:
        """Say who reads a tensor, and where."""
        height = reading.frees[-1]
        self.freed[reading.key] = [self.bench.env.event() for _ in range(height * self.inferences)]
        for home in homes:
            if home.tensor == reading.tensor and home.rows:
                self.held.setdefault(reading.tensor, []).append((reading.key, home.rows))

    def there(self, reading: Reading, row: int) -> list[simpy.Event]:
        """The rows that a row of the reader's work needs."""
        if reading.tensor not in self.made:
            return []
        inference, row = divmod(row, len(reading.needs))
        height, needs = reading.frees[-1], reading.needs[row]
        return self.made[reading.tensor][inference * height : inference * height + needs]

    def room(self, tensor: str, row: int) -> list[simpy.Event]:
        """The rows that have to go before a row is put where its readers find it."""
        return [
            self.freed[key][row - rows] for key, rows in self.held.get(tensor, ()) if row >= rows
        ]

    # What happens to rows

    def making(self, tensors: Iterable[str], rows: Iterable[list[simpy.Event]]) -> Steps:
        """Each row of some tensors is made when all that it takes is done."""
        made = [self.made[tensor] for tensor in tensors if tensor in self.made]
        for row, events in enumerate(rows):
            yield self.bench.all(events)
            for tensor in made:
                tensor[row].succeed()

    def freeing(self, reading: Reading, rows: Iterable[list[simpy.Event]]) -> Steps:
        """Each row of the reader's work, when it has read, frees what no later row needs."""
        if reading.key not in self.freed:
            return
        for events, free in zip(rows, self._free(reading), strict=True):
            yield self.bench.all(events)
            for event in free:
                event.succeed()

    def _free(self, reading: Reading) -> Iterator[list[simpy.Event]]:
        """Per row of the work over all inferences: the rows that it is the first to free."""
        freed, height, before = self.freed[reading.key], reading.frees[-1], 0
        for inference in range(self.inferences):
            for upto in accumulate(reading.frees, max):
                end = inference * height + upto
                yield freed[before:end]
                before = max(before, end)
