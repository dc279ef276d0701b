"""Bit planes equal the plain reference, to the last bit, whatever is described."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cimarch.functional.converter import Ranges, unit_ranges
from cimarch.functional.lines import Lines, lines_of, sections_of
from cimarch.functional.paths import planes
from cimarch.functional.paths.planes import Planes
from cimarch.functional.reference import Reference
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry

ENCODINGS = (
    "offset", "offset_column", "flipped", "differential", "twos_complement", "signed_cell",
    "binary",
)  # fmt: skip


@st.composite
def converters(draw: st.DrawFn) -> Converter | None:
    bits = draw(st.integers(1, 10))
    transfer = draw(st.sampled_from(["mid_tread", "mid_rise", "sign_magnitude", "thresholds", ""]))
    if not transfer:
        return None
    if transfer == "sign_magnitude":
        bits = max(bits, 2)
    if transfer != "thresholds":
        return Converter(bits, transfer)
    values = draw(st.lists(st.integers(-20, 60), min_size=1, max_size=7, unique=True))
    levels = draw(
        st.lists(st.integers(-40, 80), min_size=len(values) + 1, max_size=len(values) + 1)
    )
    return Converter(
        3, transfer, thresholds=tuple(Fraction(v, 2) for v in sorted(values)),
        levels=tuple(Fraction(level, 2) for level in sorted(levels)),
    )  # fmt: skip


@st.composite
def schemes(draw: st.DrawFn) -> Scheme:
    encoding = draw(st.sampled_from(ENCODINGS))
    cell_bits = 1 if encoding == "binary" else draw(st.integers(1, 8))
    if encoding == "signed_cell":
        cell_bits = max(cell_bits, 2)
    analog = st.sampled_from(["digital", "digital", "analog"])
    return Scheme(
        encoding=encoding,
        weight_bits=1 if encoding == "binary" else draw(st.sampled_from([2, 4, 5, 8])),
        input_bits=draw(st.sampled_from([4, 8, 8, 10])),
        cell_bits=cell_bits,
        dac_bits=draw(st.sampled_from([1, 1, 1, 2, 3, 8])),
        inputs=draw(st.sampled_from(["unsigned", "unsigned", "sign_magnitude", "twos_complement"])),
        subtract=draw(analog),
        input_accumulation=draw(analog),
        slice_merge=draw(analog),
        converter=draw(converters()),
        tile_bits=draw(st.sampled_from([None, None, 6, 12, 20])),
        sum_bits=draw(st.sampled_from([None, None, 8, 13, 24])),
        overflow=draw(st.sampled_from(["saturate", "wrap"])),
    )


@st.composite
def ranges_of(draw: st.DrawFn, scheme: Scheme, lines: Lines) -> Ranges | None:
    if scheme.converter is None:
        return None
    kind = draw(st.sampled_from(["unit", "layer", "line", "output", "both"]))
    if kind == "unit":
        return unit_ranges(scheme.converter, lines.signed)
    shape = (
        len(lines.digits) if kind in ("line", "both") else 1,
        lines.outputs if kind in ("output", "both") else 1,
    )
    steps = st.sampled_from([1.0, 1.0, 2.0, 3.0, 0.5, 1.37, 5.1, 0.3])
    lows = st.sampled_from([0.0, -1.0, -16.0, 2.0, -3.5, 0.7])
    size = shape[0] * shape[1]
    return Ranges(
        np.array(draw(st.lists(lows, min_size=size, max_size=size))).reshape(shape),
        np.array(draw(st.lists(steps, min_size=size, max_size=size))).reshape(shape),
    )


def weights_of(scheme: Scheme, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    low, high = scheme.weight_range
    if scheme.kind.one_bit:
        return random.choice([-1, 1], shape)
    made = random.integers(low, high + 1, shape)
    return made if seed % 3 else np.where(random.random(shape) < 0.5, made, low)


def inputs_of(scheme: Scheme, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed + 1)
    low, high = scheme.input_range
    made = random.integers(low, high + 1, shape)
    return made if seed % 2 else np.where(random.random(shape) < 0.5, made, high)


def equal(path: Planes, oracle: Reference, inputs: np.ndarray) -> None:
    expected, counts = oracle.counted(inputs)
    np.testing.assert_array_equal(path(inputs), expected)
    values, found = path.counted(inputs)
    np.testing.assert_array_equal(values, expected)
    assert found == counts


@settings(max_examples=150, deadline=None)
@given(data=st.data(), scheme=schemes(), seed=st.integers(0, 10**6))
def test_every_scheme_equals_the_plain_reference(
    data: st.DataObject, scheme: Scheme, seed: int
) -> None:
    rows = data.draw(st.sampled_from([1, 5, 17, 40, 70]))
    outputs, windows = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 2, 5]))
    sections = sections_of(rows, data.draw(st.sampled_from([13, 32, 64])), data.draw(
        st.sampled_from([5, 13, 64])))  # fmt: skip
    lines = lines_of(weights_of(scheme, (outputs, rows), seed), scheme, sections, blocks=2)
    ranges = data.draw(ranges_of(scheme, lines))
    assume(Planes.takes([lines], ranges))
    shape = Windows(rows)
    inputs = inputs_of(scheme, (windows, rows), seed)
    equal(Planes([lines], ranges, shape), Reference([lines], ranges, shape), inputs)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 10**6))
def test_windows_of_maps_equal_the_plain_reference(data: st.DataObject, seed: int) -> None:
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = data.draw(pair), data.draw(pair), data.draw(pair)
    padding = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    groups, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3))
    geometry = Geometry(kernel, stride, padding, dilation)
    high, wide = data.draw(st.integers(5, 8)), data.draw(st.sampled_from([5, 8, 9, 20]))
    inputs = data.draw(st.sampled_from(["unsigned", "sign_magnitude", "twos_complement"]))
    encoding = data.draw(st.sampled_from(["offset", "flipped", "differential"]))
    scheme = Scheme(encoding, subtract="analog", inputs=inputs, converter=Converter(4))
    rows = channels * kernel[0] * kernel[1]
    weights = weights_of(scheme, (groups, 2, rows), seed)
    lines = [lines_of(each, scheme, sections_of(rows, 16, 16)) for each in weights]
    windows = Windows(rows, groups, geometry, fill=data.draw(st.integers(0, 100)))
    ranges = unit_ranges(scheme.converter, lines[0].signed)
    x = inputs_of(scheme, (2, groups * channels, high, wide), seed)
    if inputs == "unsigned":
        x = x.astype(np.uint8)
    path = Planes(lines, ranges, windows, threads=data.draw(st.integers(1, 3)))
    equal(path, Reference(lines, ranges, windows), x)


@pytest.mark.parametrize("encoding", ["offset", "differential"])
@pytest.mark.parametrize("inputs", ["unsigned", "twos_complement"])
@pytest.mark.parametrize("ways", [(6, 1.0, 0.0), (6, 1.0, -32.0), (8, 1.0, 0.0), (5, 12.7, -13.0)])
def test_sums_beyond_a_byte_equal_the_plain_reference(
    encoding: str, inputs: str, ways: tuple[int, float, float]
) -> None:
    bits, step, low = ways
    scheme = Scheme(encoding, inputs=inputs, subtract="analog", converter=Converter(bits))
    for largest in (3, 40, 128):
        random = np.random.default_rng(largest)
        weights = random.integers(-largest, largest, (3, 300))
        weights[0] = np.maximum(weights[0], 0)
        lines = lines_of(weights, scheme, sections_of(300, 256, 200))
        ranges = Ranges.of(low, step)
        x = np.where(random.random((3, 300)) < 0.3, -1, inputs_of(scheme, (3, 300), largest))
        x = x if inputs == "twos_complement" else abs(x)
        path = Planes([lines], ranges, Windows(300))
        equal(path, Reference([lines], ranges, Windows(300)), x)
        x[1:] = scheme.input_range[1]
        equal(path, Reference([lines], ranges, Windows(300)), x)


def test_one_clipped_window_by_hand() -> None:
    scheme = Scheme("offset", weight_bits=2, cell_bits=2, input_bits=2, converter=Converter(2))
    lines = lines_of(np.array([[1, 1, 0]]), scheme, sections_of(3, 3, 3))
    path = Planes([lines], unit_ranges(scheme.converter, lines.signed), Windows(3))
    # cells 3, 3, 2; inputs 1, 2, 3: sums 5 and 5 clip to 3 and 3; 3 x 1 + 3 x 2 - 2 x 6 = -3
    values, counts = path.counted(np.array([[1, 2, 3]]))
    assert values.tolist() == path(np.array([[1, 2, 3]])).tolist() == [[-3]]
    assert (counts.conversions, counts.clipped, counts.rounded) == (2, 2, 0)


def test_what_bit_planes_leave_to_others() -> None:
    wide = Scheme("offset", slice_merge="analog", input_accumulation="analog", dac_bits=8)
    wide = attrs.evolve(wide, converter=Converter(8))
    lines = lines_of(np.full((1, 200), 127), wide, sections_of(200, 200, 200))
    ranges = unit_ranges(wide.converter, lines.signed)
    assert not Planes.takes([lines], ranges)  # 200 x 255 x 255 sums
    with pytest.raises(ValueError, match="more sums than a table of codes may have"):
        Planes([lines], ranges, Windows(200))(np.zeros((1, 200), np.int64))


def exactly(x: np.ndarray, lines: Lines, bits: int) -> tuple[np.ndarray, int]:
    """Windows (windows, rows) through unit-step converters from 0, and how many sums clip."""
    clipped = 0
    total = np.zeros((len(x), lines.outputs), np.int64)
    for section in lines.sections:
        held = x[:, section.first : section.end]
        for line, digits in enumerate(lines.digits[:, :, section.first : section.end]):
            for k in range(8):
                sums = (held >> k & 1) @ digits.T
                codes = np.minimum(sums, 2**bits - 1) << k
                clipped += int((sums > 2**bits - 1).sum())
                total += codes * lines.factors[line, :, section.tile]
        total += held.sum(axis=1)[:, None] * lines.correction[:, section.tile]
    return total, clipped


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bits", [3, 6])
def test_chunks_tables_and_batches_may_end_anywhere(
    monkeypatch: pytest.MonkeyPatch, threads: int, bits: int
) -> None:
    monkeypatch.setattr(planes, "CHUNK", 100)
    monkeypatch.setattr(planes, "TABLES", 12_000)
    monkeypatch.setattr(planes, "BATCH", 3_000)
    random = np.random.default_rng(bits)
    scheme = Scheme("offset", converter=Converter(bits))
    weights = random.integers(-128, 128, (9, 72))
    weights[:, :40] = 127
    lines = lines_of(weights, scheme, sections_of(72, 50, 33))
    windows = Windows(72, 1, Geometry((3, 3), (1, 2), (1, 1, 1, 1)), fill=7)
    inputs = random.integers(0, 256, (7, 8, 11, 14)).astype(np.uint8)
    path = Planes([lines], unit_ranges(scheme.converter, lines.signed), windows, threads=threads)
    expected, clipped = exactly(windows.unfold(inputs)[0], lines, bits)
    expected = windows.fold(expected[None], inputs.shape)
    results, counts = path.counted(inputs)
    assert results.dtype == np.int32
    np.testing.assert_array_equal(results, expected)
    np.testing.assert_array_equal(path(inputs), expected)
    assert clipped > 0
    assert counts == Counts(7 * 11 * 7 * 9 * 4 * 8 * 3, clipped)  # 3 sections of 33, 17, 22 rows


def test_inputs_may_lie_in_memory_as_they_like() -> None:
    scheme = Scheme("differential", subtract="analog", converter=Converter(4))
    random = np.random.default_rng(0)
    lines = lines_of(random.integers(-128, 128, (2, 12)), scheme, sections_of(12, 12, 12))
    path = Planes(
        [lines], unit_ranges(scheme.converter, lines.signed), Windows(12, 1, Geometry((2, 2)))
    )
    last = random.integers(0, 256, (2, 5, 6, 3)).astype(np.uint8)
    maps = last.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(path(maps), path(np.ascontiguousarray(maps)))
    np.testing.assert_array_equal(path(maps), path(maps.astype(np.int64)))


def test_no_windows_give_no_results() -> None:
    scheme = Scheme("offset", converter=Converter(4))
    lines = lines_of(np.ones((2, 3), np.int64), scheme, sections_of(3, 3, 3))
    path = Planes([lines], unit_ranges(scheme.converter, lines.signed), Windows(3))
    assert path(np.zeros((0, 3), np.int64)).shape == (0, 2)


PROCESSORS = {
    "skylake-avx512": "+avx512bw,+avx512f,+avx512vl,+avx512dq,+avx2,+avx,+ssse3,+sse2",
    "haswell": "+avx2,+avx,+ssse3,+sse2",
    "generic": "+sse2",
}


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86 processors")
@pytest.mark.parametrize("name", PROCESSORS)
def test_processors_without_these_instructions_give_the_same(name: str, tmp_path: Path) -> None:
    chosen = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": PROCESSORS[name]}
    kept = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "1"}
    wanted = "beyond_a_byte or anywhere"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", wanted, __file__],
        env=os.environ | chosen | kept, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
