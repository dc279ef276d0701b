"""The files of data sets: whether they are there, and their bytes."""

from __future__ import annotations

import os
from pathlib import Path

from cimarch.data.problems import problem

LARGEST = 4 << 30
"""Bytes of one array, once it is unpacked, or of one file that is read whole."""


def existing(path: str) -> Path:
    """The file or folder at `path`; DescriptionError (E321) where there is none."""
    found = Path(path)
    try:
        found.stat()
    except (OSError, ValueError) as error:  # a name too long, or with a zero byte
        missing = isinstance(error, FileNotFoundError)
        why = [] if missing else [getattr(error, "strerror", None) or str(error)]
        raise problem("E321", f"there is no file or folder `{path}`", notes=why) from None
    return found


def contents(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a file; DescriptionError where it is none, unreadable, empty or too large."""
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise problem("E321", f"`{path}` is {what}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise problem("E322", f"`{path}` has {size:,} bytes, above {most:,}")
            data = file.read()
    except OSError as error:
        raise problem("E321", f"`{path}` cannot be read", notes=[str(error.strerror)]) from None
    if not data:
        raise problem("E322", f"`{path}` is empty")
    return data
