"""Schemes, converters, weights and inputs of any kind, for hypothesis."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import attrs
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges, stated_ranges, unit_ranges
from cimarch.functional.lines import Lines, Section, lines_of
from cimarch.functional.scheme import Converter, Scheme

Ints = NDArray[np.int64]
ENCODINGS = (
    "offset", "offset_column", "flipped", "differential", "twos_complement", "signed_cell",
    "binary",
)  # fmt: skip
WHERE = st.sampled_from(("digital", "analog"))


@st.composite
def thresholds(draw: st.DrawFn) -> Converter:
    """A converter of 1 to 3 bits by thresholds, its levels in any order."""
    bits = draw(st.integers(1, 3))
    eighths = st.integers(-60, 120).map(lambda n: Fraction(n, 8))
    up = sorted(draw(st.sets(eighths, min_size=1, max_size=2**bits - 1)))
    levels = draw(st.lists(eighths, min_size=len(up) + 1, max_size=len(up) + 1))
    step = draw(st.sampled_from((None, Fraction(1), Fraction(3, 2))))
    return Converter(bits, "thresholds", step=step, thresholds=tuple(up), levels=tuple(levels))


@st.composite
def uniform(draw: st.DrawFn) -> Converter:
    """A uniform converter: its range open, or stated by one or two of its ends and its step."""
    transfer = draw(st.sampled_from(("mid_tread", "mid_rise", "sign_magnitude")))
    bits = draw(st.integers(2 if transfer == "sign_magnitude" else 1, 7))
    step = draw(st.sampled_from((None, None, Fraction(1), Fraction(2), Fraction(5, 2))))
    if transfer == "sign_magnitude":
        return Converter(bits, transfer, step=step)
    low = draw(st.sampled_from((None, None, Fraction(0), Fraction(-7), Fraction(1, 4))))
    above = st.sampled_from((None, Fraction(11), Fraction(50)))
    high = draw(above) if step is None or low is None else None
    return Converter(bits, transfer, low, high, step)


CONVERTERS = st.one_of(st.none(), uniform(), uniform(), thresholds())


@st.composite
def schemes(draw: st.DrawFn) -> Scheme:
    """Every scheme of small numbers of bits."""
    encoding = draw(st.sampled_from(ENCODINGS))
    input_bits = draw(st.integers(1, 6))
    inputs = draw(st.sampled_from(("unsigned", "sign_magnitude", "twos_complement")))
    return Scheme(
        encoding=encoding,
        weight_bits=draw(st.integers(1, 8)) if encoding != "binary" else 1,
        input_bits=input_bits,
        cell_bits=draw(st.integers(1, 5)),
        dac_bits=draw(st.integers(1, 4)),
        inputs=inputs,
        pair=draw(st.sampled_from(("column", "row", "array"))),
        subtract=draw(WHERE),
        input_accumulation=draw(WHERE),
        slice_merge=draw(WHERE),
        converter=draw(CONVERTERS),
        tile_bits=draw(st.sampled_from((None, None, 4, 9, 24))),
        sum_bits=draw(st.sampled_from((None, None, 5, 10, 24))),
        overflow=draw(st.sampled_from(("saturate", "wrap"))),
    )


@st.composite
def sections(draw: st.DrawFn, rows: int) -> tuple[Section, ...]:
    """Any cut of rows in tiles and groups of word lines; some may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=4)))
    bounds = [0, *cuts, rows]
    found, tile = [], 0
    for first, end in pairwise(bounds):
        found.append(Section(first, end, tile))
        tile += draw(st.integers(0, 1))
    return tuple(found)


@st.composite
def weights(draw: st.DrawFn, scheme: Scheme, outputs: int, rows: int) -> Ints:
    """Weights (outputs, rows) that an encoding can hold, the ends of its range often."""
    low, high = scheme.weight_range
    if scheme.kind.one_bit:
        each = st.sampled_from((-1, 1))
    else:
        each = st.one_of(st.integers(low, high), st.sampled_from((low, high, max(low, 0))))
    drawn = draw(st.lists(each, min_size=outputs * rows, max_size=outputs * rows))
    return np.array(drawn, np.int64).reshape(outputs, rows)


@st.composite
def windows(draw: st.DrawFn, scheme: Scheme, count: int, rows: int) -> Ints:
    """Inputs (windows, rows), the ends of their range often."""
    low, high = scheme.input_range
    each = st.one_of(st.integers(low, high), st.sampled_from((low, high)))
    drawn = draw(st.lists(each, min_size=count * rows, max_size=count * rows))
    return np.array(drawn, np.int64).reshape(count, rows)


@attrs.frozen(eq=False)
class Drawn:
    """A matrix on its arrays, the ranges of its converters, and inputs."""

    weights: Ints
    lines: Lines
    ranges: Ranges | None
    inputs: Ints


@st.composite
def products(draw: st.DrawFn, kinds: st.SearchStrategy[Scheme] | None = None) -> Drawn:
    """A product of any kind; ranges that are not stated are one unit a step, or differ by line and
    output."""
    scheme = draw(schemes() if kinds is None else kinds)
    outputs, rows = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    held = draw(weights(scheme, outputs, rows))
    lines = lines_of(held, scheme, draw(sections(rows)), draw(st.integers(1, 2)))
    inputs = draw(windows(scheme, draw(st.integers(1, 3)), rows))
    return Drawn(held, lines, draw(ranges(lines)), inputs)


@st.composite
def ranges(draw: st.DrawFn, lines: Lines) -> Ranges | None:
    """Ranges for the converters of a matrix."""
    converter = lines.scheme.converter
    if converter is None:
        return None
    found = stated_ranges(converter, lines.signed) or unit_ranges(converter, lines.signed)
    if draw(st.booleans()) or converter.transfer == "thresholds":
        return found
    shape = (draw(st.sampled_from((1, len(lines.digits)))), lines.outputs)
    steps = st.lists(st.sampled_from((0.5, 1.0, 2.0, 4.0)), min_size=shape[0] * shape[1],
                     max_size=shape[0] * shape[1])  # fmt: skip
    step = np.array(draw(steps)).reshape(shape) * draw(st.sampled_from((1.0, 1.0, 2.0**40)))
    return Ranges(np.broadcast_to(found.low[: shape[0]], shape) * step, step, "drawn")
