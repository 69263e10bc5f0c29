"""The secrets of the running test, in each form in which one could get out, and where they were put on purpose.

Whoever gives a secret to a device notes it here, which the makers of credentials do by themselves; `tests/sweep.py`
looks for it in all that comes out. What a test notes is forgotten at its end; what wider fixtures noted stays.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

SHORTEST = 8
"""Bytes; what is shorter would be found by chance."""
_SLICE = 24
"""Bytes of a private number that are enough to know it by."""
PATTERNS = {
    "a private key in PEM": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}"),
    "the signature of a SAS token": re.compile(rb"(?i)\bsig=(?:[A-Za-z0-9+/]|%[0-9a-f]{2}){40,}"),
    "the key of a connection string": re.compile(rb"SharedAccessKey=[A-Za-z0-9+/]{20,}"),
}
"""What is secret whoever made it."""
_known: dict[bytes, str] = {}
_homes: set[Path] = set()


def note(secret: str | bytes, what: str, *homes: Path) -> None:
    """Remember a secret. what: its name in a finding. homes: files and folders that are given to hold secrets."""
    raw = secret.encode() if isinstance(secret, str) else secret
    _homes.update(Path(os.path.abspath(home)) for home in homes)
    for form in forms(raw.strip()):
        _known.setdefault(form, what)


def note_folder(folder: Path) -> None:
    """Remember all secrets of a folder of the emulator, which is given to hold them."""
    for path in folder.rglob("*.key"):
        note(path.read_bytes(), f"{path.parent.name}/{path.name}", path)


def find(data: bytes) -> str | None:
    """Return what secret is in `data`, if one is."""
    known = next((what for form, what in _known.items() if form in data), None)
    return known or next((what for what, pattern in PATTERNS.items() if pattern.search(data)), None)


def is_home(path: Path) -> bool:
    """Tell whether a test put a secret there itself."""
    return not _homes.isdisjoint((path, *path.parents))


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Forget at the end what was noted meanwhile."""
    known, homes = dict(_known), set(_homes)
    try:
        yield
    finally:
        _known.clear()
        _known.update(known)
        _homes.clear()
        _homes.update(homes)


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield what a secret looks like when it gets out: as it is, decoded, encoded, quoted, in parts."""
    if b"PRIVATE KEY-----" in secret:
        yield from _forms_of_key(secret)
    elif len(secret) >= SHORTEST:
        yield from _encoded(secret)
        with contextlib.suppress(binascii.Error):
            decoded = base64.b64decode(secret, validate=True)
            yield from _encoded(decoded) if len(decoded) >= 2 * SHORTEST else ()


def _encoded(raw: bytes) -> Iterator[bytes]:
    text = base64.b64encode(raw)
    yield from (raw, raw.hex().encode(), raw.hex().upper().encode(), text, text.rstrip(b"="))
    yield from (quote(text, safe="").encode(), base64.urlsafe_b64encode(raw).rstrip(b"="))
    yield repr(raw)[2:-1].encode()
    # Inside of something longer, which shifts it: but for its ends, where it shares letters with its neighbours.
    yield from (base64.b64encode(bytes(shift) + raw)[4:-4] for shift in range(3) if len(raw) >= 2 * SHORTEST)


def _forms_of_key(pem: bytes) -> Iterator[bytes]:
    try:
        key = load_pem_private_key(pem, None)
    except (TypeError, ValueError):  # One that needs a passphrase, or is broken on purpose.
        yield from (line for line in pem.split() if re.fullmatch(rb"[A-Za-z0-9+/=]{40,}", line))
        return
    for number in _numbers(key):
        yield from _encoded(number[:_SLICE])
        yield from _encoded(number[-_SLICE:])
        yield from _lines_with(number, pem)


def _numbers(key: PrivateKeyTypes) -> list[bytes]:
    """Return the numbers that make the key, as they stand in its DER: the rest of it is no secret."""
    if isinstance(key, rsa.RSAPrivateKey):
        known = key.private_numbers()
        return [one.to_bytes((one.bit_length() + 7) // 8, "big") for one in (known.d, known.p, known.q)]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")]
    return [key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())]


def _lines_with(number: bytes, pem: bytes) -> Iterator[bytes]:
    """Yield the lines of PEM that hold a good part of the number."""
    lines = [line for line in pem.splitlines() if re.fullmatch(rb"[A-Za-z0-9+/=]+", line)]
    der = base64.b64decode(b"".join(lines))
    begin, at = der.find(number), 0
    for line in lines:
        size = len(line) * 3 // 4
        if begin >= 0 and min(at + size, begin + len(number)) - max(at, begin) >= SHORTEST:
            yield line
        at += size
