"""The pickles of the official CIFAR-10 batches, read without running anything of theirs.

Only what such a batch is made of is understood: dictionaries, lists, tuples, whole numbers, bytes,
text, and numpy arrays of bytes. The names that a pickle asks for are answered by the stand-ins of
this file; numpy's own are never called, and any other name, and any other instruction, is an error.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.define
class _Type:
    """Stands for a numpy dtype; only its name counts."""

    name: object = ""


@attrs.define
class _Array:
    """Stands for a numpy array while it is built."""

    state: object = None


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _type(name: object, *_: object) -> _Type:
    return _Type(name)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("only text of latin1 becomes bytes")
    return text.encode("latin1")


STANDINS: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _reconstruct,
    ("numpy", "dtype"): _type,
    ("_codecs", "encode"): _encode,
}
"""What the names in a batch mean here."""

UNDERSTOOD = (
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE",
    "GET", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1",
    "BININT2", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "DICT",
    "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS",
    "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
)  # fmt: skip
"""Instructions of a pickle that are carried out."""


_Plain: Any = pickle.__dict__["_Unpickler"]
"""Python's own reader in its form of plain Python, which keeps no table that a pickle sizes."""


class _Instructions(dict[int, Any]):
    """What each instruction does; another one is an error."""

    def __missing__(self, code: int) -> Any:
        raise pickle.UnpicklingError(f"it holds instruction {code:#04x}, which no batch needs")


class _Reader(_Plain):  # type: ignore[misc]  # a name that type checkers are not told of
    """That reader with most of its instructions taken out."""

    dispatch: ClassVar[dict[int, Any]] = _Instructions(
        (code, _Plain.dispatch[code]) for code in (getattr(pickle, name)[0] for name in UNDERSTOOD)
    )
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    append: Callable[[object], None]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STANDINS:
            raise pickle.UnpicklingError(f"it asks for `{module}.{name}`, which no batch needs")
        return STANDINS[module, name]

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        if function not in STANDINS.values() or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("it calls something that is no array")
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], _Array):
            self.stack[-1].state = state

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _set_(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        made: dict[object, object] = {}
        _set_(made, items)
        self.append(made)

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict


def _set_(target: object, items: list[object]) -> None:
    keys = items[::2]
    if not isinstance(target, dict) or not all(isinstance(key, (bytes, str)) for key in keys):
        raise pickle.UnpicklingError("it names an entry by something else than text")
    target.update(zip(keys, items[1::2], strict=True))


def batch(data: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """The images (n, 3072) and labels of one batch.

    Raises pickle.UnpicklingError, and what Python's reader raises, where it is none.
    """
    found = _Reader(io.BytesIO(data), encoding="bytes").load()
    if not isinstance(found, dict):
        raise pickle.UnpicklingError("it is no dictionary")
    entries = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in found.items()}
    labels = entries.get("labels")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise pickle.UnpicklingError("it has no list of whole numbers `labels`")
    return _images(entries.get("data")), labels


def _images(found: object) -> NDArray[np.uint8]:
    """The array that a stand-in was told of: (version, shape, type, in columns, bytes)."""
    state = found.state if isinstance(found, _Array) else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise pickle.UnpicklingError("it has no array `data`")
    _, shape, dtype, in_columns, data = state
    name = dtype.name if isinstance(dtype, _Type) else None
    if name not in ("u1", b"u1") or not isinstance(data, bytes):
        raise pickle.UnpicklingError("`data` is not an array of bytes")
    if not _is_shape(shape) or prod(shape) != len(data):
        raise pickle.UnpicklingError("`data` has another size than it says")
    return np.frombuffer(data, np.uint8).reshape(shape, order="F" if in_columns else "C")


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**40 for n in shape)
