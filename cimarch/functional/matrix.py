"""A matrix operation on its arrays: its sense lines, its ranges, and the path that computes it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cimarch.functional.converter import Ranges, stated_ranges, unit_ranges
from cimarch.functional.lines import Lines, lines_of
from cimarch.functional.path import Path
from cimarch.functional.quantised import Quantised
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import Scheme, scheme_of
from cimarch.functional.windows import Windows
from cimarch.mapping.placement import Placement, Plan

PATHS = ("lossless", "bit planes", "products", "reference")
"""The ways to compute a product, the fastest first; what noise touches is `products`."""


@attrs.frozen(eq=False)
class Matrix:
    """One matrix operation of a placed, quantised network."""

    name: str
    quantised: Quantised
    windows: Windows
    lines: tuple[Lines, ...]
    """One per channel group."""
    ranges: Ranges | None
    """None where its pool has no converter."""
    path: Path

    @property
    def scheme(self) -> Scheme:
        """How its arrays multiply."""
        return self.lines[0].scheme

    @property
    def conversions(self) -> int:
        """Conversions of one window, over all channel groups."""
        each = 1 if self.scheme.input_accumulation == "analog" else self.scheme.steps
        return sum(
            len(lines.sections)
            * each
            * (len(lines.digits) * lines.outputs + (lines.blocks if lines.reference else 0))
            for lines in self.lines
        )


def matrix_of(
    placement: Placement,
    name: str,
    quantised: Quantised,
    ranges: Ranges | None = None,
    *,
    seed: int = 0,
    trial: int = 0,
    path: str | None = None,
    device: str = "cpu",
) -> Matrix:
    """A matrix operation of a placement, with the path that suits it.

    `ranges` are those of its converters where the description states none; None takes one unit a
    step. What the description says of cells and converters that are not ideal is drawn from `seed`,
    the operation's name and `trial`. `path` asks for one of `PATHS`. Raises ValueError where the
    path asked for does not suit the operation.
    """
    plan = plan_of(placement, name)
    lines = placed_lines(placement, plan, quantised)
    chosen = ranges_of(lines, ranges)
    windows = Windows.of(plan.site.anchor, quantised.input_zero)
    way = path_of(lines, chosen, windows, path=path)
    return Matrix(name, quantised, windows, lines, chosen, way)


def plan_of(placement: Placement, name: str) -> Plan:
    """The plan of a matrix operation; KeyError where it is none, or lies on no arrays."""
    for plan in placement.plans:
        if plan.site.anchor.name == name and plan.site.is_matrix:
            return plan
    raise KeyError(name)


def placed_lines(placement: Placement, plan: Plan, quantised: Quantised) -> tuple[Lines, ...]:
    """The sense lines of each channel group of an operation, as its tiles are placed."""
    from cimarch.functional.tiles import sections_of_placement

    name = plan.site.anchor.name
    scheme = scheme_of(plan.wiring, placement.bits[name])
    layouts = sections_of_placement(placement, name)
    return tuple(
        lines_of(weights, scheme, layout.sections, layout.blocks)
        for weights, layout in zip(quantised.weights, layouts, strict=True)
    )


def ranges_of(lines: Sequence[Lines], given: Ranges | None = None) -> Ranges | None:
    """The ranges of an operation's converters: what is stated, else what is given, else one unit a
    step; None where there is no converter."""
    converter = lines[0].scheme.converter
    if converter is None:
        return None
    signed = lines[0].signed
    return stated_ranges(converter, signed) or given or unit_ranges(converter, signed)


def path_of(
    lines: Sequence[Lines], ranges: Ranges | None, windows: Windows, *, path: str | None = None
) -> Path:
    """The fastest path that takes an operation, or the one asked for."""
    return Reference(lines, ranges, windows)
