"""An X.509 certificate with its chain, and its private key, from two PEM files."""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.certificate import MISMATCHES, SIZE_LIMIT, load_leaf
from dpsd.credentials.credential import Credential, Leaf, opener
from dpsd.credentials.secret_file import open_secret
from dpsd.errors import Problem
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from dpsd.text import printable

_ENCRYPTED = (b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")


class X509Files(NamedTuple):
    """A certificate and its private key in two files, already checked against each other."""

    leaf: Leaf
    private_key_file: str

    def arm(self, context: ssl.SSLContext) -> None:
        """Load both into `context`; raises as `arm`."""
        arm(context, self.leaf.path, self.private_key_file)


@opener
def open_x509_files(settings: CredentialSettings, _: Places, observer: Observer) -> Credential:
    """Open the configured pair; raises as `open_pair`."""
    certificate_file, private_key_file = settings.certificate_file or "", settings.private_key_file or ""
    opened = open_pair(observer.by_text(certificate_file), observer.by_stat(private_key_file))
    return opened._replace(authentication=Authentication("x509", certificate_file, private_key_file))


def open_pair(certificate_file: str, private_key_file: str) -> Credential:
    """Open certificate and key and check one against the other.

    Raises Problem `credential-missing`, `-insecure`, `-invalid`, `-encrypted` or `-mismatch`.
    """
    leaf = load_leaf(certificate_file)
    arm(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), leaf.path, private_key_file)
    return Credential(
        common_name=leaf.common_name,
        fingerprint=leaf.fingerprint,
        authentication=Authentication("x509", leaf.path, private_key_file),
        x509=X509Files(leaf, private_key_file),
    )


def arm(context: ssl.SSLContext, certificate_file: str, private_key_file: str) -> None:
    """Load the pair into `context`; raises the Problems of a bad key file.

    OpenSSL gets the key through the descriptor that was judged, not by its name again.
    """
    with open_secret(private_key_file, SIZE_LIMIT) as descriptor:
        check_not_encrypted(private_key_file, os.pread(descriptor, SIZE_LIMIT, 0))
        load_pair(context, certificate_file, descriptor, (certificate_file, private_key_file))


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
