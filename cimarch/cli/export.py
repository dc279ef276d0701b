"""`cimarch export`: make a model file of a PyTorch model; the one place that imports user code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cimarch.cli.options import shape
from cimarch.cli.output import check_writable, write_whole
from cimarch.diagnostics import DescriptionError, Diagnostic

if TYPE_CHECKING:
    from cimarch.workload.network import Network

DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32")


@click.command()
@click.argument("factory", metavar="PACKAGE.MODULE:FACTORY")
@click.option(
    "--input",
    "inputs",
    metavar="SIZES",
    multiple=True,
    required=True,
    help="Shape of an input, a batch of one first: 1x3x32x32. Once for each input.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Of the inputs.",
)
@click.option("--weights", metavar="FILE", help="A state_dict or safetensors file to load.")
@click.option("--allow-unmapped", is_flag=True, help="Write it with operators not covered, too.")
@click.option("-o", "--output", "file", metavar="FILE", required=True, help="Where it is written.")
def export(
    factory: str,
    inputs: tuple[str, ...],
    dtype: str,
    weights: str | None,
    allow_unmapped: bool,
    file: str,
) -> None:
    """Export the model that FACTORY() makes to a file that `cimarch sim` reads without torch.

    \b
    cimarch export my_models:small_net --input 1x3x32x32 -o model.pt
    cimarch export cimarch.models.resnet:resnet20 --input 1x3x32x32 --weights state.pt -o model.pt

    FACTORY is a function without arguments that returns a torch module, or is such a module. The
    current folder is searched too. The model is exported as it is at inference.
    """
    path = Path(file)
    check_writable(path)
    shapes = [shape(text) for text in inputs]
    from cimarch.workload.trace import export as exported
    from cimarch.workload.zoo import need_torch

    torch = need_torch("exporting a model")
    model = load_factory(factory)
    if weights is not None:
        from cimarch.workload.checkpoint import load_file_

        load_file_(model, weights)
    examples = tuple(torch.zeros(sizes, dtype=getattr(torch, dtype)) for sizes in shapes)
    data = exported(model, examples)
    network = _read_back(data, path, allow_unmapped)
    write_whole(path, data)
    click.echo(_summary(path, network, len(data)))


def load_factory(text: str) -> Any:
    """Import `package.module:factory`, call it, and give the torch module that it makes.

    Raises DescriptionError where the text, the import, the call or the result is wrong.
    """
    name, colon, attribute = text.partition(":")
    if not (colon and _is_dotted(name) and _is_dotted(attribute)):
        raise _mistake(
            "E150",
            f"`{text}` is not of the form `package.module:factory`",
            helps=("write for instance `my_models:small_net`, for my_models.py in this folder",),
        )
    found = _imported(name, text)
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise _mistake("E150", f"`{name}` has no `{attribute}`")
        found = getattr(found, step)
    return _made(found, text)


def _imported(name: str, text: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    if name.startswith("cimarch.models"):
        from cimarch.workload.zoo import models

        models()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name + ".").startswith(error.name + "."):
            raise _mistake(
                "E150",
                f"there is no module `{error.name}` to import `{text}` from",
                notes=(f"looked for in {Path.cwd()} and where Python finds its packages",),
            ) from None
        raise _raised(f"importing `{name}`", error) from error
    except (Exception, SystemExit) as error:
        raise _raised(f"importing `{name}`", error) from error


def _made(found: Any, text: str) -> Any:
    from torch import nn

    if not isinstance(found, nn.Module) and callable(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise _raised(f"calling `{text}`", error) from error
    if not isinstance(found, nn.Module):
        kind = type(found).__name__
        raise _mistake(
            "E151",
            f"`{text}` gives a `{kind}`, not a torch module",
            helps=("return the model itself: a `torch.nn.Module`",),
        )
    return found


def _read_back(data: bytes, path: Path, allow_unmapped: bool) -> Network:
    """What `cimarch sim` will make of the file; found before it is written."""
    from cimarch.workload.pt2 import read_pt2

    return read_pt2(
        memoryview(data),
        name=path.stem,
        source=str(path),
        digest="",
        allow_unmapped=allow_unmapped,
    )


def _summary(path: Path, network: Network, size: int) -> str:
    products = [operation for operation in network.operations if operation.macs]
    macs = sum(operation.macs for operation in products)
    return (
        f"{path}: {len(network.operations)} operations, {len(products)} of them products, "
        f"{macs / 1e6:,.1f} M multiply-accumulates, {size / 1e6:.1f} MB"
    )


def _raised(what: str, error: BaseException) -> DescriptionError:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    text = str(error).partition("\n")[0][:200]
    return _mistake(
        "E151" if what.startswith("calling") else "E150",
        f"{what} raised {type(error).__name__}" + (f": {text}" if text else ""),
        notes=(f"at {frames[-1]}",) if frames else (),
    )


def _is_dotted(text: str) -> bool:
    return all(step.isidentifier() for step in text.split("."))


def _mistake(
    code: str, headline: str, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
) -> DescriptionError:
    return DescriptionError(Diagnostic(code, headline, notes=notes, helps=helps))
