"""Reading an import bundle: good ones in every form, and hostile ones, which end in a problem and nothing else."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.importing.archives import ENTRY_LIMIT, FILE_LIMIT, SIZE_LIMIT
from dpsd.importing.bundle import NAMES, Bundle
from dpsd.importing.reading import load_bundle
from tests.unit.bundles import Content, put_folder, tar_of, tgz_of, zip_of
from tests.unit.examples import problem_of

GOOD = {"dpsd.toml": b"[dps]\r\n", "primary_key": b"AAAA\r\n"}
MEBIBYTE = bytes(1 << 20)


def load(path: Path, data: bytes | Content) -> Bundle:
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        put_folder(path, data)
    return load_bundle(str(path))


@pytest.mark.parametrize("pack", [dict, tar_of, tgz_of, zip_of])
@pytest.mark.parametrize("prefix", ["", "./", "dpsd/", "./dpsd/"])
def test_a_folder_and_each_archive_give_the_same(
    tmp_path: Path, pack: Callable[[Content], bytes | Content], prefix: str
) -> None:
    content = {f"{prefix}{name}": data for name, data in GOOD.items()}
    bundle = load(tmp_path / "bundle", GOOD if pack is dict else pack(content))
    assert dict(bundle.files) == GOOD
    assert bundle.place == f"{tmp_path}/bundle"


def test_a_bundle_shows_no_content(tmp_path: Path) -> None:
    assert "AAAA" not in repr(load(tmp_path / "bundle", GOOD))


@pytest.mark.parametrize("name", ["bundle.zip", "Bundle.TAR.GZ", "x.tgz"])
def test_a_folder_with_one_archive_stands_for_it(tmp_path: Path, name: str) -> None:
    bundle = load(tmp_path / "folder", {name: zip_of(GOOD), "dpsd-report.txt": b"adopted"})
    assert (dict(bundle.files), bundle.sources) == (GOOD, (f"{tmp_path}/folder/{name}",))


def test_a_folder_says_which_files_it_was_read_from(tmp_path: Path) -> None:
    bundle = load(tmp_path / "folder", {"DPSD.TOML": b"", "PRIMARY_KEY": b""})
    assert bundle.sources == (f"{tmp_path}/folder/DPSD.TOML", f"{tmp_path}/folder/PRIMARY_KEY")
    assert list(bundle.files) == ["dpsd.toml", "primary_key"]


def test_what_systems_leave_behind_is_ignored(tmp_path: Path) -> None:
    left = {"._dpsd.toml": b"", ".DS_Store": b"", "Thumbs.db": b"", "desktop.ini": b"", "dpsd-report.txt": b"x"}
    (tmp_path / "folder/System Volume Information").mkdir(parents=True)
    assert dict(load(tmp_path / "folder", GOOD | left).files) == GOOD
    inner = {"__MACOSX/._dpsd.toml": b"", "__MACOSX/dpsd/._primary_key": b"", "System Volume Information/x": b""}
    assert dict(load(tmp_path / "zip", zip_of(GOOD | left | inner)).files) == GOOD


@pytest.mark.parametrize("data", [{}, {".hidden": b"", "dpsd-report.txt": b"x"}, tar_of({}), zip_of({"._x": b""})])
def test_nothing_is_no_bundle(tmp_path: Path, data: bytes | Content) -> None:
    problem_of("bundle-missing", lambda: load(tmp_path / "bundle", data))


@pytest.mark.parametrize("name", ["missing", "missing/deeper", "nul\0", "x" * 5000])
def test_a_path_without_anything_is_no_bundle(tmp_path: Path, name: str) -> None:
    problem_of("bundle-missing", lambda: load_bundle(f"{tmp_path}/{name}"))


LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE)
WHOLE = tar_of(GOOD)
OUTSIDE = (
    "../dpsd.toml",
    "/dpsd.toml",
    "a/../../dpsd.toml",
    "a\\dpsd.toml",
    "./../.x",
    "../System Volume Information/x",
)
FORGED_SIZE = zip_of({"primary_key": bytes(FILE_LIMIT)}).replace(
    FILE_LIMIT.to_bytes(4, "little"), (FILE_LIMIT // 2).to_bytes(4, "little")
)
HOSTILE = {
    **{f"tar with {name}": tar_of({name: b""}) for name in OUTSIDE},
    **{f"zip with {name}": zip_of({name: b""}) for name in OUTSIDE},
    **{f"tar with type {kind!r}": tar_of({"primary_key": b""}, type=kind, linkname="/etc/shadow") for kind in LINKS},
    **{
        f"zip with mode {kind:o}": zip_of({"primary_key": b"/etc/shadow"}, kind | 0o777)
        for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK)
    },
    "10 MB in a tar": tar_of({"primary_key": MEBIBYTE * 10}),
    "10 MB in a zip": zip_of({"primary_key": MEBIBYTE * 10}),
    "10 MB of gzip": tgz_of({"primary_key": MEBIBYTE * 10}),
    "gzip of gzip": gzip.compress(tgz_of(GOOD)),
    "a file too large by a byte": tar_of({"primary_key": bytes(FILE_LIMIT + 1)}),
    "a zip that lies about a size": FORGED_SIZE,
    "a zip packed by lzma": zip_of(GOOD, method=zipfile.ZIP_LZMA),
    "a zip packed by bzip2": zip_of(GOOD, method=zipfile.ZIP_BZIP2),
    "an encrypted zip": zip_of(GOOD).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "a name twice in a tar": tar_of([("dpsd.toml", b"1"), ("dpsd.toml", b"2")]),
    "a name in two cases": tar_of([("dpsd.toml", b"1"), ("DPSD.TOML", b"2")]),
    "two folders": tar_of({"a/dpsd.toml": b"", "b/primary_key": b""}),
    "a folder beside files": tar_of({"dpsd.toml": b"", "b/primary_key": b""}),
    "nested folders": zip_of({"a/b/dpsd.toml": b""}),
    "too many entries in a tar": tar_of({f".{number}": b"" for number in range(ENTRY_LIMIT + 1)}),
    "too many entries in a zip": zip_of({f".{number}": b"" for number in range(ENTRY_LIMIT + 1)}),
    "many headers of headers": tar_of({"primary_key": b""}, type=tarfile.XHDTYPE) * 100,
    "an odd number in a header": tar_of({"x": b"24 GNU.sparse.map=\x1b[31m\n"}, type=tarfile.XHDTYPE)[:1024] + WHOLE,
    "a zip with a name that is not UTF-8": zip_of({"dpsd\u00e9": b""}).replace("\u00e9".encode(), b"\xff\xff"),
    "an unknown file": zip_of({"dpsd.toml.txt": b""}),
    "an archive in an archive": zip_of({"bundle.zip": zip_of(GOOD)}),
    "a tar cut in a header": WHOLE[:300],
    "a tar cut in a file": WHOLE[:514],
    "a gzip cut": tgz_of(GOOD)[:-9],
    "a zip cut": zip_of(GOOD)[:-30],
    "no archive": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    problem = problem_of("bundle-invalid", lambda: load(tmp_path / "bundle", data))
    assert problem.sentence.startswith(f"{tmp_path}/bundle ")
    assert "shadow" not in problem.sentence and problem.sentence.isascii() and problem.sentence.isprintable()


def _link(folder: Path) -> None:
    (folder / "primary_key").symlink_to("/etc/passwd")


def _hard_link(folder: Path) -> None:
    (folder.parent / "secret").write_bytes(b"secret")
    os.link(folder.parent / "secret", folder / "primary_key")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "primary_key")


def _folder(folder: Path) -> None:
    (folder / "primary_key").mkdir()


def _linked_folder(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to("/etc")


def _large(folder: Path) -> None:
    (folder / "primary_key").write_bytes(bytes(10 << 20))


def _large_archive(folder: Path) -> None:
    (folder / "bundle.tar").write_bytes(bytes(SIZE_LIMIT + 1))


def _two_archives(folder: Path) -> None:
    put_folder(folder, {"a.tar": WHOLE, "b.tar": WHOLE})


def _archive_and_file(folder: Path) -> None:
    put_folder(folder, {"a.tar": WHOLE, "dpsd.toml": b""})


def _two_cases(folder: Path) -> None:
    put_folder(folder, {"DPSD.TOML": b"", "dpsd.toml": b""})


def _misspelt(folder: Path) -> None:
    put_folder(folder, {"private-key.pem": b""})


def _many(folder: Path) -> None:
    put_folder(folder, {f".{number}": b"" for number in range(ENTRY_LIMIT + 1)})


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "fill",
    [
        _link, _hard_link, _fifo, _folder, _linked_folder, _large, _large_archive, _two_archives, _archive_and_file,
        _two_cases, _misspelt, _many,
    ],
)  # fmt: skip
def test_a_hostile_folder_is_refused_by_name(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder)
    problem = problem_of("bundle-invalid", lambda: load_bundle(str(folder)))
    assert str(folder) in problem.sentence or "primary_key" in problem.sentence


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
def test_a_pipe_is_no_bundle_and_is_not_waited_for(tmp_path: Path, kind: int) -> None:
    os.mknod(tmp_path / "pipe", kind | 0o600)
    problem_of("bundle-invalid", lambda: load_bundle(f"{tmp_path}/pipe"))


def test_a_misspelt_name_is_corrected(tmp_path: Path) -> None:
    problem = problem_of("bundle-invalid", lambda: load(tmp_path / "folder", {"dpsd.toml.txt": b""}))
    assert problem.sentence.endswith("none of a bundle: dpsd.toml.txt; did you mean dpsd.toml?")


def test_a_file_of_every_name_is_taken(tmp_path: Path) -> None:
    content = {name: name.encode() for name in NAMES.values()}
    assert dict(load(tmp_path / "bundle", tar_of(content)).files) == content
