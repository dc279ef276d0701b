"""Labels: one for each image, and of a class that there is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.data.problems import by, problem

MOST_CLASSES = 1 << 20


def checked(
    labels: NDArray[Any], images: int, classes: int | None, source: str
) -> NDArray[np.int64]:
    """The labels as whole numbers of 0..`classes` - 1 (None: not stated how many there are).

    Raises DescriptionError where they are not one for each image, or there is no image.
    """
    if labels.ndim != 1 or len(labels) != images:
        raise problem("E324", f"`{source}` has {images} images and labels of {by(labels.shape)}")
    if not images:
        raise problem("E325", f"`{source}` has no images")
    if labels.dtype.kind not in "iu":
        raise problem("E324", f"labels of `{source}` are `{labels.dtype}`, not whole numbers")
    least, most = int(labels.min()), int(labels.max())
    limit = classes or MOST_CLASSES
    if least < 0 or most >= limit:
        wrong = least if least < 0 else most
        raise problem("E324", f"a label of `{source}` is {wrong}, outside 0..{limit - 1}")
    return labels.astype(np.int64)
