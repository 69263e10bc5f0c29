"""Throw-away certificates for the unit tests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests import canaries

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

NOT_BEFORE = datetime(2020, 1, 1, tzinfo=timezone.utc)
NOT_AFTER = datetime(2120, 1, 1, tzinfo=timezone.utc)
PASSPHRASE = BestAvailableEncryption(b"passphrase")


@cache
def make_key(kind: str, number: int = 0) -> PrivateKey:
    """The same key for the same arguments: `ec`, `rsa` or `ed25519`."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else ed25519.Ed25519PrivateKey.generate()


def make_certificate(
    key: PrivateKey,
    *common_names: str,
    issuer: tuple[str, PrivateKey] | None = None,
    valid: tuple[datetime, datetime] = (NOT_BEFORE, NOT_AFTER),
) -> x509.Certificate:
    """A certificate with these CNs, self-signed unless an issuer is given."""
    issuer_name, issuer_key = issuer or ("", key)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]) if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def pem_of_key(
    key: PrivateKey,
    encryption: KeySerializationEncryption = NoEncryption(),  # noqa: B008 - a constant without state
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption)


def pem_of(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def put_secret(path: Path, content: bytes) -> str:
    """Write a file that only its owner may read."""
    canaries.note(content, f"what is in {path.name}", path)
    path.touch(0o600)
    path.write_bytes(content)
    return str(path)


def just_after(moment: datetime) -> float:
    return (moment + timedelta(seconds=1)).timestamp()
