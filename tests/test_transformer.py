"""Transformers by their sizes: parameters and products as published, attention as by hand."""

import pytest

from cimarch import DescriptionError
from cimarch.workload.attention import Attention, lowered
from cimarch.workload.blocks import build, decode, prefill
from cimarch.workload.transformer import Transformer

TINY = Transformer(
    "tiny", "llama", "language", layers=1, width=8, heads=4, kv_heads=2, head_dim=2, hidden=12,
    positions=64, function="silu", vocabulary=10, attention_bias=False, out_bias=False,
    mlp_bias=False,
)  # fmt: skip
ENCODER = Transformer(
    "encoder", "bert", "pooler", layers=1, width=8, heads=2, kv_heads=2, head_dim=4, hidden=16,
    positions=32, function="gelu", vocabulary=10, token_types=2,
)  # fmt: skip


def only(network, kind):
    return [op for op in network.operations if op.kind == kind]


def elements(network, op):
    return network.tensors[op.outputs[0]].elements


def test_a_block_has_the_products_of_its_sizes():
    """Queries 8 x 8, keys and values 4 x 8 (2 of 4 heads), out 8 x 8, gate and up 12 x 8, down 8 x
    12: 192 + 288 weights a block, for each of 5 tokens; logits 10 x 8 of the last alone."""
    network = prefill(TINY, 5)
    made = {op.name.rpartition(".")[2]: op for op in only(network, "linear")}
    sizes = {name: (op.columns, op.rows, op.windows) for name, op in made.items()}
    assert sizes == {
        "q_proj": (8, 8, 5), "k_proj": (4, 8, 5), "v_proj": (4, 8, 5), "o_proj": (8, 8, 5),
        "gate_proj": (12, 8, 5), "up_proj": (12, 8, 5), "down_proj": (8, 12, 5),
        "lm_head": (10, 8, 1),
    }  # fmt: skip
    assert sum(op.macs for op in made.values()) == 5 * (192 + 288) + 80


def test_logits_of_all_tokens_are_a_product_each():
    (head,) = [op for op in prefill(TINY, 5, logits="all").operations if op.name == "lm_head"]
    assert head.windows == 5
    with pytest.raises(ValueError, match="neither `last` nor `all`"):
        prefill(TINY, 5, logits="first")


def test_digital_work_has_exact_elements():
    """5 tokens of 8: two norms and one at the end, two sums; rotary turns 5 x 8 and 5 x 4; silu and
    the product of the gate have 5 x 12."""
    network = prefill(TINY, 5)
    assert [elements(network, op) for op in only(network, "norm")] == [40, 40, 40]
    assert [elements(network, op) for op in only(network, "add")] == [40, 40]
    assert [(op.function, elements(network, op)) for op in only(network, "mul")] == [
        ("rotary", 40), ("rotary", 20), ("", 60),
    ]  # fmt: skip
    assert [(op.function, elements(network, op)) for op in only(network, "activation")] == [
        ("silu", 60)
    ]
    assert [elements(network, op) for op in only(network, "embedding")] == [40]


def test_a_tied_head_is_the_embedding_once_more():
    """10 x 8 of the embedding, 480 of the block, three norms of 8: once, and a head apart."""
    tied = prefill(TINY, 3)
    assert tied.parameters == 80 + 480 + 24
    weights = {op.name: op.weight for op in tied.operations}
    assert weights["lm_head"] == weights["model.embed_tokens"] == "model.embed_tokens.weight"
    import attrs

    apart = prefill(attrs.evolve(TINY, tied=False), 3)
    assert apart.parameters == tied.parameters + 80


def test_decoding_takes_one_token_and_keeps_all_keys_and_values():
    network = decode(TINY, 9)
    assert network.tensors["tokens"].shape == (1,)
    assert all(op.windows == 1 for op in only(network, "linear"))
    block = "model.layers.0.self_attn"
    assert network.states == {
        f"{block}.keys.cache": f"{block}.keys",
        f"{block}.values.cache": f"{block}.values",
    }
    assert network.inputs == ("tokens",)
    assert network.tensors[f"{block}.keys.cache"].shape == (9, 4)
    assert network.tensors[f"{block}.keys"].shape == (10, 4)


def test_a_prompt_begins_the_caches():
    """Nothing is there before; afterwards the turned keys and the values of all tokens are."""
    network = prefill(TINY, 5)
    held = {state: network.tensors[tensor].shape for state, tensor in network.states.items()}
    assert list(held.values()) == [(5, 4), (5, 4)]
    assert not set(held) & set(network.tensors)


def test_attention_is_two_products_and_a_softmax():
    """4 heads of 2, a token more after 9: 10 keys. Scores 4 x 10, each of 2 products; values 4 x 2,
    each of 10."""
    network = lowered(decode(TINY, 9))
    assert not only(network, "sdpa")
    scores, values = only(network, "matmul")
    assert (scores.rows, scores.columns, scores.groups, scores.windows) == (2, 10, 4, 1)
    assert (values.rows, values.columns, values.groups, values.windows) == (10, 2, 4, 1)
    assert scores.macs == values.macs == 80
    (soft,) = only(network, "softmax")
    assert elements(network, soft) == 40
    assert elements(network, values) == 8
    assert scores.is_dynamic
    assert not any(op.is_dynamic for op in only(network, "linear"))


@pytest.mark.parametrize(("tokens", "pairs", "windows"), [(5, 15, (5, 3)), (4, 10, (2, 5))])
def test_causal_attention_counts_only_the_keys_that_are_seen(tokens, pairs, windows):
    """1 + 2 + 3 + 4 + 5 = 15 = 5 x 3; 1 + 2 + 3 + 4 = 10 = 2 x 5: two tokens are a window."""
    network = lowered(prefill(TINY, tokens))
    scores, values = only(network, "matmul")
    assert (scores.windows, scores.columns) == windows
    assert (values.windows, values.rows) == windows
    assert scores.macs == values.macs == 4 * pairs * 2
    (soft,) = only(network, "softmax")
    assert elements(network, soft) == 4 * pairs


def test_a_second_part_of_a_prompt_sees_the_first():
    """3 new tokens after 4: 5 + 6 + 7 = 18 keys of each head."""
    network = build(TINY, tokens=3, context=4)
    (whole,) = only(network, "sdpa")
    assert Attention.of(network, whole).pairs == 18


def test_an_encoder_attends_to_all():
    network = lowered(build(ENCODER, tokens=6))
    scores, values = only(network, "matmul")
    assert (scores.windows, scores.columns, scores.rows, scores.groups) == (6, 6, 4, 2)
    assert scores.macs == values.macs == 2 * 36 * 4
    assert network.states == {}


def test_lowering_leaves_what_has_no_attention():
    network = lowered(prefill(TINY, 5))
    assert lowered(network) is network
    with pytest.raises(ValueError, match="not one of digital"):
        lowered(network, attention="analog")


def test_grouped_queries_read_fewer_keys_but_multiply_as_often():
    network = lowered(prefill(TINY, 5))
    scores, _ = only(network, "matmul")
    assert network.tensors[scores.inputs[0]].elements == 5 * 8
    assert network.tensors[scores.inputs[1]].elements == 5 * 4


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (TINY, {}, "how many tokens `tiny` takes is not given"),
        (TINY, {"tokens": 0}, "`tokens` is 0, outside 1..16777216"),
        (TINY, {"tokens": -3}, "`tokens` is -3, outside 1..16777216"),
        (TINY, {"tokens": True}, "`tokens` is 'True', not a whole number"),
        (TINY, {"tokens": 2.5}, "`tokens` is '2.5', not a whole number"),
        (TINY, {"tokens": 65}, "65 tokens are more than the 64 positions of `tiny`"),
        (TINY, {"context": 64}, "64 + 1 tokens are more than the 64 positions of `tiny`"),
        (TINY, {"context": -1}, "`context` is -1, outside 0..16777216"),
        (ENCODER, {"context": 3}, "`encoder` is an encoder: it keeps no earlier tokens for"),
    ],
)
def test_tokens_that_a_model_cannot_take_are_told(model, given, said):
    with pytest.raises(DescriptionError) as caught:
        build(model, **given)
    (told,) = caught.value.diagnostics
    assert told.code == "E170"
    assert told.headline.startswith(said)
