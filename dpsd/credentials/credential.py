"""What a credential can do: arm a TLS context, or sign bytes.

A credential cannot print itself: whatever holds a secret here shows a fixed word.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple, Protocol

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.errors import Problem
from dpsd.protocol.sas import sign
from dpsd.secret import Hidden, Secret
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from dpsd.text import printable

_DATE = "%Y-%m-%d %H:%M UTC"


class SymmetricKey(Hidden):
    """A decoded key that can only sign."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`, 32 bytes."""
        return sign(self._key, message)


class Signer(Protocol):
    """A symmetric key that can only sign, wherever it is."""

    def sign(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`, 32 bytes; raises the Problems of its store."""


class Leaf(NamedTuple):
    """What the first certificate of a chain says.

    path: of its file, or what else messages call it. fingerprint: of the whole certificate, with its kind before it.
    """

    path: str
    common_name: str
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def check_dates(self, now: float) -> None:
        """Raise Problem `certificate-not-yet-valid` or `certificate-expired`; now: seconds since 1970."""
        today, shown = datetime.fromtimestamp(now, timezone.utc), printable(self.path)
        if today < self.not_before:
            said = f"{shown} is valid from {self.not_before:{_DATE}}, the clock says {today:{_DATE}}"
            raise Problem("certificate-not-yet-valid", said)
        if today > self.not_after:
            said = f"{shown} expired at {self.not_after:{_DATE}}, the clock says {today:{_DATE}}"
            raise Problem("certificate-expired", said)


class Certificate(Protocol):
    """A certificate and its private key, wherever that is."""

    @property
    def leaf(self) -> Leaf:
        """What the device's own certificate says."""

    def arm(self, context: ssl.SSLContext) -> None:
        """Put both into a TLS context; raises Problem `credential-*`."""


class Material(NamedTuple):
    """A device's whole credential in memory: a certificate's PEM chain, the leaf first, with its private key in PEM; or
    one or two symmetric keys, as base64 text."""

    certificate: bytes | None = None
    private_key: Secret | None = None
    primary_key: Secret | None = None
    secondary_key: Secret | None = None

    @property
    def type(self) -> str:
        """As in credential.type."""
        return "symmetric_key" if self.certificate is None else "x509"


def material_of_keys(decoded: Sequence[bytes]) -> Material:
    """Return what decoded keys are made from, the primary first."""
    return Material(None, None, *(Secret(b64encode(key)) for key in decoded))


class Credential(NamedTuple):
    """An opened credential.

    common_name: the certificate's CN, which must be the registration id; None with keys. fingerprint: public, changes
    with the credential. x509 or keys (primary first) proves the device. of_group: the key is the enrollment group's.
    material: what agents may be given, where the owner asks for it; None where the secret cannot leave its store.
    """

    common_name: str | None
    fingerprint: str
    authentication: Authentication
    x509: Certificate | None = None
    keys: tuple[Signer, ...] = ()
    of_group: bool = False
    material: Material | None = None

    def of_device(self, registration_id: str) -> Credential:
        """Return what proves this one device: another credential only where this one is its group's.

        A group's key signs the registration id, and that is the device's key (see `sas.derive_device_key`).
        """
        if not self.of_group:
            return self
        derived = [key.sign(registration_id.encode()) for key in self.keys]
        keys = tuple(map(SymmetricKey, derived))
        return self._replace(keys=keys, of_group=False, material=material_of_keys(derived))


Opener = Callable[[CredentialSettings, Places, Observer], Credential]
"""What opens the credential of a store. It asks the observer where each file is that it reads; it raises Problem."""


def opener(function: Opener) -> Opener:
    """Mark a store's opener, so that mypy compares its signature: `dpsd.configuration.stores` names it as text."""
    return function
