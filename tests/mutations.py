"""Changes to texts, bytes, JSON values and archives that a fuzzer makes."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile
from typing import Any

PIECES = re.compile(r"\w+|[^\w\s]|\s+")

ODD_VALUES = [
    *("0", "-1", "1 / 0", "10^10^10", "2^2^2^2^2^2", "1e300", "1e400", "1e999999999", "none"),
    *("true", '"x"', '"', "[1, 2]", "[]", "[[1]]", "..", "<->", "->", 'table "x.csv"', "5 cycle"),
    *("3 ns", "64 bit", "0 GHz", "-2 GHz", "0.5", "1e-400", "total(area)", "min()", "sqrt(-1)"),
    *("log2(0)", "rows", "active_rows", "-40 degC", "50 %", "4..8", "1 if true else 2", "()"),
    *("1 m^99", "1 GHz GHz", "999999999999999999999999", "0x10", "1_000", "١", "½", "∞", "nan"),
    *(
        "serves",
        "clock",
        "(" * 200 + "1" + ")" * 200,
        "-" * 300 + "1",
        "not true",
        "65536",
        "65537",
    ),
]
ODD_SIGNS = [
    *("if", "else", "in", "is", "|", "{", "}", "(", ")", "[", "]", "\0", "\r", "\t", "é"),
    *(
        "\u2028",
        "#",
        "\n",
        ",",
        ".",
        "*",
        "component",
        "system",
        "part",
        "assert",
        "from std import",
    ),
]
ODD_JSON: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 0.5, 1e308, -0.0, 2**31, 2**63, 2**70, 10**400),
    *("", "x", "\0", "a" * 5000, "1", "Infinity", "NaN", [], {}, [[]], [{}], {"": {}}, {"a": 1}),
    *(float("inf"), float("nan"), [0] * 300, "as_int", {"as_int": -1}, {"as_none": True}),
]


def odd_json(source: random.Random) -> Any:
    """One of the odd values, as a copy that may be changed."""
    return copy.deepcopy(source.choice(ODD_JSON))


def some(source: random.Random, *numbers: int) -> int:
    """One of several numbers."""
    return source.choice(numbers)


def text(original: str, source: random.Random, words: list[str]) -> str:
    """A text with a few of its pieces left out, doubled, exchanged or replaced."""
    pieces = PIECES.findall(original) or [""]
    pool = [*words, *ODD_VALUES, *ODD_SIGNS]
    for _ in range(some(source, 1, 1, 1, 2, 4, 12)):
        at, other = source.randrange(len(pieces)), source.randrange(len(pieces))
        change = source.randrange(7)
        if change == 0:
            pieces[at] = source.choice(pool)
        elif change == 1:
            pieces[at] = ""
        elif change == 2:
            pieces[at] += source.choice(pool)
        elif change == 3:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif change == 4:
            pieces[at:at] = pieces[other : other + source.randrange(40)]
        elif change == 5:
            del pieces[at : at + source.randrange(40)]
            pieces = pieces or [""]
        else:
            lines = "".join(pieces).split("\n")
            source.shuffle(lines) if source.random() < 0.1 else lines.reverse()
            pieces = PIECES.findall("\n".join(lines)) or [""]
    return "".join(pieces)


VALUE = re.compile(r"= *([^,{}\n=]+?)(?=\s*(?:,|\}|#|$))", re.MULTILINE)


def value(original: str, source: random.Random, words: list[str]) -> str:
    """A text with the values behind some `=` replaced."""
    for _ in range(some(source, 1, 1, 2, 3)):
        places = list(VALUE.finditer(original))
        if not places:
            return original
        place = source.choice(places)
        fitting = source.choice(places)[1]
        new = source.choice([fitting, source.choice(ODD_VALUES), source.choice([*words, "0"])])
        original = original[: place.start(1)] + new + original[place.end(1) :]
    return original


NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
NUMBERS = [
    *("0", "1", "2", "3", "5", "7", "8", "9", "16", "31", "32", "33", "63", "64", "65", "100"),
    *("127", "128", "255", "256", "1000", "1024", "4096", "65536", "65537", "1000000", "1048576"),
    *("1048577", "0.1", "0.5", "1.5", "1e-9", "1e-30", "1e9", "1e30", "1e31", "1e300", "0.0"),
]


def number(original: str, source: random.Random) -> str:
    """A text with some numbers replaced by others, their units kept."""
    for _ in range(some(source, 1, 1, 1, 2, 3, 5)):
        places = list(NUMBER.finditer(original))
        if not places:
            return original
        place = source.choice(places)
        original = original[: place.start()] + source.choice(NUMBERS) + original[place.end() :]
    return original


def raw(original: bytes, source: random.Random) -> bytes:
    """Bytes with some flipped, cut out, doubled, exchanged or overwritten."""
    data = bytearray(original or b"\0")
    for _ in range(some(source, 1, 1, 2, 4, 16)):
        at = source.randrange(len(data))
        size = min(source.choice([1, 1, 2, 4, 8, 64, 1024]), len(data) - at)
        change = source.randrange(7)
        if change == 0:
            data[at] ^= 1 << source.randrange(8)
        elif change == 1:
            data[at : at + size] = b""
        elif change == 2:
            data[at:at] = data[at : at + size]
        elif change == 3:
            data[at : at + size] = source.randbytes(size)
        elif change == 4:
            data[at : at + size] = source.choice([b"\0", b"\xff", b"\x80"]) * size
        elif change == 5:
            data = data[:at]
        else:
            number = source.choice([0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
            data[at : at + 8] = number.to_bytes(8, "little")
        data = data or bytearray(1)
    return bytes(data)


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    found, waiting = [], [tree]
    while waiting:
        here = waiting.pop()
        keys = here.keys() if isinstance(here, dict) else range(len(here))
        for key in list(keys):
            found.append((here, key))
            if isinstance(here[key], dict | list):
                waiting.append(here[key])
    return found


def tree(original: Any, source: random.Random) -> Any:
    """A JSON value with some of its members replaced, exchanged, doubled or left out."""
    made = json.loads(json.dumps(original))
    for _ in range(some(source, 1, 1, 1, 2, 5)):
        found = places(made)
        if not found:
            return odd_json(source)
        here, key = source.choice(found)
        there, other = source.choice(found)
        change = source.randrange(6)
        if change == 0:
            here[key] = odd_json(source)
        elif change == 1:
            del here[key]
        elif change == 2:
            here[key] = json.loads(json.dumps(there[other]))
        elif change == 3 and isinstance(here, list):
            here.insert(key, json.loads(json.dumps(here[key])))
        elif change == 4 and isinstance(here, dict):
            here[source.choice(["", "x", str(key) + "_", "as_int"])] = here.pop(key)
        elif isinstance(here[key], int) and not isinstance(here[key], bool):
            here[key] += source.choice([-1, 1, 1000, -1000])
        else:
            here[key] = odd_json(source)
    return made


def json_text(value: Any, source: random.Random) -> str:
    """A JSON value as text, at times no longer JSON."""
    text = json.dumps(value)
    if source.random() < 0.15:
        text = raw(text.encode(), source).decode("utf-8", "replace")
    if source.random() < 0.05:
        text = "[" * 10_000 + text + "]" * 10_000
    return text


def archive(original: bytes, source: random.Random) -> bytes:
    """A zip archive with its JSON members changed, or members left out, doubled or renamed."""
    with zipfile.ZipFile(io.BytesIO(original)) as opened:
        members = [(info.filename, opened.read(info)) for info in opened.infolist()]
    for _ in range(some(source, 1, 1, 1, 2)):
        at = source.randrange(len(members))
        jsons = [i for i, (name, _) in enumerate(members) if name.endswith(".json")]
        change = source.randrange(8)
        if change < 5 and jsons:
            at = source.choice(jsons)
            name, data = members[at]
            members[at] = (name, _changed_json(data, source))
        elif change == 5:
            name, data = members[at]
            members[at] = (name, raw(data, source))
        elif change == 6:
            del members[at]
            members = members or [("x", b"")]
        else:
            name, data = members[at]
            renamed = text(name, source, ["..", "/", "models", "data", "weights", ".json"])
            members[at] = (renamed.replace("\0", "") or "x", data)
    return zipped(members, source)


def _changed_json(data: bytes, source: random.Random) -> bytes:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return raw(data, source)
    return json_text(tree(found, source), source).encode("utf-8", "replace")


def zipped(members: list[tuple[str, bytes]], source: random.Random) -> bytes:
    """A zip archive of these members."""
    method = source.choice([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w", method) as made:
            for name, data in members:
                made.writestr(zipfile.ZipInfo(name[:60_000]), data, method)
        return buffer.getvalue()
