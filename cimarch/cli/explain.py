"""`cimarch explain`: where every number comes from."""

from __future__ import annotations

import sys

import click

from cimarch.cli.options import overrides
from cimarch.cli.output import as_json


@click.command(no_args_is_help=True)
@click.argument("architecture", metavar="ARCH")
@click.argument("address", required=False, default="", metavar="[ADDRESS]")
@click.option("--set", "set_", metavar="PATH=VALUE", multiple=True, help="Change a parameter.")
@click.option("--all", "every", is_flag=True, help="Also the parameters that nobody stated.")
@click.option("--json", "json_", is_flag=True, help="Print it as JSON.")
def explain(
    architecture: str, address: str, set_: tuple[str, ...], every: bool, json_: bool
) -> None:
    """Tell where the numbers of ARCH come from: file and line, --set, the library, or a model.

    \b
    cimarch explain isaac                                what area, power and peak are made of
    cimarch explain isaac tile.ima.adc                   all numbers of a part
    cimarch explain isaac tile.ima.adc.convert.energy    one, and what it is worked out from
    cimarch explain isaac area                           a total, part by part

    A model is shown with its formula, the values put in, and its source.
    """
    from cimarch.language import load
    from cimarch.report.explain import explain as explained
    from cimarch.report.explain_text import render

    found = explained(load(architecture, overrides(set_)), address, every=every)
    if json_:
        click.echo(as_json(found.to_dict()))
    else:
        click.echo(render(found, colour=sys.stdout.isatty()))
