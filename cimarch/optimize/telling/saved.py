"""The records of a model's file, read without torch."""

from __future__ import annotations

import os

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.optimize.frame.record import Record, records_of
from cimarch.workload.adapted import RECORDS, read_adapted
from cimarch.workload.files import contents, find
from cimarch.workload.sniff import sniff


def read_records(path: str | os.PathLike[str]) -> tuple[Record, ...]:
    """What each method did to a model, the first one first.

    Raises DescriptionError where the file is none of an adapted model, or damaged.
    """
    source = os.fspath(path)
    data = contents(find(path))
    if sniff(data, source).kind != "adapted":
        raise DescriptionError(
            Diagnostic(
                "E458",
                f"`{source}` is no adapted model: it has no records",
                helps=("name what `cimarch optimize METHOD ... -o OUT` wrote",),
            )
        )
    held = read_adapted(data, source).attached
    return records_of(held[RECORDS], f"{source}: {RECORDS}") if RECORDS in held else ()
