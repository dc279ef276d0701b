"""What a number of a report, or a total of a system, is made of: plain records."""

from __future__ import annotations

import attrs

from cimarch.hardware.origin import Origin

Number = int | float
MADE = {
    "sum": "the sum of its terms",
    "formula": "worked out from its terms",
    "run": "measured in the run",
    "placement": "found while placing the network",
    "network": "read from the network",
    "system": "read from the description",
    "asked": "asked for",
}
"""The ways in which a number is made."""


@attrs.frozen
class Term:
    """One number that another is made of."""

    name: str
    value: Number | str | None
    """In the unit of its column or figure; None where it is not known."""
    told: str = ""
    """As people write it."""
    address: str = ""
    """What explains it in turn; empty where nothing does."""
    count: int | None = None
    """Of a term that is `count` times the same."""
    each: str = ""
    """One of them, as people write it."""
    share: float | None = None
    """Of the whole, where the terms add up to it."""
    origin: Origin | None = None
    """Of the energy, area, ... of one, where a description or a cost model says it."""

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        found = {f.name: getattr(self, f.name) for f in attrs.fields(Term) if f.name != "origin"}
        return {**found, "origin": None if self.origin is None else self.origin.to_dict()}


@attrs.frozen
class Provenance:
    """A number, what it means, and what it is made of."""

    address: str
    """`joules`, `layers[conv1].cycles`, `tile.area`."""
    value: Number | str | None
    told: str
    """As people write it."""
    definition: str
    """What it means: the sentence of `cimarch.report.definitions`."""
    made: str
    """One of `MADE`."""
    formula: str = ""
    """In the names of the terms: `cycles / clock`; or in words, where it is counted."""
    terms: tuple[Term, ...] = ()
    recomputed: Number | None = None
    """The number worked out again from the terms; None where it is not arithmetic of them."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        found = {f.name: getattr(self, f.name) for f in attrs.fields(Provenance)}
        terms = [term.to_dict() for term in self.terms]
        return {**found, "terms": terms, "notes": list(self.notes)}
