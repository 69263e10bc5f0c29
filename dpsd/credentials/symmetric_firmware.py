"""A symmetric key in a Raspberry Pi's firmware, asked by the root service dpsd-keys or directly. Floor 2."""

from __future__ import annotations

import os

from dpsd.credentials.credential import Credential, Signer
from dpsd.credentials.symmetric_files import of_keys
from dpsd.firmware import FirmwareKey
from dpsd.keys.client import HelpedKey
from dpsd.places import Places
from dpsd.settings import FIRMWARE_COMMAND, CredentialSettings


def open_symmetric_firmware(settings: CredentialSettings, _: Places) -> Credential:
    """Sign once, to see that the key is there; raises Problem `firmware-*`, and `key-helper-unreachable`."""
    return of_keys(_key(settings))


def _key(settings: CredentialSettings) -> Signer:
    """Only the usual command is run by the service: it takes no path from anybody."""
    if settings.firmware_command == FIRMWARE_COMMAND and os.geteuid() != 0:
        return HelpedKey(settings.firmware_key_id)
    return FirmwareKey(settings.firmware_command, settings.firmware_key_id)
