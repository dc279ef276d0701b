"""The digits that come with scikit-learn: 1,797 images of 8 x 8, no download.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
1998 (its test part): each of the 64 numbers counts the dark pixels, 0 to 16, of a 4 x 4 square.
"""

from __future__ import annotations

import numpy as np

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
    found = need("sklearn.datasets", "data set `digits`", "scikit-learn").load_digits()
    images = found.images.astype(np.uint8)[:, None]  # (n, 1, 8, 8)
    labels = found.target.astype(np.int64)
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
