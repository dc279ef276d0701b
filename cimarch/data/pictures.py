"""One picture to its pixels, by Pillow."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.data.problems import need, problem

Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST = 64 << 20
"""Pixels of one picture."""
GREY, COLOUR = ("1", "L"), ("RGB", "P")
"""Modes of Pillow that are read; what carries transparency, or more than 8 bits, is not."""


def pixels(
    data: bytes, what: str, *, size: tuple[int, int] | None = None, grey: bool = False
) -> Pixels:
    """The pixels (height, width, 3) of a picture, or (height, width, 1) where it is `grey`.

    `size` is the width and height that it must have. A grey picture gives three equal channels
    unless `grey`. Raises DescriptionError where it is damaged, or of a form that is not read.
    """
    with _opened(data, what) as picture:
        _check(picture.size, picture.mode, size, what)
        if "transparency" in picture.info:
            raise problem("E322", f"{what} has transparent pixels")
        found = np.asarray(picture.convert("L" if grey else "RGB"), np.uint8)
    return found.reshape(*found.shape[:2], -1)


def is_grey(data: bytes, what: str) -> bool:
    """Whether a picture has one channel, by its head."""
    with _opened(data, what) as picture:
        return picture.mode in GREY


@contextmanager
def _opened(data: bytes, what: str) -> Iterator[Any]:
    """A picture of which the head has been read; DescriptionError at what Pillow raises."""
    pillow = need("PIL.Image", f"reading {what}", "Pillow")
    too_large = pillow.DecompressionBombError
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(io.BytesIO(data), formats=FORMATS) as picture:
                yield picture
    except (*DAMAGED, too_large) as error:
        raise problem("E322", f"{what} is no picture that can be read", notes=_why(error)) from None


DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, KeyError, IndexError,
    TypeError, struct.error, zlib.error, AttributeError, RuntimeError, AssertionError,
)  # fmt: skip
"""What Pillow raises at damaged files of the three formats (an unknown one is an OSError)."""


def _check(size: tuple[int, int], mode: str, wanted: tuple[int, int] | None, what: str) -> None:
    if wanted is not None and size != wanted:
        raise problem(
            "E323", f"{what} is {size[0]} x {size[1]} pixels, not {wanted[0]} x {wanted[1]}"
        )
    if size[0] * size[1] > LARGEST:
        raise problem("E322", f"{what} is {size[0]} x {size[1]} pixels, above {LARGEST:,}")
    if mode not in GREY + COLOUR:
        raise problem(
            "E322",
            f"{what} has pixels of mode `{mode}`",
            helps=["save it in grey or in red, green and blue, 8 bits each"],
        )


def _why(error: BaseException) -> list[str]:
    # An address in memory, which Pillow puts there, says nothing.
    text = str(error).partition("<")[0].strip()
    return [text[:200]] if text else []
