"""Tables as column arrays: made from rows, checked against their definition, given back as rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.report.definitions import Column

Columns = Mapping[str, NDArray[Any]]
"""Column name to array, all of one length: int64, float64 (NaN: unknown) or object (text)."""

_DTYPES = {"int": np.int64, "float": np.float64, "text": object}


def from_rows(definition: Sequence[Column], rows: Iterable[Mapping[str, object]]) -> Columns:
    """Make the columns of a table from its rows; None in a float column is unknown.

    Raises ValueError where a row has a name that the table does not, or lacks one it must have.
    """
    listed = list(rows)
    names = {column.name for column in definition}
    for row in listed:
        if unknown := set(row) - names:
            raise ValueError(f"a row has no column named {', '.join(sorted(unknown))}")
    return {
        column.name: _array(column, [_cell(column, row) for row in listed]) for column in definition
    }


def checked(definition: Sequence[Column], columns: Mapping[str, Any]) -> Columns:
    """The columns in the definition's order and types.

    Raises ValueError where a column is missing or too many, or the lengths differ.
    """
    names = [column.name for column in definition]
    if set(columns) != set(names):
        difference = ", ".join(sorted(set(columns) ^ set(names)))
        raise ValueError(f"the columns differ from the table's in: {difference}")
    if len({len(columns[name]) for name in names}) > 1:
        raise ValueError("the columns are not of one length")
    return {column.name: _array(column, columns[column.name]) for column in definition}


def to_rows(columns: Columns) -> list[dict[str, int | float | str | None]]:
    """The rows as plain Python values; an unknown number is None."""
    plain = {name: [_plain(value) for value in array.tolist()] for name, array in columns.items()}
    return [dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)]


def _cell(column: Column, row: Mapping[str, object]) -> object:
    if column.name in row:
        value = row[column.name]
        return math.nan if value is None and column.type == "float" else value
    if column.default is None:
        raise ValueError(f"a row lacks `{column.name}`")
    return column.default


def _array(column: Column, values: Any) -> NDArray[Any]:
    if column.type == "text":
        array = np.empty(len(values), dtype=object)
        array[:] = [str(value) for value in values]
        return array
    return np.asarray(values, dtype=_DTYPES[column.type])


def _plain(value: Any) -> int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value  # type: ignore[no-any-return]
