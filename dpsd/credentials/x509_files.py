"""An X.509 certificate with its chain, and its private key, from two PEM files. Floor 2."""

from __future__ import annotations

import hashlib
import os
import ssl
from datetime import datetime, timezone
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from dpsd.connection import Authentication
from dpsd.credentials.credential import Credential
from dpsd.credentials.secret_file import open_secret
from dpsd.durable import load
from dpsd.errors import Problem
from dpsd.settings import CredentialFiles
from dpsd.text import printable

SIZE_LIMIT = 64 * 1024
"""Bytes of either file; a chain that TLS stacks of hubs still take is far smaller."""

_DATE = "%Y-%m-%d %H:%M UTC"
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_MISMATCHES = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of another key; the last one where its type is another, too."""


class X509Files(NamedTuple):
    """A certificate and its private key in two files, already checked against each other."""

    certificate_file: str
    private_key_file: str
    not_before: datetime
    not_after: datetime

    def check_dates(self, now: float) -> None:
        """Raise Problem `certificate-not-yet-valid` or `certificate-expired`; now: seconds since 1970."""
        today, shown = datetime.fromtimestamp(now, timezone.utc), printable(self.certificate_file)
        if today < self.not_before:
            said = f"{shown} is valid from {self.not_before:{_DATE}}, the clock says {today:{_DATE}}"
            raise Problem("certificate-not-yet-valid", said)
        if today > self.not_after:
            said = f"{shown} expired at {self.not_after:{_DATE}}, the clock says {today:{_DATE}}"
            raise Problem("certificate-expired", said)

    def arm(self, context: ssl.SSLContext) -> None:
        """Load both into `context`; raises as `arm`."""
        arm(context, self.certificate_file, self.private_key_file)


class _Leaf(NamedTuple):
    """What is needed of the first certificate. validity: notBefore and notAfter."""

    common_name: str
    der: bytes
    validity: tuple[datetime, datetime]


def open_x509_files(settings: CredentialFiles) -> Credential:
    """Open certificate and key and check one against the other.

    Raises Problem `credential-missing`, `-insecure`, `-invalid`, `-encrypted` or `-mismatch`.
    """
    certificate_file, private_key_file = settings.certificate_file or "", settings.private_key_file or ""
    leaf = _load_leaf(certificate_file)
    arm(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate_file, private_key_file)
    return Credential(
        common_name=leaf.common_name,
        fingerprint="x509:" + hashlib.sha256(leaf.der).hexdigest(),
        authentication=Authentication("x509", certificate_file, private_key_file),
        x509=X509Files(certificate_file, private_key_file, *leaf.validity),
    )


def arm(context: ssl.SSLContext, certificate_file: str, private_key_file: str) -> None:
    """Load the pair into `context`; raises the Problems of a bad key file.

    OpenSSL gets the key through the descriptor that was judged, not by its name again.
    """
    with open_secret(private_key_file, SIZE_LIMIT) as descriptor:
        _check_not_encrypted(private_key_file, os.pread(descriptor, SIZE_LIMIT, 0))
        try:
            context.load_cert_chain(certificate_file, f"/proc/self/fd/{descriptor}", password=_no_passphrase)
        except ssl.SSLError as error:
            raise _unusable(error, certificate_file, private_key_file) from None
        except OSError as error:
            raise Problem("credential-missing", f"{printable(certificate_file)}: {error.strerror}") from None


def _load_leaf(path: str) -> _Leaf:
    shown = printable(path)
    if not os.path.lexists(path):
        raise Problem("credential-missing", f"{shown} does not exist")
    text = load(os.path.realpath(path), SIZE_LIMIT)
    if text is None:
        raise Problem("credential-missing", f"{shown} cannot be read as a regular file of at most {SIZE_LIMIT} bytes")
    if b"PRIVATE KEY" in text:
        raise Problem("credential-invalid", f"{shown} holds a private key; keep it in private_key_file alone")
    blocks = _blocks(text)
    if not blocks:
        raise Problem("credential-invalid", f"{shown} holds no PEM certificate")
    try:
        chain = [x509.load_pem_x509_certificate(block) for block in blocks]
        _check_key_type(chain[0], shown)
        return _Leaf(_common_name(chain[0], shown), chain[0].public_bytes(Encoding.DER), _validity(chain[0]))
    except Problem:
        raise
    except Exception as error:  # cryptography reads late, and has no root for what it raises on odd bytes
        raise Problem("credential-invalid", f"{shown} holds a broken certificate: {printable(error)}") from None


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


def _check_not_encrypted(path: str, text: bytes) -> None:
    if any(marker in text for marker in _ENCRYPTED):
        raise Problem("credential-encrypted", f"{printable(path)} is encrypted with a passphrase")


def _no_passphrase() -> str:
    """Keep OpenSSL from asking on the terminal."""
    raise Problem("credential-encrypted", "the private key is encrypted with a passphrase")


def _unusable(error: ssl.SSLError, certificate_file: str, private_key_file: str) -> Problem:
    certificate, key = printable(certificate_file), printable(private_key_file)
    if error.reason in _MISMATCHES:
        return Problem("credential-mismatch", f"{key} is not the private key of {certificate}")
    return Problem("credential-invalid", f"{certificate} and {key} cannot be used ({error.reason or 'no PEM key'})")
