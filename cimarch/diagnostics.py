"""What is told to a user whose file or flags are wrong."""

from __future__ import annotations

import attrs


@attrs.frozen
class Span:
    """A stretch of a source text: line and column count from 1."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@attrs.frozen
class Diagnostic:
    """One problem: a headline that stands alone, where it is, the facts, and what to type."""

    code: str
    headline: str
    span: Span | None = None
    label: str = ""
    others: tuple[tuple[Span, str], ...] = ()
    """Further places that matter, each with what it is."""
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()


class DescriptionError(Exception):
    """The user's file or flags are wrong; a bug of ours is never this."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        super().__init__("\n".join(d.headline for d in diagnostics))
