"""`cimarch check`: are there mistakes in a description?"""

from __future__ import annotations

import click

from cimarch.cli.options import overrides


@click.command(no_args_is_help=True)
@click.argument("architecture")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set a parameter.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def check(architecture: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Read a description and tell of every mistake in it.

    ARCHITECTURE is a file, or the name of one that comes with cimarch (isaac).

    \b
    cimarch check isaac
    cimarch check my_chip.cimarch --set tile.ima.adc.bits=6
    """
    from cimarch.language import load

    system = load(architecture, overrides(settings))
    if as_json:
        from cimarch.cli.output import as_json as to_json

        click.echo(to_json({"schema": "cimarch.check/1", "system": system.name, "errors": []}))
    else:
        parts = sum(1 for _ in system.walk()) - 1
        found = f"{_counted(parts, 'part')}, {_counted(len(system.links), 'link')}"
        click.echo(f"{system.name}: {found}, no mistakes")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
