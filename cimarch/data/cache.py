"""A folder in which what took long to decode is kept: XDG's, `~/.cache/cimarch/data`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def folder() -> Path:
    """Where it is (XDG Base Directory Specification 0.8: `$XDG_CACHE_HOME`, else `~/.cache`)."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    return base / "cimarch" / "data"


def kept(key: str, shape: tuple[int, ...], make: Callable[[], Array]) -> Array:
    """The array of bytes called `key`: out of the folder, else made, and put there.

    What is found there and has another shape or type is made anew; a folder that cannot be written
    costs only the time of the next reading. It is mapped, not read.
    """
    place = folder() / f"{key}.npy"
    found = _mapped(place)
    if found is not None and found.shape == shape and found.dtype == np.uint8:
        return found
    made = make()
    _put(place, made)
    return made


def _mapped(place: Path) -> Array | None:
    try:
        found: Array = np.load(place, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found


def _put(place: Path, made: Array) -> None:
    """Write it whole: beside its place, then renamed."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, made, allow_pickle=False)
            os.replace(beside, place)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError:
        return
