"""The elaborated hardware: a tree of parts, the links between them, and nothing that simulates.

A `System` is what a description means once every parameter has its value. All of it is plain,
frozen data; exact numbers are `Fraction`s in SI base units (seconds, joules, bits, ...).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from cimarch.diagnostics import Diagnostic, Span
from cimarch.hardware.costs import Estimate
from cimarch.units import Quantity

if TYPE_CHECKING:
    import networkx

    from cimarch.hardware.origin import Explainer, Origin

Value = Quantity | bool | str | tuple["Value", ...]
"""A parameter's value: a number with its dimension, a truth value, a word, or a list of these."""

RUNNING_NAMES = (
    "active_rows",
    "active_columns",
    "input_bits",
    "weight_bits",
    "input_density",
    "weight_density",
    "steps",
)
"""Names that an action's costs may use and that only a run can give (all are plain numbers)."""

SERVED_NAMES = ("weight_bits", "input_bits", "rows", "columns", "kind")
"""Names that `serves` of a pool may use and that only an operation can give: its bits, the rows and
columns of its weight matrix, and its kind as a word."""
SERVED_KINDS = ("conv2d", "linear", "matmul")
"""The words that `kind` may be there."""


@attrs.frozen
class Cost:
    """What one use of an action takes: a constant, or a formula over the running names."""

    constant: Quantity | None
    """The value, where it does not depend on the run."""
    formula: Callable[[Mapping[str, Fraction]], Quantity] | None = None
    """Gives the value from the running names, where it does."""
    needs: frozenset[str] = frozenset()
    """The running names that the formula reads."""
    span: Span | None = None

    def at(self, running: Mapping[str, Fraction] | None = None) -> Fraction:
        """The value in SI units, under the given running names."""
        if self.formula is not None:
            return self.formula(running or {}).value
        assert self.constant is not None
        return self.constant.value


@attrs.frozen
class Action:
    """What a part can do once, and what it costs; a cost that nobody stated is None."""

    name: str
    latency: Cost | None = None
    """Seconds."""
    energy: Cost | None = None
    """Joules."""
    origin: str = "stated"
    """Of the energy: `stated` in the description, or `model ...` with the cost model's name."""
    span: Span | None = None


@attrs.frozen
class Part:
    """One named part of a system: all the instances that share this name and place."""

    path: str
    """Dotted, from the system down: `tile.ima.adc`; the system itself is the empty string."""
    name: str
    kind: str
    """The component of `std.cimarch` that it is at the bottom: `crossbar`, ..., or `block`."""
    type_name: str
    """The component it is declared with."""
    shape: tuple[int, ...]
    """Its own array shape inside its parent; empty for a single part."""
    count: int
    """How many instances the whole system has (its ancestors' shapes included)."""
    clock: Fraction
    """Hz: its own, or that of the nearest enclosing part that sets one."""
    beat: Fraction | None
    """Seconds: of the nearest enclosing part that sets one, else None."""
    params: Mapping[str, Value]
    actions: Mapping[str, Action]
    area: Fraction
    """m^2, one instance without the parts inside."""
    power: Fraction
    """W while busy, one instance without the parts inside."""
    leakage: Fraction
    """W always, one instance without the parts inside."""
    parts: tuple[Part, ...]
    span: Span | None = None
    """Where the part is declared."""
    stated: frozenset[str] = frozenset()
    """The parameters that the description (or `--set`) gave, as against the library's defaults."""
    serves: Callable[[Mapping[str, Value]], bool] | None = None
    """Of a pool: whether it takes an operation, from the `SERVED_NAMES`; None: it takes all."""
    estimates: Mapping[str, Estimate] = attrs.field(factory=dict)
    """What cost models gave: `area`, `leakage`, `router_area`, or an action's energy such as
    `convert.energy` (of an ordinary run, where it depends on the run)."""
    sized_by: tuple[str, ...] = ()
    """For each size of its shape, the path of the parameter that gives it; "" where none does."""

    def number(self, name: str) -> Fraction:
        """The value of a numeric parameter, in SI units."""
        value = self.params[name]
        if not isinstance(value, Quantity):
            raise TypeError(f"`{name}` of `{self.path}` is not a number")
        return value.value

    def integer(self, name: str) -> int:
        """The value of a parameter that is a whole number."""
        value = self.number(name)
        if value.denominator != 1:
            raise ValueError(f"`{name}` of `{self.path}` is {value}, not a whole number")
        return int(value)

    def word(self, name: str) -> str:
        """The value of a parameter that is a choice or a string."""
        value = self.params[name]
        if not isinstance(value, str):
            raise TypeError(f"`{name}` of `{self.path}` is not a word")
        return value

    def flag(self, name: str) -> bool:
        """The value of a parameter that is true or false."""
        value = self.params[name]
        if not isinstance(value, bool):
            raise TypeError(f"`{name}` of `{self.path}` is not true or false")
        return value

    def walk(self) -> Iterator[Part]:
        """This part and all parts inside, in order of declaration."""
        yield self
        for part in self.parts:
            yield from part.walk()


@attrs.frozen
class Port:
    """One end of a link: some members of a part, at one of its ports."""

    path: str
    """The full path of the part."""
    name: str
    """`in`, `out`, `write` or `any`."""
    selection: tuple[tuple[int, int], ...]
    """Half-open index range per array dimension between the link's scope and the part."""


@attrs.frozen
class Link:
    """A `connect` between two parts, written once per instance of the component `scope`."""

    scope: str
    """The path of the part whose component holds the `connect`."""
    source: Port
    target: Port
    width: Fraction | None = None
    """Bits moved at once; None where the wires are as wide as what they join."""
    both: bool = False
    share: bool = False
    """A switched pool: any member of the target serves any member of the source."""
    span: Span | None = None


@attrs.frozen
class Override:
    """A value given from outside the files: `--set path=text`, or `load(..., set={...})`."""

    path: str
    text: str


@attrs.frozen(slots=False)
class System:
    """A complete, checked description."""

    name: str
    clock: Fraction
    """Hz: the cycles that reports count."""
    root: Part
    links: tuple[Link, ...]
    assumed: tuple[str, ...]
    """What the description leaves open and elaboration filled in, a sentence each."""
    overrides: tuple[Override, ...]
    sources: tuple[tuple[str, str], ...]
    """The files read: (path, SHA-256 of the text)."""
    warnings: tuple[Diagnostic, ...] = ()
    """What is no mistake and yet not to be relied on, with codes `W...`."""
    explaining: Callable[[], Explainer] | None = attrs.field(default=None, eq=False, repr=False)
    """Makes what knows where the numbers come from; None of a system that no description made."""

    @cached_property
    def explainer(self) -> Explainer:
        """What knows where the numbers come from; ValueError where no description says."""
        if self.explaining is None:
            raise ValueError(f"the system `{self.name}` was not read from a description")
        return self.explaining()

    def origin(self, path: str, name: str) -> Origin:
        """Where a number of a part comes from: `origin("tile.ima.adc", "convert.energy")`.

        `name` is a parameter, a cost of an action, or `count`. Raises DescriptionError where there
        is no such part or number.
        """
        return self.explainer.origin(path, name)

    def walk(self) -> Iterator[Part]:
        """All parts in order of declaration, the system itself first."""
        return iter(self._walked)

    @cached_property
    def _walked(self) -> tuple[Part, ...]:
        return tuple(self.root.walk())

    @cached_property
    def _by_path(self) -> dict[str, Part]:
        return {part.path: part for part in self.walk()}

    def part(self, path: str) -> Part:
        """The part at a path; KeyError where there is none."""
        return self._by_path[path]

    def parent(self, path: str) -> Part:
        """The part that holds the part at `path`."""
        return self._by_path[path.rpartition(".")[0]]

    def of_kind(self, *kinds: str) -> list[Part]:
        """All parts of these kinds, in order of declaration."""
        return [part for part in self.walk() if part.kind in kinds]

    def total(self, quantity: str) -> Fraction:
        """Sum `area` (m^2), `power` (W, peak) or `leakage` (W) over every instance."""
        return sum((getattr(p, quantity) * p.count for p in self.walk()), Fraction(0))

    def graph(self) -> networkx.MultiDiGraph:
        """The hardware as a networkx graph: a node per part with its multiplicity."""
        from cimarch.hardware.graph import graph

        return graph(self)
