"""Where the files that come with cimarch are: the grammar, the architectures, the models."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def folder(name: str) -> Path:
    """The folder `dsl`, `architectures` or `models`: in the installed package, else beside it."""
    package = Path(__file__).resolve().parent
    for candidate in (package / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"cimarch's folder `{name}` is neither in {package} nor beside it")
