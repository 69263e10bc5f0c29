"""Where a device's credential comes from. Floor 2.

A store is one module and one row here. The configuration says which; there is no fall-back to another one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from dpsd.credentials.credential import Credential
from dpsd.places import Places
from dpsd.settings import CredentialFiles

STORES = {
    ("x509", "files"): "dpsd.credentials.x509_files:open_x509_files",
    ("x509", "pkcs11"): "dpsd.credentials.x509_pkcs11:open_x509_pkcs11",
    ("x509", "sealed"): "dpsd.credentials.sealed:open_sealed",
    ("x509", "systemd"): "dpsd.credentials.systemd_credentials:open_x509_systemd",
    ("symmetric_key", "files"): "dpsd.credentials.symmetric_files:open_symmetric_files",
    ("symmetric_key", "sealed"): "dpsd.credentials.sealed:open_sealed",
    ("symmetric_key", "systemd"): "dpsd.credentials.systemd_credentials:open_symmetric_systemd",
    ("symmetric_key", "rpi-firmware"): "dpsd.credentials.symmetric_firmware:open_symmetric_firmware",
}
"""By type and store, the function that opens it; named by text so that only the configured one is imported."""


def open_candidate(settings: CredentialFiles, places: Places) -> Credential:
    """Open the sealed credential that is to take the place of the present one; raises the Problems of that store."""
    from dpsd.credentials.sealed import open_seal

    return open_seal(places.candidate, settings.type, places)


def open_credential(settings: CredentialFiles, places: Places = Places()) -> Credential:  # noqa: B008 - a constant
    """Open the configured credential; raises the Problems of its store."""
    module, _, name = STORES[(settings.type, settings.store)].partition(":")
    opener: Callable[[CredentialFiles, Places], Credential] = getattr(import_module(module), name)
    return opener(settings, places)
