"""Arrays out of npz and npy files: plain numbers only, and none larger than it says."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cimarch.data.files import LARGEST, contents
from cimarch.data.problems import by, problem

Array = NDArray[Any]

DAMAGED = (
    OSError, ValueError, EOFError, KeyError, TypeError, OverflowError, SyntaxError, MemoryError,
    RuntimeError, NotImplementedError, UnicodeError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip
"""What readers of numpy and zip files raise at damaged ones."""

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def arrays(path: Path, names: Iterable[str], optional: Iterable[str] = ()) -> Mapping[str, Array]:
    """The arrays of an npz file by name, those of `optional` where they are there.

    Raises DescriptionError where one is missing, is not of numbers, is larger than 4 GiB, or the
    file is damaged. Nothing that is pickled in it is looked at.
    """
    found: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            there = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [name for name in names if name not in there]
            if missing:
                raise _without(path, missing, there)
            for name in (*names, *(n for n in optional if n in there)):
                claimed = archive.getinfo(there[name]).file_size
                with archive.open(there[name]) as member:
                    found[name] = _array(member, claimed, f"`{name}` of `{path}`")
    except DAMAGED as error:
        raise _damaged(path, error) from None
    return found


def names_of(path: Path) -> list[str]:
    """The names of the arrays of an npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGED as error:
        raise _damaged(path, error) from None


def array(path: Path) -> Array:
    """The array of an npy file."""
    import io

    data = contents(path)
    try:
        return _array(io.BytesIO(data), len(data), f"`{path}`")
    except DAMAGED as error:
        raise _damaged(path, error) from None


def _array(file: IO[bytes], size: int, what: str) -> Array:
    """Read one array, once its header says what its size confirms."""
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise problem("E322", f"{what} is of format {version[0]}.{version[1]}, not 1.0 or 2.0")
    shape, in_columns, dtype = HEADERS[version](file)
    if dtype.kind not in "biuf":
        raise problem("E322", f"{what} holds `{dtype}`, not numbers")
    bytes_ = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or bytes_ > min(LARGEST, size):
        raise problem(
            "E322", f"{what} is said to be {by(shape)} of `{dtype}`, {bytes_:,} bytes: it has not"
        )
    data = file.read(bytes_)
    if len(data) != bytes_:
        raise problem("E322", f"{what} ends after {len(data):,} of {bytes_:,} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")


def _without(path: Path, missing: list[str], there: Iterable[str]) -> Exception:
    from cimarch.diagnostics import listing

    return problem(
        "E322",
        f"`{path}` has no array {listing(missing)}",
        notes=[f"it has {listing(there)}" if there else "it has none"],
    )


def _damaged(path: Path, error: BaseException) -> Exception:
    if isinstance(error, FileNotFoundError):
        return problem("E321", f"there is no file `{path}`")
    return problem("E322", f"`{path}` is damaged", notes=[str(error)[:200] or type(error).__name__])
