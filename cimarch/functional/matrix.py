"""A matrix operation on its arrays: its sense lines, its ranges, and the path that computes it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cimarch.functional.cells.device import Device, device_of
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.converter import Ranges, stated_ranges, unit_ranges
from cimarch.functional.lines import Lines, lines_of
from cimarch.functional.path import Path
from cimarch.functional.paths.lossless import Lossless
from cimarch.functional.paths.planes import Planes
from cimarch.functional.paths.products import Products
from cimarch.functional.paths.split import Split, parts_of
from cimarch.functional.quantised import Quantised
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import Scheme, scheme_of
from cimarch.functional.tiles import sections_of_placement
from cimarch.functional.windows import Windows
from cimarch.mapping.placement import Placement, Plan

MOST_PLANES = 5
"""Bits of an input in one conversion up to which bit planes are faster than matrix products."""

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
    on: str = "cpu",
) -> Matrix:
    """A matrix operation of a placement, with the path that suits it.

    `ranges` are those of its converters where the description states none; None takes one unit a
    step. What the description says of cells and converters that are not ideal is drawn from `seed`,
    the operation's name and `trial`. `path` asks for one of `PATHS`, `on` is where to multiply
    (`cpu`, or a torch device such as `cuda`). Raises ValueError where the path asked for does not
    suit the operation, DescriptionError where what is said of cells and converters does not go
    together.
    """
    plan = plan_of(placement, name)
    lines = placed_lines(placement, plan, quantised)
    chosen = ranges_of(lines, ranges)
    windows = Windows.of(plan.site.anchor, quantised.input_zero)
    wiring = plan.wiring
    device = device_of(wiring.pool, wiring.converter)
    way = path_of(
        lines, chosen, windows, device=device, draw=Draw(seed, trial, name), path=path, on=on
    )
    return Matrix(name, quantised, windows, lines, chosen, way)


def plan_of(placement: Placement, name: str) -> Plan:
    """The plan of a matrix operation; KeyError where it is none, or lies on no arrays."""
    for plan in placement.plans:
        if plan.site.anchor.name == name and plan.site.is_matrix:
            return plan
    raise KeyError(name)


def placed_lines(placement: Placement, plan: Plan, quantised: Quantised) -> tuple[Lines, ...]:
    """The sense lines of each channel group of an operation, as its tiles are placed."""
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
    lines: Sequence[Lines],
    ranges: Ranges | None,
    windows: Windows,
    *,
    device: Device | None = None,
    draw: Draw | None = None,
    path: str | None = None,
    on: str = "cpu",
) -> Path:
    """The fastest path that takes an operation, or the one asked for.

    `device` is what cells and converters do that is not ideal, `draw` says which of all that they
    could be. Raises ValueError where the path asked for does not take the operation.
    """
    if path is not None and path not in PATHS:
        raise ValueError(f"no path is called `{path}`; they are {', '.join(PATHS)}")
    if device is not None:
        if path not in (None, "products"):
            raise ValueError(f"`{path}` takes no device that is not ideal")
        return Products(lines, ranges, windows, device=device, draw=draw, on=on)
    if path in (None, "lossless") and Lossless.takes(lines, ranges):
        return Lossless(lines, windows, device=on)
    if path == "lossless":
        raise ValueError("a conversion may clip or round, or an adder overflow")
    if path == "reference":
        return Reference(lines, ranges, windows)
    if path is None and (parts := parts_of(lines, ranges)):
        rest = path_of([parts.lines], parts.ranges, windows, on=on)
        return Split(lines[0], parts, rest, windows, device=on)
    by_planes = path == "bit planes" or (path is None and not _enters_at_once(lines[0].scheme))
    if by_planes and on == "cpu" and Planes.takes(lines, ranges):
        return Planes(lines, ranges, windows)
    if path == "bit planes":
        raise ValueError("more bits than bit planes take, or a device other than the processor")
    return Products(lines, ranges, windows, on=on)


def _enters_at_once(scheme: Scheme) -> bool:
    """Whether so many bits of an input are converted together that one matrix product of them is
    faster than a bit plane for each: more than `MOST_PLANES`."""
    if scheme.input_accumulation == "analog":
        return scheme.input_bits > MOST_PLANES
    return min(scheme.dac_bits, scheme.input_bits) > MOST_PLANES
