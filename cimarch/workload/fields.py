"""Typed access to parsed JSON that nobody has vouched for."""

from __future__ import annotations

import json
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

    def get(self, key: str) -> Field | None:
        """The member `key` of an object, None where it is absent or null."""
        found = self.object().get(key)
        return None if found is None else Field(found, _joined(self.where, key), self.file)

    def __getitem__(self, key: str) -> Field:
        found = self.get(key)
        if found is None:
            raise problem(
                "E114",
                f"`{_joined(self.where, key)}` of `{self.file}` is missing",
                helps=["export the model again"],
            )
        return found

    def object(self) -> Mapping[str, object]:
        """The value, which must be an object."""
        return self._typed(dict)

    def items(self) -> list[Field]:
        """The members of a list."""
        found = self._typed(list)
        return [Field(v, f"{self.where}[{i}]", self.file) for i, v in enumerate(found)]

    def members(self) -> list[tuple[str, Field]]:
        """The members of an object, by name."""
        found = self.object().items()
        return [(key, Field(v, _joined(self.where, key), self.file)) for key, v in found]

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
        raise problem(
            "E114",
            f"`{self.where}` of `{self.file}` is {is_a}, not {KINDS[kind]}",
            helps=["export the model again"],
        )


def parse(data: bytes, file: str) -> Field:
    """Parse JSON; text that is not, or is nested too deep, is a diagnostic."""
    try:
        return Field(json.loads(data), "", file)
    except RecursionError:
        raise problem("E113", f"`{file}` is nested too deep to be a model") from None
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise problem("E113", f"`{file}` is not JSON", notes=[reason]) from None


def _joined(where: str, key: str) -> str:
    key = key if len(key) <= 80 else key[:77] + "..."
    return f"{where}.{key}" if where else key
