"""What stands in the files that were read: a line, the comments about it, an expression's text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from cimarch.diagnostics import Span
from cimarch.hardware.origin import Line, Remark

_CODE = re.compile(r'(?:[^"#]|"[^"]*"?)*')
"""A line up to its comment; what is in a string is none."""

Put = tuple[Span, str]
"""A stretch of an expression, and what is put in its place."""


@attrs.frozen(eq=False)
class Texts:
    """The lines of all files of a description, by the file's name."""

    files: Mapping[str, tuple[str, ...]]

    def line(self, span: Span) -> Line | None:
        """The line on which a stretch begins; None of a file that was not read."""
        lines = self.files.get(span.file, ())
        if not 0 < span.line <= len(lines):
            return None
        code, comment = _apart(lines[span.line - 1])
        above = self.above(span, "")
        return Line(span.file, span.line, code.strip(), comment, above.lines if above else ())

    def above(self, span: Span, about: str) -> Remark | None:
        """The comment that stands directly above a line; None where there is none."""
        lines = self.files.get(span.file, ())
        first = min(span.line - 1, len(lines))
        while first > 0 and lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return self._remark(span.file, first, span.line - 1, about)

    def header(self, file: str) -> Remark | None:
        """The comment with which a file begins; None where there is none."""
        lines = self.files.get(file, ())
        last = 0
        while last < len(lines) and lines[last].startswith("#"):
            last += 1
        return self._remark(file, 0, last, file)

    def _remark(self, file: str, first: int, last: int, about: str) -> Remark | None:
        said = tuple(line.strip().lstrip("#").strip() for line in self.files[file][first:last])
        return Remark(file, first + 1, about, said) if said else None

    def expression(self, span: Span, put: Iterable[Put] = ()) -> str:
        """The text of a stretch in one line, without comments; texts are put in for parts of it."""
        return " ".join(piece for piece in self._pieces(span, tuple(put)) if piece)

    def _pieces(self, span: Span, put: tuple[Put, ...]) -> Iterator[str]:
        lines = self.files.get(span.file, ())
        for number in range(span.line, min(span.end_line, len(lines)) + 1):
            code = _apart(lines[number - 1])[0]
            first = span.column - 1 if number == span.line else 0
            last = span.end_column - 1 if number == span.end_line else len(code)
            here = [(s, text) for s, text in put if s.line == number]
            for place, text in sorted(here, key=lambda item: -item[0].column):
                code = code[: place.column - 1] + text + code[place.end_column - 1 :]
                last += len(text) - (place.end_column - place.column)
            yield code[first:last].strip()


def _apart(line: str) -> tuple[str, str]:
    """The code of a line, and its comment without the sign."""
    found = _CODE.match(line)
    code = found.group() if found else ""
    return code.rstrip(), line[len(code) :].lstrip("#").strip()
