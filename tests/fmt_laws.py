"""What holds of the layout of any description."""

from __future__ import annotations

from cimarch.language.format import format_text, same
from cimarch.language.parse import clean, parse, tokens


def comments(text: str) -> list[str]:
    """The comments of a text, in order, each with the word before it (commas apart)."""
    text = clean(text, "<text>")
    found, end, before = [], 0, ""
    for token in [*tokens(text), None]:
        if token is not None and (token.type == "_NEWLINE" or token == ","):
            continue
        stop = len(text) if token is None else token.start_pos
        for line in text[end:stop].split("\n"):
            comment = line.strip(" \t,")
            if comment.startswith("#"):
                found.append(f"{before} {line[line.index('#') :].rstrip(' ' + chr(9))}")
        if token is not None:
            end, before = token.end_pos, "".join(token.split())
    return found


def check_laws(text: str) -> str:
    """The text laid out, after every law has been checked; DescriptionError where it is none."""
    made = format_text(text)
    assert format_text(made) == made, "formatting twice changes something"
    assert same(parse(made, "<text>"), parse(text, "<text>")), "the meaning changed"
    assert comments(made) == comments(text), "a comment moved, or is lost"
    assert made == "" or made.endswith("\n")
    assert not made.endswith("\n\n")
    assert not made.startswith("\n")
    assert "\n\n\n" not in made, "two blank lines"
    assert not any(line != line.rstrip(" \t") for line in made.split("\n")), "blanks at an end"
    return made
