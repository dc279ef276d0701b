"""The program of a run: one task table for all inferences, and what its tasks are charged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine.build import TableBuilder
from cimarch.engine.tasks import Tasks
from cimarch.hardware.routes import Instances
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.sites import map_rows
from cimarch.program.charges import Charge
from cimarch.program.context import MOST_TASKS, Context, disjoint
from cimarch.program.loads import Loads
from cimarch.program.passes import SitePass
from cimarch.program.products import Products
from cimarch.program.sketch import Strip

Progress = Callable[[str, float], None]

COLUMNS: dict[str, int | np.integer[Any]] = {
    "kind": np.int8(0),
    "operation": np.int32(-1),
    "tile": np.int32(-1),
    "charge": np.int32(0),
    "group": np.int32(0),
    "inference": np.int32(0),
    "step": np.int16(0),
}
"""The table's own columns beside those of the engine, with their defaults.

`kind` indexes `context.KINDS`, `operation` the placement's sites, `step` the site's operations,
`tile` its tiles, `charge` the program's charges; -1 is none.
"""


@attrs.frozen(eq=False)
class Laid:
    """The strips of one site in one group and inference: from which task on, and how many."""

    work: SitePass
    first: int
    repeat: int


@attrs.frozen(eq=False)
class Program:
    """A task table and the meaning of its numbers."""

    placement: Placement
    resources: tuple[Instances, ...]
    """What the table's resource numbers stand for."""
    tasks: Tasks
    columns: dict[str, NDArray[np.generic]]
    charges: tuple[tuple[Charge, ...], ...]
    """What the table's charge numbers stand for."""
    rounded: tuple[str, ...]
    """Times that whole cycles change by more than 1 %, a sentence each."""
    aside: Mapping[int, tuple[tuple[Instances, int], ...]]
    """Per tile, the parts that work in each of its products without a task of their own, and their
    busy cycles."""
    preloaded: bool
    """Whether the weights are written before the run, outside the table."""
    laid: tuple[Laid, ...]
    """Where each site's work lies in the table."""
    assumed: tuple[str, ...]
    """What the program had to fill in, a sentence each."""


def program(
    placement: Placement,
    *,
    batch: int = 1,
    weights: str = "preloaded",
    progress: Progress | None = None,
) -> Program:
    """Write the program of `batch` inferences, layer by layer.

    `weights`: `preloaded` leaves the writing out where all weights fit at once; `cold` begins with
    it. Where they do not fit, every group is written in turn either way.
    """
    return _Writer(placement, progress).run(batch, weights)


def load_program(placement: Placement) -> Program:
    """Write the program that loads all weights of the first group, and nothing else."""
    return _Writer(placement, None).load()


class _Writer:
    def __init__(self, placement: Placement, progress: Progress | None) -> None:
        self.placement = placement
        self.context = Context(placement)
        self.loads = Loads(self.context)
        used = {plan.pool.path: plan.wiring for plan in placement.plans}
        self.products = {path: Products(w, self.context.note) for path, w in used.items()}
        self.builder = TableBuilder(columns=COLUMNS)
        self.strips: dict[tuple[int, int], SitePass] = {}
        self.laid: list[Laid] = []
        self.progress = progress

    def load(self) -> Program:
        self._load(0, [], 0)
        return self._program(preloaded=True)

    def run(self, batch: int, weights: str) -> Program:
        groups = max(1, self.placement.groups)
        preloaded = groups == 1 and weights == "preloaded"
        order = ((g, i) for g in range(groups) for i in range(batch))
        if groups > 1 and not self._spill_fits(batch):
            order = ((g, i) for i in range(batch) for g in range(groups))
        held = 0 if preloaded else -1
        barrier: list[int] = []
        for step, (group, inference) in enumerate(order):
            if self.progress is not None:
                self.progress("program", step / (groups * batch))
            if group != held:
                barrier = self._load(group, barrier, inference)
                held = group
            barrier = self._group(group, inference, barrier)
            self._limit(len(self.builder) * (batch if step == 0 else 1))
        return self._program(preloaded=preloaded)

    def _limit(self, tasks: int) -> None:
        if tasks > MOST_TASKS:
            raise DescriptionError(
                Diagnostic(
                    "E244",
                    f"the run has {tasks} tasks or more, more than the {MOST_TASKS} that are held",
                    helps=("simulate fewer inferences, or a part of the network",),
                )
            )

    def _spill_fits(self, batch: int) -> bool:
        """Whether all inferences of a batch can wait for the next group at once."""
        if batch == 1:
            return True
        groups = [self._plans[g] for g in sorted(self._plans)]
        boundaries = [
            (before[-1].site.index, after[0].site.index) for before, after in pairwise(groups)
        ]
        return self.placement.rooms.all_fit(batch, boundaries)

    def _load(self, group: int, barrier: list[int], inference: int) -> list[int]:
        tiles = self._tiles.get(group, [])
        writes = self.loads.add(self.builder, tiles, barrier, group, inference)
        return [self._join(writes, group, inference)] if writes else barrier

    def _join(self, numbers: list[int], group: int, inference: int) -> int:
        return self.builder.join(numbers, columns={"group": group, "inference": inference})

    def _group(self, group: int, inference: int, barrier: list[int]) -> list[int]:
        if group == 0:
            barrier = self._inputs(inference, barrier)
        for plan in self._plans.get(group, ()):
            barrier = self._site(plan, group, inference, barrier)
        return barrier

    @cached_property
    def _plans(self) -> dict[int, list[Plan]]:
        """Per group the sites with work in it: digital ones with the matrix site before them."""
        chosen: dict[int, list[Plan]] = {}
        current = 0
        for plan in self.placement.plans:
            for group in plan.groups or (current,):
                chosen.setdefault(group, []).append(plan)
                current = group
        return chosen

    @cached_property
    def _tiles(self) -> dict[int, list[int]]:
        """Per group the tiles loaded for it."""
        resident = self.placement.tiles.resident
        order = np.argsort(resident, kind="stable")
        groups, first = np.unique(resident[order], return_index=True)
        parts = np.split(order, first[1:])
        return {int(g): part.tolist() for g, part in zip(groups, parts, strict=False)}

    def _inputs(self, inference: int, barrier: list[int]) -> list[int]:
        """Bring the network's inputs to their homes, row by row."""
        tensors = self.placement.network.tensors
        by_rows: dict[int, Strip] = {}
        for source, store in self.placement.inputs:
            rows = map_rows(tensors[source.tensor])
            strip = by_rows.setdefault(rows, Strip(0, 1))
            bits = -(-tensors[source.tensor].elements // rows) * store.bits
            slots = self.context.transfer(strip.row, store.way, bits, "input", -1)
            strip.first_rows += slots[:1]
        done: list[int] = []
        for rows, strip in by_rows.items():
            done += self._append(strip, rows, -1, 0, inference, barrier)
        return done or barrier

    def _site(self, plan: Plan, group: int, inference: int, barrier: list[int]) -> list[int]:
        key = (plan.site.index, group)
        if key not in self.strips:
            site_pass = SitePass(self.context, self.products[plan.pool.path], plan, group)
            site_pass.build()
            self.strips[key] = site_pass
        work = self.strips[key]
        self.laid.append(Laid(work, len(self.builder) + (len(barrier) > 1), work.strips))
        return self._append(work.strip, work.strips, plan.site.index, group, inference, barrier)

    def _append(
        self, strip: Strip, repeat: int, site: int, group: int, inference: int, barrier: list[int]
    ) -> list[int]:
        if not strip.size:
            return barrier
        if len(barrier) > 1:
            barrier = [self._join(barrier, group, inference)]
        self._limit(len(self.builder) + repeat * strip.size)
        after = strip.after(barrier[0]) if barrier else ()
        first = self.builder.append(
            strip.block(repeat, operation=site, group=group, inference=inference),
            repeat,
            after=after,
        )
        last = first + (repeat - 1) * strip.size
        return [self._join([last + end for end in strip.ends()], group, inference)]

    def _program(self, *, preloaded: bool) -> Program:
        context = self.context
        self.builder.periods = tuple((p.numerator, p.denominator) for p in context.periods)
        tasks = self.builder.build()
        resources, numbers = disjoint(context.resources, tasks.resource)
        tasks = attrs.evolve(tasks, resource=numbers)
        columns = {name: self.builder.column(name) for name in COLUMNS}
        return Program(
            self.placement, tuple(resources), tasks, columns, tuple(context.charges),
            tuple(self._rounded()), self._asides(), preloaded, tuple(self.laid),
            tuple(context.assumed),
        )  # fmt: skip

    def _asides(self) -> dict[int, tuple[tuple[Instances, int], ...]]:
        return {
            tile: each.product.aside
            for work in self.strips.values()
            for tile, each in work.arrays.items()
        }

    def _rounded(self) -> list[str]:
        clock = self.context.clock
        return [
            f"{what} takes {float(seconds * clock):.6g} cycles, counted as {cycles}"
            for what, (seconds, cycles) in self.context.rounded.items()
        ]
