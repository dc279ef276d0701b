"""From definitions to the tree of parts: structure and names, no values yet."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from cimarch.diagnostics import Diagnostic, Problems, Span, listing, suggestion
from cimarch.hardware.kinds import COSTS, KINDS
from cimarch.language import ast
from cimarch.language.instances import ActionSlot, Binding, Instance, Parameter
from cimarch.language.lent import LENT
from cimarch.language.modules import Definition, Library, Module
from cimarch.units import is_unit

_DEEPEST = 32
_MOST_PARTS = 5_000
_MOST_PARAMETERS = 120_000
"""Of all named parts: a second's work."""
_MOST_UNUSED = 5_000
"""Parts that all components together may unfold into which the system does not use."""


class _TooLarge(Exception):
    """The description unfolds into more parts, or parameters, than anything real has."""


@attrs.frozen(eq=False)
class _Remote:
    """A setting of a part of a part, on its way there."""

    path: tuple[ast.Word, ...]
    binding: Binding
    body: str
    """Where it is written: told when it fails."""


class Builder:
    """Builds the tree of parts of one system; collects what is wrong with its names."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.problems = Problems()
        self._parts = self._all = self._parameters = 0
        self._open: list[Definition] = []
        self._used: set[Definition] = set()

    def build(self, definition: Definition) -> Instance:
        """The tree of a system (or of a component by itself)."""
        root = Instance(definition.name, "", definition, None, None)
        self._all += self._parts
        self._parts, self._parameters, self._open = 0, 0, []
        try:
            self._fill(root)
        except _TooLarge as too_large:
            headline = f"`{definition.name}` unfolds into more than {too_large}"
            self._problem("E016", headline, definition.tree.name.span)
        return root

    def _problem(
        self,
        code: str,
        headline: str,
        span: Span | None,
        label: str = "",
        others: tuple[tuple[Span, str], ...] = (),
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
    ) -> None:
        self.problems.append(Diagnostic(code, headline, span, label, others, notes, helps))

    def build_unused(self, module: Module, system: Definition) -> list[Instance]:
        """Every other component of a file by itself, for what is wrong with those not used."""
        used = {system, *self._used}
        found: list[Instance] = []
        for definition in module.own.values():
            if definition in used:
                continue
            if self._all > _MOST_UNUSED:
                headline = f"what the system does not use has more than {_MOST_UNUSED:,} parts"
                self._problem("E016", headline, definition.tree.name.span)
                break
            found.append(self.build(definition))
        return found

    # one part

    def _fill(self, here: Instance) -> None:
        self._open.append(here.definition)
        remotes: list[_Remote] = []
        self._used.update(here.definition.chain())
        for definition in here.definition.chain():
            self.no_repeats(definition.tree.body)
        self._declare(here)
        self._parameters += len(here.parameters)
        if self._parameters > _MOST_PARAMETERS:
            raise _TooLarge(f"{_MOST_PARAMETERS:,} parameters")
        for definition, member in here.definition.members():
            if isinstance(member, ast.Assign):
                self._assign(here, here, member, definition, remotes)
            elif isinstance(member, ast.ActionDeclaration):
                self._action(here, here, member, definition)
            elif isinstance(member, ast.Connect):
                here.links.append(member)
            elif isinstance(member, ast.Assertion):
                here.assertions.append(member)
        for definition, member in here.definition.members():
            if isinstance(member, ast.PartDeclaration):
                self._part(here, member, definition)
        self._deliver(here, remotes)
        self._open.pop()

    def _declare(self, here: Instance) -> None:
        seen: dict[str, tuple[Span, Definition]] = {}
        for definition, member in here.definition.members():
            if isinstance(member, ast.Param | ast.Let):
                if self._is_free(member.name, definition, seen):
                    self._declare_parameter(here, member, definition)
            elif isinstance(member, ast.PartDeclaration):
                self._is_free(member.name, definition, seen)

    def _is_free(
        self, name: ast.Word, definition: Definition, seen: dict[str, tuple[Span, Definition]]
    ) -> bool:
        """Whether no other member has the name, inherited ones among them."""
        first, holder = seen.setdefault(name.text, (name.span, definition))
        if first is name.span:
            return True
        if holder.is_standard and (holder.name, name.text) in LENT and not definition.is_standard:
            seen[name.text] = (name.span, definition)
            return True
        if holder is definition:
            headline = f"`{name.text}` is declared twice in `{definition.name}`"
            self._problem("E011", headline, name.span, others=((first, "declared here first"),))
        else:
            headline = f"`{name.text}` is declared in `{holder.name}` already"
            helps = (f"`{name.text} = ...` gives an inherited parameter a value",)
            others = ((first, "inherited from here"),)
            self._problem("E011", headline, name.span, others=others, helps=helps)
        return False

    def _declare_parameter(
        self, here: Instance, member: ast.Param | ast.Let, definition: Definition
    ) -> None:
        name = member.name
        if is_unit(name.text) or name.text in ("true", "false", "none", "total"):
            what = "a unit" if is_unit(name.text) else "a word of the language"
            self._problem("E015", f"`{name.text}` is {what}, not a parameter's name", name.span)
        here.parameters[name.text] = Parameter(name.text, member, definition)
        value = member.value if isinstance(member, ast.Let) else member.default
        here.bindings.pop(name.text, None)  # the library's, where the component takes its name
        if value is not None:
            here.bindings[name.text] = Binding(value, here, name.span, definition.is_standard)

    # what is set

    def _assign(
        self,
        target: Instance,
        scope: Instance,
        member: ast.Assign,
        definition: Definition,
        remotes: list[_Remote],
    ) -> None:
        binding = Binding(member.value, scope, member.target, definition.is_standard)
        if len(member.path) > 1:
            remotes.append(_Remote(member.path, binding, definition.name))
        elif self.settable(target, member.path[0].text, member.target):
            target.bindings[member.path[0].text] = binding

    def settable(self, target: Instance, name: str, span: Span | None) -> bool:
        """Whether a parameter of this name may be set there; a diagnostic where not."""
        parameter = target.parameters.get(name)
        if parameter is None:
            known = [p.name for p in target.parameters.values() if not p.is_let]
            self._problem(
                "E020",
                f"`{target.type_name}` has no parameter `{name}`",
                span,
                "unknown parameter",
                notes=(f"the parameters of `{target.type_name}` are {listing(known)}",),
                helps=suggestion(name, known) or (f"`param {name} = ...` declares it",),
            )
        elif parameter.is_let:
            place = ((parameter.tree.name.span, "declared here by `let`"),)
            self._problem("E021", f"`{name}` is a `let`, which nothing can set", span, others=place)
        return parameter is not None and not parameter.is_let

    def _action(
        self,
        target: Instance,
        scope: Instance,
        member: ast.ActionDeclaration,
        definition: Definition,
    ) -> None:
        name = member.name
        slot = target.actions.get(name.text)
        if slot is None:
            if not definition.is_standard:
                self._unknown_action(target, name)
                return
            slot = target.actions[name.text] = ActionSlot(name.text, name.span)
        slot.place = name.span
        seen: set[str] = set()
        for cost in member.costs:
            self._cost(slot, scope, cost, definition, seen)

    def _cost(
        self,
        slot: ActionSlot,
        scope: Instance,
        cost: ast.Assign,
        definition: Definition,
        seen: set[str],
    ) -> None:
        text = ".".join(w.text for w in cost.path)
        if text not in COSTS:
            headline = f"an action has no cost `{text}`"
            note = (f"its costs are {listing(COSTS)}",)
            self._problem("E023", headline, cost.target, notes=note, helps=suggestion(text, COSTS))
        elif text in seen:
            self._problem("E011", f"`{text}` of `{slot.name}` is stated twice", cost.target)
        else:
            seen.add(text)
            place = cost.target
            slot.costs[text] = Binding(cost.value, scope, place, definition.is_standard)

    def _unknown_action(self, target: Instance, name: ast.Word) -> None:
        known = list(KINDS[target.definition.kind()].actions)
        notes = (f"its actions are {listing(known)}",) if known else ()
        headline = f"`{target.type_name}` has no action `{name.text}`"
        self._problem("E022", headline, name.span, notes=notes, helps=suggestion(name.text, known))

    # parts

    def _part(self, here: Instance, tree: ast.PartDeclaration, holder: Definition) -> None:
        if tree.name.text in here.children:
            return  # declared twice, and told
        definition = self._library.resolve(tree.type, holder.module)
        if definition is None or not self._may_hold(here, tree, definition):
            return
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _TooLarge(f"{_MOST_PARTS:,} named parts")
        path = f"{here.path}.{tree.name.text}" if here.path else tree.name.text
        part = Instance(tree.name.text, path, definition, here, tree)
        here.children[tree.name.text] = part
        self._fill(part)
        self._part_body(part, here, tree, holder)

    def _may_hold(self, here: Instance, tree: ast.PartDeclaration, definition: Definition) -> bool:
        if definition.tree.is_system:
            headline = f"`{definition.name}` is a system, which cannot be a part"
            self._problem("E017", headline, tree.type.span)
            return False
        if definition in self._open:
            ring = [d.name for d in self._open[self._open.index(definition) :]]
            headline = f"`{definition.name}` contains itself"
            told = " holds ".join(f"`{name}`" for name in [*ring, definition.name])
            self._problem("E017", headline, tree.type.span, notes=(told,))
            return False
        if len(self._open) >= _DEEPEST:
            headline = f"parts nest more than {_DEEPEST} deep"
            self._problem("E016", headline, tree.name.span)
            return False
        return True

    def _part_body(
        self, part: Instance, scope: Instance, tree: ast.PartDeclaration, holder: Definition
    ) -> None:
        remotes: list[_Remote] = []
        self.no_repeats(tree.body)
        for member in tree.body:
            if isinstance(member, ast.Assign):
                self._assign(part, scope, member, holder, remotes)
            elif isinstance(member, ast.ActionDeclaration):
                self._action(part, scope, member, holder)
            else:
                headline = f"the body of part `{part.name}` can only set parameters and actions"
                help_ = f"declare a `component ... is {part.type_name}` that has it"
                self._problem("E018", headline, member.span, helps=(help_,))
        self._deliver(part, remotes)

    def no_repeats(self, body: Iterable[ast.Member]) -> None:
        """Tell of every name that one body sets twice."""
        seen: dict[str, Span] = {}
        for member in body:
            if isinstance(member, ast.Assign):
                text = ".".join(w.text for w in member.path)
            elif isinstance(member, ast.ActionDeclaration):
                text = f"action {member.name.text}"
            else:
                continue
            span = member.target if isinstance(member, ast.Assign) else member.name.span
            if text in seen:
                others = ((seen[text], "set here first"),)
                self._problem("E011", f"`{text}` is set twice", span, others=others)
            seen.setdefault(text, span)

    def _deliver(self, here: Instance, remotes: list[_Remote]) -> None:
        """Apply settings of parts of parts, once these exist."""
        for remote in remotes:
            path = tuple(w.text for w in remote.path)
            span = remote.path[0].span.to(remote.path[-1].span)
            target, rest = here.below(path[:-1])
            if rest:
                self.no_part(target, rest[0], remote.path[-1 - len(rest)].span)
            elif self.settable(target, path[-1], span) and self.unbound(target, path[-1], span):
                target.bindings[path[-1]] = remote.binding

    def no_part(self, here: Instance, name: str, span: Span | None, code: str = "E019") -> None:
        """Tell that a part has no part of this name."""
        known = list(here.children)
        notes = (f"its parts are {listing(known)}",) if known else ("it has no parts",)
        headline = f"{here.told()} has no part `{name}`"
        self._problem(code, headline, span, notes=notes, helps=suggestion(name, known))

    def unbound(self, target: Instance, name: str, span: Span | None) -> bool:
        """Whether the enclosing component leaves a part's parameter free: it may give it a
        constant, but what it computes from its own parameters cannot be set apart from them."""
        binding = target.bindings.get(name)
        if binding is None or binding.scope is target or binding.setting:
            return True
        names = [e for e in binding.value.walk() if isinstance(e, ast.Name)]
        read = [n for n in names if binding.scope.below(n.path)[1]]
        read = [n for n in read if self._is_parameter(binding.scope, n.path)]
        if not read:
            return True
        owner = binding.scope
        source = f"{owner.path}.{read[0].text}" if owner.path else read[0].text
        self._problem(
            "E024",
            f"`{name}` of {target.told()} is bound to `{read[0].text}` of {owner.told()}",
            span,
            others=((binding.place, "bound here"),),
            helps=(f"set `{source}`, and `{name}` follows",),
        )
        return False

    def _is_parameter(self, scope: Instance, path: tuple[str, ...]) -> bool:
        here, rest = scope.below(path)
        return len(rest) == 1 and rest[0] in here.parameters
