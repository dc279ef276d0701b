"""Place a network on a system: tiles on arrays, tensors in homes, results on their ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain, islice

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part, System
from cimarch.mapping.allot import Key, least_rows
from cimarch.mapping.assign import NOTHING_ASKED, Asked, assign
from cimarch.mapping.flows import CARRY, Flow, Operand, no_way
from cimarch.mapping.homes import Home, Homes, Need, NoRoom, receptive_rows
from cimarch.mapping.operands import Writing, writing
from cimarch.mapping.placement import Block, Copy, Placement, Plan
from cimarch.mapping.precision import Bits
from cimarch.mapping.rows import Extent, Reach, Rows, extent
from cimarch.mapping.sites import Site, Source, Views, map_rows, sites
from cimarch.mapping.stores import Stores
from cimarch.mapping.strips import depth_of
from cimarch.mapping.tiling import Ints
from cimarch.mapping.ways import Ways
from cimarch.mapping.wiring import ADDERS, Wiring, wirings_of
from cimarch.workload.network import Network, Operation


def place(
    system: System,
    network: Network,
    bits: Mapping[str, Bits],
    *,
    input_bits: int = 8,
    skipped: frozenset[str] = frozenset(),
    unmapped: Sequence[str] = (),
    asked: Asked = NOTHING_ASKED,
    schedule: str = "layers",
    wirings: tuple[Wiring, ...] | None = None,
) -> Placement:
    """Place a network on a system.

    `bits` gives every matrix operation's precision, `input_bits` that of values that only digital
    operations read; operations named in `skipped` are left out; `asked` is what a user wants of the
    placement; `schedule` is `layers`, where a tensor is whole in its home before it is read, or
    `pipeline`, where rows are read as they come; `wirings` are those of the system where they are
    known. Raises DescriptionError where the system cannot hold or route it.
    """
    first: NoRoom | None = None
    groups = 0
    while True:
        wirings = wirings or wirings_of(system)
        placer = _Placer(system, network, bits, input_bits, skipped, asked, schedule, wirings)
        groups = groups or placer.groups
        if first is not None and placer.groups > groups:
            raise first
        try:
            return placer.place(tuple(unmapped))
        except NoRoom as error:
            first = first or error
            spaced = placer.spaced(error)
            if not spaced:
                raise first from None
            asked = attrs.evolve(asked, spaced={**asked.spaced, **spaced})


class _Placer:
    def __init__(
        self,
        system: System,
        network: Network,
        bits: Mapping[str, Bits],
        input_bits: int,
        skipped: frozenset[str],
        asked: Asked,
        schedule: str,
        wirings: tuple[Wiring, ...],
    ) -> None:
        self.system = system
        self.network = network
        self.bits = bits
        self.input_bits = input_bits
        self.assumed: list[str] = []
        self.sites = sites(network, skipped)
        self.wirings = wirings
        self.wiring = self.wirings[0]
        """Of the first pool; what it says of routes and of the chip's edge holds for all."""
        self.tiles = assign(network, self.sites, self.wirings, bits, asked, self._assume)
        self.maker = {site.result: site.index for site in self.sites}
        self.homes = Homes(self.wiring)
        self.schedule = schedule
        self.asked = asked

    @property
    def groups(self) -> int:
        """Resident groups."""
        return int(self.tiles.resident.max(initial=-1)) + 1

    def spaced(self, error: NoRoom) -> dict[str, int]:
        """The operation whose inputs had no room, with the arrays that one such buffer feeds.

        In a pipeline all operations want room at once, and those that share a buffer share its
        room: one that begins with the first array of a buffer has that one for itself. None where
        that was tried, or cannot help.
        """
        site = next(s for s in self.sites if error.need.operation in {o.name for o in s.operations})
        pool, part = self.wiring_of(site).pool, self.system.part(error.path)
        is_new = site.is_matrix and site.anchor.name not in self.asked.spaced
        if self.schedule == "layers" or self.asked.saved or not is_new:
            return {}
        if part.count == 1 or pool.count % part.count:
            return {}
        return {site.anchor.name: pool.count // part.count}

    def _assume(self, sentence: str) -> None:
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    @cached_property
    def pools(self) -> list[int]:
        """Of each site its pool; of a digital one that of what it reads, else the first."""
        first = dict(zip(self.tiles.site.tolist(), self.tiles.pool.tolist(), strict=True))
        found: list[int] = []
        for site in self.sites:
            makers = [self.maker.get(source.tensor, -1) for source in site.reads[0]]
            before = [found[maker] for maker in makers if 0 <= maker < site.index]
            found.append(first.get(site.index, before[0] if before else 0))
        return found

    def wiring_of(self, site: Site) -> Wiring:
        """The surroundings of a site's pool."""
        return self.wirings[self.pools[site.index if site.index >= 0 else -1 - site.index]]

    def place(self, unmapped: tuple[str, ...]) -> Placement:
        self._assume_missing()
        blocks = [self._copies(site) for site in self.sites]
        ways = [
            Ways(wiring, self.tiles, self._assume, self.wirings, self.bits)
            for wiring in self.wirings
        ]
        drafts = [
            [ways[self.pools[site.index]].of(site, b) for b in copies]
            for site, copies in zip(self.sites, blocks, strict=True)
        ]
        homes = [
            self._homes(site, tuple(chain(*flows)))
            for site, flows in zip(self.sites, drafts, strict=True)
        ]
        beside = [self._homes_beside(site) for site in self.sites]
        self._check_standing()
        writings = {
            index: attrs.evolve(each, homes=self._written_homes(each))
            for index, each in self.writings.items()
        }
        stores = Stores(
            self.wiring, self.network, self.homes, self._assume,
            bits=self.input_bits, times=self._times,
            end=1 + max((last for _, last in self._times), default=0),
        )  # fmt: skip
        stored = [
            [stores.complete(site, flow) for flow in flows]
            for site, (_, flows) in zip(self.sites, homes, strict=True)
        ]
        settled = self.homes.widened() | self.homes.share_out()
        complete = [iter([_settled(flow, settled) for flow in flows]) for flows in stored]
        plans = tuple(
            Plan(
                site,
                tuple(
                    Copy(b, tuple(islice(done, len(draft))), self._present(b))
                    for b, draft in zip(copies, flows, strict=True)
                ),
                _settled_homes(anchor, settled),
                self._reads(site),
                self.wiring_of(site),
                _moved(writings.get(site.index), settled),
                {path: _settled_homes(others, settled) for path, others in further.items()},
            )
            for site, copies, flows, (anchor, _), further, done in zip(
                self.sites, blocks, drafts, homes, beside, complete, strict=True
            )
        )
        self._check_weights()
        inputs = tuple(stores.inputs())
        return Placement(
            self.system, self.network, self.wirings, self.bits, self.tiles, plans,
            inputs, self.homes.rooms, tuple(self.assumed), unmapped, self.schedule, self._reaches,
            self.asked.densities_on(self.system),
        )  # fmt: skip

    def _assume_missing(self) -> None:
        for kinds, users, sentence in _IDEAL:
            if self.system.of_kind(*users) and not self.system.of_kind(*kinds):
                self._assume(sentence)
        if self.system.of_kind("dac"):
            self._assume_whole_inputs()
        for weight, names in self._sharing().items():
            told = " and ".join(f"`{name}`" for name in names)
            self._assume(f"`{weight}` is placed once for each of {told}, which share it")

    def _assume_whole_inputs(self) -> None:
        """Say which pools have no dac, where others do."""
        used = [self.wiring_of(site) for site in self.sites]
        used += [self.wirings[pool] for pool in np.unique(self.tiles.pool).tolist()]
        for wiring in dict.fromkeys(used):
            if wiring.driver[0] is None:
                self._assume(
                    f"inputs enter the word lines of `{wiring.pool.path}` whole, in one step: no "
                    "dac is in front of it"
                )

    def _sharing(self) -> dict[str, list[str]]:
        """Weights that several matrix operations use, with the operations' names."""
        users: dict[str, list[str]] = {}
        for site in self.sites:
            if site.is_matrix and site.anchor.weight is not None:
                users.setdefault(site.anchor.weight, []).append(site.anchor.name)
        return {weight: names for weight, names in users.items() if len(names) > 1}

    def _copies(self, site: Site) -> list[tuple[Block, ...]]:
        """The column blocks of each copy of a site's weights; a digital site has one of none."""
        if not site.is_matrix:
            return [()]
        chosen = np.flatnonzero(self.tiles.site == site.index)
        first = np.flatnonzero(np.diff(self.tiles.copy[chosen])) + 1
        return [self._blocks(part, site.anchor) for part in np.split(chosen, first)]

    def _blocks(self, chosen: Ints, op: Operation) -> tuple[Block, ...]:
        """The column blocks of some tiles; all strips of a channel group are one."""
        mine = self.tiles.take(chosen)
        if self.bits[op.name].strips is not None:
            return self._blocks_of_strips(chosen, op)
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

    def _blocks_of_strips(self, chosen: Ints, op: Operation) -> tuple[Block, ...]:
        group, resident = self.tiles.channel_group[chosen], self.tiles.resident
        parts = [chosen[group == number] for number in range(op.groups)]
        return tuple(
            Block(part, op.columns, (int(resident[part].min()), int(resident[part].max())))
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

    # Homes

    def _reads(self, site: Site) -> int:
        return self.bits[site.anchor.name].input if site.is_matrix else self.input_bits

    def _homes(
        self, site: Site, flows: tuple[Flow, ...]
    ) -> tuple[tuple[Home | None, ...], tuple[Flow, ...]]:
        if site.is_matrix:
            here = self._arrays_of(site)[0]
            return self._homes_at(site, here), tuple(self._operands(site, f) for f in flows)
        origin = flows[0].origin
        at = origin if origin.path != self.wiring_of(site).pool.path else None
        anchor = self._homes_at(site, at)
        return anchor, tuple(self._operands(site, flow) for flow in flows)

    def _homes_at(self, site: Site, here: Instances | None) -> tuple[Home | None, ...]:
        """The homes of what a site reads, near some place."""
        return tuple(
            self._home(site, site.anchor, source, here, self._reads(site))
            for source in site.reads[0]
        )

    def _homes_beside(self, site: Site) -> dict[str, tuple[Home | None, ...]]:
        """The homes of what strips on further pools read, by the pool's path."""
        others = self._arrays_of(site)[1:] if site.anchor.name in self._mixed else []
        return {at.path: self._homes_at(site, at) for at in others}

    def _written_homes(self, written: Writing) -> tuple[Home | None, ...]:
        """Where the tensors of an operand are, from which it is written into its arrays."""
        return tuple(self._written_home(written, reach) for reach in written.reaches)

    def _written_home(self, written: Writing, reach: Reach) -> Home | None:
        site, tensor = written.site, self.network.tensors[reach.source.tensor]
        op, wiring = site.anchor, self.wiring_of(site)
        at = self._arrays_of(self._site_of(written))[0]
        bits = max(self.bits[op.name].weight, self._widths[tensor.name])
        rows = map_rows(tensor)
        need = Need(
            tensor=tensor.name,
            at=at,
            bits=bits,
            whole=tensor.elements * bits,
            rows=0,
            row_bits=-(-tensor.elements * bits // rows),
            made=self._made(tensor.name),
            read=self._times[self._site_of(written).index][1],
            operation=op.name,
            allot=self._allot.get(tensor.name, {}).get((site.index, op.name), 0),
            height=rows,
            port=wiring.weight_port,
            entire=True,
        )
        home = self.homes.find(need)
        if home is None:
            self._no_home_to_write_from(written, tensor.name)
        return home

    def _no_home_to_write_from(self, written: Writing, tensor: str) -> None:
        """Without any buffer the operand is at hand; where some are, one must lead there."""
        wiring = self.wiring_of(written.site)
        path = wiring.pool.path
        if not self.system.of_kind("buffer"):
            self._assume(f"what is written into `{path}` is at hand: the system has no buffer")
            return
        port = ".write" if wiring.weight_port == "write" else ""
        raise DescriptionError(
            Diagnostic(
                "E226",
                f"no buffer leads to the cells of `{path}`, where `{written.site.anchor.name}` has "
                f"`{tensor}` written",
                span=wiring.pool.span,
                helps=(f"connect a buffer to `{path}{port}`",),
            )
        )

    def _site_of(self, written: Writing) -> Site:
        return self.sites[-1 - written.site.index]

    def _arrays_of(self, site: Site) -> list[Instances]:
        """The arrays of a site's tiles, and what lies between them, pool by pool; the first is
        that of its first tile."""
        mine = self.tiles.site == site.index
        found = []
        for pool in dict.fromkeys(self.tiles.pool[mine].tolist()):
            arrays = self.tiles.array[mine & (self.tiles.pool == pool)]
            path = self.wirings[pool].pool.path
            found.append(Instances(path, int(arrays.min()), int(arrays.max()) + 1))
        return found

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
            if operands:
                ways[i + skip] = attrs.evolve(waypoint, operands=tuple(operands))
        return attrs.evolve(flow, waypoints=tuple(ways)) if site.reads[1:] else flow

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
            for source in site.operand:
                bits = self.bits[site.anchor.name].weight
                widths[source.tensor] = max(bits, widths.get(source.tensor, 0))
        return widths

    @cached_property
    def _kept(self) -> frozenset[str]:
        """Stored tensors that hold what the next inference finds: they stay to the end."""
        views = Views(self.network)
        return frozenset(
            source.tensor for name in self.network.states.values() for source in views.sources(name)
        )

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
            made=self._made(source.tensor),
            read=self._times[site.index][1],
            operation=op.name,
            step=-(-tensor.elements * bits // op.window_rows) if site.is_matrix else 0,
            allot=self._allot.get(source.tensor, {}).get((site.index, op.name), 0),
            height=rows,
            until=self._times[-1][1] if source.tensor in self._kept else -1,
        )
        home = self.homes.find(need)
        if home is None:
            self._assume(f"what `{at.path}` reads is at hand: no buffer leads to it")
        elif not home.whole:
            self._assume_streamed(home)
        return home

    # What is written at run time

    @cached_property
    def writings(self) -> dict[int, Writing]:
        """Per site the operand that an inference writes into its arrays."""
        rows = Rows(self.network)
        found = {site.index: writing(self.network, rows, site) for site in self.sites}
        return {index: each for index, each in found.items() if each is not None}

    def _check_standing(self) -> None:
        """Raise DescriptionError where earlier keys do not stay in their arrays."""
        standing = [each for each in self.writings.values() if each.earlier]
        if standing and self.groups > 1:
            op = standing[0].site.anchor
            raise DescriptionError(
                Diagnostic(
                    "E234",
                    f"the keys of {standing[0].earlier} earlier tokens do not stay in the arrays "
                    f"of `{op.name}`: the network takes {self.groups} resident groups",
                    notes=("another group's weights are written over them",),
                    helps=(
                        "describe more arrays, so that all fits one group",
                        "leave attention to a unit that does `matmul`: `--attention digital`",
                    ),
                )
            )

    # Rows of a pipeline

    @cached_property
    def _times(self) -> list[tuple[int, int]]:
        """When a site begins and ends, for the room in buffers: the sites follow one another, or
        in a pipeline the resident groups do."""
        if self.schedule == "layers":
            return [(site.index, site.index) for site in self.sites]
        found: list[tuple[int, int]] = []
        for site in self.sites:
            mine = self.tiles.resident[self.tiles.site == site.index]
            before = found[-1][1] if found else 0
            found.append((int(mine.min()), int(mine.max())) if len(mine) else (before, before))
        return found

    def _made(self, tensor: str) -> int:
        """When a tensor begins to be there."""
        maker = self.maker.get(tensor, -1)
        return self._times[maker][0] if maker >= 0 else -1

    @cached_property
    def _reaches(self) -> dict[int, tuple[Reach, ...]]:
        if self.schedule == "layers":
            return {}
        rows = Rows(self.network)
        found = {site.index: tuple(rows.of(site)) for site in self.sites}
        for index, each in self.writings.items():
            found[index] += (each.reach,)
            found[each.site.index] = each.reaches
        return found

    @cached_property
    def _allot(self) -> dict[str, dict[tuple[int, str], int]]:
        """Tensor -> (reader's site, operation) -> the least rows that its home must hold.

        Of tensors that are made and read in one group; others are whole before they are read.
        """
        if self.schedule == "layers":
            return {}
        least: dict[Key, int] = {}
        for group in sorted({time for times in self._times for time in times}):
            sites = [s for s in self.sites if self._times[s.index] == (group, group)]
            mine = [each for site in sites for each in self._with_writing(site)]
            inputs = self.network.inputs if group == 0 else ()
            heights = {name: map_rows(tensor) for name, tensor in self.network.tensors.items()}
            heights |= {each.name: len(each.keys) for each in self.writings.values()}
            least |= least_rows(
                mine,
                [self._extent(site) for site in mine],
                [self._reaches[site.index] for site in mine],
                heights,
                inputs,
            )
        late = {
            source.tensor
            for site in self.sites
            for sources in (*site.reads, site.operand)
            for source in sources
            if self._times[site.index] != (max(0, self._made(source.tensor)),) * 2
        }
        found: dict[str, dict[tuple[int, str], int]] = {}
        for (index, position, tensor), rows in least.items():
            if tensor not in late:
                site = self.sites[index if index >= 0 else -1 - index]
                op = site.operations[position]
                found.setdefault(tensor, {})[index, op.name] = rows
        return found

    def _with_writing(self, site: Site) -> list[Site]:
        """A site, and before it the writing of its operand."""
        found = self.writings.get(site.index)
        return [found.site, site] if found else [site]

    def _extent(self, site: Site) -> Extent:
        if site.index < 0:
            return Extent(len(self.writings[-1 - site.index].keys), 1)
        return extent(self.network, site)

    def _assume_streamed(self, home: Home) -> None:
        if self.wiring.edge_into(home.members[0]) is None:
            self._assume(
                f"`{home.tensor}` is larger than `{home.path}`; what does not fit waits outside "
                "the description, free of time and energy"
            )

    # Weights

    def _weight_bits(self, pool: int) -> int:
        """Bits of all weights that a pool holds."""
        return sum(
            self._bits_held(site, pool)
            for site in self.sites
            if site.is_matrix and not site.anchor.written
            if site.anchor.name in self._mixed or self.pools[site.index] == pool
        )

    @cached_property
    def _mixed(self) -> frozenset[str]:
        """Operations whose strips have several precisions."""
        return frozenset(name for name, bits in self.bits.items() if bits.strips is not None)

    def _bits_held(self, site: Site, pool: int) -> int:
        """Bits of a site's weights that a pool holds."""
        op, strips = site.anchor, self.bits[site.anchor.name].strips
        if strips is None:
            return op.rows * op.columns * op.groups * self.bits[op.name].weight
        mine = (self.tiles.site == site.index) & (self.tiles.pool == pool)
        held = np.unique(self.tiles.level[mine]).tolist()
        count: int = sum(strips.counts[level] * strips.bits[level] for level in held)
        return depth_of(op) * count

    def _check_weights(self) -> None:
        kept: dict[str, int] = {}
        for index, wiring in enumerate(self.wirings):
            bits = self._weight_bits(index)
            source = wiring.weight_source(wiring.array(0)) if bits else None
            if source is not None:
                kept[source.path] = kept.get(source.path, 0) + bits
            elif bits:
                self._assume("weights are at the arrays' write drivers when a load begins")
        for path, total in kept.items():
            self._check_source(self.system.part(path), total)

    def _check_source(self, part: Part, total: int) -> None:
        """Raise DescriptionError where the weights are more than a part that keeps them holds."""
        if "size" not in part.params or total <= part.number("size") * part.count:
            return
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


_IDEAL = (
    (("dac",), CROSSBARS, "inputs enter the word lines whole, in one step: the system has no dac"),
    (("adc",), ("crossbar",), "conversion is done at once and free: the system has no adc"),
    (ADDERS, CROSSBARS, "partial sums are added at once and free: the system has no adder"),
    (("buffer",), CROSSBARS, "inputs and results are at hand at once: the system has no buffer"),
)
"""Kinds of part, the arrays that need one, and what is assumed where there is none."""


def _moved(written: Writing | None, settled: Mapping[Home, Home]) -> Writing | None:
    """An operand whose tensors are where, at last, they are."""
    if written is None:
        return None
    return attrs.evolve(written, homes=_settled_homes(written.homes, settled))


def _settled_homes(
    homes: Sequence[Home | None], settled: Mapping[Home, Home]
) -> tuple[Home | None, ...]:
    """Homes as, at last, they are."""
    return tuple(settled.get(home, home) if home else None for home in homes)


def _settled(flow: Flow, settled: Mapping[Home, Home]) -> Flow:
    """A flow whose operands are read where, at last, they are."""
    if not settled:
        return flow
    ways = tuple(
        attrs.evolve(
            waypoint,
            operands=tuple(
                attrs.evolve(o, home=settled.get(o.home, o.home)) if o.home else o
                for o in waypoint.operands
            ),
        )
        for waypoint in flow.waypoints
    )
    return attrs.evolve(flow, waypoints=ways)
