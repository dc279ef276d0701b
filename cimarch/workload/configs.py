"""A `config.json` of a Hugging Face folder to the sizes of a transformer; no code of it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.fields import Field
from cimarch.workload.problems import problem
from cimarch.workload.transformer import Transformer

LARGEST = 1 << 24
"""Of any size in a config."""
MOST_LAYERS = 1024

FUNCTIONS = {
    "gelu": "gelu", "gelu_new": "gelu", "gelu_fast": "gelu", "gelu_pytorch_tanh": "gelu",
    "relu": "relu", "silu": "silu", "swish": "silu", "tanh": "tanh",
}  # fmt: skip
"""Functions by the names that configs give them; every gelu is one to the hardware."""


@attrs.frozen
class _Config:
    """The fields of a config, each checked where it is asked for."""

    fields: Field
    name: str
    """Of the model."""

    def whole(self, *names: str, default: int | None = None, most: int = LARGEST) -> int:
        """A whole number of at least 1 under the first of its names that is there."""
        found = next((f for n in names if (f := self.fields.get(n)) is not None), None)
        value = default if found is None else found.value
        if value is None:
            raise self._wrong(f"has no `{names[0]}`")
        if type(value) is not int or not 1 <= value <= most:
            raise self._wrong(f"has `{names[0]}` {_shown(value)}, not a whole number of 1..{most}")
        return value

    def number(self, *names: str, default: float) -> float:
        """A number above 0."""
        found = next((f for n in names if (f := self.fields.get(n)) is not None), None)
        value = default if found is None else found.value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e18:
            raise self._wrong(f"has `{names[0]}` {_shown(value)}, not a number above 0")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        found = self.fields.get(name)
        value = default if found is None else found.value
        if not isinstance(value, bool):
            raise self._wrong(f"has `{name}` {_shown(value)}, not true or false")
        return value

    def function(self, *names: str, default: str) -> str:
        """The function of the perceptron."""
        found = next((f for n in names if (f := self.fields.get(n)) is not None), None)
        value = default if found is None else found.value
        if not isinstance(value, str) or value not in FUNCTIONS:
            raise self._wrong(
                f"has `{names[0]}` {_shown(value)}, which is not covered",
                notes=[f"there are {', '.join(FUNCTIONS)}"],
            )
        return FUNCTIONS[value]

    def labels(self) -> int:
        """Classes: `num_labels`, else as many as `id2label` names, else 2."""
        named = self.fields.get("id2label")
        count = len(named.object()) if named is not None else 2
        return self.whole("num_labels", default=max(count, 1))

    def only(self, name: str, value: object) -> None:
        """Refuse another value than the one that the network is made of."""
        found = self.fields.get(name)
        if found is not None and found.value != value:
            raise self._wrong(f"has `{name}` {_shown(found.value)}, which is not covered")

    def dtype(self) -> str:
        """The type of the weights."""
        found = self.fields.get("torch_dtype") or self.fields.get("dtype")
        known = ("float32", "float16", "bfloat16", "float64")
        return str(found.value) if found is not None and found.value in known else "float32"

    def _wrong(self, what: str, *, notes: list[str] | None = None) -> DescriptionError:
        return problem("E171", f"the config of `{self.name}` {what}", notes=notes or [])


def _llama(config: _Config, head: str) -> Transformer:
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads, most=heads)
    shared = f"`num_key_value_heads` {kv_heads}, which does not divide its {heads} heads"
    _divides(config, shared, kv_heads, heads)
    bias = config.flag("attention_bias", False)
    return Transformer(
        name=config.name,
        family="llama",
        head=head,
        layers=config.whole("num_hidden_layers", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=_head_dim(config, width, heads),
        hidden=config.whole("intermediate_size"),
        positions=config.whole("max_position_embeddings", default=2048),
        function=config.function("hidden_act", default="silu"),
        vocabulary=config.whole("vocab_size"),
        tied=config.flag("tie_word_embeddings", False),
        attention_bias=bias,
        out_bias=bias,
        mlp_bias=config.flag("mlp_bias", False),
        theta=config.number("rope_theta", default=10_000.0),
        eps=config.number("rms_norm_eps", default=1e-6),
        interleaved=config.flag("rope_interleaved", False),
        dtype=config.dtype(),
    )


def _mistral(config: _Config, head: str) -> Transformer:
    """As Llama, where no window slides over the keys (Jiang et al., arXiv 2310.06825)."""
    config.only("sliding_window", None)
    return _llama(config, head)


def _qwen2(config: _Config, head: str) -> Transformer:
    """As Llama, with a bias on queries, keys and values (Yang et al., arXiv 2407.10671)."""
    config.only("use_sliding_window", False)
    return attrs.evolve(_llama(config, head), attention_bias=True)


def _gpt2(config: _Config, head: str) -> Transformer:
    width, heads = config.whole("n_embd"), config.whole("n_head")
    config.only("add_cross_attention", False)
    return Transformer(
        name=config.name,
        family="gpt2",
        head=head,
        layers=config.whole("n_layer", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=_head_dim(config, width, heads),
        hidden=config.whole("n_inner", default=4 * width),
        positions=config.whole("n_positions", "n_ctx", default=1024),
        function=config.function("activation_function", default="gelu_new"),
        vocabulary=config.whole("vocab_size"),
        tied=config.flag("tie_word_embeddings", True),
        eps=config.number("layer_norm_epsilon", default=1e-5),
        dtype=config.dtype(),
    )


def _bert(config: _Config, head: str) -> Transformer:
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    for name in ("is_decoder", "add_cross_attention"):
        config.only(name, False)
    config.only("position_embedding_type", "absolute")
    config.only("tie_word_embeddings", True)
    return Transformer(
        name=config.name,
        family="bert",
        head=head,
        layers=config.whole("num_hidden_layers", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=_head_dim(config, width, heads),
        hidden=config.whole("intermediate_size"),
        positions=config.whole("max_position_embeddings", default=512),
        function=config.function("hidden_act", default="gelu"),
        vocabulary=config.whole("vocab_size"),
        token_types=config.whole("type_vocab_size", default=2),
        classes=config.labels(),
        eps=config.number("layer_norm_eps", default=1e-12),
        dtype=config.dtype(),
    )


def _vit(config: _Config, head: str) -> Transformer:
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    image = config.whole("image_size", default=224, most=1 << 14)
    patch = config.whole("patch_size", default=16, most=image)
    cut = f"`patch_size` {patch}, which does not divide its image of {image} x {image}"
    _divides(config, cut, patch, image)
    return Transformer(
        name=config.name,
        family="vit",
        head=head,
        layers=config.whole("num_hidden_layers", most=MOST_LAYERS),
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=_head_dim(config, width, heads),
        hidden=config.whole("intermediate_size"),
        positions=(image // patch) ** 2 + 1,
        function=config.function("hidden_act", default="gelu"),
        attention_bias=config.flag("qkv_bias", True),
        classes=config.labels(),
        image=image,
        patch=patch,
        channels=config.whole("num_channels", default=3, most=1024),
        eps=config.number("layer_norm_eps", default=1e-12),
        dtype=config.dtype(),
    )


Maker = Callable[[_Config, str], Transformer]

ARCHITECTURES: Mapping[str, tuple[Maker, str]] = {
    "LlamaForCausalLM": (_llama, "language"),
    "LlamaModel": (_llama, "none"),
    "MistralForCausalLM": (_mistral, "language"),
    "Qwen2ForCausalLM": (_qwen2, "language"),
    "GPT2LMHeadModel": (_gpt2, "language"),
    "GPT2Model": (_gpt2, "none"),
    "BertModel": (_bert, "pooler"),
    "BertForMaskedLM": (_bert, "masked"),
    "BertForPreTraining": (_bert, "pretraining"),
    "BertForSequenceClassification": (_bert, "sequence"),
    "BertForTokenClassification": (_bert, "tokens"),
    "BertForQuestionAnswering": (_bert, "answer"),
    "ViTForImageClassification": (_vit, "image"),
}
"""By the class that a config names: how it is read, and what stands behind the blocks."""


def transformer(fields: Field, name: str) -> Transformer:
    """The sizes that a config states.

    Raises DescriptionError (E171) where it names another architecture, code of its own, or sizes
    that contradict each other.
    """
    config = _Config(fields, name)
    maker, head = ARCHITECTURES[_architecture(config)]
    for key, why in _REFUSED.items():
        if config.fields.get(key) is not None:
            raise problem("E171", f"the config of `{name}` has `{key}`: {why}")
    return maker(config, head)


_REFUSED = {
    "auto_map": "it takes code of its own, which is not run",
    "quantization_config": "its weights are packed in a way that is not covered",
}


def _architecture(config: _Config) -> str:
    found = config.fields.get("architectures")
    named = [each.text() for each in found.items()] if found is not None else []
    if len(named) == 1 and named[0] in ARCHITECTURES:
        return named[0]
    told = ", ".join(f"`{each[:60]}`" for each in named[:3]) or "none"
    raise problem(
        "E171",
        f"the config of `{config.name}` names the architecture {told}, which is not covered",
        notes=[f"there are {', '.join(ARCHITECTURES)}"],
        helps=["export the model, and read that: `cimarch export --help`"],
    )


def _head_dim(config: _Config, width: int, heads: int) -> int:
    """Numbers of a head, where the config does not state them."""
    if config.fields.get("head_dim") is not None:
        return config.whole("head_dim")
    _divides(config, f"{heads} heads, which do not divide its width of {width}", heads, width)
    return width // heads


def _divides(config: _Config, told: str, part: int, whole: int) -> None:
    if whole % part:
        raise problem("E171", f"the config of `{config.name}` has {told}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
