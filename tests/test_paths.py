"""All ways to compute a product equal the plain reference, to the last bit, whatever the scheme."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

import random_schemes
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines, lines_of
from cimarch.functional.matrix import PATHS, path_of
from cimarch.functional.path import Path
from cimarch.functional.paths.product_units import UNITS, Task, int64
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


def lossless() -> st.SearchStrategy[Scheme]:
    """Schemes that lose nothing, most of them."""
    ideal = {"converter": None, "tile_bits": None}
    return random_schemes.schemes().map(lambda scheme: attrs.evolve(scheme, **ideal))


@pytest.mark.parametrize("name", FAST)
def test_a_path_equals_the_plain_reference(name: str) -> None:
    @settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
    @given(operations(lossless() if name == "lossless" else random_schemes.schemes()))
    def equals(placed: Placed) -> None:
        path = way(placed, name)
        reference = Reference(placed.lines, placed.ranges, placed.windows)
        expected, counts = reference.counted(placed.inputs)
        assert np.array_equal(path(placed.inputs), expected)
        values, counted = path.counted(placed.inputs)
        assert np.array_equal(values, expected)
        assert counted == counts

    equals()


# A stride that leaves one column of results; windows that lie in padding alone, above and beside;
# maps smaller than a dilated kernel.
NARROW = [
    (Geometry((1, 3), (1, 2)), (5, 4)),
    (Geometry((2, 2), (2, 2)), (9, 3)),
    (Geometry((3, 3), (3, 3), (3, 3, 1, 1), (1, 2)), (7, 5)),
    (Geometry((1, 1), (1, 2), (1, 1, 1, 1)), (5, 1)),
    (Geometry((3, 1), (2, 1), (3, 3, 0, 0), (2, 1)), (1, 9)),
    (Geometry((1, 5), (2, 2), (2, 2, 2, 2), (2, 1)), (4, 1)),
]


@pytest.mark.parametrize(("geometry", "size"), NARROW)
def test_narrow_maps_are_exact_on_every_unit(geometry: Geometry, size: tuple[int, int]) -> None:
    channels, random = 3, np.random.default_rng(0)
    windows = Windows(channels * geometry.kernel[0] * geometry.kernel[1], 1, geometry)
    weights = random.integers(-127, 128, (1, 4, windows.rows))
    inputs = random.integers(0, 256, (2, channels, *size))
    task = Task(weights, windows, 0, 255)
    expected = int64(task)(torch.from_numpy(inputs))
    for name, make in UNITS.items():
        multiply = make(task)
        if multiply is None:  # this processor has no such unit
            continue
        for _ in range(2):  # what the memory held before shows in a second run
            assert torch.equal(multiply(torch.from_numpy(inputs)).long(), expected), name
