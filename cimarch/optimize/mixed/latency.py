"""Strips on so many arrays that reading them in turn takes no longer than it may.

Strips of several kernel positions on one array are read one after the other, and low ones lie more
densely: packed, a mix may take longer than all strips at the highest precision. Layers are then
given a limit of reads of an array (`Strips.reads`), one step at a time: the one that saves the most
reads, over all windows, for each array more, until an inference takes no more cycles than it may.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs

from cimarch.mapping.packing import Needed, needed
from cimarch.mapping.precision import Bits
from cimarch.mapping.tiling import Arrays
from cimarch.optimize.mixed.chip import Pools
from cimarch.optimize.mixed.choose import Levels, strips_of
from cimarch.optimize.mixed.pricing import Reads, Tilings


@attrs.frozen
class _Step:
    """A limit of reads that one layer may be given."""

    layer: str
    reads: int
    saved: int
    """Reads of its busiest array, over all windows."""
    arrays: int
    """That it takes more."""

    @property
    def worth(self) -> float:
        """Reads saved for an array."""
        return self.saved / self.arrays if self.arrays > 0 else float("inf")


@attrs.frozen(eq=False, slots=False)
class Spread:
    """The packed strips of a network, and what fewer reads of their arrays would take."""

    tilings: Tilings
    pools: Pools
    levels: Levels

    def within(self, cycles: float) -> Reads:
        """Limits of reads, by layer, with which an inference takes at most so many cycles.

        Where there are none, those with which it takes the fewest that were found: a limit that
        makes nothing faster by itself is left, and tried again once all others were, if one of them
        made something faster.
        """
        found: dict[str, int] = {}
        taken, vain, is_faster = self._cycles(found), set[_Step](), False
        while taken > cycles:
            steps = [step for step in self._steps(found) if step not in vain]
            if not steps and not is_faster:
                break
            if not steps:
                vain, is_faster = set(), False
                continue
            step = max(steps, key=lambda each: each.worth)
            tried = {**found, step.layer: step.reads}
            now = self._cycles(tried)
            if now < taken:
                found, taken, is_faster = tried, now, True
            else:
                vain.add(step)
        return found

    def _cycles(self, reads: Reads) -> int:
        return self.tilings.priced(self.tilings.policy(self.levels, "packed", reads)).cycles

    def _steps(self, reads: Reads) -> Iterator[_Step]:
        """All limits below those that layers have."""
        for name, ways in self._ways.items():
            has = reads.get(name, 0)
            now = ways[has]
            windows = self.pools.operations[name].windows
            for limit, way in ways.items():
                if limit and (not has or limit < has):
                    saved = windows * (now.reads - way.reads)
                    yield _Step(name, limit, saved, way.arrays - now.arrays)

    @cached_property
    def _ways(self) -> dict[str, dict[int, Needed]]:
        """Of each layer, what its strips take with each limit; 0: with none."""
        return {name: self._ways_of(name) for name in self.levels}

    def _ways_of(self, name: str) -> dict[int, Needed]:
        """Those that differ; the strictest limit of each."""
        free = self._needed(name, 0)
        found = {0: free}
        for limit in range(1, free.reads):
            way = self._needed(name, limit)
            if way not in found.values():
                found[limit] = way
        return found

    def _needed(self, name: str, reads: int) -> Needed:
        """Arrays of all levels, and the reads of the busiest one: pools work side by side."""
        strips = strips_of({name: self.levels[name]}, self.pools.bits, reads={name: reads})[name]
        bits = Bits(self.pools.bits[0], self.pools.input_bits, strips)
        op, parts = self.pools.operations[name], self.pools.of_layer[name]
        each = [needed(op, bits, level, Arrays(parts[level])) for level in strips.used]
        return Needed(sum(n.arrays for n in each), max(n.reads for n in each))
