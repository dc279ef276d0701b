"""Model files, tables and precision files made to harm: answered within time and memory."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bounded import SECONDS, Answer, Worker, encoded
from tiny_archive import Tiny, call, tensor

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    found = Worker()
    yield found
    found.close()


@pytest.fixture(scope="module")
def with_torch() -> Iterator[Worker]:
    pytest.importorskip("torch")
    found = Worker("torch")
    yield found
    found.close()


def read(worker: Worker, data: bytes, **more: Any) -> Answer:
    case = {"work": "network", "path": "m", "files": {"m": encoded(data)}, **more}
    answer = worker.ask(case)
    assert answer.find(2 * SECONDS) == "", answer.told[-3000:]
    assert len(answer.told) < 20_000
    return answer


# ---------------------------------------------------------------------------------- archives


def zipped(*members: tuple[str, bytes], method: int = STORED) -> bytes:
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, data in members:
                archive.writestr(zipfile.ZipInfo(name), data, method)
        return buffer.getvalue()


def noise(size: int) -> tuple[str, bytes]:
    """A member that does not pack, so that the whole does not pack too well."""
    return "n/noise", random.Random(0).randbytes(size)


def model(text: bytes) -> tuple[str, bytes]:
    return "n/models/model.json", text


def deep_chain() -> bytes:
    """A thousand activations in a row."""
    made, last = Tiny(), "c"
    for i in range(1_000):
        made.graph["nodes"].append(call("relu.default", {"self": tensor(last)}, f"r{i}", "act"))
        made.graph["tensor_values"][f"r{i}"] = made.graph["tensor_values"]["y"]
        last = f"r{i}"
    return made.bytes()


def widened(sizes: list[int]) -> bytes:
    made = Tiny()
    for value in made.graph["tensor_values"].values():
        value["sizes"] = [{"as_int": size} for size in sizes]
    return made.bytes()


ZEROS = bytes(20_000_000)
ARCHIVES: dict[str, tuple[Callable[[], bytes], tuple[str, ...]]] = {
    "a bomb": (lambda: zipped(("n/zeros", ZEROS), method=DEFLATED), ("E112",)),
    "bombs in an archive": (
        lambda: zipped(*[(f"n/{i}.zip", zipped(("x", ZEROS), method=DEFLATED)) for i in range(9)]),
        ("E103",),
    ),
    "a bomb among noise": (
        lambda: zipped(model(b"[1]"), noise(300_000), ("n/zeros", ZEROS), method=DEFLATED),
        ("E114",),
    ),
    "a deep graph": (lambda: zipped(model(b"[" * 10_000 + b"]" * 10_000)), ("E113",)),
    "a graph deeper than memory": (
        lambda: zipped(model(b"[" * 20_000_000), noise(1_000_000), method=DEFLATED),
        ("E112",),
    ),
    "a graph of many values": (
        lambda: zipped(
            model(b"[" + b"{}," * 20_000_000 + b"1]"), noise(2_000_000), method=DEFLATED
        ),
        ("E112",),
    ),
    "many members": (lambda: zipped(*[(f"n/{i}", b"") for i in range(60_000)]), ("E103",)),
    "an endless number": (lambda: zipped(model(b'{"a":' + b"9" * 1_000_000 + b"}")), ("E113",)),
    "an infinite number": (lambda: zipped(model(b'{"schema_version":{"major":1e400}}')), ("E114",)),
    "a name that writes": (lambda: zipped(("n/\n\x1b[31m" + "a" * 60_000, b"")), ("E103",)),
    "a directory alone": (lambda: b"PK\x05\x06" + b"\xff" * 18, ("E111",)),
    "tensors beyond memory": (lambda: widened([1, 2**40, 2**40]), ("E130",)),
    "tensors of many dimensions": (lambda: widened([1] * 1_000), ("E130",)),
    "a chain": (deep_chain, ()),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_made_to_harm_is_answered(worker: Worker, name: str) -> None:
    make, codes = ARCHIVES[name]
    assert read(worker, make()).codes == codes


def test_a_bundled_network_of_which_bytes_are_wrong_is_answered(worker: Worker) -> None:
    from cimarch import share

    whole = (share.folder("models") / "resnet20.pt").read_bytes()
    source = random.Random(0)
    for _ in range(12):
        data = bytearray(whole)
        at = source.randrange(len(data))
        change = source.randrange(4)
        if change == 0:
            data[at] ^= 1 << source.randrange(8)
        elif change == 1:
            del data[at:]
        elif change == 2:
            data[at:at] = data[at : at + 1_000]
        else:
            data[at : at + 64], data[:64] = data[:64], data[at : at + 64]
        assert read(worker, bytes(data)).outcome in ("done", "refused")


# ------------------------------------------------------------------------------ safetensors


def weights(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS = {
    "offsets beyond the file": weights({"a": entry([2**40], 0, 2**42)}, bytes(8)),
    "offsets before it": weights({"a": entry([-1], 8, 0)}, bytes(8)),
    "two tensors in one place": weights({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, bytes(8)),
    "a shape of more than the bytes": weights({"a": entry([3], 0, 8)}, bytes(8)),
    "an empty shape beyond memory": weights({"a": entry([0, 2**62, 2**62], 0, 0)}),
    "an unknown type": weights({"a": entry([2], 0, 8, "F99")}, bytes(8)),
    "a deep header": weights(b'{"a":' + b"[" * 10_000, bytes(8)),
    "a header of no JSON": weights(b"{" + b"\xff" * 100, bytes(8)),
    "no tensors": weights({}),
    "many tensors": weights({f"a{i}": entry([0], 0, 0) for i in range(20_000)}),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_lies_is_told(with_torch: Worker, name: str) -> None:
    assert read(with_torch, HEADERS[name], model="mlp").codes in [("E116",), ("E162",)]


@pytest.mark.parametrize("length", [0, 2**20, 2**63, 2**64 - 1])
def test_a_length_that_lies_makes_no_file_of_weights(with_torch: Worker, length: int) -> None:
    data = length.to_bytes(8, "little") + b"{" * 100
    assert read(with_torch, data, model="mlp").codes == ("E103",)


# ------------------------------------------------------------------------------------ tables


def row(**changes: object) -> dict[str, object]:
    return {"kind": "linear", "inputs": 4, "outputs": 4, **changes}


TABLES = {
    "deep": (b"[" * 10_000 + b"]" * 10_000, "E113"),
    "deep objects": (b'[{"a":' * 100_000, "E113"),
    "many rows": (json.dumps([row()] * 20_000).encode(), "E112"),
    "many wrong rows": (json.dumps([row(kind=1)] * 9_000).encode(), "E142"),
    "many values": (b"[" + b"[]," * 5_000_000 + b"[]]", "E112"),
    "digits": (json.dumps([row()]).replace("4", "9" * 5_000).encode(), "E113"),
    "not a number": (json.dumps([row(inputs=float("nan"), outputs=float("inf"))]).encode(), "E142"),
    "beyond a double": (json.dumps([row()]).replace("4", "1e400").encode(), "E142"),
    "below zero": (json.dumps([row(inputs=-5)]).encode(), "E142"),
    "a fraction": (json.dumps([row(inputs=1.5)]).encode(), "E142"),
    "a truth": (json.dumps([row(outputs=True)]).encode(), "E142"),
    "a list": (json.dumps([row(outputs=[4])]).encode(), "E142"),
    "a huge count": (json.dumps([row(repeat=2**60)]).encode(), "E142"),
    "one name twice": (json.dumps([row(name="a"), row(name="a")]).encode(), "E142"),
    "one member twice": (b'[{"kind":"linear","inputs":1,"inputs":2,"outputs":1}]', "E114"),
    "half a character": (json.dumps([row(name="\ud800")]).encode(), "E113"),
    "a long name": (json.dumps([row(name="a" * 100_000)]).encode(), "E142"),
    "layers that are none": (b'{"layers":{"a":1}}', "E114"),
    "many lines": (b"name,kind,outputs,inputs\n" + b",linear,1,1\n" * 800_000, "E112"),
    "one line": (b"outputs,inputs," + b"a," * 5_000_000, "E112"),
    "an open quote": (b'outputs,inputs\n"' + b"a\n" * 50_000, "E142"),
    "many columns": (b"outputs,inputs" + b",a" * 4_000 + b"\n1,1\n", "E141"),
    "another digit": ("kind,outputs,inputs\nlinear,\u0661,1\n".encode(), "E142"),
    "not text": (b"outputs,inputs\n\xff,1\n", "E140"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_wrong_values_is_told(worker: Worker, name: str) -> None:
    data, code = TABLES[name]
    found = read(worker, data)
    assert found.codes[0] == code
    assert len(found.codes) <= 100


# -------------------------------------------------------------------------- precision files

CHIP = """from std import crossbar
system Chip {
    clock = 1 GHz
    part array: crossbar { rows = 8, columns = 8, cell_bits = 8 }
}
"""
POLICIES = {
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "digits": b"[[" + b"9" * 5_000 + b", 4]]",
    "many entries": b"[" + b"[4,4]," * 20_000 + b"[4,4]]",
    "ten megabytes": b" " * 10_000_000,
    "not text": b"\xff\xfe",
    "not a number": b"[[NaN, Infinity]]",
    "beyond a double": b"[[1e400, 4]]",
    "below zero": b"[[-1, 4]]",
    "a fraction": b"[[4.0, 4]]",
    "a truth": b"[[true, 4]]",
    "nothing": b"null",
    "one name twice": b'{"layer1": [4, 4], "layer1": [2, 2]}',
    "an unknown field": b'{"layer1": {"bits": 4}}',
    "a long name": b'{"' + b"a" * 100_000 + b'": [4, 4]}',
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_precision_file_of_wrong_values_is_told(worker: Worker, name: str) -> None:
    files = {"c.cimarch": CHIP, "t": json.dumps([row()]), "p": encoded(POLICIES[name])}
    options = {"precision": "p"}
    case = {"work": "simulate", "path": "c.cimarch", "network": "t", "options": options}
    found = worker.ask({**case, "files": files})
    assert (found.outcome, found.codes) == ("refused", ("E201",)), found.told[-3000:]
    assert len(found.told) < 20_000


@pytest.mark.parametrize("path", ["/dev/zero", "/", "none", "\0"])
def test_a_precision_file_that_is_none_is_told(worker: Worker, path: str) -> None:
    files = {"c.cimarch": CHIP, "t": json.dumps([row()])}
    case = {"work": "simulate", "path": "c.cimarch", "network": "t", "files": files}
    found = worker.ask({**case, "options": {"precision": path}})
    assert (found.outcome, found.codes) == ("refused", ("E201",)), found.told[-3000:]
