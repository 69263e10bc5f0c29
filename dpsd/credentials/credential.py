"""What a credential can do: arm a TLS context, or sign bytes. Floor 2.

A credential cannot print itself: whatever holds a secret here shows a fixed word.
"""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from typing import NamedTuple

from dpsd.connection import Authentication
from dpsd.errors import Problem
from dpsd.protocol.sas import sign
from dpsd.text import printable

HIDDEN = "<secret>"
_DATE = "%Y-%m-%d %H:%M UTC"


class SymmetricKey:
    """A decoded key that can only sign."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`, 32 bytes."""
        return sign(self._key, message)

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be copied out of its process")


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
        """Load both into `context`; raises as `dpsd.credentials.x509_files.arm`."""
        from dpsd.credentials.x509_files import arm

        arm(context, self.certificate_file, self.private_key_file)


class Credential(NamedTuple):
    """An opened credential.

    common_name: the certificate's CN, which must be the registration id; None with keys. fingerprint: public, changes
    with the credential. x509 or keys (primary first) proves the device. files: path and whether it holds a secret.
    """

    common_name: str | None
    fingerprint: str
    authentication: Authentication
    files: tuple[tuple[str, bool], ...]
    x509: X509Files | None = None
    keys: tuple[SymmetricKey, ...] = ()
