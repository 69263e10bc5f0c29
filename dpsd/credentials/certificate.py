"""The device's certificate with its chain, from a PEM file: who it names, when it is valid."""

from __future__ import annotations

import hashlib
import os
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
        raise Problem("credential-invalid", f"{shown} holds a broken certificate: {printable(error)}") from None


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
