"""One method as a command: its flags, its page of help, and its run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cimarch.cli.judging import COUNT, check_device, data_of, use_threads
from cimarch.cli.optimizing.flags import flags_of, made
from cimarch.cli.optimizing.outputs import Outputs
from cimarch.cli.optimizing.stopping import stoppable
from cimarch.cli.optimizing.telling import Telling
from cimarch.cli.options import overrides
from cimarch.cli.output import as_json

if TYPE_CHECKING:
    from cimarch.optimize import Method
    from cimarch.optimize.frame.model import Model
    from cimarch.optimize.frame.record import Record

EXIT_INTERRUPTED = 130

HELP = """{summary}

\b
cimarch optimize {name} {chip} models/resnet20.pt --data cifar10:PATH -o OUT.adapted

MODEL is a torch.export archive with weights, or what another method wrote; or with --model a
state_dict. SET is what `cimarch eval` takes, with training images; the test images judge
before and after, and choose nothing. What is done is kept beside OUT: the same command
goes on after Ctrl-C, and after a kill. `cimarch sim` and `cimarch eval` take OUT as a MODEL.
"""


def command_of(name: str, method: Method) -> click.Command:
    """The command of a method."""
    function, options = method.load()

    def run(**values: Any) -> None:
        _run(function, made(options, values), values)

    return click.Command(
        name,
        callback=run,
        params=[*_named(), *flags_of(options), *_frame()],
        help=HELP.format(summary=method.summary, name=name, chip=method.chip),
        no_args_is_help=True,
    )


def _named() -> list[click.Parameter]:
    """What is adapted, to what, by which data, and where it goes."""
    return [
        click.Argument(["architecture"], metavar="ARCH"),
        click.Argument(["model"], metavar="MODEL"),
        click.Option(["--data"], metavar="SET", required=True, help="The data set."),
        click.Option(
            ["-o", "--output", "file"], metavar="OUT", required=True, help="The adapted model."
        ),
        click.Option(["--model", "network"], metavar="NAME",
                     help="The network whose weights MODEL is."),
        click.Option(["--set", "set_"], metavar="PATH=VALUE", multiple=True,
                     help="Change a parameter of the chip."),
    ]  # fmt: skip


def _frame() -> list[click.Parameter]:
    """Flags of every method that change no result."""
    return [
        click.Option(["--normalise"], metavar="MEAN/DEVIATION",
                     help="Of each channel, where the data set's own is not the network's."),
        click.Option(["--threads"], type=COUNT, help="Threads that compute; all cores without it."),
        click.Option(["--kept"], metavar="FOLDER",
                     help="What is done is kept there until OUT is written; OUT.kept."),
        click.Option(["--plot"], metavar="FILE", multiple=True,
                     help="Draw the record there: .svg, .pdf, .png."),
        click.Option(["--csv", "tables"], metavar="FOLDER", help="Write its tables there as CSV."),
        click.Option(["--json", "json_"], is_flag=True, help="Print the record as JSON."),
    ]  # fmt: skip


def _run(function: Any, options: Any, flags: Mapping[str, Any]) -> None:
    import cimarch
    from cimarch.optimize.frame.going import Going
    from cimarch.optimize.frame.model import Model

    outputs = Outputs.of(flags["file"], flags["kept"], flags["tables"], flags["plot"])
    outputs.check()
    use_threads(flags["threads"])
    if options.device != "auto":
        check_device(options.device)
    system = cimarch.load(flags["architecture"], set=overrides(flags["set_"]))
    model = Model.of(flags["model"], flags["network"])
    data = data_of(flags["data"], model.network(), flags["model"], flags["normalise"], None)
    with stoppable() as stop:
        try:
            with Telling() as tell:
                going = Going(tell, outputs.kept, stop)
                found, record = function(model, system, data, options=options, going=going)
            found = _recorded(found, record)
            outputs.write(found, system)
        except KeyboardInterrupt:
            _interrupted(outputs)
    click.echo(_text(found, flags["json_"]), nl=flags["json_"])


def _interrupted(outputs: Outputs) -> None:
    """End a run that was stopped, and say how to go on with it."""
    told = f"interrupted: `{outputs.kept}` holds what is done, and the same command goes on from it"
    click.echo(told, err=True)
    raise click.exceptions.Exit(EXIT_INTERRUPTED)


def _recorded(model: Model, record: Record) -> Model:
    """The model with its record, where the method has not put it there."""
    told = as_json(record.to_dict())
    held = model.records
    return model if held and as_json(held[-1].to_dict()) == told else model.with_(record=record)


def _text(model: Model, json: bool) -> str:
    if json:
        return as_json(model.records[-1].to_dict())
    from cimarch.optimize.telling.text import render

    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else None
    return render(model.records, width=width, colour=on_terminal)
