"""`cimarch sim`: run a network on a system and print the report."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from cimarch.cli.options import overrides, shape
from cimarch.cli.output import (
    as_json,
    check_folder,
    check_writable,
    make_folder,
    named_place,
    write_whole,
)
from cimarch.cli.placing import placing
from cimarch.cli.reading import reading
from cimarch.cli.recording import cut, recording
from cimarch.cli.running import running
from cimarch.diagnostics import DescriptionError, Diagnostic

if TYPE_CHECKING:
    from cimarch.hardware.system import System
    from cimarch.report.report import Report


@attrs.frozen
class Outputs:
    """The files that a report goes to, besides the terminal."""

    file: Path | None
    folder: Path | None

    def check(self) -> None:
        """Find before the run what would fail after it."""
        if self.file is not None:
            check_writable(self.file)
        if self.folder is not None:
            check_folder(self.folder)

    def write(self, report: Report) -> None:
        """Write the files, each whole or not at all."""
        if self.file is not None:
            write_whole(self.file, as_json(report.to_dict()) + "\n")
        if self.folder is not None:
            from cimarch.report.csv import texts

            make_folder(self.folder)
            for name, text in texts(report).items():
                write_whole(self.folder / name, text)


@click.command()
@reading
@placing
@running
@recording
@click.option(
    "--densities", metavar="FILE", help="How full inputs and weights are: `eval --save-densities`."
)
@click.option("--strict", is_flag=True, help="What would be assumed, or warned of, is an error.")
@click.option("--allow-unmapped", is_flag=True, help="Leave out operations that are not known.")
@click.option("--json", "json_", is_flag=True, help="Print the report as JSON.")
@click.option("--csv", "folder", metavar="FOLDER", help="Write the tables there as CSV.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write the report there as JSON.")
def sim(
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
    densities: str | None,
    batch: int,
    weights: str,
    overlap: bool,
    granularity: str,
    detail: str,
    engine: str,
    timeline: str | None,
    vcd: str | None,
    power: str | None,
    bounds: str | None,
    timeline_from: int | None,
    timeline_to: int | None,
    strict: bool,
    allow_unmapped: bool,
    json_: bool,
    folder: str | None,
    file: str | None,
) -> None:
    """Run MODEL on ARCH: cycles, joules, utilisation, and where they come from.

    \b
    cimarch sim isaac models/resnet20.pt
    cimarch sim isaac models/resnet20.pt --set tile.ima.adc.bits=9 --json
    cimarch sim isaac resnet18 --input 1x3x224x224          (shapes only)
    cimarch sim my_chip.cimarch weights.safetensors --model resnet20 --csv tables/
    cimarch sim my_chip.cimarch resnet20 --timeline run.json    (open it in ui.perfetto.dev)
    cimarch sim my_chip.cimarch llama-3.2-1b --tokens 512       (a prompt)
    cimarch sim my_chip.cimarch folder/ --context 512           (one more token after it)

    MODEL is a torch.export archive, an ONNX model, a state_dict with --model, a layer table (CSV,
    JSON), the folder of a Hugging Face model, or the name of a network.
    """
    import cimarch
    from cimarch.cli.progress import Progress

    if model is None and name is None:
        raise click.UsageError("give a MODEL file, or --model NAME to simulate its shapes")
    outputs = Outputs(named_place("--output", file), named_place("--csv", folder))
    outputs.check()
    system = cimarch.load(architecture, set=overrides(set_))
    if strict:
        nothing_warned(system)
        nothing_assumed(system.assumed)
    network = cimarch.read_network(
        model, model=name, input=shape(input_), allow_unmapped=allow_unmapped,
        tokens=tokens, context=context or 0,
    )  # fmt: skip
    with Progress() as progress:
        report = cimarch.simulate(
            system,
            network,
            weight_bits=weight_bits,
            input_bits=input_bits,
            precision=precision,
            schedule=schedule,
            place=place,
            duplicate=duplicate,
            spread_rows=spread_rows,
            placement=placement,
            attention=attention,
            densities=densities,
            batch=batch,
            weights=weights,
            overlap=overlap,
            granularity=granularity,
            detail=detail,
            engine=engine,
            timeline=named_place("--timeline", timeline),
            vcd=named_place("--vcd", vcd),
            power=named_place("--power", power) or False,
            bounds=named_place("--bounds", bounds),
            timeline_cycles=cut(timeline_from, timeline_to),
            allow_unmapped=allow_unmapped,
            progress=progress,
        )
    if strict:
        nothing_assumed(report.assumed)
    outputs.write(report)
    click.echo(as_json(report.to_dict()) if json_ else _text(report), nl=json_)


def nothing_assumed(sentences: tuple[str, ...]) -> None:
    """Raise DescriptionError where something is left open: what `--strict` asks for."""
    if sentences:
        raise DescriptionError(
            *(
                Diagnostic(
                    "E910",
                    f"assumed under --strict: {sentence}",
                    helps=("state it in the description, or leave --strict out",),
                )
                for sentence in sentences
            )
        )


def nothing_warned(system: System) -> None:
    """Raise DescriptionError where the description is not to be relied on: with `--strict`, a
    warning is a mistake."""
    if system.warnings:
        raise DescriptionError(
            *(
                attrs.evolve(w, code="E910", headline=f"warned of under --strict: {w.headline}")
                for w in system.warnings
            )
        )


def _text(report: Report) -> str:
    from cimarch.report.terminal import render

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    return render(report, width=width, colour=on_terminal)
