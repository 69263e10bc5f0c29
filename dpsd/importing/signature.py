"""The signature of a fleet's owner over an import bundle, as `sha256sum` and `openssl` make it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from dpsd.errors import Problem
from dpsd.text import printable

_LINE = re.compile(rb"([0-9a-f]{64}) [ *]([ -~]+)")


class Signed(NamedTuple):
    """place: of the bundle, for messages. sums: SHA256SUMS. signature: over that. files: the others, by name."""

    place: str
    sums: bytes | None
    signature: bytes | None
    files: Mapping[str, bytes]


def check_signature(signed: Signed, public_key: str, path: str) -> None:
    """Raise Problem `bundle-signature-invalid` unless the key has signed all files of the bundle.

    public_key: PEM. path: of its file, for messages.
    """
    _verify(signed, _parse_key(public_key, path), path)
    check_sums(signed)


def check_sums(signed: Signed) -> None:
    """Raise Problem `bundle-signature-invalid` unless SHA256SUMS lists all other files, no more, with their sums."""
    lines = [_LINE.fullmatch(line.rstrip(b"\r")) for line in (signed.sums or b"").rstrip(b"\n").split(b"\n")]
    listed = sorted((found[2].decode().lower(), found[1].decode()) for found in lines if found)
    sums = sorted((name.lower(), hashlib.sha256(data).hexdigest()) for name, data in signed.files.items())
    if listed == sums and all(lines):
        return
    wrong = sorted({name for name, _ in {*listed} ^ {*sums}})
    named = f": {printable(', '.join(wrong))}" if wrong else ""
    raise _refused(signed, f"SHA256SUMS is not what sha256sum gives for the other files{named}")


def _verify(signed: Signed, key: EllipticCurvePublicKey | Ed25519PublicKey, path: str) -> None:
    if signed.sums is None or signed.signature is None:
        raise _refused(signed, "has SHA256SUMS or SHA256SUMS.sig, and not both")
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signed.signature, signed.sums)
        else:
            key.verify(signed.signature, signed.sums, ECDSA(SHA256()))
    except InvalidSignature:
        raise _refused(signed, f"is not signed by the key in {printable(path)}") from None


def _parse_key(public_key: str, path: str) -> EllipticCurvePublicKey | Ed25519PublicKey:
    try:
        key = load_pem_public_key(public_key.encode())
    except Exception:  # it has no root for what it raises on odd bytes
        key = None
    is_p256 = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    if isinstance(key, Ed25519PublicKey) or (is_p256 and isinstance(key, EllipticCurvePublicKey)):
        return key
    said = f"{printable(path)} holds no public key of the kinds Ed25519 and P-256, as PEM"
    raise Problem("bundle-signature-invalid", said, hint="make it by: openssl pkey -in KEY -pubout")


def _refused(signed: Signed, said: str) -> Problem:
    return Problem("bundle-signature-invalid", f"{printable(signed.place)} {said}")
