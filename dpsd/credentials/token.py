"""An X.509 certificate from a PEM file, with a private key that never leaves its PKCS#11 token."""

from __future__ import annotations

import os
import ssl
from typing import NamedTuple

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.configuration.token_uri import TokenKey, parse_token_uri
from dpsd.credentials.certificate import MISMATCHES, load_leaf
from dpsd.credentials.credential import Credential, Leaf, opener
from dpsd.credentials.secret_file import open_secret
from dpsd.credentials.token_module import Module
from dpsd.credentials.token_provider import load_provider, render_key
from dpsd.errors import Problem
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from dpsd.text import printable

_WRITE_PUBLIC = "put it there: pkcs11-tool --module MODULE --login --write-object PUBLIC.der --type pubkey"
PIN_FILE_LIMIT = 64
"""Bytes; the provider takes PINs of up to 32."""


class X509Token(NamedTuple):
    """A certificate and the key on the token. shows_public: whether the token has the key's public half, too."""

    leaf: Leaf
    key: TokenKey
    shows_public: bool

    def arm(self, context: ssl.SSLContext) -> None:
        """Let `context` use the certificate and the token; raises Problem `credential-mismatch`, `token-failed`."""
        reference = os.memfd_create("key")
        try:
            os.write(reference, render_key(self.key.uri))
            self._load(context, f"/proc/self/fd/{reference}")
        finally:
            os.close(reference)

    def _load(self, context: ssl.SSLContext, reference: str) -> None:
        try:
            _load(context, self.leaf.path, reference)
        except ssl.SSLError as error:
            certificate = printable(self.leaf.path)
            if error.reason in MISMATCHES and not self.shows_public:
                said = f"{self.key.uri}: the token has no public key of this name, to compare with {certificate}"
                raise Problem("token-key-missing", said, hint=_WRITE_PUBLIC) from None
            if error.reason in MISMATCHES:
                said = f"{self.key.uri} is not the private key of {certificate}"
                raise Problem("credential-mismatch", said) from None
            said = f"{certificate} and {self.key.uri} cannot be used ({error.reason or 'the provider says no more'})"
            raise Problem("token-failed", said) from None
        except OSError as error:
            raise Problem("token-failed", f"{self.key.uri}: {error.strerror}") from None


@opener
def open_x509_pkcs11(settings: CredentialSettings, _: Places, observer: Observer) -> Credential:
    """Open the certificate, log in to the token by one try of the PIN, and check key and certificate.

    Raises Problem `credential-*` or `token-*`.
    """
    key, module = parse_token_uri(settings.token_uri or ""), settings.module or ""
    certificate_file = settings.certificate_file or ""
    leaf = load_leaf(observer.by_text(certificate_file))
    pin_file = None if settings.pin_file is None else observer.by_stat(settings.pin_file)
    certificate = X509Token(leaf, key, _open_token(key, module, pin_file))
    certificate.arm(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return Credential(
        common_name=leaf.common_name,
        fingerprint=leaf.fingerprint,
        authentication=Authentication("x509", certificate_file, private_key_uri=key.uri, pkcs11_module=module),
        x509=certificate,
    )


def _open_token(key: TokenKey, module: str, pin_file: str | None) -> bool:
    """Log in first by ourselves: the provider gets only a PIN that has been right. Return as `Module.log_in`."""
    if pin_file is None:
        shows_public = Module(module).log_in(key, None)
        load_provider(module, None)
        return shows_public
    with open_secret(pin_file, PIN_FILE_LIMIT) as descriptor:
        shows_public = Module(module).log_in(key, _pin(pin_file, descriptor))
        load_provider(module, f"/proc/self/fd/{descriptor}")
    return shows_public


def _pin(path: str, descriptor: int) -> bytes:
    pin = os.pread(descriptor, PIN_FILE_LIMIT, 0).removesuffix(b"\n")
    if not pin or len(pin) > 32 or b"\n" in pin or b"\0" in pin:
        raise Problem("credential-invalid", f"{printable(path)} does not hold a PIN of 1 to 32 bytes on one line")
    return pin


def _load(context: ssl.SSLContext, certificate_file: str, reference: str) -> None:
    """Load both; raises SSLError or OSError.

    The provider leaves an errno behind when it looks around for the first time, which ssl then reports instead of the
    error. The second time it tells the error. Both are logged in already and try no PIN.
    """
    try:
        context.load_cert_chain(certificate_file, reference, password=_no_pin)
    except ssl.SSLError:
        raise
    except OSError:
        context.load_cert_chain(certificate_file, reference, password=_no_pin)


def _no_pin() -> str:
    """Keep the provider from asking for a PIN, and from trying one more than once."""
    raise Problem("token-failed", "the token wants its PIN again")
