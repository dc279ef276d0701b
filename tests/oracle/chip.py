"""A whole run on a tiny chip: groups of weights, inferences, and the sites of a network in turn.

Each window of a site is work of its own: its slices are fetched, its arrays read them, its sums
meet. Each row of results then passes the units of the tail and is stored where it is read. A site
begins when all of the one before is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, log2

import attrs
import simpy

from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part
from cimarch.mapping.flows import Flow, Home, Waypoint
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import is_global, map_rows
from oracle.arrays import Arrays, Lane
from oracle.hardware import Bench, Job, Order, Steps, settle
from oracle.loads import Loads
from oracle.movement import Crossing, Movement, next_bus, stated

LEAD, WINDOW, ROW, STRIP = range(4)
"""The phases of a strip of rows, in the order of the program."""
ADDERS = ("shift_add", "accumulator", "adder_tree")
_End = tuple[Instances, list[int]]
"""A place that stages a slice, and the tiles that read it there."""
FREE = ("dac", "sample_hold", "adc", "unit", *ADDERS)


@attrs.frozen
class Outcome:
    """What the oracle found."""

    cycles: int
    layers: dict[int, tuple[int, int]]
    """Per site: the cycles in which its work in the last pass began and ended."""
    busy: dict[Instances, int]
    counts: dict[tuple[str, str], int]


def run(placement: Placement, *, batch: int = 1, weights: str = "preloaded") -> Outcome:
    """Run a placement."""
    ends: dict[int, tuple[int, int]] = {}

    def once(united: list[Instances]) -> Bench:
        ends.clear()
        bench = Bench(placement.system, united)
        chip = Chip(bench, placement)
        bench.run(chip.run(batch, weights, ends))
        return bench

    return _outcome(settle(once), ends)


def load(placement: Placement) -> Outcome:
    """Write the weights of the first group and do nothing else."""

    def once(united: list[Instances]) -> Bench:
        bench = Bench(placement.system, united)
        bench.run(Chip(bench, placement).load_only())
        return bench

    return _outcome(settle(once), {})


def _outcome(bench: Bench, ends: dict[int, tuple[int, int]]) -> Outcome:
    now = int(bench.env.now)
    bench.env.run()  # what is done may still hold its part for a while
    busy = {at: station.busy for at, station in bench.stations.items()}
    return Outcome(now, dict(ends), busy, dict(bench.counts))


class Chip:
    """The work of a placement, on one bench."""

    def __init__(self, bench: Bench, placement: Placement) -> None:
        self.bench = bench
        self.placement = placement
        self.movement = Movement(bench, placement.wiring.routes)
        self.arrays = Arrays(bench, placement)
        self.loads = Loads(bench, self.movement, placement)
        self.passes = 0

    def load_only(self) -> Steps:
        """The first group's weights."""
        yield self.loads.load(self._tiles(0), 0)

    def _tiles(self, group: int) -> list[int]:
        resident = self.placement.tiles.resident.tolist()
        return [tile for tile, loaded in enumerate(resident) if loaded == group]

    def run(self, batch: int, weights: str, ends: dict[int, tuple[int, int]]) -> Steps:
        """All inferences through all groups."""
        groups = max(1, self.placement.groups)
        order = [(g, i) for g in range(groups) for i in range(batch)]
        if groups > 1 and not self._waits_fit(batch):
            order.sort(key=lambda turn: turn[1])
        loaded = 0 if groups == 1 and weights == "preloaded" else -1
        for group, _ in order:
            if group != loaded:
                self.passes += 1
                yield self.loads.load(self._tiles(group), self.passes)
                loaded = group
            if group == 0:
                self.passes += 1
                yield self.bench.all(self._inputs())
            for plan in self._plans(group):
                self.passes += 1
                since = int(self.bench.env.now)
                yield Pass(self, plan, group, self.passes).begin()
                ends[plan.site.index] = (since, int(self.bench.env.now))

    def _waits_fit(self, batch: int) -> bool:
        """Whether a copy of each home's largest tensor fits in it for every inference."""
        most: dict[str, int] = {}
        for plan in self.placement.plans:
            for home in plan.homes:
                if home is not None:
                    most[home.path] = max(most.get(home.path, 0), home.room)
        part = self.placement.system.part
        return batch == 1 or all(
            room * batch <= part(path).number("size") for path, room in most.items()
        )

    def _plans(self, group: int) -> list[Plan]:
        """The sites with work in a group; a digital one comes with the last matrix before it."""
        found, last = [], 0
        for plan in self.placement.plans:
            resident = {int(self.placement.tiles.resident[t]) for b in plan.blocks for t in b.tiles}
            last = max(resident, default=last)
            if group in (resident or {last}):
                found.append(plan)
        return found

    def _inputs(self) -> list[simpy.Event]:
        """Bring what the network is given from the edge to its homes, row by row."""
        arrivals = []
        for place, (source, store) in enumerate(self.placement.inputs):
            tensor = self.placement.network.tensors[source.tensor]
            rows = map_rows(tensor)
            bits = ceil(tensor.elements / rows) * store.bits
            way = self.movement.crossings(store.way, bits)
            for row in range(rows):
                arrivals.append(self.movement.move(way, (self.passes, row, 0, ROW, 0, place)))
        return arrivals


class Pass:
    """One site's work in one resident group."""

    def __init__(self, chip: Chip, plan: Plan, group: int, number: int) -> None:
        self.chip = chip
        self.bench = chip.bench
        self.env = chip.bench.env
        self.movement = chip.movement
        self.placement = chip.placement
        self.routes = chip.placement.wiring.routes
        self.network = chip.placement.network
        self.plan = plan
        self.op = plan.site.anchor
        self.group = group
        self.number = number
        self.matrix = plan.site.is_matrix
        tiles = self.placement.tiles
        self.here = {
            b: [int(t) for t in block.tiles if tiles.resident[t] == group]
            for b, block in enumerate(plan.blocks)
        }
        self.chosen = [t for present in self.here.values() for t in present]
        pool = next((op for op in plan.site.tail if op.kind == "pool"), None)
        self.rows = (
            self.op.window_rows if self.matrix else map_rows(self.network.tensors[self._made])
        )
        self.per_row = self.op.windows // self.rows if self.matrix else 0
        self.joined = 1
        if pool is not None and self.matrix:
            assert pool.geometry is not None or is_global(self.network, pool)
            whole = is_global(self.network, pool)
            self.joined = self.rows if whole else pool.geometry.stride[0]  # type: ignore[union-attr]
        self.windows = self.rows * self.per_row
        self.all: list[simpy.Event] = []

    @property
    def _made(self) -> str:
        return self.op.outputs[0]

    def begin(self) -> simpy.Event:
        """Start everything; the event that all of it is done."""
        sums: dict[int, list[simpy.Event]] = {}
        if self.matrix:
            self._windows()
            for f, flow in enumerate(self.plan.flows):
                sums[f] = [
                    self.bench.all(self._sums(flow, window)) for window in range(self.windows)
                ]
        for f, flow in enumerate(self.plan.flows):
            if not self.matrix or any(self.here[b] for b in flow.blocks):
                Tail(self, flow, f, sums.get(f, [])).begin()
        return self.bench.all(self.all)

    def order(self, row: int, phase: int, window: int = 0) -> Order:
        """The place of a piece of work of a row."""
        strip, inside = divmod(row, self.joined)
        return (self.number, strip, inside if phase != STRIP else self.joined, phase, window)

    # Windows

    def _windows(self) -> None:
        home = self.plan.homes[0] if self.plan.homes else None
        self.drivers = drivers = {tile: self._driver(home, tile) for tile in self.chosen}
        self.lanes = {
            tile: Lane({w: self.env.event() for w in range(self.windows)},
                       {w: self.env.event() for w in range(self.windows)})
            for tile in self.chosen
        }  # fmt: skip
        leads = self._leads(home)
        fetched = self._fetches(home, drivers, leads) if home is not None else {}
        for tile in self.chosen:
            driver = drivers[tile]

            def ready(window: int, tile: int = tile) -> list[simpy.Event]:
                came = fetched.get((tile, window))
                return leads[window // self.per_row] if came is None else [came]

            def order(window: int, tile: int = tile) -> Order:
                row, place = divmod(window, self.per_row)
                return (*self.order(row, WINDOW, place), tile)

            def feed(window: int, order: Order, tile: int = tile) -> Job:
                return self._feed(drivers[tile], tile, order)

            self.env.process(
                self.chip.arrays.run(tile, self.windows, ready, order,
                                     None if driver is None else feed, self.lanes[tile])
            )  # fmt: skip
            for window in range(self.windows):
                self.all += self.results(tile, window)

    def results(self, tile: int, window: int) -> list[simpy.Event]:
        """The events that together mean that a product's results are there."""
        lane = self.lanes[tile]
        return [lane.done[window], lane.fed[window]] if self.drivers[tile] else [lane.done[window]]

    def _member(self, home: Home, tile: int) -> Instances:
        """The copy of a home that an array reads."""
        array = self.chip.arrays.array(int(self.placement.tiles.array[tile]))
        if home.hi - home.lo == 1:
            return Instances(home.path, home.lo, home.hi)
        up = self.routes.upstream(array, "in")
        place = next(at for at in up if at.path == home.path)
        return Instances(home.path, place.lo, place.lo + 1)

    def _way_in(self, home: Home, tile: int) -> Route:
        array = self.chip.arrays.array(int(self.placement.tiles.array[tile]))
        way = self.routes.find(self._member(home, tile), array, "in")
        assert way is not None
        return way

    def _driver(self, home: Home | None, tile: int) -> Instances | None:
        """The buffer that drives a tile's word lines: the last part that is no converter."""
        if home is None:
            return None
        kind = {part.path: part.kind for part in self.placement.system.walk()}
        way = [step.at for step in self._way_in(home, tile)[:-1] if kind[step.at.path] not in FREE]
        return way[-1] if kind[way[-1].path] == "buffer" else None

    def _bits(self, tile: int) -> int:
        return int(self.placement.tiles.inputs[tile]) * self.plan.bits

    def _feed(self, at: Instances | None, tile: int, order: Order) -> Job:
        """Read a product's inputs out of the buffer that drives the array."""
        assert at is not None
        part = self.placement.system.part(at.path)
        words = ceil(Fraction(self._bits(tile)) / (part.number("width") * len(at)))
        self.bench.count(at.path, "read", words * len(at))
        busy = self.bench.cycles(words * stated(part, "read", 1 / part.clock))
        return self.bench.work(at, busy, (*order, 2, 0))

    def _leads(self, home: Home | None) -> list[list[simpy.Event]]:
        """Per row the arrivals of the inputs that stream in for it, where they do not all fit."""
        rows: list[list[simpy.Event]] = [[] for _ in range(self.rows)]
        if home is None or home.whole:
            return rows
        elements = Fraction(self.network.tensors[home.tensor].elements, self.rows)
        for place, member in enumerate(home.members):
            edge = self.placement.wiring.edge_into(member)
            if edge is None:
                continue
            way = self.movement.crossings(edge[1], ceil(elements * home.bits))
            for row in range(self.rows):
                arrival = self.env.event()
                self.env.process(self._lead(row, place, way, arrival))
                rows[row].append(arrival)
        return rows

    def _lead(self, row: int, place: int, way: list[Crossing], arrival: simpy.Event) -> Steps:
        if row:
            before = range((row - 1) * self.per_row, row * self.per_row)
            yield self.bench.all(self.lanes[t].done[w] for t in self.chosen for w in before)
        yield self.movement.move(way, (*self.order(row, LEAD), place))
        arrival.succeed()

    def _fetches(
        self, home: Home, drivers: dict[int, Instances | None], leads: list[list[simpy.Event]]
    ) -> dict[tuple[int, int], simpy.Event]:
        """Start the fetches of all windows; per tile and window the arrival of its slice."""
        places = self._places(home, drivers)
        self.staged: dict[Instances, list[int]] = {}
        for (_, at), tiles in places.items():
            self.staged.setdefault(at, []).append(tiles[0])
        depth = self._depth(places)
        fetched: dict[tuple[int, int], simpy.Event] = {}
        for slice_ in {key[0] for key in places}:
            ends = [(key[1], tiles) for key, tiles in places.items() if key[0] == slice_]
            for window in range(self.windows):
                arrivals = [self.env.event() for _ in ends]
                for arrival, (_, tiles) in zip(arrivals, ends, strict=True):
                    fetched |= {(tile, window): arrival for tile in tiles}
                self.env.process(self._fetch(home, ends, window, depth, leads, arrivals))
        self.all += fetched.values()
        return fetched

    def _places(
        self, home: Home, drivers: dict[int, Instances | None]
    ) -> dict[tuple[tuple[object, ...], Instances], list[int]]:
        """(slice of the input, where it is staged) -> the tiles that read it there."""
        tiles = self.placement.tiles
        places: dict[tuple[tuple[object, ...], Instances], list[int]] = {}
        for tile in self.chosen:
            source = self._member(home, tile)
            key = (source, int(tiles.channel_group[tile]), int(tiles.row0[tile]))
            end = drivers[tile] or self.chip.arrays.array(int(tiles.array[tile]))
            if end != source:
                places.setdefault((key, end), []).append(tile)
        return places

    def _depth(
        self, places: dict[tuple[tuple[object, ...], Instances], list[int]]
    ) -> dict[Instances, int]:
        """Windows that each place stages at once."""
        staged: dict[Instances, int] = {}
        for (_, at), tiles in places.items():
            staged[at] = staged.get(at, 0) + self._bits(tiles[0])
        found = {}
        for at, bits in staged.items():
            part = self.placement.system.part(at.path)
            room = part.number("size") * len(at) // bits if part.kind == "buffer" else 1
            found[at] = int(min(2, max(1, room)))
        return found

    def _fetch(
        self, home: Home, ends: list[_End], window: int, depth: dict[Instances, int],
        leads: list[list[simpy.Event]], arrivals: list[simpy.Event],
    ) -> Steps:  # fmt: skip
        """Fetch one slice of one window to all places that stage it, over each bus once."""
        yield self.bench.all(leads[window // self.per_row])
        ways: list[list[Crossing]] = []
        together: dict[tuple[object, ...], list[int]] = {}
        for i, (end, tiles) in enumerate(ends):
            route = self._way_in(home, tiles[0])
            cut = next(k for k, step in enumerate(route) if step.at == end)
            bits = self._new(tiles[0], window, end)
            ways.append(self.movement.crossings(route[: cut + 1], bits))
            key = tuple(c.at for c in ways[i][: next_bus(ways[i], 0) or 0]) or (i,)
            together.setdefault(key, []).append(i)
        for members in together.values():
            self.env.process(self._spread(ends, ways, members, window, depth, arrivals))

    def _spread(
        self, ends: list[_End], ways: list[list[Crossing]], members: list[int], window: int,
        depth: dict[Instances, int], arrivals: list[simpy.Event],
    ) -> Steps:  # fmt: skip
        """Wait until all these places have room, then send."""
        yield self.bench.all(
            self.lanes[tile].done[window - depth[ends[i][0]]]
            for i in members
            for tile in ends[i][1]
            if window >= depth[ends[i][0]]
        )
        row, inside = divmod(window, self.per_row)
        orders = [(*self.order(row, WINDOW, inside), ends[i][1][0], 0) for i in members]
        came = self.movement.spread([ways[i] for i in members], orders)
        for i, event in zip(members, came, strict=True):
            self.env.process(_pass_on(event, arrivals[i]))

    def _new(self, tile: int, window: int, at: Instances) -> int:
        """Bits of a slice that its staging does not keep from the windows before."""
        reuse = self.placement.system.part(at.path).params.get("reuse", "none")
        if reuse == "none" or self.op.geometry is None:
            return self._bits(tile)
        first = 0 if reuse == "rows" else window - window % self.per_row
        if reuse == "columns":
            first = max(first, window - 1)
        kept = {
            element
            for before in range(first, window)
            for other in self.staged[at]
            for element in self._elements(other, before)
        }
        return max(1, len(self._elements(tile, window) - kept)) * self.plan.bits

    def _elements(self, tile: int, window: int) -> set[tuple[int, int, int]]:
        """(channel, row, column) of the map that a tile reads in a window, padding included."""
        assert self.op.geometry is not None
        (height, width), (down, across) = self.op.geometry.kernel, self.op.geometry.stride
        top, left = window // self.per_row * down, window % self.per_row * across
        first = int(self.placement.tiles.row0[tile])
        rows = range(first, first + int(self.placement.tiles.inputs[tile]))
        return {(r // (height * width), top + r // width % height, left + r % width) for r in rows}

    # Sums

    def sum_bits(self, rows: int) -> int:
        """Bits of a partial sum of some rows, at most those of what merges slices and steps."""
        if not self.matrix:
            return self.plan.bits
        bits = self.placement.bits[self.op.name]
        wide = bits.input + bits.weight + ceil(log2(rows))
        merger = self.chip.arrays.merger
        return min(wide, merger.integer("bits")) if merger is not None else wide

    def _sums(self, flow: Flow, window: int) -> list[simpy.Event]:
        """Events for when a window's sums have met."""
        row, inside = divmod(window, self.per_row)
        events = []
        for b in flow.blocks:
            came = []
            for tile in self.here[b]:
                event = self.env.event()
                order = (*self.order(row, WINDOW, inside), tile, 3)
                self.env.process(self._gather(flow, b, tile, window, order, event))
                came.append(event)
            if flow.adder is not None and len(came) > 1:
                event = self.env.event()
                order = (*self.order(row, WINDOW, inside), self.here[b][0], 4)
                self.env.process(self._add(flow.adder, b, came, order, event))
                came = [event]
            events += came
        self.all += events
        return events

    def _gather(
        self, flow: Flow, b: int, tile: int, window: int, order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(self.results(tile, window))
        target = flow.adder or flow.origin
        array = self.chip.arrays.array(int(self.placement.tiles.array[tile]))
        route = None if target.path == array.path else self.routes.find(array, target)
        if route is not None:
            wide = self.sum_bits(int(self.placement.tiles.inputs[tile]))
            bits = self.plan.blocks[b].outputs * wide
            yield self.movement.move(self.movement.crossings(route, bits), order)
        event.succeed()

    def _add(
        self, at: Instances, b: int, came: list[simpy.Event], order: Order, event: simpy.Event
    ) -> Steps:
        yield self.bench.all(came)
        count = self.plan.blocks[b].outputs * (len(came) - 1)
        yield self.add(at, count, len(came), (*order, 0)).done
        event.succeed()

    def add(self, at: Instances, count: int, terms: int, order: Order) -> Job:
        """Additions at an adder: each member one a cycle; a tree all terms of a sum in one."""
        part = self.placement.system.part(at.path)
        self.bench.count(at.path, "add", count)
        each = stated(part, "add", 1 / part.clock)
        turns, levels = ceil(count / len(at)), 1
        if part.kind == "adder_tree":
            turns = ceil(count / (max(1, terms - 1) * len(at)))
            levels = ceil(log2(max(2, terms)))
        return self.bench.work(
            at, self.bench.cycles(turns * each), order, stage=True,
            latency=self.bench.cycles((turns + levels - 1) * each),
        )  # fmt: skip


class Tail:
    """What is done with rows of results: units, operands, stores."""

    def __init__(self, site: Pass, flow: Flow, place: int, sums: list[simpy.Event]) -> None:
        self.site = site
        self.flow = flow
        self.place = place
        self.sums = sums
        self.bench = site.bench
        self.env = site.env
        self.movement = site.movement
        self.network = site.network
        blocks = site.plan.blocks
        tiles = site.placement.tiles
        self.now = [b for b in flow.blocks if site.here.get(b)]
        whole = [(b, [int(tiles.resident[t]) for t in blocks[b].tiles]) for b in self.now]
        self.spilled = [self.env.event() for _ in range(site.rows)] if flow.stores else []
        self.begun = [b for b, groups in whole if min(groups) < site.group]
        self.cut = [b for b, groups in whole if max(groups) > site.group]
        self.done = [b for b in self.now if b not in self.cut]
        total = sum(block.outputs for block in blocks)
        outputs = sum(blocks[b].outputs for b in self.done)
        self.share = Fraction(outputs, total) if site.matrix else Fraction(1)
        self.ways = list(flow.waypoints)
        joins = [i for i, w in enumerate(self.ways) if w.operation.kind == "pool"]
        self.joint = joins[0] if joins and site.matrix else None
        self.step = 0

    def begin(self) -> None:
        """Start the work of all rows, and of all strips."""
        if self.cut:
            self.site.all += self.spilled
        for strip in range(self.site.rows // self.site.joined):
            rows = range(strip * self.site.joined, (strip + 1) * self.site.joined)
            ends = [self.env.event() for _ in rows]
            for row, end in zip(rows, ends, strict=True):
                self.env.process(self._row(row, end))
            self.site.all += ends
            if self.joint is not None and (self.done or not self.site.matrix):
                end = self.env.event()
                self.site.all.append(end)
                self.env.process(self._strip(rows[-1], ends, end))

    def _order(self, row: int, phase: int, step: int) -> Order:
        return (*self.site.order(row, phase), self.place, step)

    def _row(self, row: int, end: simpy.Event) -> Steps:
        site, per_row = self.site, self.site.per_row
        yield self.bench.all(self.sums[row * per_row : (row + 1) * per_row])
        if self.begun:
            yield from self._carry(row)
        if self.cut:
            self._spill(row)
        if self.done or not site.matrix:
            end_of_row = len(self.ways) if self.joint is None else self.joint + 1
            yield from self._along(
                row, ROW, 0, end_of_row, self._values(), stores=self.joint is None
            )
        end.succeed()

    def _strip(self, row: int, ends: list[simpy.Event], end: simpy.Event) -> Steps:
        yield self.bench.all(ends)
        assert self.joint is not None
        pooled = self.network.tensors[self.ways[self.joint].operation.outputs[0]]
        strips = self.site.rows // self.site.joined
        made = Fraction(pooled.elements, strips) * self.share
        yield from self._along(row, STRIP, self.joint + 1, len(self.ways), made, stores=True)
        end.succeed()

    def _values(self) -> Fraction:
        """Values of the flow in a row of the anchor's results."""
        site = self.site
        if site.matrix:
            return site.op.columns * site.op.groups * site.per_row * self.share
        return Fraction(self.network.tensors[site.op.outputs[0]].elements, site.rows)

    def _along(
        self, row: int, phase: int, lo: int, hi: int, count: Fraction, *, stores: bool
    ) -> Steps:
        """Pass the waypoints lo..hi, then store."""
        site = self.site
        for i in range(lo, hi):
            waypoint = self.ways[i]
            if waypoint.way is not None:
                bits = ceil(count) * self._bits(i)
                way = self.movement.crossings(waypoint.way, bits)
                yield self.movement.move(way, self._order(row, phase, 10 * i))
            taken = count
            if i == 0 and not site.matrix:
                taken = yield from self._anchor(row, waypoint, count)
            yield self.bench.all(self._operands(row, phase, i))
            if waypoint.at is not None:
                yield self._compute(waypoint, ceil(taken), self._order(row, phase, 10 * i + 6)).done
            if waypoint.operation.kind == "pool" and not site.matrix:
                pooled = self.network.tensors[waypoint.operation.outputs[0]]
                count = Fraction(pooled.elements, site.rows) * self.share
        if stores:
            yield self.bench.all(self._store(row, phase, count))

    def _bits(self, i: int) -> int:
        """Of a value before waypoint i: a sum's until the last unit is behind."""
        wide = self.site.sum_bits(self.site.op.rows) if self.site.matrix else self.site.plan.bits
        units = [k for k, w in enumerate(self.ways) if w.at is not None]
        behind = i > units[-1] if units else i > 0
        return min(wide, self.site.plan.bits) if behind else wide

    def _anchor(self, row: int, waypoint: Waypoint, count: Fraction) -> Steps:
        """Fetch what a digital anchor reads; the values that its unit works through."""
        site = self.site
        most, came = Fraction(0), []
        for k, (source, home) in enumerate(
            zip(site.plan.site.reads[0], site.plan.homes, strict=True)
        ):
            values = Fraction(source.elements, site.rows)
            most = max(most, values)
            if home is not None and waypoint.at is not None:
                found = [site.routes.find(m, waypoint.at) for m in home.members]
                way = min((w for w in found if w is not None), key=len)
                crossings = self.movement.crossings(way, ceil(values * home.bits))
                came.append(self.movement.move(crossings, (*self._order(row, ROW, 0), k)))
        yield self.bench.all(came)
        return most if site.op.kind == "pool" else count

    def _operands(self, row: int, phase: int, i: int) -> list[simpy.Event]:
        came = []
        for k, operand in enumerate(self.ways[i].operands):
            if operand.home is None or operand.way is None:
                continue
            times = self.site.rows if phase == ROW else self.site.rows // self.site.joined
            values = Fraction(operand.source.elements, times) * self.share
            way = self.movement.crossings(operand.way, ceil(values * operand.home.bits))
            came.append(self.movement.move(way, (*self._order(row, phase, 10 * i + 5), k)))
        return came

    def _compute(self, waypoint: Waypoint, count: int, order: Order) -> Job:
        """Elements on a unit: `lanes` every `ii`, each `stages` cycles inside; or on an adder."""
        at = waypoint.at
        assert at is not None
        part: Part = self.site.placement.system.part(at.path)
        if part.kind in ADDERS:
            return self.site.add(at, count, 2, order)
        self.bench.count(at.path, "compute", count)
        busy = ceil(Fraction(count, part.integer("lanes") * len(at))) * part.number("ii")
        late = busy + (part.integer("stages") - 1) / part.clock
        cycles = self.bench.cycles
        return self.bench.work(at, cycles(busy), order, latency=cycles(late), stage=True)

    def _store(self, row: int, phase: int, count: Fraction) -> list[simpy.Event]:
        """Bring the results to all their homes; what is as wide crosses a bus once."""
        widths: dict[int, list[tuple[int, list[Crossing]]]] = {}
        for k, store in enumerate(self.flow.stores):
            bits = ceil(count) * store.bits
            widths.setdefault(bits, []).append((k, self.movement.crossings(store.way, bits)))
        arrived = []
        for ways in widths.values():
            orders = [(*self._order(row, phase, 1000), k) for k, _ in ways]
            arrived += self.movement.spread([way for _, way in ways], orders)
        return arrived

    # Sums that a group boundary cuts

    def _spill(self, row: int) -> None:
        if self.flow.stores:
            bits = self._sums(self.cut) * self._bits(0)
            way = self.movement.crossings(self.flow.stores[0].way, bits)
            arrived = self.movement.move(way, self._order(row, ROW, -1))
            self.env.process(_pass_on(arrived, self.spilled[row]))

    def _carry(self, row: int) -> Steps:
        """Fetch the sums of the group before and add them to this one's."""
        if not self.flow.stores:
            return
        bits = self._sums(self.begun) * self._bits(0)
        target = self.flow.adder or self.flow.origin
        route = self.site.routes.find(self.flow.stores[0].way[-1].at, target)
        if route is not None:
            way = self.movement.crossings(route, bits)
            yield self.movement.move(way, self._order(row, ROW, -3))
        if self.flow.adder is not None:
            order = self._order(row, ROW, -2)
            yield self.site.add(self.flow.adder, self._sums(self.begun), 2, order).done

    def _sums(self, blocks: Iterable[int]) -> int:
        return sum(self.site.plan.blocks[b].outputs for b in blocks) * self.site.per_row


def _pass_on(event: simpy.Event, to: simpy.Event) -> Steps:
    yield event
    to.succeed()
