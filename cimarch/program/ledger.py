"""What a run did and what it cost: counts and joules per part and action, times per layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.tasks import Timeline
from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Plan
from cimarch.program.charges import Charge
from cimarch.program.context import KIND
from cimarch.program.program import Program
from cimarch.workload.network import MATRIX_KINDS

Row = dict[str, object]


@attrs.frozen
class Entry:
    """One line of the ledger."""

    part: str
    action: str
    count: int
    joules: float | None
    origin: str


class Ledger:
    """The accounts of one program, run."""

    def __init__(self, program: Program, timeline: Timeline) -> None:
        self.program = program
        self.timeline = timeline
        self.placement = program.placement
        self.system = program.placement.system
        self.times = np.bincount(
            program.columns["charge"].astype(np.int64), minlength=len(program.charges)
        )

    def entries(self) -> list[Entry]:
        """One line per part, action and origin, in order of the parts; leakage last."""
        summed: dict[tuple[str, str, str], tuple[int, Fraction | None]] = {}
        for times, charges in zip(self.times.tolist(), self.program.charges, strict=True):
            for c in charges if times else ():
                key = (c.part, c.action, c.origin)
                count, joules = summed.get(key, (0, Fraction(0)))
                known = None if joules is None or c.joules is None else joules + c.joules * times
                summed[key] = (count + c.count * times, known)
        order = {part.path: i for i, part in enumerate(self.system.walk())}
        lines = [
            Entry(part, action, count, None if joules is None else float(joules), origin)
            for (part, action, origin), (count, joules) in summed.items()
        ]
        lines.sort(key=lambda line: (order[line.part], line.action, line.origin))
        return lines + list(self._leakage())

    def charges(self) -> list[Charge]:
        """Everything that is charged at least once."""
        used = np.flatnonzero(self.times).tolist()
        return [each for number in used for each in self.program.charges[number]]

    def _leakage(self) -> Iterator[Entry]:
        seconds = self.timeline.makespan / self.system.clock
        for part in self.system.walk():
            if part.leakage:
                joules = float(part.leakage * part.count * seconds)
                yield Entry(part.path, "leakage", part.count, joules, "stated")

    # Layers

    def layers(self) -> list[Row]:
        """One row per operation, with the tasks that do it."""
        operation = self.program.columns["operation"]
        return [
            row
            for plan in self.placement.plans
            for row in self._site(plan, np.flatnonzero(operation == plan.site.index))
        ]

    def _site(self, plan: Plan, tasks: NDArray[np.int64]) -> Iterator[Row]:
        step = self.program.columns["step"][tasks]
        for place, op in enumerate(plan.site.operations):
            mine = tasks[step == place]
            start, finish = self._span(mine)
            row: Row = {
                "name": op.name,
                "kind": op.kind,
                "windows": op.windows,
                "start_cycle": start,
                "finish_cycle": finish,
                "cycles": finish - start,
                "share": self._share(finish - start),
                "input_bits": plan.bits,
                "joules": self._joules(mine),
                "bound_by": self._bound_by(mine),
                "conversions": self._conversions(plan, mine),
            }
            yield row | (self._tiles(plan, mine) if op.kind in MATRIX_KINDS else {})

    def _share(self, cycles: int) -> float:
        return cycles / self.timeline.makespan if self.timeline.makespan else math.nan

    def _span(self, tasks: NDArray[np.int64]) -> tuple[int, int]:
        if not len(tasks):
            return 0, 0
        return int(self.timeline.start[tasks].min()), int(self.timeline.finish[tasks].max())

    def _tiles(self, plan: Plan, tasks: NDArray[np.int64]) -> Row:
        tiles = self.placement.tiles
        mine = np.flatnonzero(tiles.site == plan.site.index)
        op = plan.site.anchor
        kinds = self.program.columns["kind"][tasks]
        return {
            "rows": op.rows, "columns": op.columns,
            "weight_bits": self.placement.bits[op.name].weight,
            "copies": len(plan.copies),
            "tiles": len(mine), "crossbars": len(np.unique(tiles.array[mine])),
            "utilisation": self.placement.utilisation_of(mine),
            "products": self._products(plan, tasks),
            "writes": int((kinds == KIND["write"]).sum()),
            "first_group": int(tiles.resident[mine].min()),
            "last_group": int(tiles.resident[mine].max()),
        }  # fmt: skip

    def _products(self, plan: Plan, tasks: NDArray[np.int64]) -> int:
        """Every product has one task that charges its reads."""
        path = plan.pool.path
        return self._count(tasks, lambda c: c.part == path and c.action == "read", once=True)

    def _conversions(self, plan: Plan, tasks: NDArray[np.int64]) -> int:
        converter = plan.wiring.converter
        path = converter.path if converter else ""
        return self._count(tasks, lambda c: c.part == path and c.action == "convert")

    def _count(
        self, tasks: NDArray[np.int64], wanted: Callable[[Charge], bool], *, once: bool = False
    ) -> int:
        times = np.bincount(self.program.columns["charge"][tasks].astype(np.int64),
                            minlength=len(self.program.charges))  # fmt: skip
        total = 0
        for number in np.flatnonzero(times).tolist():
            counts = [c.count for c in self.program.charges[number] if wanted(c)]
            if counts:
                total += int(times[number]) * (1 if once else sum(counts))
        return total

    def _joules(self, tasks: NDArray[np.int64]) -> float | None:
        times = np.bincount(self.program.columns["charge"][tasks].astype(np.int64),
                            minlength=len(self.program.charges))  # fmt: skip
        total = Fraction(0)
        for number in np.flatnonzero(times).tolist():
            for c in self.program.charges[number]:
                if c.joules is None:
                    return None
                total += c.joules * int(times[number])
        return float(total)

    def _bound_by(self, tasks: NDArray[np.int64]) -> str:
        held = self.program.tasks.resource[tasks]
        real = held >= 0
        if not real.any():
            return ""
        busy = np.bincount(held[real], weights=self.program.tasks.busy[tasks][real])
        return str(self.program.resources[int(busy.argmax())])

    # Parts

    def bound(self) -> tuple[Instances, int] | None:
        """The resource that is held longest, the first of several, and its cycles."""
        if not len(self.timeline.busy) or not self.timeline.busy.max():
            return None
        longest = int(self.timeline.busy.argmax())
        return self.program.resources[longest], int(self.timeline.busy[longest])

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
        for at, cycles in zip(self.program.resources, self.timeline.busy.tolist(), strict=False):
            if cycles:
                used[at.path] = used.get(at.path, 0) + len(at)
                busy[at.path] = max(busy.get(at.path, 0), cycles)
        aside = self._aside()
        for path in {at.path for at in aside}:
            used[path] = busy[path] = 0
        for at, cycles in aside.items():
            used[at.path] += len(at)
            busy[at.path] = max(busy[at.path], cycles)
        return used, busy

    def _aside(self) -> dict[Instances, int]:
        """Busy cycles of arrays and of what drives and reads them: their products and writes."""
        columns = self.program.columns
        paths = [pool.path for pool in self.placement.pools]
        reading = [
            any(c.part in paths and c.action == "read" for c in charges)
            for charges in self.program.charges
        ]
        starts = np.array(reading)[columns["charge"].astype(np.int64)]
        tiles = self.placement.tiles
        products = np.bincount(
            columns["tile"][starts].astype(np.int64), minlength=len(tiles)
        ).tolist()
        found: dict[tuple[str, int], tuple[Instances, int]] = {}
        for tile, aside in self.program.aside.items():
            for at, cycles in aside:
                widest, sofar = found.get((at.path, at.lo), (at, 0))
                widest = max(widest, at, key=len)
                found[at.path, at.lo] = (widest, sofar + cycles * products[tile])
        written = columns["kind"] == KIND["write"]
        for tile, cycles in zip(
            columns["tile"][written].tolist(),
            self.program.tasks.busy[written].tolist(),
            strict=True,
        ):
            array, path = int(tiles.array[tile]), paths[int(tiles.pool[tile])]
            at, sofar = found.get((path, array), (Instances(path, array, array + 1), 0))
            found[path, array] = (at, sofar + cycles)
        return dict(found.values())

    def _part(
        self, part: Part, lines: list[Entry], used: Mapping[str, int], busy: Mapping[str, int]
    ) -> Row:
        joules: float | None = 0.0
        if any(line.joules is None for line in lines):
            joules = None
        elif lines:
            joules = math.fsum(line.joules for line in lines if line.joules is not None)
        cycles = busy.get(part.path, 0)
        return {
            "path": part.path, "kind": part.kind, "count": part.count,
            "used": min(used.get(part.path, 0), part.count),
            "area_mm2": float(part.area * part.count * 10**6),
            "power_mW": float(part.power * part.count * 1000),
            "busy_cycles": cycles,
            "busy_share": self._share(cycles),
            "joules": joules,
            "origin": ", ".join(dict.fromkeys(line.origin for line in lines)),
        }  # fmt: skip
