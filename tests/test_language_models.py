"""Language models: torch's module, its archive and the network of its sizes are the same."""

import math
import os
from collections import Counter
from pathlib import Path

import pytest

from cimarch import read_network, trace
from cimarch.workload import zoo
from cimarch.workload.attention import lowered
from cimarch.workload.blocks import build
from cimarch.workload.bundled import named
from cimarch.workload.weights import from_tensors

torch = pytest.importorskip("torch")

from importlib import import_module  # noqa: E402

from interpret import run, values_of  # noqa: E402

DATA = os.environ.get("CIMARCH_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CIMARCH_DATA names no folder of data")


def module(file, factory):
    torch.manual_seed(0)
    zoo.models()
    return getattr(import_module(f"cimarch.models.{file}"), factory)().eval()


LANGUAGE_MODELS = {
    "stories260k": ("llama", "stories260k"),
    "char-gpt": ("char_gpt", "char_gpt"),
}


def products(network):
    return [
        (op.name, op.kind, op.rows, op.columns, op.groups, op.windows)
        for op in network.operations
        if op.macs
    ]


def attentions(network):
    return [dict(op.settings) for op in network.operations if op.kind == "sdpa"]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_traced_module_and_its_sizes_give_the_same_products(name):
    made = module(*LANGUAGE_MODELS[name])
    traced = trace(made, torch.zeros(1, 7, dtype=torch.long))
    built = build(named(name), tokens=7, logits="all")
    assert products(traced) == products(built)
    assert attentions(traced) == attentions(built)
    assert products(lowered(traced)) != products(traced)
    assert [p[2:] for p in products(lowered(traced))] == [p[2:] for p in products(lowered(built))]
    assert sum(p.numel() for p in made.parameters()) == built.parameters
    for kind in ("norm", "activation", "embedding"):
        assert work(traced, kind) == work(built, kind)


def work(network, kind):
    return Counter(
        (op.function, network.tensors[op.outputs[0]].elements)
        for op in network.operations
        if op.kind == kind
    )


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_the_network_of_its_sizes_computes_what_the_module_does(name):
    made = module(*LANGUAGE_MODELS[name])
    stored = from_tensors(made.state_dict())
    if name == "char-gpt":  # matrices of torch are (outputs, inputs), those of GPT-2 are turned
        from cimarch.workload.stored import Checkpoint

        stored = Checkpoint(stored, named(name))
    built = build(named(name), tokens=9, logits="all", weights=stored)
    tokens = torch.randint(0, 60, (1, 9))
    with torch.no_grad():
        wanted = made(tokens)[0]
    torch.testing.assert_close(run(built, tokens)[0], wanted, atol=1e-4, rtol=1e-4)
    last = build(named(name), tokens=9, weights=stored)
    torch.testing.assert_close(run(last, tokens)[0], wanted[-1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@pytest.mark.parametrize("parts", [(8, 1, 1), (3, 4, 3)])
def test_a_text_in_parts_is_the_text_at_once(name, parts):
    """Each part finds the keys and values of those before it in the states of the network."""
    from cimarch.workload.stored import Checkpoint

    made = module(*LANGUAGE_MODELS[name])
    stored = Checkpoint(from_tensors(made.state_dict()), named(name))
    tokens = torch.randint(0, 60, (1, sum(parts)))
    states, logits, done = {}, [], 0
    for part in parts:
        network = build(named(name), tokens=part, context=done, logits="all", weights=stored)
        assert set(states) == set(network.states) or not states
        values = values_of(network, tokens[:, done : done + part], states)
        states = {state: values[tensor] for state, tensor in network.states.items()}
        logits.append(values[network.outputs[0]])
        done += part
    with torch.no_grad():
        wanted = made(tokens)[0]
    torch.testing.assert_close(torch.cat(logits), wanted, atol=1e-4, rtol=1e-4)


def test_a_state_dict_of_a_transformer_is_read(tmp_path):
    made = module("char_gpt", "char_gpt")
    torch.save({"model": made.state_dict()}, tmp_path / "c.pt")
    network = read_network(tmp_path / "c.pt", model="char-gpt", tokens=5)
    assert network.parameters == sum(p.numel() for p in made.parameters())
    weight = network.weights["transformer.h.1.mlp.c_fc.weight"]
    assert weight.shape == (512, 128)
    torch.testing.assert_close(torch.tensor(weight.data), made.transformer.h[1].mlp.c_fc.weight)


@needs_data
@pytest.mark.parametrize("how", ["module", "network"])
def test_the_story_teller_is_as_surprised_as_measured(how):
    """Perplexity 3.55 over the five stories of a sample, each from its beginning."""
    folder = Path(DATA)
    checkpoint = folder / "checkpoints" / "stories260K.safetensors"
    zoo.models()
    pieces = import_module("cimarch.models.word_pieces").WordPieces.read(
        (folder / "checkpoints" / "tok512.bin").read_bytes()
    )
    made = module("llama", "stories260k")
    weights = read_network(checkpoint, model="stories260k", tokens=1).weights
    state = {path: torch.tensor(weight.data) for path, weight in weights.items()}
    made.load_state_dict(state | {"lm_head.weight": state["model.embed_tokens.weight"]})

    def logits(tokens):
        if how == "module":
            return made(tokens)[0]
        stored = read_network(checkpoint, model="stories260k", tokens=1).weights
        size = tokens.shape[1]
        return run(build(named("stories260k"), tokens=size, logits="all", weights=stored), tokens)[
            0
        ]

    told = (folder / "text" / "tinystories_sample.txt").read_text().split("<|endoftext|>")
    loss = count = 0.0
    for story in filter(None, map(str.strip, told)):
        tokens = torch.tensor([pieces.encode(story)[:513]])
        with torch.no_grad():
            each = torch.nn.functional.cross_entropy(
                logits(tokens[:, :-1]), tokens[0, 1:], reduction="sum"
            )
        loss, count = loss + each.item(), count + tokens.shape[1] - 1
    assert round(math.exp(loss / count), 2) == 3.55


class ByHand(torch.nn.Module):
    """Attention written out, with a causal mask that does not change."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = torch.nn.Linear(16, 48), torch.nn.Linear(16, 16)

    def forward(self, x):
        query, key, value = (
            part.unflatten(2, (4, 4)).transpose(1, 2) for part in self.qkv(x).split(16, 2)
        )
        scores = query @ key.transpose(2, 3) / 2
        seen = torch.arange(x.shape[1])[None] <= torch.arange(x.shape[1])[:, None]
        weights = torch.where(seen, scores, float("-inf")).softmax(3)
        return self.out((weights @ value).transpose(1, 2).flatten(2))


def test_attention_that_is_written_out_is_two_products_of_operands():
    """4 heads of 4, 6 tokens, without leaving out what the mask hides: 4 x 6 x 6 x 4 each."""
    network = trace(ByHand(), torch.zeros(1, 6, 16))
    made = [op for op in network.operations if op.is_dynamic]
    assert [(op.groups, op.windows, op.rows, op.columns) for op in made] == [
        (4, 6, 4, 6), (4, 6, 6, 4),
    ]  # fmt: skip
    kinds = Counter(op.kind for op in network.operations)
    assert (kinds["softmax"], kinds["activation"], kinds["mul"]) == (1, 1, 1)


class WithToken(torch.nn.Module):
    """Patches of an image behind a stored class token."""

    def __init__(self):
        super().__init__()
        self.cut = torch.nn.Conv2d(3, 8, 4, 4)
        self.token = torch.nn.Parameter(torch.randn(1, 1, 8))
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        x = self.cut(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1)
        return self.head(x)


def test_a_stored_token_stands_before_those_that_flow():
    made = WithToken().eval()
    network = trace(made, torch.zeros(1, 3, 8, 8))
    (joined,) = [op for op in network.operations if op.kind == "concat"]
    assert network.tensors[joined.outputs[0]].shape == (5, 8)
    assert joined.weight == "token"
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(run(network, x)[0], made(x)[0])
