"""Compile Python functions with numba, with types that mypy can follow.

Importing this imports numba (about a third of a second), so import it only where something runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])

# Division by zero need not be looked for: no kernel here divides by what could be zero.
_OPTIONS: dict[str, Any] = {"error_model": "numpy"}

# Without its reference counts numba passes an array to a part for nothing; with them the engine
# takes three times as long. Such a kernel may make no array. (Numba keeps the option to itself.)
_BORROWING: dict[str, Any] = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}


def compiled(signature: str, *, allocates: bool = True) -> Callable[[Function], Function]:
    """Compile for one signature, without the GIL, and keep the code on disk for the next process.

    `allocates=False` promises that the function makes no array, neither itself nor by its parts.
    Where no folder can be written (a read-only installation without a home), it is compiled again
    in every process.
    """
    options = _OPTIONS | ({} if allocates else _BORROWING)

    def decorate(function: Function) -> Function:
        try:
            kernel = numba.njit(signature, nogil=True, cache=True, **options)(function)
        except (RuntimeError, OSError):
            kernel = numba.njit(signature, nogil=True, **options)(function)
        return cast(Function, kernel)

    return decorate


def compiled_part(function: Function) -> Function:
    """Let compiled functions call this one, which makes no array; it is compiled into them.

    Keep it in the file of its callers: the code kept on disk is renewed when that file changes.
    """
    part: Function = register_jitable(forceinline=True, **_OPTIONS, **_BORROWING)(function)
    return part
