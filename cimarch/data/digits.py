"""The digits that come with scikit-learn: 1,797 images of 8 x 8, no download.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
1998 (its test part): each of the 64 numbers counts the dark pixels, 0 to 16, of a 4 x 4 square.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.mixing import divided
from cimarch.data.normalisation import Normalise, Stated
from cimarch.data.problems import need

TRAIN = 1297
"""Images that calibrate (and train); the other 500 judge."""
DIGITS = tuple("0123456789")
SIXTEENTHS = Normalise(16.0, source="the data set: x / 16")


def digits(normalise: Stated | None = None) -> DataSet:
    """Read the digits; DescriptionError where scikit-learn is missing."""
    images, labels = _stored()
    train, test = divided(len(labels), TRAIN)
    scale = SIXTEENTHS.as_stated(normalise)
    return DataSet(
        "digits",
        Examples(images[test], labels[test], scale),
        DIGITS,
        load_train=lambda: Examples(images[train], labels[train], scale),
        source="scikit-learn",
        notes=(f"{len(train):,} of its {len(labels):,} images calibrate, the others judge",),
    )


def _stored() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 1, 8, 8) and labels: from scikit-learn's file, for importing it takes seconds."""
    spec = find_spec("sklearn")
    file = Path(spec.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if spec else None
    if file is not None and file.is_file():
        rows = np.loadtxt(file, np.uint8, delimiter=",")
    else:
        found = need("sklearn.datasets", "data set `digits`", "scikit-learn").load_digits()
        rows = np.column_stack([found.data, found.target]).astype(np.uint8)
    return rows[:, :64].reshape(-1, 1, 8, 8), rows[:, 64].astype(np.int64)
