"""The placement: each tile's array and resident group, each tensor's home, each result's way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.hardware.encoding import (
    arrays_per_weight,
    columns_per_weight,
    rows_per_input,
)
from cimarch.hardware.system import Part, System
from cimarch.mapping.densities import Densities
from cimarch.mapping.flows import Flow, Store
from cimarch.mapping.homes import Home, Rooms
from cimarch.mapping.operands import Writing
from cimarch.mapping.packing import outputs_of
from cimarch.mapping.precision import Bits
from cimarch.mapping.rows import Reach
from cimarch.mapping.sites import Site, Source
from cimarch.mapping.strips import depth_of
from cimarch.mapping.tiling import Ints, Tiles
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network, Operation


@attrs.frozen(eq=False)
class Block:
    """A column block of a site: the tiles whose sums make the same outputs."""

    tiles: Ints
    """Rows of the placement's `tiles`, in order of the row blocks."""
    outputs: int
    """Values that one window makes."""
    groups: tuple[int, int]
    """The first and the last resident group that hold some of its tiles."""


@attrs.frozen(eq=False)
class Copy:
    """One whole set of a site's weights; copy c of d takes the windows whose index mod d is c."""

    blocks: tuple[Block, ...]
    """Empty for a digital site."""
    flows: tuple[Flow, ...]
    present: Mapping[int, Mapping[int, tuple[int, ...]]]
    """Resident group -> column block (by its place) -> the tiles loaded then."""


@attrs.frozen(eq=False)
class Plan:
    """Everything that a site's program needs to know of the placement."""

    site: Site
    copies: tuple[Copy, ...]
    """At least one."""
    homes: tuple[Home | None, ...]
    """Of each tensor that the anchor reads; None where it is at hand. All copies read there, from
    the first of their pools."""
    bits: int
    """Of an element that the site reads."""
    wiring: Wiring
    """The surroundings of the pool that holds the site's weights; for a digital site, of the pool
    whose results it reads."""
    writing: Writing | None = None
    """The operand that is written into the arrays, where this is none of stored weights."""
    beside: Mapping[str, tuple[Home | None, ...]] = attrs.field(factory=dict)
    """Where strips lie on further pools, the homes that these read, by the pool's path."""

    def homes_of(self, pool: Part) -> tuple[Home | None, ...]:
        """Of each tensor that the anchor reads, its home for the arrays of a pool."""
        return self.beside.get(pool.path, self.homes)

    @property
    def all_homes(self) -> tuple[Home, ...]:
        """The homes of what the anchor reads, for all of its pools, each once."""
        every = (home for homes in (self.homes, *self.beside.values()) for home in homes)
        return tuple(dict.fromkeys(home for home in every if home is not None))

    @property
    def pool(self) -> Part:
        """The arrays that hold the site's weights."""
        return self.wiring.pool

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The column blocks of the first copy."""
        return self.copies[0].blocks

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The flows of the first copy."""
        return self.copies[0].flows

    @property
    def present(self) -> Mapping[int, Mapping[int, tuple[int, ...]]]:
        """What of the first copy is loaded when."""
        return self.copies[0].present

    def read_homes(self) -> Iterator[tuple[int, Home]]:
        """The homes that the site reads, each with the place of its reader in the site."""
        yield from ((0, home) for home in self.all_homes)
        for copy in self.copies:
            for flow in copy.flows:
                for waypoint in flow.waypoints:
                    position = _position(self.site, waypoint.operation)
                    for operand in waypoint.operands:
                        if operand.home is not None:
                            yield position, operand.home

    @property
    def groups(self) -> tuple[int, ...]:
        """The resident groups that hold some of the site's tiles."""
        return tuple(self.present)


def spans(plans: Iterable[Plan]) -> list[tuple[int, int]]:
    """Per site the first and the last group with work for it; a digital one has that of the site
    before it."""
    found = []
    current = 0
    for plan in plans:
        groups = plan.groups or (current,)
        current = groups[-1]
        found.append((groups[0], current))
    return found


@attrs.frozen(eq=False)
class Placement:
    """A network on a system."""

    system: System
    network: Network
    wirings: tuple[Wiring, ...]
    """One per pool, in order of declaration; `tiles.pool` counts them."""
    bits: Mapping[str, Bits]
    tiles: Tiles
    plans: tuple[Plan, ...]
    inputs: tuple[tuple[Source, Store], ...]
    """What comes from the chip's edge, and the members of its homes that it is brought to."""
    rooms: Rooms
    """What every buffer holds, from site to site."""
    assumed: tuple[str, ...]
    unmapped: tuple[str, ...]
    schedule: str = "layers"
    """`layers` or `pipeline`."""
    reaches: Mapping[int, tuple[Reach, ...]] = attrs.field(factory=dict)
    """Per site, what its rows need of what it reads; none where the schedule has no rows."""
    densities: Densities = attrs.field(factory=Densities)
    """How full inputs and weights are."""

    @property
    def pools(self) -> tuple[Part, ...]:
        """The crossbars and digital arrays of the system, in order of declaration."""
        return tuple(wiring.pool for wiring in self.wirings)

    @property
    def pool(self) -> Part:
        """The first pool."""
        return self.wirings[0].pool

    @property
    def wiring(self) -> Wiring:
        """The surroundings of the first pool."""
        return self.wirings[0]

    @cached_property
    def groups(self) -> int:
        """Resident groups."""
        return int(self.tiles.resident.max(initial=-1)) + 1

    @cached_property
    def arrays(self) -> Ints:
        """Of each tile its array, numbered over all pools one after the other."""
        first = np.cumsum([0, *(pool.count for pool in self.pools)])
        return first[self.tiles.pool] + self.tiles.array

    @property
    def available(self) -> int:
        """Arrays that the system has, in all pools."""
        return sum(pool.count for pool in self.pools)

    @cached_property
    def written(self) -> NDArray[np.bool_]:
        """Of each tile, whether an operand is written into it at run time: it holds no weights."""
        sites = [plan.site.index for plan in self.plans if plan.site.anchor.written]
        found: NDArray[np.bool_] = np.isin(self.tiles.site, sites)
        return found

    def resident(self, group: int) -> list[Plan]:
        """The sites with work in a group: digital ones with the matrix site before them."""
        return self._by_group.get(group, [])

    @cached_property
    def _by_group(self) -> dict[int, list[Plan]]:
        chosen: dict[int, list[Plan]] = {}
        for plan, (first, last) in zip(self.plans, spans(self.plans), strict=True):
            for group in range(first, last + 1):
                if not plan.groups or group in plan.groups:
                    chosen.setdefault(group, []).append(plan)
        return chosen

    @property
    def boundaries(self) -> list[tuple[int, int]]:
        """Before and after each group but the last, in the time of the buffers' rooms."""
        groups = sorted(self._by_group)
        if self.schedule == "pipeline":
            return list(pairwise(groups))
        return [
            (self._by_group[a][-1].site.index, self._by_group[b][0].site.index)
            for a, b in pairwise(groups)
        ]

    @cached_property
    def crossbars(self) -> int:
        """Arrays that hold weights at least once."""
        return len(np.unique(self.arrays))

    def utilisation_of(self, chosen: Ints) -> float:
        """Cells that hold weights of some tiles over the cells of their arrays, over all groups.

        `chosen` are places in `tiles`.
        """
        held = self.tiles.resident[chosen] * self.available + self.arrays[chosen]
        _, first = np.unique(held, return_index=True)
        sizes = np.array([p.integer("rows") * p.integer("columns") for p in self.pools])
        cells = int(sizes[self.tiles.pool[chosen][first]].sum())
        return int(self.tiles.cells[chosen].sum()) / cells if cells else 0.0

    @property
    def utilisation(self) -> float:
        """Cells that hold weights over the cells of the arrays allocated, summed over groups."""
        return self.utilisation_of(np.arange(len(self.tiles)))

    def utilisation_of_pool(self, path: str) -> float:
        """Cells of a pool that hold weights over the cells of its arrays that are allocated, over
        all groups; 0 where nothing lies there. Raises KeyError where there is no such pool."""
        paths = [pool.path for pool in self.pools]
        if path not in paths:
            raise KeyError(path)
        return self.utilisation_of(np.flatnonzero(self.tiles.pool == paths.index(path)))

    def pools_of(self, plan: Plan) -> tuple[Part, ...]:
        """The pools that hold a site's weights: several where its strips lie on several."""
        held = self.tiles.pool[self.tiles.site == plan.site.index]
        return tuple(self.pools[pool] for pool in dict.fromkeys(held.tolist())) or (plan.pool,)

    def wiring_of(self, tile: int) -> Wiring:
        """The surroundings of the pool that a tile lies on."""
        return self.wirings[int(self.tiles.pool[tile])]

    def bits_of(self, tile: int) -> Bits:
        """The precision of a tile's weights."""
        name = self.plans[int(self.tiles.site[tile])].site.anchor.name
        return self.bits[name].of_level(int(self.tiles.level[tile]))

    def strips_of(self, tile: int) -> tuple[int, Ints]:
        """The level of a tile of strips, and the outputs, of its channel group, that it makes sums
        of, in the order of its columns; KeyError where its operation has no strips."""
        op = self.plans[int(self.tiles.site[tile])].site.anchor
        strips = self.bits[op.name].strips
        if strips is None:
            raise KeyError(op.name)
        pool = self.wiring_of(tile).pool
        return int(self.tiles.level[tile]), outputs_of(op, strips, self.tiles, tile, pool)

    def check(self) -> None:
        """Assert that no cell is taken twice, every weight is placed once and all limits hold."""
        tiles = self.tiles
        place = tiles.resident * self.available + self.arrays
        band = place * max(pool.integer("rows") for pool in self.pools) + tiles.at_row
        order = np.lexsort((tiles.at_column, band))
        beside = band[order][1:] == band[order][:-1]
        ends = (tiles.at_column + tiles.columns)[order]
        overlap = beside & (tiles.at_column[order][1:] < ends[:-1])
        assert not overlap.any(), "a cell is taken twice"
        above = (place[order][1:] == place[order][:-1]) & ~beside
        tops = (tiles.at_row + tiles.rows)[order]
        assert not (above & (tiles.at_row[order][1:] < tops[:-1])).any(), "a row is taken twice"
        for index, pool in enumerate(self.pools):
            mine = tiles.take(tiles.pool == index)
            assert (mine.array < pool.count).all()
            assert (mine.at_row + mine.rows <= pool.integer("rows")).all()
            assert (mine.at_column + mine.columns <= pool.integer("columns")).all()
        self.rooms.check()
        for plan in self.plans:
            if plan.site.is_matrix:
                self._check_weights(plan)

    def _check_weights(self, plan: Plan) -> None:
        """Assert that each copy of a site's tiles holds all cells of its weights, and no more."""
        op = plan.site.anchor
        if self.bits[op.name].strips is not None:
            self._check_strips(plan)
            return
        across = columns_per_weight(plan.pool, self.bits[op.name].weight)
        deep = rows_per_input(plan.pool) * arrays_per_weight(plan.pool)
        cells = op.rows * deep * op.columns * across * op.groups
        mine = self.tiles.take(self.tiles.site == plan.site.index)
        held = np.bincount(mine.copy, weights=mine.cells, minlength=len(plan.copies))
        assert len(held) == len(plan.copies), f"copies of `{op.name}`"
        assert (held == cells).all(), f"weights of `{op.name}`"

    def _check_strips(self, plan: Plan) -> None:
        """Assert that the tiles of each level hold all cells of its strips, and no more."""
        op = plan.site.anchor
        bits = self.bits[op.name]
        assert bits.strips is not None
        mine = self.tiles.take(self.tiles.site == plan.site.index)
        for level, count in enumerate(bits.strips.counts):
            held = mine.take(mine.level == level)
            pools = np.unique(held.pool).tolist()
            assert len(pools) == (count > 0), f"strips of `{op.name}`"
            for pool in (self.pools[index] for index in pools):
                across = columns_per_weight(pool, bits.of_level(level).weight)
                cells = count * depth_of(op) * rows_per_input(pool) * across
                assert int(held.cells.sum()) == cells, f"strips of `{op.name}`"


def _position(site: Site, op: Operation) -> int:
    """The place of an operation in a site; 0 for sums carried from an earlier group."""
    return next((i for i, each in enumerate(site.operations) if each is op), 0)
