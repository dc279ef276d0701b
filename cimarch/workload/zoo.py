"""The networks that come with cimarch, by name (`models/` of the project)."""

from __future__ import annotations

import difflib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cimarch import share
from cimarch.workload.bundled import known as transformers
from cimarch.workload.problems import problem

PACKAGE = "cimarch.models"


def models() -> ModuleType:
    """The package of networks: installed inside cimarch, or the folder beside it."""
    if PACKAGE not in sys.modules:
        folder = share.folder("models")
        spec = importlib.util.spec_from_file_location(
            PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = module
        spec.loader.exec_module(module)
    return sys.modules[PACKAGE]


def default_input(name: str) -> tuple[int, ...]:
    """The shape of the input that a network is made for, its batch of one included."""
    return tuple(entry(name).input)


def build(name: str, *, weights: bool = True) -> Any:
    """Make the network `name` as a torch module; without weights, nothing is allocated for them."""
    known = known_as(name)
    torch = need_torch(f"building `{name}`")
    with torch.device("cpu" if weights else "meta"):
        return models().build(known)


def source(name: str) -> Path:
    """The file that defines the network `name`."""
    return share.folder("models") / f"{entry(name).file}.py"


def need_torch(purpose: str) -> Any:
    """Import torch, or say which extra brings it."""
    try:
        import torch
    except ModuleNotFoundError:
        raise problem(
            "E160", f"{purpose} takes torch", helps=["pip install 'cimarch[torch]'"]
        ) from None
    return torch


def entry(name: str) -> Any:
    """What is known of the network `name`: its file, its factory, the input it is made for."""
    return models().MODELS[known_as(name)]


def is_known(name: str) -> bool:
    """Whether there is a network `name`."""
    return any(_plain(key) == _plain(name) for key in models().MODELS)


def known_as(name: str) -> str:
    """The network's name in the list; `resnet18-cifar` is `resnet18_cifar` too.

    Raises DescriptionError where there is none.
    """
    found = next((key for key in models().MODELS if _plain(key) == _plain(name)), None)
    if found is None:
        near = nearest(name)
        raise problem(
            "E161",
            f"there is no network `{name}` in cimarch",
            notes=[f"there are {', '.join(names())}"],
            helps=[f"--model {near}"] if near else [],
        )
    return str(found)


def names() -> list[str]:
    """The names of all networks, transformers last."""
    return [*models().MODELS, *transformers()]


def nearest(name: str) -> str | None:
    """The network whose name is most like `name`; None where none is."""
    return next(iter(difflib.get_close_matches(name, names(), n=1)), None)


def _plain(name: str) -> str:
    return name.replace("-", "_")
