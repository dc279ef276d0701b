"""Sketches of repeated work: tasks of a window, of a row, of a strip of rows, laid out as a block.

A site does the same few tasks in every window, some more at the begin and the end of every row of
results, and some once per strip of rows (a pooling joins several rows to one). Where a site's
weights are held several times, window after window goes to the next copy. A `Strip` holds these
sketches and lays them out as one `Template`: for each row its lead, its windows and its end; after
the rows of a strip its end. Task numbers follow that order.

What ties a block to other pieces are its gates (rows that are there, room for a row) and its
signals: joins that tell when a row that was read is free, and when a strip is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimarch.engine.edges import Edges
from cimarch.engine.pieces import Template
from cimarch.engine.tasks import JOIN, Ints

READS, OPERANDS, LATER_OPERANDS, ROOM = range(4)
"""What a gate waits for: rows that the anchor reads; rows that the tail reads before it joins rows,
and after; room for a row of results. The first two are per row, the third per strip, the last where
results are stored."""

FREED, TAKEN, PASSED, MADE = range(4)
"""What a signal tells: the anchor has read a row's inputs; the tail has read its operands of a row,
of a strip; a strip is done."""


class Slot(NamedTuple):
    """One task of a sketch; the columns of a template, in order."""

    resource: int
    busy: int
    latency: int
    period: int
    kind: int
    tile: int
    charge: int
    step: int = 0
    """Which operation of the site it does: 0 the anchor, then those of the tail."""

    def of(self, kind: int, tile: int) -> Slot:
        """The same task as one of a kind and of a tile."""
        resource, busy, latency, period, _, _, charge, step = self
        return Slot(resource, busy, latency, period, kind, tile, charge, step)


FIELDS = Slot._fields

JOINING = Slot(JOIN, 0, 0, 0, 0, -1, 0)
"""A join; its kind is the first of `context.KINDS`."""


Wait = tuple[int, int, int, bool]
"""An edge between slots of sketches: the slot that waits, the one that it waits for, how many
repeats earlier that is, and whether its start is enough."""


class Sketch:
    """Tasks of one repeat, and how they wait for each other."""

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.waits: list[Wait] = []
        self.opens: list[tuple[int, int]] = []
        """(slot, what its gate waits for)."""
        self.later: dict[int, tuple[Slot, Slot, Slot]] = {}
        """Window slots that differ from place to place: what they are in the later windows of the
        first row, in the first window of later rows, and in the others."""

    def __len__(self) -> int:
        return len(self.slots)

    def add(self, slot: Slot, *after: int) -> int:
        """Add a task that waits for the finish of others of this sketch; its number."""
        number = len(self.slots)
        self.slots.append(slot)
        for source in dict.fromkeys(after) if len(after) > 1 else after:
            self.waits.append((number, source, 0, False))
        return number

    def wait(self, slot: int, source: int, *, lag: int = 0, after_start: bool = False) -> None:
        """Let a task wait for another, `lag` repeats earlier."""
        self.waits.append((slot, source, lag, after_start))

    def open(self, slot: int, purpose: int) -> None:
        """Let a task wait for a gate."""
        if (slot, purpose) not in self.opens:
            self.opens.append((slot, purpose))

    def belong(self, first: int, step: int) -> None:
        """Say that all tasks from a number on do an operation of the tail."""
        for number in range(first, len(self.slots)):
            self.slots[number] = self.slots[number]._replace(step=step)

    def at(self, place: int) -> list[Slot]:
        """The slots; `place` 1 to 3 takes those of later windows, rows, or both."""
        if not place:
            return self.slots
        slots = list(self.slots)
        for number, later in self.later.items():
            slots[number] = later[place - 1]
        return slots


class Strip:
    """The sketches of a site's rows, and the waits between them."""

    def __init__(
        self, windows: int, joined: int = 1, copies: int = 1, most: int | None = None
    ) -> None:
        self.windows = windows
        """Windows in a row; 0 where a site has none."""
        self.joined = joined
        """Rows of a strip."""
        self.copies = copies
        across = windows * joined
        self.strips = copies // gcd(across, copies) if across else 1
        """Strips of a block: as many as it takes until the copies come round, at most those of the
        whole work, which is one block then."""
        if most is not None:
            self.strips = min(self.strips, most)
        rows = self.strips * joined if copies > 1 else 1
        self.lead = Sketch()
        self.window = [Sketch() for _ in range(copies)]
        """One a copy."""
        self.row = [Sketch() for _ in range(rows)]
        """One for each row of a block, or where all are alike one for all."""
        self.end = [Sketch() for _ in range(self.strips if copies > 1 else 1)]
        """One for each strip of a block, or one for all."""
        self.window_after_lead: list[_Edge] = []
        """(copy, window slot, lead slot) of the same row."""
        self.lead_after_window: list[tuple[int, int, int, int]] = []
        """(lead slot, copy, window slot, rows earlier): for the last window up to that row."""
        self.row_after_window: list[list[_Edge]] = [[] for _ in self.row]
        """Per row sketch (row slot, copy, window slot): for the copy's last window of the row."""
        self.end_after_row: list[list[_Edge]] = [[] for _ in self.end]
        """Per end sketch (end slot, row of the strip, row slot)."""
        self.end_after_window: list[list[_Edge]] = [[] for _ in self.end]
        """Per end sketch (end slot, copy, window slot): for the copy's last window of the strip."""
        self.freed_by_window: list[tuple[int, int]] = []
        """(copy, window slot) that reads a row's inputs."""
        self.freed_by_row: list[list[int]] = [[] for _ in self.row]
        self.taken_by_row: list[list[int]] = [[] for _ in self.row]
        self.passed_by_end: list[list[int]] = [[] for _ in self.end]

    @property
    def rows(self) -> int:
        """Rows of a block."""
        return self.strips * self.joined

    def row_sketch(self, row: int) -> Sketch:
        """What is done at the end of a row of the block."""
        return self.row[row % len(self.row)]

    def end_sketch(self, strip: int) -> Sketch:
        """What is done at the end of a strip of the block."""
        return self.end[strip % len(self.end)]

    def copies_of(self, row: int) -> dict[int, int]:
        """The copies that work in a row of the block, each with the number of its windows there."""
        first = row * self.windows % self.copies
        whole, rest = divmod(self.windows, self.copies)
        turn = [(first + i) % self.copies for i in range(min(self.copies, self.windows))]
        return {copy: whole + (i < rest) for i, copy in enumerate(turn)}

    def lay_out(self, strips: int = 0) -> Laid:
        """Lay the sketches out; `strips` are those of the whole work, which one block takes in
        where its first row differs from the others."""
        if any(sketch.later for sketch in self.window):
            self.strips = strips
        return Laid(self)


class Laid:
    """A strip as a template: where everything is in a block, and the edges between."""

    def __init__(self, strip: Strip) -> None:
        self.strip = strip
        self.lead_at: list[int] = []
        self.window_at = np.zeros(strip.windows * strip.rows, np.int64)
        self.row_at: list[int] = []
        self.end_at: list[int] = []
        self.signal_at: dict[tuple[int, int], int] = {}
        """(signal, row or strip) -> slot."""
        self.strip_at: list[int] = []
        """Where each strip of a block begins."""
        self._parts: list[tuple[Sketch, int, int]] = []
        """One behind the other: sketches, which of their slots, and how often."""
        self._size = 0
        for number in range(strip.strips):
            self._strip(number)

    def __len__(self) -> int:
        return self._size

    def cut(self, strips: int) -> tuple[int, int]:
        """The blocks of a work of so many strips, and the slots that its last block lacks."""
        blocks = -(-strips // self.strip.strips)
        missing = blocks * self.strip.strips - strips
        return blocks, self._size - self.strip_at[self.strip.strips - missing] if missing else 0

    @cached_property
    def gates(self) -> Mapping[tuple[int, int], int]:
        """(what it waits for, row or strip of the block) -> the number of the gate."""
        return {key: number for number, key in enumerate(self._opens)}

    @cached_property
    def template(self) -> Template:
        """The block."""
        values = self._columns()
        waiting = [_joined(slots) for slots in self._opens.values()]
        opens = np.empty((sum(map(len, waiting)), 2), np.int32)
        opens[:, 0] = _joined(waiting)
        opens[:, 1] = np.repeat(np.arange(len(waiting)), [len(slots) for slots in waiting])
        return Template(
            values["resource"],
            values["busy"],
            values["latency"],
            values["period"],
            Edges.joined(list(self._edges())),
            len(self.gates),
            opens,
            {name: values[name] for name in _KEPT},
        )

    def _columns(self) -> dict[str, NDArray[Any]]:
        """The slots, a column a field: each sketch is written down once, then repeated."""
        first: dict[tuple[int, int], int] = {}
        slots: list[Slot] = []
        order = []
        for sketch, place, times in self._parts:
            key = (id(sketch), place)
            if key not in first:
                first[key] = len(slots)
                slots += sketch.at(place)
            mine = np.arange(first[key], first[key] + len(sketch))
            order.append(mine if times == 1 else np.tile(mine, times))
        rows = np.concatenate(order)
        table = _table(slots, len(FIELDS))
        return {
            name: column.astype(kind)[rows]
            for (name, kind), column in zip(_KINDS.items(), table, strict=True)
        }

    def window_places(self, copy: int, slot: int) -> Ints:
        """Where a slot of a copy's windows is in a block, window by window."""
        places: Ints = self.window_at[copy :: self.strip.copies] + slot
        return places

    # Places

    def _strip(self, number: int) -> None:
        strip = self.strip
        self.strip_at.append(self._size)
        for row in range(number * strip.joined, (number + 1) * strip.joined):
            self._row(row)
        self.end_at.append(self._put(strip.end_sketch(number)))
        if strip.passed_by_end[number % len(strip.end)]:
            self._signal(PASSED, number)
        self._signal(MADE, number)

    def _row(self, row: int) -> None:
        strip = self.strip
        self.lead_at.append(self._put(strip.lead))
        if strip.windows:
            self._windows(row)
        self.row_at.append(self._put(strip.row_sketch(row)))
        which = row % len(strip.row)
        if strip.freed_by_window or strip.freed_by_row[which]:
            self._signal(FREED, row)
        if strip.taken_by_row[which]:
            self._signal(TAKEN, row)

    def _windows(self, row: int) -> None:
        strip = self.strip
        first = row * strip.windows
        if strip.copies == 1:
            sketch, width = strip.window[0], len(strip.window[0])
            place = 2 if row and sketch.later else 0
            at = self._put(sketch, place)
            self._put(sketch, place + 1 if sketch.later else 0, strip.windows - 1)
            self.window_at[first : first + strip.windows] = at + width * np.arange(strip.windows)
            return
        for index in range(first, first + strip.windows):
            self.window_at[index] = self._put(strip.window[index % strip.copies])

    def _put(self, sketch: Sketch, place: int = 0, times: int = 1) -> int:
        at = self._size
        self._parts.append((sketch, place, times))
        self._size += len(sketch) * times
        return at

    def _signal(self, signal: int, number: int) -> None:
        self.signal_at[signal, number] = self._put(_SIGNAL)

    # Gates

    @cached_property
    def _opens(self) -> Mapping[tuple[int, int], list[Ints]]:
        """(what a gate waits for, row or strip) -> the slots that wait for the gate."""
        strip = self.strip
        found: dict[tuple[int, int], list[Ints]] = {}

        def open_all(sketch: Sketch, row: int, at: Ints, last: int | None = None) -> None:
            slots: dict[int, list[int]] = {}
            for slot, what in sketch.opens:
                slots.setdefault(what, []).append(slot)
            for what, mine in slots.items():
                of = row if last is None or what != ROOM else last
                found.setdefault((what, of), []).append(np.add.outer(at, mine).ravel())

        for row, at in enumerate(self.lead_at):
            open_all(strip.lead, row, np.array([at]))
        for row in range(strip.rows):
            for copy in strip.copies_of(row) if strip.windows else ():
                open_all(strip.window[copy], row, self._of_row(row, copy))
        for row, at in enumerate(self.row_at):
            open_all(strip.row_sketch(row), row, np.array([at]))
        for number, at in enumerate(self.end_at):
            last = (number + 1) * strip.joined - 1
            open_all(strip.end_sketch(number), number, np.array([at]), last)
            if not any(True for _ in self._last_tasks(number)):
                made = np.array([self.signal_at[MADE, number]])
                found.setdefault((READS, last), []).append(made)
        return found

    # Edges

    def _edges(self) -> Iterable[Edges]:
        strip = self.strip
        if strip.lead.waits:
            yield _plain(_inner(self.lead_at, [strip.lead] * len(self.lead_at)))
        yield from (self._window_edges(copy) for copy in range(strip.copies))
        found = _inner(self.row_at, [strip.row_sketch(row) for row in range(strip.rows)])
        found += _inner(self.end_at, [strip.end_sketch(each) for each in range(strip.strips)])
        yield _plain([*found, *self._between(), *self._signals()])

    def _window_edges(self, copy: int) -> Edges:
        waits = self.strip.window[copy].waits
        places = self.window_places(copy, 0)
        if not waits or not len(places):
            return NO_EDGES
        slots, sources, lags, started = _table(waits, 4)
        places = places.astype(np.int32)
        slot = places[:, None] + slots.astype(np.int32)
        lag = np.zeros_like(slot)
        source = places[:, None] + sources.astype(np.int32)
        back = np.flatnonzero(lags)
        blocks, before = np.divmod(np.arange(len(places))[:, None] - lags[back], len(places))
        lag[:, back] = -blocks
        source[:, back] = places[before] + sources[back]
        after_start = np.tile(started.astype(np.bool_), len(places))
        return Edges(slot.ravel(), source.ravel(), lag.ravel(), after_start)

    def _between(self) -> list[_Edge]:
        """Edges between the sketches of a row, and of a strip."""
        strip = self.strip
        found: list[_Edge] = []
        for row in range(strip.rows):
            lead, end = self.lead_at[row], self.row_at[row]
            for copy, slot, source in strip.window_after_lead:
                windows = self._of_row(row, copy).tolist()
                found += [(at + slot, lead + source, 0) for at in windows]
            for slot, copy, source, earlier in strip.lead_after_window:
                at, lag = self._last_up_to(row - earlier, copy)
                found.append((lead + slot, at + source, lag))
            for slot, copy, source in strip.row_after_window[row % len(strip.row)]:
                found.append((end + slot, int(self._of_row(row, copy)[-1]) + source, 0))
        for number in range(strip.strips):
            which, at = number % len(strip.end), self.end_at[number]
            for slot, row, source in strip.end_after_row[which]:
                found.append((at + slot, self.row_at[number * strip.joined + row] + source, 0))
            for slot, copy, source in strip.end_after_window[which]:
                found.append((at + slot, int(self._of_strip(number, copy)[-1]) + source, 0))
        return found

    def _of_row(self, row: int, copy: int) -> Ints:
        """Where a copy's windows of a row are."""
        return self._of(row * self.strip.windows, (row + 1) * self.strip.windows, copy)

    def _of_strip(self, number: int, copy: int) -> Ints:
        across = self.strip.windows * self.strip.joined
        return self._of(number * across, (number + 1) * across, copy)

    def _of(self, first: int, last: int, copy: int) -> Ints:
        begin = first + (copy - first) % self.strip.copies
        return self.window_at[begin : last : self.strip.copies]

    def _last_up_to(self, row: int, copy: int) -> tuple[int, int]:
        """A copy's last window up to a row (which may be of an earlier block), and the lag."""
        index = (row + 1) * self.strip.windows - 1
        index -= (index - copy) % self.strip.copies
        lag, place = divmod(index, len(self.window_at))
        return int(self.window_at[place]), -lag

    # Signals

    def _signals(self) -> list[_Edge]:
        found: list[_Edge] = []
        for (signal, number), slot in self.signal_at.items():
            for source in dict.fromkeys(self._heard(signal, number)):
                found.append((slot, source, 0))
            found += self._before(signal, number, slot)
        return found

    def _before(self, signal: int, number: int, slot: int) -> list[_Edge]:
        """A signal comes after the one before it, which may be of the block before."""
        numbers = [n for s, n in self.signal_at if s == signal]
        earlier = [n for n in numbers if n < number]
        if earlier:
            return [(slot, self.signal_at[signal, max(earlier)], 0)]
        return [(slot, self.signal_at[signal, max(numbers)], 1)]

    def _heard(self, signal: int, number: int) -> Iterable[int]:
        """What a signal waits for in its row or strip."""
        strip = self.strip
        if signal == FREED:
            at, which = self.row_at[number], number % len(strip.row)
            last = [self._of_row(number, copy)[-1:].tolist() for copy in range(strip.copies)]
            yield from (
                place + slot for copy, slot in strip.freed_by_window for place in last[copy]
            )
            yield from (at + slot for slot in strip.freed_by_row[which])
        elif signal == TAKEN:
            at, which = self.row_at[number], number % len(strip.row)
            yield from (at + slot for slot in strip.taken_by_row[which])
        elif signal == PASSED:
            at, which = self.end_at[number], number % len(strip.end)
            yield from (at + slot for slot in strip.passed_by_end[which])
        else:
            yield from self._last_tasks(number)

    def _last_tasks(self, number: int) -> Iterable[int]:
        """What of a strip nothing else waits for: when all of it is over, the strip is done.

        Queues are first come, first served, so what the earlier windows and rows do ends earlier.
        """
        strip = self.strip
        for copy in range(strip.copies):
            last = self._of_strip(number, copy)[-1:].tolist() if strip.windows else []
            yield from (at + slot for at in last for slot in self._open[copy])
        rows = range(number * strip.joined, (number + 1) * strip.joined)
        for row in rows if strip.copies > 1 else rows[-1:]:
            awaited = {
                source
                for each in strip.end_after_row
                for _, of, source in each
                if of == row - rows[0]
            }
            yield from (self.row_at[row] + s for s in _open(strip.row_sketch(row), awaited))
        yield from (self.end_at[number] + s for s in _open(strip.end_sketch(number), ()))

    @cached_property
    def _open(self) -> list[list[int]]:
        """Per copy the window slots that nothing waits for."""
        strip = self.strip
        lists = [*strip.row_after_window, *strip.end_after_window]
        return [
            _open(sketch, {s for each in lists for _, c, s in each if c == copy})
            for copy, sketch in enumerate(strip.window)
        ]


NO_EDGES = Edges.of(())
_Edge = tuple[int, int, int]
"""An edge that waits for the finish: slot, source, lag."""
_KEPT = {"kind": np.int8, "tile": np.int32, "charge": np.int32, "step": np.int16}
_KINDS = {
    "resource": np.int32, "busy": np.int64, "latency": np.int64, "period": np.int16, **_KEPT
}  # fmt: skip
"""Of the fields of a slot, in order."""


def _table(rows: Sequence[Iterable[int]], wide: int) -> NDArray[np.int64]:
    """(wide, rows): rows of so many whole numbers as columns."""
    numbers = np.fromiter(chain.from_iterable(rows), np.int64, wide * len(rows))
    return numbers.reshape(len(rows), wide).T


_SIGNAL = Sketch()
_SIGNAL.add(JOINING)
_NONE = np.zeros(0, np.int64)


def _joined(parts: Sequence[Ints]) -> Ints:
    """Columns one behind the other."""
    return np.concatenate((_NONE, *parts))


def _open(sketch: Sketch, others: Iterable[int]) -> list[int]:
    """Tasks of a sketch that neither it nor, of those others, anything waits for."""
    awaited = {source for _, source, lag, begun in sketch.waits if not (lag or begun)}
    awaited.update(others)
    return [slot for slot in range(len(sketch)) if slot not in awaited]


def _inner(places: Sequence[int], sketches: Sequence[Sketch]) -> list[_Edge]:
    """The waits within sketches; none of these looks back."""
    return [
        (at + slot, at + source, 0)
        for at, sketch in zip(places, sketches, strict=True)
        for slot, source, _, _ in sketch.waits
    ]


def _plain(edges: Sequence[_Edge]) -> Edges:
    slot, source, lag = _table(edges, 3).astype(np.int32)
    return Edges(slot, source, lag, np.zeros(len(slot), np.bool_))
