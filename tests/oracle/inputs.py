"""How a site's windows get their inputs: streamed in by rows, fetched by slices, staged, read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import attrs
import simpy

from cimarch.hardware.routes import Instances
from cimarch.mapping.homes import Home
from oracle.hardware import Job, Order, Steps, pass_on
from oracle.movement import Crossing, next_bus, stated

if TYPE_CHECKING:
    from oracle.site import Pass, Work

FREE = ("dac", "sample_hold", "adc", "unit", "shift_add", "accumulator", "adder_tree")
"""Kinds that stand between a buffer and the word lines that it drives."""
FETCHES, PRODUCTS, SUMS = range(3)
"""The phases of a window, in the order of the program."""


@attrs.define(eq=False)
class Slice:
    """Some of the inputs of every window, fetched for the tiles that read them in one place."""

    member: Instances
    """The copy of their home that they come from."""
    place: Instances
    """Where they are staged: a buffer, or the array itself."""
    rows: range
    """Of the weight matrices of all groups."""
    tiles: list[int]


class Leads:
    """The rows that a site brings in from the edge, where a home has no room for all of them."""

    def __init__(self, site: Pass) -> None:
        self.site = site
        self.rows: list[list[simpy.Event]] = [[] for _ in range(site.rows)]
        for home in site.plan.all_homes:
            if site.matrix and not home.whole:
                self._stream(home)

    def _stream(self, home: Home) -> None:
        """Bring the rows of a tensor that is too large for its home from the edge, row by row."""
        site = self.site
        elements = Fraction(site.network.tensors[home.tensor].elements, site.height)
        for place, member in enumerate(home.members):
            edge = site.plan.wiring.edge_into(member)
            if edge is None:
                continue
            way = site.movement.crossings(edge[1], ceil(elements * home.bits))
            for row in range(site.rows):
                arrival = site.env.event()
                site.env.process(self._lead(row - home.ahead, (row, place), way, arrival))
                self.rows[row].append(arrival)

    def _lead(
        self, room: int, order: tuple[int, int], way: list[Crossing], arrival: simpy.Event
    ) -> Steps:
        """A row comes when the products of the rows before `room`, which leave, are done."""
        site = self.site
        last = max(0, room) * site.per_row
        gone = range(max(0, last - len(site.works)), last)
        done = [
            work.lanes[tile].done[window]
            for work in site.works
            for tile in work.chosen
            for window in gone
            if window in work.windows
        ]
        yield site.bench.all([*site.needs(0, order[0]), *done])
        yield site.movement.move(way, (*site.order(order[0], 0), order[1]))
        arrival.succeed()


class Inputs:
    """The input side of one copy's work in one group."""

    def __init__(self, work: Work) -> None:
        site = work.site
        self.work = work
        self.site = site
        self.bench = site.bench
        self.env = site.env
        self.movement = site.movement
        self.plan = site.plan
        self.op = site.op
        self.tiles = site.placement.tiles
        self.came: dict[tuple[int, int], list[simpy.Event]] = {}
        at_hand = not self.plan.all_homes
        self.drivers = {tile: None if at_hand else self._driver(tile) for tile in work.chosen}
        self.slices = list(self._slices())
        self.depths = self._depths()

    def begin(self) -> None:
        """Start all fetches."""
        for members in self._alike():
            for place in range(len(self.work.windows)):
                self._fetch(members, place)
        for tile in self.work.chosen:
            for window in self.work.windows:
                if (tile, window) not in self.came:
                    row = window // self.site.per_row
                    self.site.take(0, row, *self.work.results(tile, window))

    def ready(self, tile: int, window: int) -> list[simpy.Event]:
        """Events that together mean that a window's inputs are where a tile needs them."""
        came = self.came.get((tile, window))
        return self._begun(window // self.site.per_row) if came is None else came

    def _begun(self, row: int) -> list[simpy.Event]:
        """What a row begins with: what it reads is made, and what streams in is there."""
        return [*self.site.needs(0, row), *self.site.leads.rows[row]]

    def _array(self, tile: int) -> Instances:
        return self.site.arrays_of(tile).array(int(self.tiles.array[tile]))

    def _driver(self, tile: int) -> Instances | None:
        """The buffer whose words go to a tile's word lines with only converters between."""
        kinds = {part.path: part.kind for part in self.site.placement.system.walk()}
        for at in self.site.routes.upstream(self._array(tile), "in"):
            if kinds[at.path] not in FREE:
                return at if kinds[at.path] == "buffer" else None
        return None

    # What is fetched

    def _slices(self) -> Iterator[Slice]:
        """The parts of a window that lie side by side: of a tensor, of a tile, for a place."""
        sources = self.plan.site.reads[0]
        total, rows, before = sum(s.elements for s in sources), self.op.rows * self.op.groups, 0
        for i, source in enumerate(sources):
            mine = range(rows * before // total, rows * (before + source.elements) // total)
            before += source.elements
            readers: dict[Home, list[int]] = {}
            for tile in self.work.chosen:
                home = self.plan.homes_of(self.site.arrays_of(tile).pool)[i]
                if home is not None:
                    readers.setdefault(home, []).append(tile)
            for home, tiles in readers.items():
                yield from self._slices_of(home, mine, tiles)

    def _slices_of(self, home: Home, rows: range, tiles: Sequence[int]) -> Iterator[Slice]:
        found: dict[tuple[Instances, int, range, Instances], Slice] = {}
        for tile in tiles:
            group = int(self.tiles.channel_group[tile])
            begin = group * self.op.rows + int(self.tiles.row0[tile])
            every, count = int(self.tiles.every[tile]), int(self.tiles.inputs[tile])
            mine = [begin + i * every for i in range(count)]
            inside = [row for row in mine if row in rows]
            part = range(inside[0], inside[-1] + 1, every) if inside else range(0)
            member = self._member(home, tile)
            place = self.drivers[tile] or self._array(tile)
            if part and place != member:
                key = (member, group, part, place)
                found.setdefault(key, Slice(member, place, part, [])).tiles.append(tile)
        yield from found.values()

    def _member(self, home: Home, tile: int) -> Instances:
        """The copy of a home that an array reads."""
        if home.hi - home.lo == 1:
            return Instances(home.path, home.lo, home.hi)
        up = self.site.routes.upstream(self._array(tile), "in")
        place = next(at for at in up if at.path == home.path)
        return Instances(home.path, place.lo, place.lo + 1)

    def _depths(self) -> dict[Instances, int]:
        """Windows that each place stages at once: what has room, at least 1, at most 2."""
        staged: dict[Instances, int] = {}
        for slice_ in self.slices:
            bits = len(slice_.rows) * self.plan.bits
            staged[slice_.place] = staged.get(slice_.place, 0) + bits
        found = {}
        for at, bits in staged.items():
            part = self.site.placement.system.part(at.path)
            room = part.number("size") * len(at) // bits if part.kind == "buffer" else 1
            found[at] = int(min(2, max(1, room)))
        return found

    def _alike(self) -> list[list[Slice]]:
        """Slices that are the same data, and cross the first bus on their way together."""
        alike: dict[tuple[object, ...], list[Slice]] = {}
        for i, slice_ in enumerate(self.slices):
            way = self._way(slice_, 0)
            trunk = tuple(c.at for c in way[: next_bus(way, 0) or 0])
            key = (slice_.member, slice_.rows, trunk) if trunk else (i,)
            alike.setdefault(key, []).append(slice_)
        return list(alike.values())

    def _way(self, slice_: Slice, window: int) -> list[Crossing]:
        port = "in" if slice_.place.path in self.site.chip.arrays else None
        route = self.site.routes.find(slice_.member, slice_.place, port)
        assert route is not None
        return self.movement.crossings(route, self._new(slice_, window) * self.plan.bits)

    def _new(self, slice_: Slice, window: int) -> int:
        """Inputs of a slice that its staging does not keep from the windows before; at least 1."""
        part = self.site.placement.system.part(slice_.place.path)
        reuse = part.params.get("reuse", "none")
        geometry, alone = self.op.geometry, self.work.copies == 1
        if reuse == "none" or geometry is None or geometry.dilation != (1, 1) or not alone:
            return len(slice_.rows)
        window %= self.site.height * self.site.per_row
        first = 0 if reuse == "rows" else window - window % self.site.per_row
        first = max(first, window - 1) if reuse == "columns" else first
        kept = {
            element
            for before in range(first, window)
            for other in self.slices
            if other.place == slice_.place
            for element in self._elements(other, before)
        }
        return max(1, len(self._elements(slice_, window) - kept))

    def _elements(self, slice_: Slice, window: int) -> set[tuple[int, int, int]]:
        """(channel, row, column) of the map that a window reads, padding included."""
        assert self.op.geometry is not None
        (height, width), (down, across) = self.op.geometry.kernel, self.op.geometry.stride
        row, column = divmod(window, self.site.per_row)
        return {
            (r // (height * width), row * down + r // width % height, column * across + r % width)
            for r in slice_.rows
        }

    # Moving it

    def _fetch(self, slices: Sequence[Slice], place: int) -> None:
        """Fetch what one of the copy's windows reads."""
        window = self.work.windows[place]
        row = window // self.site.per_row
        arrivals = [self.env.event() for _ in slices]
        for slice_, arrival in zip(slices, arrivals, strict=True):
            for tile in slice_.tiles:
                self.came.setdefault((tile, window), []).append(arrival)
        self.site.own(row, *arrivals)
        self.site.take(0, row, *arrivals)
        self.env.process(self._send(slices, place, arrivals))

    def _send(self, slices: Sequence[Slice], place: int, arrivals: Sequence[simpy.Event]) -> Steps:
        """Send when what is read is there and all places have room."""
        window = self.work.windows[place]
        row, inside = divmod(window, self.site.per_row)
        room = [
            self.work.lanes[tile].done[self.work.windows[place - self.depths[slice_.place]]]
            for slice_ in slices
            for tile in slice_.tiles
            if place >= self.depths[slice_.place]
        ]
        yield self.bench.all([*self._begun(row), *room])
        base = (*self.site.order(row, 1, inside), FETCHES)
        came = self.movement.spread(
            [self._way(slice_, window) for slice_ in slices],
            [(*base, self.work.places[slice_.tiles[0]], 0) for slice_ in slices],
        )
        for event, arrival in zip(came, arrivals, strict=True):
            self.env.process(pass_on(event, arrival))

    def feed(self, tile: int, order: Order) -> Job:
        """Read a product's inputs out of the buffer that drives the array."""
        at = self.drivers[tile]
        assert at is not None
        part = self.site.placement.system.part(at.path)
        bits = int(self.tiles.inputs[tile]) * self.plan.bits
        words = ceil(Fraction(bits) / (part.number("width") * len(at)))
        self.bench.count(at.path, "read", words * len(at))
        busy = self.bench.cycles(words * stated(part, "read", 1 / part.clock))
        return self.bench.work(at, busy, (*order, 2, 0))
