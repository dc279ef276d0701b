"""Published figures beside what cimarch makes of the same chips: difference, kind and verdict.

Each quantity that a file of published figures may name is a small function here, from a `Target` (a
system, a precision, perhaps a part) to numbers by method: areas and powers by rolling up, times and
energies of products by event simulation, and throughput by both closed form and event simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, suggestion
from cimarch.explore.pipeline import Stage, beats, isaac_pipeline
from cimarch.explore.products import BackToBack, full_products, full_vector
from cimarch.explore.published import Figure, Reference, references
from cimarch.explore.throughput import Throughput, bundled_chips, throughputs
from cimarch.hardware import encoding
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.rollup import peak, rates, total
from cimarch.hardware.system import Part, System
from cimarch.language import load
from cimarch.mapping.precision import Bits
from cimarch.mapping.readout import shot
from cimarch.mapping.wiring import wirings_of

if TYPE_CHECKING:
    import pandas

Progress = Callable[[str, float], None]
"""Called with what is being done and the share (0 to 1) of it that is done."""

CLOSED = "closed form"
EVENTS = "events"
ROLLED = "sum of parts"
STATED = "description"
SCHEMA = "cimarch.validate/1"


@attrs.frozen
class Check:
    """One published figure beside cimarch's, by one method."""

    chip: str
    system: str
    """The system that it is of, where it is another than the chip's."""
    figure: str
    quantity: str
    method: str
    """How cimarch comes by it: `sum of parts`, `closed form`, `events` or `description`."""
    published: float
    found: float | None
    """cimarch's, in the same unit; None where it is not known."""
    unit: str
    difference: float | None
    """Relative: found / published - 1."""
    kind: str
    tolerance: float | None
    checked: str
    verdict: str
    """`met`, `not met`, `contradicted` or `not known`."""
    source: str
    note: str
    explained: tuple[str, ...] = ()
    """Addresses of the system under which `cimarch explain` tells what `found` is made of."""

    @property
    def failed(self) -> bool:
        """Whether the figure should be met and is not."""
        return self.verdict in ("not met", "not known")


@attrs.frozen
class Validation:
    """Every figure of some reference chips."""

    references: tuple[Reference, ...]
    checks: tuple[Check, ...]
    throughputs: tuple[Throughput, ...] = ()
    """Peak throughput of every described chip, twice, where all reference chips were asked for."""
    pipeline: tuple[tuple[Stage, ...], tuple[Stage, ...]] | None = None
    """ISAAC's stages with its beat and without, where ISAAC is among the chips."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """What should be met and is not."""
        return tuple(check for check in self.checks if check.failed)

    def of(self, reference: Reference) -> tuple[Check, ...]:
        """The checks of one chip."""
        return tuple(check for check in self.checks if check.chip == reference.name)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain JSON values."""
        return {
            "schema": SCHEMA,
            "chips": [
                {
                    "chip": each.name,
                    "title": each.title,
                    "source": each.source,
                    "notes": list(each.notes),
                    "figures": [_plain(check) for check in self.of(each)],
                }
                for each in self.references
            ],
            "throughputs": [attrs.asdict(each) for each in self.throughputs],
            "failed": len(self.failed),
        }

    def to_pandas(self) -> pandas.DataFrame:
        """The checks as a DataFrame, a row each. Raises ImportError where pandas is not there."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        return pandas.DataFrame([_plain(check) for check in self.checks])


def _plain(check: Check) -> dict[str, object]:
    return attrs.asdict(check) | {"explained": list(check.explained)}


def validate(*chips: str, progress: Progress | None = None) -> Validation:
    """Compare what is published of reference chips with what cimarch makes of them.

    `chips` are names of bundled references (`isaac`) or paths of `.toml` files; all bundled ones
    without any. `progress` is told which chip is at work and what share of all is done. Raises
    DescriptionError where a file or a description is wrong, or where a figure asks for what its
    system does not have.
    """
    found = references(chips)
    bench = _Bench()
    checks: list[Check] = []
    for number, each in enumerate(found):
        for place, figure in enumerate(each.figures):
            if progress is not None:
                progress(each.title, (number + place / len(each.figures)) / len(found))
            checks += bench.checks(each, figure)
    shown = any(each.name == "isaac" for each in found)
    return Validation(
        found,
        tuple(checks),
        () if chips else tuple(each for name in bundled_chips() for each in throughputs(name)),
        isaac_pipeline() if shown else None,
    )


# What a figure is of ----------------------------------------------------------------------------


@attrs.frozen(slots=False)
class Target:
    """What a figure is of: a system at a precision, or one instance of a part of it."""

    system: System
    bits: Bits
    path: str = ""
    action: str = ""

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
    """Sum over one instance of the part with all inside."""

    def roll_up(target: Target) -> Found:
        return {ROLLED: total(target.part, quantity) / target.part.count}

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
"""What finds each quantity of `cimarch.explore.published.UNITS`."""


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


# Checking ---------------------------------------------------------------------------------------


class _Bench:
    """Finds quantities; systems and their products are kept from figure to figure."""

    def __init__(self) -> None:
        self._systems: dict[tuple[str, tuple[tuple[str, str], ...]], System] = {}
        self._targets: dict[tuple[int, Bits, str, str], Target] = {}

    def checks(self, reference: Reference, figure: Figure) -> Iterator[Check]:
        """A check for each method of a figure; errors tell which figure asked."""
        try:
            target = self._target(figure.system or reference.chip, figure, figure.set)
            found = self._found(target, figure)
            explained = EXPLAINED[figure.quantity](target)
        except DescriptionError as error:
            raise _of_figure(error, reference, figure) from None
        for method, value in found.items():
            yield attrs.evolve(_check(reference, figure, method, value), explained=explained)

    def _found(self, target: Target, figure: Figure) -> Found:
        measure = QUANTITIES[figure.quantity]
        mine = measure(target)
        if figure.kind != "ratio":
            return mine
        other = measure(self._target(figure.against, figure, figure.against_set))
        return {
            method: value / by if value is not None and by else None
            for method, value in mine.items()
            for by in (other.get(method),)
        }

    def _target(self, name: str, figure: Figure, given: Mapping[str, str]) -> Target:
        system = self._system(name, dict(given) | _densities(figure))
        root = system.root
        weight = figure.weight_bits or root.integer("weight_bits")
        bits = Bits(weight, figure.input_bits or root.integer("input_bits"))
        key = (id(system), bits, figure.path, figure.action)
        if key not in self._targets:
            self._targets[key] = Target(system, bits, figure.path, figure.action)
        return self._targets[key]

    def _system(self, name: str, given: Mapping[str, str]) -> System:
        key = (name, tuple(sorted(given.items())))
        if key not in self._systems:
            self._systems[key] = load(name, set=given)
        return self._systems[key]


def _densities(figure: Figure) -> dict[str, str]:
    """The settings that give a system the densities of a figure."""
    named = {"input_density": figure.input_density, "weight_density": figure.weight_density}
    return {name: str(float(value)) for name, value in named.items() if value is not None}


def _check(reference: Reference, figure: Figure, method: str, value: Fraction | None) -> Check:
    found = None if value is None else value / figure.scale
    difference = None if found is None else found / figure.value - 1
    return Check(
        chip=reference.name,
        system=figure.system,
        figure=figure.name,
        quantity=figure.quantity,
        method=method,
        published=float(figure.value),
        found=None if found is None else float(found),
        unit="x" if figure.kind == "ratio" else figure.unit,
        difference=None if difference is None else float(difference),
        kind=figure.kind,
        tolerance=None if figure.tolerance is None else float(figure.tolerance),
        checked=figure.checked,
        verdict=_verdict(figure, difference),
        source=figure.source,
        note=figure.note,
    )


def _verdict(figure: Figure, difference: Fraction | None) -> str:
    if figure.kind == "contradicted" or figure.tolerance is None:
        return "contradicted"
    if difference is None:
        return "not known"
    return "met" if abs(difference) <= figure.tolerance else "not met"


def _of_figure(error: DescriptionError, reference: Reference, figure: Figure) -> DescriptionError:
    """The same diagnostics, saying which figure met them."""
    note = f"`{figure.name}` of `{reference.name}` was asked for"
    return DescriptionError(*(attrs.evolve(d, notes=(*d.notes, note)) for d in error.diagnostics))


def _no_part(system: System, path: str) -> DescriptionError:
    known = [part.path for part in system.walk() if part.path]
    return _wrong(f"`{system.name}` has no part `{path}`", *suggestion(path, known))


def _wrong(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E422", headline, helps=helps))
