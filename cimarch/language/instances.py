"""The tree of parts before its values: what gives each parameter, and where that is read."""

from __future__ import annotations

import attrs

from cimarch.diagnostics import Span
from cimarch.hardware.costs import Estimate
from cimarch.hardware.system import Value
from cimarch.language import ast
from cimarch.language.modules import Definition


@attrs.define(eq=False)
class Parameter:
    """A name that has a value in a component: a `param`, or a `let` that nobody may set."""

    name: str
    tree: ast.Param | ast.Let
    definition: Definition

    @property
    def is_let(self) -> bool:
        return isinstance(self.tree, ast.Let)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it may be, where it is a choice."""
        return tuple(w.text for w in self.tree.choices) if isinstance(self.tree, ast.Param) else ()


@attrs.define(eq=False)
class Binding:
    """What gives a parameter or a cost its value."""

    value: ast.Expression
    scope: Instance
    """Where the names on the right-hand side are read."""
    place: Span
    """The left-hand side."""
    is_standard: bool
    """Whether the library says so, not the description."""
    setting: str | None = None
    """`--set path=value`, where it came from outside."""


@attrs.define(eq=False)
class ActionSlot:
    """An action of a part and what gives each of its costs."""

    name: str
    place: Span
    costs: dict[str, Binding] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Instance:
    """One named part (all members of its array)."""

    name: str
    path: str
    definition: Definition
    parent: Instance | None
    tree: ast.PartDeclaration | None
    parameters: dict[str, Parameter] = attrs.field(factory=dict)
    bindings: dict[str, Binding] = attrs.field(factory=dict)
    actions: dict[str, ActionSlot] = attrs.field(factory=dict)
    children: dict[str, Instance] = attrs.field(factory=dict)
    links: list[ast.Connect] = attrs.field(factory=list)
    assertions: list[ast.Assertion] = attrs.field(factory=list)
    values: dict[str, Value | None] = attrs.field(factory=dict)
    """Filled by evaluation; None for a parameter that has no value."""
    estimates: dict[str, Estimate] = attrs.field(factory=dict)
    """What cost models say of it: `area`, `convert.energy`; filled by evaluation."""
    shape: tuple[int, ...] = ()
    has_shape: bool = True
    """False where the size of its array has no valid value."""
    count: int = 1

    @property
    def type_name(self) -> str:
        return self.definition.name

    def told(self) -> str:
        """Its path in backticks, or the system's name."""
        return f"`{self.path or self.definition.name}`"

    def place(self) -> Span:
        """Where it is declared."""
        return self.tree.span if self.tree else self.definition.tree.name.span

    def walk(self) -> list[Instance]:
        """This one and all inside, in order of declaration."""
        found = [self]
        for child in self.children.values():
            found += child.walk()
        return found

    def below(self, path: tuple[str, ...]) -> tuple[Instance, tuple[str, ...]]:
        """The part that a dotted path leads to, and what of the path is left there."""
        here, rest = self, path
        while rest and rest[0] in here.children:
            here, rest = here.children[rest[0]], rest[1:]
        return here, rest
