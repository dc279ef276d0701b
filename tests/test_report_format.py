"""Numbers for people: four digits, a prefix, a unit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimarch.report import format as f


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2345e-5, "12.35 us"),
        (0.0, "0 s"),
        (1.0, "1.000 s"),
        (999.96, "1.000 ks"),
        (9.9996, "10.00 s"),
        (99.996, "100.0 s"),
        (-2e-9, "-2.000 ns"),
        (3e-18, "0.003000 fs"),
        (5e16, "50,000 Ts"),
        (None, "not known"),
        (math.nan, "not known"),
    ],
)
def test_a_quantity_has_four_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert f.quantity(value, "s") == text


@given(st.floats(1e-14, 1e14))
def test_a_quantity_is_true_to_four_digits(value: float) -> None:
    digits, unit = f.quantity(value, "J").split()
    scale = {unit_: 10.0**e for e, unit_ in ((e, f"{p}J") for e, p in f._PREFIXES.items())}
    assert float(digits.replace(",", "")) * scale[unit] == pytest.approx(value, rel=5.1e-4)
    assert 1 <= float(digits) < 1000


@pytest.mark.parametrize(
    ("value", "text"),
    [(85.42e-6, "85.42 mm^2"), (200e-12, "200.0 um^2"), (0.0, "not known"), (1e-2, "10,000 mm^2")],
)
def test_an_area_is_in_square_millimetres_or_micrometres(value: float, text: str) -> None:
    assert f.area(value) == text


def test_counts_percents_and_plurals() -> None:
    assert f.count(1234567) == "1,234,567"
    assert f.percent(0.1234) == "12.3 %"
    assert f.plural(1, "group") == "1 group"
    assert f.plural(1024, "cycle") == "1,024 cycles"
