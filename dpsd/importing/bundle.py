"""An import bundle in memory: its files, each of which has a fixed name, so that no name says where anything goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

CONFIGURATION = "dpsd.toml"
CERTIFICATE, PRIVATE_KEY = "certificate.pem", "private_key.pem"
PRIMARY_KEY, SECONDARY_KEY = "primary_key", "secondary_key"
PKCS12, PASSPHRASE = "identity.p12", "identity.pass"
SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
REPORT = "dpsd-report.txt"

_CONTENT = (CONFIGURATION, CERTIFICATE, PRIVATE_KEY, PRIMARY_KEY, SECONDARY_KEY, PKCS12, PASSPHRASE, SUMS, SIGNATURE)
NAMES = {name.lower(): name for name in _CONTENT}
"""By its lower-cased form, as a FAT may have changed the case, each name that a file of a bundle may have."""


class Files(Mapping[str, bytes]):
    """Contents by name, that do not change and are never shown."""

    __slots__ = ("_contents",)

    def __init__(self, contents: Iterable[tuple[str, bytes]]) -> None:
        self._contents = dict(contents)

    def __getitem__(self, name: str) -> bytes:
        return self._contents[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)

    def __repr__(self) -> str:
        return f"Files({list(self._contents)})"


class Bundle(NamedTuple):
    """place: the folder or archive it was read from. sources: the paths of the files that it was read from."""

    place: str
    sources: tuple[str, ...]
    files: Files
