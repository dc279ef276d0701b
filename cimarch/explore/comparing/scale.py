"""Chips of one area: how many arrays another chip has room for in the area of the first.

What is scaled is a parameter that gives the size of an array of parts that hold crossbars, the
outermost that has one: `param tiles = 168`, `part tile[tiles]: Tile`. Areas are those of the whole
description, read anew with each number tried, so that whatever else follows from the parameter (the
nodes of a mesh, say) follows here too. They are supposed to grow with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import floor

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.rollup import total
from cimarch.hardware.system import Part, System
from cimarch.language import load
from cimarch.report.format import area as in_area

LARGEST = 2**20
"""Members that an array has at most (`cimarch.language.elaborate`)."""
NEAR = 8
"""Numbers that are tried in a row where a description refuses some, as those that 4 does not
divide."""
GUESSES = 8

_Found = tuple[int, System]
Try = Callable[[int], System | Diagnostic]
"""The system with a number of arrays, or why its description refuses that number."""


@attrs.frozen
class Scaled:
    """What was taken so that a chip has about the area of another."""

    parameter: str
    """Its path, as in `--set`."""
    array: str
    """The array of parts that it sizes: `tile[tiles]`."""
    before: int
    after: int
    area: float
    """m^2 of the scaled chip."""
    target: float
    """m^2 of the first chip: not exceeded."""
    refused: str = ""
    """Why it is not one more, where the description does not allow that."""

    @property
    def share(self) -> float:
        """area / target: how near it comes."""
        return self.area / self.target

    def to_dict(self) -> dict[str, object]:
        """The same as plain JSON values."""
        return {
            "parameter": self.parameter, "array": self.array,
            "before": self.before, "after": self.after,
            "area_mm2": self.area * 1e6, "target_mm2": self.target * 1e6, "share": self.share,
            "refused": self.refused or None,
        }  # fmt: skip


def scaled(
    system: System, area: Fraction, reference: str, *, by: str | None = None
) -> tuple[System, Scaled]:
    """The system with as many arrays as have room in `area` (m^2), that of the chip `reference`.

    `by` is the parameter that is scaled, where there are several. Raises DescriptionError where
    nothing scales the chip, where its area is not known, or where even the smallest is larger.
    """
    if not system.total("area"):
        raise DescriptionError(no_area(system.name))
    part, index = _array(system, by)
    parameter, before = part.sized_by[index], part.shape[index]
    trying = _anew(system, parameter)
    found = _search(total(part, "area") / before, before, system, area, trying)
    if isinstance(found, int):
        fewer = _refusal(trying, parameter, found - 1) if found > 1 else ""
        raise DescriptionError(_too_large(system, parameter, found, area, reference, fewer))
    after, best = found
    refused = _refusal(trying, parameter, after + 1) if after < LARGEST else ""
    return best, Scaled(
        parameter, _named(part), before, after, float(best.total("area")), float(area), refused
    )


def _refusal(trying: Try, parameter: str, number: int) -> str:
    """Why a description refuses a number of arrays; empty where it takes it."""
    found = trying(number)
    if not isinstance(found, Diagnostic):
        return ""
    why = found.headline.removeprefix(f"--set {parameter}={number}: ")
    return f"{parameter} = {number:,}: {why}"


def no_area(name: str) -> Diagnostic:
    """The diagnostic for a chip without an area."""
    return Diagnostic(
        "E443",
        f"the area of `{name}` is not known: no part states one",
        notes=("--iso-area makes the areas of chips equal",),
        helps=("state `area = ...` for its parts, or `node = ...` where a model prices them",),
    )


# what scales a chip


def _array(system: System, by: str | None) -> tuple[Part, int]:
    """The array whose size is a parameter, and which of its sizes; the outermost without `by`."""
    if by is not None:
        return _sized(system, by)
    chosen = {}
    for crossbar in system.of_kind(*CROSSBARS):
        found = _outermost(system, crossbar)
        if found is not None:
            part, index = found
            chosen[part.sized_by[index]] = found
    if not chosen:
        raise DescriptionError(_no_parameter(system))
    if len(chosen) > 1:
        raise DescriptionError(_several(system, list(chosen)))
    return next(iter(chosen.values()))


def _sized(system: System, parameter: str) -> tuple[Part, int]:
    """The array that a parameter sizes."""
    known = []
    for part in system.walk():
        known += [each for each in part.sized_by if each]
        if parameter in part.sized_by:
            return part, part.sized_by.index(parameter)
    headline = f"`{parameter}` of `{system.name}` is not the size of an array of parts"
    helps = suggestion(parameter, known)
    notes = (f"what sizes one is {listing(dict.fromkeys(known))}",) if known else ()
    raise DescriptionError(Diagnostic("E441", headline, notes=notes, helps=helps))


def _outermost(system: System, crossbar: Part) -> tuple[Part, int] | None:
    for part in _down_to(system, crossbar):
        for index, parameter in enumerate(part.sized_by):
            if parameter:
                return part, index
    return None


def _down_to(system: System, part: Part) -> list[Part]:
    names = part.path.split(".")
    return [system.part(".".join(names[:depth])) for depth in range(1, len(names) + 1)]


def _named(part: Part) -> str:
    sizes = (p or str(n) for p, n in zip(part.sized_by, part.shape, strict=True))
    return f"{part.path}[{', '.join(sizes)}]"


# how many there is room for


def _anew(system: System, parameter: str) -> Try:
    """What reads the description of a system again, with other numbers of arrays."""
    given: dict[str, object] = {each.path: each.text for each in system.overrides}
    file = system.root.span.file if system.root.span else ""
    if isinstance(_read(file, system.name, given), Diagnostic):
        raise DescriptionError(_only_text(system.name))
    return lambda number: _read(file, system.name, {**given, parameter: number})


def _read(file: str, name: str, given: Mapping[str, object]) -> System | Diagnostic:
    try:
        return load(f"{file}:{name}", given)
    except DescriptionError as error:
        return error.diagnostics[0]


def _search(
    each: Fraction, before: int, system: System, area: Fraction, trying: Try
) -> _Found | int:
    """The largest number that has room; the smallest that there is, where that has none.

    `each` is what a member adds to the area, about.
    A number near which all are refused counts as too large where it is above all that the
    description took, else as too small. The next number to try is where a straight line would meet
    the area; what is not found so soon is found by halving.
    """
    best = (before, system) if system.total("area") <= area else None
    low, high = (before, LARGEST + 1) if best else (0, before)
    number, found, top = before, system, before
    guesses = GUESSES
    while high - low > 1:
        straight = number + floor((area - found.total("area")) / each) if each else 0
        guess = straight if guesses > 0 else (low + high) // 2
        guess, guesses = min(max(guess, low + 1), high - 1), guesses - 1
        tried = _near(trying, guess, low)
        if tried is None:
            beyond = guess > top and guess - low > NEAR
            low, high = (low, guess) if beyond else (guess, high)
            guesses = 0
            continue
        number, found = tried
        top = max(top, number)
        if found.total("area") <= area:
            best, low = tried, number
        else:
            high = number
    return best or high


def _near(trying: Try, guess: int, low: int) -> _Found | None:
    """The nearest number from `guess` down, above `low`, that the description takes."""
    for number in range(guess, max(low, guess - NEAR), -1):
        found = trying(number)
        if not isinstance(found, Diagnostic):
            return number, found
    return None


# what is told where that cannot be


def _no_parameter(system: System) -> Diagnostic:
    arrays = [_outermost_array(system, each) for each in system.of_kind(*CROSSBARS)]
    part = arrays[0]
    size = ", ".join(map(str, part.shape))
    written = f"{part.name}[{size}]" if part.shape else part.name
    return Diagnostic(
        "E441",
        f"`{system.name}` has no parameter that says how many arrays it has",
        part.span,
        f"{part.count:,} of them" if part.shape else "a single one",
        notes=(f"--iso-area scales what gives the size of `{written}`",),
        helps=(
            f"declare `param {part.name}s = {part.shape[0] if part.shape else 1}` in the system"
            f" and write `part {part.name}[{part.name}s]`",
        ),
    )


def _outermost_array(system: System, crossbar: Part) -> Part:
    way = _down_to(system, crossbar)
    return next((part for part in way if part.shape), way[0])


def _several(system: System, parameters: list[str]) -> Diagnostic:
    return Diagnostic(
        "E442",
        f"`{system.name}` has {len(parameters)} parameters that say how many arrays it has:"
        f" {listing(parameters)}",
        notes=("--iso-area scales a chip by one",),
        helps=(f"choose one: `--scale {system.name}:{parameters[0]}`",),
    )


def _too_large(
    system: System, parameter: str, number: int, area: Fraction, reference: str, fewer: str
) -> Diagnostic:
    notes = [f"the area of `{reference}` is {in_area(float(area))}"]
    notes += [f"one less is refused: {fewer}"] if fewer else []
    return Diagnostic(
        "E444",
        f"`{system.name}` is larger than `{reference}` even with `{parameter}` = {number:,}",
        notes=tuple(notes),
        helps=("name the larger chip first: the others are scaled to its area",),
    )


def _only_text(name: str) -> Diagnostic:
    return Diagnostic(
        "E441",
        f"the description of `{name}` cannot be read again to scale it",
        notes=("--iso-area reads it with several numbers of arrays",),
        helps=("hand in the name of its file",),
    )
