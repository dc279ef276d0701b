"""Where a number of a system comes from: plain records, filled by the language when asked.

Nothing here is worked out while a description is read: a `System` carries an `Explainer`, which
looks a number up when somebody wants to know.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from cimarch.hardware.costs import Estimate
from cimarch.units import Quantity

HOW = {
    "stated": "stated in the description",
    "set": "set from outside",
    "inherited": "taken from what encloses the part",
    "default": "left at the library's default",
    "modelled": "worked out by a cost model",
    "from power": "charged as power x busy time",
    "nobody": "said by nobody",
}
"""The ways in which a number comes about."""


@attrs.frozen
class Line:
    """A line of a description."""

    file: str
    number: int
    text: str
    """What it says, without its comment."""
    comment: str = ""
    """What is written behind it, without the sign of a comment."""
    above: tuple[str, ...] = ()
    """What is written directly above it, the same."""

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.number}"


@attrs.frozen
class Remark:
    """A comment that speaks of many numbers: a file's header, or what stands above a component."""

    file: str
    number: int
    """Of its first line."""
    about: str
    """The file, or the component, that it is about."""
    lines: tuple[str, ...]
    """Without the signs of a comment."""


@attrs.frozen
class Read:
    """A value that an expression, or a model's formula, reads."""

    name: str
    """As it is written there."""
    value: str
    """As people write it."""
    address: str = ""
    """Of that number: `tile.ima.adc.rate`; empty for what only a run knows."""


@attrs.frozen
class Origin:
    """One number of a part, and how it came about."""

    part: str
    """The path of the part; the system itself is the empty string."""
    name: str
    """A parameter (`bits`, `area`), `count`, or a cost of an action (`convert.energy`)."""
    how: str
    """One of `HOW`."""
    value: object = None
    """A `Quantity`, a flag, a word or a list of these; None where there is none."""
    told: str = ""
    """The value as people write it."""
    expression: str = ""
    """What was written."""
    worked: str = ""
    """The same with the values put in; empty where nothing was to be put in."""
    line: Line | None = None
    """Where it is written."""
    giver: str | None = None
    """Of an inherited number: the path of the part that states it."""
    setting: str = ""
    """`--set path=value`, where it came from outside."""
    reads: tuple[Read, ...] = ()
    estimate: Estimate | None = None
    """Of a modelled number: the model's formula, what was put in, and its source."""
    needs: tuple[str, ...] = ()
    """What only a run knows of it: the value is that of an ordinary run."""
    notes: tuple[str, ...] = ()
    """Facts, as what takes its place."""
    warnings: tuple[str, ...] = ()
    """Why it is not to be relied on: of a model outside its range, of a cost that cannot be."""
    helps: tuple[str, ...] = ()
    """What to type."""

    @property
    def address(self) -> str:
        """Part and name: what `cimarch explain` takes."""
        return f"{self.part}.{self.name}" if self.part else self.name

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values; numbers in SI base units."""
        found = attrs.asdict(self, filter=lambda field, value: field.name != "value")
        found["estimate"] = None if self.estimate is None else _as_plain(self.estimate)
        return {"address": self.address, **found, "value": plain(self.value)}


def plain(value: object) -> object:
    """A value as JSON knows it: a number in SI base units, a flag, a word, a list of these."""
    if isinstance(value, Quantity):
        return int(value.value) if value.value.denominator == 1 else float(value.value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _as_plain(estimate: Estimate) -> dict[str, object]:
    return {
        "model": estimate.model,
        "formula": estimate.formula,
        "inputs": dict(estimate.inputs),
        "source": estimate.source,
        "warnings": list(estimate.warnings),
    }


class Explainer(Protocol):
    """What knows where the numbers of one system come from."""

    def origin(self, part: str, name: str) -> Origin:
        """The origin of one number; raises DescriptionError where there is none of that name."""

    def numbers(self, part: str, *, every: bool = False) -> tuple[str, ...]:
        """The names of a part's numbers: all that decide something, or every one."""

    def remarks(self, part: str) -> tuple[Remark, ...]:
        """The comments about the part: above it, and at the head of its file."""

    def locate(self, address: str) -> tuple[str, str]:
        """The part and the name that an address means, the name empty for a part as a whole."""
