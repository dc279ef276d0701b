"""Cells and converters that are not ideal: each effect by itself, and what holds for all."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import cimarch
from cimarch.functional import reference
from cimarch.functional.cells.device import Cell, Device, Errors, device_of
from cimarch.functional.cells.presets import PRESETS
from cimarch.functional.cells.randomness import Draw
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines, lines_of, sections_of
from cimarch.functional.paths.arithmetic import Conversion, arithmetic
from cimarch.functional.paths.products import Products
from cimarch.functional.scheme import Converter, Scheme
from cimarch.functional.windows import Windows
from cimarch.workload.network import Geometry
from test_products import random_lines, random_ranges, schemes

SCHEME = Scheme(weight_bits=4, input_bits=4, cell_bits=2, converter=Converter(6))
ONE_LINE = attrs.evolve(SCHEME, encoding="signed_cell", weight_bits=2)
RNG = np.random.default_rng(0)
INPUTS = RNG.integers(0, 16, (40, 16))


def some_lines(scheme: Scheme = SCHEME, outputs: int = 4, rows: int = 16) -> Lines:
    low, high = scheme.weight_range
    weights = np.random.default_rng(1).integers(max(low, -8), min(high, 7) + 1, (outputs, rows))
    return lines_of(weights, scheme, sections_of(rows, 8, 8))


def cells_of(cell: Cell, levels: np.ndarray, draw: Draw | None = None) -> np.ndarray:
    """What one column of 2-bit cells becomes; each holds one level."""
    scheme = Scheme(encoding="twos_complement", weight_bits=3, cell_bits=2, input_bits=1)
    rows = levels.size
    lines = lines_of(levels.reshape(1, rows), scheme, sections_of(rows, rows, rows))
    return Device(cell).realise(lines, draw or Draw()).digits[0, 0]


MANY = np.repeat(np.arange(4), 5000)
"""Cells of each level of 0 to 3."""


def spread_by_level(cell: Cell) -> list[float]:
    made = cells_of(cell, MANY)
    return [float(np.std(made[level == MANY])) for level in range(4)]


# ------------------------------------------------------------------ programming


def test_absolute_noise_is_a_share_of_the_full_conductance() -> None:
    spread = spread_by_level(Cell(program_noise=0.02))
    assert spread[1:] == pytest.approx([0.06, 0.06, 0.06], rel=0.05)


def test_no_conductance_is_below_zero() -> None:
    made = cells_of(Cell(program_noise=0.2), MANY)
    assert made.min() == 0
    assert np.mean(made[MANY == 0] == 0) == pytest.approx(0.5, abs=0.03)


def test_proportional_noise_is_a_share_of_the_cells_own() -> None:
    spread = spread_by_level(Cell(program_noise=0.02, program_noise_kind="proportional"))
    assert spread == pytest.approx([0, 0.02, 0.04, 0.06], rel=0.05)


def test_lognormal_noise_keeps_the_median() -> None:
    made = cells_of(Cell(program_noise=0.5, program_noise_kind="lognormal"), MANY)
    twos = made[MANY == 2]
    assert np.median(twos) == pytest.approx(2, rel=0.03)
    assert np.std(np.log(twos)) == pytest.approx(0.5, rel=0.03)


def test_a_table_gives_each_level_its_own_noise() -> None:
    spread = spread_by_level(Cell(program_noise_table=(0.0, 0.01, 0.03, 0.02)))
    assert spread == pytest.approx([0, 0.03, 0.09, 0.06], rel=0.05)


def test_few_levels_round_what_is_written() -> None:
    assert cells_of(Cell(conductance_levels=2), np.arange(4)).tolist() == [0, 0, 3, 3]
    assert cells_of(Cell(conductance_levels=3), np.arange(4)).tolist() == [0, 1.5, 1.5, 3]
    assert cells_of(Cell(conductance_levels=7), np.arange(4)).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------ faults


def test_stuck_cells_conduct_fully_or_not_at_all() -> None:
    made = cells_of(Cell(stuck_on=0.1, stuck_off=0.2), MANY)
    ones = made[MANY == 1]
    assert np.mean(ones == 3) == pytest.approx(0.1, abs=0.02)
    assert np.mean(ones == 0) == pytest.approx(0.2, abs=0.02)
    assert np.mean(ones == 1) == pytest.approx(0.7, abs=0.03)
    assert (cells_of(Cell(stuck_on=1), MANY) == 3).all()
    assert (cells_of(Cell(stuck_off=1), MANY) == 0).all()


# ------------------------------------------------------------------ time


def test_conductances_drift_by_a_power_of_the_time() -> None:
    made = cells_of(Cell(drift=0.05, age=1e4), np.arange(4))
    np.testing.assert_allclose(made, np.arange(4) * 1e4**-0.05, atol=1e-3)


def test_each_cell_drifts_in_its_own_way() -> None:
    made = cells_of(Cell(drift=0.05, drift_spread=0.01, age=100.0, drift_from=1.0), MANY)
    exponents = -np.log(made[MANY == 3] / 3) / np.log(100)
    assert exponents.mean() == pytest.approx(0.05, abs=1e-3)
    assert exponents.std() == pytest.approx(0.01, rel=0.05)


def test_compensation_scales_drift_back() -> None:
    lines = some_lines(attrs.evolve(SCHEME, converter=None, encoding="differential"))
    drifting = Cell(drift=0.1, age=1e6, drift_compensation=True)
    made = Products([lines], None, Windows(16), device=Device(drifting))(INPUTS)
    np.testing.assert_allclose(made, Products([lines], None, Windows(16))(INPUTS), atol=0.3)


def test_retention_ends_at_a_level() -> None:
    half = cells_of(Cell(retention_time=100.0, retention_level=0.5, age=1 + 100 * np.log(2)), MANY)
    np.testing.assert_allclose(half, 1.5 + (MANY - 1.5) / 2, atol=1e-3)
    np.testing.assert_allclose(cells_of(Cell(retention_time=1.0, age=1e4), MANY), 0)


def test_nothing_ages_before_drift_begins() -> None:
    young = Cell(drift=0.1, retention_time=1.0, age=20.0, drift_from=20.0)
    assert Device(young).is_ideal
    assert cells_of(young, np.arange(4)).tolist() == [0, 1, 2, 3]


# ------------------------------------------------------------------ level 0


def test_level_zero_conducts_as_the_ratio_says() -> None:
    """Ratio 4: full 4, off 1, three levels of 1 between them: every digit one more."""
    assert cells_of(Cell(on_off_ratio=4), np.arange(4)).tolist() == [1, 2, 3, 4]
    assert cells_of(Cell(on_off_ratio=4, off_current="analog"), np.arange(4)).tolist() == [
        0, 1, 2, 3,
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["offset", "offset_column", "flipped", "twos_complement"])
def test_what_is_subtracted_digitally_is_subtracted_whole(encoding: str) -> None:
    lines = some_lines(attrs.evolve(SCHEME, encoding=encoding, converter=None))
    device = Device(Cell(on_off_ratio=4, off_current="digital"))
    made = Products([lines], None, Windows(16), device=device)(INPUTS)
    np.testing.assert_allclose(made, Products([lines], None, Windows(16))(INPUTS), atol=1e-2)


def test_a_pair_subtracts_it_by_itself() -> None:
    scheme = attrs.evolve(SCHEME, encoding="differential", subtract="analog", converter=None)
    lines = some_lines(scheme)
    made = Products([lines], None, Windows(16), device=Device(Cell(on_off_ratio=4)))(INPUTS)
    np.testing.assert_allclose(made, Products([lines], None, Windows(16))(INPUTS), atol=1e-2)


# ------------------------------------------------------------------ reads


def read_many(cell: Cell, levels: list[int], input_: int = 3, **changes: object) -> np.ndarray:
    """What many reads of one column of cells give, all rows driven alike, without a converter."""
    scheme = Scheme(encoding="twos_complement", weight_bits=3, cell_bits=2, input_bits=2,
                    dac_bits=2)  # fmt: skip
    scheme = attrs.evolve(scheme, **changes)
    rows = len(levels)
    lines = lines_of(np.array([levels]), scheme, sections_of(rows, rows, rows))
    inputs = np.full((4000, rows), input_)
    return Products([lines], None, Windows(rows), device=Device(cell))(inputs)[:, 0]


def test_a_read_adds_noise_of_every_cell_that_is_driven() -> None:
    """Eight cells, 2 % of 3 levels each, driven by 3: 0.06 x 3 x sqrt(8) in both lines, of which
    the sign's counts 4."""
    made = read_many(Cell(read_noise=0.02), [1] * 8)
    assert made.std() == pytest.approx(0.06 * 3 * 8**0.5 * 17**0.5, rel=0.05)
    assert made.mean() == pytest.approx(24, abs=0.2)


def test_proportional_read_noise_is_of_the_cells_own() -> None:
    made = read_many(Cell(read_noise=0.02, read_noise_kind="proportional"), [1, 2, 3, 0])
    assert made.std() == pytest.approx(0.02 * 3 * 14**0.5, rel=0.05)


def test_steps_that_are_summed_in_analog_are_read_each() -> None:
    made = read_many(
        Cell(read_noise=0.02, read_noise_kind="proportional"), [3, 3], dac_bits=1,
        input_accumulation="analog",
    )  # fmt: skip
    assert made.std() == pytest.approx(0.06 * (1 + 4) ** 0.5 * 2**0.5, rel=0.05)


# ------------------------------------------------------------------ converters


def converted(errors: Errors, sums: list[int], **changes: object) -> list[float]:
    """What a converter of 4 bits, one unit a step from 0, makes of sums."""
    scheme = Scheme(
        encoding="twos_complement", weight_bits=2, cell_bits=1, input_bits=4, dac_bits=4,
        converter=Converter(4),
    )  # fmt: skip
    lines = lines_of(np.array([[1]]), scheme, sections_of(1, 1, 1))
    device = Device(Cell(), errors, **changes)
    path = Products([lines], Ranges.of(0, 1), Windows(1), device=device)
    return path(np.array(sums)[:, None])[:, 0].tolist()


def test_offset_and_gain_move_every_code() -> None:
    sign = -2 * 2  # the column of the sign, which is empty, is off by as much
    assert converted(Errors(offset=2), [0, 5, 15]) == [2 + sign, 7 + sign, 15 + sign]
    assert converted(Errors(gain_error=0.5), [0, 4, 12]) == [0, 6, 15]


def bent(errors: Errors, share: np.ndarray, on: str) -> np.ndarray:
    """By how many steps sums at these shares of a range are moved, by a converter of 11 codes."""
    at, lines = arithmetic(on), some_lines(ONE_LINE, outputs=1)
    how = Conversion(
        Converter(4, "sign_magnitude"), np.full(1, -3.0), np.full(1, 0.5), *[np.zeros(1)] * 3
    )
    periphery = Device(Cell(), errors).realise(lines, Draw()).periphery
    sums = -3 + share * how.span * 0.5
    made = periphery.distorted(at.hold(sums[None].copy()), 0, how, None, at)
    return (at.numbers(made)[0] - sums) / 0.5


@pytest.mark.parametrize("on", ["cpu", "torch"])
def test_a_table_of_deviations_is_joined_by_lines(on: str) -> None:
    errors = Errors(inl_table=(0.0, 3.0, 0.0))
    assert bent(errors, np.array([0, 0.25, 0.5, 1, 2]), on) == pytest.approx([0, 1.5, 3, 0, 0])
    assert converted(errors, [0, 5, 10, 15]) == [0, 7, 12, 15]


@pytest.mark.parametrize("on", ["cpu", "torch"])
def test_a_cubic_deviation_peaks_at_what_is_stated(on: str) -> None:
    curve = bent(Errors(inl=2.0), np.linspace(0, 1, 10001), on)
    assert np.abs(curve).max() == pytest.approx(2, rel=1e-6)
    assert curve[[0, 5000, 10000]] == pytest.approx([0, 0, 0], abs=1e-9)


def test_lines_that_share_a_converter_share_its_errors() -> None:
    scheme = attrs.evolve(SCHEME, encoding="offset")
    lines = some_lines(scheme, outputs=8)
    device = Device(Cell(), Errors(offset_spread=1.0), columns=8, converters=2)
    offsets = device.realise(lines, Draw()).periphery.offsets  # (tiles, 16 lines)
    assert offsets.shape == (2, 16)
    assert len(np.unique(offsets)) == 2 * 2 * 2  # tiles, arrays side by side, converters
    assert (offsets[:, 0] == offsets[:, 3]).all()
    assert (offsets[:, 0] != offsets[:, 4]).all()
    apart = attrs.evolve(device, mux="interleaved").realise(lines, Draw()).periphery.offsets
    assert (apart[:, 0] == apart[:, 2]).all()
    assert (apart[:, 0] != apart[:, 1]).all()


def test_conversions_have_noise_of_their_own() -> None:
    made = np.array(converted(Errors(noise=0.7), [8] * 4000))
    positive = np.std(np.clip(np.rint(8 + 0.7 * RNG.standard_normal(100000)), 0, 15))
    nothing = np.std(np.clip(np.rint(0.7 * RNG.standard_normal(100000)), 0, 15))
    assert made.std() == pytest.approx((positive**2 + 4 * nothing**2) ** 0.5, rel=0.05)


# ------------------------------------------------------------------ chance

ROOT = Path(__file__).resolve().parent.parent
NOISY = Device(
    Cell(program_noise=0.05, read_noise=0.02, stuck_on=0.01), Errors(noise=0.3, gain_spread=0.01)
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=4))
def test_batches_change_nothing(sizes: list[int]) -> None:
    lines, ranges = some_lines(), Ranges.of(0, 1)
    whole = Products([lines], ranges, Windows(16), device=NOISY)(INPUTS)
    path = Products([lines], ranges, Windows(16), device=NOISY)
    ends = np.minimum(np.cumsum([0, *sizes]), len(INPUTS))
    parts = [path(INPUTS[a:b]) for a, b in pairwise(ends) if b > a]
    assert (np.concatenate(parts) == whole[: ends[-1]]).all()


def test_maps_in_batches_and_out_of_order() -> None:
    windows = Windows(9, 1, Geometry((3, 3), padding=(1, 1, 1, 1)))
    lines = some_lines(rows=9)
    maps = RNG.integers(0, 16, (5, 1, 6, 7))
    path = Products([lines], Ranges.of(0, 1), windows, device=NOISY)
    whole = path(maps)
    for image in (3, 0, 4):
        path.next_image = image
        assert (path(maps[image : image + 1]) == whole[image : image + 1]).all()


def test_looking_at_a_run_does_not_change_it() -> None:
    lines, ranges = some_lines(), Ranges.of(0, 1)
    path = Products([lines], ranges, Windows(16), device=NOISY)
    seen, _ = path.counted(INPUTS)
    assert (path(INPUTS) == seen).all()


def test_a_seed_repeats_a_run_and_another_is_another() -> None:
    def run(draw: Draw) -> np.ndarray:
        lines = some_lines()
        return Products([lines], Ranges.of(0, 1), Windows(16), device=NOISY, draw=draw)(INPUTS)

    assert (run(Draw(1, 0, "a")) == run(Draw(1, 0, "a"))).all()
    for other in (Draw(2, 0, "a"), Draw(1, 1, "a"), Draw(1, 0, "b")):
        assert (run(Draw(1, 0, "a")) != run(other)).any()


def test_every_read_is_another() -> None:
    path = Products(
        [some_lines()], Ranges.of(0, 1), Windows(16), device=Device(Cell(read_noise=0.05))
    )
    assert (path(INPUTS) != path(INPUTS)).any()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["offset", "offset_column", "flipped", "differential", "signed_cell"]))
def test_no_noise_is_no_noise(encoding: str) -> None:
    lines, ranges = some_lines(attrs.evolve(SCHEME, encoding=encoding)), Ranges.of(-3, 1.5)
    none = Device(
        Cell(on_resistance=1e4, drift=0.1, off_current="digital"), Errors(inl_table=(0.0, 0.0))
    )
    path = Products([lines], ranges, Windows(16), device=none)
    assert (path(INPUTS) == Products([lines], ranges, Windows(16))(INPUTS)).all()


@st.composite
def devices(draw: st.DrawFn) -> Device:
    strength = st.sampled_from([0.0, 0.0, 0.03, 0.4])
    cell = Cell(
        program_noise=draw(strength),
        program_noise_kind=draw(st.sampled_from(["absolute", "proportional", "lognormal"])),
        program_noise_table=draw(st.sampled_from([(), (), (0.1, 0.0, 0.2, 0.3)])),
        read_noise=draw(strength),
        read_noise_kind=draw(st.sampled_from(["absolute", "proportional"])),
        read_noise_table=draw(st.sampled_from([(), (), (0.1, 0.0, 0.2, 0.3)])),
        stuck_on=draw(strength),
        stuck_off=draw(strength),
        drift=draw(strength),
        drift_spread=draw(strength),
        age=draw(st.sampled_from([1.0, 1e4])),
        drift_compensation=draw(st.booleans()),
        retention_time=draw(st.sampled_from([None, 1e4])),
        on_off_ratio=draw(st.sampled_from([0.0, 3.0, 40.0])),
        off_current=draw(st.sampled_from(["kept", "digital", "analog"])),
        conductance_levels=draw(st.sampled_from([0, 3, 100])),
        wire_resistance=draw(st.sampled_from([0.0, 0.0, 1.0])),
        on_resistance=1000.0,
        wire_model=draw(st.sampled_from(["exact", "fast"])),
    )
    errors = Errors(
        *(draw(strength) for _ in range(6)),
        inl_table=draw(st.sampled_from([(), (), (0.0, 1.0, 0.5)])),
    )
    columns, converters = draw(st.integers(1, 40)), draw(st.integers(1, 9))
    return Device(
        cell, errors, columns, converters, draw(st.sampled_from(["adjacent", "interleaved"]))
    )


@settings(max_examples=80, deadline=None)
@given(schemes(), devices(), st.integers(0, 2**32))
def test_anything_goes_with_anything_in_any_batch_and_place(
    scheme: Scheme, device: Device, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    lines = random_lines(scheme, rng, 11, 3)
    ranges, (low, high) = random_ranges(lines, rng), scheme.input_range
    inputs = rng.integers(low, high + 1, (5, 11))
    whole, counts = Products([lines], ranges, Windows(11), device=device).counted(inputs)
    assert np.isfinite(whole).all()
    assert 0 <= counts.clipped + counts.rounded <= counts.conversions
    path = Products([lines], ranges, Windows(11), device=device)
    assert (np.concatenate([path(inputs[:2]), path(inputs[2:])]) == whole).all()
    elsewhere = Products([lines], ranges, Windows(11), device=device, on="torch")(inputs)
    near = np.isclose(elsewhere, whole, rtol=1e-5, atol=1e-5)
    assert near.all() or device.cell.read_noise or device.errors != Errors()


@settings(max_examples=60, deadline=None)
@given(schemes(), devices(), st.integers(0, 2**32))
def test_digits_of_real_cells_are_converted_as_plain_loops_do(
    scheme: Scheme, device: Device, seed: int
) -> None:
    """Digits are binary fractions: 2^30 times as large they are whole numbers again, and so are all
    results, where ranges and corrections are as much larger."""
    rng = np.random.default_rng(seed)
    lines = random_lines(attrs.evolve(scheme, input_bits=3), rng, 9, 2)
    assume(not lines.reference)
    cell = attrs.evolve(
        device.cell, read_noise=0.0, read_noise_table=(), off_current="kept",
        drift_compensation=False,
    )  # fmt: skip
    still = attrs.evolve(device, cell=cell, errors=Errors())
    ranges, (low, high) = random_ranges(lines, rng), lines.scheme.input_range
    inputs, large = rng.integers(low, high + 1, (3, 9)), 2.0**30
    digits = still.realise(lines, Draw()).digits * large
    assert (digits % 1 == 0).all()
    wider = attrs.evolve(lines, digits=digits.astype(np.int64),
                         correction=lines.correction * int(large))  # fmt: skip
    further = ranges and Ranges(ranges.low * large, ranges.step * large)
    if ranges is not None and scheme.converter is not None:
        wanted = reference.product(inputs, wider, further)
        path = Products([lines], ranges, Windows(9), device=still)
        values, counts = path.counted(inputs)
        np.testing.assert_allclose(values * large, wanted.values, rtol=1e-12)
        assert counts == wanted.counts


def test_a_signed_cell_takes_every_other_entry_of_a_table() -> None:
    scheme = Scheme(encoding="signed_cell", weight_bits=3, cell_bits=3, input_bits=1)
    levels = np.repeat(np.arange(-4, 4), 4000)
    lines = lines_of(levels[None], scheme, sections_of(levels.size, levels.size, levels.size))
    table = tuple(k / 1000 for k in range(8))
    made = Device(Cell(program_noise_table=table)).realise(lines, Draw()).digits[0, 0]
    for level, entry in ((-4, 7), (-2, 4), (3, 5)):
        mine = made[levels == level]
        assert mine.mean() == pytest.approx(level, abs=0.01)
        assert mine.std() == pytest.approx(entry / 1000 * 4, rel=0.05)


# ------------------------------------------------------------------ descriptions

TEXT = """
from std import crossbar, dac, adc
system Real {{
    clock = 1 GHz
    part dac[8]: dac
    part cells: crossbar {{ rows = 8, columns = 8, cell_bits = 2 {cell} }}
    part adc[2]: adc {{ {adc} }}
    connect dac[*] -> cells -> adc[*]
}}
"""


def described(cell: str = "", adc: str = "") -> Device | None:
    system = cimarch.loads(TEXT.format(cell=f", {cell}" if cell else "", adc=adc))
    return device_of(system.part("cells"), system.part("adc"))


def test_what_is_not_stated_is_ideal() -> None:
    assert described() is None
    assert described("on_resistance = 10 kohm, age = 1e6 s") is None
    assert described("device_model = ideal, program_noise = 0") is None


def test_what_is_stated_is_taken() -> None:
    device = described(
        "program_noise = 5 %, stuck_on = 0.001, age = 1 s, retention_time = 3 s, on_off_ratio = 10",
        "offset = -0.5, noise = 0.2, inl_table = [0, -1, 0]",
    )
    assert device == Device(
        Cell(program_noise=0.05, stuck_on=0.001, retention_time=3.0, on_off_ratio=10.0),
        Errors(offset=-0.5, noise=0.2, inl_table=(0.0, -1.0, 0.0)),
        columns=8, converters=2,
    )  # fmt: skip


def test_a_preset_is_what_is_published_and_what_is_stated_replaces_it() -> None:
    pcm = described("device_model = pcm")
    assert pcm is not None
    assert pcm.cell.program_noise_table[3] == pytest.approx((0.26348 + 1.9650 - 1.1731) / 25)
    assert pcm.cell.drift_table == pytest.approx((0.1, 0.049, 0.049, 0.049))
    assert pcm.cell.age == pcm.cell.drift_from == 20
    other = described("device_model = pcm, program_noise = 1 %, age = 3600 s")
    assert other is not None
    assert (other.cell.program_noise, other.cell.program_noise_table) == (0.01, ())
    assert other.cell.read_noise_table == pcm.cell.read_noise_table
    assert other.cell.age == 3600


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_a_source_and_makes_a_device(name: str) -> None:
    preset = PRESETS[name]
    assert name == "ideal" or "read)" in preset.source or "unverified" in preset.source
    device = described(f"device_model = {name}")
    assert (device is None) == (name == "ideal")
    if device is not None:
        lines = some_lines()
        made = Products([lines], Ranges.of(0, 1), Windows(16), device=device)(INPUTS)
        assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("cell", "adc", "code", "told"),
    [
        ("stuck_on = 1.2", "", "E050", "outside 0..1"),
        ("stuck_on = 0.6, stuck_off = 0.5", "", "E070", "more than all cells are stuck"),
        ("program_noise = -0.1", "", "E050", "outside 0..100"),
        ("drift_from = 20 s, age = 1 s", "", "E070", "before their drift begins"),
        ("device_model = rram", "", "E015", "`rram`"),
        ("on_off_ratio = 0.5", "", "E070", "no less than the highest"),
        ("conductance_levels = 1", "", "E070", "holds nothing"),
        ("program_noise_table = [0.1, 0.2]", "", "E330", "has 2 entries, and its cells have 4"),
        ("program_noise_table = [0, 0, 0, -1]", "", "E330", "holds -1, below zero"),
        ("program_noise_table = [0, 0, 0, 1 s]", "", "E330", "holds something that is no number"),
        ("program_noise_table = [0, 0, 0, 1], program_noise = 1", "", "E330", "is stated, and"),
        ("wire_resistance = 2 ohm", "", "E331", "no `on_resistance`"),
        ("device_model = pcm, age = 1 s", "", "E333", "before its drift begins at 20 s"),
        ("", "noise = -1", "E050", "outside 0..1000000"),
        ("", "inl_table = [1]", "E330", "has 1 entry"),
        ("", "inl = 1, transfer = thresholds, bits = 1, thresholds = [0], levels = [-1, 1]",
         "E332", "a non-linearity beside them"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(cell: str, adc: str, code: str, told: str) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        described(cell, adc)
    diagnostic = caught.value.diagnostics[0]
    assert diagnostic.code == code
    assert told in diagnostic.headline
    assert diagnostic.span is not None


# ------------------------------------------------------------------ a trained network


@pytest.fixture(scope="module")
def answers() -> Callable[..., float]:
    """The mean share of digits that a network gets right, with some cells and converters."""
    network = cimarch.read_network("digits")

    def right(trials: int = 1, **stated: float) -> float:
        places = {name: "adc" if name in ("noise", "offset_spread") else "array" for name in stated}
        settings = {f"macro.{places[name]}.{name}": value for name, value in stated.items()}
        system = cimarch.load("bit_serial", set=settings)
        found = cimarch.evaluate(system, network, "digits", images=100, trials=trials, statistics=1)
        return float(np.mean([each.top1.value for each in found.chip]))

    return right


@pytest.mark.parametrize(
    ("name", "strengths"),
    [
        ("program_noise", (0.03, 0.08, 0.3)),
        ("read_noise", (0.05, 0.12, 0.5)),
        ("stuck_off", (0.005, 0.05, 0.3)),
        ("offset_spread", (0.2, 0.5, 3.0)),
        ("noise", (0.3, 0.8, 5.0)),
    ],
)
def test_more_noise_costs_more_and_none_costs_nothing(
    answers: Callable[..., float], name: str, strengths: tuple[float, ...]
) -> None:
    ideal = answers()
    assert answers(**{name: 0.0}) == ideal
    found = [ideal, *(answers(2, **{name: strength}) for strength in strengths)]
    assert all(more <= less + 0.01 for less, more in pairwise(found))  # one image of a hundred
    assert found[0] > found[-1] + 0.4


def test_a_digital_array_has_no_analog_cells() -> None:
    text = """
    from std import digital_array, dac
    system Digital {{
        clock = 1 GHz
        part dac[8]: dac
        part cells: digital_array {{ rows = 8, columns = 8 {cell} }}
        connect dac[*] -> cells
    }}
    """
    stuck = cimarch.loads(text.format(cell=", stuck_on = 0.1")).part("cells")
    assert device_of(stuck) == Device(Cell(stuck_on=0.1), columns=8, converters=8)
    noisy = cimarch.loads(text.format(cell=", program_noise = 0.1")).part("cells")
    with pytest.raises(cimarch.DescriptionError, match="adds in digital") as caught:
        device_of(noisy)
    assert caught.value.diagnostics[0].code == "E334"


def test_the_table_of_devices_is_made_by_its_command() -> None:
    """Two of its numbers, which chance has no part in."""
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "devices.py"))
    network = cimarch.read_network("digits")
    page = (ROOT / "docs" / "functional.md").read_text()
    told = benchmark["cell"](network, "digits", "ideal", "offset", None, 5)
    assert re.search(rf"^ideal +{re.escape(told)} +{re.escape(told)}$", page, re.MULTILINE)
