"""The page `docs/validation.md`: every reference chip, and what its tables mean, in Markdown."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from cimarch.explore.validating.pipeline import Stage
from cimarch.explore.validating.published import CHECKED, KINDS, UNITS, Reference
from cimarch.explore.validating.text import HEADS, RIGHT, number, percent, rows, summary
from cimarch.explore.validating.throughput import Throughput
from cimarch.explore.validating.validate import Check, Validation

_HEAD = """# Validation

What is published of the reference chips, beside what cimarch makes of the same chips. This page is
written by

```sh
cimarch validate --write docs/validation.md
```

and a test holds it to what the command prints. `cimarch validate isaac` shows one chip, `--json`
gives the same to a program, and in Python `cimarch.validate()` gives records, `.to_pandas()` a
table of them. The exit code is 1 where a figure is outside its tolerance that is not
`contradicted`. `by parts` is what the description says, rolled up or in closed form, `by events`
what an event simulation finds; what a number is made of, `cimarch explain CHIP PATH` tells.

| kind | difference allowed, unless the table says | meaning |
|---|---|---|
"""

_MEANS: Mapping[str, str] = {
    "exact": "follows from the published parameters by arithmetic and the cycle model alone",
    "calibrated": "constants were fitted to it and its like; the chip's file names them",
    "ratio": "published only beside another chip: cimarch's figure of one by that of the other",
    "contradicted": "other published numbers say otherwise; a note tells which",
}

_SOURCES: Mapping[str, str] = {
    "read": "read in the paper or a public file that quotes it",
    "recalled": "from memory, checked only against other figures: not to be relied on",
    "derived": "computed from other printed values",
    "digitised": "read off a printed figure",
}

_QUANTITIES: Mapping[str, str] = {
    "area": "of all parts, added up; with `path`, of one instance with all inside",
    "power": "peak power, added up likewise",
    "leakage": "added up likewise",
    "peak": "operations per second with every array in use and full: in closed form, and by event "
    "simulation of back-to-back full-size products",
    "density": "peak / area",
    "efficiency": "operations per joule of full-size products: what their reads, conversions and "
    "additions are charged in the event simulation",
    "run_efficiency": "operations per joule of a run of a `network`, one of those that come with "
    "cimarch: all that the event simulation charges",
    "peak_per_power": "peak / power",
    "storage_density": "bits of all cells / area",
    "product_time": "one full-size product by itself, from its first read to its last result",
    "product_energy": "what one full-size product on one array is charged",
    "action_energy": "of one action of a part (`path`, `action`)",
    "cycle": "the latency of a read of an array",
    "array_cycle": "from one read of an array to the next, in back-to-back products",
    "input_steps": "reads in which an input enters a group of word lines",
    "pipeline_beats": "beats of a tile from the first to the last stage of a row of results",
}

_EVENTS = """
A multiplication and an addition are two operations. **Peak throughput comes twice.** The closed
form (`cimarch/hardware/rollup.py`) divides the operations of a full array by the time of its reads
and conversions. The event simulation (`cimarch/explore/products.py`) gives each of the arrays that
share converters 64 and then 128 products that use all rows, all columns and all input steps, runs
them by the ordinary engine with no buffer or bus in between, and takes the difference: the pace
once filling is over. The two agree but for whole cycles
(`test_in_whole_cycles_products_take_what_the_closed_form_says`).
"""

_FORMAT = """
## The file of a chip

`architectures/published/NAME.toml` holds what is published of a chip; `cimarch validate` also takes
the path of such a file.

```toml
chip = "isaac"                  # what cimarch.load takes, or a description beside this file
title = "ISAAC-CE"
source = "A. Shafiee et al., ISCA 2016"
notes = ["what is to be known of the whole"]

[[figure]]
name = "chip power"             # what is compared
quantity = "power"
value = 65.8
unit = "W"
kind = "exact"
tolerance = 0.001               # relative; else that of the kind
checked = "read"
source = "Table I"
note = "of a contradicted figure: with what"
system = "jia_2020:Jia120"      # another system than the chip
set = { "macro.adc.bits" = 5 }  # parameters that the figure holds for
path = "tile.ima"               # one instance of this part, not the system
action = "convert"              # of an action_energy
network = "resnet18"            # of a run_efficiency
weight_bits = 16                # else those of the system
input_bits = 16
input_density = 0.5             # else those of the system
weight_density = 0.5
against = "isaac"               # of a ratio: what the chip's quantity is divided by
against_set = { tile_rows = 7 } # and its parameters
```

| quantity | is | units |
|---|---|---|
"""


def page(found: Validation) -> str:
    """The whole page in Markdown."""
    lines = [_HEAD.rstrip("\n")]
    for kind, tolerance in KINDS.items():
        allowed = "-" if tolerance is None else f"{float(tolerance * 100):g} %"
        lines.append(f"| {kind} | {allowed} | {_MEANS[kind]} |")
    lines += ["", "| source | meaning |", "|---|---|"]
    lines += [f"| {word} | {_SOURCES[word]} |" for word in CHECKED]
    lines += [_EVENTS.rstrip("\n"), "", f"{summary(found)}."]
    lines += _twice(found.throughputs) if found.throughputs else []
    for reference in found.references:
        lines += _section(found, reference)
    lines.append(_FORMAT.rstrip("\n"))
    for quantity, units in UNITS.items():
        spelled = ", ".join(f"`{unit}`" for unit in units if unit)
        lines.append(f"| `{quantity}` | {_QUANTITIES[quantity]} | {spelled} |")
    return "\n".join(lines) + "\n"


def _twice(found: Iterable[Throughput]) -> list[str]:
    """Peak throughput of every described chip, by both ways."""
    heads = (
        "chip", "arrays", "bits", "sharing", "alone", "interval", "fill", "closed form", "events",
        "difference",
    )  # fmt: skip
    rows = [
        (
            each.chip,
            f"`{each.pool}`",
            f"{each.weight_bits} x {each.input_bits}",
            str(each.sharing),
            f"{each.alone:,}",
            f"{each.interval:,g}",
            f"{each.fill:,g}",
            "-" if each.closed is None else f"{number(each.closed / 1e12)} TOPS",
            f"{number(each.events / 1e12)} TOPS",
            "-" if each.difference is None else percent(each.difference),
        )
        for each in found
    ]
    return [
        "", "## Peak throughput, twice", "",
        "Of every chip that comes with cimarch, at its own precision. `sharing` is how many arrays "
        "share converters, `alone` the cycles of one full product by itself, `interval` those from "
        "one product of an array to its next, `fill` what products that follow one another take "
        "beyond their intervals.",
        "", *_markdown(heads, rows, right=range(2, len(heads))),
    ]  # fmt: skip


def _section(found: Validation, reference: Reference) -> list[str]:
    lines = ["", f"## {reference.title}", "", f"{reference.source}. `{reference.chip}`", ""]
    lines_of = rows(found.of(reference))
    lines += _markdown(HEADS, lines_of) if lines_of else ["No figure of its own can be compared."]
    notes = [*reference.notes, *_printed(found.of(reference))]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    if reference.name == "isaac" and found.pipeline is not None:
        lines += _pipeline(*found.pipeline)
    return lines


def _printed(checks: Sequence[Check]) -> list[str]:
    """Where each figure is printed, and what is noted of it; those of one place together."""
    places: dict[tuple[str, str], list[str]] = {}
    for check in checks:
        place = places.setdefault((check.source, check.note), [])
        if check.figure not in place:
            place.append(check.figure)
    return [
        f"{_several(figures)}: {source}" + (f"; {note}" if note else "")
        for (source, note), figures in places.items()
    ]


def _several(figures: Sequence[str]) -> str:
    """The figures of one place; of many the first and the last."""
    if len(figures) <= MOST_NAMED:
        return ", ".join(f"*{figure}*" for figure in figures)
    return f"*{figures[0]}* to *{figures[-1]}* ({len(figures)} figures)"


def _markdown(
    heads: Sequence[str], rows: Iterable[Sequence[str]], right: Container[int] = RIGHT
) -> list[str]:
    marks = ["---:" if i in right else "---" for i in range(len(heads))]
    lines = [heads, marks, *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


MOST_NAMED = 4
"""Figures of one place that are named one by one."""

_STAGES = ("stage", "instances", "tasks of each", "cycles of one", "start", "finish", "beats")


def _pipeline(beating: Sequence[Stage], free: Sequence[Stage]) -> list[str]:
    """The stages of one row of results, with the beat and without."""
    cycles = 1 + max(stage.last_beat or 0 for stage in beating)
    beat = next(stage.busy for stage in beating if stage.each > 1 and stage.beside)
    return [
        "", "### The pipeline of a tile", "",
        "One row of results of a 1 x 1 convolution with 128 channels in and out, from the recorded "
        f"timeline of its run. With `beat = 100 ns`, {beat} cycles of 1.2 GHz, it takes {cycles} "
        f"beats, {cycles * beat:,} cycles from eDRAM to eDRAM. A part is held for the cycles of "
        "its tasks; `finish` is when the next stage may go on:",
        "", *_stage_table(beating), "",
        f"The same without the beat, in {max(stage.finish for stage in free):,} cycles: what is "
        "lost to beats are the gaps between its stages.",
        "", *_stage_table(free),
    ]  # fmt: skip


def _stage_table(stages: Sequence[Stage]) -> list[str]:
    rows = [
        (
            f"`{s.part}` {s.action}" + (f", with {_names(s.beside)}" if s.beside else ""),
            str(s.members),
            str(s.each),
            str(s.busy),
            f"{s.start:,}",
            f"{s.finish:,}",
            _beats(s),
        )
        for s in stages
    ]
    heads = _STAGES if stages[0].first_beat is not None else _STAGES[:-1]
    shown = (row[: len(heads)] for row in rows)
    return _markdown(heads, shown, right=range(1, len(heads)))


def _names(parts: Iterable[str]) -> str:
    return ", ".join(f"`{part}`" for part in parts)


def _beats(stage: Stage) -> str:
    if stage.first_beat is None or stage.first_beat == stage.last_beat:
        return "" if stage.first_beat is None else str(stage.first_beat)
    return f"{stage.first_beat}..{stage.last_beat}"
