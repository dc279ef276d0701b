"""Working a cost model's formula out again from the values that its estimate says were put in."""

from __future__ import annotations

import re
from fractions import Fraction

from cimarch.hardware.costs.model import Estimate
from cimarch.units import Quantity, read_quantity

_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_UNIT = r"[a-zA-Z]+(?:\^2)?"
_LITERAL = re.compile(rf"(?<![\w.])({_NUMBER})(?: ({_UNIT})\b)?")


def quantity(text: str) -> Quantity | None:
    """The quantity that a text begins with: `12.5 pJ at 28 nm` is 12.5 pJ."""
    found = re.match(rf"(-?{_NUMBER})(?: ({_UNIT}))?", text)
    if found is None:
        return None
    return read_quantity(found[1].lstrip("-"), found[2] or "") * Quantity(
        Fraction(-1 if text.startswith("-") else 1)
    )


def worked(estimate: Estimate) -> Quantity:
    """The formula's value: `energy = a * b, a = 2 * c` with `b` and `c` put in."""
    rules = dict(rule.split(" = ", 1) for rule in re.split(r"[,;] (?=\w+ = )", estimate.formula))
    values = {name: quantity(text) for name, text in estimate.inputs}
    names: dict[str, object] = {n: v for n, v in values.items() if v is not None}
    (result, *others) = rules
    for name in reversed(others):
        if name not in names:
            names[name] = _value(rules[name], names)
    return _value(rules[result], names)


def _value(rule: str, names: dict[str, object]) -> Quantity:
    literals: list[Quantity] = []

    def kept(found: re.Match[str]) -> str:
        literals.append(read_quantity(found[1], found[2] or ""))
        return f"literals[{len(literals) - 1}]"

    text = _LITERAL.sub(kept, rule.split(";")[0])
    units = {unit: read_quantity("1", unit) for unit in ("bit", "mm")}
    found = eval(text.replace("^", "**"), {"literals": literals, **units, **names})
    assert isinstance(found, Quantity)
    return found
