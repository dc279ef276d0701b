"""Numbers with units: exact values, dimensions that add up, and how they are told."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimarch import units
from cimarch.units import Quantity, UnitError, decimal, read_quantity, show


@pytest.mark.parametrize(
    ("number", "unit", "value", "dimension"),
    [
        ("100", "ns", Fraction(1, 10**7), units.TIME),
        ("1.28", "GHz", Fraction(1_280_000_000), units.FREQUENCY),
        ("1.28", "GSa/s", Fraction(1_280_000_000), units.FREQUENCY),
        ("0.083", "mm^2", Fraction(83, 10**9), units.AREA),
        ("20.7", "mW", Fraction(207, 10**4), units.POWER),
        ("3", "aJ", Fraction(3, 10**18), units.ENERGY),
        ("64", "KiB", Fraction(64 * 1024 * 8), units.DATA),
        ("64", "kB", Fraction(64_000 * 8), units.DATA),
        ("1", "TB", Fraction(8 * 10**12), units.DATA),
        ("3", "bits", Fraction(3), units.DATA),
        ("5", "cycles", Fraction(5), units.CYCLES),
        ("5", "Top/s", Fraction(5 * 10**12), units.FREQUENCY),
        ("50", "%", Fraction(1, 2), units.NUMBER),
        ("85", "degC", Fraction(35815, 100), units.TEMPERATURE),
        ("3", "µA", Fraction(3, 10**6), units.CURRENT),
        ("1e3", "", Fraction(1000), units.NUMBER),
    ],
)
def test_a_quantity_is_read_exactly(
    number: str, unit: str, value: Fraction, dimension: units.Dimension
) -> None:
    assert read_quantity(number, unit) == Quantity(value, dimension)


def test_two_milliwatts_at_1280_megahertz_are_1_5625_picojoules() -> None:
    assert show(read_quantity("2", "mW") / read_quantity("1.28", "GHz")) == "1.5625 pJ"


def test_a_volt_times_an_ampere_is_a_watt() -> None:
    assert read_quantity("2", "V") * read_quantity("3", "mA") == read_quantity("6", "mW")


def test_a_volt_over_an_ohm_is_an_ampere_and_over_a_siemens_is_the_ohm() -> None:
    assert read_quantity("2", "V") / read_quantity("4", "kohm") == read_quantity("500", "uA")
    one = read_quantity("1", "")
    assert one / read_quantity("2", "uS") == read_quantity("500", "kohm")


def test_a_farad_times_a_squared_volt_is_a_joule() -> None:
    assert read_quantity("3", "fF") * read_quantity("2", "V^2") == read_quantity("6", "fJ")


def test_a_cycle_of_1200_megahertz_lasts_five_sixths_of_a_nanosecond() -> None:
    cycles = units.in_seconds(read_quantity("120", "cycles"), Fraction(1_200_000_000))
    assert cycles == read_quantity("100", "ns")
    rate = units.in_seconds(read_quantity("16", "bit/cycle"), Fraction(10**9))
    assert show(rate) == "1.6e+10 bit/s" or rate == read_quantity("16", "Gbit/s")


def test_unlike_quantities_do_not_add_up() -> None:
    with pytest.raises(UnitError, match=r"^cannot add a time and an energy$"):
        read_quantity("1", "ns") + read_quantity("1", "pJ")


def test_roots_and_logarithms_are_exact_where_they_can_be() -> None:
    assert units.square_root(read_quantity("9", "um^2")) == read_quantity("3", "um")
    assert units.square_root(read_quantity("0.25", "")) == read_quantity("0.5", "")
    assert units.logarithm(read_quantity("128", "")) == read_quantity("7", "")
    assert units.logarithm(read_quantity("0.25", "")) == read_quantity("-2", "")


def test_other_roots_are_the_nearest_double() -> None:
    assert units.square_root(read_quantity("2", "")).value == Fraction(2**0.5)


@pytest.mark.parametrize(
    ("base", "exponent", "value"),
    [("2", "10", Fraction(1024)), ("2", "-1", Fraction(1, 2)), ("1", "99999", Fraction(1))],
)
def test_powers_are_exact(base: str, exponent: str, value: Fraction) -> None:
    assert (read_quantity(base, "") ** read_quantity(exponent, "")).value == value


def test_minus_one_to_an_odd_power_is_minus_one() -> None:
    minus = Quantity(Fraction(-1))
    assert (minus ** read_quantity("100001", "")).value == -1
    assert (minus ** read_quantity("100000", "")).value == 1
    assert (minus ** Quantity(Fraction(-7))).value == -1


@pytest.mark.parametrize(
    "compute",
    [
        lambda: read_quantity("10", "") ** read_quantity("1e10", ""),
        lambda: read_quantity("1e999999999", ""),
        lambda: read_quantity("9" * 500, ""),
        lambda: read_quantity("1", "m^99999999999999999"),
        lambda: read_quantity("1", "ns") ** read_quantity("40", ""),
        lambda: read_quantity("1", "ns") / read_quantity("0", ""),
        lambda: units.square_root(read_quantity("1", "ns")),
        lambda: units.logarithm(read_quantity("0", "")),
        lambda: read_quantity("1", "degC/s"),
        lambda: read_quantity("1", "furlong"),
    ],
)
def test_what_has_no_sensible_value_is_refused_at_once(compute: object) -> None:
    assert callable(compute)
    with pytest.raises(UnitError):
        compute()


@pytest.mark.parametrize(
    ("number", "unit", "told"),
    [
        ("0.0228", "m^2", "22800 mm^2"),
        ("22.88", "mm^2", "22.88 mm^2"),
        ("2500", "um^2", "2500 um^2"),
        ("65536", "B", "64 KiB"),
        ("256", "bit", "256 bit"),
        ("256", "B", "256 B"),
        ("0", "ns", "0 s"),
        ("1.2", "GHz", "1.2 GHz"),
        ("3", "pJ/bit", "3e-12 J/bit"),
        ("16128", "", "16128"),
        ("2", "cycles", "2 cycles"),
    ],
)
def test_a_quantity_is_told_as_people_write_it(number: str, unit: str, told: str) -> None:
    assert show(read_quantity(number, unit)) == told


@given(
    st.fractions(min_value=-1000, max_value=1000),
    st.sampled_from(sorted(units.units().keys() - {"degC"})),
)
def test_multiplying_by_a_unit_and_dividing_by_it_changes_nothing(
    value: Fraction, unit: str
) -> None:
    factor = units.read_unit(unit)
    assert Quantity(value) * factor / factor == Quantity(value)


def test_no_unit_is_also_a_word_of_the_language() -> None:
    words = {"in", "is", "or", "and", "not", "if", "else", "let", "from", "part", "param"}
    assert not words & units.units().keys()


def test_what_no_double_holds_is_still_told() -> None:
    assert decimal(Fraction(25 * 10**399)) == "2.5e+400"
    assert decimal(Fraction(-1, 10**400)) == "-1e-400"
