"""What a file is, by its content; nothing of it is run."""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.adapted import is_adapted
from cimarch.workload.archive import Archive, is_zip, open_archive
from cimarch.workload.problems import EXPORT, listed, problem
from cimarch.workload.pt2 import is_pt2

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled magic number that torch before 1.6 wrote first."""

_TENSORS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_\w+|torch(\.storage)? \w*Storage"
    r"|torch Size|torch device|torch\.nn\.parameter Parameter|torch\._tensor _rebuild_\w+"
    r"|torch (float|bfloat|int|uint)\d+|torch\.serialization _get_layout|torch (bool|complex\d+)"
)
"""What a pickle of plain tensors names."""


@attrs.frozen
class Sniffed:
    """What a file is: a kind, and what it names that could run, where it is a pickle."""

    kind: str
    names: tuple[str, ...] = ()


def sniff(data: memoryview, source: str) -> Sniffed:
    """Tell the kind of a file; raises DescriptionError where it is a damaged archive."""
    if is_zip(data):
        return _sniff_zip(open_archive(data, source))
    head = bytes(data[:4096])
    for kind, fits in _HEADS.items():
        if fits(head, len(data)):
            return Sniffed(kind)
    if head.startswith(LEGACY_TORCH):
        return _sniff_pickle(data, "state_dict")
    if re.match(rb"\x80[\x02-\x05]", head):
        return _sniff_pickle(data, "pickle")
    return Sniffed(_sniff_text(head))


def _sniff_zip(archive: Archive) -> Sniffed:
    if is_adapted(archive):
        return Sniffed("adapted")
    if is_pt2(archive):
        return Sniffed("pt2")
    names = archive.members
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return Sniffed("torchscript")
    if "data.pkl" in names:
        return _sniff_pickle(archive.read("data.pkl"), "state_dict")
    return Sniffed("zip", tuple(names))


def _sniff_pickle(data: memoryview, kind: str) -> Sniffed:
    """A pickle that names more than tensors would import and call it on loading."""
    foreign = [name for name in _globals(data) if not _TENSORS.fullmatch(name)]
    dotted = tuple(dict.fromkeys(name.replace(" ", ".") for name in foreign))
    return Sniffed("pickle", dotted) if foreign or kind == "pickle" else Sniffed(kind)


def _globals(data: memoryview) -> list[str]:
    """What the pickles at the start of the data would import; read, not run."""
    found: list[str] = []
    texts: list[str] = []
    rest = bytes(data[: 16 << 20])
    for _ in range(5):  # a legacy torch file is five pickles in a row
        end = 0
        try:
            for code, argument, place in pickletools.genops(rest):
                end = (place or 0) + 1
                if isinstance(argument, str):
                    texts.append(argument)
                if code.name in ("GLOBAL", "INST"):
                    found.append(str(argument))
                if code.name == "STACK_GLOBAL":
                    found.append(" ".join(texts[-2:]))
        except (ValueError, IndexError, OverflowError, UnicodeError, MemoryError):
            return found
        rest = rest[end:]
        if not rest.startswith(b"\x80"):
            return found
    return found


def _sniff_text(head: bytes) -> str:
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if "\0" in text or text.count("\ufffd") > 1:
        return "unknown"
    if re.match(r"\[\s*[\[{\]]|\{\s*[\"}]", text):
        return "json"
    if re.search(r"^(component|system)\s+\w[^\n]*\{", text, re.MULTILINE):
        return "description"
    columns = re.split(r"[,\n]", text.partition("\n")[0].lower())
    return "csv" if {"outputs", "inputs"} & {c.strip().strip('"') for c in columns} else "unknown"


def _is_safetensors(head: bytes, size: int) -> bool:
    return 8 < int.from_bytes(head[:8], "little") + 8 <= size and head[8:9] == b"{"


def _is_onnx(head: bytes, size: int) -> bool:
    """A protobuf whose first field is a small ir_version and whose second is a known one."""
    return (
        len(head) > 8
        and head[0] == 0x08
        and 0 < head[1] < 0x20
        and head[2] in b"\x12\x1a\x22\x3a\x42"
    )


_HEADS: dict[str, Callable[[bytes, int], bool]] = {
    "safetensors": _is_safetensors,
    "onnx": _is_onnx,
    "hdf5": lambda head, size: head.startswith(b"\x89HDF"),
    "tflite": lambda head, size: head[4:8] == b"TFL3",
    "gzip": lambda head, size: head.startswith(b"\x1f\x8b"),
    "tar": lambda head, size: head[257:262] == b"ustar",
    "lfs": lambda head, size: head.startswith(b"version https://git-lfs"),
}


REFUSALS = {
    "torchscript": "is a TorchScript program",
    "pickle": "is a pickle, which could run anything when it is loaded",
    "hdf5": "is an HDF5 file, as Keras writes",
    "tflite": "is a TensorFlow Lite model",
    "gzip": "is packed with gzip",
    "tar": "is a tar archive",
    "zip": "is a zip archive, but no model",
    "lfs": "is a Git LFS pointer, not the file that it stands for",
    "description": "is a description of hardware, not a network",
    "unknown": "is no model file that is known here",
}
"""Kinds that are not read, and what is said of them."""

_HELPS = {
    "gzip": "gunzip it first",
    "tar": "unpack it first",
    "lfs": "git lfs pull",
    "description": "cimarch sim ARCHITECTURE MODEL",
}


def refusal(source: str, sniffed: Sniffed) -> DescriptionError:
    """The diagnostic for a file of a kind that is not read."""
    notes = {
        "pickle": [f"it would import {listed(sniffed.names)}"] if sniffed.names else [],
        "zip": [f"it holds {listed(sniffed.names)}"] if sniffed.names else ["it is empty"],
        "torchscript": ["it holds a program and pickles, which are not run here"],
    }
    return problem(
        "E103",
        f"`{source}` {REFUSALS[sniffed.kind]}",
        notes=notes.get(sniffed.kind, []),
        helps=[_HELPS.get(sniffed.kind, EXPORT)],
    )
