"""Files that would run code if they were loaded: named for what they are, and not loaded."""

import io
import pickle
import zipfile

import pytest

LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
"""How a file of torch before 1.6 begins."""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_with_what_it_would_import(refused, trap, protocol):
    data = pickle.dumps(pickle.loads(pickle.dumps(Holder(trap.pickled))), protocol)
    problem = refused(data)
    assert "is a pickle, which could run anything" in problem.headline
    assert problem.helps == ("cimarch export package.module:factory --input 1x3x32x32 -o model.pt",)
    assert not trap.sprung()


def test_a_pickled_module_in_torchs_zip_is_refused(refused, trap):
    problem = refused(torch_zip(trap.pickled))
    assert problem.code == "E103"
    assert problem.notes == ("it would import `posix.mkdir`",)
    assert not trap.sprung()


def test_it_stays_refused_with_a_network_named(refused, trap):
    assert refused(torch_zip(trap.pickled), model="resnet20").code == "E103"
    assert not trap.sprung()


def test_a_legacy_torch_file_is_looked_through_to_its_end(refused, trap):
    assert refused(LEGACY + trap.pickled).notes == ("it would import `posix.mkdir`",)
    assert not trap.sprung()


def test_a_pickle_that_hides_its_import_is_stopped_by_torchs_restricted_reader(refused, trap):
    pytest.importorskip("torch")
    hidden = b"\x80\x02cposix\nmkdir\n(X\x03\x00\x00\x00ranttR."
    problem = refused(torch_zip(b"\xff" + hidden), model="resnet20")
    assert problem.code == "E116"
    assert not trap.sprung()


def test_torchscript_is_refused(refused, trap):
    members = {"net/constants.pkl": trap.pickled, "net/code/net.py": b"", "net/data.pkl": b""}
    assert "is a TorchScript program" in refused(zipped(members)).headline
    assert not trap.sprung()


class Holder:
    """A class of this file: what a pickled module is to a reader that lacks its source."""

    def __init__(self, content):
        self.content = content


def torch_zip(pickled):
    return zipped({"net/data.pkl": pickled, "net/version": b"3\n"})


def zipped(members):
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return buffer.getvalue()
