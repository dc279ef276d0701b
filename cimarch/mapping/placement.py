"""The placement: each tile's array and resident group, each tensor's home, each result's way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import attrs
import numpy as np

from cimarch.hardware.encoding import (
    arrays_per_weight,
    columns_per_weight,
    rows_per_input,
)
from cimarch.hardware.system import Part, System
from cimarch.mapping.flows import Flow, Store
from cimarch.mapping.homes import Home, Rooms
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site, Source
from cimarch.mapping.tiling import Ints, Tiles
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network


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
    """Of each tensor that the anchor reads; None where it is at hand. All copies read there."""
    bits: int
    """Of an element that the site reads."""
    wiring: Wiring
    """The surroundings of the pool that holds the site's weights; for a digital site, of the pool
    whose results it reads."""

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

    @property
    def groups(self) -> tuple[int, ...]:
        """The resident groups that hold some of the site's tiles."""
        return tuple(self.present)


@attrs.frozen(eq=False)
class Placement:
    """A network on a system."""

    system: System
    network: Network
    pool: Part
    bits: Mapping[str, Bits]
    tiles: Tiles
    plans: tuple[Plan, ...]
    wiring: Wiring
    inputs: tuple[tuple[Source, Store], ...]
    """What comes from the chip's edge, and the members of its homes that it is brought to."""
    rooms: Rooms
    """What every buffer holds, from site to site."""
    assumed: tuple[str, ...]
    unmapped: tuple[str, ...]

    @cached_property
    def groups(self) -> int:
        """Resident groups."""
        return int(self.tiles.resident.max(initial=-1)) + 1

    @cached_property
    def crossbars(self) -> int:
        """Arrays that hold weights at least once."""
        return len(np.unique(self.tiles.array))

    @property
    def utilisation(self) -> float:
        """Cells that hold weights over the cells of the arrays allocated, summed over groups."""
        allocated = len(np.unique(self.tiles.resident * self.pool.count + self.tiles.array))
        cells = self.pool.integer("rows") * self.pool.integer("columns")
        return int(self.tiles.cells.sum()) / (allocated * cells) if allocated else 0.0

    def check(self) -> None:
        """Assert that no cell is taken twice, every weight is placed once and all limits hold."""
        tiles = self.tiles
        place = tiles.resident * self.pool.count + tiles.array
        order = np.lexsort((tiles.at_column, place))
        beside = place[order][1:] == place[order][:-1]
        ends = (tiles.at_column + tiles.columns)[order]
        overlap = beside & (tiles.at_column[order][1:] < ends[:-1])
        assert not overlap.any(), "a cell is taken twice"
        assert (tiles.array < self.pool.count).all()
        assert (tiles.rows <= self.pool.integer("rows")).all()
        assert (ends <= self.pool.integer("columns")).all()
        self.rooms.check()
        for plan in self.plans:
            if plan.site.is_matrix:
                self._check_weights(plan)

    def _check_weights(self, plan: Plan) -> None:
        """Assert that the tiles of a site hold all cells of its weights, and no more."""
        op = plan.site.anchor
        across = columns_per_weight(self.pool, self.bits[op.name].weight)
        deep = rows_per_input(self.pool) * arrays_per_weight(self.pool)
        held = int(self.tiles.cells[self.tiles.site == plan.site.index].sum())
        assert held == op.rows * deep * op.columns * across * op.groups, f"weights of `{op.name}`"
