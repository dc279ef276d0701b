"""How many rows of each tensor must be held at once, so that a pipeline of rows never stops.

A schedule that makes every row as late as it can (only when a row further on asks for it) shows
what must be held: rows that are made, and that some reader has not freed. With as much room every
schedule in which rows wait for room and for the rows that they need comes to its end: what waits
for what has no circle, because one order satisfies all of it. For a chain of convolutions that is
each one's receptive rows; where two paths meet again, the shorter one holds what the longer one
has not made of it yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from cimarch.mapping.rows import Extent, Reach
from cimarch.mapping.sites import Site

Key = tuple[int, int, str]
"""A reader: site, position in its reads, tensor."""


def least_rows(
    sites: Sequence[Site],
    extents: Sequence[Extent],
    reaches: Sequence[Sequence[Reach]],
    heights: Mapping[str, int],
    inputs: Collection[str],
) -> dict[Key, int]:
    """Per reader of a tensor that one of the sites makes, or that is one of the inputs: its rows.

    `heights` are the rows of all tensors that are read. What comes from elsewhere is there.
    """
    return _Lazy(sites, extents, reaches, heights, inputs).run()


class _Lazy:
    """The schedule that makes each row when it is asked for."""

    def __init__(
        self,
        sites: Sequence[Site],
        extents: Sequence[Extent],
        reaches: Sequence[Sequence[Reach]],
        heights: Mapping[str, int],
        inputs: Collection[str],
    ) -> None:
        self.sites = sites
        self.extents = extents
        self.reaches = reaches
        self.heights = heights
        self.maker = {site.result: place for place, site in enumerate(sites)}
        self.made = dict.fromkeys([*self.maker, *inputs], 0)
        self.strips = [0] * len(sites)
        self.freed: dict[Key, int] = {}
        self.least: dict[Key, int] = {}
        self.readers: dict[str, list[Key]] = {}
        for site, mine in zip(sites, reaches, strict=True):
            for reach in mine:
                if reach.source.tensor in self.made:
                    key = (site.index, reach.position, reach.source.tensor)
                    self.freed[key], self.least[key] = 0, 1
                    self.readers.setdefault(key[2], []).append(key)

    def run(self) -> dict[Key, int]:
        """Make all rows of what nothing else reads, side by side, and with these all others."""
        ends = [p for p, site in enumerate(self.sites) if site.result not in self.readers]
        order = sorted(
            ((strip + 1) / self.extents[place].strips, place, strip)
            for place in ends
            for strip in range(self.extents[place].strips)
        )
        for _, place, _ in order:
            self._drive(self._strip(place))
        for place in reversed(range(len(self.sites))):  # last, rows that are made but never read
            while self.strips[place] < self.extents[place].strips:
                self._drive(self._strip(place))
        return self.least

    def _drive(self, first: Iterator[tuple[str, int]]) -> None:
        """Run a strip, and before it goes on whatever it asks for."""
        stack = [first]
        while stack:
            asked = next(stack[-1], None)
            if asked is None:
                stack.pop()
                continue
            tensor, rows = asked
            if tensor in self.maker:
                stack.append(self._until(tensor, rows))
            else:
                self._grow(tensor, rows)

    def _until(self, tensor: str, rows: int) -> Iterator[tuple[str, int]]:
        while self.made[tensor] < rows:
            yield from self._strip(self.maker[tensor])

    def _strip(self, place: int) -> Iterator[tuple[str, int]]:
        """Make the next strip of a site; yields the rows that must be there first."""
        site, size, mine = self.sites[place], self.extents[place], self.reaches[place]
        strip = self.strips[place]
        self.strips[place] += 1
        for row in range(strip * size.joined, (strip + 1) * size.joined):
            for reach in mine:
                if not reach.per_strip:
                    yield from self._ask(reach, row)
            for reach in mine:
                if not reach.per_strip:
                    self._free(site, reach, row)
        for reach in mine:
            if reach.per_strip:
                yield from self._ask(reach, strip)
                self._free(site, reach, strip)
        height = self.heights.get(site.result, size.strips)
        self._grow(site.result, (strip + 1) * height // size.strips)

    def _ask(self, reach: Reach, row: int) -> Iterator[tuple[str, int]]:
        tensor, needs = reach.source.tensor, int(reach.needs[row])
        if tensor in self.made and self.made[tensor] < needs:
            yield tensor, needs

    def _free(self, site: Site, reach: Reach, row: int) -> None:
        key = (site.index, reach.position, reach.source.tensor)
        if key in self.freed:
            self.freed[key] = max(self.freed[key], int(reach.frees[row]))

    def _grow(self, tensor: str, rows: int) -> None:
        self.made[tensor] = rows
        for key in self.readers.get(tensor, ()):
            self.least[key] = max(self.least[key], rows - self.freed[key])
