"""The flags of a method, made from the fields of its options, and the options made from flags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from cimarch.optimize.frame.options import Options

if TYPE_CHECKING:
    _Base = click.ParamType[tuple[Any, ...]]
else:
    _Base = click.ParamType  # not generic in every click that will do


def flags_of(options: type[Options]) -> Iterator[click.Option]:
    """A flag for each field: the method's own first, then those that every method has."""
    common = {field.name for field in attrs.fields(Options)}
    fields = attrs.fields(options)
    for field in sorted(fields, key=lambda field: field.name in common):
        yield _flag(field)


def made(options: type[Options], values: Mapping[str, Any]) -> Options:
    """The options that the values of flags say; DescriptionError where one is outside its range."""
    names = {field.name for field in attrs.fields(options)}
    found = options(**{name: value for name, value in values.items() if name in names})
    found.check()
    return found


def _flag(field: attrs.Attribute[Any]) -> click.Option:
    told = field.metadata
    name = "--" + field.name.replace("_", "-")
    kind = str(field.type).replace(" ", "").removesuffix("|None")
    if kind == "bool":
        other = f"/--no-{name[2:]}" if field.default else ""
        return click.Option(
            [name + other, field.name], is_flag=True, default=field.default, help=told.get("help")
        )
    return click.Option(
        [name, field.name],
        type=_type(kind, told),
        default=_default(field.default),
        show_default=field.default not in (None, "", ()),
        metavar=told.get("metavar") or None,
        help=told.get("help"),
    )


def _type(kind: str, told: Mapping[str, Any]) -> click.ParamType[Any]:
    """The type of a flag; limits are shown and held by click, as everywhere."""
    low, high = told.get("least"), told.get("most")
    if kind.startswith("tuple["):
        return Several(_PLAIN[kind[6:].partition(",")[0].rstrip("]")])
    if told.get("words") and kind == "str":
        return click.Choice(told["words"])
    if kind == "int" and (low is not None or high is not None):
        return click.IntRange(_whole(low), _whole(high))
    if kind == "float" and (low is not None or high is not None):
        return click.FloatRange(low, high)
    return _CLICK.get(kind, click.STRING)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _default(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


class Several(_Base):
    """Values with commas between: `8,6,4`."""

    name = "list"

    def __init__(self, each: Callable[[str], Any]) -> None:
        self.each = each

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """The values of a text."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.each(piece.strip()) for piece in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list with commas between, such as 8,4", param, ctx)


_PLAIN: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}
_CLICK: Mapping[str, click.ParamType[Any]] = {"int": click.INT, "float": click.FLOAT}
