"""Published figures beside what cimarch makes of the same chips: difference, kind and verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.explore.validating.pipeline import Stage, isaac_pipeline
from cimarch.explore.validating.published import Figure, Reference, references
from cimarch.explore.validating.quantities import EXPLAINED, QUANTITIES, Found, Target
from cimarch.explore.validating.throughput import Throughput, bundled_chips, throughputs
from cimarch.hardware.system import System
from cimarch.language import load
from cimarch.mapping.precision import Bits

if TYPE_CHECKING:
    import pandas

Progress = Callable[[str, float], None]
"""Called with what is being done and the share (0 to 1) of it that is done."""

SCHEMA = "cimarch.validate/1"


@attrs.frozen
class Check:
    """One published figure beside cimarch's, by one method."""

    chip: str
    system: str
    """The system that it is of, where it is another than the chip's."""
    figure: str
    quantity: str
    method: str
    """How cimarch comes by it: `sum of parts`, `closed form`, `events` or `description`."""
    published: float
    found: float | None
    """cimarch's, in the same unit; None where it is not known."""
    unit: str
    difference: float | None
    """Relative: found / published - 1."""
    kind: str
    tolerance: float | None
    checked: str
    verdict: str
    """`met`, `not met`, `contradicted` or `not known`."""
    source: str
    note: str
    explained: tuple[str, ...] = ()
    """Addresses of the system under which `cimarch explain` tells what `found` is made of."""

    @property
    def failed(self) -> bool:
        """Whether the figure should be met and is not."""
        return self.verdict in ("not met", "not known")


@attrs.frozen
class Validation:
    """Every figure of some reference chips."""

    references: tuple[Reference, ...]
    checks: tuple[Check, ...]
    throughputs: tuple[Throughput, ...] = ()
    """Peak throughput of every described chip, twice, where all reference chips were asked for."""
    pipeline: tuple[tuple[Stage, ...], tuple[Stage, ...]] | None = None
    """ISAAC's stages with its beat and without, where ISAAC is among the chips."""

    @property
    def failed(self) -> tuple[Check, ...]:
        """What should be met and is not."""
        return tuple(check for check in self.checks if check.failed)

    def of(self, reference: Reference) -> tuple[Check, ...]:
        """The checks of one chip."""
        return tuple(check for check in self.checks if check.chip == reference.name)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain JSON values."""
        return {
            "schema": SCHEMA,
            "chips": [
                {
                    "chip": each.name,
                    "title": each.title,
                    "source": each.source,
                    "notes": list(each.notes),
                    "figures": [_plain(check) for check in self.of(each)],
                }
                for each in self.references
            ],
            "throughputs": [attrs.asdict(each) for each in self.throughputs],
            "failed": len(self.failed),
        }

    def to_pandas(self) -> pandas.DataFrame:
        """The checks as a DataFrame, a row each. Raises ImportError where pandas is not there."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install 'cimarch[data]'") from error
        return pandas.DataFrame([_plain(check) for check in self.checks])


def _plain(check: Check) -> dict[str, object]:
    return attrs.asdict(check) | {"explained": list(check.explained)}


def validate(*chips: str, progress: Progress | None = None) -> Validation:
    """Compare what is published of reference chips with what cimarch makes of them.

    `chips` are names of bundled references (`isaac`) or paths of `.toml` files; all bundled ones
    without any. `progress` is told which chip is at work and what share of all is done. Raises
    DescriptionError where a file or a description is wrong, or where a figure asks for what its
    system does not have.
    """
    found = references(chips)
    bench = _Bench()
    checks: list[Check] = []
    for number, each in enumerate(found):
        for place, figure in enumerate(each.figures):
            if progress is not None:
                progress(each.title, (number + place / len(each.figures)) / len(found))
            checks += bench.checks(each, figure)
    shown = any(each.name == "isaac" for each in found)
    return Validation(
        found,
        tuple(checks),
        () if chips else tuple(each for name in bundled_chips() for each in throughputs(name)),
        isaac_pipeline() if shown else None,
    )


class _Bench:
    """Finds quantities; systems and their products are kept from figure to figure."""

    def __init__(self) -> None:
        self._systems: dict[tuple[str, tuple[tuple[str, str], ...]], System] = {}
        self._targets: dict[tuple[int, Bits, str, str, str], Target] = {}

    def checks(self, reference: Reference, figure: Figure) -> Iterator[Check]:
        """A check for each method of a figure; errors tell which figure asked."""
        try:
            target = self._target(figure.system or reference.chip, figure, figure.set)
            found = self._found(target, figure)
            explained = EXPLAINED[figure.quantity](target)
        except DescriptionError as error:
            raise _of_figure(error, reference, figure) from None
        for method, value in found.items():
            yield attrs.evolve(_check(reference, figure, method, value), explained=explained)

    def _found(self, target: Target, figure: Figure) -> Found:
        measure = QUANTITIES[figure.quantity]
        mine = measure(target)
        if figure.kind != "ratio":
            return mine
        other = measure(self._target(figure.against, figure, figure.against_set))
        return {
            method: value / by if value is not None and by else None
            for method, value in mine.items()
            for by in (other.get(method),)
        }

    def _target(self, name: str, figure: Figure, given: Mapping[str, str]) -> Target:
        system = self._system(name, dict(given) | _densities(figure))
        root = system.root
        weight = figure.weight_bits or root.integer("weight_bits")
        bits = Bits(weight, figure.input_bits or root.integer("input_bits"))
        asked = (figure.path, figure.action, figure.network)
        key = (id(system), bits, *asked)
        if key not in self._targets:
            self._targets[key] = Target(system, bits, *asked)
        return self._targets[key]

    def _system(self, name: str, given: Mapping[str, str]) -> System:
        key = (name, tuple(sorted(given.items())))
        if key not in self._systems:
            self._systems[key] = load(name, set=given)
        return self._systems[key]


def _densities(figure: Figure) -> dict[str, str]:
    """The settings that give a system the densities of a figure."""
    named = {"input_density": figure.input_density, "weight_density": figure.weight_density}
    return {name: str(float(value)) for name, value in named.items() if value is not None}


def _check(reference: Reference, figure: Figure, method: str, value: Fraction | None) -> Check:
    found = None if value is None else value / figure.scale
    difference = None if found is None else found / figure.value - 1
    return Check(
        chip=reference.name,
        system=figure.system,
        figure=figure.name,
        quantity=figure.quantity,
        method=method,
        published=float(figure.value),
        found=None if found is None else float(found),
        unit="x" if figure.kind == "ratio" else figure.unit,
        difference=None if difference is None else float(difference),
        kind=figure.kind,
        tolerance=None if figure.tolerance is None else float(figure.tolerance),
        checked=figure.checked,
        verdict=_verdict(figure, difference),
        source=figure.source,
        note=figure.note,
    )


def _verdict(figure: Figure, difference: Fraction | None) -> str:
    if figure.kind == "contradicted" or figure.tolerance is None:
        return "contradicted"
    if difference is None:
        return "not known"
    return "met" if abs(difference) <= figure.tolerance else "not met"


def _of_figure(error: DescriptionError, reference: Reference, figure: Figure) -> DescriptionError:
    """The same diagnostics, saying which figure met them."""
    note = f"`{figure.name}` of `{reference.name}` was asked for"
    return DescriptionError(*(attrs.evolve(d, notes=(*d.notes, note)) for d in error.diagnostics))
