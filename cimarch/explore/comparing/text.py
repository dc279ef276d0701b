"""A comparison as text: a table for each network, and under it what the chips differ in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath

import attrs
from rich.console import RenderableType
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.explore.comparing.assumptions import Fact
from cimarch.explore.comparing.comparison import Chip, Comparison, Result
from cimarch.explore.comparing.figures import FIGURES, Compared, times
from cimarch.mapping.pools import pairs
from cimarch.report.format import area as in_area
from cimarch.report.format import percent, plural, quantity
from cimarch.report.tables import Row, View, listed, narrowed, rendered, table, wrapped

GAP = 2
"""Blanks between columns."""
UNKNOWN = "-"


@attrs.frozen
class Head:
    """One chip's columns in a table: its values, and perhaps others beside them."""

    chip: str
    values: tuple[str, ...]
    others: tuple[str, ...] | None = None
    heading: str = "ratio"
    """Of the others."""

    @property
    def width(self) -> int:
        """Characters that they take, with the gaps before them."""
        texts = [self.chip, *self.values]
        own = max(map(len, texts)) + GAP
        if self.others is None:
            return own
        return own + max(map(len, [self.heading, *self.others])) + GAP


def render(
    comparison: Comparison,
    *,
    width: int | None = None,
    colour: bool = False,
    layers: bool = False,
) -> str:
    """The whole comparison as text; with `layers`, a table of the operations for each network.

    `width` is that of a terminal: chips that have no room beside the first come in a table of their
    own, again beside the first. Without it nothing is parted.
    """
    blocks = _blocks(comparison, narrowed(width), layers)
    return rendered(blocks, width=width, colour=colour)


def _blocks(comparison: Comparison, width: int | None, layers: bool) -> Iterable[RenderableType]:
    for number, network in enumerate(comparison.networks):
        if number:
            yield Text()
        yield from _network(comparison, network, width)
        if layers:
            yield from _layers(comparison.of(network), width)
    yield from _differences(comparison, width)
    yield from _meanings(comparison, width)


# a network


def _network(comparison: Comparison, network: str, width: int | None) -> Iterable[RenderableType]:
    results = comparison.of(network)
    first = comparison.first(network)
    yield Text(printable(_title(comparison, network, first)), style="bold")
    yield Text()
    figures = [f for f in FIGURES if any(r.figures[f.key] is not None for r in results)]
    labels = [*(f.label for f in figures), *(["refused with"] if _refused(results) else [])]
    heads = [_head(comparison, result, figures, results) for result in results]
    for number, group in enumerate(_that_fit(labels, heads, width)):
        if number:
            yield Text()
        yield from _table(labels, group)
    yield from _bounds(results, width)
    yield from _notes(results, figures, width)
    yield from _refusals(results, width)


def _title(comparison: Comparison, network: str, first: Result | None) -> str:
    options = comparison.options
    bits = [f"{options[f'{each}_bits']}-bit {each}s" for each in ("weight", "input")]
    title = [f"{network} on {plural(len(comparison.chips), 'chip')}", *bits]
    title += ["with bits of single operations"] if options.get("precision") else []
    title.append(f"batch {options['batch']}")
    if first is not None and len(comparison.chips) > 1:
        title.append(f"ratios are to {first.chip}")
    return ", ".join(title)


def _refused(results: Sequence[Result]) -> bool:
    return any(result.report is None for result in results)


def _head(
    comparison: Comparison, result: Result, figures: Sequence[Compared], results: Sequence[Result]
) -> Head:
    first = comparison.first(result.network)
    values = [_shown(result.figures[f.key], f.show) for f in figures]
    found = comparison.ratios(result)
    ratios = [_shown(found[f.key], times) for f in figures]
    if _refused(results):
        values.append(result.problems[0].code if result.problems else "")
        ratios.append("")
    is_first = first is result
    return Head(
        printable(result.chip), tuple(values), None if is_first or not first else tuple(ratios)
    )


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return UNKNOWN if value is None else show(value)


def _that_fit(
    labels: Sequence[str], heads: Sequence[Head], width: int | None
) -> Iterable[list[Head]]:
    """Groups of columns that fit the width, each with the first, to which the ratios are."""
    if width is None:
        yield list(heads)
        return
    first, rest = heads[0], list(heads[1:])
    room = width - GAP - max(map(len, labels)) - first.width
    while True:
        group, used = [first], 0
        while rest and (len(group) == 1 or used + rest[0].width <= room):
            used += rest[0].width
            group.append(rest.pop(0))
        yield group
        if not rest:
            return


def _table(labels: Sequence[str], heads: Sequence[Head]) -> Iterable[RenderableType]:
    def cell(texts: Sequence[str]) -> Callable[[Row], str]:
        return lambda row: texts[row["index"]]

    views = [View("", cell(labels), right=False)]
    for head in heads:
        views.append(View(head.chip, cell(head.values)))
        if head.others is not None:
            right = head.heading == "ratio"
            views.append(View(head.heading, cell(head.others), right=right))
    return table(views, [{"index": index} for index in range(len(labels))], None)


# what is told under it


def _bounds(results: Sequence[Result], width: int | None) -> Iterable[RenderableType]:
    ran = [result for result in results if result.report and result.report.bound]
    if not ran:
        return
    yield Text()
    yield Text("What bounds the time", style="bold")
    for result in ran:
        bound = result.report.bound if result.report else None
        if bound is not None:
            told = f"{result.chip}: {bound.name}, busy {percent(bound.share)} of the time"
            told += f"; {bound.delays} waits there longest" if bound.waited else ""
            yield from wrapped(told, width, bullet="- ")


def _notes(
    results: Sequence[Result], figures: Sequence[Compared], width: int | None
) -> Iterable[RenderableType]:
    """Why the dashes of the table are dashes; a reason once, with all that it is the reason of."""
    chips: dict[tuple[str, str], list[str]] = {}
    for result in results:
        reasons: dict[str, list[str]] = {}
        for figure in figures:
            if figure.key in result.unknown:
                reasons.setdefault(result.unknown[figure.key], []).append(figure.label)
        for why, labels in reasons.items():
            chips.setdefault((", ".join(labels), why), []).append(result.chip)
    sentences = [f"{what} of {', '.join(names)}: {why}" for (what, why), names in chips.items()]
    yield from listed("Not known", sentences, width)


def _refusals(results: Sequence[Result], width: int | None) -> Iterable[RenderableType]:
    sentences = [
        f"{result.chip}: {problem.headline} [{problem.code}]{_help(problem.helps)}"
        for result in results
        for problem in result.problems
    ]
    yield from listed("Does not run", sentences, width)


def _help(helps: Sequence[str]) -> str:
    return f"; help: {helps[0]}" if helps else ""


def _layers(results: Sequence[Result], width: int | None) -> Iterable[RenderableType]:
    """Each operation's time on each chip, and the part that is busy longest for it."""
    names = list(dict.fromkeys(row["operation"] for r in results for row in r.layers))
    heads = []
    for result in results:
        if result.report is not None:
            rows = {row["operation"]: row for row in result.layers}
            found = [rows.get(name) for name in names]
            times = tuple(quantity(row["seconds"], "s") if row else UNKNOWN for row in found)
            bounds = tuple(row["bound_by"] or UNKNOWN if row else UNKNOWN for row in found)
            heads.append(Head(printable(result.chip), times, bounds, "bound by"))
    yield Text()
    yield Text("Per operation", style="bold")
    yield from _parted(names, heads, width)


# what the chips differ in


def _differences(comparison: Comparison, width: int | None) -> Iterable[RenderableType]:
    found = comparison.differences
    yield Text()
    yield Text("The chips", style="bold")
    yield from _parted(*_facts(comparison.chips, found.facts), width)
    scaled = [(chip.name, chip.scaled.refused) for chip in comparison.chips if chip.scaled]
    refused = [f"{name} cannot have one more, {why}" for name, why in scaled if why]
    yield from listed("Scaled no further", refused, width)
    for heading, lines in (
        ("{chip} alone assumes", found.assumed),
        ("{chip} leaves out", found.unmapped),
        ("Warnings of {chip}", found.warnings),
    ):
        for chip, sentences in lines.items():
            yield from listed(heading.format(chip=chip), sentences, width)
    yield from listed("All assume", found.shared, width)


def _facts(chips: Sequence[Chip], facts: Sequence[Fact]) -> tuple[list[str], list[Head]]:
    """What each chip is, where that is not the same of all."""
    shown = {
        "file": [PurePath(chip.file).name for chip in chips],
        **{f.label: [f.told(chip.name) for chip in chips] for f in facts if f.differs},
        "set": [_given(chip) for chip in chips],
        "place": [_placed(chip) for chip in chips],
        "scaled": [_scaled(chip) for chip in chips],
        "area": [_near(chip) for chip in chips],
    }
    lines = {label: cells for label, cells in shown.items() if any(cells)}
    heads = [
        Head(printable(chip.name), tuple(cells[number] or UNKNOWN for cells in lines.values()))
        for number, chip in enumerate(chips)
    ]
    return list(lines), heads


def _given(chip: Chip) -> str:
    """What was set from outside, but for what was scaled."""
    by = chip.scaled.parameter if chip.scaled else ""
    given = [each for each in chip.system.overrides if each.path != by]
    return printable(", ".join(f"{each.path}={each.text}" for each in given))


def _placed(chip: Chip) -> str:
    """Which pools were asked for."""
    return printable(", ".join(f"{pattern}={pool}" for pattern, pool in pairs(chip.place)))


def _scaled(chip: Chip) -> str:
    how = chip.scaled
    return f"{how.parameter} {how.before:,} -> {how.after:,}" if how else ""


def _near(chip: Chip) -> str:
    how = chip.scaled
    return f"{percent(how.share)} of {in_area(how.target)}" if how else ""


def _parted(
    labels: Sequence[str], heads: Sequence[Head], width: int | None
) -> Iterable[RenderableType]:
    """A table, in several below each other where the columns do not fit the width."""
    room = None if width is None else width - GAP - max(map(len, labels))
    group: list[Head] = []
    for head in heads:
        if group and room is not None and sum(each.width for each in [*group, head]) > room:
            yield from _table(labels, group)
            yield Text()
            group = []
        group.append(head)
    yield from _table(labels, group)


def _meanings(comparison: Comparison, width: int | None) -> Iterable[RenderableType]:
    yield Text()
    yield Text("What the figures mean", style="bold")
    for figure in FIGURES:
        if figure.key in _EXPLAINED:
            yield from wrapped(f"{figure.label}: {figure.definition}", width)


_EXPLAINED = frozenset(
    {"latency_seconds", "energy_delay_Js", "tops_per_watt", "gops_per_mm2", "utilisation"}
)
