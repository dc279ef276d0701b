"""`cimarch optimize`: change a model so that it suits a chip, and say what that cost and gained."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from cimarch.cli.output import as_json
from cimarch.diagnostics import suggestion
from cimarch.optimize import METHODS


class Methods(click.Group):
    """A command for each method; a method is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The methods in the order in which a person would try them, then what reads records."""
        return [*METHODS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a method, `-` for `_` too; None where there is none of that name."""
        name = cmd_name.replace("-", "_")
        if name not in METHODS:
            return super().get_command(ctx, cmd_name)
        from cimarch.cli.optimizing.command import command_of
        from cimarch.workload.zoo import need_torch

        need_torch("adapting a network")
        return command_of(name, METHODS[name])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named; a usage error that names the nearest where there is none."""
        if self.get_command(ctx, args[0]) is None:
            near = suggestion(args[0], self.list_commands(ctx))
            raise click.UsageError(" ".join([f"there is no method `{args[0]}`.", *near]), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The methods with a line each, without importing one."""
        rows = [(name, method.summary) for name, method in METHODS.items()]
        if rows:
            with formatter.section("Methods"):
                formatter.write_dl(rows)
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(70)) for n, c in self.commands.items()])


@click.group(cls=Methods, options_metavar="", subcommand_metavar="METHOD ARCH MODEL ...")
def optimize() -> None:
    """Change MODEL so that it suits ARCH, and say what that cost and gained.

    \b
    cimarch optimize METHOD --help                  its options, and an example
    cimarch optimize METHOD ARCH MODEL --data cifar10:PATH -o OUT.adapted
    cimarch eval ARCH OUT.adapted --data cifar10:PATH
    cimarch optimize records OUT.adapted            what was done to it

    Methods chain: what one wrote, another takes as its MODEL.
    """


@optimize.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--plot", metavar="FILE", multiple=True, help="Draw them there: .svg, .pdf, .png.")
@click.option("--json", "json_", is_flag=True, help="Print the records as JSON.")
def records(files: tuple[str, ...], plot: tuple[str, ...], json_: bool) -> None:
    """Print the records of adapted models; draw several against each other.

    \b
    cimarch optimize records OUT.adapted
    cimarch optimize records seed*.adapted --plot tradeoff.svg

    With --plot, the accuracy of several against what is left of them: bits, crossbars,
    parameters. Runs that differ in their seed alone are one point with its spread.
    """
    from cimarch.cli.optimizing.outputs import check_pictures, write_pictures_of_records
    from cimarch.optimize.telling.saved import read_records

    pictures = tuple(Path(each) for each in plot)
    check_pictures(pictures)
    found = [(file, read_records(file)) for file in files]
    write_pictures_of_records(pictures, found)
    if json_:
        told = {file: [record.to_dict() for record in done] for file, done in found}
        click.echo(as_json(told))
        return
    from cimarch.optimize.telling.text import listed, render

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    if len(found) == 1:
        click.echo(render(found[0][1], width=width, colour=on_terminal), nl=False)
    else:
        click.echo(listed(found, width=width, colour=on_terminal), nl=False)
