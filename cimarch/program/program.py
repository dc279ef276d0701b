"""The program of a run: pieces of work for all inferences, and what their tasks are charged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import chain

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.engine.expand import expand
from cimarch.engine.pieces import Piece, Template, Work
from cimarch.engine.tasks import Tasks
from cimarch.hardware.routes import Instances
from cimarch.mapping.placement import Placement, Plan
from cimarch.program.charges import Charge
from cimarch.program.context import (
    MOST_HELD,
    MOST_PIECES,
    Context,
    Options,
    disjoint,
    too_many,
)
from cimarch.program.kept import Kept
from cimarch.program.loads import Loads
from cimarch.program.passes import SitePass
from cimarch.program.streams import Brought, Draft, End, Stream, last_products

Progress = Callable[[str, float], None]

COLUMNS: dict[str, np.integer] = {
    "kind": np.int8(0),
    "operation": np.int32(-1),
    "tile": np.int32(-1),
    "charge": np.int32(0),
    "group": np.int32(0),
    "inference": np.int32(-1),
    "step": np.int16(0),
}
"""The columns of the tasks beside those of the engine, with their defaults.

`kind` indexes `context.KINDS`, `operation` the placement's sites, `step` the site's operations,
`tile` its tiles, `charge` the program's charges; -1 is none, for `inference` that it is not one's.
"""


@attrs.frozen(eq=False)
class Placed:
    """The piece that does one site's work in one group."""

    work: SitePass
    piece: int


@attrs.frozen(eq=False)
class Program:
    """Pieces of tasks and the meaning of their numbers."""

    placement: Placement
    resources: tuple[Instances, ...]
    """What the resource numbers stand for."""
    work: Work
    charges: tuple[tuple[Charge, ...], ...]
    """What the charge numbers stand for."""
    rounded: tuple[str, ...]
    """Times that whole cycles change by more than 1 %, a sentence each."""
    aside: Mapping[int, tuple[tuple[Instances, int], ...]]
    """Per tile, the parts that work in each of its products without a task of their own, and their
    busy cycles."""
    preloaded: bool
    """Whether the weights are written before the run, outside the pieces."""
    placed: tuple[Placed, ...]
    """Which pieces do the work of the sites."""
    loads: tuple[int, ...]
    """Which pieces write weights."""
    finishes: tuple[int, ...]
    """Per inference the piece that is over when all of it is."""
    assumed: tuple[str, ...]
    """What the program had to fill in, a sentence each."""
    brought: tuple[Brought, ...] = ()
    """Which pieces bring the network's inputs."""
    keys: Mapping[int, int] = attrs.field(factory=dict)
    """Per tile that an operand is written into, how many of its keys an inference writes there."""

    @cached_property
    def tasks(self) -> Tasks:
        """All tasks, and behind them all gates, as one table."""
        nodes = int(self.work.first_gate[-1])
        if nodes > MOST_HELD:
            raise too_many(nodes, MOST_HELD, "tasks to be held at once")
        return expand(self.work)

    @cached_property
    def columns(self) -> Mapping[str, NDArray[np.generic]]:
        """The further columns of that table, by name."""
        return {name: self.work.column(name) for name in COLUMNS}


def program(
    placement: Placement,
    *,
    batch: int = 1,
    weights: str = "preloaded",
    options: Options | None = None,
    progress: Progress | None = None,
    kept: Kept | None = None,
) -> Program:
    """Write the program of `batch` inferences, by the schedule of the placement.

    `weights`: `preloaded` leaves the writing out where all weights fit at once; `cold` begins with
    it. Where they do not fit, every group is written in turn either way. `kept` is what earlier
    programs of the same system and wirings leave to this one.
    """
    return _Writer(placement, progress, options, kept).run(batch, weights)


def load_program(placement: Placement, kept: Kept | None = None) -> Program:
    """Write the program that loads all weights of the first group, and nothing else."""
    return _Writer(placement, kept=kept).load()


class _Writer:
    def __init__(
        self,
        placement: Placement,
        progress: Progress | None = None,
        options: Options | None = None,
        kept: Kept | None = None,
    ) -> None:
        self.placement = placement
        self.context = Context(placement, options, kept)
        self.loader = Loads(self.context)
        self.passes: dict[tuple[int, int], SitePass] = {}
        self.drafts: list[Draft] = []
        self.placed: list[Placed] = []
        self.loads: list[int] = []
        self.brought: list[Brought] = []
        self.finishes: dict[int, int] = {}
        self.used: dict[tuple[str, int], tuple[End, ...]] = {}
        """(pool, array) -> the ends of its last product so far, where loads wait only for these."""
        self.progress = progress

    def load(self) -> Program:
        self._load(0, ())
        return self._program(preloaded=True)

    def run(self, batch: int, weights: str) -> Program:
        groups = max(1, self.placement.groups)
        pieces = batch * max(groups, len(self.placement.plans))
        if pieces > MOST_PIECES:
            raise too_many(pieces, MOST_PIECES, "pieces of work")
        preloaded = groups == 1 and weights == "preloaded"
        turns = [(group, range(batch)) for group in range(groups)]
        if groups > 1 and not self._spill_fits(batch):
            turns = [(g, range(i, i + 1)) for i in range(batch) for g in range(groups)]
        if self.placement.schedule == "pipeline":
            self.context.together = len(turns[0][1])
        held = 0 if preloaded else -1
        barrier: tuple[End, ...] = ()
        for step, (group, inferences) in enumerate(turns):
            if self.progress is not None:
                self.progress("program", step / len(turns))
            written: Mapping[int, End] = {}
            if group != held:
                barrier, written = self._load(group, barrier)
                held = group
            barrier = self._group(group, inferences, barrier, written)
        return self._program(preloaded=preloaded)

    def _spill_fits(self, batch: int) -> bool:
        """Whether all inferences of a batch can wait for the next group at once."""
        return batch == 1 or self.placement.rooms.all_fit(batch, self.placement.boundaries)

    def _load(
        self, group: int, barrier: tuple[End, ...]
    ) -> tuple[tuple[End, ...], Mapping[int, End]]:
        """Write the weights of a group; what the group waits for, and each of its sites."""
        tiles = self._tiles.get(group, [])
        if not tiles:
            return barrier, {}
        overlapping = self.context.options.overlap and bool(self.loads)
        before = (self._end_of_load(),) if overlapping else barrier
        load = self.loader.load(tiles, group, before, self.used if overlapping else {})
        self.drafts.append(load.draft)
        self.loads.append(len(self.drafts) - 1)
        if not overlapping:
            return (self._end_of_load(),), {}
        piece = len(self.drafts) - 1
        return barrier, {site: End(piece, slot, 0) for site, slot in load.done.items()}

    def _end_of_load(self) -> End:
        """The end of the load written last: all its writes are over."""
        piece = self.loads[-1]
        return End(piece, len(self.drafts[piece].template) - 1, 0)

    def _group(
        self,
        group: int,
        inferences: range,
        barrier: tuple[End, ...],
        written: Mapping[int, End],
    ) -> tuple[End, ...]:
        """All that is done while a group is resident, of some inferences."""
        passes = [self._pass(plan, group) for plan in self.placement.resident(group)]
        inputs = group == 0
        stream = Stream(self.context, self.drafts, group, barrier, written)
        together = [inferences]
        if self.placement.schedule == "layers":
            together = [range(i, i + 1) for i in inferences]
        for chosen in together:
            for work, piece in stream.run(passes, chosen, inputs=inputs):
                self.placed.append(Placed(work, piece))
                if self.context.options.overlap:
                    self.used |= last_products(work, piece, self.drafts[piece])
            self.finishes |= stream.finishes
        self.brought += stream.brought
        return stream.barrier

    def _pass(self, plan: Plan, group: int) -> SitePass:
        key = (plan.site.index, group)
        if key not in self.passes:
            self.passes[key] = SitePass(self.context, plan, group)
        return self.passes[key]

    @cached_property
    def _tiles(self) -> dict[int, list[int]]:
        """Per group the tiles loaded for it: those of stored weights."""
        resident = self.placement.tiles.resident
        order = np.argsort(resident, kind="stable")
        order = order[~self.placement.written[order]]
        groups, first = np.unique(resident[order], return_index=True)
        parts = np.split(order, first[1:])
        return {int(g): part.tolist() for g, part in zip(groups, parts, strict=False)}

    def _program(self, *, preloaded: bool) -> Program:
        context = self.context
        resources, renumber = disjoint(context.resources)
        done: dict[int, Template] = {}
        for draft in self.drafts:
            held = draft.template.resource
            done.setdefault(
                id(draft.template), attrs.evolve(draft.template, resource=renumber[held])
            )
        pieces = tuple(
            Piece(done[id(d.template)], d.repeat, d.cut, tuple(d.links), d.columns)
            for d in self.drafts
        )
        periods = tuple((p.numerator, p.denominator) for p in context.periods)
        finishes = tuple(self.finishes[i] for i in sorted(self.finishes))
        return Program(
            self.placement, tuple(resources), Work(pieces, periods, COLUMNS),
            tuple(context.charges), tuple(self._rounded()), self._asides(), preloaded,
            tuple(self.placed), tuple(self.loads), finishes, tuple(context.assumed),
            tuple(self.brought), self._keys(),
        )  # fmt: skip

    def _asides(self) -> dict[int, tuple[tuple[Instances, int], ...]]:
        return dict(chain.from_iterable(work.asides() for work in self.passes.values()))

    def _keys(self) -> dict[int, int]:
        operands = [work.operand for work in self.passes.values() if work.operand is not None]
        return {tile: count for operand in operands for tile, count in operand.keys().items()}

    def _rounded(self) -> Iterator[str]:
        clock = self.context.clock
        for what, (seconds, cycles) in self.context.rounded.items():
            yield f"{what} takes {float(seconds * clock):.6g} cycles, counted as {cycles}"
