"""What commands hand out: JSON, and files that are either whole or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.report.files import check_writable as check_writable
from cimarch.report.files import reason, unwritable, whole

ERROR_SCHEMA = "cimarch.errors/1"


def as_json(value: object) -> str:
    """A value as JSON text: the same text for the same value, no NaN."""
    return json.dumps(value, indent=2, allow_nan=False)


def errors_as_json(error: DescriptionError) -> str:
    """The diagnostics as JSON, for programs that called with `--json`."""
    return as_json(
        {"schema": ERROR_SCHEMA, "errors": [item.to_dict() for item in error.diagnostics]}
    )


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file so that it is never seen half-written: beside its place, then renamed.

    `mode` is who may read and write it; without it, that of any new file. Raises DescriptionError
    where the place cannot be written.
    """
    with whole(path, mode=mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def named_place(flag: str, text: str | None) -> Path | None:
    """The path that a flag gives, None without the flag; DescriptionError where it is empty.

    An empty one is a script's variable that was never set, and would mean the folder one is in.
    """
    if text == "":
        raise DescriptionError(Diagnostic("E900", f"{flag} is given without a name"))
    return None if text is None else Path(text)


def check_folder(path: Path) -> None:
    """The same for a folder of files, that is made where it is missing."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise DescriptionError(unwritable(path, f"`{there}` is not a folder"))
    if not os.access(there, os.W_OK):
        raise DescriptionError(unwritable(path, f"the folder `{there}` is read-only"))


def make_folder(path: Path) -> None:
    """Make a folder and those above it; DescriptionError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DescriptionError(unwritable(path, reason(error))) from None
