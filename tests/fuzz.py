"""`python tests/fuzz.py --seconds 60 --seed 1`: wrong input of every kind, until time is up.

A case is made by one of the families below from a bundled file, a small file or a generated one,
and is done in a process with bounded memory (`bounded.py`). Allowed are success and a
DescriptionError that can be shown; anything else is a find: it is made smaller and kept in the
corpus, which `test_fuzz.py` replays. The same seed makes the same cases.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

import mutations
import random_texts
from bounded import SECONDS, WORKS, Answer, Case, Worker, decoded, encoded
from tiny_archive import Tiny

ROOT = Path(__file__).resolve().parent.parent
CORPUS = Path(__file__).parent / "corpus"

# ------------------------------------------------------------------------- seeds


KINDS = ("crossbar", "dac", "adc", "shift_add", "buffer", "unit", "bus", "link", "mesh", "block")


@cache
def texts() -> dict[str, str]:
    """Descriptions to begin with: the bundled ones, the golden mistakes, those of the manual."""
    found = {p.name: p.read_text() for p in sorted(ROOT.glob("architectures/*.cimarch"))}
    for path in sorted(ROOT.glob("tests/errors/*.cimarch")):
        if path.stat().st_size < 4000:
            found[path.name] = path.read_text(errors="replace")
    manual = (ROOT / "docs" / "language.md").read_text()
    for i, block in enumerate(re.findall(r"^```cimarch\n(.*?)^```$", manual, re.M | re.S)):
        whole = "" if "from std" in block else f"from std import {', '.join(KINDS)}\n"
        if not re.search(r"^system ", block, re.M):
            block = f"system Example {{ clock = 1 GHz, part spare: crossbar\n{block}\n}}\n"
        found[f"manual {i}"] = whole + block
    return found


@cache
def words() -> list[str]:
    """Every word and sign in them."""
    return sorted({w for text in texts().values() for w in mutations.PIECES.findall(text)})


CHIP = """from std import crossbar, dac, adc, shift_add, buffer, unit, bus
system Chip {
    clock = 1 GHz
    weight_bits = 4
    input_bits = 4
    part maps: buffer { size = 4 KiB, width = 64 bit }
    part dac[8]: dac { bits = 1 }
    part array[4]: crossbar {
        rows = 8, columns = 8, cell_bits = 2, encoding = differential
        action read { latency = 10 ns, energy = 1 pJ * active_rows }
        action write { latency = 50 ns, energy = 2 pJ }
    }
    part adc[2]: adc { bits = 6, rate = 1 GHz, power = 1 mW }
    part add: shift_add
    part vector: unit { lanes = 4 }
    connect maps -> dac[*]
    connect dac[*] -> array[*] -> adc[*] -> add -> vector -> maps
    connect maps -> vector
}
"""
PATHS = [
    *("clock", "maps.size", "maps.width", "dac.bits", "array.rows", "array.columns", "array.home"),
    *("array.word_lines", "array.cell_bits", "array.encoding", "array.pair", "array.packing"),
    *("array.read.latency", "array.read.energy", "adc.rate", "adc.bits", "adc.mux", "vector.does"),
    *("vector.ii", "vector.lanes", "array.array_use", "array.write_per", "array.endurance", "beat"),
    *("maps.reuse", "array.slice_merge", "array.input_accumulation", "array.subtract", "area"),
    *("array.inputs", "array.pulses", "array.grouped", "array.serves", "array.write.latency"),
]
ODD_PATHS = [
    *("array", "array.", ".array", "array[0].rows", "a.b.c", "", "array.rows.x", "read.latency"),
    *("Chip.clock", "array.read", "array.compute.energy", "std", "array..rows", "array rows"),
]
TABLE = [
    {"name": "l1", "kind": "linear", "inputs": 12, "outputs": 10, "invocations": 3},
    {"name": "l2", "kind": "conv2d", "inputs": 9, "outputs": 4, "invocations": 16, "repeat": 2},
    {"type": "Dense", "inputs": 8, "outputs": 8},
]
CSV = "name,kind,outputs,inputs,invocations,repeat\nl1,linear,10,12,3,\nl2,conv2d,4,9,16,2\n"
POLICIES: list[Any] = [
    [[4, 4], [2, 8], [8, 1]],
    {"l1": [4, 4], "l*": {"weight_bits": 2, "input_bits": 3}},
    {"layer3": {"input_bits": 1}},
]


@cache
def archives() -> list[bytes]:
    """Small archives: one made by hand, and exported ones where torch is there."""
    return [Tiny().bytes(), *_exported()]


def _exported() -> Iterator[bytes]:
    try:
        import torch
        from torch import nn

        from cimarch.workload.trace import export
    except ImportError:
        return

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.deep = nn.Conv2d(4, 4, 3, stride=2, groups=4)
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.conv(x)))
            x = torch.cat([x[:, :2], nn.functional.pad(x[:, 2:3], (0, 0, 0, 0, 0, 1))], 1)
            y = self.deep(x)
            y = nn.functional.adaptive_avg_pool2d(y + y, 1).flatten(1)
            return torch.softmax(self.fc(y), -1)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 6)
            self.norm = nn.LayerNorm(6)
            self.fc = nn.Linear(6, 6)

        def forward(self, x: Any) -> Any:
            x = self.table(x)
            return nn.functional.gelu(self.fc(self.norm(x))).transpose(1, 2).mean(-1) * 2

    torch.manual_seed(0)
    yield export(Block().eval(), torch.zeros(1, 2, 6, 6))
    yield export(Words().eval(), torch.zeros(1, 4, dtype=torch.long))


@cache
def weights() -> bytes:
    """A safetensors file, written by hand: the length of a header of JSON, it, and the bytes."""
    header = {
        "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "a.bias": {"dtype": "F16", "shape": [4], "data_offsets": [24, 32]},
        "__metadata__": {"format": "pt"},
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(32)


# ---------------------------------------------------------------------- families

Made = Callable[[random.Random], Case]
FAMILIES: dict[str, tuple[int, float, Made]] = {}
"""By name: how often, the seconds that a case may take, and what makes it."""


def family(weight: int, seconds: float = SECONDS) -> Callable[[Made], Made]:
    """Register a maker of cases."""

    def register(make: Made) -> Made:
        FAMILIES[make.__name__] = (weight, seconds, make)
        return make

    return register


def _mutated(source: random.Random) -> str:
    right = [text for name, text in texts().items() if not name.startswith("e0")]
    original = source.choice(right if source.random() < 0.8 else list(texts().values()))
    change = source.randrange(4)
    if change == 0:
        return mutations.number(original, source)
    return (mutations.value if change == 1 else mutations.text)(original, source, words())


@family(20)
def text(source: random.Random) -> Case:
    """A description of which some words are wrong."""
    return {"work": "loads", "text": _mutated(source)}


@family(12)
def generated(source: random.Random) -> Case:
    """A description of the right form that says anything at all."""
    return {"work": "loads", "text": random_texts.meaningful(source)}


@family(8)
def formatted(source: random.Random) -> Case:
    """The laws of the formatter, on a text in a random layout or a mutated one."""
    made = random_texts.laid_out(source) if source.random() < 0.6 else _mutated(source)
    return {"work": "format", "text": made}


@family(8)
def file_of_bytes(source: random.Random) -> Case:
    """A description of which bytes are wrong, or only half is there."""
    original = source.choice(list(texts().values())).encode()
    if source.random() < 0.3:
        data = original[: source.randrange(len(original) + 1)]
    else:
        data = mutations.raw(original, source)
    return {"work": "load", "path": "chip.cimarch", "files": {"chip.cimarch": encoded(data)}}


@family(5)
def files(source: random.Random) -> Case:
    """Files that import each other."""
    names = ["a", "b", "c", "std"]
    made = {}
    for name in names[:3]:
        lines = [
            f"from {source.choice([*names, 'sub.d', 'isaac', 'none'])} import "
            f"{source.choice(['A', 'B', 'crossbar', 'Tile', 'adc'])}"
            for _ in range(source.randrange(3))
        ]
        base = source.choice(["", " is B", " is A", " is crossbar", " is a.A", " is isaac.Tile"])
        lines.append(f"component {source.choice('AB')}{base} {{ part x: {source.choice('AB')} }}")
        made[f"{name}.cimarch"] = "\n".join(lines) + "\n"
    made["a.cimarch"] += "system S { clock = 1 GHz, part y: A, part z: std.crossbar }\n"
    if source.random() < 0.3:
        made["a.cimarch"] = mutations.text(made["a.cimarch"], source, words())
    return {"work": "load", "path": "a.cimarch", "files": made}


def _settings(source: random.Random) -> dict[str, str]:
    found = {}
    for _ in range(source.choice([1, 1, 2, 3])):
        path = source.choice(PATHS if source.random() < 0.9 else ODD_PATHS)
        if source.random() < 0.05:
            path = mutations.text(path, source, ["x", "."])
        unit = source.choice(["", "", "", " ns", " GHz", " bit", " pJ", " um^2", " cycles"])
        odd = source.choice([*mutations.ODD_VALUES, source.choice(words())])
        fitting = source.choice(mutations.NUMBERS) + unit
        found[path] = fitting if source.random() < 0.6 else odd
    return found


@family(12)
def settings(source: random.Random) -> Case:
    """Values from outside."""
    return {"work": "loads", "text": CHIP, "set": _settings(source)}


@family(4)
def settings_of_a_program(source: random.Random) -> Case:
    """Values of Python from outside."""
    values = {path: mutations.odd_json(source) for path in source.sample(PATHS, 2)}
    return {"work": "loads", "text": CHIP, "set": values}


@family(8)
def commands(source: random.Random) -> Case:
    """The command line."""
    command = source.choice(["check", "show", "check", "show", "fmt"])
    arguments = [command, source.choice(["chip.cimarch", "isaac", "chip", "edge_macro", "none"])]
    if command == "fmt":
        arguments = [command, "chip.cimarch", *source.choice([[], ["--check"], ["--diff"]])]
    else:
        for path, value in _settings(source).items():
            arguments += ["--set", f"{path}={value}".replace("\0", "")]
        arguments += source.choice([[], ["--json"], ["--graph", "x.dot"], ["--graph", "x"]])
        if command == "check" and "--graph" in arguments:
            arguments = arguments[:-2]
    body = CHIP if source.random() < 0.5 else _mutated(source)
    return {"work": "cli", "arguments": arguments, "files": {"chip.cimarch": body}}


@family(10)
def archive_of_bytes(source: random.Random) -> Case:
    """A model archive of which bytes are wrong."""
    data = mutations.raw(source.choice(archives()), source)
    return {"work": "network", "path": "m.pt2", "files": {"m.pt2": encoded(data)}}


@family(20)
def archive_of_members(source: random.Random) -> Case:
    """A whole archive whose members are wrong."""
    data = mutations.archive(source.choice(archives()), source)
    return {
        "work": "network", "path": "m.pt2", "files": {"m.pt2": encoded(data)},
        "allow_unmapped": source.random() < 0.5,
    }  # fmt: skip


@family(3)
def weights_of_bytes(source: random.Random) -> Case:
    """A safetensors file of which bytes, or members of the header, are wrong."""
    data = weights()
    if source.random() < 0.6:
        end = 8 + int.from_bytes(data[:8], "little")
        header = mutations.tree(json.loads(data[8:end]), source)
        text = mutations.json_text(header, source).encode()
        data = len(text).to_bytes(8, "little") + text + data[end:]
    if source.random() < 0.5:
        data = mutations.raw(data, source)
    return {
        "work": "network", "path": "w.safetensors", "model": source.choice([None, "mlp"]),
        "files": {"w.safetensors": encoded(data)},
    }  # fmt: skip


@family(10)
def tables(source: random.Random) -> Case:
    """A layer table with wrong rows."""
    if source.random() < 0.5:
        table = mutations.tree(TABLE, source)
        if source.random() < 0.3:
            table = {"layers": table}
        content = mutations.json_text(table, source)
    else:
        content = mutations.text(CSV, source, ["1e400", "nan", "-1", '"', ";", "\t", "١", "𝟙"])
    return {"work": "network", "path": "t", "files": {"t": content}}


@family(6, seconds=10)
def precisions(source: random.Random) -> Case:
    """A precision file that does not fit."""
    policy = mutations.json_text(mutations.tree(source.choice(POLICIES), source), source)
    return {
        "work": "simulate", "path": "c.cimarch", "network": "t.json",
        "files": {"c.cimarch": CHIP, "t.json": json.dumps(TABLE), "p.json": policy},
        "options": {"precision": "p.json"},
    }  # fmt: skip


@family(6, seconds=10)
def runs(source: random.Random) -> Case:
    """A run of a small network on a small chip whose values are wrong."""
    table = mutations.tree(TABLE, source) if source.random() < 0.3 else TABLE
    change = source.randrange(4)
    chip = CHIP if change == 0 else mutations.number(CHIP, source)
    if change == 1:
        chip = mutations.value(CHIP, source, words())
    elif change == 2 and source.random() < 0.5:
        chip = mutations.text(CHIP, source, words())
    return {
        "work": "simulate", "path": "c.cimarch", "network": "t.json",
        "files": {"c.cimarch": chip, "t.json": json.dumps(table)},
        "set": _settings(source) if source.random() < 0.5 else None,
        "options": {
            "weight_bits": source.choice([1, 2, 4, 8, 16, 64]),
            "input_bits": source.choice([1, 4, 8, 64]),
            "batch": source.choice([1, 1, 2, 3]),
            "weights": source.choice(["preloaded", "cold"]),
            **_options(source),
        },
    }  # fmt: skip


OPTIONS: dict[str, list[Any]] = {
    "schedule": ["layers", "pipeline", None],
    "detail": ["mvm", "wordline"],
    "granularity": ["operation", "product", "wordline"],
    "overlap": [True, False],
    "duplicate": ["none", "balance", "fill", {"l1": 2}, {"l*": 3}],
    "spread_rows": [True, False],
    "place": [{"l*": "array"}, ["l1=array"], {"x": "array"}, {"l1": "adc"}],
    "engine": ["fast", "simpy"],
}


def _options(source: random.Random) -> dict[str, Any]:
    """Some of the options of a run, a few of them none."""
    chosen = source.sample(sorted(OPTIONS), source.randrange(4))
    found = {name: source.choice(OPTIONS[name]) for name in chosen}
    odd = [name for name in chosen if source.random() < 0.1]
    return found | {name: mutations.odd_json(source) for name in odd}


@cache
def _placement() -> Any:
    """A saved placement of the table on the chip."""
    import cimarch
    from cimarch.mapping.saved import to_dict

    placed = cimarch.map_network(
        cimarch.loads(CHIP, file="c.cimarch"), cimarch.Network.from_table(TABLE, name="t")
    )
    return to_dict(placed)


@family(4, seconds=10)
def placements(source: random.Random) -> Case:
    """A file of a placement, or of copies, that does not fit."""
    name, value = source.choice([("placement", _placement()), ("duplicate", {"l1": 2, "l2": 1})])
    content = mutations.json_text(mutations.tree(value, source), source)
    return {
        "work": "simulate", "path": "c.cimarch", "network": "t.json", "options": {name: "p.json"},
        "files": {"c.cimarch": CHIP, "t.json": json.dumps(TABLE), "p.json": content},
    }  # fmt: skip


GPT = {
    "architectures": ["GPT2LMHeadModel"], "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_positions": 16, "vocab_size": 10,
}  # fmt: skip
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 16,
    "vocab_size": 10, "max_position_embeddings": 16, "hidden_act": "silu",
}  # fmt: skip


@family(4)
def folders(source: random.Random) -> Case:
    """A folder of a language model whose config, or weights, are wrong."""
    config = mutations.tree(source.choice([GPT, LLAMA]), source)
    files = {"m/config.json": mutations.json_text(config, source)}
    if source.random() < 0.4:
        data = weights() if source.random() < 0.5 else mutations.raw(weights(), source)
        files["m/model.safetensors"] = encoded(data)
    return {"work": "network", "path": "m", "files": files}


@cache
def _onnx() -> bytes:
    """A convolution, an activation and a product; empty where the package is missing."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        return b""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Gemm", ["c", "v"], ["y"], transB=1),
    ]
    held = [
        helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 3, 3], [0.5] * 18),
        helper.make_tensor("v", TensorProto.FLOAT, [3, 8], [0.25] * 24),
    ]
    sizes = [info("x", TensorProto.FLOAT, [1, 1, 4, 4])], [info("y", TensorProto.FLOAT, [1, 3])]
    graph = helper.make_graph(nodes, "net", *sizes, held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    return bytes(made.SerializeToString())


@family(4)
def onnx_of_bytes(source: random.Random) -> Case:
    """An ONNX file of which bytes are wrong."""
    data = mutations.raw(_onnx(), source)
    return {"work": "network", "path": "m.onnx", "files": {"m.onnx": encoded(data)}}


READY = {
    (work, torch): ("torch",) if torch else ("simulate",) if work == "simulate" else ()
    for work in WORKS
    for torch in (False, True)
}
"""What a worker has loaded, by the work of a case and whether it takes torch."""


# ----------------------------------------------------------------- making smaller


def _shorter(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The same without one stretch: the longest stretches first."""
    size = len(items) // 2
    while size:
        for at in range(0, len(items), size):
            yield items[:at] + items[at + size :]
        size //= 2


def _simpler(case: Case) -> Iterator[Case]:
    """Cases with less in them."""
    for key in ("set", "options"):
        for name in list(case.get(key) or {}):
            yield {**case, key: {k: v for k, v in case[key].items() if k != name}}
    if "text" in case:
        for lines in _shorter(case["text"].split("\n")):
            yield {**case, "text": "\n".join(lines)}
        for pieces in _shorter(mutations.PIECES.findall(case["text"])):
            yield {**case, "text": "".join(pieces)}
        for characters in _shorter(case["text"]) if len(case["text"]) < 200 else ():
            yield {**case, "text": characters}
    for name, content in case.get("files", {}).items():
        data = decoded(content)
        for shorter in _shorter(data):
            yield {**case, "files": {**case["files"], name: encoded(bytes(shorter))}}


def smallest(case: Case, find: str, seconds: float, worker: Worker, patience: float) -> Case:
    """A smaller case with the same find, as small as some seconds of trying make it."""
    end = time.monotonic() + patience
    found = True
    while found and time.monotonic() < end:
        found = False
        for smaller in _simpler(case):
            if time.monotonic() > end:
                break
            if worker.ask(smaller, 4 * seconds + 5).find(seconds) == find:
                case, found = smaller, True
                break
    return case


# -------------------------------------------------------------------- the campaign


@attrs.define
class Campaign:
    """A stretch of fuzzing, and what came of it."""

    seed: int
    corpus: Path
    cases: Counter[str] = attrs.field(factory=Counter)
    outcomes: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    slowest: dict[str, float] = attrs.field(factory=dict)
    finds: Counter[str] = attrs.field(factory=Counter)
    codes: set[str] = attrs.field(factory=set)

    def run(self, seconds: float, families: Sequence[str], number: int | None = None) -> None:
        """Make and do cases until time is up, or so many of them."""
        source = random.Random(self.seed)
        odds = [FAMILIES[name][0] for name in families]
        workers = {ready: Worker(*ready) for ready in READY.values()}
        end = time.monotonic() + seconds
        while time.monotonic() < end and (number is None or self.cases.total() < number):
            name = source.choices(families, odds)[0]
            case = FAMILIES[name][2](random.Random(source.random()))
            self.note(name, case, workers[READY[case["work"], case.get("model") is not None]])
        for worker in workers.values():
            worker.close()

    def note(self, name: str, case: Case, worker: Worker) -> None:
        """Do one case and keep what is to be known of it."""
        seconds = FAMILIES[name][1]
        answer = worker.ask(case, 4 * seconds + 10)
        if answer.find(seconds) == "slow":
            answer = worker.ask(case, 4 * seconds + 10)  # a busy machine is no find
        self.cases[name] += 1
        self.outcomes[name, answer.outcome] += 1
        self.codes |= set(answer.codes)
        self.slowest[name] = max(answer.seconds, self.slowest.get(name, 0.0))
        find = answer.find(seconds)
        if find:
            self.finds[f"{name}: {find}"] += 1
            if self.finds[f"{name}: {find}"] == 1:
                self.keep(name, case, answer, worker)

    def keep(self, name: str, case: Case, answer: Answer, worker: Worker) -> None:
        """Write a find into the corpus, made smaller."""
        seconds = FAMILIES[name][1]
        find = answer.find(seconds)
        print(f"find in {name}: {find}\n{answer.told[-1500:]}", flush=True)
        small = smallest(case, find, seconds, worker, 60.0)
        self.corpus.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"\W+", "_", f"{name} {find}").strip("_").lower()
        text = json.dumps({"find": find, "seconds": seconds, "case": small}, indent=1)
        (self.corpus / f"{slug}.json").write_text(text + "\n")

    def table(self) -> str:
        """The record: a row for each family."""
        lines = [
            "| family | cases | done | refused | slowest | finds |",
            "|---|---|---|---|---|---|",
        ]
        for name in self.cases:
            finds = sum(n for text, n in self.finds.items() if text.startswith(f"{name}:"))
            done, refused = (self.outcomes[name, what] for what in ("done", "refused"))
            cells = (
                f"`{name}`",
                self.cases[name],
                done,
                refused,
                f"{self.slowest[name]:.2f} s",
                finds,
            )
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="where finds are kept")
    parser.add_argument("--families", default=",".join(FAMILIES), help="names, with commas")
    given = parser.parse_args()
    campaign = Campaign(given.seed, given.corpus)
    campaign.run(given.seconds, given.families.split(","))
    print(campaign.table())
    print(f"{campaign.cases.total()} cases, codes told: {' '.join(sorted(campaign.codes))}")
    for text, number in campaign.finds.most_common():
        print(f"{number} x {text}")
    return 1 if campaign.finds else 0


if __name__ == "__main__":
    sys.exit(main())
