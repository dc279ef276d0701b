"""The flags by which a user says on what a network is judged, and how it is quantised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cimarch.cli.options import flags
from cimarch.cli.reading import naming
from cimarch.diagnostics import DescriptionError, Diagnostic, listing

if TYPE_CHECKING:
    from cimarch.data.dataset import DataSet
    from cimarch.evaluate import Quantising
    from cimarch.workload.network import Network

COUNT = click.IntRange(min=1, max=10**9)
POLICIES = ("unit", "power_of_two", "percentile", "min_max", "mse")
"""How converter ranges are chosen (`cimarch.functional.fit.calibrate`)."""
PER = ("layer", "slice", "column")

judging = flags(
    naming,
    click.option("--data", metavar="SET", required=True, help="The data set: see below."),
    click.option(
        "--normalise",
        metavar="MEAN/DEVIATION",
        help="Of each channel, where the data set's own is not the network's.",
    ),
    click.option(
        "--tokenizer",
        metavar="HOW",
        help="How text is cut: characters, bytes, or a file of word pieces.",
    ),
    click.option(
        "--quantise",
        type=click.Choice(["per-tensor", "per-channel", "per-strip"]),
        help="Of what one weight scale is: per-tensor without it.",
    ),
    click.option(
        "--strip-ratio",
        type=click.Choice(["free", "power_of_two"]),
        help="How the scales of strips may differ within an output: free without it.",
    ),
    click.option(
        "--input-range",
        type=click.Choice(["minmax", "percentile", "mse"]),
        help="How the scale of a layer's inputs is chosen on calibration data: minmax without it.",
    ),
    click.option("--quantised", metavar="FILE", help="Take a quantised model over."),
    click.option("--batch", type=COUNT, default=100, show_default=True, help="Images at once."),
    click.option("--threads", type=COUNT, help="Threads that compute; all cores without it."),
    click.option(
        "--device",
        metavar="NAME",
        default="cpu",
        show_default=True,
        help="Of torch, for what it computes: cpu, cuda.",
    ),
)
"""A chip, a network, the data that judge it, and how it becomes whole numbers."""


def network_of(
    model: str | None, name: str | None, input_: str | None, tokens: int | None, unmapped: bool
) -> Network:
    """The network that the flags name; a language model tells of every token what comes next."""
    import cimarch
    from cimarch.cli.options import shape

    if model is None and name is None:
        raise click.UsageError("give a MODEL file with weights")
    return cimarch.read_network(
        model, model=name, input=shape(input_), allow_unmapped=unmapped, tokens=tokens, logits="all"
    )


def data_of(
    text: str, network: Network, model: str | None, normalise: str | None, tokenizer: str | None
) -> DataSet:
    """The data set of `--data`, normalised as a flag says, else as the model's own file does."""
    from cimarch.data.normalisation import beside, stated
    from cimarch.data.read import read_data

    by_model = None if model is None or normalise is not None else beside(_file(model))
    scale = by_model if normalise is None else stated(normalise)
    return read_data(text, network, normalise=scale, tokenizer=tokenizer)


def _file(model: str) -> str:
    """The file of a model, which may be one that comes with cimarch."""
    from cimarch.workload.files import find

    try:
        return str(find(model))
    except DescriptionError:
        return model


def quantising_of(
    quantise: str | None, input_range: str | None, strip_ratio: str | None = None
) -> Quantising | None:
    """The choices of quantisation; None where there are none, and an adapted model has its own."""
    from cimarch.evaluate import Quantising

    if quantise is None and input_range is None and strip_ratio is None:
        return None
    quantise, input_range = quantise or "per-tensor", input_range or "minmax"
    per = quantise.removeprefix("per-")
    return Quantising(per=per, method=input_range, ratio=strip_ratio or "free")


def use_threads(count: int | None) -> None:
    """Compute with so many threads; DescriptionError where there are fewer cores."""
    if count is None:
        return
    import numba
    import torch

    most = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if count > most:
        raise DescriptionError(
            Diagnostic("E049", f"--threads is {count}, and there are {most} to be had")
        )
    numba.set_num_threads(count)
    # After numba, which at its start takes OpenMP's threads for its own.
    torch.set_num_threads(count)


def check_device(name: str) -> None:
    """Raise DescriptionError where torch has no such device."""
    import torch

    kind, _, number = name.partition(":")
    there = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(kind, 0)
    index = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else -1
    if index >= there or not there or (index < 0 and name != kind):
        found = ["cpu", *(f"cuda:{each}" for each in range(torch.cuda.device_count()))]
        raise DescriptionError(
            Diagnostic(
                "E049", f"there is no device `{name}`", notes=(f"there is {listing(found)}",)
            )
        )
