"""What is told to a user whose file or flags are wrong."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.frozen
class Span:
    """A stretch of a source text: line and column count from 1."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """From the start of this stretch to the end of the other."""
        return attrs.evolve(self, end_line=other.end_line, end_column=other.end_column)


def printable(text: str) -> str:
    """One terminal cell per character: tabs and control characters become spaces and marks."""
    if text.isprintable():
        return text
    return "".join(" " if c == "\t" else c if c.isprintable() else "\ufffd" for c in text)


@attrs.frozen
class Diagnostic:
    """One problem: a headline that stands alone, where it is, the facts, and what to type."""

    code: str
    headline: str = attrs.field(converter=printable)
    """One line, whatever stands in the names in it."""
    span: Span | None = None
    label: str = ""
    others: tuple[tuple[Span, str], ...] = ()
    """Further places that matter, each with what it is."""
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    @property
    def is_warning(self) -> bool:
        """Whether it is no mistake, but something not to be relied on: its code begins with `W`."""
        return self.code.startswith("W")

    def to_dict(self) -> dict[str, object]:
        """The same for a machine: plain strings, numbers and lists."""
        return attrs.asdict(self)


MOST_SHOWN = 50
"""Diagnostics of one error that are told as text; a machine is given all."""


class DescriptionError(Exception):
    """The user's file or flags are wrong; a bug of ours is never this."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = diagnostics
        headlines = [shortened(d.headline) for d in diagnostics[:MOST_SHOWN]]
        super().__init__("\n".join([*headlines, *self._rest()]))

    def render(self, *, colour: bool = False) -> str:
        """The diagnostics as text for a terminal, with the lines of source they point at.

        After the first 50 only the number of the others is told.
        """
        shown = [render(d, colour=colour) for d in self.diagnostics[:MOST_SHOWN]]
        return "\n\n".join([*shown, *self._rest()])

    def _rest(self) -> list[str]:
        more = len(self.diagnostics) - MOST_SHOWN
        return [f"and {more:,} more mistake{'' if more == 1 else 's'}"] if more > 0 else []


MOST_FOUND = 100
"""Mistakes after which a description is not looked at further."""


class Problems(list[Diagnostic]):
    """What is wrong, as it is found; raises Enough at the 100th mistake.

    One mistake that several parts show is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[object] = set()

    def append(self, problem: Diagnostic) -> None:
        """Keep a problem."""
        super().append(problem)
        self._seen.add((problem.code, problem.span, problem.headline))
        if len(self._seen) >= MOST_FOUND:
            raise Enough(self)

    def extend(self, problems: Iterable[Diagnostic]) -> None:
        """Keep several."""
        for problem in problems:
            self.append(problem)


class Enough(Exception):
    """More is wrong than anybody reads at once; carries what was found until then."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


_texts: dict[str, tuple[str, ...]] = {}
_MOST_TEXTS = 1000


def remember(file: str, text: str) -> None:
    """Keep the text of a file that was read, so that a diagnostic can show its lines."""
    _texts.pop(file, None)
    _texts[file] = tuple(text.split("\n"))
    if len(_texts) > _MOST_TEXTS:
        del _texts[next(iter(_texts))]


def remembered(file: str) -> tuple[str, ...]:
    """The lines of a file that was read last under this name; none of one that was not."""
    return _texts.get(file, ())


def _line(span: Span) -> str | None:
    lines = _texts.get(span.file, ())
    return lines[span.line - 1] if 0 < span.line <= len(lines) else None


_COLOURS = {
    "error": "1;31",
    "warning": "1;33",
    "head": "1",
    "frame": "1;34",
    "here": "1;31",
    "other": "1;34",
}


@attrs.frozen
class _Paint:
    on: bool

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if self.on and text else text


def render(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """One diagnostic as text: headline, windows on the source, notes, helps."""
    paint = _Paint(colour)
    kind = "warning" if diagnostic.is_warning else "error"
    lines = [
        paint(kind, f"{kind}[{diagnostic.code}]")
        + paint("head", f": {printable(shortened(diagnostic.headline))}")
    ]
    spans = [s for s in (diagnostic.span, *(s for s, _ in diagnostic.others)) if s is not None]
    margin = max((len(str(s.line)) for s in spans), default=0)
    if diagnostic.span is not None:
        lines += _window(diagnostic.span, diagnostic.label, "-->", "^", margin, paint)
    for span, label in diagnostic.others:
        lines += _window(span, label, ":::", "-", margin, paint)
    tail = [f"note: {n}" for n in diagnostic.notes] + [f"help: {h}" for h in diagnostic.helps]
    if tail and spans:
        lines.append(paint("frame", " " * margin + " |"))
    indent = " " * (margin + 1 if spans else 2)
    lines += [paint("frame", f"{indent}=") + f" {printable(shortened(text))}" for text in tail]
    return "\n".join(lines)


_WIDEST = 160
"""Source lines longer than this are shown in part."""


def _window(span: Span, label: str, arrow: str, mark: str, margin: int, paint: _Paint) -> list[str]:
    place = f"{shortened(span.file)}:{span.line}:{span.column}"
    head = f"{' ' * margin}{paint('frame', arrow)} {place}"
    text = _line(span)
    if text is None:
        return [head]
    bar = paint("frame", " " * margin + " |")
    first = span.column - 1
    last = span.end_column - 1 if span.end_line == span.line else len(text.rstrip())
    offset = 0 if len(text) <= _WIDEST else max(0, first - 40)
    shown = printable(text[offset : offset + _WIDEST].rstrip())
    marks = mark * max(1, min(last, offset + _WIDEST) - first)
    here = paint(
        "here" if mark == "^" else "other", f"{marks} {printable(shortened(label))}".rstrip()
    )
    number = paint("frame", f"{span.line:>{margin}} |")
    return [head, bar, f"{number} {shown}".rstrip(), f"{bar} {' ' * (first - offset)}{here}"]


_LONGEST_TOLD = 2000


def shortened(text: str) -> str:
    """A text without its middle where it is longer than anybody reads."""
    if len(text) <= _LONGEST_TOLD:
        return text
    half = _LONGEST_TOLD // 2
    return f"{text[:half]} ... {text[-half:]}"


_LONGEST_GUESSED = 100
_MOST_GUESSED = 300


def suggestion(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """A help line naming the known name most like this one, or none where none is near."""
    import difflib

    if len(name) > _LONGEST_GUESSED:
        return ()
    # names of a length from which more than 0.6 of both can be alike
    near = sorted({n for n in names if 0.4 * len(name) <= len(n) <= 2.4 * len(name)})
    found = difflib.get_close_matches(name, near[:_MOST_GUESSED], n=1, cutoff=0.6)
    return (f"did you mean `{found[0]}`?",) if found else ()


_MOST_LISTED = 60


def listing(names: Iterable[str]) -> str:
    """Names in backticks, in the order given; of very many, the first ones."""
    names = list(names)
    more = [f"{len(names) - _MOST_LISTED:,} more"] if len(names) > _MOST_LISTED else []
    return ", ".join([*(f"`{name}`" for name in names[:_MOST_LISTED]), *more])
