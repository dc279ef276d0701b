"""`cimarch map`: where a network lies on a system, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from cimarch.cli.options import overrides, shape
from cimarch.cli.output import as_json, check_writable, named_place, write_whole
from cimarch.cli.placing import placing
from cimarch.cli.reading import reading
from cimarch.cli.sim import nothing_assumed

if TYPE_CHECKING:
    from cimarch.mapping.placement import Placement


@attrs.frozen
class Outputs:
    """The files that a placement goes to, besides the terminal."""

    file: Path | None
    picture: Path | None

    def check(self) -> None:
        """Find before the work what would fail after it."""
        for place in (self.file, self.picture):
            if place is not None:
                check_writable(place)

    def write(self, placement: Placement) -> None:
        """Write the files, each whole or not at all."""
        if self.file is not None:
            from cimarch.mapping.saved import to_text

            write_whole(self.file, to_text(placement))
        if self.picture is not None:
            from cimarch.report.floorplan import svg

            write_whole(self.picture, svg(placement))


@click.command("map")
@reading
@placing
@click.option("--strict", is_flag=True, help="Whatever would be assumed is an error.")
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
@click.option("--json", "json_", is_flag=True, help="Print the map as JSON.")
@click.option("--svg", "picture", metavar="FILE", help="Draw which cells hold what.")
@click.option("-o", "--output", "file", metavar="FILE", help="Save the placement, for `sim`.")
def map(
    architecture: str,
    model: str | None,
    name: str | None,
    input_: str | None,
    tokens: int | None,
    context: int | None,
    set_: tuple[str, ...],
    weight_bits: int,
    input_bits: int,
    precision: str | None,
    schedule: str | None,
    place: tuple[str, ...],
    duplicate: str,
    spread_rows: bool,
    placement: str | None,
    attention: str | None,
    strict: bool,
    allow_unmapped: bool,
    json_: bool,
    picture: str | None,
    file: str | None,
) -> None:
    """Show where MODEL lies on ARCH: pools, arrays, copies, homes of inputs and results.

    \b
    cimarch map isaac models/resnet20.pt
    cimarch map isaac models/resnet20.pt --duplicate balance --svg floorplan.svg
    cimarch map isaac models/resnet20.pt -o placement.json
    cimarch sim isaac models/resnet20.pt --placement placement.json

    MODEL is what `cimarch sim` takes.
    """
    import cimarch

    if model is None and name is None:
        raise click.UsageError("give a MODEL file, or --model NAME to place its shapes")
    outputs = Outputs(named_place("--output", file), named_place("--svg", picture))
    outputs.check()
    system = cimarch.load(architecture, set=overrides(set_))
    if strict:
        nothing_assumed(system.assumed)
    network = cimarch.read_network(
        model, model=name, input=shape(input_), allow_unmapped=allow_unmapped,
        tokens=tokens, context=context or 0,
    )  # fmt: skip
    placed = cimarch.map_network(
        system, network, weight_bits=weight_bits, input_bits=input_bits, precision=precision,
        schedule=schedule, place=place, duplicate=duplicate, spread_rows=spread_rows,
        placement=placement, attention=attention, allow_unmapped=allow_unmapped,
    )  # fmt: skip
    if strict:
        nothing_assumed(placed.assumed)
    outputs.write(placed)
    click.echo(_told(placed, as_text=not json_))


def _told(placed: Placement, *, as_text: bool) -> str:
    from cimarch.report.map import to_dict, to_text

    return to_text(placed) if as_text else as_json(to_dict(placed))
