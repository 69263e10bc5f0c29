"""The device's certificate with its chain, from a PEM file: who it names, when it is valid."""

from __future__ import annotations

import hashlib
import os
import ssl
from datetime import datetime, timezone
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from dpsd.credentials.credential import Leaf
from dpsd.errors import Problem
from dpsd.system.files import load
from dpsd.text import printable

SIZE_LIMIT = 64 * 1024
"""Bytes; a chain that TLS stacks of hubs still take is far smaller."""

MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of another key; the last one where its type is another, too."""

_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


def load_leaf(path: str) -> Leaf:
    """Return what the first certificate says; raises Problem `credential-missing` or `-invalid`."""
    shown = printable(path)
    if not os.path.lexists(path):
        raise Problem("credential-missing", f"{shown} does not exist")
    text = load(os.path.realpath(path), SIZE_LIMIT)
    if text is None:
        raise Problem("credential-missing", f"{shown} cannot be read as a regular file of at most {SIZE_LIMIT} bytes")
    return parse_leaf(text, path)


def parse_leaf(text: bytes, path: str) -> Leaf:
    """Return what the first certificate of a PEM text says; raises Problem `credential-invalid`, which names `path`."""
    shown = printable(path)
    if b"PRIVATE KEY" in text:
        raise Problem("credential-invalid", f"{shown} holds a private key; keep it out of certificate_file")
    blocks = _blocks(text)
    if not blocks:
        raise Problem("credential-invalid", f"{shown} holds no PEM certificate")
    try:
        leaf, *_ = [x509.load_pem_x509_certificate(block) for block in blocks]
        _check_key_type(leaf, shown)
        fingerprint = "x509:" + hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
        return Leaf(path, _common_name(leaf, shown), fingerprint, *_validity(leaf))
    except Problem:
        raise
    except Exception as error:  # cryptography reads late, and has no root for what it raises on odd bytes
        # Of a PEM text that cannot be read, cryptography repeats a part after the address of its documentation.
        said = str(error).partition(" See https")[0]
        raise Problem("credential-invalid", f"{shown} holds a broken certificate: {printable(said)}") from None


def check_chain(text: bytes, path: str) -> None:
    """Raise Problem `credential-invalid` unless each certificate of a PEM text is followed by its issuer's, if any."""
    chain = [x509.load_pem_x509_certificate(block) for block in _blocks(text)]
    for number, (issued, issuer) in enumerate(pairwise(chain), 1):
        if issued.issuer != issuer.subject:
            said = f"{printable(path)}: certificate {number + 1} is not that of the issuer of certificate {number}"
            raise Problem("credential-invalid", said, hint="put the device's certificate first, then its issuer's")


def _blocks(text: bytes) -> list[bytes]:
    """Return each certificate in its armour; one that does not end is a broken one."""
    return [_BEGIN + inside.partition(_END)[0] + _END for inside in text.split(_BEGIN)[1:]]


def _check_key_type(leaf: x509.Certificate, shown: str) -> None:
    key = leaf.public_key()
    if not isinstance(key, (EllipticCurvePublicKey, RSAPublicKey)):
        raise Problem("credential-invalid", f"{shown}: DPS takes EC and RSA keys only")


def _common_name(leaf: x509.Certificate, shown: str) -> str:
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise Problem("credential-invalid", f"{shown}: the first certificate has no single CN")
    return str(names[0].value)


def _validity(leaf: x509.Certificate) -> tuple[datetime, datetime]:
    """Return notBefore and notAfter in UTC: cryptography before 42 has them only without a time zone."""
    if hasattr(leaf, "not_valid_before_utc"):
        return leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return leaf.not_valid_before.replace(tzinfo=timezone.utc), leaf.not_valid_after.replace(tzinfo=timezone.utc)


def load_pair(context: ssl.SSLContext, certificate_file: str, key: int, names: tuple[str, str]) -> None:
    """Load a certificate's file and the key that the descriptor `key` reads; raises Problem `credential-*`.

    names: what messages call certificate and key.
    """
    try:
        context.load_cert_chain(certificate_file, f"/proc/self/fd/{key}", password=_no_passphrase)
    except ssl.SSLError as error:
        raise _unusable(error, *map(printable, names)) from None
    except OSError as error:
        raise Problem("credential-missing", f"{printable(names[0])}: {error.strerror}") from None


def check_not_encrypted(name: str, text: bytes) -> None:
    """Raise Problem `credential-encrypted` where a key's PEM text says so; name: what the message calls it."""
    if any(marker in text for marker in _ENCRYPTED):
        raise Problem("credential-encrypted", f"{printable(name)} is encrypted with a passphrase")


def _no_passphrase() -> str:
    """Keep OpenSSL from asking on the terminal."""
    raise Problem("credential-encrypted", "the private key is encrypted with a passphrase")


def _unusable(error: ssl.SSLError, certificate: str, key: str) -> Problem:
    if error.reason in MISMATCHES:
        return Problem("credential-mismatch", f"{key} is not the private key of {certificate}")
    return Problem("credential-invalid", f"{certificate} and {key} cannot be used ({error.reason or 'no PEM key'})")
