"""Descriptions that were made to harm: each is answered within seconds and within bounded memory.

Every case runs in a process that may take 1 GiB (`bounded.py`). The clock is that of the processor,
so that a busy machine is no failure; `SECONDS` is the promise, and twice that is what fails a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bounded import SECONDS, Answer, Worker
from cimarch import share

MILLIONS = 10_000_000
HEAD = "from std import crossbar, buffer, unit, adc\nsystem A {\nclock = 1 GHz\npart x: crossbar\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


def body(*members: str) -> str:
    return HEAD + "\n".join(members) + "\n}\n"


def many(number: int, member: str) -> str:
    """So many members, each with its number."""
    return body(*(member.replace("#", str(i)) for i in range(number)))


def answered(worker: Worker, **case: Any) -> Answer:
    answer = worker.ask({"work": "loads", **case})
    assert answer.find(2 * SECONDS) == "", answer.told[-3000:]
    return answer


BUFFER = "part b: buffer { size = 1 KiB }"
LONG: dict[str, Callable[[], str]] = {
    "one comment": lambda: "#" + "a" * MILLIONS,
    "comments": lambda: "# a comment\n" * (MILLIONS // 12),
    "newlines": lambda: "\n" * MILLIONS,
    "spaces": lambda: " " * MILLIONS,
    "one word": lambda: "x" * MILLIONS,
    "one string": lambda: '"' + "x" * MILLIONS,
    "digits": lambda: body("let a = " + "9" * MILLIONS),
    "members": lambda: many(MILLIONS // 20, "let a# = # + 1"),
    "one line": lambda: body(", ".join(f"let a{i} = {i}" for i in range(MILLIONS // 20))),
    "half": lambda: body("let a = [" + "1,\n" * (MILLIONS // 3)),
    "binary": lambda: "\0" * MILLIONS,
}


@pytest.mark.parametrize("name", LONG)
def test_ten_megabytes_are_refused_unread(worker: Worker, name: str) -> None:
    found = answered(worker, work="load", path="a.cimarch", files={"a.cimarch": LONG[name]()})
    assert found.codes == ("E003",)
    assert "has more than 1,000,000 bytes" in found.told


FULL = {
    "newlines": (body("\n" * 240_000), ()),
    "comments": (body("#\n" * 120_000), ()),
    "spaces": (body(" " * 240_000), ()),
    "commas": (body("," * 240_000), ("E003",)),
    "one word": ("x" * 240_000, ("E001",)),
    "a long name": (body(f"let {'a' * 200_000} = b"), ("E015",)),
    "digits": (body("let a = " + "9" * 240_000), ("E006",)),
    "a long list": (body("let a = [" + "1," * 120_000 + "1]"), ("E003",)),
    "a long sum": (body("let a = " + "1+" * 20_000 + "1"), ("E005",)),
    "a long path": (body("let a = " + "a." * 20_000 + "a"), ("E015",)),
    "wrong lines": ("a = 4 4\n" * 30_000, ("E001",) * 3),
}


@pytest.mark.parametrize("name", FULL)
def test_a_file_of_the_largest_size_is_answered(worker: Worker, name: str) -> None:
    text, codes = FULL[name]
    assert answered(worker, text=text).codes == codes


DEEP = {
    "parentheses": (body("let a = " + "(" * 10_000 + "1" + ")" * 10_000), ()),
    "open parentheses": (body("let a = " + "(" * 10_000), ("E001",)),
    "lists": (body("let a = " + "[" * 10_000 + "1" + "]" * 10_000), ("E005",)),
    "minus signs": (body("let a = " + "-" * 10_000 + "1"), ("E005",)),
    "minus signs apart": (body("let a = " + "- " * 10_000 + "1"), ("E005",)),
    "negations": (body("let a = " + "not " * 10_000 + "true"), ("E005",)),
    "choices": (body("let a = " + "1 if true else " * 10_000 + "2"), ("E005",)),
    "calls": (body("let a = " + "min(" * 10_000 + "1" + ")" * 10_000), ("E005",)),
    "powers": (body("let a = " + "2^" * 10_000 + "2"), ("E005",)),
    "bodies": (body("part b: buffer " + "{ part c: buffer " * 10_000), ("E005",)),
    "open bodies": ("system A " + "{ " * 10_000, ("E001",)),
    "parts": (
        "from std import crossbar\n"
        + "\n".join(f"component C{i} {{ part a: C{i + 1} }}" for i in range(4_000))
        + "\ncomponent C4000 is crossbar { }\nsystem A { clock = 1 GHz, part a: C0 }",
        ("E016",),
    ),
    "inheritance": (
        "\n".join(f"component C{i} is C{i + 1} {{ }}" for i in range(6_000))
        + "\ncomponent C6000 { }\nsystem A is C0 { clock = 1 GHz }",
        ("E014",),
    ),
    "values": (many(6_000, "let a# = b + a#"), ("E015",)),
    "a chain": (
        body(*(f"let a{i} = a{i + 1} + 1" for i in range(6_000)), "let a6000 = 1"),
        ("E061",),
    ),
}


@pytest.mark.parametrize("name", DEEP)
def test_ten_thousand_levels_are_answered(worker: Worker, name: str) -> None:
    text, codes = DEEP[name]
    found = answered(worker, text=text).codes
    assert found[: len(codes)] == codes
    assert bool(found) == bool(codes)


LARGE = {
    "an array": (body("part q[10^12]: crossbar"), "E053"),
    "arrays in arrays": (body("part q[2^20, 2^20, 2^20]: crossbar"), "E054"),
    "dimensions": (body(f"part q[{'1,' * 9_999}1]: crossbar"), "E053"),
    "a tower": (body("let a = 2^2^2^2^2^2^2^2"), "E056"),
    "an exponent": (body("let a = 10^10^10"), "E056"),
    "an exponent of a unit": (body("let a = (1 m)^99999999999"), "E056"),
    "a literal": (body("let a = 1e999999999"), "E006"),
    "a quantity": (body("let a = 1 m^999999999"), "E006"),
    "squares": (
        body("let a0 = 3", *(f"let a{i} = a{i - 1} * a{i - 1}" for i in range(1, 99))),
        "E056",
    ),
    "fractions": (
        body("let a0 = 1", *(f"let a{i} = a{i - 1} + 1 / {7919 * i + 1}" for i in range(1, 3_000))),
        "E056",
    ),
    "parts": (many(8_000, "part p#: crossbar"), "E016"),
    "parameters": (
        "from std import crossbar\n"
        + "\n".join(f"component C{i} is C{i - 1} {{ param p{i} = 1 }}" for i in range(1, 49))
        + "\ncomponent C0 is crossbar { }\nsystem A { clock = 1 GHz\n"
        + "\n".join(f"part x{i}: C48" for i in range(4_000))
        + "\n}",
        "E016",
    ),
    "doubled parts": (
        "from std import crossbar\n"
        + "\n".join(f"component C{i} {{ part a: C{i + 1}, part b: C{i + 1} }}" for i in range(30))
        + "\ncomponent C30 is crossbar { }\nsystem A { clock = 1 GHz, part a: C0 }",
        "E016",
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_told(worker: Worker, name: str) -> None:
    text, code = LARGE[name]
    assert code in answered(worker, text=text).codes


MISTAKES = {
    "unknown names": many(9_000, "let a# = q#"),
    "unknown units": many(9_000, "let a# = 1 qq"),
    "unknown parameters": many(7_000, "x.q# = 1"),
    "false assertions": many(7_000, "assert x.rows == 1"),
    "double names": many(7_000, "param y = 1"),
    "missing parts": body(BUFFER, "connect b" + " -> q -> b" * 10_000),
    "imports": "from std import " + ", ".join(f"a{i}" for i in range(20_000)),
    "words": body(
        "param a in " + " | ".join(f"w{i}" for i in range(4_000)) + " = w1",
        *(f"let b{i} = a == v{i}" for i in range(5_000)),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_of_thousands_of_mistakes_fifty_are_shown(worker: Worker, name: str) -> None:
    found = answered(worker, text=MISTAKES[name])
    assert 100 <= len(found.codes) <= 101
    assert found.told.count("error[") <= 50
    assert len(found.told) <= 200_000


SLOW = {
    "sums over the tree": many(1_500, "part p#: crossbar") .replace(
        "part p0:", "\n".join(f"let t{i} = total(area)" for i in range(1_500)) + "\npart p0:"
    ),
    "choices": body("param a in " + " | ".join(f"w{i}" for i in range(20_000)) + " = w1"),
    "a word twice": body("param a in " + " | ".join(["w"] * 20_000) + " = w"),
    "wires": body(BUFFER, *["connect b -> x -> b"] * 6_000),
    "slices": HEAD + "part z[4000, 4000]: adc\nconnect x -> z[0..1999, *]\n"
    + "connect x -> z[2000..3999, *]\n"
    + "\n".join(f"connect x -> z[{i}..{3990 - i}, {i}..{3990 - i}]" for i in range(1, 1_500))
    + "\n}",
    "dependences": body("let a0 = 1", "let a1 = 1",
        *(f"let a{i} = a{i - 1} + a{i - 2}" for i in range(2, 4_000))),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_work_that_grows_with_the_square_is_not_done(worker: Worker, name: str) -> None:
    answered(worker, text=SLOW[name])


# ------------------------------------------------------------------------------------ files

SYSTEM = "system A { clock = 1 GHz, part x: std.crossbar }\n"
FILES = {
    "itself": ({"a": "from a import b\n" + SYSTEM}, ("E013",)),
    "a ring": ({"a": f"from b import c\n{SYSTEM}", "b": "from a import c\n"}, ("E010", "E013")),
    "a folder": ({"a": "from b import c\n" + SYSTEM, "b.cimarch/x": ""}, ("E012",)),
    "bytes": ({"a": "from b import c\n" + SYSTEM, "b": "base64:AAECAwT//g=="}, ("E003",)),
    "latin-1": ({"a": "base64:IyBBcmNoaXRla3R1ciBm/HIKCg=="}, ("E003",)),
    "ten megabytes": ({"a": "from b import c\n" + SYSTEM, "b": "#" * MILLIONS}, ("E003",)),
    "a chain": ({f"m{i}": f"from m{i + 1} import a" for i in range(3_000)}, ("E016",)),
    "a fan": (
        {"a": "\n".join(f"from m{i} import a" for i in range(60)) + "\n" + SYSTEM}
        | {f"m{i}": "component a { }\n" + "# x\n" * 60_000 for i in range(60)},
        ("E003", "E011"),
    ),
    "many files": (
        {"a": "\n".join(f"from m{i} import a{i}" for i in range(300)) + "\n" + SYSTEM}
        | {f"m{i}": f"component a{i} {{ }}\n" for i in range(300)},
        ("E003",),
    ),
    "a table of devices": ({"a": body('let t = table "/dev/zero"')}, ("E059",)),
    "a table without end": ({"a": body('let t = table "/proc/self/pagemap"')}, ("E059",)),
    "a quoted table": ({"a": body('let t = table "t"'), "t": '"' + "1\n" * 400_000}, ("E059",)),
    "tables": (
        {"a": body(*(f'let t{i} = table "t{i}"' for i in range(9)))}
        | {f"t{i}": "1\n" * 50_000 for i in range(9)},
        ("E059",),
    ),
    "an odd table": ({"a": body('let t = table "t"'), "t": "1,nan\n1e400,\0"}, ("E059",)),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_lead_nowhere_are_told(worker: Worker, name: str) -> None:
    contents, codes = FILES[name]
    files = {n if "/" in n or n.startswith("t") else f"{n}.cimarch": t for n, t in contents.items()}
    found = answered(worker, work="load", path=next(iter(files)), files=files)
    assert set(codes) <= set(found.codes)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/", "", "\0", "a" * 5_000, "/dev/tty"])
def test_what_is_no_file_is_told(worker: Worker, path: str) -> None:
    assert answered(worker, work="load", path=path).codes == ("E004",)


ENCODINGS = {
    "byte order mark": ("\ufeff" + body(), ()),
    "carriage returns": (body("let a = 1").replace("\n", "\r\n"), ()),
    "old carriage returns": (body("let a = 1").replace("\n", "\r"), ("E002",)),
    "a zero byte": (body("let a = 1\0"), ("E002",)),
    "half a character": (body('assert false else "\ud800"'), ("E003",)),
    "another space": (body("let a =\u00a01"), ("E002",)),
    "another digit": (body("let a = \u0661"), ("E002",)),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_odd_characters_are_told(worker: Worker, name: str) -> None:
    text, codes = ENCODINGS[name]
    assert answered(worker, text=text).codes == codes


@pytest.mark.parametrize("name", ["isaac", "edge_macro", "single_crossbar", "std"])
def test_half_a_bundled_file_is_told_wherever_it_ends(worker: Worker, name: str) -> None:
    text = (share.folder("architectures") / f"{name}.cimarch").read_text(encoding="utf-8")
    begins = text.find("\nsystem ")
    whole = text.index("\n}", begins) if begins >= 0 else len(text) - 100
    for end in range(0, len(text), 29 if len(text) > 3_000 else 13):
        found = answered(worker, text=text[:end])
        assert found.codes or end > whole  # where its first system ends, a file may end


# ------------------------------------------------------------------------------------ --set

VALUES = {
    "digits": "9" * 100_000,
    "parentheses": "(" * 100_000,
    "a list": "[" + "1," * 100_000,
    "a tower": "2^2^2^2^2^2",
    "a range": "4..8",
    "two values": "1, 2",
    "a line": "1\n2",
    "a member": "1 }",
    "half a character": "\ud800",
    "a unit": "1 GHz GHz",
    "nothing": "",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_wild_value_of_a_setting_is_told(worker: Worker, name: str) -> None:
    found = answered(worker, text=body(), set={"x.rows": VALUES[name]})
    assert found.codes
    assert len(found.told) < 5_000


@pytest.mark.parametrize("path", ["x" + ".x" * 50_000, "", ".", "x..rows", "x\n.rows", "x[0].rows"])
def test_a_wild_path_of_a_setting_is_told(worker: Worker, path: str) -> None:
    found = answered(worker, text=body(), set={path: 1})
    assert found.codes == ("E040",)
    assert len(found.told) < 5_000


def test_thousands_of_settings_are_answered(worker: Worker) -> None:
    found = answered(worker, text=body(), set={f"x.q{i}": i for i in range(10_000)})
    assert len(found.codes) == 101


# -------------------------------------------------------------------------------- the command


@pytest.mark.parametrize("command", ["check", "show", "fmt"])
def test_the_commands_answer_as_the_library_does(worker: Worker, command: str) -> None:
    for text in (LONG["members"](), DEEP["bodies"][0], MISTAKES["unknown units"]):
        case = {"arguments": [command, "a.cimarch"], "files": {"a.cimarch": text}}
        assert answered(worker, work="cli", **case).outcome == "refused"
