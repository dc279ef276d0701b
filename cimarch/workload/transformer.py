"""What a transformer is: its sizes, and which of the usual choices its family makes.

A family is one way of wiring the same blocks, with the names that its checkpoints give to the
parameters. Names are those of the public checkpoints, so that a state_dict fits as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.problems import problem

MOST_TOKENS = 1 << 24
"""Of one inference, earlier ones included."""


@attrs.frozen
class Family:
    """A way of wiring blocks of attention and multilayer perceptrons."""

    norm: str
    """`rms` or `layer`."""
    norm_first: bool
    """Whether a norm stands before attention and perceptron, or behind the sums after them."""
    rotary: bool
    """Positions turn queries and keys; else a learned row is added to each token."""
    gated: bool
    """The perceptron multiplies function(gate(x)) by up(x); else it is function(up(x))."""
    causal: bool
    """Whether a token attends to those before it (and itself) only."""
    paths: Mapping[str, str]
    """Where each parameter is in the model; `block` has the place of a number."""
    fused: bool = False
    """Queries, keys and values are one matrix."""
    turned: bool = False
    """Matrices are stored as (inputs, outputs)."""


LLAMA = Family(
    norm="rms",
    norm_first=True,
    rotary=True,
    gated=True,
    causal=True,
    paths={
        "embedding": "model.embed_tokens",
        "block": "model.layers.{}",
        "attention": "self_attn",
        "before_attention": "input_layernorm",
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "out": "self_attn.o_proj",
        "mlp": "mlp",
        "before_mlp": "post_attention_layernorm",
        "gate": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "down": "mlp.down_proj",
        "norm": "model.norm",
        "head": "lm_head",
    },
)
"""Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", arXiv 2302.13971, section
2.2: RMSNorm in front, SwiGLU, rotary positions; grouped queries as in arXiv 2307.09288, A.2.1."""

GPT2 = Family(
    norm="layer",
    norm_first=True,
    rotary=False,
    gated=False,
    causal=True,
    fused=True,
    turned=True,
    paths={
        "embedding": "transformer.wte",
        "position": "transformer.wpe",
        "block": "transformer.h.{}",
        "attention": "attn",
        "before_attention": "ln_1",
        "query": "attn.c_attn",
        "out": "attn.c_proj",
        "mlp": "mlp",
        "before_mlp": "ln_2",
        "up": "mlp.c_fc",
        "down": "mlp.c_proj",
        "norm": "transformer.ln_f",
        "head": "lm_head",
    },
)
"""Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3."""

BERT = Family(
    norm="layer",
    norm_first=False,
    rotary=False,
    gated=False,
    causal=False,
    paths={
        "embedding": "bert.embeddings.word_embeddings",
        "position": "bert.embeddings.position_embeddings",
        "token_type": "bert.embeddings.token_type_embeddings",
        "embedding_norm": "bert.embeddings.LayerNorm",
        "block": "bert.encoder.layer.{}",
        "attention": "attention",
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "before_attention": "attention.output.LayerNorm",
        "mlp": "intermediate",
        "up": "intermediate.dense",
        "down": "output.dense",
        "before_mlp": "output.LayerNorm",
        "pooler": "bert.pooler.dense",
        "head": "cls.predictions",
        "classes": "classifier",
        "pairs": "cls.seq_relationship",
        "answer": "qa_outputs",
    },
)
"""Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019, section 3."""

VIT = Family(
    norm="layer",
    norm_first=True,
    rotary=False,
    gated=False,
    causal=False,
    paths={
        "patches": "vit.embeddings.patch_embeddings.projection",
        "class_token": "vit.embeddings.cls_token",
        "position": "vit.embeddings.position_embeddings",
        "block": "vit.encoder.layer.{}",
        "attention": "attention",
        "before_attention": "layernorm_before",
        "query": "attention.attention.query",
        "key": "attention.attention.key",
        "value": "attention.attention.value",
        "out": "attention.output.dense",
        "mlp": "intermediate",
        "before_mlp": "layernorm_after",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "vit.layernorm",
        "classes": "classifier",
    },
)
"""Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, section 3.1."""

FAMILIES = {"llama": LLAMA, "gpt2": GPT2, "bert": BERT, "vit": VIT}


@attrs.frozen
class Transformer:
    """The sizes of one transformer."""

    name: str
    family: str
    """A key of `FAMILIES`."""
    head: str
    """What stands behind the blocks: a key of `cimarch.workload.heads.HEADS`."""
    layers: int
    width: int
    """Numbers of a token between blocks."""
    heads: int
    kv_heads: int
    """Heads of keys and values; each serves heads / kv_heads heads of queries."""
    head_dim: int
    hidden: int
    """Numbers of a token inside the perceptron."""
    positions: int
    """The most tokens of a sequence, or the tokens of an image."""
    function: str
    """Of the perceptron: `gelu`, `silu`, ..."""
    vocabulary: int = 0
    tied: bool = True
    """Whether the head of a language model is the embedding once more."""
    attention_bias: bool = True
    """Whether queries, keys and values have a bias."""
    out_bias: bool = True
    """Whether the matrix behind the heads has one."""
    mlp_bias: bool = True
    token_types: int = 0
    classes: int = 0
    image: int = 0
    """Rows and columns of the image; 0 where tokens come in."""
    patch: int = 0
    channels: int = 3
    theta: float = 10_000.0
    """The base of rotary positions."""
    eps: float = 1e-5
    """Of the norms."""
    interleaved: bool = False
    """Rotary positions turn neighbouring pairs; else number i of a head and number i + half."""
    dtype: str = "float32"
    """Of weights whose shape alone is known."""

    @property
    def kind(self) -> Family:
        """The family itself."""
        return FAMILIES[self.family]

    @property
    def takes_tokens(self) -> bool:
        """False where an image comes in, cut into patches."""
        return not self.image

    def path(self, part: str, block: int | None = None) -> str:
        """Where a parameter is: `path("query", 3)` is `model.layers.3.self_attn.q_proj`."""
        own = self.kind.paths[part]
        return own if block is None else f"{self.kind.paths['block'].format(block)}.{own}"


def check_tokens(model: Transformer, tokens: int | None, context: int) -> int:
    """The tokens of an inference, where the model can take them after `context` earlier ones.

    Raises DescriptionError (E170) where none are given, the model takes none, or they are too many.
    """
    if not model.takes_tokens:
        if tokens is not None or context:
            side = f"1x{model.channels}x{model.image}x{model.image}"
            raise _wrong(f"`{model.name}` takes an image of {side}, no tokens")
        return model.positions
    if context and not model.kind.causal:
        raise _wrong(
            f"`{model.name}` is an encoder: it keeps no earlier tokens for `context`",
            "give all tokens at once: `--tokens`",
        )
    if tokens is None and not context:
        raise _wrong(
            f"how many tokens `{model.name}` takes is not given",
            *(("--tokens 128", "--context 128 (one more token)")[: 1 + model.kind.causal]),
        )
    return _within(model, _whole("tokens", tokens, 1), _whole("context", context, 0))


def _whole(name: str, value: int | None, least: int) -> int:
    """A count of tokens; one new token where only earlier ones are given."""
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(f"`{name}` is {str(value)[:40]!r}, not a whole number")
    if not least <= value <= MOST_TOKENS:
        raise _wrong(f"`{name}` is {value}, outside {least}..{MOST_TOKENS}")
    return value


def _within(model: Transformer, tokens: int, context: int) -> int:
    if tokens + context > model.positions:
        given = f"{context} + {tokens} tokens are" if context else f"{tokens} tokens are"
        raise _wrong(f"{given} more than the {model.positions} positions of `{model.name}`")
    return tokens


def _wrong(headline: str, *helps: str) -> DescriptionError:
    return problem("E170", headline, helps=helps)
