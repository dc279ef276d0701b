"""The placement: each tile's array and resident group, each tensor's home, each result's way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part, System
from cimarch.mapping.flows import (
    CARRY,
    Flow,
    Operand,
    Store,
    Waypoint,
    no_way,
    route_from,
    unit_for,
)
from cimarch.mapping.homes import Home, Homes, Need, Rooms, receptive_rows
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site, Source, Views, map_rows, sites
from cimarch.mapping.tiling import Ints, Tiles, tile
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
class Plan:
    """Everything that a site's program needs to know of the placement."""

    site: Site
    blocks: tuple[Block, ...]
    """Empty for a digital site."""
    homes: tuple[Home | None, ...]
    """Of each tensor that the anchor reads; None where it is at hand."""
    flows: tuple[Flow, ...]
    bits: int
    """Of an element that the site reads."""
    present: Mapping[int, Mapping[int, tuple[int, ...]]]
    """Resident group -> column block (by its place) -> the tiles loaded then."""

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
                op = plan.site.anchor
                mine = tiles.take(tiles.site == plan.site.index)
                pieces = {
                    (g, r0, c0)
                    for g, r0, c0 in zip(mine.channel_group, mine.row0, mine.column0, strict=True)
                }
                assert len(mine) >= len(pieces)
                assert sum(b.outputs for b in plan.blocks) >= op.columns * op.groups


def place(
    system: System,
    network: Network,
    bits: Mapping[str, Bits],
    *,
    input_bits: int = 8,
    skipped: frozenset[str] = frozenset(),
    unmapped: Sequence[str] = (),
) -> Placement:
    """Place a network on a system.

    `bits` gives every matrix operation's precision, `input_bits` that of values that only digital
    operations read; operations named in `skipped` are left out. Raises DescriptionError where the
    system cannot hold or route it.
    """
    return _Placer(system, network, bits, input_bits, skipped).place(tuple(unmapped))


class _Placer:
    def __init__(
        self,
        system: System,
        network: Network,
        bits: Mapping[str, Bits],
        input_bits: int,
        skipped: frozenset[str],
    ) -> None:
        self.system = system
        self.network = network
        self.bits = bits
        self.input_bits = input_bits
        self.assumed: list[str] = []
        self.pool = self._pool()
        self.wiring = Wiring(system, self.pool)
        self.sites = sites(network, skipped)
        self._views = Views(network)
        self.tiles = tile(self.sites, self.pool, bits, self.wiring.domains)
        self.maker = {site.result: site.index for site in self.sites}
        self.homes = Homes(self.wiring)

    def _pool(self) -> Part:
        pools = self.system.of_kind("crossbar", "digital_array")
        for other in pools[1:]:
            self._assume(f"all weights are placed on `{pools[0].path}`, none on `{other.path}`")
        return pools[0]

    def _assume(self, sentence: str) -> None:
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    def place(self, unmapped: tuple[str, ...]) -> Placement:
        self._assume_missing()
        blocks = [self._blocks(site) for site in self.sites]
        drafts = [self._ways(site, b) for site, b in zip(self.sites, blocks, strict=True)]
        homes = [
            self._homes(site, b, flows)
            for site, b, flows in zip(self.sites, blocks, drafts, strict=True)
        ]
        plans = tuple(
            Plan(
                site,
                b,
                anchor,
                tuple(self._stored(site, f) for f in flows),
                self._reads(site),
                self._present(b),
            )
            for site, b, (anchor, flows) in zip(self.sites, blocks, homes, strict=True)
        )
        self._check_weights()
        inputs = tuple(self._inputs())
        return Placement(
            self.system, self.network, self.pool, self.bits, self.tiles, plans, self.wiring,
            inputs, self.homes.rooms, tuple(self.assumed), unmapped,
        )  # fmt: skip

    def _assume_missing(self) -> None:
        for kinds, sentence in _IDEAL:
            if not self.system.of_kind(*kinds):
                self._assume(sentence)

    # Blocks and the ways of their results

    def _blocks(self, site: Site) -> tuple[Block, ...]:
        if not site.is_matrix:
            return ()
        chosen = np.flatnonzero(self.tiles.site == site.index)
        mine = self.tiles.take(chosen)
        key = mine.channel_group * (mine.column_block.max(initial=0) + 1) + mine.column_block
        _, first = np.unique(key, return_index=True)
        parts = np.split(chosen, np.sort(first)[1:])
        resident = self.tiles.resident
        return tuple(
            Block(
                part,
                int(self.tiles.outputs[part[0]]),
                (int(resident[part].min()), int(resident[part].max())),
            )
            for part in parts
        )

    def _present(self, blocks: tuple[Block, ...]) -> dict[int, dict[int, tuple[int, ...]]]:
        found: dict[int, dict[int, list[int]]] = {}
        for i, block in enumerate(blocks):
            groups = self.tiles.resident[block.tiles].tolist()
            for number, group in zip(block.tiles.tolist(), groups, strict=True):
                found.setdefault(group, {}).setdefault(i, []).append(number)
        return {
            group: {i: tuple(tiles) for i, tiles in blocks.items()}
            for group, blocks in sorted(found.items())
        }

    def _ways(self, site: Site, blocks: tuple[Block, ...]) -> tuple[Flow, ...]:
        """The adder, gathering place and units of each block; blocks with one way share a flow."""
        if not site.is_matrix:
            return (self._digital_way(site),)
        flows: dict[tuple[Instances | None, Instances, tuple[Waypoint, ...]], list[int]] = {}
        for i, block in enumerate(blocks):
            adder = self._adder(site, block)
            array = self.wiring.array(int(self.tiles.array[block.tiles[0]]))
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
        arrays = sorted({int(a) for a in self.tiles.array[block.tiles]})
        if len(block.tiles) == 1 or not self.wiring.domains:
            if len(block.tiles) > 1 and any(self.system.of_kind(k) for k in _ADDERS):
                raise self._no_adder(site, self.wiring.array(arrays[0]))
            return None
        shared = [d for d in self.wiring.domains if arrays[0] // d.arrays == arrays[-1] // d.arrays]
        domain = min(shared, key=lambda d: d.arrays) if shared else self.wiring.domains[-1]
        first = self.wiring.array(int(self.tiles.array[block.tiles[0]]))
        members = Instances(domain.path, 0, self.system.part(domain.path).count)
        way = self.wiring.routes.find(first, members)
        assert way is not None
        adder = way[-1].at
        for array in arrays:
            if self.wiring.routes.find(self.wiring.array(array), adder) is None:
                raise self._no_adder(site, self.wiring.array(array))
        return adder

    def _no_adder(self, site: Site, array: Instances) -> DescriptionError:
        return DescriptionError(
            Diagnostic(
                "E223",
                f"no adder that `{array}` leads to joins the partial sums of `{site.anchor.name}`",
                span=self.pool.span,
                notes=(f"its {site.anchor.rows} inputs take several arrays of `{self.pool.path}`",),
                helps=("connect the arrays to a common shift_add, accumulator or adder_tree",),
            )
        )

    def _gathering(self, array: Instances, ways: tuple[Waypoint, ...]) -> Instances:
        """The first buffer on the way to the first unit; the array itself where there is none."""
        for waypoint in ways:
            if waypoint.at is not None:
                for step in (waypoint.way or ())[1:-1]:
                    if self.system.part(step.at.path).kind == "buffer":
                        return step.at
                return array
        return array

    def _waypoints(self, tail: Sequence[Operation], here: Instances) -> tuple[Waypoint, ...]:
        found = []
        for op in tail:
            at = unit_for(self.wiring, here, op)
            if at is None:
                word = op.function or op.kind
                self._assume(f"`{word}` is done at once and free: the system has no unit")
                found.append(Waypoint(op, None, None))
                continue
            found.append(Waypoint(op, at, route_from(self.wiring, here, at, f"for `{op.name}`")))
            here = at
        return tuple(found)

    def _digital_way(self, site: Site) -> Flow:
        """A digital site starts at the first able unit of the system."""
        some = self.wiring.array(0)
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

    # Homes

    def _reads(self, site: Site) -> int:
        return self.bits[site.anchor.name].input if site.is_matrix else self.input_bits

    def _homes(
        self, site: Site, blocks: tuple[Block, ...], flows: tuple[Flow, ...]
    ) -> tuple[tuple[Home | None, ...], tuple[Flow, ...]]:
        if site.is_matrix:
            arrays = np.concatenate([self.tiles.array[b.tiles] for b in blocks])
            at = Instances(self.pool.path, int(arrays.min()), int(arrays.max()) + 1)
            here: Instances | None = at
        else:
            here = flows[0].origin if flows[0].origin.path != self.pool.path else None
        anchor = tuple(
            self._home(site, site.anchor, source, here, self._reads(site))
            for source in site.reads[0]
        )
        return anchor, tuple(self._operands(site, flow) for flow in flows)

    def _operands(self, site: Site, flow: Flow) -> Flow:
        skip = 0 if site.is_matrix else 1
        skip += flow.waypoints[:1] != () and flow.waypoints[0].operation is CARRY
        ways = list(flow.waypoints)
        for i, sources in enumerate(site.reads[1:]):
            waypoint = ways[i + skip]
            operands = []
            for source in sources:
                home = self._home(site, waypoint.operation, source, waypoint.at, self.input_bits)
                way = None
                if home is not None and waypoint.at is not None:
                    way = self._reading(home, waypoint.at, waypoint.operation)
                operands.append(Operand(source, home, way))
            ways[i + skip] = attrs.evolve(waypoint, operands=tuple(operands))
        return attrs.evolve(flow, waypoints=tuple(ways))

    def _reading(self, home: Home, at: Instances, op: Operation) -> Route | None:
        """The way from a home to a unit; from outside where the home does not hold it whole."""
        if not home.whole:
            edge = self.wiring.edge_into(at)
            return edge[1] if edge else None
        found = [self.wiring.routes.find(member, at) for member in home.members]
        ways = [way for way in found if way is not None]
        if not ways:
            raise no_way(home.members[0], at, f"where `{op.name}` reads `{home.tensor}`")
        return min(ways, key=len)

    @cached_property
    def _widths(self) -> dict[str, int]:
        """Bits of an element of each stored tensor: the most that one of its readers asks for."""
        widths: dict[str, int] = {}
        for site in self.sites:
            wanted = [self._reads(site)] + [self.input_bits] * (len(site.reads) - 1)
            for bits, sources in zip(wanted, site.reads, strict=True):
                for source in sources:
                    widths[source.tensor] = max(bits, widths.get(source.tensor, 0))
        return widths

    def _home(
        self, site: Site, op: Operation, source: Source, at: Instances | None, bits: int
    ) -> Home | None:
        if at is None:
            return None
        tensor = self.network.tensors[source.tensor]
        bits = max(bits, self._widths.get(source.tensor, 0))
        rows = map_rows(tensor)
        need = Need(
            tensor=source.tensor,
            at=at,
            bits=bits,
            whole=tensor.elements * bits,
            rows=receptive_rows(op, rows) if op is site.anchor else 1,
            row_bits=-(-tensor.elements * bits // rows),
            made=self.maker.get(source.tensor, -1),
            read=site.index,
            operation=op.name,
        )
        home = self.homes.find(need)
        if home is None:
            self._assume(f"what `{at.path}` reads is at hand: no buffer leads to it")
        elif not home.whole:
            self._assume_streamed(home)
        return home

    def _assume_streamed(self, home: Home) -> None:
        if self.wiring.edge_into(home.members[0]) is None:
            self._assume(
                f"`{home.tensor}` is larger than `{home.path}`; what does not fit waits outside "
                "the description, free of time and energy"
            )

    # Stores

    def _stored(self, site: Site, flow: Flow) -> Flow:
        here = flow.origin
        for waypoint in flow.waypoints:
            here = waypoint.at or here
        stores = tuple(self._stores(site, here))
        flow = attrs.evolve(flow, stores=stores)
        if flow.waypoints and flow.waypoints[0].operation is CARRY and stores:
            return self._cut(flow)
        return flow

    def _cut(self, flow: Flow) -> Flow:
        """Sums that a group boundary cuts wait where the results go, else in another buffer."""
        adder = flow.waypoints[0].at
        if adder is None:
            return flow
        find = self.wiring.routes.find
        places = [store.at for store in flow.stores]
        places += [
            at
            for at in self.wiring.routes.downstream(flow.origin)
            if self.system.part(at.path).kind == "buffer" and len(at) == 1
        ]
        for place in places:
            there, back = find(flow.origin, place), find(place, adder)
            if there is not None and back is not None:
                return attrs.evolve(flow, spill=there, carried=back)
        raise no_way(places[0], adder, "where sums are added that a group boundary cuts")

    def _stores(self, site: Site, here: Instances) -> list[Store]:
        stores = []
        for home in self.homes.of(site.result):
            if home.whole:
                for member in home.members:
                    why = f"where `{site.result}` is read"
                    way = route_from(self.wiring, here, member, why)
                    if way is not None:
                        stores.append(Store(member, way, home.bits))
        streamed = [home for home in self.homes.of(site.result) if not home.whole]
        if streamed and (way := self.wiring.edge_from(here)):
            stores.append(Store(way[-1].at, way, max(home.bits for home in streamed)))
        if site.result in self._leaving and not (streamed and stores):
            stores += self._results(site, here)
        return stores

    @cached_property
    def _leaving(self) -> set[str]:
        outputs = self.network.outputs
        return {s.tensor for name in outputs for s in self._views.sources(name)}

    def _results(self, site: Site, here: Instances) -> list[Store]:
        """The network's results go off the chip, else to the nearest buffer with room."""
        way = self.wiring.edge_from(here)
        if way is not None:
            return [Store(way[-1].at, way, self.input_bits)]
        buffers = [
            at
            for at in self.wiring.routes.downstream(here)
            if self.system.part(at.path).kind == "buffer" and len(at) == 1
        ]
        if not buffers:
            self._assume("results are gone at once: nothing is beyond where they are made")
            return []
        bits = self.network.tensors[site.result].elements * self.input_bits
        for at in buffers:
            if self.homes.rooms.take(at, site.index, len(self.sites), bits):
                self._assume(f"results stay in `{at.path}`: the system has no way out")
                way = self.wiring.routes.find(here, at)
                assert way is not None
                return [Store(at, way, self.input_bits)]
        raise self._no_room_for_results(site, buffers[0], bits)

    def _no_room_for_results(self, site: Site, at: Instances, bits: int) -> DescriptionError:
        size = self.homes.rooms.size(at.path) or 0
        need = -(-bits // 8)
        return DescriptionError(
            Diagnostic(
                "E233",
                f"the results of `{site.operations[-1].name}` take {need} bytes: more than "
                f"`{at.path}`, where they stay, has free",
                span=self.system.part(at.path).span,
                notes=(f"`{at.path}` holds {size / 8:g} bytes in all",),
                helps=("make its `size` larger, or connect it to a dram, host or link",),
            )
        )

    # Inputs and weights

    def _inputs(self) -> list[tuple[Source, Store]]:
        return [
            (source, Store(member, edge[1], home.bits))
            for name in self.network.inputs
            for source in self._views.sources(name)
            for home in self.homes.of(source.tensor)
            if home.whole
            for member in home.members
            for edge in (self._edge_into(member),)
            if edge is not None
        ]

    def _edge_into(self, member: Instances) -> tuple[Instances, Route] | None:
        edge = self.wiring.edge_into(member)
        if edge is None:
            self._assume(
                f"inputs are in `{member.path}` at cycle 0: nothing leads there from outside"
            )
        return edge

    def _weight_bits(self) -> int:
        return sum(
            op.rows * op.columns * op.groups * self.bits[op.name].weight
            for site in self.sites
            if site.is_matrix
            for op in (site.anchor,)
        )

    def _check_weights(self) -> None:
        source = self.wiring.weight_source(self.wiring.array(0))
        if source is None:
            self._assume("weights are at the arrays' write drivers when a load begins")
            return
        part = self.system.part(source.path)
        total = self._weight_bits()
        if "size" in part.params and total > part.number("size") * part.count:
            raise DescriptionError(
                Diagnostic(
                    "E232",
                    f"the weights of `{self.network.name}` take {-(-total // 8)} bytes, more than "
                    f"`{part.path}` holds",
                    span=part.span,
                    notes=(f"`{part.path}` holds {float(part.number('size') / 8):g} bytes",),
                    helps=("make its `size` larger, or lower `--weight-bits`",),
                )
            )


_ADDERS = ("shift_add", "accumulator", "adder_tree")

_IDEAL = (
    (("dac",), "inputs enter the word lines whole, in one step: the system has no dac"),
    (("adc",), "conversion is done at once and free: the system has no adc"),
    (_ADDERS, "partial sums are added at once and free: the system has no adder"),
    (("buffer",), "inputs and results are at hand at once: the system has no buffer"),
)
