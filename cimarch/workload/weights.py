"""The stored arrays of a .pt2 archive: raw bytes viewed as numpy arrays, never unpickled."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import prod
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.workload.archive import Archive
from cimarch.workload.fields import Field
from cimarch.workload.graph import dtype, read_sizes
from cimarch.workload.network import Weight
from cimarch.workload.problems import EXPORT, problem

Array = NDArray[Any]

STRIDED = 7
"""The schema's number of the dense layout."""

_ITEM = {"bool": "uint8", "bfloat16": "uint16"}
"""How bytes are viewed where numpy's own type does not fit."""


def read_raw(archive: Archive, folder: str, config: str) -> dict[str, Weight]:
    """Read the arrays that a config lists, by path in the model; what shares bytes shares them."""
    entries = archive.json(f"{folder}{config}")["config"].members()
    shared: dict[object, Weight] = {}
    found = {}
    for path, entry in entries:
        weight = _weight(archive, folder, path, entry)
        found[path] = shared.setdefault(_place(entry), weight)
    return found


def read_pickled(archive: Archive, name: str) -> dict[str, Weight]:
    """Read a state_dict that an archive of torch 2.8 or older holds; needs torch.

    torch's restricted reader builds tensors and nothing else: no code of the file runs.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise problem(
            "E117",
            f"the weights of `{archive.source}` are stored as torch 2.8 and older do, "
            "which takes torch to read",
            helps=["pip install 'cimarch[torch]'", "or export the model with torch 2.9 or newer"],
        ) from None
    try:
        state = torch.load(io.BytesIO(archive.read(name)), "cpu", weights_only=True)
        return from_tensors(state)
    except Exception as error:
        raise problem(
            "E116",
            f"`{name}` of `{archive.source}` holds something else than tensors",
            notes=[str(error).partition("\n")[0][:200]],
            helps=[EXPORT],
        ) from None


def from_tensors(state: Mapping[str, Any]) -> dict[str, Weight]:
    """Make Weights of a torch state_dict; a tensor that has two paths is one Weight."""
    shared: dict[object, Weight] = {}
    found = {}
    for path, tensor in state.items():
        place = (tensor.data_ptr() or path, tensor.dtype, tensor.shape, tensor.stride())
        found[str(path)] = shared.setdefault(place, from_tensor(str(path), tensor))
    return found


def from_tensor(path: str, tensor: Any) -> Weight:
    """Make a Weight of a torch tensor, without a copy where numpy has its type."""
    tensor = tensor.detach()
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.device.type == "meta":
        return Weight(path, tuple(tensor.shape), kind)
    plain = tensor.float() if kind == "bfloat16" else tensor
    return Weight(path, tuple(tensor.shape), kind, plain.numpy())


def _weight(archive: Archive, folder: str, path: str, entry: Field) -> Weight:
    if entry["use_pickle"].flag():
        raise problem(
            "E116",
            f"`{path}` of `{archive.source}` is stored as a pickle, which could run anything",
            notes=["only plain tensors are read"],
            helps=[f"turn it into a plain tensor, then: {EXPORT}"],
        )
    meta = entry["tensor_meta"]
    layout = _Layout.read(path, meta)
    if meta["device"]["type"].text() == "meta":
        return Weight(path, layout.shape, layout.kind)
    return Weight(path, layout.shape, layout.kind, _view(archive, folder, path, entry, layout))


@attrs.frozen
class _Layout:
    """Where the elements of a tensor lie in its storage, in elements."""

    kind: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @classmethod
    def read(cls, path: str, meta: Field) -> _Layout:
        if meta["layout"].integer() != STRIDED:
            raise problem(
                "E121",
                f"`{path}` is stored sparse, which is not read here",
                helps=["make it dense first: `tensor.to_dense()`"],
            )
        shape, _ = read_sizes(meta["sizes"])
        strides = tuple(stride["as_int"].integer() for stride in meta["strides"].items())
        offset = meta["storage_offset"]["as_int"].integer()
        if len(strides) != len(shape) or min((offset, *strides)) < 0:
            raise problem("E116", f"`{path}` has sizes, strides or an offset that no tensor has")
        return cls(dtype(meta["dtype"]), shape, strides, offset)

    @property
    def reach(self) -> int:
        """Elements of storage that it needs."""
        if 0 in self.shape:
            return 0
        spans = ((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return self.offset + sum(spans) + 1


def _view(archive: Archive, folder: str, path: str, entry: Field, layout: _Layout) -> Array:
    data = archive.read(folder + entry["path_name"].text())
    item = np.dtype(_ITEM.get(layout.kind, layout.kind)).newbyteorder("<")
    if layout.reach * item.itemsize > len(data):
        raise problem(
            "E116",
            f"`{path}` reaches to byte {layout.reach * item.itemsize} of its {len(data)} bytes",
            notes=[f"sizes {layout.shape}, strides {layout.strides}, offset {layout.offset}"],
            helps=["copy the file again, or export the model again"],
        )
    if prod(layout.shape) > layout.reach:
        raise problem("E116", f"`{path}` has strides by which its elements overlap")
    flat = np.frombuffer(data, item, len(data) // item.itemsize)
    strides = [stride * item.itemsize for stride in layout.strides]
    view = np.lib.stride_tricks.as_strided(
        flat[layout.offset :], layout.shape, strides, writeable=False
    )
    return _decoded(view, layout.kind)


def _decoded(view: Array, kind: str) -> Array:
    """Turn viewed bytes into numbers: bfloat16 is the upper half of a float32."""
    if kind == "bool":
        return np.asarray(view != 0)
    if kind == "bfloat16":
        return np.asarray((view.astype(np.uint32) << 16).view(np.float32))
    return view


def _place(entry: Field) -> object:
    """What two entries share when they are the same array; where nothing is stored, nothing is."""
    meta = entry["tensor_meta"]
    if meta["device"]["type"].text() == "meta":
        return object()
    return entry["path_name"].text(), repr(meta.value)
