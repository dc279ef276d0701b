"""CIFAR-10 in every form that it is handed on in.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 50,000 training and
10,000 test images of 32 x 32, ten classes.

- the official python batches, in a folder or in their tar.gz
- `cifar10_test.npz` (`images` (n, 32, 32, 3), `labels`) and, for calibration,
  `cifar10_train_webp.npz` (mosaics, `cimarch.data.mosaics`), in a folder; or the first alone
- a folder of images by class
"""

from __future__ import annotations

import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.files import contents, existing
from cimarch.data.labels import checked
from cimarch.data.mosaics import mosaics
from cimarch.data.normalisation import Normalise, Stated
from cimarch.data.npz import arrays
from cimarch.data.pickled import batch
from cimarch.data.problems import by, problem

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
USUAL = Normalise(
    255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
    "usual for CIFAR-10: x / 255, mean .485 .456 .406, deviation .229 .224 .225",
)  # fmt: skip
"""What the networks of `models/` and most public CIFAR-10 checkpoints were trained with."""

TEST_BATCH = "test_batch"
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
INSIDE = "cifar-10-batches-py"
"""The folder that the official archive holds."""
TEST_NPZ, TRAIN_NPZ = "cifar10_test.npz", "cifar10_train_webp.npz"
LARGEST_BATCH = 64 << 20
LARGEST_ARCHIVE = 1 << 30
"""Bytes of an archive, unpacked."""

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
DAMAGED = (
    pickle.UnpicklingError, EOFError, IndexError, ValueError, KeyError, TypeError, AttributeError,
    OverflowError, MemoryError, AssertionError, struct.error,
)  # fmt: skip


def cifar10(path: str, normalise: Stated | None = None) -> DataSet:
    """Read CIFAR-10 from a file or folder; DescriptionError where it is not there, or damaged."""
    found = existing(path)
    inner = found / INSIDE if found.is_dir() and (found / INSIDE).is_dir() else found
    scale = USUAL.as_stated(normalise)
    for is_it, read in FORMS:
        if is_it(inner):
            return read(inner, scale)
    raise problem(
        "E321",
        f"`{path}` is no form of CIFAR-10",
        helps=[
            f"name a folder that holds `{TEST_BATCH}`, `{TEST_NPZ}` or an image folder for each "
            "class, or the file `cifar-10-python.tar.gz`"
        ],
    )


def _of(
    path: Path, test: tuple[Pixels, Labels], train: Callable[[], Examples | None], scale: Normalise
) -> DataSet:
    return DataSet(
        "cifar10", _examples(*test, scale, path), CLASSES, load_train=train, source=str(path),
        mirrors=True,
    )  # fmt: skip


def _examples(images: Pixels, labels: Labels, scale: Normalise, path: Path) -> Examples:
    """Images (n, 3, 32, 32) with their labels, once they are CIFAR-10's."""
    if images.dtype != np.uint8 or images.shape[1:] != (3, 32, 32):
        raise problem(
            "E323",
            f"the images of `{path}` are {by(images.shape[1:])} of `{images.dtype}`, those of "
            "CIFAR-10 3 x 32 x 32 of `uint8`",
        )
    return Examples(images, checked(labels, len(images), len(CLASSES), str(path)), scale)


def _official(folder: Path, scale: Normalise) -> DataSet:
    def read(names: tuple[str, ...]) -> Examples:
        pieces = {name: contents(folder / name, LARGEST_BATCH) for name in names}
        return _joined(pieces, scale, folder)

    def train() -> Examples | None:
        there = tuple(name for name in TRAIN_BATCHES if (folder / name).exists())
        return read(there) if there else None

    test = read((TEST_BATCH,))
    return DataSet("cifar10", test, CLASSES, load_train=train, source=str(folder), mirrors=True)


def _joined(pieces: dict[str, bytes], scale: Normalise, path: Path) -> Examples:
    images, labels = [], []
    for name, data in pieces.items():
        try:
            pixels, mine = batch(data)
            images.append(pixels.reshape(-1, 3, 32, 32))
            labels.append(np.array(mine, np.int64))
        except DAMAGED as error:
            why = str(error)[:200] or "it ends too early"
            raise problem(
                "E322", f"`{name}` of `{path}` is no batch of CIFAR-10", notes=[why]
            ) from None
    return _examples(np.concatenate(images), np.concatenate(labels), scale, path)


def _archive(path: Path, scale: Normalise) -> DataSet:
    def read(names: tuple[str, ...]) -> Examples | None:
        pieces = _members(path, names)
        return _joined(pieces, scale, path) if pieces else None

    test = read((TEST_BATCH,))
    if test is None:
        raise problem("E322", f"`{path}` holds no `{TEST_BATCH}`")
    return DataSet(
        "cifar10", test, CLASSES, load_train=lambda: read(TRAIN_BATCHES), source=str(path),
        mirrors=True,
    )  # fmt: skip


def _members(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Some files of an archive by their last name, read without unpacking it anywhere."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.offset_data + member.size > LARGEST_ARCHIVE:
                    raise problem("E322", f"`{path}` holds more than {LARGEST_ARCHIVE:,} bytes")
                name = member.name.rpartition("/")[2]
                if name in names and member.isreg() and member.size <= LARGEST_BATCH:
                    opened = archive.extractfile(member)
                    assert opened is not None
                    found[name] = opened.read()
                if len(found) == len(names):
                    break
    except (tarfile.TarError, zlib.error, OSError, *DAMAGED) as error:
        raise problem("E322", f"`{path}` is damaged", notes=[str(error)[:200]]) from None
    return {name: found[name] for name in names if name in found}


def _npz(path: Path, scale: Normalise) -> DataSet:
    """`cifar10_test.npz`, by itself or in a folder beside the training images."""
    file = path / TEST_NPZ if path.is_dir() else path
    beside = file.parent / TRAIN_NPZ
    found = arrays(file, ("images", "labels"))
    images = found["images"]
    if images.ndim != 4:
        raise problem("E323", f"`images` of `{file}` is {by(images.shape)}, not n x 32 x 32 x 3")

    def train() -> Examples | None:
        return _examples(*mosaics(beside), scale, beside) if beside.is_file() else None

    made = _of(path, (images.transpose(0, 3, 1, 2), found["labels"]), train, scale)
    return attrs.evolve(made, notes=_left_out(beside)) if beside.is_file() else made


def _left_out(path: Path) -> tuple[str, ...]:
    lost = int((~arrays(path, ("lossless",))["lossless"].astype(bool)).sum())
    return (f"{lost} training images are left out: their tiles are not lossless",) if lost else ()


def _by_class(folder: Path, scale: Normalise) -> DataSet:
    from cimarch.data.folder import image_folder

    found = image_folder(str(folder), Stated(scale.mean, scale.deviation, scale.source))
    if found.classes not in (CLASSES, tuple("0123456789")):
        raise problem(
            "E324",
            f"the folders of `{folder}` are not called as the classes of CIFAR-10",
            notes=[f"they are {', '.join(found.classes[:12])}"],
            helps=[f"call them {', '.join(CLASSES)}, or 0 to 9"],
        )
    _examples(found.test.stored, found.test.labels, scale, folder)
    return attrs.evolve(found, name="cifar10", classes=CLASSES)


def _is_archive(path: Path) -> bool:
    return path.is_file() and (".tar" in path.name or path.suffix in (".tgz", ".gz"))


FORMS: tuple[tuple[Callable[[Path], bool], Callable[[Path, Normalise], DataSet]], ...] = (
    (lambda path: (path / TEST_BATCH).is_file(), _official),
    (lambda path: (path / TEST_NPZ).is_file() or path.suffix == ".npz", _npz),
    (_is_archive, _archive),
    (Path.is_dir, _by_class),
)
"""How each form is told, and what reads it; the first that fits."""
