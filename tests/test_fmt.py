"""The layout of descriptions: what is canonical, and that nothing else changes."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mutations
import random_texts
from cimarch import DescriptionError, share
from cimarch.cli import main
from cimarch.language.format import format_text
from fmt_laws import check_laws

ARCHITECTURES = sorted(share.folder("architectures").glob("**/*.cimarch"))


def laid_out(*lines: str) -> list[str]:
    return check_laws("\n".join(lines)).splitlines()


def member(text: str) -> str:
    """One member, as it stands in a laid out system."""
    return "\n".join(laid_out("system A {", text, "}")[1:-1]).removeprefix("    ")


# ------------------------------------------------------------------------ what is canonical


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("let a=1+2*3", "let a = 1 + 2 * 3"),
        ("let a=- 1-- 2", "let a = -1 - -2"),
        ("let a=2^-1", "let a = 2 ^ -1"),
        ("let a=3ns*( 2+x )", "let a = 3 ns * (2 + x)"),
        ("let a = 50%", "let a = 50 %"),
        ("let a = 5   pJ/bit", "let a = 5 pJ/bit"),
        ("let a = 1e3/x", "let a = 1e3 / x"),
        ("let a=[1 ,2 , 3]", "let a = [1, 2, 3]"),
        ("let a=max (1,-2)", "let a = max(1, -2)"),
        ("let a=x if not  y else-1", "let a = x if not y else -1"),
        ("let a=not(x==1)and y<=2", "let a = not (x == 1) and y <= 2"),
        ('let a=table   "t.csv"', 'let a = table "t.csv"'),
        ("param a:count in 1 .. 8=4", "param a: count in 1..8 = 4"),
        ("param a in 1. .. .5 = 1", "param a in 1. .. .5 = 1"),
        ("param a in x|y  |z=x", "param a in x | y | z = x"),
        ("part x [ 4,2 ] :adc{bits=5,rate=1GHz}", "part x[4, 2]: adc { bits = 5, rate = 1 GHz }"),
        ("part x:adc{ }", "part x: adc { }"),
        ("part x:adc{\n\n}", "part x: adc { }"),
        ("x . y=1", "x.y = 1"),
        ("action read{latency=1 ns}", "action read { latency = 1 ns }"),
        ("connect a->b[*,1 .. 2]<->c . d", "connect a -> b[*, 1..2] <-> c.d"),
        ('assert a>1 else"why"', 'assert a > 1 else "why"'),
    ],
)  # fmt: skip
def test_a_member_has_one_spelling(written: str, canonical: str) -> None:
    assert member(written) == canonical


def test_members_stand_one_on_a_line_in_a_body_that_was_broken() -> None:
    assert laid_out("system A {", "clock = 1 GHz, beat = 2 ns", "}") == [
        "system A {",
        "    clock = 1 GHz",
        "    beat = 2 ns",
        "}",
    ]


def test_a_body_on_one_line_stays_there_while_it_fits() -> None:
    fits = "    part x: adc { bits = 5, rate = 1 GHz, area = 100 um^2 + 200 um^2 + 300 um^2 + 4 F }"
    assert laid_out("system A {", fits, "}")[1] == fits
    wide = fits.replace("+ 4 F", "+ 400 um^2 * 10000000")
    assert laid_out("system A {", wide, "}")[1:-1] == [
        "    part x: adc {",
        "        bits = 5",
        "        rate = 1 GHz",
        "        area = 100 um^2 + 200 um^2 + 300 um^2 + 400 um^2 * 10000000",
        "    }",
    ]


def test_the_outermost_body_is_broken_first() -> None:
    actions = ", ".join(f"action {name} {{ latency = 100 ns }}" for name in ("read", "write"))
    line = f"component A is crossbar {{ {actions}, rows = 128, columns = 128 }}"
    assert laid_out(line) == [
        "component A is crossbar {",
        "    action read { latency = 100 ns }",
        "    action write { latency = 100 ns }",
        "    rows = 128",
        "    columns = 128",
        "}",
    ]


def test_line_breaks_inside_a_member_are_kept_and_indented() -> None:
    assert laid_out(
        "system A {", "connect a ->", "b", "      -> c", 'assert x >', '1', 'else "why"',
        "let l = [", "1, 2,", "3", "]", "}",
    ) == [
        "system A {",
        "    connect a ->",
        "        b",
        "        -> c",
        "    assert x >",
        "        1",
        '        else "why"',
        "    let l = [",
        "        1, 2,",
        "        3",
        "    ]",
        "}",
    ]  # fmt: skip


def test_of_blank_lines_one_is_kept_and_none_at_the_ends() -> None:
    text = ["", "", "system A {", "", "", "clock = 1 GHz", "", "", "beat = 1 ns", "", "}", "", ""]
    assert laid_out(*text) == ["system A {", "    clock = 1 GHz", "", "    beat = 1 ns", "}"]


def test_a_text_of_nothing_is_nothing() -> None:
    assert check_laws("") == check_laws("\n \n\n") == ""
    assert check_laws("# only this") == "# only this\n"


# ------------------------------------------------------------------------------- comments


def test_a_comment_stays_with_its_member() -> None:
    assert laid_out(
        "# first", "system A { # of the body", "  # of the clock", "clock = 1 GHz,# behind",
        "  # last", "} # after",
    ) == [
        "# first",
        "system A {  # of the body",
        "    # of the clock",
        "    clock = 1 GHz  # behind",
        "    # last",
        "}  # after",
    ]  # fmt: skip


def test_a_comment_keeps_its_column_where_there_is_room() -> None:
    text = ["system A {", "  clock=1GHz       # one", "  beat = 200 ns    # two", "}"]
    assert laid_out(*text)[1:3] == ["    clock = 1 GHz  # one", "    beat = 200 ns  # two"]
    text[2] = "  beat=2 ns # two"
    assert laid_out(*text)[2] == "    beat = 2 ns  # two"


def test_comments_that_were_aligned_stay_aligned() -> None:
    text = ["system A {", "    clock = 1 GHz       # one", "    beat = 2 ns         # two", "}"]
    assert laid_out(*text) == text


def test_a_comment_in_the_middle_of_a_member_stays_there() -> None:
    assert laid_out("from std import adc, # one", "# two", "dac", "system A { }") == [
        "from std import adc,  # one",
        "    # two",
        "    dac",
        "system A { }",
    ]


# ----------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("file", ARCHITECTURES, ids=lambda file: file.stem)
def test_the_bundled_descriptions_are_laid_out(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert check_laws(text) == text


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_any_layout_of_a_generated_description_obeys_the_laws(seed: int) -> None:
    try:
        check_laws(random_texts.laid_out(random.Random(seed)))
    except DescriptionError:  # two tokens that may not touch, a unit to the power of 99
        return


@settings(max_examples=60)
@given(st.sampled_from(ARCHITECTURES), st.integers(0, 10**9))
def test_any_mutation_of_a_bundled_description_obeys_the_laws(file: Path, seed: int) -> None:
    text = mutations.text(file.read_text(encoding="utf-8"), random.Random(seed), ["#", "\n", ","])
    try:
        check_laws(text)
    except DescriptionError:
        assert format_text(file.read_text(encoding="utf-8"))


def test_carriage_returns_and_a_byte_order_mark_go() -> None:
    made = format_text("\ufeffsystem A {\r\n  clock = 1 GHz # x\r\n}")
    assert made == "system A {\n    clock = 1 GHz  # x\n}\n"


# ---------------------------------------------------------------------------- the command

ROUGH = "system A {\n  clock=1 GHz\n}\n"
SMOOTH = "system A {\n    clock = 1 GHz\n}\n"


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chip.cimarch"
    path.write_text(ROUGH)
    return path


def test_a_file_is_laid_out_and_then_left_alone(chip: Path, capsys) -> None:
    assert main(["fmt", "chip.cimarch"]) == 0
    assert chip.read_text() == SMOOTH
    assert capsys.readouterr().out == "chip.cimarch is laid out\n"
    before = chip.stat()
    assert main(["fmt", "chip.cimarch"]) == 0
    assert (chip.stat().st_ino, chip.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert capsys.readouterr().out == ""


def test_check_writes_nothing_and_exits_with_1_where_a_file_would_change(
    chip: Path, capsys
) -> None:
    assert main(["fmt", "--check", "chip.cimarch"]) == 1
    assert capsys.readouterr().out == "chip.cimarch would change\n"
    assert chip.read_text() == ROUGH
    chip.write_text(SMOOTH)
    assert main(["fmt", "--check", "chip.cimarch"]) == 0


def test_diff_shows_the_lines_that_would_change(chip: Path, capsys) -> None:
    assert main(["fmt", "--diff", "chip.cimarch"]) == 0
    assert capsys.readouterr().out == (
        "--- chip.cimarch\n+++ chip.cimarch (laid out)\n@@ -1,3 +1,3 @@\n"
        " system A {\n-  clock=1 GHz\n+    clock = 1 GHz\n }\n"
    )
    assert chip.read_text() == ROUGH
    assert main(["fmt", "--diff", "--check", "chip.cimarch"]) == 1


def test_a_file_that_cannot_be_parsed_is_left_and_the_others_are_done(chip: Path, capsys) -> None:
    Path("wrong.cimarch").write_text("system A {")
    assert main(["fmt", "wrong.cimarch", "chip.cimarch", "none.cimarch"]) == 2
    assert Path("wrong.cimarch").read_text() == "system A {"
    assert chip.read_text() == SMOOTH
    told = capsys.readouterr().err
    assert told.startswith("error[E001]: expected")
    assert "error[E004]: there is no file `none.cimarch`" in told


def test_names_and_values_are_not_looked_at(chip: Path) -> None:
    chip.write_text("system A { x = nothing.of.that }\n")
    assert main(["fmt", "--check", "chip.cimarch"]) == 0


def test_standard_input_goes_to_standard_output() -> None:
    command = [sys.executable, "-m", "cimarch", "fmt", "-"]
    done = subprocess.run(command, input=ROUGH, capture_output=True, text=True, check=True)
    assert done.stdout == SMOOTH
    done = subprocess.run(command, input="system", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert " --> <stdin>:1:" in done.stderr
    done = subprocess.run([*command, "--check"], input=ROUGH, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "<stdin> would change\n")


def test_who_may_read_a_file_stays_and_a_link_stays_one(chip: Path) -> None:
    chip.chmod(0o640)
    Path("link.cimarch").symlink_to("chip.cimarch")
    assert main(["fmt", "link.cimarch"]) == 0
    assert Path("link.cimarch").is_symlink()
    assert chip.read_text() == SMOOTH
    assert stat.S_IMODE(chip.stat().st_mode) == 0o640
    assert [p for p in os.listdir() if p.startswith(".")] == []
