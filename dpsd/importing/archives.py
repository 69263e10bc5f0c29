"""The files of a small .tar, .tar.gz or .zip, read in memory and never extracted.

What bounds them: the archive's size, packed and unpacked, the number of its entries, and the size of each. So there is
no limit on a ratio. The standard library's readers have no root for what they raise on odd bytes.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIZE_LIMIT = 1 << 20
"""Bytes of an archive, packed and, with .tar.gz, unpacked."""
ENTRY_LIMIT = 64
FILE_LIMIT = 64 * 1024
"""Bytes of one file; no configuration or certificate chain is larger."""

_ZIP, _GZIP = b"PK", b"\x1f\x8b"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveError(ValueError):
    """The message says what is wrong, as what follows the archive's name in a sentence."""


class Entry(NamedTuple):
    """name: as in the archive, without its folders' slash. content: None unless it is a plain file that fits.

    folder: it is one. wrong: why there is no content, as what follows the name in a sentence.
    """

    name: str
    content: bytes | None = None
    folder: bool = False
    wrong: str = ""

    def __repr__(self) -> str:
        return f"Entry({self.name!r})"


def unpack(data: bytes) -> list[Entry]:
    """Return what is in an archive; raises ArchiveError."""
    try:
        if data.startswith(_ZIP):
            return list(_unzip(data))
        return list(_untar(_gunzip(data) if data.startswith(_GZIP) else data))
    except ArchiveError:
        raise
    except Exception:
        raise ArchiveError("is no whole .tar, .tar.gz or .zip archive") from None


def _gunzip(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    unpacked = unpacking.decompress(data, SIZE_LIMIT + 1)
    if len(unpacked) > SIZE_LIMIT:
        raise ArchiveError(f"has more than {SIZE_LIMIT} bytes unpacked")
    if not unpacking.eof:
        raise EOFError
    return unpacked


def _untar(data: bytes) -> Iterator[Entry]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for _ in range(ENTRY_LIMIT):
            member = archive.next()
            if member is None:
                return
            yield _tar_entry(archive, member)
        if archive.next() is not None:
            raise _too_many()


def _tar_entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    name = member.name.rstrip("/")
    if member.isdir():
        return Entry(name, folder=True)
    if not member.isreg() or member.sparse is not None:
        return Entry(name, wrong="is a link, a device, a pipe or a sparse file")
    if member.size > FILE_LIMIT:
        return Entry(name, wrong=_TOO_LARGE)
    opened = archive.extractfile(member)
    return Entry(name, opened.read(FILE_LIMIT) if opened else b"")


def _unzip(data: bytes) -> Iterator[Entry]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if len(archive.infolist()) > ENTRY_LIMIT:
            raise _too_many()
        for info in archive.infolist():
            yield _zip_entry(archive, info)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    name, kind = info.filename.rstrip("/"), stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        return Entry(name, folder=True)
    if kind not in (0, stat.S_IFREG):
        return Entry(name, wrong="is a link, a device or a pipe")
    if info.flag_bits & 1 or info.compress_type not in _METHODS:
        return Entry(name, wrong="is encrypted, or packed in a way other than deflate")
    if info.file_size > FILE_LIMIT:
        return Entry(name, wrong=_TOO_LARGE)
    with archive.open(info) as opened:
        return Entry(name, opened.read(FILE_LIMIT))


_TOO_LARGE = f"has more than {FILE_LIMIT} bytes"


def _too_many() -> ArchiveError:
    return ArchiveError(f"has more than {ENTRY_LIMIT} entries")
