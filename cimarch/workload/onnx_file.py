"""An ONNX file from a stranger: parsed by the `onnx` package, its tensors as arrays, nothing run.

Numbers that lie beside the file (external data) are mapped, and only from its own folder. Shapes
and types are not inferred by the package, whose checker is not made for hostile files; sizes follow
from the operators (`onnx_graph`).
"""

from __future__ import annotations

import importlib
import mmap
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cimarch.workload.graph import LARGEST_TENSOR, MOST_DIMENSIONS
from cimarch.workload.problems import listed, problem
from cimarch.workload.steps import Array

LARGEST_FILE = 2 << 30
"""Bytes: what protobuf can parse; larger models keep their weights beside them."""
MOST_NODES = 200_000

DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip
"""Numbers of TensorProto.DataType."""

_FIELDS = {
    "float32": "float_data", "float64": "double_data", "int64": "int64_data",
    "uint32": "uint64_data", "uint64": "uint64_data",
}  # fmt: skip
"""Where numbers lie that are not raw; all others are in `int32_data`."""
_AS_BITS = {"float16": "uint16", "bfloat16": "uint16"}
_EXTERNAL = 1


def need_onnx(purpose: str) -> Any:
    """Import the onnx package, or say which extra brings it."""
    try:
        import onnx
    except ModuleNotFoundError:
        raise problem(
            "E160", f"{purpose} takes onnx", helps=["pip install 'cimarch[onnx]'"]
        ) from None
    return onnx


def parse(data: memoryview, source: str) -> Any:
    """Parse a file into an `onnx.ModelProto`; DescriptionError where it is damaged or too large."""
    onnx = need_onnx(f"reading `{source}`")
    if len(data) > LARGEST_FILE:
        raise problem("E112", f"`{source}` is {len(data)} bytes, above {LARGEST_FILE}")
    failure = importlib.import_module("google.protobuf.message").DecodeError
    try:
        model = onnx.ModelProto.FromString(bytes(data))
    except failure as error:
        raise problem(
            "E111",
            f"`{source}` is a damaged ONNX model",
            notes=[str(error)[:200]],
            helps=["copy it again, or export the model again"],
        ) from None
    if len(model.graph.node) > MOST_NODES:
        count = len(model.graph.node)
        raise problem("E112", f"`{source}` has {count} operations, above {MOST_NODES}")
    return model


def text(found: str | bytes) -> str:
    """A name in the file; bytes that are no UTF-8 text, as protobuf hands them out, are refused."""
    if isinstance(found, bytes):
        raise problem("E111", f"a name in the ONNX model is not UTF-8 text: {found[:40]!r}")
    return found


class Tensors:
    """The arrays of a file and of what lies beside it."""

    def __init__(self, source: str, folder: Path) -> None:
        self.source = source
        self.folder = folder
        self.opened: dict[Path, memoryview] = {}

    def array(self, tensor: Any) -> Array:
        """The numbers of a TensorProto, read-only where they can be a view."""
        sizes, kind = tuple(tensor.dims), dtype(tensor.data_type, text(tensor.name))
        _check_sizes(sizes, tensor.name)
        item = np.dtype(_AS_BITS.get(kind, kind)).newbyteorder("<")
        if tensor.data_location == _EXTERNAL:
            flat = np.frombuffer(self._beside(tensor, prod(sizes) * item.itemsize), item)
        elif tensor.HasField("raw_data"):
            flat = self._raw(tensor, item)
        else:
            flat = _listed_numbers(tensor, kind, item)
        if flat.size != prod(sizes):
            raise problem("E116", f"`{tensor.name}` has {flat.size} numbers for {_by(sizes)}")
        return _decoded(flat, kind).reshape(sizes)

    def _raw(self, tensor: Any, item: np.dtype[Any]) -> Array:
        if len(tensor.raw_data) % item.itemsize:
            raise problem(
                "E116", f"`{tensor.name}` has {len(tensor.raw_data)} bytes of {item.itemsize} each"
            )
        return np.frombuffer(tensor.raw_data, item)

    def _beside(self, tensor: Any, size: int) -> memoryview:
        """The bytes of a tensor that lies in another file of the model's folder."""
        entries = {text(entry.key): text(entry.value) for entry in tensor.external_data}
        data = self._open(entries.get("location", ""), tensor.name)
        offset, length = (entries.get(key, "") for key in ("offset", "length"))
        if not all(text == "" or (text.isascii() and text.isdigit()) for text in (offset, length)):
            raise problem("E116", f"`{tensor.name}` has an offset or a length that is no number")
        start = int(offset[:20] or 0)
        if (length and int(length[:20]) != size) or start + size > len(data):
            raise problem(
                "E116",
                f"`{tensor.name}` takes {size} bytes from byte {start} on of a file of {len(data)}",
                notes=[f"it states a length of {length[:20]}"] if length else [],
                helps=["copy both files again, or export the model again"],
            )
        return data[start : start + size]

    def _open(self, location: str, name: str) -> memoryview:
        path = (self.folder / location).resolve()
        steps = PurePosixPath(location.replace("\\", "/")).parts
        outside = not steps or ".." in steps or Path(location).is_absolute() or ":" in location
        if outside or not path.is_relative_to(self.folder.resolve()):
            raise problem(
                "E110",
                f"`{name}` of `{self.source}` lies outside the folder of its model",
                notes=[f"it says `{location[:80]}`"],
            )
        if path not in self.opened:
            self.opened[path] = self._mapped(path, location)
        return self.opened[path]

    def _mapped(self, path: Path, location: str) -> memoryview:
        if not path.is_file():
            raise problem(
                "E101",
                f"`{self.source}` keeps numbers in `{location[:80]}`, which is not beside it",
                helps=["copy that file too"],
            )
        try:
            with path.open("rb") as file:
                if not path.stat().st_size:
                    return memoryview(b"")
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise problem(
                "E101", f"`{location[:80]}` cannot be read", notes=[str(error.strerror)]
            ) from None


def dtype(number: int, name: str) -> str:
    """The name of a TensorProto.DataType; one that is not read here is a diagnostic."""
    if number not in DTYPES:
        raise problem(
            "E121",
            f"`{name}` has element type {number}, which is not read here",
            notes=[f"read are {listed(DTYPES.values(), most=13)}"],
        )
    return DTYPES[number]


def _check_sizes(sizes: tuple[int, ...], name: str) -> None:
    if len(sizes) > MOST_DIMENSIONS or min(sizes, default=0) < 0 or prod(sizes) > LARGEST_TENSOR:
        raise problem("E130", f"`{name}` has sizes that no tensor has: {_by(sizes[:8])}")


def _listed_numbers(tensor: Any, kind: str, item: np.dtype[Any]) -> Array:
    """Numbers that are listed one by one; bits of half floats are listed as whole numbers."""
    given = getattr(tensor, _FIELDS.get(kind, "int32_data"))
    try:
        return np.array(given, item)
    except OverflowError:
        raise problem("E116", f"`{tensor.name}` has numbers beyond `{kind}`") from None


def _decoded(flat: Array, kind: str) -> Array:
    """Bits as numbers: bfloat16 is the upper half of a float32."""
    if kind == "bfloat16":
        return np.asarray((flat.astype(np.uint32) << 16).view(np.float32))
    return flat.view(np.float16) if kind == "float16" else flat


def _by(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) or "a single number"
