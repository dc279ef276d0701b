"""`cimarch fmt`: descriptions in the canonical layout."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import click

from cimarch.diagnostics import DescriptionError, Diagnostic

STDIN = "-"
EXIT_WOULD_CHANGE = 1


@click.command(no_args_is_help=True)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.pass_context
def fmt(context: click.Context, files: tuple[str, ...], check: bool, diff: bool) -> None:
    """Lay descriptions out: four spaces, one member a line, comments where they were.

    FILE is a .cimarch file, or - for text from standard input, which goes to standard output. What
    a file says does not change; one that cannot be parsed is left as it is.

    \b
    cimarch fmt my_chip.cimarch
    cimarch fmt --check *.cimarch
    cimarch fmt - < my_chip.cimarch
    """
    problems: list[Diagnostic] = []
    changes = 0
    for file in files:
        try:
            changes += _one(file, check=check, diff=diff)
        except DescriptionError as error:
            problems += error.diagnostics
    if problems:
        raise DescriptionError(*problems)
    if check and changes:
        context.exit(EXIT_WOULD_CHANGE)


def _one(file: str, *, check: bool, diff: bool) -> bool:
    """Lay one file out, or say what would change; whether anything does."""
    from cimarch.language.format import format_text
    from cimarch.language.modules import MOST_BYTES, decode, read

    name = "<stdin>" if file == STDIN else file
    if file == STDIN:
        before = decode(sys.stdin.buffer.read(MOST_BYTES + 1), name)
    else:
        before = read(_path(file))
    after = format_text(before, name)
    if diff:
        click.echo(_difference(before, after, name), nl=False)
    elif file == STDIN and not check:
        click.echo(after, nl=False)
    elif after == before:
        return False
    elif check:
        click.echo(f"{name} would change")
    else:
        _write(_path(file), after)
        click.echo(f"{name} is laid out")
    return after != before


def _path(file: str) -> Path:
    """The file that a name leads to; one that is not there is a diagnostic."""
    path = Path(file)
    try:
        there = bool(file) and path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if not there:
        raise DescriptionError(Diagnostic("E004", f"there is no file `{file}`"))
    return path


def _write(path: Path, text: str) -> None:
    """Replace a file, or what a link leads to, by one that the same people may read."""
    from cimarch.cli.output import write_whole

    target = path.resolve()
    write_whole(target, text, mode=stat.S_IMODE(target.stat().st_mode))


def _difference(before: str, after: str, name: str) -> str:
    from difflib import unified_diff

    lines = unified_diff(_lines(before), _lines(after), name, f"{name} (laid out)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ no newline\n" for line in lines)


def _lines(text: str) -> list[str]:
    """The lines as editors count them, each with its newline."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
