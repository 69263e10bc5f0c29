"""The key sources themselves, for root, or for the owner of a state directory that is not the device's.

Each source is one function: HMAC-SHA256 under its own key. Only `prepare_secret`, for a new seal, writes anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from dpsd.configuration.settings import FIRMWARE_COMMAND
from dpsd.errors import Problem
from dpsd.keys.firmware import FirmwareKey
from dpsd.keys.request import SOURCES
from dpsd.keys.systemd_creds import COMMAND, decrypt_credential, encrypt_credential, require_machine_id
from dpsd.protocol.sas import sign
from dpsd.shape import ShapeError, parse_object
from dpsd.system.files import commit, load, make_folder, set_aside
from dpsd.system.machine_id import MACHINE_ID
from dpsd.text import printable

FIRMWARE_KEY = 1
"""The slot of the device's private key. It may have other uses, so that dpsd signs with labels of its own, below."""
SECRET_SIZE = 32
FILES = {"systemd": "systemd.json", "file": "file.key"}
"""By source, the name of the file with its secret."""
_SEAL = b"dpsd seal v1\n"
_NAME = b"dpsd key name v1\n"
_CREDENTIAL = "dpsd.seal"


def derive_secret(source: str, salt: bytes, folder: str) -> list[bytes]:
    """Return the secret of `source` for `salt`, and the public name of its key, eight bytes.

    folder: the one with the sources' files. Raises Problem `key-source-*`, `firmware-*`.
    """
    sign_by = _SIGNERS[source]
    return [sign_by(folder, _SEAL + salt), sign_by(folder, _NAME)[:8]]


def prepare_secret(source: str, folder: str) -> None:
    """Make the secret of a source that has none, or whose secret this device cannot use, which is set aside.

    Raises Problem `key-source-*`, `firmware-*`, `state-unwritable`.
    """
    maker = _MAKERS.get(source)
    if maker is None or not _lacks_secret(source, folder):
        return
    secret, path = maker(), f"{folder}/{FILES[source]}"
    make_folder(folder, 0o700)
    if os.path.lexists(path):
        set_aside(path)
    commit(path, secret, 0o600)


def _lacks_secret(source: str, folder: str) -> bool:
    try:
        derive_secret(source, b"", folder)
    except Problem as problem:
        if problem.code == "key-source-changed":
            return True
    return not os.path.lexists(f"{folder}/{FILES[source]}")


def _sign_by_firmware(_: str, message: bytes) -> bytes:
    try:
        return FirmwareKey(FIRMWARE_COMMAND, FIRMWARE_KEY).sign(message)
    except Problem as problem:
        missing = problem.code == "firmware-missing"  # its own hint names credential.firmware_command, not for seals
        raise problem.amend(hint="install the command: apt-get install rpifwcrypto" if missing else None) from None


def _sign_by_file(folder: str, message: bytes) -> bytes:
    return sign(_load_secret("file", folder, SECRET_SIZE), message)


def _sign_by_systemd(folder: str, message: bytes) -> bytes:
    try:
        table = parse_object(_load_secret("systemd", folder, None), "systemd.json")
        sealed_on, credential = table.string("machine_id"), table.string("credential")
    except ShapeError as error:
        raise Problem("key-source-changed", f"{printable(folder)}/{error}") from None
    if sealed_on != require_machine_id():  # systemd would now delete its own secret for good
        raise Problem(
            "key-source-changed",
            f"{MACHINE_ID} has changed since the credential was sealed",
            hint=f"put the earlier {MACHINE_ID} back; or seal the credential again: dpsctl(1), seal",
        )
    return sign(_require_size(decrypt_credential(_CREDENTIAL, credential.encode())), message)


def _require_size(secret: bytes) -> bytes:
    if len(secret) != SECRET_SIZE:  # nothing is sealed by less than a whole secret
        raise Problem("key-source-failed", f"{COMMAND} decrypt gave {len(secret)} bytes instead of {SECRET_SIZE}")
    return secret


def _load_secret(source: str, folder: str, size: int | None) -> bytes:
    path = f"{folder}/{FILES[source]}"
    found = load(path)
    if found is None:
        raise Problem("key-source-missing", f"{printable(path)}, which the credential was sealed with, is not there")
    if size is not None and len(found) != size:
        raise Problem("key-source-changed", f"{printable(path)} has {len(found)} bytes instead of {size}")
    return found


def _make_systemd_secret() -> bytes:
    secret = os.urandom(SECRET_SIZE)
    sealed = encrypt_credential(_CREDENTIAL, secret).decode("ascii", "replace")
    if decrypt_credential(_CREDENTIAL, sealed.encode()) != secret:
        raise Problem("key-source-failed", f"{COMMAND} decrypts another text than it encrypted")
    return json.dumps({"machine_id": require_machine_id(), "credential": sealed}).encode() + b"\n"


_Signer = Callable[[str, bytes], bytes]
_SIGNERS: dict[str, _Signer] = {"rpi-firmware": _sign_by_firmware, "systemd": _sign_by_systemd, "file": _sign_by_file}
_MAKERS: dict[str, Callable[[], bytes]] = {"systemd": _make_systemd_secret, "file": lambda: os.urandom(SECRET_SIZE)}

assert tuple(_SIGNERS) == SOURCES
