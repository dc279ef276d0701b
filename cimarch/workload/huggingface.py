"""A Hugging Face folder to a Network: its config says the sizes, its safetensors hold the weights.

Nothing in the folder is run: pickles are refused, and a config that takes code of its own is too.
Weights are mapped, not read: only their headers are, so that a model of gigabytes costs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.blocks import build
from cimarch.workload.configs import transformer
from cimarch.workload.fields import Field, parse
from cimarch.workload.files import contents
from cimarch.workload.length import Length
from cimarch.workload.network import Network, Weight
from cimarch.workload.problems import EXPORT, problem
from cimarch.workload.stored import Checkpoint, told
from cimarch.workload.tensor_files import LARGEST_HEADER, read_tensors

CONFIG, WHOLE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
LARGEST_CONFIG = 1 << 20
MOST_FILES = 1024


def read_folder(folder: Path, length: Length) -> Network:
    """Read the model of a folder, for as many tokens as `length` asks for.

    Without a file of weights, only their shapes are known. The digest is that of the config and of
    the headers of the weights. Raises DescriptionError where the folder holds no model (E101), its
    config is not covered (E171), its weights are pickled or not those of the config (E116, E172).
    """
    data = _small(folder / CONFIG, folder)
    with _told_plainly():
        model = transformer(parse(data, CONFIG), folder.resolve().name)
    tokens, context = length.of(model)
    digest = hashlib.sha256(data)
    tensors: dict[str, Weight] | None = None
    for file in _files(folder):
        opened = _opened(file)
        digest.update(bytes(opened[: 8 + int.from_bytes(opened[:8], "little")]))
        with _told_plainly():
            tensors = (tensors or {}) | read_tensors(opened, str(file))
    stored = None if tensors is None else Checkpoint(tensors, model)
    network = build(
        model,
        tokens=tokens,
        context=context,
        logits=length.logits,
        weights=stored,
        source=f"`{folder}`" if stored else f"`{folder}`, shapes only",
        digest=digest.hexdigest(),
    )
    return told(network, stored) if stored else network


@contextmanager
def _told_plainly() -> Iterator[None]:
    """A field that does not fit, without the advice for a file that cimarch itself writes."""
    try:
        yield
    except DescriptionError as error:
        raise DescriptionError(*(attrs.evolve(d, helps=_HELPS.get(d.code, d.helps))
                                 for d in error.diagnostics)) from None  # fmt: skip


_HELPS = {"E114": ("download the folder again",)}


def _small(path: Path, folder: Path) -> bytes:
    """The bytes of the config."""
    if not path.exists():
        raise problem(
            "E101",
            f"`{folder}` is a directory, not a model file",
            notes=[f"a folder of a model has a `{CONFIG}`, which this one has not"],
            helps=[EXPORT],
        )
    return _limited(path, LARGEST_CONFIG)


def _limited(path: Path, limit: int) -> bytes:
    data = contents(path)
    if len(data) > limit:
        raise problem("E112", f"`{path}` is {len(data)} bytes, above {limit}")
    return bytes(data)


def _opened(path: Path) -> memoryview:
    if not path.exists():
        raise problem(
            "E172", f"`{path}` is not there, though the index of the weights names it",
            helps=["download the folder again"],
        )  # fmt: skip
    data = contents(path)
    if bytes(data[:7]) == b"version":
        raise problem("E103", f"`{path}` is a Git LFS pointer, not the file that it stands for",
                      helps=["git lfs pull"])  # fmt: skip
    return data


def _files(folder: Path) -> Iterator[Path]:
    """The files of weights: those that the index names, else the one, else none."""
    if (folder / INDEX).exists():
        index = parse(_limited(folder / INDEX, LARGEST_HEADER), INDEX)
        yield from (folder / name for name in _sharded(index))
    elif (folder / WHOLE).exists():
        yield folder / WHOLE
    else:
        _refuse_pickles(folder)


def _sharded(index: Field) -> list[str]:
    """The files that an index names, each once; none outside the folder."""
    names = sorted({file.text() for _, file in index["weight_map"].members()})
    for name in names:
        if PurePosixPath(name).name != name or "\\" in name or "\0" in name or name in ("", ".."):
            raise problem("E110", f"`{name[:80]}` of `{INDEX}` points outside the folder")
    if len(names) > MOST_FILES:
        raise problem("E112", f"`{INDEX}` names {len(names)} files, above {MOST_FILES}")
    return names


def _refuse_pickles(folder: Path) -> None:
    for name in PICKLED:
        if (folder / name).exists():
            raise _pickled(folder, name)


def _pickled(folder: Path, name: str) -> DescriptionError:
    return problem(
        "E172",
        f"the weights of `{folder}` are a pickle, `{name}`, which could run anything",
        notes=["only safetensors are read"],
        helps=[
            "model.save_pretrained(folder, safe_serialization=True)",
            f"or take `{name}` out of the folder: shapes are enough for a simulation",
        ],
    )
