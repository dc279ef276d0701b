"""Whatever stands in the files of a data set, reading ends in a data set or in a diagnostic."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import data_files
from cimarch import DescriptionError, Network, read_network
from cimarch.data.mosaics import mosaics
from cimarch.data.read import read_data

pytest.importorskip("PIL")

CASES = 120
"""Damaged files of each form."""

LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
"""Numbers that are read as sizes."""


def npz_bytes(**arrays: object) -> bytes:
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


def compressed(**arrays: object) -> bytes:
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    return written.getvalue()


def npy_bytes(array: np.ndarray) -> bytes:
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def archive_bytes(folder: Path) -> bytes:
    data_files.official(folder / "batches", 5)
    return data_files.archive(folder / "batches", folder / "a.tar.gz").read_bytes()


def picture(form: str, mode: str) -> bytes:
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(data_files.pictures(1)[0]).convert(mode).save(written, form)
    return written.getvalue()


def in_folder(place: Path, name: str, data: bytes) -> str:
    inside = place / "set" / "a"
    inside.mkdir(parents=True, exist_ok=True)
    for old in inside.iterdir():
        old.unlink()
    (inside / f"0-{name}").write_bytes(data)
    (inside / f"1-{name}").write_bytes(data)
    return f"folder:{place / 'set'}"


def at(place: Path, name: str, data: bytes, kind: str) -> str:
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data)
    return f"{kind}:{place if kind == 'cifar10' and '.' not in name else place / name}"


def tokenizer_bytes() -> bytes:
    import struct

    pieces = [b"<unk>", b"<s>", b"</s>", *(bytes([b]) for b in range(256)), b" a", b"ab"]
    body = [struct.pack("<fi", 1.0, len(piece)) + piece for piece in pieces]
    return struct.pack("<i", 3) + b"".join(body)


SMALL = {"images": data_files.pictures(6)[:, :4, :4], "labels": np.arange(6)}
FORMS: dict[str, tuple[Callable[[Path], bytes], Callable[[Path, bytes], str]]] = {
    "batch": (
        lambda place: data_files.batch(data_files.pictures(2), [3, 9]),
        lambda place, data: at(place, "test_batch", data, "cifar10"),
    ),
    "batch of text": (
        lambda place: data_files.batch(data_files.pictures(2), [3, 9], 0),
        lambda place, data: at(place, "test_batch", data, "cifar10"),
    ),
    "batch in frames": (
        lambda place: data_files.batch(data_files.pictures(2), [3, 9], 4),
        lambda place, data: at(place, "test_batch", data, "cifar10"),
    ),
    "archive": (archive_bytes, lambda place, data: at(place, "c.tar.gz", data, "cifar10")),
    "npz": (
        lambda place: npz_bytes(**SMALL),
        lambda place, data: at(place, "x.npz", data, "npz"),
    ),
    "compressed npz": (
        lambda place: compressed(**SMALL),
        lambda place, data: at(place, "x.npz", data, "npz"),
    ),
    "cifar npz": (
        lambda place: compressed(images=data_files.pictures(2), labels=[0, 1]),
        lambda place, data: at(place, "cifar10_test.npz", data, "cifar10"),
    ),
    "png": (lambda p: picture("PNG", "RGB"), lambda p, data: in_folder(p, "x.png", data)),
    "palette": (lambda p: picture("PNG", "P"), lambda p, data: in_folder(p, "x.png", data)),
    "grey": (lambda p: picture("PNG", "L"), lambda p, data: in_folder(p, "x.png", data)),
    "jpeg": (lambda p: picture("JPEG", "RGB"), lambda p, data: in_folder(p, "x.jpg", data)),
    "webp": (lambda p: picture("WEBP", "RGB"), lambda p, data: in_folder(p, "x.webp", data)),
    "token ids": (
        lambda place: npy_bytes(np.arange(40)),
        lambda place, data: at(place, "x.npy", data, "tokens"),
    ),
    "16-bit ids": (
        lambda place: np.arange(40, dtype="<u2").tobytes(),
        lambda place, data: at(place, "x.bin", data, "tokens"),
    ),
    "text": (
        lambda place: b"What say you? <|endoftext|> Nothing, my lord.\n" * 4,
        lambda place, data: at(place, "x.txt", data, "tokens"),
    ),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with pieces cut out, doubled, overwritten or replaced by sizes."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        # The head of a file says most about the rest.
        top = draw(st.sampled_from([16, 64, 256, len(whole)]))
        first = draw(st.integers(0, max(0, min(top, len(data)) - 1)))
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(["flip", "cut", "double", "write", "size", "end"])):
            case "flip" if data:
                data[first] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[first : first + length]
            case "double":
                data[first:first] = data[first : first + length]
            case "write":
                data[first : first + length] = draw(st.binary(max_size=12))
            case "size":
                size = draw(st.sampled_from(LENGTHS)).to_bytes(8, "little")
                width = draw(st.sampled_from([1, 2, 4, 8]))
                data[first : first + width] = size[:width]
            case "end":
                del data[first:]
    return bytes(data)


def mistake(text: str, network: Network | None, **options: str) -> DescriptionError | None:
    """What is told of a data set when all of it is read; None where it is one."""
    try:
        data = read_data(text, network, **options)
        data.test.inputs(0, 4)
        if data.train is not None:
            data.calibrating().inputs(0, 4)
    except DescriptionError as error:
        return error
    return None


def ends_in_a_diagnostic_or_a_data_set(text: str, **options: str) -> None:
    network = (
        read_network("char-gpt", tokens=8, logits="all") if text.startswith("tokens") else None
    )
    error = mistake(text, network, **options)
    assert error is None or {d.code[:3] for d in error.diagnostics} == {"E32"}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_told(form: str, tmp_path: Path) -> None:
    make, put = FORMS[form]
    whole = make(tmp_path / "made")
    options = {"tokenizer": "characters"} if form == "text" else {}
    ends_in_a_diagnostic_or_a_data_set(put(tmp_path / "whole", whole), **options)

    @settings(max_examples=CASES, suppress_health_check=list(HealthCheck))
    @given(damaged(whole))
    def told(data: bytes) -> None:
        ends_in_a_diagnostic_or_a_data_set(put(tmp_path / "set", data), **options)

    told()


@settings(max_examples=CASES)
@given(content=st.binary(max_size=200), kind=st.sampled_from(sorted(FORMS)))
def test_bytes_of_no_meaning_are_told(
    content: bytes, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("set")
    ends_in_a_diagnostic_or_a_data_set(FORMS[kind][1](place, content))


@settings(max_examples=CASES)
@given(text=st.text(max_size=30))
def test_a_name_of_any_text_is_told(text: str) -> None:
    error = mistake(text, read_network("digits"))
    assert error is not None
    assert error.render()


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("ab ab é " * 9)
    place = tmp_path / "pieces.bin"

    @settings(max_examples=CASES)
    @given(damaged(tokenizer_bytes()))
    def told(data: bytes) -> None:
        place.write_bytes(data)
        ends_in_a_diagnostic_or_a_data_set(f"tokens:{tmp_path}/x.txt", tokenizer=str(place))

    told()


def test_a_damaged_mosaic_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends too early, one of another size, and tiles without a label."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images, labels = np.zeros((1000, 32, 32, 3), np.uint8), np.zeros(1000, np.uint8)
    whole = data_files.mosaic(images)
    small = np.frombuffer(picture("WEBP", "RGB"), np.uint8)
    cases = (
        ({"webp_00": whole[:-9], "labels": labels}, "no picture that can be read"),
        ({"webp_00": small, "labels": labels}, "is 32 x 32 pixels, not 800 x 1280"),
        ({"webp_00": whole, "labels": labels[:9]}, "has 1 mosaics of 1000 tiles and 9 labels"),
        ({"labels": labels}, "has no array `webp_*`"),
    )
    for number, (arrays, why) in enumerate(cases):
        place = tmp_path / f"{number}.npz"
        np.savez(place, lossless=np.ones(1000, bool), **arrays)
        with pytest.raises(DescriptionError) as caught:
            mosaics(place)
        assert why in str(caught.value)


def test_an_array_that_claims_more_than_it_has_is_not_made_room_for(tmp_path: Path) -> None:
    """A head that says 2^40 numbers, in 200 bytes."""
    head = npy_bytes(np.zeros(1, np.uint8)).replace(b"(1,)", b"(1099511627776,)")
    (tmp_path / "x.npy").write_bytes(head)
    with pytest.raises(DescriptionError, match="1,099,511,627,776 bytes: it has not"):
        read_data(f"tokens:{tmp_path}/x.npy", read_network("char-gpt", tokens=8, logits="all"))


def test_a_folder_that_links_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path)
    with pytest.raises(DescriptionError, match="has no picture"):
        read_data(f"folder:{tmp_path}")
