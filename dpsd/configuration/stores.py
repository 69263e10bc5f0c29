"""The stores of credentials: what the configuration says of each, and where it is opened.

Adding a store is one module in `dpsd.credentials` and one row here, for each type that it holds. The configuration says
which one it is; there is no fall-back to another.
"""

from __future__ import annotations

from typing import NamedTuple

_IN_FILES = "agents have the files that the configuration names: give them by LoadCredential="
_ON_TOKEN = "the private key never leaves its token: agents use the token, too"
_IN_FIRMWARE = "the key never leaves the firmware, so that no text can hold it"
_PAIR, _TOKEN = ("certificate_file", "private_key_file"), ("certificate_file", "token_uri", "module")
BY_PAIR, BY_SEAL = "pair", "seal"
_OTHER_KEYS = ("secondary_key_file", "group_key_file", "allow_group_key")


class Store(NamedTuple):
    """opener: `module:function` in dpsd.credentials, as text, so that only the configured one is imported.

    needs, may: the keys of [credential] that it needs, and those that it may have; others are refused. withheld: why
    its secret cannot be given to agents, None where it can. renewed: how `dpsctl renew` replaces the credential: by a
    `pair` of files, by a new `seal`, or not at all.
    """

    opener: str
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    withheld: str | None = None
    renewed: str | None = None


STORES = {
    ("x509", "files"): Store("x509_files:open_x509_files", _PAIR, withheld=_IN_FILES, renewed=BY_PAIR),
    ("x509", "pkcs11"): Store("token:open_x509_pkcs11", _TOKEN, ("pin_file", "token_device"), _ON_TOKEN),
    ("x509", "sealed"): Store("sealed:open_sealed", renewed=BY_SEAL),
    ("x509", "systemd"): Store("systemd:open_x509_systemd"),
    ("symmetric_key", "files"): Store("symmetric:open_symmetric_files", ("primary_key_file",), _OTHER_KEYS),
    ("symmetric_key", "sealed"): Store("sealed:open_sealed", renewed=BY_SEAL),
    ("symmetric_key", "systemd"): Store("systemd:open_symmetric_systemd"),
    ("symmetric_key", "rpi-firmware"): Store(
        "symmetric:open_symmetric_firmware", (), ("firmware_command", "firmware_key_id"), _IN_FIRMWARE
    ),
}
"""By credential.type and credential.store."""

RELEASES = {"release_private_key": "x509", "connection_string": "symmetric_key"}
"""The settings of [outputs] that give agents the secret itself, and the type of credential that each is for."""
