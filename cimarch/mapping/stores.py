"""Where results and inputs are put: the homes of their readers, the chip's edge, a last buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import Instances, Route
from cimarch.mapping.flows import CARRY, Flow, Store, no_way, route_from
from cimarch.mapping.homes import Homes
from cimarch.mapping.sites import Site, Source, Views
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network


class Stores:
    """Finds the stores of flows, once all homes are known.

    `bits` is the width of an element that leaves the network; `times` says of each site when it
    begins and ends, `end` when all is over; `assume` is told what had to be filled in.
    """

    def __init__(
        self,
        wiring: Wiring,
        network: Network,
        homes: Homes,
        assume: Callable[[str], None],
        *,
        bits: int,
        times: Sequence[tuple[int, int]],
        end: int,
    ) -> None:
        self._wiring = wiring
        self._network = network
        self._homes = homes
        self._assume = assume
        self._bits = bits
        self._times = times
        self._end = end
        self._views = Views(network)

    def complete(self, site: Site, flow: Flow) -> Flow:
        """A flow with its stores, and where its sums wait that a group boundary cuts."""
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
        find = self._wiring.routes.find
        places = [store.at for store in flow.stores]
        places += [
            at
            for at in self._wiring.routes.downstream(flow.origin)
            if self._wiring.system.part(at.path).kind == "buffer" and len(at) == 1
        ]
        for place in places:
            there, back = find(flow.origin, place), find(place, adder)
            if there is not None and back is not None:
                return attrs.evolve(flow, spill=there, carried=back)
        raise no_way(places[0], adder, "where sums are added that a group boundary cuts")

    def _stores(self, site: Site, here: Instances) -> list[Store]:
        stores = []
        for home in self._homes.of(site.result):
            if home.whole:
                for member in home.members:
                    why = f"where `{site.result}` is read"
                    way = route_from(self._wiring, here, member, why)
                    if way is not None:
                        stores.append(Store(member, way, home.bits))
        streamed = [home for home in self._homes.of(site.result) if not home.whole]
        if streamed and (way := self._wiring.edge_from(here)):
            stores.append(Store(way[-1].at, way, max(home.bits for home in streamed)))
        if site.result in self._leaving and not (streamed and stores):
            stores += self._results(site, here)
        return stores

    @cached_property
    def _leaving(self) -> set[str]:
        outputs = self._network.outputs
        return {s.tensor for name in outputs for s in self._views.sources(name)}

    def _results(self, site: Site, here: Instances) -> list[Store]:
        """The network's results go off the chip, else to the nearest buffer with room."""
        way = self._wiring.edge_from(here)
        if way is not None:
            return [Store(way[-1].at, way, self._bits)]
        buffers = [
            at
            for at in self._wiring.routes.downstream(here)
            if self._wiring.system.part(at.path).kind == "buffer" and len(at) == 1
        ]
        if not buffers:
            self._assume("results are gone at once: nothing is beyond where they are made")
            return []
        bits = self._network.tensors[site.result].elements * self._bits
        for at in buffers:
            if self._homes.rooms.take(at, self._times[site.index][0], self._end, bits):
                self._assume(f"results stay in `{at.path}`: the system has no way out")
                way = self._wiring.routes.find(here, at)
                assert way is not None
                return [Store(at, way, self._bits)]
        raise self._no_room_for_results(site, buffers[0], bits)

    def _no_room_for_results(self, site: Site, at: Instances, bits: int) -> DescriptionError:
        size = self._homes.rooms.size(at.path) or 0
        need = -(-bits // 8)
        return DescriptionError(
            Diagnostic(
                "E233",
                f"the results of `{site.operations[-1].name}` take {need} bytes: more than "
                f"`{at.path}`, where they stay, has free",
                span=self._wiring.system.part(at.path).span,
                notes=(f"`{at.path}` holds {size / 8:g} bytes in all",),
                helps=("make its `size` larger, or connect it to a dram, host or link",),
            )
        )

    def inputs(self) -> list[tuple[Source, Store]]:
        """What comes from the chip's edge, and the members of its homes that it is brought to."""
        return [
            (source, Store(member, edge[1], home.bits))
            for name in self._network.inputs
            for source in self._views.sources(name)
            for home in self._homes.of(source.tensor)
            if home.whole
            for member in home.members
            for edge in (self._edge_into(member),)
            if edge is not None
        ]

    def _edge_into(self, member: Instances) -> tuple[Instances, Route] | None:
        edge = self._wiring.edge_into(member)
        if edge is None:
            self._assume(
                f"inputs are in `{member.path}` at cycle 0: nothing leads there from outside"
            )
        return edge
