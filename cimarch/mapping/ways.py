"""The ways of results: where partial sums meet, where rows gather, and which units they pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import Instances
from cimarch.mapping.flows import CARRY, Flow, Waypoint, route_from, unit_for
from cimarch.mapping.packing import outputs_of
from cimarch.mapping.placement import Block
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site
from cimarch.mapping.tiling import Tiles
from cimarch.mapping.wiring import ADDERS, Wiring
from cimarch.workload.network import Operation


class Ways:
    """Finds the ways of results; `assume` is told what had to be filled in."""

    def __init__(
        self, wiring: Wiring, tiles: Tiles, assume: Callable[[str], None],
        wirings: Sequence[Wiring], bits: Mapping[str, Bits],
    ) -> None:  # fmt: skip
        self._wiring = wiring
        self._tiles = tiles
        self._assume = assume
        self._wirings = wirings
        """Of all pools: strips of one operation may lie on several."""
        self._bits = bits

    def of(self, site: Site, blocks: tuple[Block, ...]) -> tuple[Flow, ...]:
        """The adder, gathering place and units of each block; blocks with one way share a flow."""
        if not site.is_matrix:
            return (self._digital_way(site),)
        flows: dict[tuple[Instances | None, Instances, tuple[Waypoint, ...]], list[int]] = {}
        for i, block in enumerate(blocks):
            adder = self._adder(site, block)
            array = self._wiring.array(int(self._tiles.array[block.tiles[0]]))
            here = adder or array
            is_cut = block.groups[0] < block.groups[1]
            tail = (CARRY, *site.tail) if is_cut else site.tail
            ways = self._waypoints(tail, here)
            origin = adder or self._gathering(array, ways)
            if adder is None and origin != array:
                ways = self._waypoints(tail, origin)
            flows.setdefault((adder, origin, ways), []).append(i)
        return tuple(Flow(tuple(b), *key) for key, b in flows.items())

    def _adder(self, site: Site, block: Block) -> Instances | None:
        """Where a block's sums meet: the nearest adder that all its arrays lead to."""
        if self._bits[site.anchor.name].strips is not None:
            return self._adder_of_strips(site, block)
        arrays = sorted({int(a) for a in self._tiles.array[block.tiles]})
        if len(block.tiles) == 1 or not self._wiring.domains:
            if len(block.tiles) > 1 and self._wiring.system.of_kind(*ADDERS):
                raise self._no_adder(site, self._wiring.array(arrays[0]))
            return None
        shared = [
            d for d in self._wiring.domains if arrays[0] // d.arrays == arrays[-1] // d.arrays
        ]
        domain = min(shared, key=lambda d: d.arrays) if shared else self._wiring.domains[-1]
        place = self._wiring.array(int(self._tiles.array[block.tiles[0]]))
        members = Instances(domain.path, 0, self._wiring.system.part(domain.path).count)
        way = self._wiring.routes.find(place, members)
        assert way is not None
        adder = way[-1].at
        for array in arrays:
            if self._wiring.routes.find(self._wiring.array(array), adder) is None:
                raise self._no_adder(site, self._wiring.array(array))
        return adder

    def _adder_of_strips(self, site: Site, block: Block) -> Instances | None:
        """The same where arrays are of several pools; outputs of one sum each need none."""
        system, routes = self._wiring.system, self._wiring.routes
        held = zip(self._tiles.pool[block.tiles], self._tiles.array[block.tiles], strict=True)
        places = [self._wirings[pool].array(int(array)) for pool, array in dict.fromkeys(held)]
        if not system.of_kind(*ADDERS):
            return None
        for at in routes.downstream(places[0]):
            if system.part(at.path).kind in ADDERS and len(block.tiles) > 1:
                ways = (routes.find(place, at) for place in places[:0:-1])
                if all(way is not None for way in ways):
                    return at
        if self._sums(site, block) > 1:
            raise self._no_adder(site, places[0])
        return None

    def _sums(self, site: Site, block: Block) -> int:
        """The most sums of strips that one output is made of."""
        op, strips = site.anchor, self._bits[site.anchor.name].strips
        assert strips is not None
        count = np.zeros(op.columns, np.int64)
        for tile in block.tiles.tolist():
            pool = self._wirings[int(self._tiles.pool[tile])].pool
            count[outputs_of(op, strips, self._tiles, tile, pool)] += 1
        return int(count.max())

    def _no_adder(self, site: Site, array: Instances) -> DescriptionError:
        return DescriptionError(
            Diagnostic(
                "E223",
                f"no adder that `{array}` leads to joins the partial sums of `{site.anchor.name}`",
                span=self._wiring.pool.span,
                notes=(self._spread(site, array),),
                helps=("connect the arrays to a common shift_add, accumulator or adder_tree",),
            )
        )

    def _spread(self, site: Site, array: Instances) -> str:
        """How the sums come to be several."""
        if self._bits[site.anchor.name].strips is None:
            return f"its {site.anchor.rows} inputs take several arrays of `{array.path}`"
        held = np.unique(self._tiles.pool[self._tiles.site == site.index]).tolist()
        paths = " and ".join(f"`{self._wirings[pool].pool.path}`" for pool in held)
        return f"its strips lie on several arrays of {paths}"

    def _gathering(self, array: Instances, ways: tuple[Waypoint, ...]) -> Instances:
        """The first buffer on the way to the first unit; the array itself where there is none."""
        for waypoint in ways:
            if waypoint.at is not None:
                for step in (waypoint.way or ())[1:-1]:
                    if self._wiring.system.part(step.at.path).kind == "buffer":
                        return step.at
                return array
        return array

    def _waypoints(self, tail: Sequence[Operation], here: Instances) -> tuple[Waypoint, ...]:
        found = []
        for op in tail:
            at = unit_for(self._wiring, here, op)
            if at is None:
                word = op.function or op.kind
                if op is not CARRY:
                    self._assume(f"`{word}` is done at once and free: the system has no unit")
                found.append(Waypoint(op, None, None))
                continue
            found.append(Waypoint(op, at, route_from(self._wiring, here, at, f"for `{op.name}`")))
            here = at
        return tuple(found)

    def _digital_way(self, site: Site) -> Flow:
        """A digital site starts at the first able unit of the system."""
        some = self._wiring.array(0)
        waypoints = self._waypoints((site.anchor, *site.tail), some)
        start = next((w.at for w in waypoints if w.at is not None), some)
        first = next((i for i, w in enumerate(waypoints) if w.at is not None), None)
        if first is not None:
            waypoints = (
                *waypoints[:first],
                attrs.evolve(waypoints[first], way=None),
                *waypoints[first + 1 :],
            )
        return Flow((), None, start, waypoints)
