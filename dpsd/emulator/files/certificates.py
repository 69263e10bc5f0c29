"""Reads what the services look at in a device's X.509 certificates. Pure: `now` is seconds since 1970."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

_UNREADABLE = (
    *(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm),
    *(x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
CHAIN_LIMIT = 10
"""Certificates that are followed upwards at most; real chains have two or three."""


def read_common_name(certificate: x509.Certificate) -> str:
    """Return the subject's CN; empty when it has none or several, or cannot be read."""
    try:
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except _UNREADABLE:
        return ""
    return str(names[0].value) if len(names) == 1 else ""


def get_thumbprints(certificate: x509.Certificate) -> frozenset[str]:
    """Return the SHA-1 and SHA-256 thumbprints in upper-case hexadecimal; a hub takes either."""
    algorithms = (hashes.SHA1(), hashes.SHA256())
    return frozenset(certificate.fingerprint(algorithm).hex().upper() for algorithm in algorithms)


def is_in_dates(certificate: x509.Certificate, now: float) -> bool:
    """Tell whether `now` is between the two dates; a date that does not exist, such as one in year 0, is never."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    try:
        return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc
    except ValueError:
        return False


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether `issuer` is a certificate authority that signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(issuer)
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _UNREADABLE:
        return False


def follow_chain(
    chain: Sequence[x509.Certificate], enrolled: Callable[[x509.Certificate], bool], now: float
) -> x509.Certificate | None:
    """Follow `chain` from its leaf upwards, and return the first certificate that an enrolled one has issued, or None.

    enrolled: tells whether an enrolled certificate issued the one that it is given. The certificates after the leaf may
    stand in any order; those that are followed must be valid `now`, and all but the leaf authorities.
    """
    current, others = chain[0], list(chain[1:])
    for _ in range(CHAIN_LIMIT):
        if not is_in_dates(current, now):
            return None
        if enrolled(current):
            return current
        issuer = next((other for other in others if is_issued_by(current, other)), None)
        if issuer is None:
            return None
        others.remove(issuer)
        current = issuer
    return None


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same name, byte by byte."""
    try:
        return certificate.subject.public_bytes() == certificate.issuer.public_bytes()
    except _UNREADABLE:
        return False
