"""An import bundle in memory: its files, each of which has a fixed name, and the settings and credential they hold."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dpsd.configuration.merge import parse_tables
from dpsd.configuration.settings import Layer
from dpsd.credentials.certificate import check_chain
from dpsd.credentials.credential import Material
from dpsd.credentials.material import check_material
from dpsd.credentials.pkcs12 import parse_in_time
from dpsd.errors import Problem
from dpsd.secret import Secret
from dpsd.text import printable

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


def tables_of(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return the tables of dpsd.toml, {} without one; raises as `layer_of`, and Problem `configuration-invalid`."""
    return parse_tables(layer_of(bundle))


def layer_of(bundle: Bundle) -> Layer:
    """Return the text of dpsd.toml, an empty one without it; raises Problem `bundle-invalid`."""
    data = bundle.files.get(CONFIGURATION, b"")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise _invalid(bundle, f"has a {CONFIGURATION} in UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(bundle, f"has a {CONFIGURATION} that is not UTF-8 (byte {error.start})") from None
    return Layer(f"{bundle.place}/{CONFIGURATION}", text)


def material_of(bundle: Bundle) -> Material | None:
    """Return the credential, checked, None without one; raises Problem `bundle-invalid` or `credential-*`."""
    material = _found(bundle)
    if material == Material():
        return None
    check_material(material, bundle.place)
    if material.certificate is not None:
        check_chain(material.certificate, bundle.place)
    return material


def _found(bundle: Bundle) -> Material:
    files = bundle.files
    primary_key, secondary_key = _secret(bundle, PRIMARY_KEY), _secret(bundle, SECONDARY_KEY)
    if PKCS12 not in files:
        if PASSPHRASE in files:
            raise _invalid(bundle, f"has {PASSPHRASE} without {PKCS12}")
        return Material(files.get(CERTIFICATE), _secret(bundle, PRIVATE_KEY), primary_key, secondary_key)
    if CERTIFICATE in files or PRIVATE_KEY in files:
        raise _invalid(bundle, f"has {PKCS12}, and {CERTIFICATE} or {PRIVATE_KEY} as well")
    passphrase = files[PASSPHRASE].rstrip(b"\r\n") if PASSPHRASE in files else None
    pair = parse_in_time(files[PKCS12], passphrase, f"{bundle.place}/{PKCS12}")
    return pair._replace(primary_key=primary_key, secondary_key=secondary_key)


def _secret(bundle: Bundle, name: str) -> Secret | None:
    return Secret(bundle.files[name]) if name in bundle.files else None


def _invalid(bundle: Bundle, said: str) -> Problem:
    return Problem("bundle-invalid", f"{printable(bundle.place)} {said}")
