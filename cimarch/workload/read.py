"""A model file, or the name of a network, to a Network.

What a file is, is told by its content. Accepted are torch.export archives, ONNX models, state_dicts
and safetensors together with the name of a network, and layer tables; anything else is refused with
what it is and the command that makes a good file.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from cimarch.workload.adapted import read_adapted
from cimarch.workload.bundled import bundled, is_transformer, named
from cimarch.workload.files import contents, find, is_name
from cimarch.workload.length import Length
from cimarch.workload.network import Network, Weight
from cimarch.workload.problems import EXPORT, problem
from cimarch.workload.pt2 import read_pt2
from cimarch.workload.sniff import REFUSALS, refusal, sniff
from cimarch.workload.stored import Checkpoint, from_state, told
from cimarch.workload.table import from_table, read_csv, read_json
from cimarch.workload.tensor_files import read_tensors

LARGEST_TABLE = 16 << 20


def read_network(
    path: str | os.PathLike[str] | None = None,
    model: str | None = None,
    input: str | Sequence[int] | None = None,
    *,
    allow_unmapped: bool = False,
    tokens: int | None = None,
    context: int = 0,
    logits: str = "last",
) -> Network:
    """Read a model file into a Network; nothing of the file is run.

    `path` is a torch.export archive, an ONNX model, a layer table (CSV or JSON), or the weights of
    the network `model` (a state_dict or safetensors). Without a path, `model` is taken without
    weights; so is a `path` that is no file but the name of a network. `input` (`1x3x32x32`, or
    numbers) is the input of `model`, where it is not the one it is made for. A file that is not
    there is looked for among those that come with cimarch. With `allow_unmapped`, an operator that
    is not covered becomes an operation of kind `other` instead of an error.

    A transformer (a Hugging Face folder, or `model` where it is one) is taken for `tokens` new
    tokens after `context` earlier ones, whose keys and values are there; where only `context` is
    given, for one new token. A language model gives the `logits` of the `last` token, or of `all`.

    Raises DescriptionError where the file, the name or the shape is wrong.
    """
    shape = parse_input(input)
    length = Length(tokens, context, shape, logits)
    if path is None:
        return _named(model, shape, length)
    if model is None and is_name(path):
        return _named(os.fspath(path), shape, length)
    found = find(path)
    if found.is_dir():
        return _read_folder(found, model, length)
    data = contents(found)
    source = str(path)
    sniffed = sniff(data, source)
    if found.name == "config.json" and sniffed.kind == "json":
        return _read_folder(found.parent, model, length)
    if sniffed.kind in REFUSALS:
        raise refusal(source, sniffed)
    request = _Request(
        data, source, found.stem, hashlib.sha256(data).hexdigest(), model, shape, allow_unmapped,
        length, found.parent,
    )  # fmt: skip
    return READERS[sniffed.kind](request)


def parse_input(given: str | Sequence[int] | None) -> tuple[int, ...] | None:
    """The shape that `1x3x32x32` (or a sequence) says, a batch of one first."""
    if given is None:
        return None
    text = given if isinstance(given, str) else "x".join(map(str, given))
    if not re.fullmatch(r"[1-9]\d{0,9}(x[1-9]\d{0,9})*", text):
        raise problem(
            "E164",
            f"input `{text[:40]}` is not a shape: whole numbers from 1, with x between",
            helps=["--input 1x3x32x32"],
        )
    shape = tuple(map(int, text.split("x")))
    if shape[0] != 1:
        one = (1, *shape) if len(shape) == 3 else (1, *shape[1:])
        raise problem(
            "E164",
            f"input `{text[:40]}` has a batch of {shape[0]}, not 1",
            helps=["--input " + "x".join(map(str, one))],
        )
    return shape


@attrs.frozen(eq=False)
class _Request:
    """A file that was found, and what was asked of it."""

    data: memoryview
    source: str
    name: str
    digest: str
    model: str | None
    shape: tuple[int, ...] | None
    allow_unmapped: bool
    length: Length
    folder: Path

    def alone(self, what: str) -> None:
        """Refuse `model` and `input` for a file that needs neither."""
        if self.model is not None:
            raise problem("E163", f"`{self.source}` is {what}: it takes no `--model`")
        if self.shape is not None:
            raise problem("E163", f"`{self.source}` is {what}: it takes no `--input`")
        self.length.refuse(f"`{self.source}` is {what}")

    def named(self) -> str:
        """The network that the weights are of."""
        if self.model is None:
            raise problem(
                "E163",
                f"`{self.source}` holds weights only: of which network, it does not say",
                helps=["--model resnet20", f"or a file that says it: {EXPORT}"],
            )
        return self.model


def _read_pt2(request: _Request) -> Network:
    request.alone("a whole network")
    return read_pt2(
        request.data,
        name=request.name,
        source=request.source,
        digest=request.digest,
        allow_unmapped=request.allow_unmapped,
    )


def _read_adapted(request: _Request) -> Network:
    request.alone("a whole network")
    read = read_adapted(request.data, request.source)
    network = read_pt2(
        read.network,
        name=read.name,
        source=request.source,
        digest=request.digest,
        allow_unmapped=request.allow_unmapped,
    )
    return attrs.evolve(network, attached=read.attached)


def _read_state_dict(request: _Request) -> Network:
    from cimarch.workload.checkpoint import open_state_dict, read_state_dict

    model = request.named()
    if is_transformer(model):
        state = open_state_dict(request.data, request.source)
        return _transformer(request, model, from_state(state, request.source))
    request.length.refuse(f"`{model}` is no transformer")
    return read_state_dict(request.data, request.source, request.digest, model, request.shape)


def _read_safetensors(request: _Request) -> Network:
    from cimarch.workload.checkpoint import read_safetensors

    model = request.named()
    if is_transformer(model):
        return _transformer(request, model, read_tensors(request.data, request.source))
    request.length.refuse(f"`{model}` is no transformer")
    return read_safetensors(request.data, request.source, request.digest, model, request.shape)


def _transformer(request: _Request, model: str, tensors: Mapping[str, Weight]) -> Network:
    stored = Checkpoint(tensors, named(model))
    tokens, context = request.length.of(stored.model)
    network = bundled(
        model,
        tokens=tokens,
        context=context,
        logits=request.length.logits,
        stored=stored,
        source=f"`{request.source}`",
        digest=request.digest,
    )
    return told(network, stored)


def _read_folder(folder: Path, model: str | None, length: Length) -> Network:
    from cimarch.workload.huggingface import read_folder

    if model is not None:
        raise problem("E163", f"`{folder}` is the folder of a model: it takes no `--model`")
    return read_folder(folder, length)


def _read_onnx(request: _Request) -> Network:
    from cimarch.workload.onnx_model import read_onnx

    request.alone("a whole network")
    return read_onnx(
        request.data,
        name=request.name,
        source=request.source,
        digest=request.digest,
        folder=request.folder,
        allow_unmapped=request.allow_unmapped,
    )


def _read_table(request: _Request) -> Network:
    request.alone("a layer table")
    if len(request.data) > LARGEST_TABLE:
        size = len(request.data)
        raise problem("E112", f"`{request.source}` is {size} bytes, above {LARGEST_TABLE}")
    data = bytes(request.data)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        rows: Sequence[Mapping[str, object]] = read_json(data, request.source)
    else:
        rows = read_csv(_text(data, request.source), request.source)
    return from_table(rows, name=request.name, source=f"`{request.source}`", digest=request.digest)


READERS: dict[str, Callable[[_Request], Network]] = {
    "pt2": _read_pt2,
    "adapted": _read_adapted,
    "onnx": _read_onnx,
    "state_dict": _read_state_dict,
    "safetensors": _read_safetensors,
    "json": _read_table,
    "csv": _read_table,
}


def _named(model: str | None, shape: tuple[int, ...] | None, length: Length) -> Network:
    if model is None:
        raise problem("E100", "no network is given", helps=["name a model file, or --model vgg16"])
    if is_transformer(model):
        tokens, context = length.of(named(model))
        return bundled(model, tokens=tokens, context=context, logits=length.logits)
    length.refuse(f"`{model}` is no transformer")
    from cimarch.workload.shapes import shapes_only

    return shapes_only(model, shape)


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problem("E140", f"byte {error.start} of `{source}` is not UTF-8 text") from None
