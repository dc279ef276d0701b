"""Where each number of an elaborated description comes from; worked out when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import attrs

from cimarch.diagnostics import DescriptionError, Span
from cimarch.hardware.costs import Estimate, models
from cimarch.hardware.kinds import COSTS, KINDS
from cimarch.hardware.origin import Origin, Read, Remark
from cimarch.hardware.system import RUNNING_NAMES, Value
from cimarch.language import ast
from cimarch.language.evaluate import INHERITED, Evaluator
from cimarch.language.instances import ActionSlot, Binding, Instance
from cimarch.language.pricing import PRICED, PartFacts, model_for, trial
from cimarch.language.reads import address_in, read_by, told
from cimarch.language.references import Running, Scope, needs
from cimarch.language.unexplained import COUNT, no_such, what_to_type
from cimarch.language.written import Texts
from cimarch.units import Quantity, show

_ALWAYS = ("area", "power", "leakage")
_SILENT_LATENCY = "a run counts what the kind does by itself: docs/engine.md"


@attrs.frozen(eq=False)
class Origins:
    """The tree of one system with its values, asked for single numbers."""

    evaluator: Evaluator
    root: Instance
    texts: Texts
    _known: dict[tuple[str, str], Origin] = attrs.field(factory=dict, init=False)

    # names

    def locate(self, address: str) -> tuple[str, str]:
        """The part and the name that an address means: a parameter, a cost of an action, `count`,
        an action by itself, or nothing for a part as a whole.

        Raises DescriptionError where it means none of these.
        """
        here, rest = self.root.below(tuple(address.split("."))) if address else (self.root, ())
        name = ".".join(rest)
        if rest and not self._names(here, rest):
            raise DescriptionError(no_such(here, address, rest))
        return here.path, name

    def _names(self, here: Instance, rest: tuple[str, ...]) -> bool:
        if len(rest) == 1:
            return rest[0] in here.parameters or rest[0] in here.actions or rest[0] == COUNT
        return len(rest) == 2 and rest[0] in here.actions and rest[1] in COSTS

    def _instance(self, part: str) -> Instance:
        here, rest = self.root.below(tuple(part.split("."))) if part else (self.root, ())
        if rest:
            raise DescriptionError(no_such(here, part, rest))
        return here

    def numbers(self, part: str, *, every: bool = False) -> tuple[str, ...]:
        """The names of a part's numbers: its count, its parameters, the costs of its actions.

        Of the parameters those that somebody said or that decide something, or with `every` all.
        """
        here = self._instance(part)
        costs = [f"{action}.{cost}" for action in here.actions for cost in COSTS]
        shown = [name for name in here.parameters if every or self._is_told(here, name)]
        return (COUNT, *shown, *costs)

    def _is_told(self, here: Instance, name: str) -> bool:
        """Whether a parameter is worth a line: said by somebody, or read by what was said."""
        binding = here.bindings.get(name)
        if name in _ALWAYS or (binding is not None and not binding.is_standard):
            return True
        if name in INHERITED:
            return here.values.get(name) is not None
        kind = here.definition.kind()
        assumed = kind in KINDS and name in KINDS[kind].figures
        return assumed or here.parameters[name].is_let or name in models(kind)

    def remarks(self, part: str) -> tuple[Remark, ...]:
        """The comments above the part and its components, and the headers of their files."""
        here = self._instance(part)
        own = [d for d in here.definition.chain() if not d.is_standard]
        spans = [(d.tree.name.span, d.name) for d in own]
        if here.tree is not None:
            spans.append((here.tree.span, here.path))
        files = dict.fromkeys([self.root.place().file, *(span.file for span, _ in spans)])
        headers = {file: self.texts.header(file) for file in files}
        above = [self.texts.above(span, about) for span, about in spans]
        found = [*headers.values(), *above]
        return tuple(dict.fromkeys(remark for remark in found if remark is not None))

    # one number

    def origin(self, part: str, name: str) -> Origin:
        """How one number came about; raises DescriptionError where there is none of that name."""
        if (part, name) not in self._known:
            self._known[part, name] = self._find(part, name)
        return self._known[part, name]

    def _find(self, part: str, name: str) -> Origin:
        here = self._instance(part)
        names = tuple(name.split("."))
        if name in here.parameters:
            return self._parameter(here, name)
        if len(names) == 2 and names[0] in here.actions and names[1] in COSTS:
            return self._cost(here, here.actions[names[0]], names[1])
        if name == COUNT:
            return self._count(here)
        raise DescriptionError(no_such(here, f"{part}.{name}" if part else name, names))

    def _count(self, here: Instance) -> Origin:
        chain = [here]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        sizes = [str(size) for each in chain for size in reversed(each.shape)]
        reads: dict[str, Read] = {}
        for each in reversed(chain):
            for size in each.tree.shape if each.tree and each.parent else ():
                found, _ = read_by(self.evaluator, size, Scope(each.parent or each, each))
                reads |= {read.address: read for read in found}
        return Origin(
            here.path, COUNT, "stated", Quantity(Fraction(here.count)), f"{here.count:,}",
            worked=" * ".join(reversed(sizes)) if len(sizes) > 1 else "",
            line=self.texts.line(here.place()), reads=tuple(reads.values()),
        )  # fmt: skip

    def _parameter(self, here: Instance, name: str) -> Origin:
        binding = here.bindings[name]
        if self.evaluator.is_late(here, name):
            return self._late(here, name, binding)
        value = self.evaluator.value(here, name)
        if name in PRICED and binding.is_standard and name in here.estimates:
            return self._modelled(here, name, here.estimates[name])
        if isinstance(binding.value, ast.Unset) and value is not None and name in INHERITED:
            return self._inherited(here, name, value)
        expected = self.evaluator.declared(here, name)
        scope = self.evaluator.scope(here, binding, expected, name)
        return self._bound(here, name, binding, scope, value)

    def _late(self, here: Instance, name: str, binding: Binding) -> Origin:
        found = self._bound(here, name, binding, Scope(here, here), None)
        taken = found.expression if not binding.is_standard else "true"
        return attrs.evolve(found, told=taken, reads=(), worked="")

    def _inherited(self, here: Instance, name: str, value: Value) -> Origin:
        giver = here
        while giver.parent is not None and (
            isinstance(giver.bindings[name].value, ast.Unset)
            or self.evaluator.is_taken(giver, name)
        ):
            giver = giver.parent
        found = self._parameter(giver, name)
        return attrs.evolve(
            found, part=here.path, name=name, how="inherited", value=value, giver=giver.path
        )

    def _bound(
        self, here: Instance, name: str, binding: Binding, scope: Scope, value: Value | None
    ) -> Origin:
        """The origin of what an expression gives."""
        how = "set" if binding.setting else "default" if binding.is_standard else "stated"
        span = binding.value.span
        reads, put = read_by(self.evaluator, binding.value, scope)
        line = None if binding.setting else self.texts.line(span)
        return Origin(
            here.path, name, how, value, told(value),
            expression=self.texts.expression(span) or (binding.setting or "").partition("=")[2],
            worked=self.texts.expression(span, put) if put else "",
            line=line, setting=binding.setting or "", reads=reads, warnings=self._warned(span),
        )  # fmt: skip

    def _warned(self, span: Span) -> tuple[str, ...]:
        known = (*self.evaluator.warnings(), *self.evaluator.doubts)
        return tuple(w.headline for w in known if w.span == span)

    # costs

    def _cost(self, here: Instance, slot: ActionSlot, name: str) -> Origin:
        whole = f"{slot.name}.{name}"
        if name in slot.costs:
            return self._stated_cost(here, slot, name, whole)
        if name == "energy":
            return self._unstated_energy(here, slot, whole)
        return Origin(here.path, whole, "nobody", notes=(_SILENT_LATENCY,))

    def _stated_cost(self, here: Instance, slot: ActionSlot, name: str, whole: str) -> Origin:
        binding = slot.costs[name]
        needed = needs(here, slot, name)
        running = Running(trial(self.evaluator, here)) if needed else None
        scope = Scope(binding.scope, here, action=slot, running=running)
        value = self.evaluator.cost(here, slot, name, running)
        found = self._bound(here, whole, binding, scope, value)
        return attrs.evolve(found, needs=_in_order(needed))

    def _unstated_energy(self, here: Instance, slot: ActionSlot, whole: str) -> Origin:
        power = self.evaluator.value(here, "power")
        assert isinstance(power, Quantity)
        if power.value > 0:
            note = f"`{slot.name}` states no energy, so the part's power counts while it is busy"
            read = Read("power", told(power), address_in(here, "power"))
            price = f"{show(power)} x busy time"
            return Origin(
                here.path, whole, "from power", told=price, expression="power * busy time",
                worked=f"{show(power)} * busy time", reads=(read,), notes=(note,),
            )  # fmt: skip
        model = model_for(self.evaluator, here, whole)
        if model is not None and whole in here.estimates:
            ordinary = trial(self.evaluator, here)
            found = model.price(PartFacts(self.evaluator, here, ordinary))
            assert found is not None
            priced, needed = self._modelled(here, whole, found), _in_order(model.needs)
            names = {read.name for read in priced.reads}
            given = (Read(n, show(Quantity(ordinary[n]))) for n in needed if n not in names)
            return attrs.evolve(priced, needs=needed, reads=(*priced.reads, *given))
        return Origin(here.path, whole, "nobody", helps=what_to_type(here, slot, whole))

    def _modelled(self, here: Instance, name: str, found: Estimate) -> Origin:
        reads = tuple(
            Read(each, text, address_in(here, each) if each in here.parameters else "")
            for each, text in found.inputs
        )
        return Origin(
            here.path, name, "modelled", found.quantity, told(found.quantity),
            expression=found.formula, reads=reads, estimate=found, warnings=found.warnings,
        )  # fmt: skip


def _in_order(needed: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in RUNNING_NAMES if name in needed)
