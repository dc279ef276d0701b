"""How a pool of arrays is wired: what drives its word lines, reads it out and adds its sums.

All arrays of a pool are wired alike where their links name all members (`[*]`); what is said here
of one array holds for the others with their own members.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.encoding import arrays_per_sum, columns_per_weight, sense_lines_per_weight
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.routes import ARRAYS, OUTSIDE, Instances, Route, Routes
from cimarch.hardware.system import Part, System
from cimarch.mapping.tiling import Domain

ADDERS = ("shift_add", "accumulator", "adder_tree")
"""Kinds that add partial sums and residuals."""
PASSED = frozenset({"dac", "sample_hold", "adc", "unit", *ADDERS})
"""Kinds that take no time when data only cross them."""


@attrs.frozen
class Convert:
    """The converters of one array."""

    at: Instances
    arrays: int
    """How many arrays they serve."""


def wirings_of(system: System) -> tuple[Wiring, ...]:
    """The wirings of all pools of a system, in order of declaration."""
    routes = Routes(system)
    return tuple(Wiring(system, pool, routes) for pool in system.of_kind(*CROSSBARS))


class Wiring:
    """The surroundings of a pool's arrays."""

    def __init__(self, system: System, pool: Part, routes: Routes | None = None) -> None:
        self.system = system
        self.pool = pool
        self.routes = routes or Routes(system)
        """Those of the system: the wirings of several pools share them."""
        self._converts: dict[int, Convert | None] = {}
        self._drivers: dict[int, Instances | None] = {}
        self._arrays: dict[int, Instances] = {}
        self._feeders: dict[tuple[Instances, str], tuple[Instances, ...]] = {}
        self._wide: dict[int, tuple[int, int, int]] = {}
        self._arrays_each: int | None = None
        self._whole_source: Instances | None = None

    def array(self, index: int) -> Instances:
        """One array of the pool; the same object each time, which is quick to compare."""
        if index not in self._arrays:
            self._arrays[index] = Instances(self.pool.path, index, index + 1)
        return self._arrays[index]

    # What drives the word lines

    @cached_property
    def driver(self) -> tuple[Part | None, Part | None]:
        """The dac on the input's way (None: inputs enter whole), and the buffer that feeds it.

        The buffer is the first part before the dac; None where something else is.
        """
        dac = None
        for at in self.routes.upstream(self.array(0), "in"):
            part = self.system.part(at.path)
            if part.kind == "buffer":
                return dac, part
            if part.kind == "dac" and dac is None:
                dac = part
            elif part.kind != "dac":
                break
        if dac is None and not self._is_digital_beside("dac"):
            dac = self._reached("dac", self.routes.upstream(self.array(0), "in"), "in front of")
        return dac, None

    def _is_digital_beside(self, kind: str) -> bool:
        """Whether the pool needs none of a kind: the system has none, or other pools' only."""
        if not self.system.of_kind(kind):
            return True
        others = [p for p in self.system.of_kind("crossbar") if p.path != self.pool.path]
        return self.pool.kind == "digital_array" and bool(others)

    def driver_of(self, array: int) -> Instances | None:
        """The buffer that feeds an array's dacs (or its word lines), with nothing timed between."""
        if array not in self._drivers:
            self._drivers[array] = self._find_driver(array)
        return self._drivers[array]

    def _find_driver(self, array: int) -> Instances | None:
        for at in self.routes.upstream(self.array(array), "in"):
            kind = self.system.part(at.path).kind
            if kind == "buffer":
                return at
            if kind not in PASSED:
                return None
        return None

    def _reached(self, kind: str, places: Iterator[Instances], where: str) -> Part:
        for at in places:
            if self.system.part(at.path).kind == kind:
                return self.system.part(at.path)
        found = self.system.of_kind(kind)[0]
        raise DescriptionError(
            Diagnostic(
                "E221",
                f"no `{kind}` is {where} `{self.pool.path}`, though the system has one",
                span=self.pool.span,
                notes=(f"`{found.path}` is not on its way",),
                helps=(f"connect it, or remove `{found.path}`",),
            )
        )

    def feeders(self, at: Instances, port: str = "in") -> tuple[Instances, ...]:
        """Buffers upstream of a place (of arrays: by their inputs, or by a port), nearest first."""
        known = self._feeders.get((at, port))
        if known is None:
            entered = port if self.system.part(at.path).kind in ARRAYS else None
            reached = self.routes.upstream(at, entered)
            known = tuple(each for each in reached if self.system.part(each.path).kind == "buffer")
            self._feeders[at, port] = known
        return known

    # What reads them out

    @cached_property
    def hold(self) -> Part | None:
        """The sample-and-hold between the array and its converters."""
        for at in self.routes.downstream(self.array(0)):
            part = self.system.part(at.path)
            if part.kind == "sample_hold":
                return part
            if part.kind in ("adc", "buffer"):
                return None
        return None

    @property
    def has_hold(self) -> bool:
        """Whether there is one."""
        return self.hold is not None

    @cached_property
    def converter(self) -> Part | None:
        """The converter of the pool; None where it needs none, or where there is none at all."""
        if self.pool.kind == "digital_array" or not self.system.of_kind("adc"):
            return None
        return self._reached("adc", self.routes.downstream(self.array(0)), "behind")

    def convert(self, array: int) -> Convert | None:
        """The converters of one array, and how many arrays they serve."""
        if self.converter is None:
            return None
        if array not in self._converts:
            self._converts[array] = self._find_convert(array)
        return self._converts[array]

    def held(self, array: int) -> tuple[Instances, Instances]:
        """What a read of one array holds, and what a conversion does: its converters."""
        at, convert = self.array(array), self.convert(array)
        return at, at if convert is None else convert.at

    def _find_convert(self, array: int) -> Convert:
        assert self.converter is not None
        members = Instances(self.converter.path, 0, self.converter.count)
        way = self.routes.find(self.array(array), members)
        assert way is not None, f"array {array} reaches no converter"
        if self._arrays_each is not None:
            return Convert(way[-1].at, self._arrays_each)
        served = sum(len(p) for p in _arrays_behind(self.routes, self.pool, way[-1].at))
        if self.routes.is_uniform:
            self._arrays_each = served
        return Convert(way[-1].at, served)

    def turns(self, lines: int, converters: int, weight_bits: int, first: int = 0) -> int:
        """Conversions that the busiest of an array's converters makes in one read.

        Sense lines are wired to converters adjacent (the first few to the first converter) or
        interleaved (in turn); `first` is the first line in use.
        """
        assert self.converter is not None
        if self.converter.word("mux") == "interleaved":
            return -(-lines // converters)
        each = -(-self._sense_lines(weight_bits)[2] // converters)
        begun = min(lines, each - first % each)
        return max(begun, min(each, lines - begun))

    def line_of(self, column: int, weight_bits: int) -> int:
        """The sense line that is read where a column is in use."""
        lines, across, _ = self._sense_lines(weight_bits)
        return column * lines // across

    def _sense_lines(self, weight_bits: int) -> tuple[int, int, int]:
        """Lines of a weight that are converted, its columns, and such lines of a whole array."""
        if weight_bits not in self._wide:
            lines = sense_lines_per_weight(self.pool, weight_bits)
            across = columns_per_weight(self.pool, weight_bits)
            found = -(-self.pool.integer("columns") * lines // across)
            self._wide[weight_bits] = lines, across, -(-found // arrays_per_sum(self.pool))
        return self._wide[weight_bits]

    @cached_property
    def tree(self) -> Part | None:
        """The adder trees of digital arrays: they sum the word lines of a read, and an adder behind
        them joins bit slices and input steps. None where an array has none of its own."""
        first, *others = self._adders or (None,)
        if self.pool.kind != "digital_array" or first is None or not others:
            return None
        is_own = first.kind == "adder_tree" and first.count >= self.pool.count
        return first if is_own else None

    @cached_property
    def merger(self) -> Part | None:
        """The adder next behind the converters, or behind a digital array and its trees, which
        joins bit slices and input steps."""
        return next((part for part in self._adders if part is not self.tree), None)

    @cached_property
    def _adders(self) -> tuple[Part, ...]:
        """The adders that an array leads to before the first buffer, nearest first."""
        found: dict[str, Part] = {}
        for at in self.routes.downstream(self.array(0)):
            part = self.system.part(at.path)
            if part.kind == "buffer":
                break
            if part.kind in ADDERS:
                found.setdefault(at.path, part)
        return tuple(found.values())

    # Where sums meet

    @cached_property
    def domains(self) -> tuple[Domain, ...]:
        """The adders downstream of an array and how many arrays one serves, nearest first."""
        found = []
        seen: set[str] = set()
        for at in self.routes.downstream(self.array(0)):
            part = self.system.part(at.path)
            if part.kind in ADDERS and at.path not in seen:
                seen.add(at.path)
                arrays = sum(len(p) for p in _arrays_behind(self.routes, self.pool, at))
                found.append(Domain(at.path, arrays))
        return tuple(found)

    # The chip's edge

    def is_outside(self, path: str) -> bool:
        """Whether a part is where the world begins: dram, host, or a link with a free end."""
        part = self.system.part(path)
        if part.kind in OUTSIDE:
            return True
        if part.kind != "link":
            return False
        others = {w.source.path for w in self.routes.entering.get(path, ())}
        others |= {w.target.path for w in self.routes.leaving.get(path, ())}
        return len(others) == 1

    def weight_source(self, array: Instances) -> Instances | None:
        """Where the weights of an array come from: the chip's edge, or a buffer nothing enters."""
        if self._whole_source is not None:
            return self._whole_source
        for at in self.routes.upstream(array, self.weight_port):
            part = self.system.part(at.path)
            is_store = part.kind == "buffer" and not self.routes.entering.get(at.path)
            is_store = is_store and self.weight_port == "write"
            if is_store or self.is_outside(at.path):
                if self.routes.is_uniform and len(at) == part.count:
                    self._whole_source = at
                return at
        return None

    @cached_property
    def weight_port(self) -> str:
        """The port by which weights reach the cells: `write`, or where nothing leads there `in`."""
        wires = self.routes.entering.get(self.pool.path, ())
        return "write" if any(w.target.name == "write" for w in wires) else "in"

    def edge_into(self, at: Instances) -> tuple[Instances, Route] | None:
        """The nearest place at the chip's edge that leads to `at`, and the way."""
        for place in self.routes.upstream(at):
            if self.is_outside(place.path):
                way = self.routes.find(place, at)
                if way is not None:
                    return place, way
        return None

    def edge_from(self, at: Instances) -> Route | None:
        """The way from `at` to the nearest place at the chip's edge."""
        for place in self.routes.downstream(at):
            if self.is_outside(place.path):
                return self.routes.find(at, place)
        return None


def _arrays_behind(routes: Routes, pool: Part, at: Instances) -> list[Instances]:
    """The nearest arrays of a pool that lead to a place: those that no others are nearer than."""
    seen = {at}
    level = [at]
    while level:
        before = [
            place
            for here in level
            for wire in routes.entering.get(here.path, ())
            for place in routes.behind(wire, here)
        ]
        arrays = {place for place in before if place.path == pool.path}
        if arrays:
            return _united(arrays)
        level = [place for place in dict.fromkeys(before) if place not in seen]
        seen.update(level)
    return []


def _united(places: set[Instances]) -> list[Instances]:
    united: list[Instances] = []
    for place in sorted(places):
        if united and place.lo <= united[-1].hi:
            united[-1] = attrs.evolve(united[-1], hi=max(united[-1].hi, place.hi))
        else:
            united.append(place)
    return united
