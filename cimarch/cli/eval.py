"""`cimarch eval`: how often a network is right in float, quantised, and on a chip."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
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
from cimarch.cli.output import (
    as_json,
    check_folder,
    check_writable,
    make_folder,
    named_place,
    write_whole,
)
from cimarch.cli.placing import placing
from cimarch.cli.sim import nothing_assumed

if TYPE_CHECKING:
    from cimarch.evaluate import Calibration
    from cimarch.report.accuracy import Evaluation


@attrs.frozen
class Outputs:
    """The files that an evaluation goes to, besides the terminal."""

    file: Path | None
    folder: Path | None
    ranges: Path | None
    densities: Path | None

    def check(self) -> None:
        """Find before the run what would fail after it."""
        for place in (self.file, self.ranges, self.densities):
            if place is not None:
                check_writable(place)
        if self.folder is not None:
            check_folder(self.folder)

    def write(self, found: Evaluation) -> None:
        """Write the files, each whole or not at all; ranges have been written before."""
        if self.file is not None:
            write_whole(self.file, as_json(found.to_dict()) + "\n")
        if self.densities is not None:
            from cimarch.evaluate import save_densities

            save_densities(found, self.densities)
        if self.folder is not None:
            from cimarch.report.csv import evaluation_texts

            make_folder(self.folder)
            for name, text in evaluation_texts(found).items():
                write_whole(self.folder / name, text)


@click.command("eval")
@judging
@click.option("--images", type=COUNT, metavar="N", help="Judge by the first N only.")
@click.option("--trials", type=COUNT, default=1, show_default=True, help="Runs, where chance is.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--calibrate", type=click.IntRange(0, 10**9), metavar="N", help="Images that calibrate."
)
@click.option(
    "--range-policy",
    type=click.Choice(POLICIES),
    help="How converter ranges that are not stated are chosen: unit without it.",
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
@click.option("--ranges", metavar="FILE", help="Take over ranges that `calibrate -o` wrote.")
@click.option("--save-ranges", metavar="FILE", help="Write the ranges that were chosen.")
@click.option(
    "--save-densities", metavar="FILE", help="Write how full inputs and weights are, for `sim`."
)
@click.option(
    "--statistics", type=COUNT, default=100, show_default=True, metavar="N",
    help="Count conversions on the first N.",
)  # fmt: skip
@placing
@click.option("--strict", is_flag=True, help="Whatever would be assumed is an error.")
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
@click.option("--json", "json_", is_flag=True, help="Print the result as JSON.")
@click.option("--csv", "folder", metavar="FOLDER", help="Write the tables there as CSV.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write the result there as JSON.")
def eval(
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
    trials: int,
    seed: int,
    calibrate: int | None,
    range_policy: str | None,
    per: str,
    percentile: float,
    ranges: str | None,
    save_ranges: str | None,
    save_densities: str | None,
    statistics: int,
    place: tuple[str, ...],
    duplicate: str,
    spread_rows: bool,
    placement: str | None,
    attention: str | None,
    strict: bool,
    allow_unmapped: bool,
    json_: bool,
    folder: str | None,
    file: str | None,
) -> None:
    """Judge MODEL by a data set: in float, quantised, and on ARCH.

    \b
    cimarch eval isaac digits --data digits
    cimarch eval isaac models/resnet20.pt --data cifar10:PATH --images 1000
    cimarch eval bit_serial resnet20 --data cifar10:PATH --set macro.adc.bits=6 --json
    cimarch eval bit_serial weights.safetensors --model resnet20 --data cifar10:PATH
                 --range-policy power_of_two --per slice --calibrate 256

    \b
    SET is one of
      digits             the 8 x 8 digits that come with scikit-learn
      cifar10:PATH       official batches, their tar.gz, cifar10_test.npz, or pictures
      folder:PATH        pictures, a folder for each class
      npz:PATH           arrays `images` and `labels`
      tokens:PATH        text, or token ids
      module:function    a function of your own that gives arrays

    MODEL is what `cimarch sim` takes, with weights. The images that calibrate never judge. What
    `cimarch optimize` wrote brings its bits, whole weights and converter ranges.
    """
    import cimarch
    from cimarch.cli.progress import Progress
    from cimarch.workload.zoo import need_torch

    if ranges is not None and save_ranges is not None:
        raise click.UsageError("--ranges takes ranges over, and --save-ranges chooses them")
    outputs = Outputs(
        named_place("--output", file), named_place("--csv", folder),
        named_place("--save-ranges", save_ranges),
        named_place("--save-densities", save_densities),
    )  # fmt: skip
    outputs.check()
    need_torch("evaluating a network")
    use_threads(threads)
    check_device(device)
    system = cimarch.load(architecture, set=overrides(set_))
    if strict:
        nothing_assumed(system.assumed)
    network = network_of(model, name, input_, tokens, allow_unmapped)
    judges = data_of(data, network, model, normalise, tokenizer)
    quantising = quantising_of(quantise, input_range, strip_ratio)
    with Progress() as progress:
        chosen: str | Calibration | None = ranges
        if outputs.ranges is not None:
            chosen = cimarch.calibrate(
                system, network, judges, weight_bits=weight_bits, input_bits=input_bits,
                precision=precision, place=place, duplicate=duplicate, spread_rows=spread_rows,
                placement=placement, attention=attention, allow_unmapped=allow_unmapped,
                images=calibrate, batch=batch, quantising=quantising,
                quantised=quantised, policy=range_policy or "unit", per=per, percentile=percentile,
                device=device, progress=progress,
            )  # fmt: skip
            cimarch.save_ranges(chosen, outputs.ranges)
        found = cimarch.evaluate(
            system, network, judges, weight_bits=weight_bits, input_bits=input_bits,
            precision=precision, place=place, duplicate=duplicate, spread_rows=spread_rows,
            placement=placement, attention=attention, allow_unmapped=allow_unmapped,
            images=images, batch=batch, trials=trials, seed=seed,
            quantising=quantising, quantised=quantised,
            calibrate=calibrate, ranges=chosen, range_policy=range_policy, per=per,
            range_percentile=percentile, statistics=statistics, device=device, progress=progress,
        )  # fmt: skip
    if strict:
        nothing_assumed(found.assumed)
    outputs.write(found)
    click.echo(as_json(found.to_dict()) if json_ else _text(found), nl=json_)


def _text(found: Evaluation) -> str:
    from cimarch.report.accuracy_text import render

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    return render(found, width=width, colour=on_terminal)
