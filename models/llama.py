"""Llama-style language models, and the one of 260,000 parameters that tells small stories.

Touvron et al., "LLaMA: Open and Efficient Foundation Language Models", arXiv 2302.13971: RMSNorm in
front of attention and perceptron, rotary positions, a gated perceptron. Heads of queries share
those of keys and values (Ainslie et al., "GQA", EMNLP 2023).

`stories260k` has the sizes of karpathy/tinyllamas' `stories260K`, trained on TinyStories (Eldan and
Li, arXiv 2305.07759). Parameters are called as in the public Llama checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Causal attention whose heads of queries share heads of keys and values."""

    def __init__(self, width: int, heads: int, kv_heads: int, theta: float) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.theta = theta
        self.q_proj = nn.Linear(width, heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(heads * self.head_dim, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, T, width)
        query, key, value = (self._heads(part(x)) for part in self._parts())
        query, key = self._turned(query), self._turned(key)
        mixed = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, enable_gqa=query.shape[1] != key.shape[1]
        )
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def _parts(self) -> tuple[nn.Linear, nn.Linear, nn.Linear]:
        return self.q_proj, self.k_proj, self.v_proj

    def _heads(self, x: Tensor) -> Tensor:  # (N, T, heads x head_dim) -> (N, heads, T, head_dim)
        return x.unflatten(2, (-1, self.head_dim)).transpose(1, 2)

    def _turned(self, x: Tensor) -> Tensor:
        """Turn neighbouring pairs by the angle of their position (arXiv 2104.09864, eq. 34)."""
        rates = self.theta ** (-torch.arange(0, self.head_dim, 2) / self.head_dim)
        angles = torch.arange(x.shape[2])[:, None] * rates  # (T, head_dim / 2)
        cos, sin = angles.cos(), angles.sin()
        one, other = x.unflatten(3, (-1, 2)).unbind(4)
        return torch.stack((one * cos - other * sin, one * sin + other * cos), 4).flatten(3)


class Mlp(nn.Module):
    """silu(gate(x)) times up(x), through down (Shazeer, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and with a sum around it."""

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int, theta: float) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.self_attn = Attention(width, heads, kv_heads, theta)
        self.post_attention_layernorm = nn.RMSNorm(width, eps=1e-5)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Blocks(nn.Module):
    """The embedding, the blocks and the last norm."""

    def __init__(self, vocabulary: int, width: int, layers: int, **sizes: float) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Block(width, **sizes) for _ in range(layers))  # type: ignore[arg-type]
        self.norm = nn.RMSNorm(width, eps=1e-5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Llama(nn.Module):
    """A Llama-style language model whose head is its embedding once more."""

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        *,
        heads: int,
        kv_heads: int,
        hidden: int,
        theta: float = 10_000.0,
    ) -> None:
        super().__init__()
        sizes = {"heads": heads, "kv_heads": kv_heads, "hidden": hidden, "theta": theta}
        self.model = Blocks(vocabulary, width, layers, **sizes)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:  # (N, T) -> (N, T, vocabulary)
        return self.lm_head(self.model(tokens))


def stories260k() -> Llama:
    """The story teller: 0.26 M parameters, 512 pieces of words, up to 512 of them."""
    return Llama(512, 64, 5, heads=8, kv_heads=4, hidden=172)
