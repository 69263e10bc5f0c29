"""A credential in memory: checked, and opened without a file that others could read."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dpsd.credentials.certificate import check_not_encrypted, load_pair, parse_leaf
from dpsd.credentials.credential import Credential, Leaf, Material
from dpsd.credentials.symmetric import decode_key, of_decoded
from dpsd.errors import Problem
from dpsd.secret import Secret
from dpsd.state.connection import Authentication
from dpsd.text import printable

__all__ = ["Material", "check_material", "open_material"]


class X509Memory(NamedTuple):
    """A certificate and its private key in memory, already checked against each other. name: as messages call it."""

    name: str
    leaf: Leaf
    certificate: bytes
    private_key: Secret

    def arm(self, context: ssl.SSLContext) -> None:
        """Load both into `context`, which reads files only; raises Problem `credential-*`."""
        with _in_memory(self.certificate) as certificate, _in_memory(self.private_key.reveal()) as key:
            names = (f"the certificate in {self.name}", f"the private key in {self.name}")
            load_pair(context, f"/proc/self/fd/{certificate}", key, names)


def check_material(material: Material, name: str) -> None:
    """Raise Problem `credential-*` unless it is one whole credential; name: what messages call its place."""
    open_material(material, name)


def open_material(material: Material, name: str) -> Credential:
    """Open a certificate with its key, or symmetric keys.

    Raises Problem `credential-missing`, `-invalid`, `-encrypted` or `-mismatch`. name: what messages call its place.
    """
    if material.certificate is None and material.private_key is None:
        keys = [key.reveal() for key in (material.primary_key, material.secondary_key) if key is not None]
        if material.primary_key is None:
            raise Problem("credential-missing", f"{printable(name)} holds no certificate and no primary key")
        credential = of_decoded([decode_key(key, name) for key in keys])
    else:
        credential = _open_x509(material, name)
    return credential._replace(material=material)


def _open_x509(material: Material, name: str) -> Credential:
    if material.certificate is None or material.private_key is None:
        lacks = "certificate" if material.certificate is None else "private key"
        raise Problem("credential-missing", f"{printable(name)} holds no {lacks}")
    if material.primary_key is not None or material.secondary_key is not None:
        raise Problem("credential-invalid", f"{printable(name)} holds a certificate and a symmetric key")
    leaf = parse_leaf(material.certificate, name)
    check_not_encrypted(f"the private key in {name}", material.private_key.reveal())
    x509 = X509Memory(name, leaf, material.certificate, material.private_key)
    x509.arm(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return Credential(leaf.common_name, leaf.fingerprint, Authentication("x509"), x509=x509)


@contextmanager
def _in_memory(data: bytes) -> Iterator[int]:
    """Give a descriptor of a file with `data` that has no name anywhere."""
    descriptor = os.memfd_create("dpsd")
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)
