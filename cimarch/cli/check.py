"""`cimarch check`: are there mistakes in a description?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cimarch.cli.options import overrides
from cimarch.diagnostics import render

if TYPE_CHECKING:
    from cimarch.hardware.system import System


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

        outcome = {"schema": "cimarch.check/1", "system": system.name, "errors": []}
        warnings = [warning.to_dict() for warning in system.warnings]
        click.echo(to_json({**outcome, "warnings": warnings}))
    else:
        tell_warnings(system)
        parts = sum(1 for _ in system.walk()) - 1
        found = f"{_counted(parts, 'part')}, {_counted(len(system.links), 'link')}"
        warned = f", {_counted(len(system.warnings), 'warning')}" if system.warnings else ""
        click.echo(f"{system.name}: {found}, no mistakes{warned}")


def tell_warnings(system: System) -> None:
    """Show on the error output what is no mistake and yet not to be relied on."""
    colour = sys.stderr.isatty()
    for warning in system.warnings:
        click.echo(render(warning, colour=colour) + "\n", err=True)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
