"""A description in its canonical layout: what it says stays, and every comment where it was.

Four spaces for each body, one member a line; a body that was written on one line stays there where
it fits. Line breaks inside an expression are kept, and a comment behind a member keeps its column
where there is room, so that columns of comments that were aligned by hand stay aligned.
"""

from __future__ import annotations

from typing import Any

import attrs

from cimarch.language import ast
from cimarch.language.parse import clean, parse, tokens
from cimarch.language.pieces import Body, Comment, Statement, Word, statements

WIDEST = 100
"""Columns into which a body must fit to stay on one line."""
_STEP = "    "


def format_text(text: str, file: str = "<text>") -> str:
    """The same description, laid out; formatting it again changes nothing.

    Raises DescriptionError where the text cannot be parsed. Names and values are not looked at.
    """
    before = parse(text, file)
    text = clean(text, file)
    lines = _entries(statements(tokens(text), text), "")
    made = "".join(f"{line}\n" for line in lines)
    assert same(parse(made, file), before), f"the layout of `{file}` would change what it says"
    return made


# ------------------------------------------------------------------------ layout


def _entries(entries: tuple[Statement | str, ...], indent: str) -> list[str]:
    lines: list[str] = []
    for entry in entries:
        if isinstance(entry, Statement):
            lines += _statement(entry, indent)
        else:
            lines.append(indent + entry if entry else "")
    return lines


def _statement(statement: Statement, indent: str) -> list[str]:
    lines = _words(statement.words, indent)
    body = statement.body
    if body is not None:
        lines[-1] += " "
        on_one = _flat_body(body) if _may_be_flat(body) else None
        if on_one is not None and (not body.entries or len(lines[-1] + on_one) <= WIDEST):
            lines[-1] += on_one
        else:
            lines[-1] = _with_comment(lines[-1] + "{", body.behind)
            lines += [*_entries(body.entries, indent + _STEP), indent + "}"]
    lines[-1] = _with_comment(lines[-1], statement.behind)
    return lines


def _words(words: tuple[Word, ...], indent: str) -> list[str]:
    """The words of a statement; its line breaks are those that it had."""
    lines = [indent + words[0].text]
    for i, word in enumerate(words[1:], 1):
        gap = word.before
        if gap.broken:
            lines[-1] = _with_comment(lines[-1], gap.behind)
            further = indent if word.text in (")", "]") else indent + _STEP
            lines += [further + line if line else "" for line in gap.lines]
            lines.append(further + word.text)
        else:
            lines[-1] += _space(words[:i], word) + word.text
    return lines


def _with_comment(line: str, comment: Comment | None) -> str:
    if comment is None:
        return line
    column = comment.column if len(line) + 2 <= comment.column <= WIDEST else len(line) + 2
    return line.ljust(column) + comment.text


def _may_be_flat(body: Body) -> bool:
    """Whether a body may stand on one line: it did, or there is nothing in it."""
    nothing = not body.entries and body.behind is None
    return nothing or (body.flat and all(isinstance(e, Statement) for e in body.entries))


def _flat_body(body: Body) -> str:
    members = [_flat(entry) for entry in body.entries if isinstance(entry, Statement)]
    return "{ " + ", ".join(members) + " }" if members else "{ }"


def _flat(statement: Statement) -> str:
    (line,) = _words(statement.words, "")
    return line if statement.body is None else f"{line} {_flat_body(statement.body)}"


# ----------------------------------------------------------------------- spacing

_TIGHT_BEFORE = {")", "]", ",", ":", "."}
_TIGHT_AFTER = {"(", "[", "."}
_ENDS = {"NAME", "NUMBER", "QUANTITY", "STRING"}
"""Tokens that end an operand, as `)` and `]` do; a minus behind anything else is a sign."""


def _space(before: tuple[Word, ...], word: Word) -> str:
    """What stands between a word and those before it on its line."""
    last = before[-1]
    if last.text == ".." or word.text == "..":
        dotted = last.text.endswith(".") if word.text == ".." else word.text.startswith(".")
        return " " if dotted else ""  # `1. ..2` is not `1...2`
    if word.text in _TIGHT_BEFORE or last.text in _TIGHT_AFTER:
        return ""
    if word.text in ("(", "[") and last.type == "NAME":
        return ""
    return "" if _is_sign(before) else " "


def _is_sign(words: tuple[Word, ...]) -> bool:
    """Whether the last of some words is the minus of a negative number."""
    if words[-1].type != "MINUS":
        return False
    return len(words) < 2 or not (words[-2].type in _ENDS or words[-2].text in (")", "]"))


# ----------------------------------------------------------------------- meaning


def same(one: object, other: object) -> bool:
    """Whether two trees say the same, wherever it is written."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other):
        return False
    if type(one).__module__ != ast.__name__:
        return one == other
    kind: Any = type(one)
    names = [field.name for field in attrs.fields(kind)]
    return all(same(getattr(one, n), getattr(other, n)) for n in names if n not in _PLACES)


_PLACES = ("span", "depth", "file")
