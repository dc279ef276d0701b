"""The network of a transformer: prefill of a prompt, decoding of one token, an encoder's pass.

Attention stays whole: an operation `sdpa` of queries, keys and values (scaled dot-product
attention, Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1). Tensors are
(tokens, width); heads lie behind each other in the width.
"""

from __future__ import annotations

from collections.abc import Mapping

from cimarch.workload.draft import Draft
from cimarch.workload.heads import HEADS
from cimarch.workload.network import Geometry, Network, Weight
from cimarch.workload.problems import listed, problem
from cimarch.workload.transformer import Transformer, check_tokens

Stored = Mapping[str, Weight]


def prefill(
    model: Transformer, tokens: int, *, logits: str = "last", weights: Stored | None = None
) -> Network:
    """The network that takes a prompt of `tokens` tokens and fills the caches of keys and values.

    `logits` of the `last` token, or of `all`. Without `weights`, only their shapes are known.
    """
    return build(model, tokens=tokens, logits=logits, weights=weights)


def decode(model: Transformer, context: int, *, weights: Stored | None = None) -> Network:
    """The network that takes one more token, after `context` earlier ones whose keys and values
    are in the caches."""
    return build(model, tokens=1, context=context, weights=weights)


def build(
    model: Transformer,
    *,
    tokens: int | None = None,
    context: int = 0,
    logits: str = "last",
    weights: Stored | None = None,
    source: str = "",
    digest: str = "",
) -> Network:
    """The network of one inference: `tokens` new ones after `context` earlier ones, or an image.

    Raises DescriptionError where the model cannot take so many (E170) or the weights are not its
    own (E172), ValueError for `logits` that are neither `last` nor `all`.
    """
    if logits not in ("last", "all"):
        raise ValueError(f"`logits` is {logits!r}, neither `last` nor `all`")
    tokens = check_tokens(model, tokens, context)
    draft = Draft(weights, dtype=model.dtype)
    builder = _Builder(model, draft, tokens, context)
    handed_in, x = builder.image() if model.image else builder.tokens()
    for number in range(model.layers):
        x = builder.block(number, x)
    if "norm" in model.kind.paths:
        x = draft.norm(model.path("norm"), x, model.kind.norm, model.eps)
    made = HEADS[model.head](model, draft, x, last=logits == "last")
    _check_weights(model, draft)
    outputs = made if isinstance(made, tuple) else (made,)
    return draft.network(model.name, (handed_in,), *outputs, source=source, digest=digest)


def _check_weights(model: Transformer, draft: Draft) -> None:
    """Refuse weights that do not fit the sizes."""
    notes = [f"missing: {listed(draft.missing)}"] if draft.missing else []
    notes += draft.misshapen[:4]
    notes += [f"{len(draft.misshapen) - 4} more shapes differ"] if len(draft.misshapen) > 4 else []
    if notes:
        raise problem("E172", f"the weights are not those of `{model.name}`", notes=notes)


class _Builder:
    """Adds the blocks of one transformer to a draft."""

    def __init__(self, model: Transformer, draft: Draft, tokens: int, context: int) -> None:
        self.model = model
        self.family = model.kind
        self.draft = draft
        self.new = tokens
        self.earlier = context

    def tokens(self) -> tuple[str, str]:
        """Look up the tokens' rows, and add those of their positions and kinds."""
        model, draft = self.model, self.draft
        handed_in = draft.input("tokens", self.new)
        path = model.path("embedding")
        rows = draft.parameter(f"{path}.weight", model.vocabulary, model.width)
        x = draft.add(path, "embedding", (handed_in,), (self.new, model.width), weight=rows)
        module = path.rpartition(".")[0]
        if model.token_types:
            kinds = f"{model.path('token_type')}.weight"
            table = (model.token_types, model.width)
            x = draft.rows(f"{module}.add", x, kinds, *table, first=0, count=1)
        if not self.family.rotary:
            places = f"{model.path('position')}.weight"
            table = (model.positions, model.width)
            x = draft.rows(f"{module}.add", x, places, *table, first=self.earlier, count=self.new)
        if "embedding_norm" in self.family.paths:
            x = draft.norm(model.path("embedding_norm"), x, self.family.norm, model.eps)
        return handed_in, x

    def image(self) -> tuple[str, str]:
        """Cut an image into patches, put the class token before them, and add positions."""
        model, draft = self.model, self.draft
        handed_in = draft.input("image", model.channels, model.image, model.image)
        x = self._patches(handed_in)
        path = model.path("class_token")
        module = path.rpartition(".")[0]
        token = draft.parameter(path, 1, 1, model.width)
        joined = (draft.shape(x)[0] + 1, model.width)
        settings = (("sizes", joined), ("dim", 0), ("stored", 0))
        x = draft.add(f"{module}.concat", "concat", (x,), joined, weight=token, settings=settings)
        places = (1, model.positions, model.width)
        name, path = f"{module}.add", model.path("position")
        return handed_in, draft.rows(name, x, path, *places, first=0, count=model.positions)

    def _patches(self, image: str) -> str:
        """(channels, rows, columns) -> (patches, width): a convolution that steps by a patch."""
        model, draft, path = self.model, self.draft, self.model.path("patches")
        side, patch = model.image // model.patch, (model.patch, model.patch)
        kernel = (model.width, model.channels, *patch)
        x = draft.add(
            path,
            "conv2d",
            (image,),
            (model.width, side, side),
            weight=draft.parameter(f"{path}.weight", *kernel),
            bias=draft.parameter(f"{path}.bias", model.width),
            geometry=Geometry(patch, patch),
            rows=model.channels * model.patch**2,
            columns=model.width,
            windows=side * side,
            window_rows=side,
        )
        flat = draft.reshape(f"{path}.reshape", x, model.width, side * side)
        settings = (("sizes", draft.shape(flat)), ("dims", (1, 0)))
        turned = (side * side, model.width)
        return draft.add(
            f"{path}.permute", "reshape", (flat,), turned, "permute", settings=settings
        )

    def block(self, number: int, x: str) -> str:
        """Attention and a perceptron, each with a norm and a sum around it."""
        for before, work in (("before_attention", self._attention), ("before_mlp", self._mlp)):
            first = self.family.norm_first
            made = work(number, self._norm(before, number, x) if first else x)
            name = f"{self.family.paths['block'].format(number)}.add"
            x = self.draft.elementwise(name, "add", x, made)
            x = x if first else self._norm(before, number, x)
        return x

    def _norm(self, part: str, number: int, x: str) -> str:
        return self.draft.norm(self.model.path(part, number), x, self.family.norm, self.model.eps)

    def _attention(self, number: int, x: str) -> str:
        model, draft = self.model, self.draft
        query, key, value = self._projected(number, x)
        if self.family.rotary:
            query, key = self._turned(number, query), self._turned(number, key)
        key, value = self._cached(number, "keys", key), self._cached(number, "values", value)
        settings = (
            ("heads", model.heads),
            ("kv_heads", model.kv_heads),
            ("head_dim", model.head_dim),
            ("is_causal", int(self.family.causal)),
            ("earlier", self.earlier),
            ("keys", self.earlier + self.new),
        )
        name = f"{model.path('attention', number)}.sdpa"
        shape = draft.shape(query)
        mixed = draft.add(name, "sdpa", (query, key, value), shape, settings=settings)
        return self._linear("out", number, mixed, model.width, bias=model.out_bias)

    def _projected(self, number: int, x: str) -> tuple[str, str, str]:
        """Queries (tokens, heads x head_dim), keys and values (tokens, kv_heads x head_dim)."""
        model = self.model
        wide, narrow = model.heads * model.head_dim, model.kv_heads * model.head_dim
        bias = model.attention_bias
        if not self.family.fused:
            query = self._linear("query", number, x, wide, bias=bias)
            key = self._linear("key", number, x, narrow, bias=bias)
            return query, key, self._linear("value", number, x, narrow, bias=bias)
        whole = self._linear("query", number, x, wide + 2 * narrow, bias=bias)
        name = f"{model.path('attention', number)}.slice"
        cuts = ((0, wide), (wide, narrow), (wide + narrow, narrow))
        query, key, value = (self.draft.slice(name, whole, 1, *cut) for cut in cuts)
        return query, key, value

    def _turned(self, number: int, x: str) -> str:
        """Rotary positions: pairs of a head's numbers turn by an angle of their position.

        Su et al., "RoFormer", arXiv 2104.09864, equation 34.
        """
        model = self.model
        settings = (
            ("head_dim", model.head_dim),
            ("theta", model.theta),
            ("start", self.earlier),
            ("interleaved", int(model.interleaved)),
        )
        name = f"{model.path('attention', number)}.rotary"
        return self.draft.add(name, "mul", (x,), self.draft.shape(x), "rotary", settings=settings)

    def _cached(self, number: int, what: str, x: str) -> str:
        """Keys or values of all tokens so far: the earlier ones', then the new ones'."""
        if not self.family.causal:
            return x
        name = f"{self.model.path('attention', number)}.{what}"
        if self.earlier:
            before = self.draft.input(f"{name}.cache", self.earlier, self.draft.shape(x)[1])
            x = self.draft.concat(name, (before, x), 0)
        self.draft.states[f"{name}.cache"] = x
        return x

    def _mlp(self, number: int, x: str) -> str:
        model, draft = self.model, self.draft
        module = model.path("mlp", number)
        first = "gate" if self.family.gated else "up"
        wide = self._linear(first, number, x, model.hidden, bias=model.mlp_bias)
        name = f"{module}.{model.function}"
        wide = draft.elementwise(name, "activation", wide, function=model.function)
        if self.family.gated:
            up = self._linear("up", number, x, model.hidden, bias=model.mlp_bias)
            wide = draft.elementwise(f"{module}.mul", "mul", wide, up)
        return self._linear("down", number, wide, model.width, bias=model.mlp_bias)

    def _linear(self, part: str, number: int, x: str, outputs: int, *, bias: bool) -> str:
        path = self.model.path(part, number)
        return self.draft.linear(path, x, outputs, bias=bias, turned=self.family.turned)
