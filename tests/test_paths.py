"""All ways to compute a product equal the plain reference, to the last bit, whatever the scheme."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import random_schemes
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines, lines_of
from cimarch.functional.matrix import PATHS, path_of
from cimarch.functional.path import Path
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import Scheme
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

FAST = [name for name in PATHS if name != "reference"]


@attrs.frozen(eq=False)
class Placed:
    """A matrix operation on its arrays, with inputs."""

    lines: list[Lines]
    ranges: Ranges | None
    windows: Windows
    inputs: np.ndarray


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    few = st.integers(1, 2)
    pads = draw(st.tuples(*[st.integers(0, 1)] * 4))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return Geometry(kernel, draw(st.tuples(few, few)), pads, draw(st.tuples(few, few)))


@st.composite
def operations(draw: st.DrawFn, schemes: st.SearchStrategy[Scheme]) -> Placed:
    """A convolution or a product of vectors, of one or more channel groups, cut in any way."""
    scheme = draw(schemes)
    groups, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    geometry = draw(st.none() | geometries())
    channels = draw(st.integers(1, 3 if geometry else 20))
    area = geometry.kernel[0] * geometry.kernel[1] if geometry else 1
    rows = channels * area
    cut = draw(random_schemes.sections(rows))
    apart = draw(st.booleans())  # groups on a diagonal are cut each in its own way
    lines = [
        lines_of(
            draw(random_schemes.weights(scheme, outputs, rows)), scheme,
            draw(random_schemes.sections(rows)) if apart else cut, 2,
        )
        for _ in range(groups)
    ]  # fmt: skip
    ranges = draw(random_schemes.ranges(lines[0]))
    fill = draw(st.integers(*scheme.input_range))
    if geometry is not None:
        geometry = attrs.evolve(geometry, groups=groups)
    windows = Windows(rows, groups, geometry, fill if geometry else 0)
    shape = (2, groups * channels, 5, 6) if geometry else (3, groups * channels)
    size = int(np.prod(shape))
    return Placed(
        lines, ranges, windows, draw(random_schemes.windows(scheme, 1, size)).reshape(shape)
    )


def way(placed: Placed, name: str) -> Path:
    """The path of a name, where it takes the operation."""
    try:
        path = path_of(placed.lines, placed.ranges, placed.windows, path=name)
    except ValueError:
        assume(False)
        raise
    assert path.name == name
    return path


@pytest.mark.parametrize("name", FAST)
def test_a_path_equals_the_plain_reference(name: str) -> None:
    @settings(max_examples=150, deadline=None)
    @given(operations(random_schemes.schemes()))
    def equals(placed: Placed) -> None:
        path = way(placed, name)
        reference = Reference(placed.lines, placed.ranges, placed.windows)
        expected, counts = reference.counted(placed.inputs)
        assert np.array_equal(path(placed.inputs), expected)
        values, counted = path.counted(placed.inputs)
        assert np.array_equal(values, expected)
        assert counted == counts

    equals()
