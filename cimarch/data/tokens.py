"""Texts for language models: tokens to predict from those before them.

A file of token ids (`.npy` of whole numbers, `.bin` of 16-bit ones, little endian) or of text,
which a tokenizer cuts; or a folder with `train` and `val` or `test` of any of these. A text that
holds `<|endoftext|>` is several, each predicted from its own beginning. Each text is cut in windows
of as many tokens as the network takes; the last is filled up, and the filling is not judged.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.data.dataset import UNJUDGED, DataSet, Examples
from cimarch.data.files import contents, existing
from cimarch.data.folder import FIFTH
from cimarch.data.mixing import divided
from cimarch.data.npz import array
from cimarch.data.problems import by, problem
from cimarch.diagnostics import listing

Ints = NDArray[np.int64]
Cut = Callable[[str], Sequence[int]]

CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
"""The 65 of the Shakespeare that character models learn, in order: `char-gpt` counts them so."""

END = "<|endoftext|>"
LARGEST_TEXT = 1 << 30
JUDGING = ("val", "test")
ENDINGS = (".npy", ".bin", ".txt")


def tokens(path: str, length: int, tokenizer: str | None = None) -> DataSet:
    """Read texts in windows of `length` tokens.

    `tokenizer` says how text is cut: `characters` (65 of them), `bytes` (256), or the file of a
    tokenizer of word pieces. Of a single file one window in five calibrates. Raises
    DescriptionError where the file is not there, is damaged, or holds what has no token.
    """
    found = existing(path)
    cut = _cut(tokenizer)
    if not found.is_dir():
        whole = _windows(_texts(found, cut), length, path)
        if len(whole) < 2:
            raise problem("E325", f"`{path}` has one window of {length} tokens: too few to divide")
        mine, others = divided(len(whole), max(1, len(whole) // FIFTH))
        note = f"one window in five, {len(mine):,}, calibrates, the other {len(others):,} judge"
        return _set(path, whole.take(others), lambda: whole.take(mine), (note,))
    judging = next((f for name in JUDGING if (f := _called(found, name))), None)
    if judging is None:
        names = ", ".join(f"`{name}{ending}`" for name in JUDGING for ending in ENDINGS)
        raise problem(
            "E321", f"`{path}` has no file of tokens that judge", notes=[f"one of {names}"]
        )
    train = _called(found, "train")
    return _set(
        path,
        _windows(_texts(judging, cut), length, str(judging)),
        lambda: _windows(_texts(train, cut), length, str(train)) if train else None,
    )


def _set(
    path: str, test: Examples, train: Callable[[], Examples | None], notes: tuple[str, ...] = ()
) -> DataSet:
    name = Path(path).stem or path
    return DataSet(name, test, (), load_train=train, kind="tokens", source=path, notes=notes)


def _called(folder: Path, name: str) -> Path | None:
    return next((p for ending in ENDINGS if (p := folder / f"{name}{ending}").is_file()), None)


def _texts(path: Path, cut: Cut | None) -> list[Ints]:
    """The token ids of each text of a file."""
    if path.suffix == ".npy":
        return _numbered(array(path), path)
    data = contents(path, LARGEST_TEXT)
    if path.suffix == ".bin":
        if len(data) % 2:
            raise problem("E322", f"`{path}` has {len(data)} bytes: not whole 16-bit numbers")
        return [np.frombuffer(data, "<u2").astype(np.int64)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise problem("E322", f"byte {error.start} of `{path}` is not UTF-8 text") from None
    if cut is None:
        raise problem(
            "E327",
            f"`{path}` is text, and nothing says how it is cut in tokens",
            helps=["--tokenizer characters, or bytes, or a file of word pieces"],
        )
    pieces = [each.strip("\n") for each in text.split(END)] if END in text else [text]
    return [np.array(cut(each), np.int64) for each in pieces if each.strip()]


def _numbered(found: NDArray[Any], path: Path) -> list[Ints]:
    if found.dtype.kind not in "iu" or found.ndim not in (1, 2):
        raise problem(
            "E322",
            f"`{path}` is {by(found.shape)} of `{found.dtype}`, not a row or a table of token ids",
        )
    if found.size and (int(found.min()) < 0 or int(found.max()) > 2**31):
        raise problem("E327", f"`{path}` holds {int(found.min())}, which is no token id")
    return list(np.atleast_2d(found).astype(np.int64))


def _windows(texts: list[Ints], length: int, source: str) -> Examples:
    """Windows of all texts, and the token behind each of theirs."""
    rows = [row for text in texts for row in _cut_up(text, length)]
    if not rows:
        raise problem("E325", f"`{source}` has no two tokens, one to be predicted from the other")
    stored, labels = (np.stack(each) for each in zip(*rows, strict=True))
    return Examples(stored.astype(np.int32), labels, None)


def _cut_up(text: Ints, length: int) -> list[tuple[Ints, Ints]]:
    found = []
    for first in range(0, len(text) - 1, length):
        behind = text[first + 1 : first + length + 1]
        mine = text[first : first + len(behind)]
        filled, labels = np.zeros(length, np.int64), np.full(length, UNJUDGED, np.int64)
        filled[: len(mine)], labels[: len(behind)] = mine, behind
        found.append((filled, labels))
    return found


def _cut(tokenizer: str | None) -> Cut | None:
    if tokenizer is None:
        return None
    if tokenizer == "characters":
        return _characters
    if tokenizer == "bytes":
        return lambda text: text.encode()
    return _word_pieces(tokenizer)


def _characters(text: str) -> list[int]:
    numbers = {letter: number for number, letter in enumerate(CHARACTERS)}
    strange = sorted(set(text) - set(numbers))
    if strange:
        raise problem(
            "E327",
            f"the text holds {listing(strange)}, for which there is no token",
            notes=[f"there are tokens for {len(CHARACTERS)} characters: {CHARACTERS.strip()}"],
        )
    return [numbers[letter] for letter in text]


def _word_pieces(file: str) -> Cut:
    from cimarch.workload.zoo import models

    path = existing(file)
    data = contents(path, LARGEST_TEXT)
    models()
    try:
        read = import_module("cimarch.models.word_pieces").WordPieces.read(data)
    except (struct.error, ValueError, IndexError, MemoryError) as error:
        raise problem("E322", f"`{file}` is no tokenizer", notes=[str(error)]) from None

    def cut(text: str) -> list[int]:
        try:
            found: list[int] = read.encode(text)
        except IndexError:
            raise problem("E327", f"`{file}` has no pieces for single bytes") from None
        return found

    return cut
