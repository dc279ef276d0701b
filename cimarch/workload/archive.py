"""A zip archive from a stranger: its members as bytes, within limits, and nothing run.

A .pt2 archive is a zip of JSON and raw arrays. Names, sizes and places are checked before anything
is unpacked: no encrypted member, no path that leaves the archive, no name twice, no two members in
the same bytes, and nothing that unpacks to far more than the file holds.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections import Counter

import attrs

from cimarch.workload.fields import Field, parse
from cimarch.workload.problems import listed, problem

LARGEST_JSON = 64 << 20
"""Bytes of one JSON member, unpacked: the graph of a model of 100 layers is a twentieth of that."""
LARGEST_RATIO = 100
"""Unpacked bytes per byte of the file; trained weights pack to no less than half."""
MOST_MEMBERS = 200_000

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LOCAL = struct.Struct("<4s22xHH")  # signature ... length of the name, of the extra field
_BAD = (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OverflowError, struct.error, EOFError,
        OSError, NotImplementedError, RuntimeError, zlib.error)  # fmt: skip
"""What zipfile raises on a damaged archive."""


@attrs.frozen(eq=False)
class Archive:
    """An opened zip whose directory has been checked."""

    data: memoryview
    """The whole file."""
    source: str
    members: dict[str, zipfile.ZipInfo]
    """By name, without the folder that torch puts around everything."""

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def json(self, name: str) -> Field:
        """Parse a member as JSON."""
        if self.info(name).file_size > LARGEST_JSON:
            size = self.info(name).file_size
            raise problem("E112", f"`{name}` is {size} bytes, above {LARGEST_JSON}")
        return parse(bytes(self.read(name)), name)

    def info(self, name: str) -> zipfile.ZipInfo:
        """The directory entry of a member that must be there."""
        if name not in self.members:
            raise problem(
                "E111",
                f"`{self.source}` has no member `{name}`",
                notes=[f"it has {listed(self.members)}"],
                helps=["export the model again"],
            )
        return self.members[name]

    def read(self, name: str) -> memoryview:
        """The bytes of a member: a view of the file where it is stored as it is."""
        info = self.info(name)
        packed = self.data[_start(self.data, info) :][: info.compress_size]
        if len(packed) < info.compress_size:
            raise _damaged(self.source, f"`{name}` ends after the end of the file")
        plain = packed if info.compress_type == zipfile.ZIP_STORED else _inflated(packed, info)
        if len(plain) != info.file_size or zlib.crc32(plain) != info.CRC:
            raise _damaged(self.source, f"`{name}` does not have the checksum that it states")
        return plain


def is_zip(data: memoryview) -> bool:
    """Whether the bytes begin as a zip archive does."""
    return bytes(data[:4]) in (b"PK\x03\x04", b"PK\x05\x06")


def open_archive(data: memoryview, source: str) -> Archive:
    """Read the directory of a zip archive and check it; unpacks nothing."""
    try:
        with zipfile.ZipFile(_Window(data)) as opened:
            infos = [info for info in opened.infolist() if not info.filename.endswith("/")]
    except _BAD as error:
        raise _damaged(source, str(error)) from None
    _check_names(infos, source)
    _check_sizes(infos, len(data), source)
    shared = _folder([info.filename for info in infos])
    return Archive(data, source, {info.filename[len(shared) :]: info for info in infos})


def _check_names(infos: list[zipfile.ZipInfo], source: str) -> None:
    names = [info.filename for info in infos]
    if len(names) > MOST_MEMBERS:
        raise problem("E112", f"`{source}` has {len(names)} members, above {MOST_MEMBERS}")
    for name in names:
        steps = name.replace("\\", "/").split("/")
        if steps[0] == "" or ".." in steps or ":" in name:
            raise problem("E110", f"member `{name}` of `{source}` points outside the archive")
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise problem("E110", f"`{source}` has {listed(twice)} more than once")
    for info in infos:
        if info.flag_bits & 0x1:
            raise problem("E110", f"member `{info.filename}` of `{source}` is encrypted")
        if info.compress_type not in _METHODS:
            raise problem(
                "E110",
                f"member `{info.filename}` of `{source}` is packed by zip method "
                f"{info.compress_type}, neither stored (0) nor deflated (8)",
            )


def _check_sizes(infos: list[zipfile.ZipInfo], size: int, source: str) -> None:
    unpacked = sum(info.file_size for info in infos)
    if unpacked > LARGEST_RATIO * size:
        raise problem(
            "E112",
            f"`{source}` would unpack {size} bytes to {unpacked}, above {LARGEST_RATIO} for one",
            notes=["a trained model does not pack like that"],
        )
    if sum(info.compress_size for info in infos) > size:
        raise problem("E110", f"`{source}` has members that lie in the same bytes")
    for info in infos:
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise _damaged(source, f"`{info.filename}` states two sizes")


def _folder(names: list[str]) -> str:
    """The folder around all members (torch names it after the file), or nothing."""
    first = names[0].partition("/")[0] + "/" if names else ""
    return first if first and all(name.startswith(first) for name in names) else ""


def _start(data: memoryview, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin: after its local header."""
    header = bytes(data[info.header_offset : info.header_offset + _LOCAL.size])
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise _damaged(info.filename, "its local header is not there")
    _, name, extra = _LOCAL.unpack(header)
    return info.header_offset + _LOCAL.size + int(name) + int(extra)


def _inflated(packed: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """Unpack, but never beyond the size that the directory states."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return memoryview(unpacker.decompress(packed, info.file_size + 1))
    except (zlib.error, OverflowError, MemoryError) as error:
        raise _damaged(info.filename, str(error)) from None


def _damaged(source: str, reason: str) -> Exception:
    return problem(
        "E111",
        f"`{source}` is a damaged archive",
        notes=[reason] if reason else [],
        helps=["copy it again, or export the model again"],
    )


class _Window(io.RawIOBase):
    """A seekable stream over bytes in memory (or mapped), without a copy."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: len(self.data)}[whence]
        if base + offset < 0:
            raise OSError("seek before the start")
        self.at = base + offset
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.at + size
        taken = bytes(self.data[self.at : end])
        self.at += len(taken)
        return taken
