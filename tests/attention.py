"""Attention alone, as a network by hand: queries, keys and values come from outside."""

from __future__ import annotations

from cimarch.workload.network import Network, Operation, Tensor


def attend(
    tokens: int, *, heads: int = 2, kv_heads: int = 2, dim: int = 2, earlier: int = 0,
    causal: bool = True,
) -> Network:  # fmt: skip
    """One `sdpa` of so many new tokens behind earlier ones, whose keys and values are states."""
    keys = earlier + tokens
    wide, narrow = heads * dim, kv_heads * dim
    shapes = {"q": (tokens, wide), "k": (tokens, narrow), "v": (tokens, narrow)}
    operations, states, read = [], {}, ["q", "k", "v"]
    for place, name in enumerate("kv" if earlier else "", start=1):
        shapes |= {f"{name}.before": (earlier, narrow), f"{name}.all": (keys, narrow)}
        states[f"{name}.before"] = read[place] = f"{name}.all"
        settings = (("sizes", (keys, narrow)), ("dim", 0))
        both = (f"{name}.before", name)
        operations.append(
            Operation(f"{name}.all", "concat", both, (f"{name}.all",), settings=settings)
        )
    settings = (
        ("heads", heads), ("kv_heads", kv_heads), ("head_dim", dim), ("is_causal", int(causal)),
        ("earlier", earlier), ("keys", keys),
    )  # fmt: skip
    shapes["sdpa"] = (tokens, wide)
    operations.append(Operation("sdpa", "sdpa", tuple(read), ("sdpa",), settings=settings))
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    inputs = ("q", "k", "v")
    return Network("attend", tuple(operations), tensors, {}, inputs, ("sdpa",), states=states)
