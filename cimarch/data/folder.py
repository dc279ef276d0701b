"""A folder of pictures: one folder for each class, in `train` and `test` or by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.files import contents, existing
from cimarch.data.mixing import divided, mixed
from cimarch.data.normalisation import Normalise, Stated
from cimarch.data.pictures import is_grey, pixels
from cimarch.data.problems import by, problem

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
LARGEST_FILE = 64 << 20
LARGEST_SET = 8 << 30
"""Bytes of all pixels together."""
BYTES = Normalise(255.0, source="bytes: x / 255")
FIFTH = 5
"""Of a set that is not divided, one example in five calibrates."""

Found = tuple[list[Path], NDArray[np.int64]]


def image_folder(path: str, normalise: Stated | None = None) -> DataSet:
    """Read a folder of pictures: `PATH/CLASS/*.png`, `.jpg` or `.webp`.

    With `PATH/train` and `PATH/test` (or `val`), the first calibrates and the second judges; else
    one picture in five calibrates. Classes are the folders in order of their names (as numbers,
    where all are); pictures are in mixed order. All must be of one size. Raises DescriptionError
    where there are none, or one is damaged.
    """
    root = existing(path)
    if not root.is_dir():
        raise problem("E321", f"`{path}` is no folder of images")
    scale = BYTES.as_stated(normalise)
    judging = next((root / n for n in ("test", "val") if (root / n).is_dir()), None)
    if judging is None:
        return _divided(root, scale)
    classes = _classes(judging)
    names = [folder.name for folder in classes]
    grey = _all_grey(_listed(classes)[0])
    test = _read(_listed(classes), scale, grey)

    def train() -> Examples | None:
        if not (root / "train").is_dir():
            return None
        mine = _classes(root / "train")
        if [folder.name for folder in mine] != names:
            raise problem("E324", f"`train` and `{judging.name}` of `{path}` have other classes")
        return _same(_read(_listed(mine), scale, grey), test, path)

    return DataSet(root.name or path, test, tuple(names), load_train=train, source=path)


def _divided(root: Path, scale: Normalise) -> DataSet:
    classes = _classes(root)
    files, labels = _listed(classes)
    if len(files) < 2:
        raise problem("E325", f"`{root}` has {len(files)} pictures: too few to divide")
    grey = _all_grey(files)
    train, test = divided(len(files), max(1, len(files) // FIFTH))
    chosen = _read(([files[i] for i in test], labels[test]), scale, grey)

    def load_train() -> Examples:
        mine = _read(([files[i] for i in train], labels[train]), scale, grey)
        return _same(mine, chosen, str(root))

    return DataSet(
        root.name or str(root),
        chosen,
        tuple(folder.name for folder in classes),
        load_train=load_train,
        source=str(root),
        notes=(f"one picture in five, {len(train):,}, calibrates, the other {len(test):,} judge",),
    )


def _classes(root: Path) -> list[Path]:
    """The folders of the classes in order; DescriptionError where there are none."""
    try:
        folders = [place for place in root.iterdir() if place.is_dir() and place.name[0] != "."]
    except OSError as error:
        raise problem("E321", f"`{root}` cannot be read", notes=[str(error.strerror)]) from None
    if not folders:
        raise problem("E325", f"`{root}` has no folder of a class")
    if all(folder.name.isdecimal() and folder.name.isascii() for folder in folders):
        return sorted(folders, key=lambda folder: (int(folder.name[:18]), folder.name))
    return sorted(folders, key=lambda folder: folder.name)


def _listed(classes: Sequence[Path]) -> Found:
    """The pictures of all classes with their labels, in mixed order."""
    files: list[Path] = []
    labels: list[int] = []
    for label, folder in enumerate(classes):
        mine = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS)
        if not mine:
            raise problem(
                "E325", f"`{folder}` has no picture", notes=[f"looked for {', '.join(ENDINGS)}"]
            )
        files += mine
        labels += [label] * len(mine)
    order = mixed(len(files))
    return [files[i] for i in order], np.array(labels, np.int64)[order]


def _all_grey(files: list[Path]) -> bool:
    return all(is_grey(contents(file, LARGEST_FILE), f"`{file}`") for file in files)


def _read(found: Found, scale: Normalise, grey: bool) -> Examples:
    """The pictures (n, channels, height, width), all of the first one's size."""
    files, labels = found
    images: NDArray[np.uint8] | None = None
    for place, file in enumerate(files):
        mine = pixels(contents(file, LARGEST_FILE), f"`{file}`", grey=grey).transpose(2, 0, 1)
        if images is None:
            if len(files) * mine.size > LARGEST_SET:
                raise problem(
                    "E322",
                    f"{len(files):,} pictures of {by(mine.shape)} are more than "
                    f"{LARGEST_SET >> 30} GiB",
                )
            images = np.empty((len(files), *mine.shape), np.uint8)
        if mine.shape != images.shape[1:]:
            raise problem(
                "E323",
                f"`{file}` is {by(mine.shape)}, and `{files[0]}` {by(images.shape[1:])}",
                helps=["give all pictures one size: nothing is cut or stretched here"],
            )
        images[place] = mine
    assert images is not None
    return Examples(images, labels, scale)


def _same(train: Examples, test: Examples, path: str) -> Examples:
    if train.shape != test.shape:
        raise problem(
            "E323",
            f"pictures of `{path}` that calibrate are {by(train.shape)}, those that judge "
            f"{by(test.shape)}",
        )
    return train
