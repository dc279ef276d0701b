"""What a run did and what it cost: counts and joules per part and action, times per layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.outcome import Outcome, SlotTimes
from cimarch.engine.pieces import Template, Work
from cimarch.engine.tasks import Ints
from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Plan
from cimarch.mapping.wiring import Wiring
from cimarch.program.charges import Charge
from cimarch.program.context import KIND
from cimarch.program.energy import (
    STATIC,
    Exact,
    Spent,
    area_origin,
    is_off_chip,
    leakage_origin,
    rests,
    rounded,
    static,
    summed,
    weighted,
)
from cimarch.program.program import Program

Row = dict[str, object]
Numbers = NDArray[np.integer]


@attrs.frozen
class Entry:
    """One line of the ledger."""

    part: str
    action: str
    count: int
    joules: float | None
    origin: str


@attrs.frozen(eq=False)
class Slots:
    """All slots of all templates, a row each: what they are, how often they ran, and when."""

    count: Ints
    """Tasks, over all blocks and pieces."""
    operation: Ints
    step: Ints
    kind: Ints
    tile: Ints
    charge: Ints
    resource: Ints
    busy: Ints
    """Cycles of one task."""
    first_start: Ints
    last_finish: Ints
    waited: Ints
    """Cycles from ready to start, of all tasks."""

    @classmethod
    def of(cls, program: Program, outcome: Outcome) -> Slots:
        """Gather them from the pieces of a program that has run."""
        work = program.work
        parts = [
            _slots(work, template, times)
            for template, times in zip(work.templates, outcome.slots, strict=True)
        ]
        names = [field.name for field in attrs.fields(cls)]
        return cls(*(np.concatenate([part[name] for part in parts] or [_NONE]) for name in names))

    def take(self, rows: NDArray[np.generic]) -> Slots:
        """Some of the rows, by number or by a mask."""
        return Slots(*(getattr(self, field.name)[rows] for field in attrs.fields(Slots)))


_NONE = np.zeros(0, np.int64)


def _adders_behind(wiring: Wiring) -> tuple[str, list[Instances]]:
    """The path of what the adders of a pool's arrays work beside, and those of one array."""
    source = wiring.pool if wiring.pool.kind == "digital_array" else wiring.converter
    adders = [adder for adder in (wiring.tree, wiring.merger) if adder is not None]
    each = [Instances(a.path, 0, max(1, a.count // wiring.pool.count)) for a in adders]
    return ("", []) if source is None else (source.path, each)


def _above(path: str) -> list[str]:
    """The paths of what encloses a part, the system's own empty one last."""
    names = path.split(".")
    return [".".join(names[:end]) for end in range(len(names) - 1, -1, -1)]


def _last(entry: Entry) -> tuple[int | str, str]:
    """The order of a part's lines: leakage, idle, gated; else by name."""
    static_first = STATIC.index(entry.action) if entry.action in STATIC else entry.action
    return static_first, entry.origin


def _slots(work: Work, template: Template, times: SlotTimes) -> dict[str, Ints]:
    """The slots of one template, with what its pieces have in common."""
    of_template = ("count", "resource", "busy", "operation", "step", "kind", "tile", "charge")
    found = {name: _column(work, template, name) for name in of_template}
    found |= {name: getattr(times, name) for name in ("first_start", "last_finish", "waited")}
    return {name: np.asarray(values, np.int64) for name, values in found.items()}


def _column(work: Work, template: Template, name: str) -> Numbers:
    """What a template says of its slots, or its pieces in common, or for `count` how often they
    ran."""
    size, pieces = len(template), work.pieces_of(template)
    if name == "count":
        count = np.full(size, sum(piece.repeat for piece in pieces))
        for piece in pieces:
            count[size - piece.cut :] -= 1
        return count
    if name in ("resource", "busy"):
        found: Numbers = getattr(template, name)
        return found
    if name in template.columns:
        return np.asarray(template.columns[name], np.int32)
    return np.full(size, pieces[0].columns.get(name, int(work.defaults[name])))


class Ledger:
    """The accounts of one program, run."""

    def __init__(self, program: Program, outcome: Outcome) -> None:
        self.program = program
        self.outcome = outcome
        self.placement = program.placement
        self.system = program.placement.system
        self._written_down: dict[str, Numbers] = {}

    @cached_property
    def slots(self) -> Slots:
        """All slots of all templates."""
        return Slots.of(self.program, self.outcome)

    @cached_property
    def times(self) -> Ints:
        """How often each charge was made."""
        return self._times(*self._columns("charge", "count"))

    def _times(self, charge: Numbers, count: Numbers) -> Ints:
        """How often each charge was made by slots with these charges, that ran so often."""
        times = np.zeros(len(self.program.charges), np.int64)
        np.add.at(times, charge, count)
        return times

    def _columns(self, *names: str) -> list[Numbers]:
        """Columns of `slots`, without the others: what was done is known without its times."""
        work = self.program.work
        for name in names:
            if name not in self._written_down:
                parts = [_column(work, template, name) for template in work.templates]
                self._written_down[name] = np.concatenate([_NONE, *parts])
        return [self._written_down[name] for name in names]

    @cached_property
    def energy(self) -> list[Spent]:
        """A row for each operation, part, action and origin; their sums are exact.

        In order of the operations, those of none behind them, then of the parts; what is paid for
        time comes last.
        """
        return rounded([*self._dynamic(), *self.for_time()])

    @property
    def joules(self) -> float | None:
        """The sum of all rows of `energy`, without making them; None where a price is unknown, or
        nothing is charged."""
        static = [row.joules for row in self.for_time() if row.joules is not None]
        charges = [
            (c, often)
            for number, often in enumerate(self.times.tolist())
            if often
            for c in self.program.charges[number]
        ]
        if any(c.joules is None and c.count for c, _ in charges) or not (charges or static):
            return None
        done = [(c.joules, often) for c, often in charges if c.joules is not None]
        return float(weighted(done) + sum(static, Fraction(0)))

    @cached_property
    def work(self) -> list[Spent]:
        """Those of what was done, as if time cost nothing."""
        return rounded(self._dynamic())

    @property
    def static_watts(self) -> Fraction:
        """What is paid for time, over the time of the run."""
        if not self.outcome.makespan:
            return Fraction(0)
        joules = sum((row.joules or Fraction(0) for row in self.for_time()), Fraction(0))
        return joules * self.system.clock / self.outcome.makespan

    def for_time(self) -> list[Exact]:
        """The exact rows of what is paid for time."""
        seconds = self.outcome.makespan / self.system.clock
        resting = any(rests(part) for part in self.system.walk())  # only these ask who was busy
        busy = self.busy if resting else {}
        held = {path: cycles / self.system.clock for path, cycles in busy.items()}
        return list(static(self.system, held, seconds))

    def _dynamic(self) -> list[Exact]:
        """The exact rows of all that was done."""
        found: list[Exact] = []
        for operation, times in self.by_operation():
            found += self._done(operation, times)
        return found

    def by_operation(self) -> Iterator[tuple[str, Mapping[int, int]]]:
        """Per operation, and for those of none, how often each bundle of charges was made."""
        slots = self.slots.take((self.slots.charge > 0) & (self.slots.count > 0))
        # operation, step and charge as one number, whose sorting is that of the three
        wide, steps = len(self.program.charges), int(slots.step.max(initial=0)) + 2
        keys = ((slots.operation + 1) * steps + slots.step + 1) * wide + slots.charge
        kinds, which = np.unique(keys, return_inverse=True)
        times = np.zeros(len(kinds), np.int64)
        np.add.at(times, which, slots.count)
        found: dict[tuple[int, int], dict[int, int]] = {}
        for key, count in zip(kinds.tolist(), times.tolist(), strict=True):
            (site, step), number = divmod(key // wide, steps), key % wide
            found.setdefault((site - 1, step - 1), {})[number] = count
        for plan in self.placement.plans:
            for step, op in enumerate(plan.site.operations):
                yield op.name, found.pop((plan.site.index, step), {})
        for rest in found.values():
            yield "", rest

    def _done(self, operation: str, times: Mapping[int, int]) -> list[Exact]:
        """The rows of one operation."""
        merged: dict[tuple[str, str, str], tuple[int, Fraction | None]] = {}
        for number, often in times.items():
            for c in self.program.charges[number]:
                key = (c.part, c.action, c.origin)
                count, joules = merged.get(key, (0, Fraction(0)))
                known = None if joules is None or c.joules is None else joules + c.joules * often
                merged[key] = (count + c.count * often, known)
        order = self._order
        return sorted(
            (
                Exact(operation, part, action, count, joules, origin)
                for (part, action, origin), (count, joules) in merged.items()
            ),
            key=lambda row: (order[row.part], row.action, row.origin),
        )

    @cached_property
    def _order(self) -> dict[str, int]:
        return {part.path: i for i, part in enumerate(self.system.walk())}

    def entries(self) -> list[Entry]:
        """One line per part, action and origin, in order of the parts; what time costs last."""
        groups: dict[tuple[str, str, str], list[Spent]] = {}
        for row in self.energy:
            groups.setdefault((row.part, row.action, row.origin), []).append(row)
        lines = [
            Entry(part, action, sum(row.count for row in rows), summed(rows), origin)
            for (part, action, origin), rows in groups.items()
        ]
        order = self._order
        return sorted(lines, key=lambda e: (e.action in STATIC, order[e.part], *_last(e)))

    def charges(self) -> list[Charge]:
        """Everything that is charged at least once."""
        used = np.flatnonzero(self.times).tolist()
        return [each for number in used for each in self.program.charges[number]]

    # Layers

    def layers(self) -> list[Row]:
        """One row per operation, with the tasks that do it."""
        operation = self.slots.operation
        return [
            row
            for plan in self.placement.plans
            for row in self._site(plan, self.slots.take(operation == plan.site.index))
        ]

    def _site(self, plan: Plan, slots: Slots) -> Iterator[Row]:
        for place, op in enumerate(plan.site.operations):
            mine = slots.take(slots.step == place)
            start, finish = self._span(mine)
            waited_at, waited = self._waited(mine)
            row: Row = {
                "name": op.name,
                "kind": op.kind,
                "windows": op.windows,
                "start_cycle": start,
                "finish_cycle": finish,
                "cycles": finish - start,
                "share": self._share(finish - start),
                "input_bits": plan.bits,
                "joules": self._joules(op.name),
                "bound_by": self._bound_by(mine),
                "waited_at": waited_at,
                "waited_cycles": waited,
                "conversions": self._conversions(plan, mine),
            }
            yield row | (self._tiles(plan, mine) if op.is_matrix else {})

    def _share(self, cycles: int) -> float:
        return cycles / self.outcome.makespan if self.outcome.makespan else math.nan

    def _span(self, slots: Slots) -> tuple[int, int]:
        real = (slots.first_start >= 0) & (slots.kind != KIND["join"])
        if not real.any():
            return 0, 0
        return int(slots.first_start[real].min()), int(slots.last_finish[real].max())

    def _waited(self, slots: Slots) -> tuple[str, int]:
        """Where some tasks stood in a queue longest, all together, and the cycles."""
        real = slots.resource >= 0
        if not slots.waited[real].any():
            return "", 0
        waited = np.bincount(slots.resource[real], weights=slots.waited[real])
        longest = int(waited.argmax())
        return str(self.program.resources[longest]), int(waited[longest])

    def _tiles(self, plan: Plan, slots: Slots) -> Row:
        tiles = self.placement.tiles
        mine = np.flatnonzero(tiles.site == plan.site.index)
        op = plan.site.anchor
        return {
            "rows": op.rows, "columns": op.columns,
            "weight_bits": self.placement.bits[op.name].weight,
            "copies": len(plan.copies),
            "tiles": len(mine), "crossbars": len(np.unique(self.placement.arrays[mine])),
            "utilisation": self.placement.utilisation_of(mine),
            "products": self._products(plan, slots),
            "writes": int(slots.count[slots.kind == KIND["write"]].sum()),
            "first_group": int(tiles.resident[mine].min()),
            "last_group": int(tiles.resident[mine].max()),
        }  # fmt: skip

    def _products(self, plan: Plan, slots: Slots) -> int:
        """Every product has one task that charges its reads."""
        paths = {pool.path for pool in self.placement.pools_of(plan)}
        return self._count(slots, lambda c: c.part in paths and c.action == "read", once=True)

    def _conversions(self, plan: Plan, slots: Slots) -> int:
        pools = {pool.path for pool in self.placement.pools_of(plan)}
        wirings = [each for each in self.placement.wirings if each.pool.path in pools]
        paths = {each.converter.path for each in wirings if each.converter is not None}
        return self._count(slots, lambda c: c.part in paths and c.action == "convert")

    def _count(self, slots: Slots, wanted: Callable[[Charge], bool], *, once: bool = False) -> int:
        times = self._times(slots.charge, slots.count)
        total = 0
        for number in np.flatnonzero(times).tolist():
            counts = [c.count for c in self.program.charges[number] if wanted(c)]
            if counts:
                total += int(times[number]) * (1 if once else sum(counts))
        return total

    def _joules(self, operation: str) -> float | None:
        return summed(self._spent.get(operation, ()))

    @cached_property
    def _spent(self) -> dict[str, list[Spent]]:
        found: dict[str, list[Spent]] = {}
        for row in self.energy:
            found.setdefault(row.operation, []).append(row)
        return found

    def _bound_by(self, slots: Slots) -> str:
        held = self._held(slots)
        return str(max(held, key=lambda at: held[at])) if held else ""

    def _held(self, slots: Slots) -> dict[Instances, int]:
        """Busy cycles of all that some tasks hold: of arrays and converters by their reads and
        conversions, however these are merged."""
        working = {
            path
            for wiring in self.placement.wirings
            for part in (wiring.pool, wiring.converter)
            if part is not None
            for path in (part.path,)
        }
        found = {at: n for at, n in self._aside(slots).items() if n and at.path in working}
        real = slots.resource >= 0
        busy = np.zeros(len(self.program.resources), np.int64)
        np.add.at(busy, slots.resource[real], (slots.busy * slots.count)[real])
        paths = {at.path for at in found}
        for number in np.flatnonzero(busy).tolist():
            at = self.program.resources[number]
            if at.path not in paths:
                found[at] = int(busy[number])
        return found

    def bounds(self) -> list[Row]:
        """Per operation and part: how long it holds the busiest members, and waits for them."""
        rows: list[Row] = []
        for plan in self.placement.plans:
            slots = self.slots.take(self.slots.operation == plan.site.index)
            for place, op in enumerate(plan.site.operations):
                rows += self._bounds(op.name, slots.take(slots.step == place))
        return rows

    def _bounds(self, name: str, slots: Slots) -> Iterator[Row]:
        busy: dict[str, int] = {}
        for at, cycles in self._held(slots).items():
            busy[at.path] = max(busy.get(at.path, 0), cycles)
        waited: dict[str, int] = {}
        queued = np.zeros(len(self.program.resources), np.int64)
        real = slots.resource >= 0
        np.add.at(queued, slots.resource[real], slots.waited[real])
        for resource in np.flatnonzero(queued).tolist():
            path = self.program.resources[resource].path
            waited[path] = waited.get(path, 0) + int(queued[resource])
        for path in dict.fromkeys((*busy, *waited)):
            yield {
                "operation": name, "part": path, "busy_cycles": busy.get(path, 0),
                "waited_cycles": waited.get(path, 0),
            }  # fmt: skip

    # Parts

    def bound(self) -> tuple[Instances, int] | None:
        """The resource that is held longest, the first of several, and its cycles."""
        held = self._held(self.slots)
        longest = max(held, key=lambda at: held[at], default=None)
        return None if longest is None else (longest, held[longest])

    def delayed(self, at: Instances) -> tuple[str, int]:
        """The operation whose tasks wait longest for a resource, and the cycles in all."""
        here = [
            number for number, each in enumerate(self.program.resources)
            if each.path == at.path and each.lo < at.hi and at.lo < each.hi
        ]  # fmt: skip
        slots = self.slots.take(np.isin(self.slots.resource, here))
        waited: dict[str, int] = {}
        for plan in self.placement.plans:
            mine = slots.take(slots.operation == plan.site.index)
            for step, op in enumerate(plan.site.operations):
                cycles = int(mine.waited[mine.step == step].sum())
                waited[op.name] = waited.get(op.name, 0) + cycles
        longest = max(waited, key=lambda name: waited[name], default="")
        return (longest, waited[longest]) if longest and waited[longest] else ("", 0)

    def parts(self, entries: list[Entry]) -> list[Row]:
        """One row per part, in order of declaration."""
        used, busy = self._use()
        rows = []
        for part in self.system.walk():
            lines = [line for line in entries if line.part == part.path]
            rows.append(self._part(part, lines, used, busy))
        return rows

    def _use(self) -> tuple[dict[str, int], dict[str, int]]:
        used: dict[str, int] = {}
        busy: dict[str, int] = {}
        for at, cycles in zip(self.program.resources, self.outcome.busy.tolist(), strict=False):
            if cycles:
                used[at.path] = used.get(at.path, 0) + len(at)
                busy[at.path] = max(busy.get(at.path, 0), cycles)
        aside = self._aside(self.slots)
        for path in {at.path for at in aside}:
            used[path] = busy[path] = 0
        for at, cycles in aside.items():
            used[at.path] += len(at)
            busy[at.path] = max(busy[at.path], cycles)
        return used, busy

    def _aside(self, slots: Slots) -> dict[Instances, int]:
        """Busy cycles of arrays and of what drives and reads them: their products and writes."""
        found: dict[tuple[str, int], tuple[Instances, int]] = {}
        for _, at, cycles in self._working(slots.tile, slots.charge, slots.count):
            widest, sofar = found.get((at.path, at.lo), (at, 0))
            found[at.path, at.lo] = (max(widest, at, key=len), sofar + cycles)
        written = self._writing(slots.kind, slots.resource, slots.busy, slots.count)
        for at, cycles in written:
            _, sofar = found.get((at.path, at.lo), (at, 0))
            found[at.path, at.lo] = (at, sofar + cycles)
        return dict(found.values())

    def _working(
        self, tile: Numbers, charge: Numbers, count: Numbers
    ) -> Iterator[tuple[int, Instances, int]]:
        """Per tile: the array and what drives and reads it, and the cycles of all its products."""
        paths = {pool.path for pool in self.placement.pools}
        reading = np.zeros(len(self.program.charges), np.bool_)
        for number, charges in enumerate(self.program.charges):
            for c in charges:
                if c.action == "read" and c.part in paths:
                    reading[number] = True
        starts = np.flatnonzero(reading[charge] & (tile >= 0))
        products = np.zeros(len(self.placement.tiles), np.int64)
        np.add.at(products, tile[starts], count[starts])
        for number in np.flatnonzero(np.bincount(tile[starts])).tolist():
            often = int(products[number])
            for at, cycles in self.program.aside.get(number, ()):
                yield number, at, cycles * often

    def _writing(
        self, kind: Numbers, resource: Numbers, busy: Numbers, count: Numbers
    ) -> Iterator[tuple[Instances, int]]:
        """The arrays that some tasks write, and their cycles."""
        for row in np.flatnonzero(kind == KIND["write"]).tolist():
            at = self.program.resources[int(resource[row])]
            yield at, int(busy[row] * count[row])

    @cached_property
    def busy(self) -> dict[str, int]:
        """What `held` says, found once."""
        return self.held()

    def held(self) -> dict[str, int]:
        """Per part the busy cycles of all its instances, added up.

        Of arrays and what drives and reads them those of their products and writes, of the adders
        behind converters those of the conversions beside what they add apart. An instance of a part
        that holds others is busy as long as the busiest one inside.
        """
        found: dict[str, int] = {}
        working = list(self._working(*self._columns("tile", "charge", "count")))
        aside = [(at, cycles) for _, at, cycles in working]
        if (self._columns("kind")[0] == KIND["write"]).any():
            aside += self._writing(*self._columns("kind", "resource", "busy", "count"))
        merging = list(self._merging(working))
        told = {at.path for at, _ in aside}
        engine = zip(self.program.resources, self.outcome.busy.tolist(), strict=False)
        apart = [(at, cycles) for at, cycles in engine if at.path not in told]
        for at, cycles in (*aside, *merging, *apart):
            found[at.path] = found.get(at.path, 0) + (at.hi - at.lo) * cycles
        return found | self._around((*aside, *apart))

    def _around(self, held: Iterable[tuple[Instances, int]]) -> dict[str, int]:
        """Per part that holds others and rests: cycles of its instances, each those of the busiest
        one inside."""
        resting = {
            p.path: p for p in self.system.walk() if p.kind in ("block", "chip") and rests(p)
        }
        inside: dict[tuple[str, int], dict[tuple[str, int], int]] = {}
        for at, cycles in held if resting else ():
            for path in _above(at.path):
                if path in resting and " -> " not in at.path:
                    each = self.system.part(at.path).count // resting[path].count
                    for member in range(at.lo // each, (at.hi - 1) // each + 1):
                        mine = inside.setdefault((path, member), {})
                        mine[at.path, at.lo] = mine.get((at.path, at.lo), 0) + cycles
        found: dict[str, int] = {}
        for (path, _), mine in inside.items():
            found[path] = found.get(path, 0) + max(mine.values())
        return found

    def _merging(
        self, working: Iterable[tuple[int, Instances, int]]
    ) -> Iterator[tuple[Instances, int]]:
        """The adders behind converters, and those behind digital arrays, with their cycles: they
        work as long as these convert, or are read."""
        behind = [_adders_behind(wiring) for wiring in self.placement.wirings]
        pools = self.placement.tiles.pool.tolist()
        for tile, at, cycles in working:
            source, adders = behind[pools[tile]]
            if at.path == source:
                yield from ((adder, cycles) for adder in adders)

    def writes(self) -> dict[str, int]:
        """Per pool, how often the cells that are written most are written.

        Each key of an operand has cells of its own: an inference writes every cell once, but for
        arrays that are written as a whole.
        """
        slots = self.slots.take(self.slots.kind == KIND["write"])
        each = [self._keys_apart(tile) for tile in slots.tile.tolist()]
        times = np.bincount(slots.resource, weights=slots.count / np.array(each, np.int64)).tolist()
        found: dict[str, int] = {}
        for at, written in zip(self.program.resources, times, strict=False):
            if written:
                found[at.path] = max(found.get(at.path, 0), round(written))
        return found

    def _keys_apart(self, tile: int) -> int:
        """Writes of a tile that are of different cells."""
        pool = self.placement.pools[int(self.placement.tiles.pool[tile])]
        return 1 if pool.word("write_per") == "array" else self.program.keys.get(tile, 1)

    def _part(
        self, part: Part, lines: list[Entry], used: Mapping[str, int], busy: Mapping[str, int]
    ) -> Row:
        joules = [line.joules for line in lines if line.joules is not None]
        cycles = busy.get(part.path, 0)
        return {
            "path": part.path, "kind": part.kind, "count": part.count,
            "used": min(used.get(part.path, 0), part.count),
            "area_mm2": float(part.area * part.count * 10**6),
            "area_origin": area_origin(part),
            "power_mW": float(part.power * part.count * 1000),
            "leakage_mW": float(part.leakage * part.count * 1000),
            "leakage_origin": leakage_origin(part),
            "busy_cycles": cycles,
            "busy_share": self._share(cycles),
            "joules": math.fsum(joules) if len(joules) == len(lines) else None,
            "off_chip": int(is_off_chip(part)),
            "origin": ", ".join(dict.fromkeys(line.origin for line in lines)),
        }  # fmt: skip
