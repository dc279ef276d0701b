"""A matrix operation on its arrays: its sense lines, its ranges, and the path that computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cimarch.functional.cells.device import Device, device_of
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.converter import Ranges, stated_ranges, unit_ranges
from cimarch.functional.fit.saved_ranges import check_tiles
from cimarch.functional.lines import Lines
from cimarch.functional.path import Path
from cimarch.functional.paths.joining import check_ranges, check_sums, of_outputs
from cimarch.functional.paths.lossless import Lossless
from cimarch.functional.paths.mixed import Entrance, Laid, Mixed
from cimarch.functional.paths.planes import Planes
from cimarch.functional.paths.products import Products
from cimarch.functional.paths.split import Split, parts_of
from cimarch.functional.quantised import Quantised
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import Scheme
from cimarch.functional.shares import Share, plan_of, ratios_of, shares_of
from cimarch.functional.windows import Windows
from cimarch.mapping.placement import Placement

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
    shares: tuple[Share, ...]
    """One; one per precision where strips have several, the highest first."""
    path: Path

    @property
    def lines(self) -> tuple[Lines, ...]:
        """Of all shares."""
        return tuple(lines for share in self.shares for lines in share.lines)

    @property
    def ranges(self) -> Ranges | None:
        """Of the first share."""
        return self.shares[0].ranges

    @property
    def scheme(self) -> Scheme:
        """How the arrays of the first share multiply."""
        return self.shares[0].scheme

    @property
    def conversions(self) -> int:
        """Conversions of one window, over all channel groups and shares."""
        return sum(share.conversions for share in self.shares)


def matrix_of(
    placement: Placement,
    name: str,
    quantised: Quantised,
    ranges: Ranges | Mapping[str, Ranges] | None = None,
    *,
    seed: int = 0,
    trial: int = 0,
    path: str | None = None,
    on: str = "cpu",
) -> Matrix:
    """A matrix operation of a placement, with the path that suits it.

    `ranges` are those of its converters where the description states none, or those of several
    operations by name (of strips, by `Share.name`); None takes one unit a step. What the
    description says of cells and converters that are not ideal is drawn from `seed`, the
    operation's name and `trial`. `path` asks for one of `PATHS`, `on` is where to multiply (`cpu`,
    or a torch device such as `cuda`). Raises ValueError where the path asked for does not suit the
    operation, DescriptionError where what is said of cells and converters does not go together, or
    the sums of strips do not.
    """
    if not isinstance(ranges, Mapping):
        ranges = {} if ranges is None else {name: ranges}
    shares = tuple(
        attrs.evolve(share, ranges=ranges_of(share.lines, ranges.get(share.name)))
        for share in shares_of(placement, name, quantised)
    )
    for share in shares:
        check_tiles(share.ranges, share.lines[0].factors.shape[2], share.name)
    windows = Windows.of(plan_of(placement, name).site.anchor, quantised.input_zero)
    draw = Draw(seed, trial, name)
    if quantised.bits.strips is not None:
        way: Path = mixed_of(name, quantised, windows, shares, draw=draw, path=path, on=on)
    else:
        (share,) = shares
        device = device_of(share.wiring.pool, share.wiring.converter)
        way = path_of(
            share.lines, share.ranges, windows, device=device, draw=draw, path=path, on=on
        )
    return Matrix(name, quantised, windows, shares, way)


def mixed_of(
    name: str,
    quantised: Quantised,
    windows: Windows,
    shares: Sequence[Share],
    *,
    draw: Draw,
    path: str | None = None,
    on: str = "cpu",
) -> Mixed:
    """The path of an operation whose strips have several precisions; the rest as `matrix_of`.

    Cells and converters of each piece are drawn for themselves.
    """
    laid, joins = [], path in (None, "lossless")
    for share in shares:
        check_ranges(share)
        check_sums(name, share)
        device = device_of(share.wiring.pool, share.wiring.converter)
        for number, (piece, lines) in enumerate(zip(share.pieces, share.lines, strict=True)):
            entrance, some = Entrance(piece, windows), of_outputs(share.ranges, piece.outputs)
            way: Path | None = None
            if not (joins and device is None and Lossless.takes([lines], some)):
                mine = attrs.evolve(draw, operation=f"{share.name}, {number}")
                way = path_of(
                    [lines], some, entrance.inner, device=device, draw=mine, path=path, on=on
                )
            laid.append(Laid(lines, way, entrance, ratios_of(quantised, piece, name)))
    return Mixed(quantised, windows, laid, device=on)


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
