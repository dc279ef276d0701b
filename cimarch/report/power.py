"""Power over time: what a recorded run draws, in equal stretches, by the kind of the parts.

The energy of a task is spread evenly over the cycles that it holds its part. A task that is charged
all reads or all conversions of a product stands for all of them: its energy is spread from the
first read on, or up to the last conversion, over as many cycles as lie between the first and the
last. What is paid for time is spread evenly over the run. So the stretches times their width are
the energy of the run again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine.outcome import Outcome
from cimarch.engine.pieces import Piece
from cimarch.engine.tasks import JOIN, Ints
from cimarch.program.context import KIND
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program
from cimarch.report.slices import count_tasks

if TYPE_CHECKING:
    import pandas

Floats = NDArray[np.floating[Any]]

STRETCHES = 1000
"""Of a run, as far as it has as many cycles."""
MOST_DRAWN = 20_000_000
"""Tasks of a run whose power is told."""
AT_ONCE = 1_000_000
"""Tasks looked at together."""


@attrs.frozen(eq=False)
class Drawn:
    """What a run draws over time."""

    width: float
    """Seconds of a stretch."""
    kinds: tuple[str, ...]
    """Of parts, in order of declaration: those that were charged something."""
    watts: Floats
    """(stretches, kinds): the mean of each stretch, of what was done."""
    static: float
    """W all the time: what is paid for time, over the time of the run."""
    peak: float
    """W: the most that is drawn in any cycle."""

    @property
    def total(self) -> Floats:
        """W of each stretch, all together."""
        whole: Floats = self.watts.sum(axis=1) + self.static
        return whole

    @property
    def starts(self) -> Floats:
        """Seconds at which each stretch begins."""
        return np.arange(len(self.watts)) * self.width

    @property
    def dynamic_joules(self) -> float:
        """Energy of what was done."""
        return float(self.watts.sum() * self.width)

    def columns(self) -> dict[str, Floats]:
        """By name: `seconds`, the watts of each kind, `static` and `total`."""
        kinds = {f"{kind}_W": self.watts[:, place] for place, kind in enumerate(self.kinds)}
        static = np.full(len(self.watts), self.static)
        return {"seconds": self.starts, **kinds, "static_W": static, "total_W": self.total}

    def to_pandas(self) -> pandas.DataFrame:
        """The columns as a DataFrame; ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        return pandas.DataFrame(self.columns())

    def to_csv(self) -> str:
        """The columns as CSV."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns())
        writer.writerows(zip(*(c.tolist() for c in self.columns().values()), strict=True))
        return file.getvalue()


def check_drawable(program: Program) -> None:
    """Find before a run that it has too many tasks for its power over time."""
    tasks = count_tasks(program)
    if tasks > MOST_DRAWN:
        raise DescriptionError(
            Diagnostic(
                "E245",
                f"the run has {tasks} tasks, more than the {MOST_DRAWN} whose power is told",
                helps=("run fewer inferences (`--batch`), or a network with fewer layers",),
            )
        )


def drawn(program: Program, outcome: Outcome, ledger: Ledger, stretches: int = STRETCHES) -> Drawn:
    """The power of a run that was recorded; actions of unknown cost count as nothing."""
    clock, makespan = program.placement.system.clock, outcome.makespan
    kinds, prices = _prices(program)
    count = max(1, min(stretches, makespan))
    bins = _Bins(makespan, count)
    spent = np.zeros((count, len(kinds)))
    starts, ends, watts = [], [], []
    for start, end, charge in _tasks(program, outcome):
        for place in range(len(kinds)):
            spent[:, place] += bins.spread(start, end, prices[charge, place])
        starts.append(start)
        ends.append(end)
        watts.append(prices[charge].sum(axis=1) / (end - start))
    static = float(ledger.static_watts)
    width = float(Fraction(makespan, count) / clock)
    peak = _peak(starts, ends, watts) * float(clock)
    return Drawn(width, kinds, spent / width if width else spent, static, peak + static)


def _prices(program: Program) -> tuple[tuple[str, ...], Floats]:
    """The kinds of part that are charged, and the joules of each bundle of charges by kind."""
    kind_of = {part.path: part.kind for part in program.placement.system.walk()}
    charged = {kind_of[c.part] for charges in program.charges for c in charges if c.joules}
    kinds = tuple(dict.fromkeys(kind for kind in kind_of.values() if kind in charged))
    prices = np.zeros((len(program.charges), len(kinds)))
    for number, charges in enumerate(program.charges):
        for each in charges:
            if each.joules:
                prices[number, kinds.index(kind_of[each.part])] += float(each.joules)
    return kinds, prices


def _tasks(program: Program, outcome: Outcome) -> Iterator[tuple[Ints, Ints, Ints]]:
    """First cycle, cycle behind the last, and bundle of charges of tasks that cost something."""
    timeline = outcome.timeline
    assert timeline is not None, "the run was not recorded"
    shares = _shares(program)
    for number, piece in enumerate(program.work.pieces):
        begin = int(program.work.first[number])
        charge = _charges(program, piece)
        before, after = _spans(piece, shares)
        slots = np.flatnonzero((piece.template.resource != JOIN) & (charge > 0))
        blocks = max(1, AT_ONCE // max(1, len(slots)))
        for first in range(0, piece.repeat, blocks):
            block = np.arange(first, min(first + blocks, piece.repeat))
            at = (block[:, None] * len(piece.template) + slots).ravel()
            at = at[at < len(piece)]
            slot = at % len(piece.template)
            start = timeline.start[begin + at]
            end = start + piece.template.busy[slot]
            early = np.minimum(start, np.maximum(0, end - before[slot]))
            # what is held beyond the last event is spent before it
            late = np.minimum(np.maximum(end, start + after[slot]), outcome.makespan)
            yield early, late, charge[slot]


@attrs.frozen
class _Shares:
    """Cycles that all reads of a product take, and all its conversions."""

    reads: int
    conversions: int

    def span(self, kind: int, busy: int) -> int:
        """Cycles from the first to the last of a product's reads, or conversions, that take `busy`
        each: one after the other, or as the other ones let them."""
        own, other = self.reads, self.conversions
        if kind == KIND["convert"]:
            own, other = other, own
        count = max(1, round(own / busy))
        return max(own, busy + other * (count - 1) // count)


def _shares(program: Program) -> dict[int, _Shares]:
    """Those of the products of each tile whose sums are converted."""
    found = {}
    for tile, aside in program.aside.items():
        wiring = program.placement.wirings[int(program.placement.tiles.pool[tile])]
        cycles = {at.path: busy for at, busy in aside}
        if wiring.converter is not None and wiring.converter.path in cycles:
            found[tile] = _Shares(cycles[wiring.pool.path], cycles[wiring.converter.path])
    return found


def _spans(piece: Piece, shares: Mapping[int, _Shares]) -> tuple[Ints, Ints]:
    """Of each slot of a piece: cycles before its end, or after its start, that it stands for."""
    template = piece.template
    before, after = np.zeros((2, len(template)), np.int64)
    if "kind" in template.columns and "tile" in template.columns:
        kinds, tiles = template.columns["kind"], template.columns["tile"]
        for slot in np.flatnonzero(np.isin(kinds, (KIND["read"], KIND["convert"]))).tolist():
            kind, tile, busy = int(kinds[slot]), int(tiles[slot]), int(template.busy[slot])
            if tile in shares:
                side = before if kind == KIND["convert"] else after
                side[slot] = shares[tile].span(kind, busy)
    return before, after


def _charges(program: Program, piece: Piece) -> Ints:
    """The bundle of charges of each slot of a piece."""
    if "charge" in piece.template.columns:
        return piece.template.columns["charge"].astype(np.int64)
    given = piece.columns.get("charge", int(program.work.defaults["charge"]))
    return np.full(len(piece.template), given, np.int64)


@attrs.frozen
class _Bins:
    """Equal stretches of a run, in cycles."""

    makespan: int
    count: int

    def spread(self, start: Ints, end: Ints, joules: Floats) -> Floats:
        """Joules of tasks by stretch, each spread evenly over its cycles."""
        first = start * self.count // self.makespan
        last = (end * self.count - 1) // self.makespan  # a cycle may lie on two stretches
        inside = first == last
        found = self._added(first[inside], joules[inside])
        long, begin, over = ~inside, first[~inside], last[~inside]
        each = joules[long] / (end[long] - start[long])
        found += self._added(begin, each * (self._edge(begin + 1) - start[long]))
        found += self._added(over, each * (end[long] - self._edge(over)))
        steps = self._added(begin + 1, each) - self._added(over, each)
        whole: Floats = found + np.cumsum(steps) * (self.makespan / self.count)
        return whole

    def _edge(self, number: Ints) -> Floats:
        edge: Floats = number * (self.makespan / self.count)
        return edge

    def _added(self, places: Ints, values: Any) -> Floats:
        added = np.bincount(places, weights=values, minlength=self.count)
        return added[: self.count].astype(np.float64)


def _peak(starts: list[Ints], ends: list[Ints], joules: list[Floats]) -> float:
    """The most joules a cycle of what goes on at one time."""
    if not starts:
        return 0.0
    times = np.concatenate((*ends, *starts))
    changes = np.concatenate((*(-each for each in joules), *joules))
    order = np.argsort(times, kind="stable")
    when, level = times[order], np.cumsum(changes[order])
    last = np.flatnonzero(np.diff(when, append=-1) != 0)
    return float(max(0.0, level[last].max(initial=0.0)))
