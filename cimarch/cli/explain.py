"""`cimarch explain`: where every number comes from, of a chip and of a run on it."""

from __future__ import annotations

import re
import sys

import click

from cimarch.cli.options import flags, overrides, shape
from cimarch.cli.output import as_json
from cimarch.cli.placing import placing
from cimarch.cli.reading import BITS, SCHEDULES
from cimarch.cli.running import running
from cimarch.diagnostics import DescriptionError, Diagnostic

network = flags(
    click.option(
        "--model", metavar="MODEL", help="A network, file or name: explain its report on ARCH."
    ),
    click.option("--input", "input_", metavar="SIZES", help="Shape of the input: 1x3x32x32."),
    click.option("--tokens", type=int, metavar="N", help="New tokens of a transformer."),
    click.option("--context", type=int, metavar="N", help="Tokens before them, in its cache."),
    click.option("--weight-bits", type=BITS, default=8, show_default=True),
    click.option("--input-bits", type=BITS, default=8, show_default=True),
    click.option("--precision", metavar="FILE", help="Bits per operation, as JSON."),
    click.option("--densities", metavar="FILE", help="How full inputs and weights are."),
    click.option("--schedule", type=SCHEDULES, help="Layer by layer, or rows as they come."),
)
"""What a report is of; the same flags as of `sim`."""


@click.command(no_args_is_help=True)
@click.argument("architecture", metavar="ARCH")
@click.argument("address", required=False, default="", metavar="[ADDRESS]")
@click.option("--set", "set_", metavar="PATH=VALUE", multiple=True, help="Change a parameter.")
@click.option("--all", "every", is_flag=True, help="Also the parameters that nobody stated.")
@click.option("--json", "json_", is_flag=True, help="Print it as JSON.")
@network
@placing
@running
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
def explain(
    architecture: str,
    address: str,
    set_: tuple[str, ...],
    every: bool,
    json_: bool,
    model: str | None,
    input_: str | None,
    tokens: int | None,
    context: int | None,
    weight_bits: int,
    input_bits: int,
    precision: str | None,
    densities: str | None,
    schedule: str | None,
    place: tuple[str, ...],
    duplicate: str,
    spread_rows: bool,
    placement: str | None,
    attention: str | None,
    batch: int,
    weights: str,
    overlap: bool,
    granularity: str,
    detail: str,
    engine: str,
    allow_unmapped: bool,
) -> None:
    """Tell where the numbers of ARCH come from: file and line, --set, the library, or a model.

    \b
    cimarch explain isaac                                what area, power and peak are made of
    cimarch explain isaac tile.ima.adc                   all numbers of a part
    cimarch explain isaac tile.ima.adc.convert.energy    one, and what it is worked out from
    cimarch explain isaac area                           a total, part by part

    With --model, of what `cimarch sim` reports: a figure, or a cell of a table.

    \b
    cimarch explain isaac joules --model resnet20
    cimarch explain isaac layers.conv1.cycles --model models/resnet20.pt
    cimarch explain isaac "ledger[tile.ima.adc.convert].joules" --model resnet20
    """
    import cimarch
    from cimarch.report.explaining.text import render

    system = cimarch.load(architecture, set=overrides(set_))
    if model is None:
        try:
            found = cimarch.explain(system, address, every=every)
        except DescriptionError:
            _needs_no_model(address)
            raise
    else:
        report = cimarch.simulate(
            system,
            cimarch.read_network(
                model, input=shape(input_), allow_unmapped=allow_unmapped,
                tokens=tokens, context=context or 0,
            ),
            weight_bits=weight_bits, input_bits=input_bits, precision=precision,
            densities=densities, schedule=schedule, place=place, duplicate=duplicate,
            spread_rows=spread_rows, placement=placement, attention=attention, batch=batch,
            weights=weights, overlap=overlap, granularity=granularity, detail=detail,
            engine=engine, allow_unmapped=allow_unmapped,
        )  # fmt: skip
        found = cimarch.explain(report, address, every=every)
    if json_:
        click.echo(as_json(found.to_dict()))
    else:
        click.echo(render(found, colour=sys.stdout.isatty()))


def _needs_no_model(address: str) -> None:
    """Refuse the address of a report's number where no network is given."""
    from cimarch.report.definitions import FIGURES, TABLES

    table = re.split(r"[.\[]", address)[0]
    if table in (*TABLES, "bounds", "bound", *(figure.key for figure in FIGURES)):
        headline = f"`{address}` is a number of a report, and no network is given"
        helps = ("`--model resnet20` runs one",)
        raise DescriptionError(Diagnostic("E402", headline, helps=helps))
