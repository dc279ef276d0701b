"""safetensors files as arrays that lie in the file: a JSON header is read, the numbers are mapped.

The layout is that of the format's own page: eight bytes that count the header's bytes, a JSON
object by name of `dtype`, `shape` and `data_offsets`, then the numbers, little endian, in order of
rows.
"""

from __future__ import annotations

from importlib import import_module
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError
from cimarch.workload.fields import Field, parse
from cimarch.workload.network import Weight
from cimarch.workload.problems import problem

LARGEST_HEADER = 16 << 20
"""Bytes: some 100,000 tensors."""

TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""What the format calls a type, and what numpy does."""


def read_tensors(data: memoryview, source: str) -> dict[str, Weight]:
    """The tensors of a safetensors file by name, as views of `data`.

    numpy has no bfloat16: with the package `ml_dtypes` it does, without it only the shapes of such
    tensors are known. Raises DescriptionError (E116, E121) where the header does not fit the file.
    """
    header, body = _split(data, source)
    found: dict[str, Weight] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in header.members():
        if name != "__metadata__":
            found[name], span = _tensor(name, entry, body, source)
            spans.append((*span, name))
    end = 0
    for begin, after, name in sorted(spans):
        if begin < end:
            raise _damaged(source, f"`{name[:80]}` lies in the bytes of another tensor")
        end = after
    return found


def _split(data: memoryview, source: str) -> tuple[Field, memoryview]:
    """The header, and the bytes behind it."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise _damaged(source, f"its header of {size} bytes ends after its {len(data)} bytes")
    if size > LARGEST_HEADER:
        raise _damaged(source, f"its header is {size} bytes, above {LARGEST_HEADER}")
    return parse(bytes(data[8 : 8 + size]), f"the header of {source}"), data[8 + size :]


def _tensor(
    name: str, entry: Field, body: memoryview, source: str
) -> tuple[Weight, tuple[int, int]]:
    shape = tuple(size.integer() for size in entry["shape"].items())
    offsets = [at.integer() for at in entry["data_offsets"].items()]
    word = entry["dtype"].text()
    if word not in TYPES:
        raise problem(
            "E121", f"`{name[:80]}` of `{source}` is of type `{word[:20]}`, not read here"
        )
    item = _numpy(TYPES[word])
    width = 2 if item is None else item.itemsize
    begin, end = offsets if len(offsets) == 2 else (0, -1)
    if not 0 <= begin <= end <= len(body) or min(shape, default=0) < 0:
        raise _damaged(source, f"`{name[:80]}` lies at {offsets[:3]} of {len(body)} bytes")
    if end - begin != prod(shape) * width:
        raise _damaged(source, f"`{name[:80]}` has {end - begin} bytes for the shape {shape[:6]}")
    values = None if item is None else _view(body[begin:end], item, shape)
    return Weight(name, shape, TYPES[word], values), (begin, end)


def _view(data: memoryview, item: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    values = np.frombuffer(data, item).reshape(shape)
    values.flags.writeable = False
    return values


def _numpy(kind: str) -> np.dtype[Any] | None:
    """numpy's type, little endian; None for bfloat16 where nothing brings it."""
    if kind != "bfloat16":
        return np.dtype(kind).newbyteorder("<")
    try:
        found: np.dtype[Any] = np.dtype(import_module("ml_dtypes").bfloat16)
    except ModuleNotFoundError:
        return None
    return found


def _damaged(source: str, reason: str) -> DescriptionError:
    return problem(
        "E116", f"`{source}` is a damaged safetensors file", notes=[reason], helps=["copy it again"]
    )
