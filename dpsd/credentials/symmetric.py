"""Symmetric keys: from files with base64 of 16 to 64 bytes on one line, or in a Raspberry Pi's firmware."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import FIRMWARE_COMMAND, CredentialSettings
from dpsd.credentials.credential import Credential, Signer, SymmetricKey, material_of_keys, opener
from dpsd.credentials.secret_file import load_secret
from dpsd.errors import Problem, ProtocolError
from dpsd.keys.client import ServiceKey
from dpsd.keys.firmware import FirmwareKey
from dpsd.keys.request import FINGERPRINT
from dpsd.protocol.sas import parse_key
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from dpsd.text import printable

SIZE_LIMIT = 1024
"""Bytes; base64 of the longest key has 88."""


@opener
def open_symmetric_files(settings: CredentialSettings, _: Places, observer: Observer) -> Credential:
    """Open the primary key, and the secondary where one is configured; or instead the key of the device's group.

    Raises as `open_keys`.
    """
    named = (settings.primary_key_file, settings.secondary_key_file, settings.group_key_file)
    paths = [observer.by_stat(path) for path in named if path]
    return open_keys(paths)._replace(of_group=settings.group_key_file is not None)


def open_keys(paths: Iterable[str]) -> Credential:
    """Open the keys in these files, the primary first; raises Problem `credential-missing`, `-insecure`, `-invalid`."""
    return of_decoded([load_key(path) for path in paths])


def of_decoded(decoded: Sequence[bytes]) -> Credential:
    """Return the credential that decoded keys are, the primary first."""
    return of_keys(*map(SymmetricKey, decoded))._replace(material=material_of_keys(decoded))


def of_keys(*keys: Signer) -> Credential:
    """Return the credential that keys are, the primary first, wherever they are; raises the Problems of their store."""
    return Credential(
        common_name=None,
        fingerprint="symmetric:" + ":".join(key.sign(FINGERPRINT).hex() for key in keys),
        authentication=Authentication("sas"),
        keys=keys,
    )


def load_key(path: str) -> bytes:
    """Return the decoded key; raises as `open_keys`."""
    return decode_key(load_secret(path, SIZE_LIMIT), path)


def decode_key(text: bytes, name: str) -> bytes:
    """Return the decoded key; raises Problem `credential-invalid`, which names `name`."""
    try:
        return parse_key(text)
    except ProtocolError as error:
        raise Problem("credential-invalid", f"{printable(name)}: {error}") from None


@opener
def open_symmetric_firmware(settings: CredentialSettings, _: Places, observer: Observer) -> Credential:
    """Sign once, to see that the key is there; raises Problem `firmware-*`, and `key-helper-unreachable`."""
    observer.watch(settings.firmware_command)
    return of_keys(_key(settings))


def _key(settings: CredentialSettings) -> Signer:
    """Only the usual command is run by the service: it takes no path from anybody."""
    if settings.firmware_command == FIRMWARE_COMMAND and os.geteuid() != 0:
        return ServiceKey(settings.firmware_key_id)
    return FirmwareKey(settings.firmware_command, settings.firmware_key_id)
