"""Small data sets in the forms in which they are handed on: what tests of reading read."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN = [f"data_batch_{number}" for number in range(1, 6)]


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Images (n, 32, 32, 3) of bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def labels(count: int) -> list[int]:
    """Each class once, and again."""
    return [number % 10 for number in range(count)]


def batch(images: np.ndarray, numbers: list[int], protocol: int = 2) -> bytes:
    """An official batch: a row of 3,072 bytes for each image, a channel after the other."""
    rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)
    content = {b"batch_label": b"batch", b"labels": numbers, b"data": rows,
               b"filenames": [b"x.png"] * len(images)}  # fmt: skip
    return pickle.dumps(content, protocol)


def official(folder: Path, count: int = 20) -> Path:
    """A folder with the six batches: `count` test images, and as many in five of training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_batch").write_bytes(batch(pictures(count), labels(count)))
    for number, name in enumerate(TRAIN):
        part = pictures(count // 5, seed=number + 1)
        (folder / name).write_bytes(batch(part, labels(len(part))))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}, 2))
    return folder


def archive(folder: Path, place: Path) -> Path:
    """The official archive of a folder of batches."""
    with tarfile.open(place, "w:gz") as file:
        for path in sorted(folder.iterdir()):
            file.add(path, f"cifar-10-batches-py/{path.name}")
    return place


def npz(folder: Path, count: int = 20) -> Path:
    """`cifar10_test.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "cifar10_test.npz", images=pictures(count),
             labels=np.array(labels(count), np.uint8))  # fmt: skip
    return folder


def mosaic(images: np.ndarray) -> np.ndarray:
    """The bytes of a lossless WebP of 40 rows of 25 images."""
    from PIL import Image

    whole = images.reshape(40, 25, 32, 32, 3).swapaxes(1, 2).reshape(1280, 800, 3)
    written = io.BytesIO()
    Image.fromarray(whole).save(written, "WEBP", lossless=True, quality=0, method=0)
    return np.frombuffer(written.getvalue(), np.uint8)


def mosaics(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """`cifar10_train_webp.npz` of a mosaic of 1,000 images, 3 of them lost; and the others."""
    images = np.repeat(pictures(10, seed=7), 100, axis=0)
    numbers, lossless = np.array(labels(1000), np.uint8), np.ones(1000, bool)
    lossless[[0, 500, 999]] = False
    np.savez(folder / "cifar10_train_webp.npz", webp_00=mosaic(images), labels=numbers,
             lossless=lossless)  # fmt: skip
    return images[lossless], numbers[lossless]


def by_class(folder: Path, images: np.ndarray, numbers: list[int], names: list[str]) -> Path:
    """A folder of pictures for each class."""
    from PIL import Image

    for place, (image, number) in enumerate(zip(images, numbers, strict=True)):
        inside = folder / names[number]
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(inside / f"{place:04}.png")
    return folder
