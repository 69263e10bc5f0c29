"""Bundles for tests: archives made of entries as no honest tool makes them, too."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import canaries

Content = dict[str, bytes]
SECRET = {"private_key.pem", "primary_key", "secondary_key"}


def tar_of(content: Content | Iterable[tuple[str, bytes]], **member: object) -> bytes:
    """A .tar with these files; member: attributes that each entry gets."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in content.items() if isinstance(content, dict) else content:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for attribute, value in member.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(data))
    return written.getvalue()


def zip_of(content: Content | Iterable[tuple[str, bytes]], mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A .zip with these files; mode: of each, as Unix has it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, data in content.items() if isinstance(content, dict) else content:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data, method)
    return written.getvalue()


def tgz_of(content: Content) -> bytes:
    return gzip.compress(tar_of(content))


def signed(content: Content, key: Ed25519PrivateKey) -> Content:
    """The files with SHA256SUMS over them and its signature, as docs/import.md makes both."""
    sums = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in content.items()).encode()
    return {**content, "SHA256SUMS": sums, "SHA256SUMS.sig": key.sign(sums)}


def put_folder(folder: Path, content: Content) -> Path:
    """Write the files into a folder, which is made if need be, and remember which of them are secret."""
    folder.mkdir(exist_ok=True)
    note_secrets(folder, content)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def note_secrets(home: Path, content: Content) -> None:
    """Let the sweep look for the secrets of a bundle everywhere but where it is."""
    for name in SECRET & content.keys():
        canaries.note(content[name], f"{name} of a bundle", home)
