"""What a .cimarch text says, before anything in it has a meaning."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from cimarch.diagnostics import Span
from cimarch.units import Quantity

# ----------------------------------------------------------------- expressions


@attrs.frozen(eq=False, kw_only=True)
class Expression:
    """Something with a value; `depth` counts the levels of expressions inside."""

    span: Span
    depth: int = 1

    def inside(self) -> tuple[Expression, ...]:
        """The expressions that this one is made of."""
        return ()

    def walk(self) -> Iterator[Expression]:
        """This expression and all inside, in the order they are written."""
        waiting: list[Expression] = [self]
        while waiting:
            found = waiting.pop()
            yield found
            waiting.extend(reversed(found.inside()))


@attrs.frozen(eq=False, kw_only=True)
class Number(Expression):
    """A number with or without a unit."""

    value: Quantity
    unit: str = ""
    """The unit as it is written."""


@attrs.frozen(eq=False, kw_only=True)
class Text(Expression):
    """A string."""

    value: str


@attrs.frozen(eq=False, kw_only=True)
class Flag(Expression):
    """`true` or `false`."""

    value: bool


@attrs.frozen(eq=False, kw_only=True)
class Unset(Expression):
    """`none`: the default of a parameter that need not have a value."""


@attrs.frozen(eq=False, kw_only=True)
class Name(Expression):
    """A dotted name: a parameter, a parameter of a part, a cost of an action, or a word."""

    path: tuple[str, ...]

    @property
    def text(self) -> str:
        """The name as it is written."""
        return ".".join(self.path)


@attrs.frozen(eq=False, kw_only=True)
class Call(Expression):
    """A function of arguments."""

    function: str
    arguments: tuple[Expression, ...]

    def inside(self) -> tuple[Expression, ...]:
        return self.arguments


@attrs.frozen(eq=False, kw_only=True)
class Unary(Expression):
    """`-x` or `not x`."""

    operator: str
    operand: Expression

    def inside(self) -> tuple[Expression, ...]:
        return (self.operand,)


@attrs.frozen(eq=False, kw_only=True)
class Binary(Expression):
    """Arithmetic, a comparison, `and`, `or`."""

    operator: str
    left: Expression
    right: Expression

    def inside(self) -> tuple[Expression, ...]:
        return (self.left, self.right)


@attrs.frozen(eq=False, kw_only=True)
class Choose(Expression):
    """`value if condition else otherwise`."""

    value: Expression
    condition: Expression
    otherwise: Expression

    def inside(self) -> tuple[Expression, ...]:
        return (self.value, self.condition, self.otherwise)


@attrs.frozen(eq=False, kw_only=True)
class Items(Expression):
    """A list; one read from a file by `table` looks the same."""

    items: tuple[Expression, ...]

    def inside(self) -> tuple[Expression, ...]:
        return self.items


@attrs.frozen(eq=False, kw_only=True)
class Table(Expression):
    """`table "file.csv"`: the list of numbers in a file."""

    file: str


# --------------------------------------------------------------------- members


@attrs.frozen(eq=False)
class Word:
    """A name at a place: what is declared, set or referred to."""

    text: str
    span: Span


@attrs.frozen(eq=False)
class Range:
    """`in low..high`, both ends allowed."""

    low: Expression
    high: Expression
    span: Span


@attrs.frozen(eq=False)
class Param:
    """`param name: kind in range = default`."""

    name: Word
    kind: Word | None
    range: Range | None
    choices: tuple[Word, ...]
    default: Expression | None
    span: Span


@attrs.frozen(eq=False)
class Let:
    """`let name = value`: a name for a value that nobody may set."""

    name: Word
    value: Expression
    span: Span


@attrs.frozen(eq=False)
class Assign:
    """`name = value` or `part.name = value`."""

    path: tuple[Word, ...]
    value: Expression
    span: Span

    @property
    def target(self) -> Span:
        """Where the left side is."""
        return self.path[0].span.to(self.path[-1].span)


@attrs.frozen(eq=False)
class ActionDeclaration:
    """`action name { cost = value }`."""

    name: Word
    costs: tuple[Assign, ...]
    span: Span


@attrs.frozen(eq=False)
class PartDeclaration:
    """`part name[shape]: type { ... }`."""

    name: Word
    shape: tuple[Expression, ...]
    type: Word
    body: tuple[Member, ...]
    span: Span


@attrs.frozen(eq=False)
class Index:
    """One index of a hop: all members, one, or an inclusive range of them."""

    first: Expression | None
    last: Expression | None
    span: Span


@attrs.frozen(eq=False)
class Hop:
    """One name of an end of a link, with its indices."""

    name: Word
    indices: tuple[Index, ...]
    span: Span


@attrs.frozen(eq=False)
class End:
    """One end of a link: `ima[*].xbar[0..3].write`."""

    hops: tuple[Hop, ...]
    span: Span


@attrs.frozen(eq=False)
class Connect:
    """`connect a -> b <-> c { option = value }`."""

    ends: tuple[End, ...]
    arrows: tuple[str, ...]
    options: tuple[Member, ...]
    span: Span


@attrs.frozen(eq=False)
class Assertion:
    """`assert condition else "what goes wrong"`."""

    condition: Expression
    message: str | None
    span: Span


Member = Param | Let | Assign | ActionDeclaration | PartDeclaration | Connect | Assertion


@attrs.frozen(eq=False)
class Component:
    """`component name is base { ... }`, or `system name is base { ... }`."""

    name: Word
    base: Word | None
    body: tuple[Member, ...]
    is_system: bool
    span: Span


@attrs.frozen(eq=False)
class Import:
    """`from module import name, name`."""

    module: Word
    names: tuple[Word, ...]
    span: Span


@attrs.frozen(eq=False)
class Tree:
    """One file."""

    file: str
    imports: tuple[Import, ...]
    components: tuple[Component, ...]
