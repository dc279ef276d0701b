"""`explain`: a number of a system or a report, or all of a part, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from cimarch.hardware.kinds import COSTS
from cimarch.hardware.origin import Origin, Remark
from cimarch.hardware.system import Part, System
from cimarch.report.explaining.provenance import Provenance
from cimarch.report.explaining.totals import PEAK, TOTALS, has_total, total

if TYPE_CHECKING:
    from cimarch.report.report import Report

SCHEMA = "cimarch.explain/1"


@attrs.frozen(repr=False)
class Explanation:
    """What `explain` answers; printed, it is the text of the command."""

    system: str
    """Its name."""
    address: str
    """What was asked for."""
    heading: str
    remarks: tuple[Remark, ...] = ()
    """What the description says in comments."""
    numbers: tuple[Origin, ...] = ()
    """What was asked for, number by number."""
    reads: tuple[Origin, ...] = ()
    """Of a single number: what its expression reads."""
    made: tuple[Provenance, ...] = ()
    """Sums over parts, and numbers of a report, with their terms."""

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values; numbers in SI base units."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "address": self.address,
            "remarks": [attrs.asdict(remark) for remark in self.remarks],
            "numbers": [number.to_dict() for number in self.numbers],
            "reads": [number.to_dict() for number in self.reads],
            "made": [number.to_dict() for number in self.made],
        }

    def __str__(self) -> str:
        from cimarch.report.explaining.text import render

        return render(self)

    def __repr__(self) -> str:
        return f"<Explanation of `{self.address}` of {self.system}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def explain(what: System | Report, address: str = "", *, every: bool = False) -> Explanation:
    """Where the numbers of a system, or of a report, come from.

    Of a system the address is a part (`"tile.ima.adc"`; with `every`, also what nobody said of it),
    a number of a part (`"tile.ima.adc.bits"`, `"tile.ima.adc.convert.energy"`), or the whole (`""`,
    `"area"`, `"power"`, `"leakage"`, `"peak"`). Of a report it is one of `Report.explain`. Raises
    DescriptionError where it leads nowhere.
    """
    if not isinstance(what, System):
        return what.explain(address, every=every)
    system, address = what, address.strip()
    if address == PEAK:
        return Explanation(
            system.name, PEAK, f"{PEAK} of {system.name}", made=(total(system, "", PEAK),)
        )
    explainer = system.explainer
    path, name = explainer.locate(address)
    if name and name.count(".") == 0 and name in system.part(path).actions:
        names: tuple[str, ...] = tuple(f"{name}.{cost}" for cost in COSTS)
    else:
        names = (name,) if name else explainer.numbers(path, every=every)
    asked = (name,) if name else (*TOTALS, PEAK)
    made = tuple(total(system, path, each) for each in asked if has_total(system, path, each))
    found = (explainer.origin(path, each) for each in names)
    numbers = tuple(o for o in found if o.how != "default" or not has_total(system, path, o.name))
    return Explanation(
        system.name,
        address,
        _heading(system, system.part(path)),
        explainer.remarks(path),
        numbers,
        _read_by(system, numbers) if name else (),
        made,
    )


def _heading(system: System, part: Part) -> str:
    named = part.path or system.name
    kind = part.kind if part.kind == part.type_name else f"{part.type_name} ({part.kind})"
    return f"{named}: {kind}, {part.count:,} in {system.name}" if part.path else f"{named}: {kind}"


def _read_by(system: System, numbers: tuple[Origin, ...]) -> tuple[Origin, ...]:
    """The origins of what the expressions of some numbers read, one level deep."""
    own = {number.address for number in numbers}
    addresses = (read.address for number in numbers for read in number.reads)
    found = dict.fromkeys(a for a in addresses if a and a not in own)
    origins = (system.origin(*system.explainer.locate(address)) for address in found)
    return tuple(o for o in origins if o.value is not None or o.how not in ("default", "inherited"))
