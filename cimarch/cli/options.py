"""What the flags of several commands mean: `--set path=value` and `--input 1x3x32x32`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from cimarch.diagnostics import DescriptionError, Diagnostic

Command = TypeVar("Command", bound=Callable[..., object])


def flags(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Arguments and flags that several commands share, in the order in which help lists them."""

    def give(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return give


def overrides(texts: Iterable[str]) -> dict[str, str]:
    """The `--set path=value` flags by path.

    Raises DescriptionError for one without `=`, without a path or a value, or given twice.
    """
    found: dict[str, str] = {}
    wrong = []
    for text in texts:
        path, equals, value = (piece.strip() for piece in text.partition("="))
        if not (path and equals and value):
            wrong.append(_not_an_override(text))
        elif path in found and found[path] != value:
            wrong.append(_set_twice(path, found[path], value))
        else:
            found[path] = value
    if wrong:
        raise DescriptionError(*wrong)
    return found


def shape(text: str | None) -> tuple[int, ...] | None:
    """The sizes in `1x3x32x32`, batch first; DescriptionError where it is not such a list."""
    if text is None:
        return None
    sizes = text.lower().split("x")
    if not all(_is_size(size) for size in sizes):
        raise DescriptionError(
            Diagnostic(
                "E902",
                f"--input {text}: not a list of sizes of 1 or more",
                helps=("write the batch, then the channels, height and width: `1x3x32x32`",),
            )
        )
    return tuple(int(size) for size in sizes)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0


def _not_an_override(text: str) -> Diagnostic:
    return Diagnostic(
        "E901",
        f"--set {text}: not of the form `path=value`",
        helps=("write for instance `--set tile.ima.adc.bits=6`",),
    )


def _set_twice(path: str, first: str, second: str) -> Diagnostic:
    return Diagnostic(
        "E901",
        f"--set {path} is given twice, as `{first}` and as `{second}`",
        helps=("leave one of the two out",),
    )
