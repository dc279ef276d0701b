"""Compile Python functions with numba, with types that mypy can follow.

Importing this imports numba (about half a second), so import it only where something runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(signature: str) -> Callable[[Function], Function]:
    """Compile for one signature, without the GIL, and keep the code on disk for the next process.

    Where no folder can be written (a read-only installation without a home), it is compiled again
    in every process.
    """

    def decorate(function: Function) -> Function:
        try:
            return cast(Function, numba.njit(signature, nogil=True, cache=True)(function))
        except (RuntimeError, OSError):
            return cast(Function, numba.njit(signature, nogil=True)(function))

    return decorate


def compiled_part(function: Function) -> Function:
    """Let compiled functions call this one; it is compiled together with them.

    Keep it in the file of its callers: the code kept on disk is renewed when that file changes.
    """
    jitable: Function = register_jitable(function)
    return jitable
