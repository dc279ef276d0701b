"""Descriptions of the right form, from a generator: what they say is mostly wrong."""

from __future__ import annotations

import random

KINDS = {
    "crossbar": ("rows", "columns", "cell_bits", "word_lines", "encoding", "area", "endurance"),
    "adc": ("bits", "rate", "power", "mux"),
    "dac": ("bits", "area"),
    "buffer": ("size", "width", "reuse", "leakage"),
    "unit": ("does", "lanes", "ii", "stages"),
    "bus": ("width", "multicast"),
    "mesh": ("nodes", "columns", "hop", "width"),
    "link": ("width", "rate"),
    "block": ("clock", "beat", "area"),
}
DOES = {
    "crossbar": ("read", "write"), "adc": ("convert",), "dac": ("convert",), "mesh": ("hop",),
    "buffer": ("read", "write"), "unit": ("compute",), "bus": ("transfer",), "link": ("transfer",),
}  # fmt: skip
ACTIONS = ("read", "write", "convert", "compute", "transfer", "add", "hop")
NAMES = ("alpha", "beta", "maps", "array", "cells", "conv", "rows", "columns", "size", "rate")
LITERALS = (
    *("0", "1", "2", "8", "64", "128", "0.5", ".25", "3.", "1e3", "2 ns", "1 cycle", "5  GHz"),
    *("3 pJ/bit", "64 bit", "1 KiB", "2 um^2", "50%", "85 degC", "-40 degC", "7GSa", "true"),
    *("false", "none", '"text"', '"a, b # {"', "flipped", "any", "relu", "1.5mW", "0 V"),
)
SUMS = ("+", "-", "*", "/", "^", "+", "*")
TESTS = ("==", "!=", "<", "<=", ">", ">=")

Token = str
SEPARATOR = "\n,"
"""Stands between two members: newlines, commas or both."""


def expression(source: random.Random, depth: int = 0) -> list[Token]:
    """The tokens of a value."""
    choice = source.randrange(16) if depth < 4 else 0
    if choice < 6:
        return [source.choice(LITERALS)]
    if choice < 8:
        known = ("array.rows", "clock", "array.columns", "array.cell_bits", "area", "power")
        wild = ".".join(source.choices(NAMES, k=source.choice([1, 1, 2, 3])))
        return [wild if source.random() < 0.15 else source.choice(known)]
    left, right = expression(source, depth + 1), expression(source, depth + 1)
    if choice < 11:
        return [*left, source.choice(SUMS), *right]
    if choice == 11:
        return ["(", *left, source.choice([*TESTS, "and", "or"]), *right, ")"]
    if choice == 12:
        return ["-", *left] if source.random() < 0.6 else ["(", "not", *left, ")"]
    if choice == 13:
        function = source.choice(["ceil", "floor", "log2", "sqrt", "min", "max", "total", "sin"])
        more = [",", *right] if source.random() < 0.3 else []
        return [function, "(", *left, *more, ")"]
    if choice == 14:
        return ["[", *left, ",", *right, *source.choice([[], [","]]), "]"]
    return ["(", *left, "if", *right, "else", *expression(source, depth + 1), ")"]


def _joined(members: list[list[Token]]) -> list[Token]:
    found: list[Token] = []
    for i, member in enumerate(members):
        found += [SEPARATOR, *member] if i else member
    return found


def _body(members: list[list[Token]]) -> list[Token]:
    return ["{", *_joined(members), "}"]


def _assign(source: random.Random, kind: str) -> list[Token]:
    name = source.choice(KINDS[kind])
    if source.random() < 0.05:
        name = source.choice(["clock", "array.rows", "oops"])
    return [name, "=", *expression(source, 3)]


def _action(source: random.Random, kind: str) -> list[Token]:
    name = source.choice(DOES.get(kind, ACTIONS))
    costs = [[c, "=", *expression(source, 2)] for c in source.sample(["latency", "energy"], 2)]
    body = _body(costs[: source.randrange(3)]) if source.random() < 0.9 else []
    return ["action", name, *body]


def _part(source: random.Random, types: list[str]) -> list[Token]:
    kind = source.choice(list(KINDS))
    shape: list[Token] = []
    if source.random() < 0.4:
        shape = ["[", *expression(source, 3), *([",", "2"] if source.random() < 0.3 else []), "]"]
    inside = [_assign(source, kind) for _ in range(source.randrange(4))]
    inside += [_action(source, kind) for _ in range(source.choice([0, 0, 1]))]
    body = _body(inside) if inside or source.random() < 0.2 else []
    named = kind if source.random() < 0.8 else source.choice(types or ["std.adc"])
    name = source.choice(NAMES) + str(source.randrange(100))
    return ["part", name, *shape, ":", named, *body]


def _end(source: random.Random) -> list[Token]:
    name = source.choice(["array", "array", source.choice(NAMES)])
    index = source.choice([[], [], ["[", "*", "]"], ["[", "0", "..", "2", "]"], ["[", "1", "]"]])
    port = source.choice([[], [], [], [".", "write"], [".", "a", "[", "*", ",", "*", "]"]])
    return [name, *index, *port]


def _connect(source: random.Random) -> list[Token]:
    found = ["connect", *_end(source)]
    for _ in range(source.choice([1, 1, 2, 4])):
        found += [source.choice(["->", "->", "<->"]), *_end(source)]
    if source.random() < 0.3:
        found += _body([["width", "=", "64 bit"], ["share", "=", "any"]][: source.randrange(3)])
    return found


def _param(source: random.Random) -> list[Token]:
    found = ["param", source.choice(NAMES) + str(source.randrange(100, 200))]
    found += [":", source.choice(["count", "time", "data", "flag", "area"])] * (
        source.random() < 0.4
    )
    choice = source.randrange(4)
    if choice == 0:
        found += ["in", *expression(source, 3), "..", *expression(source, 3)]
    elif choice == 1:
        found += ["in", "low", "|", "mid", "|", "high"]
    return found + (["=", *expression(source)] if source.random() < 0.8 else [])


def _assert(source: random.Random) -> list[Token]:
    test = [*expression(source, 1), source.choice(TESTS), *expression(source, 1)]
    return ["assert", *test, *(["else", '"what, goes { wrong"'] if source.random() < 0.5 else [])]


def _member(source: random.Random, types: list[str]) -> list[Token]:
    choice = source.randrange(10)
    if choice < 4:
        return _part(source, types)
    if choice < 6:
        return _connect(source)
    if choice == 6:
        return _param(source)
    if choice == 7:
        return [
            "let",
            source.choice(NAMES) + str(source.randrange(200, 300)),
            "=",
            *expression(source),
        ]
    return _assert(source) if choice == 8 else _assign(source, source.choice(list(KINDS)))


def description(source: random.Random) -> list[Token]:
    """The tokens of a file; `SEPARATOR` stands where members are parted."""
    names = source.sample(sorted(KINDS), len(KINDS))
    if source.random() < 0.1:
        names = names[:4]
    found = ["from", "std", "import", *_joined([[n] for n in names])]
    found = [token if token != SEPARATOR else "," for token in found] + [SEPARATOR]
    types: list[str] = []
    for i in range(source.randrange(4)):
        name = f"C{i}"
        base = ["is", source.choice([*KINDS, *types])] if source.random() < 0.5 else []
        members = [_member(source, types) for _ in range(source.randrange(6))]
        found += ["component", name, *base, *_body(members), SEPARATOR]
        types.append(name)
    members = [["clock", "=", "1 GHz"], ["part", "array", ":", "crossbar"]]
    members += [_member(source, types) for _ in range(source.randrange(8))]
    return [*found, "system", "S", *_body(members)]


# ------------------------------------------------------------------------- layout

_CONTINUES = {*"+-*/^=,:|({[", "->", "<->", "..", ".", *TESTS, "and", "or", "not"}
_CONTINUES |= {"if", "else", "in", "is"}
COMMENTS = ("# why", "#", "#tight", "# a, b { } \" '", "#  é ∑", "# -> else", "# part x: adc")


def _tight(before: Token, after: Token) -> bool:
    """Whether two tokens may touch."""
    word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.%µ"
    return not (before[-1] in word and after[0] in word) and (before, after) != ("*", "*")


def _break(source: random.Random) -> str:
    """A line break, with comments and blank lines."""
    found = source.choice(["", " ", "   "])
    if source.random() < 0.35:
        found += source.choice(COMMENTS) + source.choice(["", "  "])
    for _ in range(source.choice([0, 0, 0, 1, 2, 3])):
        line = source.choice(["", "", source.choice(COMMENTS)])
        found += "\n" + source.choice(["", "  ", "\t"]) + line
    return found + "\n" + " " * source.randrange(9)


def _separator(source: random.Random, *, top: bool) -> str:
    if top:
        return _break(source)
    made = source.choice([",", ", ", "", "", ""])
    if not made or source.random() < 0.3:
        made += _break(source)
    return made + source.choice(["", "", "", ",", ", \n"])


def laid_out(source: random.Random) -> str:
    """A description whose blanks, breaks and comments are wherever the language lets them be."""
    found = _break(source) if source.random() < 0.3 else ""
    wild = source.random()
    depth, braces, before = 0, 0, ""
    for token in description(source):
        if token == SEPARATOR:
            found += _separator(source, top=braces == 0)
            before = ""
            continue
        free = depth > 0 or before in _CONTINUES or token in ("else", "->", "<->", "}")
        if before and free and source.random() < 0.15 * wild:
            found += _break(source)
        elif before:
            tight = _tight(before, token) and source.random() < 0.4
            found += "" if tight else source.choice([" ", " ", " ", "  ", "\t"])
        found += token
        depth += (token in ("(", "[")) - (token in (")", "]"))
        braces += (token == "{") - (token == "}")
        before = token
    return found + source.choice(["", "\n", " \n\n", " # the end", "\n\n# the end\n\n"])


def meaningful(source: random.Random) -> str:
    """A description in a plain layout."""
    text = " ".join(description(source)).replace(SEPARATOR, "\n")
    return text.replace(" . ", ".") + "\n"
