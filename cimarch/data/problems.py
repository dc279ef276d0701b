"""How a data set tells a user that it cannot be read, or does not fit.

Codes: E320 the flag, E321 files that are not there, E322 damaged ones, E323 shapes, E324 labels and
classes, E325 too few, E326 a user's own, E327 tokens, E328 normalisation, E329 a missing extra.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from cimarch.diagnostics import DescriptionError, Diagnostic


def problem(
    code: str, headline: str, *, notes: Iterable[str] = (), helps: Iterable[str] = ()
) -> DescriptionError:
    """Make the error for one mistake; the caller raises it."""
    return DescriptionError(
        Diagnostic(code=code, headline=headline, notes=tuple(notes), helps=tuple(helps))
    )


def need(module: str, purpose: str, package: str) -> ModuleType:
    """Import what the extra `data` brings; DescriptionError (E329) where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise problem(
            "E329", f"{purpose} takes {package}", helps=["pip install 'cimarch[data]'"]
        ) from None


def by(shape: Iterable[int]) -> str:
    """A shape as a person writes it: `3 x 32 x 32`."""
    return " x ".join(map(str, shape)) or "a single number"
