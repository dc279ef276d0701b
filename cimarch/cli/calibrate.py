"""`cimarch calibrate`: choose the ranges of a chip's converters on data that do not judge."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

from cimarch.cli.judging import (
    COUNT,
    PER,
    POLICIES,
    check_device,
    data_of,
    judging,
    network_of,
    quantising_of,
    use_threads,
)
from cimarch.cli.options import overrides
from cimarch.cli.output import check_writable, named_place, write_whole
from cimarch.cli.placing import placing
from cimarch.cli.sim import nothing_assumed

if TYPE_CHECKING:
    from cimarch.evaluate import Calibration
    from cimarch.functional.quantised import QuantisedNetwork


@click.command("calibrate")
@judging
@click.option("--images", type=COUNT, metavar="N", help="Images that calibrate: 128 without it.")
@click.option(
    "--range-policy",
    type=click.Choice(POLICIES),
    default="power_of_two",
    show_default=True,
    help="How converter ranges are chosen.",
)
@click.option(
    "--per",
    type=click.Choice(PER),
    default="layer",
    show_default=True,
    help="Of what one range is.",
)
@click.option(
    "--percentile", type=float, default=99.9, show_default=True, help="Of policy `percentile`."
)
@placing
@click.option("--strict", is_flag=True, help="Whatever would be assumed is an error.")
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
@click.option("--json", "json_", is_flag=True, help="Print the ranges as JSON.")
@click.option("--save-quantised", metavar="FILE", help="Write the quantised model, for `eval`.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write the ranges, for `eval`.")
def calibrate(
    architecture: str,
    model: str | None,
    name: str | None,
    input_: str | None,
    tokens: int | None,
    set_: tuple[str, ...],
    weight_bits: int,
    input_bits: int,
    precision: str | None,
    data: str,
    normalise: str | None,
    tokenizer: str | None,
    quantise: str | None,
    input_range: str | None,
    strip_ratio: str | None,
    quantised: str | None,
    batch: int,
    threads: int | None,
    device: str,
    images: int | None,
    range_policy: str,
    per: str,
    percentile: float,
    place: tuple[str, ...],
    duplicate: str,
    spread_rows: bool,
    placement: str | None,
    attention: str | None,
    strict: bool,
    allow_unmapped: bool,
    json_: bool,
    save_quantised: str | None,
    file: str | None,
) -> None:
    """Choose the ranges of the converters of ARCH for MODEL, on training images.

    \b
    cimarch calibrate isaac digits --data digits -o ranges.json
    cimarch eval isaac digits --data digits --ranges ranges.json

    The images that calibrate never judge. A range that the description states stands. MODEL and SET
    are what `cimarch eval` takes.
    """
    import cimarch
    from cimarch.cli.progress import Progress
    from cimarch.workload.zoo import need_torch

    if quantised is not None and save_quantised is not None:
        raise click.UsageError("--quantised takes a model over, and --save-quantised makes one")
    output, whole = named_place("--output", file), named_place("--save-quantised", save_quantised)
    for path in (output, whole):
        if path is not None:
            check_writable(path)
    need_torch("calibrating a network")
    use_threads(threads)
    check_device(device)
    system = cimarch.load(architecture, set=overrides(set_))
    if strict:
        nothing_assumed(system.assumed)
    network = network_of(model, name, input_, tokens, allow_unmapped)
    chosen_by = data_of(data, network, model, normalise, tokenizer)
    quantising = quantising_of(quantise, input_range, strip_ratio)
    with Progress() as progress:
        whole_model: str | QuantisedNetwork | None = quantised
        if whole is not None:
            whole_model = made = cimarch.quantise(
                system, network, chosen_by, weight_bits=weight_bits, input_bits=input_bits,
                precision=precision, place=place, images=images, batch=batch,
                quantising=quantising, allow_unmapped=allow_unmapped, device=device,
                progress=progress,
            )  # fmt: skip
            cimarch.save_quantised(made, whole)
        found = cimarch.calibrate(
            system, network, chosen_by, weight_bits=weight_bits, input_bits=input_bits,
            precision=precision, place=place, duplicate=duplicate, spread_rows=spread_rows,
            placement=placement, attention=attention, allow_unmapped=allow_unmapped, images=images,
            batch=batch, quantising=quantising, quantised=whole_model, policy=range_policy, per=per,
            percentile=percentile, device=device, progress=progress,
        )  # fmt: skip
    if output is not None:
        write_whole(output, found.to_text())
    click.echo(found.to_text() if json_ else _text(found), nl=False)


def _text(found: Calibration) -> str:
    from cimarch.report.ranges import render

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    return render(found, width=width, colour=on_terminal)
