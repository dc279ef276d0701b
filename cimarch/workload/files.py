"""Model files: where one is found, and its bytes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from cimarch import share
from cimarch.diagnostics import DescriptionError
from cimarch.workload.bundled import is_transformer
from cimarch.workload.problems import EXPORT, listed, problem
from cimarch.workload.zoo import is_known, nearest

MAPPED = 256 << 20
"""Bytes from which a file is mapped, not read: below, it may be written over while in use."""


def find(path: str | os.PathLike[str]) -> Path:
    """The file at `path`, else one that comes with cimarch: `resnet20`, `models/resnet20.pt`."""
    given = Path(path)
    candidates = [given]
    if given.parent in (Path(), Path("models")):
        shipped = share.folder("models")
        candidates += [shipped / given.name, shipped / f"{given.name}.pt"]
    for candidate in candidates:
        if _is_there(candidate):
            return candidate
    raise _missing(path)


def is_name(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is the name of a network of `models/`, and not of a file."""
    try:
        find(path)
    except DescriptionError:
        return is_known(os.fspath(path)) or is_transformer(os.fspath(path))
    return False


def contents(path: Path) -> memoryview:
    """The bytes of a file: mapped where it is large."""
    if path.is_dir():
        raise problem("E101", f"`{path}` is a directory, not a model file", helps=[EXPORT])
    if not path.is_file():
        raise problem("E101", f"`{path}` is not a regular file")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size >= MAPPED:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            data = file.read()
    except OSError as error:
        raise problem("E101", f"`{path}` cannot be read", notes=[str(error.strerror)]) from None
    if not data:
        raise problem("E102", f"`{path}` is empty", helps=[EXPORT])
    return memoryview(data)


def _missing(path: str | os.PathLike[str]) -> DescriptionError:
    name = Path(path).name
    shipped = sorted(f"models/{file.name}" for file in share.folder("models").glob("*.pt"))
    known = is_known(name) or is_transformer(name)
    near = name if known else nearest(name)
    return problem(
        "E100",
        f"there is no file `{path}`",
        notes=[f"with cimarch come {listed(shipped)}"] if shipped else [],
        helps=[f"--model {near} (its shapes, without weights)"] if near else [EXPORT],
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False
