"""Sketches of repeated work: tasks of a window, of a row, of a strip of rows, laid out as a block.

A site does the same few tasks in every window, some more at the begin and the end of every output
row, and some once per strip of rows (a pooling joins several rows to one). A `Strip` holds these
four sketches and lays them out as one `Block`: for each row its lead, its windows and its end; then
the end of the strip. Task numbers follow that order.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.build import After, Block, Edge

FIELDS = ("resource", "busy", "latency", "period", "kind", "tile", "charge")


@attrs.frozen
class Slot:
    """One task of a sketch."""

    resource: int
    busy: int
    latency: int
    period: int
    kind: int
    tile: int
    charge: int


@attrs.frozen
class Wait:
    """An edge between slots of sketches; `source` in an earlier or the same repeat."""

    slot: int
    source: int
    lag: int = 0
    after_start: bool = False


class Sketch:
    """Tasks of one repeat, and how they wait for each other."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.waits: list[Wait] = []
        self.later: dict[int, tuple[Slot, Slot, Slot]] = {}
        """Window slots that differ from place to place: what they are in the later windows of the
        first row, in the first window of later rows, and in the others."""

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, slot: Slot, *after: int) -> int:
        """Add a task that waits for the finish of others of this sketch; its number."""
        self.slots.append(slot)
        number = len(self.slots) - 1
        self.waits += [Wait(number, source) for source in dict.fromkeys(after)]
        return number

    def wait(self, slot: int, source: int, *, lag: int = 0, after_start: bool = False) -> None:
        """Let a task wait for another, `lag` repeats earlier."""
        self.waits.append(Wait(slot, source, lag, after_start))

    def columns(self, place: int = 0) -> NDArray[np.int64]:
        """(fields, slots); `place` 1 to 3 takes the slots of later windows, rows, or both."""
        slots = list(self.slots)
        if place:
            for number, later in self.later.items():
                slots[number] = later[place - 1]
        rows = [[getattr(slot, name) for name in FIELDS] for slot in slots]
        return np.array(rows, np.int64).reshape(len(rows), len(FIELDS)).T


class Strip:
    """The four sketches of a site's strip, and the waits between them."""

    def __init__(self, windows: int, rows: int) -> None:
        self.windows = windows
        """Windows in a row; 0 where a site has none."""
        self.rows = rows
        self.lead, self.window, self.row, self.end = Sketch(), Sketch(), Sketch(), Sketch()
        self.window_after_lead: list[tuple[int, int]] = []
        """(window slot, lead slot) of the same row."""
        self.lead_after_window: list[tuple[int, int, int]] = []
        """(lead slot, window slot, rows earlier): for the last window of an earlier row."""
        self.row_after_window: list[tuple[int, int]] = []
        """(row slot, window slot) of the row's last window."""
        self.end_after_row: list[tuple[int, int]] = []
        self.end_after_window: list[tuple[int, int]] = []
        self.first: list[int] = []
        """Window slots that wait for what is before the site, in its first windows."""
        self.first_windows: list[tuple[int, int]] = []
        """(window slot, windows): the same, in so many windows."""
        self.first_rows: list[int] = []
        """Row slots that do, in every row."""
        self.first_leads: list[int] = []
        """Lead slots that do, in every row."""

    @property
    def row_size(self) -> int:
        return len(self.lead) + self.windows * len(self.window) + len(self.row)

    @property
    def size(self) -> int:
        """Tasks of a strip."""
        return self.rows * self.row_size + len(self.end)

    def at_lead(self, row: int, slot: int) -> int:
        return row * self.row_size + slot

    def at_window(self, index: int, slot: int) -> int:
        row, column = divmod(index, self.windows)
        return row * self.row_size + len(self.lead) + column * len(self.window) + slot

    def at_row(self, row: int, slot: int) -> int:
        return row * self.row_size + self.row_size - len(self.row) + slot

    def at_end(self, slot: int) -> int:
        return self.rows * self.row_size + slot

    def block(self, repeat: int, **columns: int) -> Block:
        """Lay the sketches out; `columns` are further columns of the table, one value each."""
        values = dict(zip(FIELDS, self._table(repeat), strict=True))
        own = {name: values[name] for name in ("kind", "tile", "charge")}
        return Block(
            values["resource"], values["busy"], values["latency"], values["period"],
            tuple(self._edges()), {**own, **columns},
        )  # fmt: skip

    def _table(self, repeat: int) -> NDArray[np.int64]:
        """(fields, slots), or (fields, repeat, slots) where the first row differs."""
        later = np.concatenate([np.tile(self._row(2), self.rows), self.end.columns()], axis=1)
        if not self.window.later:
            return later
        first = np.concatenate(
            [self._row(0), np.tile(self._row(2), self.rows - 1), self.end.columns()], axis=1
        )
        whole = np.repeat(later[:, None, :], repeat, axis=1)
        whole[:, 0, :] = first
        return whole

    def _row(self, place: int) -> NDArray[np.int64]:
        """The first row (place 0) or a later one (place 2)."""
        if not self.windows:
            return np.concatenate([self.lead.columns(), self.row.columns()], axis=1)
        rest = np.tile(self.window.columns(place + 1), self.windows - 1)
        parts = [self.lead.columns(), self.window.columns(place), rest, self.row.columns()]
        return np.concatenate(parts, axis=1)

    def _edges(self) -> list[Edge]:
        edges = [self._window_edge(i, w) for i in range(self._total) for w in self.window.waits]
        for row in range(self.rows):
            edges += self._row_edges(row)
        last = self.rows - 1
        edges += [Edge(self.at_end(w.slot), self.at_end(w.source)) for w in self.end.waits]
        edges += [Edge(self.at_end(e), self.at_row(last, r)) for e, r in self.end_after_row]
        edges += [
            Edge(self.at_end(e), self.at_window(self._total - 1, w))
            for e, w in self.end_after_window
        ]
        return edges

    @property
    def _total(self) -> int:
        return self.windows * self.rows

    def _window_edge(self, index: int, wait: Wait) -> Edge:
        lag, source = divmod(index - wait.lag, self._total)
        return Edge(
            self.at_window(index, wait.slot),
            self.at_window(source, wait.source),
            -lag,
            wait.after_start,
        )

    def _row_edges(self, row: int) -> list[Edge]:
        edges = []
        for wait in self.lead.waits:
            edges.append(Edge(self.at_lead(row, wait.slot), self.at_lead(row, wait.source)))
        for slot, lead in self.window_after_lead:
            for column in range(self.windows):
                index = row * self.windows + column
                edges.append(Edge(self.at_window(index, slot), self.at_lead(row, lead)))
        for lead, slot, rows in self.lead_after_window:
            lag, source = divmod(row - rows, self.rows)
            window = self.at_window(source * self.windows + self.windows - 1, slot)
            edges.append(Edge(self.at_lead(row, lead), window, -lag))
        for wait in self.row.waits:
            edges.append(Edge(self.at_row(row, wait.slot), self.at_row(row, wait.source)))
        for slot, window in self.row_after_window:
            last = row * self.windows + self.windows - 1
            edges.append(Edge(self.at_row(row, slot), self.at_window(last, window)))
        return edges

    def after(self, barrier: int) -> list[After]:
        """What waits for the task before the site."""
        found = [After(self.at_window(0, slot), barrier, blocks=1) for slot in self.first]
        for slot, windows in self.first_windows:
            for index in range(min(windows, self._total)):
                strips = (windows - 1 - index) // self._total + 1
                found.append(After(self.at_window(index, slot), barrier, blocks=strips))
        for row in range(self.rows):
            found += [After(self.at_row(row, slot), barrier) for slot in self.first_rows]
            found += [After(self.at_lead(row, slot), barrier) for slot in self.first_leads]
        return found
