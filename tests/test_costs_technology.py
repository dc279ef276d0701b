"""Technology nodes: what the table says, what lies between its nodes, and the rules of scaling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cimarch
from cimarch.hardware.costs import technology as t
from cimarch.hardware.costs.technology import reference


def test_a_figure_stays_as_it_is_in_its_own_technology() -> None:
    here = reference(40, "HP")
    assert t.scale_energy(0.21, 40, here) == 0.21
    assert t.scale_area(278, 40, here) == 278
    assert t.scale_leakage(2.4, 40, here) == 2.4


def test_energy_goes_with_the_square_of_the_voltage() -> None:
    half, full = reference(65, "HP", voltage=0.5), reference(65, "HP", voltage=1.0)
    assert t.scale_energy(8, full, half) == pytest.approx(2)


def test_energy_from_90_to_45_nanometres_by_the_values_of_cacti() -> None:
    # 45 x 0.728 fF x (1.0 V)^2 over 90 x 0.744 fF x (1.2 V)^2 = 32.76 / 96.4224
    assert t.scale_energy(96.4224, 90, reference(45, "HP")) == pytest.approx(32.76)


def test_area_from_65_to_32_nanometres_by_the_table_of_stillmaker_and_baas() -> None:
    assert t.scale_area(3.3, 65, reference(32)) == pytest.approx(1)


def test_below_twenty_nanometres_area_shrinks_less_than_the_square_of_the_name() -> None:
    assert t.scale_area(1, 20, reference(7)) == pytest.approx(0.13 / 0.46)
    assert t.scale_area(1, 20, reference(7)) > 2 * (7 / 20) ** 2


def test_leakage_goes_through_the_currents_at_300_and_360_kelvin() -> None:
    # 65 nm LOP: 4.9 nA and 20.9 nA of a micrometre
    cold, warm = reference(65, temperature=300), reference(65, temperature=360)
    assert t.scale_leakage(49, cold, warm) == pytest.approx(209)
    middle = reference(65, temperature=330)
    assert t.scale_leakage(1, cold, middle) == pytest.approx((20.9 / 4.9) ** 0.5)


def test_leakage_goes_with_the_voltage() -> None:
    low, high = reference(65, voltage=0.6), reference(65, voltage=1.2)
    assert t.scale_leakage(1, low, high) == pytest.approx(2)


def test_between_two_nodes_both_axes_are_logarithmic() -> None:
    assert t.interpolate(20, {10: 1, 40: 16}) == pytest.approx(4)
    assert t.interpolate(80, {10: 1, 20: 2, 40: 4}) == pytest.approx(8)


@given(st.floats(7, 180), st.floats(7, 180), st.sampled_from(["HP", "LOP"]))
def test_a_smaller_node_never_takes_more_energy_or_area(a: float, b: float, kind: str) -> None:
    small, large = (reference(n, kind) for n in sorted((a, b)))
    assert t.scale_energy(1, large, small) <= 1 + 1e-9
    assert t.scale_area(1, large, small) <= 1 + 1e-9


@given(st.floats(5, 250), st.floats(5, 250), st.floats(0.4, 2), st.floats(250, 420))
def test_there_and_back_is_where_it_was(a: float, b: float, volts: float, kelvin: float) -> None:
    one, other = reference(a), reference(b, voltage=volts, temperature=kelvin)
    for scale in (t.scale_energy, t.scale_area, t.scale_leakage):
        assert scale(scale(3, one, other), other, one) == pytest.approx(3)


def test_a_gate_at_28_nanometres_is_the_published_one() -> None:
    assert t.gate_capacitance(reference(28)) == pytest.approx(0.7)
    assert t.gate_area(reference(28)) == pytest.approx(0.614)
    # 65 nm LOP: 2.5 x 0.065 um x 4.9 nA/um x 0.8 V
    assert t.gate_leakage(reference(65)) == pytest.approx(0.637)


def test_one_node_outside_the_table_is_one_warning_at_its_line() -> None:
    system = cimarch.loads("""
        from std import crossbar, adc
        system Tiny {
            clock = 1 GHz
            node = 5 nm
            part cells: crossbar { device = ReRAM, action read { latency = 10 ns } }
            part adc: adc { rate = 1 GHz }
            connect cells -> adc
        }
        """)
    (warning,) = system.warnings
    assert warning.headline.startswith("`cells`, `adc`: node 5 nm is outside 7..180 nm")
    assert warning.span is not None
    assert warning.span.line == 5
