"""The mesh of an array with wires, solved and estimated, against a dense nodal analysis."""

from __future__ import annotations

import runpy
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimarch.functional.cells.device import Cell, Device
from cimarch.functional.cells.wire import Floats, effective, effective_fast, wired
from cimarch.functional.lines import lines_of, sections_of
from cimarch.functional.scheme import Scheme

ROOT = Path(__file__).resolve().parent.parent


def by_nodes(cells: Floats) -> Floats:
    """What a volt on each word line adds to each bit line's current: all nodes in one dense matrix,
    Kirchhoff's current law at each."""
    rows, columns = cells.shape
    word = np.arange(rows * columns).reshape(rows, columns)
    bit = word + rows * columns
    law, sources = np.zeros((2 * word.size,) * 2), np.zeros((2 * word.size, rows))

    def join(one: int, other: int, conductance: float) -> None:
        for a, b in ((one, other), (other, one)):
            law[a, a] += conductance
            law[a, b] -= conductance

    for i in range(rows):
        law[word[i, 0], word[i, 0]] += 1  # the segment from the driver
        sources[word[i, 0], i] = 1
        for j in range(columns):
            join(word[i, j], bit[i, j], cells[i, j])
            if j:
                join(word[i, j - 1], word[i, j], 1)
            if i:
                join(bit[i - 1, j], bit[i, j], 1)
    law[bit[-1], bit[-1]] += 1  # the segment to the virtual ground
    voltages = np.linalg.solve(law, sources)
    return voltages[bit[-1]].T


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**32), st.floats(1e-6, 10))
def test_the_mesh_agrees_with_all_its_nodes(
    rows: int, columns: int, seed: int, strength: float
) -> None:
    cells = np.random.default_rng(seed).random((rows, columns)) * strength
    np.testing.assert_allclose(effective(cells), by_nodes(cells), rtol=1e-9, atol=1e-12)


def test_one_cell_lies_in_series_with_two_segments() -> None:
    assert effective(np.array([[1.0]])) == pytest.approx(1 / 3)
    assert effective_fast(np.array([[1.0]])) == pytest.approx(1 / 3)


def test_wires_without_resistance_lose_nothing() -> None:
    cells = np.random.default_rng(0).random((5, 4)) * 1e-9
    np.testing.assert_allclose(effective(cells), cells, rtol=1e-6)


@pytest.mark.parametrize(("ratio", "worst"), [(1e6, 0.001), (1e5, 0.01), (1e4, 0.25)])
def test_the_estimate_is_right_where_wires_lose_little(ratio: float, worst: float) -> None:
    cells = np.random.default_rng(0).integers(0, 4, (64, 64)) / 3 / ratio
    exact, fast = effective(cells), effective_fast(cells)
    lost = cells.sum() - exact.sum()
    assert abs(fast.sum() - exact.sum()) < worst * lost


def weights_on(columns: int, **changes: object) -> tuple[Device, object, Floats]:
    scheme = attrs.evolve(Scheme(encoding="differential", weight_bits=3, cell_bits=2), **changes)
    rng = np.random.default_rng(0)
    lines = lines_of(rng.integers(-3, 4, (5, 6)), scheme, sections_of(6, 4, 4))
    cell = Cell(wire_resistance=10.0, on_resistance=1000.0)
    device = Device(cell, columns=columns)
    return device, lines, lines.cells.levels.astype(np.float64)


def test_weights_lie_beside_each_other_on_as_many_columns_as_an_array_has() -> None:
    device, lines, cells = weights_on(columns=8)  # two weights of four cells
    made = wired(device, lines, cells, 3.0)
    first = cells[:, :2, :4].transpose(2, 1, 0).reshape(4, 8)
    wanted = effective(first * (0.01 / 3)) / (0.01 / 3)
    np.testing.assert_allclose(made[:, :2, :4].transpose(2, 1, 0).reshape(4, 8), wanted)


def test_halves_in_neighbouring_rows_and_on_two_arrays() -> None:
    device, lines, cells = weights_on(columns=8, pair="row")
    made = wired(device, lines, cells, 3.0)
    laid = np.zeros((8, 8))  # four weights of two columns; positive above negative
    laid[0::2] = cells[0::2, :4, :4].transpose(2, 1, 0).reshape(4, 8)
    laid[1::2] = cells[1::2, :4, :4].transpose(2, 1, 0).reshape(4, 8)
    wanted = effective(laid * (0.01 / 3)) / (0.01 / 3)
    np.testing.assert_allclose(made[0::2, :4, :4].transpose(2, 1, 0).reshape(4, 8), wanted[0::2])
    np.testing.assert_allclose(made[1::2, :4, :4].transpose(2, 1, 0).reshape(4, 8), wanted[1::2])

    device, lines, cells = weights_on(columns=8, pair="array")
    made = wired(device, lines, cells, 3.0)
    negative = cells[1::2, :4, :4].transpose(2, 1, 0).reshape(4, 8)
    wanted = effective(negative * (0.01 / 3)) / (0.01 / 3)
    np.testing.assert_allclose(made[1::2, :4, :4].transpose(2, 1, 0).reshape(4, 8), wanted)


def test_the_page_tells_what_wires_take() -> None:
    """All but the time, for the smallest arrays."""
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "wires.py"))
    page = (ROOT / "docs" / "functional.md").read_text()
    for ratio in benchmark["RATIOS"]:
        told = benchmark["line"](64, ratio).rpartition("%")[0]
        assert told in page
