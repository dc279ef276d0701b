"""The quantities that a published figure may be, each a small function of what the figure is of.

From a `Target` (a system, a precision, perhaps a part) to numbers by method: areas and powers by
rolling up, times and energies of products by event simulation, and throughput by both closed form
and event simulation. Beside each stands what it is made of, as addresses for `cimarch explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, suggestion
from cimarch.explore.products import BackToBack, full_products, full_vector
from cimarch.explore.validating.pipeline import beats
from cimarch.hardware import encoding
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.rollup import peak, rates, total
from cimarch.hardware.system import Part, System
from cimarch.mapping.precision import Bits
from cimarch.mapping.readout import shot
from cimarch.mapping.wiring import wirings_of
from cimarch.report.report import Report
from cimarch.simulate import simulate
from cimarch.workload.read import read_network

CLOSED = "closed form"
EVENTS = "events"
ROLLED = "sum of parts"
STATED = "description"


@attrs.frozen(slots=False)
class Target:
    """What a figure is of: a system at a precision, or one instance of a part of it."""

    system: System
    bits: Bits
    path: str = ""
    action: str = ""
    network: str = ""
    """Of a `run_efficiency`: what runs."""

    @cached_property
    def run(self) -> Report:
        """A run of the network at the precision: the shapes of one of cimarch's own decide."""
        network = read_network(model=self.network)
        bits = self.bits
        return simulate(self.system, network, weight_bits=bits.weight, input_bits=bits.input)

    @cached_property
    def part(self) -> Part:
        """The part at the path; the system itself where there is none."""
        try:
            return self.system.part(self.path)
        except KeyError:
            raise _no_part(self.system, self.path) from None

    @cached_property
    def products(self) -> tuple[BackToBack, ...]:
        """Back-to-back full-size products of the arrays inside the part."""
        held = {pool.path for pool in self.pools}
        found = full_products(self.system, self.bits.weight, self.bits.input)
        return tuple(each for each in found if each.pool in held)

    def holds(self, path: str) -> bool:
        """Whether a part is the target's part, or inside it."""
        return not self.path or f"{path}.".startswith(f"{self.path}.")

    @cached_property
    def pools(self) -> tuple[Part, ...]:
        """The arrays inside the part."""
        found = tuple(p for p in self.system.of_kind(*CROSSBARS) if self.holds(p.path))
        if not found:
            raise _wrong(f"`{self.path or self.system.name}` has no arrays inside")
        return found


Found = Mapping[str, Fraction | None]
"""A quantity by method, in SI base units; None where the description leaves it open."""


def _rolled(quantity: str) -> Callable[[Target], Found]:
    """Sum over one instance of the part with all inside; not known where nobody states any."""

    def roll_up(target: Target) -> Found:
        return {ROLLED: total(target.part, quantity) / target.part.count or None}

    return roll_up


def _peak(target: Target) -> Found:
    """Operations per second with every array in use, twice."""
    bits = target.bits.weight, target.bits.input
    if peak(target.system, *bits).operations is None:
        return {CLOSED: None, EVENTS: None}
    each = rates(target.system, *bits)
    closed = sum((each[pool.path] for pool in target.pools), Fraction(0))
    return {CLOSED: closed / target.part.count, EVENTS: _rate(target) / target.part.count}


def _rate(target: Target) -> Fraction:
    return sum((each.rate for each in target.products), Fraction(0))


def _per(quantity: str) -> Callable[[Target], Found]:
    """The peak by the area or the power of the same part."""

    def divide(target: Target) -> Found:
        by = total(target.part, quantity) / target.part.count
        found = _peak(target).items()
        return {method: rate / by if rate and by else None for method, rate in found}

    return divide


def _efficiency(target: Target) -> Found:
    """Operations of full products by the joules that they are charged."""
    watts = [each.watts for each in target.products]
    known = [each for each in watts if each is not None]
    spent = sum(known, Fraction(0))
    return {EVENTS: _rate(target) / spent if spent and len(known) == len(watts) else None}


def _run_efficiency(target: Target) -> Found:
    """Operations of a network by all joules of its run."""
    joules = target.run.joules
    return {EVENTS: Fraction(target.run.operations) / Fraction(joules) if joules else None}


def _product_time(target: Target) -> Found:
    """Seconds of one full product by itself."""
    first = _first(target)
    return {EVENTS: first.alone / first.clock}


def _product_energy(target: Target) -> Found:
    """Joules of one full product on one array."""
    return {EVENTS: _first(target).joules}


def _first(target: Target) -> BackToBack:
    """Products on the first of the target's arrays."""
    first = target.pools[0].path
    return next(each for each in target.products if each.pool == first)


def _action_energy(target: Target) -> Found:
    """Joules of one action of a part, as in a full product."""
    action = target.part.actions.get(target.action)
    if action is None:
        raise _wrong(f"`{target.path}` has no action `{target.action}`")
    energy = action.energy
    return {STATED: None if energy is None else energy.at(_running(target))}


def _cycle(target: Target) -> Found:
    """Seconds of one read of the first array."""
    read = target.pools[0].actions.get("read")
    latency = None if read is None else read.latency
    return {STATED: None if latency is None else latency.at(_running(target, target.pools[0]))}


def _array_cycle(target: Target) -> Found:
    """Seconds from one read of an array to the next, in products that follow one another."""
    first = _first(target)
    return {EVENTS: first.interval / _reads(target) / first.clock}


def _reads(target: Target) -> int:
    """Reads of one full product on the first array, by its charges."""
    pool, charges = target.pools[0].path, _first(target).charges[0]
    return sum(c.count for c in charges if (c.part, c.action) == (pool, "read"))


def _running(target: Target, pool: Part | None = None) -> Mapping[str, Fraction]:
    """What costs may read, in a full product: on the first arrays, unless others are named."""
    wirings = wirings_of(target.system)
    at = next((w for w in wirings if pool is not None and w.pool.path == pool.path), wirings[0])
    return shot(at, full_vector(at, target.bits)).running


def _input_steps(target: Target) -> Found:
    """Reads of one group of word lines in a full product, by its charges."""
    pool = target.pools[0]
    together = encoding.rows_per_input(pool)
    groups = encoding.groups(pool, pool.integer("rows") // together * together)
    return {EVENTS: Fraction(_reads(target), len(groups))}


def _storage_density(target: Target) -> Found:
    """Bits of all cells by the area."""
    bits = sum(
        p.integer("rows") * p.integer("columns") * p.integer("cell_bits") * p.count
        for p in target.pools
    )
    area = total(target.part, "area")
    return {ROLLED: bits / area if area else None}


def _pipeline_beats(target: Target) -> Found:
    """Beats from the first to the last stage of a tile's pipeline."""
    found = beats(target.system, target.bits)
    return {EVENTS: None if found is None else Fraction(found)}


QUANTITIES: Mapping[str, Callable[[Target], Found]] = {
    "area": _rolled("area"),
    "power": _rolled("power"),
    "leakage": _rolled("leakage"),
    "peak": _peak,
    "density": _per("area"),
    "efficiency": _efficiency,
    "run_efficiency": _run_efficiency,
    "peak_per_power": _per("power"),
    "storage_density": _storage_density,
    "product_time": _product_time,
    "product_energy": _product_energy,
    "action_energy": _action_energy,
    "cycle": _cycle,
    "array_cycle": _array_cycle,
    "input_steps": _input_steps,
    "pipeline_beats": _pipeline_beats,
}
"""What finds each quantity of `cimarch.explore.validating.published.UNITS`."""


# Where its number comes from ------------------------------------------------------------------


def _total_address(quantity: str) -> Callable[[Target], tuple[str, ...]]:
    return lambda target: (f"{target.path}.{quantity}".lstrip("."),)


def _peak_address(target: Target) -> tuple[str, ...]:
    return _times(target) if target.path else ("peak",)


def _by(quantity: str) -> Callable[[Target], tuple[str, ...]]:
    whole = _total_address(quantity)
    return lambda target: (*_peak_address(target), *whole(target))


def _times(target: Target) -> tuple[str, ...]:
    """What the pace of products follows from: reads, and rates of converters."""
    pools = [pool for pool in target.pools if "read" in pool.actions]
    wirings = [w for w in wirings_of(target.system) if w.pool.path in {p.path for p in pools}]
    converters = [w.converter.path for w in wirings if w.converter is not None]
    reads = (f"{pool.path}.read.latency" for pool in pools)
    return tuple(dict.fromkeys((*reads, *(f"{path}.rate" for path in converters))))


def _costs(target: Target) -> tuple[str, ...]:
    """What the energy of products follows from: the price of each action that is charged."""
    charged = (c for each in target.products for charges in each.charges for c in charges)
    priced = (
        f"{c.part}.power" if c.origin == "from power" else f"{c.part}.{c.action}.energy"
        for c in charged
        if c.joules is not None
    )
    return tuple(dict.fromkeys(priced))


def _prices(run: Report) -> set[str]:
    """What the energy of a run follows from: the price of each action that was counted."""
    ledger = run.ledger
    rows = zip(ledger["part"], ledger["action"], ledger["origin"], strict=True)
    static = {"leakage": "leakage", "idle": "idle_power", "gated": "gated_leakage"}
    return {
        f"{part}.power" if origin == "from power" else f"{part}.{static.get(action, action)}"
        if action in static else f"{part}.{action}.energy"
        for part, action, origin in rows
    }  # fmt: skip


def _cells(target: Target) -> tuple[str, ...]:
    sizes = ("rows", "columns", "cell_bits")
    cells = (f"{pool.path}.{size}" for pool in target.pools for size in sizes)
    return (*cells, *_total_address("area")(target))


EXPLAINED: Mapping[str, Callable[[Target], tuple[str, ...]]] = {
    "area": _total_address("area"),
    "power": _total_address("power"),
    "leakage": _total_address("leakage"),
    "peak": _peak_address,
    "density": _by("area"),
    "efficiency": _costs,
    "run_efficiency": lambda target: tuple(sorted(_prices(target.run))),
    "peak_per_power": _by("power"),
    "storage_density": _cells,
    "product_time": _times,
    "product_energy": _costs,
    "action_energy": lambda target: (f"{target.path}.{target.action}.energy",),
    "cycle": lambda target: _times(target)[:1],
    "array_cycle": _times,
    "input_steps": lambda target: tuple(f"{pool.path}.rows" for pool in target.pools),
    "pipeline_beats": _times,
}
"""The addresses, for `cimarch explain`, of what each quantity is made of."""


def _no_part(system: System, path: str) -> DescriptionError:
    known = [part.path for part in system.walk() if part.path]
    return _wrong(f"`{system.name}` has no part `{path}`", *suggestion(path, known))


def _wrong(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E422", headline, helps=helps))
