"""`cimarch compare`: the same networks on several chips, side by side."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from cimarch.cli.chips import Names, loaded
from cimarch.cli.options import shape
from cimarch.cli.output import as_json, check_writable, named_place, write_whole
from cimarch.cli.reading import BITS, SCHEDULES
from cimarch.cli.sim import nothing_warned
from cimarch.diagnostics import DescriptionError, Diagnostic, listing

if TYPE_CHECKING:
    from cimarch.explore.comparing.compare import Comparison
    from cimarch.workload.network import Network

PICTURES = (".svg", ".pdf", ".png")


@attrs.frozen
class Outputs:
    """The files that a comparison goes to, besides the terminal."""

    json: Path | None
    csv: Path | None
    latex: Path | None
    plot: Path | None
    bounds: Path | None
    power: Path | None

    @property
    def pictures(self) -> tuple[tuple[str, Path | None], ...]:
        """Those that are drawn, with their flags."""
        return (("--plot", self.plot), ("--bounds", self.bounds), ("--power", self.power))

    def check(self) -> None:
        """Find before the runs what would fail after them."""
        for flag, place in self.pictures:
            if place is not None:
                _check_picture(flag, place)
        for place in (self.json, self.csv, self.latex, *(place for _, place in self.pictures)):
            if place is not None:
                check_writable(place)

    def write(self, comparison: Comparison) -> None:
        """Write the files, each whole or not at all."""
        if self.json is not None:
            write_whole(self.json, as_json(comparison.to_dict()) + "\n")
        if self.csv is not None:
            write_whole(self.csv, comparison.to_csv())
        if self.latex is not None:
            write_whole(self.latex, comparison.to_latex())
        for flag, place in self.pictures:
            if place is not None:
                write_whole(place, _picture(flag, comparison, place.suffix.lower()[1:]))


def _picture(flag: str, comparison: Comparison, form: str) -> bytes:
    from cimarch.explore.comparing.charts import bars, bounds, power

    return {"--plot": bars, "--bounds": bounds, "--power": power}[flag](comparison, form)


def _check_picture(flag: str, place: Path) -> None:
    """Raise DescriptionError where a picture of this name, or any, cannot be drawn."""
    from importlib.util import find_spec

    if place.suffix.lower() not in PICTURES:
        headline = f"{flag} {place}: not a name of a picture"
        notes = (f"pictures end in {listing(PICTURES)}",)
        helps = (f"`{flag} {place.with_suffix('.svg') if place.name else 'comparison.svg'}`",)
        raise DescriptionError(Diagnostic("E445", headline, notes=notes, helps=helps))
    if find_spec("matplotlib") is None:
        headline = f"{flag} needs matplotlib, which is not installed"
        raise DescriptionError(Diagnostic("E445", headline, helps=("pip install 'cimarch[plot]'",)))


@click.command(no_args_is_help=True)
@click.argument("architectures", metavar="CHIP...", nargs=-1, required=True)
@click.option(
    "--model", "models", metavar="MODEL", multiple=True, required=True,
    help="A network, as `cimarch sim` takes it; as often as there are networks.",
)  # fmt: skip
@click.option("--input", "input_", metavar="SIZES", help="Shape of the input: 1x3x32x32.")
@click.option("--tokens", type=int, metavar="N", help="New tokens of a transformer.")
@click.option("--context", type=int, metavar="N", help="Tokens before them, in its cache.")
@click.option(
    "--set", "set_", metavar="[CHIP:]PATH=VALUE", multiple=True,
    help="Change a parameter of one chip (as typed, or its number), or of all.",
)  # fmt: skip
@click.option("--weight-bits", type=BITS, default=8, show_default=True, help="Bits of a weight.")
@click.option("--input-bits", type=BITS, default=8, show_default=True, help="Bits of an input.")
@click.option("--precision", metavar="FILE", help="Bits per operation, as JSON.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--weights", type=click.Choice(["preloaded", "cold"]), default="preloaded", show_default=True,
    help="Whether the first load of the weights is part of the run.",
)  # fmt: skip
@click.option("--schedule", type=SCHEDULES, help="Layer by layer, or rows as they come.")
@click.option(
    "--duplicate", metavar="HOW", default="none", show_default=True,
    help="Copies of weights: none, balance, fill, or a JSON file of copies by operation.",
)  # fmt: skip
@click.option(
    "--spread-rows", is_flag=True,
    help="Spread rows over free arrays where few word lines are active at once.",
)  # fmt: skip
@click.option(
    "--attention", type=click.Choice(["digital", "written"]),
    help="Two operands of a run: a unit multiplies, or one is written into arrays.",
)  # fmt: skip
@click.option(
    "--granularity", type=click.Choice(["operation", "product", "wordline"]), default="product",
    show_default=True, help="What begins by itself: all arrays of a window, each, or word lines.",
)  # fmt: skip
@click.option("--overlap", is_flag=True, help="Write an array as soon as its last product is over.")
@click.option(
    "--iso-area", is_flag=True,
    help="Give every other chip the arrays that have room in the area of the first.",
)  # fmt: skip
@click.option(
    "--scale", metavar="CHIP:PARAMETER", multiple=True,
    help="By which parameter --iso-area scales a chip that has several.",
)  # fmt: skip
@click.option(
    "--place", metavar="[CHIP:]PATTERN=POOL", multiple=True,
    help="Which arrays of a chip, or of all, hold some operations; the last that matches.",
)  # fmt: skip
@click.option(
    "--densities", metavar="CHIP:FILE", multiple=True,
    help="How full inputs and weights are on a chip: `eval --save-densities`.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True,
    help="Runs at a time, each in a process of its own.",
)  # fmt: skip
@click.option("--layers", is_flag=True, help="Show each operation's time and what bounds it, too.")
@click.option(
    "--strict",
    is_flag=True,
    help="What would be assumed, is warned of, or does not run, is an error.",
)
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
@click.option("--json", "json_", is_flag=True, help="Print the comparison as JSON.")
@click.option("--csv", metavar="FILE", help="Write the figures there: a row a network and chip.")
@click.option("--latex", metavar="FILE", help="Write a table there that a paper can take.")
@click.option("--plot", metavar="FILE", help="Draw the figures there as bars: .svg, .pdf, .png.")
@click.option("--bounds", metavar="FILE", help="Draw there what bounds each operation.")
@click.option("--power", metavar="FILE", help="Draw the power over time of all chips there.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write the comparison as JSON.")
def compare(
    architectures: tuple[str, ...],
    models: tuple[str, ...],
    input_: str | None,
    tokens: int | None,
    context: int | None,
    set_: tuple[str, ...],
    weight_bits: int,
    input_bits: int,
    precision: str | None,
    batch: int,
    weights: str,
    schedule: str | None,
    duplicate: str,
    spread_rows: bool,
    attention: str | None,
    granularity: str,
    overlap: bool,
    iso_area: bool,
    scale: tuple[str, ...],
    place: tuple[str, ...],
    densities: tuple[str, ...],
    jobs: int,
    layers: bool,
    strict: bool,
    allow_unmapped: bool,
    json_: bool,
    csv: str | None,
    latex: str | None,
    plot: str | None,
    bounds: str | None,
    power: str | None,
    file: str | None,
) -> None:
    """Run the same networks on several chips: time, energy, area, and what differs.

    \b
    cimarch compare isaac puma raella --model models/resnet20.pt
    cimarch compare isaac puma --model digits --model resnet20 --iso-area
    cimarch compare isaac isaac --model digits --set 2:tile.ima.adc.bits=6
    cimarch compare jia_2020:Jia085 jia_2020:Jia120 --model digits
    cimarch compare isaac puma --model resnet20 --latex table.tex --plot bars.svg

    A CHIP is what the other commands take; the ratios are to the first. One that cannot run
    a network is told with the reason, and the others are compared.
    """
    import cimarch
    from cimarch.cli.progress import Progress

    outputs = Outputs(
        named_place("--output", file), named_place("--csv", csv), named_place("--latex", latex),
        named_place("--plot", plot), named_place("--bounds", bounds),
        named_place("--power", power),
    )  # fmt: skip
    outputs.check()
    systems = loaded(architectures, set_)
    if strict:
        for system in systems:
            nothing_warned(system)
        _nothing_assumed({system.name: system.assumed for system in systems})
    names = Names.of(architectures, systems)
    networks = [_network(model, input_, tokens, context, allow_unmapped) for model in models]
    with Progress() as progress:
        found = cimarch.compare(
            systems, models=networks, weight_bits=weight_bits, input_bits=input_bits,
            precision=precision, batch=batch, weights=weights, schedule=schedule,
            duplicate=duplicate, spread_rows=spread_rows, attention=attention,
            granularity=granularity, overlap=overlap, allow_unmapped=allow_unmapped,
            iso_area=iso_area, scale=names.each("--scale", scale),
            place=names.lists("--place", place),
            densities=names.each("--densities", densities), power=outputs.power is not None,
            jobs=jobs, progress=progress,
        )  # fmt: skip
    if strict:
        _all_ran(found)
    outputs.write(found)
    click.echo(as_json(found.to_dict()) if json_ else _text(found, layers), nl=json_)


def _network(
    model: str, input_: str | None, tokens: int | None, context: int | None, unmapped: bool
) -> Network:
    import cimarch

    return cimarch.read_network(
        model, input=shape(input_), allow_unmapped=unmapped, tokens=tokens, context=context or 0
    )


def _all_ran(found: Comparison) -> None:
    """Under `--strict`: every network on every chip, and nothing assumed."""
    problems = [problem for result in found.results for problem in result.problems]
    if problems:
        raise DescriptionError(*dict.fromkeys(problems))
    _nothing_assumed(
        {
            f"{network} on {chip}": report.assumed
            for (chip, network), report in found.reports.items()
        }
    )


def _nothing_assumed(assumed: Mapping[str, Sequence[str]]) -> None:
    """Raise DescriptionError where something is left open, with the name of what leaves it open."""
    problems = [
        Diagnostic(
            "E910",
            f"assumed of `{name}` under --strict: {sentence}",
            helps=("state it in the description, or leave --strict out",),
        )
        for name, sentences in assumed.items()
        for sentence in sentences
    ]
    if problems:
        raise DescriptionError(*problems)


def _text(found: Comparison, layers: bool) -> str:
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    return found.to_text(width=width, colour=on_terminal, layers=layers)
