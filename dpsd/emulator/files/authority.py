"""Issues throw-away certificates and keys for servers and devices.

The certificates have the extensions that RFC 5280 asks for, as strict verifiers insist on them (OpenSSL's X509_STRICT,
the default of Python 3.13).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = timedelta(days=1)
YEAR = 365 * DAY


class Issued(NamedTuple):
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    def __repr__(self) -> str:
        return f"Issued({self.certificate.subject.rfc4514_string()})"

    def pem(self) -> str:
        """Return the certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self) -> str:
        """Return the private key in PEM (PKCS #8), without a password."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


class Validity(NamedTuple):
    """When a certificate begins and ends to be valid, relative to now."""

    begin: timedelta = -DAY
    end: timedelta = 10 * YEAR


LASTING = Validity()
EXPIRED = Validity(-2 * DAY, -DAY)
NOT_YET = Validity(DAY, 2 * DAY)


def make_key(kind: str = "ec") -> PrivateKey:
    """Make a private key. kind: `ec` for P-256, `rsa` for 2048 bits."""
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def issue_authority(name: str, issuer: Issued | None = None, validity: Validity = LASTING) -> Issued:
    """Issue a CA certificate; without an issuer it is a root."""
    return _issue(name, issuer, make_key(), validity, ca=True)


def issue_device(
    name: str,
    issuer: Issued | None = None,
    validity: Validity = LASTING,
    key: PrivateKey | None = None,
) -> Issued:
    """Issue a device's certificate; without an issuer it is self-signed."""
    return _issue(name, issuer, key or make_key(), validity, usage=ExtendedKeyUsageOID.CLIENT_AUTH)


def issue_server(names: Iterable[str], issuer: Issued, validity: Validity = LASTING) -> Issued:
    """Issue a server's certificate for DNS names and IP addresses."""
    usage = ExtendedKeyUsageOID.SERVER_AUTH
    return _issue("dpsd-emulator", issuer, make_key(), validity, names=names, usage=usage)


def load(certificate_pem: str, key_pem: str) -> Issued:
    """Parse a certificate and its private key from PEM; raises ValueError."""
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    if not isinstance(key, PrivateKey):
        raise ValueError("neither an EC nor an RSA key")
    return Issued(x509.load_pem_x509_certificate(certificate_pem.encode()), key)


def _issue(
    name: str,
    issuer: Issued | None,
    key: PrivateKey,
    validity: Validity,
    *,
    ca: bool = False,
    names: Iterable[str] = (),
    usage: x509.ObjectIdentifier | None = None,
) -> Issued:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(timezone.utc)
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + validity.begin)
        .not_valid_after(now + validity.end)
    )
    for extension, critical in _make_extensions(key, signer, ca, names, usage):
        builder = builder.add_extension(extension, critical)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def _make_extensions(
    key: PrivateKey, signer: PrivateKey, ca: bool, names: Iterable[str], usage: x509.ObjectIdentifier | None
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    yield x509.BasicConstraints(ca=ca, path_length=None), True
    yield x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
    yield _make_key_usage(ca), True
    if usage:
        yield x509.ExtendedKeyUsage([usage]), False
    if alternatives := [_make_general_name(name) for name in names]:
        yield x509.SubjectAlternativeName(alternatives), False


def _make_key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _make_general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
