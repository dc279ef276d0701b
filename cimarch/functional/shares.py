"""What of a matrix operation lies on which pool: all of it on one, or the strips of each precision.

Where strips have several precisions, a share is what one pool has of them, made of pieces
(`cimarch.functional.pieces`).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines, lines_of
from cimarch.functional.pieces import Piece, held_by, pieces_of, wirings_of_levels
from cimarch.functional.quantised import Quantised, by_row
from cimarch.functional.scheme import Scheme, scheme_of
from cimarch.functional.tiles import sections_of_placement
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.precision import Bits
from cimarch.mapping.wiring import Wiring


@attrs.frozen(eq=False)
class Share:
    """What of an operation lies on one pool: all of it, or its strips of one precision."""

    name: str
    """Of its ranges: the operation's; of strips, with `@` and their bits behind it."""
    wiring: Wiring
    """The surroundings of the pool."""
    lines: tuple[Lines, ...]
    """One per channel group; of strips, one per piece."""
    pieces: tuple[Piece, ...] = ()
    """Of strips."""
    level: int = 0
    """Of strips."""
    ranges: Ranges | None = None
    """None where the pool has no converter, or before they are chosen."""

    @property
    def scheme(self) -> Scheme:
        """How its arrays multiply."""
        return self.lines[0].scheme

    @property
    def conversions(self) -> int:
        """Conversions of one window."""
        each = 1 if self.scheme.input_accumulation == "analog" else self.scheme.steps
        return sum(
            len(lines.sections)
            * each
            * (len(lines.digits) * lines.outputs + (lines.blocks if lines.reference else 0))
            for lines in self.lines
        )

    def inputs(self, windows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """What its lines get of windows (groups, windows, rows), (windows, rows) each."""
        if not self.pieces:
            return list(windows)
        return [windows[piece.group][:, piece.rows] for piece in self.pieces]


def plan_of(placement: Placement, name: str) -> Plan:
    """The plan of a matrix operation; KeyError where it is none, or lies on no arrays."""
    for plan in placement.plans:
        if plan.site.anchor.name == name and plan.site.is_matrix:
            return plan
    raise KeyError(name)


def schemes_of_shares(placement: Placement, name: str) -> dict[str, Scheme]:
    """The scheme of each share of an operation, by its name."""
    plan, bits = plan_of(placement, name), placement.bits[name]
    if bits.strips is None:
        return {name: scheme_of(plan.wiring, bits)}
    return {
        share_name(name, bits, level): scheme_of(wiring, bits.of_level(level))
        for level, wiring in wirings_of_levels(placement, plan).items()
    }


def share_name(name: str, bits: Bits, level: int) -> str:
    """The name of the share of a level of an operation's strips."""
    return f"{name}@{bits.of_level(level).weight}"


def wirings_of(placement: Placement, name: str) -> tuple[Wiring, ...]:
    """The surroundings of each pool that an operation lies on."""
    plan = plan_of(placement, name)
    if placement.bits[name].strips is None:
        return (plan.wiring,)
    return tuple(wirings_of_levels(placement, plan).values())


def shares_of(placement: Placement, name: str, quantised: Quantised) -> tuple[Share, ...]:
    """The shares of a quantised operation, the highest precision first.

    Raises DescriptionError where strips have scales of their own and are read together.
    """
    plan = plan_of(placement, name)
    if quantised.bits.strips is None:
        return (Share(name, plan.wiring, placed_lines(placement, plan, quantised)),)
    return tuple(_shares_of_strips(placement, plan, quantised))


def weights_of_shares(quantised: Quantised) -> tuple[NDArray[np.int32], ...]:
    """The whole weights of each share, in one row."""
    strips = quantised.bits.strips
    if strips is None:
        return (quantised.weights.ravel(),)
    level = by_row(strips.level, quantised.weights.shape)
    return tuple(quantised.weights[level == each] for each in strips.used)


def placed_lines(placement: Placement, plan: Plan, quantised: Quantised) -> tuple[Lines, ...]:
    """The sense lines of each channel group of an operation, as its tiles are placed."""
    name = plan.site.anchor.name
    scheme = scheme_of(plan.wiring, placement.bits[name])
    layouts = sections_of_placement(placement, name)
    return tuple(
        lines_of(weights, scheme, layout.sections, layout.blocks)
        for weights, layout in zip(quantised.weights, layouts, strict=True)
    )


def _shares_of_strips(placement: Placement, plan: Plan, quantised: Quantised) -> list[Share]:
    name, bits = plan.site.anchor.name, quantised.bits
    assert bits.strips is not None
    pieces = pieces_of(placement, plan, bits.strips)
    found = []
    for level, wiring in wirings_of_levels(placement, plan).items():
        mine = tuple(piece for piece in pieces if piece.level == level)
        scheme = scheme_of(wiring, bits.of_level(level))
        _check_holes(name, scheme, mine)
        lines = tuple(_lines(quantised, piece, scheme) for piece in mine)
        found.append(Share(share_name(name, bits, level), wiring, lines, mine, level))
    return found


def _lines(quantised: Quantised, piece: Piece, scheme: Scheme) -> Lines:
    """The sense lines of a piece; what is of another level is the weight 0."""
    strips = quantised.bits.strips
    assert strips is not None
    held = held_by(piece, strips, quantised.weights.shape[1])
    weights = quantised.weights[piece.group][piece.outputs[:, None], piece.rows]
    return lines_of(np.where(held, weights, 0), scheme, piece.sections)


def ratios_of(quantised: Quantised, piece: Piece, name: str) -> NDArray[np.float64]:
    """How often the sums of a piece's outputs count.

    Raises DescriptionError where strips that are read together do not count alike.
    """
    strips, ratios = quantised.bits.strips, quantised.ratios
    assert strips is not None
    assert ratios is not None
    outputs = quantised.weights.shape[1]
    each = ratios[:, piece.group * outputs + piece.outputs][piece.rows % strips.positions].T
    held = held_by(piece, strips, outputs)
    most: NDArray[np.float64] = np.where(held, each, 0.0).max(axis=1)
    if (held & (each != most[:, None])).any():
        raise DescriptionError(summed_together(name))
    return most


def summed_together(name: str) -> Diagnostic:
    """What is wrong where strips that are read together have scales of their own."""
    return Diagnostic(
        "E465",
        f"strips of `{name}` have scales of their own, and their sums meet before these count",
        notes=("in the layout `holes` word lines of several kernel positions are read together",),
        helps=("give strips the layout `packed`", "or one scale to a channel or the tensor"),
    )


def _check_holes(name: str, scheme: Scheme, pieces: Sequence[Piece]) -> None:
    """Raise DescriptionError where a hole would have to hold a weight that the encoding has not."""
    if scheme.kind.one_bit and any(piece.position is None for piece in pieces):
        raise DescriptionError(
            Diagnostic(
                "E466",
                f"holes between the strips of `{name}` hold the weight 0, which the encoding "
                f"`{scheme.encoding}` has not",
                helps=("give strips the layout `packed`",),
            )
        )


def check_inputs(placement: Placement, name: str) -> None:
    """Raise DescriptionError where the pools of an operation's strips take different inputs."""
    schemes = schemes_of_shares(placement, name)
    ranges = {scheme.input_range: scheme.inputs for scheme in schemes.values()}
    if len(ranges) > 1:
        told = ", ".join(f"`{each}`: {scheme.inputs}" for each, scheme in schemes.items())
        raise DescriptionError(
            Diagnostic(
                "E466",
                f"the pools that hold strips of `{name}` take different inputs",
                notes=(told, "an input is made whole once, for all strips"),
                helps=("give their arrays the same `inputs`",),
            )
        )
