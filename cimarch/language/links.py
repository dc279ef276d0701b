"""From `connect` lines to links: ports, selections, directions and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod

import attrs

from cimarch.diagnostics import Diagnostic, Span, listing, suggestion
from cimarch.hardware.kinds import CROSSBARS, KINDS, Kind
from cimarch.hardware.system import Link, Port
from cimarch.language import ast, reach
from cimarch.language.evaluate import Evaluator
from cimarch.language.instances import Instance
from cimarch.language.references import Failed, Scope
from cimarch.units import DATA, NUMBER

Selection = tuple[tuple[int, int], ...]
_OPTIONS = ("width", "share")


@attrs.frozen(eq=False)
class _End:
    """One resolved end: a part, the members chosen, and the port if one is named."""

    part: Instance
    selection: Selection
    port: str | None
    span: Span

    @property
    def kind(self) -> Kind:
        return KINDS[self.part.definition.kind()]

    @property
    def count(self) -> int:
        return prod(high - low for low, high in self.selection)

    def shape(self) -> str:
        """The chosen members as an array is written: `[8, 128]`."""
        sizes = ", ".join(str(high - low) for low, high in self.selection)
        return f"`{self.part.path}`, {self.count} of them" + (f" as [{sizes}]" if sizes else "")


DRIVING = {"dac"}
"""Kinds that drive crossbars; where a system has none, its inputs simply are there."""
READING = {"sample_hold", "adc", "shift_add", "accumulator", "adder_tree"}
"""Kinds that read crossbars; where a system has none, its results simply are there."""


class Linker:
    """Resolves all `connect` lines of a tree; problems go to the evaluator."""

    def __init__(self, root: Instance, evaluator: Evaluator) -> None:
        self._root = root
        self._evaluator = evaluator
        self._broken = False

    def links(self) -> tuple[Link, ...]:
        """Every link, in order of declaration, outer scopes first."""
        found: list[Link] = []
        for scope in self._root.walk():
            for line in scope.links:
                found += self._line(scope, line)
        if not self._broken and not self._evaluator.problems:
            self._contradictions(found)
            self._dangling(found)
        return tuple(found)

    def _fail(
        self,
        code: str,
        headline: str,
        span: Span,
        label: str = "",
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
    ) -> Failed:
        return Failed(Diagnostic(code, headline, span, label, notes=notes, helps=helps))

    def _line(self, scope: Instance, line: ast.Connect) -> list[Link]:
        ends: list[_End | None] = []
        width: Fraction | None = None
        share = False
        before = len(self._evaluator.problems)
        with self._evaluator.collecting():
            width, share = self._options(scope, line)
        for tree in line.ends:
            ends.append(None)
            with self._evaluator.collecting():
                ends[-1] = self._end(scope, tree)
        found = []
        for source, arrow, target in zip(ends, line.arrows, ends[1:], strict=False):
            with self._evaluator.collecting():
                if source is None or target is None:
                    raise Failed
                link = self._link(scope, source, target, arrow == "<->")
                found.append(attrs.evolve(link, width=width, share=share, span=line.span))
        self._broken |= len(self._evaluator.problems) > before or None in ends
        return found

    # options

    def _options(self, scope: Instance, line: ast.Connect) -> tuple[Fraction | None, bool]:
        width: Fraction | None = None
        share = False
        for option in line.options:
            name = option.path[0].text if isinstance(option, ast.Assign) else ""
            if not isinstance(option, ast.Assign) or name not in _OPTIONS or len(option.path) > 1:
                headline = "a link has only the options `width` and `share`"
                helps = suggestion(name, _OPTIONS)
                raise self._fail("E085", headline, option.span, helps=helps)
            if name == "width":
                width = self._width(scope, option.value)
            elif isinstance(option.value, ast.Name) and option.value.path == ("any",):
                share = True
            else:
                headline = "`share` of a link can only be `any`"
                raise self._fail("E085", headline, option.value.span)
        return width, share

    def _width(self, scope: Instance, at: ast.Expression) -> Fraction:
        width = self._evaluator.number(at, Scope(scope, scope))
        if width.dimension != DATA:
            helps = (f"with a unit: `{width} bit`",) if width.dimension == NUMBER else ()
            raise self._fail(
                "E030", "the width of a link is an amount of data", at.span, helps=helps
            )
        if width.value <= 0 or width.value.denominator != 1:
            headline = f"the width of a link is {width}, not a whole number of bits from 1"
            raise self._fail("E052", headline, at.span)
        return width.value

    # ends

    def _end(self, scope: Instance, tree: ast.End) -> _End:
        here, port = scope, None
        selection: list[tuple[int, int]] = []
        for position, hop in enumerate(tree.hops):
            name = hop.name.text
            last = position == len(tree.hops) - 1
            if name in here.children:
                here = here.children[name]
                if not here.has_shape:
                    raise Failed
                selection += self._select(scope, here, hop)
            elif last and position and name in KINDS[here.definition.kind()].ports:
                port = name
            else:
                raise self._no_part(here, hop, last and position > 0)
        return _End(here, tuple(selection), port, tree.span)

    def _no_part(self, here: Instance, hop: ast.Hop, port_possible: bool) -> Failed:
        name, kind = hop.name.text, KINDS[here.definition.kind()]
        if port_possible and kind.ports:
            headline = f"`{here.path}` has no port `{name}`"
            notes = (f"the ports of a {kind.name} are {listing(kind.ports)}",)
            helps = suggestion(name, kind.ports)
            return self._fail("E081", headline, hop.name.span, notes=notes, helps=helps)
        headline = f"{here.told()} has no part `{name}`"
        known = list(here.children)
        notes = (f"its parts are {listing(known)}",) if known else ("it has no parts",)
        helps = suggestion(name, known)
        return self._fail("E080", headline, hop.name.span, notes=notes, helps=helps)

    def _select(self, scope: Instance, part: Instance, hop: ast.Hop) -> Selection:
        if len(hop.indices) != len(part.shape):
            raise self._wrong_indices(part, hop)
        return tuple(
            self._range(scope, part, index, size)
            for index, size in zip(hop.indices, part.shape, strict=True)
        )

    def _wrong_indices(self, part: Instance, hop: ast.Hop) -> Failed:
        name, shape = hop.name.text, ", ".join(str(n) for n in part.shape)
        if not part.shape:
            headline = f"`{part.path}` is not an array"
            return self._fail("E082", headline, hop.span, helps=(f"`{name}` without an index",))
        stars = ", ".join("*" for _ in part.shape)
        given = len(hop.indices)
        headline = f"`{part.path}` is an array [{shape}], and {given or 'no'} "
        headline += "index is given" if given < 2 else "indices are given"
        return self._fail("E082", headline, hop.span, helps=(f"`{name}[{stars}]` is all of them",))

    def _range(
        self, scope: Instance, part: Instance, index: ast.Index, size: int
    ) -> tuple[int, int]:
        if index.first is None or index.last is None:
            return 0, size
        first = self._index(scope, index.first)
        last = self._index(scope, index.last)
        if first > last:
            headline = f"the range {first}..{last} of `{part.path}` is empty"
            raise self._fail("E082", headline, index.span)
        if first < 0 or last >= size:
            told = f"{first}" if index.first is index.last else f"{first}..{last}"
            headline = f"the index {told} of `{part.path}` is outside 0..{size - 1}"
            raise self._fail("E082", headline, index.span)
        return first, last + 1

    def _index(self, scope: Instance, at: ast.Expression) -> int:
        value = self._evaluator.number(at, Scope(scope, scope))
        if value.dimension != NUMBER or value.value.denominator != 1:
            raise self._fail("E082", f"an index is a whole number, not {value}", at.span)
        return int(value.value)

    # links

    def _link(self, scope: Instance, source: _End, target: _End, both: bool) -> Link:
        for end in (source, target):
            if not end.kind.ports:
                raise self._no_ports(end)
            if both and end.port not in (None, "any"):
                headline = f"`<->` uses both directions, and `{end.port}` is one"
                raise self._fail("E081", headline, end.span)
        out = source.port or source.kind.default_source
        into = target.port or target.kind.default_target
        self._check_direction(source, out, ("out", "any"), "out of")
        self._check_direction(target, into, ("in", "write", "any"), "into")
        if source.part is target.part:
            headline = f"`{source.part.path}` is connected to itself"
            raise self._fail("E083", headline, source.span.to(target.span))
        small, large = sorted((source.count, target.count))
        if large % small:
            raise self._misfit(source, target)
        assert out is not None
        assert into is not None
        return Link(
            scope.path,
            Port(source.part.path, out, source.selection),
            Port(target.part.path, into, target.selection),
            both=both,
        )

    def _no_ports(self, end: _End) -> Failed:
        able = [c.path for c in end.part.children.values() if KINDS[c.definition.kind()].ports]
        headline = f"`{end.part.path}` is a `{end.part.type_name}`, which has no port of its own"
        helps = (f"name one of its parts: {listing(able)}",) if able else ()
        return self._fail("E084", headline, end.span, "no port", helps=helps)

    def _check_direction(
        self, end: _End, port: str | None, allowed: tuple[str, ...], way: str
    ) -> None:
        if port not in allowed:
            headline = f"nothing goes {way} the port `{port}` of `{end.part.path}`"
            notes = (f"the ports of a {end.kind.name} are {listing(end.kind.ports)}",)
            raise self._fail("E081", headline, end.span, "wrong direction", notes=notes)

    def _misfit(self, source: _End, target: _End) -> Failed:
        headline = f"{source.count} of `{source.part.path}` do not divide among"
        headline += f" {target.count} of `{target.part.path}`"
        notes = (source.shape(), target.shape(), "one count must be a multiple of the other")
        return self._fail("E083", headline, source.span.to(target.span), notes=notes)

    # what is said twice, and what is left out

    def _contradictions(self, links: list[Link]) -> None:
        """Wires between the same ends that are wide, or shared, in two different ways."""
        seen: dict[tuple[object, ...], Link] = {}
        for link in links:
            for ends in _ways(link):
                first = seen.setdefault(ends, link)
                if (first.width, first.share) != (link.width, link.share):
                    headline = f"`{link.source.path}` and `{link.target.path}` are connected twice,"
                    headline += " with different options"
                    others = ((first.span, "connected here first"),) if first.span else ()
                    problem = Diagnostic("E085", headline, link.span, others=others)
                    self._evaluator.problems.append(problem)
                    break

    def _dangling(self, links: list[Link]) -> None:
        """Parts that no link reaches, and crossbars that nothing enters or leaves."""
        if not links:
            return
        into = _boxes(links, lambda port, enters: enters and port.name != "write")
        out = _boxes(links, lambda port, enters: not enters)
        touched = _boxes(links, lambda port, enters: True)
        kinds = {part.definition.kind() for part in self._root.walk()}
        for part in self._root.walk():
            kind, path = part.definition.kind(), part.path
            if not KINDS[kind].ports or self._tell("E086", part, touched, _UNTOUCHED):
                continue
            driven = path in into or kinds & DRIVING
            if kind in CROSSBARS and driven and self._tell("E087", part, into, _UNDRIVEN):
                continue
            if kind in CROSSBARS and (path in out or kinds & READING):
                self._tell("E087", part, out, _UNREAD)

    def _tell(
        self, code: str, part: Instance, reached: Mapping[str, list[Selection]], what: str
    ) -> bool:
        """Tell of the members that the links leave out; whether there are any."""
        shape = reach.full_shape(part)
        found = [reach.widened(box, shape) for box in reached.get(part.path, ())]
        try:
            members = reach.left_out(shape, found)
        except reach.TooManyBoxes:
            headline = f"`{part.path}` is wired in too many different slices to check them"
            helps = ("name whole dimensions by `[*]`",)
            self._evaluator.problems.append(Diagnostic("E082", headline, part.place(), helps=helps))
            return True
        if members is None:
            return False
        name = reach.told(part, members) if found else part.path
        notes = ("the links reach other members of this array",) if found else ()
        diagnostic = Diagnostic(code, what.format(name), part.place(), notes=notes)
        self._evaluator.problems.append(diagnostic)
        return True


_UNTOUCHED = "nothing is connected to `{}`"
_UNDRIVEN = "no input reaches the crossbar `{}`"
_UNREAD = "no result leaves the crossbar `{}`"


def _ways(link: Link) -> list[tuple[object, ...]]:
    """From which members to which its data go, and whether to be written into cells."""
    there = (link.source.path, link.source.selection, link.target.path, link.target.selection)
    ways: list[tuple[object, ...]] = [(*there, link.target.name == "write")]
    return [*ways, (*there[2:], *there[:2], False)] if link.both else ways


def _boxes(links: list[Link], wanted: Callable[[Port, bool], bool]) -> dict[str, list[Selection]]:
    """By part: the members at those ends of links that are wanted (port, whether data enter)."""
    found: dict[str, list[Selection]] = {}
    for link in links:
        ends = [(link.source, False), (link.target, True)]
        if link.both:
            ends += [(link.source, True), (link.target, False)]
        for port, enters in ends:
            if wanted(port, enters):
                found.setdefault(port.path, []).append(port.selection)
    return found
