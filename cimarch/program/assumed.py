"""What a run had to assume: of parts that state no time, of costs that read what nobody gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from cimarch.diagnostics import listing
from cimarch.hardware.system import System
from cimarch.mapping.densities import FIELDS
from cimarch.mapping.placement import Placement
from cimarch.program.charges import Charge

_RULES = {
    "buffer": "move a word a cycle",
    "bus": "move a word a cycle",
    "htree": "move a word a cycle",
    "shift_add": "keep up with the converters, and add a result per member and cycle",
    "accumulator": "keep up with the converters, and add a result per member and cycle",
    "adder_tree": "keep up with the converters, and add a result per member and cycle",
    "dac": "keep up with the arrays",
    "sample_hold": "keep up with the arrays",
}
"""Kind -> what a part of it does where it states no latency for an action that it is charged."""

BESIDE = ("dac", "sample_hold")
"""Kinds that work while an array is read, in no time of their own."""

_ACTIONS = {"read": "a read", "write": "a write"}


def assumed_times(system: System, charges: Iterable[Charge]) -> list[str]:
    """A sentence per rule that fills in times, with the parts that it is applied to; and one of
    times that are stated where no run waits for them."""
    silent: dict[str, list[str]] = {}
    unheard: list[str] = []
    for done in sorted(charges, key=lambda c: (c.part, c.action)):
        part = system.part(done.part)
        action = part.actions.get(done.action)
        is_timed = action is not None and action.latency is not None
        if is_timed and part.kind in BESIDE:
            unheard.append(f"{done.part}.{done.action}")
        if is_timed:
            continue
        rule = _RULES.get(part.kind)
        if rule is None and part.kind in ("crossbar", "digital_array"):
            rule = f"take a cycle for {_ACTIONS[done.action]}"
        if rule is not None and part.path not in silent.setdefault(rule, []):
            silent[rule].append(part.path)
    found = [_sentence(rule, paths) for rule, paths in sorted(silent.items())]
    if unheard:
        names = listing(dict.fromkeys(unheard))
        found.append(f"the latency of {names} is among that of the array's `read`")
    return found


def assumed_sums(placement: Placement, charges: Iterable[Charge]) -> Iterator[str]:
    """A sentence of digital arrays whose cells a model prices, and whose adders nobody does."""
    modelled = {c.part for c in charges if c.action == "read" and c.origin.startswith("model ")}
    wirings = (w for w in placement.wirings if w.pool.kind == "digital_array" and w.tree is None)
    if free := [w.pool.path for w in wirings if w.pool.path in modelled]:
        yield f"the sums over word lines of {listing(free)} are free: no adder_tree is behind"


def assumed_densities(placement: Placement, charges: Iterable[Charge]) -> Iterator[str]:
    """A sentence per density that costs read and nobody gave: neither the chip nor the run."""
    root, given = placement.system.root, placement.densities.given
    matrices = [plan.site.anchor.name for plan in placement.plans if plan.site.is_matrix]
    others = [name for name in matrices if name not in given]
    readers = _readers(placement.system, charges)
    for field in FIELDS:
        if field in readers and field not in root.stated and others:
            of = f" for {len(others)} of {len(matrices)} operations" if given else ""
            yield (
                f"`{field}` is {float(root.number(field)):g}{of}, where the costs of "
                f"{listing(readers[field])} read it"
            )


def densities_read(placement: Placement, charges: Iterable[Charge]) -> dict[str, float | None]:
    """The mean of each density over the multiply-accumulates; None where no cost reads it."""
    readers = _readers(placement.system, charges)
    anchors = [plan.site.anchor for plan in placement.plans if plan.site.is_matrix]
    total = sum(op.macs for op in anchors)
    found: dict[str, float | None] = dict.fromkeys(FIELDS)
    for field in FIELDS:
        if field in readers and total:
            each = (op.macs * placement.densities.of(op.name).running[field] for op in anchors)
            found[field] = float(sum(each, Fraction(0)) / total)
    return found


def _readers(system: System, charges: Iterable[Charge]) -> dict[str, list[str]]:
    """The actions whose costs read a density, by its name."""
    found: dict[str, dict[str, None]] = {}
    for done in sorted(charges, key=lambda c: (c.part, c.action)):
        action = system.part(done.part).actions.get(done.action)
        costs = (action.latency, action.energy) if action else ()
        for field in {need for cost in costs if cost is not None for need in cost.needs}:
            found.setdefault(field, {})[f"{done.part}.{done.action}"] = None
    return {field: list(names) for field, names in found.items()}


def _sentence(rule: str, paths: list[str]) -> str:
    return f"parts that state no time {rule}: {', '.join(f'`{path}`' for path in paths)}"
