"""A network of `models/` by its shapes alone: no torch, and nothing held for its weights.

Its file is run a second time, with `standin` where it imports torch, and what its forward pass does
becomes a Network by the same rules as an exported archive.
"""

from __future__ import annotations

import builtins
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload import zoo
from cimarch.workload.lower import lower
from cimarch.workload.network import Network
from cimarch.workload.standin import TORCH, Module, Tape


def shapes_only(name: str, shape: tuple[int, ...] | None = None) -> Network:
    """The network `name` without weights, for an input of `shape` (its own, if left out).

    Its digest is that of the file that defines it, its name and its input. Raises DescriptionError
    where there is no such network or it cannot take that input.
    """
    entry = zoo.entry(name)
    sizes = shape or tuple(entry.input)
    text = zoo.source(name).read_text()
    size = "x".join(map(str, sizes))
    module = _defined(zoo.source(name))[entry.factory]()
    tape = Tape()
    try:
        graph = _recorded(tape, module, sizes)
        return lower(
            graph,
            tape.weights,
            name=zoo.known_as(name),
            source=f"{zoo.known_as(name)} at {size}, shapes only",
            digest=hashlib.sha256(f"{zoo.known_as(name)} {size}\n{text}".encode()).hexdigest(),
        )
    except DescriptionError as error:
        made_for = "x".join(map(str, entry.input))
        helps = (f"`{name}` is made for --input {made_for}",)
        raise DescriptionError(attrs.evolve(error.diagnostics[0], helps=helps)) from error


def _recorded(tape: Tape, module: Module, sizes: tuple[int, ...]) -> Any:
    module.name_()
    first = next(iter(inspect.signature(module.forward).parameters))
    return tape.graph(first, module(tape.input(first, sizes)))


@cache
def _defined(path: Path) -> dict[str, Any]:
    """What a file of `models/` defines when torch is the stand-in."""
    namespace: dict[str, Any] = {
        "__name__": f"shapes of {path.stem}",
        "__builtins__": {**vars(builtins), "__import__": _import},
    }
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """Python's import, but for torch, of which `standin` takes the place."""
    package, *rest = name.split(".")
    if package != "torch":
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    found = TORCH
    for step in rest if fromlist else ():
        found = getattr(found, step)
    return found
