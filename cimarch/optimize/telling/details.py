"""What belongs to a method alone, as figures and tables: plain values in, rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def figures(details: Mapping[str, Any]) -> dict[str, Any]:
    """Single numbers and words, and short lists of them, by name."""
    return {name: value for name, value in details.items() if _is_plain(value)}


def tables(details: Mapping[str, Any]) -> dict[str, list[Row]]:
    """What has several rows, by name.

    A list of objects is a table; so is an object of objects, whose names come first as `name`, and
    an object of single values.
    """
    found = {name: list(_rows(value)) for name, value in details.items() if not _is_plain(value)}
    return {name: rows for name, rows in found.items() if rows}


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all columns, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _rows(value: Any) -> Iterator[Row]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, Mapping):
                yield {"name": name, **_flat(each)}
            elif _is_plain(each):
                yield {"name": name, "value": each}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            if isinstance(each, Mapping):
                yield _flat(each)


def _flat(row: Mapping[str, Any]) -> Row:
    """A row with the values that a cell can show."""
    return {name: value for name, value in row.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= MOST_LISTED and all(_is_single(each) for each in value)
    return _is_single(value)


def _is_single(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))


MOST_LISTED = 8
"""Values that one cell shows."""
