"""Sketches of repeated work: tasks of a window, of a row, of a strip of rows, laid out as a block.

A site does the same few tasks in every window, some more at the begin and the end of every output
row, and some once per strip of rows (a pooling joins several rows to one). A `Strip` holds these
four sketches and lays them out as one `Block`: for each row its lead, its windows and its end; then
the end of the strip. Task numbers follow that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.build import After, Block, Edges
from cimarch.engine.tasks import Ints

Place = int | Ints
FIELDS = ("resource", "busy", "latency", "period", "kind", "tile", "charge", "step")


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
    step: int = 0
    """Which operation of the site it does: 0 the anchor, then those of the tail."""


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

    def belong(self, first: int, step: int) -> None:
        """Say that all tasks from a number on do an operation of the tail."""
        for number in range(first, len(self.slots)):
            self.slots[number] = attrs.evolve(self.slots[number], step=step)

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

    def ends(self) -> list[int]:
        """Places of the tasks that end a strip: those of its last row that nothing waits for.

        Queues are first come, first served, so what the earlier windows and rows do ends earlier.
        """
        windows = self._open(self.window, self.row_after_window, self.end_after_window)
        rows = self._open(self.row, self.end_after_row)
        last = self.rows - 1
        return [
            *(int(self._last_window_at(last, slot)) for slot in windows),
            *(int(self._row_at(last, slot)) for slot in rows),
            *(int(self._end_at(last, slot)) for slot in self._open(self.end)),
        ]

    def _open(self, sketch: Sketch, *others: list[tuple[int, int]]) -> list[int]:
        """Tasks of a sketch that neither it nor a later sketch waits for."""
        awaited = {w.source for w in sketch.waits if w.lag == 0 and not w.after_start}
        awaited |= {source for pairs in others for _, source in pairs}
        return [slot for slot in range(len(sketch)) if slot not in awaited]

    def block(self, repeat: int, **columns: int) -> Block:
        """Lay the sketches out; `columns` are further columns of the table, one value each."""
        values = dict(zip(FIELDS, self._table(repeat), strict=True))
        own = {name: values[name] for name in ("kind", "tile", "charge", "step")}
        return Block(
            values["resource"], values["busy"], values["latency"], values["period"],
            self._edges(), {**own, **columns},
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

    def _edges(self) -> Edges:
        """All waits as edges between slots of the block."""
        every_row = np.arange(self.rows)[:, None]
        last = np.array([[self.rows - 1]])
        parts = [
            self._window_edges(),
            self._links(every_row, self.lead.waits, self._lead_at, self._lead_at),
            self._links(every_row, self.row.waits, self._row_at, self._row_at),
            self._links(np.zeros((1, 1), np.int64), self.end.waits, self._end_at, self._end_at),
            self._links(last, _waits(self.end_after_row), self._end_at, self._row_at),
            self._links(last, _waits(self.end_after_window), self._end_at, self._last_window_at),
            self._links(every_row, _waits(self.row_after_window), self._row_at,
                        self._last_window_at),
            self._after_leads(),
            self._before_leads(),
        ]  # fmt: skip
        return Edges.joined(parts)

    @property
    def _total(self) -> int:
        return self.windows * self.rows

    def _lead_at(self, row: Place, slot: Place) -> Ints:
        return np.asarray(row * self.row_size + slot)

    def _row_at(self, row: Place, slot: Place) -> Ints:
        return np.asarray(row * self.row_size + (self.row_size - len(self.row)) + slot)

    def _end_at(self, row: Place, slot: Place) -> Ints:
        return np.asarray(self.rows * self.row_size + slot + 0 * row)

    def _window_at(self, index: Place, slot: Place) -> Ints:
        row, column = np.divmod(index, self.windows)
        place: Ints = row * self.row_size + column * len(self.window) + slot
        return place + len(self.lead)

    def window_places(self, index: Ints, slot: int) -> Ints:
        """Places within a strip of one slot of several windows."""
        return self._window_at(index, np.full_like(index, slot))

    def _last_window_at(self, row: Place, slot: Place) -> Ints:
        return self._window_at(row * self.windows + self.windows - 1, slot)

    def _links(
        self,
        rows: Ints,
        waits: Sequence[Wait],
        place: Callable[[Ints, Ints], Ints],
        source: Callable[[Ints, Ints], Ints],
    ) -> Edges:
        """The same waits in several rows: (rows, waits) edges."""
        if not waits:
            return NO_EDGES
        slots = np.array([w.slot for w in waits])
        sources = np.array([w.source for w in waits])
        started = np.broadcast_to(np.array([w.after_start for w in waits]), (len(rows), len(waits)))
        found, behind = place(rows, slots), source(rows, sources)
        return Edges(found.ravel(), behind.ravel(), np.zeros(found.size, np.int64), started.ravel())

    def _window_edges(self) -> Edges:
        waits = self.window.waits
        if not waits or not self._total:
            return NO_EDGES
        index = np.arange(self._total)[:, None]
        lag, before = np.divmod(index - np.array([w.lag for w in waits]), self._total)
        found = self._window_at(index, np.array([w.slot for w in waits]))
        source = self._window_at(before, np.array([w.source for w in waits]))
        started = np.broadcast_to(np.array([w.after_start for w in waits]), found.shape)
        return Edges(found.ravel(), source.ravel(), -lag.ravel(), started.ravel())

    def _after_leads(self) -> Edges:
        """Every window of a row waits for the row's lead."""
        if not self.window_after_lead:
            return NO_EDGES
        index = np.arange(self._total)[:, None]
        slots, leads = np.array(self.window_after_lead).T
        found = self._window_at(index, slots)
        source = self._lead_at(index // self.windows, leads)
        return _plain(found, source, np.zeros_like(found))

    def _before_leads(self) -> Edges:
        """A row's lead waits for the last window of an earlier row."""
        if not self.lead_after_window:
            return NO_EDGES
        leads, slots, rows = np.array(self.lead_after_window).T
        row = np.arange(self.rows)[:, None]
        lag, before = np.divmod(row - rows, self.rows)
        return _plain(self._lead_at(row, leads), self._last_window_at(before, slots), -lag)

    def after(self, barrier: int) -> list[After]:
        """What waits for the task before the site."""
        found = [After(int(self._window_at(0, slot)), barrier, blocks=1) for slot in self.first]
        for slot, windows in self.first_windows:
            for index in range(min(windows, self._total)):
                strips = (windows - 1 - index) // self._total + 1
                place = int(self._window_at(index, slot))
                found.append(After(place, barrier, blocks=strips))
        for row in range(self.rows):
            found += [After(int(self._row_at(row, slot)), barrier) for slot in self.first_rows]
            found += [After(int(self._lead_at(row, slot)), barrier) for slot in self.first_leads]
        return found


NO_EDGES = Edges.of(())


def _plain(slot: Ints, source: Ints, lag: Ints) -> Edges:
    lag = np.broadcast_to(lag, slot.shape)
    return Edges(slot.ravel(), source.ravel(), lag.ravel(), np.zeros(slot.size, np.bool_))


def _waits(pairs: Iterable[tuple[int, int]]) -> list[Wait]:
    return [Wait(slot, source) for slot, source in pairs]
