"""What the tests of hostile files share: traps, a model archive made by hand, reading it."""

import os
import pickle

import pytest

from tiny_archive import Tiny


class Touch:
    """A pickle of this creates a file when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def trap(tmp_path):
    """A pickle that makes a folder when it is loaded, and a check that it has not been."""

    class Trap:
        place = tmp_path / "ran"
        pickled = pickle.dumps(Touch(place), protocol=2)

        @staticmethod
        def sprung():
            return Trap.place.exists()

    return Trap


@pytest.fixture
def tiny():
    return Tiny()


@pytest.fixture
def make_tiny():
    return Tiny


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file and read it as a network."""
    from cimarch import read_network

    def read(data, name="model.pt", **options):
        path = tmp_path / name
        path.write_bytes(data)
        return read_network(path, **options)

    return read


@pytest.fixture
def refused(read):
    """Read bytes that must be refused; gives the only diagnostic."""
    from cimarch import DescriptionError

    def refused(data, **options):
        with pytest.raises(DescriptionError) as caught:
            read(data, **options)
        (diagnostic,) = caught.value.diagnostics
        assert (
            diagnostic.headline[0] != diagnostic.headline[0].upper() or "`" in diagnostic.headline
        )
        assert not diagnostic.headline.endswith(".")
        return diagnostic

    return refused
