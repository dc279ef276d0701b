"""What papers print of reference chips: `architectures/published/NAME.toml`, read and checked.

A file names a chip, its source, and figures, each with the quantity that cimarch is to find, the
value, the unit, where it is printed and how it was come by. Values are exact decimals in the file
and exact fractions here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs

from cimarch import share
from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion

KINDS: Mapping[str, Fraction | None] = {
    "exact": Fraction(1, 1000),
    "calibrated": Fraction(1, 10),
    "ratio": Fraction(1, 10),
    "contradicted": None,
}
"""Kinds of figures, with the relative difference that each allows where the file gives none."""
CHECKED = ("read", "recalled", "derived", "digitised")
"""How a published value was come by: read in a public source, recalled, computed from other printed
values, or read off a figure."""

_POWERS = {"P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0, "m": -3, "u": -6, "n": -9, "p": -12,
           "f": -15}  # fmt: skip
"""Prefixes and their powers of ten."""


def _units(symbol: str, prefixes: str, below: str = "", scale: int = 0) -> dict[str, Fraction]:
    """A unit under several prefixes (`-` is none), `scale` the power of ten of what it is per."""
    chosen = [prefix.strip("-") for prefix in prefixes]
    return {f"{p}{symbol}{below}": Fraction(10) ** (_POWERS[p] + scale) for p in chosen}


AREA = {"mm^2": Fraction(1, 10**6), "um^2": Fraction(1, 10**12)}
POWER = _units("W", "k-mun")
TIME = _units("s", "-munp")
ENERGY = _units("J", "-munpf")
RATE = _units("OPS", "PTGM-")
DENSITY = _units("OPS", "PTGM", "/mm^2", 6)
EFFICIENCY = _units("OPS", "PTGM", "/W")
STORAGE = {"MiB/mm^2": Fraction(2**23 * 10**6), "KiB/mm^2": Fraction(2**13 * 10**6)}
COUNT = {"": Fraction(1), "beats": Fraction(1), "steps": Fraction(1), "cycles": Fraction(1)}

UNITS: Mapping[str, Mapping[str, Fraction]] = {
    "area": AREA,
    "power": POWER,
    "leakage": POWER,
    "peak": RATE,
    "density": DENSITY,
    "efficiency": EFFICIENCY,
    "run_efficiency": EFFICIENCY,
    "peak_per_power": EFFICIENCY,
    "storage_density": STORAGE,
    "product_time": TIME,
    "product_energy": ENERGY,
    "action_energy": ENERGY,
    "cycle": TIME,
    "array_cycle": TIME,
    "input_steps": COUNT,
    "pipeline_beats": COUNT,
}
"""Every quantity that a figure may be, with its units in SI base units."""


@attrs.frozen
class Figure:
    """One published value, and what cimarch is to set beside it."""

    name: str
    """What is compared, in words."""
    quantity: str
    value: Fraction
    """In the file's unit."""
    unit: str
    kind: str
    tolerance: Fraction | None
    """The relative difference that still meets it; None where it cannot be met."""
    checked: str
    """How the value was come by, of `CHECKED`."""
    source: str
    """Where it is printed."""
    note: str = ""
    system: str = ""
    """Another system than the chip: a corner. Empty for the chip itself."""
    set: Mapping[str, str] = attrs.field(factory=dict)
    """Parameters that it holds for."""
    path: str = ""
    """One instance of this part with all inside, not the system; empty for the system."""
    action: str = ""
    """Of an `action_energy`."""
    network: str = ""
    """Of a `run_efficiency`: the name of one of cimarch's networks."""
    weight_bits: int | None = None
    input_bits: int | None = None
    input_density: Fraction | None = None
    weight_density: Fraction | None = None
    against: str = ""
    """Of a ratio: the system whose quantity the chip's is divided by."""
    against_set: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def scale(self) -> Fraction:
        """One of its unit in SI base units; 1 for a ratio."""
        return Fraction(1) if self.kind == "ratio" else UNITS[self.quantity][self.unit]


@attrs.frozen
class Reference:
    """A reference chip and everything published of it that is compared."""

    chip: str
    """What `cimarch.load` takes."""
    title: str
    source: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """What is to be known of the whole, a sentence or two each."""
    name: str = ""
    """Of the file, without its suffix."""


def references(names: Iterable[str] = ()) -> tuple[Reference, ...]:
    """Read reference chips by name or by the path of a `.toml` file; all bundled ones without any.

    Raises DescriptionError with everything that is wrong.
    """
    found: list[Reference] = []
    wrong: list[Diagnostic] = []
    for path in [_located(name) for name in names] or bundled():
        try:
            found.append(read(path))
        except DescriptionError as error:
            wrong += error.diagnostics
    if wrong:
        raise DescriptionError(*wrong)
    return tuple(found)


def bundled() -> list[Path]:
    """The files of published figures that come with cimarch."""
    return sorted((share.folder("architectures") / "published").glob("*.toml"))


def _located(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    known = {path.stem: path for path in bundled()}
    if name not in known:
        raise DescriptionError(
            Diagnostic(
                "E420",
                f"nothing published is kept of `{name}`",
                notes=(f"there are figures of {listing(known)}",),
                helps=(*suggestion(name, known), "name one of these, or a `.toml` file"),
            )
        )
    return known[name]


def read(path: Path) -> Reference:
    """Read one file; DescriptionError with all that is wrong with it."""
    return _Reader(path).reference(_parsed(path))


def _parsed(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"), parse_float=Decimal)
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        why = f"{error}"
    helps = ("name a reference chip (`isaac`), or a `.toml` file of published figures",)
    raise DescriptionError(Diagnostic("E420", f"`{path}` cannot be read: {why}", helps=helps))


_NEEDED = ("name", "quantity", "value", "unit", "kind", "checked", "source")
_OPTIONAL = (
    "tolerance", "note", "system", "set", "path", "action", "network", "weight_bits",
    "input_bits", "input_density", "weight_density", "against", "against_set",
)  # fmt: skip


class _Reader:
    """Turns a parsed file into a reference, keeping every mistake."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong: list[Diagnostic] = []

    def reference(self, parsed: Mapping[str, object]) -> Reference:
        """The whole file; raises DescriptionError."""
        self._known(parsed, ("chip", "title", "source"), ("notes", "figure"), "")
        figures = parsed.get("figure", [])
        if not isinstance(figures, list):
            self._tell("`figure` is not a list", helps=("`[[figure]]` begins each",))
            figures = []
        made = [self._figure(each, number) for number, each in enumerate(figures, start=1)]
        notes = parsed.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            self._tell("`notes` is not a list of texts")
            notes = []
        self._check_names(made)
        texts = [self._text(parsed, key, "") for key in ("chip", "title", "source")]
        if self.wrong:
            raise DescriptionError(*self.wrong)
        chip = self._beside(texts[0])
        kept = tuple(self._placed(figure) for figure in made if figure is not None)
        return Reference(chip, texts[1], texts[2], kept, tuple(notes), self.path.stem)

    def _check_names(self, figures: Iterable[Figure | None]) -> None:
        seen: set[str] = set()
        for figure in figures:
            if figure is not None and figure.name in seen:
                self._tell(f"two figures are called `{figure.name}`")
            seen |= {figure.name} if figure is not None else set()

    def _beside(self, chip: str) -> str:
        """A description's file stands beside the figures; a bundled one goes by its name."""
        beside = self.path.parent / chip.partition(":")[0]
        is_file = chip.partition(":")[0].endswith(".cimarch")
        return str(self.path.parent / chip) if is_file and beside.is_file() else chip

    def _placed(self, figure: Figure) -> Figure:
        system, against = self._beside(figure.system), self._beside(figure.against)
        return attrs.evolve(figure, system=system, against=against)

    def _figure(self, given: object, number: int) -> Figure | None:
        if not isinstance(given, dict):
            self._tell(f"figure {number} is not a table of keys and values")
            return None
        told = f" of figure {number}" + (f" (`{given['name']}`)" if "name" in given else "")
        before = len(self.wrong)
        self._known(given, _NEEDED, _OPTIONAL, told)
        text = {key: self._text(given, key, told) for key in _TEXTS if key in given}
        self._chosen(text, "kind", KINDS, told)
        self._chosen(text, "checked", CHECKED, told)
        self._chosen(text, "quantity", UNITS, told)
        is_ratio = text.get("kind") == "ratio"
        if not is_ratio and text.get("quantity") in UNITS:
            self._chosen(text, "unit", UNITS[text["quantity"]], told)
        if is_ratio != ("against" in given):
            self._tell(f"`against` and the kind `ratio` go together, not so{told}")
        for key, quantity in (("action", "action_energy"), ("network", "run_efficiency")):
            if (text.get("quantity") == quantity) != (key in given):
                self._tell(f"`{key}` and the quantity `{quantity}` go together, not so{told}")
        numbers = {key: self._number(given, key, told) for key in _NUMBERS if key in given}
        whole = {key: self._whole(given, key, told) for key in _WHOLE if key in given}
        sets = {key: self._settings(given, key, told) for key in _SETS if key in given}
        if len(self.wrong) > before:
            return None
        tolerance = numbers.pop("tolerance", KINDS[text["kind"]])
        return Figure(**text, **numbers, **whole, **sets, tolerance=tolerance)  # type: ignore[arg-type]

    def _known(
        self,
        given: Mapping[str, object],
        needed: Iterable[str],
        optional: Iterable[str],
        told: str,
    ) -> None:
        known = (*needed, *optional)
        for key in given:
            if key not in known:
                headline = f"`{key}`{told} means nothing here"
                self._tell(headline, helps=suggestion(key, known))
        for key in needed:
            if key not in given:
                self._tell(f"there is no `{key}`{told}")

    def _text(self, given: Mapping[str, object], key: str, told: str) -> str:
        value = given.get(key, "")
        if not isinstance(value, str):
            self._tell(f"`{key}`{told} is `{value}`, not a text")
            return ""
        return value

    def _number(self, given: Mapping[str, object], key: str, told: str) -> Fraction:
        value = given[key]
        is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        if not is_number or not Decimal(str(value)).is_finite():
            self._tell(f"`{key}`{told} is `{value}`, not a number")
            return Fraction(1)
        if abs(Decimal(str(value)).adjusted()) > MOST_DIGITS:
            self._tell(f"`{key}`{told} is {value}, beyond {MOST_DIGITS} powers of ten")
            return Fraction(1)
        number = Fraction(str(value))
        low, high, words = _NUMBERS[key]
        if not low(number) or (high is not None and number > high):
            self._tell(f"`{key}`{told} is {value}, not {words}")
        return number

    def _whole(self, given: Mapping[str, object], key: str, told: str) -> int:
        value = given[key]
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 64:
            self._tell(f"`{key}`{told} is `{value}`, not a whole number in 1..64")
            return 1
        return value

    def _settings(self, given: Mapping[str, object], key: str, told: str) -> dict[str, str]:
        value = given[key]
        if not isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in value.values()):
            helps = (f'`{key} = {{ "macro.adc.bits" = 5 }}`',)
            self._tell(f"`{key}`{told} is not values by path", helps=helps)
            return {}
        return {path: _as_text(each) for path, each in value.items()}

    def _chosen(self, text: Mapping[str, str], key: str, known: Iterable[str], told: str) -> None:
        if key in text and text[key] not in known:
            notes = (f"there are {listing(known)}",)
            helps = suggestion(text[key], known)
            self._tell(
                f"`{key}`{told} is `{text[key]}`, which is not known", notes=notes, helps=helps
            )

    def _tell(
        self, headline: str, *, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
    ) -> None:
        told = f"`{self.path}`: {headline}"
        self.wrong.append(Diagnostic("E421", told, notes=notes, helps=helps))


MOST_DIGITS = 60
"""Powers of ten from 1 that a value may be away: more than any unit needs."""
_TEXTS = (
    "name", "quantity", "unit", "kind", "checked", "source", "note", "system", "path", "action",
    "network", "against",
)  # fmt: skip
_WHOLE = ("weight_bits", "input_bits")
_SETS = ("set", "against_set")
_Bound = tuple[Callable[[Fraction], bool], int | None, str]
_NUMBERS: Mapping[str, _Bound] = {
    "value": (lambda number: number > 0, None, "above 0"),
    "tolerance": (lambda number: number >= 0, 1, "in 0..1"),
    "input_density": (lambda number: number >= 0, 1, "in 0..1"),
    "weight_density": (lambda number: number >= 0, 1, "in 0..1"),
}
"""Keys that are numbers: what holds of them, the greatest, and both in words."""


def _as_text(value: object) -> str:
    """A setting as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
