"""CIFAR-10's training images as lossless WebP mosaics, and a decoded copy that is kept.

An npz file of arrays `webp_*`, each the bytes of one image of 40 rows and 25 columns of tiles of
32 x 32, in the order of the data set; `labels` of all tiles; and `lossless`, false for a tile that
stands in for one that was not to be had: such are left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.data.cache import kept
from cimarch.data.files import contents
from cimarch.data.npz import arrays, names_of
from cimarch.data.pictures import pixels
from cimarch.data.problems import problem

ROWS, COLUMNS, SIDE = 40, 25, 32
TILES = ROWS * COLUMNS

Pixels = NDArray[np.uint8]


def mosaics(path: Path) -> tuple[Pixels, NDArray[Any]]:
    """Images (n, 3, 32, 32) and labels of the tiles that are lossless.

    Decoding takes seconds: the images are kept in the cache folder under the digest of the file.
    Raises DescriptionError where it is damaged, or Pillow is missing.
    """
    names = sorted(name for name in names_of(path) if name.startswith("webp_"))
    if not names:
        raise problem("E322", f"`{path}` has no array `webp_*`")
    about = arrays(path, ("labels", "lossless"))
    labels, lossless = about["labels"], about["lossless"].astype(bool)
    if labels.shape != (len(names) * TILES,) or lossless.shape != labels.shape:
        raise problem(
            "E322",
            f"`{path}` has {len(names)} mosaics of {TILES} tiles and {labels.size} labels",
        )
    shape = (int(lossless.sum()), SIDE, SIDE, 3)
    key = f"mosaics-1-{hashlib.sha256(contents(path)).hexdigest()[:32]}"
    images = kept(key, shape, lambda: _decoded(path, names, lossless))
    return images.transpose(0, 3, 1, 2), labels[lossless]


def _decoded(path: Path, names: list[str], lossless: NDArray[np.bool_]) -> Pixels:
    found = np.empty((int(lossless.sum()), SIDE, SIDE, 3), np.uint8)
    first = 0
    for number, name in enumerate(names):
        data = arrays(path, (name,))[name].tobytes()
        whole = pixels(data, f"`{name}` of `{path}`", size=(COLUMNS * SIDE, ROWS * SIDE))
        tiles = whole.reshape(ROWS, SIDE, COLUMNS, SIDE, 3).swapaxes(1, 2)
        mine = tiles.reshape(TILES, SIDE, SIDE, 3)[lossless[number * TILES :][:TILES]]
        found[first : first + len(mine)] = mine
        first += len(mine)
    return found
