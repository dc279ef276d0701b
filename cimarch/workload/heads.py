"""What stands behind the blocks of a transformer: logits, classes, a summary of the sequence."""

from __future__ import annotations

from collections.abc import Callable

from cimarch.workload.draft import Draft
from cimarch.workload.transformer import Transformer


def _language(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Logits over the vocabulary, of the last token or of all."""
    x = _last(draft, x) if last else x
    weight = f"{model.path('embedding')}.weight" if model.tied else ""
    return draft.linear(model.path("head"), x, model.vocabulary, weight=weight)


def _nothing(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """The blocks' own results."""
    return x


def _pooler(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """tanh of a matrix times the first token (Devlin et al. 2019, section 3.1)."""
    path = model.path("pooler")
    pooled = draft.linear(path, _first(draft, x), model.width, bias=True)
    module = path.rpartition(".")[0]
    return draft.elementwise(f"{module}.activation", "activation", pooled, function="tanh")


def _masked(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Logits of every token, behind one more layer (Devlin et al. 2019, section 3.1, task 1)."""
    path = model.path("head")
    x = draft.linear(f"{path}.transform.dense", x, model.width, bias=True)
    x = draft.elementwise(f"{path}.transform", "activation", x, function=model.function)
    x = draft.norm(f"{path}.transform.LayerNorm", x, "layer", model.eps)
    weight = f"{model.path('embedding')}.weight"
    bias = f"{path}.bias"
    return draft.linear(f"{path}.decoder", x, model.vocabulary, weight=weight, bias=bias)


def _pretraining(model: Transformer, draft: Draft, x: str, *, last: bool) -> tuple[str, str]:
    """Masked tokens, and whether two sentences follow each other (section 3.1, tasks 1 and 2)."""
    logits = _masked(model, draft, x, last=last)
    pooled = _pooler(model, draft, x, last=last)
    return logits, draft.linear(model.path("pairs"), pooled, 2, bias=True)


def _sequence(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Classes of the whole sequence."""
    pooled = _pooler(model, draft, x, last=last)
    return draft.linear(model.path("classes"), pooled, model.classes, bias=True)


def _tokens(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Classes of every token."""
    return draft.linear(model.path("classes"), x, model.classes, bias=True)


def _answer(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Where an answer begins and ends: two numbers a token."""
    return draft.linear(model.path("answer"), x, 2, bias=True)


def _image(model: Transformer, draft: Draft, x: str, *, last: bool) -> str:
    """Classes of an image, from its first token."""
    return draft.linear(model.path("classes"), _first(draft, x), model.classes, bias=True)


def _first(draft: Draft, x: str) -> str:
    """(tokens, width) -> (width,) of the first token."""
    return draft.reshape("first.reshape", draft.slice("first", x, 0, 0, 1), draft.shape(x)[1])


def _last(draft: Draft, x: str) -> str:
    """(tokens, width) -> (1, width) of the last token."""
    tokens = draft.shape(x)[0]
    return draft.slice("last", x, 0, tokens - 1, 1) if tokens > 1 else x


Head = Callable[..., "str | tuple[str, str]"]

HEADS: dict[str, Head] = {
    "none": _nothing,
    "language": _language,
    "pooler": _pooler,
    "masked": _masked,
    "pretraining": _pretraining,
    "sequence": _sequence,
    "tokens": _tokens,
    "answer": _answer,
    "image": _image,
}
"""By what the model is for; each gives the name of the tensor (or tensors) that leave it."""
