"""A data set from arrays that somebody gives: an npz file, or a function of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.folder import BYTES, FIFTH
from cimarch.data.labels import checked
from cimarch.data.mixing import divided, mixed
from cimarch.data.normalisation import Normalise, Stated
from cimarch.data.npz import arrays, names_of
from cimarch.data.problems import by, problem

Array = NDArray[Any]

NAMES = (
    ("images", "labels", "train_images", "train_labels"),
    ("test_images", "test_labels", "train_images", "train_labels"),
    ("x_test", "y_test", "x_train", "y_train"),
)
"""What the arrays are called: those that judge, those that calibrate; the first that is there."""

AS_THEY_ARE = Normalise()
DEPTHS = (1, 3)
"""Channels by which the layout of maps is told."""


def npz(path: str, normalise: Stated | None = None) -> DataSet:
    """Read `images` and `labels`, and `train_images` and `train_labels`, of an npz file.

    Without the latter, one image in five calibrates. Raises DescriptionError where the file is not
    there, is damaged, or holds something else.
    """
    file = Path(path)
    there = set(names_of(file))
    names = next((n for n in NAMES if n[0] in there), NAMES[0])
    both = all(name in there for name in names[2:])
    found = arrays(file, names if both else names[:2])
    return of_arrays(file.stem, [found[n] for n in names if n in found], path, normalise=normalise)


def of_arrays(
    name: str,
    given: Sequence[Array],
    source: str,
    *,
    classes: Sequence[str] = (),
    normalise: Stated | None = None,
) -> DataSet:
    """The data set of (images, labels), or of (images, labels, train images, train labels).

    Images are (n, features), (n, height, width), (n, channels, height, width) or (n, height, width,
    channels), the last two told apart by which of the axes has a size of 1 or 3. Bytes are divided
    by 255, other numbers taken as they are, where `normalise` says nothing else. What is sorted by
    class is put in mixed order.
    """
    count = len(classes) or None
    test = _examples(given[0], given[1], source, count, normalise)
    names = tuple(map(str, classes))
    if len(given) == 4:
        train = _examples(given[2], given[3], source, count, normalise)
        if train.shape != test.shape:
            raise problem(
                "E323",
                f"training images of `{source}` are {by(train.shape)}, the others {by(test.shape)}",
            )
        return DataSet(name, test, names, load_train=lambda: train, source=source)
    if len(test) < 2:
        raise problem("E325", f"`{source}` has one image: too few to divide")
    mine, others = divided(len(test), max(1, len(test) // FIFTH))
    return DataSet(
        name,
        test.take(others),
        names,
        load_train=lambda: test.take(mine),
        source=source,
        notes=(f"one image in five, {len(mine):,}, calibrates, the other {len(others):,} judge",),
    )


def from_mapping(name: str, found: Mapping[str, Any], source: str) -> list[Array]:
    """The arrays of a mapping that calls them as an npz file does."""
    names = next((n for n in NAMES if n[0] in found and n[1] in found), None)
    if names is None:
        raise problem("E326", f"`{source}` gives a dictionary without `images` and `labels`")
    return [np.asarray(found[n]) for n in names if n in found]


def _examples(
    images: Array, labels: Array, source: str, classes: int | None, normalise: Stated | None
) -> Examples:
    for what, array in (("images", images), ("labels", labels)):
        if array.dtype.kind not in "biuf":
            raise problem("E322", f"{what} of `{source}` are `{array.dtype}`, not numbers")
    stored = _channels_first(images, source)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    numbers = checked(labels, len(stored), classes, source)
    if stored.dtype.kind == "f":
        stored = _finite(stored, source)
    scale = BYTES if stored.dtype == np.uint8 else AS_THEY_ARE
    if normalise is not None and (scale is BYTES or not normalise.of_bytes):
        scale = scale.as_stated(normalise)
    order = mixed(len(numbers)) if (np.diff(numbers) >= 0).all() else slice(None)
    return Examples(stored, numbers, scale).take(order)


def _finite(images: Array, source: str) -> Array:
    wrong = len(images) - int(np.isfinite(images).reshape(len(images), -1).all(axis=1).sum())
    if wrong:
        raise problem("E322", f"{wrong} images of `{source}` hold NaN or infinity")
    with np.errstate(over="ignore"):
        narrow = images.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise problem("E322", f"images of `{source}` hold numbers that float32 has no room for")
    return narrow


def _channels_first(images: Array, source: str) -> Array:
    """Images (n, channels, height, width), or (n, features)."""
    if images.ndim < 2 or 0 in images.shape[1:]:
        raise problem("E323", f"images of `{source}` are {by(images.shape)}: too few dimensions")
    if images.ndim == 2:
        return images
    if images.ndim == 3:
        return images[:, None]
    if images.ndim > 4:
        raise problem("E323", f"images of `{source}` are {by(images.shape)}: too many dimensions")
    first, last = images.shape[1] in DEPTHS, images.shape[3] in DEPTHS
    return images.transpose(0, 3, 1, 2) if last and not first else images
