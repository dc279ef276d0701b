"""What converters, drivers, holds and digital logic are priced at, against published points."""

from __future__ import annotations

from fractions import Fraction

import pytest

import cimarch
from cimarch.hardware.costs import FAMILIES, NODELESS, Estimate, models
from cimarch.hardware.costs.digital import OPERATIONS, full_adders
from cimarch.hardware.costs.hold import BOLTZMANN
from cimarch.hardware.costs.regression import regression_area, regression_energy
from cimarch.hardware.kinds import OPERATION_WORDS
from cimarch.hardware.system import Part
from cimarch.language.pricing import PRICED

KINDS = ("adc", "dac", "sample_hold", "shift_add", "accumulator", "adder_tree", "unit")


def part(text: str, *, node: str = "32 nm", more: str = "") -> Part:
    """The part `p` of a chip whose process is known: `adc { bits = 8 }`."""
    system = cimarch.loads(
        f"""
        from std import crossbar, {", ".join(KINDS)}
        system S {{
            clock = 1 GHz, node = {node}
            {more}
            part x: crossbar {{ area = 1 um^2, leakage = 0 W, action read {{ energy = 1 pJ }} }}
            part p: {text}
        }}
        """
    )
    return system.part("p")


def energy(of: Part) -> float:
    """Femtojoules of the part's one action."""
    (action,) = (a for a in of.actions.values() if a.energy is not None)
    assert action.energy is not None
    return float(action.energy.at()) * 1e15


def area(of: Part) -> float:
    """Square micrometres."""
    return float(of.area) * 1e12


def refusal(text: str, **more: str) -> str:
    with pytest.raises(cimarch.DescriptionError) as caught:
        part(text, **more)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E062"
    return problem.headline


def doubts(of: Part) -> set[str]:
    return {sentence for found in of.estimates.values() for sentence in found.warnings}


# The regression over published converters

TABLE = {
    4: ((0.457, 1828), (0.719, 2660), (0.924, 3274), (0.924, 5190), (3.50, 9860)),
    5: ((0.463, 1835), (0.728, 2671), (0.936, 3287), (0.936, 5211), (3.55, 9900)),
    6: ((0.527, 1907), (0.829, 2776), (1.065, 3417), (1.065, 5416), (4.04, 10289)),
    7: ((0.649, 2030), (1.021, 2954), (1.312, 3637), (1.312, 5765), (4.97, 10951)),
    8: ((0.847, 2199), (1.333, 3200), (1.714, 3939), (1.929, 6469), (6.49, 11862)),
    10: ((1.636, 2678), (2.575, 3896), (3.310, 4796), (16.4, 12275), (12.5, 14443)),
}
"""pJ and um^2 that hwcomponents-adc gives, by bits and, across, by node and rate."""
POINTS = ((22, 1e8), (28, 1e8), (32, 1e8), (32, 1.28e9), (65, 1e8))


@pytest.mark.parametrize("bits", TABLE)
@pytest.mark.parametrize("point", range(5))
def test_the_regression_gives_what_its_public_package_gives(bits: int, point: int) -> None:
    node, rate = POINTS[point]
    picojoules, square_micrometres = TABLE[bits][point]
    found = regression_energy(bits, rate, node)
    digits = 2 if picojoules in (3.50, 3.55, 4.04, 4.97, 6.49) else 3
    assert round(found, digits if picojoules < 10 else 1) == picojoules
    assert regression_area(found, rate, node) == pytest.approx(square_micrometres, abs=0.6)


def test_a_converter_without_costs_is_priced_by_the_regression() -> None:
    converter = part("adc { bits = 8, rate = 1.28 GHz }")
    assert round(energy(converter), 0) == 1929
    assert round(area(converter)) == 6469
    assert float(converter.leakage) == pytest.approx(0.2 * 1.929e-12 * 1.28e9, rel=1e-3)
    assert converter.actions["convert"].origin == "model ADC regression"
    assert doubts(converter) == set()


def test_isaacs_converter_is_as_dear_as_the_regression_says_and_a_fifth_as_large() -> None:
    found = regression_energy(8, 1.28e9, 32)
    assert found / (2e-3 / 1.2e9 * 1e12) == pytest.approx(1.16, abs=0.01)
    assert regression_area(found, 1.28e9, 32) / 1200 == pytest.approx(5.4, abs=0.01)


def test_below_four_bits_a_sense_amplifier_is_priced_unless_the_regression_is_none_of_it() -> None:
    assert part("adc { bits = 4, rate = 1 GHz }").estimates["area"].model == "ADC regression"
    assert part("adc { bits = 3, rate = 1 GHz }").estimates["area"].model == "sense amplifier"


def test_beyond_the_bits_of_compute_in_memory_the_regression_is_warned_of() -> None:
    assert doubts(part("adc { bits = 13, rate = 1 MHz }")) == {
        "`bits` 13 is outside 4..12, what the converters of compute-in-memory span"
    }


@pytest.mark.parametrize(
    ("stated", "watts"),
    [
        ("action convert { energy = 145 fJ }", 0.2 * 145e-15 * 40e6),
        ("action convert { energy = 0 J }", 0),
        ("power = 5 uW", 0.2 * 5e-6),
        ("power = 5 uW, action convert { energy = 145 fJ }", 0.2 * 145e-15 * 40e6),
    ],
)
def test_a_converter_leaks_a_fifth_of_what_it_states_that_it_takes(
    stated: str, watts: float
) -> None:
    # the regression would have it leak 52 uW, nine times what it takes at all
    converter = part(f"adc {{ bits = 8, rate = 40 MHz, area = 310 um^2, {stated} }}", node="65 nm")
    assert float(converter.leakage) == pytest.approx(watts)


# Successive approximation


def test_a_sar_converter_charges_100_femtofarads_a_decision_and_its_capacitors_once() -> None:
    converter = part(
        "adc { bits = 8, rate = 100 MHz, circuit = sar }", node="28 nm", more="voltage = 0.9 V"
    )
    assert energy(converter) == pytest.approx((100 * 8 + 0.001 * 4**8) * 0.81)
    assert area(converter) == pytest.approx(10 ** (1.206 - 0.0369 * 8) * 256)
    assert doubts(converter) == set()


def test_a_bit_more_costs_a_sar_converter_a_decision_and_four_times_the_noise_term() -> None:
    at = {"node": "28 nm", "more": "voltage = 1 V"}
    eight, nine = (
        energy(part(f"adc {{ bits = {bits}, rate = 10 MHz, circuit = sar }}", **at))
        for bits in (8, 9)
    )
    assert nine - eight == pytest.approx(100 + 0.001 * (4**9 - 4**8))


def test_isaacs_converter_lies_within_three_times_the_sar_formula() -> None:
    converter = part("adc { bits = 8, rate = 1.28 GHz, circuit = sar }")
    assert 0.33 < energy(converter) / 1667 < 3
    assert 0.33 < area(converter) / 1200 < 3
    (doubt,) = doubts(converter)
    assert doubt.startswith("10.2 decisions a nanosecond are more than the 1.37 at 32 nm")


def test_no_sar_converter_decides_twenty_times_a_nanosecond() -> None:
    headline = refusal("adc { bits = 10, rate = 4 GHz, circuit = sar }")
    assert headline == (
        "`p` cannot be priced: `rate` of a SAR converter of 10 bits is 4 GHz, 40 decisions a"
        " nanosecond, more than 20"
    )


def test_one_decision_approximates_nothing() -> None:
    assert "`bits` is 1" in refusal("adc { bits = 1, circuit = sar, rate = 1 MHz }")


def test_newtons_converter_lies_between_the_sar_formula_and_the_regression() -> None:
    """9 bits, 3.1 mW at 1.2 GS/s, 1500 um^2."""
    sar, regression = (
        part(f"adc {{ bits = 9, rate = 1.2 GHz, circuit = {circuit} }}")
        for circuit in ("sar", "automatic")
    )
    assert energy(sar) < 3.1e-3 / 1.2e9 * 1e15 < energy(regression)
    assert 1500 < area(sar) < area(regression)


# Comparators


def test_forms_converter_of_four_bits_is_priced_as_a_flash_within_a_fifth() -> None:
    """FORMS (ISCA 2021): 32 converters of 4 bits at 2.1 GS/s: 15.2 mW, 9100 um^2."""
    converter = part("adc { bits = 4, rate = 2.1 GHz, circuit = flash }")
    assert energy(converter) == pytest.approx(15.2e-3 / 32 / 2.1e9 * 1e15, rel=0.2)
    assert area(converter) == pytest.approx(9100 / 32, rel=0.2)


def test_a_flash_converter_has_a_comparator_for_each_step_and_adders_that_count_them() -> None:
    converter = part("adc { bits = 4, rate = 1 GHz, circuit = flash }", node="65 nm")
    found = converter.estimates["convert.energy"]
    assert found.formula == "energy = (2^bits - 1) * comparator + (2^bits - 1 - bits) * adder"
    inputs = dict(found.inputs)
    assert inputs["comparator"] == "41.7 fJ"
    adder = float(inputs["adder"].removesuffix(" fJ"))
    assert energy(converter) == pytest.approx(15 * 41.7 + 11 * adder, rel=1e-5)


def test_a_flash_converter_ends_at_eight_bits() -> None:
    assert "outside 1..6" in "".join(doubts(part("adc { bits = 8, circuit = flash }")))
    assert refusal("adc { bits = 14, rate = 10 GHz, circuit = flash }") == (
        "`p` cannot be priced: `bits` of a flash converter is 14, which takes 16,383 comparators,"
        " and published ones end at 8"
    )


def test_a_sense_amplifier_decides_bit_after_bit() -> None:
    one, three = (
        part(f"adc {{ bits = {bits}, circuit = sense_amplifier }}", node="65 nm") for bits in (1, 3)
    )
    register = float(dict(one.estimates["convert.energy"].inputs)["register"].removesuffix(" fJ"))
    assert energy(one) == pytest.approx(41.7 + register, rel=1e-5)
    assert energy(three) == pytest.approx(3 * energy(one))
    assert area(three) < 2 * area(one)
    assert "more than the 3 that it decides" in refusal(
        "adc { bits = 4, circuit = sense_amplifier }"
    )


def test_neurrams_step_is_priced_as_a_decision_within_a_third() -> None:
    """NeuRRAM, 130 nm at 1.8 V: 0.3 pJ a step (hwcomponents-library, wan.py)."""
    decision = part("adc { bits = 1, circuit = sense_amplifier }", node="130 nm")
    assert energy(decision) == pytest.approx(300, rel=0.34)


# Drivers and holds


def test_a_driver_charges_50_femtofarads_a_bit_at_28_nm() -> None:
    at = {"node": "28 nm", "more": "voltage = 0.9 V"}
    assert energy(part("dac { bits = 1 }", **at)) == pytest.approx(50 * 0.81)
    assert energy(part("dac { bits = 4 }", **at)) == pytest.approx(4 * 50 * 0.81)


def test_isaacs_driver_and_brahms_capacitors_have_their_published_areas() -> None:
    assert area(part("dac { bits = 1 }")) == pytest.approx(170 / 1024)
    assert area(part("dac { bits = 8 }", node="40 nm")) == pytest.approx(438)
    assert area(part("dac { bits = 7 }", node="40 nm")) == pytest.approx(219)


def test_brahms_dac_is_priced_within_three_times_its_energy() -> None:
    """0.32 mW at 1.1 GS/s: 0.291 pJ."""
    assert 1 < energy(part("dac { bits = 8 }", node="40 nm")) / 291 < 3


def test_a_hold_charges_its_capacitor() -> None:
    hold = part("sample_hold { capacitance = 10 fF }", more="voltage = 0.8 V")
    assert energy(hold) == pytest.approx(10 * 0.64)
    assert area(hold) == pytest.approx(5)
    assert hold.leakage == 0


def test_a_hold_without_a_capacitor_is_as_noisy_as_eight_bits() -> None:
    hold = part("sample_hold")
    assert energy(hold) == pytest.approx(12 * BOLTZMANN * 300 * 4**8 * 1e15)


def test_isaacs_hold_is_priced_within_four_times() -> None:
    """10 uW of 1024 over a read of 100 ns: 0.98 fJ."""
    assert 1 < energy(part("sample_hold")) / (10e-6 / 1024 * 100e-9 * 1e15) < 4


# Digital logic


def test_the_published_blocks_cost_what_was_published_at_their_node() -> None:
    tree = part("adder_tree { bits = 32, terms = 2 }", node="40 nm")
    assert (energy(tree), area(tree)) == (pytest.approx(210), pytest.approx(278))
    assert float(tree.leakage) == pytest.approx(2.25e-6)
    compare = part("unit { does = [relu], bits = 32 }", node="40 nm")
    assert (energy(compare), area(compare)) == (pytest.approx(29.47), pytest.approx(71))
    multiply = part("unit { does = [mul], bits = 32 }", node="40 nm")
    assert (energy(multiply), area(multiply)) == (pytest.approx(12_680), pytest.approx(6350))
    sigmoid = part("unit { does = [sigmoid], bits = 16 }")
    assert (energy(sigmoid), area(sigmoid)) == (
        pytest.approx(0.26e-3 / 1.2e9 * 1e15, rel=1e-3),
        pytest.approx(300),
    )


@pytest.mark.parametrize("kind", ["shift_add", "accumulator"])
def test_a_sum_is_added_and_kept(kind: str) -> None:
    adder = part(f"{kind} {{ bits = 16 }}", node="40 nm")
    assert energy(adder) == pytest.approx(16 * (210 / 32 + 9))
    assert area(adder) == pytest.approx(16 * (278 / 32 + 5.98))
    assert float(adder.leakage) * 1e9 == pytest.approx(16 * (2250 / 32 + 74))


def test_isaacs_and_neurrams_shift_adds_lie_around_the_formula() -> None:
    """ISAAC: 0.05 mW at 1.28 GHz, 60 um^2; the formula is up to four times that."""
    isaac = part("shift_add { bits = 16 }")
    assert 1 < energy(isaac) / (0.05e-3 / 1.28e9 * 1e15) < 4
    assert 1 < area(isaac) / 60 < 3


def test_jias_shift_add_is_priced_within_a_factor_of_two() -> None:
    """65 nm, 1.2 V: 2.25 pJ (hwcomponents-library, jia.py)."""
    adder = part("shift_add { bits = 16 }", node="65 nm", more="voltage = 1.2 V")
    assert 0.5 < energy(adder) / 2250 < 1


def test_pumas_alu_of_16_bits_is_priced_within_three_times() -> None:
    """32 nm, 1 GHz: 2.4 mW x 32 / 45, 0.00567 mm^2 x 32 / 45 (puma-simulator, constants.py)."""
    unit = part("unit { does = [any], bits = 16 }")
    assert energy(unit) == pytest.approx(2.4e-3 * 32 / 45 / 1e9 * 1e15, rel=0.25)
    assert 0.33 < area(unit) / (5670 * 32 / 45) < 1


def test_a_tree_has_an_adder_less_than_terms_each_as_wide_as_its_sum() -> None:
    assert full_adders(2, 32) == 32
    assert full_adders(4, 10) == 2 * 9 + 10
    assert full_adders(64, 16) == 32 * 11 + 16 * 12 + 8 * 13 + 4 * 14 + 2 * 15 + 16
    assert full_adders(3, 10) == 9 + 10  # one waits for the level below
    assert (
        full_adders(256, 4) == 128 + 64 + 32 + 16 + 8 * 1 + 4 * 2 + 2 * 3 + 4
    )  # never below a bit


def test_gates_of_28_nm_make_a_full_adder_like_the_scaled_one() -> None:
    """ZigZag-IMC: two XOR of 1.5 and three NAND of 0.7 fF, 2.4 and 1 x 0.614 um^2, at 0.9 V."""
    adder = part("adder_tree { bits = 32, terms = 2 }", node="28 nm", more="transistors = HP")
    assert energy(adder) / 32 == pytest.approx((2 * 1.05 + 3 * 0.7) * 0.81, rel=0.2)
    assert area(adder) / 32 == pytest.approx((2 * 2.4 + 3) * 0.614, rel=0.2)


def test_a_unit_costs_the_dearest_of_what_it_does_and_holds_it_all_in_each_lane() -> None:
    unit = part("unit { does = [relu, mul, add], bits = 32, lanes = 4 }", node="40 nm")
    assert energy(unit) == pytest.approx(12_680)
    assert area(unit) == pytest.approx(4 * (71 + 6350 + 278))
    assert ("dearest", "mul") in unit.estimates["compute.energy"].inputs


def test_a_multiplier_grows_with_the_square_of_its_bits() -> None:
    """8 x 8 bits: 0.79 pJ, where 0.2 pJ are published at 45 nm (Sze et al., 2020)."""
    unit = part("unit { does = [mul], bits = 8 }", node="40 nm")
    assert energy(unit) == pytest.approx(12_680 / 16)


def test_a_unit_that_does_nothing_is_priced_by_nobody() -> None:
    assert part("unit { does = [] }").estimates == {}


def test_every_operation_of_a_unit_has_blocks() -> None:
    assert set(OPERATIONS) == set(OPERATION_WORDS)


# All of them

EXAMPLES = (
    "adc { bits = 8, rate = 100 MHz }",
    "adc { bits = 8, rate = 100 MHz, circuit = sar }",
    "adc { bits = 4, rate = 100 MHz, circuit = flash }",
    "adc { bits = 2, rate = 100 MHz, circuit = sense_amplifier }",
    "dac { bits = 1 }",
    "dac { bits = 4 }",
    "sample_hold { }",
    "shift_add { bits = 16 }",
    "accumulator { bits = 16 }",
    "adder_tree { bits = 16, terms = 16 }",
    "unit { does = [relu, sigmoid], bits = 16 }",
)


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_estimate_can_be_worked_out_again(text: str) -> None:
    for target, found in part(text).estimates.items():
        assert isinstance(found, Estimate)
        assert found.quantity.value > 0, target
        assert "=" in found.formula
        assert {"node"} <= dict(found.inputs).keys()
        assert found.source


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("adc {{ bits = {}, rate = 100 MHz }}", (4, 5, 6, 7, 8, 10, 12)),
        ("adc {{ bits = {}, rate = 10 MHz, circuit = sar }}", (2, 4, 6, 8, 10, 12)),
        ("adc {{ bits = {}, rate = 10 MHz, circuit = flash }}", (1, 2, 3, 4, 6, 8)),
        ("adc {{ bits = {}, rate = 10 MHz, circuit = sense_amplifier }}", (1, 2, 3)),
        ("dac {{ bits = {} }}", (1, 2, 4, 8)),
        ("shift_add {{ bits = {} }}", (8, 16, 32)),
        ("adder_tree {{ bits = {}, terms = 16 }}", (8, 16, 32)),
        ("unit {{ does = [any], bits = {} }}", (8, 16, 32)),
    ],
)
def test_a_bit_more_is_never_cheaper_nor_smaller(text: str, bits: tuple[int, ...]) -> None:
    found = [part(text.format(count)) for count in bits]
    assert sorted(map(energy, found)) == list(map(energy, found))
    assert sorted(map(area, found)) == list(map(area, found))


@pytest.mark.parametrize("text", [e for e in EXAMPLES if "sample_hold" not in e])
def test_a_finer_node_is_never_dearer_nor_larger(text: str) -> None:
    found = [part(text, node=f"{node} nm") for node in (130, 90, 65, 45, 32, 22, 16, 10, 7)]
    assert sorted(map(energy, found), reverse=True) == list(map(energy, found))
    assert sorted(map(area, found), reverse=True) == list(map(area, found))


@pytest.mark.parametrize("text", [e for e in EXAMPLES if e != "adc { bits = 8, rate = 100 MHz }"])
def test_energy_goes_with_the_square_of_the_voltage(text: str) -> None:
    if "sample_hold" in text:
        text = "sample_hold { capacitance = 10 fF }"
    low, high = (energy(part(text, more=f"voltage = {v} V")) for v in ("0.5", "1"))
    assert high == pytest.approx(4 * low)


def test_what_is_stated_wins_over_every_model() -> None:
    converter = part(
        "adc { bits = 8, area = 1200 um^2, leakage = 0 W, action convert { energy = 1.5625 pJ } }"
    )
    assert converter.area == Fraction(12, 10**10)
    assert converter.actions["convert"].origin == "stated"
    assert converter.estimates == {}


@pytest.mark.parametrize(
    "body",
    [
        "bits = 14, rate = 10 GHz, circuit = flash",
        "bits = 12, rate = 4 GHz, circuit = sar",
        "bits = 5, circuit = sense_amplifier",
    ],
)
def test_where_energy_and_area_are_stated_nothing_is_refused(body: str) -> None:
    stated = "area = 1 mm^2, action convert { energy = 1 nJ }"
    converter = part(f"adc {{ {body}, {stated} }}")
    assert set(converter.estimates) == {"leakage"}
    assert "cannot be priced" in refusal(f"adc {{ {body}, area = 1 mm^2 }}")


def test_a_power_that_is_stated_keeps_the_model_of_the_energy_out() -> None:
    converter = part("adc { bits = 8, power = 2 mW }")
    assert converter.actions["convert"].energy is None
    assert set(converter.estimates) == {"area", "leakage"}


def test_every_model_here_needs_a_node() -> None:
    assert all(model.needs_node for kind in KINDS for model in models(kind).values())


def test_every_kind_is_priced_by_the_family_that_it_names() -> None:
    for kind in FAMILIES:
        assert models(kind), kind
        assert all(model.kind == kind for model in models(kind).values())
        assert all(model.needs_node for model in models(kind).values()) == (kind not in NODELESS)
    parameters = {t for kind in FAMILIES for t in models(kind) if "." not in t}
    assert parameters == set(PRICED)
