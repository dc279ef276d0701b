"""What the numbers of a report rest on, kept beside it: prices one by one, and who was first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import attrs

from cimarch.hardware.system import Part, System
from cimarch.program.context import KIND, KINDS
from cimarch.program.energy import idle_power
from cimarch.program.ledger import Ledger, Slots
from cimarch.units import Quantity

PER_ACTION, PER_SECOND = "action", "instance-second"


@attrs.frozen
class Price:
    """What was paid for one action of a part, and how often: energy = each x times."""

    operation: str
    """Empty: of none."""
    part: str
    action: str
    origin: str
    """As in the ledger."""
    each: Fraction | None
    """Joules of one action, or watts of one instance; None where nobody says."""
    times: Fraction
    """Actions, or seconds added up over the instances."""
    per: str = PER_ACTION


@attrs.frozen
class Ends:
    """Which tasks of an operation are the first to start and the last to end."""

    first: str
    """What it does and on what: `read on tile.ima.xbar[3]`."""
    last: str


@attrs.frozen(eq=False)
class Basis:
    """What explains a report; not part of what is written to files."""

    system: System
    prices: Mapping[tuple[str, str, str], tuple[Price, ...]]
    """By operation, part and action."""
    load: tuple[Price, ...]
    """Of the load beside the run."""
    ends: Mapping[str, Ends]
    """By operation."""
    writes: Mapping[str, int]
    """By pool: how often the cells that are written most are written."""


def basis(ledger: Ledger, load: Ledger | None) -> Basis:
    """What a finished run's report rests on."""
    found: dict[tuple[str, str, str], list[Price]] = {}
    for price in (*_prices(ledger), *_static(ledger)):
        found.setdefault((price.operation, price.part, price.action), []).append(price)
    return Basis(
        ledger.system,
        {key: tuple(prices) for key, prices in found.items()},
        tuple(_prices(load)) if load else (),
        dict(_ends(ledger)),
        ledger.writes(),
    )


def _prices(ledger: Ledger) -> Iterator[Price]:
    """Every energy that was charged, with how often, operation by operation."""
    for operation, bundles in ledger.by_operation():
        times: dict[tuple[str, str, str, Fraction | None], int] = {}
        for number, often in bundles.items():
            for c in ledger.program.charges[number]:
                each = None if c.joules is None else c.joules / c.count if c.count else c.joules
                key = (c.part, c.action, c.origin, each)
                times[key] = times.get(key, 0) + c.count * often
        for (part, action, origin, each), count in times.items():
            yield Price(operation, part, action, origin, each, Fraction(count))


def _static(ledger: Ledger) -> Iterator[Price]:
    """The powers that time is paid for, with the seconds of all instances that it was paid for."""
    for row in ledger.for_time():
        watts = _WATTS[row.action](ledger.system.part(row.part))
        seconds = row.joules / watts if row.joules and watts else Fraction(0)
        yield Price("", row.part, row.action, row.origin, watts, seconds, PER_SECOND)


def _gated(part: Part) -> Fraction:
    given = part.params["gated_leakage"]
    assert isinstance(given, Quantity)
    return given.value


_WATTS: Mapping[str, Callable[[Part], Fraction]] = {
    "leakage": lambda part: part.leakage,
    "idle": idle_power,
    "gated": _gated,
}
"""What one instance draws, by what time is paid for."""


def _ends(ledger: Ledger) -> Iterator[tuple[str, Ends]]:
    """Per operation, its first and its last task."""
    slots = ledger.slots
    real = slots.take((slots.first_start >= 0) & (slots.kind != KIND["join"]))
    for plan in ledger.placement.plans:
        mine = real.take(real.operation == plan.site.index)
        for step, op in enumerate(plan.site.operations):
            own = mine.take(mine.step == step)
            if len(own.kind):
                first, last = int(own.first_start.argmin()), int(own.last_finish.argmax())
                yield op.name, Ends(_task(ledger, own, first), _task(ledger, own, last))


def _task(ledger: Ledger, slots: Slots, number: int) -> str:
    """What a task does, and on what."""
    resource = int(slots.resource[number])
    at = f" on {ledger.program.resources[resource]}" if resource >= 0 else ""
    return f"{KINDS[int(slots.kind[number])]}{at}"
