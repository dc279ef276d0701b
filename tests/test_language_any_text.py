"""Any text at all ends in a System or in diagnostics, and soon."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cimarch import share
from cimarch.diagnostics import DescriptionError
from cimarch.hardware.system import System
from cimarch.language import load, loads

TEXTS = {
    p.stem: p.read_text(encoding="utf-8")
    for p in sorted(share.folder("architectures").glob("*.cimarch"))
}
PIECES = re.compile(r"\w+|[^\w\s]|\s+")
WORDS = sorted({w for text in TEXTS.values() for w in PIECES.findall(text)})
ODD = [
    *("0", "-1", "1 / 0", "10^10^10", "1e300", "1e999999999", "none", "true", '"x"', '"'),
    *("[1, 2]", "..", "<->", "->", 'table "x.csv"', "5 cycle", "3 ns", "64 bit", "0 GHz"),
    *("total(area)", "min()", "sqrt(-1)", "log2(0)", "rows", "active_rows", "-40 degC", "50 %"),
    *("if", "else", "in", "|", "{", "}", "(", ")", "\0", "\r", "\t", "é", "\u2028", "#", "\n"),
]


def outcome(read: Callable[[], System]) -> None:
    """Read something: a System comes back, or diagnostics with all their words."""
    try:
        read()
    except DescriptionError as error:
        told = error
    else:
        return
    assert told.diagnostics
    assert told.render().startswith("error[E")
    assert told.render(colour=True)
    assert all(problem.to_dict() for problem in told.diagnostics)


def read(text: str, **given: object) -> None:
    outcome(lambda: loads(text, set=given))


@given(st.text(max_size=200))
def test_any_characters(text: str) -> None:
    read(text)


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*WORDS, *ODD]), max_size=60))
def test_any_words(words: list[str]) -> None:
    read(" ".join(words))


def mutated(text: str, source: random.Random) -> str:
    """The text with a few pieces left out, doubled, exchanged or replaced."""
    pieces = PIECES.findall(text)
    for _ in range(source.choice([1, 1, 2, 4])):
        at, other = source.randrange(len(pieces)), source.randrange(len(pieces))
        change = source.randrange(5)
        if change == 0:
            pieces[at] = source.choice([*WORDS, *ODD])
        elif change == 1:
            pieces[at] = ""
        elif change == 2:
            pieces[at] += source.choice([*WORDS, *ODD])
        elif change == 3:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        else:
            pieces[at:at] = pieces[at : at + source.randrange(30)]
    return "".join(pieces)


@settings(max_examples=200)
@given(st.sampled_from(sorted(TEXTS)), st.randoms(use_true_random=False))
def test_any_mutation_of_an_architecture(name: str, source: random.Random) -> None:
    read(mutated(TEXTS[name], source))


VALUE = re.compile(r"= *([^,{}\n=]+?)(?=\s*(?:,|\}|#|$))", re.MULTILINE)


@settings(max_examples=200)
@given(st.sampled_from(sorted(TEXTS)), st.integers(0, 10**6), st.sampled_from(ODD))
@example("isaac", 0, "10^10^10")
def test_any_other_value(name: str, at: int, value: str) -> None:
    places = list(VALUE.finditer(TEXTS[name]))
    place = places[at % len(places)]
    read(TEXTS[name][: place.start(1)] + value + TEXTS[name][place.end(1) :])


SMALL = "from std import crossbar\nsystem A {\n clock = 1 GHz\n part x: crossbar\n param y = 1\n}"


@given(
    st.sampled_from(["y", "x.rows", "x.encoding", "clock", "x.read.energy", "x.home"]), st.text()
)
def test_any_setting(path: str, value: str) -> None:
    read(SMALL, **{path: value})


@given(st.text(max_size=30))
def test_any_path_of_a_setting(path: str) -> None:
    read(SMALL, **{path: 1})


@given(st.text(max_size=60))
def test_any_name_of_a_file(name: str) -> None:
    outcome(lambda: load(name))


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any_bytes.cimarch"
    file.write_bytes(raw)
    outcome(lambda: load(file))


def body(members: str) -> str:
    return SMALL.removesuffix("}") + members + "\n}"


BUFFER = "buffer { size = 1 KiB }"
CHAIN = "\n".join(f" param a{i} = a{i + 1}" for i in range(2000))
DOUBLING = "\n".join(f" let d{i} = d{i + 1} + d{i + 1}" for i in range(60))
NESTED = "\n".join(f"component C{i} {{ part a: C{i + 1}, part b: C{i + 1} }}" for i in range(30))
READS = "\n".join(
    f" part p{i}: crossbar {{ action read {{ latency = p{i + 1}.read.latency * 2 "
    f"+ p{i + 1}.read.latency }} }}"
    for i in range(60)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# nothing\n",
        "\0",
        "system",
        "system A " + "{ part x: y " * 10_000,
        body("let a = " + "(" * 10_000 + "1" + ")" * 10_000),
        body("let a = " + "[" * 10_000 + "1" + "]" * 10_000),
        body("let a = " + "-" * 10_000 + "1"),
        body("let a = " + "not " * 10_000 + "true"),
        body("let a = " + " + ".join(["1"] * 10_000)),
        body("let a = " + "1 if true else " * 5_000 + "2"),
        body("let a = " + "min(" * 5_000 + "1" + ")" * 5_000),
        body("part b: buffer " + "{ part c: buffer " * 5_000 + "}" * 5_000),
        body("let a = 10^10^10"),
        body("let a = (((10^4000)^10)^10)^10"),
        body("let a = " + "9" * 100_000),
        body("let a = 1e99999999999999"),
        body("let a = 1 m^99999999999999"),
        body(f"part b[10^12]: {BUFFER}"),
        body(f"part b[1000000, 1000000, 1000000]: {BUFFER}"),
        body(CHAIN),
        body(DOUBLING + "\n let d60 = 1"),
        body(READS + "\n part p60: crossbar { action read { latency = 1 fs * active_rows } }"),
        NESTED + "\ncomponent C30 { }\nsystem A { part a: C0 }",
        "x" * 1_000_000,
        "\n".join(["a = 4 4"] * 20_000),
        "system A {" + "\n".join(["a = 4 4"] * 2_000) + "}",
        '"' * 100_000,
        "# " + "a" * 200_000,
        body("\n".join(f" part q{i}: crossbar" for i in range(4_000))),
    ],
    ids=range(30),
)
def test_a_monstrous_text_is_answered_within_seconds(text: str) -> None:
    begin = time.monotonic()
    read(text)
    assert time.monotonic() - begin < 10
