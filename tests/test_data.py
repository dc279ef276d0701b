"""Data sets: what is read, how it is divided, normalised and fitted, and what is refused."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import data_files
from cimarch import DescriptionError, Network, read_network
from cimarch.data.cifar import USUAL
from cimarch.data.dataset import UNJUDGED, DataSet
from cimarch.data.mixing import divided, mixed
from cimarch.data.normalisation import Normalise, beside, stated
from cimarch.data.pickled import batch
from cimarch.data.read import read_data
from cimarch.data.tokens import CHARACTERS
from cimarch.workload import zoo
from cimarch.workload.network import Operation, Tensor
from cimarch.workload.shapes import shapes_only

pytest.importorskip("PIL")

DATA = os.environ.get("CIMARCH_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CIMARCH_DATA names no folder of data")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cimarch" / "data"


def refused(code: str, text: str, network: Network | None = None, **options: str) -> str:
    """The headline with which a data set is refused."""
    with pytest.raises(DescriptionError) as caught:
        read_data(text, network, **options).calibrating()
    (found,) = caught.value.diagnostics
    assert found.code == code, found.headline
    return found.headline


# ------------------------------------------------------- orders and parts


def test_the_mixed_order_is_the_same_everywhere() -> None:
    assert mixed(8).tolist() == sorted(range(8), key=split_mix)
    assert mixed(1).tolist() == [0]
    assert mixed(0).tolist() == []


def split_mix(number: int) -> int:
    """SplitMix64's output, in whole numbers of Python."""
    mask = 2**64 - 1
    z = (number + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    return z ^ (z >> 31)


@given(count=st.integers(2, 400), data=st.data())
def test_what_calibrates_never_judges_and_nothing_is_lost(count: int, data: st.DataObject) -> None:
    train, test = divided(count, data.draw(st.integers(1, count - 1)))
    assert not set(train) & set(test)
    assert sorted([*train, *test]) == list(range(count))


def test_one_image_in_five_calibrates_where_a_set_is_not_divided(tmp_path: Path) -> None:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1) * np.ones((1, 4, 4), np.uint8)
    np.savez(tmp_path / "x.npz", images=images, labels=[3, 1, 2, 0, 1, 2, 3, 0, 1, 2])
    data = read_data(f"npz:{tmp_path}/x.npz")
    assert data.train is not None
    assert (len(data.train), len(data.test)) == (2, 8)
    seen = [*data.train.stored[:, 0, 0, 0].tolist(), *data.test.stored[:, 0, 0, 0].tolist()]
    assert sorted(seen) == list(range(10))
    assert data.notes == ("one image in five, 2, calibrates, the other 8 judge",)


def test_calibrating_takes_the_first_of_the_mixed_order() -> None:
    data = read_data("digits")
    assert data.train is not None
    first = data.train.labels[mixed(1297)[:5]]
    assert data.calibrating(5).labels.tolist() == first.tolist()
    assert len(data.calibrating()) == 1297


def test_more_images_than_there_are_cannot_be_asked_for() -> None:
    data = read_data("digits")
    with pytest.raises(DescriptionError, match="501 images that judge are asked of `digits`"):
        data.judging(501)
    with pytest.raises(DescriptionError, match="0 images that judge are asked"):
        data.judging(0)
    with pytest.raises(DescriptionError, match="it has 1297"):
        data.calibrating(1298)
    assert len(data.judging(500)) == 500


# ------------------------------------------------------- digits


def test_500_digits_judge_and_1297_calibrate() -> None:
    data = read_data("digits")
    assert data.train is not None
    assert (len(data.test), len(data.train)) == (500, 1297)
    assert data.classes == tuple("0123456789")
    assert set(data.test.labels) == set(range(10))
    inputs = data.test.inputs(0, 3)
    assert (inputs.shape, inputs.dtype) == ((3, 1, 8, 8), np.float32)
    assert (inputs == data.test.stored[:3] / np.float32(16)).all()
    assert (inputs.min(), inputs.max()) == (0, 1)


def test_the_digits_are_all_of_scikit_learns() -> None:
    whole = import_module("sklearn.datasets").load_digits().images.astype(np.uint8)
    data = read_data("digits")
    assert data.train is not None
    rows = np.concatenate([data.train.stored, data.test.stored]).reshape(1797, 64)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, whole.reshape(1797, 64)))


def test_a_digest_is_that_of_what_is_stored() -> None:
    data = read_data("digits")
    assert data.digest == read_data("digits").digest == data.judging(500).digest
    assert data.digest != data.judging(499).digest
    assert data.digest != data.calibrating(500).digest


# ------------------------------------------------------- CIFAR-10


def test_every_form_of_cifar10_gives_the_same_images(tmp_path: Path) -> None:
    folder = data_files.official(tmp_path / "cifar-10-batches-py")
    data_files.archive(folder, tmp_path / "cifar-10-python.tar.gz")
    data_files.npz(tmp_path / "npz")
    forms = [folder, tmp_path, tmp_path / "cifar-10-python.tar.gz", tmp_path / "npz",
             tmp_path / "npz" / "cifar10_test.npz"]  # fmt: skip
    sets = [read_data(f"cifar10:{form}") for form in forms]
    assert len({data.digest for data in sets}) == 1
    assert sets[0].test.shape == (3, 32, 32)
    assert (sets[0].test.stored[7] == data_files.pictures(20)[7].transpose(2, 0, 1)).all()
    assert sets[0].test.labels.tolist() == data_files.labels(20)
    trains = [data.train.digest for data in sets[:3] if data.train is not None]
    assert len(set(trains)) == 1
    assert len(trains) == 3
    assert sets[3].train is None


@pytest.mark.parametrize("protocol", range(5))
def test_a_batch_of_any_protocol_is_read(protocol: int) -> None:
    images = data_files.pictures(3)
    rows, labels = batch(data_files.batch(images, [5, 0, 9], protocol))
    assert labels == [5, 0, 9]
    assert (rows.reshape(3, 3, 32, 32) == images.transpose(0, 3, 1, 2)).all()


class Evil:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({b"labels": [0], b"data": Evil()}, "it asks for `"),
        ({b"labels": [0], b"data": np.array([Evil()])}, "it asks for `"),
        ({b"labels": [0], b"data": np.zeros((1, 3072))}, "not an array of bytes"),
        ({b"labels": [0.5], b"data": np.zeros((1, 3072), np.uint8)}, "holds instruction 0x47"),
        ({b"labels": [0], b"data": [0] * 3072}, "no array `data`"),
        ({b"labels": [0]}, "no array `data`"),
        ([1, 2], "no dictionary"),
        ({(1, 2): 3}, "something else than text"),
    ],
)
def test_a_pickle_that_is_no_batch_runs_nothing(
    content: object, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(DescriptionError) as caught:
        read_data(f"cifar10:{tmp_path}")
    (found,) = caught.value.diagnostics
    assert (found.code, why in found.notes[0]) == ("E322", True), found
    assert not (tmp_path / "evil").exists()


def test_mosaics_are_decoded_once_and_their_stand_ins_left_out(tmp_path: Path, cache: Path) -> None:
    data_files.npz(tmp_path)
    images, labels = data_files.mosaics(tmp_path)
    data = read_data(f"cifar10:{tmp_path}")
    assert data.notes == ("3 training images are left out: their tiles are not lossless",)
    train = data.train
    assert train is not None
    assert (train.stored == images.transpose(0, 3, 1, 2)).all()
    assert (train.labels == labels).all()
    assert len(train) == 997
    (kept,) = cache.iterdir()
    kept.write_bytes(b"nothing of the kind")
    assert (read_data(f"cifar10:{tmp_path}").calibrating().stored.shape) == (997, 3, 32, 32)
    written = kept.stat().st_mtime_ns
    again = read_data(f"cifar10:{tmp_path}").train
    assert again is not None
    assert again.digest == train.digest
    assert kept.stat().st_mtime_ns == written


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    data_files.npz(tmp_path)
    data_files.mosaics(tmp_path)
    train = read_data(f"cifar10:{tmp_path}").train
    assert train is not None
    assert len(train) == 997


@needs_data
def test_the_whole_of_cifar10_is_read() -> None:
    """7,983 lossless images at the head of the official test set, 49,927 of the training set."""
    data = read_data(f"cifar10:{DATA}", shapes_only("resnet20"))
    assert data.train is not None
    assert (len(data.test), len(data.train)) == (7983, 49927)
    assert data.test.labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert data.train.labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert np.bincount(data.test.labels).min() > 700
    assert data.notes == ("73 training images are left out: their tiles are not lossless",)


def test_cifar10_in_pictures_is_told_by_its_names(tmp_path: Path) -> None:
    images, numbers = data_files.pictures(20), data_files.labels(20)
    data_files.by_class(tmp_path / "ten", images, numbers, data_files.NAMES)
    data = read_data(f"cifar10:{tmp_path}/ten")
    assert (data.name, data.classes) == ("cifar10", tuple(data_files.NAMES))
    assert data.test.normalise is not None
    assert data.test.normalise.mean == USUAL.mean
    data_files.by_class(tmp_path / "other", images, numbers, list("abcdefghij"))
    assert "not called as the classes of CIFAR-10" in refused("E324", f"cifar10:{tmp_path}/other")


# ------------------------------------------------------- normalisation


def test_an_input_is_the_byte_over_255_less_the_mean_over_the_deviation() -> None:
    stored = np.array([0, 51, 255], np.uint8).reshape(1, 3, 1, 1)
    found = Normalise(255.0, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))(stored)
    assert found.ravel().tolist() == pytest.approx([-1.0, -0.2, 0.5])
    assert found.dtype == np.float32


def test_a_stated_normalisation_goes_before_the_data_sets_own() -> None:
    data = read_data("digits", normalise="0.5/0.25")
    plain = read_data("digits")
    assert (data.test.inputs(0, 9) == (plain.test.inputs(0, 9) - 0.5) / 0.25).all()
    assert data.test.normalise is not None
    assert data.test.normalise.source == "x / 16, stated: 0.5/0.25"


@pytest.mark.parametrize(
    "text", ["", "0.5", "a/b", "0.5/0", "0.5/-1", "1/2/3", "nan/1", "inf/1", "1,/2", "1,2/3,4,5"]
)
def test_what_is_no_mean_and_deviation_is_refused(text: str) -> None:
    assert text in refused("E328", "digits", normalise=text)


def test_means_of_three_channels_are_not_for_one() -> None:
    told = refused("E328", "digits", shapes_only("digits"), normalise="1,2,3/1,2,3")
    assert told == "inputs of `digits` have 1 channels, their normalisation 3"


def test_a_model_states_its_normalisation_in_the_file_beside_it(tmp_path: Path) -> None:
    model = tmp_path / "net.pt"
    assert beside(model) is None
    (tmp_path / "net.json").write_text('{"normalise": {"mean": [0.5], "deviation": [2]}}')
    assert beside(model) == stated("0.5/2").__class__(
        (0.5,), (2.0,), "`net.json` beside the model", True
    )
    for wrong in ('{"mean": [1]}', '{"mean": [1], "deviation": [0]}', "3", '{"mean": ["a"]}'):
        (tmp_path / "net.json").write_text(f'{{"normalise": {wrong}}}')
        with pytest.raises(DescriptionError, match="not two lists of numbers"):
            beside(model)
    for other in ("{", "[]", "{}", "\0"):
        (tmp_path / "net.json").write_text(other)
        assert beside(model) is None


def test_the_shipped_cifar_network_states_the_usual_normalisation() -> None:
    from cimarch import share

    found = beside(share.folder("models") / "resnet20.pt")
    assert found is not None
    assert (found.mean, found.deviation) == (USUAL.mean, USUAL.deviation)


def test_a_flattened_map_keeps_the_normalisation_of_its_channels(tmp_path: Path) -> None:
    images = data_files.pictures(10)[:, :2, :2]
    np.savez(tmp_path / "x.npz", images=images, labels=data_files.labels(10))
    data = read_data(f"npz:{tmp_path}/x.npz", normalise=".1,.2,.3/1,2,3")
    flat = data.fitted(vectors(12, 10))
    assert (flat.test.inputs() == data.test.inputs().reshape(len(data.test), 12)).all()
    assert (flat.calibrating().inputs() == data.calibrating().inputs().reshape(2, 12)).all()


def vectors(inputs: int, outputs: int) -> Network:
    """A network of one product, `only`."""
    product = Operation("only", "linear", ("x",), ("y",), rows=inputs, columns=outputs)
    tensors = {"x": Tensor("x", (inputs,)), "y": Tensor("y", (outputs,))}
    return Network("only", (product,), tensors, {}, ("x",), ("y",))


# ------------------------------------------------------- folders, arrays, functions


def test_folders_of_pictures_are_classes_in_order_of_their_names(tmp_path: Path) -> None:
    images, numbers = data_files.pictures(12), [0, 1, 2] * 4
    data_files.by_class(tmp_path / "set" / "train", images[:6], numbers[:6], ["10", "9", "2"])
    data_files.by_class(tmp_path / "set" / "test", images[6:], numbers[6:], ["10", "9", "2"])
    data = read_data(f"folder:{tmp_path}/set")
    assert (data.name, data.classes) == ("set", ("2", "9", "10"))
    at = {
        bytes(image.transpose(2, 0, 1).tobytes()): n
        for image, n in zip(images, numbers, strict=True)
    }
    for examples in (data.test, data.calibrating()):
        assert len(examples) == 6
        found = [2 - at[image.tobytes()] for image in examples.stored]
        assert examples.labels.tolist() == found
    assert data.test.inputs().max() <= 1


def test_grey_pictures_have_one_channel_and_among_coloured_ones_three(tmp_path: Path) -> None:
    grey = data_files.pictures(10)[..., 0]
    data_files.by_class(tmp_path / "grey", grey, [0, 1] * 5, ["a", "b"])
    assert read_data(f"folder:{tmp_path}/grey").test.shape == (1, 32, 32)
    data_files.by_class(tmp_path / "grey", data_files.pictures(1), [0], ["c"])
    mixed_ = read_data(f"folder:{tmp_path}/grey")
    assert mixed_.test.shape == (3, 32, 32)
    assert mixed_.classes == ("a", "b", "c")


def test_folders_that_hold_no_data_set_are_refused(tmp_path: Path) -> None:
    assert "no folder of a class" in refused("E325", f"folder:{tmp_path}")
    (tmp_path / "a").mkdir()
    assert "has no picture" in refused("E325", f"folder:{tmp_path}")
    data_files.by_class(tmp_path, data_files.pictures(1), [0], ["a"])
    assert "too few to divide" in refused("E325", f"folder:{tmp_path}")
    data_files.by_class(tmp_path, data_files.pictures(4)[:, :16], [0] * 4, ["b"])
    assert "3 x 16 x 32" in refused("E323", f"folder:{tmp_path}")
    for file in tmp_path.glob("*/*.png"):
        file.write_bytes(b"\x89PNG no")
    assert "no picture that can be read" in refused("E322", f"folder:{tmp_path}")


def test_transparent_pictures_are_refused(tmp_path: Path) -> None:
    with_alpha = np.full((5, 8, 8, 4), 200, np.uint8)
    data_files.by_class(tmp_path, with_alpha, [0, 1, 0, 1, 0], ["a", "b"])
    assert "pixels of mode `RGBA`" in refused("E322", f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((10, 6), (6,)),
        ((10, 8, 8), (1, 8, 8)),
        ((10, 3, 8, 9), (3, 8, 9)),
        ((10, 8, 9, 3), (3, 8, 9)),
        ((10, 8, 9, 1), (1, 8, 9)),
        ((10, 7, 8, 9), (7, 8, 9)),
        ((10, 1, 8, 3), (1, 8, 3)),
    ],
)
def test_the_layout_of_arrays_is_told_by_their_channels(
    shape: tuple[int, ...], wanted: tuple[int, ...], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros(shape), labels=np.arange(10))
    assert read_data(f"npz:{tmp_path}/x.npz").test.shape == wanted


def test_bytes_are_divided_by_255_and_other_numbers_are_not(tmp_path: Path) -> None:
    for dtype, wanted in (("u1", 0.2), ("f4", 51), ("f8", 51), ("i4", 51)):
        np.savez(tmp_path / "x.npz", images=np.full((10, 4), 51, dtype), labels=np.arange(10))
        inputs = read_data(f"npz:{tmp_path}/x.npz").test.inputs()
        assert inputs.ravel()[0] == np.float32(wanted)
        assert inputs.dtype == np.float32


def test_arrays_may_be_called_as_other_libraries_call_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((6, 28, 28), np.uint8), y_train=[1] * 6,
             x_test=np.zeros((4, 28, 28), np.uint8), y_test=[[0], [9], [3], [1]])  # fmt: skip
    data = read_data(f"npz:{tmp_path}/mnist.npz", shapes_only("mlp"))
    assert (len(data.test), len(data.calibrating())) == (4, 6)
    assert data.test.shape == (784,)
    assert data.test.labels.tolist() == [0, 9, 3, 1]


def test_what_is_sorted_by_class_is_mixed(tmp_path: Path) -> None:
    images = np.arange(20, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    np.savez(tmp_path / "x.npz", images=images, labels=[0] * 10 + [1] * 10)
    data = read_data(f"npz:{tmp_path}/x.npz")
    assert set(data.judging(6).labels) == {0, 1}
    assert (data.test.labels == (data.test.stored[:, 0] >= 10)).all()


OWN = """
import numpy as np

def pair():
    return np.zeros((10, 1, 8, 8), np.float32), np.arange(10)

def four():
    return (*pair(), *pair())

def named():
    return {"images": pair()[0], "labels": pair()[1], "classes": list("abcdefghij")}

def whole():
    from cimarch.data.read import read_data
    return read_data("digits")

def fails():
    raise RuntimeError("no disk")

def leaves():
    raise SystemExit(3)

def text():
    return "digits"

def nameless():
    return {"x": 1}

def ragged():
    return [[1], [2, 3]], [1]

def words():
    return np.array(["a", "b"]), np.arange(2)

number = 3
"""


@pytest.fixture
def my_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `my_data` in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_data", raising=False)
    (tmp_path / "my_data.py").write_text(OWN)
    (tmp_path / "broken_data.py").write_text("import no_such_package\n")
    (tmp_path / "wrong_data.py").write_text("def (\n")


@pytest.mark.usefixtures("my_data")
@pytest.mark.parametrize(
    ("function", "train", "test"),
    [("pair", 2, 8), ("four", 10, 10), ("named", 2, 8), ("whole", 1297, 500)],
)
def test_a_function_of_ones_own_gives_a_data_set(function: str, train: int, test: int) -> None:
    data = read_data(f"my_data:{function}", shapes_only("digits"))
    assert isinstance(data, DataSet)
    assert (len(data.calibrating()), len(data.test)) == (train, test)


@pytest.mark.usefixtures("my_data")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("my_data:fails", "calling `my_data:fails` raised RuntimeError: no disk"),
        ("my_data:leaves", "calling `my_data:leaves` raised SystemExit: 3"),
        ("my_data:text", "`my_data:text` gives a `str`, not a data set"),
        ("my_data:nameless", "gives a dictionary without `images` and `labels`"),
        ("my_data:ragged", "taken as arrays, raised ValueError"),
        ("my_data:number", "`my_data:number` is a `int`, not a function"),
        ("my_data:nothing", "`my_data` has no `nothing`"),
        ("no_such_data:x", "there is no module `no_such_data`"),
        ("broken_data:x", "importing `broken_data` raised ModuleNotFoundError"),
        ("wrong_data:x", "importing `wrong_data` raised SyntaxError"),
    ],
)
def test_a_function_that_gives_none_is_told(text: str, told: str) -> None:
    assert told in refused("E326", text)


@pytest.mark.usefixtures("my_data")
def test_words_are_no_images() -> None:
    assert "are `<U1`, not numbers" in refused("E322", "my_data:words")


# ------------------------------------------------------- tokens


def tokens_of(text: str, length: int, **options: str) -> DataSet:
    network = read_network("char-gpt", tokens=length, logits="all")
    return read_data(f"tokens:{text}", network, **options)


def test_a_text_is_cut_in_windows_each_token_judged_once(tmp_path: Path) -> None:
    """11 tokens, 4 at a time: 0123|1234, 4567|5678, 89..|9(10)."""
    np.save(tmp_path / "val.npy", np.arange(11))
    data = tokens_of(str(tmp_path), 4)
    assert data.kind == "tokens"
    assert data.test.inputs().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]
    assert data.test.labels.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, UNJUDGED, UNJUDGED]]
    assert data.test.inputs().dtype == np.int64
    assert data.train is None


def test_ids_of_16_bits_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "val.bin").write_bytes(struct.pack("<5H", 1, 2, 64, 4, 5))
    (tmp_path / "train.bin").write_bytes(struct.pack("<3H", 7, 8, 9))
    data = tokens_of(str(tmp_path), 4)
    assert data.test.inputs().tolist() == [[1, 2, 64, 4]]
    assert data.calibrating().labels.tolist() == [[8, 9, -1, -1]]


def test_one_window_in_five_of_a_single_file_calibrates(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Hear me speak. " * 20)
    data = tokens_of(f"{tmp_path}/text.txt", 30, tokenizer="characters")
    assert (len(data.test), len(data.calibrating())) == (8, 2)
    assert "".join(CHARACTERS[n] for n in data.test.stored[0]) == "Hear me speak. " * 2


def test_texts_with_an_end_are_each_predicted_from_their_own_beginning(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("abc\n<|endoftext|>\nde\n<|endoftext|>\n\n")
    data = tokens_of(str(tmp_path), 4, tokenizer="characters")
    a = CHARACTERS.index("a")
    assert (data.test.stored - a).tolist()[0][:2] == [0, 1]
    assert (data.test.labels - a).tolist()[1][0] == 4
    assert len(data.test) == 2


def test_the_65_characters_are_in_order() -> None:
    assert len(CHARACTERS) == 65
    assert list(CHARACTERS) == sorted(set(CHARACTERS))


def test_tokens_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("naïve")
    four = read_network("char-gpt", tokens=4, logits="all")
    told = refused("E327", f"tokens:{tmp_path}", four, tokenizer="characters")
    assert told == "the text holds `ï`, for which there is no token"
    assert "nothing says how it is cut" in refused("E327", f"tokens:{tmp_path}", four)
    np.save(tmp_path / "val.npy", np.arange(60, 70))
    told = refused("E327", f"tokens:{tmp_path}", four)
    assert "knows 65 tokens, 0 to 64" in told
    np.save(tmp_path / "val.npy", np.array([-1, 2]))
    assert "is no token id" in refused("E327", f"tokens:{tmp_path}", four)
    np.save(tmp_path / "val.npy", np.array([1]))
    assert "no two tokens" in refused("E325", f"tokens:{tmp_path}", four)


def pieces() -> object:
    zoo.models()
    made = import_module("cimarch.models.word_pieces").WordPieces
    single = [bytes([byte]) for byte in range(256)]
    joined = [b" a", b"ab", b"aa", b"aab", b"ba", b" b", b"aaaa", b"abab"]
    scores = [0.0] * 259 + [1.0, 3.0, 3.0, 2.0, 2.5, 0.5, 4.0, 1.5]
    return made([b"<unk>", b"<s>", b"</s>", *single, *joined], scores)


@given(st.text("ab ", max_size=40) | st.text(max_size=10))
def test_word_pieces_are_joined_best_first(text: str) -> None:
    """The same as joining the best pair of the whole text, again and again."""
    made = pieces()
    numbers = [n for letter in " " + text for n in made._letter(letter.encode())]
    while True:
        found = [
            (made.scores[joined], -place, joined)
            for place, (left, right) in enumerate(pairwise(numbers))
            if (joined := made.numbers.get(made.pieces[left] + made.pieces[right])) is not None
        ]
        if not found:
            break
        _, place, joined = max(found)
        numbers[-place : 2 - place] = [joined]
    assert made.encode(text) == [1, *numbers]


# ------------------------------------------------------- what does not fit


def test_a_data_set_of_another_shape_is_refused() -> None:
    told = refused("E323", "digits", shapes_only("resnet20"))
    assert (
        told == "the inputs of `digits` are 1 x 8 x 8, those of the network `resnet20` 3 x 32 x 32"
    )


def test_a_data_set_of_other_classes_is_refused(tmp_path: Path) -> None:
    assert refused("E324", "digits", vectors(64, 12)) == (
        "`digits` has 10 classes, and `only` gives 12 outputs"
    )
    np.savez(tmp_path / "x.npz", images=np.zeros((20, 4)), labels=np.arange(20))
    told = refused("E324", f"npz:{tmp_path}/x.npz", vectors(4, 10))
    assert told == "`x` has labels up to 19, and `only` gives 10 outputs"
    assert read_data(f"npz:{tmp_path}/x.npz", vectors(4, 20)).test.shape == (4,)


def test_maps_are_laid_out_in_a_row_for_a_network_of_vectors() -> None:
    data = read_data("digits", vectors(64, 10))
    assert data.test.shape == (64,)
    assert (data.test.inputs(0, 5) == read_data("digits").test.inputs(0, 5).reshape(5, 64)).all()


def test_images_are_not_for_a_network_of_tokens(tmp_path: Path) -> None:
    told = refused("E323", "digits", read_network("char-gpt", tokens=64))
    assert told == "`char-gpt` takes tokens, and `digits` holds images"
    np.save(tmp_path / "x.npy", np.arange(99))
    assert "takes no row of tokens" in refused(
        "E323", f"tokens:{tmp_path}/x.npy", shapes_only("resnet20")
    )


def test_a_network_of_the_last_token_is_judged_by_full_windows(tmp_path: Path) -> None:
    np.save(tmp_path / "val.npy", np.arange(11))
    last = read_network("char-gpt", tokens=4)
    every = read_network("char-gpt", tokens=4, logits="all")
    assert read_data(f"tokens:{tmp_path}", every).test.labels.shape == (3, 4)
    data = read_data(f"tokens:{tmp_path}", last)
    assert data.test.labels.tolist() == [[4], [8]]
    assert data.test.inputs().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_an_encoder_tells_no_next_token(tmp_path: Path) -> None:
    np.save(tmp_path / "val.npy", np.arange(11))
    told = refused("E323", f"tokens:{tmp_path}", read_network("bert-large", tokens=4))
    assert told == "`bert-large` gives 1024 outputs for 4 tokens: not what comes after each"


def test_labels_of_a_data_set_of_ones_own_are_checked() -> None:
    data = read_data("digits")
    wrong = attrs.evolve(data, test=attrs.evolve(data.test, labels=data.test.labels + 1))
    with pytest.raises(DescriptionError, match="a label of `digits` is 10, outside"):
        wrong.fitted(shapes_only("digits"))


def test_a_path_without_a_name_is_told_the_names(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError) as caught:
        read_data(str(tmp_path))
    assert caught.value.diagnostics[0].helps[0] == f"--data cifar10:{tmp_path}"


def test_a_module_is_named_without_its_ending() -> None:
    with pytest.raises(DescriptionError) as caught:
        read_data("my_digits.py:load")
    (found,) = caught.value.diagnostics
    assert found.helps == ("a module is named without its ending: `my_digits:load`",)


def test_a_path_from_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    data_files.npz(tmp_path / "set", 4)
    assert len(read_data("cifar10:~/set").test) == 4


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        ("E320", "", "there is no data set ``"),
        ("E320", "mnist", "there is no data set `mnist`"),
        ("E320", "CIFAR10:x", "there is no data set `CIFAR10:x`"),
        ("E320", "cifar10", "data set `cifar10` is given without a path"),
        ("E320", "npz:", "data set `npz` is given without a path"),
        ("E320", "digits:x", "data set `digits` takes no path, and `x` is given"),
        ("E320", "tokens:x", "`tokens:x` is cut to a network's length, and none is given"),
        ("E321", "cifar10:/no/such/folder", "there is no file or folder `/no/such/folder`"),
        ("E321", "npz:/no/such/file.npz", "there is no file `/no/such/file.npz`"),
        ("E321", "folder:" + "x" * 5000, "there is no file or folder `xxx"),
        ("E321", "folder:a\0b", "there is no file or folder `a"),
    ],
)
def test_a_data_set_that_is_not_there_is_told(code: str, text: str, told: str) -> None:
    assert refused(code, text).startswith(told)


@pytest.mark.parametrize(
    ("images", "labels", "code", "told"),
    [
        (np.zeros((0, 4)), np.zeros(0, int), "E325", "has no images"),
        (np.zeros((3, 4)), np.arange(2), "E324", "has 3 images and labels of 2"),
        (np.zeros((3, 4)), np.array([0, -1, 2]), "E324", "a label of"),
        (np.zeros((3, 4)), np.array([0, 1.5, 2]), "E324", "are `float64`, not whole numbers"),
        (np.full((3, 4), np.nan), np.arange(3), "E322", "3 images of"),
        (np.full((3, 4), 1e300), np.arange(3), "E322", "float32 has no room"),
        (np.zeros((3, 4), complex), np.arange(3), "E322", "holds `complex128`, not numbers"),
        (np.zeros(3), np.arange(3), "E323", "too few dimensions"),
        (np.zeros((3, 0)), np.arange(3), "E323", "too few dimensions"),
        (np.zeros((3, 1, 1, 1, 1)), np.arange(3), "E323", "too many dimensions"),
        (np.zeros((1, 4)), np.arange(1), "E325", "too few to divide"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(
    images: np.ndarray, labels: np.ndarray, code: str, told: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", images=images, labels=labels)
    assert told in refused(code, f"npz:{tmp_path}/x.npz")


def test_a_label_above_nine_is_not_cifars(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10_test.npz", images=data_files.pictures(3), labels=[0, 10, 1])
    assert refused("E324", f"cifar10:{tmp_path}").endswith("is 10, outside 0..9")


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.array([Evil()], object), labels=[0])
    assert "holds `object`, not numbers" in refused("E322", f"npz:{tmp_path}/x.npz")


def test_what_an_extra_brings_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimarch.data.digits.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert refused("E329", "digits") == "data set `digits` takes scikit-learn"


def test_the_file_of_the_digits_is_what_scikit_learn_reads_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = read_data("digits")
    monkeypatch.setattr("cimarch.data.digits.find_spec", lambda name: None)
    assert read_data("digits").digest == read.digest
