"""The command line: the only place that prints, and the only one that decides an exit code.

0: done. 1: `fmt --check` would change a file, or `validate` found a published figure that is not
met. 2: the description, the network or the flags are wrong, told in diagnostics. 130: stopped by
Ctrl-C. 141: who read the output stopped reading. A bug of cimarch itself shows its traceback.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from cimarch import __version__
from cimarch.diagnostics import DescriptionError

COMMANDS = (
    "check",
    "show",
    "explain",
    "fmt",
    "map",
    "sim",
    "compare",
    "calibrate",
    "eval",
    "optimize",
    "generate",
    "validate",
    "export",
)
"""Every command; each is `cimarch.cli.NAME.NAME`, imported when it is asked for."""

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class LazyGroup(click.Group):
    """A group whose commands are imported one by one, so that `check` does not wait for `sim`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of a user's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"cimarch.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cimarch", message="%(prog)s %(version)s")
def cli() -> None:
    """Describe a compute-in-memory chip, hand in a network: a map, cycles, joules, accuracy.

    \b
    cimarch check my_chip.cimarch            are there mistakes in it?
    cimarch show isaac                       what is in it: counts, area, power, peak
    cimarch explain isaac tile.ima.adc       where do its numbers come from?
    cimarch fmt my_chip.cimarch              lay it out as everybody does
    cimarch map isaac models/resnet20.pt     where does a network lie on it?
    cimarch sim isaac models/resnet20.pt     run a network on it
    cimarch compare isaac puma --model digits  which of them is better at it?
    cimarch eval isaac digits --data digits  how often is it right on it?
    cimarch optimize METHOD isaac models/resnet20.pt --data cifar10:PATH -o OUT.adapted
                                             change it so that it suits it
    cimarch generate language_chip gpt2 --prompt 128 --tokens 64
                                             generate text on it
    cimarch validate isaac                   is it what its paper prints?
    cimarch export package.module:factory --input 1x3x32x32 -o model.pt
                                             make a file of a PyTorch model

    An architecture is a file, or the name of one that comes with cimarch.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _replace_what_cannot_be_shown()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _drop_output()
        click.echo("error: the output cannot be written: no space left on device", err=True)
        return EXIT_MISTAKE
    return code


def _replace_what_cannot_be_shown() -> None:
    """A terminal that does not know a sign shows `?` in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(arguments: list[str]) -> int:
    # Not `cli.main`, which ends the process itself when a pipe breaks.
    try:
        with cli.make_context("cimarch", arguments) as context:
            cli.invoke(context)
    except DescriptionError as error:
        _tell(error, as_json="--json" in arguments)
        return EXIT_MISTAKE
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    return 0


def _drop_output() -> None:
    """What is still buffered cannot be delivered: let the interpreter's last flush succeed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(error: DescriptionError, *, as_json: bool) -> None:
    from cimarch.cli.output import errors_as_json

    click.echo(error.render(colour=sys.stderr.isatty()).rstrip("\n"), err=True)
    if as_json:
        click.echo(errors_as_json(error))
