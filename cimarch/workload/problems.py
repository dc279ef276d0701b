"""How the workload tells a user that a model file cannot be read.

Codes: E10x the file, E11x the archive, E12x its operators, E13x shapes, E14x layer tables,
E15x exporting, E16x checkpoints and the networks that come with cimarch, E17x transformers.
"""

from __future__ import annotations

from collections.abc import Iterable

from cimarch.diagnostics import DescriptionError, Diagnostic

EXPORT = "cimarch export package.module:factory --input 1x3x32x32 -o model.pt"
"""The command that makes a good file."""


def problem(
    code: str, headline: str, *, notes: Iterable[str] = (), helps: Iterable[str] = ()
) -> DescriptionError:
    """Make the error for one mistake; the caller raises it."""
    return DescriptionError(
        Diagnostic(code=code, headline=headline, notes=tuple(notes), helps=tuple(helps))
    )


def listed(names: Iterable[str], most: int = 4) -> str:
    """Name a few and count the rest: `` `a`, `b` and 7 more``."""
    names = list(names)
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
