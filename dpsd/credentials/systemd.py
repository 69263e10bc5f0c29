"""A credential that systemd hands to dpsd.service, under fixed names (systemd.exec(5), LoadCredential=).

They are files in a folder in memory, which is there while the service runs.
"""

from __future__ import annotations

import os

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.credential import Credential, Material, opener
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
DOOR_DROP_IN = "/etc/systemd/system/dpsd-identity.service.d/50-dpsd-credentials.conf"
"""What `dpsctl seal --systemd` writes, for the token door only with keys; an owner's own has another name."""


@opener
def open_x509_systemd(_: CredentialSettings, __: Places, observer: Observer) -> Credential:
    """Open certificate and private key; raises the Problems of files, `credential-missing` with how to give them."""
    from dpsd.credentials.certificate import SIZE_LIMIT
    from dpsd.credentials.x509_files import open_pair  # heavy, and not for keys

    # systemd makes the files anew at each start of the service, so that a secret one always looks changed. The text of
    # the certificate stays, and stands for its key.
    certificate, private_key = observer.by_text(_path(CERTIFICATE)), _path(PRIVATE_KEY)
    _check_given(certificate)
    _check_given(private_key)
    opened = open_pair(certificate, private_key)
    material = Material(load(certificate), Secret(load_secret(private_key, SIZE_LIMIT)))
    return opened._replace(authentication=Authentication("x509", store=STORE), material=material)


@opener
def open_symmetric_systemd(_: CredentialSettings, __: Places, observer: Observer) -> Credential:
    """Open the primary key, and the secondary where there is one; raises as `open_x509_systemd`."""
    from dpsd.credentials.symmetric import open_keys

    primary, secondary = observer.by_stat(_path(PRIMARY_KEY)), _path(SECONDARY_KEY)
    _check_given(primary)
    return open_keys([primary, secondary] if os.path.exists(secondary) else [primary])


def _path(name: str) -> str:
    return f"{credentials_folder()}/{name}"


def _check_given(path: str) -> None:
    """Raise Problem `credential-missing` where systemd has put nothing there."""
    if not os.path.exists(path):
        folder, name = os.path.split(path)
        hint = f"put it there by: sudo dpsctl seal --systemd, or by LoadCredential={name} as dpsd.toml(5) shows; then: "
        hint += "sudo systemctl restart --no-block dpsd"
        raise Problem("credential-missing", f"systemd gave no {name} in {printable(folder)}", hint=hint)
