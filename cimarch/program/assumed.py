"""What a run had to assume of parts that state no time."""

from __future__ import annotations

from collections.abc import Iterable

from cimarch.hardware.system import System
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

_ACTIONS = {"read": "a read", "write": "a write"}


def assumed_times(system: System, charges: Iterable[Charge]) -> list[str]:
    """A sentence per rule that fills in times, with the parts that it is applied to."""
    silent: dict[str, list[str]] = {}
    for done in sorted(charges, key=lambda c: (c.part, c.action)):
        part = system.part(done.part)
        action = part.actions.get(done.action)
        if action is not None and action.latency is not None:
            continue
        rule = _RULES.get(part.kind)
        if rule is None and part.kind in ("crossbar", "digital_array"):
            rule = f"take a cycle for {_ACTIONS[done.action]}"
        if rule is not None and part.path not in silent.setdefault(rule, []):
            silent[rule].append(part.path)
    return [_sentence(rule, paths) for rule, paths in sorted(silent.items())]


def _sentence(rule: str, paths: list[str]) -> str:
    return f"parts that state no time {rule}: {', '.join(f'`{path}`' for path in paths)}"
