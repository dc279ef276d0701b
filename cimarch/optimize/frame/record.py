"""What a method was asked, what it did, and what it cost and gained: the record beside a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from cimarch import __version__
from cimarch.workload.adapted import AGAIN
from cimarch.workload.fields import Field, parse
from cimarch.workload.problems import problem

SCHEMA = "cimarch.record/1"


@attrs.frozen
class Figure:
    """A number of a model on a chip: its name, unit, how many digits say enough."""

    name: str
    title: str
    unit: str = ""
    digits: int = 0


FIGURES = (
    Figure("accuracy_float", "accuracy in float", "%", 2),
    Figure("accuracy_quantised", "accuracy quantised", "%", 2),
    Figure("accuracy_chip", "accuracy on the chip", "%", 2),
    Figure("cycles", "cycles"),
    Figure("joules", "energy", "J", 4),
    Figure("crossbars", "crossbars"),
    Figure("utilisation", "utilisation", "%", 1),
    Figure("load_cycles", "cycles to load weights"),
    Figure("parameters", "parameters"),
    Figure("weight_bits", "bits of weights"),
)


@attrs.frozen
class Stand:
    """A model on a chip at one time; None where a number is not known or was not asked for."""

    accuracy_float: float | None = None
    """Percent of the examples that judge, as the next two."""
    accuracy_quantised: float | None = None
    accuracy_chip: float | None = None
    examples: int = 0
    """That judged."""
    cycles: int | None = None
    """Of one inference, by the event simulation."""
    joules: float | None = None
    crossbars: int | None = None
    """That hold weights."""
    utilisation: float | None = None
    """Percent of their cells that hold weights."""
    load_cycles: int | None = None
    """To write all weights once, by the event simulation."""
    parameters: int | None = None
    """Of matrices on crossbars."""
    weight_bits: int | None = None
    """Of all of these, at their precision."""


@attrs.frozen
class Epoch:
    """What one epoch of training came to."""

    stage: str
    epoch: int
    loss: float
    """Mean of its steps."""
    held_back: float
    """Percent right of the examples held back."""
    seconds: float


@attrs.frozen(kw_only=True)
class Record:
    """One method, done once."""

    method: str
    system: str
    network: str
    data: str
    options: Mapping[str, Any]
    """As plain JSON values, the seed among them."""
    split: Mapping[str, Any]
    """The examples that trained and that were held back: counts and digests."""
    before: Stand
    after: Stand
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
    """What was done otherwise, or was found, a sentence each."""
    details: Mapping[str, Any] = attrs.field(factory=dict)
    """What belongs to the method alone: widths, strips, learned steps."""
    digests: Mapping[str, str] = attrs.field(factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {"schema": SCHEMA, **attrs.asdict(self)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Record:
        """A record that was written by `to_dict`; DescriptionError where it is damaged."""
        return _record(Field(given, "", "the record", AGAIN))


def records_of(data: bytes, file: str) -> tuple[Record, ...]:
    """The records that the content of a file says; DescriptionError where it is damaged."""
    return tuple(_record(each) for each in parse(data, file, once=True, help=AGAIN).items())


def _record(given: Field) -> Record:
    schema = given["schema"].text()
    if schema != SCHEMA:
        raise problem("E114", f"a record of `{given.file}` is of `{schema}`, not `{SCHEMA}`")
    words = {name: given[name].text() for name in _WORDS}
    plain = {name: given[name].object() for name in ("options", "split", "details")}
    rest: dict[str, Any] = {**words, **plain}
    return Record(
        **rest,
        before=_stand(given["before"]),
        after=_stand(given["after"]),
        epochs=tuple(_epoch(each) for each in given["epochs"].items()),
        notes=tuple(each.text() for each in given["notes"].items()),
        digests={name: each.text() for name, each in given["digests"].members()},
    )


_WORDS = ("method", "system", "network", "data", "version")


def _stand(given: Field) -> Stand:
    names = [field.name for field in attrs.fields(Stand)]
    return Stand(**{name: _number(given[name]) for name in names if given.get(name) is not None})


def _epoch(given: Field) -> Epoch:
    numbers = {name: _number(given[name]) for name in ("loss", "held_back", "seconds")}
    return Epoch(given["stage"].text(), given["epoch"].integer(), **numbers)


def _number(given: Field) -> Any:
    """A number that is one: whole where it was written so."""
    if not math.isfinite(given.number()):
        raise problem("E114", f"`{given.where}` of `{given.file}` is not finite", helps=[AGAIN])
    return given.value
