"""The result of one run: what was asked, what came out, and what had to be assumed.

Plain frozen data. Attributes are in SI base units; the names in JSON and in the tables carry
their unit. What each number means is in `cimarch.report.definitions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
from attrs.converters import optional

from cimarch import __version__
from cimarch.program.energy import STATIC
from cimarch.report.columns import Columns, checked, from_rows, to_rows
from cimarch.report.definitions import (
    BOUNDS,
    ENERGY,
    FIGURES,
    LAYERS,
    LEDGER,
    PARTS,
    SCHEMA,
    TABLES,
)

if TYPE_CHECKING:
    import pandas

    from cimarch.program.basis import Basis
    from cimarch.report.explaining.explain import Explanation
    from cimarch.report.power import Drawn


@attrs.frozen
class Bound:
    """The resource that bounds the time: the one that is busy for the longest."""

    path: str
    """Of the part."""
    instances: tuple[int, int]
    """Which of its instances, half open."""
    busy: int
    """Cycles that it is held."""
    share: float
    """busy / cycles of the run."""
    delays: str = ""
    """The operation whose tasks wait longest in its queue."""
    waited: int = 0
    """Cycles that they wait there, added up."""

    @property
    def name(self) -> str:
        """Its path and instances, as in `waited_at` of the layers."""
        low, high = self.instances
        return f"{self.path}[{low}]" if high == low + 1 else f"{self.path}[{low}..{high - 1}]"

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**attrs.asdict(self), "instances": list(self.instances)}


def _layers(given: Mapping[str, Any]) -> Columns:
    return checked(LAYERS, given)


def _parts(given: Mapping[str, Any]) -> Columns:
    return checked(PARTS, given)


def _ledger(given: Mapping[str, Any]) -> Columns:
    return checked(LEDGER, given)


def _energy(given: Mapping[str, Any]) -> Columns:
    return checked(ENERGY, given)


def _bounds(given: Mapping[str, Any]) -> Columns:
    return checked(BOUNDS, given)


def _no_bounds() -> Columns:
    return from_rows(BOUNDS, [])


def _no_rows() -> Columns:
    return from_rows(ENERGY, [])


@attrs.frozen(eq=False, kw_only=True)
class Report:
    """Time, energy, area and use of one network on one system."""

    system: str
    """Name of the system."""
    network: str
    """Name of the network."""
    clock: Fraction
    """Hz: the system clock, that cycles are counted in."""
    cycles: int = attrs.field(converter=int)
    """From the run's begin to its last event, all inferences of the batch."""
    latency: int = attrs.field(converter=int)
    """Cycles from the first input in to the first result out."""
    interval: float | None = attrs.field(default=None, converter=optional(float))
    """Cycles between results once steady; None for a batch of 1."""
    load_cycles: int = attrs.field(default=0, converter=int)
    """To write all weights once, beside `cycles`."""
    load_joules: float | None = None
    batch: int = 1
    macs: int = attrs.field(converter=int)
    """Multiply-accumulates of one inference."""
    crossbars: int = attrs.field(converter=int)
    """Arrays that hold weights at least once."""
    crossbars_available: int = attrs.field(converter=int)
    peak_arrays: int = attrs.field(default=0, converter=int)
    """The most arrays held at one time."""
    tasks: int = attrs.field(default=0, converter=int)
    """Of the run: reads, transfers, additions, ..."""
    alike_tasks: int = attrs.field(default=0, converter=int)
    """Of these, not run because others provably run at the same times."""
    skipped_tasks: int = attrs.field(default=0, converter=int)
    """Of these, added up because the run repeats itself."""
    utilisation: float = attrs.field(converter=float)
    """Cells that hold weights / cells of the crossbars allocated."""
    groups: int = 1
    """Resident groups."""
    lifetime: float | None = None
    """Inferences until the cells written most are worn out; None where that is not known."""
    area: float = attrs.field(converter=float)
    """m^2, all parts."""
    power: float = attrs.field(converter=float)
    """W, all parts busy at once."""
    leakage: float = attrs.field(default=0.0, converter=float)
    """W, all parts."""
    input_density: float | None = None
    """How full inputs are, where a cost reads it; the mean over the multiply-accumulates."""
    weight_density: float | None = None
    bound: Bound | None = None
    """None where nothing took time."""
    layers: Columns = attrs.field(converter=_layers, repr=False)
    """One row an operation; columns as in `definitions.LAYERS`."""
    parts: Columns = attrs.field(converter=_parts, repr=False)
    """One row a part; columns as in `definitions.PARTS`."""
    ledger: Columns = attrs.field(converter=_ledger, repr=False)
    """One row a (part, action); columns as in `definitions.LEDGER`."""
    energy: Columns = attrs.field(factory=_no_rows, converter=_energy, repr=False)
    """One row an (operation, part, action); columns as in `definitions.ENERGY`."""
    bounds: Columns = attrs.field(factory=_no_bounds, converter=_bounds, repr=False)
    """One row an (operation, part); columns as in `definitions.BOUNDS`."""
    drawn: Drawn | None = attrs.field(default=None, repr=False)
    """Power over time, where it was asked for."""
    assumed: tuple[str, ...] = ()
    """What the description leaves open and the run filled in, a sentence each."""
    unmapped: tuple[str, ...] = ()
    """Operations that were left out because the user allowed it, a sentence each."""
    rounded: tuple[str, ...] = ()
    """Times that whole cycles change by more than 1 %, a sentence each."""
    warnings: tuple[str, ...] = ()
    """What the description says and is not to be relied on, a sentence each with its place."""
    options: Mapping[str, object] = attrs.field(factory=dict)
    """The options of the run as plain JSON values."""
    digests: Mapping[str, str] = attrs.field(factory=dict)
    """SHA-256 of every file read, by its name."""
    version: str = __version__
    """Of cimarch."""
    basis: Basis | None = attrs.field(default=None, repr=False)
    """What `explain` rests on: the system and every price; written nowhere. None of a report that
    no run made."""

    schema = SCHEMA

    @property
    def seconds(self) -> float:
        """Time of the run: cycles / clock."""
        return float(self.cycles / self.clock)

    @property
    def load_seconds(self) -> float:
        """Time of the load beside the run."""
        return float(self.load_cycles / self.clock)

    @property
    def joules(self) -> float | None:
        """Energy of the run: the sum of the ledger; None where the cost of an action is unknown."""
        return None if self.unpriced or not len(self.ledger["part"]) else self.known_joules

    @property
    def known_joules(self) -> float:
        """The sum of those rows of the ledger that are known: a lower bound of the energy."""
        return math.fsum(j for j in self.ledger["joules"].tolist() if not math.isnan(j))

    @property
    def dynamic_joules(self) -> float | None:
        """Energy of what was done; None where joules is."""
        return self._joules(lambda row: row["action"] not in STATIC)

    @property
    def static_joules(self) -> float | None:
        """Energy that was paid for time: leakage, idle, gated; None where joules is."""
        return self._joules(lambda row: row["action"] in STATIC)

    @property
    def modelled_joules(self) -> float | None:
        """Energy whose price a cost model gave; None where joules is."""
        return self._joules(lambda row: str(row["origin"]).startswith("model "))

    @property
    def off_chip_joules(self) -> float | None:
        """Energy spent beside the chip: memory, host, the links to them; None where joules is."""
        return self._joules(lambda row: row["part"] in self._off_chip)

    @property
    def on_chip_joules(self) -> float | None:
        """Energy spent on the chip; None where joules is."""
        return self._joules(lambda row: row["part"] not in self._off_chip)

    @property
    def modelled_area(self) -> float:
        """m^2: the area that cost models gave."""
        parts = zip(
            *(self.parts[name].tolist() for name in ("area_mm2", "area_origin")), strict=True
        )
        return math.fsum(area for area, origin in parts if origin.startswith("model ")) / 1e6

    @property
    def _off_chip(self) -> frozenset[str]:
        parts = zip(*(self.parts[name].tolist() for name in ("path", "off_chip")), strict=True)
        return frozenset(path for path, is_off in parts if is_off)

    def _joules(self, chosen: Callable[[Mapping[str, Any]], bool]) -> float | None:
        """The sum of some rows of the ledger, where the energy of the run is known."""
        if self.joules is None:
            return None
        rows = to_rows(self.ledger)
        return math.fsum(float(row["joules"] or 0.0) for row in rows if chosen(row))

    @property
    def drawn_peak(self) -> float | None:
        """W: the most that is drawn in any cycle; None where no power over time was asked for."""
        return None if self.drawn is None else self.drawn.peak

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The actions (`part.action`) that happened and whose energy nobody says."""
        ledger = self.ledger
        rows = zip(
            *(ledger[name].tolist() for name in ("part", "action", "count", "joules")), strict=True
        )
        return tuple(
            f"{part}.{action}"
            for part, action, count, joules in rows
            if count and math.isnan(joules)
        )

    @property
    def joules_per_inference(self) -> float | None:
        """Energy of one inference: joules / batch; None where joules is."""
        return None if self.joules is None else self.joules / self.batch

    @property
    def throughput(self) -> float | None:
        """Inferences per second over the whole run; None where it took no time."""
        return float(self.batch * self.clock / self.cycles) if self.cycles else None

    @property
    def operations(self) -> int:
        """Arithmetic operations of the run: two for each multiply-accumulate."""
        return 2 * self.macs * self.batch

    @property
    def tops_per_watt(self) -> float | None:
        """10^12 operations per joule; None where the energy is not known or zero."""
        return self.operations / self.joules / 1e12 if self.joules else None

    @property
    def gops_per_mm2(self) -> float | None:
        """10^9 operations per second and mm^2; None where no area or no time is known."""
        if not self.area or not self.cycles:
            return None
        return self.operations / self.seconds / (self.area * 1e6) / 1e9

    def explain(self, address: str = "", *, every: bool = False) -> Explanation:
        """Where a number comes from: a figure (`joules`), a cell (`layers[conv1].cycles`,
        `parts[tile.ima.adc].joules`, `ledger[tile.ima.adc.convert].joules`,
        `energy[conv1, tile.ima.adc.convert].joules`), or one of the system
        (`tile.ima.adc.convert.energy`).

        Raises DescriptionError where the address leads nowhere.
        """
        from cimarch.report.explaining.of_report import explain

        return explain(self, address, every=every)

    def to_dict(self) -> dict[str, Any]:
        """The whole report as plain JSON values, the same for the same input, byte for byte."""
        return {
            "schema": self.schema,
            "system": self.system,
            "network": self.network,
            "clock_Hz": float(self.clock),
            "batch": self.batch,
            **{figure.key: self._figure(figure.attribute, figure.scale) for figure in FIGURES},
            "bound": None if self.bound is None else self.bound.to_dict(),
            "layers": to_rows(self.layers),
            "parts": to_rows(self.parts),
            "ledger": to_rows(self.ledger),
            "energy": to_rows(self.energy),
            "assumed": list(self.assumed),
            "unmapped": list(self.unmapped),
            "rounded": list(self.rounded),
            "warnings": list(self.warnings),
            "manifest": {
                "cimarch": self.version,
                "options": dict(self.options),
                "digests": dict(self.digests),
            },
        }

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from cimarch.report.html import fragment

        return fragment(self)

    def to_pandas(self, table: str = "layers") -> pandas.DataFrame:
        """A table (`layers`, `parts`, `ledger`, `energy` or `bounds`) as a DataFrame.

        Raises ImportError where pandas is not installed, ValueError on another table's name.
        """
        names = (*TABLES, "bounds")
        if table not in names:
            raise ValueError(f"no table `{table}`: choose one of {', '.join(names)}")
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        return pandas.DataFrame(dict(getattr(self, table)))

    def _figure(self, attribute: str, scale: int) -> int | float | None:
        value: int | float | None = getattr(self, attribute)
        return value if value is None or scale == 1 else value * scale
