"""`cimarch validate`: published figures of reference chips beside cimarch's."""

from __future__ import annotations

import click

EXIT_NOT_MET = 1


@click.command()
@click.argument("chips", nargs=-1, metavar="[CHIP]...")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@click.option("--write", metavar="FILE", help="Write the page of all of it, in Markdown.")
@click.pass_context
def validate(
    context: click.Context, chips: tuple[str, ...], as_json: bool, write: str | None
) -> None:
    """Compare what papers print of reference chips with what cimarch makes of them.

    CHIP is the name of a reference chip that comes with cimarch, or a file of published figures
    (.toml); all that come with cimarch, without any. Peak throughput is found twice: in closed
    form, and by event simulation of back-to-back products of full size.

    The exit code is 1 where a figure is outside its tolerance, or not known, that is not marked as
    contradicted by other published figures.

    \b
    cimarch validate
    cimarch validate isaac puma
    cimarch validate --write docs/validation.md
    """
    from cimarch.cli.output import as_json as to_json
    from cimarch.cli.output import check_writable, named_place, write_whole
    from cimarch.cli.progress import Progress
    from cimarch.explore.validating.page import page
    from cimarch.explore.validating.text import summary, text
    from cimarch.explore.validating.validate import validate as compare

    place = named_place("--write", write)
    if place is not None:
        check_writable(place)
    with Progress() as progress:
        found = compare(*chips, progress=progress)
    if place is not None:
        write_whole(place, page(found))
    if as_json:
        click.echo(to_json(found.to_dict()))
    else:
        click.echo(summary(found) if place is not None else text(found))
    if found.failed:
        context.exit(EXIT_NOT_MET)
