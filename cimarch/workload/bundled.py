"""The transformers that come with cimarch, by name: sizes with their source, no weights."""

from __future__ import annotations

import hashlib
from functools import cache

from cimarch import share
from cimarch.workload.blocks import Stored, build
from cimarch.workload.configs import transformer
from cimarch.workload.fields import Field, parse
from cimarch.workload.network import Network
from cimarch.workload.transformer import Transformer

FILE = "transformers.json"


@cache
def _entries() -> dict[str, Field]:
    """What the file says of each, by name."""
    text = (share.folder("models") / FILE).read_bytes()
    return dict(parse(text, FILE).members())


def known() -> tuple[str, ...]:
    """The names of the transformers that come with cimarch."""
    return tuple(_entries())


def is_transformer(name: str) -> bool:
    """Whether there is a transformer `name`, in any spelling."""
    return _plain(name) in map(_plain, _entries())


def named(name: str) -> Transformer:
    """The sizes of the transformer `name`; KeyError where there is none."""
    found = {_plain(key): key for key in _entries()}[_plain(name)]
    return transformer(_entries()[found]["config"], found)


def bundled(
    name: str,
    *,
    tokens: int | None,
    context: int = 0,
    logits: str = "last",
    stored: Stored | None = None,
    source: str = "",
    digest: str = "",
) -> Network:
    """The network of the transformer `name` for some tokens; its weights, where `stored` are given.

    Raises DescriptionError where it cannot take so many tokens or the weights are not its own.
    """
    model = named(name)
    if stored is None:
        source = f"{model.name} for {_counted(model, tokens, context)}, shapes only"
        digest = hashlib.sha256(f"{source}\n{model}".encode()).hexdigest()
    return build(
        model, tokens=tokens, context=context, logits=logits, weights=stored, source=source,
        digest=digest,
    )  # fmt: skip


def _counted(model: Transformer, tokens: int | None, context: int) -> str:
    if not model.takes_tokens:
        return "an image"
    new = "1 token" if tokens in (None, 1) else f"{tokens} tokens"
    return f"{new} after {context}" if context else new


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
