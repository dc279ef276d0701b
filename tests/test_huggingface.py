"""Hugging Face folders and the transformers that come with cimarch: sizes, weights, refusals."""

import contextlib
import json
import os
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cimarch import DescriptionError, read_network
from cimarch.cli import main
from cimarch.workload import bundled

PARAMETERS = {
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "gpt2": 124_439_808,
    "bert-large": 335_141_888,
    "vit-b-16": 86_567_656,
    "stories260k": 260_032,
    "char-gpt": 818_048,
}
"""Trained numbers, as published; those of the last two as 512 x 64 + 5 x 45,440 + 64 and
(65 + 128) x 128 + 4 x 198,272 + 256 (see below)."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12,
    "vocab_size": 10, "max_position_embeddings": 32, "hidden_act": "silu",
    "tie_word_embeddings": True,
}  # fmt: skip
GPT2 = {
    "architectures": ["GPT2LMHeadModel"], "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_positions": 16, "vocab_size": 10,
}  # fmt: skip
QWEN = LLAMA | {"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False}
MISTRAL = LLAMA | {"architectures": ["MistralForCausalLM"], "sliding_window": None}
BERT = {
    "architectures": ["BertModel"], "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 10,
    "max_position_embeddings": 12, "type_vocab_size": 2, "hidden_act": "gelu",
}  # fmt: skip
VIT = {
    "architectures": ["ViTForImageClassification"], "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16, "image_size": 8, "patch_size": 4,
    "id2label": {"0": "cat", "1": "dog", "2": "cow"},
}  # fmt: skip


def folder(path, config, weights=None):
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    if weights is not None:
        save_file(weights, path / "model.safetensors")
    return path


def arrays(network, *, turned=()):
    """Counting numbers for every weight; of matrices named in `turned`, stored the other way."""
    made = {}
    for number, (path, weight) in enumerate(network.weights.items()):
        stored = np.arange(prod(weight.shape), dtype=np.float32).reshape(weight.shape) + number
        turn = len(weight.shape) == 2 and any(word in path for word in turned)
        made[path] = np.ascontiguousarray(stored.T) if turn else stored
    return made


def refused(path, **given):
    with pytest.raises(DescriptionError) as caught:
        read_network(path, **{"tokens": 4} | given)
    (told,) = caught.value.diagnostics
    return told


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_transformer_has_as_many_parameters_as_published(name):
    takes = {} if name == "vit-b-16" else {"tokens": 8}
    network = read_network(name, **takes)
    assert network.parameters == PARAMETERS[name]
    assert all(weight.data is None for weight in network.weights.values())


def test_the_list_of_transformers_is_complete():
    assert set(bundled.known()) == set(PARAMETERS)


def test_every_transformer_names_its_source():
    file = Path(__file__).parent.parent / "models" / "transformers.json"
    assert all(entry["source"] for entry in json.loads(file.read_text()).values())


def test_llama_3_2_1b_multiplies_as_often_as_counted_by_hand():
    """A token: 16 blocks of 2 x 2048^2 (queries, out) + 2 x 512 x 2048 (8 heads of keys and
    values) + 3 x 8192 x 2048 = 60,817,408; the head, 128256 x 2048, for the last token alone."""
    block = 2 * 2048**2 + 2 * 512 * 2048 + 3 * 8192 * 2048
    assert block == 60_817_408
    prompt = read_network("llama-3.2-1b", tokens=512)
    head = 128_256 * 2048
    assert sum(op.macs for op in prompt.operations) == 512 * 16 * block + head
    token = read_network("llama-3.2-1b", context=511)
    assert sum(op.macs for op in token.operations) == 16 * block + head == 1_235_746_816
    held = [token.tensors[name].elements for name in token.states.values()]
    assert held == [512 * 8 * 64] * 32


def test_gpt2_multiplies_as_often_as_counted_by_hand():
    """A block has 12 x 768^2 weights in matrices, the head 50257 x 768."""
    token = read_network("gpt2", context=10)
    macs = 12 * 12 * 768**2 + 50_257 * 768
    assert sum(op.macs for op in token.operations) == macs == 123_532_032


def test_vit_b_16_cuts_its_image_into_196_patches():
    """196 products of 768 x 768 for the patches; 197 tokens through 12 blocks; 1000 classes."""
    network = read_network("vit-b-16")
    patches = next(op for op in network.operations if op.kind == "conv2d")
    assert (patches.windows, patches.rows, patches.columns) == (196, 3 * 16 * 16, 768)
    macs = 196 * 768 * 768 + 197 * 12 * 12 * 768**2 + 1000 * 768
    assert sum(op.macs for op in network.operations) == macs
    assert read_network("vit-b-16", input="1x3x224x224").parameters == network.parameters


@pytest.mark.parametrize("name", ["stories260k", "Stories260K", "char_gpt", "LLAMA-3.2-1B"])
def test_names_are_found_in_any_spelling(name):
    assert read_network(name, tokens=2).tensors["tokens"].shape == (2,)
    assert read_network(model=name, input="1x3").tensors["tokens"].shape == (3,)


def test_a_folder_without_weights_gives_shapes(tmp_path):
    network = read_network(folder(tmp_path / "small", LLAMA), tokens=3)
    assert network.name == "small"
    assert network.source.endswith("small`, shapes only")
    assert network.parameters == 10 * 8 + 2 * (2 * 64 + 2 * 32 + 3 * 96 + 16) + 8


@pytest.mark.parametrize(
    ("config", "given", "turned", "prefix"),
    [
        (LLAMA, {"tokens": 3}, (), "model."),
        (QWEN, {"tokens": 3}, (), "model."),
        (MISTRAL, {"tokens": 3}, (), "model."),
        (GPT2, {"tokens": 3}, ("attn", "mlp"), "transformer."),
        (BERT, {"tokens": 3}, (), "bert."),
        (VIT, {}, (), "vit."),
    ],
)
def test_weights_are_those_of_the_file_with_and_without_the_prefix(
    tmp_path, config, given, turned, prefix
):
    stored = arrays(read_network(folder(tmp_path / "m", config), **given), turned=turned)
    for name, kept in (("whole", stored), ("bare", stripped(stored, prefix))):
        network = read_network(folder(tmp_path / name, config, kept), **given)
        assert network.weights.keys() == stored.keys()
        for path, weight in network.weights.items():
            turn = stored[path].shape != weight.shape or any(word in path for word in turned)
            data = stored[path].T if turn and stored[path].ndim == 2 else stored[path]
            np.testing.assert_array_equal(weight.data, data)


def stripped(stored, prefix):
    return {path.removeprefix(prefix): data for path, data in stored.items()}


def test_weights_in_several_files_are_found_by_their_index(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    stored = arrays(read_network(home, tokens=3))
    names = sorted(stored)
    files = {"model-00001-of-00002.safetensors": names[::2],
             "model-00002-of-00002.safetensors": names[1::2]}  # fmt: skip
    for file, held in files.items():
        save_file({name: stored[name] for name in held}, home / file)
    index = {"weight_map": {name: file for file, held in files.items() for name in held}}
    (home / "model.safetensors.index.json").write_text(json.dumps(index))
    network = read_network(home, tokens=3)
    for path, weight in network.weights.items():
        np.testing.assert_array_equal(weight.data, stored[path])
    (home / "model-00002-of-00002.safetensors").unlink()
    assert refused(home).code == "E172"
    index["weight_map"][names[0]] = "../elsewhere.safetensors"
    (home / "model.safetensors.index.json").write_text(json.dumps(index))
    assert refused(home).code == "E110"


def test_bfloat16_weights_are_views_of_the_file(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    home = folder(tmp_path / "m", LLAMA)
    stored = {
        path: data.astype(ml_dtypes.bfloat16)
        for path, data in arrays(read_network(home, tokens=3)).items()
    }
    folder(home, LLAMA, stored)
    weight = read_network(home, tokens=3).weights["model.norm.weight"]
    assert weight.dtype == "bfloat16"
    assert not weight.data.flags.owndata
    np.testing.assert_array_equal(
        np.asarray(weight.data, np.float32), stored["model.norm.weight"].astype(np.float32)
    )


def test_weights_that_are_not_the_configs_are_told(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    stored = arrays(read_network(home, tokens=3))
    del stored["model.norm.weight"]
    stored["model.layers.1.mlp.up_proj.weight"] = np.zeros((13, 8), np.float32)
    told = refused(folder(home, LLAMA, stored))
    assert (told.code, told.headline) == ("E172", "the weights are not those of `m`")
    assert told.notes == (
        "missing: `model.norm.weight`",
        "`model.layers.1.mlp.up_proj.weight` is 13 x 8, not 12 x 8",
    )


def test_tensors_without_a_place_are_told(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    stored = arrays(read_network(home, tokens=3)) | {"rotary.inv_freq": np.zeros(2, np.float32)}
    network = read_network(folder(home, LLAMA, stored), tokens=3)
    assert network.source.endswith("m`, but not its `rotary.inv_freq`")


def test_a_head_that_is_the_embedding_may_be_stored_under_either_name(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    stored = arrays(read_network(home, tokens=3))
    table = stored.pop("model.embed_tokens.weight")
    network = read_network(
        folder(home, LLAMA, stored | {"lm_head.weight": table}), tokens=3
    )  # fmt: skip
    np.testing.assert_array_equal(network.weights["model.embed_tokens.weight"].data, table)


def test_a_pickle_of_weights_is_refused(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    (home / "pytorch_model.bin").write_bytes(b"\x80\x02")
    told = refused(home)
    assert told.code == "E172"
    assert "`pytorch_model.bin`, which could run anything" in told.headline


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "names the architecture `MambaForCausalLM`"),
        ({"architectures": []}, "names the architecture none"),
        ({"auto_map": {"AutoModel": "modeling.Own"}}, "has `auto_map`: it takes code of its own"),
        ({"quantization_config": {"bits": 4}}, "has `quantization_config`: its weights are packed"),
        ({"hidden_size": None}, "has no `hidden_size`"),
        ({"hidden_size": "8"}, "has `hidden_size` '8', not a whole number of 1..16777216"),
        ({"hidden_size": 0}, "has `hidden_size` 0, not a whole number"),
        ({"hidden_size": True}, "has `hidden_size` True, not a whole number"),
        ({"num_hidden_layers": 10**9}, "not a whole number of 1..1024"),
        ({"num_attention_heads": 3, "num_key_value_heads": 1}, "has 3 heads, which do not divide"),
        ({"num_key_value_heads": 3}, "has `num_key_value_heads` 3, which does not divide its 4"),
        ({"hidden_act": "mystery"}, "has `hidden_act` 'mystery', which is not covered"),
        ({"tie_word_embeddings": 1}, "has `tie_word_embeddings` 1, not true or false"),
        ({"rope_theta": -1}, "has `rope_theta` -1, not a number above 0"),
    ],
)
def test_a_config_that_is_not_covered_is_told(tmp_path, change, said):
    told = refused(folder(tmp_path / "m", LLAMA | change))
    assert told.code == "E171"
    assert said in told.headline


def test_a_window_that_slides_over_the_keys_is_refused(tmp_path):
    told = refused(folder(tmp_path / "m", MISTRAL | {"sliding_window": 4096}))
    assert told.headline == "the config of `m` has `sliding_window` 4096, which is not covered"


def test_queries_keys_and_values_of_qwen_have_a_bias(tmp_path):
    """2 blocks x (8 + 4 + 4) numbers more than Llama's."""
    plain = read_network(folder(tmp_path / "l", LLAMA), tokens=3).parameters
    network = read_network(folder(tmp_path / "q", QWEN), tokens=3)
    assert network.parameters == plain + 2 * 16
    biased = [op.name.rpartition(".")[2] for op in network.operations if op.bias]
    assert biased == ["q_proj", "k_proj", "v_proj"] * 2


def test_the_config_stands_for_its_folder(tmp_path):
    home = folder(tmp_path / "m", LLAMA)
    by_file, by_folder = (read_network(path, tokens=3) for path in (home / "config.json", home))
    assert by_file.operations == by_folder.operations
    assert by_file.digest == by_folder.digest


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_folder_is_told_or_read(tmp_path, data):
    """Bytes changed, cut or doubled in the config or the weights: never another exception."""
    weights = arrays(read_network(folder(tmp_path / "shapes", LLAMA), tokens=3))
    for name in ("config.json", "model.safetensors"):
        home = folder(tmp_path / "m", LLAMA, weights)
        good = (home / name).read_bytes()[:4096]
        place = data.draw(st.integers(0, len(good) - 1))
        change = data.draw(st.sampled_from(["cut", "byte", "double", "word"]))
        new = {
            "cut": good[:place],
            "byte": good[:place] + bytes([data.draw(st.integers(0, 255))]) + good[place + 1 :],
            "double": good[:place] + good[place : place + 20] + good[place:],
            "word": good[:place] + data.draw(st.sampled_from(WORDS)) + good[place + 1 :],
        }[change]
        (home / name).write_bytes(new)
        with contextlib.suppress(DescriptionError):
            read_network(home, tokens=3)


WORDS = [b"null", b"-1", b"1e400", b"9" * 30, b"NaN", b"[]", b"{}", b'"', b"[[[["]


def test_an_unknown_architecture_lists_what_is_known(tmp_path):
    told = refused(folder(tmp_path / "m", LLAMA | {"architectures": ["T5Model"]}))
    assert told.notes == (
        "there are LlamaForCausalLM, LlamaModel, MistralForCausalLM, Qwen2ForCausalLM, "
        "GPT2LMHeadModel, GPT2Model, BertModel, "
        "BertForMaskedLM, BertForPreTraining, BertForSequenceClassification, "
        "BertForTokenClassification, BertForQuestionAnswering, ViTForImageClassification",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "E102"), (b"{", "E113"), (b"[" * 100_000, "E113"), (b"[]", "E114"),
        (b'{"architectures": "LlamaModel"}', "E114"), (b"\xff\xfe", "E113"),
        (b" " * (1 << 20) + b"{}", "E112"),
    ],
)  # fmt: skip
def test_a_config_that_is_none_is_told(tmp_path, text, code):
    home = folder(tmp_path / "m", LLAMA)
    (home / "config.json").write_bytes(text)
    assert refused(home).code == code


HEADER = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def tensors(header, body=b"\0" * 8):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"abc",
        (2**63).to_bytes(8, "little") + b"{}",
        tensors({"a": HEADER | {"data_offsets": [0, 80]}}),
        tensors({"a": HEADER | {"data_offsets": [8, 0]}}),
        tensors({"a": HEADER | {"data_offsets": [-8, 0]}}),
        tensors({"a": HEADER | {"data_offsets": [0]}}),
        tensors({"a": HEADER | {"shape": [3]}}),
        tensors({"a": HEADER | {"shape": [-1, -2]}}),
        tensors({"a": HEADER | {"shape": [2**62, 2**62]}}),
        tensors({"a": HEADER | {"shape": "2"}}),
        tensors({"a": HEADER | {"dtype": "F8_E4M3"}}),
        tensors({"a": HEADER | {"dtype": 3}}),
        tensors({"a": HEADER, "b": HEADER}),
        tensors({"a": 5}),
        tensors([1]),
        b"version https://git-lfs.github.com/spec/v1\n",
    ],
)
def test_a_file_of_weights_that_lies_is_told(tmp_path, data):
    home = folder(tmp_path / "m", LLAMA)
    (home / "model.safetensors").write_bytes(data)
    assert refused(home).code in ("E103", "E114", "E116", "E121")


def test_an_empty_folder_is_no_model(tmp_path):
    assert refused(tmp_path).code == "E101"
    assert refused(folder(tmp_path / "m", LLAMA), model="gpt2").code == "E163"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"path": "resnet20", "tokens": 4}, "E170"),
        ({"path": "models/resnet20.pt", "context": 4}, "E170"),
        ({"path": "gpt2"}, "E170"),
        ({"path": "vit-b-16", "tokens": 4}, "E170"),
        ({"path": "bert-large", "context": 4}, "E170"),
        ({"path": "gpt2", "tokens": 4, "input": "1x5"}, "E164"),
        ({"path": "gpt2", "input": "1x3x32x32"}, "E164"),
        ({"path": "vit-b-16", "input": "1x3x32x32"}, "E164"),
    ],
)
def test_tokens_out_of_place_are_told(given, code):
    with pytest.raises(DescriptionError) as caught:
        read_network(**given)
    assert caught.value.diagnostics[0].code == code


def test_a_stacked_checkpoint_is_taken_apart(tmp_path):
    """Blocks lie behind each other in the first dimension, as in a checkpoint of stories260k."""
    shapes = {
        "tok": (512, 64), "an": (5, 64), "fn": (5, 64), "wq": (5, 64, 64), "wk": (5, 32, 64),
        "wv": (5, 32, 64), "wo": (5, 64, 64), "w1": (5, 172, 64), "w2": (5, 64, 172),
        "w3": (5, 172, 64), "nf": (64,),
    }  # fmt: skip
    stored = {
        name: np.arange(prod(shape), dtype=np.float32).reshape(shape)
        for name, shape in shapes.items()
    }
    save_file(stored, tmp_path / "s.safetensors")
    network = read_network(tmp_path / "s.safetensors", model="stories260k", tokens=4)
    block = "model.layers.3"
    for path, part in {
        f"{block}.mlp.gate_proj": "w1", f"{block}.mlp.down_proj": "w2",
        f"{block}.mlp.up_proj": "w3",
        f"{block}.self_attn.k_proj": "wk", f"{block}.input_layernorm": "an",
        f"{block}.post_attention_layernorm": "fn",
    }.items():  # fmt: skip
        np.testing.assert_array_equal(network.weights[f"{path}.weight"].data, stored[part][3])


def test_a_folder_runs_from_the_shell_without_torch(tmp_path, monkeypatch, capsys):
    home = folder(tmp_path / "m", LLAMA)
    code = (
        "import sys; from cimarch.cli import main; "
        f"arguments = ['sim', 'single_crossbar', {str(home)!r}, '--tokens=3', '--allow-unmapped']; "
        "assert main(arguments) == 0; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert main(["sim", "isaac", str(home)]) == 2
    assert "how many tokens `m` takes is not given" in capsys.readouterr().err
