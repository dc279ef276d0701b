"""Descriptions that say something nobody can have meant, and values that are none."""

from __future__ import annotations

import pytest

import cimarch
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.language.reach import left_out

IMPORTS = "from std import crossbar, dac, adc, buffer, link\n"
FOUR = "part xbar[4]: crossbar { rows = 16, columns = 16, cell_bits = 8, encoding = signed_cell }\n"


def chip(members: str, **settings: object) -> cimarch.System:
    text = f"{IMPORTS}system Chip {{\nclock = 1 GHz\n{FOUR}{members}\n}}"
    return cimarch.loads(text, set={k.replace("__", "."): v for k, v in settings.items()})


def mistake(members: str, **settings: object) -> Diagnostic:
    with pytest.raises(DescriptionError) as caught:
        chip(members, **settings)
    return caught.value.diagnostics[0]


def test_a_member_of_a_pool_that_no_converter_reads_is_a_mistake() -> None:
    found = mistake("part adc[2]: adc\nconnect xbar[0..1] -> adc[*]")
    assert found.headline == "nothing is connected to `xbar[2..3]`"


def test_a_member_that_only_its_results_leave_would_be_fed_for_nothing() -> None:
    found = mistake(
        "part maps: buffer { size = 1 KiB }\npart adc[4]: adc\n"
        "connect maps -> xbar[0..2]\nconnect xbar[*] -> adc[*] -> maps"
    )
    assert (found.code, found.headline) == ("E087", "no input reaches the crossbar `xbar[3]`")


def test_several_wires_together_may_reach_all_members() -> None:
    system = chip("part adc[3]: adc\nconnect xbar[0..1] -> adc[0]\nconnect xbar[2..3] -> adc[1..2]")
    assert len(system.links) == 2


@pytest.mark.parametrize(
    ("shape", "boxes", "missing"),
    [
        ((), [()], None),
        ((), [], ()),
        ((4,), [((0, 2),), ((2, 4),)], None),
        ((4,), [((0, 2),), ((3, 4),)], ((2, 3),)),
        ((2, 4), [((0, 2), (0, 2)), ((0, 1), (2, 4))], ((1, 2), (2, 4))),
        ((2, 4), [((0, 1), (0, 4)), ((1, 2), (0, 4))], None),
    ],
)
def test_what_blocks_leave_out_of_an_array(
    shape: tuple[int, ...],
    boxes: list[tuple[tuple[int, int], ...]],
    missing: tuple[tuple[int, int], ...] | None,
) -> None:
    assert left_out(shape, boxes) == missing


def test_the_same_wire_twice_is_one_and_two_widths_are_a_mistake() -> None:
    maps = "part maps: buffer { size = 1 KiB }\nconnect maps -> xbar[*] -> maps\n"
    assert chip(maps + "connect maps -> xbar[*]").links
    found = mistake(maps + "connect maps -> xbar[*] { width = 8 bit }")
    assert found.headline == "`maps` and `xbar` are connected twice, with different options"
    both = "part maps: buffer { size = 1 KiB }\npart port: link\nconnect maps -> xbar[*] -> maps\n"
    found = mistake(both + "connect maps <-> port { width = 4 bit }\nconnect port -> maps")
    assert found.code == "E085"


def test_sizes_that_nothing_real_has_are_refused_before_they_overflow() -> None:
    assert mistake("", clock="1e400 GHz").code == "E052"
    assert mistake("", xbar__leakage="1e400 W").code == "E052"
    assert mistake("", xbar__read__energy="1e-400 J").code == "E052"
    found = mistake("", xbar__area="1e400 m^2")
    assert found.headline.endswith("`area` of `xbar` is 1e+406 mm^2, larger than 1e+30 in SI units")


@pytest.mark.parametrize("settings", [["xbar.rows"], {3: 4}, {None: 4}, 7])
def test_settings_that_are_no_values_by_path_are_told(settings: object) -> None:
    with pytest.raises(DescriptionError) as caught:
        cimarch.loads(f"{IMPORTS}system Chip {{\nclock = 1 GHz\n{FOUR}}}", set=settings)  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "E040"


def test_a_value_that_goes_on_is_told_where_it_should_end() -> None:
    assert mistake("", xbar__rows="3\n+ 4").headline.endswith("expected the end, found `+`")


@pytest.mark.parametrize(
    ("written", "meant"), [("Kb", "`kB` or `KB`"), ("mB", "`MB`"), ("GHZ", "`GHz`")]
)
def test_a_unit_in_other_letters_is_recognised(written: str, meant: str) -> None:
    assert mistake(f"let size = 13 {written}").helps == (f"did you mean {meant}?",)
