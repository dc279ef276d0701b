"""What buffers hold over a run: rows of tensors, from their store until all readers are done.

A row is held from the cycle in which its first store begins (it waits for room before that), or
where storing takes no time, from when it is made; what nobody brings is there as far as it has
room. In a pipeline it is held until every reader that
finds it there has freed it; layer by layer, until all layers that read the tensor there are over.
What streams through a home row by row counts as the rows that one row of results needs, while the
layer runs. Results that stay on the chip are held to the end of their inference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil

import attrs
import numpy as np

from cimarch.engine.outcome import NEVER
from cimarch.engine.tasks import Ints, Timeline
from cimarch.hardware.routes import Instances
from cimarch.mapping.homes import Home, receptive_rows
from cimarch.mapping.sites import map_rows
from cimarch.program.program import Program
from cimarch.program.sketch import FREED, LATER_OPERANDS, MADE, OPERANDS, PASSED, READS, ROOM, TAKEN
from cimarch.report.counters import Counter, counter
from cimarch.report.slices import FOREVER
from cimarch.report.stretches import Stretch, stretches

BITS = Fraction(8)
"""Of a byte."""

Held = tuple[Ints, Ints, Ints]
"""Begin, end and bits of what one member of a home holds, a row each."""


def occupancy(program: Program, timeline: Timeline) -> list[Counter]:
    """Bytes held in every buffer that is a home, one counter for members that hold the same."""
    holds = _Holds(program, timeline)
    homes: dict[str, dict[Home, Held]] = {}
    for home, readers in holds.homes.items():
        homes.setdefault(home.path, {})[home] = holds.of(home, readers)
    for home, share in holds.results.items():
        homes.setdefault(home.path, {})[home] = holds.of_results(home, share)
    return [
        each
        for part in program.placement.system.walk()
        for each in _counters(homes.get(part.path, {}))
    ]


def _counters(homes: Mapping[Home, Held]) -> Iterator[Counter]:
    """Counters of one buffer: its members split where the homes differ."""
    edges = sorted({edge for home in homes for edge in (home.lo, home.hi)})
    for lo, hi in pairwise(edges):
        here = [held for home, held in homes.items() if home.lo <= lo and hi <= home.hi]
        if here:
            begin, end, bits = (np.concatenate(each) for each in zip(*here, strict=True))
            at = str(Instances(next(iter(homes)).path, lo, hi))
            yield counter(at, "bytes", (end, begin), (-bits, bits), BITS)


@attrs.frozen(eq=False)
class _Holds:
    """Finds when the rows of a tensor are stored and freed."""

    program: Program
    timeline: Timeline

    @cached_property
    def homes(self) -> dict[Home, list[tuple[int, int]]]:
        """Each home with its readers: (site, position in the site)."""
        found: dict[Home, dict[tuple[int, int], None]] = {}
        for plan in self.program.placement.plans:
            for position, home in plan.read_homes():
                found.setdefault(home, {})[plan.site.index, position] = None
        return {home: list(readers) for home, readers in found.items()}

    @cached_property
    def results(self) -> dict[Home, Fraction]:
        """Where results stay that nothing takes off the chip, each with its share of them."""
        placement = self.program.placement
        found: dict[Home, Fraction] = {}
        for plan in placement.plans:
            tensor = plan.site.result
            kept = {
                (h.path, i) for h in self.homes if h.tensor == tensor for i in range(h.lo, h.hi)
            }
            for flow in plan.flows:
                outputs = [block.outputs for block in plan.blocks]
                share = Fraction(1)
                if outputs:
                    share = Fraction(sum(outputs[block] for block in flow.blocks), sum(outputs))
                for store in flow.stores:
                    at = store.at
                    part = placement.system.part(at.path)
                    if part.kind == "buffer" and (at.path, at.lo) not in kept:
                        home = Home(tensor, at.path, at.lo, at.hi, store.bits, True)
                        found[home] = min(Fraction(1), found.get(home, Fraction(0)) + share)
        return found

    @cached_property
    def stretches(self) -> list[Stretch]:
        """The pieces that make and read rows."""
        return stretches(self.program)

    @cached_property
    def batch(self) -> int:
        """Inferences of the run."""
        return len(self.program.finishes)

    def of(self, home: Home, readers: list[tuple[int, int]]) -> Held:
        """What a home holds, and when."""
        if not home.whole:
            return self._streamed(home, readers)
        tensor = self.program.placement.network.tensors[home.tensor]
        height = map_rows(tensor)
        freed = np.full((self.batch, height), NEVER)
        for site, position in readers:
            for stretch in self.stretches:
                if stretch.site == site:
                    mine = slice(stretch.first, stretch.first + stretch.inferences)
                    read = self._freed(stretch, home.tensor, position, height)
                    freed[mine] = np.maximum(freed[mine], read)
        begin = self._stored(home.tensor, height)
        begin = np.where(begin == FOREVER, self._found(home, readers, freed), begin)
        end = np.maximum(freed, begin)
        bits = np.full(begin.size, -(-tensor.elements * home.bits // height))
        return begin.reshape(-1), end.reshape(-1), bits

    def of_results(self, home: Home, share: Fraction) -> Held:
        """Results that stay: to the end of their inference, or until the next one's row comes."""
        tensor = self.program.placement.network.tensors[home.tensor]
        height = map_rows(tensor)
        begin = self._stored(home.tensor, height)
        over = self.timeline.finish[self.program.work.first[list(self.program.finishes)]]
        following = np.concatenate((begin[1:], np.full((1, height), FOREVER)))
        end = np.maximum(begin, np.minimum(following, over[:, None]))
        bits = np.full(begin.size, ceil(share * tensor.elements * home.bits / height))
        return begin.reshape(-1), end.reshape(-1), bits

    def _streamed(self, home: Home, readers: list[tuple[int, int]]) -> Held:
        """The rows that each reader needs at once, while its site runs."""
        found = [
            (*self._extent(stretch), self._window(home, site, position))
            for site, position in readers
            for stretch in self.stretches
            if stretch.site == site
        ]
        begin, end, bits = np.array(found, np.int64).T
        return begin, end, bits

    def _window(self, home: Home, site: int, position: int) -> int:
        """Bits of a streamed tensor that a reader has room for."""
        placement = self.program.placement
        (plan,) = (plan for plan in placement.plans if plan.site.index == site)
        op = plan.site.operations[position]
        tensor = placement.network.tensors[home.tensor]
        height, whole = map_rows(tensor), tensor.elements * home.bits
        rows = receptive_rows(op, height) if position == 0 else 1
        least = min(whole, rows * -(-whole // height)) if rows else whole
        ahead = home.ahead if plan.site.is_matrix and position == 0 else 0
        return least + ahead * -(-whole // op.window_rows)

    def _extent(self, stretch: Stretch) -> tuple[int, int]:
        first = int(self.program.work.first[stretch.number])
        mine = slice(first, first + len(stretch.piece))
        return int(self.timeline.start[mine].min()), int(self.timeline.finish[mine].max())

    # Rows that are stored

    def _stored(self, tensor: str, height: int) -> Ints:
        """(inferences, rows): when a row begins to be stored; never, where nobody makes it."""
        begin = np.full((self.batch, height), FOREVER)
        for stretch in self.stretches:
            if tensor in stretch.makes:
                mine = slice(stretch.first, stretch.first + stretch.inferences)
                begin[mine] = np.minimum(begin[mine], self._stores(stretch, height))
        return begin

    def _found(self, home: Home, readers: list[tuple[int, int]], freed: Ints) -> Ints:
        """(inferences, rows): from when there is what nobody makes.

        From the begin, as far as the home has room for rows; each further row takes the place of
        the last one freed before it, or comes when its first reader begins.
        """
        begin = np.zeros_like(freed)
        if home.rows:
            order = np.maximum.accumulate(freed.reshape(-1))
            before = np.concatenate((np.zeros(home.rows, np.int64), order))
            begin = before[: freed.size].reshape(freed.shape)
        sites = {site for site, _ in readers}
        for inference in range(1, len(freed)):
            first = min(
                self._extent(stretch)[0]
                for stretch in self.stretches
                if stretch.site in sites
                and stretch.first <= inference < stretch.first + stretch.inferences
            )
            begin[inference] = np.maximum(begin[inference], first)
            if not home.rows:
                begin[inference] = np.maximum(begin[inference], freed[inference - 1])
        return begin

    def _stores(self, stretch: Stretch, height: int) -> Ints:
        """(inferences, rows): the first start of a row's stores, or when the row is made."""
        laid, piece = stretch.laid, stretch.piece
        each = laid.strip.strips
        number = np.arange(stretch.total)
        begin = np.full(stretch.total, FOREVER)
        first = int(self.program.work.first[stretch.number])
        for (purpose, row), gate in laid.gates.items():
            if purpose == ROOM:
                mine = number[number % each == row // laid.strip.joined]
                slots = piece.template.opens[piece.template.opens[:, 1] == gate, 0]
                at = first + (mine // each)[:, None] * len(laid) + slots
                begin[mine] = np.minimum(begin[mine], self.timeline.start[at].min(axis=1))
        begin = np.where(begin == FOREVER, self._signal(stretch, MADE, number), begin)
        strips = begin.reshape(stretch.inferences, stretch.strips)
        ends = (np.arange(stretch.strips) + 1) * height // stretch.strips
        return strips[:, np.searchsorted(ends, np.arange(height), side="right")]

    # Rows that are freed

    def _freed(self, stretch: Stretch, tensor: str, position: int, height: int) -> Ints:
        """(inferences, rows): when a reader has no more need of a row."""
        reaches = [
            reach
            for reach in self.program.placement.reaches.get(stretch.site, ())
            if reach.source.tensor == tensor and reach.position == position
        ]
        found = np.full((stretch.inferences, height), NEVER)
        for reach in reaches:
            frees = np.maximum.accumulate(reach.frees)
            by = np.searchsorted(frees, np.arange(height), side="right")
            turn = np.arange(stretch.inferences)[:, None] * len(frees)
            purpose = READS
            if position:
                purpose = LATER_OPERANDS if reach.per_strip else OPERANDS
            found = np.maximum(found, self._signal(stretch, _TELLS[purpose], turn + by))
        if not reaches:
            last = (np.arange(stretch.inferences)[:, None] + 1) * stretch.strips - 1
            found = np.maximum(found, self._signal(stretch, MADE, last))
        return found

    def _signal(self, stretch: Stretch, signal: int, numbers: Ints) -> Ints:
        """When a signal is told for some rows (or strips), counted over all inferences."""
        laid = stretch.laid
        told = sorted(number for each, number in laid.signal_at if each == signal)
        if not told:
            return self._signal(
                stretch, MADE, numbers // laid.strip.joined if signal != PASSED else numbers
            )
        each = laid.strip.strips if signal in (MADE, PASSED) else laid.strip.rows
        block, index = np.divmod(numbers, each)
        place = np.minimum(np.searchsorted(told, index), len(told) - 1)
        slots = np.array([laid.signal_at[signal, number] for number in told])
        first = int(self.program.work.first[stretch.number])
        told_at: Ints = self.timeline.finish[first + block * len(laid) + slots[place]]
        return told_at


_TELLS = {READS: FREED, OPERANDS: TAKEN, LATER_OPERANDS: PASSED}
"""The signal that what a gate waits for is read."""
