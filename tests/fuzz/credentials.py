"""Targets for credential files: certificates, private keys, symmetric keys, trusted roots."""

from __future__ import annotations

import base64
import functools
import textwrap

from cryptography.hazmat.primitives.asymmetric import ec

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.importing.bundle import Bundle, Files, material_of
from dpsd.importing.signature import Signed, check_sums
from dpsd.network.tls import make_context
from dpsd.protocol.identifiers import check_registration_id
from tests.fuzz.endings import problems
from tests.fuzz.files import put
from tests.unit.authority import make_certificate, pem_of, pem_of_key

NOW = 1_800_000_000.0
UNUSABLE = ("credential-missing", "credential-invalid", "credential-encrypted", "credential-mismatch")
DATES = ("certificate-not-yet-valid", "certificate-expired")


KEY = ec.derive_private_key(7, ec.SECP256R1())
"""The same in every run, so that a certificate in the corpus has a key that belongs to it."""


@functools.cache
def good(name: str) -> str:
    """A good certificate, or the private key that belongs to it."""
    return put(f"good.{name}", pem_of(make_certificate(KEY, "pi-1")) if name == "pem" else pem_of_key(KEY))


def open_x509(certificate_file: str, private_key_file: str, secret: bytes = b"") -> None:
    """Open the pair as an attempt does, up to the first packet."""
    files = CredentialSettings("x509", "files", certificate_file, private_key_file, None, None)
    with problems(*UNUSABLE, *DATES, "registration-id-invalid", secret=secret):
        opened = open_credential(files)
        assert opened.x509 is not None
        opened.x509.leaf.check_dates(NOW)
        check_registration_id((opened.common_name or "").lower(), x509=True)


def armoured(label: str, der: bytes) -> bytes:
    """Return DER as PEM."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def certificate(data: bytes) -> None:
    open_x509(put("certificate.pem", data), good("key"))


def certificate_der(data: bytes) -> None:
    """What is inside the armour, where a change of one byte changes one thing."""
    certificate(armoured("CERTIFICATE", data))


def private_key(data: bytes) -> None:
    open_x509(good("pem"), put("private.key", data), secret=data)


def private_key_der(data: bytes) -> None:
    private_key(armoured("PRIVATE KEY", data))


def symmetric_key(data: bytes) -> None:
    files = CredentialSettings("symmetric_key", "files", None, None, put("symmetric.key", data), None)
    with problems("credential-invalid", secret=data):
        assert repr(open_credential(files).keys) == "(<secret>,)"


def trusted_roots(data: bytes) -> None:
    with problems("configuration-invalid"):
        make_context(put("roots.pem", data))


def pkcs12(data: bytes) -> None:
    """identity.p12 of an import bundle."""
    with problems("credential-invalid", secret=data):
        material = material_of(Bundle("/b", (), Files({"identity.p12": data}.items())))
        assert material is not None and material.certificate is not None


def checksums(data: bytes) -> None:
    """SHA256SUMS of an import bundle."""
    with problems("bundle-signature-invalid"):
        check_sums(Signed("/b", data, None, {"dpsd.toml": b""}))


TARGETS = {
    "pkcs12": pkcs12,
    "checksums": checksums,
    "certificate": certificate,
    "certificate-der": certificate_der,
    "private-key": private_key,
    "private-key-der": private_key_der,
    "symmetric-key": symmetric_key,
    "trusted-roots": trusted_roots,
}
