"""Flags of one chip among several: `CHIP:what`, by its number, as it was typed, or by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from cimarch.cli.options import overrides
from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion

if TYPE_CHECKING:
    from cimarch.hardware.system import System


def loaded(architectures: Sequence[str], settings: Sequence[str]) -> list[System]:
    """The chips, each with its `--set` flags; DescriptionError with all that is wrong."""
    import cimarch

    given = _settings(settings, architectures)
    found: list[System] = []
    problems: list[Diagnostic] = []
    for number, name in enumerate(architectures):
        try:
            found.append(cimarch.load(name, set=overrides(given[number])))
        except DescriptionError as error:
            problems += [each for each in error.diagnostics if each not in problems]
    if problems:
        raise DescriptionError(*problems)
    return found


def _settings(texts: Sequence[str], architectures: Sequence[str]) -> list[list[str]]:
    """The `--set` flags of each chip, without its name: of all, where none is named."""
    typed = Names(tuple(architectures), tuple(name.rpartition(":")[2] for name in architectures))
    found: list[list[str]] = [[] for _ in architectures]
    for text in texts:
        path, equals, value = text.partition("=")
        chip, colon, parameter = path.rpartition(":")
        wanted = typed.numbers(chip, f"--set {text}") if colon else range(len(found))
        for number in wanted:
            found[number].append(f"{parameter}{equals}{value}")
    return found


@attrs.frozen
class Names:
    """What chips may be called in a flag."""

    typed: tuple[str, ...]
    """As on the command line."""
    own: tuple[str, ...]
    """As the columns of the comparison."""

    @classmethod
    def of(cls, architectures: Sequence[str], systems: Sequence[System]) -> Names:
        """Of chips that have been loaded."""
        from cimarch.explore.comparing.compare import apart

        return cls(tuple(architectures), tuple(apart([system.name for system in systems])))

    def numbers(self, chip: str, flag: str) -> list[int]:
        """Which chips are meant, from 0; DescriptionError where none is."""
        chip = chip.strip()
        if chip.isascii() and chip.isdigit() and 1 <= int(chip) <= len(self.typed):
            return [int(chip) - 1]
        for known in (self.typed, self.own):
            if chip in known:
                return [number for number, name in enumerate(known) if name == chip]
        headline = f"{flag}: there is no chip `{chip}` among those that are compared"
        notes = (f"they are {listing(self.typed)}, or 1 to {len(self.typed)}",)
        helps = suggestion(chip, [*self.typed, *self.own])
        raise DescriptionError(Diagnostic("E901", headline, notes=notes, helps=helps))

    def each(self, flag: str, texts: Sequence[str]) -> dict[str, str]:
        """What `CHIP:WHAT` flags say, by the names of columns; the last of a chip holds."""
        found = {}
        for text in texts:
            chip, colon, what = (piece.strip() for piece in text.rpartition(":"))
            if not (chip and colon and what):
                headline = f"{flag} {text}: not of the form `CHIP:...`"
                helps = (f"write for instance `{flag} {self.typed[-1]}:{what or '...'}`",)
                raise DescriptionError(Diagnostic("E901", headline, helps=helps))
            for number in self.numbers(chip, f"{flag} {text}"):
                found[self.own[number]] = what
        return found

    def lists(self, flag: str, texts: Sequence[str]) -> dict[str, list[str]]:
        """What `[CHIP:]WHAT` flags say, by the names of columns: of all, where none is named."""
        found: dict[str, list[str]] = {}
        for text in texts:
            chip, colon, what = text.rpartition(":")
            wanted = self.numbers(chip, f"{flag} {text}") if colon else range(len(self.own))
            for number in wanted:
                found.setdefault(self.own[number], []).append(what)
        return found
