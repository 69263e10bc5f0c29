"""A credential that systemd hands to dpsd.service, under fixed names (systemd.exec(5), LoadCredential=).

They are files in a folder in memory, which is there while the service runs.
"""

from __future__ import annotations

import os

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.credential import Credential, Material
from dpsd.credentials.secret_file import credentials_folder, load_secret
from dpsd.errors import Problem
from dpsd.secret import Secret
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from dpsd.system.files import load
from dpsd.text import printable

STORE = "systemd"
CERTIFICATE, PRIVATE_KEY = "dpsd.certificate", "dpsd.private_key"
PRIMARY_KEY, SECONDARY_KEY = "dpsd.primary_key", "dpsd.secondary_key"
SOURCES = ("/etc/credstore", "/etc/credstore.encrypted")
"""Where systemd looks for a credential that is asked for without a path."""
DROP_IN = "/etc/systemd/system/dpsd.service.d/50-dpsd-credentials.conf"
"""What `dpsctl seal --systemd` writes; an owner's own has another name."""


def observed_files(settings: CredentialSettings) -> list[str]:
    """Return the files by which a change of the credential is noticed; none for another store.

    They are made anew at each start of the service, so that secret ones always look changed. The certificate's text
    stays, and stands for its key.
    """
    if settings.store != STORE:
        return []
    return [public_file()] if settings.type == "x509" else [f"{credentials_folder()}/{PRIMARY_KEY}"]


def public_file() -> str:
    """Return the path of the certificate, which is no secret."""
    return f"{credentials_folder()}/{CERTIFICATE}"


def open_x509_systemd(_: CredentialSettings, __: Places) -> Credential:
    """Open certificate and private key; raises the Problems of files, `credential-missing` with how to give them."""
    from dpsd.credentials.certificate import SIZE_LIMIT
    from dpsd.credentials.x509_files import open_pair  # heavy, and not for keys

    certificate, private_key = _path(CERTIFICATE), _path(PRIVATE_KEY)
    opened = open_pair(certificate, private_key)
    material = Material(load(certificate), Secret(load_secret(private_key, SIZE_LIMIT)))
    return opened._replace(authentication=Authentication("x509", store=STORE), material=material)


def open_symmetric_systemd(_: CredentialSettings, __: Places) -> Credential:
    """Open the primary key, and the secondary where there is one; raises as `open_x509_systemd`."""
    from dpsd.credentials.symmetric import open_keys

    primary, secondary = _path(PRIMARY_KEY), f"{credentials_folder()}/{SECONDARY_KEY}"
    return open_keys([primary, secondary] if os.path.exists(secondary) else [primary])


def _path(name: str) -> str:
    folder = credentials_folder()
    path = f"{folder}/{name}"
    if not os.path.exists(path):
        hint = f"put it there by: sudo dpsctl seal --systemd, or by LoadCredential={name} as dpsd.toml(5) shows; then: "
        hint += "sudo systemctl restart --no-block dpsd"
        raise Problem("credential-missing", f"systemd gave no {name} in {printable(folder)}", hint=hint)
    return path
