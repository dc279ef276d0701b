"""Compile Python functions with numba, with types that mypy can follow.

Importing this imports numba (about a third of a second), so import it only where something runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args, get_type_hints

import numba
from numba.core.options import DefaultOptions
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., object])

# Division by zero need not be looked for: no kernel here divides by what could be zero.
_OPTIONS: dict[str, Any] = {"error_model": "numpy"}

# Without its reference counts numba passes an array to a part for nothing; with them the engine
# takes three times as long. Such a kernel may make no array. (Numba keeps the option to itself.)
_BORROWING: dict[str, Any] = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}


def compiled(
    signature: Any, *, allocates: bool = True, reorders: bool = False
) -> Callable[[Function], Function]:
    """Compile for one signature, without the GIL, and keep the code on disk for the next process.

    The signature is text or a type of numba's.
    `allocates=False` promises that the function makes no array, neither itself nor by its parts.
    `reorders` lets the compiler add up floats in any order, many at once: for sums that no result
    depends on to the last bit.
    Where no folder can be written (a read-only installation without a home), it is compiled again
    in every process.
    """
    options = _OPTIONS | ({} if allocates else _BORROWING)
    options |= {"fastmath": {"reassoc"}} if reorders else {}

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


def type_of(record: type, dimensions: Mapping[str, int]) -> Any:
    """What numba calls the type of a NamedTuple of arrays in one piece.

    An array that `dimensions` does not name has one dimension.
    """
    fields = []
    for name, array in get_type_hints(record).items():
        kind = numba.from_dtype(get_args(get_args(array)[1])[0])
        fields.append(numba.types.Array(kind, dimensions.get(name, 1), "C"))
    made: Any = numba.types.NamedTuple
    return made(fields, record)
