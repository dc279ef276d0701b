"""What all parts of a program share: resources by number, charges by number, time in cycles."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from math import ceil
from typing import TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine.tasks import JOIN
from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part, System
from cimarch.mapping.placement import Placement
from cimarch.mapping.wiring import Wiring
from cimarch.program.charges import Charge, beside
from cimarch.program.kept import Cycles, Efforts, Kept
from cimarch.program.products import Products
from cimarch.program.sketch import JOINING, Sketch, Slot
from cimarch.program.transfers import Transfer, Transfers

Hashed = TypeVar("Hashed", bound=Hashable)

KINDS = (
    "join", "fetch", "feed", "read", "convert", "product", "gather", "add", "unit", "store",
    "input", "load", "write",
)  # fmt: skip
"""What a task does; its number is its place here."""
KIND = {name: number for number, name in enumerate(KINDS)}

MOST_CYCLES = 2**50
"""The longest task."""
MOST_TASKS = 10**11
"""Of a run."""
MOST_HELD = 100_000_000
"""Tasks that are held at once: of all templates, or of a run laid out as one table."""
MOST_ROWS = 10_000_000
"""Of a piece."""
MOST_PIECES = 1_000_000
"""Of a run."""


@attrs.frozen
class Options:
    """How a program is written."""

    detail: str = "mvm"
    """`mvm`: reads and conversions of a product merge as far as nothing can come between them;
    `wordline`: each read and each burst is a task. The times are the same."""
    granularity: str = "product"
    """When the arrays of an operation begin a window: `operation`, all together when the inputs of
    all are there; `product`, each when its own are; `wordline`, each group of word lines when its
    own are."""

    @property
    def products(self) -> str:
        """The detail of products: groups of word lines that begin by themselves are told apart."""
        return "wordline" if self.granularity == "wordline" else self.detail

    overlap: bool = False
    """Whether an array is written anew as soon as its last product is over, not when all of the
    resident group is."""


class Numbers(dict[Hashed, int]):
    """Numbers from 0 on, by what they stand for: what is asked for anew gets the next one."""

    def __missing__(self, key: Hashed) -> int:
        number = self[key] = len(self)
        return number


class Context:
    """The registers of one program under construction."""

    def __init__(
        self, placement: Placement, options: Options | None = None, kept: Kept | None = None
    ) -> None:
        self.placement = placement
        self.kept = kept
        self.options = options or Options()
        self.system: System = placement.system
        self.wiring = placement.wiring
        self.routes = placement.wiring.routes
        self.clock = self.system.clock
        self.resources: Numbers[Instances] = Numbers()
        """Of a part's members, in the order in which they are met."""
        self.charges: Numbers[tuple[Charge, ...]] = Numbers({(): 0})
        self.periods: Numbers[Fraction] = Numbers({Fraction(1): 0})
        self.rounded: dict[str, tuple[Fraction, int]] = {}
        self.assumed: list[str] = []
        self.running = beside(placement)
        self.transfers = (
            Transfers(self.system, self.routes, self.running)
            if kept is None
            else kept.transfers(self.system, self.routes, self.running)
        )
        self.efforts: Efforts = {} if kept is None else kept.efforts(self.running)
        self._products: dict[str, Products] = {}
        self._numbered: dict[int, tuple[int, tuple[Charge, ...]]] = {}
        """Bundles by identity, so that one met again and again is not hashed each time."""
        self._periods: dict[tuple[str, bool], int] = {}
        self._crossed: dict[int, tuple[Slot, ...]] = {}
        """By the identity of a transfer, so that one met again and again is not looked at anew;
        so are `_ways` by that of its places, and `_costs` by that of its tolls."""
        self._ways: dict[int, list[tuple[int, int]]] = {}
        self._costs: dict[int, list[tuple[int, int, int]]] = {}
        self.together = 1
        """Inferences that are one stream of rows."""
        self.tasks = 0
        """Of all pieces so far."""
        self._cycles: Cycles = {} if kept is None else kept.cycles

    def assume(self, sentence: str) -> None:
        """Remember what the program had to fill in."""
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    def count(self, tasks: int, rows: int, held: int) -> None:
        """Count the tasks of a piece; raise DescriptionError where a run has too many."""
        self.tasks += tasks
        for found, most, what in (
            (self.tasks, MOST_TASKS, "tasks or more"),
            (rows, MOST_ROWS, "rows of one operation"),
            (held, MOST_HELD, "tasks to be held at once"),
        ):
            if found > most:
                raise too_many(found, most, what)

    def charge(self, charges: tuple[Charge, ...]) -> int:
        """The number of a bundle of charges."""
        known = self._numbered.get(id(charges))
        if known is None:
            known = self._numbered[id(charges)] = (self.charges[charges], charges)
        return known[0]

    def period(self, at: Instances, *, stage: bool) -> int:
        """The number of the period on whose multiples a task of a resource becomes ready.

        A stage (the first task of a transfer, of a product, a unit's or an adder's work) starts on
        the beat of the component it is in; any task of a part with its own clock on that clock.
        """
        known = self._periods.get((at.path, stage))
        if known is None:
            known = self._periods[at.path, stage] = self._period(self.part(at), stage=stage)
        return known

    def _period(self, part: Part | None, *, stage: bool) -> int:
        if part is None:
            return 0
        return self.periods[period_of(part, self.clock, stage=stage)]

    def products(self, wiring: Wiring) -> Products:
        """The products on the arrays of a pool."""
        known = self._products.get(wiring.pool.path)
        if known is None:
            detail = self.options.products
            known = self._products[wiring.pool.path] = (
                Products(wiring, self.note, detail)
                if self.kept is None
                else self.kept.products(wiring, detail)
            )
        return known

    def cycles(self, seconds: Fraction, what: str) -> int:
        """Whole cycles of an exact time, rounded up once; a change above 1 % is remembered."""
        whole = _counted(max(1, ceil(seconds * self.clock)))
        self.note(what, seconds, whole)
        return whole

    def note(self, what: str, seconds: Fraction, cycles: int) -> None:
        """Remember an exact time that its whole cycles change by more than 1 %."""
        # in whole numbers: exact > 0 and cycles - exact > exact / 100
        exact = seconds.numerator * self.clock.numerator
        parts = seconds.denominator * self.clock.denominator
        if exact > 0 and 100 * cycles * parts > 101 * exact and what not in self.rounded:
            self.rounded[what] = (seconds, cycles)

    def over(self, route: Route, bits: int) -> Transfer:
        """The transfer of `bits` along a route."""
        return self.transfers.over(route, bits)

    def crossed(self, transfer: Transfer) -> tuple[Slot, ...]:
        """The tasks of a transfer, one a hop, of no kind and no tile yet."""
        known = self._crossed.get(id(transfer))
        if known is None:
            known = self._crossed[id(transfer)] = tuple(
                Slot(resource, busy, latency, period, 0, -1, charged)
                for (resource, period), (busy, latency, charged) in zip(
                    self._ways_of(transfer), self._costs_of(transfer), strict=True
                )
            )
        return known

    def _ways_of(self, transfer: Transfer) -> list[tuple[int, int]]:
        """Per hop of a transfer: its resource and its period."""
        known = self._ways.get(id(transfer.ats))
        if known is None:
            known = self._ways[id(transfer.ats)] = [
                (self.resources[at], self.period(at, stage=not place))
                for place, at in enumerate(transfer.ats)
            ]
        return known

    def _costs_of(self, transfer: Transfer) -> list[tuple[int, int, int]]:
        """Per hop of a transfer: busy cycles, latency and what it is charged."""
        known = self._costs.get(id(transfer.tolls))
        if known is None:
            known = self._costs[id(transfer.tolls)] = [
                (*cycles, self.charge(toll.charges))
                for cycles, toll in zip(self._cycles_of(transfer), transfer.tolls, strict=True)
            ]
        return known

    def _cycles_of(self, transfer: Transfer) -> tuple[tuple[int, int], ...]:
        """Per hop of a transfer: busy cycles and latency.

        A part is held for its own words and hands the first one on; the last part is done when the
        slowest part's last word has come.
        """
        known = self._cycles.get(transfer.tolls)
        if known is None:
            tolls = transfer.tolls
            slowest = max((toll.tail for toll in tolls), default=Fraction(0))
            waits = [*[Fraction(0)] * (len(tolls) - 1), slowest]
            known = self._cycles[tolls] = tuple(
                (
                    self.cycles(toll.busy, f"a transfer over `{at.path}`"),
                    max(1, ceil((toll.head + wait) * self.clock)),
                )
                for at, toll, wait in zip(transfer.ats, tolls, waits, strict=False)
            )
        return known

    def part(self, at: Instances) -> Part | None:
        """The part of a resource; None for the wires of a connect line."""
        return None if " -> " in at.path else self.system.part(at.path)

    def transfer(
        self, sketch: Sketch, route: Route, bits: int, kind: str, tile: int, *after: int
    ) -> tuple[int, ...]:
        """Add a transfer to a sketch; the slots of its hops (empty where it takes no time)."""
        found: list[int] = []
        what = KIND[kind]
        for hop in self.crossed(self.over(route, bits)):
            number = sketch.add(hop.of(what, tile), *after)
            after = (number,)
            found.append(number)
        return tuple(found)

    def slot(
        self, at: Instances, busy: int, latency: int, kind: str, tile: int,
        charges: tuple[Charge, ...], *, stage: bool,
    ) -> Slot:  # fmt: skip
        """A task on a resource."""
        period = self.period(at, stage=stage)
        number = self.resources[at]
        if busy > MOST_CYCLES or latency > MOST_CYCLES:
            _counted(max(busy, latency))
        return Slot(number, busy, latency, period, KIND[kind], tile, self.charge(charges))

    def join(self, sketch: Sketch, *after: int) -> int:
        """Add a join to a sketch."""
        return sketch.add(JOINING, *after)


def period_of(part: Part, clock: Fraction, *, stage: bool) -> Fraction:
    """Cycles of the system's clock on whose multiples a part's tasks become ready: of `Context`."""
    if stage and part.beat is not None:
        return part.beat * clock
    return clock / part.clock if part.clock != clock else Fraction(1)


class Tree:
    """Transfers of the same data to several places, sharing the way to where a bus splits it."""

    def __init__(
        self, context: Context, sketch: Sketch, kind: str, tile: int, after: Sequence[int]
    ) -> None:
        self.context = context
        self.sketch = sketch
        self.kind = KIND[kind]
        self.tile = tile
        self.after = tuple(after)
        self.roots: list[int] = []
        """Slots of first hops."""
        self._shared: dict[tuple[Instances, ...], tuple[int, ...]] = {}

    def add(self, transfer: Transfer, later: Sequence[Transfer] = ()) -> tuple[int, ...]:
        """Add one destination; the slots of all its hops, shared ones included.

        `later` are the same transfer in later windows, later rows, and both, where it carries fewer
        bits there.
        """
        crossed = self.context.crossed(transfer)
        slots = list(self._sofar(transfer))
        for i in range(len(slots), len(crossed)):
            hop = crossed[i].of(self.kind, self.tile)
            number = self.sketch.add(hop, *(slots[-1:] or self.after))
            if later:
                others = (self.context.crossed(each)[i] for each in later)
                first, row, both = (other.of(self.kind, self.tile) for other in others)
                self.sketch.later[number] = (first, row, both)
            if i == 0:
                self.roots.append(number)
            slots.append(number)
            if i in transfer.shared:
                self._shared[transfer.ats[: i + 1]] = tuple(slots)
        return tuple(slots)

    def _sofar(self, transfer: Transfer) -> tuple[int, ...]:
        """The slots of the longest way, up to where it is handed to several, that was gone."""
        for place in reversed(transfer.shared if self._shared else ()):
            known = self._shared.get(transfer.ats[: place + 1])
            if known is not None:
                return known
        return ()


def too_many(found: int, most: int, what: str) -> DescriptionError:
    """The diagnostic for a run that is too large."""
    return DescriptionError(
        Diagnostic(
            "E244",
            f"the run has {found} {what}, more than {most}",
            helps=("simulate fewer inferences, or a part of the network",),
        )
    )


def too_many_at_once(what: str) -> DescriptionError:
    """The diagnostic for a run of which more is under way at once than can be remembered."""
    return DescriptionError(
        Diagnostic(
            "E244",
            f"the run does not fit this machine's memory: {what or 'it is too large'}",
            helps=("simulate fewer inferences, or a part of the network",),
        )
    )


def _counted(cycles: int) -> int:
    """The cycles of a task, where the engines can count them."""
    if cycles > MOST_CYCLES:
        raise DescriptionError(
            Diagnostic(
                "E243",
                f"one task would take {cycles} cycles, more than the {MOST_CYCLES} counted",
                helps=("check the times and the clock of the description",),
            )
        )
    return cycles


def disjoint(resources: dict[Instances, int]) -> tuple[list[Instances], NDArray[np.int32]]:
    """Unite resources of one part whose members overlap, so that no member is held twice.

    Returns the resources in order of their new numbers, and per old number the new one; the last
    entry is that of a join.
    """
    order = sorted(resources, key=lambda at: (at.path, at.lo, at.hi))
    united: list[Instances] = []
    renumber = np.empty(len(resources) + 1, np.int32)
    renumber[-1] = JOIN
    for at in order:
        if united and united[-1].path == at.path and at.lo < united[-1].hi:
            last = united[-1]
            united[-1] = Instances(at.path, last.lo, max(last.hi, at.hi))
        else:
            united.append(at)
        renumber[resources[at]] = len(united) - 1
    return united, renumber
