"""A text as statements, words and remarks: all that a formatter must keep, and nothing it decides.

What stands between two words (blank lines, comments, line breaks) is a `Gap`. Statements are parted
by newlines and commas; which of the two it was is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import attrs
from lark import Token

from cimarch.language.parse import split_quantity

_CLOSERS = {")", "]"}
_OPENERS = {"(", "["}
_TOP = {"_FROM", "_COMPONENT", "_SYSTEM"}


@attrs.frozen
class Comment:
    """A comment, and the column in which it began: 0 where that is not to be kept."""

    text: str
    column: int = 0


@attrs.frozen
class Gap:
    """What stands between two words, or two statements."""

    broken: bool = False
    """Whether the second is on a line of its own."""
    behind: Comment | None = None
    """The comment on the line of the first."""
    lines: tuple[str, ...] = ()
    """Comments on lines of their own; a blank line is empty."""


@attrs.frozen
class Word:
    """One token as it is to be written."""

    text: str
    type: str
    before: Gap


@attrs.frozen
class Body:
    """What stands between `{` and `}`."""

    entries: tuple[Statement | str, ...]
    """Statements; comments on lines of their own; a blank line is empty."""
    behind: Comment | None
    """The comment behind the `{`."""
    flat: bool
    """Whether it was written on one line."""


@attrs.frozen
class Statement:
    """One member, component or import, and the comment behind it."""

    words: tuple[Word, ...]
    body: Body | None
    behind: Comment | None = None

    @property
    def flat(self) -> bool:
        """Whether it was written on one line."""
        whole = self.body is None or self.body.flat
        return whole and not any(word.before.broken for word in self.words)


def statements(tokens: Sequence[Token], text: str) -> tuple[Statement | str, ...]:
    """The entries of a file whose tokens these are."""
    return _Reader(tokens, text).block().entries


class _Reader:
    """Reads the tokens in order; `_end` is where the last one that counts ended."""

    def __init__(self, tokens: Sequence[Token], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._next = 0
        self._end = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _comment(self, line: str, end: int) -> Comment | None:
        """The comment in the rest of a line, behind what ends at a place of it."""
        if "#" not in line:
            return None
        begin = self._text.rfind("\n", 0, end) + 1
        stop = self._text.find("\n", end)
        text = line[line.find("#") :]  # it reaches to the end of the line
        before = self._text[begin : (stop if stop >= 0 else len(self._text)) - len(text)]
        return Comment(text.rstrip(" \t"), 0 if "\t" in before else len(before))

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        self._end = int(token.end_pos or 0)
        return token

    # blocks

    def block(self, level: int = 0) -> Body:
        """The entries up to a closing brace or the end."""
        start = before = self._end
        entries: list[Statement | str] = []
        behind: Comment | None = None
        passed = ""
        while True:
            token = self._peek()
            if token is not None and (token.type == "_NEWLINE" or token == ","):
                passed += self._separator(token)
                continue
            stop = len(self._text) if token is None else int(token.start_pos or 0)
            passed += self._text[self._end : stop]
            gap = self._between(passed, before, is_start=level == 0 and not entries)
            passed = ""
            if gap.behind is not None and entries and isinstance(entries[-1], Statement):
                entries[-1] = attrs.evolve(entries[-1], behind=gap.behind)
            elif gap.behind is not None:
                behind = gap.behind
            entries += gap.lines
            if token is None or token == "}":
                break
            self._end = stop
            entries.append(self._statement(level))
            before = self._end
        flat = "\n" not in self._text[start : int(token.start_pos or 0)] if token else False
        return Body(tuple(tidied(entries)), behind, flat)

    def _separator(self, token: Token) -> str:
        """Pass a newline or comma; what stood before the comma is part of the gap."""
        self._next += 1
        if token.type == "_NEWLINE":
            return ""
        before = self._text[self._end : int(token.start_pos or 0)]
        self._end = int(token.end_pos or 0)
        return before

    def _between(self, passed: str, end: int, *, is_start: bool) -> Gap:
        """The gap behind what ended at a place; at the start of a file nothing did."""
        first, *rest = passed.split("\n")
        lines = [line.strip(" \t") for line in (rest if self._peek() is None else rest[:-1])]
        if is_start and (rest or self._peek() is None):
            return Gap(True, None, (first.strip(" \t"), *lines))
        return Gap(bool(rest), self._comment(first, end), tuple(lines))

    # statements

    def _statement(self, level: int) -> Statement:
        words: list[Word] = []
        depth = 0
        is_import = False
        while (token := self._peek()) is not None:
            at_end = token.type == "_NEWLINE" or token == "}"
            at_end |= token == "," and depth == 0 and not is_import
            at_end |= bool(words) and level == 0 and token.type in _TOP
            if at_end:
                break
            passed = self._text[self._end : int(token.start_pos or 0)]
            gap = self._between(passed, self._end, is_start=False) if words else Gap()
            gap = attrs.evolve(gap, lines=tuple(tidied(gap.lines)))
            self._take()
            if token == "{":
                body = self.block(level + 1)
                self._take()
                return Statement(tuple(words), body)
            is_import |= token.type == "_IMPORT"
            depth += (token in _OPENERS) - (token in _CLOSERS)
            words.append(Word(_written(token), token.type, gap))
        return Statement(tuple(words), None)


def _written(token: Token) -> str:
    """A token's text: a quantity has one space before its unit."""
    if token.type != "QUANTITY":
        return str(token)
    return " ".join(split_quantity(str(token))).strip()


Entry = TypeVar("Entry", str, "Statement | str")


def tidied(entries: Sequence[Entry]) -> list[Entry]:
    """At most one blank line at a place, and none at the start and the end."""
    found: list[Entry] = []
    for entry in entries:
        if entry != "" or (found and found[-1] != ""):
            found.append(entry)
    if found and found[-1] == "":
        found.pop()
    return found
