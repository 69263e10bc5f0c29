"""`dpsctl seal --systemd`: a credential that systemd decrypts and hands to dpsd.service.

The drop-in of dpsd.service asks systemd for the credential.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from dpsd.credentials.material import Material, check_material
from dpsd.credentials.systemd import (
    CERTIFICATE,
    DOOR_DROP_IN,
    DROP_IN,
    PRIMARY_KEY,
    PRIVATE_KEY,
    SECONDARY_KEY,
    SOURCES,
)
from dpsd.errors import Problem
from dpsd.keys.systemd_creds import decrypt_credential, encrypt_credential
from dpsd.secret import Secret
from dpsd.system.files import commit, make_folder

_PLAIN, _ENCRYPTED = SOURCES


def hand_to_systemd(material: Material) -> Iterator[str]:
    """Encrypt, verify and write a credential and the drop-in; yield each path once it is on disk.

    Raises Problem `not-permitted`, `credential-*`, `key-source-*`, `state-unwritable`.
    """
    if os.geteuid() != 0:
        raise Problem("not-permitted", "only root may do this")
    check_material(material, "the credential")
    secrets = {
        PRIVATE_KEY: material.private_key,
        PRIMARY_KEY: material.primary_key,
        SECONDARY_KEY: material.secondary_key,
    }
    sealed = {name: _encrypt_secret(name, secret) for name, secret in secrets.items() if secret is not None}
    plain = {} if material.certificate is None else {CERTIFICATE: material.certificate}
    for folder, files in ((_ENCRYPTED, sealed), (_PLAIN, plain)):
        make_folder(folder, 0o700)
        for name, data in files.items():
            commit(f"{folder}/{name}", data, 0o600)
            yield f"{folder}/{name}"
    # The drop-in comes last, so that systemd never looks for a credential that is not there yet.
    for drop_in in (DROP_IN, DOOR_DROP_IN) if material.certificate is None else (DROP_IN,):
        make_folder(os.path.dirname(drop_in), 0o755)
        commit(drop_in, render_drop_in([*plain], [*sealed]), 0o644)
        yield drop_in


def render_drop_in(plain: list[str], sealed: list[str]) -> bytes:
    """Return the drop-in. plain, sealed: names of credentials in systemd's folders."""
    # By name only: with a path, a missing file would keep the service from starting.
    lines = [f"LoadCredential={name}" for name in plain] + [f"LoadCredentialEncrypted={name}" for name in sealed]
    return "\n".join(["# Written by dpsctl seal --systemd.", "[Service]", *lines, ""]).encode()


def _encrypt_secret(name: str, secret: Secret) -> bytes:
    text = encrypt_credential(name, secret.reveal())
    if decrypt_credential(name, text) != secret.reveal():
        raise Problem("key-source-failed", f"{name} is another text when it is decrypted again")
    return text
