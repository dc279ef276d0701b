"""How full inputs and weights are: the densities that costs may read, operation by operation.

`input_density` is the mean level that enters the word lines over the highest one, over all used
rows and input steps; `weight_density` the mean level of the cells over the highest one, over all
cells that hold weights, as the pool encodes them. Signs do not count. An evaluation measures them
(`cimarch eval --save-densities`); where nobody did, they are the chip's `input_density` and
`weight_density`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.hardware.system import System

SCHEMA = "cimarch.densities/1"
"""Of the file that an evaluation writes."""
FIELDS = ("input_density", "weight_density")
HALF = Fraction(1, 2)
_LARGEST = 1 << 24
_FORM = '`{"conv1": {"input_density": 0.2, "weight_density": 0.5}, ...}`, or a pair of numbers each'


@attrs.frozen(cache_hash=True)
class Density:
    """Those of one operation, from 0 to 1."""

    input: Fraction = HALF
    weight: Fraction = HALF

    @property
    def running(self) -> dict[str, Fraction]:
        """As costs read them."""
        return {"input_density": self.input, "weight_density": self.weight}


HALVES = Density()
"""What the library takes where a chip states none."""


@attrs.frozen
class Densities:
    """Those of a run: the chip's, and where they were given those of single operations."""

    chip: Density = HALVES
    given: Mapping[str, Density] = attrs.field(factory=dict)
    """By the operation's name."""

    def of(self, operation: str) -> Density:
        """Those of an operation."""
        return self.given.get(operation, self.chip)


def chip_density(system: System) -> Density:
    """What the description states for all operations, or the library's default."""
    found = Density(*(system.root.number(name) for name in FIELDS))
    return HALVES if found == HALVES else found  # one object, which is quick to compare


def densities(system: System, names: Sequence[str], given: object = None) -> Densities:
    """The densities of the matrix operations of these names.

    `given` is None, a path of a JSON file, or what such a file holds: an object from names (or
    patterns such as `layer1.*`) to `{"input_density": a, "weight_density": w}`, of which one may
    be left out, or to a pair of the two; or such an object under `operations`, as an evaluation
    writes it. Raises DescriptionError for anything else.
    """
    chip = chip_density(system)
    if given is None:
        return Densities(chip)
    where = "the densities"
    if isinstance(given, (str, Path)):
        where, given = f"the file of densities `{given}`", _read(Path(given))
    if isinstance(given, Mapping) and given.get("schema") == SCHEMA:
        given = given.get("operations")
    if not isinstance(given, Mapping):
        raise _wrong(f"{where}: no object of densities by operation", helps=(_form(),))
    found: dict[str, Density] = {}
    for pattern, entry in given.items():
        density = _density(entry, chip, f"{where}, `{pattern}`")
        found |= dict.fromkeys(_matching(str(pattern), names, where), density)
    return Densities(chip, found)


def to_text(network: str, found: Mapping[str, Density]) -> str:
    """The file of measured densities."""
    operations = {name: _floats(density) for name, density in found.items()}
    content = {"schema": SCHEMA, "network": network, "operations": operations}
    return json.dumps(content, indent=1) + "\n"


def plain(given: object, found: Densities) -> object:
    """What was given, as a JSON value: the name of a file, or densities by operation."""
    if given is None or isinstance(given, (str, Path)):
        return None if given is None else str(given)
    return {name: _floats(density) for name, density in found.given.items()}


def _floats(density: Density) -> dict[str, float]:
    return {field: float(value) for field, value in density.running.items()}


def _matching(pattern: str, names: Sequence[str], where: str) -> list[str]:
    hits = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
    if not hits:
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        raise _wrong(
            f"{where}: `{pattern}` is no matrix operation of the network",
            notes=(f"they are {listing(names[:6])}{more}",),
            helps=suggestion(pattern, names),
        )
    return hits


def _density(entry: Any, chip: Density, where: str) -> Density:
    if isinstance(entry, Density):
        return entry
    if isinstance(entry, Mapping):
        unknown = sorted(str(name) for name in entry if name not in FIELDS)
        if unknown:
            raise _wrong(f"{where} has an unknown field `{unknown[0]}`", helps=(_form(),))
        default = chip.running
        return Density(*(_share(entry.get(f, default[f]), f"{where}: {f}") for f in FIELDS))
    if isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)) and len(entry) == 2:
        pairs = zip(entry, FIELDS, strict=True)
        return Density(*(_share(value, f"{where}: {field}") for value, field in pairs))
    raise _wrong(f"{where} is no pair of densities", helps=(_form(),))


def _share(value: object, what: str) -> Fraction:
    """A number from 0 to 1, exactly as it is written."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        raise _wrong(f"{what} is {value!r}, not a number")
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise _wrong(f"{what} is {value}, outside 0..1")
    return Fraction(str(value))


def _read(path: Path) -> object:
    where = f"the file of densities `{path}`"
    try:
        if path.exists() and not path.is_file():
            raise _wrong(f"{where} is not a regular file")
        if path.stat().st_size > _LARGEST:
            raise _wrong(f"{where} is larger than {_LARGEST} bytes")
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _wrong(f"{where} cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number without end
        raise _wrong(f"{where} is not JSON: {error}", helps=(_form(),)) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file, in which no name may stand twice."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _wrong(f"the file of densities names `{name}` twice")
        found[name] = value
    return found


def _form() -> str:
    return f"write {_FORM}"


def _wrong(
    headline: str, *, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
) -> DescriptionError:
    return DescriptionError(Diagnostic("E430", headline, notes=notes, helps=helps))
