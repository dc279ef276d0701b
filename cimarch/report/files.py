"""Files that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cimarch.diagnostics import DescriptionError, Diagnostic


@contextmanager
def whole(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` when the block ends, and not if it fails.

    A link stays one: what it leads to is replaced. What is no file, a pipe or `/dev/null`, is
    written to as it is. `mode` is who may read and write a file; without it, that of any new one.
    Raises DescriptionError where the place cannot be written.
    """
    path = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as file:
                yield file
            return
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            os.chmod(beside, 0o666 & ~_umask() if mode is None else mode)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise DescriptionError(unwritable(path, reason(error))) from None


def check_writable(path: Path) -> None:
    """Find before a long run that its result could not be written after it.

    Raises DescriptionError where `path` is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise DescriptionError(unwritable(path, "it is a folder"))
    if not path.parent.is_dir():
        raise DescriptionError(unwritable(path, f"there is no folder `{path.parent}`"))
    if not os.access(path.parent, os.W_OK):
        raise DescriptionError(unwritable(path, f"the folder `{path.parent}` is read-only"))


def unwritable(path: Path, why: str) -> Diagnostic:
    """The diagnostic for a place that cannot be written."""
    return Diagnostic(
        "E900",
        f"`{path}` cannot be written: {why}",
        helps=("name a place in a folder that exists and that you may write to",),
    )


def reason(error: OSError) -> str:
    """Why the operating system refused, as the end of a sentence."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
