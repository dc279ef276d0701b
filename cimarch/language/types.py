"""What kinds of values there are, and how a diagnostic speaks of them."""

from __future__ import annotations

import attrs

from cimarch import units
from cimarch.hardware.system import Value
from cimarch.units import Dimension, Quantity


@attrs.frozen
class ValueType:
    """A kind of value: a number of a dimension, a truth value, a word, a text or a list."""

    name: str
    """`number`, `flag`, `word`, `words`, `text` or `list`."""
    dimension: Dimension = units.NUMBER
    choices: tuple[str, ...] = ()
    """For a word: those it may be; empty for any."""
    whole: bool = False
    """For a number: whether it counts something."""

    def accepts(self, value: Value) -> bool:
        """Whether a value is of this type (its range and its wholeness apart)."""
        if self.name == "number":
            return isinstance(value, Quantity) and value.dimension == self.dimension
        if self.name == "flag":
            return isinstance(value, bool)
        if self.name == "word":
            return _is_word(value) and (not self.choices or value in self.choices)
        if self.name == "text":
            return isinstance(value, str)
        if self.name == "words":
            return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
        return isinstance(value, tuple)

    def told(self) -> str:
        """In words, with an article."""
        if self.name == "number":
            return units.describe(self.dimension)
        return _TOLD[self.name]


_TOLD = {
    "flag": "true or false",
    "word": "a word",
    "words": "a list of words",
    "text": "a string",
    "list": "a list",
}


class Text(str):
    """A string in quotes, as against a word."""

    __slots__ = ()


def _is_word(value: Value) -> bool:
    return isinstance(value, str) and not isinstance(value, Text)


def type_of(value: Value) -> ValueType:
    """The type of a value."""
    if isinstance(value, Quantity):
        return ValueType("number", value.dimension)
    if isinstance(value, bool):
        return ValueType("flag")
    if isinstance(value, str):
        return ValueType("text" if isinstance(value, Text) else "word")
    return ValueType("list")


KINDS_OF_VALUE: dict[str, ValueType] = {
    **{name: ValueType("number", dimension) for name, dimension in units.DIMENSIONS.items()},
    "count": ValueType("number", whole=True),
    "flag": ValueType("flag"),
    "text": ValueType("text"),
    "word": ValueType("word"),
    "words": ValueType("words"),
    "list": ValueType("list"),
}
"""The words that may follow the colon of `param name: kind`."""
