"""Typed access to parsed JSON that nobody has vouched for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeVar

import attrs

from cimarch.workload.problems import problem

T = TypeVar("T")

KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


@attrs.frozen
class Field:
    """A JSON value and where it is: `graph.nodes[3].target` of `models/model.json`."""

    value: object
    where: str
    file: str
    help: str = "export the model again"
    """What to do where it is wrong."""

    def get(self, key: str) -> Field | None:
        """The member `key` of an object, None where it is absent or null."""
        found = self.object().get(key)
        return None if found is None else self._inside(found, _joined(self.where, key))

    def __getitem__(self, key: str) -> Field:
        found = self.get(key)
        if found is None:
            raise problem(
                "E114",
                f"`{_joined(self.where, key)}` of `{self.file}` is missing",
                helps=[self.help],
            )
        return found

    def _inside(self, value: object, where: str) -> Field:
        return Field(value, where, self.file, self.help)

    def object(self) -> Mapping[str, object]:
        """The value, which must be an object."""
        return self._typed(dict)

    def items(self) -> list[Field]:
        """The members of a list."""
        found = self._typed(list)
        return [self._inside(v, f"{self.where}[{i}]") for i, v in enumerate(found)]

    def members(self) -> list[tuple[str, Field]]:
        """The members of an object, by name."""
        found = self.object().items()
        return [(key, self._inside(v, _joined(self.where, key))) for key, v in found]

    def text(self) -> str:
        """The value, which must be a text."""
        return self._typed(str)

    def integer(self) -> int:
        """The value, which must be a whole number."""
        return self._typed(int)

    def flag(self) -> bool:
        """The value, which must be true or false."""
        return self._typed(bool)

    def number(self) -> float:
        """The value, which must be a number (JSON has no infinity: those come as text)."""
        if isinstance(self.value, str) and self.value in ("Infinity", "-Infinity", "NaN"):
            return float(self.value.replace("Infinity", "inf"))
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return float(self.value) if abs(self.value) < 1 << 1000 else self._typed(float)
        return self._typed(float)

    def _typed(self, kind: type[T]) -> T:
        if type(self.value) is kind:
            return self.value
        is_a = KINDS.get(type(self.value), "null")
        told = f"`{self.where}` of `{self.file}`" if self.where else f"`{self.file}`"
        raise problem("E114", f"{told} is {is_a}, not {KINDS[kind]}", helps=[self.help])


MOST_VALUES = 1_000_000
"""Values of one JSON text: twice the graph of a model of a hundred layers."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""How JSON writes half of a pair of UTF-16; a whole pair is a character."""


def parse(data: bytes, file: str, *, once: bool = False, help: str = "") -> Field:
    """Parse JSON; text that is not, is nested too deep or holds too much, is a diagnostic.

    With `once`, no object may have a member twice. `help` is what is told of values that are wrong.
    """
    values = sum(data.count(sign) for sign in (b",", b"[", b"{"))
    if values > MOST_VALUES:
        raise problem("E112", f"`{file}` holds {values} values, above {MOST_VALUES}")
    hook = (lambda pairs: _once(pairs, file)) if once else None
    try:
        found = json.loads(data, object_pairs_hook=hook)
        if _HALF.search(data):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        return Field(found, "", file, help) if help else Field(found, "", file)
    except RecursionError:
        raise problem("E113", f"`{file}` is nested too deep to be a model") from None
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise problem("E113", f"`{file}` is not JSON", notes=[reason]) from None


def _once(pairs: list[tuple[str, object]], file: str) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise problem("E114", f"an object of `{file}` has `{twice}` twice")
    return found


def _joined(where: str, key: str) -> str:
    key = key if len(key) <= 80 else key[:77] + "..."
    return f"{where}.{key}" if where else key
