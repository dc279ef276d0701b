"""What the totals of a system are made of: area, power, leakage and peak, part by part."""

from __future__ import annotations

from fractions import Fraction

from cimarch.hardware import encoding
from cimarch.hardware.rollup import Peak, logical_columns, peak, rates
from cimarch.hardware.system import Part, System
from cimarch.report.explaining.provenance import Provenance, Term
from cimarch.units import AREA, FREQUENCY, POWER, TIME, Dimension, Quantity, show

TOTALS: dict[str, tuple[Dimension, str]] = {
    "area": (AREA, "sum of the area of all instances of the part and of all parts inside"),
    "power": (POWER, "sum of the power of all instances, all busy at once"),
    "leakage": (POWER, "sum of the leakage of all instances"),
}
"""What is summed over a tree of parts, its dimension and what it means."""
PEAK = "peak"


def has_total(system: System, path: str, name: str) -> bool:
    """Whether a name means a sum over the parts inside a part too, or the system's peak."""
    if name == PEAK:
        return not path
    return name in TOTALS and bool(system.part(path).parts)


def total(system: System, path: str, name: str) -> Provenance:
    """Area, power or leakage of a part with all parts inside, every instance; or the peak."""
    if name == PEAK:
        return _peak(system)
    dimension, definition = TOTALS[name]
    parts = [part for part in system.part(path).walk() if getattr(part, name)]
    whole = sum((getattr(part, name) * part.count for part in parts), Fraction(0))
    terms = tuple(_term(system, part, name, dimension, whole) for part in parts)
    return Provenance(
        _address(path, name), float(whole), show(Quantity(whole, dimension)), definition, "sum",
        "count * own, over all parts" if terms else "nothing: no part states one", terms,
        recomputed=float(sum((Fraction(t.count or 0) * getattr(p, name)
                              for t, p in zip(terms, parts, strict=True)), Fraction(0))),
    )  # fmt: skip


def _term(system: System, part: Part, name: str, dimension: Dimension, whole: Fraction) -> Term:
    each: Fraction = getattr(part, name)
    return Term(
        part.path or system.name,
        float(each * part.count),
        show(Quantity(each * part.count, dimension)),
        _address(part.path, name),
        part.count,
        show(Quantity(each, dimension)),
        float(each * part.count / whole),
        system.origin(part.path, name) if system.explaining else None,
    )


def _address(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _peak(system: System) -> Provenance:
    found = peak(system)
    definition = (
        "operations per second with every array in use, full, all the time, at"
        f" {found.weight_bits}-bit weights and {found.input_bits}-bit inputs; a multiplication and"
        " an addition are 2 operations (cimarch.hardware.rollup)"
    )
    if found.operations is None:
        notes = tuple(f"`{path}` states no latency of `read`" for path in found.unknown)
        return Provenance(PEAK, None, "not known", definition, "sum", notes=notes)
    each = rates(system, found.weight_bits, found.input_bits)
    terms = tuple(_rate(system, system.part(path), rate, found) for path, rate in each.items())
    return Provenance(
        PEAK, float(found.operations), _operations(found.operations), definition, "sum",
        "arrays * rows * logical columns * 2 / time of a pass, over all pools", terms,
        recomputed=float(sum(each.values(), Fraction(0))),
    )  # fmt: skip


def _rate(system: System, pool: Part, rate: Fraction, found: Peak) -> Term:
    rows = pool.integer("rows") // encoding.rows_per_input(pool)
    columns = logical_columns(pool, found.weight_bits)
    arrays = pool.count // encoding.arrays_per_weight(pool)
    seconds = arrays * rows * columns * 2 / rate if rate else Fraction(0)
    worked = f"{rows} * {show(Quantity(columns))} * 2 / {show(Quantity(seconds, TIME))}"
    return Term(
        pool.path,
        float(rate),
        _operations(rate),
        f"{pool.path}.read.latency",
        arrays,
        worked,
        float(rate / found.operations) if found.operations else None,
        system.origin(pool.path, "read.latency") if system.explaining else None,
    )


def _operations(rate: Fraction) -> str:
    """`12.3 TOPS`: six digits, as the other numbers have them."""
    return show(Quantity(rate, FREQUENCY)).removesuffix("Hz") + "OPS"
