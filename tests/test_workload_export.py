"""`cimarch export` and `cimarch.trace`: from a torch module to a file, or straight to a Network."""

import numpy as np
import pytest

import cimarch
from cimarch.cli import main

torch = pytest.importorskip("torch")

SOURCE = """
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))

ready = small()

class Holder:
    net = staticmethod(small)

def fails():
    return 1 / 0

def number():
    return 3

def unusual():
    return nn.ConvTranspose2d(3, 3, 2)

def words():
    return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a user's module, which is the current one."""
    import sys

    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "script.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("mine", "broken", "script"):
        sys.modules.pop(name, None)
    return tmp_path


def export(*arguments):
    return main(["export", *arguments])


@pytest.mark.parametrize("factory", ["mine:small", "mine:ready", "mine:Holder.net"])
def test_a_factory_or_a_module_becomes_a_file(folder, capsys, factory):
    assert export(factory, "--input", "1x3x8x8", "-o", "net.pt") == 0
    out = capsys.readouterr().out
    assert out.startswith("net.pt: 4 operations, 2 of them products, 0.0 M multiply-accumulates")
    network = cimarch.read_network("net.pt")
    assert [operation.name for operation in network.operations] == ["0", "1", "2", "3"]


def test_a_file_does_not_tell_where_it_was_made(folder):
    export("mine:small", "--input", "1x3x8x8", "-o", "net.pt")
    assert str(folder).encode() not in (folder / "net.pt").read_bytes()


def test_weights_are_loaded_before(folder):
    import mine

    torch.manual_seed(3)
    state = mine.small().state_dict()
    torch.save(state, "state.pt")
    assert export("mine:small", "--input", "1x3x8x8", "--weights", "state.pt", "-o", "net.pt") == 0
    weights = cimarch.read_network("net.pt").weights
    assert np.array_equal(weights["3.weight"].data, state["3.weight"])


def test_token_numbers_are_inputs_too(folder):
    assert export("mine:words", "--input", "1x6", "--dtype", "int64", "-o", "net.pt") == 0
    assert cimarch.read_network("net.pt").operations[1].windows == 6


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("mine", "`mine` is not of the form `package.module:factory`"),
        ("mine:nothing", "`mine` has no `nothing`"),
        ("yours:small", "there is no module `yours` to import `yours:small` from"),
        ("broken:net", "importing `broken` raised ModuleNotFoundError"),
        ("script:net", "importing `script` raised SystemExit: 3"),
        ("mine:fails", "calling `mine:fails` raised ZeroDivisionError: division by zero"),
        ("mine:number", "`mine:number` gives a `int`, not a torch module"),
        ("mine:unusual", "is an operator that is not covered"),
        ("mine:small", "torch cannot export `Sequential` with inputs of 1x3x9x9"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_written(folder, capsys, factory, says):
    assert export(factory, "--input", "1x3x9x9", "-o", "net.pt") == 2
    assert says in capsys.readouterr().err
    assert not (folder / "net.pt").exists()


def test_a_batch_of_eight_is_refused_with_the_flag_to_type(folder, capsys):
    assert export("mine:small", "--input", "8x3x8x8", "-o", "net.pt") == 2
    assert "help: export it with a batch of one: --input 1x3x8x8" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_found_before_the_work(folder, capsys):
    assert export("mine:fails", "--input", "1x3x8x8", "-o", "no/such/net.pt") == 2
    assert "`no/such/net.pt` cannot be written" in capsys.readouterr().err


def test_what_is_not_covered_can_be_written_on_demand(folder):
    command = ["mine:unusual", "--input", "1x3x8x8", "--allow-unmapped", "-o", "net.pt"]
    assert export(*command) == 0
    assert cimarch.read_network("net.pt", allow_unmapped=True).operations[0].kind == "other"


def test_a_network_of_the_zoo_can_be_exported(folder):
    assert export("cimarch.models.mlp:mlp", "--input", "1x784", "-o", "net.pt") == 0
    assert len(cimarch.read_network("net.pt").operations) == 5


def test_tracing_is_exporting_and_reading():
    import mine

    network = cimarch.trace(mine.ready, torch.zeros(1, 3, 8, 8))
    export("mine:ready", "--input", "1x3x8x8", "-o", "net.pt")
    assert network.operations == cimarch.read_network("net.pt").operations
    assert network.name == "sequential"
    assert cimarch.trace(mine.ready, (torch.zeros(1, 3, 8, 8),), name="it").name == "it"
