"""An X.509 certificate with its chain, and its private key, from two PEM files."""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.certificate import SIZE_LIMIT, check_not_encrypted, load_leaf, load_pair
from dpsd.credentials.credential import Credential, Leaf, opener
from dpsd.credentials.secret_file import open_secret
from dpsd.state.connection import Authentication
from dpsd.state.places import Places


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
