"""From text to tree: the lexer's rules of lines, the grammar's actions, and syntax diagnostics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

from lark import Lark, Token, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.visitors import Transformer_NonRecursive

from cimarch import share, units
from cimarch.diagnostics import (
    MOST_FOUND,
    DescriptionError,
    Diagnostic,
    Span,
    remember,
    suggestion,
)
from cimarch.language import ast

_DEEPEST = 100
_DEEPEST_BODY = 20
"""Bodies in bodies: a component's, a part's, an action's make three."""
LONGEST_TEXT = 250_000
_MOST_TOKENS = 50_000
"""Words, numbers and signs of one file: a second's work, and many times a large description."""
_MOST_SYNTAX_ERRORS = 10


HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""What stands in a Python string for a byte that is no text, or for half of a UTF-16 pair."""


class _TooManyTokens(Exception):
    """The file is longer than is read."""


class _TooDeep(Exception):
    """Bodies stand in bodies without end; holds the brace that is too many."""

    def __init__(self, token: Token) -> None:
        self.token = token
        super().__init__()


class _Lines:
    """Drops the newlines that end nothing: inside ( ) and [ ], after an operator or a comma."""

    always_accept = ("_NEWLINE",)
    _open: ClassVar = {"(", "["}
    _close: ClassVar = {")", "]"}
    _continues: ClassVar = set("+-*/^=,:|({[") | {"->", "<->", "..", "."}
    _continues_too: ClassVar = {"COMPARE", "AND", "OR", "NOT", "_IF", "_ELSE", "_IN", "_IS"}

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens that count."""
        depth, bodies, continues = 0, 0, False
        for number, token in enumerate(stream):
            if number >= _MOST_TOKENS:
                raise _TooManyTokens
            bodies += (token == "{") - (token == "}")
            if bodies > _DEEPEST_BODY:
                raise _TooDeep(token)
            if token.type == "_NEWLINE" and (depth or continues):
                continue
            depth = max(0, depth + (token in self._open) - (token in self._close))
            continues = token in self._continues or token.type in self._continues_too
            yield token


@v_args(inline=True, meta=True)
class _Builder(Transformer_NonRecursive[Token, Any]):
    """Makes our tree of the parser's; remembers what is wrong on the way."""

    def __init__(self, file: str) -> None:
        super().__init__(visit_tokens=False)
        self.file = file
        self.problems: list[Diagnostic] = []

    # places

    def _span(self, meta: Any) -> Span:
        return Span(self.file, meta.line, meta.column, meta.end_line, meta.end_column)

    def _word(self, token: Token) -> ast.Word:
        return ast.Word(str(token), self._span(token))

    def _problem(self, span: Span, code: str, headline: str, helps: tuple[str, ...] = ()) -> None:
        if len(self.problems) < MOST_FOUND:
            self.problems.append(Diagnostic(code, headline, span, helps=helps))

    def _depth(self, span: Span, *inside: ast.Expression) -> int:
        depth = 1 + max((e.depth for e in inside), default=0)
        if depth == _DEEPEST + 1:
            self._problem(
                span,
                "E005",
                f"an expression of more than {_DEEPEST} levels",
                helps=("give its parts names with `let`",),
            )
        return depth

    # the file

    def start(self, meta: Any, *items: Any) -> ast.Tree:
        imports = tuple(i for i in items if isinstance(i, ast.Import))
        components = tuple(c for c in items if isinstance(c, ast.Component))
        return ast.Tree(self.file, imports, components)

    def setting(self, meta: Any, value: ast.Expression) -> ast.Expression:
        return value

    def from_import(self, meta: Any, module: tuple[ast.Word, ...], *names: Token) -> ast.Import:
        words = tuple(self._word(n) for n in names)
        return ast.Import(_joined(module), words, self._span(meta))

    def component(self, meta: Any, name: Token, base: Any, body: Any) -> ast.Component:
        return self._component(meta, name, base, body, is_system=False)

    def system(self, meta: Any, name: Token, base: Any, body: Any) -> ast.Component:
        return self._component(meta, name, base, body, is_system=True)

    def _component(
        self, meta: Any, name: Token, base: Any, body: Any, *, is_system: bool
    ) -> ast.Component:
        of = _joined(base) if base else None
        return ast.Component(self._word(name), of, body, is_system, self._span(meta))

    # members

    def body(self, meta: Any, *members: Any) -> tuple[ast.Member, ...]:
        return tuple(m for m in members if m is not None)

    def param(
        self, meta: Any, name: Token, kind: Token | None, domain: Any, default: Any
    ) -> ast.Param:
        return ast.Param(
            self._word(name),
            self._word(kind) if kind else None,
            domain if isinstance(domain, ast.Range) else None,
            domain if isinstance(domain, tuple) else (),
            default,
            self._span(meta),
        )

    def range(self, meta: Any, low: ast.Expression, high: ast.Expression) -> ast.Range:
        return ast.Range(low, high, self._span(meta))

    def choices(self, meta: Any, *names: Token) -> tuple[ast.Word, ...]:
        return tuple(self._word(n) for n in names)

    def let(self, meta: Any, name: Token, value: ast.Expression) -> ast.Let:
        return ast.Let(self._word(name), value, self._span(meta))

    def assign(self, meta: Any, path: tuple[ast.Word, ...], value: ast.Expression) -> ast.Assign:
        return ast.Assign(path, value, self._span(meta))

    def part(
        self, meta: Any, name: Token, shape: Any, of: tuple[ast.Word, ...], body: Any
    ) -> ast.PartDeclaration:
        return ast.PartDeclaration(
            self._word(name), shape or (), _joined(of), body or (), self._span(meta)
        )

    def shape(self, meta: Any, *sizes: ast.Expression) -> tuple[ast.Expression, ...]:
        return sizes

    def action(self, meta: Any, name: Token, costs: Any) -> ast.ActionDeclaration:
        return ast.ActionDeclaration(self._word(name), costs or (), self._span(meta))

    def costs(self, meta: Any, *costs: Any) -> tuple[ast.Assign, ...]:
        return tuple(c for c in costs if c is not None)

    def check(self, meta: Any, condition: ast.Expression, message: Token | None) -> ast.Assertion:
        text = str(message)[1:-1] if message is not None else None
        return ast.Assertion(condition, text, self._span(meta))

    # links

    def connect(self, meta: Any, *items: Any) -> ast.Connect:
        ends = tuple(i for i in items if isinstance(i, ast.End))
        arrows = tuple(str(i) for i in items if isinstance(i, Token))
        body = next((i for i in items if isinstance(i, tuple)), ())
        return ast.Connect(ends, arrows, body, self._span(meta))

    def arrow(self, meta: Any, token: Token) -> Token:
        return token

    def port(self, meta: Any, *hops: ast.Hop) -> ast.End:
        return ast.End(hops, self._span(meta))

    def hop(self, meta: Any, name: Token, *indices: Any) -> ast.Hop:
        given = tuple(i for i in indices if i is not None)
        return ast.Hop(self._word(name), given, self._span(meta))

    def every(self, meta: Any, star: Token) -> ast.Index:
        return ast.Index(None, None, self._span(meta))

    def one(self, meta: Any, at: ast.Expression) -> ast.Index:
        return ast.Index(at, at, self._span(meta))

    def slice(self, meta: Any, first: ast.Expression, last: ast.Expression) -> ast.Index:
        return ast.Index(first, last, self._span(meta))

    # expressions

    def choose(self, meta: Any, value: Any, condition: Any, otherwise: Any) -> ast.Expression:
        span = self._span(meta)
        depth = self._depth(span, value, condition, otherwise)
        return ast.Choose(
            span=span, depth=depth, value=value, condition=condition, otherwise=otherwise
        )

    def binary(self, meta: Any, left: Any, operator: Token, right: Any) -> ast.Expression:
        span = self._span(meta)
        depth = self._depth(span, left, right)
        return ast.Binary(span=span, depth=depth, operator=str(operator), left=left, right=right)

    def unary(self, meta: Any, operator: Token, operand: Any) -> ast.Expression:
        span = self._span(meta)
        if operator == "-" and isinstance(operand, ast.Number) and operand.unit == "degC":
            # -40 degC lies 40 degrees below zero Celsius, not below zero kelvin
            value = units.Quantity(2 * units.CELSIUS_ZERO - operand.value.value, units.TEMPERATURE)
            return ast.Number(span=span, value=value, unit="degC")
        depth = self._depth(span, operand)
        return ast.Unary(span=span, depth=depth, operator=str(operator), operand=operand)

    def quantity(self, meta: Any, token: Token) -> ast.Expression:
        number, unit = split_quantity(str(token))
        return self._number(self._span(meta), number, unit)

    def number(self, meta: Any, token: Token) -> ast.Expression:
        return self._number(self._span(meta), str(token), "")

    def _number(self, span: Span, number: str, unit: str) -> ast.Expression:
        try:
            value = units.read_quantity(number, unit)
        except units.UnitError as problem:
            helps = _unit_help(number, unit) if len(self.problems) < MOST_FOUND else ()
            self._problem(span, "E006", str(problem), helps=helps)
            value = units.Quantity(Fraction(1))
        return ast.Number(span=span, value=value, unit=unit)

    def text(self, meta: Any, token: Token) -> ast.Expression:
        return ast.Text(span=self._span(meta), value=str(token)[1:-1])

    def table(self, meta: Any, token: Token) -> ast.Expression:
        return ast.Table(span=self._span(meta), file=str(token)[1:-1])

    def items(self, meta: Any, *items: Any) -> ast.Expression:
        span = self._span(meta)
        found = tuple(i for i in items if i is not None)
        return ast.Items(span=span, depth=self._depth(span, *found), items=found)

    def call(self, meta: Any, function: tuple[ast.Word, ...], *items: Any) -> ast.Expression:
        span = self._span(meta)
        found = tuple(i for i in items if i is not None)
        depth = self._depth(span, *found)
        return ast.Call(span=span, depth=depth, function=_joined(function).text, arguments=found)

    def name(self, meta: Any, path: tuple[ast.Word, ...]) -> ast.Expression:
        span = self._span(meta)
        words = tuple(w.text for w in path)
        if words in (("true",), ("false",)):
            return ast.Flag(span=span, value=words == ("true",))
        if words == ("none",):
            return ast.Unset(span=span)
        return ast.Name(span=span, path=words)

    def dotted(self, meta: Any, *names: Token) -> tuple[ast.Word, ...]:
        return tuple(self._word(n) for n in names)


def _joined(path: tuple[ast.Word, ...]) -> ast.Word:
    return ast.Word(".".join(w.text for w in path), path[0].span.to(path[-1].span))


_NUMBER = re.compile(r"(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def split_quantity(text: str) -> tuple[str, str]:
    """The number and the unit of a quantity as it is written."""
    found = _NUMBER.match(text)
    assert found is not None
    return found.group(), text[found.end() :].strip()


def _unit_help(number: str, unit: str) -> tuple[str, ...]:
    word = re.split(r"[*/^]", unit)[0]
    number = _short(number)
    if not word or len(word) > 100 or word in units.units():
        return ()
    if samples := re.fullmatch(r"([kMGT]?)[Ss]ps", word):
        return (f"samples in a second are `{number} {samples[1]}Sa/s`",)
    alike = [f"`{name}`" for name in units.units() if name.casefold() == word.casefold()]
    if alike:
        return (f"did you mean {' or '.join(alike)}?",)
    likely = suggestion(word, [name for name in units.units() if len(name) > 1])
    return likely or (f"a product is written `{number} * {word}`",)


@cache
def _parser() -> Lark:
    grammar = (share.folder("dsl") / "cimarch.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        start=["start", "setting"],
        parser="lalr",
        lexer="contextual",
        postlex=_Lines(),
        propagate_positions=True,
        maybe_placeholders=True,
    )


def parse(text: str, file: str) -> ast.Tree:
    """The tree of a file's text; DescriptionError with every syntax problem found."""
    text = clean(text, file)
    remember(file, text)
    problems: list[Diagnostic] = []
    tree, rest = None, text
    for attempt in range(_MOST_SYNTAX_ERRORS):
        tree, found, resume = _attempt(rest, file, "start")
        problems += [p for p in found if p not in problems and not (attempt and _at_end(p, rest))]
        if resume is None or len(text) * attempt > LONGEST_TEXT:
            break
        rest = resume
    if problems:
        raise DescriptionError(*sorted(problems, key=_position))
    assert isinstance(tree, ast.Tree)
    return tree


def tokens(text: str) -> list[Token]:
    """The tokens of a text that can be parsed, with the newlines that end something."""
    return list(_parser().parse_interactive(text, start="start").iter_parse())


def _at_end(problem: Diagnostic, text: str) -> bool:
    """Whether a problem is that the text ends: after a line was left out, no news."""
    return (
        problem.span is None
        or problem.span.line > text.rstrip().count("\n") + 1
        or ("found the end of the file" in problem.headline)
    )


def parse_setting(text: str, file: str) -> ast.Expression:
    """The value of one setting; DescriptionError where it is none."""
    text = clean(text, file)
    remember(file, text)
    value, problems, _ = _attempt(text, file, "setting")
    if problems:
        raise DescriptionError(*problems)
    assert isinstance(value, ast.Expression)
    return value


def _position(problem: Diagnostic) -> tuple[str, int, int]:
    span = problem.span
    return (span.file, span.line, span.column) if span else ("", 0, 0)


def _attempt(text: str, file: str, start: str) -> tuple[Any, list[Diagnostic], str | None]:
    """Parse once: the tree, what is wrong, and the text to try again without the wrong line."""
    try:
        found = _parser().parse(text, start=start)
    except UnexpectedInput as error:
        span = _place(error, text, file)
        return None, [_syntax(error, span, text)], _without_line(text, span.line)
    except _TooDeep as error:
        at = error.token
        span = Span(file, at.line or 1, at.column or 1, at.line or 1, (at.column or 1) + 1)
        headline = f"more than {_DEEPEST_BODY} bodies stand in each other"
        return None, [Diagnostic("E005", headline, span)], None
    except _TooManyTokens:
        headline = f"`{file}` has more than {_MOST_TOKENS:,} words, numbers and signs"
        helps = ("put components in files of their own, and import them",)
        return None, [Diagnostic("E003", headline, helps=helps)], None
    builder = _Builder(file)
    return builder.transform(found), builder.problems, None


def _without_line(text: str, number: int) -> str | None:
    """The text with one line emptied, where that leaves all brackets as they were."""
    lines = text.split("\n")
    line = lines[number - 1]
    if not line.strip() or any(c in line for c in '{}()[]"'):
        return None
    lines[number - 1] = ""
    return "\n".join(lines)


def clean(text: str, file: str) -> str:
    """The text without byte order mark and carriage returns; a diagnostic for what is no text."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if len(text) > LONGEST_TEXT:
        size = f"`{file}` has {len(text):,} characters, more than {LONGEST_TEXT:,}"
        raise DescriptionError(Diagnostic("E003", size))
    if half := HALF_CHARACTER.search(text):
        line = text.count("\n", 0, half.start()) + 1
        note = f"line {line} has U+{ord(half.group()):04X}, which is half a character"
        raise DescriptionError(Diagnostic("E003", f"`{file}` is not Unicode text", notes=(note,)))
    return text


def _place(error: UnexpectedInput, text: str, file: str) -> Span:
    """Where a syntax error is: a token, a character, or the end of the last line."""
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        token = error.token
        if token.type == "_NEWLINE":
            return Span(file, token.line, token.column, token.line, token.column + 1)
        return Span(file, token.line, token.column, token.end_line, token.end_column)
    if isinstance(error, UnexpectedCharacters):
        return Span(file, error.line, error.column, error.line, error.column + 1)
    lines = text.rstrip().split("\n")
    column = len(lines[-1]) + 1
    return Span(file, len(lines), column, len(lines), column + 1)


_TOLD = {
    "$END": "the end of the file",
    "_NEWLINE": "the end of the line",
    "NAME": "a name",
    "NUMBER": "a number",
    "QUANTITY": "a number",
    "STRING": "a string",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "VBAR": "`|`",
    "DOT": "`.`",
    "FORWARD": "`->`",
    "BOTH": "`<->`",
    "COMPARE": "a comparison",
}
_OPERATORS = {"PLUS", "MINUS", "STAR", "SLASH", "CARET", "OR", "AND"}
_VALUES = {"NUMBER", "QUANTITY", "STRING", "LPAR", "LSQB", "NOT", "_TABLE"}


def _expected(names: set[str]) -> str:
    """What may stand at a place, in a few words."""
    if names >= {"NUMBER", "LPAR"}:
        return "a value"
    if "_PARAM" in names:
        return "a member such as `part`, `param` or `name = value`, or `}`"
    if "_COMPONENT" in names:
        return "`component`, `system` or `from`"
    if names & _OPERATORS:
        names = (names - _OPERATORS - {"COMPARE", "_IF", "DOT", "LPAR"}) | {"operator"}
    if "EQUAL" in names:
        names = names - {"DOT"}
    told = sorted({_TOLD.get(n, f"`{n.strip('_').lower()}`") for n in names - {"operator"}})
    if "operator" in names:
        told.append("an operator")
    return told[0] if len(told) == 1 else ", ".join(told[:-1]) + f" or {told[-1]}"


_HABITS = (
    (r"", r";", "a newline or a comma ends a member"),
    (r"/$", r"[/*]", "a comment begins with `#`"),
    (r"\*$", r"\*", "a power is written `2 ^ 7`"),
    (r"", r"&", "both must hold: `a and b`"),
    (r"", r"!(?!=)", "what must not hold: `not a`"),
    (r"", r"'", 'a string stands between `"` and `"`'),
    (r"", r"<-(?!>)", "a wire is written from its source to its target: `a -> b`"),
    (r"\d,$", r"\d{3}\b", "a number is written without commas"),
    (r"^\s*part\s+\w+(\[[^]]*\])?\s*$", r"=", "the type of a part follows a colon: `part a: adc`"),
    (r"^\s*[\w.]+\s*$", r":", "a value follows an equals sign: `clock = 1 GHz`"),
)
"""What other languages write: before the place, from it on, and how it is written here."""


def _habit(text: str, span: Span) -> tuple[str, ...]:
    line = text.split("\n")[span.line - 1]
    before, after = line[: span.column - 1][-200:], line[span.column - 1 :][:200]
    found = (h for b, a, h in _HABITS if re.search(b, before) and re.match(a, after))
    return tuple(found)[:1]


def _syntax(error: UnexpectedInput, span: Span, text: str) -> Diagnostic:
    habit = _habit(text, span)
    if isinstance(error, UnexpectedCharacters):
        character = text.split("\n")[span.line - 1][span.column - 1]
        return _bad_character(character, span, habit)
    assert isinstance(error, UnexpectedToken)
    expected = _expected(set(error.accepts or error.expected))
    kind = error.token.type
    found = _TOLD[kind] if kind in ("$END", "_NEWLINE") else f"`{_short(str(error.token))}`"
    headline = f"expected {expected}, found {found}"
    return Diagnostic("E001", headline, span, f"expected {expected}", helps=habit)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _bad_character(character: str, span: Span, habit: tuple[str, ...]) -> Diagnostic:
    if character == '"':
        headline = "a string that does not end on its line"
        return Diagnostic("E002", headline, span, 'no `"` closes it')
    told = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
    return Diagnostic("E002", f"the character {told} means nothing here", span, helps=habit)
