"""The language: what a description means, told in small ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cimarch import share
from cimarch.diagnostics import DescriptionError
from cimarch.hardware.system import Part, System
from cimarch.language import load, loads
from cimarch.units import Quantity, read_quantity

NAMES = (
    "crossbar, dac, sample_hold, adc, shift_add, accumulator, unit, buffer, dram, host, "
    "bus, link, mesh, htree, digital_array"
)


def chip(members: str, components: str = "", **settings: object) -> System:
    """A system with a crossbar `array` (nothing is linked unless a member says so)."""
    text = f"""from std import {NAMES}
{components}
system Chip {{
    clock = 1 GHz
    part array: crossbar
{members}
}}"""
    return loads(text, set={k.replace("__", "."): v for k, v in settings.items()})


def mistakes(members: str, components: str = "", **settings: object) -> list[str]:
    """The codes of what is wrong with such a system."""
    with pytest.raises(DescriptionError) as caught:
        chip(members, components, **settings)
    return [problem.code for problem in caught.value.diagnostics]


def value(system: System, path: str) -> object:
    """A parameter by its path."""
    place, _, name = path.rpartition(".")
    found = system.part(place).params[name]
    return found.value if isinstance(found, Quantity) else found


def of(expression: str) -> object:
    """The value of an expression, read as a parameter of a system."""
    return value(chip(f"    param x = {expression}"), "x")


# ------------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("-2^2", -4),
        ("2^-1", Fraction(1, 2)),
        ("2^3^2", 512),
        ("7 - 2 - 1", 4),
        ("12 / 4 / 3", 1),
        ("ceil(5 / 2)", 3),
        ("floor(5 / 2)", 2),
        ("min(3, 2, 4)", 2),
        ("max(3 ns, 2 cycle)", Fraction(3, 10**9)),
        ("log2(1024)", 10),
        ("sqrt(16 um^2) / 1 um", 4),
        ("50 %", Fraction(1, 2)),
        ("85 degC", Fraction(35815, 100)),
        ("-40 degC", Fraction(23315, 100)),
        ("3 if true and not false else 4", 3),
        ("3 if 1 > 2 or 2 != 2 else 4", 4),
        ("1 if 2 cycle == 2 ns else 0", 1),
        (".5", Fraction(1, 2)),
        ("1e3", 1000),
        ("true", True),
        ('"some text"', "some text"),
    ],
)
def test_an_expression_has_its_exact_value(expression: str, expected: object) -> None:
    assert of(expression) == expected


def test_a_list_holds_values_with_their_units() -> None:
    found = chip("    param levels = [0.1, 2 uS, [1, 2]]").root.params["levels"]
    assert found == (
        read_quantity("0.1", ""),
        read_quantity("2", "uS"),
        (read_quantity("1", ""), read_quantity("2", "")),
    )


def test_a_cycle_is_one_of_the_clock_of_the_part_that_it_is_for() -> None:
    system = chip("""
    part slow: unit { clock = 100 MHz, ii = 3 cycle }
    part fast: unit { ii = 3 cycle }""")
    assert system.part("slow").number("ii") == Fraction(30, 10**9)
    assert system.part("fast").number("ii") == Fraction(3, 10**9)


def test_a_part_has_the_clock_of_what_holds_it_unless_it_has_its_own() -> None:
    components = "component Tile {\n clock = 500 MHz\n part b: buffer { size = 1 KiB }\n}"
    system = chip("    part tile: Tile", components)
    assert system.clock == 10**9
    assert system.part("array").clock == 10**9
    assert system.part("tile.b").clock == 500 * 10**6


def test_a_beat_holds_for_everything_inside() -> None:
    components = "component Tile {\n beat = 100 ns\n part b: buffer { size = 1 KiB }\n}"
    system = chip("    part tile[2]: Tile", components)
    assert system.part("tile.b").beat == Fraction(1, 10**7)
    assert system.part("array").beat is None
    assert "beat" not in system.part("tile.b").params


# ---------------------------------------------------------------- lines and commas


def test_a_line_goes_on_after_an_operator_in_brackets_and_before_else() -> None:
    system = chip("""
    param a = 1 +
        2
    param b = (1
        + 2)
    param c = [1,
        2]
    assert a == b       # a remark between
        # another
        else "they differ"
    part in1: buffer { size = 1 KiB }
    connect in1
        -> array
""")
    assert value(system, "a") == value(system, "b") == 3
    assert len(system.links) == 1


def test_a_comma_ends_a_member_as_a_newline_does() -> None:
    one = chip("    part b: buffer { size = 1 KiB, width = 32 bit }")
    two = chip("    part b: buffer {\n size = 1 KiB\n width = 32 bit\n }")
    assert one.part("b").params == two.part("b").params


def test_line_ends_and_a_byte_order_mark_do_not_matter() -> None:
    text = "from std import crossbar\nsystem A {\n clock = 1 GHz\n part x: crossbar\n}\n"
    expected = loads(text).root.params
    assert loads("\ufeff" + text.replace("\n", "\r\n")).root.params == expected


# ---------------------------------------------------------------------- parameters


def test_values_are_late_so_that_word_lines_follow_rows() -> None:
    assert chip("", array__rows=64).part("array").integer("word_lines") == 64


MACRO = """
component Macro {
    param rows in 16..1024 = 256
    let half = rows / 2
    part array: crossbar { rows = rows, word_lines = half }
    part adc[half]: adc { bits = 5 }
}
"""


def test_the_right_side_is_read_where_it_is_written() -> None:
    system = chip("    part macro: Macro { rows = 128 }", MACRO)
    assert system.part("macro.array").integer("rows") == 128
    assert system.part("macro.array").integer("word_lines") == 64
    assert system.part("macro.adc").shape == (64,)


def test_a_setting_from_outside_reaches_everything_that_follows() -> None:
    system = chip("    part macro[3]: Macro", MACRO, macro__rows="2 * 64")
    assert system.part("macro.adc").count == 3 * 64
    assert system.overrides[0].path == "macro.rows"


def test_a_constant_of_the_enclosing_component_may_be_set_from_outside() -> None:
    system = chip("    part macro: Macro", MACRO, macro__adc__bits=6)
    assert system.part("macro.adc").integer("bits") == 6


def test_what_the_enclosing_component_binds_may_not() -> None:
    assert mistakes("    part macro: Macro", MACRO, macro__array__rows=512) == ["E044"]


def test_a_part_of_a_part_is_set_by_its_path() -> None:
    system = chip("    part macro: Macro { adc.bits = 7 }\n    macro.adc.rate = 2 GHz", MACRO)
    assert system.part("macro.adc").integer("bits") == 7
    assert system.part("macro.adc").number("rate") == 2 * 10**9


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (0.1, Fraction(1, 10)),
        (7, 7),
        (Fraction(1, 3), Fraction(1, 3)),
        ("1 / 3", Fraction(1, 3)),
        (np.float64(0.25), Fraction(1, 4)),
        (np.int64(5), 5),
        (read_quantity("3", ""), 3),
        (True, True),
        ("true", True),
        ("x + 1", 3),
    ],
)
def test_a_setting_may_be_text_or_a_python_value(given: object, expected: object) -> None:
    declared = "    param y = true" if expected is True else "    param y = 0"
    assert value(chip(f"    param x = 2\n{declared}", y=given), "y") == expected


def test_a_setting_of_words_or_of_a_path_needs_no_quotes() -> None:
    members = "    part act: unit\n    part b: buffer { size = 1 KiB }"
    system = chip(members, act__does=["relu", "tanh"], array__home="b", array__device="PCM")
    assert system.part("act").params["does"] == ("relu", "tanh")
    assert system.part("array").word("home") == "b"
    assert system.part("array").word("device") == "PCM"


@pytest.mark.parametrize("given", [float("nan"), float("inf"), None, {}, object(), 10**500])
def test_a_setting_without_a_form_in_the_language_is_told(given: object) -> None:
    assert mistakes("", array__rows=given) == ["E045"]


def test_a_choice_takes_only_its_words_and_a_parameter_that_has_one_of_them() -> None:
    components = """
component Array is crossbar {
    param style in offset | flipped = flipped
    encoding = style
}"""
    system = chip("    part other: Array\n    assert other.encoding == flipped", components)
    assert system.part("other").word("encoding") == "flipped"


def test_an_optional_parameter_that_is_not_set_is_not_there() -> None:
    system = chip("    part d: dram")
    assert "size" not in system.part("d").params
    assert system.part("d").number("width") == 64


def test_what_the_description_states_is_told_from_what_the_library_assumes() -> None:
    part = chip("    part a: adc { bits = 6 }").part("a")
    assert "bits" in part.stated
    assert "rate" not in part.stated


# --------------------------------------------------------------------- inheritance


def test_a_component_keeps_what_it_derives_from_and_adds_to_it() -> None:
    components = """
component Small is crossbar {
    param spare = 2
    rows = 64
    action read { latency = 10 ns, energy = 3 pJ }
}
component Smaller is Small {
    rows = 32
    action read { energy = 2 pJ }
}"""
    part = chip("    part other: Smaller", components).part("other")
    assert (part.kind, part.type_name) == ("crossbar", "Smaller")
    assert part.integer("rows") == 32
    assert part.integer("spare") == 2
    read = part.actions["read"]
    assert read.latency is not None
    assert read.energy is not None
    assert (read.latency.at(), read.energy.at()) == (Fraction(1, 10**8), Fraction(2, 10**12))


def test_a_system_may_be_a_corner_of_another(tmp_path: Path) -> None:
    file = tmp_path / "chip.cimarch"
    file.write_text("""
from std import crossbar
system Chip {
    clock = 1 GHz
    part array: crossbar
}
system Low is Chip { clock = 500 MHz, array.rows = 64 }
""")
    low = load(f"{file}:Low")
    assert (low.name, low.clock) == ("Low", 5 * 10**8)
    assert low.part("array").integer("rows") == 64
    assert load(f"{file}:Chip").part("array").integer("rows") == 128


def test_the_system_that_all_others_extend_is_the_one_without_a_name(tmp_path: Path) -> None:
    file = tmp_path / "chip.cimarch"
    file.write_text("""
from std import crossbar
system Low is Chip { clock = 500 MHz }
system Lowest is Low { clock = 100 MHz }
system Chip {
    clock = 1 GHz
    part array: crossbar
}
""")
    assert load(str(file)).name == "Chip"


def test_imports_look_beside_the_file_then_in_the_library(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "sram.cimarch").write_text(
        "from std import crossbar\ncomponent Sram is crossbar { rows = 64 }\n"
    )
    main = tmp_path / "main.cimarch"
    main.write_text("""
from cells.sram import Sram
from parts.isaac import Adc
system A {
    clock = 1 GHz
    part array: Sram
    part adc: Adc
    part other: std.crossbar
    connect array -> adc
    connect other -> adc
}
""")
    system = load(main)
    assert system.part("array").integer("rows") == 64
    assert system.part("adc").type_name == "Adc"
    assert len(system.sources) == 4


# --------------------------------------------------------------------------- costs


def test_a_cost_may_use_the_other_costs_of_its_action() -> None:
    components = """
component Array is crossbar {
    power = 2 mW
    action read { latency = 100 ns, energy = power * latency }
}"""
    energy = chip("    part other: Array", components).part("other").actions["read"].energy
    assert energy is not None
    assert energy.at() == Fraction(2, 10**10)


def test_a_cost_may_depend_on_what_runs() -> None:
    components = """
component Array is crossbar {
    action read {
        latency = steps * 2 cycle
        energy = 0.5 fJ * active_rows * active_columns * input_density + 1 pJ * latency / 1 ns
    }
}"""
    read = chip("    part other: Array", components).part("other").actions["read"]
    assert read.latency is not None
    assert read.energy is not None
    assert read.latency.needs == {"steps"}
    assert read.energy.needs == {"active_rows", "active_columns", "input_density", "steps"}
    running = {
        "active_rows": Fraction(64),
        "active_columns": Fraction(10),
        "input_density": Fraction(1, 2),
        "steps": Fraction(4),
    }
    assert read.latency.at(running) == Fraction(8, 10**9)
    assert read.energy.at(running) == Fraction(160 + 8000, 10**15)


def test_a_formula_that_fails_in_a_run_is_told_there() -> None:
    components = """
component Array is crossbar {
    action read { energy = 1 fJ / (active_rows - 3) }
}"""
    energy = chip("    part other: Array", components).part("other").actions["read"].energy
    assert energy is not None
    with pytest.raises(DescriptionError, match="division by zero"):
        energy.at({"active_rows": Fraction(3)})
    with pytest.raises(DescriptionError, match="below zero"):
        energy.at({"active_rows": Fraction(2)})


def test_an_action_in_the_body_of_a_part_reads_names_where_it_is_written() -> None:
    system = chip("""
    param each = 3 ns
    part other: crossbar { action read { latency = each } }""")
    latency = system.part("other").actions["read"].latency
    assert latency is not None
    assert latency.at() == Fraction(3, 10**9)


def test_a_cost_can_be_set_from_outside() -> None:
    latency = chip("", array__read__latency="8 ns").part("array").actions["read"].latency
    assert latency is not None
    assert latency.at() == Fraction(8, 10**9)


def test_an_action_that_states_nothing_costs_nothing_known() -> None:
    read = chip("").part("array").actions["read"]
    assert (read.latency, read.energy) == (None, None)


def test_a_table_holds_the_numbers_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "levels.csv").write_text("1.5 uS\n3 uS\n")
    (tmp_path / "grid.csv").write_text("1,2\n3,4\n")
    main = tmp_path / "main.cimarch"
    main.write_text("""
from std import crossbar
system A {
    clock = 1 GHz
    param levels = table "levels.csv"
    param grid = table "grid.csv"
    part array: crossbar
}
""")
    params = load(main).root.params
    assert params["levels"] == (read_quantity("1.5", "uS"), read_quantity("3", "uS"))
    assert params["grid"] == tuple(
        tuple(Quantity(Fraction(n)) for n in row) for row in ((1, 2), (3, 4))
    )


@pytest.mark.parametrize("text", ["", "1\nx\n", "1 parsec\n", "é".encode("latin-1")])
def test_a_table_without_numbers_is_told(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    main = tmp_path / "main.cimarch"
    main.write_text(
        "from std import crossbar\nsystem A {\n clock = 1 GHz\n part x: crossbar\n"
        ' param t = table "t.csv"\n}'
    )
    with pytest.raises(DescriptionError) as caught:
        load(main)
    assert [p.code for p in caught.value.diagnostics] == ["E059"]


# ---------------------------------------------------------------------- assertions


def test_total_sums_over_every_member_inside() -> None:
    components = """
component Tile {
    area = 5 um^2
    part b[3]: buffer { size = 1 KiB, area = 2 um^2, leakage = 1 uW }
    assert total(area) == 11 um^2
    assert total(b.area) == 6 um^2
    assert total(leakage) == 3 uW
}"""
    system = chip("    part tile[4]: Tile\n    assert total(area) == 44 um^2", components)
    assert system.total("area") == Fraction(44, 10**12)


def test_an_assertion_reads_the_cost_of_a_part() -> None:
    components = "component Array is crossbar { action read { latency = 100 ns } }"
    chip("    part other: Array\n    assert other.read.latency == 100 cycle", components)
    members = "    part other: Array\n    assert other.read.latency < 100 cycle"
    assert mistakes(members, components) == ["E070"]


# --------------------------------------------------------------------------- links


def ends(system: System) -> list[tuple[str, str]]:
    return [
        (f"{x.source.path}.{x.source.name}", f"{x.target.path}.{x.target.name}")
        for x in system.links
    ]


def test_a_chain_is_a_link_for_each_arrow_and_ports_follow_the_kind() -> None:
    system = chip("""
    part input: buffer { size = 1 KiB }
    part noc: bus
    part adc: adc
    connect input -> noc -> array -> adc -> noc
    connect noc -> array.write""")
    assert ends(system) == [
        ("input.out", "noc.any"),
        ("noc.any", "array.in"),
        ("array.out", "adc.in"),
        ("adc.out", "noc.any"),
        ("noc.any", "array.write"),
    ]


def test_indices_select_members_inclusively() -> None:
    system = chip("""
    part b[8]: buffer { size = 1 KiB }
    part n[2, 3]: buffer { size = 1 KiB }
    connect b[2..5] -> n[1, 0..1]
    connect b[*] -> array
    connect b[7] -> n[0, 2]
    connect n[*, *] -> array""")
    first, second, third, _ = system.links
    assert first.source.selection == ((2, 6),)
    assert first.target.selection == ((1, 2), (0, 2))
    assert second.source.selection == ((0, 8),)
    assert third.target.selection == ((0, 1), (2, 3))


def test_a_selection_has_an_index_for_every_array_on_the_way() -> None:
    components = "component Tile {\n part b[2]: buffer { size = 1 KiB }\n}"
    system = chip(
        "    part tile[3]: Tile\n"
        "    connect tile[*].b[1] -> array\n    connect tile[*].b[0] -> array",
        components,
    )
    assert system.links[0].source.selection == ((0, 3), (1, 2))
    assert system.links[0].scope == ""


def test_the_body_of_a_connect_holds_for_all_its_arrows() -> None:
    system = chip("""
    part b: buffer { size = 1 KiB }
    part adc[4]: adc
    connect b <-> b2 { width = 2 * 32 bit }
    part b2: buffer { size = 1 KiB }
    connect array -> adc[*] -> b { share = any }""")
    assert (system.links[0].width, system.links[0].both) == (64, True)
    assert [x.share for x in system.links] == [False, True, True]


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [(8, 8, True), (8, 2, True), (2, 8, True), (1, 7, True), (8, 3, False), (6, 4, False)],
)
def test_counts_pair_or_divide(source: int, target: int, fits: bool) -> None:
    members = f"""
    part a[{source}]: buffer {{ size = 1 KiB }}
    part b[{target}]: buffer {{ size = 1 KiB }}
    connect a[*] -> b[*]
    connect b[0] -> array"""
    if fits:
        assert len(chip(members).links) == 2
    else:
        assert mistakes(members) == ["E083"]


# ----------------------------------------------------------------------- whole files


def test_all_problems_of_a_file_come_in_one_go_sorted_by_position() -> None:
    with pytest.raises(DescriptionError) as caught:
        chip("    array.rows = 0\n    array.area = 3\n    part b: buffer { size = 2 ns }")
    lines = [p.span.line for p in caught.value.diagnostics if p.span]
    assert [p.code for p in caught.value.diagnostics] == ["E050", "E030", "E030"]
    assert lines == sorted(lines)


def test_a_mistake_in_a_component_is_told_once_however_many_parts_have_it() -> None:
    components = "component Tile { part b: buffer { size = 0 bit } }"
    assert mistakes("    part x: Tile\n    part y: Tile\n    part z[5]: Tile", components) == [
        "E052"
    ]


def test_a_component_that_is_not_used_is_checked_for_its_names() -> None:
    assert mistakes("", "component Spare is crossbar { rows = lines }") == ["E015"]


ARCHITECTURES = sorted(p.stem for p in share.folder("architectures").glob("*.cimarch"))


@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if n != "std"])
def test_every_architecture_that_comes_along_loads(name: str) -> None:
    system = load(name)
    assert isinstance(system.root, Part)
    assert system.of_kind("crossbar", "digital_array")


def test_a_name_and_its_place_in_the_library_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "isaac").mkdir()  # a folder of results does not hide the architecture
    assert load("isaac").sources == load("architectures/isaac.cimarch").sources
    assert load("isaac").sources[0][0] == "architectures/isaac.cimarch"


def test_reading_twice_gives_the_same() -> None:
    one, two = load("isaac"), load("isaac")
    assert one.sources == two.sources
    assert [p.params for p in one.walk()] == [p.params for p in two.walk()]
    assert one.links == two.links


def test_straight_lines_between_measured_points() -> None:
    system = loads(
        """
        from std import crossbar, adc
        system Measured {
            clock = 1 GHz
            input_bits = 2
            param bits = 1.5
            part cells: crossbar
            part adc: adc {
                action convert { energy = interpolate(input_bits, [1, 2, 4], [3 pJ, 5 pJ, 8 pJ]) }
            }
            connect cells -> adc
            assert interpolate(bits, [1, 2, 4], [3 pJ, 5 pJ, 8 pJ]) == 4 pJ
            assert interpolate(4 ns, [4 ns, 8 ns], [0.5, 1]) == 0.5
            assert exp(0) == 1 and ln(1) == 0 and floor(1000 * ln(exp(2)) + 0.5) == 2000
        }
        """
    )
    energy = system.part("adc").actions["convert"].energy
    assert energy is not None
    assert energy.at({"input_bits": Fraction(3)}) == Fraction(65, 10**13)


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        ("interpolate(5, [1, 2], [3, 4])", "E056", "outside 1..2"),
        ("interpolate(1, [1, 2], [3])", "E058", "2 places and 1 values"),
        ("interpolate(1, [2, 1], [3, 4])", "E058", "do not ascend"),
        ("interpolate(1 ns, [1, 2], [3, 4])", "E055", "mixes"),
        ("interpolate(1, [1, 2])", "E058", "a number and two lists, not 2"),
        ("interpolate(1, 1, 2)", "E058", "lists of numbers"),
        ("ln(0)", "E056", "not positive"),
        ("exp(100000)", "E056", "beyond the range of a double"),
    ],
)
def test_a_function_that_has_no_value_is_told(call: str, code: str, told: str) -> None:
    text = (
        f"from std import crossbar\nsystem S {{ clock = 1 GHz, part x: crossbar, let y = {call} }}"
    )
    with pytest.raises(DescriptionError) as caught:
        loads(text)
    found = next(d for d in caught.value.diagnostics if d.code != "E087")
    assert (found.code, told in found.headline) == (code, True), found.headline


def test_a_component_may_take_names_that_only_cost_models_read() -> None:
    """A part `node`, a count `node`, a voltage of its own: what encloses it still prices it."""
    system = loads(
        """
        from std import crossbar, adc, buffer, unit
        component Node {
            param node: count = 3
            param voltage: voltage = 0.85 V
            part cells: crossbar { area = 100 um^2 * node }
            part adc: adc { rate = 1 GHz }
            connect cells -> adc
        }
        component Mine is unit { param bits = 4 bit }
        system Mesh {
            clock = 1 GHz
            node = 32 nm
            param voltage: voltage = 0.9 V
            part node[4]: Node
            part mine: Mine
            connect node[*].adc -> mine
            assert voltage == 0.9 V and node.voltage == 0.85 V and node.node == 3
        }
        """
    )
    converter = system.part("node.adc")
    assert converter.params["node"] == Quantity(Fraction(32, 10**9), (0, 0, 1, 0, 0, 0, 0))
    assert converter.number("voltage") == Fraction(85, 100)
    assert converter.estimates["area"].inputs[2] == ("node", "32 nm")
    assert ("bits", "16") in system.part("mine").estimates["compute.energy"].inputs
    assert system.warnings == ()
