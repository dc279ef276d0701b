"""Transformers on chips whose units multiply: attention as elements and cycles counted by hand."""

import attrs
import pytest

import cimarch
from cimarch import DescriptionError, read_network, simulate
from cimarch.mapping.place import place
from cimarch.mapping.precision import precision
from cimarch.workload.attention import lowered
from cimarch.workload.blocks import decode, prefill
from cimarch.workload.transformer import Transformer

TINY = Transformer(
    "tiny", "llama", "language", layers=1, width=8, heads=4, kv_heads=2, head_dim=2, hidden=12,
    positions=64, function="silu", vocabulary=10, attention_bias=False, out_bias=False,
    mlp_bias=False,
)  # fmt: skip

ALL = "[embedding, norm, mul, activation, softmax, matmul]"


def chip(lanes=8, does=ALL, unit=True):
    """maps -> 32 arrays of 16 x 16 -> an adder, which adds residuals -> a unit -> maps."""
    vector = f"part vector: unit {{ lanes = {lanes}, does = {does}, ii = 1 cycle }}"
    return cimarch.loads(f"""
from std import crossbar, accumulator, unit, buffer
system Chip {{
    clock = 1 GHz
    part maps: buffer {{ size = 64 KiB, width = 64 bit }}
    part array[32]: crossbar {{ rows = 16, columns = 16, cell_bits = 8, encoding = signed_cell }}
    part sum: accumulator
    {vector if unit else ""}
    connect maps -> array[*] -> sum -> {"vector ->" if unit else ""} maps
    connect maps -> sum
    {"connect maps -> vector" if unit else ""}
}}
""")


def elements(report):
    rows = zip(report.ledger["part"], report.ledger["count"].tolist(), strict=True)
    return sum(count for part, count in rows if part == "vector")


def busy(report):
    rows = zip(report.parts["path"], report.parts["busy_cycles"].tolist(), strict=True)
    return dict(rows)["vector"]


def test_a_prompt_of_five_tokens_takes_the_unit_640_elements():
    """Embedding 40; three norms 120; rotary 40 + 20; scores and values 4 heads x 15 pairs x 2 = 120
    each, softmax 60; silu and the gate's product 60 each."""
    report = simulate(chip(), prefill(TINY, 5))
    assert elements(report) == 40 + 120 + 60 + 120 + 60 + 120 + 60 + 60 == 640
    assert report.macs == 5 * 480 + 80 + 2 * 120


def test_eight_lanes_take_90_cycles_for_them_row_by_row():
    """A row of 8 or 4 takes a cycle: embedding 5, norms 15, rotary 10. Scores and values have 24
    products a row, 3 cycles: 15 each. Softmax, silu and the gate's product have 12, 2 cycles: 10
    each. One lane takes as many cycles as there are elements."""
    prompt = prefill(TINY, 5)
    assert busy(simulate(chip(), prompt)) == 5 + 15 + 10 + 15 + 15 + 10 + 10 + 10 == 90
    assert busy(simulate(chip(lanes=1), prompt)) == 640


def test_one_more_token_attends_to_all_before_it():
    """9 earlier ones: embedding 8, norms 24, rotary 12; 4 heads x 10 keys x 2 = 80 for scores and
    values each, softmax 40; silu and product 12 each. In cycles of 8: 1, 3, 2, 10, 10, 5, 2, 2."""
    report = simulate(chip(), decode(TINY, 9))
    assert elements(report) == 8 + 24 + 12 + 80 + 80 + 40 + 24 == 268
    assert busy(report) == 1 + 3 + 2 + 10 + 10 + 5 + 2 + 2 == 35
    assert report.macs == 480 + 80 + 160
    assert busy(simulate(chip(), decode(TINY, 19))) == 35 + 10 + 10 + 5


def test_keys_and_values_stay_for_the_next_token():
    """Two blocks, 9 earlier tokens and a new one: 2 x 2 x 10 x 4 bytes are held to the end, where
    the head reads 8 bytes and its 10 logits stay too. Without states, the first are gone by then.
    """
    network = lowered(decode(attrs.evolve(TINY, layers=2), 9))
    assert held_at_the_end(network) == 8 * (2 * 2 * 10 * 4 + 8 + 10)
    assert held_at_the_end(attrs.evolve(network, states={})) == 8 * (8 + 10)


def held_at_the_end(network):
    """Bits in the buffer `maps` at the last site of a run layer by layer."""
    placement = place(chip(), network, precision(network, 8, 8), schedule="layers")
    end = len(placement.plans) - 1
    return placement.rooms.most("maps", 0, end, end)


def test_both_engines_agree_on_a_transformer():
    for network in (prefill(TINY, 4), decode(TINY, 3)):
        fast, slow = (simulate(chip(), network, engine=name) for name in ("fast", "simpy"))
        assert fast.cycles == slow.cycles


def test_attention_needs_a_unit_that_multiplies():
    with pytest.raises(DescriptionError) as caught:
        simulate(chip(does="[embedding, norm, mul, activation, softmax]"), prefill(TINY, 5))
    (told,) = caught.value.diagnostics
    assert told.code == "E241"
    assert told.headline == (
        "`model.layers.0.self_attn.sdpa` is a `sdpa`, which no part of a system does"
    )
    assert told.helps == (
        "add `matmul` and `softmax` to the `does` of a unit that multiplies two operands",
        "let a pool hold one of the two, which is written there: `operands = true`",
        "leave such operations out with `--allow-unmapped`",
    )


def test_attention_that_is_left_out_is_a_line_of_the_report():
    report = simulate(
        chip(does="[embedding, norm, mul, activation]"), prefill(TINY, 5), allow_unmapped=True
    )
    assert report.unmapped == ("`model.layers.0.self_attn.sdpa` (sdpa) is left out",)
    assert report.macs == 5 * 480 + 80


def test_a_unit_that_multiplies_but_knows_no_softmax_is_told():
    with pytest.raises(DescriptionError) as caught:
        simulate(chip(does="[embedding, norm, mul, activation, matmul]"), prefill(TINY, 5))
    (told,) = caught.value.diagnostics
    assert (told.code, told.headline) == ("E222", "no unit of the system does `softmax`")


def test_without_any_unit_attention_is_done_at_once_and_assumed():
    report = simulate(chip(unit=False), prefill(TINY, 5))
    assert "`matmul` is done at once and free: the system has no unit" in report.assumed
    assert report.macs == 5 * 480 + 80 + 240


@pytest.mark.parametrize("given", [{"tokens": 4}, {"context": 4}])
def test_the_story_teller_runs_on_the_crossbar_chip(given):
    """Each block's seven matrices, and the head, are placed; four tokens pass each in turn."""
    report = simulate(cimarch.load("single_crossbar"), read_network("stories260k", **given))
    rows = zip(report.layers["name"], report.layers["tiles"], strict=True)
    placed = [name for name, tiles in rows if tiles > 0]
    assert len(placed) == 5 * 7 + 1


def test_products_that_a_module_writes_out_are_done_by_the_unit():
    """3 tokens of 8, two heads of 4: scores 2 x 3 x 3 x 4 = 72, softmax 18, values 72."""
    torch = pytest.importorskip("torch")

    class ByHand(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = torch.nn.Linear(8, 24)

        def forward(self, x):
            query, key, value = (
                part.unflatten(2, (2, 4)).transpose(1, 2) for part in self.qkv(x).split(8, 2)
            )
            weights = (query @ key.transpose(2, 3)).softmax(3)
            return (weights @ value).transpose(1, 2).flatten(2)

    report = simulate(chip(), cimarch.trace(ByHand(), torch.zeros(1, 3, 8)))
    assert elements(report) == 72 + 18 + 72
    assert report.macs == 3 * 8 * 24 + 2 * 72
